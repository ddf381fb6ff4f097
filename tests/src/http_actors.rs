//! HTTP actors behind the gateway: an ordinary component of `wasi:http/proxy`, journaled or with an instance a request.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use troupe_log::{ByteCount, SimDisk};
use troupe_runtime::http;
use troupe_runtime::manifest::{ActorSpec, HttpGrant, Instance, Mode, OnFault, Serving};
use troupe_runtime::node::{Node, Outgoing};
use troupe_server::{Gateway, GatewayOptions};

use crate::http_peer::Peer;
use crate::support::{begun, id, node_on, power_cut, replay, spec, verified};

fn web(route: &str) -> ActorSpec {
    let mut web = spec("web", "web");
    web.http = Some(Serving::on(route).unwrap());
    web.supervision.on_fault = OnFault::Skip;
    web
}

fn options() -> GatewayOptions {
    GatewayOptions { patience: Duration::from_secs(5), ..GatewayOptions::at(([127, 0, 0, 1], 0).into()) }
}

async fn served(spec: ActorSpec) -> (Node, SimDisk, Gateway) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec).await.unwrap();
    let gateway = Gateway::start(options(), node.clone()).await.unwrap();
    (node, disk, gateway)
}

async fn send<B>(gateway: &Gateway, request: Request<B>) -> Response<Incoming>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

async fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    let request = Request::get(path).header("host", "here").body(Full::<Bytes>::default()).unwrap();
    text(send(gateway, request).await).await
}

async fn post(gateway: &Gateway, path: &str, body: Vec<u8>) -> (u16, String) {
    let request = Request::post(path).header("host", "here").body(Full::<Bytes>::from(body)).unwrap();
    text(send(gateway, request).await).await
}

