//! "A difference during recovery, or three starts in which an actor's resumption did not end, quarantines it: inbox kept, calls
//! answered `unavailable`, its journal untouched; an operator chooses retry, roll back to a base, fresh, or stop."

use std::path::Path;
use std::sync::Arc;

use troupe_log::{Batch, Kind, Options, Seq, SimDisk, Step};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::support::{ask, begun, cache, count, id, node_on, options, power_cut, replay, sleeping, spec, verified};

async fn node_with(disk: &SimDisk, cache: &Path) -> Node {
    let options = NodeOptions {
        disk: Some(Arc::new(disk.clone())),
        live: 8,
        cache: Some(cache.to_owned()),
        ..NodeOptions::default()
    };
    Node::open(options).await.unwrap()
}

/// The one compiled component in a folder, and its sum.
fn compiled(cache: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let files = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let code = files.filter(|path| path.extension().is_some_and(|end| end == "cwasm")).collect::<Vec<_>>();
    assert_eq!(code.len(), 1);
    (code[0].clone(), code[0].with_extension("b3"))
}

async fn unavailable(node: &Node, actor: &str, why: &str) {
    let error = ask(node, actor, "get", "").await.unwrap_err();
    let CallError::Unavailable(text) = &error else { panic!("{error}") };
    assert!(text.starts_with(&format!("default/{actor} is quarantined: ")) && text.contains(why), "{text}");
    let info = node.actor(&id(actor)).await.unwrap();
    assert_eq!(info.status, "quarantined");
    assert!(info.reason.unwrap().contains(why));
    let error = node.cast(&id(actor), Outgoing::new("add", &b"1"[..])).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error}");
}

/// The compiled code of the component is exchanged for that of another one, as an engine at fault would do. The journal has
/// nothing to do with it, and is good again once the code is. On one thread, so that both messages are accepted before the
/// actor comes back.
#[tokio::test]
async fn an_actor_that_does_something_else_than_its_journal_is_quarantined_and_loses_nothing() {
    let (right, wrong) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = SimDisk::new();
    let node = node_with(&disk, right.path()).await;
    let counter = spec("counter", "counter-rust");
    node.start(counter.clone()).await.unwrap();
    assert_eq!(ask(&node, "counter", "add", "5").await.unwrap(), "5");
    let before = node.actor(&id("counter")).await.unwrap();
    let disk = power_cut(node, &disk);
    let other = node_with(&SimDisk::new(), wrong.path()).await;
    other.load(&std::fs::read(crate::support::guest("bench")).unwrap()).await.unwrap();
    other.close().await.unwrap();
    let (code, sum) = compiled(right.path());
    let (wrong_code, wrong_sum) = compiled(wrong.path());
    let good = (std::fs::read(&code).unwrap(), std::fs::read(&sum).unwrap());
    std::fs::copy(wrong_code, &code).unwrap();
    std::fs::copy(wrong_sum, &sum).unwrap();

    let node = node_with(&disk, right.path()).await;
    let inbox = node.offer(&id("counter"), Outgoing::new("add", &b"2"[..])).unwrap();
    let keyed = Outgoing::new("add", &b"4"[..]).key("k");
    let error = node.call(&id("counter"), keyed.clone()).await.unwrap_err();
    assert!(matches!(&error, CallError::Unavailable(_)), "{error}");
    inbox.durable().await.unwrap();
    unavailable(&node, "counter", "replay differs at record ").await;
    let error = node.start(counter.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Quarantined { .. }), "{error}");
    // With the right code there again nothing but an operator brings it back.
    std::fs::write(&code, &good.0).unwrap();
    std::fs::write(&sum, &good.1).unwrap();
    node.snapshot(&id("counter")).unwrap();
    unavailable(&node, "counter", "replay differs at record ").await;
    let now = node.actor(&id("counter")).await.unwrap();
    assert_eq!((now.next, now.head), (before.next, before.head), "its journal is untouched");
    assert_eq!(now.mailbox, 2, "its inbox is kept");
    verified(&node, "counter").await;
    let disk = power_cut(node, &disk);

    let node = node_with(&disk, right.path()).await;
    assert_eq!(node.call(&id("counter"), keyed).await.unwrap(), b"11", "5, and 2 and 4 from the inbox, once each");
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "11");
    replay(&node, "counter", "counter-rust").await.unwrap();
    node.close().await.unwrap();
}

/// A disk on which an actor sleeps in a turn, with a cast and a call in its inbox.
async fn sleeps() -> SimDisk {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    ask(&node, "sleeper", "nap", "1").await.unwrap();
    let sleeper = id("sleeper");
    let napping = begun(node.call(&sleeper, Outgoing::new("nap", &b"400"[..]).key("nap"))).await;
    sleeping(&node, 1).await;
    node.cast(&sleeper, Outgoing::new("nap", &b"1"[..])).await.unwrap();
    drop(napping);
    power_cut(node, &disk)
}

