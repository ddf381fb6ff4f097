//! The manifest: what `troupe.toml` says of an actor, as types and as text.
//!
//! `types` holds what a manifest means (also for those who build it in Rust), `parse` and `theater` read text with the
//! place of every key, `resolve` turns it into [`ActorSpec`]s: paths relative to the manifest, defaults, limits checked at
//! their `edges`. `profile` has the shorthands for
//! grants, `spawn` reads what a parent says of its child and `within` holds it to what the parent has. `canonical` writes grants and limits as the one text that stands in an actor's genesis record. An
//! unknown key is an error that names the nearest known one, the file, the line and the column.

pub mod application;
mod canonical;
pub mod edges;
mod error;
mod grants;
mod http;
mod init;
mod parse;
mod profile;
mod resolve;
pub mod secrets;
pub mod sockets;
mod spawn;
#[cfg(test)]
mod tests;
mod text;
mod theater;
mod types;
pub mod units;
mod within;

pub use error::{Error, Place};
pub(crate) use http::USUAL_PARALLEL;
pub use http::{Bodies, HostPattern, HttpGrant, Instance, Serving};
pub use profile::Profile;
pub use resolve::MAX_MANIFEST;
pub use secrets::SecretSource;
pub use sockets::{AddressRange, NamePattern, Sockets};
pub use spawn::{MAX_SPAWN_MANIFEST, of_theater, spawn_options};
pub(crate) use types::glob;
pub use types::{
    ActorPattern, ActorSpec, Channels, ClockGrant, ComponentRef, Environment, FilesystemGrant, Grants, Keep, KeyValue,
    Limits, Manifest, Messaging, Mode, OnFault, Processes, RandomGrant, Registration, Snapshots, Strategy, Supervision,
    TupleSpaces, covers,
};
