//! Groups, locks and the registry: what actors say of themselves, and what one at a time may have.

use std::time::Duration;

use tokio::task::JoinHandle;
use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Mode, OnFault, Registration};
use troupe_runtime::node::{Node, Outgoing};

use crate::durations::{MINUTE, Manual, node_with};
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, spec, verified};

fn all() -> Vec<ActorPattern> {
    vec![ActorPattern::parse("*").unwrap()]
}

/// A coordinator that may do everything in its namespace.
fn coordinator(name: &str) -> ActorSpec {
    let mut one = spec(name, "coordinator");
    one.grants.groups = Some(all());
    one.grants.locks = Some(all());
    one.grants.registry = Some(Registration { register: all(), lookup: all() });
    one.supervision.on_fault = OnFault::Skip;
    one.supervision.max_restarts = 1000;
    one
}

async fn node_of(disk: &SimDisk, actors: &[&str]) -> Node {
    let node = node_on(disk).await;
    for actor in actors {
        node.start(coordinator(actor)).await.unwrap();
    }
    node
}

/// Has an actor run these lines in one turn.
async fn run(node: &Node, actor: &str, lines: &str) -> String {
    ask(node, actor, "do", lines).await.unwrap()
}

/// Begins a turn that runs these lines and comes to wait in one of them, whose number is told. What a step sends leaves with it: `w`,
/// who must be in the group `watch`, hears of it once the wait has begun.
async fn waits(node: &Node, actor: &str, lines: &str, key: &str) -> JoinHandle<Result<Vec<u8>, CallError>> {
    let call = Outgoing::new("do", format!("publish watch waits {key}\n{lines}").into_bytes()).key(key);
    let (other, name) = (node.clone(), id(actor));
    let waiting = tokio::spawn(async move { other.call(&name, call).await });
    let heard = format!("default/{actor} waits {key}");
    while !ask(node, "w", "heard", "").await.unwrap().lines().any(|line| line == heard) {}
    waiting
}

/// Its answer, behind that of its `publish`.
async fn waited(waiting: JoinHandle<Result<Vec<u8>, CallError>>) -> String {
    let answer = String::from_utf8(waiting.await.unwrap().unwrap()).unwrap();
    answer.strip_prefix("1\n").unwrap_or(&answer).to_owned()
}

/// The journals are whole, and replay to the same calls and states.
async fn replayed(node: &Node, actors: &[&str]) {
    for actor in actors {
        verified(node, actor).await;
        replay(node, actor, "coordinator").await.unwrap_or_else(|error| panic!("{actor}: {error}"));
    }
}

// ---- groups ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_group_join_leave_get_what_is_published_and_survive_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b", "c"]).await;
    assert_eq!(run(&node, "b", "members team\njoin team\njoin team\nmembers team").await, "\nok\nok\ndefault/b");
    assert_eq!(run(&node, "a", "join team\nmembers team").await, "ok\ndefault/a default/b");
    assert_eq!(run(&node, "c", "leave team").await, "err: not-found default/c in the group default/team");
    assert_eq!(run(&node, "c", "join team-2\nmembers team\nleave team-2").await, "ok\ndefault/a default/b\nok");
    assert_eq!(run(&node, "c", "publish team news one\npublish nobody news x").await, "2\n0");
    assert_eq!(run(&node, "a", "publish team news two").await, "2", "the publisher is a member too");
    for (actor, heard) in
        [("a", "default/c news one\ndefault/a news two"), ("b", "default/c news one\ndefault/a news two")]
    {
        while ask(&node, actor, "heard", "").await.unwrap() != heard {}
    }
    assert_eq!(ask(&node, "c", "heard", "").await.unwrap(), "");
    assert_eq!(run(&node, "c", "publish team troupe:x y").await.split(' ').nth(1), Some("invalid-argument"));

    // A fault takes back what its step did.
    for script in ["join team\ntrap", "publish team news never\ntrap"] {
        ask(&node, "c", "do", script).await.unwrap_err();
    }
    ask(&node, "b", "do", "leave team\ntrap").await.unwrap_err();
    assert_eq!(run(&node, "c", "members team").await, "default/a default/b");

    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(run(&node, "c", "members team\njoin team").await, "default/a default/b\nok");
    assert_eq!(run(&node, "b", "leave team\nmembers team").await, "ok\ndefault/a default/c");
    node.stop(&id("a"), "enough").await.unwrap();
    assert_eq!(run(&node, "b", "members team").await, "default/c", "membership ends with the actor");
    assert_eq!(ask(&node, "b", "heard", "").await.unwrap(), "default/c news one\ndefault/a news two");
    replayed(&node, &["a", "b", "c"]).await;
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(run(&node, "c", "members team").await, "default/c");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_passes_a_full_mailbox_by() {
    let node = node_of(&SimDisk::new(), &["a", "b", "w"]).await;
    let mut small = coordinator("small");
    small.limits.mailbox = std::num::NonZeroU32::MIN;
    small.limits.deadline = None;
    node.start(small).await.unwrap();
    for actor in ["a", "b", "small"] {
        run(&node, actor, "join team").await;
    }
    run(&node, "w", "join watch").await;
    assert_eq!(run(&node, "a", "acquire busy 600000").await, "1");
    // It is in a turn that waits, and one message is all that may wait for it.
    let waiting = waits(&node, "small", "acquire busy 1", "wait").await;
    assert_eq!(run(&node, "b", "publish team first x\npublish team second x").await, "3\n2");
    assert_eq!(run(&node, "a", "release busy $").await, "ok");
    assert_eq!(waited(waiting).await, "2");
    while ask(&node, "small", "heard", "").await != Ok("default/b first x".to_owned()) {}
    node.close().await.unwrap();
}

