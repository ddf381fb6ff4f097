//! "Same component, base and records: the same calls with the same arguments, ends of turns […]; the first difference ends it. It
//! touches nothing outside, never runs past the records."

use std::collections::HashMap;
use std::sync::Arc;

use troupe_log::export::{About, Exporter};
use troupe_log::{Chain, Kind, Seq, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::boundary::Divergence;
use troupe_runtime::node::{Node, Outgoing};
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode, Replayed};

use crate::support::{ask, begun, cache, count, guest, id, journal, node_on, power_cut, replay, sleeping, spec};

fn code(name: &str) -> ReplayCode {
    ReplayCode::compile_cached(&std::fs::read(guest(name)).unwrap(), &cache()).unwrap()
}

/// A journal that a file brought here.
async fn exported(node: &Node, actor: &str) -> JournalSource {
    let records = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    let info = node.actor(&id(actor)).await.unwrap();
    let about = About { actor: info.id, incarnation: info.incarnation, component: info.component, start: Chain::START };
    let mut file = Exporter::new(Vec::new(), &about).unwrap();
    file.records(&records).unwrap();
    let export = troupe_log::export::read(&file.finish().unwrap()).unwrap();
    assert_eq!(export.end, Chain { next: info.next, head: info.head });
    let blobs: HashMap<_, _> = export.blobs.into_iter().collect();
    JournalSource::Bytes { records: export.records.into(), blobs: Arc::new(blobs) }
}

