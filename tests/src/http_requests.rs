//! Requests that actors make over HTTP: what is granted, what is bounded, and what a crash does to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hyper::Version;
use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::manifest::{ActorSpec, HostPattern, HttpGrant, OnFault};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::http_peer::Peer;
use crate::support::{ask, count, id, node_on, options, power_cut, replay, spec, verified};

fn fetcher(grant: HttpGrant) -> ActorSpec {
    let mut fetcher = spec("fetcher", "fetcher");
    fetcher.grants.http = Some(grant);
    fetcher.limits.deadline = Some(Duration::from_secs(60));
    fetcher.supervision.on_fault = OnFault::Skip;
    fetcher
}

/// Everything, on this machine too.
fn local() -> HttpGrant {
    HttpGrant { private: true, ..HttpGrant::all() }
}

async fn started(grant: HttpGrant) -> (Node, SimDisk) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(fetcher(grant)).await.unwrap();
    (node, disk)
}

/// The same answers again, with the peer gone.
async fn replayed(node: &Node) {
    verified(node, "fetcher").await;
    replay(node, "fetcher", "fetcher").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_made_and_replayed_without_their_server() {
    let peer = Peer::start().await;
    let (node, disk) = started(local()).await;
    assert_eq!(ask(&node, "fetcher", "get", &peer.url("/hello")).await.unwrap(), "200 yes hello");
    assert_eq!(
        ask(&node, "fetcher", "post", &format!("{}|some bytes", peer.url("/echo"))).await.unwrap(),
        "200 yes some bytes"
    );
    let finished = format!("{}|at once", peer.url("/echo"));
    assert_eq!(ask(&node, "fetcher", "post-finished", &finished).await.unwrap(), "200 yes at once");
    assert_eq!(ask(&node, "fetcher", "delete", &peer.url("/none?a=b")).await.unwrap(), "404 yes ");
    assert_eq!(ask(&node, "fetcher", "trailers", &format!("{}|x", peer.url("/echo"))).await.unwrap(), "x-sum=7");
    assert_eq!(ask(&node, "fetcher", "fields", "").await.unwrap(), "all");
    let asked = peer.asked();
    assert_eq!(asked.iter().map(|asked| &*asked.method).collect::<Vec<_>>(), ["GET", "POST", "POST", "DELETE", "POST"]);
    assert_eq!(asked[3].path, "/none?a=b");
    assert_eq!(asked[0].headers["x-asked"], "by a fetcher");
    assert_eq!(asked[0].headers["host"], peer.address.to_string());
    assert_eq!(asked[1].headers["content-length"], "10");
    assert_eq!(asked[1].body, b"some bytes");
    assert_eq!(asked[4].trailers.as_ref().unwrap()["x-sum"], "7");
    assert!(!asked[1].headers.contains_key("idempotency-key"), "nothing of it is made again");
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "fetcher", "get", &peer.url("/hello")).await.unwrap(), "200 yes hello");
    assert_eq!(peer.asked().len(), 6, "what was answered is not asked again");
    drop(peer);
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed() {
    let peer = Peer::start().await;
    let (node, _disk) = started(local()).await;
    assert_eq!(ask(&node, "fetcher", "get", &peer.url("/away")).await.unwrap(), "302 yes ");
    assert_eq!(peer.asked().len(), 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_granted_is_denied_and_nothing_leaves() {
    let peer = Peer::start().await;
    let port = peer.address.port();
    let hosts = |text: &str| vec![HostPattern::parse(text).unwrap()];
    let none = spec("fetcher", "fetcher").grants.http;
    let denied = [
        none,
        Some(HttpGrant { private: true, ..HttpGrant::default() }),
        Some(HttpGrant { hosts: hosts("example.com:*"), ..local() }),
        Some(HttpGrant { hosts: hosts("127.0.0.1"), ..local() }),
        Some(HttpGrant { methods: vec!["POST".to_owned()], ..local() }),
    ];
    for grant in denied {
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        let mut fetcher = fetcher(local());
        fetcher.grants.http = grant.clone();
        node.start(fetcher).await.unwrap();
        assert_eq!(
            ask(&node, "fetcher", "get", &peer.url("/hello")).await.unwrap(),
            "err: ErrorCode::HttpRequestDenied",
            "{grant:?}"
        );
        assert_eq!(count(&node, "fetcher", Kind::Denial).await, 1);
        replayed(&node).await;
        node.close().await.unwrap();
    }
    let grant = HttpGrant { hosts: hosts(&format!("127.0.0.1:{port}")), methods: vec!["GET".to_owned()], ..local() };
    let (node, _disk) = started(grant).await;
    assert_eq!(ask(&node, "fetcher", "get", &peer.url("/hello")).await.unwrap(), "200 yes hello");
    assert_eq!(peer.asked().len(), 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_and_its_networks_are_closed_whatever_name_leads_there() {
    let peer = Peer::start().await;
    let port = peer.address.port();
    let (node, _disk) = started(HttpGrant::all()).await;
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.0.0.1"] {
        let answer = ask(&node, "fetcher", "get", &format!("http://{host}:{port}/hello")).await.unwrap();
        assert_eq!(answer, "err: ErrorCode::DestinationIpProhibited", "{host}");
    }
    assert!(peer.asked().is_empty());
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_and_times_have_their_limits() {
    let peer = Peer::start().await;
    let grant = HttpGrant { max_request: ByteCount(1000), max_response: ByteCount(2000), ..local() };
    let (node, disk) = started(grant).await;
    let large = |size: u32| peer.url(&format!("/large?{size}"));
    assert_eq!(ask(&node, "fetcher", "get", &large(2000)).await.unwrap().len(), "200 yes ".len() + 2000);
    let over = ask(&node, "fetcher", "get", &large(2001)).await.unwrap();
    assert_eq!(over, "err: ErrorCode::HttpResponseBodySize(Some(2001))");
    let whole = ask(&node, "fetcher", "large-body", &format!("{}|1000", peer.url("/echo"))).await.unwrap();
    assert_eq!(whole.len(), "200 yes ".len() + 1000);
    let before = peer.asked().len();
    let over = ask(&node, "fetcher", "large-body", &format!("{}|1001", peer.url("/echo"))).await.unwrap();
    assert_eq!(over, "err: ErrorCode::HttpRequestBodySize(Some(1001))");
    let wrong = ask(&node, "fetcher", "wrong-length", &peer.url("/echo")).await.unwrap();
    let expected = "Err(ErrorCode::HttpRequestBodySize(Some(3))) Err(ErrorCode::HttpRequestBodySize(Some(3)))";
    assert_eq!(wrong, expected);
    assert_eq!(peer.asked().len(), before, "nothing of a body that is not whole leaves");
    let late = ask(&node, "fetcher", "hurried", &peer.url("/held")).await.unwrap();
    assert_eq!(late, "err: ErrorCode::HttpResponseTimeout");
    let fault = ask(&node, "fetcher", "many-fields", "").await.unwrap_err().to_string();
    assert!(fault.contains("128 KiB"), "{fault}");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "fetcher", "get", &large(2000)).await.unwrap().len(), "200 yes ".len() + 2000);
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_answer_is_told_by_its_error() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (node, _disk) = started(local()).await;
    let refused = ask(&node, "fetcher", "get", &format!("http://{unused}/")).await.unwrap();
    assert_eq!(refused, "err: ErrorCode::ConnectionRefused");
    let unknown = ask(&node, "fetcher", "get", "http://no-such-host.invalid/").await.unwrap();
    assert!(unknown.starts_with("err: ErrorCode::DnsError"), "{unknown}");
    // A server that speaks no TLS.
    let peer = Peer::start().await;
    let tls = ask(&node, "fetcher", "get", &peer.url("/hello").replace("http", "https")).await.unwrap();
    assert!(tls.starts_with("err: ErrorCode::Tls") || tls.contains("Connection"), "{tls}");
    replayed(&node).await;
    node.close().await.unwrap();
}

const UNKNOWN: &str = "the outcome of this request is unknown";

/// Stops the node while the peer holds the request, by a power cut and by a kill that leaves what was written, and goes on.
/// Returns the answer and how often the peer was asked.
async fn stopped_in_flight(kind: &str, grant: HttpGrant, killed: bool) -> (String, Vec<Option<String>>) {
    let peer = Peer::start().await;
    let (node, disk) = started(grant).await;
    let call = Outgoing::new(kind, format!("{}|body", peer.url("/held")).as_bytes()).key("once");
    let calling = tokio::spawn({
        let (node, call) = (node.clone(), call.clone());
        async move { node.call(&id("fetcher"), call).await }
    });
    peer.asked_times(1).await;
    // What another process would find; after a kill, until it finds that the request was sent and its answer is waited for.
    let (again, before) = loop {
        assert!(!calling.is_finished(), "the wait was never found");
        let after = disk.fork();
        match killed {
            true => after.crash_keeping(true, |write| 0..write.len),
            false => after.crash(),
        }
        let before = peer.asked().len();
        let again = node_on(&after).await;
        if !killed || count(&again, "fetcher", Kind::Wait).await > 0 {
            break (again, before);
        }
        again.close().await.unwrap();
    };
    calling.abort();
    drop(node);
    peer.open();
    let node = again;
    let answer = String::from_utf8(node.call(&id("fetcher"), call).await.unwrap()).unwrap();
    assert!(count(&node, "fetcher", Kind::Resume).await >= 1);
    replayed(&node).await;
    node.close().await.unwrap();
    let key = |asked: &crate::http_peer::Asked| {
        asked.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned())
    };
    let asked = peer.asked();
    (answer, std::iter::once(&asked[0]).chain(&asked[before..]).map(key).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_that_a_crash_cuts_is_asked_again() {
    for killed in [false, true] {
        let (answer, asked) = stopped_in_flight("get", local(), killed).await;
        assert_eq!(answer, "200 yes hello", "killed: {killed}");
        assert_eq!(asked, [None, None], "killed: {killed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_a_crash_cuts_is_unknown_and_never_made_again() {
    for kind in ["post", "post-finished"] {
        for killed in [false, true] {
            let (answer, asked) = stopped_in_flight(kind, local(), killed).await;
            assert!(answer.contains(UNKNOWN), "{kind}, killed: {killed}: {answer}");
            assert_eq!(asked.len(), 1, "{kind}, killed: {killed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_repeat_in_the_grant_a_post_is_made_again_under_the_same_key() {
    for kind in ["post", "post-finished"] {
        for killed in [false, true] {
            let (answer, asked) = stopped_in_flight(kind, HttpGrant { repeat: true, ..local() }, killed).await;
            assert_eq!(answer, "200 yes hello", "{kind}, killed: {killed}");
            assert_eq!(asked.len(), 2, "{kind}, killed: {killed}");
            assert!(asked[0].as_ref().is_some_and(|key| key.starts_with("\"default/fetcher/")), "{asked:?}");
            assert_eq!(asked[0], asked[1], "{kind}, killed: {killed}");
        }
    }
}

/// Stops the node after each possible number of the disk's operations in one call. Returns the different answers, and the most
/// that the peer was asked for one of them.
async fn stop_everywhere(kind: &str, path: &str, grant: HttpGrant) -> (BTreeSet<String>, usize) {
    let peer = Peer::start().await;
    peer.open();
    let (mut answers, mut most) = (BTreeSet::new(), 0);
    for stop in 0.. {
        assert!(stop < 400, "the call never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
        let before = peer.asked().len();
        let (node, disk) = started(grant.clone()).await;
        let call = Outgoing::new(kind, format!("{}|body", peer.url(path)).as_bytes()).key("once");
        disk.cut_after(operations);
        let whole = node.call(&id("fetcher"), call.clone()).await.is_ok();
        drop(node);
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }
        let node = node_on(&disk).await;
        let answer = node.call(&id("fetcher"), call).await;
        let answer = answer.unwrap_or_else(|error| panic!("after {operations}, killed: {killed}: {error}"));
        answers.insert(String::from_utf8(answer).unwrap());
        most = most.max(peer.asked().len() - before);
        let replayed = replay(&node, "fetcher", "fetcher").await;
        replayed.unwrap_or_else(|error| panic!("after {operations}, killed: {killed}: {error}"));
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    (answers, most)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_node_stops_a_get_is_answered() {
    let (answers, most) = stop_everywhere("get", "/held", local()).await;
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), ["200 yes hello"]);
    assert_eq!(most, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_node_stops_a_post_is_made_at_most_once() {
    for kind in ["post", "post-finished"] {
        let (answers, most) = stop_everywhere(kind, "/echo", local()).await;
        assert_eq!(answers.len(), 2, "{kind}: {answers:?}");
        assert!(
            answers.contains("200 yes body") && answers.iter().any(|answer| answer.contains(UNKNOWN)),
            "{answers:?}"
        );
        assert_eq!(most, 1, "{kind}");
    }
}

/// Stops the node while the turn sleeps, with a response in its hands.
async fn stopped_asleep(kind: &str, path: &str) -> (String, usize) {
    let peer = Peer::start().await;
    let (node, disk) = started(local()).await;
    let call = Outgoing::new(kind, format!("{}|body", peer.url(path)).as_bytes()).key("once");
    let calling = tokio::spawn({
        let (node, call) = (node.clone(), call.clone());
        async move { node.call(&id("fetcher"), call).await }
    });
    crate::support::sleeping(&node, 1).await;
    node.sync().await.unwrap();
    let after = power_cut(node, &disk);
    calling.abort();
    peer.open();
    let node = node_on(&after).await;
    let answer = String::from_utf8(node.call(&id("fetcher"), call).await.unwrap()).unwrap();
    replayed(&node).await;
    node.close().await.unwrap();
    (answer, peer.asked().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_of_a_response_is_there_after_a_crash_and_its_body_is_dead() {
    let (answer, asked) = stopped_asleep("slow-head", "/hello").await;
    assert_eq!((&*answer, asked), ("200 yes", 1));
    let (answer, asked) = stopped_asleep("slow-body", "/in-two").await;
    assert!(answer.contains("did not survive the restart"), "{answer}");
    assert_eq!(asked, 1);
    let (answer, asked) = stopped_asleep("trailers", "/echo").await;
    assert_eq!((&*answer, asked), ("x-sum=7", 1));
}

/// A node on this disk, whose servers may be known by the tests' own certificate.
async fn trusting(disk: &SimDisk) -> Node {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls/cert.pem");
    Node::open(NodeOptions { http_roots: Some(roots), ..options(disk) }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_tls_is_known_by_its_certificate_and_asked_in_the_version_that_it_chooses() {
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"][..], Version::HTTP_11), (&[][..], Version::HTTP_11)]
    {
        let peer = Peer::start_tls(protocols).await;
        let url = |path: &str| format!("https://localhost:{}{path}", peer.address.port());
        // Who was not told of it does not trust it.
        let (stranger, _disk) = started(local()).await;
        let refused = ask(&stranger, "fetcher", "get", &url("/hello")).await.unwrap();
        assert_eq!(refused, "err: ErrorCode::TlsCertificateError");
        stranger.close().await.unwrap();
        assert!(peer.asked().is_empty());

        let disk = SimDisk::new();
        let node = trusting(&disk).await;
        node.start(fetcher(local())).await.unwrap();
        assert_eq!(ask(&node, "fetcher", "get", &url("/hello")).await.unwrap(), "200 yes hello");
        let trailers = ask(&node, "fetcher", "trailers", &format!("{}|x", url("/echo"))).await.unwrap();
        assert_eq!(trailers, "x-sum=7", "{version:?}");
        let large = ask(&node, "fetcher", "get", &url("/large?200000")).await.unwrap();
        assert_eq!(large.len(), "200 yes ".len() + 200_000);
        // By another name it is somebody else.
        let other = ask(&node, "fetcher", "get", &url("/hello").replace("localhost", "127.0.0.1")).await.unwrap();
        assert_eq!(other, "err: ErrorCode::TlsCertificateError");
        let asked = peer.asked();
        assert!(asked.iter().all(|asked| asked.version == version), "{version:?}");
        assert_eq!(asked[0].headers.contains_key("host"), version == Version::HTTP_11);

        // Cut while it holds the answer, it is asked again; replayed without it.
        let call = Outgoing::new("get", url("/held").as_bytes()).key("once");
        let calling = tokio::spawn({
            let (node, call) = (node.clone(), call.clone());
            async move { node.call(&id("fetcher"), call).await }
        });
        peer.asked_times(4).await;
        let disk = power_cut(node, &disk);
        calling.abort();
        peer.open();
        let node = trusting(&disk).await;
        assert_eq!(node.call(&id("fetcher"), call).await.unwrap(), b"200 yes hello");
        drop(peer);
        replayed(&node).await;
        node.close().await.unwrap();
    }
    let nothing = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let refused = Node::open(NodeOptions { http_roots: Some(nothing), ..options(&SimDisk::new()) }).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("Cargo.toml") && refused.contains("no certificate"), "{refused}");
}