// ---- locks ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_has_one_holder_and_goes_to_who_waits_in_the_order_of_arrival() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b", "c", "d", "w"]).await;
    run(&node, "w", "join watch").await;
    assert_eq!(run(&node, "a", "acquire l 60000\nacquire l 60000\nrenew l $ 60000").await, "1\nerr: conflict\nok");
    assert_eq!(run(&node, "b", "acquire l 60000 0\nacquire l 60000 5").await, "none\nnone", "its own time");
    let theirs = "err: not-found token 1 of the lock default/l";
    assert_eq!(run(&node, "b", "release l 1\nrenew l 1 1000").await, format!("{theirs}\n{theirs}"));
    assert_eq!(run(&node, "b", "release l 7\nrelease l 0").await.matches("err: not-found").count(), 2);
    assert_eq!(run(&node, "b", "acquire l 0").await, "err: invalid-argument a lease of 0 ms is over at once");

    let mut waiting = Vec::new();
    for (actor, script) in [
        ("b", "acquire l 60000\nrelease l $"),
        ("c", "acquire l 60000\nrelease l $\nacquire l 60000 0"),
        ("d", "acquire l 60000\nrelease l $"),
    ] {
        waiting.push(waits(&node, actor, script, actor).await);
    }
    assert_eq!(run(&node, "a", "release l $\nrelease l $").await, "ok\nerr: conflict");
    let mut heard = Vec::new();
    for call in waiting {
        heard.push(waited(call).await);
    }
    assert!(heard[0] == "2\nok" && heard[2] == "4\nok", "{heard:?}");
    // When it asked again, d held it, or had held it already.
    assert!(heard[1] == "3\nok\nnone" || heard[1] == "3\nok\n5", "{heard:?}");

    // The token only ever grows, also over restarts and when nobody held anything meanwhile.
    let last: u64 = heard[1].lines().nth(2).and_then(|token| token.parse().ok()).unwrap_or(4);
    run(&node, "c", "release l $").await;
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(run(&node, "a", "acquire l 60000\nacquire other 60000").await, format!("{}\n{}", last + 1, last + 2));
    replayed(&node, &["a", "b", "c", "d"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_over_and_a_holder_that_ends_hand_the_lock_on() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    for actor in ["a", "b", "c", "w"] {
        let mut patient = coordinator(actor);
        patient.limits.deadline = None;
        node.start(patient).await.unwrap();
    }
    run(&node, "w", "join watch").await;
    assert_eq!(run(&node, "a", "acquire l 60000").await, "1");
    let b = waits(&node, "b", "acquire l 120000", "b").await;
    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(run(&node, "a", "renew l $ 60000").await, "ok", "still its");
    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(run(&node, "a", "renew l $ 60000").await, "ok");
    clock.advance(MINUTE);
    assert_eq!(waited(b).await, "2");
    assert_eq!(run(&node, "a", "renew l $ 60000\nrelease l $").await, "err: conflict\nerr: conflict");

    let c = waits(&node, "c", "acquire l 60000", "c").await;
    node.stop(&id("b"), "enough").await.unwrap();
    assert_eq!(waited(c).await, "3", "the holder's end");

    clock.advance(MINUTE - Duration::from_millis(1));
    assert_eq!(run(&node, "c", "renew l $ 60000").await, "ok");
    // A lease counts node time, which stands still while the node is down; then it is over for one who waits since before.
    let waiting = waits(&node, "a", "acquire l 60000", "a").await;
    node.sync().await.unwrap();
    waiting.abort();
    let disk = power_cut(node, &disk);
    let node = node_with(&disk, &clock).await;
    clock.advance(MINUTE / 2);
    assert_eq!(run(&node, "c", "renew l $ 60000").await, "ok", "it is c's still");
    let again = Outgoing::new("do", &b"publish watch waits a\nacquire l 60000"[..]).key("a");
    let actor = id("a");
    let call = begun(node.call(&actor, again)).await;
    clock.advance(MINUTE);
    assert_eq!(call.await.unwrap(), b"1\n4");
    replayed(&node, &["a", "b", "c"]).await;
    node.close().await.unwrap();
}

/// "One atomic batch": whenever the power goes, the lock is its holder's or its successor's, and the one who waits gets it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_lock_has_one_holder() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b", "w"]).await;
    assert_eq!(run(&node, "a", "acquire l 60000").await, "1");
    run(&node, "w", "join watch").await;
    let waiting = waits(&node, "b", "acquire l 60000\nrenew l $ 60000", "wait").await;
    node.sync().await.unwrap();
    waiting.abort();
    let wait = Outgoing::new("do", &b"publish watch waits wait\nacquire l 60000\nrenew l $ 60000"[..]).key("wait");
    let ready = power_cut(node, &disk);
    let (mut kept, mut moved) = (0, 0);
    // What is written at once is torn between any two batches.
    const PARTS: usize = 16;
    for stop in 0.. {
        assert!(stop < 4000, "the release never ends");
        let (operations, part) = (stop / (PARTS + 1), stop % (PARTS + 1));
        let disk = ready.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations as u64);
        let released = ask(&node, "a", "do", "release l 1").await;
        let whole = !disk.is_cut() && node.call(&id("b"), wait.clone()).await.is_ok();
        drop(node);
        disk.crash_keeping(true, |write| 0..write.len * part / PARTS);
        let node = node_on(&disk).await;
        match run(&node, "a", "renew l 1 60000").await.as_str() {
            "ok" => {
                kept += 1;
                assert!(released.is_err(), "after {operations}: what was acknowledged is undone");
                assert_eq!(run(&node, "a", "release l 1").await, "ok");
            }
            "err: conflict" => moved += 1,
            other => panic!("after {operations}: {other}"),
        }
        assert_eq!(node.call(&id("b"), wait.clone()).await.unwrap(), b"1\n2\nok", "after {operations}");
        assert_eq!(run(&node, "a", "acquire l 60000 0").await, "none", "after {operations}");
        assert_eq!(run(&node, "b", "release l 2").await, "ok", "after {operations}");
        assert_eq!(run(&node, "a", "acquire l 60000 0").await, "3", "after {operations}: nobody else waits");
        replayed(&node, &["a", "b"]).await;
        node.close().await.unwrap();
        if whole && part == PARTS {
            break;
        }
    }
    assert!(kept > 0 && moved > 0, "{kept} kept, {moved} moved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acquired_before_a_fault_stays_and_a_wait_that_was_cut_is_forgotten() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b", "w"]).await;
    run(&node, "w", "join watch").await;
    let error = ask(&node, "a", "do", "acquire l 60000\ntrap").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: true, .. }), "{error}");
    assert_eq!(run(&node, "a", "acquire l 60000").await, "err: conflict", "its lease goes on");
    let waiting = waits(&node, "b", "acquire l 60000", "b").await;
    node.stop_now(&id("b"), "enough").await.unwrap();
    waiting.await.unwrap().unwrap_err();
    assert_eq!(run(&node, "a", "release l 1\nacquire l 60000 0").await, "ok\n2", "not handed to who is gone");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_without_a_journal_takes_part() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a"]).await;
    let mut off = coordinator("off");
    off.journal = Mode::Off;
    node.start(off.clone()).await.unwrap();
    assert_eq!(run(&node, "off", "join team\nregister off\nacquire l 60000\nrelease l $").await, "ok\nok\n1\nok");
    assert_eq!(run(&node, "a", "acquire l 60000").await, "2");
    assert_eq!(
        run(&node, "a", "members team\nlookup off\njoin team").await,
        "default/off\ndefault/off default/off\nok"
    );
    // What it sends leaves with the step that begins to wait.
    let waiting = begun(ask(&node, "off", "do", "publish team waits x\nacquire l 60000")).await;
    while ask(&node, "a", "heard", "").await.unwrap() != "default/off waits x" {}
    assert_eq!(run(&node, "a", "release l $").await, "ok");
    assert_eq!(waiting.await.unwrap(), "2\n3");
    node.close().await.unwrap();
}

