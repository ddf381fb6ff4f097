//! Upkeep, off the hot path: the spare segment that is the reserve, zero-filling it, checkpoints, and
//! looking whether a newer epoch has the data.
//!
//! A spare segment exists, with a durable header and reserved space, before the log needs it. When it
//! cannot be had the rest of the current segment is kept for open turns to end: `accepting` says so.
//! Zero-filling is worth it: a sync of new pages costs 148 us in a file that is only allocated (the file
//! system must write that they are in use) and 101 us in a zero-filled one (ext4, an SSD; medians of 400),
//! and filling 32 MiB takes 16 ms of a thread that has time. A node that never fills half a segment
//! never does it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::is_full;
use crate::error::Error;
use crate::ids::ByteCount;
use crate::segments::checkpoint;
use crate::segments::frame::{Layout, SEGMENT_HEADER, Segment};
use crate::segments::meta::Meta;
use crate::segments::{Shared, Syncing};

const TMP: &str = "log/spare.tmp";
static ZEROES: [u8; 1 << 18] = [0; 1 << 18];

/// The segment after the current one.
#[derive(Default)]
pub struct Spare {
    /// The index it has, or will have.
    pub index: u64,
    pub ready: Option<Arc<Segment>>,
    /// How much of it was filled with zeroes.
    pub zeroed: u64,
}

impl Shared {
    /// Makes the spare segment.
    fn prepare(&self, spare: &mut Spare) -> Result<(), Error> {
        match new_segment(&*self.disk, &self.layout, spare.index) {
            Ok(segment) => {
                spare.ready = Some(Arc::new(segment));
                self.spare_ready.store(true, Ordering::SeqCst);
                Ok(())
            }
            Err(e) => {
                let _ = self.disk.remove(TMP);
                Err(match is_full(&e) {
                    true => self.disk_full(ByteCount(self.layout.segment)),
                    false => Error::io("make", self.disk.path(TMP))(e),
                })
            }
        }
    }

    fn disk_full(&self, needed: ByteCount) -> Error {
        Error::DiskFull { path: self.disk.path(""), needed }
    }

    /// The spare segment, made now if it was not, grown to at least `len` bytes.
    pub fn take_spare(&self, len: u64) -> Result<Arc<Segment>, Error> {
        let mut spare = self.spare.lock();
        if spare.ready.is_none() {
            self.prepare(&mut spare)?;
        }
        let Some(segment) = spare.ready.clone() else {
            return Err(self.disk_full(ByteCount(len)));
        };
        let len = len.next_multiple_of(self.layout.segment).max(segment.len);
        let segment = if len > segment.len {
            let path = self.disk.path(&segment.name);
            let grown = segment.grow(&self.layout, len).map_err(|e| match is_full(&e) {
                true => self.disk_full(ByteCount(len - segment.len)),
                false => Error::io("allocate", path)(e),
            });
            Arc::new(grown?)
        } else {
            segment
        };
        spare.ready = None;
        spare.zeroed = 0;
        self.spare_ready.store(false, Ordering::SeqCst);
        spare.index = segment.end() / self.layout.segment;
        Ok(segment)
    }

    pub fn accepting(&self) -> Result<(), Error> {
        if let Some(stopped) = self.waiters.stopped() {
            return Err(stopped);
        }
        if self.spare_ready.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Not made yet, or the disk was full: whoever asks finds out whether it still is.
        let mut spare = self.spare.lock();
        match spare.ready {
            Some(_) => Ok(()),
            None => self.prepare(&mut spare),
        }
    }

    /// The log is past the middle of this segment: the next one is worth filling with zeroes.
    pub fn half_full(&self, segment: &Segment) {
        if self.syncing == Syncing::Threads
            && self.zero_asked.swap(segment.base + 1, Ordering::SeqCst) != segment.base + 1
        {
            self.call_keeper();
        }
    }

    /// Has the upkeep done: by its thread, or now.
    pub fn call_keeper(&self) {
        match self.syncing {
            Syncing::Inline => self.tend(),
            Syncing::Threads => {
                self.upkeep.store(true, Ordering::SeqCst);
                if let Some(thread) = self.keeper_thread.get() {
                    thread.unpark();
                }
            }
        }
    }

    /// The keeper thread: sleeps until it is called.
    pub fn keeper_loop(&self) {
        while !self.closing.load(Ordering::SeqCst) && self.waiters.stopped().is_none() {
            if self.upkeep.swap(false, Ordering::SeqCst) {
                self.tend();
            } else {
                std::thread::park();
            }
        }
    }

    /// All upkeep that is due. What fails here fails again, aloud, when the log needs it; a checkpoint
    /// that cannot be made only makes the next start longer, so it is tried again at the next call.
    pub fn tend(&self) {
        if let Ok(Some(meta)) = Meta::read(&*self.disk)
            && meta.epoch > self.epoch
        {
            self.waiters.stop(&format!(
                "another process opened {} after this one (epoch {}, this one has {})",
                self.disk.path(""),
                meta.epoch,
                self.epoch
            ));
            return;
        }
        {
            let mut spare = self.spare.lock();
            if spare.ready.is_none() {
                let _ = self.prepare(&mut spare);
            }
        }
        self.zero_fill();
        let sealed = self.writer.lock().segment.base;
        let _ = checkpoint::advance(self, sealed);
    }

    fn zero_fill(&self) {
        let current = self.writer.lock().segment.base;
        if self.zero_asked.load(Ordering::SeqCst) != current + 1 {
            return;
        }
        while !self.closing.load(Ordering::SeqCst) {
            // Once the segment is in use nothing may be zeroed in it any more, so each piece is written
            // under the lock.
            let mut spare = self.spare.lock();
            let Some(segment) = spare.ready.clone() else { return };
            let offset = spare.zeroed.max(SEGMENT_HEADER);
            let n = (segment.len.saturating_sub(offset)).min(ZEROES.len() as u64);
            if n == 0 || segment.file.write_at(offset, &ZEROES[..n as usize]).is_err() {
                return;
            }
            spare.zeroed = offset + n;
            if spare.zeroed == segment.len {
                drop(spare);
                let _ = segment.sync();
            }
        }
    }
}

/// Makes the file of a segment, durably, with its header and its space.
pub fn new_segment(disk: &dyn crate::disk::Disk, layout: &Layout, index: u64) -> io::Result<Segment> {
    let file = disk.create(TMP)?;
    file.allocate(layout.segment)?;
    file.write_at(0, &layout.header(index))?;
    file.sync_data()?;
    disk.rename(TMP, &Layout::name(index))?;
    disk.sync_dir("log")?;
    Ok(Segment::new(layout, index, layout.segment, file))
}
