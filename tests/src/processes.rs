//! Beginning, ending and watching other actors: with the step or not at all, also across a crash; each end is told once.

use troupe_log::{Kind, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging, OnFault, Processes};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, count, guest, id, node_on, power_cut, replay, rows, spec};

/// An actor that may spawn itself again (`parent@1.0.0`), a partner, and watch those whose names begin with `friend`.
pub fn parent(name: &str) -> ActorSpec {
    let mut spec = spec(name, "parent");
    let all = |text: &str| vec![ActorPattern::parse(text).unwrap()];
    spec.grants.messaging = Some(Messaging { to: all("*") });
    spec.grants.processes = Some(Processes {
        spawn: vec!["parent@1.0.0".to_owned(), "partner@*".to_owned(), "short".to_owned()],
        control: all("friend*"),
        components: Default::default(),
    });
    spec
}

async fn node_with_components(disk: &SimDisk) -> Node {
    let node = node_on(disk).await;
    for name in ["parent", "partner"] {
        node.load_as(name, "1.0.0", &std::fs::read(guest(name)).unwrap()).await.unwrap();
    }
    node
}

async fn refused(node: &Node, actor: &str, message_type: &str, payload: &str) -> String {
    match ask(node, actor, message_type, payload).await.unwrap_err() {
        CallError::Refused(text) => text,
        other => panic!("{other}"),
    }
}

