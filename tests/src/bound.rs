//! `[bind]`: an actor's import served by another actor: live, cut at every operation, replayed; a call that fails; what is refused.

use std::time::Duration;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::boundary::Tag;
use troupe_runtime::component::inspect;
use troupe_runtime::manifest::{ActorSpec, ComponentRef, Mode};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, count, guest, id, node_on, power_cut, replay, spec};

const ACCOUNT: &str = "bank:ledger/account";

/// A teller whose account is the actor of this name.
fn teller(name: &str, account: &str) -> ActorSpec {
    let mut spec = spec(name, "teller");
    spec.bind.insert(ACCOUNT.to_owned(), id(account).to_string());
    spec
}

/// A node with a teller `t` and the account `acct` that serves it.
async fn bank(disk: &SimDisk) -> Node {
    let node = node_on(disk).await;
    node.start(spec("acct", "typed")).await.unwrap();
    node.start(teller("t", "acct")).await.unwrap();
    node
}

async fn replayed(node: &Node) {
    for (actor, guest) in [("t", "teller"), ("acct", "typed")] {
        replay(node, actor, guest).await.unwrap_or_else(|error| panic!("{actor}: {error}"));
    }
}

async fn balance(node: &Node, account: &str) -> String {
    node.call_typed(&id(account), "bank:ledger/account#balance", "()").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_served_by_the_actor_that_the_manifest_names() {
    let disk = SimDisk::new();
    let node = bank(&disk).await;
    assert_eq!(ask(&node, "t", "deposit", "1000").await.unwrap(), "1000");
    assert_eq!(ask(&node, "t", "withdraw", "1").await.unwrap(), "999");
    assert_eq!(ask(&node, "t", "balance", "").await.unwrap(), "999");
    let error = ask(&node, "t", "withdraw", "1000").await.unwrap_err();
    let own = CallError::Refused("insufficient funds: 999 < 1000".to_owned());
    assert_eq!(error, own, "the interface's own error comes as it is");
    assert_eq!(ask(&node, "t", "twice", "1").await.unwrap(), "1000 1001");
    let mirrored = ask(&node, "t", "mirror", "\u{1F3AD} bytes").await.unwrap();
    assert_eq!(mirrored, "Zoë 4", "a value of every type, there and back");
    assert_eq!(count(&node, "t", Kind::Wait).await, 9, "each call is a wait, and a sleep");
    let (tag, known) = (Tag::new("bank:ledger/account@0.1.0", "withdraw"), node.registry());
    assert_eq!(known.call(tag, &1000_u64.to_le_bytes()), "bank:ledger/account@0.1#withdraw(1000)", "for people");
    assert_eq!(known.outcome(tag, b"\x01\x02\0\0\0no"), "err(\"no\")");
    assert_eq!(known.outcome(tag, b"\x02"), "(1 bytes that do not fit its type: bad case at byte 0)");
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "t", "done", "").await.unwrap(), "6");
    assert_eq!(ask(&node, "t", "balance", "").await.unwrap(), "1001");
    replayed(&node).await;
    node.close().await.unwrap();
}

/// "A wait has the id of its record. Whoever answers commits a completion under that id, in the batch of its own step": cut anywhere,
/// the call is made once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_bound_call_is_made_once_and_answered() {
    let mut resumed = 0;
    for stop in 0.. {
        assert!(stop < 4000, "the call never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
        let disk = SimDisk::new();
        let node = bank(&disk).await;
        let call = Outgoing::new("twice", &b"5"[..]).key("once");
        disk.cut_after(operations);
        let syncing = tokio::spawn({
            let node = node.clone();
            async move { while node.sync().await.is_ok() {} }
        });
        let whole = node.call(&id("t"), call.clone()).await.is_ok();
        syncing.abort();
        drop(node);
        crate::coverage::cut();
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }
        let node = node_on(&disk).await;
        let what = format!("after {operations}, killed: {killed}");
        let answer = node.call(&id("t"), call).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer, b"5 10", "{what}");
        assert_eq!(balance(&node, "acct").await, "10", "{what}");
        assert_eq!(ask(&node, "t", "done", "").await.unwrap(), "2", "{what}");
        resumed += count(&node, "t", Kind::Resume).await;
        replayed(&node).await;
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    assert!(resumed > 0, "no cut was inside of the turn");
}

