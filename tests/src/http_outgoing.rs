//! Requests that actors make whose bodies leave while they are written: `bodies = "streamed"` in `[grants.http]`.

use std::time::Duration;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::manifest::{ActorSpec, Bodies, Grants, HttpGrant, Mode, OnFault};
use troupe_runtime::node::Outgoing;

use crate::http_peer::Peer;
use crate::support::{ask, count, id, node_on, power_cut, replay, spec, verified};

fn fetcher() -> ActorSpec {
    let mut fetcher = spec("fetcher", "fetcher");
    fetcher.grants.http = Some(HttpGrant { private: true, bodies: Bodies::Streamed, ..HttpGrant::all() });
    fetcher.limits.deadline = Some(Duration::from_secs(60));
    fetcher.supervision.on_fault = OnFault::Skip;
    fetcher
}

#[test]
fn when_bodies_leave_is_said_in_the_grant() {
    let grants = |bodies: &str| Grants::from_toml(&format!("http = {{ hosts = [\"*\"]{bodies} }}")).unwrap();
    let (whole, streamed) = (grants(""), grants(", bodies = \"streamed\""));
    assert_eq!(whole, grants(", bodies = \"whole\""));
    assert_eq!(streamed.http.as_ref().unwrap().bodies, Bodies::Streamed);
    assert!(!whole.to_toml().contains("bodies"), "what was written before stays as it is");
    for grants in [whole, streamed] {
        assert_eq!(Grants::from_toml(&grants.to_toml()).unwrap(), grants);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_of_a_request_leaves_before_the_rest_is_and_replays_without_its_server() {
    for mode in [Mode::Durable, Mode::Off] {
        let peer = Peer::start().await;
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(ActorSpec { journal: mode, ..fetcher() }).await.unwrap();
        let url = peer.url("/as-it-comes");
        assert_eq!(
            ask(&node, "fetcher", "as-it-comes", &format!("{url}|one,two,three")).await.unwrap(),
            "onetwothree "
        );
        let long = "x".repeat(200_000);
        let said = ask(&node, "fetcher", "post", &format!("{}|{long}", peer.url("/echo"))).await.unwrap();
        assert!(said == format!("200 yes {long}"), "{mode:?}: {} bytes", said.len());
        let asked = peer.asked();
        assert_eq!(asked[0].headers["transfer-encoding"], "chunked");
        assert!(asked[1].body == long.as_bytes() && !asked[1].headers.contains_key("content-length"));
        // A body that ends before it is finished is none.
        let cut = ask(&node, "fetcher", "given-up", &format!("{url}|one,two")).await.unwrap();
        assert!(cut.starts_with("onetwo (cut)") || cut.starts_with("err: "), "{mode:?}: {cut}");
        // Nobody is there, or goes away: the guest is told by its future.
        let gone = ask(&node, "fetcher", "post", "http://127.0.0.1:1/|bytes").await.unwrap();
        assert!(gone.starts_with("err: "), "{gone}");
        if mode == Mode::Durable {
            node.sync().await.unwrap();
            drop(peer);
            let node = node_on(&power_cut(node, &disk)).await;
            verified(&node, "fetcher").await;
            replay(&node, "fetcher", "fetcher").await.unwrap();
            node.close().await.unwrap();
        } else {
            node.close().await.unwrap();
        }
    }
}

/// Wherever a power cut stops it: what has left of it cannot be taken back, and nobody knows what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_request_that_a_crash_cuts_is_unknown_and_never_made_again() {
    let peer = Peer::start().await;
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(fetcher()).await.unwrap();
    let call =
        Outgoing::new("as-it-comes", format!("{}|one,two", peer.url("/as-it-comes?held")).as_bytes()).key("once");
    let calling = tokio::spawn({
        let (node, call) = (node.clone(), call.clone());
        async move { node.call(&id("fetcher"), call).await }
    });
    peer.asked_times(1).await;
    let after = disk.fork();
    after.crash();
    crate::coverage::cut();
    calling.abort();
    drop(node);
    let node = node_on(&after).await;
    let answer = String::from_utf8(node.call(&id("fetcher"), call).await.unwrap()).unwrap();
    assert!(answer.contains("the outcome of this request is unknown"), "{answer}");
    assert!(count(&node, "fetcher", Kind::Resume).await >= 1);
    peer.open();
    assert_eq!(ask(&node, "fetcher", "get", &peer.url("/hello")).await.unwrap(), "200 yes hello");
    assert_eq!(peer.asked().len(), 2, "one of each");
    verified(&node, "fetcher").await;
    replay(&node, "fetcher", "fetcher").await.unwrap();
    node.close().await.unwrap();
}
