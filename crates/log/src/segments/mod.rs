//! The store of one node: own append-only segments, one log, group commit.
//!
//! `append` copies a batch into memory under one short lock; `flush` writes what is in memory by one
//! `pwrite`; one thread syncs when somebody asks and wakes all who waited. Tables are not kept in
//! memory while running: a keeper thread turns sealed segments into checkpoints, and opening reads the
//! newest of them and the log after it. Why not an engine: `docs/design.md` and `bench/stores`.
//!
//! Locks, in the order in which they may be taken: `sync_lock`, `writer`, `front`, `spare`.

mod append;
mod blobs;
mod checkpoint;
mod frame;
mod journal;
mod keeper;
mod meta;
mod recover;
mod state;
mod sync;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use parking_lot::Mutex;

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::Error;
use crate::ids::{ActorId, ByteCount, Digest, Epoch, Incarnation, NodeId, Position, Seq};
use crate::store::{JournalReader, Opened, Store, SyncFuture, Waiters};

use append::{Front, Writer};
use frame::Layout;
use keeper::Spare;

/// How a store runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fresh random bytes: the identity and salt of a data folder are taken from them when it is made.
    pub random: [u8; 32],
    /// Length of a segment, set when the data folder is made: space is reserved, and the log is turned
    /// into checkpoints, in such pieces. One more is kept as the reserve for a full disk.
    pub segment: ByteCount,
    /// Who does the syncs and the upkeep.
    pub syncing: Syncing,
    /// What nobody asked to sync is synced at most this long, and the time of one sync, after it was
    /// appended. A power cut loses at most 1 s of a buffered journal, so half of that.
    pub sync_within: Duration,
}

/// Who does the syncs and the upkeep of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncing {
    /// Two threads of the store, which sleep when there is nothing to do.
    Threads,
    /// The caller, at once: for a simulation from one seed. Nothing is synced but on demand.
    Inline,
}

/// The default length of a segment: long enough that rolling over is rare, short enough that reading
/// one at a start takes a few milliseconds.
pub const SEGMENT: ByteCount = ByteCount::mib(32);

/// The shortest segment that a data folder may be made with.
pub const MIN_SEGMENT: ByteCount = ByteCount::kib(8);

impl Options {
    /// The defaults, with these random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self { random, segment: SEGMENT, syncing: Syncing::Threads, sync_within: Duration::from_millis(500) }
    }

    /// For simulations and tests: inline, with small segments.
    pub fn simulated(random: [u8; 32]) -> Self {
        Self { segment: ByteCount::kib(64), syncing: Syncing::Inline, ..Self::new(random) }
    }
}

/// Opens, or makes, the store of a data folder.
pub fn open(disk: Arc<dyn Disk>, options: &Options) -> Result<Opened, Error> {
    recover::open(disk, options)
}

/// What the callers and the threads of a store share.
struct Shared {
    disk: Arc<dyn Disk>,
    layout: Layout,
    epoch: Epoch,
    syncing: Syncing,
    sync_within: Duration,
    waiters: Arc<Waiters>,
    front: Mutex<Front>,
    writer: Mutex<Writer>,
    sync_lock: Mutex<()>,
    spare: Mutex<Spare>,
    checkpoint: Mutex<checkpoint::Newest>,
    /// End of what was appended.
    appended: AtomicU64,
    /// End of what was written to the file.
    written: AtomicU64,
    /// End of what somebody wants durable.
    wanted: AtomicU64,
    /// Enough is unwritten that the sync thread should write it.
    write_asked: AtomicBool,
    /// The sync thread sleeps and does not look for appends.
    idle: AtomicBool,
    /// Whether `spare` holds one, for a look without the lock.
    spare_ready: AtomicBool,
    /// Something for the keeper to do.
    upkeep: AtomicBool,
    closing: AtomicBool,
    /// Base of the segment whose successor was last asked to be zero-filled, plus one.
    zero_asked: AtomicU64,
    sync_thread: OnceLock<Thread>,
    keeper_thread: OnceLock<Thread>,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// The store of one data folder.
struct Segments {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store for Segments {
    fn append(&self, batch: &Batch) -> Result<Position, Error> {
        self.shared.append(batch)
    }

    fn flush(&self, upto: Position) -> Result<(), Error> {
        self.shared.flush(upto)
    }

    fn durable(&self) -> Position {
        Position(self.shared.waiters.durable())
    }

    fn appended(&self) -> Position {
        Position(self.shared.appended.load(Ordering::SeqCst))
    }

    fn sync(&self, upto: Position) -> SyncFuture {
        self.shared.sync(upto)
    }

    fn sync_blocking(&self, upto: Position) -> Result<(), Error> {
        self.shared.sync_now(upto)
    }

    fn journal(
        &self,
        actor: &ActorId,
        incarnation: Incarnation,
        tail: Position,
        from: Seq,
    ) -> Result<JournalReader, Error> {
        journal::read(&self.shared, actor, incarnation, tail, from)
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        blobs::put(&self.shared, bytes)
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        blobs::get(&*self.shared.disk, digest)
    }

    fn accepting(&self) -> Result<(), Error> {
        self.shared.accepting()
    }

    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn node_id(&self) -> NodeId {
        NodeId(self.shared.layout.node)
    }

    fn close(&self) -> Result<(), Error> {
        let mut threads = self.threads.lock();
        let result = self.shared.close();
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
        *self.shared.lock.lock() = None;
        result
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
