//! Actors that come back: what a move leaves on a node, what a move that is taken back leaves of it, and what of a node's services an actor
//! that leaves gives up.

use std::time::Duration;

use troupe_log::{Kind, SimDisk, Table};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, KeyValue, Messaging, Processes, Registration};
use troupe_runtime::node::{Node, Outgoing};

use crate::durations::{MINUTE, Manual, node_with};
use crate::requests::partner;
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, rows, sleeping, spec, verified};

fn all() -> Vec<ActorPattern> {
    vec![ActorPattern::parse("*").unwrap()]
}

async fn refused(node: &Node, file: Vec<u8>, words: &str) {
    let error = node.import_actor(file).await.unwrap_err();
    assert!(matches!(error, Error::NoImport { .. }) && error.to_string().contains(words), "{error}");
}

/// A move that is taken back leaves the actor as it was, in the tables too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_is_there_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(partner("mover")).await.unwrap();
    let mut one = spec("one", "keyvalue");
    one.grants.keyvalue = Some(KeyValue { own: all(), shared: Vec::new() });
    node.start(one).await.unwrap();
    ask(&node, "mover", "after", "3600000|mover|late|x").await.unwrap();
    ask(&node, "one", "do", "open\nset k one").await.unwrap();
    for actor in ["mover", "one"] {
        node.export_actor(&id(actor), false).await.unwrap();
        node.abort_move(&id(actor)).await.unwrap();
    }
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "mover", "total", "").await.unwrap(), "0");
    assert_eq!(node.pending_timers(), 1);
    assert_eq!(ask(&node, "one", "do", "get k").await.unwrap(), "one");
    verified(&node, "one").await;
    replay(&node, "one", "keyvalue").await.unwrap();
    replay(&node, "mover", "partner").await.unwrap();
    node.close().await.unwrap();
}

/// What waited goes along once: it is not applied again where it waited first, and what was refused there is not applied at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_is_applied_once_by_an_actor_that_comes_back_or_never_left() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let (home, elsewhere) = (Manual::new(), Manual::new());
    // Node times differ: a deadline is as far away as it was.
    elsewhere.advance(60 * MINUTE);
    let (node, other) = (node_with(&here, &home).await, node_with(&there, &elsewhere).await);
    node.start(partner("mover")).await.unwrap();
    let mover = id("mover");
    let nap = begun(node.call(&mover, Outgoing::new("nap", &b"50"[..]))).await;
    sleeping(&node, 1).await;
    let keyed = Outgoing::new("add", &b"1"[..]).key("k").timeout(MINUTE);
    let (one, unkeyed) = (begun(node.call(&mover, keyed)).await, begun(ask(&node, "mover", "add", "1000")).await);
    let exported = begun(node.export_actor(&mover, true)).await;
    home.advance(Duration::from_millis(50));
    nap.await.unwrap();
    let file = exported.await.unwrap();
    for told in [one.await, unkeyed.await.map(String::into_bytes)] {
        assert!(matches!(told.unwrap_err(), CallError::Unavailable(_)));
    }
    // Taken back.
    let disk = power_cut(node, &here);
    let back = node_on(&disk.fork()).await;
    back.abort_move(&mover).await.unwrap();
    while ask(&back, "mover", "total", "").await.unwrap() != "1" {}
    back.close().await.unwrap();
    // Gone, and come back.
    assert_eq!(other.import_actor(file).await.unwrap().waiting, 1);
    while ask(&other, "mover", "total", "").await.unwrap() != "1" {}
    assert_eq!(count(&other, "mover", Kind::Expired).await, 0);
    let file = other.export_actor(&mover, true).await.unwrap();
    let node = node_on(&disk).await;
    assert_eq!(node.import_actor(file).await.unwrap().waiting, 0);
    assert_eq!(rows(&node, &disk, Table::INBOX, b"").await, 0);
    assert_eq!(ask(&node, "mover", "total", "").await.unwrap(), "1");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "mover", "total", "").await.unwrap(), "1");
    replay(&node, "mover", "partner").await.unwrap();
    node.close().await.unwrap();
    other.close().await.unwrap();
}

/// A promise goes along, and one that was kept elsewhere is none where it was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_that_was_kept_elsewhere_does_not_come_back() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let (node, other) = (node_on(&here).await, node_on(&there).await);
    node.start(partner("mover")).await.unwrap();
    let mover = id("mover");
    let waiting = begun(node.call(&mover, Outgoing::new("later", &b""[..]).key("k"))).await;
    while ask(&node, "mover", "held", "").await.unwrap() != "1" {}
    let file = node.export_actor(&mover, true).await.unwrap();
    waiting.await.unwrap_err();
    other.import_actor(file).await.unwrap();
    ask(&other, "mover", "release", "elsewhere").await.unwrap();
    let file = other.export_actor(&mover, true).await.unwrap();
    node.import_actor(file).await.unwrap();
    assert_eq!(rows(&node, &here, Table::TOKENS, b"").await, 0);
    let node = node_on(&power_cut(node, &here)).await;
    let again = node.call(&mover, Outgoing::new("later", &b""[..]).key("k")).await;
    assert_eq!(again.unwrap(), b"elsewhere", "a repeat gets the answer that was given");
    replay(&node, "mover", "partner").await.unwrap();
    node.close().await.unwrap();
    other.close().await.unwrap();
}

