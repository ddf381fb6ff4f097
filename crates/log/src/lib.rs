//! The write-ahead log of a Troupe node: atomic batches over all its actors, hash-linked journals,
//! tables, blobs; verifying and exporting journals. Knows nothing of WebAssembly.
//!
//! - [`ids`], [`codec`]: names and values as bytes.
//! - [`record`], [`body`], [`chain`], [`batch`]: what is written.
//! - [`store`]: the store as a trait; [`segments`]: the one there is; [`disk`]: what it stands on.
//! - [`verify`], [`export`]: is a journal what was written, and the file in which it travels.
//! - [`signed`]: a node's signature under a head.
//!
//! ```
//! use std::sync::Arc;
//! use troupe_log::{ActorId, Batch, Chain, Incarnation, Kind, Options, Seq, SimDisk, Step, Table, open};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = SimDisk::new(); // or `RealDisk::new(folder)`
//! let actor = ActorId::parse("bank/acct-1")?;
//! let mut step = Step::new(Chain::START);
//! step.record(Kind::Genesis, |body| body.extend(b"who I am"));
//!
//! let opened = open(Arc::new(disk.clone()), &Options::simulated([7; 32]))?;
//! let mut batch = Batch::new();
//! batch.records(&actor, Incarnation(0), None, &step);
//! batch.put(Table::INBOX, b"a key", b"a message");
//! let position = opened.store.append(&batch)?;
//! opened.store.sync_blocking(position)?;
//! drop(opened);
//!
//! disk.crash(); // the power goes; what was synced stays
//! let opened = open(Arc::new(disk), &Options::simulated([7; 32]))?;
//! let tail = &opened.actors[&actor];
//! let journal = opened.store.journal(&actor, tail.incarnation, tail.tail, Seq(0))?.read_all()?;
//! assert!(troupe_log::verify::verify(&journal, Some(Chain { next: tail.next, head: tail.head })).is_good());
//! assert_eq!(opened.tables[&Table::INBOX][&b"a key"[..]], b"a message");
//! # Ok(())
//! # }
//! ```
//!
//! Bytes: `docs/journal-format.md`. Promises: `docs/semantics.md`.

pub mod actor_file;
pub mod batch;
pub mod body;
pub mod chain;
pub mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod disk;
mod error;
pub mod export;
pub mod ids;
pub mod record;
pub mod segments;
pub mod signed;
pub mod store;
pub mod verify;

pub use batch::{Batch, Table};
pub use chain::{Chain, Mark, Step};
pub use disk::{Disk, RealDisk, SimDisk};
pub use error::Error;
pub use ids::{ActorId, ByteCount, Digest, Epoch, Head, Incarnation, NodeId, NodeTime, Position, Seq, WallTime};
pub use record::{Kind, Record};
pub use segments::{Options, Syncing, open};
pub use signed::{NodeKey, PublicKey, SignedHead};
pub use store::{DroppedTail, JournalReader, Opened, Store, SyncFuture, Tables, Tail};

#[cfg(test)]
mod tests;
