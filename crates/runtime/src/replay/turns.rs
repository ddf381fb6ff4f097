//! A journal as a sequence of turns.
//!
//! Reads records part by part and hands them out turn by turn, so that recovery holds one turn in memory, and a replay the few that
//! are read ahead of it. What stands between turns comes by itself.

use std::sync::Arc;

use troupe_log::body::{Fault, Genesis, TurnBegin, TurnEnd, TurnKind};
use troupe_log::codec::Reader;
use troupe_log::{Head, JournalReader, Kind, NodeTime, Record, Seq};

use crate::actor::message::Message;
use crate::error::{Error, Result};

/// What a journal has next.
#[derive(Debug)]
pub enum Item {
    /// Who the actor is.
    Genesis(Box<Genesis>),
    /// A turn.
    Turn(Box<PastTurn>),
    /// A record between two turns, other than the genesis: base, change, expired, stop, or a later kind.
    Other {
        /// Its number.
        seq: Seq,
        /// Its kind, if known.
        kind: Option<Kind>,
        /// Its body.
        body: Vec<u8>,
    },
}

/// A turn as it stands in a journal.
#[derive(Debug)]
pub struct PastTurn {
    /// The record that began it.
    pub began: Seq,
    /// Why it ran.
    pub kind: TurnKind,
    /// Node time at its begin.
    pub node_time: NodeTime,
    /// The message of a message's turn.
    pub message: Option<Arc<Message>>,
    /// What began another turn, as its kind says.
    pub about: Vec<u8>,
    /// The records between begin and end.
    pub records: Arc<[u8]>,
    /// How it ended.
    pub end: End,
    /// The last record of it.
    pub last: Seq,
    /// The head after it.
    pub head: Head,
}

/// How a turn of a journal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// In order.
    Ended {
        /// As the contract's output numbers it.
        outcome: u8,
        /// Used.
        fuel: u64,
        /// The encoded answer.
        answer: Vec<u8>,
    },
    /// With a fault.
    Faulted(Fault),
    /// Not yet.
    Open,
}

/// Where the records come from.
pub enum Source {
    /// The node's store.
    Store(JournalReader),
    /// Memory, from an exported file.
    Bytes(Arc<[u8]>),
}

/// Reads a journal turn by turn.
pub struct Turns {
    source: Source,
    buffer: Vec<u8>,
    at: usize,
    done: bool,
    /// The number of the record before.
    before: Option<Seq>,
    /// The message before.
    message: Option<Arc<Message>>,
}

impl Turns {
    /// From the beginning of `source`.
    pub fn new(source: Source) -> Turns {
        Turns { source, buffer: Vec::new(), at: 0, done: false, before: None, message: None }
    }

    /// Reads more records behind what is there; false at the end.
    fn more(&mut self) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        match &mut self.source {
            Source::Store(reader) => match reader.next_part()? {
                Some((_, part)) => {
                    self.buffer.extend_from_slice(part);
                    Ok(true)
                }
                None => {
                    self.done = true;
                    Ok(false)
                }
            },
            Source::Bytes(bytes) => {
                self.buffer.extend_from_slice(bytes);
                *bytes = Arc::default();
                self.done = true;
                Ok(true)
            }
        }
    }

    /// The next turn, or record between turns.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        let cut = |error: troupe_log::record::Cut| Error::Unreplayable { why: error.to_string() };
        while self.at >= self.buffer.len() {
            if !self.more()? {
                return Ok(None);
            }
        }
        let first = Record::read(&self.buffer[self.at..]).map_err(cut)?;
        follows(&mut self.before, first.seq)?;
        let unreadable =
            |seq: Seq, error: troupe_log::codec::Error| Error::Unreplayable { why: format!("record {seq}: {error}") };
        if first.kind != Kind::TurnBegin {
            let item = match first.kind.known() {
                Some(Kind::Genesis) => {
                    Item::Genesis(Box::new(Genesis::decode(first.body).map_err(|error| unreadable(first.seq, error))?))
                }
                kind => Item::Other { seq: first.seq, kind, body: first.body.to_vec() },
            };
            self.at += first.bytes.len();
            return Ok(Some(item));
        }
        let began = first.seq;
        let begin = TurnBegin::decode(first.body).map_err(|error| unreadable(began, error))?;
        let (message, about) = match begin.kind {
            TurnKind::Message => {
                let message = Message::decode_after(&mut Reader::new(begin.rest), self.message.as_deref());
                self.message = Some(Arc::new(message.map_err(|error| unreadable(began, error))?));
                (self.message.clone(), Vec::new())
            }
            _ => (None, begin.rest.to_vec()),
        };
        let (kind, node_time) = (begin.kind, begin.node_time);
        let from = first.bytes.len();
        // Where the newest record of the turn is.
        let mut newest = 0;
        let mut offset = from;
        let end = loop {
            if self.at + offset >= self.buffer.len() {
                // Reading more moves what is there to the front.
                if !self.more()? {
                    break End::Open;
                }
                continue;
            }
            let record = Record::read(&self.buffer[self.at + offset..]).map_err(cut)?;
            follows(&mut self.before, record.seq)?;
            newest = offset;
            let unreadable = |error| unreadable(record.seq, error);
            let end = match record.kind.known() {
                Some(Kind::TurnEnd) => {
                    let end = TurnEnd::decode(record.body).map_err(unreadable)?;
                    Some(End::Ended { outcome: end.outcome, fuel: end.fuel, answer: end.answer.to_vec() })
                }
                Some(Kind::Fault) => Some(End::Faulted(Fault::decode(record.body).map_err(unreadable)?)),
                Some(Kind::TurnBegin) => {
                    let why = format!("record {} begins a turn inside another", record.seq);
                    return Err(Error::Unreplayable { why });
                }
                _ => None,
            };
            offset += record.bytes.len();
            if let Some(end) = end {
                break end;
            }
        };
        let records = match end {
            End::Open => from..offset,
            End::Ended { .. } | End::Faulted(_) => from..newest,
        };
        let last = Record::read(&self.buffer[self.at + newest..]).map_err(cut)?;
        let turn = PastTurn {
            began,
            kind,
            node_time,
            message,
            about,
            records: self.buffer[self.at + records.start..self.at + records.end].into(),
            end,
            last: last.seq,
            head: last.head(),
        };
        self.at += offset;
        Ok(Some(Item::Turn(Box::new(turn))))
    }
}

/// Records are numbered without gaps; what counts them relies on it.
fn follows(before: &mut Option<Seq>, seq: Seq) -> Result<()> {
    if let Some(before) = before
        && before.0.checked_add(1) != Some(seq.0)
    {
        return Err(Error::Unreplayable { why: format!("record {seq} stands behind record {before}") });
    }
    *before = Some(seq);
    Ok(())
}
