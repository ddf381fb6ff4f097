//! Requests over HTTP: actors behind the gateway, beside the same component under wasmtime-wasi-http.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use troupe_runtime::manifest::{ComponentRef, Instance, Mode, Serving};
use troupe_runtime::node::Node;
use troupe_server::{Gateway, GatewayOptions};

use crate::measure::{Best, quantile};
use crate::plain_http::PlainHttp;
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, spec};

/// Connections that are kept open, each with one request at a time.
const CONNECTIONS: u32 = 8;
/// Requests of one connection in a round.
const REQUESTS: u32 = 400;

/// Journal off, with an instance a request, buffered, and the engine alone, in turns.
pub fn all(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let setup = setup.clone();
    let [off, each, buffered, plain] = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    let (raw, late) = (plain.rate(), plain.late());
    Ok(vec![
        Row::at_least(
            "http-off",
            "GET of an actor behind the gateway, 8 connections kept open, journal off; \
             raw: the same component and client under wasmtime-wasi-http, an instance a request; at least 0.8 of it",
            "a second",
            off.rate(),
            raw * 0.8,
        )
        .raw(raw),
        Row::at_most("http-off-p99", "99 of 100 of them within", "us", off.late(), late / 0.8).raw(late),
        Row::at_least(
            "http-each",
            "the same with an instance a request, as raw has; at least 0.8 of raw",
            "a second",
            each.rate(),
            raw * 0.8,
        )
        .raw(raw),
        Row::at_least(
            "http-buffered",
            "an actor with a buffered journal on the real disk; at least 0.5 of raw",
            "a second",
            buffered.rate(),
            raw * 0.5,
        )
        .raw(raw),
        Row::at_most("http-buffered-p99", "99 of 100 of them within", "us", buffered.late(), late / 0.5).raw(late),
    ])
}

async fn measure(setup: &Setup) -> anyhow::Result<[Served; 4]> {
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let bytes = setup.guest_bytes("web")?;
    let component = ComponentRef::Digest(node.load(&bytes).await?.digest);
    serve(&node, &component, ("off", Mode::Off), Instance::Actor).await?;
    serve(&node, &component, ("each", Mode::Off), Instance::PerRequest).await?;
    serve(&node, &component, ("buffered", Mode::Buffered), Instance::Actor).await?;
    let gateway = Gateway::start(GatewayOptions::at(([127, 0, 0, 1], 0).into()), node.clone()).await?;
    let plain = PlainHttp::start(&bytes).await?;
    let mut all = [
        Served::connect(gateway.address(), "/off/count").await?,
        Served::connect(gateway.address(), "/each/count").await?,
        Served::connect(gateway.address(), "/buffered/count").await?,
        Served::connect(plain.address, "/plain/count").await?,
    ];
    let ours = if setup.ours_only { 3 } else { 4 };
    // The first round warms up.
    for round in 0..=5 * setup.rounds {
        for served in &mut all[..ours] {
            served.round().await?;
            if round == 0 {
                (served.best, served.times) = Default::default();
            }
        }
    }
    gateway.close().await;
    drop(plain);
    node.close().await?;
    Ok(all)
}

async fn serve(
    node: &Node,
    component: &ComponentRef,
    (name, mode): (&str, Mode),
    instance: Instance,
) -> anyhow::Result<()> {
    let mut spec = spec(name, component.clone(), mode)?;
    let serving = Serving::on(&format!("/{name}")).map_err(anyhow::Error::msg)?;
    spec.http = Some(Serving { instance, ..serving });
    node.start(spec).await?;
    Ok(())
}

type Client = SendRequest<Empty<Bytes>>;

/// Who answers, and what is known of it.
struct Served {
    path: &'static str,
    clients: Vec<Client>,
    best: Best,
    times: Vec<Duration>,
}

impl Served {
    async fn connect(address: SocketAddr, path: &'static str) -> anyhow::Result<Served> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (client, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            clients.push(client);
        }
        Ok(Served { path, clients, best: Best::default(), times: Vec::new() })
    }

    /// All connections, each with its requests one after another.
    async fn round(&mut self) -> anyhow::Result<()> {
        let mut under_way = JoinSet::new();
        let began = Instant::now();
        for client in self.clients.drain(..) {
            under_way.spawn(requests(client, self.path));
        }
        while let Some(done) = under_way.join_next().await {
            let (client, times) = done??;
            self.clients.push(client);
            self.times.extend(times);
        }
        self.best.round(began, CONNECTIONS * REQUESTS);
        Ok(())
    }

    fn rate(&self) -> f64 {
        self.best.per_second()
    }

    fn late(&self) -> f64 {
        quantile(self.times.clone(), 0.99)
    }
}

async fn requests(mut client: Client, path: &str) -> anyhow::Result<(Client, Vec<Duration>)> {
    let mut times = Vec::with_capacity(REQUESTS as usize);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        client.ready().await?;
        let request = Request::get(path).header("host", "bench").body(Empty::new())?;
        let response = client.send_request(request).await?;
        ensure!(response.status() == 200, "{} answers {}", path, response.status());
        std::hint::black_box(response.into_body().collect().await?.to_bytes());
        times.push(began.elapsed());
    }
    Ok((client, times))
}
