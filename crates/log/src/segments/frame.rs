//! The frame around each batch in a segment, and reading segments through a window.
//!
//! A frame says its own position and how far the log was durable when it was written. So a frame is
//! valid in one place only, and a bad frame that later ones call durable is damage, while one that
//! none does is the torn end of a crash. Offsets are in `docs/journal-format.md`, "Segment".

use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::ids::{NodeTime, WallTime};

/// Bytes before the first frame of a segment.
pub const SEGMENT_HEADER: u64 = 4096;
/// Bytes of a frame before its body.
pub const FRAME_HEADER: usize = 56;
/// The longest body of a frame.
pub const MAX_BODY: u64 = 1 << 30;
/// The format version of segments.
pub const VERSION: u32 = 1;

const FRAME_MAGIC: [u8; 3] = *b"TRF";
const SEGMENT_MAGIC: [u8; 8] = *b"TROUPESG";

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A batch.
    Batch = 1,
    /// A process opened the log here; all before it is durable.
    Open = 2,
    /// The segment ends here, the log goes on in the next one.
    End = 3,
    /// The log was closed here; all before it is durable.
    Close = 4,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub kind: FrameKind,
    pub body_len: u32,
    pub body_crc: u32,
    pub position: u64,
    pub epoch: u64,
    pub durable: u64,
    pub node_time: NodeTime,
    pub wall_time: WallTime,
}

impl Frame {
    /// The bytes of the header. `salt` is the segment's.
    pub fn encode(&self, salt: u32) -> [u8; FRAME_HEADER] {
        let mut h = [0; FRAME_HEADER];
        h[..3].copy_from_slice(&FRAME_MAGIC);
        h[3] = self.kind as u8;
        h[8..12].copy_from_slice(&self.body_len.to_le_bytes());
        h[12..16].copy_from_slice(&self.body_crc.to_le_bytes());
        h[16..24].copy_from_slice(&self.position.to_le_bytes());
        h[24..32].copy_from_slice(&self.epoch.to_le_bytes());
        h[32..40].copy_from_slice(&self.durable.to_le_bytes());
        h[40..48].copy_from_slice(&self.node_time.0.to_le_bytes());
        h[48..56].copy_from_slice(&self.wall_time.0.to_le_bytes());
        let crc = header_crc(&h, salt);
        h[4..8].copy_from_slice(&crc.to_le_bytes());
        h
    }

    /// The header, if these are the bytes of one that belongs at `position`.
    pub fn decode(h: &[u8; FRAME_HEADER], salt: u32, position: u64) -> Option<Frame> {
        let u32_at = |i: usize| u32::from_le_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        let kind = match h[3] {
            1 => FrameKind::Batch,
            2 => FrameKind::Open,
            3 => FrameKind::End,
            4 => FrameKind::Close,
            _ => return None,
        };
        if h[..3] != FRAME_MAGIC || u64_at(16) != position || u32_at(4) != header_crc(h, salt) {
            return None;
        }
        Some(Frame {
            kind,
            body_len: u32_at(8),
            body_crc: u32_at(12),
            position,
            epoch: u64_at(24),
            durable: u64_at(32),
            node_time: NodeTime(u64_at(40)),
            wall_time: WallTime(u64_at(48)),
        })
    }

    /// The position after it.
    pub fn end(&self) -> u64 {
        self.position + FRAME_HEADER as u64 + u64::from(self.body_len)
    }
}

fn header_crc(h: &[u8; FRAME_HEADER], salt: u32) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(salt);
    crc.update(&h[..4]);
    crc.update(&h[8..]);
    crc.finalize()
}

/// What the segments of one data folder have in common.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub node: [u8; 16],
    pub salt: [u8; 16],
    /// Segments begin at multiples of it and are one or more times as long.
    pub segment: u64,
}

impl Layout {
    pub fn name(index: u64) -> String {
        format!("log/{index:016x}.seg")
    }

    /// The salt of a segment's frames: bytes that a guest wrote can look like no frame.
    pub fn salt(&self, index: u64) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.salt);
        crc.update(&index.to_le_bytes());
        crc.finalize()
    }

    /// The first bytes of a segment.
    pub fn header(&self, index: u64) -> Vec<u8> {
        let mut h = vec![0; SEGMENT_HEADER as usize];
        h[..8].copy_from_slice(&SEGMENT_MAGIC);
        h[8..12].copy_from_slice(&VERSION.to_le_bytes());
        h[12..28].copy_from_slice(&self.node);
        h[28..36].copy_from_slice(&(index * self.segment).to_le_bytes());
        h[36..44].copy_from_slice(&self.segment.to_le_bytes());
        let crc = crc32fast::hash(&h[..44]);
        h[44..48].copy_from_slice(&crc.to_le_bytes());
        h
    }
}

/// An open segment file.
pub struct Segment {
    pub index: u64,
    /// Position of its first byte.
    pub base: u64,
    /// Its length: the next segment begins at `base + len`.
    pub len: u64,
    pub salt: u32,
    pub name: String,
    pub file: Arc<dyn DiskFile>,
    /// Whether a sync of it failed: an operating system reports a failed sync once only.
    failed: parking_lot::Mutex<bool>,
}

impl Segment {
    pub fn new(layout: &Layout, index: u64, len: u64, file: Arc<dyn DiskFile>) -> Self {
        let name = Layout::name(index);
        let salt = layout.salt(index);
        Self { index, base: index * layout.segment, len, salt, name, file, failed: parking_lot::Mutex::new(false) }
    }