async fn turns(source: JournalSource, name: &str) -> Vec<Replayed> {
    let mut replay = Replay::new(code(name), source).unwrap();
    assert!(replay.same_component());
    let mut turns = Vec::new();
    while let Some(turn) = replay.next_turn().await.unwrap() {
        turns.push(turn);
    }
    assert!(replay.next_turn().await.unwrap().is_none(), "it has ended");
    turns
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_actor_and_its_exported_file_replay_alike_turn_by_turn() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.supervision.max_restarts = 100;
    node.start(counter).await.unwrap();
    for (message_type, payload) in
        [("add", "5"), ("dice", ""), ("now", ""), ("add", "x"), ("sleep", "1"), ("log", "hi")]
    {
        // An error is an answer like any other.
        let _ = ask(&node, "counter", message_type, payload).await;
    }
    ask(&node, "counter", "trap", "").await.unwrap_err();
    assert_eq!(ask(&node, "counter", "get", "").await.unwrap(), "5");

    let live = turns(journal(&node, "counter").await, "counter-rust").await;
    let info = node.actor(&id("counter")).await.unwrap();
    assert_eq!(live.last().unwrap().last, Seq(info.next.0 - 1));
    assert_eq!(live.last().unwrap().head, info.head);
    let types: Vec<_> = live.iter().map(|turn| turn.message_type.as_deref().unwrap_or(turn.kind.name())).collect();
    let expected = ["instantiate", "init", "add", "dice", "now", "add", "sleep", "log", "trap", "trap", "trap", "get"];
    assert_eq!(types, expected);
    let ends: Vec<_> = [2, 5, 6, 11].map(|n: usize| live[n].ended()).to_vec();
    assert_eq!(ends, ["answer \"5\"", "error \"not a number: x\"", "answer \"slept\"", "answer \"5\""]);
    assert!(live[8].faulted() && live[8].ended().starts_with("fault trap: "), "{}", live[8].ended());
    for (n, turn) in live.iter().enumerate() {
        assert_eq!(turn.number, n as u64 + 1);
        assert!(n == 0 || turn.began == live[n - 1].last.next(), "no record is left out");
    }

    let file = turns(exported(&node, "counter").await, "counter-rust").await;
    assert_eq!(format!("{file:?}"), format!("{live:?}"));
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_is_still_open_is_compared_to_its_last_record() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(spec("sleeper", "sleeper")).await.unwrap();
    ask(&node, "sleeper", "nap", "1").await.unwrap();
    let sleeper = id("sleeper");
    let napping = begun(node.call(&sleeper, Outgoing::new("nap", &b"2000"[..]))).await;
    sleeping(&node, 1).await;
    node.sync().await.unwrap();
    drop(napping);
    let node = node_on(&power_cut(node, &disk)).await;
    // It is taken up again, which is a record.
    while count(&node, "sleeper", Kind::Resume).await < 1 {
        tokio::task::yield_now().await;
    }
    for source in [journal(&node, "sleeper").await, exported(&node, "sleeper").await] {
        let last = turns(source, "sleeper").await.pop().unwrap();
        assert_eq!((last.message_type.as_deref(), last.ended().as_str()), (Some("nap"), "still open"));
        assert_eq!(last.last, Seq(node.actor(&sleeper).await.unwrap().next.0 - 1), "begin and wait");
    }
    let found = difference(&node, "sleeper", "bench").await;
    assert!(found.actual.contains("unknown message type: nap"), "{found}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_where_it_is_told_and_shows_the_state_there() {
    let node = node_on(&SimDisk::new()).await;
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = 12;
    node.start(saver).await.unwrap();
    for n in 1..=14 {
        assert_eq!(ask(&node, "saver", "add", &n.to_string()).await.unwrap(), (n * (n + 1) / 2).to_string());
    }
    let all = turns(journal(&node, "saver").await, "saver").await;
    let bases = all.iter().filter(|turn| turn.kind.name() == "save").count();
    assert!(bases >= 2, "{bases} bases");
    let mut total = 0;
    let mut steps = Replay::new(code("saver"), journal(&node, "saver").await).unwrap();
    for turn in &all {
        if turn.message_type.is_some() {
            total = turn.ended().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        }
        // Once in one go, once step by step.
        let mut replay = Replay::new(code("saver"), journal(&node, "saver").await).unwrap();
        let summary = replay.until(turn.last, |_| ()).await.unwrap();
        assert_eq!(summary.turns, turn.number, "{turn:?}");
        assert_eq!(steps.until(turn.last, |_| ()).await.unwrap(), summary);
        if turn.kind.name() == "instantiate" {
            continue;
        }
        for replay in [&mut replay, &mut steps] {
            let state = replay.state().await.unwrap();
            assert_eq!(state.saved, Some(total.to_string().into_bytes()), "{turn:?}");
            assert!(state.memory >= 1 << 16);
        }
        // One record less is the turn before.
        let mut before = Replay::new(code("saver"), journal(&node, "saver").await).unwrap();
        assert_eq!(before.until(Seq(turn.last.0 - 1), |_| ()).await.unwrap().turns, turn.number - 1);
    }
    assert_eq!(total, 105_u64);
    assert!(steps.next_turn().await.unwrap().is_none());

    node.start(spec("machine", "fsm")).await.unwrap();
    for (message_type, state) in [("begin", "running"), ("finish", "done")] {
        ask(&node, "machine", message_type, "").await.unwrap();
        let mut replay = Replay::new(code("fsm"), journal(&node, "machine").await).unwrap();
        replay.until(Seq(u64::MAX), |_| ()).await.unwrap();
        let view = replay.state().await.unwrap();
        assert_eq!((view.fsm.as_str(), view.saved), (state, None));
    }
    node.close().await.unwrap();
}

async fn difference(node: &Node, actor: &str, other: &str) -> Divergence {
    let mut replay = Replay::new(code(other), journal(node, actor).await).unwrap();
    assert!(!replay.same_component());
    loop {
        match replay.next_turn().await {
            Ok(Some(_)) => {}
            Err(Error::Differs(divergence)) => {
                assert!(replay.next_turn().await.unwrap().is_none(), "the first difference ends it");
                return divergence;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_difference_names_the_record_the_function_and_both_calls_in_words() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("bench", "bench")).await.unwrap();
    ask(&node, "bench", "echo", "same").await.unwrap();
    ask(&node, "bench", "tick", "same").await.unwrap();
    let end = Seq(node.actor(&id("bench")).await.unwrap().next.0 - 1);
    // The recorded turn has a call; this component ends the turn without one.
    let found = difference(&node, "bench", "counter-rust").await;
    assert_eq!((found.seq, found.function.as_str()), (Seq(end.0 - 1), "troupe:actor/host@0.1#now-millis"));
    assert_eq!(found.expected, "troupe:actor/host@0.1#now-millis()");
    assert_eq!(found.actual, "ended the turn with error \"unknown message type: tick\"");

    // Both call, with other arguments.
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "log", "hello").await.unwrap();
    let end = Seq(node.actor(&id("counter")).await.unwrap().next.0 - 1);
    let found = difference(&node, "counter", "fsm").await;
    assert_eq!((found.seq, found.function.as_str()), (Seq(end.0 - 1), "troupe:actor/host@0.1#log"));
    assert_eq!(found.expected, "troupe:actor/host@0.1#log(Info, \"hello\")");
    assert_eq!(found.actual, "troupe:actor/host@0.1#log(Info, \"1 start log\")");

    // The recorded turn has no call; this component makes one.
    let mut second = spec("second", "counter-rust");
    second.init = b"5".to_vec();
    node.start(second).await.unwrap();
    ask(&node, "second", "get", "").await.unwrap();
    let end = Seq(node.actor(&id("second")).await.unwrap().next.0 - 1);
    let found = difference(&node, "second", "fsm").await;
    assert_eq!((found.seq, found.function.as_str()), (end, "troupe:actor/host@0.1#log"));
    assert_eq!(found.expected, "the end of the turn with answer \"5\"");
    assert_eq!(found.actual, "troupe:actor/host@0.1#log(Info, \"1 start get\")");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_another_component_gives_otherwise_is_a_difference_at_the_end_of_its_turn() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "echo", "same").await.unwrap();
    let error = ask(&node, "counter", "trap", "").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { .. }));
    let last = node.actor(&id("counter")).await.unwrap().next.0 - 1;
    let found = difference(&node, "counter", "bench").await;
    // Three attempts of two records each: the first one differs.
    assert_eq!(found.seq, Seq(last - 4));
    assert_eq!(found.function, "the end of the turn");
    assert!(found.expected.starts_with("trap: "), "{found}");
    assert_eq!(found.actual, "error \"unknown message type: trap\"");
    replay(&node, "counter", "counter-rust").await.unwrap();

    // Both answer, each with its own count.
    node.start(spec("faulty", "faulty")).await.unwrap();
    assert_eq!(ask(&node, "faulty", "count", "").await.unwrap(), "1");
    let found = difference(&node, "faulty", "sleeper").await;
    assert_eq!((found.expected.as_str(), found.actual.as_str()), ("answer \"1\"", "answer \"0\""));
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_fault_a_replay_goes_on_from_the_newest_base() {
    let node = node_on(&SimDisk::new()).await;
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = 20;
    saver.limits.fuel = 30_000;
    saver.supervision.max_restarts = 1000;
    node.start(saver).await.unwrap();
    let wide = " ".repeat(100_000) + "1";
    for n in 1..=200_u64 {
        assert_eq!(ask(&node, "saver", "add", "1").await.unwrap(), n.to_string());
        if n % 10 == 0 {
            let error = ask(&node, "saver", "add", &wide).await.unwrap_err();
            assert!(error.to_string().contains("out-of-fuel"), "{error}");
        }
    }
    assert!(count(&node, "saver", Kind::Base).await > 10);
    let mut replay = Replay::new(code("saver"), journal(&node, "saver").await).unwrap();
    while replay.next_turn().await.unwrap().is_some() {}
    let (turns, played) = (replay.summary().turns, replay.played());
    assert_eq!(replay.state().await.unwrap().saved.as_deref(), Some(&b"200"[..]));
    assert!(played > turns, "behind each of 20 faults some turns are run again");
    assert!(played < 2 * turns, "{played} for {turns} turns: all from the start would be ten times as many");
    node.close().await.unwrap();
}
