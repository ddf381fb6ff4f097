//! End-to-end tests of Troupe: real guests, real stores, the real command.
//!
//! One test binary. `support` finds guests and opens nodes; each other file is one promise and its tests. The guests are built
//! by `cargo xtask guests`.

#![cfg(test)]

mod apps;
mod bases;
mod beginnings;
mod bound;
mod capabilities;
mod changes;
mod channels;
mod commands;
mod components;
mod coordination;
mod counter;
mod coverage;
mod crash;
mod dead;
mod docs;
mod durations;
mod eviction;
mod faults;
mod front_api;
mod front_apps;
mod front_calls;
mod front_channels;
mod front_dead;
mod front_disk;
mod front_evidence;
mod front_http;
mod front_journal;
mod front_new;
mod front_run;
mod front_support;
mod fuzz;
mod http_actors;
mod http_peer;
mod http_requests;
mod keys;
mod keyvalue;
mod kill;
mod limits;
mod listing;
mod lives;
mod mailbox;
mod modes;
mod moves;
mod own_journal;
mod processes;
mod quarantine;
mod replays;
mod requests;
mod returns;
mod routing;
mod save_and_load;
mod sdk;
mod secrets;
mod seen;
mod shown;
mod sockets;
mod stepping;
mod stopping;
mod supervision;
mod support;
mod timers;
mod topics;
mod tuplespace;
mod tuplespace_crash;
mod typed;
mod upgrades;
mod waits;
mod wasi_behaviours;
mod wasi_calls;
mod wasi_crash;
mod wasi_grants;
