//! `theater:simple` at its edges: what a missing grant leaves, what random numbers are made of, and moments that are waited for.

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, OnFault};
use troupe_runtime::node::Node;

use crate::support::{ask, count, node_on, power_cut, replay, spec};

fn theater() -> ActorSpec {
    let mut theater = spec("t", "theater");
    theater.supervision.on_fault = OnFault::Skip;
    theater
}

async fn said(node: &Node, text: &str) -> String {
    ask(node, "t", "any", text).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_numbers_have_the_bits_that_they_should() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut seeded = theater();
    seeded.grants.random.seed = Some(5);
    node.start(seeded).await.unwrap();
    let (mut floats, mut ranges) = (Vec::new(), std::collections::BTreeSet::new());
    for _ in 0..16 {
        let uuid = said(&node, "uuid").await;
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'), "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
        floats.push(said(&node, "float").await.parse::<f64>().unwrap());
        ranges.insert(said(&node, "range|3|6").await);
    }
    assert!(floats.iter().all(|float| (0.0..1.0).contains(float)), "{floats:?}");
    assert!(floats.iter().any(|float| *float > 0.5) && floats.iter().any(|float| *float < 0.5), "{floats:?}");
    assert_eq!(ranges.into_iter().collect::<Vec<_>>(), ["3", "4", "5"], "all of them, and no other");
    let node = node_on(&power_cut(node, &disk)).await;
    said(&node, "uuid").await;
    replay(&node, "t", "theater").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_is_there_when_it_is_there() {
    let node = node_on(&SimDisk::new()).await;
    node.start(theater()).await.unwrap();
    let at = said(&node, "now").await.parse::<u64>().unwrap() + 50;
    assert_eq!(said(&node, &format!("deadline|{at}")).await, "there");
    assert!(said(&node, "now").await.parse::<u64>().unwrap() >= at);
    replay(&node, "t", "theater").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_last_words_need_their_grant_and_have_their_limit() {
    let node = node_on(&SimDisk::new()).await;
    let mut poor = theater();
    poor.grants.messaging = None;
    poor.limits.payload = ByteCount(1000);
    node.start(poor).await.unwrap();
    for asked in ["answer|this", "respond|x|y"] {
        let denied = ask(&node, "t", "any", asked).await.unwrap_err();
        assert_eq!(denied, CallError::Refused("not permitted: needs [grants.messaging]".to_owned()), "{asked}");
    }
    assert_eq!(count(&node, "t", Kind::Denial).await, 2);
    replay(&node, "t", "theater").await.unwrap();
    node.close().await.unwrap();
}
