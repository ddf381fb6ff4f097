//! Modes: "`durable`: all above. `buffered`: outputs wait for the write, not the sync (survives a killed process; a power cut loses
//! at most 1 s, never out of order). `off`: no journal, no resume, inbox in memory, at most once." In every mode `seen` is obeyed.

use std::time::Duration;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging, Mode};
use troupe_runtime::node::Outgoing;

use crate::support::{ask, count, id, node_on, power_cut, replay, spec, verified};

fn counter(mode: Mode) -> ActorSpec {
    let mut counter = spec("counter", "counter-rust");
    counter.journal = mode;
    counter
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buffered_actor_survives_a_killed_process_and_a_power_cut_leaves_a_prefix() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(counter(Mode::Buffered)).await.unwrap();
    node.sync().await.unwrap();
    let syncs = disk.syncs();
    for n in 0..40 {
        ask(&node, "counter", "add", &(1_u64 << n).to_string()).await.unwrap();
    }
    node.cast(&id("counter"), Outgoing::new("add", &b"1099511627776"[..])).await.unwrap();
    assert!(disk.syncs() - syncs < 10, "no answer waits for a sync");
    let killed = disk.fork();
    killed.crash_keeping(true, |write| 0..write.len);
    crate::coverage::cut();
    let cut = disk.fork();
    cut.crash();
    crate::coverage::cut();

    let after = node_on(&killed).await;
    assert_eq!(ask(&after, "counter", "get", "").await.unwrap(), ((1_u64 << 41) - 1).to_string(), "killed");
    verified(&after, "counter").await;
    replay(&after, "counter", "counter-rust").await.unwrap();
    after.close().await.unwrap();

    let after = node_on(&cut).await;
    let total: u64 = ask(&after, "counter", "get", "").await.unwrap().parse().unwrap();
    assert!((total + 1).is_power_of_two(), "never out of order: {total:b}");
    verified(&after, "counter").await;
    replay(&after, "counter", "counter-rust").await.unwrap();
    after.close().await.unwrap();

    // Nobody asks for it, and it is synced all the same.
    let all = ((1_u64 << 41) - 1).to_string();
    let synced = async {
        loop {
            let cut = disk.fork();
            cut.crash();
            crate::coverage::cut();
            let after = node_on(&cut).await;
            let total = ask(&after, "counter", "get", "").await.unwrap();
            after.close().await.unwrap();
            if total == all {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), synced).await.expect("half a second and a little");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_without_a_journal_is_gone_after_the_node_and_leaves_nothing() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(counter(Mode::Off)).await.unwrap();
    assert_eq!(ask(&node, "counter", "add", "5").await.unwrap(), "5");
    assert_eq!(ask(&node, "counter", "sleep", "1").await.unwrap(), "slept");
    let error = ask(&node, "counter", "trap", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { .. }), "{error}");
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "0", "nothing brings it back but its init");
    let error = node.journal(&id("counter")).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid { what } if what.contains("journal = \"off\"")), "{error}");
    node.close().await.unwrap();

    let node = node_on(&disk).await;
    assert!(node.list().await.unwrap().is_empty());
    assert!(!node.start(counter(Mode::Off)).await.unwrap().resumed);
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "0");
    node.stop(&id("counter"), "done").await.unwrap();
    assert!(node.list().await.unwrap().is_empty());
    node.close().await.unwrap();
}

/// "An output waits until the log is durable up to its step's batch and up to `seen`: the highest position of a durable actor's
/// batch that the step depends on, carried by every message, in every mode."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_actor_shows_of_a_durable_one_survives_a_power_cut() {
    for mode in [Mode::Off, Mode::Buffered] {
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        let mut notes = spec("notes", "generic");
        notes.journal = mode;
        node.start(notes).await.unwrap();
        let mut sender = spec("sender", "sender");
        sender.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("notes").unwrap()] });
        node.start(sender).await.unwrap();
        let before = count(&node, "sender", Kind::TurnEnd).await;
        // Nobody waits for the sender's disk.
        node.offer(&id("sender"), Outgoing::new("relay", &b"notes|note|x"[..])).unwrap();
        while ask(&node, "notes", "seen", "").await.unwrap().is_empty() {}
        let node = node_on(&power_cut(node, &disk)).await;
        assert_eq!(count(&node, "sender", Kind::TurnEnd).await, before + 1, "{mode}: what was shown has happened");
        node.close().await.unwrap();
    }
}

/// A wait ends the step, also where nothing is recorded of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_journal_what_was_sent_arrives_while_its_sender_waits() {
    let node = node_on(&SimDisk::new()).await;
    node.start(counter(Mode::Durable)).await.unwrap();
    let mut probe = spec("probe", "probe");
    probe.journal = Mode::Off;
    probe.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("counter").unwrap()] });
    node.start(probe).await.unwrap();
    let asker = node.clone();
    let asked = tokio::spawn(async move { ask(&asker, "probe", "messaging#send-then-block", "counter|add|5").await });
    while ask(&node, "counter", "get", "").await.unwrap() != "5" {
        assert!(!asked.is_finished());
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished());
}
