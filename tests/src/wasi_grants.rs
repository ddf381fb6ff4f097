//! What the grants of WASI narrow: clocks, environment, directories with a quota, and no way out of a directory. Each live, after a
//! power cut, and in replay.

use std::num::NonZeroU32;
use std::path::Path;

use troupe_log::{ByteCount, Kind, SimDisk, WallTime};
use troupe_runtime::manifest::{ActorSpec, ClockGrant, Environment};
use troupe_runtime::node::Node;

use crate::durations::{MINUTE, Manual, node_with};
use crate::support::{ask, count, node_on, power_cut, replay};
use crate::wasi_calls::probe;

async fn says(node: &Node, function: &str, argument: &str) -> String {
    ask(node, "probe", function, argument).await.unwrap_or_else(|error| panic!("{function} {argument}: {error}"))
}

/// The cases live, then once more after a power cut; then the journal is played again.
async fn each_time(spec: ActorSpec, cases: &[(&str, &str, &str)]) {
    let disk = SimDisk::new();
    let mut node = node_on(&disk).await;
    node.start(spec.clone()).await.unwrap();
    for (function, argument, expected) in cases {
        assert_eq!(says(&node, function, argument).await, *expected, "{function} {argument}");
    }
    node.sync().await.unwrap();
    let after = power_cut(node, &disk);
    node = node_on(&after).await;
    assert!(node.start(spec).await.unwrap().resumed);
    for (function, argument, expected) in cases {
        assert_eq!(says(&node, function, argument).await, *expected, "after a power cut: {function} {argument}");
    }
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_clock_stands_and_one_with_an_offset_is_ahead_or_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut frozen = probe(folder.path());
    frozen.grants.time.frozen = Some(WallTime(1_000_000_000_000_000));
    // What is waited for is over all the same.
    let stands = [
        ("wall-clock#now", "", "1000000000.000000000"),
        ("monotonic-clock#subscribe-duration", "2", "waited"),
        ("wall-clock#now", "", "1000000000.000000000"),
    ];
    each_time(frozen.clone(), &stands).await;
    frozen.grants.time.offset = -1_500_000;
    each_time(frozen, &[("wall-clock#now", "", "999999998.500000000")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scaled_clocks_run_faster_and_what_is_waited_for_is_over_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut scaled = probe(folder.path());
    scaled.grants.time = ClockGrant { scale: NonZeroU32::new(86_400).unwrap(), ..ClockGrant::default() };
    scaled.limits.deadline = Some(std::time::Duration::from_secs(60));
    // Half an hour; the probe asserts that its own clock says so.
    let waits = [
        ("monotonic-clock#subscribe-duration", "1800000", "waited"),
        ("monotonic-clock#subscribe-instant", "1800000", "waited"),
    ];
    each_time(scaled, &waits).await;
}

/// Both clocks go as fast, by a clock of the node that is set by hand; also after a power cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_clocks_are_scaled_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut scaled = probe(folder.path());
    scaled.grants.time = ClockGrant { scale: NonZeroU32::new(10).unwrap(), ..ClockGrant::default() };
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    node.start(scaled).await.unwrap();
    let both = async |node: &Node| {
        let wall: f64 = says(node, "wall-clock#now", "").await.parse().unwrap();
        let monotonic: u64 = says(node, "monotonic-clock#now", "").await.parse().unwrap();
        (wall, monotonic / 1_000_000_000)
    };
    let before = both(&node).await;
    clock.advance(MINUTE);
    let behind = both(&node).await;
    assert_eq!((behind.0 - before.0, behind.1 - before.1), (600.0, 600));
    node.sync().await.unwrap();
    let node = node_with(&power_cut(node, &disk), &clock).await;
    let again = both(&node).await;
    clock.advance(MINUTE);
    let behind = both(&node).await;
    assert_eq!((behind.0 - again.0, behind.1 - again.1), (600.0, 600));
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_environment_a_guest_sees_the_granted_names_and_prefixes_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut probe = probe(folder.path());
    let vars = [("PATH".to_owned(), "its own".to_owned())].into();
    probe.grants.environment = Some(Environment {
        vars,
        inherit: vec!["HOME".to_owned(), "NOT_THERE".to_owned()],
        prefixes: vec!["PA".to_owned()],
    });
    let own =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut expected: Vec<String> = own
        .filter(|(name, _)| name != "PATH" && (name == "HOME" || name.starts_with("PA")))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    expected.push("PATH=its own".to_owned());
    expected.sort();
    let node = node_on(&SimDisk::new()).await;
    node.start(probe).await.unwrap();
    let seen = says(&node, "environment#get-environment", "").await;
    let mut seen: Vec<&str> = seen.lines().collect();
    seen.sort();
    assert_eq!(seen, expected);
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_takes_no_more_than_its_quota_by_any_way_of_growing() {
    let folder = tempfile::tempdir().unwrap();
    let mut probe = probe(folder.path());
    // Room for two entries and 2000 bytes.
    probe.grants.filesystem[0].quota = Some(ByteCount(1024 + 2000));
    let kilobyte = "x".repeat(1000);
    let (one, more) = (format!("a.txt|{kilobyte}"), format!("b.txt|{kilobyte}x"));
    let full = "err: quota";
    let stream_full = "quota exceeded";
    let cases = [
        ("types#descriptor.write", one.as_str(), "1000"),
        ("types#descriptor.write", more.as_str(), full),
        ("types#descriptor.stat-at", "b.txt", "DescriptorType::RegularFile 0"),
        ("types#descriptor.set-size", "b.txt|1000", "done"),
        ("types#descriptor.set-size", "b.txt|1001", full),
        ("types#descriptor.set-size", "b.txt|9223372036854775807", full),
        ("types#descriptor.create-directory-at", "sub", full),
        ("types#descriptor.symlink-at", "a.txt|c.txt", full),
        ("types#descriptor.link-at", "a.txt|c.txt", full),
        ("types#descriptor.write", "c.txt|", full),
        // Writing over what is there is no growth, and what is removed makes room.
        ("types#descriptor.write", one.as_str(), "1000"),
        ("types#descriptor.set-size", "b.txt|1000", "done"),
        ("types#descriptor.unlink-file-at", "a.txt", "done"),
        ("types#descriptor.create-directory-at", "sub", "done"),
        ("types#descriptor.remove-directory-at", "sub", "done"),
        ("types#descriptor.write", one.as_str(), "1000"),
        ("types#descriptor.unlink-file-at", "b.txt", "done"),
        ("types#descriptor.unlink-file-at", "a.txt", "done"),
    ];
    each_time(probe.clone(), &cases).await;
    let node = node_on(&SimDisk::new()).await;
    node.start(probe).await.unwrap();
    says(&node, "types#descriptor.write", "a.txt|").await;
    says(&node, "types#descriptor.set-size", "a.txt|1990").await;
    for streamed in ["types#descriptor.append-via-stream", "types#descriptor.write-via-stream"] {
        let said = says(&node, streamed, "b.txt|eleven here").await;
        assert!(said.contains(stream_full), "{streamed}: {said}");
        assert_eq!(says(&node, streamed, "b.txt|ten bytes.").await, "()", "{streamed}");
        says(&node, "types#descriptor.unlink-file-at", "b.txt").await;
    }
    let said = says(&node, "streams#output-stream.in-pieces", "b.txt|eleven here").await;
    assert!(said.contains(stream_full), "{said}");
    says(&node, "types#descriptor.unlink-file-at", "b.txt").await;
    let said = says(&node, "streams#output-stream.blocking-splice", "a.txt|b.txt").await;
    assert!(said.contains(stream_full), "{said}");
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

/// The escapes that sandboxes of files have been known for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_no_way_out_of_a_granted_directory() {
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path());
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("outside.txt"), "outside").unwrap();
    std::fs::create_dir(at("beside")).unwrap();
    std::fs::create_dir_all(at("data/sub/deep")).unwrap();
    std::fs::write(at("data/inside.txt"), "inside").unwrap();
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, at(name)).unwrap();
    link("../outside.txt", "data/out");
    link("/etc/passwd", "data/absolute");
    link(&at("outside.txt").display().to_string(), "data/absolute-here");
    link("..", "data/up");
    link("sub/../../outside.txt", "data/winding");
    link("out", "data/twice");
    link("round", "data/round");
    // Good where it is; moved up, it would lead out.
    link("../../inside.txt", "data/sub/deep/good");
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(probe.clone()).await.unwrap();
    let ways = [
        "../outside.txt",
        "./../outside.txt",
        "sub/../../outside.txt",
        "sub/deep/../../../outside.txt",
        "sub/..//../outside.txt",
        "..",
        "../",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "out",
        "out/",
        "absolute",
        "absolute-here",
        "up/outside.txt",
        "up/data/../outside.txt",
        "winding",
        "twice",
        "round",
        "sub/deep/../../up/outside.txt",
        "nowhere/../../outside.txt",
    ];
    for way in ways {
        let refused = |said: &str| said.starts_with("err: ") && !said.contains("outside");
        for function in [
            "types#descriptor.read",
            "types#descriptor.read-via-stream",
            "types#descriptor.write-via-stream",
            "types#descriptor.append-via-stream",
        ] {
            let said =
                says(&node, function, &format!("{way}{}", if function.contains("read") { "" } else { "|x" })).await;
            assert!(refused(&said), "{function} {way}: {said}");
        }
        let said = says(&node, "types#descriptor.write", &format!("{way}|x")).await;
        assert!(refused(&said), "write {way}: {said}");
    }
    // By names that do not follow a link.
    for (function, argument) in [
        ("types#descriptor.stat-at", "../outside.txt"),
        ("types#descriptor.stat-at", "up/outside.txt"),
        ("types#descriptor.metadata-hash-at", "up/outside.txt"),
        ("types#descriptor.readlink-at", "../data/out"),
        ("types#descriptor.read-directory", "up"),
        ("types#descriptor.read-directory", ".."),
        ("types#descriptor.read-directory", "/"),
        ("types#descriptor.create-directory-at", "../made"),
        ("types#descriptor.create-directory-at", "up/made"),
        ("types#descriptor.remove-directory-at", "../beside"),
        ("types#descriptor.remove-directory-at", "up/beside"),
        ("types#descriptor.unlink-file-at", "../outside.txt"),
        ("types#descriptor.unlink-file-at", "up/outside.txt"),
        ("types#descriptor.rename-at", "inside.txt|../made"),
        ("types#descriptor.rename-at", "inside.txt|up/made"),
        ("types#descriptor.rename-at", "../outside.txt|stolen"),
        ("types#descriptor.rename-at", "up/outside.txt|stolen"),
        ("types#descriptor.link-at", "inside.txt|../made"),
        ("types#descriptor.link-at", "../outside.txt|stolen"),
        ("types#descriptor.link-at", "up/outside.txt|stolen"),
        ("types#descriptor.symlink-at", "inside.txt|../made"),
        ("types#descriptor.symlink-at", "inside.txt|up/made"),
        ("types#descriptor.symlink-at", "/etc/passwd|made"),
        ("types#descriptor.set-size", "out|0"),
    ] {
        let said = says(&node, function, argument).await;
        assert!(said.starts_with("err: "), "{function} {argument}: {said}");
    }
    // What the guest makes itself, moves, and links.
    assert_eq!(says(&node, "types#descriptor.read", "sub/deep/good").await, "inside");
    for (function, argument) in [
        ("types#descriptor.symlink-at", "../outside.txt|own"),
        ("types#descriptor.symlink-at", "../..|sub/own"),
        ("types#descriptor.rename-at", "sub/deep/good|moved"),
        ("types#descriptor.rename-at", "out|renamed"),
        ("types#descriptor.link-at", "own|linked"),
    ] {
        assert_eq!(says(&node, function, argument).await, "done", "{function} {argument}");
    }
    let made = ["own", "sub/own/outside.txt", "moved", "renamed", "linked", "sub/own/data/own"];
    for way in made {
        for function in ["types#descriptor.read", "types#descriptor.write-via-stream"] {
            let said = says(&node, function, way).await;
            assert!(said.starts_with("err: "), "{function} {way}: {said}");
        }
    }
    node.sync().await.unwrap();
    let after = power_cut(node, &disk);
    let node = node_on(&after).await;
    for way in ways.iter().chain(&made).filter(|way| !way.starts_with("out")) {
        let said = says(&node, "types#descriptor.read", way).await;
        assert!(said.starts_with("err: "), "after a power cut: {way}: {said}");
    }
    assert_eq!(std::fs::read_to_string(at("outside.txt")).unwrap(), "outside");
    assert_eq!(names(folder.path()), ["beside", "data", "fixed", "outside.txt"]);
    assert_eq!(count(&node, "probe", Kind::Fault).await, 0);
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