/// "A file can be imported once on a node", whenever it was; and no life comes back that has ended here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_comes_twice_and_none_of_a_life_that_has_ended_here() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let (node, other) = (node_on(&here).await, node_on(&there).await);
    node.start(partner("mover")).await.unwrap();
    let mover = id("mover");
    let file = node.export_actor(&mover, true).await.unwrap();
    other.import_actor(file.clone()).await.unwrap();
    other.export_actor(&mover, true).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    refused(&other, file.clone(), "imported here before").await;
    node.abort_move(&mover).await.unwrap();
    node.stop(&mover, "enough").await.unwrap();
    refused(&node, file.clone(), "it has ended here in its life 0").await;
    let node = node_on(&power_cut(node, &here)).await;
    refused(&node, file, "it has ended here in its life 0").await;
    node.start(partner("mover")).await.unwrap();
    assert_eq!(node.actor(&mover).await.unwrap().incarnation.0, 1);
    node.close().await.unwrap();
    other.close().await.unwrap();
}

/// "What it has of this node's services ends, but for its timers and the rows that a service says go along."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_gives_up_names_groups_locks_and_is_told_of_as_an_end() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let coordinator = |name: &str| {
        let mut one = spec(name, "coordinator");
        (one.grants.groups, one.grants.locks) = (Some(all()), Some(all()));
        one.grants.registry = Some(Registration { register: all(), lookup: all() });
        one
    };
    for name in ["mover", "stays"] {
        node.start(coordinator(name)).await.unwrap();
    }
    let mut watcher: ActorSpec = spec("watcher", "parent");
    watcher.grants.messaging = Some(Messaging { to: all() });
    watcher.grants.processes = Some(Processes { spawn: Vec::new(), control: all(), components: Default::default() });
    node.start(watcher).await.unwrap();
    ask(&node, "watcher", "link", "mover").await.unwrap();
    let script = "join team\nregister n\nacquire l 3600000";
    assert_eq!(ask(&node, "mover", "do", script).await.unwrap(), "ok\nok\n1");
    node.export_actor(&id("mover"), false).await.unwrap();
    let found = "members team\nlookup n\nacquire l 1000 0\nrelease l $";
    assert_eq!(ask(&node, "stays", "do", found).await.unwrap(), "\nnone\n2\nok");
    let told = loop {
        let notes = ask(&node, "watcher", "notes", "").await.unwrap();
        if !notes.is_empty() {
            break notes;
        }
    };
    assert!(told.starts_with("troupe:exit ") && told.contains("has moved to another node"), "{told}");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "stays", "do", found).await.unwrap(), "\nnone\n3\nok");
    // Taken back, it has none of it.
    node.abort_move(&id("mover")).await.unwrap();
    assert_eq!(
        ask(&node, "mover", "do", "members team\nlookup n\nrelease l 1").await.unwrap(),
        "\nnone\nerr: conflict"
    );
    replay(&node, "mover", "coordinator").await.unwrap();
    replay(&node, "watcher", "parent").await.unwrap();
    node.close().await.unwrap();
}

/// A move that fails because another actor's step does not end leaves the actor here with its timers, each of which fires once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_fails_leaves_the_timers_armed_and_none_fires_twice() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    let mut endless = partner("endless");
    (endless.limits.deadline, endless.limits.fuel) = (None, u64::MAX / 4);
    node.start(endless).await.unwrap();
    for name in ["mover", "b"] {
        node.start(partner(name)).await.unwrap();
    }
    ask(&node, "mover", "after", "1000|b|tick|").await.unwrap();
    ask(&node, "mover", "after", "3600000|mover|late|").await.unwrap();
    let mover = id("mover");
    // It has sent something, and its step goes on: whoever looks in vain has looked before that.
    let sends = begun(ask(&node, "endless", "send-then-spin", "mover")).await;
    let tried = async {
        loop {
            let mut exported = begun(node.export_actor(&mover, false)).await;
            loop {
                tokio::select! {
                    biased;
                    done = &mut exported => match done {
                        Ok(_) => {
                            node.abort_move(&mover).await.unwrap();
                            break;
                        }
                        Err(error) => return error,
                    },
                    () = tokio::task::yield_now() => clock.advance(Duration::from_millis(100)),
                }
            }
        }
    };
    let error = tried.await;
    assert!(matches!(&error, Error::NoMove { why, .. } if why.contains("in one step")), "{error}");
    node.stop_now(&id("endless"), "enough").await.unwrap();
    sends.await.unwrap_err();
    assert_eq!(ask(&node, "mover", "total", "").await.unwrap(), "0", "it takes messages again");
    while ask(&node, "b", "notes", "").await.unwrap().is_empty() {}
    assert_eq!(node.pending_timers(), 1, "the one that is not due");
    assert_eq!(ask(&node, "b", "notes", "").await.unwrap(), "info tick() from @timer/default/mover", "once");
    assert_eq!(rows(&node, &disk, Table::TIMERS, b"").await, 1);
    replay(&node, "mover", "partner").await.unwrap();
    node.close().await.unwrap();
}
