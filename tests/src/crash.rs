//! "After a crash the store holds a prefix of the committed batches, with every durable one in it": a run of mixed work over several
//! actors is cut at every operation of a simulated disk. The client keeps its own list of what was acknowledged; what it does
//! not know of it repeats under the same key. Each acknowledged message is there exactly once, no turn is there in part, and
//! every journal is whole and replays.

use std::collections::BTreeMap;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging};
use troupe_runtime::node::{Node, Outgoing};
use troupe_runtime::replay::{Replay, ReplayCode};

use crate::support::{ask, cache, count, guest, id, journal, node_on, options, spec, verified};

/// The actors, and the guest that each is.
const ACTORS: [(&str, &str); 5] = [
    ("counter", "counter-rust"),
    ("notes", "generic"),
    ("sleeper", "sleeper"),
    ("sender", "sender"),
    ("saver", "saver"),
];

fn actor(name: &str, guest_name: &str) -> ActorSpec {
    let mut spec = spec(name, guest_name);
    spec.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("notes").unwrap()] });
    // A base every few messages.
    spec.snapshots.max_replay = 9;
    spec.supervision.max_restarts = 1000;
    spec
}

/// One thing that the client does; its number is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// A call that adds 2 to the power of the number to the counter.
    Add,
    /// A cast with the number to the notes.
    Note,
    /// A turn of two steps.
    Nap,
    /// A call on which the sender sends the number on to the notes.
    Relay,
    /// A call on which the sender sends the number on, and faults.
    RelayThenTrap,
    /// A call that adds 1 to the saver.
    Save,
    /// A turn that faults behind a committed step.
    NapThenTrap,
}

const SCRIPT: [Op; 26] = [
    Op::Add,
    Op::Note,
    Op::Nap,
    Op::Save,
    Op::Relay,
    Op::Save,
    Op::RelayThenTrap,
    Op::Add,
    Op::Note,
    Op::Save,
    Op::Nap,
    Op::Relay,
    Op::NapThenTrap,
    Op::Save,
    Op::Note,
    Op::Add,
    Op::Save,
    Op::Relay,
    Op::Note,
    Op::Save,
    Op::Nap,
    Op::Save,
    Op::Add,
    Op::Relay,
    Op::Save,
    Op::Note,
];

/// What the client knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It was acknowledged, or its one answer was given.
    Done,
    /// The node was gone before the client heard of it.
    InDoubt,
}

async fn act(node: &Node, op: Op, n: usize) -> Result<(), CallError> {
    let (to, message_type, payload) = match op {
        Op::Add => ("counter", "add", (1_u64 << n).to_string()),
        Op::Note => ("notes", "note", n.to_string()),
        Op::Nap => ("sleeper", "nap", "1".to_owned()),
        Op::NapThenTrap => ("sleeper", "nap-then-trap", "1".to_owned()),
        Op::Relay => ("sender", "relay", format!("notes|note|{n}")),
        Op::RelayThenTrap => ("sender", "relay-then-trap", format!("notes|note|{n}")),
        Op::Save => ("saver", "add", "1".to_owned()),
    };
    let message = Outgoing::new(message_type, payload.into_bytes()).key(n.to_string());
    if op == Op::Note {
        return node.cast(&id(to), message).await.map(drop);
    }
    match node.call(&id(to), message).await {
        Ok(_) => Ok(()),
        Err(CallError::Faulted { committed, .. }) => {
            assert!(matches!(op, Op::RelayThenTrap | Op::NapThenTrap), "{op:?} faulted");
            assert_eq!(committed, op == Op::NapThenTrap);
            Ok(())
        }
        Err(error @ CallError::Unavailable(_)) => Err(error),
        Err(error) => panic!("{op:?} {n}: {error}"),
    }
}

/// The client's part on a node whose disk may be cut at any time: what it knows of each operation that it began.
async fn run(node: &Node, script: &[(usize, Op)]) -> BTreeMap<usize, Known> {
    let mut known = BTreeMap::new();
    for (n, op) in script {
        known.insert(*n, Known::InDoubt);
        if act(node, *op, *n).await.is_err() {
            break;
        }
        known.insert(*n, Known::Done);
    }
    known
}

