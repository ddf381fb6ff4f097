//! Guests, nodes and runtimes, as the rows use them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::runtime::{Builder, Runtime};
use troupe_log::{ActorId, ByteCount};
use troupe_runtime::env::Entropy;
use troupe_runtime::manifest::{ActorSpec, ComponentRef, Mode};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

/// The payload of every message.
pub const PAYLOAD: [u8; 64] = [7; 64];

/// Bytes that cost next to nothing, so that what is measured round them is not lost in the kernel's.
#[derive(Clone, Copy, Debug)]
pub struct Cheap;

impl Entropy for Cheap {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// Where things lie, and how long to measure.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The built guests.
    pub guests: PathBuf,
    /// For data folders and compiled code; on the disk that is measured.
    pub work: PathBuf,
    /// Multiplies the number of rounds.
    pub rounds: usize,
    /// Leaves out what is compared with, for a profiler.
    pub ours_only: bool,
}

impl Setup {
    /// The file of a guest.
    pub fn guest(&self, name: &str) -> anyhow::Result<PathBuf> {
        let file = self.guests.join(format!("{name}.wasm"));
        if !file.is_file() {
            bail!("no guest {}: run `cargo xtask guests`", file.display());
        }
        Ok(file)
    }

    /// The bytes of a guest.
    pub fn guest_bytes(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.guest(name)?;
        std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Compiled code, kept from run to run.
    pub fn cache(&self) -> PathBuf {
        self.work.join("cache")
    }

    /// A new data folder, gone when it is dropped.
    pub fn data(&self) -> anyhow::Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("data-")
            .tempdir_in(&self.work)
            .with_context(|| format!("cannot make a data folder in {}", self.work.display()))
    }

    /// A node in memory.
    pub async fn node(&self) -> anyhow::Result<Node> {
        Ok(Node::open(NodeOptions { cache: Some(self.cache()), ..NodeOptions::default() }).await?)
    }

    /// A node on the real disk.
    pub async fn node_at(&self, data: &Path) -> anyhow::Result<Node> {
        Ok(Node::open(NodeOptions { cache: Some(self.cache()), ..NodeOptions::at(data) }).await?)
    }

    /// Loads the guest of the benchmarks, and names it as actors are started with it.
    pub async fn component(&self, node: &Node) -> anyhow::Result<ComponentRef> {
        Ok(ComponentRef::Digest(node.load(&self.guest_bytes("bench")?).await?.digest))
    }

    /// Starts an actor of the benchmarks' guest, and calls it once.
    pub async fn actor(&self, node: &Node, name: &str, mode: Mode) -> anyhow::Result<ActorId> {
        let component = self.component(node).await?;
        let spec = spec(name, component, mode)?;
        let id = spec.id.clone();
        node.start(spec).await?;
        node.call(&id, outgoing("tick")).await?;
        Ok(id)
    }
}

/// An actor with default limits, but for a mailbox in which a burst has room.
pub fn spec(name: &str, component: ComponentRef, mode: Mode) -> anyhow::Result<ActorSpec> {
    let mut spec = ActorSpec::new(ActorId::parse(name)?, component);
    spec.journal = mode;
    spec.limits.mailbox = std::num::NonZeroU32::MIN.saturating_add(4095);
    // No base is made in a measured run: this guest has no snapshot, and would only warn.
    spec.snapshots.max_replay = u64::MAX;
    Ok(spec)
}

/// An actor of the Python guest.
pub fn python(component: ComponentRef) -> anyhow::Result<ActorSpec> {
    let mut spec = ActorSpec::new(ActorId::parse("python")?, component);
    spec.limits.memory = ByteCount::mib(64);
    spec.limits.fuel = 10_000_000_000;
    Ok(spec)
}

/// A message of 64 bytes. Cloning it copies nothing.
pub fn outgoing(message_type: &str) -> Outgoing {
    Outgoing::new(message_type, &PAYLOAD[..])
}

/// The runtime of `troupe run`.
pub fn node_runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// One worker: what runs on it runs on one core.
pub fn one_core() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Runs a future as a task on a worker of a runtime, and waits for it.
pub fn on_worker<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    runtime.block_on(runtime.spawn(work))?
}
