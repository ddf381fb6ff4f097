//! The supervisor of `theater:simple`: children within their parent's grants, each end told once, also across a crash.

use std::collections::BTreeMap;

use troupe_log::{ByteCount, Digest, Kind, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Manifest, Messaging, Processes};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, count, guest, id, node_on, power_cut, replay, rows, spec, verified};

/// May spawn `worker`, which is the guest `theater`, and `boss`, another of its kind.
fn supervisor(name: &str, init: &str) -> ActorSpec {
    let mut spec = spec(name, "theater-supervisor");
    spec.init = init.as_bytes().to_vec();
    spec.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("*").unwrap()] });
    let digest = |name: &str| Digest::of(&std::fs::read(guest(name)).unwrap());
    let named = [("worker", "theater"), ("boss", "theater-supervisor"), ("native", "partner")];
    let components: BTreeMap<String, Digest> =
        named.iter().map(|(name, guest)| ((*name).to_owned(), digest(guest))).collect();
    let spawn = components.keys().cloned().collect();
    spec.grants.processes = Some(Processes { spawn, control: Vec::new(), components });
    spec
}

async fn node_with_components(disk: &SimDisk) -> Node {
    let node = node_on(disk).await;
    for name in ["theater", "theater-supervisor", "partner"] {
        node.load(&std::fs::read(guest(name)).unwrap()).await.unwrap();
    }
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

/// Waits until the supervisor has heard this.
async fn heard(node: &Node, what: &str) -> String {
    loop {
        let all = said(node, "s", "heard").await;
        if all.contains(what) {
            return all;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until nobody of that name lives.
async fn gone(node: &Node, actor: &str) {
    while !matches!(ask(node, actor, "any", "get").await, Err(CallError::NotFound(_))) {
        tokio::task::yield_now().await;
    }
}

async fn replayed(node: &Node, actors: &[(&str, &str)]) {
    for (name, guest) in actors {
        replay(node, name, guest).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        verified(node, name).await;
    }
}

/// "Each end is told once: an error, an exit with its last words, a stop by somebody else."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_of_a_child_calls_its_callback_once_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "")).await.unwrap();
    let mut children = Vec::new();
    for state in ["total 1", "total 2", "total 3", "total 4", "total 5", "total 6"] {
        children.push(said(&node, "s", &format!("spawn|worker|{state}")).await);
    }
    let [faults, exits, silent, stopped, by_parent, stays] = &children[..] else { panic!("{children:?}") };
    assert!(faults.starts_with("default/s."), "{faults}");
    let mut listed = children.clone();
    listed.sort_unstable();
    assert_eq!(said(&node, "s", "list").await, listed.join(","));
    ask(&node, faults, "any", "trap").await.unwrap_err();
    said(&node, exits, "shutdown|bye").await;
    said(&node, silent, "shutdown").await;
    node.stop(&id(stopped), "enough").await.unwrap();
    assert_eq!(said(&node, "s", &format!("stop|{by_parent}")).await, "asked");
    for child in &children[..5] {
        heard(&node, child).await;
    }
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    let all = said(&node, "s", "heard").await;
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 5, "each once: {all}");
    assert!(lines[0].starts_with(&format!("error {faults} ")) && lines[0].contains("trap"), "{all}");
    let [error, first, second, ..] = lines[..] else { panic!("{all}") };
    let mut exited = [format!("exit {exits} bye"), format!("exit {silent}")];
    exited.sort_unstable();
    assert_eq!([first, second], exited, "after {error}");
    let mut stops = [format!("stopped {stopped}"), format!("stopped {by_parent}")];
    stops.sort_unstable();
    assert_eq!(lines[3..], stops);
    assert_eq!(said(&node, "s", "list").await, *stays);
    assert_eq!(said(&node, stays, "add|1").await, "7", "the others live on");
    for (asked, why) in [("stop", "has ended"), ("state", "has ended")] {
        assert!(refused(&node, "s", &format!("{asked}|{faults}")).await.contains(why));
    }
    said(&node, stays, "shutdown|late").await;
    assert_eq!(heard(&node, "late").await.lines().count(), 6);
    let brief = said(&node, "s", "spawn-and-stop|worker").await;
    heard(&node, &format!("stopped {brief}")).await;
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &[("s", "theater-supervisor")]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_has_no_more_than_its_parent_and_is_nobody_elses() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    let mut s = supervisor("s", "");
    s.supervision.max_restarts = 100;
    s.grants.random.enabled = false;
    node.start(s).await.unwrap();
    node.start(spec("other", "theater")).await.unwrap();
    let manifest = "name = \"w\"\ncomponent = \"worker\"\n";
    let poor = said(&node, "s", &format!("spawn|{manifest}")).await;
    assert_eq!(refused(&node, &poor, "sleep|1").await, "not permitted: needs clocks = true");
    let timed = said(&node, "s", &format!("spawn|{manifest}[[handler]]\ntype = \"timing\"|total 3")).await;
    assert_eq!(said(&node, &timed, "sleep|1").await, "slept");
    assert_eq!(said(&node, &timed, "add|1").await, "4");
    assert!(refused(&node, &timed, "send|other|x").await.contains("messaging"));
    for (asked, why) in [
        (format!("spawn|{manifest}[[handler]]\ntype = \"random\""), "grants.random = true is wider"),
        (format!("spawn|{manifest}[[handler"), "the manifest of the child"),
        ("spawn|stranger".to_owned(), "[grants.processes] spawn = [\"stranger\"]"),
        ("spawn|name = \"w\"\ncomponent = \"stranger\"".to_owned(), "[grants.processes] spawn = [\"stranger\"]"),
        ("spawn|native".to_owned(), "a child is a component of theater:simple"),
        ("stop|other".to_owned(), "not found: child default/other"),
        ("restart|other".to_owned(), "not found: child default/other"),
        ("state|other".to_owned(), "not found: child default/other"),
        ("stop|nobody".to_owned(), "not found: child default/nobody"),
    ] {
        let refused = refused(&node, "s", &asked).await;
        assert!(refused.contains(why), "{asked}: {refused}");
    }
    ask(&node, "s", "any", "spawn-then-trap|worker").await.unwrap_err();
    assert_eq!(said(&node, "s", "list").await.split(',').count(), 2, "what a fault undoes never was");
    let mut loner = supervisor("loner", "");
    loner.grants.processes = None;
    node.start(loner).await.unwrap();
    for asked in ["spawn|worker", "resume|worker", "stop|other", "restart|other", "state|other", "events|other"] {
        assert!(refused(&node, "loner", asked).await.contains("[grants.processes]"), "{asked}");
    }
    ask(&node, "loner", "any", "list").await.unwrap_err();
    assert!(count(&node, "loner", Kind::Denial).await >= 7);
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, &timed, "add|1").await, "5");
    replayed(&node, &[("s", "theater-supervisor"), (&timed, "theater"), (&poor, "theater")]).await;
    node.close().await.unwrap();
}