    /// Opens an existing segment and checks its header.
    pub fn open(disk: &dyn Disk, layout: &Layout, index: u64) -> Result<Self, Error> {
        let name = Layout::name(index);
        let path = disk.path(&name);
        let file = disk.open(&name).map_err(Error::io("open", &path))?;
        let len = file.len().map_err(Error::io("read", &path))?;
        let mut header = vec![0; SEGMENT_HEADER as usize];
        let read = file.read_at(0, &mut header).map_err(Error::io("read", &path))?;
        let corrupt = |why: &str| Error::Corrupt { path: path.clone(), offset: 0, why: why.into() };
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if read == header.len() && header[..8] == SEGMENT_MAGIC && version > VERSION {
            return Err(Error::NewerVersion { what: path, found: version, known: VERSION });
        }
        if read != header.len() || header != layout.header(index) {
            return Err(corrupt("its header is not the one it was made with"));
        }
        if len == 0 || !len.is_multiple_of(layout.segment) {
            return Err(corrupt("it has not the length it was made with"));
        }
        Ok(Self::new(layout, index, len, file))
    }

    /// Syncs the file; after one failure always fails.
    pub fn sync(&self) -> io::Result<()> {
        let mut failed = self.failed.lock();
        if *failed {
            return Err(io::Error::other("an earlier sync of this file failed"));
        }
        let result = self.file.sync_data();
        *failed = result.is_err();
        result
    }

    pub fn end(&self) -> u64 {
        self.base + self.len
    }

    /// The same file, made longer. The length is durable with the first frame that needs it.
    pub fn grow(&self, layout: &Layout, len: u64) -> io::Result<Self> {
        self.file.allocate(len)?;
        Ok(Self::new(layout, self.index, len, self.file.clone()))
    }
}

const WINDOW: u64 = 256 << 10;

/// Reads a segment through a buffer, forwards and backwards.
pub struct Window {
    pub segment: Arc<Segment>,
    path: String,
    buf: Vec<u8>,
    start: u64,
}

impl Window {
    pub fn new(disk: &dyn Disk, segment: Arc<Segment>) -> Self {
        let path = disk.path(&segment.name);
        Self { segment, path, buf: Vec::new(), start: 0 }
    }

    /// The `n` bytes at `offset` of the file, fewer at its end. Loads around them, with `back` bytes
    /// before them.
    pub fn bytes(&mut self, offset: u64, n: u64, back: u64) -> Result<&[u8], Error> {
        let n = n.min(self.segment.len.saturating_sub(offset));
        if offset < self.start || offset + n > self.start + self.buf.len() as u64 {
            let start = offset.saturating_sub(back);
            let want = (offset - start + n).max(WINDOW).min(self.segment.len.saturating_sub(start));
            self.buf.resize(want as usize, 0);
            let read = self.segment.file.read_at(start, &mut self.buf);
            let read = read.map_err(Error::io("read", &self.path))?;
            self.buf.truncate(read);
            self.start = start;
        }
        let from = (offset - self.start) as usize;
        let to = (from + n as usize).min(self.buf.len());
        Ok(self.buf.get(from..to).unwrap_or(&[]))
    }

    /// The header of the frame at `position`, if a valid one is there that fits the segment.
    pub fn frame(&mut self, position: u64, back: u64) -> Result<Option<Frame>, Error> {
        let salt = self.segment.salt;
        let end = self.segment.end();
        let Some(offset) = position.checked_sub(self.segment.base) else { return Ok(None) };
        let bytes = self.bytes(offset, FRAME_HEADER as u64, back)?;
        let header = bytes.first_chunk().and_then(|h| Frame::decode(h, salt, position));
        Ok(header.filter(|f| f.end() <= end && u64::from(f.body_len) <= MAX_BODY))
    }

    /// The body of a frame, if its checksum is right.
    pub fn body(&mut self, frame: &Frame) -> Result<Option<&[u8]>, Error> {
        let body = self.unchecked_body(frame)?;
        let whole = body.len() == frame.body_len as usize && crc32fast::hash(body) == frame.body_crc;
        Ok(whole.then_some(body))
    }

    /// The bytes where the body of a frame is.
    pub fn unchecked_body(&mut self, frame: &Frame) -> Result<&[u8], Error> {
        let offset = frame.position - self.segment.base + FRAME_HEADER as u64;
        self.bytes(offset, u64::from(frame.body_len), 0)
    }

    pub fn corrupt(&self, position: u64, why: impl ToString) -> Error {
        Error::Corrupt {
            path: self.path.clone(),
            offset: position.saturating_sub(self.segment.base),
            why: why.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    /// An operating system reports a failed sync once; the next one would say that all is well.
    #[test]
    fn after_a_failed_sync_a_segment_never_syncs_again() {
        let disk = SimDisk::new();
        let layout = Layout { node: [1; 16], salt: [2; 16], segment: 8192 };
        let segment = Segment::new(&layout, 0, 8192, disk.create("log/0.seg").unwrap());
        segment.sync().unwrap();
        disk.fail_syncs_after(0);
        assert!(segment.sync().is_err());
        disk.heal();
        assert!(segment.sync().is_err());
    }

    #[test]
    fn a_frame_is_valid_unchanged_in_its_place_and_segment_only() {
        let frame = Frame {
            kind: FrameKind::Batch,
            body_len: 5,
            body_crc: 6,
            position: 7000,
            epoch: 2,
            durable: 100,
            node_time: NodeTime(8),
            wall_time: WallTime(9),
        };
        let bytes = frame.encode(3);
        assert_eq!(Frame::decode(&bytes, 3, 7000), Some(frame));
        assert_eq!(Frame::decode(&bytes, 4, 7000), None);
        assert_eq!(Frame::decode(&bytes, 3, 7001), None);
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes;
                bad[i] ^= 1 << bit;
                assert_eq!(Frame::decode(&bad, 3, 7000), None, "byte {i} bit {bit}");
            }
        }
    }
}
