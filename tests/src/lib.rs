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
mod components;
mod coordination;
mod counter;
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
mod front_journal;
mod front_new;
mod front_run;
mod front_support;
mod fuzz;
mod keys;
mod keyvalue;
mod kill;
mod limits;
mod listing;
mod lives;
mod mailbox;
mod modes;
mod moves;
mod processes;
mod quarantine;
mod replays;
mod requests;
mod routing;
mod save_and_load;
mod sdk;
mod seen;
mod stopping;
mod supervision;
mod support;
mod theater;
mod timers;
mod topics;
mod tuplespace;
mod tuplespace_crash;
mod typed;
mod upgrades;
mod waits;
mod wasi_calls;
mod wasi_crash;
