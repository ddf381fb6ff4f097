//! Actors of the contract `theater:simple`: the state that the runtime keeps, requests, both directions with native actors.

use std::num::NonZeroU32;

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Environment, Manifest, Messaging};
use troupe_runtime::node::{Node, Outgoing};

use crate::requests::partner;
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec, verified};

fn theater(name: &str, state: &str) -> ActorSpec {
    let mut spec = spec(name, "theater");
    spec.init = state.as_bytes().to_vec();
    spec.grants.messaging = Some(Messaging { to: vec![ActorPattern::parse("*").unwrap()] });
    spec
}

/// A node with the actor `t` of this contract and the native actor `p`.
async fn both(disk: &SimDisk) -> Node {
    let node = node_on(disk).await;
    node.start(theater("t", "total 5")).await.unwrap();
    node.start(partner("p")).await.unwrap();
    node
}

async fn said(node: &Node, text: &str) -> String {
    ask(node, "t", "any", text).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

async fn refused(node: &Node, text: &str) -> String {
    match ask(node, "t", "any", text).await {
        Err(CallError::Refused(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

async fn replayed(node: &Node) {
    for (name, guest) in [("t", "theater"), ("p", "partner")] {
        replay(node, name, guest).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        verified(node, name).await;
    }
}

/// "An export sees the state that the last turn which ended well left, whatever faulted or failed since."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_goes_into_and_out_of_every_export() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    assert_eq!(said(&node, "add|2").await, "7");
    assert_eq!(refused(&node, "err|no").await, "no");
    assert_eq!(said(&node, "get").await, "7\n\n", "an error leaves the state as it was");
    let fault = ask(&node, "t", "any", "trap").await.unwrap_err();
    assert!(matches!(&fault, CallError::Faulted { cause, .. } if cause.starts_with("trap")), "{fault}");
    assert_eq!(said(&node, "add|1").await, "8", "so does a fault");
    node.cast(&id("t"), Outgoing::new("any", &b"hello"[..])).await.unwrap();
    assert_eq!(said(&node, "get").await, "8\n\nhello");
    said(&node, "clear").await;
    assert_eq!(said(&node, "get").await, "none");
    said(&node, "big|0").await;
    assert_eq!(said(&node, "size").await, "0", "an empty state is a state");
    said(&node, "big|300000").await;
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "size").await, "300000");
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_forms_of_init_are_told_apart_by_their_type() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("old", "theater-old")).await.unwrap();
    let given = ActorSpec { init: b"file".to_vec(), ..spec("given", "theater-old") };
    node.start(given).await.unwrap();
    assert_eq!(ask(&node, "old", "any", "").await.unwrap(), "default/old from none");
    assert_eq!(ask(&node, "given", "any", "").await.unwrap(), "default/given from file");
    let untaken = node.call(&id("old"), Outgoing::new("any", &b""[..])).await.unwrap();
    assert_eq!(untaken, b"default/old from none");
    node.start(theater("t", "refuse"))
        .await
        .map(drop)
        .map_err(|error| match error {
            Error::InitFailed { why, .. } => assert!(why.contains("told to refuse"), "{why}"),
            other => panic!("{other}"),
        })
        .unwrap_err();
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "old", "any", "").await.unwrap(), "default/old from none");
    replay(&node, "old", "theater-old").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_and_is_asked_by_a_native_actor() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    assert_eq!(ask(&node, "p", "ask", "t|any|add|3").await.unwrap(), "8");
    assert_eq!(said(&node, "ask|p#add|4").await, "4");
    assert_eq!(said(&node, "send|p#note|hi").await, "sent");
    assert_eq!(said(&node, "send|p|plain").await, "sent");
    while ask(&node, "p", "notes", "").await.unwrap()
        != "cast note(hi) from default/t, cast message(plain) from default/t"
    {}
    assert_eq!(refused(&node, "ask|p#refuse|why").await, "why");
    assert_eq!(refused(&node, "ask|nobody|x").await, "not found: default/nobody");
    assert_eq!(refused(&node, "ask|t|get").await, "a circle of requests: default/t");
    assert!(refused(&node, "send|p#troupe:exit|x").await.starts_with("invalid: "));
    let mut loner = theater("loner", "");
    loner.grants.messaging = None;
    node.start(loner).await.unwrap();
    for asked in ["ask|p#add|1", "send|p#add|1"] {
        let denied = ask(&node, "loner", "any", asked).await.unwrap_err();
        assert_eq!(denied, CallError::Refused("not permitted: needs [grants.messaging] to = [\"p\"]".to_owned()));
    }
    assert_eq!(count(&node, "loner", Kind::Denial).await, 2);
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "ask|p#total").await, "4");
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_it_goes_on_after_a_power_cut_with_the_state_from_before() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let call = Outgoing::new("any", &b"add-then-ask|p#nap-then-add|200"[..]).key("once");
    let t = id("t");
    let asked = begun(node.call(&t, call.clone())).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(asked);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.call(&id("t"), call).await.unwrap(), b"1");
    assert_eq!(said(&node, "get").await, "6\n\n");
    replayed(&node).await;
    node.close().await.unwrap();
}

