//! The conformance suite of [`Store`]: one list of checks, run over every implementation.
//!
//! An implementation provides a [`Subject`]. Each check quotes the sentence of the trait's
//! documentation that it checks, and panics where the store breaks it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::batch::{Batch, Table};
use crate::chain::{Chain, Step};
use crate::error::Error;
use crate::ids::{ActorId, Digest, Incarnation, NodeTime, Position, Seq, WallTime};
use crate::record::{Kind, records};
use crate::store::{Opened, Store, Tables, Tail};

/// Data that a store can be opened on, again and again.
pub trait Subject {
    /// Opens the store of this data.
    fn open(&self) -> Result<Opened, Error>;
    /// The data as it is after a power cut now, with a store open on it or not.
    fn after_power_cut(&self) -> Box<dyn Subject>;
}

/// Runs every check on data of its own.
pub fn run(make: &dyn Fn() -> Box<dyn Subject>) {
    type Check = fn(&dyn Subject);
    let checks: [(&str, Check); 11] = [
        ("batches come back", batches_come_back),
        ("journals read from anywhere", journals_read_from_anywhere),
        ("larger than a segment", a_batch_larger_than_a_segment),
        ("durable survives", what_is_durable_survives),
        ("syncs are shared", many_wait_for_one_sync),
        ("nothing is waited for in vain", a_sync_of_nothing_is_an_error),
        ("blobs", blobs_are_kept_by_digest),
        ("one at a time", one_opener_at_a_time),
        ("epochs", each_opening_is_an_epoch),
        ("close", a_closed_store_takes_nothing),
        ("appends from many threads", many_threads_append),
    ];
    for (name, check) in checks {
        eprintln!("conformance: {name}");
        check(&*make());
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(out) => return out,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// What the batches appended so far add up to, kept apart from the store.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Model {
    /// As [`Opened::actors`].
    pub actors: HashMap<ActorId, Tail>,
    /// As [`Opened::tables`].
    pub tables: Tables,
    /// As [`Opened::node_time`].
    pub node_time: NodeTime,
}

/// The records of each incarnation of each actor.
pub type Journals = HashMap<(ActorId, Incarnation), Vec<u8>>;

/// Appends batches and keeps the model.
#[derive(Debug, Default)]
pub struct Writer {
    /// What the store should hold.
    pub model: Model,
    /// All records of each incarnation.
    pub journals: Journals,
    steps: HashMap<ActorId, (Incarnation, Step)>,
    random: u64,
}

impl Writer {
    /// A writer whose choices follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: seed | 1, ..Self::default() }
    }

    /// A number below `n`.
    pub fn random(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % n
    }

    /// Writes `n` records of `actor` into a batch, as a new incarnation if `fresh`.
    pub fn records(&mut self, batch: &mut Batch, actor: &ActorId, fresh: bool, n: u64, body: usize) {
        let byte = self.random(256) as u8;
        let known = self.steps.remove(actor);
        let (incarnation, mut step) = match known {
            Some((life, step)) if !fresh => (life, step),
            other => (Incarnation(other.map_or(0, |(l, _)| l.0 + 1)), Step::new(Chain::START)),
        };
        let before = self.model.actors.get(actor).filter(|t| t.incarnation == incarnation).copied();
        for i in 0..n {
            step.record(Kind::Call, |b| b.resize(b.len() + body, byte.wrapping_add(i as u8)));
        }
        batch.records(actor, incarnation, before.map(|t| t.tail), &step);
        let journal = self.journals.entry((actor.clone(), incarnation)).or_default();
        journal.extend_from_slice(step.bytes());
        let tail = Tail {
            incarnation,
            // Known when it is appended.
            tail: Position(u64::MAX),
            next: step.chain().next,
            head: step.chain().head,
            records: before.map_or(0, |t| t.records) + n,
            bytes: journal.len() as u64,
        };
        self.model.actors.insert(actor.clone(), tail);
        step.clear();
        self.steps.insert(actor.clone(), (incarnation, step));
    }

    /// Sets or removes a key, in a batch and in the model.
    pub fn set(&mut self, batch: &mut Batch, table: Table, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => {
                batch.put(table, key, value);
                self.model.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
            }
            None => {
                batch.delete(table, key);
                if let Some(rows) = self.model.tables.get_mut(&table) {
                    rows.remove(key);
                    if rows.is_empty() {
                        self.model.tables.remove(&table);
                    }
                }
            }
        }
    }

    /// Appends a batch of what this writer put into it.
    pub fn append(&mut self, store: &dyn Store, batch: &mut Batch) -> Result<Position, Error> {
        let position = store.append(batch)?;
        self.model.node_time = self.model.node_time.max(batch.node_time());
        for tail in self.model.actors.values_mut().filter(|t| t.tail.0 == u64::MAX) {
            tail.tail = position;
        }
        batch.clear();
        Ok(position)
    }

    /// A batch of random changes.
    pub fn random_batch(&mut self, batch: &mut Batch, largest: u64) {
        let now = self.model.node_time.0 + self.random(1000);
        batch.stamp(NodeTime(now), WallTime(now));
        for _ in 0..1 + self.random(2) {
            let actor = actor(self.random(5));
            // An actor is at most once in a batch.
            if self.model.actors.get(&actor).is_some_and(|t| t.tail.0 == u64::MAX) {
                continue;
            }
            let fresh = self.random(40) == 0;
            let (n, body) = (1 + self.random(4), self.random(largest) as usize);
            self.records(batch, &actor, fresh, n, body);
        }
        for _ in 0..self.random(4) {
            let table = Table(1 + self.random(3) as u16);
            let key = self.random(20).to_le_bytes();
            let value = vec![self.random(256) as u8; self.random(60) as usize];
            let keep = self.random(3) > 0;
            self.set(batch, table, &key, keep.then_some(&value[..]));
        }
    }
}

