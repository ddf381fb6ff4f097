//! What a node shows of its actors: "any API answer that shows state or records" is an output, and "an output waits until the log
//! is durable". "An actor that cannot make one is warned about and listed."

use troupe_log::SimDisk;
use troupe_runtime::manifest::Mode;
use troupe_runtime::node::Outgoing;

use crate::support::{ask, id, node_on, power_cut, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_of_an_actor_survives_a_power_cut() {
    for list in [true, false] {
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(spec("counter", "counter-rust")).await.unwrap();
        for _ in 0..50 {
            drop(node.offer(&id("counter"), Outgoing::new("add", &b"1"[..])).unwrap());
        }
        let shown = loop {
            let shown = match list {
                true => node.list().await.unwrap().remove(0),
                false => node.actor(&id("counter")).await.unwrap(),
            };
            if shown.turns == 50 {
                break shown;
            }
        };
        let node = node_on(&power_cut(node, &disk)).await;
        let now = node.actor(&id("counter")).await.unwrap();
        assert!(now.next >= shown.next, "{} records of {} that were shown", now.next, shown.next);
        assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "50");
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_that_cannot_be_made_durable() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    node.list().await.unwrap();
    disk.fail_syncs_after(0);
    drop(node.offer(&id("counter"), Outgoing::new("add", &b"1"[..])).unwrap());
    let error = node.list().await.unwrap_err().to_string();
    assert!(error.contains("cannot sync"), "{error}");
    assert!(node.halted().await.contains("cannot sync"), "the node stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_that_cannot_make_a_base_are_listed() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    node.start(spec("saver", "saver")).await.unwrap();
    let mut refuses = spec("refuses", "saver");
    refuses.snapshots.max_replay = 8;
    node.start(refuses).await.unwrap();
    let mut off = spec("off", "counter-rust");
    off.journal = Mode::Off;
    node.start(off).await.unwrap();
    let of = async |node: &troupe_runtime::node::Node, name: &str| {
        let info = node.actor(&id(name)).await.unwrap();
        (info.base.is_some(), info.no_base)
    };
    let none = Some("it has no snapshot export".to_owned());
    assert_eq!(of(&node, "counter").await, (false, none.clone()));
    assert_eq!(of(&node, "off").await, (false, None), "it has no journal");
    assert_eq!(of(&node, "saver").await, (false, None), "it can, and has not yet");
    node.snapshot(&id("saver")).unwrap();
    while of(&node, "saver").await != (true, None) {
        tokio::task::yield_now().await;
    }
    ask(&node, "refuses", "refuse-save", "").await.unwrap();
    while of(&node, "refuses").await.1.is_none() {
        ask(&node, "refuses", "add", "1").await.unwrap();
    }
    let (_, why) = of(&node, "refuses").await;
    assert!(why.as_ref().is_some_and(|why| why.contains("save")), "{why:?}");

    // After a crash too, before anything of it is compiled.
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(of(&node, "counter").await, (false, none));
    assert_eq!(of(&node, "saver").await, (true, None));
    assert_eq!(node.compilations(), 0);
    node.close().await.unwrap();
}
