//! Power cuts inside of WASI calls: what is done once is never done twice, what is repeatable is done, waits go on.
//!
//! The folder of the guest is a real one: an effect on it that was done is done, whatever the node forgets.

use std::path::Path;
use std::sync::Arc;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{id, node_on, replay};
use crate::wasi_calls::{probe, records_of};

/// Cuts the power after each possible number of the disk's operations inside one call, opens the node again, repeats the call
/// under its key, and hands its answer and the folder to `check`. Returns how often the answer was each text.
async fn cut_everywhere(
    function: &str,
    argument: &str,
    prepare: fn(&Path),
    repeat: bool,
    check: fn(&str, &Path),
) -> Vec<(String, usize)> {
    let mut answers: Vec<(String, usize)> = Vec::new();
    for operations in 0.. {
        assert!(operations < 200, "the call never ends");
        let folder = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        let mut probe = probe(folder.path());
        probe.grants.filesystem[0].repeat = repeat;
        prepare(&folder.path().join("data"));
        node.start(probe).await.unwrap();
        let call = Outgoing::new(function, argument.as_bytes()).key("once");
        disk.cut_after(operations);
        let whole = node.call(&id("probe"), call.clone()).await.is_ok();
        drop(node);
        disk.crash();

        let node = node_on(&disk).await;
        let answer = node.call(&id("probe"), call).await.unwrap_or_else(|error| panic!("cut after {operations}: {error}"));
        let answer = String::from_utf8(answer).unwrap();
        check(&answer, &folder.path().join("data"));
        match answers.iter_mut().find(|(text, _)| *text == answer) {
            Some((_, times)) => *times += 1,
            None => answers.push((answer, 1)),
        }
        replay(&node, "probe", "probe").await.unwrap_or_else(|error| panic!("cut after {operations}: {error}"));
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
    answers
}

fn content(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

const UNKNOWN: &str = "whether these bytes were written is unknown";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_is_done_at_most_once_and_told_as_unknown_where_nobody_knows() {
    let append = "types#descriptor.append-via-stream";
    let answers = cut_everywhere(append, "log.txt|x", |_| (), false, |answer, folder| match answer {
        "()" => assert_eq!(content(folder, "log.txt"), "x"),
        unknown => {
            assert!(unknown.contains(UNKNOWN), "{unknown}");
            assert!(content(folder, "log.txt").len() <= 1, "done twice");
        }
    });
    let answers = answers.await;
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_repeat_in_the_grant_an_append_is_done_at_least_once() {
    let append = "types#descriptor.append-via-stream";
    let answers = cut_everywhere(append, "log.txt|x", |_| (), true, |answer, folder| {
        assert_eq!(answer, "()");
        assert!(content(folder, "log.txt").starts_with('x'));
    });
    assert_eq!(answers.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_an_offset_is_done_again_and_the_file_is_not_truncated_again() {
    // The file is created and truncated by the open, then written: the first 5 bytes, then synced.
    let answers = cut_everywhere("types#descriptor.write", "a.txt|hello", |_| (), false, |answer, folder| {
        assert_eq!(answer, "5");
        assert_eq!(content(folder, "a.txt"), "hello");
    });
    assert_eq!(answers.await.len(), 1);
    let answers = cut_everywhere("types#descriptor.write-via-stream", "a.txt|hello", |_| (), false, |answer, folder| {
        assert_eq!(answer, "()");
        assert_eq!(content(folder, "a.txt"), "hello");
    });
    assert_eq!(answers.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_is_never_tried_twice() {
    let prepare = |folder: &Path| std::fs::write(folder.join("a.txt"), "first").unwrap();
    let answers = cut_everywhere("types#descriptor.rename-at", "a.txt|b.txt", prepare, false, |answer, folder| {
        // A second try would find no `a.txt`, and say `no-entry`.
        match answer {
            "done" => assert_eq!(content(folder, "b.txt"), "first"),
            other => assert_eq!(other, "err: io"),
        }
    });
    let answers = answers.await;
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_on_where_it_had_been_read_to() {
    let prepare = |folder: &Path| std::fs::write(folder.join("a.txt"), "hello").unwrap();
    for read in ["types#descriptor.read", "types#descriptor.read-via-stream"] {
        let answers = cut_everywhere(read, "a.txt", prepare, false, |answer, _| assert_eq!(answer, "hello"));
        assert_eq!(answers.await.len(), 1);
    }
}

/// Waits until an actor has records of this kind.
async fn until(node: &Node, kind: Kind) {
    while records_of(node, "probe", kind).await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_waited_for_is_waited_for_again_after_a_power_cut() {
    for function in ["monotonic-clock#subscribe-duration", "monotonic-clock#subscribe-instant"] {
        let folder = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        let node = Arc::new(node_on(&disk).await);
        node.start(probe(folder.path())).await.unwrap();
        let wait = Outgoing::new(function, &b"300"[..]).key("wait");
        let waiting = tokio::spawn({
            let (node, wait) = (node.clone(), wait.clone());
            async move { node.call(&id("probe"), wait).await }
        });
        until(&node, Kind::Wait).await;
        let after = disk.fork();
        after.crash();
        waiting.abort();
        drop(node);

        let node = node_on(&after).await;
        for k in Kind::ALL { eprintln!("{k:?} {}", records_of(&node, "probe", *k).await); }
        assert_eq!(node.call(&id("probe"), wait).await.unwrap(), b"waited", "{function}");
        for k in Kind::ALL { eprintln!("{k:?} {}", records_of(&node, "probe", *k).await); }
        assert_eq!(records_of(&node, "probe", Kind::Resume).await, 1, "{function}: its turn went on");
        assert_eq!(records_of(&node, "probe", Kind::Wait).await, 1, "{function}: under the same id");
        replay(&node, "probe", "probe").await.unwrap();
        node.close().await.unwrap();
    }
}
