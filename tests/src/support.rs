//! What the tests share: guests, nodes, short ways to say things.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use troupe_log::verify::verify;
use troupe_log::{ActorId, Chain, Kind, Options, SimDisk, Table};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, ComponentRef};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode, Summary};

/// The folder of the built guests.
pub fn guests() -> PathBuf {
    let folder = std::env::var_os("TROUPE_GUESTS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests")), PathBuf::from);
    assert!(folder.is_dir(), "no guests in {}: run `cargo xtask guests`", folder.display());
    folder
}

/// The file of one guest.
pub fn guest(name: &str) -> PathBuf {
    let file = guests().join(format!("{name}.wasm"));
    assert!(file.is_file(), "no guest {}: run `cargo xtask guests`", file.display());
    file
}

/// The folder of compiled code that all tests share.
pub fn cache() -> PathBuf {
    let folder = guests().join("cache");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn id(name: &str) -> ActorId {
    ActorId::parse(name).unwrap()
}

/// An actor of a guest, with default settings but for memory enough for every language.
pub fn spec(name: &str, guest_name: &str) -> ActorSpec {
    let mut spec = ActorSpec::new(id(name), ComponentRef::Path(guest(guest_name)));
    spec.limits.memory = troupe_log::ByteCount::mib(128);
    spec.limits.fuel = 10_000_000_000;
    spec
}

/// Shows what nodes log, where RUST_LOG asks for it.
pub fn logged() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// How a node is opened on a disk that can be cut.
pub fn options(disk: &SimDisk) -> NodeOptions {
    NodeOptions { disk: Some(Arc::new(disk.clone())), live: 64, cache: Some(cache()), ..NodeOptions::default() }
}

/// A node in memory, on a disk that can be cut and opened again.
pub async fn node_on(disk: &SimDisk) -> Node {
    logged();
    Node::open(options(disk)).await.unwrap()
}

pub async fn ask(node: &Node, actor: &str, message_type: &str, payload: &str) -> Result<String, CallError> {
    let answer = node.call(&id(actor), Outgoing::new(message_type, payload.as_bytes())).await?;
    Ok(String::from_utf8(answer).unwrap())
}

/// The journal of an actor, as replay reads it.
pub async fn journal(node: &Node, actor: &str) -> JournalSource {
    node.journal_source(&id(actor)).await.unwrap()
}

/// Replays an actor's journal against a guest's component.
pub async fn replay(node: &Node, actor: &str, guest_name: &str) -> troupe_runtime::Result<Summary> {
    let bytes = std::fs::read(guest(guest_name)).unwrap();
    let code = ReplayCode::compile_cached(&bytes, &cache())?;
    let mut replay = Replay::new(code, journal(node, actor).await)?;
    while replay.next_turn().await?.is_some() {}
    Ok(replay.summary())
}

/// Checks that an actor's journal is whole: every link, and the head that the node has kept apart.
pub async fn verified(node: &Node, actor: &str) {
    let (mut bytes, mut info);
    loop {
        info = node.actor(&id(actor)).await.unwrap();
        bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
        // A base may have been made meanwhile.
        if info.next == node.actor(&id(actor)).await.unwrap().next {
            break;
        }
    }
    let report = verify(&bytes, Some(Chain { next: info.next, head: info.head }));
    assert!(report.is_good(), "{actor}: {:?}", report.problems);
}

/// How many records of a kind an actor's journal has.
pub async fn count(node: &Node, actor: &str, kind: Kind) -> usize {
    let bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    troupe_log::record::records(&bytes).filter(|record| record.as_ref().unwrap().kind == kind).count()
}

/// The power goes: the disk as it is then, without what was not synced. The node's process is gone.
pub fn power_cut(node: Node, disk: &SimDisk) -> SimDisk {
    let after = disk.fork();
    after.crash();
    drop(node);
    after
}

/// How many rows a table of the log has whose keys begin like this, once all is durable.
pub async fn rows(node: &Node, disk: &SimDisk, table: Table, prefix: &[u8]) -> usize {
    node.sync().await.unwrap();
    let opened = troupe_log::open(Arc::new(disk.fork()), &Options::simulated([3; 32])).unwrap();
    opened.tables.get(&table).map_or(0, |rows| rows.keys().filter(|key| key.starts_with(prefix)).count())
}

/// Begins what a future does, so that a call is accepted when this returns. The future must not be ready yet.
pub async fn begun<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    let mut future: Pin<Box<dyn Future<Output = T> + Send + 'a>> = Box::pin(future);
    let pending = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await;
    assert!(pending, "ready at once");
    future
}

/// Waits until so many timers are armed: so many turns sleep.
pub async fn sleeping(node: &Node, turns: usize) {
    while node.pending_timers() != turns {
        tokio::task::yield_now().await;
    }
}
