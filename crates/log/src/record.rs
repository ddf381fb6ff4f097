//! A journal record: its bytes, its kinds, and reading many of them.
//!
//! A record is one contiguous slice, `prev_head 32 | seq u64 | kind u8 | len u32 | body`, and the head
//! after it is the BLAKE3 hash of exactly that slice. Reading never panics; an unknown kind is read
//! like any other, so an older reader skips what it does not know.

use crate::ids::{Head, Seq};

/// Bytes of a record before its body.
pub const HEADER: usize = 32 + 8 + 1 + 4;

/// The longest body of a record. `max-turn-journal` keeps turns far below it.
pub const MAX_BODY: usize = 1 << 30;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $n:literal, $text:literal;)*) => {
        /// What a record says. The numbers are part of the format and never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $n,)* }

        impl Kind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The kind with this number, if this version knows it.
            pub fn from_number(n: u8) -> Option<Kind> {
                match n { $($n => Some(Kind::$name),)* _ => None }
            }

            /// Its name, as the command prints it.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }
        }
    };
}

kinds! {
    /// The first record of an incarnation.
    Genesis = 1, "genesis";
    /// A turn begins; holds its whole message.
    TurnBegin = 2, "turn-begin";
    /// A host call and its outcome.
    Call = 3, "call";
    /// An immediate effect is about to run.
    Intent = 4, "intent";
    /// What an intent came to.
    Outcome = 5, "outcome";
    /// A host call that another party answers.
    Wait = 6, "wait";
    /// The answer to a wait.
    Wake = 7, "wake";
    /// A host call without the grant for it.
    Denial = 8, "denial";
    /// Bytes left out, with their keyed digest.
    Redaction = 9, "redaction";
    /// A turn ended.
    TurnEnd = 10, "turn-end";
    /// A turn was undone from a record on.
    Fault = 11, "fault";
    /// A snapshot from which recovery can start.
    Base = 12, "base";
    /// Grants, limits or settings changed.
    Change = 13, "change";
    /// An open turn went on after a crash.
    Resume = 14, "resume";
    /// A message was past its deadline before its turn.
    Expired = 15, "expired";
    /// The actor stopped.
    Stop = 16, "stop";
    /// Older records were removed.
    Checkpoint = 17, "checkpoint";
    /// Something derived from journals, as range and digest.
    Derived = 18, "derived";
    /// Another component from here on.
    Upgrade = 19, "upgrade";
    /// When a duration that the call before it named is over.
    Due = 20, "due";
}

/// The number of a kind as stored: known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindNumber(pub u8);

impl KindNumber {
    /// The kind, if this version knows it.
    pub fn known(self) -> Option<Kind> {
        Kind::from_number(self.0)
    }
}

impl PartialEq<Kind> for KindNumber {
    fn eq(&self, other: &Kind) -> bool {
        self.0 == *other as u8
    }
}

impl std::fmt::Display for KindNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known() {
            Some(kind) => f.write_str(kind.name()),
            None => write!(f, "kind-{}", self.0),
        }
    }
}

/// One record, borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The head before it.
    pub prev: Head,
    /// Its number in its incarnation.
    pub seq: Seq,
    /// What it says.
    pub kind: KindNumber,
    /// The rest, in the form of its kind.
    pub body: &'a [u8],
    /// All its bytes, header and body: what is hashed.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The head after it: a BLAKE3 hash over all its bytes.
    pub fn head(&self) -> Head {
        Head(*blake3::hash(self.bytes).as_bytes())
    }

    /// Reads the record that `bytes` begins with.
    pub fn read(bytes: &'a [u8]) -> Result<Record<'a>, Cut> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Cut { left: bytes.len() })?;
        let len = u32::from_le_bytes([header[41], header[42], header[43], header[44]]) as usize;
        let body = rest.get(..len).filter(|_| len <= MAX_BODY).ok_or(Cut { left: bytes.len() })?;
        let mut prev = [0; 32];
        prev.copy_from_slice(&header[..32]);
        let mut seq = [0; 8];
        seq.copy_from_slice(&header[32..40]);
        Ok(Record {
            prev: Head(prev),
            seq: Seq(u64::from_le_bytes(seq)),
            kind: KindNumber(header[40]),
            body,
            bytes: &bytes[..HEADER + len],
        })
    }
}

/// Bytes that do not hold a whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{left} bytes that hold no whole record")]
pub struct Cut {
    /// How many bytes there are.
    pub left: usize,
}

/// Reads records one after another; after an error it ends.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
}

/// The records in these bytes, in order. Nothing about their links is checked: see `verify`.
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { rest: bytes }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Cut>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = Record::read(self.rest);
        self.rest = read.as_ref().map_or(&[], |r| &self.rest[r.bytes.len()..]);
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_kinds_are_dense_and_stay() {
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, i + 1);
            assert_eq!(Kind::from_number(*kind as u8), Some(*kind));
        }
        assert_eq!(Kind::ALL.len(), 20);
        assert_eq!(KindNumber(200).to_string(), "kind-200");
    }

    #[test]
    fn a_record_cut_anywhere_is_an_error_and_ends_the_reading() {
        let mut bytes = vec![0u8; HEADER];
        bytes[40] = 250;
        bytes[41] = 3;
        bytes.extend(b"abc");
        let read: Vec<_> = records(&bytes).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].unwrap().body, b"abc");
        for cut in 1..bytes.len() {
            let read: Vec<_> = records(&bytes[..cut]).collect();
            assert_eq!(read, [Err(Cut { left: cut })]);
        }
        bytes[44] = 0xff;
        assert!(records(&bytes).next().unwrap().is_err());
    }
}
