//! Python's standard library as a user of WASI: json, datetime, random, uuid, os, pathlib and asyncio do real work in an actor, live,
//! after a power cut, and in a replay where its folder is gone.

use std::path::Path;
use std::time::Duration;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, spec, verified};
use crate::wasi_calls::directory;

const GUEST: &str = "python-stdlib";

fn book(folder: &Path) -> ActorSpec {
    let mut spec = spec("book", GUEST);
    spec.limits.fuel = 100_000_000_000;
    spec.limits.deadline = Some(Duration::from_secs(120));
    spec.grants.filesystem = vec![directory(folder, "shop")];
    spec
}

fn order(folder: &Path, name: &str, customer: &str, cents: u32) {
    let text = format!(
        "{{\"customer\": {customer:?}, \"placed\": \"2024-02-28T23:30:00+01:00\", \
          \"items\": [{{\"cents\": {cents}, \"count\": 3}}, {{\"cents\": 1, \"count\": 1}}]}}"
    );
    let inbox = folder.join("shop/in");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join(format!("{name}.json")), text).unwrap();
}

async fn json(node: &Node, message_type: &str, payload: &str) -> serde_json::Value {
    let answer = ask(node, "book", message_type, payload).await.unwrap_or_else(|e| panic!("{message_type}: {e}"));
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pythons_standard_library_keeps_an_order_book_over_a_power_cut_and_replays_without_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    for (name, customer, cents) in [("anna", "Ånna", 100), ("bert", "Bert", 20), ("carl", "Carl \"C\"", 3)] {
        order(folder.path(), name, customer, cents);
    }
    node.start(book(folder.path())).await.unwrap();
    assert_eq!(json(&node, "take", "").await, serde_json::json!(["anna", "bert", "carl"]));
    assert_eq!(json(&node, "ship", "2").await.as_array().unwrap().len(), 3);
    assert_eq!(json(&node, "asyncio", "").await, "ok");
    let report = json(&node, "report", "").await;
    assert_eq!(report["cents"], 372);
    let first = &report["orders"][0];
    assert_eq!((&first["customer"], &first["due"]), (&"Ånna".into(), &"2024-03-02".into()), "over a leap day");
    assert_eq!(first["placed"], "2024-02-28T22:30:00+00:00");
    let ids: std::collections::BTreeSet<_> =
        report["orders"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "an id each: {ids:?}");
    let below = json(&node, "folder", "").await;
    assert_eq!(below.as_array().unwrap().len(), 3, "{below}");
    assert!(std::fs::read_dir(folder.path().join("shop/in")).unwrap().next().is_none(), "it took them out");

    // The power goes while its tasks sleep.
    let nap = Outgoing::new("nap", &b"100"[..]).key("nap");
    let (waits, actor) = (count(&node, "book", Kind::Wait).await, id("book"));
    let asleep = begun(node.call(&actor, nap.clone())).await;
    while count(&node, "book", Kind::Wait).await == waits {
        tokio::task::yield_now().await;
    }
    node.sync().await.unwrap();
    drop(asleep);
    let node = node_on(&power_cut(node, &disk)).await;
    assert!(node.start(book(folder.path())).await.unwrap().resumed);
    let napped: Vec<String> = serde_json::from_slice(&node.call(&id("book"), nap).await.unwrap()).unwrap();
    assert_eq!(napped.len(), 3);
    assert_eq!(json(&node, "report", "").await, report, "it knows what it knew");
    assert_eq!(json(&node, "folder", "").await, below);
    order(folder.path(), "dora", "Dora", 7);
    assert_eq!(json(&node, "take", "").await, serde_json::json!(["dora"]));
    assert_eq!(json(&node, "ship", "3").await, serde_json::json!([{"name": "dora", "packer": "packer 0"}]));
    assert_eq!(json(&node, "asyncio", "").await, "ok");

    drop(folder);
    let summary = replay(&node, "book", GUEST).await.unwrap();
    assert_eq!(summary.records, node.actor(&id("book")).await.unwrap().next.0);
    verified(&node, "book").await;
    node.close().await.unwrap();
}
