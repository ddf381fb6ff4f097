//! Topics: "each item to every subscriber", all or none; durable subscriptions, which end with their actor.

use std::num::NonZeroU32;

use troupe_log::SimDisk;
use troupe_runtime::manifest::{ActorPattern, Channels, Mode};
use troupe_runtime::node::channels::{ChannelError, ForChannel};
use troupe_runtime::node::{Node, Outgoing};

use crate::channels::{act, started, user};
use crate::support::{ask, begun, id, node_on, power_cut, replay, sleeping, verified};

/// What an actor has got from topics, once it is so much.
async fn kept(node: &Node, actor: &str, lines: usize) -> Vec<String> {
    loop {
        let kept = ask(node, actor, "kept", "").await.unwrap();
        let kept: Vec<String> = kept.lines().map(str::to_owned).collect();
        if kept.len() >= lines {
            return kept;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_gets_each_item_with_its_type_its_bytes_and_who_published_it() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["publisher", "all", "eu", "both", "none"]).await;
    let all = act(&node, "all", "subscribe orders.>").await;
    let eu = act(&node, "eu", "subscribe orders.*").await;
    let both = act(&node, "both", "subscribe orders.eu\nsubscribe *.eu").await;
    act(&node, "none", "subscribe orders").await;
    let published =
        act(&node, "publisher", "publish orders.eu odd:type 0x00ff\npublish orders.eu.de t x\npublish other t x").await;
    assert_eq!(published.lines().filter(|line| line.len() == 32).count(), 3, "{published}");
    let line = |topic: &str, subscription: &str, what: &str| {
        format!(
            "@topic/{topic} {} troupe-publisher=default/publisher troupe-subscription={subscription} {}",
            what.split(' ').next().unwrap(),
            what.split(' ').nth(1).unwrap()
        )
    };
    assert_eq!(
        kept(&node, "all", 2).await,
        [line("orders.eu", &all, "odd:type 0x00ff"), line("orders.eu.de", &all, "t x")],
        "in the order of publishing"
    );
    assert_eq!(kept(&node, "eu", 1).await, [line("orders.eu", &eu, "odd:type 0x00ff")]);
    let both: Vec<String> = both.lines().map(|id| line("orders.eu", id, "odd:type 0x00ff")).collect();
    assert_eq!(kept(&node, "both", 2).await, both, "one for each subscription");
    assert_eq!(kept(&node, "none", 0).await, [""; 0]);
    for actor in ["publisher", "all", "eu", "both", "none"] {
        verified(&node, actor).await;
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_after_a_power_cut_until_it_or_its_actor_ends() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    started(&node, &["publisher", "stays", "leaves", "stops"]).await;
    act(&node, "stays", "subscribe a.*").await;
    let leaves = act(&node, "leaves", "subscribe a.b").await;
    act(&node, "stops", "subscribe >").await;
    let said = act(&node, "stays", &format!("unsubscribe {leaves}\nunsubscribe 99")).await;
    assert_eq!(said, format!("err: not-found subscription {leaves}\nerr: not-found subscription 99"), "another's");
    act(&node, "publisher", "publish a.b t 1").await;
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    act(&node, "publisher", "publish a.b t 2").await;
    assert_eq!(kept(&node, "leaves", 2).await.len(), 2);
    let said = act(&node, "leaves", &format!("unsubscribe {leaves}\nunsubscribe {leaves}")).await;
    assert_eq!(said, format!("done\nerr: not-found subscription {leaves}"));
    node.stop(&id("stops"), "enough").await.unwrap();
    act(&node, "publisher", "publish a.b t 3").await;

    let node = node_on(&power_cut(node, &disk)).await;
    act(&node, "publisher", "publish a.b t 4").await;
    let stays = kept(&node, "stays", 4).await;
    assert_eq!(stays.iter().map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(kept(&node, "leaves", 2).await.len(), 2);
    let again = act(&node, "leaves", "subscribe a.b").await;
    assert_ne!(again, leaves, "an id is never used again");
    started(&node, &["stops"]).await;
    act(&node, "publisher", "publish a.b t 5").await;
    kept(&node, "leaves", 3).await;
    assert_eq!(kept(&node, "stops", 0).await, [""; 0], "its next life has not subscribed");
    for actor in ["publisher", "stays", "leaves"] {
        verified(&node, actor).await;
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

/// "Staged, commits with the step": nobody hears of an item whose step faults; a subscription of it never was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_takes_back_what_was_published_and_subscribed() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["publisher", "subscriber"]).await;
    let mine = act(&node, "subscriber", "subscribe a").await;
    ask(&node, "publisher", "then-trap", "publish a t never").await.unwrap_err();
    ask(&node, "subscriber", "then-trap", &format!("unsubscribe {mine}\nsubscribe b")).await.unwrap_err();
    act(&node, "publisher", "publish b t never\npublish a t one").await;
    let got = kept(&node, "subscriber", 1).await;
    assert!(got.len() == 1 && got[0].ends_with(" one"), "{got:?}");
    // A step sees its own.
    act(&node, "subscriber", &format!("unsubscribe {mine}\npublish a t x\nsubscribe c\npublish c t two")).await;
    let got = kept(&node, "subscriber", 2).await;
    assert!(got.len() == 2 && got[1].ends_with(" two"), "{got:?}");
    for actor in ["publisher", "subscriber"] {
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_subscriber_has_no_place_nobody_gets_the_item() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut small = user("small");
    small.limits.mailbox = NonZeroU32::MIN;
    node.start(small).await.unwrap();
    started(&node, &["large", "publisher"]).await;
    // The one who has room comes first, and must give it back.
    act(&node, "large", "subscribe a").await;
    act(&node, "small", "subscribe a").await;
    let sleeps = begun(ask(&node, "small", "do", "sleep 3600000")).await;
    sleeping(&node, 1).await;
    let places = 4 + 1024;
    let script = "publish a t x\n".repeat(100);
    let mut said = Vec::new();
    while said.len() <= places {
        said.extend(act(&node, "publisher", &script).await.lines().map(str::to_owned));
    }
    assert!(said[..places].iter().all(|line| line.len() == 32), "each has its place");
    assert!(
        said[places].starts_with("err: resource-exhausted the mailbox of default/small is full"),
        "{}",
        said[places]
    );
    assert_eq!(kept(&node, "large", places).await.len(), places, "all or none");
    let error = node.publish(&id("a"), ForChannel::new("t", "x")).await.unwrap_err();
    assert!(matches!(error, ChannelError::Exhausted(_)), "{error}");
    drop(sleeps);
    // What topics bring is held to the publisher's payload limit, not to the subscriber's.
    let mut picky = user("picky");
    picky.limits.payload = troupe_log::ByteCount(64);
    node.start(picky).await.unwrap();
    act(&node, "picky", "subscribe big").await;
    assert_eq!(act(&node, "publisher", &format!("publish big t {}", "x".repeat(200))).await.len(), 32);
    kept(&node, "picky", 1).await;
    assert_eq!(kept(&node, "large", places).await.len(), places);
    replay(&node, "publisher", "queues").await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(kept(&node, "large", places).await.len(), places);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_needs_a_grant_for_every_topic_of_its_pattern_and_has_its_limits() {
    let node = node_on(&SimDisk::new()).await;
    let mut actor = user("actor");
    let pattern = |text| ActorPattern::parse(text).unwrap();
    let subscribe = vec![pattern("orders.*"), pattern("other/news")];
    actor.grants.channels = Some(Channels { subscribe, publish: vec![pattern("*")], ..Channels::default() });
    node.start(actor.clone()).await.unwrap();
    for (asked, grant) in [
        (">", "*"),
        ("*.eu", "*.eu"),
        ("orders", "orders"),
        ("other/>", "other/*"),
        ("other/*", "other/*"),
        ("third/orders.eu", "third/orders.eu"),
    ] {
        let said = act(&node, "actor", &format!("subscribe {asked}")).await;
        assert_eq!(said, format!("err: not-permitted [grants.channels] subscribe = [\"{grant}\"]"));
    }
    for bad in ["orders..eu", "orders.>.eu", "Orders", "orders.e*"] {
        assert!(act(&node, "actor", &format!("subscribe {bad}")).await.starts_with("err: invalid-argument"), "{bad}");
    }
    let said =
        act(&node, "actor", "subscribe orders.>\nsubscribe orders.*\nsubscribe other/news\nsubscribe orders.eu").await;
    assert!(said.lines().all(|line| line.parse::<u64>().is_ok()), "{said}");
    let more = act(&node, "actor", &"subscribe orders.eu\n".repeat(997)).await;
    let (last, before) = more.lines().collect::<Vec<_>>().split_last().map(|(a, b)| (a.to_string(), b.len())).unwrap();
    assert_eq!((before, last.as_str()), (996, "err: resource-exhausted max-subscriptions of one actor = 1000"));
    // 996 + 3 subscriptions match: with some 68 KiB for each the step has no more room.
    let size = (64 << 20) / 999;
    let big = format!("publish orders.eu t {}", "x".repeat(size));
    assert_eq!(act(&node, "actor", &big).await, "err: resource-exhausted max-fan-out = 64MiB");
    replay(&node, "actor", "queues").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_publishes_durably_and_subscribers_without_a_journal_hear_it_too() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    started(&node, &["durable"]).await;
    started_off(&node).await;
    act(&node, "durable", "subscribe a").await;
    act(&node, "off", "subscribe a").await;
    let (_, subscribers) = node.publish(&id("a"), ForChannel::new("t", "one")).await.unwrap();
    assert_eq!(subscribers, 2);
    assert_eq!(node.publish(&id("b"), ForChannel::new("t", "one")).await.unwrap().1, 0);
    let got = kept(&node, "off", 1).await;
    assert!(got[0].starts_with("@topic/a t troupe-publisher=@client "), "{got:?}");
    let node = node_on(&power_cut(node, &disk)).await;
    assert!(kept(&node, "durable", 1).await[0].ends_with(" one"));
    // One without a journal is not there after a restart; when it is started again, it has not subscribed.
    started_off(&node).await;
    assert_eq!(node.publish(&id("a"), ForChannel::new("t", "two")).await.unwrap().1, 1);
    assert_eq!(kept(&node, "durable", 2).await.len(), 2);
    node.close().await.unwrap();
}

async fn started_off(node: &Node) {
    let mut off = user("off");
    off.journal = Mode::Off;
    node.start(off).await.unwrap();
}

/// "All or none", at whatever operation the power goes; repeated under its key, an item is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_an_item_is_with_all_subscribers_once() {
    let mut lost = 0;
    for operations in 0.. {
        assert!(operations < 200, "it never ends");
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        started(&node, &["publisher", "a", "b"]).await;
        act(&node, "a", "subscribe t").await;
        act(&node, "b", "subscribe t").await;
        disk.cut_after(operations);
        let publish = Outgoing::new("do", &b"publish t t one"[..]).key("once");
        let whole = node.call(&id("publisher"), publish.clone()).await.is_ok();
        let node = node_on(&power_cut(node, &disk)).await;
        lost += usize::from(!whole);
        node.call(&id("publisher"), publish).await.unwrap();
        act(&node, "publisher", "publish t t two").await;
        for actor in ["a", "b"] {
            let got = kept(&node, actor, 2).await;
            let got: Vec<&str> = got.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
            assert_eq!(got, ["one", "two"], "after {operations}");
            replay(&node, actor, "queues").await.unwrap();
        }
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
    assert!(lost > 0);
}