fn actor(n: u64) -> ActorId {
    ActorId::parse(&format!("actor-{n}")).expect("a good id")
}

/// Whether what was opened is what the model says.
pub fn same(opened: &Opened, model: &Model) -> bool {
    opened.actors == model.actors && opened.tables == model.tables && opened.node_time == model.node_time
}

fn check_same(opened: &Opened, model: &Model) {
    assert_eq!(opened.tables, model.tables);
    assert_eq!(opened.actors, model.actors);
    assert_eq!(opened.node_time, model.node_time);
}

/// Every journal, read from its tail, holds what was appended.
pub fn check_journals(opened: &Opened, journals: &Journals) {
    for (actor, tail) in &opened.actors {
        let reader = opened.store.journal(actor, tail.incarnation, tail.tail, Seq(0)).expect("a journal");
        let bytes = reader.read_all().expect("its records");
        let whole = &journals[&(actor.clone(), tail.incarnation)];
        assert!(bytes[..] == whole[..bytes.len()] && bytes.len() as u64 == tail.bytes, "{actor}");
        assert_eq!(records(&bytes).count() as u64, tail.records);
    }
}

/// "The log is a sequence of atomic batches."
fn batches_come_back(subject: &dyn Subject) {
    let mut writer = Writer::new(1);
    let mut batch = Batch::new();
    for round in 0..3 {
        let opened = subject.open().expect("opens");
        check_same(&opened, &writer.model);
        let mut last = Position(0);
        for _ in 0..200 {
            writer.random_batch(&mut batch, 400);
            let position = writer.append(&*opened.store, &mut batch).expect("appends");
            assert!(position > last, "positions grow");
            last = position;
        }
        check_journals(&Opened { actors: writer.model.actors.clone(), ..opened }, &writer.journals);
        if round == 1 {
            // Dropping without closing loses nothing either.
            continue;
        }
    }
    check_same(&subject.open().expect("opens"), &writer.model);
}

