//! "At the limit of live instances idle actors are evicted (recovery brings them back), and only a node whose actors are all busy
//! refuses."

use std::sync::Arc;
use std::time::Duration;

use troupe_log::SimDisk;
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::Mode;
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::processes::parent;
use crate::support::{ask, begun, cache, id, node_on, power_cut, replay, sleeping, spec};

async fn small(disk: &SimDisk, live: u32) -> Node {
    let options =
        NodeOptions { disk: Some(Arc::new(disk.clone())), live, cache: Some(cache()), ..NodeOptions::default() };
    Node::open(options).await.unwrap()
}

async fn live(node: &Node) -> usize {
    node.list().await.unwrap().iter().filter(|actor| actor.status == "live").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_actors_share_three_instances_and_all_keep_their_state() {
    let node = small(&SimDisk::new(), 3).await;
    for n in 0..10 {
        node.start(spec(&format!("counter-{n}"), "counter-rust")).await.unwrap();
    }
    for round in 1..=3 {
        for n in 0..10 {
            let total = ask(&node, &format!("counter-{n}"), "add", &n.to_string()).await.unwrap();
            assert_eq!(total, (round * n).to_string());
        }
    }
    // Who was evicted last may still be on its way out.
    while live(&node).await > 3 {
        tokio::task::yield_now().await;
    }
    for n in 0..10 {
        replay(&node, &format!("counter-{n}"), "counter-rust").await.unwrap();
    }
    node.close().await.unwrap();
}

/// Who has just answered is idle: nobody is refused for its sake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_is_enough_for_actors_in_turn() {
    let node = small(&SimDisk::new(), 1).await;
    for n in 0..5 {
        node.start(spec(&format!("counter-{n}"), "counter-rust")).await.unwrap();
    }
    for round in 1..=20 {
        for n in 0..5 {
            let name = format!("counter-{n}");
            assert_eq!(ask(&node, &name, "add", "1").await.unwrap(), round.to_string());
            if n == 0 {
                ask(&node, &name, "what", "").await.unwrap_err();
            }
        }
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_node_whose_actors_are_all_busy_refuses() {
    let node = small(&SimDisk::new(), 3).await;
    for n in 0..4 {
        node.start(spec(&format!("sleeper-{n}"), "sleeper")).await.unwrap();
    }
    let mut naps = Vec::new();
    for n in 0..3 {
        let node = &node;
        naps.push(begun(async move { ask(node, &format!("sleeper-{n}"), "nap", "200").await }).await);
    }
    sleeping(&node, 3).await;
    let busy = "all 3 live actors are busy; try again later, or allow more";
    assert_eq!(ask(&node, "sleeper-3", "nap", "1").await, Err(CallError::Exhausted(busy.to_owned())));
    let error = node.start(spec("another", "sleeper")).await.unwrap_err();
    assert!(matches!(error, Error::AllBusy { live: 3 }), "{error}");
    assert_eq!(ask(&node, "sleeper-0", "count", "").await.unwrap(), "2", "one with an instance waits for its turn");
    for nap in naps {
        assert_eq!(nap.await.unwrap(), "before=1 after=2");
    }
    assert_eq!(ask(&node, "sleeper-3", "nap", "1").await.unwrap(), "before=1 after=2");
    node.start(spec("another", "sleeper")).await.unwrap();
    node.close().await.unwrap();
}

/// On one thread, so that both are accepted before either has its instance.
#[tokio::test]
async fn an_actor_that_waits_for_an_instance_gets_that_of_the_first_that_falls_idle() {
    let node = small(&SimDisk::new(), 1).await;
    for name in ["one", "two"] {
        node.start(spec(name, "sleeper")).await.unwrap();
    }
    node.evict(&id("two")).unwrap();
    while live(&node).await > 0 {
        tokio::task::yield_now().await;
    }
    let both = async { tokio::join!(ask(&node, "one", "nap", "20"), ask(&node, "two", "nap", "20")) };
    let (one, two) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("both get an instance in turn");
    assert_eq!((one.unwrap().as_str(), two.unwrap().as_str()), ("before=1 after=2", "before=1 after=2"));
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_open_turns_than_instances_are_all_resumed_at_the_start_of_a_node() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let nap = || Outgoing::new("nap", &b"100"[..]).key("nap");
    let names: Vec<_> = (0..5).map(|n| id(&format!("sleeper-{n}"))).collect();
    let mut naps = Vec::new();
    for name in &names {
        node.start(spec(name.name(), "sleeper")).await.unwrap();
        naps.push(begun(node.call(name, nap())).await);
    }
    sleeping(&node, 5).await;
    node.sync().await.unwrap();
    drop(naps);
    let disk = power_cut(node, &disk);

    let node = small(&disk, 2).await;
    for name in &names {
        let answer = tokio::time::timeout(Duration::from_secs(20), node.call(name, nap())).await;
        assert_eq!(answer.expect("each is resumed").unwrap(), b"before=1 after=2");
        replay(&node, name.name(), "sleeper").await.unwrap();
    }
    node.close().await.unwrap();
}

/// "`off`: no journal, no resume": nothing would bring it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_without_a_journal_is_not_evicted() {
    let node = small(&SimDisk::new(), 2).await;
    let mut kept = spec("kept", "counter-rust");
    kept.journal = Mode::Off;
    node.start(kept.clone()).await.unwrap();
    ask(&node, "kept", "add", "5").await.unwrap();
    for n in 0..4 {
        node.start(spec(&format!("counter-{n}"), "counter-rust")).await.unwrap();
        ask(&node, &format!("counter-{n}"), "add", "1").await.unwrap();
    }
    node.evict(&id("kept")).unwrap();
    for n in 0..4 {
        assert_eq!(ask(&node, &format!("counter-{n}"), "add", "1").await.unwrap(), "2");
    }
    assert_eq!(ask(&node, "kept", "get", "").await.unwrap(), "5");
    kept.id = id("kept-too");
    node.start(kept).await.unwrap();
    let error = ask(&node, "counter-0", "get", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Exhausted(text) if text.contains("all 2 live actors are busy")), "{error}");
    node.close().await.unwrap();
}

/// "Each end is told": whoever lives hears of it, also while there is no instance for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_without_an_instance_is_told_of_an_end_while_all_instances_are_busy() {
    let disk = SimDisk::new();
    let node = small(&disk, 1).await;
    let mut friend = spec("friend", "sleeper");
    friend.limits.deadline = None;
    node.start(friend).await.unwrap();
    node.start(parent("watcher")).await.unwrap();
    ask(&node, "watcher", "link", "friend").await.unwrap();
    let napping = begun(ask(&node, "friend", "nap", "3600000")).await;
    sleeping(&node, 1).await;
    let error = ask(&node, "watcher", "notes", "").await.unwrap_err();
    assert!(matches!(error, CallError::Exhausted(_)), "{error}");
    node.stop_now(&id("friend"), "enough").await.unwrap();
    napping.await.unwrap_err();
    loop {
        match ask(&node, "watcher", "notes", "").await {
            Ok(notes) if notes.starts_with("troupe:exit ") => break,
            Ok(_) | Err(CallError::Exhausted(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    replay(&node, "watcher", "parent").await.unwrap();
    node.close().await.unwrap();
}
