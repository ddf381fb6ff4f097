//! "An output waits until the log is durable up to its step's batch and up to `seen`: the highest position of a durable actor's batch
//! that the step depends on, carried by every message, completion and service answer, in every mode." Here by what services tell: an actor
//! without a journal shows what a durable one has done, whose disk nobody waits for; the power goes right then.

use troupe_log::SimDisk;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, KeyValue, Mode, Registration};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, id, node_on, power_cut, sleeping, spec};

fn all() -> Vec<ActorPattern> {
    vec![ActorPattern::parse("*").unwrap()]
}

fn coordinator(name: &str, mode: Mode) -> ActorSpec {
    let mut one = spec(name, "coordinator");
    one.grants.groups = Some(all());
    one.grants.locks = Some(all());
    one.grants.registry = Some(Registration { register: all(), lookup: all() });
    one.limits.deadline = None;
    one.journal = mode;
    one
}

fn keyvalue(name: &str, mode: Mode) -> ActorSpec {
    let mut one = spec(name, "keyvalue");
    one.grants.keyvalue = Some(KeyValue { own: Vec::new(), shared: all() });
    one.journal = mode;
    one
}

async fn run(node: &Node, actor: &str, lines: &str) -> String {
    ask(node, actor, "do", lines).await.unwrap().replace('\n', " ")
}

/// Nobody waits for the writer's disk.
fn offered(node: &Node, lines: &str) {
    node.offer(&id("writer"), Outgoing::new("do", lines.as_bytes())).unwrap();
}

/// What the reader shows once the writer has committed is so after a power cut, too.
async fn holds(actor: fn(&str, Mode) -> ActorSpec, write: &str, read: &str, says: &str) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(actor("writer", Mode::Durable)).await.unwrap();
    node.start(actor("reader", Mode::Off)).await.unwrap();
    assert_ne!(run(&node, "reader", read).await, says);
    offered(&node, write);
    while run(&node, "reader", read).await != says {}
    let node = node_on(&power_cut(node, &disk)).await;
    node.start(actor("reader", Mode::Off)).await.unwrap();
    assert_eq!(run(&node, "reader", read).await, says, "{write}: {read}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_groups_and_names_survives_a_power_cut() {
    holds(coordinator, "join team", "members team", "default/writer").await;
    holds(coordinator, "register n", "lookup n", "default/n default/writer").await;
    holds(coordinator, "register n k=v", "discover k=v", "default/n default/writer k=v").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_stores_survives_a_power_cut() {
    for write in ["open s\nset k 7", "open s\nincrement k 7"] {
        holds(keyvalue, write, "open s\nget k", "ok 7").await;
        holds(keyvalue, write, "open s\nexists k", "ok true").await;
        holds(keyvalue, write, "open s\nkeys", "ok k then none").await;
        holds(keyvalue, write, "open s\nget-many k", "ok k=7").await;
        holds(keyvalue, write, "open s\nincrement k 0", "ok 7").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_of_locks_survives_a_power_cut() {
    // A token that is stale was good once.
    holds(coordinator, "acquire l 60000\nrelease l $", "renew l 1 1000", "err: conflict").await;
    holds(coordinator, "acquire l 60000\nrelease l $", "release l 1", "err: conflict").await;

    // Somebody holds it.
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(coordinator("writer", Mode::Durable)).await.unwrap();
    node.start(coordinator("reader", Mode::Off)).await.unwrap();
    offered(&node, "acquire l 60000\nsleep 60000");
    sleeping(&node, 1).await;
    assert_eq!(run(&node, "reader", "acquire l 1000 0").await, "none");
    let node = node_on(&power_cut(node, &disk)).await;
    node.start(coordinator("reader", Mode::Off)).await.unwrap();
    assert_eq!(run(&node, "reader", "acquire l 1000 0").await, "none");
    drop(node);

    // Its holder has given it up.
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(coordinator("writer", Mode::Durable)).await.unwrap();
    node.start(coordinator("reader", Mode::Off)).await.unwrap();
    assert_eq!(run(&node, "writer", "acquire l 60000").await, "1");
    let waiting = begun(ask(&node, "reader", "do", "acquire l 60000")).await;
    offered(&node, "release l 1");
    assert_eq!(waiting.await.unwrap(), "2");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(run(&node, "writer", "release l 1").await, "err: conflict");
    node.close().await.unwrap();
}
