//! Crashes inside of an instantiation, an init and a last turn: "The open turn, if any, is run from its start against its
//! records; when they end, it goes on live." "init, hooks, timers, save, load, terminate are turns."

use std::time::Duration;

use troupe_log::body::{TurnBegin, TurnKind};
use troupe_log::record::records;
use troupe_log::{Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::Node;

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec, verified};

fn slow(init: &str) -> ActorSpec {
    ActorSpec { init: init.as_bytes().to_vec(), ..spec("slow", "slow-life") }
}

/// In which turns it was resumed.
async fn resumed_in(node: &Node) -> Vec<TurnKind> {
    let bytes = node.journal(&id("slow")).await.unwrap().read_all().unwrap();
    let (mut turn, mut found) = (None, Vec::new());
    for record in records(&bytes) {
        let record = record.unwrap();
        match record.kind.known() {
            Some(Kind::TurnBegin) => turn = Some(TurnBegin::decode(record.body).unwrap().kind),
            // The first byte behind the epoch says that the wait was reached again.
            Some(Kind::Resume) if record.body[8] == 0 => found.extend(turn),
            _ => {}
        }
    }
    found
}

async fn ended(node: &Node) -> String {
    loop {
        let info = node.actor(&id("slow")).await.unwrap();
        assert_ne!(info.status, "quarantined", "{:?}", info.reason);
        if info.status == "stopped" {
            return info.reason.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

/// Runs `life` and makes each of its naps durable while it sleeps: else a power cut would find nothing of a nap.
async fn durably<T>(node: &Node, life: impl Future<Output = T>) -> T {
    let naps = async {
        loop {
            sleeping(node, 1).await;
            // With the power gone `life` ends by itself.
            let _ = node.sync().await;
            // The next nap may begin before anybody sees that this one is over: a few syncs in each, not thousands.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        ended = life => ended,
        () = naps => unreachable!("naps have no end"),
    }
}

/// The power goes, or the process is killed, after each number of the disk's operations.
fn stopped(node: Node, disk: &SimDisk, killed: bool) -> SimDisk {
    if !killed {
        return power_cut(node, disk);
    }
    let after = disk.fork();
    after.crash_keeping(true, |write| 0..write.len);
    crate::coverage::cut();
    drop(node);
    after
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_goes_on_after_a_power_cut_anywhere_in_it() {
    let mut resumed = Vec::new();
    for cut in 0.. {
        assert!(cut < 200, "it never ends");
        let (operations, killed) = (cut / 2, cut % 2 == 1);
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.load(&std::fs::read(crate::support::guest("slow-life")).unwrap()).await.unwrap();
        disk.cut_after(operations);
        let whole = durably(&node, node.start(slow(""))).await.is_ok();
        let node = node_on(&stopped(node, &disk, killed)).await;
        node.start(slow("")).await.unwrap();
        assert_eq!(ask(&node, "slow", "steps", "").await.unwrap(), "4", "after {operations}");
        assert_eq!((count(&node, "slow", Kind::Wait).await, count(&node, "slow", Kind::Wake).await), (2, 2));
        assert_eq!(count(&node, "slow", Kind::TurnEnd).await, 3);
        resumed.extend(resumed_in(&node).await);
        verified(&node, "slow").await;
        replay(&node, "slow", "slow-life").await.unwrap_or_else(|error| panic!("after {operations}: {error}"));
        // Nothing is open any more.
        let again = node_on(&power_cut(node, &disk.fork())).await;
        again.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    for kind in [TurnKind::Instantiate, TurnKind::Init] {
        assert!(resumed.contains(&kind), "no cut was inside of {kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_init_that_fails_behind_a_committed_step_ends_the_life_also_after_a_power_cut_anywhere() {
    for (init, why) in [("refuse", "init refused: told to refuse"), ("trap", "trap: ")] {
        let mut resumed = Vec::new();
        for operations in 0.. {
            assert!(operations < 100, "it never ends");
            let disk = SimDisk::new();
            let node = node_on(&disk).await;
            node.load(&std::fs::read(crate::support::guest("slow-life")).unwrap()).await.unwrap();
            disk.cut_after(operations);
            let error = durably(&node, node.start(slow(init))).await.unwrap_err();
            // Everything is written when the start has failed by the actor's own doing.
            let whole = matches!(&error, Error::InitFailed { why: told, .. } if told.contains(why)) && !disk.is_cut();
            let after = power_cut(node, &disk);
            let node = node_on(&after).await;
            if node.actor(&id("slow")).await.is_ok() {
                assert!(ended(&node).await.contains(why), "after {operations}");
                resumed.extend(resumed_in(&node).await);
                replay(&node, "slow", "slow-life").await.unwrap_or_else(|error| panic!("after {operations}: {error}"));
                verified(&node, "slow").await;
                node.sync().await.unwrap();
                let before = count(&node, "slow", Kind::Resume).await;
                let node = node_on(&power_cut(node, &after)).await;
                assert!(ended(&node).await.contains(why));
                assert_eq!(count(&node, "slow", Kind::Resume).await, before, "nothing is open any more");
                let gone = CallError::NotFound("default/slow".to_owned());
                assert_eq!(ask(&node, "slow", "steps", "").await.unwrap_err(), gone);
                assert_eq!(node.start(slow("")).await.unwrap().incarnation.0, 1);
                assert_eq!(ask(&node, "slow", "steps", "").await.unwrap(), "4");
                node.close().await.unwrap();
            }
            if whole {
                break;
            }
        }
        assert!(resumed.contains(&TurnKind::Init) && resumed.contains(&TurnKind::Instantiate), "{init}: {resumed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_a_life_that_does_not_begin_are_dead_letters() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let starting = node.clone();
    let start = tokio::spawn(async move { starting.start(slow("refuse")).await });
    while node.actor(&id("slow")).await.is_err() {
        tokio::task::yield_now().await;
    }
    let waits = begun(ask(&node, "slow", "steps", "")).await;
    start.await.unwrap().unwrap_err();
    let gone = CallError::NotFound("default/slow".to_owned());
    assert_eq!(waits.await.unwrap_err(), gone);
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    let info = node.actor(&id("slow")).await.unwrap();
    assert_eq!((info.status, info.mailbox), ("stopped", 0), "its end, not one more life");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_last_turn_goes_on_after_a_power_cut_anywhere_in_it() {
    for reason in ["done", "trap"] {
        let fresh = SimDisk::new();
        let node = node_on(&fresh).await;
        node.start(slow("")).await.unwrap();
        let fresh = power_cut(node, &fresh);
        let mut resumed = 0;
        for cut in 0.. {
            assert!(cut < 200, "it never ends");
            let (operations, killed) = (cut / 2, cut % 2 == 1);
            let disk = fresh.fork();
            let node = node_on(&disk).await;
            assert_eq!(ask(&node, "slow", "steps", "").await.unwrap(), "4");
            disk.cut_after(operations);
            let whole = durably(&node, node.stop(&id("slow"), reason)).await.is_ok();
            let after = stopped(node, &disk, killed);
            let node = node_on(&after).await;
            match node.stop(&id("slow"), reason).await {
                Ok(()) | Err(Error::NoActor(_)) => {}
                Err(error) => panic!("after {operations}: {error}"),
            }
            assert_eq!(ended(&node).await, reason, "after {operations}");
            let found = resumed_in(&node).await;
            assert!(found.iter().all(|kind| *kind == TurnKind::Terminate), "{found:?}");
            resumed += found.len();
            assert_eq!(count(&node, "slow", Kind::Wait).await, 3, "it began once");
            assert_eq!(count(&node, "slow", Kind::Wake).await, 3, "and was waited for once");
            assert_eq!(count(&node, "slow", Kind::Stop).await, 1);
            assert_eq!(count(&node, "slow", Kind::Fault).await, usize::from(reason == "trap"));
            verified(&node, "slow").await;
            replay(&node, "slow", "slow-life").await.unwrap_or_else(|error| panic!("after {operations}: {error}"));
            node.close().await.unwrap();
            if whole && killed {
                break;
            }
        }
        assert!(resumed > 0, "no cut was inside of the last turn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_closes_leaves_a_last_turn_for_its_next_start() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(slow("")).await.unwrap();
    let (stopping, slow_id) = (node.clone(), id("slow"));
    let stop = begun(stopping.stop(&slow_id, "done")).await;
    sleeping(&node, 1).await;
    let call = ask(&node, "slow", "steps", "").await.unwrap_err();
    assert_eq!(call, CallError::NotFound("default/slow".to_owned()), "it takes nothing more");
    node.clone().close().await.unwrap();
    assert!(matches!(stop.await, Err(Error::Closing)));
    let node = node_on(&disk).await;
    assert_eq!(ended(&node).await, "done");
    assert_eq!(count(&node, "slow", Kind::Fault).await, 0);
    assert_eq!(resumed_in(&node).await, [TurnKind::Terminate]);
    replay(&node, "slow", "slow-life").await.unwrap();
    node.close().await.unwrap();
}
