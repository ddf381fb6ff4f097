//! Stopping an actor: a turn in progress ends first, or is cut. "A fault undoes the current step, keeps earlier ones, and returns
//! guest and runtime state of the actor to before the turn. The turn's records stay."

use std::time::Duration;

use troupe_log::body::{Fault, FaultCause};
use troupe_log::{Kind, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::boundary::OPEN_TURNS;
use troupe_runtime::manifest::{ActorSpec, OnFault};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, rows, sleeping, spec, verified};

const HOUR: &str = "3600000";

/// Nothing but a stop ends its turns.
fn patient(name: &str, guest: &str) -> ActorSpec {
    let mut spec = spec(name, guest);
    spec.limits.deadline = None;
    spec.limits.fuel = u64::MAX / 4;
    spec
}

/// The faults in its journal.
async fn faults(node: &Node, actor: &str) -> Vec<Fault> {
    let bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    let records = troupe_log::record::records(&bytes).map(Result::unwrap);
    records.filter(|record| record.kind == Kind::Fault).map(|record| Fault::decode(record.body).unwrap()).collect()
}

fn killed(error: &CallError) -> Option<bool> {
    match error {
        CallError::Faulted { cause, committed } if cause == "kill: enough" => Some(*committed),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_turn_in_progress_end() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    let napping = begun(ask(&node, "sleeper", "nap", "50")).await;
    sleeping(&node, 1).await;
    let waiting = begun(ask(&node, "sleeper", "count", "")).await;
    node.stop(&id("sleeper"), "enough").await.unwrap();
    assert_eq!(napping.await.unwrap(), "before=1 after=2");
    assert_eq!(waiting.await.unwrap_err(), CallError::NotFound("default/sleeper".to_owned()));
    assert_eq!(faults(&node, "sleeper").await, []);
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_now_cuts_a_sleeping_turn_and_its_caller_is_told_once() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut sleeper = patient("sleeper", "sleeper");
    // Whatever the policy says of faults: the actor is stopped.
    sleeper.supervision.on_fault = OnFault::Fresh;
    node.start(sleeper.clone()).await.unwrap();
    let (call, actor) = (Outgoing::new("nap", HOUR.as_bytes()).key("k"), id("sleeper"));
    let napping = begun(node.call(&actor, call.clone())).await;
    sleeping(&node, 1).await;
    node.cast(&id("sleeper"), Outgoing::new("nap", &b"1"[..])).await.unwrap();
    // A stop that waits for the turn hears of its end too.
    let stopping = begun(node.stop(&actor, "patience")).await;
    node.stop_now(&id("sleeper"), "enough").await.unwrap();
    assert_eq!(killed(&napping.await.unwrap_err()), Some(true), "its first step was committed");
    stopping.await.unwrap();
    assert_eq!(node.pending_timers(), 0, "the one that was to end the sleep is gone");
    let info = node.actor(&id("sleeper")).await.unwrap();
    assert_eq!((info.status, info.incarnation.0, info.faults), ("stopped", 0, 1));
    for table in [Table::INBOX, Table::COMPLETIONS, Table::TIMERS, OPEN_TURNS] {
        assert_eq!(rows(&node, &disk, table, b"").await, 0, "{table:?}");
    }

    let node = node_on(&power_cut(node, &disk)).await;
    let [fault] = &faults(&node, "sleeper").await[..] else { panic!("one fault") };
    assert_eq!((fault.cause, fault.text.as_str()), (FaultCause::Kill, "enough"));
    assert_eq!(count(&node, "sleeper", Kind::Stop).await, 1);
    let letters = node.dead_letters_of(&id("sleeper")).await.unwrap();
    let mut whys: Vec<&str> = letters.iter().map(|letter| letter.why.as_str()).collect();
    whys.sort_unstable();
    assert_eq!(whys, ["kill: enough", "the actor was stopped"]);
    verified(&node, "sleeper").await;
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.start(sleeper).await.unwrap();
    assert_eq!(killed(&node.call(&id("sleeper"), call).await.unwrap_err()), Some(true), "the first answer");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "0");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_now_cuts_an_endless_loop() {
    let node = node_on(&SimDisk::new()).await;
    node.start(patient("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "add", "1").await.unwrap();
    let looping = begun(ask(&node, "counter", "loop", "")).await;
    // It has begun when its message is out of the mailbox.
    while node.actor(&id("counter")).await.unwrap().mailbox > 0 {
        tokio::task::yield_now().await;
    }
    node.stop_now(&id("counter"), "enough").await.unwrap();
    assert_eq!(killed(&looping.await.unwrap_err()), Some(false));
    replay(&node, "counter", "counter-rust").await.unwrap();
    node.close().await.unwrap();
}

/// A turn that goes on after a crash is cut like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_now_cuts_a_turn_that_was_resumed() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(patient("sleeper", "sleeper")).await.unwrap();
    let napping = begun(ask(&node, "sleeper", "nap", HOUR)).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(napping);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    // It goes on by itself, and need not have got anywhere yet.
    node.stop_now(&id("sleeper"), "enough").await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert!(count(&node, "sleeper", Kind::Resume).await > 0);
    assert_eq!(node.actor(&id("sleeper")).await.unwrap().status, "stopped");
    assert_eq!(faults(&node, "sleeper").await.len(), 1);
    verified(&node, "sleeper").await;
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_now_of_an_idle_actor_lets_its_last_turn_run() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "add", "1").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), node.stop_now(&id("counter"), "enough")).await.unwrap().unwrap();
    assert_eq!(faults(&node, "counter").await, []);
    let summary = replay(&node, "counter", "counter-rust").await.unwrap();
    assert_eq!(summary.turns, 4, "instantiate, init, add, terminate");
    node.close().await.unwrap();
}

/// A mailbox may hold more than one batch of the log: what waits is given up in parts, and none is lost between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_inbox_is_given_up_in_parts_and_nothing_of_it_is_lost() {
    const WAITING: usize = 40;
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(patient("sleeper", "sleeper")).await.unwrap();
    let actor = id("sleeper");
    let napping = begun(node.call(&actor, Outgoing::new("nap", HOUR.as_bytes()))).await;
    sleeping(&node, 1).await;
    for _ in 0..WAITING {
        node.cast(&actor, Outgoing::new("count", vec![7; 512 << 10])).await.unwrap();
    }
    node.stop_now(&actor, "enough").await.unwrap();
    assert_eq!(killed(&napping.await.unwrap_err()), Some(true));
    let node = node_on(&power_cut(node, &disk)).await;
    let info = node.actor(&actor).await.unwrap();
    assert_eq!((info.status, info.mailbox), ("stopped", 0));
    assert_eq!(node.dead_letters_of(&actor).await.unwrap().len(), WAITING + 1);
    node.close().await.unwrap();
}
