//! "An idempotency key belongs to (actor, caller, key) and is committed with the inbox entry; a repeat waits for, or gets, the
//! first answer (a fault too); the same key with other bytes is `invalid-argument`."

use std::time::Duration;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::Mode;
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec};

/// Long enough for every answer: one that never comes fails the test instead of stopping it.
const PATIENCE: Duration = Duration::from_secs(20);

fn keyed(message_type: &str, payload: &str, key: &str) -> Outgoing {
    Outgoing::new(message_type, payload.as_bytes()).key(key)
}

async fn call(node: &Node, actor: &str, outgoing: Outgoing) -> Result<String, CallError> {
    let actor = id(actor);
    let answer = tokio::time::timeout(PATIENCE, node.call(&actor, outgoing)).await.expect("an answer");
    answer.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_gets_the_first_answer_whatever_it_was_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let counter = spec("counter", "counter-rust");
    node.start(counter.clone()).await.unwrap();
    let mut other = counter;
    other.id = id("other");
    node.start(other).await.unwrap();

    let first = [("add", "5", "a"), ("add", "x", "b"), ("trap", "", "c"), ("dice", "", "d")];
    let mut answers = Vec::new();
    for (message_type, payload, key) in first {
        answers.push(call(&node, "counter", keyed(message_type, payload, key)).await);
    }
    assert_eq!(answers[0], Ok("5".to_owned()));
    assert_eq!(answers[1], Err(CallError::Refused("not a number: x".to_owned())));
    assert!(matches!(&answers[2], Err(CallError::Faulted { committed: false, .. })), "{:?}", answers[2]);
    let again = async |node: &Node| {
        for ((message_type, payload, key), first) in first.into_iter().zip(&answers) {
            assert_eq!(call(node, "counter", keyed(message_type, payload, key)).await, *first, "{key}");
        }
        for other in [("add", "6", "a"), ("sub", "5", "a"), ("get", "", "c")] {
            let error = call(node, "counter", keyed(other.0, other.1, other.2)).await.unwrap_err();
            assert!(matches!(&error, CallError::Invalid(text) if text.contains(&format!("`{}`", other.2))), "{error}");
        }
        assert_eq!(ask(node, "counter", "get", "").await.unwrap(), "5", "applied once");
    };
    let faults = node.actor(&id("counter")).await.unwrap().faults;
    again(&node).await;
    assert_eq!(node.actor(&id("counter")).await.unwrap().faults, faults, "the fault was answered, not done again");
    // The key belongs to the actor.
    assert_eq!(call(&node, "other", keyed("add", "7", "a")).await.unwrap(), "7");

    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    again(&node).await;
    assert_eq!(node.actor(&id("counter")).await.unwrap().faults, 0, "nothing was done again");
    replay(&node, "counter", "counter-rust").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_waits_for_the_first_answer() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("deferrer", "deferrer")).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(begun(call(&node, "deferrer", keyed("later", "", "k"))).await);
    }
    assert_eq!(ask(&node, "deferrer", "held", "").await.unwrap(), "1", "one message");
    ask(&node, "deferrer", "release", "the answer").await.unwrap();
    for answer in all {
        assert_eq!(answer.await.unwrap(), "the answer");
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_max_keys_new_ones_are_refused_and_none_is_dropped_early() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.max_keys = 2;
    node.start(counter).await.unwrap();
    assert_eq!(call(&node, "counter", keyed("add", "1", "a")).await.unwrap(), "1");
    assert_eq!(call(&node, "counter", keyed("add", "1", "b")).await.unwrap(), "2");
    let full = async |node: &Node| {
        let error = call(node, "counter", keyed("add", "1", "c")).await.unwrap_err();
        assert!(matches!(&error, CallError::Exhausted(text) if text.contains("max-keys = 2")), "{error}");
        assert_eq!(call(node, "counter", keyed("add", "1", "a")).await.unwrap(), "1");
        assert_eq!(call(node, "counter", keyed("add", "1", "b")).await.unwrap(), "2");
        assert_eq!(ask(node, "counter", "get", "").await.unwrap(), "2", "without a key it goes on");
    };
    full(&node).await;
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    full(&node).await;
    node.close().await.unwrap();
}