/// "`some` is the reply, `none` defers it to `respond-to-request`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_put_off_and_given_in_another_turn_also_after_a_power_cut() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let (t, p) = (id("t"), id("p"));
    let direct = Outgoing::new("any", &b"later"[..]).key("direct");
    let through = Outgoing::new("ask", &b"t|any|later"[..]).key("through");
    let first = begun(node.call(&t, direct.clone())).await;
    while said(&node, "held").await.is_empty() {}
    let second = begun(node.call(&p, through.clone())).await;
    while !said(&node, "held").await.contains(',') {}
    drop((first, second));
    node.sync().await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(said(&node, "release|one").await, "released");
    assert_eq!(said(&node, "cancel").await, "cancelled");
    assert_eq!(said(&node, "held").await, "");
    assert_eq!(node.call(&id("t"), direct).await.unwrap(), b"one");
    let cancelled = node.call(&id("p"), through).await.unwrap_err();
    assert_eq!(cancelled, CallError::Refused("refused: the request was cancelled".to_owned()));
    assert_eq!(refused(&node, "respond|nothing|x").await, "not found: request nothing");
    assert_eq!(said(&node, "answer|this").await, "this", "what was answered first is the answer");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "held").await, "", "each was answered once");
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_may_be_outstanding_are_answered_with_the_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut few = theater("t", "");
    few.limits.outstanding_calls = 1;
    node.start(few).await.unwrap();
    let t = id("t");
    let held = begun(node.call(&t, Outgoing::new("any", &b"later"[..]))).await;
    while said(&node, "held").await.is_empty() {}
    let beyond = ask(&node, "t", "any", "later").await.unwrap_err();
    assert_eq!(beyond, CallError::Exhausted("outstanding-calls = 1".to_owned()));
    assert_eq!(said(&node, "answer|now").await, "now", "what is answered in its turn is not outstanding");
    said(&node, "release|late").await;
    assert_eq!(held.await.unwrap(), b"late");
    replay(&node, "t", "theater").await.unwrap();
    node.close().await.unwrap();
}

