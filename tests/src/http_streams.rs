//! Bodies that come and go while a turn goes on, and what a crash does to them.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::http;
use troupe_runtime::manifest::{ActorSpec, Bodies, HttpGrant, Instance, Mode, OnFault, Serving};
use troupe_runtime::node::{Node, Outgoing};
use troupe_server::{Gateway, GatewayOptions};

use crate::http_peer::Peer;
use crate::support::{count, id, node_on, power_cut, replay, spec, verified};

fn web(mode: Mode, bodies: Bodies) -> ActorSpec {
    let mut web = spec("web", "web");
    web.journal = mode;
    web.http = Some(Serving { bodies, ..Serving::on("/").unwrap() });
    web.supervision.on_fault = OnFault::Skip;
    web.grants.http = Some(HttpGrant { private: true, ..HttpGrant::all() });
    web.limits.deadline = Some(Duration::from_secs(60));
    web.limits.max_turn_journal = ByteCount(16 << 20);
    web
}

async fn opened(node: &Node) -> Gateway {
    let options = GatewayOptions { patience: Duration::from_secs(5), ..GatewayOptions::at(([127, 0, 0, 1], 0).into()) };
    Gateway::start(options, node.clone()).await.unwrap()
}

async fn served(spec: ActorSpec) -> (Node, SimDisk, Gateway) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec).await.unwrap();
    let gateway = opened(&node).await;
    (node, disk, gateway)
}

