//! Requests between actors: a wait that survives a crash of either side, answered once; circles are found at once.

use std::collections::BTreeSet;
use std::time::Duration;

use troupe_log::{Kind, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging, Mode};
use troupe_runtime::node::{Node, Outgoing};

use crate::durations::{MINUTE, Manual, node_with};
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, rows, sleeping, spec};

/// A partner that may reach everybody.
pub fn partner(name: &str) -> ActorSpec {
    let mut spec = spec(name, "partner");
    spec.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("*").unwrap()] });
    spec
}

/// A node with these partners.
async fn partners(disk: &SimDisk, names: &[&str]) -> Node {
    let node = node_on(disk).await;
    for name in names {
        node.start(partner(name)).await.unwrap();
    }
    node
}

async fn refused(node: &Node, actor: &str, message_type: &str, payload: &str) -> String {
    match ask(node, actor, message_type, payload).await.unwrap_err() {
        CallError::Refused(text) => text,
        other => panic!("{other}"),
    }
}

async fn replayed(node: &Node, names: &[&str]) {
    for name in names {
        replay(node, name, "partner").await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_answered_with_the_bytes_or_the_error_of_the_other() {
    let node = partners(&SimDisk::new(), &["a", "b"]).await;
    assert_eq!(ask(&node, "a", "ask", "b|add|2").await.unwrap(), "2");
    assert_eq!(ask(&node, "a", "ask", "default/b|add|3").await.unwrap(), "5");
    let bytes: Vec<u8> = b"b|echo|".iter().copied().chain(*b"\0\x01\x7f binary").collect();
    assert_eq!(node.call(&id("a"), Outgoing::new("ask", bytes)).await.unwrap(), b"\0\x01\x7f binary");
    assert_eq!(refused(&node, "a", "ask", "b|refuse|no").await, "refused: no");
    let faulted = refused(&node, "a", "ask", "b|trap|").await;
    assert!(faulted.starts_with("faulted: trap:") && faulted.ends_with("committed: false"), "{faulted}");
    assert_eq!(refused(&node, "a", "ask", "nobody|add|1").await, "not-found: default/nobody");
    assert!(refused(&node, "a", "ask", "B!|add|1").await.starts_with("invalid-argument: "));
    assert!(refused(&node, "a", "ask", "b|troupe:exit|1").await.starts_with("invalid-argument: "));
    assert!(refused(&node, "a", "ask-within", "0|b|add|1").await.starts_with("invalid-argument: "));
    assert_eq!(ask(&node, "b", "total", "").await.unwrap(), "5");
    let mut loner = partner("loner");
    loner.grants.messaging = None;
    node.start(loner).await.unwrap();
    let denied = refused(&node, "loner", "ask", "b|add|1").await;
    assert_eq!(denied, "not-permitted: [grants.messaging] to = [\"b\"]");
    assert_eq!(count(&node, "loner", Kind::Denial).await, 1);
    replayed(&node, &["a", "b", "loner"]).await;
    node.close().await.unwrap();
}

/// "The wait has the id of its record"; "the turn goes on live: an unanswered wait waits again under its id".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_on_after_a_power_cut_of_both_and_is_handled_once() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b"]).await;
    let call = Outgoing::new("ask", &b"b|nap-then-add|200"[..]).key("once");
    let calling = tokio::spawn({
        let (node, call) = (node.clone(), call.clone());
        async move { node.call(&id("a"), call).await }
    });
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    calling.abort();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(node.call(&id("a"), call).await.unwrap(), b"1");
    assert_eq!(ask(&node, "b", "total", "").await.unwrap(), "1");
    assert_eq!(count(&node, "a", Kind::Resume).await, 2, "begun, and at its wait");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

/// "The removal of what it consumed, its records, its node effects are one batch": cut anywhere, the request is handled once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_request_is_handled_once_and_answered() {
    for (asked, total) in
        [("ask|b|add|1", "1"), ("ask|b|nap-then-add|3", "1"), ("ask-once|k|b|add|1", "1"), ("ask|b|pass|c|x", "0")]
    {
        let (message_type, payload) = asked.split_once('|').unwrap();
        let mut resumed = 0;
        for stop in 0.. {
            assert!(stop < 4000, "the call never ends");
            let (operations, killed) = (stop / 2, stop % 2 == 1);
            let disk = SimDisk::new();
            let node = partners(&disk, &["a", "b", "c"]).await;
            let call = Outgoing::new(message_type, payload.as_bytes()).key("once");
            disk.cut_after(operations);
            let syncing = tokio::spawn({
                let node = node.clone();
                async move { while node.sync().await.is_ok() {} }
            });
            let whole = node.call(&id("a"), call.clone()).await.is_ok();
            syncing.abort();
            drop(node);
            match killed {
                true => disk.crash_keeping(true, |write| 0..write.len),
                false => disk.crash(),
            }
            let node = node_on(&disk).await;
            let what = format!("{asked} after {operations}, killed: {killed}");
            node.call(&id("a"), call).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(ask(&node, "b", "total", "").await.unwrap(), total, "{what}");
            resumed += count(&node, "a", Kind::Resume).await;
            replayed(&node, &["a", "b", "c"]).await;
            node.close().await.unwrap();
            if whole && killed {
                break;
            }
        }
        assert!(resumed > 0 || !asked.contains("nap"), "{asked}: no cut was inside of the turn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_put_off_ends_a_request_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b"]).await;
    let call = Outgoing::new("ask", &b"b|later|"[..]).key("once");
    let a = id("a");
    let asked = begun(node.call(&a, call.clone())).await;
    while ask(&node, "b", "held", "").await.unwrap() != "1" {}
    drop(asked);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    ask(&node, "b", "release", "at last").await.unwrap();
    assert_eq!(node.call(&id("a"), call).await.unwrap(), b"at last");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_handed_on_keeps_its_sender_and_its_answer_goes_there() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b", "c"]).await;
    assert_eq!(ask(&node, "b", "pass", "c|x").await.unwrap(), "x for @client");
    assert_eq!(ask(&node, "a", "ask", "b|pass|c|x").await.unwrap(), "x for default/a");
    node.cast(&id("b"), Outgoing::new("pass", &b"c|x"[..])).await.unwrap();
    while ask(&node, "c", "notes", "").await.unwrap() != "cast pass(c|x) from @client" {}
    // Undone with its step; the answer is the fault.
    let faulted = refused(&node, "a", "ask", "b|pass-then-trap|c|x").await;
    assert!(faulted.starts_with("faulted: trap:"), "{faulted}");
    let circle = refused(&node, "a", "ask", "b|pass|a|x").await;
    assert_eq!(circle, "refused: cycle: default/a", "to hand it to the one who waits for it");
    let keyed = node.call(&id("b"), Outgoing::new("pass", &b"c|x"[..]).key("k")).await.unwrap_err();
    assert!(matches!(&keyed, CallError::Refused(text) if text.starts_with("invalid-argument: ")), "{keyed}");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "c", "notes", "").await.unwrap(), "cast pass(c|x) from @client", "it was handed on once");
    assert_eq!(ask(&node, "a", "ask", "b|pass|c|x").await.unwrap(), "x for default/a");
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_with_headers_and_the_time_of_the_node_are_the_same_after_a_power_cut() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    for name in ["a", "b"] {
        node.start(partner(name)).await.unwrap();
    }
    assert_eq!(ask(&node, "a", "now", "").await.unwrap(), "1800000000000");
    clock.advance(Duration::from_millis(1234));
    assert_eq!(ask(&node, "a", "now", "").await.unwrap(), "1800000001234");
    assert_eq!(ask(&node, "a", "send", "b|lang").await.unwrap(), "sent");
    node.sync().await.unwrap();

    let node = node_with(&power_cut(node, &disk), &clock).await;
    assert_eq!(ask(&node, "b", "notes", "headers").await.unwrap(), "cast t() from default/a lang=x");
    clock.advance(MINUTE);
    assert_eq!(ask(&node, "a", "now", "").await.unwrap(), "1800000061234");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

