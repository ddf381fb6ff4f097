//! Reading one actor's journal back: from its tail by back pointers, then forwards.

use std::sync::Arc;

use crate::batch::{Entry, entries};
use crate::disk::Disk;
use crate::error::Error;
use crate::ids::{ActorId, Incarnation, Position, Seq};
use crate::record::records;
use crate::segments::Shared;
use crate::segments::frame::{FrameKind, Layout, Segment, Window};
use crate::store::{JournalReader, JournalSource};

/// Going back, this much before a frame is read with it.
const BACK: u64 = 192 << 10;

pub fn read(
    shared: &Shared,
    actor: &ActorId,
    incarnation: Incarnation,
    tail: Position,
    from: Seq,
) -> Result<JournalReader, Error> {
    if tail.0 >= shared.appended.load(std::sync::atomic::Ordering::SeqCst) {
        return Err(Error::NoBatch { position: tail, why: "nothing was appended there yet" });
    }
    if shared.waiters.stopped().is_none() {
        shared.flush(tail)?;
    }
    let log = LogReader { disk: shared.disk.clone(), layout: shared.layout, window: None };
    let mut source = Parts { log, actor: actor.clone(), incarnation, from, parts: Vec::new() };
    source.find(tail)?;
    Ok(JournalReader::new(Box::new(source)))
}

/// Reads batches at positions.
struct LogReader {
    disk: Arc<dyn Disk>,
    layout: Layout,
    window: Option<Window>,
}

impl LogReader {
    fn window(&mut self, position: u64) -> Result<&mut Window, Error> {
        let inside = |w: &Window| (w.segment.base..w.segment.end()).contains(&position);
        match self.window.take().filter(inside) {
            Some(window) => Ok(self.window.insert(window)),
            None => {
                let segment = self.segment(position)?;
                Ok(self.window.insert(Window::new(&*self.disk, Arc::new(segment))))
            }
        }
    }

    /// The segment with this position: segments may be longer than one unit.
    fn segment(&self, position: u64) -> Result<Segment, Error> {
        let mut index = position / self.layout.segment;
        loop {
            match Segment::open(&*self.disk, &self.layout, index) {
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound && index > 0 => {
                    index -= 1;
                }
                Ok(segment) if segment.end() <= position => {
                    let why = "its segment is gone";
                    return Err(Error::NoBatch { position: Position(position), why });
                }
                other => return other,
            }
        }
    }

    /// The body of the batch at `position`.
    fn batch(&mut self, position: u64, back: u64) -> Result<&[u8], Error> {
        let none = Error::NoBatch { position: Position(position), why: "no batch begins there" };
        let window = self.window(position)?;
        let Some(frame) = window.frame(position, back)? else { return Err(none) };
        if frame.kind != FrameKind::Batch {
            return Err(none);
        }
        if window.body(&frame)?.is_none() {
            return Err(window.corrupt(position, "the batch there has a wrong checksum"));
        }
        window.unchecked_body(&frame)
    }
}

struct Parts {
    log: LogReader,
    actor: ActorId,
    incarnation: Incarnation,
    from: Seq,
    /// Positions still to be read, the next one last.
    parts: Vec<u64>,
}

impl Parts {
    /// Walks back from the tail to the batch with the first record wanted.
    fn find(&mut self, tail: Position) -> Result<(), Error> {
        let mut at = Some(tail);
        while let Some(position) = at {
            let body = self.log.batch(position.0, BACK)?;
            let (first, prev) =
                first_and_prev(body, &self.actor, self.incarnation).map_err(|why| Error::NoBatch { position, why })?;
            self.parts.push(position.0);
            at = prev.filter(|_| first > self.from);
            if at.is_some_and(|p| p >= position) {
                return Err(Error::NoBatch { position, why: "it points forwards" });
            }
        }
        Ok(())
    }
}

fn first_and_prev(body: &[u8], of: &ActorId, life: Incarnation) -> Result<(Seq, Option<Position>), &'static str> {
    for entry in entries(body) {
        if let Entry::Records { actor, incarnation, prev, bytes } = entry.map_err(|_| "it cannot be read")?
            && actor == *of
            && incarnation == life
        {
            let first = records(bytes).next().and_then(Result::ok).ok_or("its records cannot be read")?;
            return Ok((first.seq, prev));
        }
    }
    Err("it has no records of that actor and incarnation")
}

impl JournalSource for Parts {
    fn next_part(&mut self, out: &mut Vec<u8>) -> Result<Option<Position>, Error> {
        out.clear();
        let Some(position) = self.parts.pop() else { return Ok(None) };
        let body = self.log.batch(position, 0)?;
        for entry in entries(body) {
            let position = Position(position);
            let entry = entry.map_err(|_| Error::NoBatch { position, why: "it cannot be read" })?;
            if let Entry::Records { actor, incarnation, bytes, .. } = entry
                && actor == self.actor
                && incarnation == self.incarnation
            {
                let before = records(bytes).map_while(Result::ok).take_while(|r| r.seq < self.from);
                let skip: usize = before.map(|r| r.bytes.len()).sum();
                out.extend_from_slice(&bytes[skip..]);
            }
        }
        Ok(Some(Position(position)))
    }
}
