//! Every function of WASI that the probe asks for: live, after a power cut, and in replay, where nothing of it is there.

use std::path::Path;

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, Environment, FilesystemGrant, OnFault};
use troupe_runtime::node::Node;

use crate::support::{ask, id, node_on, replay, spec};

enum Says {
    /// This answer.
    Text(&'static str),
    /// An answer for which this is true.
    Like(fn(&str) -> bool),
    /// A fault whose text has this in it.
    Fault(&'static str),
}
use Says::{Fault, Like, Text};

/// In this order; the last lines leave the folder as the first found it, but for `a.txt` and `c.txt`.
const CASES: &[(&str, &str, Says)] = &[
    ("environment#get-environment", "", Text("GREETING=hello")),
    ("environment#said", "GREETING", Text("5")),
    ("environment#get-arguments", "", Text("one\ntwo")),
    ("environment#initial-cwd", "", Text("none")),
    ("stdout#get-stdout", "said\n", Text("wrote 5")),
    ("stderr#get-stderr", "complained\n", Text("wrote 11")),
    ("streams#output-stream.write", "more\n", Text("wrote 5")),
    ("streams#output-stream.write-zeroes", "3", Text("()")),
    ("streams#output-stream.write-zeroes", "5000", Fault("at most 4096")),
    ("streams#output-stream.splice", "4", Text("err: closed")),
    ("stdin#get-stdin", "4", Text("err: closed")),
    ("streams#input-stream.read", "4", Text("err: closed")),
    ("streams#input-stream.skip", "4", Text("err: closed")),
    ("terminal-stdin#get-terminal-stdin", "", Text("none")),
    ("terminal-stdout#get-terminal-stdout", "", Text("none")),
    ("terminal-stderr#get-terminal-stderr", "", Text("none")),
    ("wall-clock#now", "", Like(|text| text.parse::<f64>().is_ok_and(|seconds| seconds > 1.7e9))),
    ("wall-clock#resolution", "", Text("0.000001000")),
    ("monotonic-clock#now", "", Like(|text| text.parse::<u64>().is_ok_and(|nanos| nanos % 1000 == 0))),
    ("monotonic-clock#resolution", "", Text("1000")),
    ("monotonic-clock#subscribe-duration", "2", Text("waited")),
    ("monotonic-clock#subscribe-instant", "2", Text("waited")),
    ("poll#pollable.ready", "", Text("past=true far=false")),
    ("poll#poll", "", Text("[1]")),
    ("random#get-random-bytes", "16", Like(|text| text.len() == 32)),
    ("random#get-random-bytes", "100001", Fault("100001 random bytes")),
    ("random#get-random-bytes", "18446744073709551615", Fault("18446744073709551615 random bytes")),
    ("random#get-random-u64", "", Like(|text| text.parse::<u64>().is_ok())),
    ("insecure#get-insecure-random-bytes", "100000", Like(|text| text.len() == 200_000)),
    ("insecure#get-insecure-random-bytes", "100001", Fault("100001 random bytes")),
    ("insecure#get-insecure-random-u64", "", Like(|text| text.parse::<u64>().is_ok())),
    (
        "insecure-seed#insecure-seed",
        "",
        Like(|text| text.split(' ').filter_map(|n| n.parse::<u64>().ok()).count() == 2),
    ),
    ("tcp-create-socket#create-tcp-socket", "", Text("err: access-denied")),
    ("udp-create-socket#create-udp-socket", "", Text("err: access-denied")),
    ("tcp#tcp-socket.start-connect", "", Text("err: access-denied")),
    ("ip-name-lookup#resolve-addresses", "localhost", Text("err: access-denied")),
    ("preopens#get-directories", "", Text("/data\n/fixed")),
    ("types#descriptor.get-type", "", Text("DescriptorType::Directory")),
    ("types#descriptor.get-flags", "", Text("DescriptorFlags { bits: 33 }")),
    ("types#descriptor.write", "a.txt|hello", Text("5")),
    ("types#descriptor.read", "a.txt", Text("hello")),
    ("types#descriptor.write-via-stream", "b.txt|streamed", Text("()")),
    ("types#descriptor.append-via-stream", "b.txt| more", Text("()")),
    ("types#descriptor.read-via-stream", "b.txt", Text("streamed more")),
    ("streams#output-stream.in-pieces", "c.txt|pieces", Text("pieces")),
    ("streams#output-stream.blocking-splice", "b.txt|c.txt", Text("12")),
    ("types#descriptor.read", "c.txt", Text("treamed more")),
    ("types#descriptor.set-size", "b.txt|8", Text("done")),
    ("types#descriptor.stat-at", "b.txt", Text("DescriptorType::RegularFile 8")),
    ("types#descriptor.metadata-hash-at", "b.txt", Like(|text| text.len() >= 17)),
    ("types#descriptor.rename-at", "b.txt|c.txt", Text("done")),
    ("types#descriptor.link-at", "c.txt|d.txt", Text("done")),
    ("types#descriptor.symlink-at", "c.txt|e.txt", Text("done")),
    ("types#descriptor.symlink-at", "c.txt|e.txt", Text("err: exist")),
    ("types#descriptor.readlink-at", "e.txt", Text("c.txt")),
    ("types#descriptor.read", "e.txt", Text("streamed")),
    ("types#descriptor.create-directory-at", "sub", Text("done")),
    ("types#descriptor.write", "sub/f.txt|deep", Text("4")),
    ("types#descriptor.read-directory", "", Text("a.txt\nc.txt\nd.txt\ne.txt\nsub")),
    ("types#descriptor.read-directory", "sub", Text("f.txt")),
    ("types#descriptor.remove-directory-at", "sub", Text("err: not-empty")),
    ("types#descriptor.unlink-file-at", "sub/f.txt", Text("done")),
    ("types#descriptor.remove-directory-at", "sub", Text("done")),
    ("types#descriptor.unlink-file-at", "d.txt", Text("done")),
    ("types#descriptor.unlink-file-at", "e.txt", Text("done")),
    ("types#descriptor.read", "d.txt", Text("err: no-entry")),
    ("types#descriptor.read", "../outside.txt", Text("err: not-permitted")),
    ("types#descriptor.read", "/etc/passwd", Text("err: not-permitted")),
];

/// Denials in one pass over the cases.
const DENIALS: usize = 4;

pub fn probe(folder: &Path) -> ActorSpec {
    let mut probe = spec("probe", "probe");
    let vars = [("GREETING".to_owned(), "hello".to_owned())].into();
    probe.grants.environment = Some(Environment { vars, ..Environment::default() });
    probe.grants.arguments = vec!["one".to_owned(), "two".to_owned()];
    probe.grants.random.max_bytes = Some(ByteCount(100_000));
    probe.grants.filesystem = vec![directory(folder, "data"), directory(folder, "fixed")];
    probe.supervision.on_fault = OnFault::Skip;
    probe.supervision.max_restarts = 1000;
    probe
}

pub fn directory(folder: &Path, name: &str) -> FilesystemGrant {
    let host = folder.join(name);
    std::fs::create_dir_all(&host).unwrap();
    FilesystemGrant { host, guest: format!("/{name}"), read_only: false, repeat: false, quota: None }
}

/// How many records of a kind an actor's journal has.
pub async fn records_of(node: &Node, actor: &str, kind: Kind) -> usize {
    let bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    troupe_log::record::records(&bytes).filter(|record| record.unwrap().kind == kind).count()
}

async fn ask_all(node: &Node, when: &str) {
    for (function, argument, says) in CASES {
        let answer = ask(node, "probe", function, argument).await;
        match (says, &answer) {
            (Text(expected), Ok(text)) => assert_eq!(text, expected, "{when}: {function} {argument}"),
            (Like(right), Ok(text)) => assert!(right(text), "{when}: {function} {argument} gave {text}"),
            (Fault(expected), Err(CallError::Faulted { cause: text, .. })) => {
                assert!(text.contains(expected), "{when}: {function} {argument}: {text}");
            }
            _ => panic!("{when}: {function} {argument} gave {answer:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_works_live_and_after_a_power_cut_and_replays_where_nothing_of_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outside.txt"), "secret").unwrap();
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(probe(folder.path())).await.unwrap();
    let known = ask(&node, "probe", "list", "").await.unwrap();
    let of_wasi = known.lines().filter(|name| !name.starts_with("host#") && !name.starts_with("messaging#"));
    for name in of_wasi {
        assert!(CASES.iter().any(|(function, _, _)| function == &name), "no case for {name}");
    }
    ask_all(&node, "live").await;
    assert_eq!(records_of(&node, "probe", Kind::Denial).await, DENIALS);

    let after = disk.fork();
    after.crash();
    crate::coverage::cut();
    drop(node);
    let node = node_on(&after).await;
    assert!(node.start(probe(folder.path())).await.unwrap().resumed);
    ask_all(&node, "after a power cut").await;
    assert_eq!(records_of(&node, "probe", Kind::Denial).await, 2 * DENIALS);

    drop(folder);
    let summary = replay(&node, "probe", "probe").await.unwrap();
    assert_eq!(summary.records, node.actor(&id("probe")).await.unwrap().next.0);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_in_a_directory_for_reading_only_is_refused_and_recorded_as_a_denial() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_on(&SimDisk::new()).await;
    let mut probe = probe(folder.path());
    probe.grants.filesystem[0].read_only = true;
    std::fs::write(folder.path().join("data/a.txt"), "given").unwrap();
    node.start(probe).await.unwrap();
    assert_eq!(ask(&node, "probe", "types#descriptor.read", "a.txt").await.unwrap(), "given");
    let changes = [
        ("types#descriptor.write", "b.txt|x"),
        ("types#descriptor.set-size", "a.txt|0"),
        ("types#descriptor.rename-at", "a.txt|b.txt"),
        ("types#descriptor.unlink-file-at", "a.txt"),
        ("types#descriptor.create-directory-at", "sub"),
        ("types#descriptor.symlink-at", "a.txt|b.txt"),
    ];
    for (function, argument) in changes {
        assert_eq!(ask(&node, "probe", function, argument).await.unwrap(), "err: not-permitted", "{function}");
    }
    assert_eq!(records_of(&node, "probe", Kind::Denial).await, changes.len());
    // The one intent is that of the open that reads.
    assert_eq!(records_of(&node, "probe", Kind::Intent).await, 1);
    let names: Vec<_> =
        std::fs::read_dir(folder.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a.txt"]);
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_switched_off_faults_and_names_the_grant() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_on(&SimDisk::new()).await;
    let mut probe = probe(folder.path());
    probe.grants.clocks = false;
    probe.grants.random.enabled = false;
    probe.grants.stdio = false;
    probe.grants.environment = None;
    probe.grants.filesystem = Vec::new();
    node.start(probe).await.unwrap();
    let faults = [
        ("wall-clock#now", "clocks"),
        ("monotonic-clock#resolution", "clocks"),
        ("monotonic-clock#subscribe-instant", "clocks"),
        ("random#get-random-u64", "random"),
        ("insecure#get-insecure-random-bytes", "random"),
        ("insecure-seed#insecure-seed", "random"),
        ("stdout#get-stdout", "stdio"),
        ("stderr#get-stderr", "stdio"),
        ("stdin#get-stdin", "stdio"),
    ];
    for (function, grant) in faults {
        let answer = ask(&node, "probe", function, "").await;
        let Err(CallError::Faulted { cause: text, .. }) = &answer else { panic!("{function}: {answer:?}") };
        assert!(text.contains(&format!("[grants.{grant}]")), "{function}: {text}");
    }
    assert_eq!(records_of(&node, "probe", Kind::Denial).await, faults.len());
    assert_eq!(ask(&node, "probe", "environment#get-environment", "").await.unwrap(), "");
    assert_eq!(ask(&node, "probe", "preopens#get-directories", "").await.unwrap(), "");
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_directory_that_is_not_there_is_said_at_the_start_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_on(&SimDisk::new()).await;
    let probe = probe(folder.path());
    std::fs::remove_dir(folder.path().join("fixed")).unwrap();
    let error = node.start(probe).await.unwrap_err().to_string();
    assert!(error.contains(&folder.path().join("fixed").display().to_string()), "{error}");
    assert!(error.contains("create it, or change `host`"), "{error}");
    assert!(node.list().await.unwrap().is_empty());
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_seed_the_same_actor_gets_the_same_numbers_on_any_node() {
    let mut rolls = Vec::new();
    for seed in [7, 7, 8] {
        let folder = tempfile::tempdir().unwrap();
        let node = node_on(&SimDisk::new()).await;
        let mut probe = probe(folder.path());
        probe.grants.random.seed = Some(seed);
        node.start(probe).await.unwrap();
        let mut roll = Vec::new();
        for _ in 0..3 {
            roll.push(ask(&node, "probe", "random#get-random-bytes", "32").await.unwrap());
        }
        assert_ne!(roll[0], roll[1]);
        rolls.push(roll);
        node.close().await.unwrap();
    }
    assert_eq!(rolls[0], rolls[1]);
    assert_ne!(rolls[0], rolls[2]);
}