/// "A request that would close a circle of actors waiting inside their turns is answered `cycle` at once."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_is_answered_at_once_to_the_one_who_closes_it() {
    let node = partners(&SimDisk::new(), &["a", "b", "c"]).await;
    assert_eq!(refused(&node, "a", "ask", "a|total|").await, "cycle: default/a");
    assert_eq!(refused(&node, "a", "ask", "b|ask|a|total|").await, "refused: cycle: default/b default/a");
    let three = refused(&node, "a", "ask", "b|ask|c|ask|a|total|").await;
    assert_eq!(three, "refused: refused: cycle: default/c default/a default/b");
    // Who has its answer waits no more.
    assert_eq!(ask(&node, "a", "ask", "b|ask|c|add|1").await.unwrap(), "1");
    assert_eq!(ask(&node, "c", "ask", "b|ask|a|add|1").await.unwrap(), "1");
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_that_close_a_circle_from_both_ends_are_both_answered() {
    let node = partners(&SimDisk::new(), &["a", "b"]).await;
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let (one, other) =
            tokio::join!(ask(&node, "a", "ask", "b|ask|a|total"), ask(&node, "b", "ask", "a|ask|b|total"));
        for answer in [one, other] {
            let text = match answer {
                Ok(text) => text,
                Err(CallError::Refused(text)) => text,
                Err(other) => panic!("{other}"),
            };
            assert!(!text.contains("timeout"), "{text}");
            seen.insert(text);
        }
    }
    assert!(seen.iter().any(|text| text.contains("cycle")), "{seen:?}");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

