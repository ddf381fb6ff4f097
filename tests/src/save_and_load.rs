//! What may be called while a base is made: "In save and load only `host`, and functions of the class *read*, may be called;
//! anything else is a fault of the turn, and no base is made."

use troupe_log::{Kind, SimDisk};
use troupe_runtime::node::Node;

use crate::support::{ask, count, id, node_on, power_cut, replay, verified};
use crate::wasi_calls::probe;

const ALLOWED: &[(&str, &str)] = &[
    ("host#log a line", "logged"),
    ("host#sleep-millis 1", "err: Error::Unavailable"),
    ("messaging#self-id", "default/probe"),
    ("random#get-random-bytes 2", ""),
    ("wall-clock#now", ""),
    ("environment#get-environment", "GREETING=hello"),
    ("preopens#get-directories", "/data\n/fixed"),
    ("stdout#get-stdout said", "wrote 4"),
];

const REFUSED: &[(&str, &str)] = &[
    ("messaging#send-message probe|list|", "messaging@0.1#send-message may not be called"),
    ("messaging#send-with probe|list|", "messaging@0.1#send-with may not be called"),
    ("messaging#defer-reply x", "messaging@0.1#defer-reply may not be called"),
    ("messaging#reply x", "messaging@0.1#reply may not be called"),
    ("types#descriptor.write a.txt|hello", "types@0.2#[method]descriptor.open-at may not be called"),
    ("types#descriptor.unlink-file-at a.txt", "types@0.2#[method]descriptor.unlink-file-at may not be called"),
    // Long enough that it cannot be over by itself.
    ("monotonic-clock#subscribe-duration 3600000", "no waiting in save and load"),
];

/// Asks for a base and lets another turn pass, so that it was tried.
async fn base(node: &Node) -> String {
    node.snapshot(&id("probe")).unwrap();
    ask(node, "probe", "loaded", "").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn save_and_load_may_log_and_read_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(probe(folder.path())).await.unwrap();
    let mut bases = 0;
    for where_called in ["in-save", "in-load"] {
        for (called, said) in ALLOWED {
            ask(&node, "probe", where_called, called).await.unwrap();
            let told = base(&node).await;
            bases += 1;
            assert!(told.starts_with(said) && !told.is_empty(), "{where_called} {called}: {told}");
            assert_eq!(count(&node, "probe", Kind::Base).await, bases, "{where_called} {called}");
            assert_eq!(node.actor(&id("probe")).await.unwrap().no_base, None);
        }
        for (called, why) in REFUSED {
            ask(&node, "probe", where_called, called).await.unwrap();
            assert_eq!(base(&node).await, "", "{where_called} {called}");
            assert_eq!(count(&node, "probe", Kind::Base).await, bases, "{where_called} {called}");
            let told = node.actor(&id("probe")).await.unwrap().no_base.unwrap();
            assert!(told.contains(why), "{where_called} {called}: {told}");
            // The actor is as it was, so it would call it again.
            ask(&node, "probe", where_called, "").await.unwrap();
        }
    }
    assert_eq!(count(&node, "probe", Kind::Intent).await, 0);
    assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 0);
    verified(&node, "probe").await;
    let node = node_on(&power_cut(node, &disk)).await;
    ask(&node, "probe", "loaded", "").await.unwrap();
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}
