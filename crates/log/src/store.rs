//! The store behind a node, as a trait. Its documentation is its specification; the conformance suite
//! in `tests/` quotes it and runs over every implementation.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::batch::{Batch, Table};
use crate::error::Error;
use crate::ids::{ActorId, Digest, Epoch, Head, Incarnation, NodeId, NodeTime, Position, Seq};

/// One node's write-ahead log.
///
/// - The log is a sequence of atomic batches. After a crash the store holds a prefix of the appended
///   batches, with every durable one in it.
/// - `append` orders batches: positions grow. A batch at position `p` is *written* (survives a killed
///   process) once `flush(p)` returned, and *durable* (survives a power cut) exactly when `p < durable()`.
/// - A new process treats nothing as durable before its own first sync; opening does that sync, so all
///   that was found at opening is durable.
/// - After a failed write or sync, a close, or when a newer epoch has the data, the store is stopped:
///   `append`, `flush` and `sync` fail with [`Error::Stopped`], and nothing that waited is ever
///   reported durable.
/// - Every method may be called from any thread at any time. None but `sync` suspends; `append`
///   touches the disk only if megabytes are unwritten or the segment is full, `flush`,
///   `sync_blocking`, `put_blob`, `blob` and `journal` always may.
pub trait Store: Send + Sync + 'static {
    /// Adds a batch atomically, after all batches before it, in memory. Fails with
    /// [`Error::DiskFull`], changing nothing, if not even the reserve has room for it.
    fn append(&self, batch: &Batch) -> Result<Position, Error>;

    /// Returns once the batch at `upto`, and all before it, are written to the file.
    fn flush(&self, upto: Position) -> Result<(), Error>;

    /// The end of what is durable: the batch at `p` is durable exactly when `p < durable()`.
    fn durable(&self) -> Position;

    /// The end of what was appended: a batch at `p` was appended exactly when `p < appended()`, and `durable() <= appended()`.
    fn appended(&self) -> Position;

    /// Asks at once that the batch at `upto` becomes durable; the future is ready when it is. Many
    /// requests share one sync. Dropping the future takes nothing back.
    fn sync(&self, upto: Position) -> SyncFuture;

    /// The same, waiting on this thread.
    fn sync_blocking(&self, upto: Position) -> Result<(), Error>;

    /// The records of one incarnation from `from` on (or from the first kept one, if `from` is
    /// older), in order, up to and with those in the batch at `tail`, its newest batch.
    fn journal(
        &self,
        actor: &ActorId,
        incarnation: Incarnation,
        tail: Position,
        from: Seq,
    ) -> Result<JournalReader, Error>;

    /// Stores bytes under their digest. They are durable when this returns. Storing again is free.
    fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error>;

    /// The bytes stored under a digest, checked against it.
    fn blob(&self, digest: &Digest) -> Result<Vec<u8>, Error>;

    /// Whether new messages may be accepted. [`Error::DiskFull`] when only the space kept back for
    /// open turns to end is left: appending still works, for them.
    fn accepting(&self) -> Result<(), Error>;

    /// How many times the data was opened, this time included.
    fn epoch(&self) -> Epoch;

    /// The identity of the data.
    fn node_id(&self) -> NodeId;

    /// Makes all that was appended durable, and stops. Closing again does nothing.
    fn close(&self) -> Result<(), Error>;
}

/// What a store held when it was opened.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The newest batch of every actor that has records.
    pub actors: HashMap<ActorId, Tail>,
    /// All tables.
    pub tables: Tables,
    /// The newest stamp: node time goes on from here.
    pub node_time: NodeTime,
    /// What an unsynced end of the log lost, if a crash left one.
    pub dropped_tail: Option<DroppedTail>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("epoch", &self.store.epoch())
            .field("actors", &self.actors.len())
            .field("node_time", &self.node_time)
            .field("dropped_tail", &self.dropped_tail)
            .finish_non_exhaustive()
    }
}

/// All tables, each ordered by key.
pub type Tables = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Where an actor's journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Its newest incarnation.
    pub incarnation: Incarnation,
    /// The batch that holds that incarnation's newest records.
    pub tail: Position,
    /// Number of its next record.
    pub next: Seq,
    /// Head before that.
    pub head: Head,
    /// Records of the incarnation.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The end of a log that a crash left unsynced and torn; it was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTail {
    /// Where the log was cut.
    pub position: Position,
    /// Bytes from there to the last one that was written.
    pub bytes: u64,
    /// Whole batches among them, which were never synced.
    pub batches: u64,
}

/// The records of one journal, part by part (a part is what one batch holds of it).
pub struct JournalReader {
    source: Box<dyn JournalSource>,
    part: Vec<u8>,
}

/// What a store implements under a [`JournalReader`].
pub trait JournalSource: Send {
    /// Replaces `out` by the records of the next part; `None` at the end.
    fn next_part(&mut self, out: &mut Vec<u8>) -> Result<Option<Position>, Error>;
}

impl JournalReader {
    /// A reader over a source.
    pub fn new(source: Box<dyn JournalSource>) -> Self {
        Self { source, part: Vec::new() }
    }

    /// The next part: whole records, in order, and the position of their batch.
    pub fn next_part(&mut self) -> Result<Option<(Position, &[u8])>, Error> {
        Ok(self.source.next_part(&mut self.part)?.map(|p| (p, &self.part[..])))
    }