/// Waits until an actor has noted something.
async fn noted(node: &Node, actor: &str, what: &str) -> String {
    loop {
        let notes = ask(node, actor, "notes", "").await.unwrap();
        if notes.contains(what) {
            return notes;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_is_spawned_knows_its_parent_and_lives_through_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(parent("p")).await.unwrap();
    assert_eq!(ask(&node, "p", "spawn", "parent@1.0.0|child|seed").await.unwrap(), "default/child");
    assert_eq!(ask(&node, "child", "notes", "").await.unwrap(), "init seed of default/p");
    let made_up = ask(&node, "p", "spawn", "partner@1.0.0||").await.unwrap();
    assert!(made_up.starts_with("default/p."), "{made_up}");
    assert_eq!(ask(&node, &made_up, "echo", "x").await.unwrap(), "x");
    // What it is sent in the step that spawns it comes after its init.
    ask(&node, "p", "spawn-and-send", "parent@1.0.0|talked|hi").await.unwrap();
    assert_eq!(noted(&node, "talked", "hello").await, "init first of default/p; hello hi from default/p");
    assert_eq!(refused(&node, "p", "spawn", "parent@1.0.0|child|").await, "already-exists: default/child");
    assert_eq!(refused(&node, "p", "spawn", "partner@9.0.0||").await, "not-found: component partner@9.0.0");
    assert!(refused(&node, "p", "spawn", "parent@1.0.0|other/child|").await.starts_with("invalid-argument: "));
    assert!(refused(&node, "p", "spawn", "parent@1.0.0|@child|").await.starts_with("invalid-argument: "));
    let denied = refused(&node, "p", "spawn", "counter@1.0.0||").await;
    assert_eq!(denied, "not-permitted: [grants.processes] spawn = [\"counter@1.0.0\"]");
    assert_eq!(count(&node, "p", Kind::Denial).await, 1);
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "child", "notes", "").await.unwrap(), "init seed of default/p");
    assert_eq!(refused(&node, "p", "spawn", "parent@1.0.0|child|").await, "already-exists: default/child", "still");
    for (name, guest_name) in [("p", "parent"), ("child", "parent"), ("talked", "parent"), (&made_up, "partner")] {
        replay(&node, name, guest_name).await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_step_spawns_or_binds_is_undone_with_it() {
    let node = node_with_components(&SimDisk::new()).await;
    let mut p = parent("p");
    p.supervision.max_restarts = 100;
    node.start(p).await.unwrap();
    node.start(parent("friend")).await.unwrap();
    ask(&node, "p", "spawn-then-trap", "parent@1.0.0|child").await.unwrap_err();
    assert!(node.actor(&id("child")).await.is_err(), "it never was");
    ask(&node, "p", "bond-then-trap", "friend").await.unwrap_err();
    ask(&node, "p", "stop-then-trap", "friend|x").await.unwrap_err();
    assert_eq!(ask(&node, "friend", "echo", "x").await.unwrap(), "x");
    node.stop(&id("friend"), "enough").await.unwrap();
    assert_eq!(ask(&node, "p", "notes", "").await.unwrap(), "", "nobody had bound itself");
    assert_eq!(ask(&node, "p", "spawn", "parent@1.0.0|child|").await.unwrap(), "default/child", "the name is free");
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}

/// "The spawning is a node effect: committed with the step": cut anywhere the child is whole or was never there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_child_is_there_and_has_begun_or_never_was() {
    for stop in 0.. {
        assert!(stop < 200, "it never ends");
        let disk = SimDisk::new();
        let node = node_with_components(&disk).await;
        node.start(parent("p")).await.unwrap();
        node.sync().await.unwrap();
        disk.cut_after(stop);
        let call = Outgoing::new("spawn-and-send", &b"parent@1.0.0|child|hi"[..]).key("once");
        let mut whole = node.call(&id("p"), call.clone()).await.is_ok();
        whole &= node.sync().await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        node.call(&id("p"), call).await.unwrap_or_else(|error| panic!("after {stop}: {error}"));
        let notes = noted(&node, "child", "hello").await;
        assert_eq!(notes, "init first of default/p; hello hi from default/p", "after {stop}");
        for name in ["p", "child"] {
            replay(&node, name, "parent").await.unwrap();
        }
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_has_at_most_what_its_parent_has() {
    let node = node_with_components(&SimDisk::new()).await;
    node.start(parent("p")).await.unwrap();
    let narrow = "[limits]\nfuel = 1000000\n[grants]\nmessaging = false";
    ask(&node, "p", "spawn-under", &format!("parent@1.0.0|narrow|{narrow}")).await.unwrap();
    let wide = refused(&node, "p", "spawn-under", "parent@1.0.0|wide|[limits]\nmemory = \"256MiB\"").await;
    assert!(wide.starts_with("invalid-argument: ") && wide.contains("memory"), "{wide}");
    let wide = refused(&node, "p", "spawn-under", "parent@1.0.0|wide|[grants.tuplespace]\nspaces = [\"x\"]").await;
    assert!(wide.starts_with("invalid-argument: ") && wide.contains("tuplespace"), "{wide}");
    let wide = refused(&node, "p", "spawn-under", "parent@1.0.0|wide|[actor]\nname = \"x\"").await;
    assert!(wide.starts_with("invalid-argument: "), "{wide}");
    assert!(node.actor(&id("wide")).await.is_err());
    // The grandchild has no more than the child.
    let denied = refused(&node, "narrow", "spawn-and-send", "parent@1.0.0|grandchild|x").await;
    assert!(denied.starts_with("not-permitted: [grants.messaging]"), "{denied}");
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_once_to_the_linked_and_to_those_who_monitor() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    for name in ["p", "q", "friend"] {
        node.start(parent(name)).await.unwrap();
    }
    for _ in 0..2 {
        assert_eq!(ask(&node, "p", "link", "friend").await.unwrap(), "done", "twice is once");
    }
    let monitor = ask(&node, "q", "monitor", "friend").await.unwrap();
    let undone = ask(&node, "q", "monitor", "friend").await.unwrap();
    assert_eq!(ask(&node, "q", "demonitor", &undone).await.unwrap(), "done");
    assert!(refused(&node, "q", "demonitor", &undone).await.starts_with("not-found: "));
    assert!(refused(&node, "p", "demonitor", &monitor).await.starts_with("not-found: "), "it is not p's");
    assert!(refused(&node, "q", "unlink", "friend").await.starts_with("not-found: "));
    assert!(refused(&node, "q", "link", "p").await.starts_with("not-permitted: "));
    node.sync().await.unwrap();
    // Bonds are durable.
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    node.stop(&id("friend"), "had \"enough\"").await.unwrap();
    let exit = "troupe:exit {\"actor\":\"default/friend\",\"kind\":\"stopped\",\"reason\":\"had \\\"enough\\\"\"} from @runtime";
    assert_eq!(noted(&node, "p", "troupe:exit").await, exit);
    let down = noted(&node, "q", "troupe:down").await;
    assert!(down.contains(&format!("\"monitor\":\"{monitor}\"")) && !down.contains("; "), "{down}");
    // Of somebody who is not there, at once.
    ask(&node, "q", "monitor", "friend").await.unwrap();
    noted(&node, "q", "\"kind\":\"not-found\"").await;
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "p", "notes", "").await.unwrap(), exit, "once");
    for name in ["p", "q"] {
        replay(&node, name, "parent").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_a_fresh_life_and_a_life_that_does_not_begin_are_told_apart() {
    let node = node_with_components(&SimDisk::new()).await;
    node.start(parent("p")).await.unwrap();
    for (name, on_fault, kind) in [("friend-1", OnFault::Stop, "fault"), ("friend-2", OnFault::Fresh, "fresh")] {
        let mut friend = parent(name);
        friend.supervision.on_fault = on_fault;
        node.start(friend).await.unwrap();
        ask(&node, "p", "link", name).await.unwrap();
        ask(&node, name, "trap", "").await.unwrap_err();
        let notes = noted(&node, "p", name).await;
        assert!(notes.contains(&format!("\"actor\":\"default/{name}\",\"kind\":\"{kind}\"")), "{notes}");
    }
    assert_eq!(ask(&node, "p", "spawn-and-link", "parent@1.0.0|stillborn|refuse").await.unwrap(), "done");
    let notes = noted(&node, "p", "stillborn").await;
    assert!(notes.contains("\"kind\":\"fault\"") && notes.contains("told to"), "{notes}");
    assert_eq!(
        ask(&node, "stillborn", "echo", "x").await.unwrap_err(),
        CallError::NotFound("default/stillborn".to_owned())
    );
    assert_eq!(ask(&node, "p", "spawn", "parent@1.0.0|stillborn|").await.unwrap(), "default/stillborn", "a new life");
    assert_eq!(ask(&node, "stillborn", "echo", "x").await.unwrap(), "x");
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_stops_itself_at_the_end_of_its_turn_and_whom_it_spawned() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    for name in ["p", "q"] {
        node.start(parent(name)).await.unwrap();
    }
    ask(&node, "p", "spawn-and-link", "parent@1.0.0|child|").await.unwrap();
    ask(&node, "child", "spawn", "parent@1.0.0|grandchild|").await.unwrap();
    assert!(refused(&node, "q", "stop", "child|x").await.starts_with("not-permitted: "));
    assert_eq!(ask(&node, "p", "stop", "grandchild|over").await.unwrap(), "done", "what its child spawned, too");
    assert_eq!(ask(&node, "p", "stop", "child|over").await.unwrap(), "done");
    noted(&node, "p", "\"reason\":\"over\"").await;
    assert!(refused(&node, "p", "stop", "child|x").await.starts_with("not-found: "));
    assert_eq!(ask(&node, "p", "stop", "p|done with it").await.unwrap(), "done", "the turn ends in order");
    while ask(&node, "p", "echo", "x").await.is_ok() {}
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "p", "echo", "").await.unwrap_err(), CallError::NotFound("default/p".to_owned()));
    replay(&node, "child", "parent").await.unwrap();
    node.close().await.unwrap();
}

/// A stop that was committed happens, also if the node is gone before it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_stop_that_was_committed_happens_and_is_told_once() {
    for operations in 0.. {
        assert!(operations < 200, "it never ends");
        let disk = SimDisk::new();
        let node = node_with_components(&disk).await;
        for name in ["p", "friend"] {
            node.start(parent(name)).await.unwrap();
        }
        ask(&node, "p", "link", "friend").await.unwrap();
        node.sync().await.unwrap();
        disk.cut_after(operations);
        let call = Outgoing::new("stop", &b"friend|x"[..]).key("once");
        let mut whole = node.call(&id("p"), call.clone()).await.is_ok();
        while whole && node.call(&id("friend"), Outgoing::new("echo", &b""[..])).await.is_ok() {}
        whole &= node.sync().await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        node.call(&id("p"), call).await.unwrap_or_else(|error| panic!("after {operations}: {error}"));
        let notes = noted(&node, "p", "troupe:exit").await;
        assert!(!notes.contains("; "), "after {operations}: {notes}");
        while ask(&node, "friend", "echo", "x").await.is_ok() {}
        replay(&node, "p", "parent").await.unwrap();
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}

/// What a life takes in its init is its own, whatever the life before it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_life_keeps_what_its_init_bound() {
    let node = node_with_components(&SimDisk::new()).await;
    for fresh in [false, true] {
        node.start_fresh(parent("friend")).await.unwrap();
        let linked = ActorSpec { init: b"link friend".to_vec(), ..parent("linked") };
        node.start(linked.clone()).await.unwrap();
        match fresh {
            true => drop(node.start_fresh(linked).await.unwrap()),
            false => {
                node.stop(&id("linked"), "enough").await.unwrap();
                node.start(linked).await.unwrap();
            }
        }
        node.stop(&id("friend"), "over").await.unwrap();
        noted(&node, "linked", "\"reason\":\"over\"").await;
        replay(&node, "linked", "parent").await.unwrap();
        node.stop(&id("linked"), "enough").await.unwrap();
    }
    node.close().await.unwrap();
}

