//! Bases of the guest's own kind: "The guest's own kind is a turn: save, new instance, load; the actor goes on in the loaded
//! instance." "Recovery: newest valid base, its journal after it, turn by turn."

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use troupe_log::disk::{DiskFile, Lock};
use troupe_log::{Disk, Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::{Node, NodeOptions, Outgoing};
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode};

use crate::support::{ask, cache, count, guest, id, node_on, power_cut, replay, spec, verified};

/// A turn without host calls has two records: a base is made at the first turn's end that is so far behind the newest one.
fn saver(max_replay: u64) -> ActorSpec {
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = max_replay;
    saver
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_max_replay_a_base_is_made_and_the_actor_goes_on_in_the_loaded_instance() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver(20)).await.unwrap();
    assert_eq!(ask(&node, "saver", "saved-by", "").await.unwrap(), "");
    for n in 1..=3 {
        ask(&node, "saver", "add", "3").await.unwrap();
        assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), (2 * n + 1).to_string());
    }
    assert_eq!(count(&node, "saver", Kind::Base).await, 0, "5 records of the beginning, 2 of each turn: 19");
    let total = ask(&node, "saver", "add", "3").await.unwrap();
    assert_eq!(total, "12");
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "1", "calls are not saved");
    assert_eq!(count(&node, "saver", Kind::Base).await, 1);
    let component = node.actor(&id("saver")).await.unwrap().component.to_string();
    assert_eq!(ask(&node, "saver", "saved-by", "").await.unwrap(), component);

    let node = node_on(&power_cut(node, &disk)).await;
    assert!(node.start(saver(20)).await.unwrap().resumed);
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "3", "since the base");
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), total);
    while count(&node, "saver", Kind::Base).await < 4 {
        ask(&node, "saver", "add", "1").await.unwrap();
    }
    verified(&node, "saver").await;
    let summary = replay(&node, "saver", "saver").await.unwrap();
    assert_eq!(summary.records, node.actor(&id("saver")).await.unwrap().next.0, "from genesis, across all bases");
    node.close().await.unwrap();
}

/// A disk that counts the bytes that are read.
struct Counting {
    disk: SimDisk,
    read: Arc<AtomicU64>,
}

struct CountingFile {
    file: Arc<dyn DiskFile>,
    read: Arc<AtomicU64>,
}

impl Counting {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CountingFile { file, read: self.read.clone() })
    }
}

impl Disk for Counting {
    fn path(&self, name: &str) -> String {
        self.disk.path(name)
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.create(name)?))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.disk.open(name)?))
    }
    fn make_dir(&self, name: &str) -> io::Result<()> {
        self.disk.make_dir(name)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, name: &str) -> io::Result<Lock> {
        self.disk.lock(name)
    }
}

impl DiskFile for CountingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(offset, buf)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_reads_nothing_that_is_older_than_the_newest_base() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver(u64::MAX)).await.unwrap();
    // The guest takes spaces round a number.
    let wide = format!("{:>10000}", 1);
    for _ in 0..300 {
        ask(&node, "saver", "add", &wide).await.unwrap();
    }
    let mut read = Vec::new();
    let mut disk = power_cut(node, &disk);
    for with_base in [false, true] {
        let bytes = Arc::new(AtomicU64::new(0));
        let counting = Counting { disk: disk.clone(), read: bytes.clone() };
        let options =
            NodeOptions { disk: Some(Arc::new(counting)), live: 64, cache: Some(cache()), ..NodeOptions::default() };
        let node = Node::open(options).await.unwrap();
        let opened = bytes.load(Relaxed);
        assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), if with_base { "2" } else { "301" });
        read.push(bytes.load(Relaxed) - opened);
        if !with_base {
            node.snapshot(&id("saver")).unwrap();
        }
        assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "300");
        disk = power_cut(node, &disk);
    }
    assert!(read[0] > 3_000_000, "all of the journal: {read:?}");
    assert!(read[1] < 500_000, "what follows the base, in pieces of 192 KiB: {read:?}");
}