/// Adds what so many starts leave in the journal that end while they resume the turn.
fn failed_starts(disk: &SimDisk, starts: u64) {
    let opened = troupe_log::open(Arc::new(disk.clone()), &Options::simulated([3; 32])).unwrap();
    let mut tail = opened.actors[&id("sleeper")];
    for start in 0..starts {
        let mut step = Step::new(troupe_log::Chain { next: tail.next, head: tail.head });
        step.record(Kind::Resume, |out| {
            out.extend_from_slice(&(100 + start).to_le_bytes());
            out.push(0);
        });
        let mut batch = Batch::new();
        batch.records(&id("sleeper"), tail.incarnation, Some(tail.tail), &step);
        tail.tail = opened.store.append(&batch).unwrap();
        (tail.next, tail.head) = (step.chain().next, step.chain().head);
    }
    opened.store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_starts_that_did_not_end_the_resumption_an_actor_is_quarantined() {
    let nap = || Outgoing::new("nap", &b"400"[..]).key("nap");
    let resumed = sleeps().await;
    failed_starts(&resumed, 2);
    let node = node_on(&resumed).await;
    assert_eq!(node.call(&id("sleeper"), nap()).await.unwrap(), b"before=3 after=4", "the third start may try");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "6");
    verified(&node, "sleeper").await;
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();

    let disk = sleeps().await;
    failed_starts(&disk, 3);
    let node = node_on(&disk).await;
    while node.actor(&id("sleeper")).await.unwrap().status != "quarantined" {
        tokio::task::yield_now().await;
    }
    unavailable(&node, "sleeper", "3 starts did not end the resumption of the turn at record ").await;
    let error = node.call(&id("sleeper"), nap()).await.unwrap_err();
    assert!(matches!(error, CallError::Unavailable(_)), "{error}");
    assert_eq!(count(&node, "sleeper", Kind::Resume).await, 3, "its journal is untouched");
    assert_eq!(node.actor(&id("sleeper")).await.unwrap().mailbox, 1);
    verified(&node, "sleeper").await;
    // Also at the next start.
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    while node.actor(&id("sleeper")).await.unwrap().status != "quarantined" {
        tokio::task::yield_now().await;
    }

    let started = node.start_fresh(spec("sleeper", "sleeper")).await.unwrap();
    assert_eq!((started.incarnation.0, started.resumed), (1, false));
    assert_eq!(
        ask(&node, "sleeper", "count", "").await.unwrap(),
        "2",
        "from init, with the cast that was in the inbox"
    );
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "2");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

/// How many resumptions at the end of the sleeper's journal came to nothing.
fn failed(disk: &SimDisk) -> usize {
    let opened = troupe_log::open(Arc::new(disk.fork()), &Options::simulated([3; 32])).unwrap();
    let tail = opened.actors[&id("sleeper")];
    let journal =
        opened.store.journal(&id("sleeper"), tail.incarnation, tail.tail, Seq(0)).unwrap().read_all().unwrap();
    let records: Vec<_> = troupe_log::record::records(&journal).map(Result::unwrap).collect();
    records.iter().rev().take_while(|record| record.kind == Kind::Resume && record.body[8] == 0).count()
}

/// The power goes in each of three starts, right when the node has noted that it resumes the turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_ends_the_node_while_it_resumes_a_turn_is_counted() {
    let mut disk = sleeps().await;
    for starts in 1..=3 {
        for operations in 0.. {
            assert!(operations < 100, "start {starts} is never noted before it runs");
            let cut = disk.fork();
            cut.cut_after(operations);
            let Ok(node) = Node::open(options(&cut)).await else { continue };
            // It is answered, or told that the node has ended: what was to be written is, or never will be.
            let _ = node.call(&id("sleeper"), Outgoing::new("nap", &b"400"[..]).key("nap")).await;
            let cut = power_cut(node, &cut);
            if failed(&cut) == starts {
                disk = cut;
                break;
            }
        }
    }
    let node = node_on(&disk).await;
    while node.actor(&id("sleeper")).await.unwrap().status != "quarantined" {
        tokio::task::yield_now().await;
    }
    unavailable(&node, "sleeper", "3 starts did not end the resumption of the turn at record ").await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_actor_can_be_stopped_for_good() {
    let disk = sleeps().await;
    failed_starts(&disk, 3);
    let node = node_on(&disk).await;
    node.stop(&id("sleeper"), "given up").await.unwrap();
    let cache = cache();
    let node = node_with(&power_cut(node, &disk), &cache).await;
    let info = node.actor(&id("sleeper")).await.unwrap();
    assert_eq!((info.status, info.reason.as_deref(), info.mailbox), ("stopped", Some("given up"), 0));
    assert_eq!(
        ask(&node, "sleeper", "count", "").await.unwrap_err(),
        CallError::NotFound("default/sleeper".to_owned())
    );
    assert_eq!(count(&node, "sleeper", Kind::Resume).await, 3);
    assert_eq!(node.start(spec("sleeper", "sleeper")).await.unwrap().incarnation.0, 1);
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "0", "the inbox went to the dead letters");
    node.close().await.unwrap();
}
