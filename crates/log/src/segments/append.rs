//! Appending and writing: the front in memory, the writer behind it.
//!
//! The front gives each batch its position and copies it; the writer takes everything out of the front
//! and writes it in one piece. Before the first byte of a segment is written the one before it is
//! synced, so only the last segment with frames can have a torn end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::Batch;
use crate::error::Error;
use crate::ids::{NodeTime, Position, WallTime};
use crate::segments::frame::{FRAME_HEADER, Frame, FrameKind, MAX_BODY, SEGMENT_HEADER, Segment};
use crate::segments::{Shared, Syncing};

/// With more than this unwritten, the sync thread is asked to write, so that nobody else need.
const LOW_WATER: usize = 1 << 20;
/// With more than this unwritten, the one who appends writes: memory stays bounded.
const HIGH_WATER: usize = 8 << 20;

/// What is appended and not written yet.
pub struct Front {
    next: u64,
    segment: Arc<Segment>,
    chunks: Vec<Chunk>,
    recycled: Vec<u8>,
    closed: bool,
}

/// Unwritten bytes of one segment.
struct Chunk {
    segment: Arc<Segment>,
    start: u64,
    bytes: Vec<u8>,
}

/// Who writes: the segment it is in.
pub struct Writer {
    pub segment: Arc<Segment>,
}

impl Front {
    pub fn new(segment: Arc<Segment>, next: u64) -> Self {
        let chunks = vec![Chunk { segment: segment.clone(), start: next, bytes: Vec::new() }];
        Self { next, segment, chunks, recycled: Vec::new(), closed: false }
    }

    fn push(&mut self, frame: &Frame, body: &[u8]) -> usize {
        let header = frame.encode(self.segment.salt);
        self.next = frame.end();
        match self.chunks.last_mut() {
            Some(chunk) => {
                chunk.bytes.extend_from_slice(&header);
                chunk.bytes.extend_from_slice(body);
                chunk.bytes.len()
            }
            None => 0,
        }
    }
}

impl Shared {
    pub fn append(&self, batch: &Batch) -> Result<Position, Error> {
        let body = batch.bytes();
        if body.len() as u64 > MAX_BODY {
            return Err(Error::TooLarge { what: "a batch", len: body.len() as u64, max: MAX_BODY });
        }
        self.append_frame(FrameKind::Batch, body, batch.node_time(), batch.wall_time())
    }

    pub fn append_frame(
        &self,
        kind: FrameKind,
        body: &[u8],
        node_time: NodeTime,
        wall_time: WallTime,
    ) -> Result<Position, Error> {
        let body_crc = crc32fast::hash(body);
        let body_len = body.len() as u32;
        let need = (FRAME_HEADER + body.len()) as u64;
        let mut rolled = false;
        let (position, unwritten) = {
            let mut front = self.front.lock();
            if let Some(stopped) = self.waiters.stopped() {
                return Err(stopped);
            }
            if front.closed && kind == FrameKind::Batch {
                return Err(Error::Stopped { why: "it was closed".into() });
            }
            // An end frame always fits after it.
            if front.next + need + FRAME_HEADER as u64 > front.segment.end() {
                self.roll(&mut front, need)?;
                rolled = true;
            }
            let frame = Frame {
                kind,
                body_len,
                body_crc,
                position: front.next,
                epoch: self.epoch.0,
                durable: self.waiters.durable(),
                node_time,
                wall_time,
            };
            let unwritten = front.push(&frame, body);
            self.appended.store(front.next, Ordering::SeqCst);
            (Position(frame.position), unwritten)
        };
        self.appended_something();
        if unwritten > LOW_WATER {
            if unwritten > HIGH_WATER || self.syncing == Syncing::Inline {
                self.flush(position)?;
            } else if !self.write_asked.swap(true, Ordering::SeqCst) {
                self.wake_syncer();
            }
        }
        if rolled {
            self.call_keeper();
        }
        Ok(position)
    }

    /// Ends the front's segment and goes on in the spare one, with room for `need` bytes.
    fn roll(&self, front: &mut Front, need: u64) -> Result<(), Error> {
        let len = SEGMENT_HEADER + need + FRAME_HEADER as u64;
        let segment = self.take_spare(len)?;
        let end = Frame {
            kind: FrameKind::End,
            body_len: 0,
            body_crc: crc32fast::hash(&[]),
            position: front.next,
            epoch: self.epoch.0,
            durable: self.waiters.durable(),
            node_time: NodeTime(0),
            wall_time: WallTime(0),
        };
        front.push(&end, &[]);
        front.next = segment.base + SEGMENT_HEADER;
        front.segment = segment.clone();
        front.chunks.push(Chunk { segment, start: front.next, bytes: Vec::new() });
        Ok(())
    }

    pub fn flush(&self, upto: Position) -> Result<(), Error> {
        if upto.0 < self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut writer = self.writer.lock();
        if upto.0 < self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let before = writer.segment.index;
        let result = self.write_out(&mut writer);
        let sealed = writer.segment.index != before;
        drop(writer);
        if sealed {
            self.call_keeper();
        }
        result.map(|_| ())
    }

    /// Writes all that the front holds; returns where that ends. When the writer is in another segment
    /// after it, the keeper has something to do.
    pub fn write_out(&self, writer: &mut Writer) -> Result<u64, Error> {
        if let Some(stopped) = self.waiters.stopped() {
            return Err(stopped);
        }
        let (chunks, end) = {
            let mut front = self.front.lock();
            let segment = front.segment.clone();
            let bytes = std::mem::take(&mut front.recycled);
            let fresh = vec![Chunk { segment, start: front.next, bytes }];
            (std::mem::replace(&mut front.chunks, fresh), front.next)
        };
        let mut largest = Vec::new();
        for chunk in chunks {
            if chunk.segment.base != writer.segment.base {
                writer.segment.sync().map_err(|e| self.stop("sync", &writer.segment, &e))?;
                writer.segment = chunk.segment.clone();
            }
            if !chunk.bytes.is_empty() {
                let offset = chunk.start - chunk.segment.base;
                let wrote = chunk.segment.file.write_at(offset, &chunk.bytes);
                wrote.map_err(|e| self.stop("write", &chunk.segment, &e))?;
            }
            if chunk.bytes.capacity() > largest.capacity() {
                largest = chunk.bytes;
            }
        }
        largest.clear();
        // One very large batch must not hold its memory for ever.
        largest.shrink_to(HIGH_WATER);
        self.front.lock().recycled = largest;
        self.written.store(end, Ordering::Release);
        if end > writer.segment.base + writer.segment.len / 2 {
            self.half_full(&writer.segment);
        }
        Ok(end)
    }

    /// Stops the store for good after a failed write or sync.
    pub fn stop(&self, op: &str, segment: &Segment, error: &std::io::Error) -> Error {
        let why = format!("cannot {op} {}: {error}", self.disk.path(&segment.name));
        self.waiters.stop(&why);
        self.waiters.stopped().unwrap_or(Error::Stopped { why: why.into() })
    }

    /// From here on no batch is taken.
    pub fn close_front(&self) {
        self.front.lock().closed = true;
    }
}
