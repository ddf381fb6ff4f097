//! Tuple spaces and power cuts: "what it took, also through a completion, returns to its place (fault) or is handed over again
//! (crash)". The node is cut at every operation of the disk.

use troupe_log::{Kind, SimDisk};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{count, id, node_on, power_cut, replay};
use crate::tuplespace::{Watched, line, node_with};

fn script(text: &str, key: &str) -> Outgoing {
    Outgoing::new("do", text.as_bytes()).key(key)
}

async fn answer(node: &Node, actor: &str, call: Outgoing) -> String {
    String::from_utf8(node.call(&id(actor), call).await.unwrap()).unwrap()
}

/// The disk of a node that has tuples, and nothing open.
async fn ready() -> SimDisk {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["writer", "taker"]).await;
    line(&node, "writer", "write|jobs|t:job,i:1\nwrite|jobs|t:job,i:2\nwrite|jobs|t:other").await;
    power_cut(node.node, &disk)
}

/// Begins from `ready`, cuts the disk after each number of operations inside of what `actor` is told to do, opens the node again and
/// tells it again under the same key. Half of the times the disk keeps what was written.
async fn cut_everywhere(ready: &SimDisk, actor: &str, text: &str, check: impl AsyncFn(&Node, &str)) {
    for stop in 0.. {
        assert!(stop < 400, "it never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
        let disk = ready.fork();
        let node = node_on(&disk).await;
        let call = script(text, "once");
        disk.cut_after(operations);
        let whole = node.call(&id(actor), call.clone()).await.is_ok();
        drop(node);
        crate::coverage::cut();
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }
        let node = node_on(&disk).await;
        let answer = answer(&node, actor, call).await;
        check(&node, &answer).await;
        for actor in ["writer", "taker"] {
            replay(&node, actor, "tuples")
                .await
                .unwrap_or_else(|error| panic!("{actor}, after {operations}, killed: {killed}: {error}"));
        }
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_cut_at_every_operation_a_tuple_is_taken_once_or_is_there() {
    let ready = ready().await;
    // What it takes goes elsewhere, in one step; then in a later one, behind a wait.
    for text in
        ["take|jobs|t:job,*\nwrite|done|t:done", "nap|1\ntake|jobs|t:job,*\nwrite|done|t:done\nnap|1\ncount|done|*"]
    {
        cut_everywhere(&ready, "taker", text, async |node, answer| {
            assert!(answer.contains("=t:job,i:1"), "{answer}");
            let left = line(node, "writer", "count|jobs|t:job,*\ncount|jobs|*\ncount|done|*").await;
            assert_eq!(left, "1\n1\n1");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_cut_at_every_operation_a_swap_is_done_once_and_all_or_none_are_taken() {
    let ready = ready().await;
    cut_everywhere(&ready, "taker", "take-each|jobs|*,*;t:other", async |node, answer| {
        assert!(answer.ends_with("=t:other") && answer.contains("=t:job,i:1 "), "{answer}");
        assert_eq!(line(node, "writer", "count|jobs|*,*\ncount|jobs|*").await, "1\n0");
    })
    .await;
    cut_everywhere(&ready, "taker", "compare-and-swap|jobs|t:other|t:another", async |node, answer| {
        assert!(answer.ends_with("=t:other"), "{answer}");
        assert_eq!(line(node, "writer", "count|jobs|t:other\ncount|jobs|t:another").await, "0\n1");
    })
    .await;
}

/// A node with a first tuple and an actor that waits inside the call with the key `wait`.
async fn waits(text: &str) -> (SimDisk, Watched) {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["writer", "taker"]).await;
    line(&node, "writer", "write|jobs|t:first").await;
    drop(node.parked("taker", script(text, "wait")).await);
    node.sync().await.unwrap();
    (disk, node)
}

/// Its disk after a power cut.
async fn waiting(text: &str) -> SimDisk {
    let (disk, node) = waits(text).await;
    power_cut(node.node, &disk)
}

/// A writer serves who waits; whatever was committed when the power went, the tuple is handed over, once. What an earlier step of
/// the turn took stays taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_cut_at_every_operation_who_waits_gets_the_tuple_once() {
    const TEXT: &str = "take|jobs|t:first\ntake-blocking|jobs|t:job|\nwrite|done|t:done";
    let ready = waiting(TEXT).await;
    cut_everywhere(&ready, "writer", "write|jobs|t:job", async |node, id| {
        let got = answer(node, "taker", script(TEXT, "wait")).await;
        assert!(got.starts_with(&format!("1=t:first\n{id}=t:job\n")), "{got}, written as {id}");
        assert_eq!(line(node, "writer", "count|jobs|*\ncount|done|*").await, "0\n1");
        assert!(count(node, "taker", Kind::Resume).await > 0, "its turn was open");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_cut_at_every_operation_who_reads_gets_a_copy_and_the_tuple_stays() {
    let ready = waiting("read-blocking|jobs|t:job|").await;
    cut_everywhere(&ready, "writer", "write|jobs|t:job", async |node, id| {
        let got = answer(node, "taker", script("read-blocking|jobs|t:job|", "wait")).await;
        assert_eq!(got, format!("{id}=t:job"));
        assert_eq!(line(node, "writer", "take|jobs|t:job").await, got);
    })
    .await;
}

/// Served, and cut before it consumed what it was given: it is handed over again to that one, and nobody else sees it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_what_was_handed_over_and_not_consumed_is_handed_over_again() {
    let mut again = 0;
    for operations in 0..40 {
        let (disk, node) = waits("take-blocking|jobs|t:job|").await;
        disk.cut_after(operations);
        let written = node.call(&id("writer"), script("write|jobs|t:job", "once")).await;
        drop(node);
        // All that was written is kept: between the writer's batch and the waiter's lies the cut.
        disk.crash_keeping(true, |write| 0..write.len);
        crate::coverage::cut();
        let node = node_on(&disk).await;
        let there = line(&node, "writer", "take|jobs|t:job").await;
        assert_eq!(there, "none", "cut after {operations}: somebody else saw what was handed over");
        let id_ = match written {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(_) => answer(&node, "writer", script("write|jobs|t:job", "once")).await,
        };
        let got = answer(&node, "taker", script("take-blocking|jobs|t:job|", "wait")).await;
        assert_eq!(got, format!("{id_}=t:job"), "cut after {operations}");
        again += count(&node, "taker", Kind::Resume).await;
        replay(&node, "taker", "tuples").await.unwrap();
        node.close().await.unwrap();
    }
    assert!(again > 0);
}