/// "A base is the state and nothing else."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_base_is_its_state() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    said(&node, "add|2").await;
    node.snapshot(&id("t")).unwrap();
    assert_eq!(said(&node, "add|1").await, "8");
    assert_eq!(count(&node, "t", Kind::Base).await, 1);
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "get").await, "8\n\n");
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_time_and_environment_are_what_was_granted() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut seeded = theater("t", "");
    seeded.grants.random.seed = Some(3);
    seeded.grants.random.max_bytes = Some(ByteCount(8));
    seeded.grants.environment =
        Some(Environment { vars: [("A".to_owned(), "1".to_owned())].into(), ..Environment::default() });
    node.start(seeded).await.unwrap();
    assert_eq!(said(&node, "bytes|8").await.len(), 16);
    assert_eq!(refused(&node, "bytes|9").await, "9 random bytes were asked for at once; max-bytes is 8B");
    assert!(refused(&node, "bytes|4294967295").await.contains("max-bytes"));
    for _ in 0..20 {
        let drawn: u64 = said(&node, "range|3|5").await.parse().unwrap();
        assert!((3..5).contains(&drawn), "{drawn}");
    }
    assert_eq!(said(&node, &format!("range|{}|{}", u64::MAX - 1, u64::MAX)).await, (u64::MAX - 1).to_string());
    assert_eq!(refused(&node, "range|5|5").await, "an empty range: 5 to 5");
    assert!((0.0..1.0).contains(&said(&node, "float").await.parse::<f64>().unwrap()));
    let uuid = said(&node, "uuid").await;
    assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4', "{uuid}");
    assert_eq!(said(&node, "var|A").await, "1");
    assert_eq!(said(&node, "var|PATH").await, "none");
    assert_eq!(said(&node, "vars").await, "A=1");
    assert_eq!(said(&node, "exists|A").await, "true");
    assert_eq!(said(&node, "exists|B").await, "false");
    let now: u64 = said(&node, "now").await.parse().unwrap();
    assert_eq!(said(&node, &format!("deadline|{}", now + 1)).await, "there");
    assert_eq!(said(&node, "deadline|0").await, "there", "a moment that is past");
    assert_eq!(said(&node, "log|a line").await, "");
    let (t, nap) = (id("t"), Outgoing::new("any", &b"sleep|200"[..]).key("nap"));
    let asleep = begun(node.call(&t, nap.clone())).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(asleep);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.call(&id("t"), nap).await.unwrap(), b"slept");
    replay(&node, "t", "theater").await.unwrap();
    let mut poor = theater("poor", "");
    (poor.grants.random.enabled, poor.grants.clocks, poor.grants.host) = (false, false, false);
    poor.supervision.attempts = NonZeroU32::MIN;
    node.start(poor).await.unwrap();
    for (asked, lacks) in [
        ("uuid", "random"),
        ("float", "random"),
        ("sleep|1", "clocks"),
        ("now", "clocks"),
        ("log|x", "host"),
        ("shutdown", "host"),
    ] {
        let denied = ask(&node, "poor", "any", asked).await.unwrap_err().to_string();
        assert!(denied.contains(lacks), "{asked}: {denied}");
    }
    assert_eq!(count(&node, "poor", Kind::Denial).await, 6);
    replay(&node, "poor", "theater").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_itself_with_its_last_words() {
    let disk = SimDisk::new();
    let node = both(&disk).await;
    let fault = ask(&node, "t", "any", "shutdown-then-trap|no").await.unwrap_err();
    assert!(matches!(fault, CallError::Faulted { .. }), "{fault}");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "add|0").await, "5", "a fault takes it back");
    replayed(&node).await;
    assert_eq!(said(&node, "shutdown|enough").await, "ends");
    while !matches!(ask(&node, "t", "any", "get").await, Err(CallError::NotFound(_))) {
        tokio::task::yield_now().await;
    }
    replay(&node, "t", "theater").await.unwrap();
    node.close().await.unwrap();
}

/// The manifest of Theater as it is: its handlers are the grants, its file the state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_own_manifest_starts_it_with_the_state_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("state.txt"), "total 40").unwrap();
    let text = format!(
        "name = \"t\"\nversion = \"0.1.0\"\ncomponent = {:?}\ninit_state = \"state.txt\"\nsave_chain = true\n\
         [[handler]]\ntype = \"random\"\nseed = 3\nmax_bytes = 8\n[[handler]]\ntype = \"message-server\"\n",
        crate::support::guest("theater")
    );
    let spec = Manifest::parse(&text, "manifest.toml", Some(folder.path())).unwrap().actors.remove(0);
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec).await.unwrap();
    node.start(partner("p")).await.unwrap();
    assert_eq!(said(&node, "add|2").await, "42");
    assert_eq!(refused(&node, "bytes|9").await, "9 random bytes were asked for at once; max-bytes is 8B");
    assert_eq!(said(&node, "ask|p#add|4").await, "4");
    assert_eq!(refused(&node, "sleep|1").await, "not permitted: needs clocks = true");
    for _ in 0..10 {
        let fault = ask(&node, "t", "any", "trap").await.unwrap_err();
        assert!(matches!(fault, CallError::Faulted { .. }), "{fault}");
    }
    assert_eq!(said(&node, "get").await, "42\n\n", "no fault ends the actor");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(said(&node, "add|1").await, "43");
    replayed(&node).await;
    node.close().await.unwrap();
}