/// "An import bound to another actor, whose function has no error case, faults the caller when the call fails."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_is_the_functions_own_error_or_faults_the_caller() {
    let node = bank(&SimDisk::new()).await;
    node.start(teller("lost", "nobody")).await.unwrap();
    let error = ask(&node, "lost", "deposit", "1").await.unwrap_err();
    let words = "bank:ledger/account#deposit of default/nobody: not found: default/nobody";
    assert_eq!(error, CallError::Refused(words.to_owned()), "`result<u64, string>` has a place for it");
    let error = ask(&node, "lost", "balance", "").await.unwrap_err();
    let why = "bank:ledger/account#balance of default/nobody: not found";
    assert!(matches!(&error, CallError::Faulted { cause, .. } if cause.contains(why)), "{error}");
    assert_eq!(ask(&node, "lost", "done", "").await.unwrap(), "0");

    // The other traps; what it did is undone, and so is what the caller did.
    let error = ask(&node, "t", "close", "").await.unwrap_err();
    let why = "bank:ledger/account#close of default/acct: it faulted: trap:";
    assert!(matches!(&error, CallError::Faulted { cause, committed: true } if cause.contains(why)), "{error}");

    // An actor of another kind may serve, if it answers with the bytes of a result.
    node.start(spec("any", "generic")).await.unwrap();
    node.start(teller("odd", "any")).await.unwrap();
    let error = ask(&node, "odd", "deposit", "1").await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(why) if why.contains("no result of it")), "{error}");
    let error = ask(&node, "odd", "balance", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { cause, .. } if cause.contains("no result of it")), "{error}");

    // The arguments are a message: it has at most the bytes that the other takes.
    let mut tight = spec("tight", "typed");
    tight.limits.payload = troupe_log::ByteCount(1 << 10);
    node.start(tight).await.unwrap();
    node.start(teller("small", "tight")).await.unwrap();
    let error = ask(&node, "small", "pad", "1024").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { cause, .. } if cause.contains("larger than 1024 bytes")), "{error}");
    assert_eq!(ask(&node, "small", "pad", "512").await.unwrap(), "512");

    // So is the answer, and the caller takes no more.
    let mut narrow = teller("narrow", "acct");
    narrow.limits.payload = troupe_log::ByteCount(512);
    node.start(narrow).await.unwrap();
    let error = ask(&node, "narrow", "pad", "512").await.unwrap_err();
    assert!(
        matches!(&error, CallError::Faulted { cause, .. } if cause.contains("its answer is larger than 512")),
        "{error}"
    );

    // Itself it cannot ask, nor can two that serve each other.
    node.start(teller("self", "self")).await.unwrap();
    let error = ask(&node, "self", "deposit", "1").await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(why) if why.contains("a circle of requests")), "{error}");
    for (actor, component) in
        [("lost", "teller"), ("odd", "teller"), ("small", "teller"), ("narrow", "teller"), ("self", "teller")]
    {
        replay(&node, actor, component).await.unwrap_or_else(|error| panic!("{actor}: {error}"));
    }
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_call_ends_before_the_deadline_and_what_comes_later_is_dropped() {
    let node = node_on(&SimDisk::new()).await;
    // It sleeps while it is asked.
    node.start(spec("acct", "partner")).await.unwrap();
    let mut slow = teller("t", "acct");
    slow.limits.deadline = Some(Duration::from_secs(1));
    node.start(slow).await.unwrap();
    let busy = tokio::spawn({
        let node = node.clone();
        async move { ask(&node, "acct", "nap", "1500").await }
    });
    crate::support::sleeping(&node, 1).await;
    let error = ask(&node, "t", "deposit", "1").await.unwrap_err();
    let words = "bank:ledger/account#deposit of default/acct: timeout";
    assert_eq!(error, CallError::Refused(words.to_owned()));
    busy.await.unwrap().unwrap();
    assert_eq!(node.actor(&id("t")).await.unwrap().faults, 0);
    replay(&node, "t", "teller").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binding_changes_between_two_turns_and_a_replay_follows() {
    let disk = SimDisk::new();
    let node = bank(&disk).await;
    node.start(spec("other", "typed")).await.unwrap();
    ask(&node, "t", "deposit", "1").await.unwrap();
    let started = node.start(teller("t", "other")).await.unwrap();
    assert_eq!(started.changed, ["bind.\"bank:ledger/account\" \"default/acct\" -> \"default/other\""]);
    assert_eq!(ask(&node, "t", "deposit", "7").await.unwrap(), "7");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "t", "deposit", "1").await.unwrap(), "8");
    assert_eq!(balance(&node, "acct").await, "1");
    replay(&node, "t", "teller").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_without_a_journal_calls_and_serves_too() {
    let node = node_on(&SimDisk::new()).await;
    let off = |spec: ActorSpec| ActorSpec { journal: Mode::Off, ..spec };
    node.start(off(spec("acct", "typed"))).await.unwrap();
    node.start(off(teller("t", "acct"))).await.unwrap();
    node.start(teller("kept", "acct")).await.unwrap();
    assert_eq!(ask(&node, "t", "twice", "2").await.unwrap(), "2 4");
    assert_eq!(ask(&node, "kept", "deposit", "1").await.unwrap(), "5");
    replay(&node, "kept", "teller").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_no_actor_serves_and_a_binding_of_no_import_are_refused_at_the_start() {
    let node = node_on(&SimDisk::new()).await;
    let refused = async |spec: ActorSpec| node.start(spec).await.unwrap_err().to_string();
    let why = refused(spec("t", "teller")).await;
    let line = "[bind] \"bank:ledger/account@0.1.0\" = \"ACTOR\"";
    assert!(why.contains("nobody provides the import bank:ledger/account@0.1.0") && why.contains(line), "{why}");
    let bytes = std::fs::read(guest("teller")).unwrap();
    assert!(node.component_bytes(&inspect(&bytes).unwrap().digest).is_err(), "nothing is left behind");

    // It can be loaded before anybody says who serves it.
    node.load_as("teller", "1.0.0", &bytes).await.unwrap();
    let named = ComponentRef::Named { name: "teller".into(), version: "1.0.0".into() };
    let why = refused(ActorSpec { component: named.clone(), ..spec("t", "teller") }).await;
    assert!(why.contains(line), "{why}");
    for key in ["bank:ledger/account", "bank:ledger/account@0.1.0", "bank:ledger/account@0.1.9"] {
        let mut bound = ActorSpec { component: named.clone(), ..spec("t", "teller") };
        bound.bind.insert(key.to_owned(), "default/acct".to_owned());
        node.start_fresh(bound).await.unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    for key in ["bank:ledger/acount", "bank:ledger/account@0.2.0", "troupe:actor/host", "wasi:random/random@0.2.0"] {
        let mut bound = teller("u", "acct");
        bound.bind.insert(key.to_owned(), "default/acct".to_owned());
        let why = refused(bound).await;
        assert!(why.contains(&format!("[bind] names {key}, which")), "{why}");
    }
    node.close().await.unwrap();
}
