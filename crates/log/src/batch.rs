//! The batch: what one step commits, atomically, encoded while it is built.
//!
//! A batch holds records of actors and changes of tables. It is opaque to the store until it is read
//! back; its bytes are those of `docs/journal-format.md`, "Batch".

use std::fmt;

use crate::body::actor_id;
use crate::chain::Step;
use crate::codec::{self, Reader, put_bytes, put_str, put_u8, put_u16, put_u32, put_u64};
use crate::ids::{ActorId, Incarnation, NodeTime, Position, WallTime};

/// A table of the node: keys and values that the log does not read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(pub u16);

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $n:literal, $text:literal;)*) => {
        impl Table {
            $($(#[$doc])* pub const $name: Table = Table($n);)*
            /// Its name, if this version has one for it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($n => Some($text),)* _ => None }
            }
        }
    };
}

tables! {
    /// Messages accepted and not handled yet.
    INBOX = 1, "inbox";
    /// Answers to waits, not consumed yet.
    COMPLETIONS = 2, "completions";
    /// Timers that are set.
    TIMERS = 3, "timers";
    /// Idempotency keys.
    KEYS = 4, "keys";
    /// Reply tokens.
    TOKENS = 5, "tokens";
    /// What the runtime keeps of each actor.
    ACTORS = 6, "actors";
    /// The valid bases of each actor.
    BASES = 7, "bases";
    /// Messages that found no good end.
    DEADLETTERS = 8, "deadletters";
    /// The component index, `name@version` to digest.
    COMPONENTS = 9, "components";
    /// Tuple spaces.
    SPACES = 10, "spaces";
    /// Queues.
    QUEUES = 11, "queues";
    /// Messages to other nodes, not acknowledged yet.
    OUTBOX = 12, "outbox";
    /// Subscriptions to topics.
    TOPICS = 13, "topics";
    /// Members of groups.
    GROUPS = 14, "groups";
    /// Locks that are held, and the newest token of each.
    LOCKS = 15, "locks";
    /// Registered names.
    REGISTRY = 16, "registry";
    /// Key-value stores.
    KEYVALUE = 17, "keyvalue";
    /// Links and monitors.
    BONDS = 18, "bonds";
    /// Applications and their supervision.
    APPLICATIONS = 19, "applications";
    /// Where actors have moved to, and what was upgraded.
    MOVES = 20, "moves";
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "table-{}", self.0),
        }
    }
}

const RECORDS: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;
const NO_PREV: u64 = u64::MAX;

/// A batch being built. Used again after [`clear`](Batch::clear); allocates nothing once warm.
#[derive(Debug, Default)]
pub struct Batch {
    buf: Vec<u8>,
    node_time: NodeTime,
    wall_time: WallTime,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Batch { buf: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Adds the sealed records of a step; nothing if there are none. `prev` is the position of the
    /// batch that holds this incarnation's records before these, `None` for its first ones.
    pub fn records(&mut self, actor: &ActorId, incarnation: Incarnation, prev: Option<Position>, step: &Step) {
        if !step.is_empty() {
            self.record_bytes(actor, incarnation, prev, step.bytes());
        }
    }

    /// The same for records that are already bytes: whole, linked, in order.
    pub fn record_bytes(&mut self, actor: &ActorId, incarnation: Incarnation, prev: Option<Position>, records: &[u8]) {
        put_u8(&mut self.buf, RECORDS);
        put_str(&mut self.buf, actor.as_str());
        put_u32(&mut self.buf, incarnation.0);
        put_u64(&mut self.buf, prev.map_or(NO_PREV, |p| p.0));
        put_bytes(&mut self.buf, records);
    }

    /// Sets the value of a key.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        put_u8(&mut self.buf, PUT);
        put_u16(&mut self.buf, table.0);
        put_bytes(&mut self.buf, key);
        put_bytes(&mut self.buf, value);
    }

    /// Sets the value of a key; both are written in place.
    pub fn put_with(&mut self, table: Table, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        put_u8(&mut self.buf, PUT);
        put_u16(&mut self.buf, table.0);
        self.sized(key);
        self.sized(value);
    }

