//! Queues by themselves: what a step took and gave back, limits at their edges, rows read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use troupe_log::batch::{Entry, entries};
use troupe_log::{ActorId, Batch, ByteCount, Incarnation, NodeTime, Seq, WallTime};

use super::*;
use crate::boundary::{Committed, Staging};
use crate::env::{NodeClock, SystemClock};
use crate::service::timers::Timers;
use crate::service::waits::Waits;
use crate::service::{Info, Service};

struct Here {
    waits: Waits,
    timers: Timers,
    ids: AtomicU64,
}

impl Here {
    fn new() -> Here {
        let clock = NodeClock::new(Arc::new(SystemClock::default()), NodeTime(0));
        Here { waits: Waits::new(clock.clone()), timers: Timers::new(clock), ids: AtomicU64::new(1) }
    }

    fn commit(&self, batch: &mut Batch, mut change: Change) {
        change.prepare(batch);
        let committed = Committed { gate: Gate::default(), waits: &self.waits, timers: &self.timers };
        Box::new(change).commit(&committed);
    }
}

impl Party for Here {
    fn now(&self) -> NodeTime {
        NodeTime(0)
    }
    fn wall(&self) -> WallTime {
        WallTime(0)
    }
    fn commit(&self, mut batch: Batch, changes: Vec<Box<dyn Staging>>) -> Result<Gate, troupe_log::Error> {
        for mut change in changes {
            change.prepare(&mut batch);
            change.commit(&Committed { gate: Gate::default(), waits: &self.waits, timers: &self.timers });
        }
        Ok(Gate::default())
    }
    fn info(&self, _: &mut Batch, to: &ActorId, _: Info) -> Result<Box<dyn Staging>, crate::actor::message::CallError> {
        Err(crate::actor::message::CallError::NotFound(to.to_string()))
    }
    fn dead_letter(&self, _: &mut Batch, _: &ActorId, _: Message, _: String) -> Box<dyn Staging> {
        struct Nothing;
        impl Staging for Nothing {
            fn commit(self: Box<Self>, _: &Committed<'_>) {}
        }
        Box::new(Nothing)
    }
    fn stopping(&self, _: &ActorId, _: crate::service::bonds::Stop) -> Option<Box<dyn Staging>> {
        None
    }
    fn message_id(&self) -> MessageId {
        MessageId(u128::from(self.ids.fetch_add(1, Relaxed)))
    }
    fn alive(&self, _: &ActorId) -> bool {
        true
    }
}

fn id(name: &str) -> ActorId {
    ActorId::parse(name).unwrap()
}

fn message(here: &Here, payload: &[u8]) -> Sending {
    let message = QueueMessage {
        id: here.message_id(),
        from: "default/a".into(),
        message_type: "t".into(),
        payload: payload.into(),
        headers: vec![("n".to_owned(), "v".to_owned())],
        expires: Some(NodeTime(1 << 40)),
    };
    Sending { message, delay: 0 }
}

const NOW: NodeTime = NodeTime(1_000);

fn taking<'a>(here: &'a Here, by: &'a ActorId) -> Taking<'a> {
    Taking { by, max: 10, visibility: 1000, now: NOW, party: here }
}

fn wait(actor: &ActorId) -> WaitId {
    WaitId { actor: actor.clone(), incarnation: Incarnation(0), seq: Seq(7) }
}

#[test]
fn every_limit_holds_at_its_edge_and_comes_free_again() {
    let (here, by) = (Here::new(), id("a"));
    let weight = message(&here, b"x").message.weight();
    let settings = Settings {
        max_messages: 3,
        max_bytes: ByteCount(2 * weight),
        max_queues: 2,
        max_all_bytes: ByteCount(3 * weight),
        ..Settings::default()
    };
    let queues = Arc::new(Queues::with(settings));
    let send = |queue: &str, many: usize| {
        let messages = (0..many).map(|_| message(&here, b"x")).collect();
        queues.send(&by, &id(queue), messages, NOW, &mut Batch::new())
    };
    let refused = |queue: &str, many: usize| send(queue, many).err().map(|error| error.to_string());
    assert!(refused("q", 4).unwrap().starts_with("max-messages = 3"));
    assert!(refused("q", 3).unwrap().starts_with("max-bytes = "));
    let two = send("q", 2).unwrap();
    assert!(refused("q", 1).unwrap().starts_with("max-bytes = "), "a place is taken before the commit");
    drop(two);
    let two = send("q", 2).unwrap();
    here.commit(&mut Batch::new(), two);
    assert!(refused("r", 2).unwrap().starts_with("max-all-bytes = "));
    let one = send("r", 1).unwrap();
    drop(one);
    let waiter = |name| Waiter { wait: wait(&id(name)), durable: true, max: 1 };
    let waits = queues.await_turn(&id("w"), &id("r"), waiter("w"), NOW).unwrap();
    here.commit(&mut Batch::new(), waits);
    assert!(queues.await_turn(&id("v"), &id("s"), waiter("v"), NOW).is_err_and(|e| e.to_string() == "max-queues = 2"));
    queues.withdraw(&wait(&id("w")));
    let (change, all) = queues.take(&taking(&here, &by), &id("q"), &mut Batch::new()).unwrap();
    here.commit(&mut Batch::new(), change);
    for delivery in all {
        let receipt = delivery.receipt.to_string();
        let acked = queues.ack(&by, &id("q"), &receipt, NOW, &mut Batch::new()).unwrap();
        here.commit(&mut Batch::new(), acked);
    }
    assert_eq!((queues.list(NOW), queues.state.lock().bytes), (Vec::new(), 0), "nothing is left");
    assert!(send("s", 2).is_ok());
}

/// "Dropped without `commit`, it gives back what it took and forgets what it added": whatever one step did to a message.
#[test]
fn a_chain_of_changes_of_one_step_is_undone_whole_in_any_order_of_drops() {
    let (here, by, name) = (Here::new(), id("a"), id("q"));
    for first_dropped in 0..4 {
        let queues = Arc::new(Queues::default());
        let mut batch = Batch::new();
        let sent = queues.send(&id("b"), &name, vec![message(&here, b"1"), message(&here, b"2")], NOW, &mut batch);
        here.commit(&mut batch, sent.unwrap());
        let before = queues.list(NOW);
        let sent = queues.send(&by, &name, vec![message(&here, b"3")], NOW, &mut batch).unwrap();
        let (taken, deliveries) = queues.take(&taking(&here, &by), &name, &mut batch).unwrap();
        assert_eq!(deliveries.len(), 3, "its own too");
        let receipt = deliveries[0].receipt.to_string();
        assert!(queues.ack(&id("b"), &name, &receipt, NOW, &mut batch).is_err(), "not committed");
        let back = queues.extend(&by, &name, &receipt, 0, NOW, &mut batch).unwrap();
        let acked = queues.ack(&by, &name, &deliveries[2].receipt.to_string(), NOW, &mut batch).unwrap();
        assert_eq!((queues.depth(&by, &name).0, queues.depth(&id("b"), &name).0), (2, 2));
        let mut steps = vec![sent, taken, back, acked];
        drop(steps.remove(first_dropped));
        drop(steps);
        assert_eq!(queues.list(NOW), before);
        let (again, deliveries) = queues.take(&taking(&here, &id("b")), &name, &mut batch).unwrap();
        let payloads: Vec<&[u8]> = deliveries.iter().map(|it| &*it.message.payload).collect();
        assert_eq!(payloads, [b"1", b"2"], "in their old order");
        assert!(deliveries.iter().all(|it| it.attempt == 2), "the undone deliveries count");
        drop(again);
    }
}

/// The puts that are left of a batch, by key.
fn rows(batch: &Batch) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    for entry in entries(batch.bytes()) {
        match entry.unwrap() {
            Entry::Put { table: Table::QUEUES, key, value } => drop(rows.insert(key.to_vec(), value.to_vec())),
            Entry::Delete { key, .. } => drop(rows.remove(key)),
            _ => {}
        }
    }
    rows
}