/// "`resume` goes on with a state, and calls no init."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_goes_on_with_a_state_and_is_asked_for_it() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "")).await.unwrap();
    let fresh = said(&node, "s", "spawn|worker|total 40").await;
    let saved = said(&node, "s", "resume|worker|total 40").await;
    let nothing = said(&node, "s", "resume|worker").await;
    assert_eq!(said(&node, "s", &format!("state|{fresh}")).await, "40\n\n");
    assert_eq!(said(&node, "s", &format!("state|{saved}")).await, "total 40", "its init did not read it");
    assert_eq!(said(&node, "s", &format!("state|{nothing}")).await, "none");
    said(&node, &fresh, "add|2").await;
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "s", &format!("state|{fresh}")).await, "42\n\n");
    assert_eq!(said(&node, "s", &format!("state|{saved}")).await, "total 40");
    replayed(&node, &[("s", "theater-supervisor"), (&fresh, "theater"), (&saved, "theater"), (&nothing, "theater")])
        .await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_begins_anew_whether_it_lives_or_has_ended() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "restart")).await.unwrap();
    let child = said(&node, "s", "spawn|worker|total 7").await;
    assert_eq!(said(&node, &child, "add|1").await, "8");
    assert_eq!(said(&node, "s", &format!("restart|{child}")).await, "asked");
    while said(&node, "s", &format!("state|{child}")).await != "7\n\n" {}
    assert_eq!(said(&node, "s", "heard").await, "restart\n", "its parent asked for it");
    // Its parent begins it anew after an error.
    ask(&node, &child, "any", "trap").await.unwrap_err();
    heard(&node, "error").await;
    while ask(&node, &child, "any", "add|2").await.ok().as_deref() != Some("9") {
        tokio::task::yield_now().await;
    }
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(said(&node, &child, "add|2").await, "11");
    said(&node, &child, "shutdown|done").await;
    heard(&node, "done").await;
    gone(&node, &child).await;
    assert_eq!(said(&node, "s", &format!("restart|{child}")).await, "asked");
    while ask(&node, &child, "any", "add|1").await.ok().as_deref() != Some("8") {
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&node, "s", "list").await, child);
    assert_eq!(said(&node, "s", "heard").await.lines().count(), 3, "each end once");
    replayed(&node, &[("s", "theater-supervisor"), (&child, "theater")]).await;
    node.close().await.unwrap();
}

