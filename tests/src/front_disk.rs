//! A disk that is full and a disk that fails, under the real command: "A failed write or sync stops the node; no held output is
//! released. Space for open turns to end is kept back; when only that is left, new messages are refused."
//!
//! The full disk is a tiny file system in memory, mounted where nobody else sees it: each test runs itself once more in a mount
//! namespace of its own. The failing sync is a library in front of the system's, made with `cc`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::front_support::{Folder, http};

/// Set in the test that runs on the tiny disk: where it is mounted.
const MOUNTED: &str = "TROUPE_TEST_MOUNTED";

/// Runs the test of this name on a disk of so many MiB; true inside of it.
fn on_a_disk_of(mib: u32, test: &str) -> bool {
    if std::env::var_os(MOUNTED).is_some() {
        return true;
    }
    let mounted = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=$1 tmpfs \"$2\" && shift 2 && exec \"$@\"";
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh", &format!("{mib}m")])
        .arg(mounted.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([(MOUNTED, mounted.path()), ("TMPDIR", mounted.path())])
        .status()
        .unwrap();
    assert!(status.success(), "on the tiny disk: {status} (mounting needs root)");
    false
}

/// The tiny disk has so many MiB from here on.
fn resize(mib: u32) {
    let mounted = std::env::var_os(MOUNTED).unwrap();
    let options = format!("remount,size={mib}m");
    let status = Command::new("mount").args(["-o", &options]).arg(mounted).status().unwrap();
    assert!(status.success());
}

/// A number with spaces in front: as much of the disk as a message can take.
fn large(here: &Folder, number: &str) {
    here.write("large", format!("{}{number}", " ".repeat(900_000)).as_bytes());
}

#[test]
fn on_a_full_disk_messages_are_refused_until_there_is_room() {
    if !on_a_disk_of(90, "front_disk::on_a_full_disk_messages_are_refused_until_there_is_room") {
        return;
    }
    let here = Folder::with("counter-rust");
    let folder = here.path().to_str().unwrap().to_owned();
    large(&here, "1");
    let add = ["call", "actor", "add", "@large"];
    let node = here.node(&[]);
    let mut total = 0;
    let refused = loop {
        let done = here.run(&add);
        if done.code != 0 {
            break done.err(1);
        }
        total += 1;
        assert_eq!(done.ok(), total.to_string());
        assert!(total < 200, "never full");
    };
    assert!(refused.contains("the disk of") && refused.contains(&folder), "where: {refused}");
    assert!(refused.contains("is full") && refused.contains("free some space"), "what, and what to do: {refused}");
    let small = here.run(&["--json", "call", "actor", "get"]);
    let error: Value = serde_json::from_str(&small.stderr).unwrap();
    assert_eq!((small.code, &error["error"]["code"]), (1, &Value::from("resource-exhausted")));
    assert!(here.run(&["ps"]).ok().contains("actor"), "the node lives");

    // Killed and started again, it is as it was.
    node.kill();
    let node = here.node(&[]);
    here.run(&["call", "actor", "get"]).err(1);
    resize(200);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), total.to_string(), "the same process goes on");
    assert_eq!(here.run(&add).ok(), (total + 1).to_string());
    node.stop();

    // No room at all: not even for a start.
    let ballast = here.path().join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    let refused = here.run(&["run"]).err(1);
    assert!(refused.contains(&folder) && refused.contains("No space left"), "{refused}");
    assert!(refused.contains("help: ") && refused.contains("free some space"), "{refused}");
    drop(file);
    fs::remove_file(ballast).unwrap();
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), (total + 1).to_string());
    node.stop();
}

