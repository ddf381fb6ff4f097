//! Lives of an actor: what starts one, what ends one, and what a start that fails leaves behind.

use troupe_log::{Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec, verified};

fn saver(init: &str) -> ActorSpec {
    let mut saver = spec("saver", "saver");
    saver.init = init.as_bytes().to_vec();
    saver
}

async fn init_fails(node: &Node, actor: ActorSpec, fresh: bool, why: &str) {
    let started = if fresh { node.start_fresh(actor).await } else { node.start(actor).await };
    let error = started.unwrap_err();
    assert!(matches!(&error, Error::InitFailed { why: told, .. } if told.contains(why)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_whose_init_fails_was_never_there() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut refuses = spec("saver", "init-fails");
    init_fails(&node, refuses.clone(), false, "trap: ").await;
    refuses.init = b"not today".to_vec();
    init_fails(&node, refuses, false, "init refused: not today").await;
    let gone = CallError::NotFound("default/saver".to_owned());
    assert!(node.list().await.unwrap().is_empty());
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap_err(), gone);
    let node = node_on(&power_cut(node, &disk)).await;
    assert!(node.list().await.unwrap().is_empty());
    assert_eq!(node.start(saver("5")).await.unwrap().incarnation.0, 0);
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "5");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_start_that_fails_leaves_the_actor_as_it_was() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver("5")).await.unwrap();
    let keyed = || Outgoing::new("add", &b"1"[..]).key("k");
    assert_eq!(node.call(&id("saver"), keyed()).await.unwrap(), b"6");
    init_fails(&node, saver("x"), true, "init refused: not a number: x").await;
    assert_eq!(node.actor(&id("saver")).await.unwrap().incarnation.0, 0);
    assert_eq!(node.call(&id("saver"), keyed()).await.unwrap(), b"6", "its keys too");
    assert_eq!(ask(&node, "saver", "add", "1").await.unwrap(), "7");
    assert_eq!(count(&node, "saver", Kind::Genesis).await, 1);

    let node = node_on(&power_cut(node, &disk)).await;
    init_fails(&node, saver("x"), true, "init refused: not a number: x").await;
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "7");
    verified(&node, "saver").await;
    replay(&node, "saver", "saver").await.unwrap();

    node.stop(&id("saver"), "done").await.unwrap();
    init_fails(&node, saver("x"), false, "init refused: not a number: x").await;
    assert_eq!(node.actor(&id("saver")).await.unwrap().status, "stopped");
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap_err(), CallError::NotFound("default/saver".to_owned()));
    assert_eq!(node.start(saver("8")).await.unwrap().incarnation.0, 1);
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "8");
    node.close().await.unwrap();
}

/// "`fresh` begins a new incarnation from init and keeps inbox, keys and timers."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_start_keeps_the_inbox_and_takes_new_settings() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut sleeper = spec("sleeper", "sleeper");
    node.start(sleeper.clone()).await.unwrap();
    let napping = begun(ask(&node, "sleeper", "nap", "30")).await;
    sleeping(&node, 1).await;
    node.cast(&id("sleeper"), Outgoing::new("nap", &b"1"[..])).await.unwrap();
    let waiting = begun(ask(&node, "sleeper", "count", "")).await;
    sleeper.limits.mailbox = 1.try_into().unwrap();
    let started = node.start_fresh(sleeper.clone()).await.unwrap();
    assert_eq!((started.incarnation.0, started.resumed), (1, false));
    assert_eq!(napping.await.unwrap(), "before=1 after=2", "a turn is ended first");
    assert_eq!(waiting.await.unwrap(), "2", "from init, with what was in the inbox");
    let napping = begun(ask(&node, "sleeper", "nap", "30")).await;
    sleeping(&node, 1).await;
    let waiting = begun(ask(&node, "sleeper", "count", "")).await;
    let error = ask(&node, "sleeper", "count", "").await.unwrap_err();
    assert!(matches!(error, CallError::MailboxFull { limit: 1, .. }), "{error}");
    napping.await.unwrap();
    assert_eq!(waiting.await.unwrap(), "4");

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "4");
    assert!(node.start(sleeper).await.unwrap().resumed);
    verified(&node, "sleeper").await;
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_another_component_is_refused_and_with_other_init_goes_on() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver("5")).await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    let error = node.start(spec("saver", "counter-rust")).await.unwrap_err();
    assert!(matches!(error, Error::OtherComponent { .. }), "{error}");
    assert!(node.start(saver("9")).await.unwrap().resumed, "init was then");
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "5");
    assert_eq!(node.start_fresh(saver("9")).await.unwrap().incarnation.0, 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_and_fresh_starts_at_the_same_time_leave_one_life_and_lose_no_message() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver("0")).await.unwrap();
    let fresh: Vec<_> = (0..8)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move { node.start_fresh(saver("0")).await })
        })
        .collect();
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let node = node.clone();
            let call = Outgoing::new("add", &b"0"[..]).key(n.to_string());
            tokio::spawn(async move { node.call(&id("saver"), call).await })
        })
        .collect();
    let mut incarnations = Vec::new();
    for start in fresh {
        incarnations.push(start.await.unwrap().unwrap().incarnation.0);
    }
    incarnations.sort_unstable();
    assert_eq!(incarnations, [1, 2, 3, 4, 5, 6, 7, 8]);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), b"0");
    }
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.actor(&id("saver")).await.unwrap().incarnation.0, 8);
    for n in 0..100 {
        let call = Outgoing::new("add", &b"0"[..]).key(n.to_string());
        assert_eq!(node.call(&id("saver"), call).await.unwrap(), b"0");
    }
    verified(&node, "saver").await;
    replay(&node, "saver", "saver").await.unwrap();
    node.close().await.unwrap();
}
