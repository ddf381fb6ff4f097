//! What can go wrong in the log, each with what, where, and what to do.

use std::io;
use std::sync::Arc;

use crate::ids::{ByteCount, Digest, Position};

/// An error of the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the data folder open.
    #[error("the data folder {path} is in use by another node{}; stop it, or name another folder with --data", pid.map_or(String::new(), |p| format!(" (process {p})")))]
    Locked {
        /// The data folder.
        path: String,
        /// The process that holds it, if it wrote that down.
        pid: Option<u32>,
    },
    /// Written by a newer version.
    #[error("{what} has format version {found}, this program knows up to {known}; use a newer Troupe")]
    NewerVersion {
        /// The file.
        what: String,
        /// Its version.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// Bytes that were once good are not any more. Nothing was changed.
    #[error("{path} is damaged at byte {offset}: {why}; nothing was changed, restore the data folder from a copy")]
    Corrupt {
        /// The file.
        path: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// Only the space kept back for open turns is left, or not even that.
    #[error("the disk of {path} is full ({needed} more needed); free some space on it")]
    DiskFull {
        /// The data folder.
        path: String,
        /// What could not be had.
        needed: ByteCount,
    },
    /// The store takes nothing any more: a write or a sync failed, it was closed, or its epoch is old.
    #[error("the log has stopped: {why}; start the node again")]
    Stopped {
        /// Why.
        why: Arc<str>,
    },
    /// An operation on the disk failed.
    #[error("cannot {op} {path}: {source}")]
    Io {
        /// What was tried.
        op: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
    /// More bytes than the format allows.
    #[error("{what} has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        len: u64,
        /// The limit.
        max: u64,
    },
    /// No blob with this digest is stored.
    #[error("no blob {0} in the store")]
    NoBlob(Digest),
    /// No batch begins at this position, or it has no records of that actor.
    #[error("no such batch at position {position}: {why}")]
    NoBatch {
        /// The position asked for.
        position: Position,
        /// What was found.
        why: &'static str,
    },
    /// Bytes of a file or a record that do not follow the format.
    #[error("{what} cannot be read: {why}")]
    Format {
        /// What was read.
        what: String,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    pub(crate) fn io(op: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { op, path, source }
    }

    pub(crate) fn format(what: impl Into<String>, why: impl ToString) -> Error {
        Error::Format { what: what.into(), why: why.to_string() }
    }
}