    /// Removes a key that is written in place.
    pub fn delete_with(&mut self, table: Table, key: impl FnOnce(&mut Vec<u8>)) {
        put_u8(&mut self.buf, DELETE);
        put_u16(&mut self.buf, table.0);
        self.sized(key);
    }

    fn sized(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        put_u32(&mut self.buf, 0);
        let at = self.buf.len();
        write(&mut self.buf);
        let len = (self.buf.len() - at) as u32;
        self.buf[at - 4..at].copy_from_slice(&len.to_le_bytes());
    }

    /// Adds what another batch has.
    pub fn append(&mut self, other: &Batch) {
        self.buf.extend_from_slice(&other.buf);
    }

    /// Removes a key; nothing if it is not there.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        put_u8(&mut self.buf, DELETE);
        put_u16(&mut self.buf, table.0);
        put_bytes(&mut self.buf, key);
    }

    /// Sets the times of the batch; without it they are 0 and the node's time does not advance.
    pub fn stamp(&mut self, node_time: NodeTime, wall_time: WallTime) {
        self.node_time = node_time;
        self.wall_time = wall_time;
    }

    /// Empties it for the next use, keeping its memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.node_time = NodeTime(0);
        self.wall_time = WallTime(0);
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// The encoded entries.
    pub fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// The node time it is stamped with.
    pub fn node_time(&self) -> NodeTime {
        self.node_time
    }

    /// The wall time it is stamped with.
    pub fn wall_time(&self) -> WallTime {
        self.wall_time
    }
}

/// One entry of a batch, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Records of one actor.
    Records {
        /// The actor.
        actor: ActorId,
        /// Which life of it.
        incarnation: Incarnation,
        /// The batch with the records before these.
        prev: Option<Position>,
        /// Whole records, in order.
        bytes: &'a [u8],
    },
    /// A key's new value.
    Put {
        /// The table.
        table: Table,
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// A key removed.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: &'a [u8],
    },
}

/// The entries of a batch's bytes; ends after an error.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, codec::Error>> {
    let mut reader = Some(Reader::new(bytes));
    std::iter::from_fn(move || {
        let r = reader.as_mut().filter(|r| !r.is_empty())?;
        let entry = entry(r);
        if entry.is_err() {
            reader = None;
        }
        Some(entry)
    })
}

fn entry<'a>(r: &mut Reader<'a>) -> Result<Entry<'a>, codec::Error> {
    let at = r.at();
    match r.u8()? {
        RECORDS => Ok(Entry::Records {
            actor: actor_id(r)?,
            incarnation: Incarnation(r.u32()?),
            prev: Some(r.u64()?).filter(|p| *p != NO_PREV).map(Position),
            bytes: r.bytes()?,
        }),
        PUT => Ok(Entry::Put { table: Table(r.u16()?), key: r.bytes()?, value: r.bytes()? }),
        DELETE => Ok(Entry::Delete { table: Table(r.u16()?), key: r.bytes()? }),
        _ => Err(codec::Error::Bad { at, what: "batch entry" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;
    use crate::record::Kind;

    #[test]
    fn a_batch_reads_back_entry_by_entry_and_is_empty_after_clear() {
        let id = ActorId::parse("a").unwrap();
        let mut step = Step::new(Chain::START);
        let mut batch = Batch::new();
        batch.records(&id, Incarnation(1), None, &step);
        assert!(batch.is_empty());
        step.record(Kind::Genesis, |b| b.extend(b"x"));
        batch.records(&id, Incarnation(1), Some(Position(9)), &step);
        batch.put(Table::INBOX, b"k", b"v");
        batch.delete(Table(900), b"k2");
        let read: Vec<_> = entries(batch.bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            read,
            [
                Entry::Records { actor: id, incarnation: Incarnation(1), prev: Some(Position(9)), bytes: step.bytes() },
                Entry::Put { table: Table::INBOX, key: b"k", value: b"v" },
                Entry::Delete { table: Table(900), key: b"k2" },
            ]
        );
        for cut in 1..batch.bytes().len() {
            let whole = entries(&batch.bytes()[..cut]).filter(|e| e.is_ok()).count();
            assert!(whole < 3);
        }
        batch.stamp(NodeTime(1), WallTime(2));
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!((batch.node_time(), batch.wall_time()), (NodeTime(0), WallTime(0)));
    }
}