/// Takes the node up after the cut, repeats what is in doubt, and checks everything. `codes` are the guests' components.
async fn check(
    disk: &SimDisk,
    known: &BTreeMap<usize, Known>,
    codes: &BTreeMap<&str, ReplayCode>,
    when: &str,
) -> usize {
    let node = node_on(disk).await;
    for (n, what) in known {
        // A cast has no key: repeating it would be a second message.
        if *what == Known::InDoubt && SCRIPT[*n] != Op::Note {
            act(&node, SCRIPT[*n], *n).await.unwrap_or_else(|error| panic!("{when}: {n}: {error}"));
        }
    }
    let of = |op: Op| known.keys().copied().filter(move |n| SCRIPT[*n] == op);
    let total: u64 = of(Op::Add).map(|n| 1 << n).sum();
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), total.to_string(), "{when}: each call once");
    assert_eq!(
        ask(&node, "saver", "get", "").await.unwrap(),
        of(Op::Save).count().to_string(),
        "{when}: each call once"
    );
    let naps = of(Op::Nap).count();
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), (2 * naps).to_string(), "{when}: whole turns only");

    let seen = ask(&node, "notes", "seen", "").await.unwrap();
    let mut notes: BTreeMap<usize, usize> = BTreeMap::new();
    for line in seen.lines() {
        *notes.entry(line.rsplit_once("payload=").unwrap().1.parse().unwrap()).or_default() += 1;
    }
    for (n, what) in known {
        let times = notes.remove(n).unwrap_or(0);
        let right = match (SCRIPT[*n], what) {
            (Op::Note, Known::Done) | (Op::Relay, _) => times == 1,
            (Op::Note, Known::InDoubt) => times <= 1,
            _ => times == 0,
        };
        assert!(right, "{when}: {:?} {n}, {what:?}, is there {times} times", SCRIPT[*n]);
    }
    assert!(notes.is_empty(), "{when}: nobody sent {notes:?}");

    let mut resumed = 0;
    for (name, guest_name) in ACTORS {
        verified(&node, name).await;
        resumed += count(&node, name, Kind::Resume).await;
        loop {
            let before = node.actor(&id(name)).await.unwrap().next.0;
            let mut replay = Replay::new(codes[guest_name].clone(), journal(&node, name).await).unwrap();
            while replay.next_turn().await.unwrap_or_else(|error| panic!("{when}: {name}: {error}")).is_some() {}
            // A base may have been made meanwhile: then what was replayed is no longer all.
            if before == node.actor(&id(name)).await.unwrap().next.0 {
                assert_eq!(replay.summary().records, before, "{when}: {name}");
                break;
            }
        }
    }
    node.close().await.unwrap();
    resumed
}

/// A disk with all actors on it, none with a message yet; and their components, compiled for replay.
async fn prepared() -> (SimDisk, BTreeMap<&'static str, ReplayCode>) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut codes = BTreeMap::new();
    for (name, guest_name) in ACTORS {
        node.start(actor(name, guest_name)).await.unwrap();
        let bytes = std::fs::read(guest(guest_name)).unwrap();
        codes.insert(guest_name, ReplayCode::compile_cached(&bytes, &cache()).unwrap());
    }
    node.close().await.unwrap();
    (disk, codes)
}

/// What of the unsynced writes is on the disk after the cut.
fn cut(disk: &SimDisk, kind: u64) -> (SimDisk, &'static str) {
    let after = disk.fork();
    let name = match kind % 3 {
        0 => {
            after.crash();
            "nothing unsynced is left"
        }
        1 => {
            after.crash_keeping(true, |write| 0..write.len);
            "all of it is left"
        }
        _ => {
            after
                .crash_keeping(true, |write| if write.index + 1 == write.of { 0..write.len / 2 } else { 0..write.len });
            "the last write is torn"
        }
    };
    (after, name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_of_the_disk_no_acknowledged_message_is_lost_or_applied_twice() {
    let (fresh, codes) = prepared().await;
    let script: Vec<_> = SCRIPT.into_iter().enumerate().collect();
    let mut resumed = 0;
    for operations in 0.. {
        assert!(operations < 1000, "the run never ends");
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations);
        // What is committed becomes durable now and then, also in the middle of a turn; how often decides nothing.
        let syncing = tokio::spawn({
            let node = node.clone();
            async move {
                while node.sync().await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
            }
        });
        let known = run(&node, &script).await;
        syncing.abort();
        let whole = known.len() == SCRIPT.len() && known.values().all(|what| *what == Known::Done);
        drop(node);
        for kind in 0..3 {
            let (after, kind) = cut(&disk, kind);
            let when = format!("cut after {operations}, {kind}");
            resumed += check(&after, &known, &codes, &when).await;
        }
        if whole {
            break;
        }
    }
    assert!(resumed > 0, "no cut was inside a turn of two steps");
}

/// Four clients at the same time, so that batches of several actors share a sync; and power cuts while the node comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_at_the_same_time_and_cuts_in_the_middle_of_recovery() {
    let (fresh, codes) = prepared().await;
    let mut second = 0;
    for operations in (0..).step_by(3) {
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations);
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let node = node.clone();
                let script: Vec<_> = SCRIPT.into_iter().enumerate().filter(|(n, _)| n % 4 == client).collect();
                tokio::spawn(async move { run(&node, &script).await })
            })
            .collect();
        let mut known = BTreeMap::new();
        for client in clients {
            known.extend(client.await.unwrap());
        }
        let whole = known.len() == SCRIPT.len() && known.values().all(|what| *what == Known::Done);
        drop(node);
        let (disk, kind) = cut(&disk, operations / 3);
        // While it takes its open turns and inboxes up again the power goes once more.
        second = (second + 5) % 23;
        disk.cut_after(second);
        if let Ok(node) = Node::open(options(&disk)).await {
            // Its answer does not matter: it may be cut at any moment.
            let _ = ask(&node, "sleeper", "count", "").await;
            let _ = ask(&node, "saver", "get", "").await;
        }
        let (disk, again) = cut(&disk, operations / 9);
        check(&disk, &known, &codes, &format!("cut after {operations}, {kind}; after {second}, {again}")).await;
        if whole {
            return;
        }
        assert!(operations < 1000, "the run never ends");
    }
}