async fn text(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn replayed(node: &Node) {
    verified(node, "web").await;
    replay(node, "web", "web").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_component_is_served_and_replayed() {
    let (node, disk, gateway) = served(web("/app")).await;
    assert_eq!(get(&gateway, "/app/count").await, (200, "1".to_owned()));
    assert_eq!(get(&gateway, "/app/count?x").await, (200, "2".to_owned()));
    assert_eq!(get(&gateway, "/app/unknown").await, (404, "nothing here".to_owned()));
    assert_eq!(get(&gateway, "/app/status?201").await.0, 201);
    assert_eq!(get(&gateway, "/other").await, (404, "nothing is served here\n".to_owned()));
    assert_eq!(get(&gateway, "/application").await.0, 404, "a route ends at a slash");
    assert_eq!(get(&gateway, "/app/where").await, (200, "Some(Scheme::Http) here here".to_owned()));
    assert_eq!(get(&gateway, "/app/unused").await, (200, "another".to_owned()));
    let large = get(&gateway, "/app/large?300000").await;
    assert_eq!((large.0, large.1.len()), (200, 300_000));

    let body = Full::<Bytes>::from("some text");
    let request = Request::put("/app/echo").header("host", "here").header("X-Said", "so").body(body).unwrap();
    let response = send(&gateway, request).await;
    assert_eq!(response.headers()["x-method"], "Method::Put");
    assert_eq!(response.headers()["x-said"], "so");
    assert_eq!(response.headers()["content-length"], "9");
    assert_eq!(text(response).await, (200, "some text".to_owned()));

    // In chunks, with trailers.
    let mut sum = hyper::HeaderMap::new();
    sum.insert("x-sum", "7".parse().unwrap());
    let frames = vec![
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"ab"))),
        Ok(Frame::data(Bytes::from_static(b"cd"))),
        Ok(Frame::trailers(sum)),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::post("/app/echo").header("host", "here").header("trailer", "x-sum").header("te", "trailers");
    let response = send(&gateway, request.body(body).unwrap()).await.into_body().collect().await.unwrap();
    assert_eq!(response.trailers().unwrap()["x-sum"], "7");
    assert_eq!(response.to_bytes(), "abcd");
    assert_eq!(post(&gateway, "/app/pass", b"as it is".to_vec()).await, (200, "as it is".to_owned()));

    // What the handler does wrong is a 500, and the actor goes on.
    for wrong in ["nothing", "error", "half", "trap"] {
        assert_eq!(get(&gateway, &format!("/app/{wrong}")).await.0, 500, "{wrong}");
    }
    let count = get(&gateway, "/app/count").await;
    assert_eq!(count.0, 200);
    let count: u32 = count.1.parse().unwrap();
    assert!(count >= 9, "{count}");
    replayed(&node).await;
    gateway.close().await;

    let node = node_on(&power_cut(node, &disk)).await;
    let gateway = Gateway::start(options(), node.clone()).await.unwrap();
    assert_eq!(get(&gateway, "/app/count").await, (200, (count + 1).to_string()));
    assert_eq!(post(&gateway, "/app/echo", b"again".to_vec()).await, (200, "again".to_owned()));
    replayed(&node).await;
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_power_cut_and_the_route_too() {
    let (node, disk, gateway) = served(web("/")).await;
    for count in 1..=3 {
        assert_eq!(get(&gateway, "/count").await, (200, count.to_string()));
    }
    gateway.close().await;
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    let gateway = Gateway::start(options(), node.clone()).await.unwrap();
    assert_eq!(get(&gateway, "/count").await, (200, "4".to_owned()));
    replayed(&node).await;
    gateway.close().await;
    node.close().await.unwrap();
}

/// Stops the node after each possible number of the disk's operations inside of one request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_node_stops_a_request_is_done_once() {
    let request = http::Request {
        method: "POST".into(),
        scheme: "http".into(),
        path: "/echo".into(),
        body: b"text".to_vec(),
        ..Default::default()
    };
    for operations in 0.. {
        assert!(operations < 200, "the call never ends");
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(web("/")).await.unwrap();
        let call = Outgoing::new(request.message_type(), request.encode()).key("once");
        disk.cut_after(operations);
        let whole = node.call(&id("web"), call.clone()).await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        let answer = http::Response::decode(&node.call(&id("web"), call).await.unwrap()).unwrap();
        assert_eq!((answer.status, &*answer.body), (200, &b"text"[..]), "after {operations}");
        let count = http::Request { method: "GET".into(), path: "/count".into(), ..request.clone() };
        let count = node.call(&id("web"), Outgoing::new(count.message_type(), count.encode())).await.unwrap();
        assert_eq!(http::Response::decode(&count).unwrap().body, b"2", "after {operations}");
        replayed(&node).await;
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_a_request_keeps_nothing() {
    let mut spec = web("/");
    spec.journal = Mode::Off;
    spec.http = Some(Serving { instance: Instance::PerRequest, ..Serving::on("/").unwrap() });
    let (node, _disk, gateway) = served(spec).await;
    for _ in 0..3 {
        assert_eq!(get(&gateway, "/count").await, (200, "1".to_owned()));
    }
    assert_eq!(get(&gateway, "/trap").await.0, 500);
    assert_eq!(post(&gateway, "/echo", b"text".to_vec()).await, (200, "text".to_owned()));
    gateway.close().await;
    node.close().await.unwrap();
}

fn per_request(parallel: u32) -> ActorSpec {
    let mut spec = web("/");
    spec.journal = Mode::Off;
    spec.grants.http = Some(HttpGrant { private: true, ..HttpGrant::all() });
    let parallel = parallel.try_into().unwrap();
    spec.http = Some(Serving { instance: Instance::PerRequest, parallel, ..Serving::on("/").unwrap() });
    spec
}

async fn waiting(node: &Node, count: usize) {
    while node.actor(&id("web")).await.unwrap().mailbox != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_requests_that_are_in_work_end_and_one_that_is_now_cuts_them() {
    let peer = Peer::start().await;
    // One place more than requests, and one less.
    for (parallel, work) in [(4, 3), (2, 2)] {
        let (node, _disk, gateway) = served(per_request(parallel)).await;
        let asked = peer.asked().len();
        let (gateway, asking) = three(gateway, &peer);
        peer.asked_times(asked + work).await;
        waiting(&node, 3 - work).await;
        node.stop_now(&id("web"), "enough").await.unwrap();
        for asked in asking {
            let status = asked.await.unwrap().0;
            assert!((500..600).contains(&status) || status == 404, "{status}");
        }
        assert_eq!(get(&gateway, "/count").await.0, 404);
        node.start_fresh(per_request(2)).await.unwrap();
        assert_eq!(get(&gateway, "/count").await, (200, "1".to_owned()));
        node.close().await.unwrap();
    }
    for (parallel, work) in [(4, 3), (2, 2)] {
        let peer = Peer::start().await;
        let (node, _disk, gateway) = served(per_request(parallel)).await;
        let (_gateway, asking) = three(gateway, &peer);
        peer.asked_times(work).await;
        waiting(&node, 3 - work).await;
        let web = id("web");
        let stopping = begun(node.stop(&web, "enough")).await;
        peer.open();
        stopping.await.unwrap();
        let mut statuses = Vec::new();
        for asked in asking {
            statuses.push(asked.await.unwrap().0);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), work, "{statuses:?}");
        node.close().await.unwrap();
    }
}

type Asking = Vec<tokio::task::JoinHandle<(u16, String)>>;

/// Three requests that wait for the peer.
fn three(gateway: Gateway, peer: &Peer) -> (Arc<Gateway>, Asking) {
    let gateway = Arc::new(gateway);
    let asking = (0..3).map(|_| {
        let (gateway, path) = (gateway.clone(), format!("/meet?{}", peer.address));
        tokio::spawn(async move { get(&gateway, &path).await })
    });
    let asking = asking.collect();
    (gateway, asking)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_an_instance_each_do_not_wait_for_each_other() {
    let peer = Peer::start().await;
    // Two are in work at one time, the third waits for its place.
    let (node, _disk, gateway) = served(per_request(2)).await;
    let (gateway, asking) = three(gateway, &peer);
    peer.asked_times(2).await;
    waiting(&node, 1).await;
    assert_eq!(peer.asked().len(), 2);
    peer.open();
    for asked in asking {
        assert_eq!(asked.await.unwrap(), (200, "1 hello".to_owned()));
    }
    // One that faults leaves the others and the actor alone.
    assert_eq!(get(&gateway, "/trap").await.0, 500);
    assert_eq!(get(&gateway, "/count").await, (200, "1".to_owned()));
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_spoken_to_those_who_know() {
    let (node, _disk, gateway) = served(web("/")).await;
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for count in 1..=2 {
        let request = Request::get("http://here/count").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(text(sender.send_request(request).await.unwrap()).await, (200, count.to_string()));
    }
    gateway.close().await;
    node.close().await.unwrap();
}

/// A certificate for `localhost`, good for a hundred years, and its key, which is nobody's secret.
fn certificate() -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
    (folder.join("cert.pem"), folder.join("key.pem"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_it_speaks_what_the_client_chooses() {
    let node = node_on(&SimDisk::new()).await;
    node.start(web("/")).await.unwrap();
    let secure = GatewayOptions { tls: Some(certificate()), ..options() };
    let gateway = Gateway::start(secure, node.clone()).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate().0).unwrap()).unwrap();
    for protocol in ["h2", "http/1.1"] {
        let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(gateway.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let (io, body) = (TokioIo::new(stream), Full::<Bytes>::default());
        let (status, count) = match protocol {
            "h2" => {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(connection);
                let request = Request::get("https://localhost/count").body(body).unwrap();
                text(sender.send_request(request).await.unwrap()).await
            }
            _ => {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                let request = Request::get("/count").header("host", "localhost").body(body).unwrap();
                text(sender.send_request(request).await.unwrap()).await
            }
        };
        assert_eq!((status, &*count), (200, if protocol == "h2" { "1" } else { "2" }));
    }
    gateway.close().await;
    let swapped = (certificate().1, certificate().0);
    let refused = Gateway::start(GatewayOptions { tls: Some(swapped), ..options() }, node.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("key.pem"), "{refused}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_sends_is_bounded() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut spec = web("/");
    spec.limits.payload = ByteCount(10_000);
    spec.limits.max_turn_journal = ByteCount(1 << 20);
    node.start(spec).await.unwrap();
    let patience = Duration::from_millis(200);
    let gateway =
        Gateway::start(GatewayOptions { patience, max_head: 8 << 10, ..options() }, node.clone()).await.unwrap();
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 9_000]).await.0, 200);
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 9_990]).await.0, 413, "with its head it is larger than the payload");
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 10_001]).await.0, 413);
    assert_eq!(get(&gateway, "/large?20000").await.0, 500, "a response is bounded as well");

    let raw = async |text: &str| {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    };
    let long = raw(&format!("GET / HTTP/1.1\r\nhost: here\r\nx: {}\r\n\r\n", "y".repeat(10_000))).await;
    assert!(long.starts_with("HTTP/1.1 431"), "{long}");
    let many = raw(&format!("GET / HTTP/1.1\r\nhost: here\r\n{}\r\n", "x: y\r\n".repeat(200))).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    assert_eq!(raw("").await, "", "who says nothing is not waited for");
    assert_eq!(raw("P").await, "", "nor who may yet speak HTTP/2");
    assert_eq!(raw("PRI * HTTP/2.0\r\n\r\nSM").await, "");
    for hosts in ["", "host: here\r\nhost: there\r\n"] {
        let bad = raw(&format!("GET /count HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n")).await;
        assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    }
    let slow_head = raw("GET / HTTP/1.1\r\nhost:").await;
    assert!(slow_head.is_empty() || slow_head.starts_with("HTTP/1.1 408"), "{slow_head}");
    let slow_body = raw("POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\nab").await;
    assert!(slow_body.starts_with("HTTP/1.1 408"), "{slow_body}");
    let broken = raw("nonsense\r\n\r\n").await;
    assert!(broken.starts_with("HTTP/1.1 400"), "{broken}");
    replayed(&node).await;
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_ends_with_the_life_that_had_it() {
    let (node, _disk, gateway) = served(web("/app")).await;
    assert_eq!(get(&gateway, "/app/count").await.0, 200);
    node.stop(&id("web"), "gone").await.unwrap();
    assert_eq!(get(&gateway, "/app/count").await.0, 404);
    assert!(node.route("/app/count").is_none());
    node.start_fresh(web("/app")).await.unwrap();
    assert_eq!(get(&gateway, "/app/count").await, (200, "1".to_owned()));
    let mut bare = web("/app");
    bare.http = None;
    node.start_fresh(bare).await.unwrap();
    assert!(node.route("/app/count").is_none(), "the new life has no route");
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_answer_now_is_a_503_and_who_is_late_a_504() {
    let (node, _disk, gateway) = served(web("/")).await;
    node.stop(&id("web"), "gone").await.unwrap();
    assert!(matches!(get(&gateway, "/count").await.0, 404 | 503));
    gateway.close().await;
    let late = GatewayOptions { timeout: Duration::ZERO, ..options() };
    node.start_fresh(web("/")).await.unwrap();
    let gateway = Gateway::start(late, node.clone()).await.unwrap();
    assert_eq!(get(&gateway, "/count").await.0, 504);
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_no_request_is_refused() {
    let (node, _disk, gateway) = served(web("/")).await;
    let broken = node.call(&id("web"), Outgoing::new("GET /count", &b"nonsense"[..])).await.unwrap_err();
    assert!(broken.to_string().contains("no request"), "{broken}");
    let other = node.call(&id("web"), Outgoing::new("count", &b""[..])).await.unwrap_err();
    assert!(other.to_string().contains("exports neither"), "{other}");
    replayed(&node).await;
    gateway.close().await;
    node.close().await.unwrap();
}

type H2 = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// A client of HTTP/2 whose streams take so much unasked, and the end of its connection.
async fn h2(gateway: &Gateway, window: u32) -> (H2, tokio::task::JoinHandle<()>) {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(async move { drop(connection.await) });
    (sender, ended)
}

fn request(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://here{path}")).body(Full::default()).unwrap()
}

async fn impatient(spec: ActorSpec) -> (Node, Gateway) {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec).await.unwrap();
    let patience = Duration::from_millis(200);
    let gateway = Gateway::start(GatewayOptions { patience, ..options() }, node.clone()).await.unwrap();
    (node, gateway)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_http_2_that_asks_nothing_ends() {
    let (node, gateway) = impatient(web("/")).await;
    // It answers pings all the time.
    let (mut sender, ended) = h2(&gateway, 1 << 16).await;
    assert_eq!(text(sender.send_request(request("/count")).await.unwrap()).await.0, 200);
    ended.await.unwrap();
    assert!(sender.send_request(request("/count")).await.is_err());
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http_2_that_takes_nothing_loses_its_connection() {
    let (node, gateway) = impatient(web("/")).await;
    for size in [5_000, 300_000] {
        let (mut sender, ended) = h2(&gateway, 10).await;
        let response = sender.send_request(request(&format!("/large?{size}"))).await.unwrap();
        let body = response.into_body();
        ended.await.unwrap();
        assert!(body.collect().await.is_err(), "{size}");
    }
    // Who waits for its actor is no such client.
    let peer = Peer::start().await;
    let mut patient = web("/patient");
    patient.id = id("patient");
    patient.grants.http = Some(HttpGrant { private: true, ..HttpGrant::all() });
    node.start(patient).await.unwrap();
    let (mut sender, _ended) = h2(&gateway, 1 << 16).await;
    let asked = tokio::spawn(async move {
        let path = format!("/patient/meet?{}", peer.address);
        let answered = sender.send_request(request(&path));
        let opened = async {
            peer.asked_times(1).await;
            // Longer than the gateway's patience with clients.
            tokio::time::sleep(Duration::from_millis(600)).await;
            peer.open();
        };
        let (answered, ()) = futures_util::future::join(answered, opened).await;
        text(answered.unwrap()).await
    });
    assert_eq!(asked.await.unwrap(), (200, "1 hello".to_owned()));
    gateway.close().await;
    node.close().await.unwrap();
}

/// The head of an answer to what was written, while the connection stays open.
async fn head_of(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(said).unwrap()
}

async fn announced(gateway: &Gateway, length: u64, expects: bool) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let expect = if expects { "expect: 100-continue\r\n" } else { "" };
    let head = format!("POST /echo HTTP/1.1\r\nhost: here\r\n{expect}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_comes() {
    let (node, _disk, gateway) = served(web("/")).await;
    let mut stream = announced(&gateway, 1 << 40, false).await;
    let told = head_of(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bodies_that_come_at_one_time_are_bounded_together() {
    let node = node_on(&SimDisk::new()).await;
    node.start(web("/")).await.unwrap();
    let gateway = Gateway::start(GatewayOptions { max_bodies: 1000, ..options() }, node.clone()).await.unwrap();
    let mut first = announced(&gateway, 800, true).await;
    assert!(head_of(&mut first).await.starts_with("HTTP/1.1 100"), "its body is asked for");
    let told = head_of(&mut announced(&gateway, 201, false).await).await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("retry-after"), "{told}");
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 200]).await.0, 200);
    // In chunks it is the same.
    let frames = (0..3).map(|_| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(vec![b'y'; 100]))));
    let chunks = StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()));
    let request = Request::post("/echo").header("host", "here").body(chunks).unwrap();
    assert_eq!(send(&gateway, request).await.status(), 503);
    first.write_all(&[b'z'; 800]).await.unwrap();
    assert!(head_of(&mut first).await.starts_with("HTTP/1.1 200"));
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 1000]).await.0, 200);
    assert_eq!(post(&gateway, "/echo", vec![b'x'; 1001]).await.0, 503);
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_gives_up_requests_that_wait_longer_than_its_grace() {
    let peer = Peer::start().await;
    let node = node_on(&SimDisk::new()).await;
    let mut spec = web("/");
    spec.grants.http = Some(HttpGrant { private: true, ..HttpGrant::all() });
    node.start(spec).await.unwrap();
    let grace = Duration::from_millis(100);
    let gateway = Gateway::start(GatewayOptions { grace, ..options() }, node.clone()).await.unwrap();
    let (mut sender, _ended) = h2(&gateway, 1 << 16).await;
    let path = format!("/meet?{}", peer.address);
    let asked = tokio::spawn(async move { sender.send_request(request(&path)).await });
    peer.asked_times(1).await;
    gateway.close().await;
    // Far before the time that an actor has to answer.
    let told = asked.await.unwrap();
    assert!(told.as_ref().is_err() || told.as_ref().is_ok_and(|told| told.status() == 503), "{told:?}");
    peer.open();
    node.close().await.unwrap();
}
