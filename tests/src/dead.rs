//! Dead letters: "A committed message gets exactly one end: handled, expired, or dead-lettered"; an operator shows, re-sends and
//! removes them.

use troupe_log::SimDisk;
use troupe_runtime::Error;
use troupe_runtime::actor::message::{CallError, MessageId, MessageKind};
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::{DeadLetter, Node, Outgoing};

use crate::support::{ask, begun, id, node_on, power_cut, replay, sleeping, spec, verified};

fn counter() -> ActorSpec {
    let mut counter = spec("counter", "counter-rust");
    counter.supervision.max_restarts = 1000;
    counter
}

async fn letters(node: &Node, actor: &str) -> Vec<DeadLetter> {
    node.dead_letters_of(&id(actor)).await.unwrap()
}

/// A node whose sleeper was stopped in the middle of a nap, with these messages behind it, and begun again.
async fn stopped(behind: Vec<Outgoing>) -> (Node, SimDisk) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    let napping = begun(ask(&node, "sleeper", "nap", "60000")).await;
    sleeping(&node, 1).await;
    let sleeper = id("sleeper");
    let mut waiting = Vec::new();
    for message in behind {
        waiting.push(begun(node.call(&sleeper, message)).await);
    }
    node.stop_now(&id("sleeper"), "enough").await.unwrap();
    napping.await.unwrap_err();
    for call in waiting {
        assert_eq!(call.await.unwrap_err(), CallError::NotFound("default/sleeper".to_owned()));
    }
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    (node, disk)
}

fn dead(letters: &[DeadLetter], why: &str) -> MessageId {
    letters.iter().find(|letter| letter.why.starts_with(why)).unwrap().message.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_given_up_is_shown_sent_again_and_removed() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(counter()).await.unwrap();
    let call = Outgoing { headers: vec![("a".into(), "b".into())], ..Outgoing::new("trap", &b"why not"[..]) };
    node.call(&id("counter"), call.clone().key("k")).await.unwrap_err();
    let [letter] = &letters(&node, "counter").await[..] else { panic!("one") };
    assert!(letter.why.starts_with("trap: "), "{}", letter.why);
    let message = &letter.message;
    assert_eq!((&*message.message_type, &*message.payload, message.attempt), ("trap", &b"why not"[..], 3));
    assert_eq!((message.kind, message.headers.clone()), (MessageKind::Call, call.headers.clone()));
    assert_eq!(node.dead_letters().await.unwrap(), letters(&node, "counter").await);
    let (one, nobody) = (message.id, id("nobody"));
    assert_eq!(node.resend(&nobody, one).await.unwrap_err(), CallError::NotFound("default/nobody".to_owned()));
    let error = node.dead_letter(&id("counter"), MessageId(1)).await.unwrap_err();
    assert!(matches!(error, Error::NoDeadLetter { .. }), "{error}");

    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(letters(&node, "counter").await.len(), 1);
    let before = node.actor(&id("counter")).await.unwrap().faults;
    node.resend(&id("counter"), one).await.unwrap();
    // It traps again, three times, and is a dead letter again.
    while letters(&node, "counter").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.actor(&id("counter")).await.unwrap().faults, before + 3, "as a first attempt");
    let again = node.call(&id("counter"), call.key("k")).await.unwrap_err();
    assert!(matches!(again, CallError::Faulted { .. }), "the first answer: {again}");
    assert_eq!(node.actor(&id("counter")).await.unwrap().faults, before + 3);

    node.drop_dead_letter(&id("counter"), one).await.unwrap();
    let error = node.drop_dead_letter(&id("counter"), one).await.unwrap_err();
    assert!(matches!(error, Error::NoDeadLetter { .. }), "{error}");
    node.resend(&id("counter"), one).await.unwrap_err();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(letters(&node, "counter").await, []);
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "0");
    verified(&node, "counter").await;
    replay(&node, "counter", "counter-rust").await.unwrap();
    node.close().await.unwrap();
}

/// "A repeat waits for, or gets, the first answer": the key of a letter whose turn never ran is free, and goes with it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_takes_its_free_key_along_and_a_key_that_was_used_again_keeps_it_dead() {
    let nap = |key: &str| Outgoing::new("nap", &b"1"[..]).key(key);
    let (node, disk) = stopped(vec![nap("one"), nap("two")]).await;
    let mine = letters(&node, "sleeper").await;
    assert_eq!(mine.len(), 3, "{mine:?}");
    let of = |key: &str| mine.iter().find(|letter| letter.message.key.as_deref() == Some(key)).unwrap().message.id;
    node.resend(&id("sleeper"), of("one")).await.unwrap();
    let answer = node.call(&id("sleeper"), nap("one")).await.unwrap();
    assert_eq!(answer, b"before=1 after=2", "the repeat gets the answer of what was sent again");
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "2", "applied once");

    assert_eq!(node.call(&id("sleeper"), nap("two")).await.unwrap(), b"before=3 after=4");
    let error = node.resend(&id("sleeper"), of("two")).await.unwrap_err();
    assert!(matches!(&error, CallError::Invalid(why) if why.contains("`two`")), "{error}");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "4");
    assert_eq!(letters(&node, "sleeper").await.len(), 2, "it stays dead");
    assert_eq!(node.call(&id("sleeper"), nap("one")).await.unwrap(), answer);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_send_the_same_letter_again_one_does() {
    let (node, _) = stopped(vec![Outgoing::new("nap", &b"1"[..])]).await;
    let one = dead(&letters(&node, "sleeper").await, "the actor was stopped");
    let sends: Vec<_> = (0..8)
        .map(|_| {
            let node = node.clone();
            tokio::spawn(async move { node.resend(&id("sleeper"), one).await })
        })
        .collect();
    let mut sent = 0;
    for send in sends {
        match send.await.unwrap() {
            Ok(()) => sent += 1,
            Err(CallError::Invalid(why)) => assert!(why.contains("has no dead letter"), "{why}"),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sent, 1);
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "2");
    node.close().await.unwrap();
}

/// "One atomic batch": whenever the power goes, the message is dead or in the inbox, not both and not neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_letter_is_dead_or_sent_again() {
    let (node, disk) = stopped(vec![Outgoing::new("nap", &b"1"[..])]).await;
    let one = dead(&letters(&node, "sleeper").await, "the actor was stopped");
    let ready = power_cut(node, &disk);
    let (mut kept, mut sent) = (0, 0);
    for operations in 0.. {
        let disk = ready.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations);
        let acknowledged = node.resend(&id("sleeper"), one).await.is_ok();
        let whole = !disk.is_cut();
        let node = node_on(&power_cut(node, &disk)).await;
        let there = letters(&node, "sleeper").await.iter().any(|letter| letter.message.id == one);
        let count = ask(&node, "sleeper", "count", "").await.unwrap();
        assert_eq!(count, if there { "0" } else { "2" }, "cut after {operations}");
        assert!(!acknowledged || !there, "cut after {operations}: what was acknowledged is undone");
        if there {
            kept += 1;
        } else {
            sent += 1;
        }
        node.close().await.unwrap();
        if whole && acknowledged {
            break;
        }
    }
    assert!(kept > 0 && sent > 0, "{kept} kept, {sent} sent again");
}