/// "The records of one incarnation from `from` on, in order."
fn journals_read_from_anywhere(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let store = &*opened.store;
    let mut writer = Writer::new(2);
    let mut batch = Batch::new();
    let (a, b) = (actor(0), actor(1));
    for i in 0..50 {
        writer.records(&mut batch, &a, i == 20, 3, 10);
        if i % 2 == 0 {
            writer.records(&mut batch, &b, false, 1, 500);
        }
        writer.append(store, &mut batch).expect("appends");
    }
    let tail = writer.model.actors[&a];
    assert_eq!((tail.incarnation, tail.records), (Incarnation(1), 90));
    for from in [0, 1, 2, 3, 44, 45, 46, 89, 90, 1000] {
        let reader = store.journal(&a, tail.incarnation, tail.tail, Seq(from)).expect("a journal");
        let bytes = reader.read_all().expect("its records");
        let seqs: Vec<u64> = records(&bytes).map(|r| r.expect("whole").seq.0).collect();
        assert_eq!(seqs, (from..90).collect::<Vec<_>>(), "from {from}");
    }
    for (wrong, life) in [(&b, Incarnation(7)), (&actor(9), Incarnation(0)), (&a, Incarnation(0)), (&a, Incarnation(2))]
    {
        let got = store.journal(wrong, life, tail.tail, Seq(0));
        assert!(matches!(got, Err(Error::NoBatch { .. })), "{wrong} {life}");
    }
    let beyond = store.journal(&a, tail.incarnation, Position(u64::MAX - 1), Seq(0));
    assert!(matches!(beyond, Err(Error::NoBatch { .. })));
    let between = store.journal(&a, tail.incarnation, Position(tail.tail.0 + 1), Seq(0));
    assert!(matches!(between, Err(Error::NoBatch { .. })));
}

fn a_batch_larger_than_a_segment(subject: &dyn Subject) {
    let mut writer = Writer::new(3);
    let mut batch = Batch::new();
    {
        let opened = subject.open().expect("opens");
        for size in [10, 300_000, 10, 70_000, 65_000, 64_000, 10] {
            writer.records(&mut batch, &actor(0), false, 1, size);
            writer.append(&*opened.store, &mut batch).expect("appends");
        }
        check_journals(&Opened { actors: writer.model.actors.clone(), ..opened }, &writer.journals);
    }
    let opened = subject.open().expect("opens");
    check_same(&opened, &writer.model);
    check_journals(&opened, &writer.journals);
}

/// "After a crash the store holds a prefix of the appended batches, with every durable one in it."
fn what_is_durable_survives(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let mut writer = Writer::new(4);
    let mut batch = Batch::new();
    let mut states = vec![writer.model.clone()];
    let mut durable = 0;
    for i in 0..120 {
        writer.random_batch(&mut batch, 300);
        let position = writer.append(&*opened.store, &mut batch).expect("appends");
        states.push(writer.model.clone());
        // "A batch at `p` was appended exactly when `p < appended()`, and `durable() <= appended()`."
        let end = opened.store.appended();
        assert!(position < end && opened.store.durable() <= end);
        assert!(matches!(wait(opened.store.sync(end)), Err(Error::NoBatch { .. })), "nothing begins there");
        match i % 4 {
            0 => opened.store.flush(position).expect("writes"),
            1 => {
                opened.store.sync_blocking(position).expect("syncs");
                assert!(position < opened.store.durable());
                durable = states.len() - 1;
            }
            _ => (),
        }
        if i % 10 == 3 {
            let cut = subject.after_power_cut();
            let again = cut.open().expect("opens after a power cut");
            let held = states.iter().rposition(|s| same(&again, s)).expect("a prefix of the batches");
            assert!(held >= durable, "holds {held} batches, {durable} were durable");
            check_journals(&again, &writer.journals);
        }
    }
}

/// "Asks at once that the batch at `upto` becomes durable; many requests share one sync."
fn many_wait_for_one_sync(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let store = &opened.store;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut batch = Batch::new();
                batch.put(Table::KEYS, b"k", b"v");
                for _ in 0..50 {
                    let position = store.append(&batch).expect("appends");
                    let dropped = store.sync(position);
                    drop(dropped);
                    wait(store.sync(position)).expect("syncs");
                    assert!(position < store.durable());
                    wait(store.sync(position)).expect("is ready at once");
                }
            });
        }
    });
}

fn a_sync_of_nothing_is_an_error(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let never = Position(u64::MAX - 1);
    assert!(wait(opened.store.sync(never)).is_err());
    assert!(opened.store.sync_blocking(never).is_err());
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", b"v");
    let position = opened.store.append(&batch).expect("still appends");
    wait(opened.store.sync(position)).expect("still syncs");
}

