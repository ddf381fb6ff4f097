//! "What can be derived from journals […] is recorded as range and digest": an actor that looks at its own journal, live, after a
//! power cut, and in replay of the node, of an exported file, and of one that was changed.

use std::collections::HashMap;
use std::sync::Arc;

use troupe_log::{ByteCount, Chain, Kind, Seq, SimDisk, Step, record};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::Node;
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode};

use crate::support::{ask, cache, count, guest, id, node_on, power_cut, replay, spec, verified};

fn reader(name: &str) -> ActorSpec {
    let mut spec = spec(name, "self-reader");
    spec.grants.journal = true;
    spec
}

async fn records(node: &Node, actor: &str) -> Vec<u8> {
    node.journal(&id(actor)).await.unwrap().read_all().unwrap()
}

/// What the guest should have said, from the journal as it is now, of a call that was record `call`.
fn expected(journal: &[u8], call: Seq, newest: usize) -> String {
    let before: Vec<_> = record::records(journal).map(Result::unwrap).take_while(|r| r.seq < call).collect();
    let newest = before.iter().skip(before.len().saturating_sub(newest));
    newest.map(|r| format!("{} {} {}\n", r.seq, r.kind, r.head())).collect()
}

fn calls(journal: &[u8]) -> Vec<Seq> {
    record::records(journal).map(Result::unwrap).filter(|r| r.kind == Kind::Call).map(|r| r.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_sees_its_own_journal_and_the_journal_does_not_hold_what_it_saw() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(reader("self")).await.unwrap();
    let (mut answers, mut sizes) = (Vec::new(), Vec::new());
    for n in [3, 1000, 0, 1000] {
        answers.push((n, ask(&node, "self", "newest", &n.to_string()).await.unwrap()));
    }
    let journal = records(&node, "self").await;
    for (call, (n, answer)) in calls(&journal).into_iter().zip(&answers) {
        assert_eq!(*answer, expected(&journal, call, *n), "record {call}");
        let record = record::records(&journal).map(Result::unwrap).find(|r| r.seq == call).unwrap();
        sizes.push(record.body.len());
    }
    assert_eq!(sizes, [65; 4], "tag, parameters, range and digest, however much was seen");
    assert!(answers[3].1.lines().count() > answers[1].1.lines().count(), "it grows");
    replay(&node, "self", "self-reader").await.unwrap();
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    let after = ask(&node, "self", "newest", "1000").await.unwrap();
    let journal = records(&node, "self").await;
    assert_eq!(after, expected(&journal, *calls(&journal).last().unwrap(), 1000));
    assert!(after.starts_with(answers[1].1.as_str()), "what was there before the cut is there");
    replay(&node, "self", "self-reader").await.unwrap();
    verified(&node, "self").await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_changed_and_linked_again_differs_where_it_was_looked_at() {
    let node = node_on(&SimDisk::new()).await;
    node.start(reader("self")).await.unwrap();
    ask(&node, "self", "newest", "0").await.unwrap();
    ask(&node, "self", "newest", "4").await.unwrap();
    let journal = records(&node, "self").await;
    let code = || ReplayCode::compile_cached(&std::fs::read(guest("self-reader")).unwrap(), &cache()).unwrap();
    let played = async |records: Vec<u8>| {
        let source = JournalSource::Bytes { records: records.into(), blobs: Arc::new(HashMap::new()) };
        let mut replay = Replay::new(code(), source).unwrap();
        loop {
            match replay.next_turn().await {
                Ok(Some(_)) => {}
                other => return other.map(drop),
            }
        }
    };
    played(journal.clone()).await.unwrap();

    // The fuel of the turn before is another, which the guest cannot know but by looking.
    let second = *calls(&journal).last().unwrap();
    let mut step = Step::new(Chain::START);
    for record in record::records(&journal).map(Result::unwrap) {
        let kind = record.kind.known().unwrap();
        let changed = kind == Kind::TurnEnd && record.seq.0 + 2 == second.0;
        step.record(kind, |out| {
            out.extend_from_slice(record.body);
            if changed {
                let at = out.len() - record.body.len() + 1;
                out[at] ^= 1;
            }
        });
    }
    match played(step.bytes().to_vec()).await {
        Err(Error::Differs(divergence)) => {
            assert_eq!(divergence.seq, second);
            assert_eq!(divergence.function, "troupe:journal/records@0.1#newest");
            assert!(divergence.expected.starts_with("derived from records 0.."), "{divergence}");
            assert_ne!(divergence.expected, divergence.actual);
        }
        other => panic!("{other:?}"),
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_records_are_seen_at_once_and_no_more() {
    let node = node_on(&SimDisk::new()).await;
    node.start(reader("self")).await.unwrap();
    while node.actor(&id("self")).await.unwrap().next <= Seq(1000) {
        ask(&node, "self", "newest", "0").await.unwrap();
    }
    for (asked, seen) in [("1000", 1000), ("1001", 1000), ("4294967295", 1000)] {
        assert_eq!(ask(&node, "self", "newest", asked).await.unwrap().lines().count(), seen, "{asked}");
    }
    replay(&node, "self", "self-reader").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_grant_it_traps_and_a_journal_over_its_memory_is_a_limit() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("blind", "self-reader")).await.unwrap();
    let Err(CallError::Faulted { .. }) = ask(&node, "blind", "newest", "1").await else { panic!("not denied") };
    assert!(count(&node, "blind", Kind::Denial).await >= 1);
    replay(&node, "blind", "self-reader").await.unwrap();

    let mut small = reader("small");
    small.limits.memory = ByteCount::mib(3);
    small.limits.payload = ByteCount::mib(1);
    node.start(small).await.unwrap();
    ask(&node, "small", "newest", "1").await.unwrap();
    let long = " ".repeat(900 << 10) + "1";
    for _ in 0..3 {
        ask(&node, "small", "newest", &long).await.unwrap();
    }
    let error = ask(&node, "small", "newest", &long).await.unwrap_err().to_string();
    assert!(error.contains("3145728 bytes of memory"), "{error}");
    replay(&node, "small", "self-reader").await.unwrap();
    node.close().await.unwrap();
}
