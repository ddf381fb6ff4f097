//! Mailboxes: what is accepted, in what order, until when, and how much of it.

use std::time::Duration;

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, Messaging};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec};

fn full(actor: &str, limit: u32) -> CallError {
    CallError::MailboxFull { actor: format!("default/{actor}"), limit }
}

fn message(message_type: &str, payload: &str) -> Outgoing {
    Outgoing::new(message_type, payload.as_bytes())
}

/// "A successful send has reserved its place in the mailbox; otherwise `mailbox-full` at the call."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_is_full_at_exactly_its_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.mailbox = 3.try_into().unwrap();
    node.start(counter).await.unwrap();
    let busy = begun(ask(&node, "counter", "sleep", "100")).await;
    sleeping(&node, 1).await;
    node.cast(&id("counter"), message("add", "1")).await.unwrap();
    node.cast(&id("counter"), message("add", "10")).await.unwrap();
    let third = begun(ask(&node, "counter", "add", "100")).await;
    assert_eq!(node.actor(&id("counter")).await.unwrap().mailbox, 3);
    assert_eq!(node.cast(&id("counter"), message("add", "1000")).await.unwrap_err(), full("counter", 3));
    assert_eq!(ask(&node, "counter", "add", "1000").await.unwrap_err(), full("counter", 3));
    assert_eq!(busy.await.unwrap(), "slept");
    assert_eq!(third.await.unwrap(), "111", "what was accepted is applied, in order, what was refused is not");
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "111");
    node.close().await.unwrap();
}

/// The counter's total, once its mailbox has room for the question.
async fn total(node: &Node) -> String {
    loop {
        match ask(node, "counter", "get", "").await {
            Err(CallError::MailboxFull { .. }) => tokio::task::yield_now().await,
            answer => return answer.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_sends_reserves_places_and_gives_them_back_if_it_faults() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.mailbox = 3.try_into().unwrap();
    node.start(counter).await.unwrap();
    let mut sender = spec("sender", "sender");
    sender.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("counter").unwrap()] });
    sender.supervision.max_restarts = 100;
    node.start(sender).await.unwrap();
    // Nothing of a turn is delivered before it ends, so the counter cannot make room meanwhile.
    let flood = ask(&node, "sender", "flood", "counter|5").await.unwrap();
    assert!(flood.starts_with("3 sent, then Error::MailboxFull"), "{flood}");
    assert_eq!(total(&node).await, "3", "0 + 1 + 2");
    for _ in 0..4 {
        ask(&node, "sender", "relay-then-trap", "counter|add|100").await.unwrap_err();
    }
    assert_eq!(ask(&node, "sender", "flood", "counter|3").await.unwrap(), "3 sent");
    assert_eq!(total(&node).await, "6");
    replay(&node, "sender", "sender").await.unwrap();
    node.close().await.unwrap();
}

/// "Messages of one sender to one receiver in one lane arrive in sending order."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_sender_arrive_in_order_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("generic", "generic")).await.unwrap();
    let mut last = None;
    for n in 0..300 {
        last = Some(node.offer(&id("generic"), message("note", &n.to_string())).unwrap());
    }
    last.unwrap().durable().await.unwrap();
    let after = power_cut(node.clone(), &disk);
    let expected: Vec<_> = (0..300).map(|n| format!("kind=cast type=note from=@client payload={n}")).collect();
    for node in [node, node_on(&after).await] {
        assert_eq!(ask(&node, "generic", "seen", "").await.unwrap(), expected.join("\n"));
        node.close().await.unwrap();
    }
}

/// "*Accepted* means the inbox entry is committed; a client hears of it only when that is durable."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cast_that_was_acknowledged_is_applied_exactly_once_after_a_power_cut_right_after() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    for n in 1..=12 {
        node.cast(&id("counter"), message("add", "1")).await.unwrap();
        let after = disk.fork();
        after.crash();
        crate::coverage::cut();
        let second = node_on(&after).await;
        assert_eq!(ask(&second, "counter", "get", "").await.unwrap(), n.to_string());
        let third = node_on(&power_cut(second, &after)).await;
        assert_eq!(ask(&third, "counter", "get", "").await.unwrap(), n.to_string(), "and not once more");
        replay(&third, "counter", "counter-rust").await.unwrap();
        third.close().await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_at_most_the_bytes_of_the_payload_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.limits.payload = ByteCount(1000);
    node.start(counter).await.unwrap();
    let most = "x".repeat(1000 - "echo".len());
    assert_eq!(ask(&node, "counter", "echo", &most).await.unwrap(), most);
    let records = node.actor(&id("counter")).await.unwrap().next;
    let too_large = CallError::TooLarge { actor: "default/counter".to_owned(), size: 1001, limit: 1000 };
    let more = format!("{most}x");
    assert_eq!(ask(&node, "counter", "echo", &more).await.unwrap_err(), too_large);
    assert_eq!(node.cast(&id("counter"), message("echo", &more)).await.unwrap_err(), too_large);
    let mut headers = message("echo", &most);
    headers.headers.push((String::new(), "x".to_owned()));
    assert_eq!(node.call(&id("counter"), headers).await.unwrap_err(), too_large);
    assert_eq!(node.actor(&id("counter")).await.unwrap().next, records, "nothing of it is recorded");
    node.close().await.unwrap();
}

