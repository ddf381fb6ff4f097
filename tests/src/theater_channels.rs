//! Channels of `theater:simple`: opened with the other's acceptance or not at all, in order, closed with either side, also across a crash.

use troupe_log::{Kind, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging, Mode};
use troupe_runtime::node::{Node, Outgoing};

use crate::requests::partner;
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, rows, sleeping, spec, verified};

fn theater(name: &str) -> ActorSpec {
    let mut spec = spec(name, "theater");
    spec.init = b"total 0".to_vec();
    spec.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("*").unwrap()] });
    spec
}

async fn both(disk: &SimDisk) -> Node {
    let node = node_on(disk).await;
    node.start(theater("a")).await.unwrap();
    node.start(theater("b")).await.unwrap();
    node
}

async fn said(node: &Node, actor: &str, text: &str) -> String {
    ask(node, actor, "any", text).await.unwrap_or_else(|error| panic!("{actor} {text}: {error}"))
}

async fn refused(node: &Node, actor: &str, text: &str) -> String {
    match ask(node, actor, "any", text).await {
        Err(CallError::Refused(why)) => why,
        other => panic!("{actor} {text}: {other:?}"),
    }
}

/// What an actor has noted.
async fn notes(node: &Node, actor: &str) -> String {
    said(node, actor, "get").await.rsplit('\n').next().unwrap_or_default().to_owned()
}

/// Waits until an actor has noted this.
async fn noted(node: &Node, actor: &str, what: &str) -> String {
    loop {
        let notes = notes(node, actor).await;
        if notes.contains(what) {
            return notes;
        }
        tokio::task::yield_now().await;
    }
}

async fn replayed(node: &Node, actors: &[&str]) {
    for name in actors {
        replay(node, name, "theater").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        verified(node, name).await;
    }
}

/// "Messages come in the order in which they were sent; a close comes behind what was sent before it."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_carries_messages_both_ways_in_order_until_a_side_closes_it_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let channel = said(&node, "a", "open|b|early").await;
    assert!(channel.starts_with("default/a~"), "{channel}");
    assert_eq!(said(&node, "a", &format!("say|{channel}|one")).await, "said");
    assert_eq!(said(&node, "a", &format!("say|{channel}|echo|two")).await, "said");
    noted(&node, "a", &format!("on {channel} two")).await;
    let brief = said(&node, "a", "open|b|brief").await;
    assert_eq!(said(&node, "a", &format!("close|{brief}")).await, "closed");
    noted(&node, "b", &format!("closed {brief}")).await;
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(said(&node, "b", &format!("say|{channel}|three")).await, "said", "it survives, for both sides");
    assert_eq!(said(&node, "a", &format!("say-close|{channel}|four")).await, "said");
    let heard = noted(&node, "b", &format!("closed {channel}")).await;
    let on = |text: &str| format!("on {channel} {text}");
    assert_eq!(
        heard,
        [
            format!("opened {channel} early"),
            on("one"),
            on("echo|two"),
            format!("opened {brief} brief"),
            format!("closed {brief}"),
            on("four"),
            format!("closed {channel}")
        ]
        .join(",")
    );
    assert_eq!(noted(&node, "a", "three").await, [on("two"), on("three")].join(","), "who closes it is not told");
    for (actor, asked) in [("a", "say"), ("b", "say"), ("a", "close"), ("b", "close")] {
        let why = refused(&node, actor, &format!("{asked}|{channel}|x")).await;
        assert_eq!(why, format!("there is no open channel {channel}"));
    }
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_accepted_with_a_first_message_or_refused_in_words() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    node.start(partner("p")).await.unwrap();
    let channel = said(&node, "a", "open|b|greet|hello").await;
    assert_eq!(noted(&node, "a", "hello").await, format!("on {channel} hello"));
    assert_eq!(refused(&node, "a", "open|b|reject|not now").await, "the channel was not accepted: not now");
    assert_eq!(refused(&node, "a", "open|b|reject").await, "the channel was not accepted");
    assert_eq!(refused(&node, "a", "open|b|err|no").await, "no");
    assert_eq!(refused(&node, "a", "open|nobody|x").await, "not found: default/nobody");
    assert_eq!(refused(&node, "a", "open|a|x").await, "a circle of requests: default/a");
    assert_eq!(
        refused(&node, "a", "open|p|x").await,
        "invalid: it takes no channels: it is no component of theater:simple"
    );
    node.start(spec("old", "theater-old")).await.unwrap();
    assert_eq!(refused(&node, "a", "open|old|x").await, "invalid: the component does not export handle-channel-open");
    assert_eq!(refused(&node, "a", "say|default/a~0.0|x").await, "there is no open channel default/a~0.0");
    // Another actor has no part in it.
    node.start(theater("c")).await.unwrap();
    let why = refused(&node, "c", &format!("say|{channel}|x")).await;
    assert_eq!(why, format!("there is no open channel {channel}"));
    // The message types are the runtime's own.
    for forged in ["troupe:channel-open", "troupe:channel-close"] {
        let forged = node.call(&id("b"), Outgoing::new(forged, &b"x"[..])).await.unwrap_err();
        assert!(matches!(forged, CallError::Invalid(_)), "{forged}");
    }
    let mut loner = theater("loner");
    loner.grants.messaging = None;
    node.start(loner).await.unwrap();
    let denied = refused(&node, "loner", "open|b|x").await;
    assert_eq!(denied, "not permitted: needs [grants.messaging] to = [\"b\"]");
    for asked in [format!("say|{channel}|x"), format!("close|{channel}")] {
        assert_eq!(refused(&node, "loner", &asked).await, "not permitted: needs [grants.messaging]");
    }
    assert_eq!(count(&node, "loner", Kind::Denial).await, 3);
    // Who was opened a channel to answers on it, whomever else it may reach.
    let mut shy = theater("shy");
    shy.grants.messaging = Some(Messaging { to: Vec::new() });
    node.start(shy).await.unwrap();
    let channel = said(&node, "a", "open|shy|x").await;
    assert_eq!(said(&node, "shy", &format!("say|{channel}|shyly")).await, "said");
    noted(&node, "a", "shyly").await;
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "shy", &format!("say|{channel}|again")).await, "said");
    noted(&node, "a", "again").await;
    replayed(&node, &["a", "b", "c", "shy", "loner"]).await;
    node.close().await.unwrap();
}

