//! Results that are derived from the actor's own journal: recorded as the range of records and a digest, never themselves.
//!
//! Owns what stands in such a record, and how the records are read again. Promises: a journal never contains itself, however often
//! it is asked for; in replay the result is made again from the journal that is replayed and is the recorded one to the byte, else
//! the replay ends with a difference. See docs/semantics.md, "Log, journal, names".

use troupe_log::codec::{self, Reader};
use troupe_log::record::Records;
use troupe_log::{Digest, Record, Seq, record};
use wasmtime::Result;

use super::error::LimitReached;
use super::guest::Guest;
use super::recordable::{DecodeError, Recordable};

/// What stands in the record of such a call in the place of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The first record that it is derived from.
    pub first: Seq,
    /// The record behind the last one.
    pub next: Seq,
    /// BLAKE3 over the encoded result.
    pub digest: Digest,
}

impl Derived {
    /// Of a result.
    pub fn of(past: &Past, result: &impl Recordable) -> Derived {
        let mut bytes = Vec::new();
        result.encode(&mut bytes);
        Derived { first: past.first, next: past.next, digest: Digest::of(&bytes) }
    }
}

impl Recordable for Derived {
    const MIN_BYTES: usize = 48;
    fn show(&self, out: &mut String) {
        let Derived { first, next, digest } = self;
        out.push_str(&format!("derived from records {first}..{next}, digest {digest}"));
    }
    fn encode(&self, out: &mut Vec<u8>) {
        codec::put_u64(out, self.first.0);
        codec::put_u64(out, self.next.0);
        out.extend_from_slice(&self.digest.0);
    }
    fn decode(input: &mut Reader<'_>) -> std::result::Result<Self, DecodeError> {
        let (first, next) = (Seq(input.u64()?), Seq(input.u64()?));
        Ok(Derived { first, next, digest: Digest(input.array()?) })
    }
}

/// The records of an actor's life before a call of it.
#[derive(Debug, Default)]
pub struct Past {
    first: Seq,
    next: Seq,
    bytes: Vec<u8>,
}

impl Past {
    /// From whole records that follow each other; those from `next` on are left out.
    pub fn new(mut bytes: Vec<u8>, next: Seq) -> Past {
        let (mut end, mut first) = (0, None);
        for record in record::records(&bytes).map_while(std::result::Result::ok).take_while(|r| r.seq < next) {
            first.get_or_insert(record.seq);
            end += record.bytes.len();
        }
        bytes.truncate(end);
        Past { first: first.unwrap_or(next), next, bytes }
    }

    /// The records, in order.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record<'_>> {
        // Read once: a record is found from the front only.
        let records: Records<'_> = record::records(&self.bytes);
        records.map_while(std::result::Result::ok).collect::<Vec<_>>().into_iter()
    }
}

impl Guest {
    /// The records of this life before `next`: those that are committed and those of the open step. None where nothing is recorded.
    /// A journal that takes more room than the actor itself may have cannot be handed to it, and is not read.
    pub fn past(&self, next: Seq) -> Result<Past> {
        if !self.recorder.recording() {
            return Ok(Past::default());
        }
        let most = usize::try_from(self.about.limits.memory.0).unwrap_or(usize::MAX);
        let mut bytes = self.node.past(&self.about, self.tail(), next, most)?;
        let committed = record::records(&bytes).map_while(std::result::Result::ok).last().map(|record| record.seq);
        for record in record::records(self.recorder.step.bytes()).map_while(std::result::Result::ok) {
            if committed.is_none_or(|committed| record.seq > committed) {
                bytes.extend_from_slice(record.bytes);
            }
        }
        if bytes.len() > most {
            return Err(too_long(most));
        }
        Ok(Past::new(bytes, next))
    }
}

/// Over what an actor may be given.
pub(crate) fn too_long(most: usize) -> wasmtime::Error {
    LimitReached(format!("the actor's journal has more than the {most} bytes of memory that it may have")).into()
}

/// Reads parts of a journal until `next`.
pub(crate) fn read(journal: &mut troupe_log::JournalReader, next: Seq, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some((_, part)) = journal.next_part()? {
        // What the call's own batch holds behind it counts no more in replay than it did live.
        let before = record::records(part).map_while(std::result::Result::ok).take_while(|record| record.seq < next);
        let before: usize = before.map(|record| record.bytes.len()).sum();
        if before == 0 {
            break;
        }
        if bytes.len() + before > most {
            return Err(too_long(most));
        }
        bytes.extend_from_slice(&part[..before]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::{Chain, Kind, Step};

    #[test]
    fn the_past_ends_before_the_call() {
        let mut step = Step::new(Chain::START);
        for n in 0..5_u8 {
            step.record(Kind::Call, |out| out.push(n));
        }
        let past = Past::new(step.bytes().to_vec(), Seq(3));
        let seqs: Vec<u64> = past.records().map(|record| record.seq.0).collect();
        assert_eq!((seqs, past.first, past.next), (vec![0, 1, 2], Seq(0), Seq(3)));
        assert_eq!(past.records().next_back().unwrap().body, [2]);
        let none = Past::new(Vec::new(), Seq(7));
        assert_eq!((none.first, none.next, none.records().count()), (Seq(7), Seq(7), 0));
    }

    #[test]
    fn a_derived_result_takes_the_same_room_whatever_it_is() {
        let past = Past::default();
        let (small, large) = (Derived::of(&past, &1_u8), Derived::of(&past, &vec![1_u8; 1 << 20]));
        assert_ne!(small.digest, large.digest);
        let mut bytes = Vec::new();
        large.encode(&mut bytes);
        assert_eq!(bytes.len(), Derived::MIN_BYTES);
        assert_eq!(Derived::decode(&mut Reader::new(&bytes)).unwrap(), large);
    }
}
