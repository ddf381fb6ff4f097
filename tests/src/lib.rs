//! End-to-end tests of Troupe: real guests, real stores, the real command.
//!
//! One test binary. `support` finds guests and opens nodes; each other file is one promise and its tests. The guests are built
//! by `cargo xtask guests`.

#![cfg(test)]

mod counter;
mod docs;
mod faults;
mod front_api;
mod front_calls;
mod front_journal;
mod front_new;
mod front_run;
mod front_support;
mod fuzz;
mod kill;
mod keys;
mod mailbox;
mod bases;
mod eviction;
mod components;
mod crash;
mod quarantine;
mod replays;
mod routing;
mod typed;
mod support;
mod waits;
mod wasi_crash;
mod wasi_calls;
