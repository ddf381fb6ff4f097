//! Limits, each at its edge: "Memory and table limits refuse growth with -1 at exactly the limit in force"; "`max-turn-journal` ends a
//! turn with a fault; `max-journal` .. refuse new messages". (Mailbox and payload: mailbox.rs; fuel and deadline: faults.rs.)

use troupe_log::{ByteCount, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, Mode};

use crate::requests::partner;
use crate::support::{ask, begun, id, node_on, replay, sleeping, spec, verified};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_grow_to_exactly_their_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut taken = Vec::new();
    for limit in [100, 101] {
        let name = format!("tables-{limit}");
        let mut tables = spec(&name, "tables");
        tables.limits.tables = limit;
        node.start(tables).await.unwrap();
        let mut grown = 0;
        while ask(&node, &name, "grow", "1").await.unwrap() == format!("ok {grown}") {
            grown += 1;
        }
        assert_eq!(ask(&node, &name, "grow", "1").await.unwrap(), "refused");
        assert_eq!(ask(&node, &name, "grow", "0").await.unwrap(), format!("ok {grown}"), "the actor goes on");
        assert_eq!(node.actor(&id(&name)).await.unwrap().faults, 0, "the guest sees -1");
        replay(&node, &name, "tables").await.unwrap();
        taken.push(grown);
    }
    assert!(taken[0] > 0 && taken[1] == taken[0] + 1, "{taken:?}: one element more, one more grown");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_writes_more_than_max_turn_journal_faults_and_is_undone() {
    let node = node_on(&SimDisk::new()).await;
    let mut faulty = spec("faulty", "faulty");
    faulty.limits.payload = ByteCount::kib(1);
    faulty.limits.max_turn_journal = ByteCount::kib(16);
    node.start(faulty).await.unwrap();
    assert_eq!(ask(&node, "faulty", "log-flood", "10").await.unwrap(), "logged");
    let error = ask(&node, "faulty", "log-flood", "100000").await.unwrap_err();
    let CallError::Faulted { cause, committed: false } = &error else { panic!("{error}") };
    assert!(cause.starts_with("limit: ") && cause.contains("max-turn-journal = 16KiB"), "{cause}");
    let records = node.actor(&id("faulty")).await.unwrap().next.0;
    assert!(records < 1000, "it stopped at the limit, not after {records} records");
    assert_eq!(ask(&node, "faulty", "log-flood", "10").await.unwrap(), "logged", "the limit is a turn's");
    verified(&node, "faulty").await;
    replay(&node, "faulty", "faulty").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_at_max_journal_takes_no_new_messages_and_stays_whole() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.payload = ByteCount::kib(1);
    counter.limits.max_turn_journal = ByteCount::kib(4);
    counter.limits.max_journal = Some(ByteCount::kib(16));
    node.start(counter).await.unwrap();
    node.start(spec("other", "counter-rust")).await.unwrap();
    let mut added = 0;
    let error = loop {
        match ask(&node, "counter", "add", "1").await {
            Ok(total) => added = total.parse::<u64>().unwrap(),
            Err(error) => break error,
        }
        assert!(added < 1000, "16 KiB are long full");
    };
    assert!(added > 10, "{added}");
    assert!(matches!(&error, CallError::Exhausted(text) if text.contains("max-journal = 16KiB")), "{error}");
    assert_eq!(ask(&node, "other", "add", "1").await.unwrap(), "1", "it is that actor's limit");
    verified(&node, "counter").await;
    let summary = replay(&node, "counter", "counter-rust").await.unwrap();
    assert_eq!(summary.turns, 2 + added, "instantiation, init, and what was acknowledged");
    node.stop(&id("counter"), "full").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_puts_off_at_most_outstanding_calls_answers() {
    let node = node_on(&SimDisk::new()).await;
    let mut deferrer = spec("deferrer", "deferrer");
    deferrer.limits.outstanding_calls = 2;
    node.start(deferrer).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(begun(ask(&node, "deferrer", "later", "")).await);
    }
    let error = ask(&node, "deferrer", "later", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(text) if text.contains("outstanding-calls = 2")), "{error}");
    ask(&node, "deferrer", "release", "first").await.unwrap();
    assert_eq!(waiting.remove(0).await.unwrap(), "first");
    let third = begun(ask(&node, "deferrer", "later", "")).await;
    for text in ["second", "third"] {
        ask(&node, "deferrer", "release", text).await.unwrap();
    }
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), "second");
    }
    assert_eq!(third.await.unwrap(), "third", "there was room again");
    replay(&node, "deferrer", "deferrer").await.unwrap();
    node.close().await.unwrap();
}

/// "Bytes that one step may put into its batch": without a journal nothing else bounds what a step sends and arms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_sends_at_most_max_step_bytes() {
    const LARGE: u64 = 30 << 20;
    let node = node_on(&SimDisk::new()).await;
    let large = |name: &str| {
        let mut one = partner(name);
        one.limits.payload = ByteCount::mib(32);
        one.limits.memory = ByteCount::mib(512);
        one.limits.deadline = None;
        one
    };
    node.start(large("busy")).await.unwrap();
    node.start(ActorSpec { journal: Mode::Off, ..large("off") }).await.unwrap();
    // What it is sent stays where it is.
    let napping = begun(ask(&node, "busy", "nap", "3600000")).await;
    sleeping(&node, 1).await;
    let refused = async |message_type: &str, payload: String| match ask(&node, "off", message_type, &payload).await {
        Err(CallError::Refused(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused("send-many", format!("busy|9|{LARGE}")).await,
        "4: resource-exhausted: max-step = 134217728 bytes"
    );
    assert_eq!(node.actor(&id("busy")).await.unwrap().mailbox, 4);
    assert_eq!(refused("after-many", format!("9|{LARGE}")).await, "4: resource-exhausted: max-step = 134217728 bytes");
    assert_eq!(ask(&node, "off", "total", "").await.unwrap(), "0", "the next step has room again");
    drop(napping);
    node.close().await.unwrap();
}
