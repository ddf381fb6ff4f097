//! Which export takes a message, and messages between actors: "Its records, its node effects and the removal of what it consumed
//! are one batch. Until then no other actor sees any of it."

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging};
use troupe_runtime::node::Outgoing;

use crate::support::{ask, count, guest, id, node_on, power_cut, replay, spec, verified};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_machine_keeps_its_state_through_errors_faults_and_power_cuts() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut machine = spec("machine", "fsm");
    node.start(machine.clone()).await.unwrap();
    let no = |state: &str, by: &str| CallError::Refused(format!("no transition from {state} by {by}"));
    assert_eq!(ask(&node, "machine", "where", "").await.unwrap(), "start");
    assert_eq!(ask(&node, "machine", "finish", "").await.unwrap_err(), no("start", "finish"));
    assert_eq!(ask(&node, "machine", "begin", "").await.unwrap(), "running");
    let error = ask(&node, "machine", "trap", "").await.unwrap_err();
    assert!(matches!(&error, CallError::Faulted { committed: false, .. }), "{error}");
    assert_eq!(ask(&node, "machine", "where", "").await.unwrap(), "running");

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "machine", "begin", "").await.unwrap_err(), no("running", "begin"));
    node.cast(&id("machine"), Outgoing::new("finish", &b""[..])).await.unwrap();
    assert_eq!(ask(&node, "machine", "where", "").await.unwrap(), "done", "a cast is a transition too");
    replay(&node, "machine", "fsm").await.unwrap();

    machine.id = id("later");
    machine.initial_fsm_state = "running".to_owned();
    node.start(machine).await.unwrap();
    assert_eq!(ask(&node, "later", "finish", "").await.unwrap(), "done");
    replay(&node, "later", "fsm").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_takes_calls_and_casts_and_sees_the_whole_message() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("generic", "generic")).await.unwrap();
    let mut message = Outgoing::new("note", &b"hello"[..]);
    message.headers = vec![("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
    let expected = "type=note from=@client payload=hello b=2 a=1";
    let answer = node.call(&id("generic"), message.clone()).await.unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), format!("kind=call {expected}"));
    node.cast(&id("generic"), message).await.unwrap();
    assert_eq!(ask(&node, "generic", "seen", "").await.unwrap(), format!("kind=cast {expected}"));
    node.stop(&id("generic"), "done").await.unwrap();
    assert_eq!(count(&node, "generic", Kind::Stop).await, 1);
    assert_eq!(count(&node, "generic", Kind::Fault).await, 0, "no message is current in init and terminate");
    replay(&node, "generic", "generic").await.unwrap();
    node.close().await.unwrap();
}

/// "A returned `err` is an ordinary end." So is a message that no export takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_no_export_takes_is_an_answer_and_no_fault() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("typed", "typed")).await.unwrap();
    node.start(spec("saver", "saver")).await.unwrap();
    let error = ask(&node, "typed", "add", "1").await.unwrap_err();
    let why = "the component exports neither gen-server nor gen-fsm nor handler";
    assert_eq!(error, CallError::Invalid(why.to_owned()));
    node.cast(&id("saver"), Outgoing::new("add", &b"1"[..])).await.unwrap();
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "0");
    assert_eq!(ask(&node, "saver", "add", "x").await.unwrap_err(), CallError::Refused("not a number: x".to_owned()));
    for name in ["typed", "saver"] {
        assert_eq!(node.actor(&id(name)).await.unwrap().faults, 0);
        replay(&node, name, name).await.unwrap();
    }
    node.close().await.unwrap();
}

fn sender(to: &[&str]) -> ActorSpec {
    let mut sender = spec("sender", "sender");
    sender.supervision.max_restarts = 100;
    let to = to.iter().map(|to| ActorPattern::parse(to).unwrap()).collect();
    sender.grants.messaging = Some(Messaging { to });
    sender
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_actor_sends_arrives_with_its_step_or_not_at_all() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("generic", "generic")).await.unwrap();
    node.start(sender(&["generic"])).await.unwrap();
    for n in 0..3 {
        let error = ask(&node, "sender", "relay-then-trap", &format!("generic|never|{n}")).await.unwrap_err();
        assert!(matches!(&error, CallError::Faulted { committed: false, .. }), "{error}");
        ask(&node, "sender", "relay", &format!("generic|note|{n}")).await.unwrap();
    }
    // As a cast: the sender's sender is not the message's.
    node.cast(&id("sender"), Outgoing::new("relay", &b"generic|note|3"[..])).await.unwrap();
    ask(&node, "sender", "relay", "generic|note|4").await.unwrap();
    let expected: Vec<_> = (0..5).map(|n| format!("kind=cast type=note from=default/sender payload={n}")).collect();
    assert_eq!(ask(&node, "generic", "seen", "").await.unwrap(), expected.join("\n"));

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "generic", "seen", "").await.unwrap(), expected.join("\n"), "nothing is sent again");
    for name in ["generic", "sender"] {
        verified(&node, name).await;
        replay(&node, name, name).await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_send_is_told_so_and_the_denial_is_recorded() {
    let node = node_on(&SimDisk::new()).await;
    let mut other = spec("generic", "generic");
    for name in ["generic", "other/generic"] {
        other.id = id(name);
        node.start(other.clone()).await.unwrap();
    }
    let mut silent = spec("silent", "sender");
    silent.grants.messaging = None;
    node.start(silent).await.unwrap();
    node.start(sender(&["gen*"])).await.unwrap();
    for (from, to) in [("silent", "generic"), ("sender", "other/generic")] {
        let denied = count(&node, from, Kind::Denial).await;
        let error = ask(&node, from, "relay", &format!("{to}|note|x")).await.unwrap_err();
        let CallError::Refused(text) = &error else { panic!("{from} to {to}: {error}") };
        assert!(text.starts_with("Error::NotPermitted") && text.contains("[grants.messaging]"), "{text}");
        assert_eq!(count(&node, from, Kind::Denial).await, denied + 1, "{from} to {to}");
    }
    for to in ["generic", "sender"] {
        ask(&node, "sender", "relay", &format!("{to}|note|x")).await.unwrap();
    }
    assert_eq!(
        count(&node, "sender", Kind::Denial).await,
        1,
        "what was granted is no denial, nor what goes to oneself"
    );
    assert_eq!(ask(&node, "generic", "seen", "").await.unwrap(), "kind=cast type=note from=default/sender payload=x");
    assert_eq!(ask(&node, "other/generic", "seen", "").await.unwrap(), "");
    for name in ["silent", "sender"] {
        replay(&node, name, "sender").await.unwrap();
    }
    assert!(guest("sender").is_file());
    node.close().await.unwrap();
}
