//! Power cuts and kills inside of WASI calls: what is done once is never done twice, what is repeatable is done, waits go on.
//!
//! The folder of the guest is a real one: an effect on it that was done is done, whatever the node forgets.

use std::collections::BTreeSet;
use std::path::Path;

use troupe_log::{Kind, SimDisk};
use troupe_runtime::node::Outgoing;

use crate::support::{id, node_on, replay};
use crate::wasi_calls::{probe, records_of};

/// Stops the node after each possible number of the disk's operations inside one call, by a power cut and by a kill that leaves
/// what was written, opens it again, repeats the call under its key, and hands its answer and the folder to `check`. Returns
/// the different answers. Some stops must have been inside of the turn.
async fn stop_everywhere(
    function: &str,
    argument: &str,
    prepare: fn(&Path),
    repeat: bool,
    check: fn(&str, &Path),
) -> BTreeSet<String> {
    let (mut answers, mut resumed) = (BTreeSet::new(), 0);
    for stop in 0.. {
        assert!(stop < 400, "the call never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
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
        crate::coverage::cut();
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }

        let node = node_on(&disk).await;
        let answer = node
            .call(&id("probe"), call)
            .await
            .unwrap_or_else(|error| panic!("after {operations}, killed: {killed}: {error}"));
        let answer = String::from_utf8(answer).unwrap();
        check(&answer, &folder.path().join("data"));
        answers.insert(answer);
        resumed += records_of(&node, "probe", Kind::Resume).await;
        replay(&node, "probe", "probe")
            .await
            .unwrap_or_else(|error| panic!("after {operations}, killed: {killed}: {error}"));
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    assert!(resumed > 0, "no stop was inside of the turn");
    answers
}

fn content(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

const UNKNOWN: &str = "whether these bytes were written is unknown";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_is_done_at_most_once_and_told_as_unknown_where_nobody_knows() {
    let append = "types#descriptor.append-via-stream";
    let answers = stop_everywhere(
        append,
        "log.txt|x",
        |_| (),
        false,
        |answer, folder| match answer {
            "()" => assert_eq!(content(folder, "log.txt"), "x"),
            unknown => {
                assert!(unknown.contains(UNKNOWN), "{unknown}");
                assert!(content(folder, "log.txt").len() <= 1, "done twice");
            }
        },
    );
    let answers = answers.await;
    assert_eq!(answers.len(), 2, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_repeat_in_the_grant_an_append_is_done_at_least_once() {
    let append = "types#descriptor.append-via-stream";
    let answers = stop_everywhere(
        append,
        "log.txt|x",
        |_| (),
        true,
        |answer, folder| {
            assert_eq!(answer, "()");
            assert!(content(folder, "log.txt").starts_with('x'));
        },
    );
    assert_eq!(answers.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_an_offset_is_done_again_and_the_file_is_not_truncated_again() {
    // The file is created and truncated by the open, then written: the first 5 bytes, then synced.
    let answers = stop_everywhere(
        "types#descriptor.write",
        "a.txt|hello",
        |_| (),
        false,
        |answer, folder| {
            assert_eq!(answer, "5");
            assert_eq!(content(folder, "a.txt"), "hello");
        },
    );
    assert_eq!(answers.await.len(), 1);
    let answers = stop_everywhere(
        "types#descriptor.write-via-stream",
        "a.txt|hello",
        |_| (),
        false,
        |answer, folder| {
            assert_eq!(answer, "()");
            assert_eq!(content(folder, "a.txt"), "hello");
        },
    );
    assert_eq!(answers.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_is_never_tried_twice() {
    let prepare = |folder: &Path| std::fs::write(folder.join("a.txt"), "first").unwrap();
    let answers = stop_everywhere("types#descriptor.rename-at", "a.txt|b.txt", prepare, false, |answer, folder| {
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
        let answers = stop_everywhere(read, "a.txt", prepare, false, |answer, _| assert_eq!(answer, "hello"));
        assert_eq!(answers.await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_files_go_on_where_they_had_got_to() {
    let answers = stop_everywhere(
        "streams#output-stream.in-pieces",
        "a.txt|pieces",
        |_| (),
        false,
        |answer, folder| {
            assert_eq!(answer, "pieces");
            assert_eq!(content(folder, "a.txt"), "pieces");
        },
    );
    assert_eq!(answers.await.len(), 1);
    let prepare = |folder: &Path| std::fs::write(folder.join("a.txt"), "a source").unwrap();
    let splice = "streams#output-stream.blocking-splice";
    let answers = stop_everywhere(splice, "a.txt|b.txt", prepare, false, |answer, folder| {
        assert_eq!(answer, "7");
        assert_eq!(content(folder, "b.txt"), " source");
    });
    assert_eq!(answers.await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_waited_for_is_waited_for_again_under_the_same_record() {
    for function in ["monotonic-clock#subscribe-duration", "monotonic-clock#subscribe-instant"] {
        let folder = tempfile::tempdir().unwrap();
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(probe(folder.path())).await.unwrap();
        let wait = Outgoing::new(function, &b"700"[..]).key("wait");
        let waiting = tokio::spawn({
            let (node, wait) = (node.clone(), wait.clone());
            async move { node.call(&id("probe"), wait).await }
        });
        // What another process would find, until it finds the wait.
        let again = loop {
            assert!(!waiting.is_finished(), "{function}: the wait was never found");
            node.sync().await.unwrap();
            let after = disk.fork();
            after.crash();
            crate::coverage::cut();
            let again = node_on(&after).await;
            if records_of(&again, "probe", Kind::Wait).await == 1 {
                break again;
            }
            again.close().await.unwrap();
        };
        waiting.abort();
        drop(node);

        assert_eq!(again.call(&id("probe"), wait).await.unwrap(), b"waited", "{function}");
        assert!(records_of(&again, "probe", Kind::Resume).await >= 1, "{function}: its turn went on");
        assert_eq!(records_of(&again, "probe", Kind::Wait).await, 1, "{function}: it did not begin another wait");
        assert_eq!(records_of(&again, "probe", Kind::Wake).await, 1, "{function}");
        replay(&again, "probe", "probe").await.unwrap();
        again.close().await.unwrap();
    }
}
