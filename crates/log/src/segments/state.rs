//! What the batches add up to: the tail of each actor, the tables, the node's time.

use std::collections::{BTreeMap, HashMap};

use crate::batch::{Entry, Table, entries};
use crate::ids::{ActorId, Head, Incarnation, NodeTime, Position, Seq};
use crate::record::{self, Record};
use crate::segments::frame::Frame;
use crate::store::{Tables, Tail};

/// Where batches are added up.
pub trait Fold {
    /// Records of an actor were appended: the last of them, how many, how many bytes.
    fn records(&mut self, actor: ActorId, part: Part);
    /// A key got a value, or lost it.
    fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>);
    /// A stamp.
    fn time(&mut self, node_time: NodeTime);
}

/// What one batch holds of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub incarnation: Incarnation,
    pub tail: Position,
    pub first: Seq,
    pub next: Seq,
    pub head: Head,
    pub records: u64,
    pub bytes: u64,
}

/// Adds a batch; on a batch that does not follow the format, says why.
pub fn fold(frame: &Frame, body: &[u8], into: &mut impl Fold) -> Result<(), String> {
    for entry in entries(body) {
        match entry.map_err(|e| e.to_string())? {
            Entry::Records { actor, incarnation, bytes, .. } => {
                let (first, last, records) = ends(bytes)?;
                let part = Part {
                    incarnation,
                    tail: Position(frame.position),
                    first: first.seq,
                    next: last.seq.next(),
                    head: last.head(),
                    records,
                    bytes: bytes.len() as u64,
                };
                into.records(actor, part);
            }
            Entry::Put { table, key, value } => into.set(table, key, Some(value)),
            Entry::Delete { table, key } => into.set(table, key, None),
        }
    }
    into.time(frame.node_time);
    Ok(())
}

fn ends(bytes: &[u8]) -> Result<(Record<'_>, Record<'_>, u64), String> {
    let mut first = None;
    let mut last = None;
    let mut n = 0;
    for record in record::records(bytes) {
        let record = record.map_err(|e| e.to_string())?;
        first.get_or_insert(record);
        last = Some(record);
        n += 1;
    }
    match (first, last) {
        (Some(first), Some(last)) => Ok((first, last, n)),
        _ => Err("an entry of records without a record".into()),
    }
}

impl Part {
    /// The tail after this part, given the one before it.
    pub fn after(&self, before: Option<&Tail>) -> Tail {
        let same = before.filter(|t| t.incarnation == self.incarnation && self.first.0 > 0);
        Tail {
            incarnation: self.incarnation,
            tail: self.tail,
            next: self.next,
            head: self.head,
            records: same.map_or(0, |t| t.records) + self.records,
            bytes: same.map_or(0, |t| t.bytes) + self.bytes,
        }
    }
}

/// Everything, in memory: what opening hands out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    pub actors: HashMap<ActorId, Tail>,
    pub tables: Tables,
    pub node_time: NodeTime,
}

impl Fold for State {
    fn records(&mut self, actor: ActorId, part: Part) {
        let tail = part.after(self.actors.get(&actor));
        self.actors.insert(actor, tail);
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
            }
            None => {
                if let Some(rows) = self.tables.get_mut(&table) {
                    rows.remove(key);
                    if rows.is_empty() {
                        self.tables.remove(&table);
                    }
                }
            }
        }
    }

    fn time(&mut self, node_time: NodeTime) {
        self.node_time = self.node_time.max(node_time);
    }
}

/// The changes of one segment, to be merged into a checkpoint.
#[derive(Debug, Default)]
pub struct Delta {
    pub actors: BTreeMap<ActorId, Part>,
    pub rows: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    pub node_time: NodeTime,
}

impl Fold for Delta {
    fn records(&mut self, actor: ActorId, part: Part) {
        let joined = match self.actors.get(&actor) {
            Some(old) if old.incarnation == part.incarnation && part.first.0 > 0 => {
                Part { first: old.first, records: old.records + part.records, bytes: old.bytes + part.bytes, ..part }
            }
            _ => part,
        };
        self.actors.insert(actor, joined);
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        self.rows.insert((table, key.to_vec()), value.map(<[u8]>::to_vec));
    }

    fn time(&mut self, node_time: NodeTime) {
        self.node_time = self.node_time.max(node_time);
    }
}
