//! Opening: lock, epoch, newest checkpoint, the log after it, and the end of the log.
//!
//! The torn end of a crash is cut off, and only that: a bad frame that anything after it calls durable
//! is damage, an error, and changes nothing. What is kept is synced before anybody may rely on it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::disk::{Disk, Lock};
use crate::error::Error;
use crate::ids::{Epoch, NodeTime, Position, WallTime};
use crate::segments::append::{Front, Writer};
use crate::segments::checkpoint::{self, Newest};
use crate::segments::frame::{FrameKind, Layout, SEGMENT_HEADER, Segment, Window};
use crate::segments::keeper::{Spare, new_segment};
use crate::segments::meta::Meta;
use crate::segments::state::{State, fold};
use crate::segments::{MIN_SEGMENT, Options, Segments, Shared, Syncing, blobs};
use crate::store::{DroppedTail, Opened, Store as _, Waiters};

const LOCK: &str = "lock";

pub fn open(disk: Arc<dyn Disk>, options: &Options) -> Result<Opened, Error> {
    let d = &*disk;
    for dir in ["", "log", checkpoint::DIR, blobs::DIR] {
        d.make_dir(dir).map_err(Error::io("make the folder", d.path(dir)))?;
    }
    d.sync_dir("").map_err(Error::io("sync", d.path("")))?;
    let lock = match d.lock(LOCK).map_err(Error::io("lock", d.path(LOCK)))? {
        Lock::Held(lock) => lock,
        Lock::Taken(pid) => return Err(Error::Locked { path: d.path(""), pid }),
    };
    let meta = match Meta::read(d)? {
        Some(meta) => Meta { epoch: Epoch(meta.epoch.0 + 1), ..meta },
        None => {
            // On disk before the first segment is: a folder with segments always has it.
            let meta = new_meta(d, options)?;
            meta.write(d)?;
            Meta { epoch: Epoch(1), ..meta }
        }
    };
    let layout = meta.layout;
    let mut indexes = segment_indexes(d)?;
    if indexes.is_empty() {
        if meta.epoch.0 > 1 {
            let path = d.path("log");
            return Err(Error::Corrupt { path, offset: 0, why: "its segments are gone".into() });
        }
        new_segment(d, &layout, 0).map_err(Error::io("make the first segment in", d.path("log")))?;
        indexes.insert(0);
    }
    let (mut state, newest) = newest_checkpoint(d, &layout, &indexes)?;
    let log = walk(d, &layout, &indexes, newest.base, meta.epoch, &mut state)?;
    // Only now, that all of it could be read, is anything changed.
    meta.write(d)?;
    tidy(d, newest)?;
    let path = d.path(&log.segment.name);
    if let Some(dropped) = &log.dropped {
        let zeroes = vec![0; dropped.bytes as usize];
        let offset = log.end - log.segment.base;
        log.segment.file.write_at(offset, &zeroes).map_err(Error::io("write", &path))?;
    }
    if let Some(before) = &log.before {
        before.sync().map_err(Error::io("sync", d.path(&before.name)))?;
    }
    log.segment.sync().map_err(Error::io("sync", &path))?;
    let has_spare = log.spare.is_some();
    let waiters = Arc::new(Waiters::default());
    waiters.advance(log.end);
    let shared = Arc::new(Shared {
        layout,
        epoch: meta.epoch,
        syncing: options.syncing,
        sync_within: options.sync_within,
        waiters,
        front: Mutex::new(Front::new(log.segment.clone(), log.end)),
        writer: Mutex::new(Writer { segment: log.segment.clone() }),
        sync_lock: Mutex::new(()),
        spare: Mutex::new(Spare { index: log.segment.end() / layout.segment, ready: log.spare, zeroed: 0 }),
        spare_ready: AtomicBool::new(has_spare),
        checkpoint: Mutex::new(newest),
        appended: AtomicU64::new(log.end),
        written: AtomicU64::new(log.end),
        wanted: AtomicU64::new(0),
        write_asked: AtomicBool::new(false),
        idle: AtomicBool::new(false),
        upkeep: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        zero_asked: AtomicU64::new(0),
        sync_thread: OnceLock::new(),
        keeper_thread: OnceLock::new(),
        lock: Mutex::new(Some(lock)),
        disk,
    });
    let opened = shared.append_frame(FrameKind::Open, &[], NodeTime(0), WallTime(0))?;
    shared.sync_now(opened)?;
    // A full disk shows when a message is to be accepted.
    let _ = shared.accepting();
    let store = Segments { threads: Mutex::new(Vec::new()), shared };
    if options.syncing == Syncing::Threads {
        store.start_threads()?;
    }
    // Checkpoints that are due are made in the background: nobody waits for them.
    store.shared.call_keeper();
    Ok(Opened {
        store: Arc::new(store),
        actors: state.actors,
        tables: state.tables,
        node_time: state.node_time,
        dropped_tail: log.dropped,
    })
}