/// "Stores bytes under their digest. They are durable when this returns."
fn blobs_are_kept_by_digest(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let bytes = vec![7; 100_000];
    let digest = opened.store.put_blob(&bytes).expect("stores");
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(opened.store.put_blob(&bytes).expect("stores again"), digest);
    let empty = opened.store.put_blob(b"").expect("stores nothing");
    let cut = subject.after_power_cut();
    let again = cut.open().expect("opens");
    assert_eq!(again.store.blob(&digest).expect("is there"), bytes);
    assert_eq!(again.store.blob(&empty).expect("is there"), b"");
    let other = Digest::of(b"other");
    assert!(matches!(again.store.blob(&other), Err(Error::NoBlob(d)) if d == other));
}

fn one_opener_at_a_time(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    assert!(matches!(subject.open(), Err(Error::Locked { .. })));
    drop(opened);
    subject.open().expect("opens again");
}

/// "How many times the data was opened, this time included."
fn each_opening_is_an_epoch(subject: &dyn Subject) {
    let first = subject.open().expect("opens");
    let (epoch, node) = (first.store.epoch(), first.store.node_id());
    let data = subject.after_power_cut();
    let cut = data.open().expect("opens");
    assert_eq!((cut.store.epoch().0, cut.store.node_id()), (epoch.0 + 1, node));
    drop(first);
    let second = subject.open().expect("opens");
    assert_eq!((second.store.epoch().0, second.store.node_id()), (epoch.0 + 1, node));
    assert_eq!(second.dropped_tail, None);
}

/// "After a close: `append`, `flush` and `sync` fail, and nothing that waited is ever reported durable."
fn a_closed_store_takes_nothing(subject: &dyn Subject) {
    let opened = subject.open().expect("opens");
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", b"v");
    let position = opened.store.append(&batch).expect("appends");
    opened.store.close().expect("closes");
    opened.store.close().expect("closes again");
    assert!(position < opened.store.durable(), "closing syncs");
    assert!(matches!(opened.store.append(&batch), Err(Error::Stopped { .. })));
    let next = opened.store.durable();
    assert!(matches!(opened.store.flush(next), Err(Error::Stopped { .. })));
    assert!(matches!(wait(opened.store.sync(next)), Err(Error::Stopped { .. })));
    assert!(matches!(opened.store.accepting(), Err(Error::Stopped { .. })));
    assert!(matches!(opened.store.put_blob(b"x"), Err(Error::Stopped { .. })));
    // The data is free for the next one while the old handle still lives.
    let again = subject.open().expect("opens");
    assert_eq!(again.tables[&Table::KEYS][&b"k"[..]], b"v");
    assert_eq!(again.dropped_tail, None);
}

/// "Every method may be called from any thread at any time."
fn many_threads_append(subject: &dyn Subject) {
    {
        let opened = subject.open().expect("opens");
        let store = &*opened.store;
        std::thread::scope(|scope| {
            for t in 0..4u64 {
                scope.spawn(move || {
                    let mut writer = Writer::new(t + 10);
                    let mut batch = Batch::new();
                    for i in 0..300u64 {
                        writer.records(&mut batch, &actor(t), false, 2, 100);
                        writer.set(&mut batch, Table(1), &[t as u8, i as u8], Some(&i.to_le_bytes()));
                        let position = writer.append(store, &mut batch).expect("appends");
                        match i % 50 {
                            0 => store.sync_blocking(position).expect("syncs"),
                            1 => store.flush(position).expect("writes"),
                            _ => (),
                        }
                    }
                    let tail = writer.model.actors[&actor(t)];
                    let reader = store.journal(&actor(t), tail.incarnation, tail.tail, Seq(0));
                    let bytes = reader.expect("a journal").read_all().expect("its records");
                    assert!(bytes == writer.journals[&(actor(t), tail.incarnation)]);
                });
            }
        });
    }
    let opened = subject.open().expect("opens");
    assert_eq!(opened.actors.values().map(|t| t.records).sum::<u64>(), 4 * 600);
    assert_eq!(opened.tables[&Table(1)].len(), 4 * 256);
}
