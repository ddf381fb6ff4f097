//! The disk as the store sees it: a flat set of named files, passed in, never ambient.
//!
//! [`RealDisk`] is a folder; [`SimDisk`] is memory that forgets what was not synced, tears writes and
//! fails on demand, so that a node and a user's actors can be tested against power cuts. Names are
//! relative, with `/`. Nothing else in this crate touches the file system.

mod real;
mod sim;

use std::io;
use std::sync::Arc;

pub use real::RealDisk;
pub use sim::{SimDisk, UnsyncedWrite};

/// A place for files. What a method did to names is durable after `sync_dir` of their folder.
pub trait Disk: Send + Sync + 'static {
    /// The name as a person finds it, for messages.
    fn path(&self, name: &str) -> String;
    /// A new file, or an old one emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// An existing file; `NotFound` if there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a folder, and those above it, if they are not there.
    fn make_dir(&self, name: &str) -> io::Result<()>;
    /// The names of the files in a folder, without the folder, in no order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Removes a file; nothing if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file over another, atomically.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes the names in a folder durable (`""` is the root).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Takes the exclusive lock of this name for as long as the guard lives.
    fn lock(&self, name: &str) -> io::Result<Lock>;
}

/// The answer to [`Disk::lock`].
pub enum Lock {
    /// It is ours until this is dropped.
    Held(Box<dyn Send + Sync>),
    /// Another one has it: its process id, if it left one.
    Taken(Option<u32>),
}

/// An open file. Calls from several threads do not disturb each other.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads what is there from `offset` on, up to the length of `buf`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all the bytes at `offset`. Until a sync they may be lost, in part or whole.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reserves space for the first `len` bytes and makes the file at least that long, new bytes 0.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes what was written, and the length, durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// Whether an error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