    /// All that is left, in one piece.
    pub fn read_all(mut self) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some((_, part)) = self.next_part()? {
            all.extend_from_slice(part);
        }
        Ok(all)
    }
}

impl std::fmt::Debug for JournalReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JournalReader")
    }
}

/// Those who wait for a position to become durable; shared by a store and its futures.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    durable: AtomicU64,
    stopped: OnceLock<Arc<str>>,
    waiting: Mutex<BTreeMap<(u64, u64), Waker>>,
    ids: AtomicU64,
}

impl Waiters {
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Why the store stopped, if it did.
    pub fn stopped(&self) -> Option<Error> {
        self.stopped.get().map(|why| Error::Stopped { why: why.clone() })
    }

    /// Everything below `end` is durable: wakes who waited for it. Nothing after a stop.
    pub fn advance(&self, end: u64) {
        let ready = {
            let mut waiting = self.waiting.lock();
            if self.stopped.get().is_some() {
                return;
            }
            self.durable.fetch_max(end, Ordering::AcqRel);
            let later = waiting.split_off(&(end, 0));
            std::mem::replace(&mut *waiting, later)
        };
        ready.into_values().for_each(Waker::wake);
    }

    /// Stops for good: whoever waits gets the error. The first reason stays.
    pub fn stop(&self, why: &str) {
        let ready = {
            let mut waiting = self.waiting.lock();
            let _ = self.stopped.set(why.into());
            std::mem::take(&mut *waiting)
        };
        ready.into_values().for_each(Waker::wake);
    }

    /// The state of a position: durable, failed, or neither yet.
    pub fn state(&self, position: Position) -> Option<Result<(), Error>> {
        if position.0 < self.durable() {
            return Some(Ok(()));
        }
        self.stopped().map(Err)
    }
}

/// Ready when a position is durable; see [`Store::sync`].
#[derive(Debug)]
#[must_use = "a sync that is not awaited tells nothing"]
pub struct SyncFuture(Inner);

#[derive(Debug)]
enum Inner {
    Ready(Option<Error>),
    Waiting { waiters: Arc<Waiters>, position: Position, id: u64, registered: bool },
}

impl SyncFuture {
    /// A future that is ready at once.
    pub fn ready(result: Result<(), Error>) -> Self {
        Self(Inner::Ready(result.err()))
    }

    pub(crate) fn waiting(waiters: &Arc<Waiters>, position: Position) -> Self {
        match waiters.state(position) {
            Some(result) => Self::ready(result),
            None => {
                let id = waiters.ids.fetch_add(1, Ordering::Relaxed);
                Self(Inner::Waiting { waiters: waiters.clone(), position, id, registered: false })
            }
        }
    }
}

impl Future for SyncFuture {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Ready(error) => Poll::Ready(error.take().map_or(Ok(()), Err)),
            Inner::Waiting { waiters, position, id, registered } => {
                if let Some(result) = waiters.state(*position) {
                    return Poll::Ready(result);
                }
                let mut waiting = waiters.waiting.lock();
                if let Some(result) = waiters.state(*position) {
                    return Poll::Ready(result);
                }
                waiting.insert((position.0, *id), cx.waker().clone());
                *registered = true;
                Poll::Pending
            }
        }
    }
}

impl Drop for SyncFuture {
    fn drop(&mut self) {
        if let Inner::Waiting { waiters, position, id, registered: true } = &self.0
            && waiters.state(*position).is_none()
        {
            waiters.waiting.lock().remove(&(position.0, *id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn those_who_wait_are_woken_once_their_position_is_durable_and_not_before() {
        let waiters = Arc::new(Waiters::default());
        let woken = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut futures: Vec<_> = [10, 20, 20, 30].map(|p| SyncFuture::waiting(&waiters, Position(p))).into();
        for future in &mut futures {
            assert!(Pin::new(&mut *future).poll(&mut cx).is_pending());
            assert!(Pin::new(future).poll(&mut cx).is_pending(), "polled again");
        }
        waiters.advance(20);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1, "20 is durable when the end is past it");
        waiters.advance(21);
        assert_eq!(woken.0.load(Ordering::SeqCst), 3);
        let last = futures.pop();
        assert!(futures.iter_mut().all(|f| matches!(Pin::new(f).poll(&mut cx), Poll::Ready(Ok(())))));
        assert_eq!(waiters.waiting.lock().len(), 1);
        drop(last);
        assert!(waiters.waiting.lock().is_empty(), "a dropped future waits no more");
    }

    /// "After a failed write or sync nothing that waited is ever reported durable."
    #[test]
    fn after_a_stop_nothing_becomes_durable() {
        let waiters = Arc::new(Waiters::default());
        waiters.advance(10);
        let mut future = SyncFuture::waiting(&waiters, Position(10));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
        waiters.stop("the first reason");
        waiters.stop("another");
        waiters.advance(100);
        assert_eq!(waiters.durable(), 10);
        assert!(matches!(waiters.state(Position(9)), Some(Ok(()))));
        let Poll::Ready(Err(Error::Stopped { why })) = Pin::new(&mut future).poll(&mut cx) else {
            panic!("not stopped");
        };
        assert_eq!(&*why, "the first reason");
    }
}
