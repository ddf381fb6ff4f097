//! The write-ahead log of a Troupe node: atomic batches over all its actors, hash-linked journals,
//! tables, blobs; verifying and exporting journals. Knows nothing of WebAssembly.
//!
//! - [`ids`], [`codec`]: names and values as bytes.
//! - [`record`], [`body`], [`chain`], [`batch`]: what is written.
//! - [`store`]: the store as a trait; [`segments`]: the one there is; [`disk`]: what it stands on.
//! - [`verify`], [`export`]: is a journal what was written, and the file in which it travels.
//!
//! Bytes: `docs/journal-format.md`. Promises: `docs/semantics.md`.

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
pub mod store;
pub mod verify;

pub use batch::{Batch, Table};
pub use chain::{Chain, Mark, Step};
pub use disk::{Disk, RealDisk, SimDisk};
pub use error::Error;
pub use ids::{ActorId, ByteCount, Digest, Epoch, Head, Incarnation, NodeId, NodeTime, Position, Seq, WallTime};
pub use record::{Kind, Record};
pub use segments::{Options, Syncing, open};
pub use store::{DroppedTail, JournalReader, Opened, Store, SyncFuture, Tables, Tail};

#[cfg(test)]
mod tests;
