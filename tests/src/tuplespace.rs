//! Tuple spaces: "each operation is atomic and sees committed data and the step's own; a taken item is invisible until its step
//! ends. Waiters are served in order of arrival. Leases count node time."

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Mode, TupleSpaces};
use troupe_runtime::node::phases::{Phase, Watch};
use troupe_runtime::node::{Node, NodeOptions, Outgoing};

use crate::coverage;
use crate::support::{ask, count, id, logged, options, power_cut, replay, spec, verified};

/// An actor that may use every space of its namespace.
pub fn user(name: &str) -> ActorSpec {
    let mut spec = spec(name, "tuples");
    spec.grants.tuplespace = Some(TupleSpaces { spaces: vec![ActorPattern::parse("*").unwrap()], read: Vec::new() });
    spec.limits.deadline = None;
    spec.supervision.max_restarts = 1000;
    spec
}

/// A node that says how many turns have begun to wait.
pub struct Watched {
    pub node: Node,
    waits: Arc<Waits>,
}

#[derive(Default)]
struct Waits(AtomicUsize);

impl Watch for Waits {
    fn change(&self, phase: Phase, begins: bool) {
        if phase == Phase::Wait && begins {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

impl std::ops::Deref for Watched {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Watched {
    pub async fn on(disk: &SimDisk) -> Watched {
        logged();
        coverage::opens(disk);
        let waits = Arc::<Waits>::default();
        let node = Node::open(NodeOptions { watch: Some(waits.clone()), ..options(disk) }).await.unwrap();
        Watched { node, waits }
    }

    /// Has an actor do what will wait, and waits until it does.
    pub async fn parked(&self, actor: &str, call: Outgoing) -> JoinHandle<Result<Vec<u8>, CallError>> {
        let begun = self.waits.0.load(Relaxed);
        let (node, actor) = (self.node.clone(), id(actor));
        let waiting = tokio::spawn(async move { node.call(&actor, call).await });
        while self.waits.0.load(Relaxed) == begun {
            assert!(!waiting.is_finished(), "it did not wait");
            tokio::task::yield_now().await;
        }
        waiting
    }
}

/// A node with these users of spaces.
pub async fn node_with(disk: &SimDisk, actors: &[&str]) -> Watched {
    let node = Watched::on(disk).await;
    for actor in actors {
        node.start(user(actor)).await.unwrap();
    }
    node
}

/// Has an actor do these lines in one turn.
pub async fn lines(node: &Node, actor: &str, lines: &[&str]) -> Vec<String> {
    let answer = ask(node, actor, "do", &lines.join("\n")).await.unwrap();
    answer.lines().map(str::to_owned).collect()
}

/// Has an actor do one line.
pub async fn line(node: &Node, actor: &str, text: &str) -> String {
    ask(node, actor, "do", text).await.unwrap()
}

async fn parked(node: &Watched, actor: &str, text: &str) -> JoinHandle<Result<Vec<u8>, CallError>> {
    node.parked(actor, Outgoing::new("do", text.as_bytes())).await
}

async fn done(waiting: JoinHandle<Result<Vec<u8>, CallError>>) -> String {
    String::from_utf8(waiting.await.unwrap().unwrap()).unwrap()
}

/// The fields of a stored tuple, without its id.
fn fields(stored: &str) -> &str {
    stored.split_once('=').map_or(stored, |(_, fields)| fields)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_every_function_works_live_and_after_a_power_cut_and_replays() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["one", "two"]).await;
    let all = lines(
        &node,
        "one",
        &[
            "write|jobs|t:job,i:1,f:-0.0,b:xy,o:true,n",
            "write|jobs|t:job,i:2,f:2.5,b:xy,o:true,n",
            "write|jobs|t:job,i:3,f:NaN,b:xy,o:false,n|600000",
            "write|jobs|t:other",
            "read|jobs|t:job,*,f:0.0,*,*,*",
            "read|jobs|t:jo*,i:2..,?f,?b,?o,?n",
            "read|jobs|?t,*,f:NaN,*,*,n",
            "read|jobs|*,*,f:..,*,o:false,*",
            "count|jobs|t:job,*,*,*,*,*",
            "count|nothing|*",
            "read-blocking|jobs|t:other|",
            "take-blocking|jobs|t:missing|0",
            "take|jobs|t:job,i:2,*,*,*,*",
            "take|jobs|t:job,i:2,*,*,*,*",
            "compare-and-swap|jobs|t:other|t:others,i:7",
            "compare-and-swap|jobs|t:other|t:never",
            "read-all|jobs|t:job,*,*,*,*,*||1",
            "read-all|jobs|t:job,*,*,*,*,*|1|",
            "take-each|jobs|*,*;t:missing",
            "take-each|jobs|*,*;t:job,i:1,*,*,*,*",
            "renew|jobs|3|700000",
            "renew|jobs|1|700000",
            "revoke|jobs|1",
            "subscribe|jobs|*",
            "subscribe|gone|*",
            "unsubscribe|6",
        ],
    )
    .await;
    let expected = [
        "1",
        "2",
        "3",
        "4",
        "1=t:job,i:1,f:-0.0,b:xy,o:true,n",
        "2=t:job,i:2,f:2.5,b:xy,o:true,n",
        "3=t:job,i:3,f:NaN,b:xy,o:false,n",
        "none",
        "3",
        "0",
        "4=t:other",
        "none",
        "2=t:job,i:2,f:2.5,b:xy,o:true,n",
        "none",
        "4=t:other",
        "err: conflict",
        "1=t:job,i:1,f:-0.0,b:xy,o:true,n",
        "3=t:job,i:3,f:NaN,b:xy,o:false,n",
        "none",
        "4=t:others,i:7 1=t:job,i:1,f:-0.0,b:xy,o:true,n",
        "renewed",
        "err: not-found tuple 1",
        "false",
        "5",
        "6",
        "unsubscribed",
    ];
    assert_eq!(all, expected);
    assert_eq!(line(&node, "two", "count|jobs|t:job,*,*,*,*,*").await, "1", "the other sees what was committed");
    let waiting = parked(&node, "two", "take-blocking|later|t:a|").await;
    line(&node, "one", "write|later|t:a").await;
    assert_eq!(fields(&done(waiting).await), "t:a");

    let node = Watched::on(&power_cut(node.node, &disk)).await;
    assert_eq!(line(&node, "two", "read-all|jobs|*,*,*,*,*,*||").await, "3=t:job,i:3,f:NaN,b:xy,o:false,n");
    let written: u64 = line(&node, "two", "write|jobs|t:new").await.parse().unwrap();
    assert!(written > 7, "an id is not given twice: {written}");
    let kept = loop {
        let kept = ask(&node, "one", "kept", "").await.unwrap();
        if !kept.is_empty() {
            break kept;
        }
    };
    let payload = format!(r#"{{"id":"{written}","value":[{{"text":"new"}}]}}"#);
    assert_eq!(kept, format!("@space/default/jobs troupe:tuple troupe-subscription=5 {payload}"));
    assert_eq!(line(&node, "one", "unsubscribe|5").await, "unsubscribed");
    assert_eq!(line(&node, "one", "unsubscribe|5").await, "err: not-found subscription 5");
    for actor in ["one", "two"] {
        verified(&node, actor).await;
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "Exactly one takes it": whether they wait or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_of_many_takers_exactly_one_gets_each_tuple() {
    let names: Vec<String> = (0..8).map(|number| format!("taker-{number}")).collect();
    let mut actors: Vec<&str> = names.iter().map(String::as_str).collect();
    actors.push("writer");
    let disk = SimDisk::new();
    let node = node_with(&disk, &actors).await;
    for wait in [true, false] {
        if !wait {
            line(&node, "writer", "many|jobs|t:job|20").await;
        }
        let takers: Vec<_> = names
            .iter()
            .map(|name| {
                let (node, name) = (node.node.clone(), name.clone());
                let take = if wait { "take-blocking|jobs|t:job,*|60000" } else { "take|jobs|t:job,*" };
                tokio::spawn(async move {
                    let mut mine = Vec::new();
                    // 8 x 2 tuples for those who wait, and one more for each of the first 4 of the others.
                    for _ in 0..if wait { 2 } else { 5 } {
                        mine.push(line(&node, &name, take).await);
                    }
                    mine
                })
            })
            .collect();
        if wait {
            for _ in 0..4 {
                line(&node, "writer", "many|jobs|t:job|4").await;
            }
        }
        let mut taken = Vec::new();
        for taker in takers {
            taken.extend(taker.await.unwrap());
        }
        let found: Vec<_> = taken.iter().filter(|taken| *taken != "none").collect();
        let different: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(found.len(), if wait { 16 } else { 20 }, "{taken:?}");
        assert_eq!(different.len(), found.len(), "two have the same: {taken:?}");
        assert_eq!(line(&node, "writer", "count|jobs|*,*").await, "0");
    }
    for actor in actors {
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "What it took returns to its place (fault)": also what it wrote is gone, and those who wait are served first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_a_fault_gives_back_what_was_taken_to_its_old_place() {
    let node = node_with(&SimDisk::new(), &["one", "two", "three"]).await;
    lines(&node, "one", &["write|s|t:a,i:1", "write|s|t:a,i:2", "write|s|t:a,i:3"]).await;
    let script = "take|s|t:a,*\ntake|s|t:a,i:3\nwrite|s|t:a,i:9\nrenew|s|2|1\ntrap";
    let error = ask(&node, "two", "do", script).await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: false, .. }), "{error}");
    assert_eq!(line(&node, "three", "read-all|s|*,*||").await, "1=t:a,i:1 2=t:a,i:2 3=t:a,i:3");
    assert_eq!(line(&node, "three", "take|s|t:a,*").await, "1=t:a,i:1");

    let waiting = parked(&node, "three", "take-blocking|s|t:b|").await;
    let error = ask(&node, "two", "do", "write|s|t:b\nread-blocking|s|t:b|1\ntrap").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { .. }), "{error}");
    assert!(!waiting.is_finished(), "what was never committed was handed over");
    line(&node, "two", "write|s|t:b").await;
    assert_eq!(fields(&done(waiting).await), "t:b");
    for actor in ["one", "two", "three"] {
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "A taken item is invisible until its step ends", then whoever waits for it gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_a_waiter_gets_what_the_fault_of_another_gave_back() {
    let node = node_with(&SimDisk::new(), &["one", "two", "three"]).await;
    line(&node, "one", "write|s|t:only").await;
    // It takes the tuple in a step that is open for as long as it computes, then runs out of fuel.
    let mut greedy = user("greedy");
    greedy.limits.fuel = 400_000_000;
    node.start(greedy).await.unwrap();
    let taking = tokio::spawn({
        let node = node.node.clone();
        async move { ask(&node, "greedy", "do", "take|s|t:only\nspin").await }
    });
    while line(&node, "one", "count|s|t:only").await == "1" {
        assert!(!taking.is_finished());
    }
    let first = parked(&node, "two", "take-blocking|s|t:only|").await;
    let second = parked(&node, "three", "take-blocking|s|*|").await;
    taking.await.unwrap().unwrap_err();
    assert_eq!(fields(&done(first).await), "t:only", "the first in line");
    assert!(!second.is_finished());
    line(&node, "one", "write|s|t:another").await;
    assert_eq!(fields(&done(second).await), "t:another");
    for actor in ["two", "three"] {
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "Waiters are served in order of arrival."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_waiters_are_served_in_order_of_arrival() {
    let node = node_with(&SimDisk::new(), &["writer", "a", "b", "c", "d", "e"]).await;
    let a = parked(&node, "a", "take-blocking|s|*,i:5..|").await;
    let b = parked(&node, "b", "read-blocking|s|t:x,*|").await;
    let c = parked(&node, "c", "take-blocking|s|t:x,*|").await;
    let d = parked(&node, "d", "take-blocking|s|*,*|").await;
    let e = parked(&node, "e", "read-blocking|s|*,*|").await;
    let written = lines(&node, "writer", &["write|s|t:x,i:1", "write|s|t:y,i:2", "write|s|t:z,i:9"]).await;
    let [x, y, z] = &written[..] else { panic!("{written:?}") };
    assert_eq!(done(b).await, format!("{x}=t:x,i:1"), "a copy for who reads");
    assert_eq!(done(c).await, format!("{x}=t:x,i:1"));
    assert_eq!(done(d).await, format!("{y}=t:y,i:2"));
    assert_eq!(done(a).await, format!("{z}=t:z,i:9"));
    assert!(!e.is_finished(), "those before it took all");
    line(&node, "writer", "write|s|t:w,i:0").await;
    assert_eq!(fields(&done(e).await), "t:w,i:0");
    assert_eq!(line(&node, "writer", "count|s|*,*").await, "1");
    node.node.close().await.unwrap();
}

/// A waiter that has timed out, was stopped, or whose turn was killed takes nothing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_a_waiter_that_is_gone_leaves_nothing_behind() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["writer", "late", "stopped"]).await;
    let mut patient = user("patient");
    patient.limits.deadline = Some(Duration::from_secs(2));
    node.start(patient).await.unwrap();
    assert_eq!(line(&node, "late", "take-blocking|s|t:x|20").await, "none");
    assert_eq!(line(&node, "patient", "take-blocking|s|t:x|").await, "err: timeout", "before its turn is killed");
    let waiting = parked(&node, "stopped", "take-blocking|s|t:x|").await;
    node.stop_now(&id("stopped"), "enough").await.unwrap();
    waiting.await.unwrap().unwrap_err();
    line(&node, "writer", "write|s|t:x").await;
    assert_eq!(line(&node, "writer", "count|s|t:x").await, "1");
    let node = Watched::on(&power_cut(node.node, &disk)).await;
    assert_eq!(line(&node, "late", "take-blocking|s|t:x|").await.split('=').nth(1), Some("t:x"));
    assert_eq!(line(&node, "writer", "count|s|t:x").await, "0");
    for actor in ["late", "patient", "writer"] {
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "Leases count node time": one ends, one is renewed, one goes on through a power cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_a_lease_ends_unless_it_is_renewed() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["one", "two"]).await;
    let written = lines(&node, "one", &["write|s|t:short|30", "write|s|t:kept|30", "write|s|t:long|600000"]).await;
    line(&node, "one", &format!("renew|s|{}|600000", written[1])).await;
    while line(&node, "two", "count|s|t:short").await != "0" {}
    assert_eq!(
        line(&node, "two", &format!("renew|s|{}|5", written[0])).await,
        format!("err: not-found tuple {}", written[0])
    );
    assert_eq!(line(&node, "two", &format!("revoke|s|{}", written[2])).await, "true");
    assert_eq!(line(&node, "two", "write|s|t:at-once|0").await, (written[2].parse::<u64>().unwrap() + 1).to_string());
    assert_eq!(line(&node, "one", "take|s|t:at-once").await, "none");
    let node = Watched::on(&power_cut(node.node, &disk)).await;
    assert_eq!(line(&node, "one", "read-all|s|*||").await, format!("{}=t:kept", written[1]));
    line(&node, "one", &format!("renew|s|{}|10", written[1])).await;
    // Who waits is not served with what is over.
    assert_eq!(line(&node, "two", "nap|20\ntake-blocking|s|t:kept|1").await, "slept\nnone");
    for actor in ["one", "two"] {
        replay(&node, actor, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// "Compare-and-swap: commits the step with it": no increment is lost among many, and the tuple keeps its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_compare_and_swap_loses_no_increment() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["a", "b", "c", "d"]).await;
    let first = line(&node, "a", "write|n|i:0").await;
    let adding = ["a", "b", "c", "d"].map(|name| {
        let node = node.node.clone();
        tokio::spawn(async move { line(&node, name, "add|n|25").await })
    });
    for adding in adding {
        adding.await.unwrap();
    }
    let error = ask(&node, "a", "do", "compare-and-swap|n|i:100|i:101\ntrap").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: true, .. }), "{error}");
    let waiting = parked(&node, "b", "take-blocking|n|i:500|").await;
    node.sync().await.unwrap();
    let node = Watched::on(&{
        drop(waiting);
        power_cut(node.node, &disk)
    })
    .await;
    assert_eq!(line(&node, "a", "read-all|n|*||").await, format!("{first}=i:101"), "a swap cannot be undone");
    line(&node, "a", "compare-and-swap|n|i:101|i:500").await;
    while line(&node, "c", "count|n|*").await != "0" {}
    for name in ["a", "b", "c", "d"] {
        replay(&node, name, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// Subscribers hear of what is committed, once, in order; not of what a fault undid, and not after their end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_subscribers_are_told_of_what_was_committed() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["writer", "hears", "ends"]).await;
    let subscription = line(&node, "hears", "subscribe|s|t:x,*").await;
    line(&node, "ends", "subscribe|s|*,*").await;
    lines(&node, "writer", &["write|s|t:x,i:1", "write|s|t:y,i:2", "write|s|t:x,i:3"]).await;
    ask(&node, "writer", "do", "write|s|t:x,i:4\ntrap").await.unwrap_err();
    line(&node, "writer", "take|s|t:x,i:3\nwrite|s|t:x,i:5\ntake|s|t:x,i:5").await;
    line(&node, "writer", "compare-and-swap|s|t:y,*|t:x,i:6").await;
    node.stop_now(&id("ends"), "enough").await.unwrap();
    let node = Watched::on(&power_cut(node.node, &disk)).await;
    line(&node, "writer", "write|s|t:x,i:7").await;
    let told = async |count: usize| loop {
        let kept = ask(&node, "hears", "kept", "").await.unwrap();
        let values: Vec<String> =
            kept.lines().map(|line| line.rsplit("integer\":\"").next().unwrap().to_owned()).collect();
        if values.len() >= count {
            assert!(kept.lines().all(|line| line.contains(&format!("troupe-subscription={subscription} "))), "{kept}");
            return values.concat();
        }
    };
    assert_eq!(told(4).await, "1\"}]}3\"}]}6\"}]}7\"}]}");
    line(&node, "hears", &format!("unsubscribe|{subscription}")).await;
    line(&node, "writer", "write|s|t:x,i:8").await;
    assert_eq!(told(4).await, "1\"}]}3\"}]}6\"}]}7\"}]}");
    for name in ["writer", "hears"] {
        replay(&node, name, "tuples").await.unwrap();
    }
    node.node.close().await.unwrap();
}

/// Denied by default; `read` lets look and be told; another namespace only where it is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_grants_are_kept() {
    let node = node_with(&SimDisk::new(), &["user"]).await;
    line(&node, "user", "write|s|t:x").await;
    node.start(spec("nobody", "tuples")).await.unwrap();
    let mut reader = spec("reader", "tuples");
    let pattern = |text: &str| ActorPattern::parse(text).unwrap();
    reader.grants.tuplespace =
        Some(TupleSpaces { spaces: vec![pattern("mine")], read: vec![pattern("s"), pattern("other/*")] });
    node.start(reader).await.unwrap();
    let denied = |key: &str, space: &str| format!("err: not-permitted [grants.tuplespace] {key} = [\"{space}\"]");
    for text in [
        "write|s|t:y",
        "take|s|*",
        "revoke|s|1",
        "renew|s|1|1",
        "compare-and-swap|s|*|n",
        "take-each|s|*",
        "take-blocking|s|*|",
    ] {
        assert_eq!(line(&node, "nobody", text).await, denied("spaces", "s"), "{text}");
        assert_eq!(line(&node, "reader", text).await, denied("spaces", "s"), "{text}");
    }
    for (text, answer) in [
        ("read|s|*", "1=t:x"),
        ("read-all|s|*||", "1=t:x"),
        ("count|s|*", "1"),
        ("read-blocking|s|*|", "1=t:x"),
        ("subscribe|s|*", "2"),
        ("read|other/s|*", "none"),
        ("read|mine|*", "none"),
    ] {
        assert_eq!(line(&node, "nobody", text).await, denied("read", text.split('|').nth(1).unwrap()), "{text}");
        assert_eq!(line(&node, "reader", text).await, answer, "{text}");
    }
    assert_eq!(line(&node, "user", "read|other/s|*").await, denied("read", "other/s"));
    assert!(line(&node, "user", "read|a/b/c|*").await.starts_with("err: invalid-argument"));
    assert!(count(&node, "nobody", Kind::Denial).await >= 12, "each denial is a record");
    replay(&node, "nobody", "tuples").await.unwrap();
    replay(&node, "reader", "tuples").await.unwrap();
    node.node.close().await.unwrap();
}

/// Bounds, at their edges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_bounds_hold_at_their_edges() {
    let node = Watched::on(&SimDisk::new()).await;
    let mut small = user("small");
    small.limits.payload = ByteCount(4096);
    node.start(small).await.unwrap();
    let tuple = |fields: usize| vec!["n"; fields].join(",");
    assert_eq!(line(&node, "small", "wide|s|64").await, "1");
    assert_eq!(line(&node, "small", "wide|s|65").await, "err: invalid-argument a tuple of 65 fields: max-fields = 64");
    let pattern = tuple(65);
    let error = "err: invalid-argument a pattern of 65 fields: max-fields = 64";
    assert_eq!(line(&node, "small", &format!("take|s|{pattern}")).await, error);
    // Count, case, length, and the bytes.
    assert_eq!(line(&node, "small", &format!("big|s|{}", 4096 - 9)).await, "2");
    assert_eq!(line(&node, "small", &format!("big|s|{}", 4096 - 8)).await, "err: too-large 4096");
    let patterns = |count: usize| vec!["t:none"; count].join(";");
    assert_eq!(line(&node, "small", &format!("take-each|s|{}", patterns(64))).await, "none");
    let error = "err: invalid-argument 65 patterns: max-patterns = 64";
    assert_eq!(line(&node, "small", &format!("take-each|s|{}", patterns(65))).await, error);
    line(&node, "small", "many|many|t:x|2000").await;
    let all = line(&node, "small", "read-all|many|*,*||2000").await;
    let (count, last) = (all.split(' ').count(), all.rsplit(' ').next().unwrap().split('=').next().unwrap());
    // A tuple takes 8 + 4 + 1 + 4 + 1 + 9 bytes of an answer, 4,096 in all.
    assert_eq!(count, 4096 / 27, "an answer has an end");
    let next = line(&node, "small", &format!("read-all|many|*,*|{last}|1")).await;
    assert_eq!(next.split('=').next().unwrap().parse::<u64>().unwrap(), last.parse::<u64>().unwrap() + 1);
    let subscriptions = vec!["subscribe|s|*"; 65];
    let answers = lines(&node, "small", &subscriptions).await;
    assert_eq!(answers[64], "err: resource-exhausted max-subscriptions = 64");
    assert!(answers[63].parse::<u64>().is_ok());
    replay(&node, "small", "tuples").await.unwrap();
    node.node.close().await.unwrap();
}

/// "Off: its node effects are still committed": tuples of an actor without a journal are durable, and it waits like others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tuplespace_actors_without_a_journal_share_durable_tuples() {
    let disk = SimDisk::new();
    let node = node_with(&disk, &["durable"]).await;
    let mut off = user("off");
    off.journal = Mode::Off;
    node.start(off.clone()).await.unwrap();
    line(&node, "off", "write|s|t:a\nwrite|s|t:b\ntake|s|t:a\ncompare-and-swap|s|t:b|t:c\ntake|s|t:c\nwrite|s|t:d")
        .await;
    let waiting = tokio::spawn({
        let node = node.node.clone();
        async move { line(&node, "off", "take-blocking|s|t:later|").await }
    });
    line(&node, "durable", "write|s|t:later").await;
    assert_eq!(fields(&waiting.await.unwrap()), "t:later");
    node.sync().await.unwrap();
    let node = Watched::on(&power_cut(node.node, &disk)).await;
    assert_eq!(fields(&line(&node, "durable", "read-all|s|*||").await), "t:d");
    replay(&node, "durable", "tuples").await.unwrap();
    node.node.close().await.unwrap();
}
