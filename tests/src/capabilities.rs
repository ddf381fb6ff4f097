//! Denied unless granted: every function of the native contract that needs a grant, called without one, with one for another name,
//! with its own, and for a name of another namespace. What is not granted is `not-permitted` and a denial in the journal.

use std::collections::BTreeMap;

use troupe_log::{Digest, Kind, SimDisk};
use troupe_runtime::manifest::{
    ActorPattern, Channels, ComponentRef, Grants, KeyValue, Messaging, Processes, Profile, Registration, TupleSpaces,
};
use troupe_runtime::node::Node;

use crate::support::{ask, count, guest, id, node_on, power_cut, replay, spec};

/// Every function and what it answers when it is called with `name` under these grants; the denials in the journal of the actor.
async fn grasped(node: &Node, actor: &str, grants: Grants, name: &str) -> (BTreeMap<String, String>, usize) {
    node.start(troupe_runtime::manifest::ActorSpec { grants, ..spec(actor, "grasper") }).await.unwrap();
    let list = ask(node, actor, "list", "").await.unwrap();
    let mut answers = BTreeMap::new();
    for function in list.lines() {
        let answer = ask(node, actor, function, name).await.unwrap_or_else(|error| panic!("{function}: {error}"));
        answers.insert(function.to_owned(), answer);
    }
    replay(node, actor, "grasper").await.unwrap();
    (answers, count(node, actor, Kind::Denial).await)
}

/// Every grant there is, for the names of one pattern.
fn all_for(name: &str) -> Grants {
    let names = || vec![ActorPattern::parse(name).unwrap()];
    Grants {
        messaging: Some(Messaging { to: names() }),
        processes: Some(Processes { spawn: vec![name.to_owned()], control: names(), components: BTreeMap::new() }),
        tuplespace: Some(TupleSpaces { spaces: names(), read: Vec::new() }),
        channels: Some(Channels { send: names(), receive: names(), publish: names(), subscribe: names() }),
        groups: Some(names()),
        locks: Some(names()),
        registry: Some(Registration { register: names(), lookup: names() }),
        keyvalue: Some(KeyValue { own: names(), shared: names() }),
        ..Grants::default()
    }
}

/// Every answer names the section of the grant that is missing.
fn all_denied(answers: &BTreeMap<String, String>, what: &str) {
    for (function, answer) in answers {
        let (section, _) = function.split_once('.').unwrap();
        let start = format!("not-permitted: [grants.{section}] ");
        assert!(answer.starts_with(&start), "{what}: {function}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_every_function_is_refused_and_each_refusal_is_recorded() {
    let disk = SimDisk::new();
    let mut node = node_on(&disk).await;
    for (word, profile) in [("default", Profile::Default), ("untrusted", Profile::Untrusted)] {
        let (answers, denials) = grasped(&node, word, profile.grants(), "mine").await;
        assert_eq!(answers.len(), 45, "{answers:?}");
        all_denied(&answers, word);
        assert_eq!(denials, answers.len(), "{word}: one denial each");
    }
    node.sync().await.unwrap();
    node = node_on(&power_cut(node, &disk)).await;
    replay(&node, "untrusted", "grasper").await.unwrap();
    let again = ask(&node, "untrusted", "messaging.send-message", "mine").await.unwrap();
    assert_eq!(again, "not-permitted: [grants.messaging] to = [\"mine\"]", "also after a recovery");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_for_another_name_is_none() {
    let node = node_on(&SimDisk::new()).await;
    let (mut answers, denials) = grasped(&node, "a", all_for("yours"), "mine").await;
    // It has no name: it may look, and sees only what its grant names.
    let seen = answers.remove("registry.discover");
    assert!(seen.is_none_or(|answer| answer == "ok"));
    all_denied(&answers, "for another name");
    assert_eq!(denials, answers.len());
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_is_not_refused() {
    let node = node_on(&SimDisk::new()).await;
    for (actor, grants) in [("named", all_for("mine")), ("trusted", Profile::Trusted.grants())] {
        let (answers, denials) = grasped(&node, actor, grants, "mine").await;
        for (function, answer) in &answers {
            assert!(!answer.starts_with("not-permitted"), "{actor}: {function}: {answer}");
        }
        assert_eq!(denials, 0, "{actor}: {answers:?}");
    }
    node.close().await.unwrap();
}

/// "Grants, spaces and queues never cross namespaces unless granted": who asks, and for which tenant, is the host's to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_argument_reaches_another_namespace_or_speaks_for_another_actor() {
    let node = node_on(&SimDisk::new()).await;
    let mut grants = all_for("*");
    // Components have no namespace.
    grants.processes.as_mut().unwrap().spawn.clear();
    let (mut answers, _) = grasped(&node, "tenant/a", grants, "default/mine").await;
    answers.remove("registry.discover");
    all_denied(&answers, "another namespace");

    node.start(spec("tenant/any", "generic")).await.unwrap();
    node.start(spec("any", "generic")).await.unwrap();
    let sent = ask(&node, "tenant/a", "messaging.send-message", "tenant/any").await.unwrap();
    assert_eq!(sent, "ok");
    let seen = ask(&node, "tenant/any", "seen", "").await.unwrap();
    assert!(seen.contains("from=tenant/a "), "the sender is who it is: {seen}");
    assert_eq!(ask(&node, "any", "seen", "").await.unwrap(), "");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_components_names_is_loaded_at_the_start_and_stands_in_the_grant() {
    let node = node_on(&SimDisk::new()).await;
    let bytes = std::fs::read(guest("sleeper")).unwrap();
    let mut parent = spec("parent", "grasper");
    parent.components.insert("worker".to_owned(), ComponentRef::Path(guest("sleeper")));
    let refused = node.start(parent.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("granted no processes"), "{refused}");
    parent.grants.processes = Some(Processes { spawn: vec!["worker".to_owned()], ..Processes::default() });
    node.start(parent.clone()).await.unwrap();
    assert_eq!(node.component_bytes(&Digest::of(&bytes)).unwrap(), bytes, "in the store");
    assert_eq!(ask(&node, "parent", "processes.spawn-actor", "worker").await.unwrap(), "ok");
    let other = ask(&node, "parent", "processes.spawn-actor", "other").await.unwrap();
    assert_eq!(other, "not-permitted: [grants.processes] spawn = [\"other\"]");
    let children = node.list().await.unwrap();
    let child = children.iter().find(|actor| actor.id != id("parent")).expect("a child");
    assert_eq!(child.component, Digest::of(&bytes));
    // The same manifest again changes nothing.
    let again = node.start(parent).await.unwrap();
    assert!(again.resumed && again.changed.is_empty(), "{:?}", again.changed);
    replay(&node, "parent", "grasper").await.unwrap();
    node.close().await.unwrap();
}
