//! Making the log durable: on demand, many at once, and within half a second without demand.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::error::Error;
use crate::ids::{NodeTime, Position, WallTime};
use crate::segments::frame::FrameKind;
use crate::segments::{Shared, Syncing};
use crate::store::SyncFuture;

impl Shared {
    /// Writes and syncs on this thread, unless another one just did.
    pub fn sync_now(&self, upto: Position) -> Result<(), Error> {
        if let Some(result) = self.waiters.state(upto) {
            return result;
        }
        let _one_at_a_time = self.sync_lock.lock();
        if let Some(result) = self.waiters.state(upto) {
            return result;
        }
        let (end, segment, sealed) = {
            let mut writer = self.writer.lock();
            let before = writer.segment.index;
            let end = self.write_out(&mut writer)?;
            (end, writer.segment.clone(), writer.segment.index != before)
        };
        segment.sync().map_err(|e| self.stop("sync", &segment, &e))?;
        self.waiters.advance(end);
        if sealed {
            self.call_keeper();
        }
        match self.waiters.state(upto) {
            Some(result) => result,
            None => Err(Error::NoBatch { position: upto, why: "nothing was appended there yet" }),
        }
    }

    pub fn sync(&self, upto: Position) -> SyncFuture {
        if let Some(result) = self.waiters.state(upto) {
            return SyncFuture::ready(result);
        }
        if self.syncing == Syncing::Inline {
            return SyncFuture::ready(self.sync_now(upto));
        }
        if upto.0 >= self.appended.load(Ordering::SeqCst) {
            let why = "nothing was appended there yet";
            return SyncFuture::ready(Err(Error::NoBatch { position: upto, why }));
        }
        // Raised by the first who waits for more than is wanted already; that one wakes the thread.
        if self.wanted.fetch_max(upto.0 + 1, Ordering::SeqCst) <= upto.0 {
            self.wake_syncer();
        }
        SyncFuture::waiting(&self.waiters, upto)
    }

    pub fn wake_syncer(&self) {
        if let Some(thread) = self.sync_thread.get() {
            thread.unpark();
        }
    }

    /// After an append: a sync thread that sleeps must know that the log is not durable any more.
    pub fn appended_something(&self) {
        if self.idle.load(Ordering::SeqCst) && self.idle.swap(false, Ordering::SeqCst) {
            self.wake_syncer();
        }
    }

    /// The sync thread. It sleeps while nothing is appended; after a sync it lingers for `sync_within`,
    /// so that a busy log need not wake it for what it will look at anyway.
    pub fn sync_loop(self: &Arc<Self>) {
        let mut since = None;
        while !self.closing.load(Ordering::SeqCst) && self.waiters.stopped().is_none() {
            let durable = self.waiters.durable();
            let wanted = self.wanted.load(Ordering::SeqCst);
            let appended = self.appended.load(Ordering::SeqCst);
            if wanted > durable {
                let _ = self.sync_now(Position(wanted - 1));
                since = Some(Instant::now());
                continue;
            }
            if self.write_asked.swap(false, Ordering::SeqCst) {
                let _ = self.flush(Position(appended - 1));
                continue;
            }
            if appended == durable && since.is_none() {
                self.idle.store(true, Ordering::SeqCst);
                let still = self.appended.load(Ordering::SeqCst) == durable
                    && self.wanted.load(Ordering::SeqCst) <= durable
                    && !self.closing.load(Ordering::SeqCst);
                if still {
                    std::thread::park();
                }
                self.idle.store(false, Ordering::SeqCst);
                if self.appended.load(Ordering::SeqCst) > durable {
                    since = Some(Instant::now());
                }
                continue;
            }
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            match self.sync_within.checked_sub(waited).filter(|left| !left.is_zero()) {
                Some(left) => std::thread::park_timeout(left),
                None if appended > durable => {
                    let _ = self.sync_now(Position(appended - 1));
                    since = Some(Instant::now());
                }
                None => since = None,
            }
        }
    }

    /// Makes everything durable, says so in the log, stops.
    pub fn close(&self) -> Result<(), Error> {
        if self.closing.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        // The mark says that all before it is durable, so that must be so before the mark is written.
        self.close_front();
        let sync_all = || self.sync_now(Position(self.appended.load(Ordering::SeqCst) - 1));
        let result = sync_all().and_then(|()| {
            match self.append_frame(FrameKind::Close, &[], NodeTime(0), WallTime(0)) {
                // Without room for the mark the log is as good as after a kill.
                Err(Error::DiskFull { .. }) => Ok(()),
                Err(e) => Err(e),
                Ok(_) => sync_all(),
            }
        });
        self.waiters.stop("it was closed");
        self.wake_syncer();
        self.call_keeper();
        result
    }
}
