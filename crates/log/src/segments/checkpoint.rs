//! Checkpoints: what the log adds up to at the beginning of a segment, in one file.
//!
//! Made in the background, one per sealed segment, by merging the sorted checkpoint before it with the
//! changes of that segment, so memory is bounded by a segment. The two newest are kept; a damaged one
//! is passed over for the one before it. Opening reads one and the log after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::Table;
use crate::body::actor_id;
use crate::codec::{Reader, put_bytes, put_str, put_u8, put_u16, put_u32, put_u64};
use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::ids::{ActorId, Head, Incarnation, NodeTime, Position, Seq};
use crate::segments::Shared;
use crate::segments::frame::{FrameKind, Layout, SEGMENT_HEADER, Segment, Window};
use crate::segments::state::{Delta, Part, State, fold};
use crate::store::Tail;

/// The folder of checkpoints.
pub const DIR: &str = "checkpoints";
const MAGIC: [u8; 8] = *b"TROUPECK";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 16 + 8 + 8;
const BLOCK: usize = 64 << 10;
const KEEP: usize = 2;

/// Where the newest checkpoint stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Newest {
    /// Base of the first segment that is not in it.
    pub base: u64,
}

fn name(base: u64) -> String {
    format!("{DIR}/{base:016x}.ckp")
}

/// The bases of the checkpoints that are there, newest first.
pub fn list(disk: &dyn Disk) -> Result<Vec<u64>, Error> {
    let names = disk.list(DIR).map_err(Error::io("list", disk.path(DIR)))?;
    let base = |n: &String| u64::from_str_radix(n.strip_suffix(".ckp")?, 16).ok();
    let mut bases: Vec<u64> = names.iter().filter_map(base).collect();
    bases.sort_unstable_by(|a, b| b.cmp(a));
    Ok(bases)
}

/// Removes one.
pub fn remove(disk: &dyn Disk, base: u64) -> Result<(), Error> {
    disk.remove(&name(base)).map_err(Error::io("remove", disk.path(&name(base))))
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Actor(ActorId),
    Row(Table, Vec<u8>),
}

enum Value {
    Tail(Tail),
    Bytes(Vec<u8>),
}

/// Reads a checkpoint from its first entry to its last; only the end shows that all of it was good.
struct FileReader {
    file: Arc<dyn DiskFile>,
    path: String,
    offset: u64,
    len: u64,
    hasher: blake3::Hasher,
    node_time: NodeTime,
    block: Vec<u8>,
    at: usize,
    count: u64,
    last: Option<Key>,
}

impl FileReader {
    fn open(disk: &dyn Disk, layout: &Layout, base: u64) -> Result<Self, Error> {
        let path = disk.path(&name(base));
        let file = disk.open(&name(base)).map_err(Error::io("open", &path))?;
        let len = file.len().map_err(Error::io("read", &path))?;
        let hasher = blake3::Hasher::new();
        let mut reader = Self {
            file,
            path,
            offset: 0,
            len,
            hasher,
            node_time: NodeTime(0),
            block: Vec::new(),
            at: 0,
            count: 0,
            last: None,
        };
        let header = reader.read(HEADER as u64)?;
        let mut r = Reader::new(&header);
        let short = |_| reader.corrupt("cut short");
        let magic: [u8; 8] = r.array().map_err(short)?;
        let version = r.u32().map_err(short)?;
        let node: [u8; 16] = r.array().map_err(short)?;
        let at = r.u64().map_err(short)?;
        let node_time = r.u64().map_err(short)?;
        if magic == MAGIC && version > VERSION {
            return Err(Error::NewerVersion { what: reader.path, found: version, known: VERSION });
        }
        if magic != MAGIC || version != VERSION || node != layout.node || at != base {
            return Err(reader.corrupt("its header is not that of this checkpoint"));
        }
        reader.node_time = NodeTime(node_time);
        Ok(reader)
    }

    fn corrupt(&self, why: impl ToString) -> Error {
        Error::Corrupt { path: self.path.clone(), offset: self.offset, why: why.to_string() }
    }

