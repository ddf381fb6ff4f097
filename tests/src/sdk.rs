//! The examples of the SDKs: the same actors in four languages, one table of cases; live, after a power cut, replayed.

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Channels};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, id, node_on, power_cut, replay, spec, verified};

/// A language: for each actor its component, and what `init` gets.
struct Language {
    name: &'static str,
    counter: (&'static str, &'static str),
    collector: (&'static str, &'static str),
    workflow: &'static str,
    /// Whether the counter saves itself.
    saves: bool,
    worker: (&'static str, &'static str),
}

const RUST: Language = Language {
    name: "Rust",
    counter: ("counter-sdk-rust", ""),
    collector: ("collector-sdk-rust", ""),
    workflow: "workflow-sdk-rust",
    saves: true,
    worker: ("worker-sdk-rust", ""),
};

const C: Language = Language {
    name: "C",
    counter: ("counter-sdk-c", ""),
    collector: ("collector-sdk-c", ""),
    workflow: "workflow-sdk-c",
    saves: true,
    worker: ("worker-sdk-c", ""),
};

const PYTHON: Language = Language {
    name: "Python",
    counter: ("office-sdk-python", "counter"),
    collector: ("office-sdk-python", "collector"),
    workflow: "workflow-sdk-python",
    saves: false,
    worker: ("office-sdk-python", "worker"),
};

const JAVASCRIPT: Language = Language {
    name: "JavaScript",
    counter: ("office-sdk-js", "counter"),
    collector: ("office-sdk-js", "collector"),
    workflow: "workflow-sdk-js",
    saves: false,
    worker: ("office-sdk-js", "worker"),
};

/// What is sent, and what comes of it.
enum Case {
    /// Type, payload, answer.
    Call(&'static str, &'static str, Result<&'static str, &'static str>),
    /// Type, payload.
    Cast(&'static str, &'static str),
}
use Case::{Call, Cast};

const COUNTER: &[Case] = &[
    Call("get", "", Ok("0")),
    Call("add", " 3 ", Ok("3")),
    Cast("add", "-10"),
    Cast("add", "nothing"),
    Cast("what", "1"),
    Call("add", "x", Err("not a number: x")),
    Call("add", "", Err("not a number: ")),
    Call("add", "9223372036854775808", Err("not a number: 9223372036854775808")),
    Call("add", "-9223372036854775808", Err("the total would overflow")),
    Call("what", "", Err("unknown message type: what")),
    Call("get", "", Ok("-7")),
];

const COLLECTOR: &[Case] = &[
    Call("list", "", Ok("")),
    Cast("temperature", "21.5"),
    Cast("door", "open, a Gruß from 出口"),
    Cast("empty", ""),
    Call("count", "", Ok("3")),
    Call("clear", "", Ok("3")),
    Cast("door", "closed"),
    Call("list", "", Ok("door: closed\n")),
    Call("what", "", Err("unknown message type: what")),
];

const WORKFLOW: &[Case] = &[
    Call("where", "", Ok("start")),
    Call("pay", "1", Err("no pay in state start")),
    Call("submit", "cheap", Err("not a number: cheap")),
    Call("submit", "100", Ok("submitted")),
    Call("pay", "99", Err("99 is too little, the price is 100")),
    Call("where", "", Ok("submitted")),
    Cast("pay", "100"),
    Call("where", "", Ok("paid")),
];

async fn run(node: &Node, actor: &str, cases: &[Case], about: &str) {
    for case in cases {
        match *case {
            Call(message_type, payload, expected) => {
                let expected = expected.map(str::to_owned).map_err(|words| CallError::Refused(words.to_owned()));
                let answer = ask(node, actor, message_type, payload).await;
                assert_eq!(answer, expected, "{about}: {actor} {message_type} {payload}");
            }
            Cast(message_type, payload) => {
                node.cast(&id(actor), Outgoing::new(message_type, payload.as_bytes())).await.unwrap();
            }
        }
    }
}

fn with_init(name: &str, (guest, init): (&str, &str)) -> ActorSpec {
    let mut spec = spec(name, guest);
    spec.init = init.as_bytes().to_vec();
    spec
}