impl Segments {
    fn start_threads(&self) -> Result<(), Error> {
        let spawn = |name: &str, run: fn(&Arc<Shared>)| {
            let shared = self.shared.clone();
            let builder = std::thread::Builder::new().name(name.into());
            builder.spawn(move || run(&shared)).map_err(Error::io("start the thread", name))
        };
        let started = spawn("troupe-sync", Shared::sync_loop).and_then(|sync| {
            let _ = self.shared.sync_thread.set(sync.thread().clone());
            self.threads.lock().push(sync);
            let keeper = spawn("troupe-keeper", |shared| shared.keeper_loop())?;
            let _ = self.shared.keeper_thread.set(keeper.thread().clone());
            self.threads.lock().push(keeper);
            Ok(())
        });
        started.inspect_err(|_| drop(self.close()))
    }
}

fn new_meta(disk: &dyn Disk, options: &Options) -> Result<Meta, Error> {
    if !segment_indexes(disk)?.is_empty() {
        let path = disk.path(super::meta::NAME);
        return Err(Error::Corrupt { path, offset: 0, why: "it is gone, but the log is there".into() });
    }
    let segment = options.segment.0.max(MIN_SEGMENT.0).next_multiple_of(4096);
    let mut node = [0; 16];
    let mut salt = [0; 16];
    node.copy_from_slice(&options.random[..16]);
    salt.copy_from_slice(&options.random[16..]);
    Ok(Meta { layout: Layout { node, salt, segment }, epoch: Epoch(0) })
}

/// Removes what a crash left of files being made, and checkpoints that were passed over as damaged:
/// what they hold was just read from the log, and they are made again from it.
fn tidy(disk: &dyn Disk, newest: Newest) -> Result<(), Error> {
    for base in checkpoint::list(disk)?.into_iter().filter(|b| *b > newest.base) {
        checkpoint::remove(disk, base)?;
    }
    for dir in ["log", checkpoint::DIR, blobs::DIR] {
        let names = disk.list(dir).map_err(Error::io("list", disk.path(dir)))?;
        for name in names.iter().filter(|n| n.ends_with(".tmp")) {
            let name = format!("{dir}/{name}");
            disk.remove(&name).map_err(Error::io("remove", disk.path(&name)))?;
        }
    }
    Ok(())
}

fn segment_indexes(disk: &dyn Disk) -> Result<BTreeSet<u64>, Error> {
    let names = disk.list("log").map_err(Error::io("list", disk.path("log")))?;
    Ok(names.iter().filter_map(|n| u64::from_str_radix(n.strip_suffix(".seg")?, 16).ok()).collect())
}

/// The newest checkpoint that is whole and whose segment is there.
fn newest_checkpoint(disk: &dyn Disk, layout: &Layout, indexes: &BTreeSet<u64>) -> Result<(State, Newest), Error> {
    for base in checkpoint::list(disk)? {
        if !indexes.contains(&(base / layout.segment)) {
            continue;
        }
        match checkpoint::load(disk, layout, base) {
            Ok(state) => return Ok((state, Newest { base })),
            Err(Error::Corrupt { .. }) => continue,
            Err(e) => return Err(e),
        }
    }
    Ok((State::default(), Newest { base: 0 }))
}