/// "A message past its deadline before its turn begins is recorded as expired and answered `timeout`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_past_its_deadline_is_not_applied_and_recorded_as_expired() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    let late = message("add", "1").timeout(Duration::ZERO);
    assert_eq!(node.call(&id("counter"), late.clone()).await.unwrap_err(), CallError::Timeout);
    node.cast(&id("counter"), late).await.unwrap();
    let in_time = message("add", "10").timeout(Duration::from_secs(60));
    assert_eq!(node.call(&id("counter"), in_time).await.unwrap(), b"10");
    assert_eq!(count(&node, "counter", Kind::Expired).await, 2);
    let after = power_cut(node.clone(), &disk);
    for node in [node, node_on(&after).await] {
        assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "10");
        assert_eq!(count(&node, "counter", Kind::Expired).await, 2);
        replay(&node, "counter", "counter-rust").await.unwrap();
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_refused_with_the_reason() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    let mut sender = spec("sender", "sender");
    sender.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("*").unwrap()] });
    node.start(sender).await.unwrap();
    let nobody = CallError::NotFound("default/nobody".to_owned());
    assert_eq!(ask(&node, "nobody", "add", "1").await.unwrap_err(), nobody);
    assert_eq!(node.cast(&id("nobody"), message("add", "1")).await.unwrap_err(), nobody);
    assert!(matches!(node.stop(&id("nobody"), "x").await, Err(Error::NoActor(_))));
    assert!(matches!(node.journal(&id("nobody")).await, Err(Error::NoActor(_))));
    let told = ask(&node, "sender", "relay", "nobody|add|1").await.unwrap_err();
    assert!(matches!(&told, CallError::Refused(text) if text.starts_with("Error::NotFound")), "{told}");
    for reserved in ["", "troupe:", "troupe:stop"] {
        let error = ask(&node, "counter", reserved, "").await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(text) if text.contains(reserved)), "{error}");
        let error = node.cast(&id("counter"), message(reserved, "")).await.unwrap_err();
        assert!(matches!(&error, CallError::Invalid(_)), "{error}");
        let told = ask(&node, "sender", "relay", &format!("counter|{reserved}|1")).await.unwrap_err();
        assert!(matches!(&told, CallError::Refused(text) if text.starts_with("Error::InvalidArgument")), "{told}");
    }
    assert_eq!(
        ask(&node, "counter", "troupes", "").await.unwrap_err(),
        CallError::Refused("unknown message type: troupes".to_owned())
    );
    node.close().await.unwrap();
}

async fn told(answer: impl Future<Output = Result<Vec<u8>, CallError>>) -> CallError {
    tokio::time::timeout(Duration::from_secs(20), answer).await.expect("an answer").unwrap_err()
}

/// Nobody waits for a node that is gone: not who is in a turn, nor in a mailbox, nor promised an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_when_their_node_ends_and_their_messages_are_kept() {
    for failing in [false, true] {
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(spec("sleeper", "sleeper")).await.unwrap();
        node.start(spec("deferrer", "deferrer")).await.unwrap();
        let (sleeper, deferrer) = (id("sleeper"), id("deferrer"));
        let nap = message("nap", "200").key("nap");
        let counted = message("count", "").key("count");
        let later = message("later", "").key("later");
        let promised = begun(node.call(&deferrer, later.clone())).await;
        assert_eq!(ask(&node, "deferrer", "held", "").await.unwrap(), "1");
        node.evict(&deferrer).unwrap();
        let napping = begun(node.call(&sleeper, nap.clone())).await;
        sleeping(&node, 1).await;
        let waiting = begun(node.call(&sleeper, counted.clone())).await;
        let repeat = begun(node.call(&sleeper, counted.clone())).await;
        node.sync().await.unwrap();
        if failing {
            disk.fail_syncs_after(0);
            let error = told(node.call(&deferrer, message("held", ""))).await;
            assert!(matches!(&error, CallError::Unavailable(_)), "{error}");
            let why = tokio::time::timeout(Duration::from_secs(20), node.halted()).await.expect("the node stops");
            assert!(why.contains("simulated sync error"), "{why}");
        } else {
            node.clone().close().await.unwrap();
        }
        for answer in [promised, napping, waiting, repeat] {
            let error = told(answer).await;
            assert!(matches!(&error, CallError::Unavailable(_)), "{error}");
        }
        let error = told(node.call(&sleeper, counted.clone())).await;
        assert!(matches!(&error, CallError::Unavailable(_)), "{error}");

        let disk = power_cut(node, &disk);
        let node: Node = node_on(&disk).await;
        assert_eq!(node.call(&sleeper, nap).await.unwrap(), b"before=1 after=2");
        assert_eq!(node.call(&sleeper, counted).await.unwrap(), b"2");
        let promised = begun(node.call(&deferrer, later)).await;
        ask(&node, "deferrer", "release", "kept").await.unwrap();
        assert_eq!(promised.await.unwrap(), b"kept");
        node.close().await.unwrap();
    }
}