/// What was accepted needs more room than is kept back: the node stops, and what it had accepted is handled once there is room.
#[test]
fn a_node_that_finds_no_room_for_its_turns_stops_and_loses_nothing() {
    if !on_a_disk_of(90, "front_disk::a_node_that_finds_no_room_for_its_turns_stops_and_loses_nothing") {
        return;
    }
    let here = Folder::with("sleeper");
    large(&here, "0");
    let payload = fs::read(here.path().join("large")).unwrap();
    let mut node = here.node(&[]);
    let endpoint = here.endpoint();
    let token = format!("Bearer {}", endpoint["token"].as_str().unwrap());
    let headers = [("authorization", token.as_str()), ("troupe-type", "nap")];
    let send = |payload: &[u8]| http(&endpoint, "POST /v1/actors/actor/send", &headers, payload).0;
    assert_eq!(send(b"4500"), 200);
    let mut accepted = 0;
    while send(&payload) == 200 {
        accepted += 1;
        assert!(accepted < 200, "never full");
    }
    let line = here.run(&["ps", "--json"]).ok();
    let actor: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(actor["mailbox"], accepted, "all of them wait behind the first: {line}");
    let (status, log) = node.end();
    assert_eq!(status.code(), Some(1), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("\"error\":")).collect();
    let [error] = errors[..] else { panic!("one error: {log}") };
    assert!(error.contains("stopped by itself") && error.contains("the disk of"), "{error}");
    assert!(error.contains(here.path().to_str().unwrap()) && error.contains("free some space"), "{error}");

    resize(400);
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "count"]).ok(), (2 * (accepted + 1)).to_string(), "each once");
    node.stop();
}

/// Makes a library whose `fdatasync` and `fsync` fail from when a file is there.
fn failing_sync(here: &Folder) -> std::path::PathBuf {
    let source = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int synced(const char *name, int fd) {
            const char *flag = getenv("SYNC_FAILS");
            if (flag && access(flag, F_OK) == 0) { errno = EIO; return -1; }
            int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
            return real(fd);
        }
        int fdatasync(int fd) { return synced("fdatasync", fd); }
        int fsync(int fd) { return synced("fsync", fd); }
    "#;
    here.write("sync.c", source.as_bytes());
    let library = here.path().join("sync.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(here.path().join("sync.c"))
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(built.success());
    library
}

fn ends_within(node: &mut crate::front_support::Running, patience: Duration) -> (std::process::ExitStatus, String) {
    let begun = Instant::now();
    let ended = node.end();
    assert!(begun.elapsed() < patience, "it took {:?}", begun.elapsed());
    ended
}

#[test]
fn a_failing_sync_stops_the_node_and_loses_nothing() {
    let here = Folder::with("counter-rust");
    let library = failing_sync(&here);
    let flag = here.path().join("sync-fails");
    let environment: [(&str, &Path); 2] = [("LD_PRELOAD", &library), ("SYNC_FAILS", &flag)];
    let mut node = here.node_with(&[], &environment);
    for n in 1..=5 {
        assert_eq!(here.run(&["call", "actor", "add", "1"]).ok(), n.to_string());
    }
    fs::write(&flag, "").unwrap();
    let add = ["call", "actor", "add", "1", "--key", "k"];
    let failed = here.run(&add).err(1);
    assert!(failed.contains("cannot sync") && failed.contains(".troupe/log/"), "what and where: {failed}");
    assert!(failed.contains("start the node again"), "what to do: {failed}");
    let (status, log) = ends_within(&mut node, Duration::from_secs(20));
    assert_eq!(status.code(), Some(1), "{log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("\"error\":")).collect();
    let [error] = errors[..] else { panic!("one error: {log}") };
    assert!(error.contains("stopped by itself") && error.contains("cannot sync"), "{error}");
    assert!(error.contains(".troupe/log/") && error.contains("Input/output error"), "{error}");
    let gone = here.run(&["ps"]).err(1);
    assert!(gone.contains("no node runs"), "{gone}");

    // As long as the disk fails there is no node.
    let mut command = here.command(&["run"]);
    let still = command.envs(environment).output().unwrap();
    let still = crate::front_support::Done::of(still).err(1);
    assert!(still.contains("Input/output error") && still.contains(".troupe"), "{still}");

    let node = here.node(&[]);
    // Whether it had been applied or not, the repeat's answer is the first's.
    assert_eq!(here.run(&add).ok(), "6");
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "6");
    node.stop();
}