/// "Out-of-line bytes are durable before the batch that names them."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_state_is_kept_out_of_line_and_replays_from_a_file_too() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver(u64::MAX)).await.unwrap();
    ask(&node, "saver", "add", "7").await.unwrap();
    ask(&node, "saver", "pad", "1000000").await.unwrap();
    let records = node.journal(&id("saver")).await.unwrap().read_all().unwrap().len();
    node.snapshot(&id("saver")).unwrap();
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "1", "in the loaded instance");
    let with_base = node.journal(&id("saver")).await.unwrap().read_all().unwrap().len();
    assert!(with_base - records < 10_000, "{records} and {with_base} bytes");

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "7");
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "3");
    let live = replay(&node, "saver", "saver").await.unwrap();
    verified(&node, "saver").await;

    let mut file = Vec::new();
    troupe_server::export::export(node.journal(&id("saver")).await.unwrap(), &**node.store(), false, &mut file)
        .unwrap();
    let export = troupe_log::export::read(&file).unwrap();
    let state = format!("7{}", " ".repeat(999_999)).into_bytes();
    assert!(export.blobs.values().eq([&state]), "the state, and nothing else");
    let source = |blobs| JournalSource::Bytes { records: export.records.clone().into(), blobs: Arc::new(blobs) };
    let code = ReplayCode::compile_cached(&std::fs::read(guest("saver")).unwrap(), &cache()).unwrap();
    let blobs = export.blobs.clone().into_iter().collect();
    let mut replay = Replay::new(code.clone(), source(blobs)).unwrap();
    while replay.next_turn().await.unwrap().is_some() {}
    assert_eq!(replay.summary(), live);
    let mut replay = Replay::new(code, source(HashMap::new())).unwrap();
    let error = loop {
        match replay.next_turn().await {
            Ok(turn) => assert!(turn.is_some(), "it was replayed without the state"),
            Err(error) => break error.to_string(),
        }
    };
    let digest = troupe_log::Digest::of(&state);
    assert!(error.contains(&digest.to_string()), "{error}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_refuses_to_save_goes_on_without_a_base() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver(20)).await.unwrap();
    assert_eq!(ask(&node, "saver", "refuse-save", "").await.unwrap(), "refusing");
    for n in 1..=30 {
        assert_eq!(ask(&node, "saver", "add", "1").await.unwrap(), n.to_string());
    }
    assert_eq!(
        ask(&node, "saver", "calls", "").await.unwrap(),
        "32",
        "the instance was not lost, or brought back exactly"
    );
    assert_eq!(count(&node, "saver", Kind::Base).await, 0);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "33");
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "30");
    verified(&node, "saver").await;
    replay(&node, "saver", "saver").await.unwrap();
    node.close().await.unwrap();
}

/// The power goes at every operation of the disk while bases are made: the client repeats what was not acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_anywhere_round_a_base_loses_nothing_and_applies_nothing_twice() {
    let fresh = SimDisk::new();
    let node = node_on(&fresh).await;
    node.start(saver(10)).await.unwrap();
    ask(&node, "saver", "add", "0").await.unwrap();
    let fresh = power_cut(node, &fresh);
    let (mut cuts, mut bases) = (0, Vec::new());
    loop {
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(cuts);
        let mut next = 0;
        while next < 16 && add(&node, next).await.is_ok() {
            next += 1;
        }
        let whole = next == 16;
        let node = node_on(&power_cut(node, &disk)).await;
        bases.push(count(&node, "saver", Kind::Base).await);
        for next in next.saturating_sub(1)..16 {
            let total: u64 = (0..=next).map(|n| 1 << n).sum();
            assert_eq!(add(&node, next).await.unwrap(), total.to_string().into_bytes(), "cut after {cuts}");
        }
        assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), u16::MAX.to_string(), "cut after {cuts}");
        verified(&node, "saver").await;
        replay(&node, "saver", "saver").await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
        node.close().await.unwrap();
        if whole {
            break;
        }
        cuts += 1;
        assert!(cuts < 500, "the run never ends");
    }
    let most = *bases.iter().max().unwrap();
    assert!(most >= 3 && (0..=most).all(|n| bases.contains(&n)), "cuts on both sides of each base: {bases:?}");
}

async fn add(node: &Node, n: u32) -> Result<Vec<u8>, CallError> {
    let add = Outgoing::new("add", (1_u64 << n).to_string().into_bytes()).key(n.to_string());
    node.call(&id("saver"), add).await
}

/// "A base holds .. the runtime's own state of the actor": the state's name of a machine is not its own to save.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_goes_on_behind_a_base_in_the_state_that_it_was_in() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("light", "fsm-saver")).await.unwrap();
    assert_eq!(ask(&node, "light", "turn", "").await.unwrap(), "green");
    node.make_base(&id("light")).await.unwrap();
    assert_eq!(ask(&node, "light", "turn", "").await.unwrap(), "red", "in the loaded instance");
    assert_eq!(ask(&node, "light", "turn", "").await.unwrap(), "green");
    node.make_base(&id("light")).await.unwrap();
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "light", "turn", "").await.unwrap(), "red", "and behind a power cut");
    verified(&node, "light").await;
    replay(&node, "light", "fsm-saver").await.unwrap();
    node.close().await.unwrap();
}