async fn connected<B>(gateway: &Gateway) -> http1::SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn get(gateway: &Gateway, path: &str) -> Response<Incoming> {
    let request = Request::get(path).header("host", "here").header("te", "trailers");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    connected(gateway).await.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The next bytes of a body.
async fn part(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    Some(body.frame().await?.map(|frame| frame.into_data().unwrap_or_default()))
}

/// A request whose body comes when the test says.
fn coming(path: &str) -> (mpsc::Sender<Bytes>, Request<Coming>) {
    let (send, parts) = mpsc::channel::<Bytes>(1);
    let parts = futures_util::stream::unfold(parts, |mut parts| async {
        let bytes = parts.recv().await?;
        Some((Ok(Frame::data(bytes)), parts))
    });
    let request = Request::post(path).header("host", "here");
    (send, request.body(StreamBody::new(parts.boxed())).unwrap())
}

type Coming = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The same, sent.
async fn sending(gateway: &Gateway, path: &str) -> (mpsc::Sender<Bytes>, tokio::task::JoinHandle<(u16, String)>) {
    let (send, request) = coming(path);
    let mut sender = connected(gateway).await;
    let answered = tokio::spawn(async move { text(sender.send_request(request).await.unwrap()).await });
    (send, answered)
}

async fn replayed(node: &Node) {
    verified(node, "web").await;
    replay(node, "web", "web").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_leaves_while_its_handler_goes_on() {
    for mode in [Mode::Durable, Mode::Buffered, Mode::Off] {
        let peer = Peer::start().await;
        let (node, _disk, gateway) = served(web(mode, Bodies::Whole)).await;
        let response = get(&gateway, &format!("/stream?{}", peer.address)).await;
        assert_eq!(response.status(), 200, "{mode}");
        assert!(response.headers().get("content-length").is_none(), "nobody knows how long it gets");
        let mut body = response.into_body();
        assert_eq!(part(&mut body).await.unwrap().unwrap(), "first ", "{mode}");
        peer.asked_times(1).await;
        peer.open();
        let rest = body.collect().await.unwrap();
        assert_eq!(rest.trailers().unwrap()["x-parts"], "2", "{mode}");
        assert_eq!(rest.to_bytes(), "hello", "{mode}");
        // One that ends before it waits for anything goes whole.
        let whole = get(&gateway, "/count").await;
        assert_eq!(whole.headers()["content-length"], "1", "{mode}");
        assert_eq!(text(whole).await, (200, "2".to_owned()), "{mode}");
        if mode != Mode::Off {
            replayed(&node).await;
        }
        gateway.close().await;
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_whose_turn_faults_does_not_end_as_if_it_were_whole() {
    for mode in [Mode::Buffered, Mode::Off] {
        let peer = Peer::start().await;
        let (node, _disk, gateway) = served(web(mode, Bodies::Whole)).await;
        let mut body = get(&gateway, &format!("/stream-broken?{}", peer.address)).await.into_body();
        assert_eq!(part(&mut body).await.unwrap().unwrap(), "first ", "{mode}");
        peer.open();
        assert!(part(&mut body).await.unwrap().is_err(), "{mode}");
        assert_eq!(text(get(&gateway, "/nowhere").await).await.0, 404, "{mode}");
        if mode != Mode::Off {
            replayed(&node).await;
        }
        gateway.close().await;
        node.close().await.unwrap();
    }
}

/// What a client was given is in the journal, and the turn goes on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_a_power_cut_ends_goes_on_for_nobody() {
    let peer = Peer::start().await;
    let (node, disk, gateway) = served(web(Mode::Durable, Bodies::Whole)).await;
    let mut body = get(&gateway, &format!("/stream?{}", peer.address)).await.into_body();
    assert_eq!(part(&mut body).await.unwrap().unwrap(), "first ");
    let disk = power_cut(node, &disk);
    peer.open();
    let node = node_on(&disk).await;
    let again = opened(&node).await;
    assert_eq!(text(get(&again, "/count").await).await, (200, "2".to_owned()));
    assert!(count(&node, "web", Kind::Resume).await >= 1);
    assert_eq!(count(&node, "web", Kind::TurnEnd).await, 3, "instantiation and two requests");
    replayed(&node).await;
    again.close().await;
    node.close().await.unwrap();
    drop(gateway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_response_is_longer_than_a_message() {
    for mode in [Mode::Buffered, Mode::Off] {
        let mut spec = web(mode, Bodies::Streamed);
        spec.limits.payload = ByteCount(10_000);
        let (node, _disk, gateway) = served(spec).await;
        for pieces in [1, 2, 3, 100, 500] {
            let response = get(&gateway, &format!("/flood?{pieces}")).await;
            assert_eq!(text(response).await.1.len(), pieces * 4096, "{mode}");
        }
        // A client that goes away ends what is written for it.
        let mut body = get(&gateway, "/flood?1000000").await.into_body();
        part(&mut body).await.unwrap().unwrap();
        drop(body);
        assert_eq!(text(get(&gateway, "/count").await).await, (200, "7".to_owned()), "{mode}");
        if mode != Mode::Off {
            replayed(&node).await;
        }
        gateway.close().await;
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_request_is_read_as_it_comes() {
    for mode in [Mode::Buffered, Mode::Off] {
        let peer = Peer::start().await;
        let mut spec = web(mode, Bodies::Streamed);
        spec.limits.payload = ByteCount(10_000);
        let (node, _disk, gateway) = served(spec).await;
        let (send, answered) = sending(&gateway, &format!("/upload?{}", peer.address)).await;
        send.send(Bytes::from_static(b"ab")).await.unwrap();
        // It has begun before its body is there.
        peer.asked_times(1).await;
        peer.open();
        for _ in 0..10 {
            send.send(vec![b'x'; 30_000].into()).await.unwrap();
        }
        drop(send);
        assert_eq!(answered.await.unwrap(), (200, "300002".to_owned()), "{mode}");
        // What comes goes, before more comes, and both are longer than a message.
        let (send, request) = coming("/pass");
        send.send(Bytes::from_static(b"begin")).await.unwrap();
        let response = connected(&gateway).await.send_request(request).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(part(&mut body).await.unwrap().unwrap(), "begin", "{mode}");
        for _ in 0..10 {
            send.send(vec![b'y'; 5_000].into()).await.unwrap();
            let mut left = 5_000;
            while left > 0 {
                left -= part(&mut body).await.unwrap().unwrap().len();
            }
        }
        drop(send);
        assert!(part(&mut body).await.is_none(), "{mode}");
        if mode != Mode::Off {
            replayed(&node).await;
        }
        gateway.close().await;
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_request_that_a_power_cut_ends_is_dead() {
    let peer = Peer::start().await;
    let (node, disk, gateway) = served(web(Mode::Durable, Bodies::Streamed)).await;
    let (send, _answered) = sending(&gateway, &format!("/upload?{}", peer.address)).await;
    send.send(Bytes::from_static(b"ab")).await.unwrap();
    peer.asked_times(1).await;
    let disk = power_cut(node, &disk);
    peer.open();
    let node = node_on(&disk).await;
    let again = opened(&node).await;
    assert_eq!(text(get(&again, "/count").await).await, (200, "2".to_owned()));
    assert!(count(&node, "web", Kind::Resume).await >= 1);
    assert_eq!(count(&node, "web", Kind::Fault).await, 0, "its handler was told by its stream");
    let journal = node.journal(&id("web")).await.unwrap().read_all().unwrap();
    let answer = b"did not survive the restart";
    assert!(journal.windows(answer.len()).any(|bytes| bytes == answer), "its answer says so");
    replayed(&node).await;
    again.close().await;
    node.close().await.unwrap();
    drop(gateway);
}

/// A request of another actor that says its body comes beside it brings none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_request_without_a_client_has_a_dead_body_and_a_bounded_answer() {
    let mut spec = web(Mode::Buffered, Bodies::Streamed);
    spec.limits.payload = ByteCount(10_000);
    let (node, _disk, gateway) = served(spec).await;
    let ask = async |path: &str| {
        let (method, path) = ("POST".to_owned(), path.to_owned());
        let request = http::Request { method, path, streamed: true, ..Default::default() };
        let answer = node.call(&id("web"), Outgoing::new(request.message_type(), request.encode())).await;
        http::Response::decode(&answer.unwrap()).unwrap()
    };
    let upload = ask("/upload").await;
    let said = String::from_utf8(upload.body).unwrap();
    assert!(said.starts_with("0 ") && said.contains("did not survive"), "{said}");
    assert_eq!(ask("/flood?2").await.body.len(), 8192);
    let flood = ask("/flood?1000").await;
    assert!(flood.body.is_empty() && flood.streamed.unwrap() < 20_000, "{:?}", flood.streamed);
    replayed(&node).await;
    gateway.close().await;
    node.close().await.unwrap();
}

/// Neither does a client that takes nothing let more pile up than its window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_stops_its_handler() {
    let mut spec = web(Mode::Off, Bodies::Streamed);
    spec.http = Some(Serving { instance: Instance::PerRequest, bodies: Bodies::Streamed, ..Serving::on("/").unwrap() });
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec).await.unwrap();
    let patience = Duration::from_millis(200);
    let options = GatewayOptions { patience, ..GatewayOptions::at(([127, 0, 0, 1], 0).into()) };
    let gateway = Gateway::start(options, node.clone()).await.unwrap();
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head = b"GET /flood?1000000 HTTP/1.1\r\nhost: here\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
    // Four gigabytes would take their time; the handler hears that nobody takes them.
    while node.actor(&id("web")).await.unwrap().turns == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    gateway.close().await;
    node.close().await.unwrap();
}
