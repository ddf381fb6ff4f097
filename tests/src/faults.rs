//! Faults: undone, recorded, answered once, then the policy.

use std::time::Duration;

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::OnFault;

use crate::support::{ask, id, node_on, replay, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_undoes_its_turn_and_the_caller_is_told_once() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.supervision.max_restarts = 100;
    node.start(counter).await.unwrap();
    ask(&node, "counter", "add", "7").await.unwrap();
    let error = ask(&node, "counter", "trap", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { cause, committed: false } if cause.starts_with("trap: ")), "{error}");
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "7", "the trap added 1000 before it trapped");
    let info = node.actor(&id("counter")).await.unwrap();
    assert_eq!(info.faults, 3, "three attempts");
    let summary = replay(&node, "counter", "counter-rust").await.unwrap();
    assert_eq!(summary.turns, 2 + 1 + 3 + 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuel_deadline_exit_and_stack_each_end_a_turn_by_their_own_cause() {
    let node = node_on(&SimDisk::new()).await;
    let mut faulty = spec("faulty", "faulty");
    faulty.supervision.max_restarts = 100;
    faulty.limits.fuel = 50_000_000;
    faulty.limits.deadline = Some(Duration::from_millis(300));
    node.start(faulty).await.unwrap();
    assert_eq!(ask(&node, "faulty", "count", "").await.unwrap(), "1");
    for (message_type, cause) in [
        ("loop", "out-of-fuel: "),
        ("spin-sleep", "deadline: "),
        ("exit", "exit: "),
        ("recurse", "limit: call stack"),
        ("trap", "trap: "),
    ] {
        let error = ask(&node, "faulty", message_type, "").await.unwrap_err();
        let CallError::Faulted { cause: found, committed } = &error else { panic!("{message_type}: {error}") };
        assert!(found.starts_with(cause), "{message_type}: {found}");
        assert_eq!(*committed, message_type == "spin-sleep", "{message_type}");
    }
    assert_eq!(ask(&node, "faulty", "count", "").await.unwrap(), "2", "nothing of the faulted turns is left");
    replay(&node, "faulty", "faulty").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_does_not_block_another_actor() {
    let node = node_on(&SimDisk::new()).await;
    let mut looping = spec("looping", "faulty");
    looping.limits.fuel = u64::MAX / 2;
    looping.limits.deadline = Some(Duration::from_millis(1500));
    for n in 0..4 {
        looping.id = id(&format!("looping-{n}"));
        node.start(looping.clone()).await.unwrap();
    }
    node.start(spec("counter", "counter-rust")).await.unwrap();
    let loops: Vec<_> = (0..4)
        .map(|n| {
            let node = node.clone();
            tokio::spawn(async move { ask(&node, &format!("looping-{n}"), "loop", "").await })
        })
        .collect();
    for n in 1..=20 {
        assert_eq!(ask(&node, "counter", "add", "1").await.unwrap(), n.to_string());
    }
    for looped in loops {
        let error = looped.await.unwrap().unwrap_err();
        assert!(matches!(&error, CallError::Faulted { cause, .. } if cause.starts_with("deadline")), "{error}");
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_decides_what_follows_a_fault() {
    let node = node_on(&SimDisk::new()).await;
    let mut fresh = spec("fresh", "counter-rust");
    fresh.supervision.on_fault = OnFault::Fresh;
    fresh.init = b"40".to_vec();
    node.start(fresh).await.unwrap();
    ask(&node, "fresh", "add", "2").await.unwrap();
    ask(&node, "fresh", "trap", "").await.unwrap_err();
    assert_eq!(ask(&node, "fresh", "get", "").await.unwrap(), "40", "from init");
    assert_eq!(node.actor(&id("fresh")).await.unwrap().incarnation.0, 1);

    let mut stopping = spec("stopping", "counter-rust");
    stopping.supervision.on_fault = OnFault::Stop;
    node.start(stopping).await.unwrap();
    ask(&node, "stopping", "trap", "").await.unwrap_err();
    let error = ask(&node, "stopping", "get", "").await.unwrap_err();
    assert_eq!(error, CallError::NotFound("default/stopping".to_owned()));

    let mut limited = spec("limited", "counter-rust");
    limited.supervision.on_fault = OnFault::Skip;
    limited.supervision.max_restarts = 2;
    node.start(limited).await.unwrap();
    for _ in 0..3 {
        ask(&node, "limited", "trap", "").await.unwrap_err();
    }
    let error = ask(&node, "limited", "get", "").await.unwrap_err();
    assert_eq!(error, CallError::NotFound("default/limited".to_owned()), "three faults are more than max-restarts");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_growth_is_refused_at_exactly_the_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut faulty = spec("faulty", "faulty");
    faulty.limits.memory = troupe_log::ByteCount::mib(4);
    node.start(faulty).await.unwrap();
    assert_eq!(ask(&node, "faulty", "alloc", "1048576").await.unwrap(), "ok");
    assert_eq!(ask(&node, "faulty", "alloc", "4194304").await.unwrap(), "refused");
    assert_eq!(ask(&node, "faulty", "alloc", "65536").await.unwrap(), "ok");
    replay(&node, "faulty", "faulty").await.unwrap();
    node.close().await.unwrap();
}
