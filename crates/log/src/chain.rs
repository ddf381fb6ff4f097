//! Writing records: the hash-linked records of one step of one actor, before they are appended.
//!
//! A [`Step`] is the hot path of the whole system: a record costs a memory copy and one hash over its
//! contiguous bytes, and the buffer is used again. It only links and numbers; nothing is committed
//! until a batch that holds its bytes is appended.

use crate::ids::{Head, Seq};
use crate::record::{HEADER, Kind, MAX_BODY};

/// The tip of one actor's journal: where the next record links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Number of the next record.
    pub next: Seq,
    /// Head before it.
    pub head: Head,
}

impl Chain {
    /// Before the first record of an incarnation.
    pub const START: Chain = Chain { next: Seq(0), head: Head::ZERO };
}

/// A record begun and not sealed yet.
#[derive(Debug)]
#[must_use = "a record that is not sealed is dropped by the next one"]
pub struct Mark {
    start: usize,
}

/// The records of one step.
///
/// At most one record is open at a time. A record begun and never sealed (its call was dropped) is
/// dropped by the next `begin`, or by [`truncate_to_last_sealed`](Step::truncate_to_last_sealed).
#[derive(Debug)]
pub struct Step {
    buf: Vec<u8>,
    sealed: usize,
    first: Seq,
    chain: Chain,
}

impl Step {
    /// A step whose first record follows `chain`.
    pub fn new(chain: Chain) -> Self {
        Self { buf: Vec::new(), sealed: 0, first: chain.next, chain }
    }

    /// Begins a record; its body is what is then appended to [`body`](Step::body).
    #[inline]
    pub fn begin(&mut self, kind: Kind) -> Mark {
        self.buf.truncate(self.sealed);
        let mut header = [0; HEADER];
        header[..32].copy_from_slice(&self.chain.head.0);
        header[32..40].copy_from_slice(&self.chain.next.0.to_le_bytes());
        header[40] = kind as u8;
        self.buf.extend_from_slice(&header);
        Mark { start: self.sealed }
    }

    /// The buffer: append the open record's body to it, and change nothing before its end.
    #[inline]
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// The body of the open record as far as it is written.
    pub fn open_body(&self, mark: &Mark) -> &[u8] {
        self.buf.get(mark.start + HEADER..).unwrap_or(&[])
    }

    /// The seq that the open, or else the next, record has.
    #[inline]
    pub fn next_seq(&self) -> Seq {
        self.chain.next
    }

    /// Ends the open record: its length is set, it is hashed and linked.
    ///
    /// # Panics
    /// If the record is not the open one, or its body is over [`MAX_BODY`]: the caller bounds bodies
    /// (`max-turn-journal`) far below.
    #[inline]
    pub fn seal(&mut self, mark: Mark) -> Seq {
        let len = self.buf.len().wrapping_sub(mark.start + HEADER);
        assert!(mark.start == self.sealed && len <= MAX_BODY, "sealing a record that is not open, or too long");
        let at = mark.start + HEADER - 4;
        self.buf[at..at + 4].copy_from_slice(&(len as u32).to_le_bytes());
        let hash = blake3::hash(&self.buf[mark.start..]);
        let seq = self.chain.next;
        self.chain = Chain { next: seq.next(), head: Head(*hash.as_bytes()) };
        self.sealed = self.buf.len();
        seq
    }

    /// Changes the kind of the open record.
    #[inline]
    pub fn set_kind(&mut self, mark: &Mark, kind: Kind) {
        self.buf[mark.start + 40] = kind as u8;
    }

    /// Drops the open record.
    pub fn abandon(&mut self, mark: Mark) {
        debug_assert_eq!(mark.start, self.sealed, "abandoning a record that is not open");
        self.truncate_to_last_sealed();
    }

    /// A whole record at once.
    #[inline]
    pub fn record(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Seq {
        let mark = self.begin(kind);
        body(&mut self.buf);
        self.seal(mark)
    }

    /// Drops what follows the last sealed record.
    pub fn truncate_to_last_sealed(&mut self) {
        self.buf.truncate(self.sealed);
    }

    /// Whether no record is sealed.
    pub fn is_empty(&self) -> bool {
        self.sealed == 0
    }

    /// The sealed records.
    pub fn bytes(&self) -> &[u8] {
        &self.buf[..self.sealed]
    }

    /// The seq of the first record, or of the next one if there is none.
    pub fn first_seq(&self) -> Seq {
        self.first
    }

    /// The tip after the last sealed record.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// After the step was appended: empties it, keeping the tip and the buffer.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.sealed = 0;
        self.first = self.chain.next;
    }

    /// Gives memory over `capacity` bytes back, for an actor that falls idle.
    pub fn shrink(&mut self, capacity: usize) {
        self.buf.shrink_to(capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::records;

    #[test]
    fn records_link_by_the_hash_of_their_whole_bytes() {
        let mut step = Step::new(Chain::START);
        step.record(Kind::Genesis, |b| b.extend(b"g"));
        let mark = step.begin(Kind::Call);
        step.body().extend(b"half");
        assert_eq!(step.open_body(&mark), b"half");
        drop(mark);
        let mark = step.begin(Kind::Call);
        step.body().extend(b"dropped");
        step.abandon(mark);
        assert_eq!(step.record(Kind::TurnEnd, |b| b.extend(b"end")), Seq(1));
        let read: Vec<_> = records(step.bytes()).map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].prev, read[0].seq, read[0].body), (Head::ZERO, Seq(0), &b"g"[..]));
        assert_eq!((read[1].prev, read[1].body), (read[0].head(), &b"end"[..]));
        assert_eq!(read[0].head().0, *blake3::hash(read[0].bytes).as_bytes());
        assert_eq!(step.chain(), Chain { next: Seq(2), head: read[1].head() });
    }

    #[test]
    fn clearing_keeps_the_tip_and_an_open_record_is_not_in_the_bytes() {
        let mut step = Step::new(Chain::START);
        step.record(Kind::Genesis, |_| ());
        let tip = step.chain();
        step.clear();
        assert!(step.is_empty());
        assert_eq!((step.first_seq(), step.chain()), (Seq(1), tip));
        let _open = step.begin(Kind::Call);
        assert!(step.bytes().is_empty());
        step.truncate_to_last_sealed();
        step.record(Kind::Stop, |_| ());
        assert_eq!(records(step.bytes()).next().unwrap().unwrap().prev, tip.head);
    }
}
