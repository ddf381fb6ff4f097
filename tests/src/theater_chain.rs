//! `get-chain` of `theater:simple`: the actor's journal as events, "answered from the journal", "so that a chain never contains
//! itself"; live, after a power cut, in replay, and in replay of a journal that was changed.

use std::collections::HashMap;
use std::sync::Arc;

use troupe_log::{ByteCount, Chain, Kind, Record, Seq, SimDisk, Step, record};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::boundary::Tag;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::Node;
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode};

use crate::support::{ask, cache, count, guest, id, node_on, power_cut, replay, spec, verified};

const FUNCTION: &str = "theater:simple/runtime#get-chain";

fn keeper(name: &str) -> ActorSpec {
    spec(name, "theater-keeper")
}

async fn chain(node: &Node, actor: &str) -> String {
    ask(node, actor, "any", "chain").await.unwrap()
}

async fn records(node: &Node, actor: &str) -> Vec<u8> {
    node.journal(&id(actor)).await.unwrap().read_all().unwrap()
}

fn each(journal: &[u8]) -> impl Iterator<Item = Record<'_>> {
    record::records(journal).map(Result::unwrap)
}

fn tag(record: &Record<'_>) -> Tag {
    Tag(u64::from_le_bytes(*record.body.first_chunk().unwrap()))
}

/// The numbers of the records that are a call of `get-chain`.
fn calls(journal: &[u8]) -> Vec<Seq> {
    let looked = |record: &Record<'_>| record.kind == Kind::Call && tag(record) == Tag::of_name(FUNCTION);
    each(journal).filter(looked).map(|record| record.seq).collect()
}

/// What the guest should have said in record `call`, from the journal as it is now.
fn expected(node: &Node, journal: &[u8], call: Seq) -> String {
    let short = |hash: [u8; 32]| u64::from_le_bytes(*hash.first_chunk().unwrap());
    let line = |record: Record<'_>| {
        let parent = match record.seq.0 {
            0 => "none".to_owned(),
            _ => format!("{:016x}", short(record.prev.0)),
        };
        let called = matches!(record.kind.known(), Some(Kind::Call | Kind::Wait));
        let name = if called { node.registry().name(tag(&record)) } else { record.kind.to_string() };
        format!("{:016x} {parent} {name} {}", short(record.head().0), record.body.len())
    };
    let lines: Vec<String> = each(journal).take_while(|record| record.seq < call).map(line).collect();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_sees_its_chain_and_the_chain_does_not_contain_itself() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(keeper("k")).await.unwrap();
    let mut answers = vec![chain(&node, "k").await];
    assert!(answers[0].contains(" none genesis "), "{}", answers[0]);
    ask(&node, "k", "any", "sleep|1").await.unwrap();
    ask(&node, "k", "any", "range|1|9").await.unwrap();
    answers.push(chain(&node, "k").await);
    answers.push(chain(&node, "k").await);
    let journal = records(&node, "k").await;
    for (call, answer) in calls(&journal).into_iter().zip(&answers) {
        assert_eq!(*answer, expected(&node, &journal, call), "record {call}");
        let record = each(&journal).find(|record| record.seq == call).unwrap();
        assert_eq!(record.body.len(), 61, "function, no parameters, range and digest, however much was seen");
    }
    for event in ["theater:simple/timing#sleep", "wake", "theater:simple/random#random-range", "turn-end", FUNCTION] {
        assert!(answers[2].contains(&format!(" {event} ")), "{event}: {}", answers[2]);
    }
    replay(&node, "k", "theater-keeper").await.unwrap();
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    let after = chain(&node, "k").await;
    let journal = records(&node, "k").await;
    assert_eq!(after, expected(&node, &journal, *calls(&journal).last().unwrap()));
    assert!(after.starts_with(&answers[2]), "what was there before the cut is there");
    replay(&node, "k", "theater-keeper").await.unwrap();
    verified(&node, "k").await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_was_rewritten_differs_where_the_actor_looked_at_it() {
    let node = node_on(&SimDisk::new()).await;
    node.start(keeper("k")).await.unwrap();
    ask(&node, "k", "any", "range|1|9").await.unwrap();
    chain(&node, "k").await;
    let journal = records(&node, "k").await;
    let code = || ReplayCode::compile_cached(&std::fs::read(guest("theater-keeper")).unwrap(), &cache()).unwrap();
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
    let call = *calls(&journal).last().unwrap();
    let mut step = Step::new(Chain::START);
    for record in each(&journal) {
        let kind = record.kind.known().unwrap();
        let changed = kind == Kind::TurnEnd && record.seq.0 + 2 == call.0;
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
            assert_eq!((divergence.seq, divergence.function.as_str()), (call, FUNCTION));
            assert_ne!(divergence.expected, divergence.actual);
        }
        other => panic!("{other:?}"),
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_needs_the_grant_and_no_more_of_it_is_made_than_the_actors_memory() {
    let node = node_on(&SimDisk::new()).await;
    let mut blind = keeper("blind");
    blind.grants.host = false;
    node.start(blind).await.unwrap();
    let Err(CallError::Faulted { cause, .. }) = ask(&node, "blind", "any", "chain").await else { panic!("not denied") };
    assert!(cause.contains("host"), "{cause}");
    assert!(count(&node, "blind", Kind::Denial).await >= 1);
    replay(&node, "blind", "theater-keeper").await.unwrap();

    let mut small = keeper("small");
    small.limits.memory = ByteCount::mib(3);
    node.start(small).await.unwrap();
    chain(&node, "small").await;
    let long = format!("range|1|9|{}", " ".repeat(900 << 10));
    for _ in 0..4 {
        ask(&node, "small", "any", &long).await.unwrap();
    }
    let error = ask(&node, "small", "any", "chain").await.unwrap_err().to_string();
    assert!(error.contains("3145728 bytes of memory"), "{error}");
    replay(&node, "small", "theater-keeper").await.unwrap();
    node.close().await.unwrap();
}
