//! Waits: a turn that sleeps or puts its answer off survives a crash in the middle.

use std::time::Duration;

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::node::Outgoing;

use crate::support::{ask, id, node_on, replay, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sleeping_turn_goes_on_after_a_power_cut_and_its_message_is_applied_once() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let sleeper = spec("sleeper", "sleeper");
    node.start(sleeper.clone()).await.unwrap();
    let nap = Outgoing::new("nap", &b"300"[..]).key("nap-1");
    let calling = tokio::spawn({
        let (node, nap) = (node.clone(), nap.clone());
        async move { node.call(&id("sleeper"), nap).await }
    });
    // Its first step is committed when its timer is armed.
    while node.pending_timers() == 0 {
        tokio::task::yield_now().await;
    }
    node.sync().await.unwrap();
    let after = disk.fork();
    after.crash();
    crate::coverage::cut();
    calling.abort();
    drop(node);

    let node = node_on(&after).await;
    let again = node.call(&id("sleeper"), nap).await.unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), "before=1 after=2", "the turn went on; the repeat got its answer");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "2", "it was applied once");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_was_committed_before_the_fault_is_told_to_the_caller() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    let error = ask(&node, "sleeper", "nap-then-trap", "1").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { committed: true, .. }), "{error}");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "0", "guest state is from before the turn");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_before_the_deadline_so_that_the_guest_can_answer() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.deadline = Some(Duration::from_millis(400));
    node.start(counter).await.unwrap();
    let error = ask(&node, "counter", "sleep", "10000").await.unwrap_err();
    assert_eq!(error, CallError::Refused("sleep: timeout".to_owned()));
    assert_eq!(node.actor(&id("counter")).await.unwrap().faults, 0);
    replay(&node, "counter", "counter-rust").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_put_off_comes_in_a_later_turn_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("deferrer", "deferrer")).await.unwrap();
    let waiting = tokio::spawn({
        let node = node.clone();
        async move { ask(&node, "deferrer", "later", "").await }
    });
    while ask(&node, "deferrer", "held", "").await.unwrap() != "1" {}
    ask(&node, "deferrer", "release", "first").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), "first");

    let later = Outgoing::new("later", &b""[..]).key("k");
    let waiting = tokio::spawn({
        let (node, later) = (node.clone(), later.clone());
        async move { node.call(&id("deferrer"), later).await }
    });
    while ask(&node, "deferrer", "held", "").await.unwrap() != "1" {}
    let after = disk.fork();
    after.crash();
    crate::coverage::cut();
    waiting.abort();
    drop(node);
    let node = node_on(&after).await;
    let waiting = tokio::spawn({
        let (node, later) = (node.clone(), later.clone());
        async move { node.call(&id("deferrer"), later).await }
    });
    ask(&node, "deferrer", "release", "second").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), b"second");
    replay(&node, "deferrer", "deferrer").await.unwrap();
    node.close().await.unwrap();
}
