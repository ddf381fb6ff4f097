//! HTTP at its edges: what a request lacks, what a server does wrong, what a grant and a budget leave of a wish; and what HTTP itself
//! asks of a server.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::http;
use troupe_runtime::manifest::{ActorSpec, HttpGrant, Mode, OnFault, Serving};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};
use troupe_runtime::service::command::{Command, Finished, RUN};
use troupe_server::{Gateway, GatewayOptions};

use crate::http_peer::Peer;
use crate::sockets::{echoing, network};
use crate::support::{self, ask, count, id, node_on, power_cut, replay, spec, verified};

fn fetcher(grant: HttpGrant) -> ActorSpec {
    let mut fetcher = spec("fetcher", "fetcher");
    fetcher.grants.http = Some(HttpGrant { private: true, ..grant });
    fetcher.limits.deadline = Some(Duration::from_secs(60));
    fetcher.supervision.on_fault = OnFault::Skip;
    fetcher
}

async fn started(spec: ActorSpec) -> (Node, SimDisk) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec).await.unwrap();
    (node, disk)
}

/// What the fetcher says of a URL.
async fn said(node: &Node, how: &str, url: &str) -> String {
    ask(node, "fetcher", how, url).await.unwrap()
}

async fn replayed(node: &Node) {
    verified(node, "fetcher").await;
    replay(node, "fetcher", "fetcher").await.unwrap();
}