// ---- registry ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_registered_found_replaced_and_end_with_their_actor() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b"]).await;
    let mut far = coordinator("far/a");
    far.grants.registry.as_mut().unwrap().lookup.push(ActorPattern::parse("default/p*").unwrap());
    node.start(far).await.unwrap();
    assert_eq!(
        run(&node, "a", "register printer kind=laser floor=1\nlookup printer\nregister scanner kind=flat floor=1")
            .await,
        "ok\ndefault/printer default/a kind=laser floor=1\nok"
    );
    assert_eq!(run(&node, "b", "register printer x=y").await, "err: already-exists default/printer");
    assert_eq!(run(&node, "b", "unregister printer").await, "err: not-found default/printer");
    assert_eq!(run(&node, "b", "register plotter kind=laser floor=2").await, "ok");
    let both = "default/plotter default/b kind=laser floor=2, default/printer default/a kind=laser floor=1";
    assert_eq!(run(&node, "b", "discover kind=laser").await, both);
    assert_eq!(run(&node, "far/a", "discover kind=laser\ndiscover floor=1").await.lines().next(), Some(both));
    assert_eq!(run(&node, "b", "discover kind=laser floor=3\nlookup nobody").await, "\nnone");
    assert_eq!(
        run(&node, "a", "register printer kind=ink\nlookup printer").await,
        "ok\ndefault/printer default/a kind=ink"
    );
    // Another namespace has names of its own.
    assert_eq!(run(&node, "far/a", "register printer\nlookup printer").await, "ok\nfar/printer far/a");
    assert_eq!(run(&node, "far/a", "lookup default/printer").await, "default/printer default/a kind=ink");

    // A fault takes back what its step did.
    for script in ["unregister printer\ntrap", "register other\ntrap", "register printer x=y\ntrap"] {
        ask(&node, "a", "do", script).await.unwrap_err();
    }
    assert_eq!(run(&node, "b", "lookup printer\nlookup other").await, "default/printer default/a kind=ink\nnone");

    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(
        run(&node, "b", "lookup printer\nregister printer").await,
        "default/printer default/a kind=ink\nerr: already-exists default/printer"
    );
    assert_eq!(run(&node, "a", "register gone").await, "ok");
    assert_eq!(run(&node, "a", "unregister gone").await, "ok");
    assert_eq!(run(&node, "a", "unregister printer\nlookup printer").await, "ok\nnone");
    assert_eq!(run(&node, "b", "register printer").await, "ok");
    node.stop(&id("b"), "enough").await.unwrap();
    assert_eq!(run(&node, "a", "lookup printer\ndiscover kind=laser\nregister plotter").await, "none\n\nok");
    replayed(&node, &["a", "b", "far/a"]).await;
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(
        run(&node, "a", "lookup printer\ndiscover").await,
        "none\ndefault/plotter default/a, default/scanner default/a kind=flat floor=1"
    );
    node.close().await.unwrap();
}