/// "The end of a side closes the channel for the other."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_side_closes_its_channels_for_the_other() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let mut frail = theater("frail");
    frail.supervision.on_fault = troupe_runtime::manifest::OnFault::Stop;
    node.start(frail).await.unwrap();
    let first = said(&node, "a", "open|b|x").await;
    let second = said(&node, "b", "open|frail|x").await;
    assert_eq!(said(&node, "b", &format!("say|{second}|trap")).await, "said");
    noted(&node, "b", &format!("closed {second}")).await;
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    node.stop(&id("a"), "enough").await.unwrap();
    let heard = noted(&node, "b", &format!("closed {first}")).await;
    assert_eq!(heard.matches("closed").count(), 2, "each end is told once: {heard}");
    assert!(refused(&node, "b", &format!("say|{first}|x")).await.starts_with("there is no open channel"));
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &["b"]).await;
    node.close().await.unwrap();
}

/// "An actor without journal ends with the process: who has a channel with it hears of that when the node starts again."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_with_an_actor_that_had_no_journal_is_closed_when_the_node_starts_again() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(theater("a")).await.unwrap();
    node.start(ActorSpec { journal: Mode::Off, ..theater("b") }).await.unwrap();
    let channel = said(&node, "a", "open|b|x").await;
    assert_eq!(said(&node, "a", &format!("say|{channel}|hi")).await, "said");
    noted(&node, "b", "hi").await;
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(noted(&node, "a", "closed").await, format!("closed {channel}"));
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &["a"]).await;
    node.close().await.unwrap();
}

/// "Opening is a request: it goes on after a crash of either side."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_a_channel_goes_on_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let call = Outgoing::new("any", &b"open|b|nap-accept|200"[..]).key("once");
    let a = id("a");
    let asked = begun(node.call(&a, call.clone())).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(asked);
    let node = node_on(&power_cut(node, &disk)).await;
    let channel = String::from_utf8(node.call(&a, call).await.unwrap()).unwrap();
    assert_eq!(said(&node, "a", &format!("say|{channel}|hi")).await, "said");
    let heard = noted(&node, "b", "hi").await;
    assert_eq!(heard, format!("opened {channel} nap-accept|200,on {channel} hi"), "it was opened once");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

/// "Who waits no more has no channel, and who accepted it is told."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_for_which_nobody_waits_any_more_is_closed_as_it_is_accepted() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut hasty = theater("a");
    hasty.limits.deadline = Some(std::time::Duration::from_secs(1));
    node.start(hasty).await.unwrap();
    node.start(theater("b")).await.unwrap();
    assert_eq!(refused(&node, "a", "open|b|nap-accept|1500").await, "timeout");
    let heard = noted(&node, "b", "closed").await;
    assert_eq!(heard.matches("opened").count(), 1, "{heard}");
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_has_no_more_channels_than_bonds() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let mut last = String::new();
    for _ in 0..1000 {
        last = said(&node, "a", "open|b|x").await;
    }
    assert_eq!(refused(&node, "a", "open|b|x").await, "at the limit max-bonds = 1000");
    node.start(theater("c")).await.unwrap();
    assert_eq!(refused(&node, "c", "open|b|x").await, "max-bonds = 1000");
    noted(&node, "b", "closed default/c~").await;
    assert_eq!(said(&node, "b", &format!("close|{last}")).await, "closed");
    said(&node, "c", "open|b|x").await;
    replayed(&node, &["b", "c"]).await;
    node.close().await.unwrap();
}

/// Cut anywhere, a channel is there for both sides, or for none and the opening is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_channel_is_opened_once_and_its_first_message_comes_once() {
    for stop in 0.. {
        assert!(stop < 200, "it never ends");
        let disk = SimDisk::new();
        let node = both(&disk).await;
        node.sync().await.unwrap();
        disk.cut_after(stop);
        let call = Outgoing::new("any", &b"open|b|greet|hello"[..]).key("once");
        let mut whole = node.call(&id("a"), call.clone()).await.is_ok();
        whole &= node.sync().await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        let opened = node.call(&id("a"), call).await.unwrap_or_else(|error| panic!("after {stop}: {error}"));
        let channel = String::from_utf8(opened).unwrap();
        assert_eq!(said(&node, "a", &format!("say|{channel}|echo|back")).await, "said");
        let heard = noted(&node, "a", "back").await;
        assert_eq!(heard, format!("on {channel} hello,on {channel} back"), "after {stop}");
        assert_eq!(notes(&node, "b").await.matches("opened").count(), 1, "after {stop}");
        replayed(&node, &["a", "b"]).await;
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}