async fn all_alike(language: &Language) {
    let about = language.name;
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut counter = with_init("counter", language.counter);
    counter.snapshots.max_replay = 10;
    let specs = [counter, with_init("collector", language.collector), with_init("order", (language.workflow, ""))];
    for spec in &specs {
        node.start(spec.clone()).await.unwrap();
    }
    run(&node, "counter", COUNTER, about).await;
    assert_eq!(count(&node, "counter", Kind::Base).await > 0, language.saves, "{about}");
    run(&node, "collector", COLLECTOR, about).await;
    run(&node, "order", WORKFLOW, about).await;

    let node = node_on(&power_cut(node, &disk)).await;
    for spec in specs {
        assert!(node.start(spec).await.unwrap().resumed, "{about}");
    }
    run(&node, "counter", &[Call("get", "", Ok("-7"))], about).await;
    run(&node, "collector", &[Call("list", "", Ok("door: closed\n"))], about).await;
    run(
        &node,
        "order",
        &[Call("cancel", "", Ok("refunded")), Call("ship", "", Err("no ship in state refunded"))],
        about,
    )
    .await;

    // At the limit of a hundred the oldest goes.
    for event in 0..105 {
        let event = Outgoing::new("tick", event.to_string().into_bytes());
        node.cast(&id("collector"), event).await.unwrap();
    }
    assert_eq!(ask(&node, "collector", "count", "").await.unwrap(), "100", "{about}");
    let lines = ask(&node, "collector", "list", "").await.unwrap();
    assert!(lines.starts_with("tick: 5\n") && lines.ends_with("tick: 104\n"), "{about}: {lines}");

    for (actor, guest) in
        [("counter", language.counter.0), ("collector", language.collector.0), ("order", language.workflow)]
    {
        verified(&node, actor).await;
        let summary = replay(&node, actor, guest).await.unwrap();
        assert_eq!(summary.records, node.actor(&id(actor)).await.unwrap().next.0, "{about}: {actor}");
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_in_rust_answer_survive_a_power_cut_and_replay() {
    all_alike(&RUST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_in_c_answer_survive_a_power_cut_and_replay() {
    all_alike(&C).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_in_python_answer_survive_a_power_cut_and_replay() {
    all_alike(&PYTHON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_in_javascript_answer_survive_a_power_cut_and_replay() {
    all_alike(&JAVASCRIPT).await;
}

fn worker(name: &str, language: &Language) -> ActorSpec {
    let mut spec = with_init(name, language.worker);
    let jobs = vec![ActorPattern::parse("jobs").unwrap()];
    spec.grants.channels = Some(Channels { send: jobs.clone(), receive: jobs, ..Channels::default() });
    spec
}

/// A queue: done once, given back and taken again after a power cut, refused for good, waited for.
async fn works_on_a_queue(language: &Language) {
    let about = language.name;
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let specs = [worker("worker", language), worker("other", language)];
    for spec in &specs {
        node.start(spec.clone()).await.unwrap();
    }
    let cases = [
        Call("put", "3", Ok("1")),
        Call("put", "4", Ok("2")),
        Call("next", "", Ok("done=1 refused=0 sum=9")),
        Call("return", "", Ok("1")),
    ];
    run(&node, "worker", &cases, about).await;

    let node = node_on(&power_cut(node, &disk)).await;
    for spec in specs {
        assert!(node.start(spec).await.unwrap().resumed, "{about}");
    }
    let cases = [
        Call("return", "", Ok("2")),
        Call("work", "10", Ok("done=2 refused=0 sum=25")),
        Call("put", "no number", Ok("1")),
        Call("work", "10", Ok("done=2 refused=1 sum=25")),
        Call("return", "", Err("no job")),
        Call("what", "", Err("unknown message type: what")),
    ];
    run(&node, "worker", &cases, about).await;
    let waiting = begun(ask(&node, "worker", "next", "")).await;
    ask(&node, "other", "put", "-5").await.unwrap();
    assert_eq!(waiting.await.unwrap(), "done=3 refused=1 sum=50", "{about}");
    assert_eq!(ask(&node, "other", "state", "").await.unwrap(), "done=0 refused=0 sum=0", "{about}");

    for actor in ["worker", "other"] {
        verified(&node, actor).await;
        let summary = replay(&node, actor, language.worker.0).await.unwrap();
        assert_eq!(summary.records, node.actor(&id(actor)).await.unwrap().next.0, "{about}: {actor}");
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_in_rust_does_each_job_of_a_queue_once_also_after_a_power_cut() {
    works_on_a_queue(&RUST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_in_c_does_each_job_of_a_queue_once_also_after_a_power_cut() {
    works_on_a_queue(&C).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_in_python_does_each_job_of_a_queue_once_also_after_a_power_cut() {
    works_on_a_queue(&PYTHON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_in_javascript_does_each_job_of_a_queue_once_also_after_a_power_cut() {
    works_on_a_queue(&JAVASCRIPT).await;
}