/// "A turn of one step is atomic": whenever the power goes, all of it happened or nothing, and what was acknowledged did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_step_joins_and_registers_or_does_neither() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b"]).await;
    let ready = power_cut(node, &disk);
    let (mut nothing, mut everything) = (0, 0);
    for operations in 0.. {
        assert!(operations < 400, "the call never ends");
        let disk = ready.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations);
        let call = Outgoing::new("do", &b"join team\nregister n k=v\npublish team t x"[..]).key("once");
        let acknowledged = node.call(&id("a"), call.clone()).await.is_ok();
        let whole = !disk.is_cut();
        let node = node_on(&power_cut(node, &disk)).await;
        let found = run(&node, "b", "members team\nlookup n").await;
        match found.as_str() {
            "\nnone" => nothing += 1,
            "default/a\ndefault/n default/a k=v" => everything += 1,
            other => panic!("after {operations}: {other}"),
        }
        assert!(!acknowledged || found != "\nnone", "after {operations}: what was acknowledged is undone");
        assert_eq!(node.call(&id("a"), call).await.unwrap(), b"ok\nok\n1", "after {operations}");
        while ask(&node, "a", "heard", "").await.unwrap() != "default/a t x" {}
        replayed(&node, &["a", "b"]).await;
        node.close().await.unwrap();
        if whole && acknowledged {
            break;
        }
    }
    assert!(nothing > 0 && everything > 0, "{nothing} nothing, {everything} everything");
}