#[test]
fn rows_bring_every_message_back_as_it_stood_and_a_completion_what_it_names() {
    let (here, by, name) = (Here::new(), id("a"), id("ns/q"));
    let queues = Arc::new(Queues::default());
    let mut batch = Batch::new();
    let sent = queues.send(&by, &name, (0..4u8).map(|n| message(&here, &[n])).collect(), NOW, &mut batch).unwrap();
    here.commit(&mut batch, sent);
    let (taken, deliveries) = queues.take(&Taking { max: 2, ..taking(&here, &by) }, &name, &mut batch).unwrap();
    here.commit(&mut batch, taken);
    let acked = queues.ack(&by, &name, &deliveries[0].receipt.to_string(), NOW, &mut batch).unwrap();
    here.commit(&mut batch, acked);
    // One waits, and is given the third.
    let waits =
        queues.await_turn(&id("w"), &name, Waiter { wait: wait(&id("w")), durable: true, max: 1 }, NOW).unwrap();
    let mut served = Batch::new();
    here.commit(&mut served, waits);
    let completion = match entries(served.bytes()).next().unwrap().unwrap() {
        Entry::Put { table: Table::COMPLETIONS, value, .. } => value.to_vec(),
        other => panic!("{other:?}"),
    };

    let restored = Arc::new(Queues::default());
    for (key, value) in rows(&batch) {
        assert!(restored.restore(&key, &value));
        for cut in 0..value.len() {
            assert!(!Arc::new(Queues::default()).restore(&key, &value[..cut]));
        }
        assert!(!restored.restore(&key[1..key.len() - 1], &value));
    }
    for cut in 0..completion.len() {
        assert!(!restored.hold(&wait(&id("w")), &completion[..cut]));
    }
    assert!(restored.hold(&wait(&id("w")), &completion));
    assert!(!restored.hold(&wait(&id("v")), &completion), "it is the first one's");
    let mut step = Batch::new();
    let (change, fourth) = restored.take(&taking(&here, &by), &name, &mut step).unwrap();
    assert_eq!(fourth.iter().map(|it| it.message.payload[0]).collect::<Vec<_>>(), [3]);
    drop(change);
    let (change, third) = restored.take_held(&taking(&here, &id("w")), &wait(&id("w")), &mut step).unwrap();
    assert_eq!((third[0].message.payload[0], third[0].attempt), (2, 1));
    assert_eq!(third[0].message.headers, [("n".to_owned(), "v".to_owned())]);
    here.commit(&mut step, change);
    let second = deliveries[1].receipt.to_string();
    assert!(restored.ack(&by, &name, &second, NOW, &mut step).is_ok(), "the receipt from before");
    assert_eq!(restored.state.lock().bytes, 3 * third[0].message.weight());
}

#[test]
fn a_receipt_reads_back_and_nothing_else_does() {
    let receipt = Receipt { message: 7, delivery: u128::MAX };
    let text = receipt.to_string();
    assert_eq!(Receipt::parse(&text), Some(receipt));
    for bad in [
        "",
        "-",
        &text[1..],
        &text.to_uppercase(),
        &format!("{text}0"),
        &text.replace('-', "+"),
        &text.replace("7-f", "--f"),
    ] {
        assert_eq!(Receipt::parse(bad), None, "{bad}");
    }
}
