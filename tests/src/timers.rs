//! Timers that send: durable, once, as infos; disarmed in the step that says so.

use std::sync::Arc;
use std::time::Duration;

use troupe_log::{SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::node::{Node, Outgoing};

use crate::durations::{MINUTE, Manual, node_with};
use crate::requests::partner;
use crate::support::{ask, begun, id, node_on, power_cut, replay, rows, sleeping};

async fn notes(node: &Node, actor: &str) -> Vec<String> {
    let notes = ask(node, actor, "notes", "").await.unwrap();
    notes.split(", ").filter(|note| !note.is_empty()).map(str::to_owned).collect()
}

/// Waits until the actor has noted so much.
async fn noted(node: &Node, actor: &str, most: usize) -> Vec<String> {
    loop {
        let notes = notes(node, actor).await;
        if notes.len() >= most {
            return notes;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_sends_an_info_once_and_names_its_owner_and_its_number() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    for name in ["a", "b"] {
        node.start(partner(name)).await.unwrap();
    }
    let number = ask(&node, "a", "after", "5|b|tick|x").await.unwrap();
    assert_eq!(noted(&node, "b", 1).await, ["info tick(x) from @timer/default/a"]);
    let headers = ask(&node, "b", "notes", "headers").await.unwrap();
    assert!(headers.ends_with(&format!("troupe-timer={number}")), "{headers}");
    assert_eq!(ask(&node, "a", "cancel", &number).await.unwrap(), "false", "it has fired");
    let first: u64 = ask(&node, "a", "after", "60000|a|tick|").await.unwrap().parse().unwrap();
    assert_ne!(first.to_string(), number, "a number is never used again");
    assert_eq!(ask(&node, "b", "cancel", &first.to_string()).await.unwrap(), "false", "it is not b's");
    assert_eq!(ask(&node, "a", "cancel", &first.to_string()).await.unwrap(), "true");
    assert_eq!(ask(&node, "a", "cancel", &first.to_string()).await.unwrap(), "false");
    assert_eq!(node.pending_timers(), 0);
    for (message_type, payload) in [("every", "0|a|t|"), ("after", "1|a|troupe:exit|"), ("after", "1|A|t|")] {
        let error = ask(&node, "a", message_type, payload).await.unwrap_err();
        assert!(matches!(&error, CallError::Refused(text) if text.starts_with("invalid-argument")), "{error}");
    }
    let error = ask(&node, "a", "after-of", "1048577").await.unwrap_err();
    assert_eq!(error, CallError::Refused("too-large: 1048576".to_owned()));
    let largest = ask(&node, "a", "after-of", "1048576").await.unwrap();
    assert_eq!(ask(&node, "a", "cancel", &largest).await.unwrap(), "true");
    assert_eq!(ask(&node, "a", "cancel-at-once", "").await.unwrap(), "true");
    assert_eq!(rows(&node, &disk, Table::TIMERS, b"").await, 0, "fired or disarmed, in the table too");
    for name in ["a", "b"] {
        replay(&node, name, "partner").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_falls_due_while_the_node_is_down_fires_once_at_its_start() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(partner("a")).await.unwrap();
    ask(&node, "a", "after", "1|a|tick|x").await.unwrap();
    ask(&node, "a", "every", "3600000|a|hourly|").await.unwrap();
    // Cut before it can fire, or right behind: committed or not, it comes once.
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(noted(&node, "a", 1).await, ["info tick(x) from @timer/default/a"]);
    assert_eq!(node.pending_timers(), 1, "the other is armed again");
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(notes(&node, "a").await.len(), 1);
    replay(&node, "a", "partner").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_timer_fires_once() {
    for stop in 0.. {
        assert!(stop < 400, "it never fires");
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(partner("a")).await.unwrap();
        let call = Outgoing::new("after", &b"0|a|tick|x"[..]).key("once");
        disk.cut_after(stop);
        let mut whole = node.call(&id("a"), call.clone()).await.is_ok();
        while whole && node.pending_timers() > 0 {
            tokio::task::yield_now().await;
        }
        whole &= node.sync().await.is_ok();
        drop(node);
        disk.crash();
        crate::coverage::cut();
        let node = node_on(&disk).await;
        node.call(&id("a"), call).await.unwrap_or_else(|error| panic!("after {stop}: {error}"));
        assert_eq!(noted(&node, "a", 1).await, ["info tick(x) from @timer/default/a"], "after {stop}");
        assert_eq!(node.pending_timers(), 0);
        replay(&node, "a", "partner").await.unwrap();
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_step_arms_or_disarms_is_undone_with_it() {
    let node = node_on(&SimDisk::new()).await;
    let mut a = partner("a");
    a.supervision.max_restarts = 100;
    node.start(a).await.unwrap();
    ask(&node, "a", "after-then-trap", "").await.unwrap_err();
    assert_eq!(node.pending_timers(), 0);
    assert_eq!(ask(&node, "a", "cancel-at-once", "").await.unwrap(), "true");
    assert_eq!(node.pending_timers(), 0);
    let number = ask(&node, "a", "after", "60000|a|tick|x").await.unwrap();
    ask(&node, "a", "cancel-then-trap", &number).await.unwrap_err();
    assert_eq!(node.pending_timers(), 1, "it is armed as it was");
    assert_eq!(ask(&node, "a", "cancel", &number).await.unwrap(), "true");
    assert_eq!(notes(&node, "a").await, Vec::<String>::new());
    replay(&node, "a", "partner").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_ticks_until_it_is_cancelled() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(partner("a")).await.unwrap();
    let number = ask(&node, "a", "every", "2|a|tick|").await.unwrap();
    noted(&node, "a", 3).await;
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    let before = notes(&node, "a").await.len();
    noted(&node, "a", before + 2).await;
    assert_eq!(ask(&node, "a", "cancel", &number).await.unwrap(), "true");
    assert_eq!(node.pending_timers(), 0);
    assert_eq!(rows(&node, &disk, Table::TIMERS, b"").await, 0);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.pending_timers(), 0);
    assert_eq!(ask(&node, "a", "cancel", &number).await.unwrap(), "false", "it stays cancelled");
    replay(&node, "a", "partner").await.unwrap();
    node.close().await.unwrap();
}

/// "Missed ticks of a period come as one": also those missed while the node was up, and the next comes at its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missed_ticks_come_as_one_and_the_next_at_its_time_also_after_a_power_cut() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    node.start(partner("a")).await.unwrap();
    ask(&node, "a", "every", "60000|a|tick|").await.unwrap();
    clock.advance(10 * MINUTE + MINUTE / 2);
    noted(&node, "a", 1).await;
    // A message sent now is behind all that was due.
    node.cast(&id("a"), Outgoing::new("now", &b""[..])).await.unwrap();
    assert_eq!(noted(&node, "a", 2).await.len(), 2, "one for ten");
    node.sync().await.unwrap();
    let node = node_with(&power_cut(node, &disk), &clock).await;
    node.cast(&id("a"), Outgoing::new("now", &b""[..])).await.unwrap();
    assert_eq!(noted(&node, "a", 3).await.len(), 3, "the one that came does not come again");
    clock.advance(MINUTE / 2);
    let all = noted(&node, "a", 4).await;
    assert_eq!(all.iter().filter(|note| note.starts_with("info tick()")).count(), 2, "{all:?}");
    replay(&node, "a", "partner").await.unwrap();
    node.close().await.unwrap();
}

/// "Timers pass the bound and have bounds of their own": at theirs a timer waits until its receiver has room, and is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_whose_receiver_has_no_room_comes_later() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    let mut narrow = partner("narrow");
    narrow.limits.mailbox = 1.try_into().unwrap();
    narrow.limits.deadline = None;
    // Four for each place, and 1024.
    narrow.limits.max_timers = 1024 + 4 + 2;
    node.start(narrow).await.unwrap();
    for _ in 0..1024 + 4 + 1 {
        ask(&node, "narrow", "after", "1000|narrow|t|").await.unwrap();
    }
    let nap = begun(ask(&node, "narrow", "nap", "2000")).await;
    sleeping(&node, 1024 + 4 + 1 + 1).await;
    clock.advance(Duration::from_secs(1));
    // All but one have fired, and the one that ends the nap.
    sleeping(&node, 2).await;
    clock.advance(Duration::from_secs(1));
    nap.await.unwrap();
    // It is tried again a second later.
    clock.advance(Duration::from_secs(1));
    assert_eq!(noted(&node, "narrow", 1024 + 4 + 1).await.len(), 1024 + 4 + 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_has_at_most_max_timers_and_they_end_with_it() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut a = partner("a");
    a.limits.max_timers = 1000;
    a.limits.deadline = Some(Duration::from_secs(60));
    node.start(a).await.unwrap();
    node.start(partner("b")).await.unwrap();
    let error = ask(&node, "a", "many", "1001").await.unwrap_err();
    assert_eq!(error, CallError::Refused("1000: resource-exhausted: max-timers = 1000".to_owned()));
    assert_eq!(node.pending_timers(), 1000, "an error is an ordinary end");
    ask(&node, "b", "many", "10").await.unwrap();
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(node.pending_timers(), 1010);
    let full = ask(&node, "a", "many", "1").await.unwrap_err();
    assert_eq!(full, CallError::Refused("0: resource-exhausted: max-timers = 1000".to_owned()));
    node.stop(&id("a"), "enough").await.unwrap();
    assert_eq!(node.pending_timers(), 10);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(node.pending_timers(), 10);
    node.start(partner("a")).await.unwrap();
    ask(&node, "a", "after", "60000|a|t|").await.unwrap();
    assert_eq!(node.pending_timers(), 11, "its next life has all of them again");
    node.close().await.unwrap();
}

/// Firing holds the timers until it has committed, and an end takes its actor's timers before it keeps others from committing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_fire_while_lives_end() {
    let node = node_on(&SimDisk::new()).await;
    node.start(partner("ticking")).await.unwrap();
    for _ in 0..20 {
        ask(&node, "ticking", "every", "1|ticking|tick|").await.unwrap();
    }
    for _ in 0..200 {
        node.start(partner("brief")).await.unwrap();
        ask(&node, "brief", "after", "3600000|brief|never|").await.unwrap();
        node.stop(&id("brief"), "enough").await.unwrap();
    }
    assert_eq!(node.pending_timers(), 20);
    node.close().await.unwrap();
}

/// "A million pending timers cost memory, not CPU": the one task that waits for the first is not woken by the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_timers_are_found_by_what_is_due_and_not_looked_at() {
    let node = node_on(&SimDisk::new()).await;
    let mut a = partner("a");
    a.limits.max_timers = 100_000;
    a.limits.deadline = Some(Duration::from_secs(60));
    node.start(a).await.unwrap();
    for _ in 0..4 {
        ask(&node, "a", "many", "25000").await.unwrap();
    }
    assert_eq!(node.pending_timers(), 100_000);
    let node = Arc::new(node);
    node.start(partner("b")).await.unwrap();
    ask(&node, "b", "after", "1|b|tick|").await.unwrap();
    noted(&node, "b", 1).await;
    sleeping(&node, 100_000).await;
    Arc::into_inner(node).unwrap().close().await.unwrap();
}
