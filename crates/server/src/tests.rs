//! The API over its socket, with a node that has no actors: who gets in, and what bad requests get.

use std::net::SocketAddr;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use troupe_runtime::env::SystemEntropy;
use troupe_runtime::node::{Node, NodeOptions};

use crate::client::{Client, ClientError};
use crate::endpoint::{self, Endpoint};
use crate::wire::{Failure, NodeInfo, StartRequest};
use crate::{Error, Place, Server};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

async fn node() -> Node {
    Node::open(NodeOptions { live: 1, ..NodeOptions::in_memory() }).await.unwrap()
}

async fn server() -> (TempDir, Server, Client) {
    let data = tempfile::tempdir().unwrap();
    let place = Place::take(ANY).await.unwrap();
    let server = Server::start(place, node().await, Some(data.path()), &SystemEntropy).unwrap();
    let client = Client::find(data.path()).unwrap();
    (data, server, client)
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Failure {
    match result {
        Err(ClientError::Refused(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

/// Sends bytes as they are, returns what comes until the end.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_finds_the_node_by_its_folder_and_not_after_its_end() {
    let (data, server, client) = server().await;
    let info: NodeInfo = client.get("/v1/node").await.unwrap();
    assert_eq!((info.pid, info.actors), (std::process::id(), 0));
    assert_eq!(server.address(), client.endpoint().address);
    let sign = server.close().await;
    assert!(endpoint::path(data.path()).exists(), "until everything is closed");
    let late = client.get::<NodeInfo>("/v1/node").await;
    assert!(matches!(late, Err(ClientError::NotRunning { .. })), "{late:?}");
    drop(sign);
    assert!(!endpoint::path(data.path()).exists());
    assert!(matches!(Client::find(data.path()), Err(ClientError::NotRunning { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_nothing_is_answered() {
    let (data, server, client) = server().await;
    let there = client.endpoint().clone();
    for token in ["", "x", &there.token[1..], &there.token.to_uppercase()] {
        let other = Endpoint { token: token.to_owned(), ..there.clone() };
        other.write(data.path()).unwrap();
        let failure = refused(Client::find(data.path()).unwrap().get::<NodeInfo>("/v1/node").await);
        assert_eq!(failure.code, "unauthorized");
        assert!(!failure.message.contains(&there.token));
    }
    let bare = raw(server.address(), b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(bare.starts_with("HTTP/1.1 401"), "not even whether a route is there: {bare}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_get_a_code_and_words() {
    let (_data, _server, client) = server().await;
    let json = |path: &'static str, body: Value| {
        let client = client.clone();
        async move { refused(client.post::<Value>(path, &body).await) }
    };
    let no_route = refused(client.get::<Value>("/v2/node").await);
    assert_eq!(no_route.code, "no-route");
    let method = refused(client.send(Method::DELETE, "/v1/node", &[], Bytes::new()).await);
    assert_eq!(method.code, "no-route");
    let unknown_key = json("/v1/actors", json!({ "manifest": "", "fresch": true })).await;
    assert!(unknown_key.message.contains("fresch"), "{unknown_key:?}");
    let text = "[actor]\nnaem = \"a\"".to_owned();
    let manifest =
        refused(client.post::<Value>("/v1/actors", &StartRequest { manifest: text, ..StartRequest::default() }).await);
    assert_eq!(manifest.code, "manifest");
    assert!(manifest.message.contains("the manifest:2:1: unknown key `naem`"), "{manifest:?}");
    let relative = "[actor]\nname = \"a\"\ncomponent = \"a.wasm\"".to_owned();
    let manifest = refused(
        client.post::<Value>("/v1/actors", &StartRequest { manifest: relative, ..StartRequest::default() }).await,
    );
    assert!(manifest.message.contains("absolute path"), "{manifest:?}");
    let nobody = json("/v1/actors/nobody/call", json!({ "type": "add", "text": "1" })).await;
    assert_eq!(nobody.code, "not-found");
    assert!(nobody.message.contains("default/nobody"), "{nobody:?}");
    let nobody = refused(client.send(Method::DELETE, "/v1/actors/ns%2Fnobody", &[], Bytes::new()).await);
    assert!(nobody.code == "not-found" && nobody.message.contains("ns/nobody"), "{nobody:?}");
    for id in ["UPPER", "%40client", "a%2Fb%2Fc", "%FF"] {
        let path = format!("/v1/actors/{id}/call");
        let bad = refused(client.post::<Value>(&path, &json!({ "type": "t" })).await);
        assert_eq!(bad.code, "invalid-argument", "{id}");
    }
    for body in [
        json!({ "type": "t", "text": "a", "base64": "YQ==" }),
        json!({ "type": "t", "base64": "*" }),
        json!({ "type": "t", "deadline": "5" }),
        json!({ "type": "t", "deadline": "0s" }),
        json!({ "text": "no type" }),
        json!(null),
    ] {
        let bad = refused(client.post::<Value>("/v1/actors/a/call", &body).await);
        assert_eq!(bad.code, "invalid-argument", "{body}");
    }
    let component = refused(client.send(Method::POST, "/v1/components", &[], Bytes::from_static(b"no")).await);
    assert_eq!(component.code, "not-a-component");
    let half = refused(client.send(Method::POST, "/v1/components?name=a", &[], Bytes::from_static(b"no")).await);
    assert_eq!(half.code, "invalid-argument");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_before_it_is_held() {
    let (_data, server, client) = server().await;
    let body = Bytes::from(vec![b' '; (4 << 20) + 1]);
    let failure = refused(client.send(Method::POST, "/v1/actors", &[], body).await);
    assert_eq!(failure.code, "too-large");
    // A length that is only claimed is refused without waiting for the bytes.
    let token = &client.endpoint().token;
    let claim = format!(
        "POST /v1/components HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        u64::MAX / 2
    );
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(claim.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_the_socket_does_not_end_the_server() {
    let (_data, server, client) = server().await;
    for noise in
        [&b"\0\xff\x16\x03\x01"[..], b"GET", b"POST /v1/actors HTTP/1.1\r\ncontent-length: 9\r\n\r\n{", b"\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(noise).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    client.get::<NodeInfo>("/v1/node").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_free_port_on_loopback_will_do() {
    let taken = TcpListener::bind(ANY).await.unwrap();
    let address = taken.local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let e = Place::take(address).await.unwrap_err();
    assert!(matches!(e, Error::InUse { .. }) && e.to_string().contains("--listen"), "{e}");
    let e = Place::take(SocketAddr::from(([0, 0, 0, 0], 0))).await.unwrap_err();
    assert!(matches!(e, Error::NotLoopback { .. }), "{e}");
    let nowhere = data.path().join("none");
    let place = Place::take(ANY).await.unwrap();
    let e = Server::start(place, node().await, Some(&nowhere), &SystemEntropy).unwrap_err();
    assert!(matches!(e, Error::Endpoint { .. }), "{e}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_can_be_asked_to_stop() {
    let (_data, server, client) = server().await;
    client.send(Method::POST, "/v1/node/stop", &[], Bytes::new()).await.unwrap();
    server.asked_to_stop().await;
    server.close().await;
}