    fn read(&mut self, n: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.read_plain(n)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn read_plain(&mut self, n: u64) -> Result<Vec<u8>, Error> {
        if n > self.len - self.offset {
            return Err(self.corrupt("cut short"));
        }
        let mut bytes = vec![0; n as usize];
        let read = self.file.read_at(self.offset, &mut bytes).map_err(Error::io("read", &self.path))?;
        if read != bytes.len() {
            return Err(self.corrupt("cut short"));
        }
        self.offset += n;
        Ok(bytes)
    }

    fn next(&mut self) -> Result<Option<(Key, Value)>, Error> {
        if self.at == self.block.len() {
            let len = self.read(4)?;
            let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
            if len == 0 {
                let count = self.read(8)?;
                let hash = self.hasher.finalize();
                let footer = self.read_plain(32)?;
                if footer != *hash.as_bytes() || count != self.count.to_le_bytes() || self.offset != self.len {
                    return Err(self.corrupt("its checksum is wrong"));
                }
                return Ok(None);
            }
            self.block = self.read(u64::from(len))?;
            self.at = 0;
        }
        let mut r = Reader::new(&self.block[self.at..]);
        let entry = entry(&mut r).map_err(|e| self.corrupt(e))?;
        self.at += r.at();
        self.count += 1;
        if self.last.as_ref().is_some_and(|last| *last >= entry.0) {
            return Err(self.corrupt("its entries are out of order"));
        }
        self.last = Some(entry.0.clone());
        Ok(Some(entry))
    }
}

fn entry(r: &mut Reader<'_>) -> Result<(Key, Value), crate::codec::Error> {
    let at = r.at();
    match r.u8()? {
        1 => {
            let actor = actor_id(r)?;
            let tail = Tail {
                incarnation: Incarnation(r.u32()?),
                tail: Position(r.u64()?),
                next: Seq(r.u64()?),
                head: Head(r.array()?),
                records: r.u64()?,
                bytes: r.u64()?,
            };
            Ok((Key::Actor(actor), Value::Tail(tail)))
        }
        2 => {
            let table = Table(r.u16()?);
            Ok((Key::Row(table, r.bytes()?.to_vec()), Value::Bytes(r.bytes()?.to_vec())))
        }
        _ => Err(crate::codec::Error::Bad { at, what: "checkpoint entry" }),
    }
}

struct FileWriter {
    file: Arc<dyn DiskFile>,
    path: String,
    offset: u64,
    hasher: blake3::Hasher,
    block: Vec<u8>,
    count: u64,
}

impl FileWriter {
    fn new(disk: &dyn Disk, tmp: &str, header: &[u8]) -> Result<Self, Error> {
        let path = disk.path(tmp);
        let file = disk.create(tmp).map_err(Error::io("create", &path))?;
        let hasher = blake3::Hasher::new();
        let mut writer = Self { file, path, offset: 0, hasher, block: Vec::new(), count: 0 };
        writer.write(header)?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.file.write_at(self.offset, bytes).map_err(Error::io("write", &self.path))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn entry(&mut self, key: &Key, value: &Value) -> Result<(), Error> {
        let out = &mut self.block;
        match (key, value) {
            (Key::Actor(actor), Value::Tail(tail)) => {
                put_u8(out, 1);
                put_str(out, actor.as_str());
                put_u32(out, tail.incarnation.0);
                put_u64(out, tail.tail.0);
                put_u64(out, tail.next.0);
                out.extend_from_slice(&tail.head.0);
                put_u64(out, tail.records);
                put_u64(out, tail.bytes);
            }
            (Key::Row(table, key), Value::Bytes(value)) => {
                put_u8(out, 2);
                put_u16(out, table.0);
                put_bytes(out, key);
                put_bytes(out, value);
            }
            // A key has the kind of its value by construction; nothing is written for another.
            _ => return Ok(()),
        }
        self.count += 1;
        if self.block.len() >= BLOCK { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.write(&(block.len() as u32).to_le_bytes())?;
        self.write(&block)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(), Error> {
        self.end_block()?;
        self.write(&0u32.to_le_bytes())?;
        self.write(&self.count.to_le_bytes())?;
        let hash = *self.hasher.finalize().as_bytes();
        self.write(&hash)?;
        self.file.sync_data().map_err(Error::io("sync", &self.path))
    }
}

/// Reads a whole checkpoint into memory.
pub fn load(disk: &dyn Disk, layout: &Layout, base: u64) -> Result<State, Error> {
    let mut reader = FileReader::open(disk, layout, base)?;
    let mut state = State { node_time: reader.node_time, ..State::default() };
    while let Some((key, value)) = reader.next()? {
        match (key, value) {
            (Key::Actor(actor), Value::Tail(tail)) => {
                state.actors.insert(actor, tail);
            }
            (Key::Row(table, key), Value::Bytes(value)) => {
                state.tables.entry(table).or_default().insert(key, value);
            }
            _ => (),
        }
    }
    Ok(state)
}

/// Makes the checkpoints of all segments before `sealed` that have none yet.
pub fn advance(shared: &Shared, sealed: u64) -> Result<(), Error> {
    let mut newest = shared.checkpoint.lock();
    let disk = &*shared.disk;
    while newest.base < sealed {
        let index = newest.base / shared.layout.segment;
        let segment = Arc::new(Segment::open(disk, &shared.layout, index)?);
        let end = segment.end();
        let delta = changes(disk, segment)?;
        match merge(disk, &shared.layout, newest.base, end, delta) {
            Ok(()) => newest.base = end,
            // Damaged since it was written: make it again from the one before it.
            Err(Error::Corrupt { .. }) if newest.base > 0 => {
                let _ = disk.remove(&name(newest.base));
                newest.base = list(disk)?.into_iter().find(|b| *b < newest.base).unwrap_or(0);
                continue;
            }
            Err(e) => {
                let _ = disk.remove(&format!("{}.tmp", name(end)));
                return Err(e);
            }
        }
        for old in list(disk)?.into_iter().skip(KEEP) {
            remove(disk, old)?;
        }
    }
    Ok(())
}

/// What a sealed segment changes.
fn changes(disk: &dyn Disk, segment: Arc<Segment>) -> Result<Delta, Error> {
    let mut delta = Delta::default();
    let mut at = segment.base + SEGMENT_HEADER;
    let mut window = Window::new(disk, segment);
    loop {
        let bad = |w: &Window, at| w.corrupt(at, "a bad frame in a sealed segment");
        let Some(frame) = window.frame(at, 0)? else { return Err(bad(&window, at)) };
        match window.body(&frame)? {
            None => return Err(bad(&window, at)),
            Some(body) if frame.kind == FrameKind::Batch => {
                fold(&frame, body, &mut delta).map_err(|why| window.corrupt(at, why))?;
            }
            Some(_) if frame.kind == FrameKind::End => return Ok(delta),
            Some(_) => (),
        }
        at = frame.end();
    }
}

enum Change {
    Part(Part),
    Row(Option<Vec<u8>>),
}

impl Change {
    fn apply(self, before: Option<&Value>) -> Option<Value> {
        match (self, before) {
            (Change::Part(part), Some(Value::Tail(tail))) => Some(Value::Tail(part.after(Some(tail)))),
            (Change::Part(part), _) => Some(Value::Tail(part.after(None))),
            (Change::Row(value), _) => value.map(Value::Bytes),
        }
    }
}

fn merge(disk: &dyn Disk, layout: &Layout, from: u64, to: u64, delta: Delta) -> Result<(), Error> {
    let mut old = match from {
        0 => None,
        _ => Some(FileReader::open(disk, layout, from)?),
    };
    let node_time = old.as_ref().map_or(NodeTime(0), |o| o.node_time).max(delta.node_time);
    let mut header = MAGIC.to_vec();
    put_u32(&mut header, VERSION);
    header.extend_from_slice(&layout.node);
    put_u64(&mut header, to);
    put_u64(&mut header, node_time.0);
    let tmp = format!("{}.tmp", name(to));
    let mut out = FileWriter::new(disk, &tmp, &header)?;
    let actors = delta.actors.into_iter().map(|(a, p)| (Key::Actor(a), Change::Part(p)));
    let rows = delta.rows.into_iter().map(|((t, k), v)| (Key::Row(t, k), Change::Row(v)));
    let mut changes: BTreeMap<Key, Change> = actors.chain(rows).collect();
    while let Some((key, value)) = old.as_mut().map_or(Ok(None), FileReader::next)? {
        while changes.first_key_value().is_some_and(|(k, _)| *k < key) {
            if let Some((k, change)) = changes.pop_first()
                && let Some(value) = change.apply(None)
            {
                out.entry(&k, &value)?;
            }
        }
        match changes.remove(&key) {
            None => out.entry(&key, &value)?,
            Some(change) => {
                if let Some(value) = change.apply(Some(&value)) {
                    out.entry(&key, &value)?;
                }
            }
        }
    }
    for (key, change) in changes {
        if let Some(value) = change.apply(None) {
            out.entry(&key, &value)?;
        }
    }
    out.finish()?;
    disk.rename(&tmp, &name(to)).map_err(Error::io("rename", disk.path(&tmp)))?;
    disk.sync_dir(DIR).map_err(Error::io("sync", disk.path(DIR)))
}