/// A server that answers each connection with these bytes, and ends it.
async fn says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = peer.read(&mut head).await;
            let _ = peer.write_all(bytes).await;
            let _ = peer.shutdown().await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_wrong_is_told_by_its_error() {
    let (node, _disk) = started(fetcher(HttpGrant::all())).await;
    let long: &'static [u8] = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000)).into_bytes().leak();
    let cases: [(&[u8], &str); 4] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "err: ErrorCode::HttpResponseIncomplete"),
        (b"nonsense\r\n\r\n", "err: ErrorCode::HttpProtocolError"),
        (long, "err: ErrorCode::HttpResponseHeaderSectionSize(None)"),
        (b"", "err: ErrorCode::HttpResponseIncomplete"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(said(&node, "get", &says(bytes).await).await, expected, "{:?}", &bytes[..bytes.len().min(40)]);
    }
    replayed(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_phase_of_a_request_takes_longer_than_the_grant_whatever_is_asked_for() {
    let peer = Peer::start().await;
    let grant = HttpGrant { timeout: Duration::from_millis(200), ..HttpGrant::all() };
    let (node, _disk) = started(fetcher(grant)).await;
    // It asks for an hour.
    assert_eq!(said(&node, "patient", &peer.url("/held")).await, "err: ErrorCode::HttpResponseTimeout");
    assert_eq!(said(&node, "get", &peer.url("/in-two")).await, "err: ErrorCode::ConnectionReadTimeout");
    replayed(&node).await;
    node.close().await.unwrap();
    // And shorter where less is asked for.
    let grant = HttpGrant { timeout: Duration::from_secs(3600), ..HttpGrant::all() };
    let (node, _disk) = started(fetcher(grant)).await;
    assert_eq!(said(&node, "hurried", &peer.url("/held")).await, "err: ErrorCode::HttpResponseTimeout");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_leaves_out_is_what_the_interface_says() {
    let peer = Peer::start().await;
    let (node, _disk) = started(fetcher(HttpGrant::all())).await;
    let url = peer.url("/hello");
    assert_eq!(said(&node, "bare", &format!("{url}|")).await, "200 yes hello");
    assert_eq!(said(&node, "bare", &format!("{url}|path")).await, "404 yes ", "the root");
    assert_eq!(peer.asked()[1].path, "/");
    let secure = said(&node, "bare", &format!("{url}|scheme")).await;
    assert!(secure.starts_with("err: ErrorCode::Tls") || secure.contains("Connection"), "{secure}");
    assert_eq!(said(&node, "bare", &format!("{url}|other")).await, "err: ErrorCode::HttpProtocolError");
    assert_eq!(said(&node, "bare", &format!("{url}|length")).await, "err: ErrorCode::HttpRequestBodySize(Some(0))");
    assert_eq!(peer.asked().len(), 2, "the others did not come");
    assert_eq!(said(&node, "late-write", &peer.url("/echo")).await, "200 yes in time");
    assert_eq!(said(&node, "post-finished", &format!("{}|", peer.url("/echo"))).await, "200 yes ");
    assert_eq!(peer.asked()[3].headers["content-length"], "0", "a POST without bytes says so");
    assert_eq!(said(&node, "dropped", &peer.url("/echo")).await, "err: ErrorCode::HttpProtocolError");
    assert_eq!(peer.asked().len(), 4, "half a body does not leave");
    replayed(&node).await;
    node.close().await.unwrap();
}

/// The key under which a request may be made again is of this request of this life, and its own if it has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_of_a_request_is_its_own() {
    let peer = Peer::start().await;
    let repeating = || fetcher(HttpGrant { repeat: true, ..HttpGrant::all() });
    let (node, disk) = started(repeating()).await;
    let url = format!("{}|x", peer.url("/echo"));
    for how in ["post-finished", "post-finished", "get", "keyed"] {
        said(&node, how, if how == "keyed" { url.trim_end_matches("|x") } else { &url }).await;
    }
    replayed(&node).await;
    node.stop(&id("fetcher"), "again").await.unwrap();
    node.start_fresh(repeating()).await.unwrap();
    said(&node, "post-finished", &url).await;
    let node = node_on(&power_cut(node, &disk)).await;
    said(&node, "post-finished", &url).await;
    replayed(&node).await;
    let key = |n: usize| peer.asked()[n].headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let keys: Vec<Option<String>> = (0..6).map(key).collect();
    assert_eq!((keys[2].as_deref(), keys[3].as_deref()), (None, Some("mine")), "{keys:?}");
    let made: std::collections::BTreeSet<&String> = [0, 1, 4, 5].iter().filter_map(|n| keys[*n].as_ref()).collect();
    assert_eq!(made.len(), 4, "{keys:?}");
    assert_eq!(peer.asked()[3].headers.get_all("idempotency-key").iter().count(), 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_one_time_and_the_memory_of_fields_have_their_limits() {
    let peer = Peer::start().await;
    let mut one = fetcher(HttpGrant::all());
    one.limits.outstanding_calls = 1;
    let (node, _disk) = started(one).await;
    let two = said(&node, "two", &peer.url("/hello")).await;
    assert_eq!(two, "200 yes hello, err: ErrorCode::ConnectionLimitReached");
    assert_eq!(said(&node, "get", &peer.url("/hello")).await, "200 yes hello", "its place is free again");
    replayed(&node).await;
    node.close().await.unwrap();

    let mut small = fetcher(HttpGrant::all());
    small.journal = Mode::Off;
    small.limits.memory = ByteCount::mib(8);
    let (node, _disk) = started(small).await;
    assert_eq!(said(&node, "kept-clones", "|60").await, "60");
    assert_eq!(said(&node, "kept-clones", "|60").await, "60", "those of the turn before are given back");
    let fault = ask(&node, "fetcher", "kept-clones", "|100").await.unwrap_err().to_string();
    assert!(fault.contains("limits.memory"), "{fault}");
    node.close().await.unwrap();
}

// ---- a server ----

fn web() -> ActorSpec {
    let mut web = spec("web", "web");
    web.http = Some(Serving::on("/").unwrap());
    web
}

async fn served(options: GatewayOptions) -> (Node, Gateway) {
    let (node, _disk) = started(web()).await;
    let gateway = Gateway::start(options, node.clone()).await.unwrap();
    (node, gateway)
}

fn options() -> GatewayOptions {
    GatewayOptions::at(([127, 0, 0, 1], 0).into())
}

/// What a connection is answered on which this is said.
async fn raw(gateway: &Gateway, text: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).to_lowercase()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_http_asks_of_a_server_is_kept() {
    let (node, gateway) = served(options()).await;
    let end = "host: here\r\nconnection: close\r\n\r\n";
    let head = raw(&gateway, &format!("HEAD /large?10 HTTP/1.1\r\n{end}")).await;
    assert!(head.contains("content-length: 10\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for status in [204, 205, 304] {
        let bare = raw(&gateway, &format!("GET /status-and-body?{status} HTTP/1.1\r\n{end}")).await;
        assert!(bare.starts_with(&format!("http/1.1 {status}")) && !bare.contains("a body"), "{bare}");
    }
    let bodiless = raw(&gateway, &format!("GET /bodiless HTTP/1.1\r\n{end}")).await;
    assert!(bodiless.starts_with("http/1.1 202") && bodiless.ends_with("\r\n\r\n"), "{bodiless}");
    let whole = raw(&gateway, &format!("GET /status-and-body?404 HTTP/1.1\r\n{end}")).await;
    assert!(whole.contains("content-length: 6\r\n") && whole.ends_with("\r\n\r\na body"), "{whole}");
    // Where the line names a host the field says nothing; and HTTP/1.0 needs none.
    let named = raw(&gateway, &format!("GET http://there/where HTTP/1.1\r\n{end}")).await;
    assert!(named.ends_with("some(scheme::http) there there"), "{named}");
    let old = raw(&gateway, "GET /where HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("http/1.") && old.contains(" 200 ") && old.contains("some(scheme::http)"), "{old}");
    let none = raw(&gateway, &format!("CONNECT there:80 HTTP/1.1\r\n{end}")).await;
    assert!(none.starts_with("http/1.1 400"), "{none}");
    verified(&node, "web").await;
    replay(&node, "web", "web").await.unwrap();
    gateway.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_more_than_may_be_waits_until_another_ends() {
    let (node, gateway) = served(GatewayOptions { max_connections: 1, ..options() }).await;
    let mut first = TcpStream::connect(gateway.address()).await.unwrap();
    let mut asked = async || {
        first.write_all(b"GET /count HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let mut said = [0; 1024];
        let read = first.read(&mut said).await.unwrap();
        String::from_utf8_lossy(&said[..read]).into_owned()
    };
    assert!(asked().await.ends_with('1'));
    let mut second = TcpStream::connect(gateway.address()).await.unwrap();
    second.write_all(b"GET /count HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    for n in 2..30 {
        let said = asked().await;
        assert!(said.ends_with(&n.to_string()), "the other was served: {said}");
    }
    drop(first);
    let mut said = String::new();
    second.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("30"), "{said}");
    gateway.close().await;
    node.close().await.unwrap();
}

/// Who cannot be served now is told when to come again; so much is said of a request and no more, in HTTP/2 as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_busy_says_when_to_come_again_and_too_many_fields_are_too_many_in_http_2() {
    let (peer, _echoes) = echoing().await;
    let node = Node::open(NodeOptions { live: 1, ..support::options(&SimDisk::new()) }).await.unwrap();
    node.start(web()).await.unwrap();
    node.start(network()).await.unwrap();
    let gateway = Gateway::start(options(), node.clone()).await.unwrap();
    let count = "GET /count HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    assert!(raw(&gateway, count).await.ends_with('1'));
    // Who holds a connection keeps the only place.
    ask(&node, "network", "hold", &peer.to_string()).await.unwrap();
    let busy = raw(&gateway, count).await;
    assert!(busy.starts_with("http/1.1 503") && busy.contains("retry-after: 1\r\n"), "{busy}");
    ask(&node, "network", "let-go", "").await.unwrap();
    assert!(raw(&gateway, count).await.ends_with('2'));

    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for (fields, status) in [(128, 200), (129, 431)] {
        let mut request = Request::get("http://here/count");
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "y");
        }
        let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{fields}");
    }
    gateway.close().await;
    node.close().await.unwrap();
}

/// Who takes nothing of its answer loses its connection, and with it the place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_its_answer_gives_its_place_up() {
    let patience = Duration::from_millis(300);
    let mut large = web();
    large.limits.payload = ByteCount::mib(16);
    let (node, _disk) = started(large).await;
    let options = GatewayOptions { max_connections: 1, patience, ..options() };
    let gateway = Gateway::start(options, node.clone()).await.unwrap();
    let mut deaf = TcpStream::connect(gateway.address()).await.unwrap();
    deaf.write_all(b"GET /large?12000000 HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let count = raw(&gateway, "GET /count HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
    assert!(count.ends_with('2'), "{count}");
    let mut said = Vec::new();
    let _ = deaf.read_to_end(&mut said).await;
    assert!(said.len() < 12_000_000, "the rest is not for it");
    gateway.close().await;
    node.close().await.unwrap();
}

/// A request is a call whose type is a method and a path, or `*`; nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_call_for_a_path_is_no_request() {
    let (node, _disk) = started(web()).await;
    let request = |method: &str, path: &str| http::Request {
        method: method.into(),
        scheme: "http".into(),
        path: path.into(),
        ..http::Request::default()
    };
    let sent = |request: &http::Request| Outgoing::new(request.message_type(), request.encode());
    let options = node.call(&id("web"), sent(&request("OPTIONS", "*"))).await.unwrap();
    assert_eq!(http::Response::decode(&options).unwrap().status, 404);
    let nowhere = node.call(&id("web"), sent(&request("GET", "count"))).await.unwrap_err().to_string();
    assert!(nowhere.contains("exports neither"), "{nowhere}");
    node.cast(&id("web"), sent(&request("GET", "/count"))).await.unwrap();
    let count = node.call(&id("web"), sent(&request("GET", "/count"))).await.unwrap();
    assert_eq!(http::Response::decode(&count).unwrap().body, b"2", "the cast was none");
    assert_eq!(node.actor(&id("web")).await.unwrap().faults, 0);
    replay(&node, "web", "web").await.unwrap();
    node.close().await.unwrap();
}

// ---- a command ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_traps_has_no_code_and_one_that_says_too_much_is_told() {
    let mut command = spec("command", "command");
    command.limits.payload = ByteCount(1000);
    command.supervision.on_fault = OnFault::Skip;
    let (node, disk) = started(command.clone()).await;
    let run = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Outgoing::new(RUN, Command { arguments, input: Vec::new() }.encode())
    };
    let trapped = node.call(&id("command"), run(&["command", "trap"])).await.unwrap_err().to_string();
    assert!(trapped.contains("trap"), "{trapped}");
    assert_eq!(count(&node, "command", Kind::Fault).await, 1);
    replay(&node, "command", "command").await.unwrap();

    for (more, code) in [(0, 0), (1, 1)] {
        // The line before takes its part.
        let room = 1000 - "3 arguments: command much 900\n".len() + more;
        node.start_fresh(command.clone()).await.unwrap();
        // Only a call runs it.
        node.cast(&id("command"), run(&["command"])).await.unwrap();
        let answer = node.call(&id("command"), run(&["command", "much", &room.to_string()])).await.unwrap();
        let finished = Finished::decode(&answer).unwrap();
        assert_eq!((finished.code, finished.errors), (code, b"done\n".to_vec()), "{more}");
        assert_eq!(finished.output.len(), if more == 0 { 1000 } else { 1000 - room + 1 }, "{more}");
    }
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    replay(&node, "command", "command").await.unwrap();
    node.close().await.unwrap();
}