/// "A message past its deadline before its turn begins is recorded as expired and answered `timeout`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_message_that_expired_is_free_again() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut sleeper = spec("sleeper", "sleeper");
    sleeper.limits.max_keys = 1;
    node.start(sleeper).await.unwrap();
    let napping = begun(ask(&node, "sleeper", "nap", "50")).await;
    sleeping(&node, 1).await;
    let late = keyed("nap", "1", "k");
    let expires = begun(call(&node, "sleeper", late.clone().timeout(Duration::from_millis(1)))).await;
    let repeat = begun(call(&node, "sleeper", late)).await;
    napping.await.unwrap();
    assert_eq!(expires.await.unwrap_err(), CallError::Timeout);
    assert_eq!(repeat.await.unwrap_err(), CallError::Timeout, "it waited for the first answer");
    assert_eq!(count(&node, "sleeper", Kind::Expired).await, 1);

    let other = keyed("count", "", "k");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(call(&node, "sleeper", other.clone()).await.unwrap(), "2", "the late nap was not applied");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(call(&node, "sleeper", other).await.unwrap(), "2");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_message_that_was_not_accepted_is_free() {
    let node = node_on(&SimDisk::new()).await;
    for mode in [Mode::Durable, Mode::Off] {
        let mut sleeper = spec(mode.as_str(), "sleeper");
        sleeper.journal = mode;
        sleeper.limits.mailbox = 1.try_into().unwrap();
        node.start(sleeper).await.unwrap();
        let napping = begun(ask(&node, mode.as_str(), "nap", "50")).await;
        sleeping(&node, 1).await;
        let waiting = begun(ask(&node, mode.as_str(), "count", "")).await;
        let error = call(&node, mode.as_str(), keyed("nap", "1", "k")).await.unwrap_err();
        assert!(matches!(error, CallError::MailboxFull { limit: 1, .. }), "{error}");
        assert_eq!(napping.await.unwrap(), "before=1 after=2");
        assert_eq!(waiting.await.unwrap(), "2");
        assert_eq!(call(&node, mode.as_str(), keyed("count", "", "k")).await.unwrap(), "2", "{mode}");
    }
    node.close().await.unwrap();
}

/// "A stopped actor's inbox is dead-lettered; an id used again is a new incarnation."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_dead_letter_is_free_in_the_next_life() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let sleeper = spec("sleeper", "sleeper");
    node.start(sleeper.clone()).await.unwrap();
    assert_eq!(call(&node, "sleeper", keyed("nap", "1", "answered")).await.unwrap(), "before=1 after=2");
    let napping = begun(ask(&node, "sleeper", "nap", "50")).await;
    sleeping(&node, 1).await;
    let dead = begun(call(&node, "sleeper", keyed("nap", "1", "dead"))).await;
    node.stop(&id("sleeper"), "test").await.unwrap();
    napping.await.unwrap();
    assert_eq!(dead.await.unwrap_err(), CallError::NotFound("default/sleeper".to_owned()));

    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(node.start(sleeper).await.unwrap().incarnation.0, 1);
    assert_eq!(call(&node, "sleeper", keyed("count", "", "dead")).await.unwrap(), "0");
    assert_eq!(call(&node, "sleeper", keyed("nap", "1", "answered")).await.unwrap(), "before=1 after=2", "kept 24 h");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "0");
    node.close().await.unwrap();
}

/// "A call may be answered by a reply token in a later turn; tokens survive crashes and are answered `fault` at fresh or stop."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_promised_an_answer_by_a_life_that_ends_gets_a_fault() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let deferrer = spec("deferrer", "deferrer");
    node.start(deferrer.clone()).await.unwrap();
    for round in ["fresh", "stop"] {
        let waiting = begun(call(&node, "deferrer", keyed("later", "", round))).await;
        assert_eq!(ask(&node, "deferrer", "held", "").await.unwrap(), "1");
        match round {
            "fresh" => assert!(!node.start_fresh(deferrer.clone()).await.unwrap().resumed),
            _ => node.stop(&id("deferrer"), "test").await.unwrap(),
        }
        let error = waiting.await.unwrap_err();
        assert!(matches!(&error, CallError::Faulted { committed: true, .. }), "{round}: {error}");
    }
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    node.start(deferrer).await.unwrap();
    for round in ["fresh", "stop"] {
        let error = call(&node, "deferrer", keyed("later", "", round)).await.unwrap_err();
        assert!(matches!(&error, CallError::Faulted { committed: true, .. }), "{round}: {error}");
    }
    assert_eq!(ask(&node, "deferrer", "held", "").await.unwrap(), "0");
    node.close().await.unwrap();
}