/// "The events are those that are committed, each with the hash of the one before it; they are recorded whole, and bounded."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_child_are_its_journal_also_of_one_that_has_ended() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "")).await.unwrap();
    let child = said(&node, "s", "spawn|worker|total 7").await;
    said(&node, &child, "now").await;
    let before = said(&node, "s", &format!("events|{child}")).await;
    assert!(before.starts_with("genesis ") && before.contains("theater:simple/timing#now "), "{before}");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    said(&node, &child, "shutdown|done").await;
    heard(&node, "done").await;
    let after = said(&node, "s", &format!("events|{child}")).await;
    assert!(after.starts_with(&before) && after.contains(",stop "), "{after}");
    assert!(refused(&node, "s", "events|s").await.contains("not found: child"));
    replayed(&node, &[("s", "theater-supervisor"), (&child, "theater")]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_child_end_at_what_a_turn_may_record() {
    let node = node_with_components(&SimDisk::new()).await;
    let mut s = supervisor("s", "");
    // A turn's first record holds its message.
    (s.limits.payload, s.limits.max_turn_journal) = (ByteCount(64 << 10), ByteCount(64 << 10));
    node.start(s).await.unwrap();
    let child = said(&node, "s", "spawn|worker|total 7").await;
    said(&node, "s", &format!("events|{child}")).await;
    for _ in 0..2 {
        // What it is sent stands in its journal.
        let long = Outgoing::new("any", format!("log|{}", "x".repeat(20 << 10)).into_bytes());
        node.call(&id(&child), long).await.unwrap();
    }
    let why = refused(&node, "s", &format!("events|{child}")).await;
    assert!(why.starts_with("at the limit"), "{why}");
    replayed(&node, &[("s", "theater-supervisor")]).await;
    node.close().await.unwrap();
}

/// "A child whose init fails has ended by an error."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_does_not_get_through_its_init_is_told_as_an_error() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "")).await.unwrap();
    let child = said(&node, "s", "spawn|worker|refuse").await;
    let all = heard(&node, "error").await;
    assert!(all.contains(&child) && all.contains("told to refuse"), "{all}");
    assert_eq!(said(&node, "s", "list").await, "");
    replayed(&node, &[("s", "theater-supervisor")]).await;
    node.close().await.unwrap();
}

/// "The end of a supervisor ends its children, and theirs."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_supervisor_ends_its_children_and_theirs() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(supervisor("s", "")).await.unwrap();
    let boss = said(&node, "s", "spawn|boss").await;
    let worker = said(&node, &boss, "spawn|worker").await;
    let own = said(&node, "s", "spawn|worker").await;
    assert_eq!(said(&node, "s", "exit|enough").await, "ends");
    for actor in ["s", &boss, &worker, &own] {
        gone(&node, actor).await;
    }
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    gone(&node, &worker).await;
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
    replayed(&node, &[("s", "theater-supervisor"), (&boss, "theater-supervisor"), (&worker, "theater")]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_has_no_more_children_than_bonds() {
    let node = node_with_components(&SimDisk::new()).await;
    let mut s = supervisor("s", "");
    s.limits.deadline = None;
    node.start(s).await.unwrap();
    for _ in 0..10 {
        assert_eq!(said(&node, "s", "spawn-many|100|worker").await, "all");
    }
    assert_eq!(refused(&node, "s", "spawn|worker").await, "at the limit max-bonds = 1000");
    assert_eq!(said(&node, "s", "list").await.split(',').count(), 1000);
    node.close().await.unwrap();
}

/// The manifest of Theater: the handler is the grant, and may name what is spawned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handler_of_the_manifest_grants_what_it_names() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    let text = |components: &str| {
        format!(
            "name = \"s\"\ncomponent = {:?}\n[[handler]]\ntype = \"supervisor\"\n{components}",
            guest("theater-supervisor")
        )
    };
    let named = text(&format!("components = {{ worker = {:?} }}", guest("theater")));
    let spec = Manifest::parse(&named, "manifest.toml", None).unwrap().actors.remove(0);
    node.start(spec).await.unwrap();
    let child = said(&node, "s", "spawn|worker|total 1").await;
    assert_eq!(said(&node, &child, "add|1").await, "2");
    assert!(refused(&node, "s", "spawn|boss").await.contains("spawn = [\"boss\"]"));
    let any = Manifest::parse(&text(""), "manifest.toml", None).unwrap().actors.remove(0);
    assert_eq!(any.grants.processes.unwrap().spawn, ["*"]);
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "s", &format!("stop|{child}")).await, "asked");
    heard(&node, "stopped").await;
    replayed(&node, &[("s", "theater-supervisor")]).await;
    node.close().await.unwrap();
}

/// Cut anywhere, a child is there once and its end is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_child_is_spawned_and_its_end_told_once() {
    for stop in 0.. {
        assert!(stop < 300, "it never ends");
        let disk = SimDisk::new();
        let node = node_with_components(&disk).await;
        node.start(supervisor("s", "")).await.unwrap();
        node.sync().await.unwrap();
        disk.cut_after(stop);
        let spawn = Outgoing::new("any", &b"spawn|worker|total 1"[..]).key("spawn");
        let end = Outgoing::new("any", &b"shutdown|bye"[..]).key("end");
        let mut whole = false;
        if let Ok(child) = node.call(&id("s"), spawn.clone()).await {
            whole = node.call(&id(&String::from_utf8(child).unwrap()), end.clone()).await.is_ok();
        }
        whole &= node.sync().await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        let child = node.call(&id("s"), spawn).await.unwrap_or_else(|error| panic!("after {stop}: {error}"));
        let child = String::from_utf8(child).unwrap();
        // It may have ended already.
        let _ = node.call(&id(&child), end).await;
        let all = heard(&node, "exit").await;
        assert_eq!(all, format!("exit {child} bye\n"), "after {stop}");
        gone(&node, &child).await;
        assert_eq!(said(&node, "s", "heard").await, all, "after {stop}");
        replayed(&node, &[("s", "theater-supervisor")]).await;
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}