/// A bond that a step makes or undoes is as it was if the step is undone; undone and committed it is gone for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bond_is_as_it_was_after_a_fault_and_gone_once_it_is_undone() {
    for cut in [false, true] {
        let mut disk = SimDisk::new();
        let mut node = node_with_components(&disk).await;
        for name in ["p", "q", "friend"] {
            let mut spec = parent(name);
            spec.supervision.max_restarts = 100;
            node.start(spec).await.unwrap();
        }
        for undone in ["bond-then-trap", "unlink-then-trap", "bond-then-trap"] {
            ask(&node, "p", undone, "friend").await.unwrap_err();
            for name in ["p", "q"] {
                ask(&node, name, "link", "friend").await.unwrap();
            }
        }
        let number = ask(&node, "q", "monitor", "friend").await.unwrap();
        let again = ask(&node, "q", "undo-twice", &format!("friend|{number}")).await.unwrap();
        assert_eq!(again, format!("not-found: a link with default/friend; not-found: monitor {number}"));
        assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 1, "p's link");
        ask(&node, "p", "unlink-then-trap", "friend").await.unwrap_err();
        if cut {
            disk = power_cut(node, &disk);
            node = node_on(&disk).await;
        }
        node.stop(&id("friend"), "over").await.unwrap();
        let notes = noted(&node, "p", "troupe:exit").await;
        assert!(!notes.contains("; "), "once: {notes}");
        assert_eq!(ask(&node, "q", "notes", "").await.unwrap(), "", "it had undone its own");
        assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0);
        replay(&node, "p", "parent").await.unwrap();
        replay(&node, "q", "parent").await.unwrap();
        node.close().await.unwrap();
    }
}