// ---- grants and limits ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_each_call_is_refused_names_the_grant_and_is_a_denial() {
    let node = node_on(&SimDisk::new()).await;
    let mut bare = spec("bare", "coordinator");
    node.start(bare.clone()).await.unwrap();
    let cases = [
        ("join t", "[grants.groups] names = [\"t\"]"),
        ("leave t", "[grants.groups] names = [\"t\"]"),
        ("members t", "[grants.groups] names = [\"t\"]"),
        ("publish t x y", "[grants.groups] names = [\"t\"]"),
        ("acquire far/l 1000", "[grants.locks] names = [\"far/l\"]"),
        ("renew l 1 1000", "[grants.locks] names = [\"l\"]"),
        ("release l 1", "[grants.locks] names = [\"l\"]"),
        ("register n", "[grants.registry] register = [\"n\"]"),
        ("unregister n", "[grants.registry] register = [\"n\"]"),
        ("lookup n", "[grants.registry] lookup = [\"n\"]"),
        ("discover", "[grants.registry] lookup = [\"*\"]"),
    ];
    for (denials, (call, line)) in cases.into_iter().enumerate() {
        assert_eq!(run(&node, "bare", call).await, format!("err: not-permitted {line}"));
        assert_eq!(count(&node, "bare", Kind::Denial).await, denials + 1, "{call}");
    }
    // A pattern without a namespace reaches into no other.
    bare.id = id("some");
    bare.grants.groups = Some(vec![ActorPattern::parse("t*").unwrap()]);
    node.start(bare).await.unwrap();
    assert_eq!(run(&node, "some", "join team").await, "ok");
    for other in ["join x", "join far/team"] {
        assert!(run(&node, "some", other).await.starts_with("err: not-permitted"), "{other}");
    }
    for bad in ["join @team", "join Team", "join a/b/c"] {
        assert!(run(&node, "some", bad).await.starts_with("err: invalid-argument"), "{bad}");
    }
    replayed(&node, &["bare", "some"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_names_locks_and_metadata_have_their_limits() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a"]).await;
    let full = |limit: &str| format!("ok\nerr: resource-exhausted {limit} = 256");
    assert_eq!(run(&node, "a", "join-many 256\njoin-many 257").await, full("max-memberships"));
    assert_eq!(run(&node, "a", "register-many 256\nregister-many 257").await, full("max-names"));
    assert_eq!(run(&node, "a", "acquire-many 256\nacquire one-more 1000").await, full("max-locks"));
    assert_eq!(run(&node, "a", "register n0 k=*4087\nregister n0 k=*4088").await, "ok\nerr: too-large 4096");
    assert!(run(&node, "a", "register n0 troupe-x=1").await.starts_with("err: invalid-argument"));
    assert!(run(&node, "a", "discover k=*4087").await.starts_with("default/n0 default/a k=x"));
    assert_eq!(run(&node, "a", "discover k=*4088").await, "err: too-large 4096");
    assert_eq!(run(&node, "a", "publish g0 t *1048575\npublish g0 t *1048576").await, "1\nerr: too-large 1048576");
    // What it gives up it may have again, and its end gives up all.
    assert_eq!(run(&node, "a", "leave g7\njoin again").await, "ok\nerr: resource-exhausted max-memberships = 256");
    assert_eq!(run(&node, "a", "join again\nunregister n3").await, "ok\nok");
    node.stop(&id("a"), "enough").await.unwrap();
    node.start(coordinator("b")).await.unwrap();
    let gone = "members g0\nlookup n0\nacquire l0 1000 0\nacquire l255 1000 0";
    assert_eq!(run(&node, "b", gone).await, "\nnone\n257\n258");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discovery_finds_at_most_max_found() {
    let node = node_of(&SimDisk::new(), &["a"]).await;
    let everywhere = (1..=4).map(|n| ActorPattern::parse(&format!("n{n}/*")).unwrap());
    let mut seeker = coordinator("seeker");
    seeker.grants.registry.as_mut().unwrap().lookup = everywhere.collect();
    node.start(seeker).await.unwrap();
    for n in 1..=4 {
        node.start(coordinator(&format!("n{n}/a"))).await.unwrap();
        assert_eq!(run(&node, &format!("n{n}/a"), "register-many 250").await, "ok");
    }
    assert_eq!(run(&node, "a", "register-many 1").await, "ok", "what may not be seen does not count");
    assert_eq!(run(&node, "seeker", "discover").await.split(", ").count(), 1000);
    assert_eq!(run(&node, "n1/a", "register one-more").await, "ok");
    assert_eq!(run(&node, "seeker", "discover").await, "err: resource-exhausted max-found = 1000");
    replayed(&node, &["seeker"]).await;
    node.close().await.unwrap();
}
