//! What WASI says of random, clocks, io, cli and filesystem: each behaviour is asserted by a guest, live, after a power cut, and in
//! a replay where its directory is gone.

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, Environment, OnFault};
use troupe_runtime::node::Node;

use crate::support::{ask, id, node_on, power_cut, replay, spec};
use crate::wasi_calls::directory;

fn wasi(folder: &std::path::Path) -> ActorSpec {
    let mut wasi = spec("wasi", "wasi");
    let vars = [("GREETING".to_owned(), "hello".to_owned())].into();
    wasi.grants.environment = Some(Environment { vars, ..Environment::default() });
    wasi.grants.arguments = vec!["one".to_owned(), "two".to_owned()];
    wasi.grants.filesystem = vec![directory(folder, "data")];
    let pipe = wasi.grants.filesystem[0].host.join("pipe");
    if !pipe.exists() {
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    wasi.supervision.on_fault = OnFault::Skip;
    wasi.supervision.max_restarts = 1000;
    wasi
}

async fn all_hold(node: &Node, when: &str) {
    let list = ask(node, "wasi", "list", "").await.unwrap();
    let mut held = 0;
    for behaviour in list.lines() {
        let answer = ask(node, "wasi", behaviour, "").await;
        match &answer {
            Ok(ok) => assert!(ok == "ok" && !behaviour.ends_with("-traps"), "{when}: {behaviour}"),
            Err(CallError::Faulted { cause, .. }) if behaviour.starts_with("exit-") => {
                assert!(cause.contains("exit"), "{when}: {behaviour}: {cause}");
            }
            Err(CallError::Faulted { cause, .. }) if behaviour.ends_with("-traps") => {
                assert!(!cause.contains("unreachable"), "{when}: {behaviour}: an assertion failed: {cause}");
            }
            other => panic!("{when}: {behaviour}: {other:?}"),
        }
        held += 1;
    }
    assert!(held > 50, "{held} behaviours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_behaviour_holds_live_and_after_a_power_cut_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(wasi(folder.path())).await.unwrap();
    all_hold(&node, "live").await;
    node.sync().await.unwrap();
    let after = power_cut(node, &disk);
    let node = node_on(&after).await;
    assert!(node.start(wasi(folder.path())).await.unwrap().resumed);
    all_hold(&node, "after a power cut").await;
    drop(folder);
    let summary = replay(&node, "wasi", "wasi").await.unwrap();
    assert_eq!(summary.records, node.actor(&id("wasi")).await.unwrap().next.0);
    node.close().await.unwrap();
}