/// "A request that timed out is withdrawn if its turn has not begun; else its answer is dropped."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_timed_out_is_not_handled_or_its_answer_is_dropped() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b"]).await;
    assert_eq!(refused(&node, "a", "ask-within", "20|b|nap-then-add|60").await, "timeout");
    // Behind that turn: it did not begin in time.
    assert_eq!(refused(&node, "a", "ask-within", "5|b|add|10").await, "timeout");
    assert_eq!(ask(&node, "a", "ask", "b|total|").await.unwrap(), "1", "the answer is that of this request");
    assert_eq!(count(&node, "b", Kind::Expired).await, 1);
    assert_eq!(ask(&node, "b", "ask", "a|total|").await.unwrap(), "0", "nor does anybody wait for it");
    let mut bounded = partner("bounded");
    bounded.limits.deadline = Some(Duration::from_secs(60));
    node.start(bounded).await.unwrap();
    let left: u64 = ask(&node, "bounded", "ask", "b|time-left|").await.unwrap().parse().unwrap();
    assert!((1..60_000).contains(&left), "nobody wants it longer than the turn that asks lasts: {left}");
    let mut hasty = partner("hasty");
    hasty.limits.deadline = Some(Duration::from_secs(1));
    node.start(hasty).await.unwrap();
    assert_eq!(refused(&node, "hasty", "ask", "b|nap|1500").await, "timeout", "the turn must get on");
    // Behind that turn.
    assert_eq!(ask(&node, "b", "held", "").await.unwrap(), "0");
    assert_eq!(rows(&node, &disk, Table::COMPLETIONS, b"").await, 0, "an answer that nobody wants is no row");
    replayed(&node, &["a", "b", "hasty"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_is_told_at_once() {
    let node = partners(&SimDisk::new(), &["a"]).await;
    let mut busy = partner("busy");
    busy.limits.mailbox = 1.try_into().unwrap();
    node.start(busy).await.unwrap();
    let first = begun(ask(&node, "busy", "nap", "80")).await;
    sleeping(&node, 1).await;
    let second = begun(ask(&node, "busy", "add", "1")).await;
    assert_eq!(refused(&node, "a", "ask", "busy|add|1").await, "mailbox-full");
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(ask(&node, "busy", "ask", "a|add|1").await.unwrap(), "1", "what was refused is waited for by nobody");
    assert_eq!(ask(&node, "busy", "total", "").await.unwrap(), "1");
    replayed(&node, &["a", "busy"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_is_handled_once_however_often_it_is_made() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b", "c"]).await;
    for _ in 0..2 {
        assert_eq!(ask(&node, "a", "ask-once", "k|b|add|1").await.unwrap(), "1");
    }
    assert_eq!(ask(&node, "c", "ask-once", "k|b|add|1").await.unwrap(), "2", "the key is the caller's own");
    let other = refused(&node, "a", "ask-once", "k|b|add|7").await;
    assert!(other.starts_with("invalid-argument: "), "{other}");
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "a", "ask-once", "k|b|add|1").await.unwrap(), "1");
    assert_eq!(ask(&node, "b", "total", "").await.unwrap(), "2");
    // A step that is undone frees its key.
    ask(&node, "a", "ask-then-trap", "b|total|").await.unwrap_err();
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_ends_answers_who_waits_for_it() {
    let node = partners(&SimDisk::new(), &["a", "b", "c"]).await;
    let held = begun(ask(&node, "a", "ask", "b|later|")).await;
    while ask(&node, "b", "held", "").await.unwrap() != "1" {}
    let napping = begun(ask(&node, "b", "nap", "40")).await;
    sleeping(&node, 1).await;
    let waiting = begun(ask(&node, "c", "ask", "b|add|1")).await;
    node.stop(&id("b"), "enough").await.unwrap();
    napping.await.unwrap();
    let told = held.await.unwrap_err();
    assert!(
        matches!(&told, CallError::Refused(text) if text.starts_with("faulted: the actor was stopped: enough")),
        "{told}"
    );
    assert_eq!(waiting.await.unwrap_err(), CallError::Refused("not-found: default/b".to_owned()));
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

/// An answer may be promised once, by a turn that somebody waits for, and given once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_is_made_and_kept_once_also_through_a_fault_and_leaves_nothing() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b", "c"]).await;
    let once = "invalid-argument: the answer of this turn is put off already";
    assert_eq!(ask(&node, "b", "later-then", "later").await.unwrap(), once);
    assert_eq!(ask(&node, "a", "ask", "b|later-then|pass|c").await.unwrap(), {
        "invalid-argument: the answer of this turn is put off or handed on already"
    });
    assert_eq!(refused(&node, "b", "forget", "").await, "not-found: reply token 00");
    node.cast(&id("b"), Outgoing::new("later", &b""[..])).await.unwrap();
    let nobody = "invalid-argument: only a call can be answered later";
    while ask(&node, "b", "notes", "").await.unwrap() != nobody {}

    // What gave it is undone: it can be given again.
    let asked = begun(ask(&node, "a", "ask", "b|later|")).await;
    while ask(&node, "b", "held", "").await.unwrap() != "1" {}
    assert_eq!(rows(&node, &disk, Table::TOKENS, b"").await, 1);
    let error = ask(&node, "b", "release-then-trap", "x").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { .. }), "{error}");
    assert_eq!(ask(&node, "b", "release", "at last").await.unwrap(), "");
    assert_eq!(asked.await.unwrap(), "at last");
    for table in [Table::TOKENS, Table::COMPLETIONS, Table::INBOX, Table::TIMERS] {
        assert_eq!(rows(&node, &disk, table, b"").await, 0, "{table:?}");
    }
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

/// "`cycle` at once": who waits for what was handed on waits for whom it was handed to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_is_found_through_what_was_handed_on() {
    let node = partners(&SimDisk::new(), &["a", "b", "c"]).await;
    let circle = refused(&node, "a", "ask", "b|pass-ask|c|a|total|").await;
    assert_eq!(circle, "refused: cycle: default/c default/a");
    // And not for whom it was asked first.
    assert_eq!(ask(&node, "a", "ask", "b|pass-ask|c|b|nap|20").await.unwrap(), "rested");
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

/// "`off`: after a restart open waits on it end `unavailable`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_without_a_journal_ask_and_answer_and_what_they_were_asked_is_lost_with_the_node() {
    let disk = SimDisk::new();
    let node = partners(&disk, &["a", "b"]).await;
    let off = ActorSpec { journal: Mode::Off, ..partner("off") };
    node.start(off.clone()).await.unwrap();
    assert_eq!(ask(&node, "off", "ask", "b|add|1").await.unwrap(), "1");
    assert_eq!(ask(&node, "a", "ask", "off|add|1").await.unwrap(), "1");
    assert_eq!(refused(&node, "off", "ask", "b|ask|off|total").await, "refused: cycle: default/b default/off");
    let call = Outgoing::new("ask", &b"off|nap|60000"[..]).key("once");
    let a = id("a");
    let waiting = begun(node.call(&a, call.clone())).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(waiting);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    let lost = node.call(&id("a"), call).await.unwrap_err();
    assert_eq!(lost, CallError::Refused("not-found: default/off".to_owned()), "nobody has started it again");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}
