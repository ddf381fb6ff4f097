//! Durations go on through a restart: "Node time: runs only while the node is up; after a restart it goes on from the last durable
//! stamp."; clock pollables are renewable.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use troupe_log::{Kind, SimDisk, WallTime};
use troupe_runtime::env::Clock;
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::support::{count, id, options, replay};
use crate::wasi_calls::probe;

/// A clock that stands still until it is set.
pub struct Manual(watch::Sender<Duration>);

impl Manual {
    pub fn new() -> Arc<Manual> {
        Arc::new(Manual(watch::channel(Duration::ZERO).0))
    }

    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by);
    }
}

impl Clock for Manual {
    fn wall(&self) -> WallTime {
        WallTime(1_800_000_000_000_000 + self.0.borrow().as_micros() as u64)
    }
    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }
    fn sleep_until(&self, monotonic: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            if now.wait_for(|now| *now >= monotonic).await.is_err() {
                std::future::pending().await
            }
        })
    }
}

pub async fn node_with(disk: &SimDisk, clock: &Arc<Manual>) -> Node {
    crate::coverage::opens(disk);
    Node::open(NodeOptions { clock: clock.clone(), ..options(disk) }).await.unwrap()
}

pub const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duration_that_is_waited_for_goes_on_where_it_was_after_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    let mut probe = probe(folder.path());
    probe.limits.deadline = None;
    node.start(probe).await.unwrap();
    // The guest traps if less than an hour has passed when it goes on.
    let wait = Outgoing::new("monotonic-clock#subscribe-duration", &b"3600000"[..]).key("wait");
    let waiting = tokio::spawn({
        let (node, wait) = (node.clone(), wait.clone());
        async move { node.call(&id("probe"), wait).await }
    });
    loop {
        assert!(!waiting.is_finished(), "the wait was never found");
        node.sync().await.unwrap();
        let after = disk.fork();
        after.crash();
        crate::coverage::cut();
        let again = node_with(&after, &Manual::new()).await;
        let found = count(&again, "probe", Kind::Wait).await;
        again.close().await.unwrap();
        if found == 1 {
            break;
        }
    }
    let mut disk = disk;
    let (mut node, mut clock) = (node, clock);
    // Three times: what is recorded once is read again at each restart.
    for minutes in [20, 20, 19] {
        clock.advance(minutes * MINUTE);
        node.sync().await.unwrap();
        let after = disk.fork();
        after.crash();
        crate::coverage::cut();
        drop(node);
        disk = after;
        clock = Manual::new();
        node = node_with(&disk, &clock).await;
        assert_eq!(count(&node, "probe", Kind::Due).await, 1);
    }
    let answer = tokio::spawn({
        let node = node.clone();
        async move { node.call(&id("probe"), wait).await }
    });
    clock.advance(MINUTE);
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
    assert_eq!(answer.expect("the rest of the hour is over").unwrap().unwrap(), b"waited");
    assert_eq!((count(&node, "probe", Kind::Wait).await, count(&node, "probe", Kind::Wake).await), (1, 1));
    waiting.abort();
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}