/// What an end leaves: no bond, and no stop that would end the next life of that name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_leaves_nothing_to_a_later_life_of_the_same_name() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    let bonded = ActorSpec { init: b"link-at-end friend-2".to_vec(), ..parent("friend") };
    for spec in [parent("p"), parent("friend-2"), bonded] {
        node.start(spec).await.unwrap();
    }
    ask(&node, "p", "link", "friend").await.unwrap();
    ask(&node, "p", "stop", "friend|over").await.unwrap();
    noted(&node, "p", "\"reason\":\"over\"").await;
    assert_eq!(rows(&node, &disk, Table::BONDS, b"").await, 0, "nor what its last turn bound");
    node.start(parent("friend")).await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "friend", "echo", "x").await.unwrap(), "x");
    node.stop(&id("friend"), "again").await.unwrap();
    let notes = ask(&node, "p", "notes", "").await.unwrap();
    assert!(!notes.contains("; "), "of the later life nobody asked to be told: {notes}");
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}

/// A name that is used again is a new life, with the keys of the one before: a repeat gets the first answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_spawned_again_is_a_later_life_with_the_keys_of_the_one_before() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(parent("p")).await.unwrap();
    let add = |n: &str| Outgoing::new("add", n.as_bytes()).key("k");
    for life in 0..3 {
        ask(&node, "p", "spawn", "partner@1.0.0|child|").await.unwrap();
        while ask(&node, "child", "total", "").await.is_err() {}
        assert_eq!(node.actor(&id("child")).await.unwrap().incarnation.0, life);
        assert_eq!(node.call(&id("child"), add("5")).await.unwrap(), b"5");
        let total = ask(&node, "child", "total", "").await.unwrap();
        assert_eq!(total, if life == 0 { "5" } else { "0" }, "a repeat is not handled again");
        node.stop(&id("child"), "over").await.unwrap();
    }
    node.close().await.unwrap();
}

/// Exits and downs pass the mailbox's bound, so their number is bounded where they are asked for; what else a guest says has its limits, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bonds_reasons_and_states_have_their_limits() {
    let node = node_with_components(&SimDisk::new()).await;
    for name in ["p", "friend"] {
        node.start(parent(name)).await.unwrap();
    }
    assert_eq!(ask(&node, "p", "monitor-many", "friend|999").await.unwrap(), "done");
    let full = refused(&node, "p", "monitor-many", "friend|2").await;
    assert_eq!(full, "1: resource-exhausted: max-bonds = 1000");
    assert_eq!(refused(&node, "p", "stop-of", "friend|1048577").await, "too-large: 1048576");
    assert_eq!(refused(&node, "p", "spawn-of", "partner@1.0.0|1048577").await, "too-large: 1048576");
    let largest = ask(&node, "p", "spawn-of", "partner@1.0.0|1048576").await.unwrap();
    assert_eq!(ask(&node, &largest, "echo", "x").await.unwrap(), "x");
    assert_eq!(ask(&node, "p", "stop", "friend|over").await.unwrap(), "done");
    loop {
        let notes = ask(&node, "p", "notes", "").await.unwrap();
        if notes.matches("troupe:down").count() == 1000 {
            break;
        }
    }
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}

/// "Whoever waited for an answer hears of the end behind its last batch." On one thread, so that both are accepted before either is handled.
#[tokio::test]
async fn who_hears_that_an_actor_has_ended_finds_it_ended_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_with_components(&disk).await;
    node.start(parent("p")).await.unwrap();
    let p = id("p");
    node.offer(&p, Outgoing::new("stop", &b"p|enough"[..])).unwrap();
    assert_eq!(ask(&node, "p", "echo", "x").await.unwrap_err(), CallError::NotFound("default/p".to_owned()));
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.actor(&p).await.unwrap().status, "stopped");
    replay(&node, "p", "parent").await.unwrap();
    node.close().await.unwrap();
}
