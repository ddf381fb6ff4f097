//! Actors for Troupe as a struct and a few functions.
//!
//! An actor is a type that implements [`Default`] and one or more behaviours; [`actor!`] makes a component of it. What lies in the
//! struct is the actor's state: Troupe keeps it over crashes, with no file and no database.
//!
//! ```ignore
//! use troupe_sdk::prelude::*;
//!
//! #[derive(Default)]
//! struct Counter {
//!     total: i64,
//! }
//!
//! impl Server for Counter {
//!     fn request(&mut self, call: Message) -> Answer {
//!         match call.kind() {
//!             "add" => self.total += call.number::<i64>()?,
//!             "get" => (),
//!             _ => return call.unknown(),
//!         }
//!         text(self.total)
//!     }
//! }
//!
//! troupe_sdk::actor!(Counter: Server);
//! ```
//!
//! | module | what an actor may call |
//! |---|---|
//! | [`host`] | log, the time, sleep; needs no grant |
//! | [`messaging`] | casts, calls, answers put off, forwarding |
//! | [`timers`] | messages that come later, or again and again |
//! | [`processes`] | start and stop actors, links and monitors |
//! | [`queues`], [`topics`] | work for one consumer; news for all |
//! | [`space`] | the tuple space |
//! | [`groups`], [`locks`], [`registry`] | what actors agree on |
//!
//! Only what is called is imported: an actor that uses the queues asks for the interface `channels` and for no other.
//! Times are [`std::time::Duration`]; a time that may be left out is `None`.

#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]

mod actor;
#[doc(hidden)]
pub mod bindings;
mod error;
pub mod groups;
pub mod host;
pub mod locks;
pub mod messaging;
pub mod processes;
pub mod queues;
pub mod registry;
pub mod space;
pub mod timers;
pub mod topics;

#[doc(hidden)]
pub use actor::Actor;
pub use actor::{Answer, Events, Handler, Lifecycle, Machine, Message, Next, Server, Snapshot, text};
pub use error::{Error, Fault, Result};

/// Pairs of a name and a value. Names may be repeated and keep their order.
pub type Headers = Vec<(String, String)>;

/// What most actors need: `use troupe_sdk::prelude::*`.
pub mod prelude {
    pub use crate::{
        Answer, Error, Events, Handler, Lifecycle, Machine, Message, Next, Server, Snapshot, actor, groups, host,
        locks, messaging, processes, queues, registry, space, text, timers, topics,
    };
}

/// Milliseconds, as the contract counts: rounded up, so that a wait is never shorter than was asked for.
pub(crate) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