/// The log as it was found.
struct Log {
    segment: Arc<Segment>,
    /// The segment before it, if that one may not be synced.
    before: Option<Arc<Segment>>,
    end: u64,
    spare: Option<Arc<Segment>>,
    dropped: Option<DroppedTail>,
}

/// Reads the log from the segment at `base` to its end, adding it up.
fn walk(
    disk: &dyn Disk,
    layout: &Layout,
    indexes: &BTreeSet<u64>,
    base: u64,
    opening: Epoch,
    state: &mut State,
) -> Result<Log, Error> {
    let open = |index: u64| match indexes.contains(&index) {
        true => Segment::open(disk, layout, index).map(Arc::new),
        false => Err(Error::Corrupt {
            path: disk.path(&Layout::name(index)),
            offset: 0,
            why: "this segment of the log is gone".into(),
        }),
    };
    let mut segment = open(base / layout.segment)?;
    let mut before = None;
    let mut epoch = 0;
    loop {
        let mut window = Window::new(disk, segment.clone());
        let mut at = segment.base + SEGMENT_HEADER;
        let ended = loop {
            let Some(frame) = window.frame(at, 0)? else { break false };
            let Some(body) = window.body(&frame)? else { break false };
            if frame.epoch < epoch {
                break false;
            }
            if frame.epoch >= opening.0 {
                let why = format!("it is of epoch {}, the data folder of an older one", frame.epoch);
                return Err(window.corrupt(at, why));
            }
            epoch = frame.epoch;
            match frame.kind {
                FrameKind::Batch => {
                    fold(&frame, body, state).map_err(|why| window.corrupt(at, why))?;
                }
                FrameKind::End => break true,
                FrameKind::Open | FrameKind::Close => (),
            }
            at = frame.end();
        };
        let next = segment.end() / layout.segment;
        if ended {
            let following = open(next)?;
            before = Some(std::mem::replace(&mut segment, following));
            continue;
        }
        let dropped = torn_end(&mut window, at)?;
        let mut spare = None;
        for index in indexes.range(next..) {
            let later = open(*index)?;
            let mut window = Window::new(disk, later.clone());
            if window.frame(later.base + SEGMENT_HEADER, 0)?.is_some() {
                let damaged = Window::new(disk, segment.clone());
                return Err(damaged.corrupt(at, "a bad frame, and the log goes on in a later segment"));
            }
            if *index == next {
                spare = Some(later);
            }
        }
        return Ok(Log { segment, before, end: at, spare, dropped });
    }
}

/// Looks at what follows the last good frame: nothing, the torn end of a crash, or damage.
fn torn_end(window: &mut Window, end: u64) -> Result<Option<DroppedTail>, Error> {
    let base = window.segment.base;
    let len = window.segment.len;
    let mut last = None;
    let mut batches = 0;
    let mut offset = end - base;
    while offset < len {
        let n = (len - offset).min(128 << 10);
        let bytes = window.bytes(offset, n, 0)?;
        // What was never written is nearly all of it, and is looked at every time a log is opened.
        let blank = bytes.chunks(64).all(|piece| *piece == [0; 64][..piece.len()]);
        let bytes = if blank { Vec::new() } else { bytes.to_vec() };
        if let Some(i) = bytes.iter().rposition(|b| *b != 0) {
            last = Some(offset + i as u64);
            for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'T') {
                let position = base + offset + i as u64;
                let Some(frame) = window.frame(position, 0)? else { continue };
                if window.body(&frame)?.is_none() {
                    continue;
                }
                if frame.durable > end {
                    let why = format!("a bad frame, but the one at byte {} says it was synced", position - base);
                    return Err(window.corrupt(end, why));
                }
                batches += u64::from(frame.kind == FrameKind::Batch && position > end);
            }
        }
        offset += n;
    }
    let dropped = |last: u64| DroppedTail { position: Position(end), bytes: base + last + 1 - end, batches };
    Ok(last.map(dropped))
}
