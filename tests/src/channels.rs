//! Queues: "each message to one consumer, at least once, acknowledged"; each delivery has its own receipt; waiters are served in
//! order of arrival; visibility counts node time; what a step took returns to its place if it faults.

use std::collections::BTreeSet;
use std::time::Duration;

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Channels, Mode};
use troupe_runtime::node::channels::{ChannelError, Delivery, ForChannel, QueueInfo, Receiving};
use troupe_runtime::node::{Node, Outgoing};

use crate::durations::{Manual, node_with};
use crate::support::{ask, begun, id, node_on, power_cut, replay, sleeping, spec, verified};

pub fn all() -> Vec<ActorPattern> {
    vec![ActorPattern::parse("*").unwrap()]
}

/// An actor that may do everything with queues and topics of its namespace.
pub fn user(name: &str) -> ActorSpec {
    let mut user = spec(name, "queues");
    user.grants.channels = Some(Channels { send: all(), receive: all(), publish: all(), subscribe: all() });
    user.limits.deadline = None;
    user.supervision.max_restarts = 1000;
    user
}

pub async fn started(node: &Node, names: &[&str]) {
    for name in names {
        node.start(user(name)).await.unwrap();
    }
}

pub async fn act(node: &Node, actor: &str, script: &str) -> String {
    ask(node, actor, "do", script).await.unwrap()
}

async fn info(node: &Node, queue: &str) -> QueueInfo {
    node.queue(&id(queue)).await.unwrap()
}

async fn waiting(node: &Node, queue: &str, actors: u64) {
    while info(node, queue).await.waiting != actors {
        tokio::task::yield_now().await;
    }
}

/// The receipt in what `receive` said.
fn receipt(line: &str) -> &str {
    line.split(' ').nth(1).unwrap()
}

/// Attempt, type, headers and payload in what `receive` said.
fn what(line: &str) -> &str {
    line.splitn(3, ' ').nth(2).unwrap_or(line)
}

const TRIES: u32 = 5;
const VISIBILITY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_goes_to_one_consumer_with_every_byte_its_type_and_its_headers() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["producer", "a", "b", "c", "d"]).await;
    let sent =
        act(&node, "producer", "send-with jobs odd/type:1 - - a=1,a=2 0x00ff0a80\nsend-many jobs 30\ndepth jobs").await;
    assert!(sent.ends_with("\n30\n31"), "{sent}");
    let first = act(&node, "a", "receive jobs 0").await;
    assert_eq!(what(&first), "1 odd/type:1 a=1 a=2 0x00ff0a80");
    assert_eq!(first.split(' ').next(), sent.lines().next(), "the id that its sender got");
    assert_eq!(act(&node, "a", &format!("ack jobs {}\ndepth jobs", receipt(&first))).await, "done\n30");

    let consumers = ["a", "b", "c", "d"].map(|consumer| {
        let node = node.clone();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                match act(&node, consumer, "work jobs 0").await.as_str() {
                    "none" => return mine,
                    payload => mine.push(payload.parse::<u32>().unwrap()),
                }
            }
        })
    });
    let mut got = Vec::new();
    for consumer in consumers {
        let mine = consumer.await.unwrap();
        assert!(mine.is_sorted(), "first in, first out: {mine:?}");
        got.extend(mine);
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).collect::<Vec<_>>(), "each once");
    assert_eq!(info(&node, "jobs").await.depth, 0);
    assert_eq!(node.queues().await.unwrap(), [], "an empty queue costs nothing");
    for actor in ["producer", "a", "b", "c", "d"] {
        verified(&node, actor).await;
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_of_queues_and_topics_works_live_and_after_a_power_cut_and_replays() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    started(&node, &["a", "b"]).await;
    let subscription = act(&node, "b", "subscribe news.*").await;
    let said = act(
        &node,
        "a",
        "send jobs t one\nsend-with jobs t 0 600000 a=1 two\nsend-with jobs t 600000 - - late\nsend-many jobs 2\ndepth jobs\n\
         publish news.x t hello",
    )
    .await;
    let said: Vec<&str> = said.lines().collect();
    assert_eq!((said.len(), said[3], said[4]), (6, "2", "5"), "{said:?}");
    let all = act(&node, "b", "receive jobs 0\nreceive-many jobs 3 0").await;
    let (one, rest) = all.split_once('\n').unwrap();
    let rest: Vec<&str> = rest.split("; ").collect();
    let found: Vec<&str> = std::iter::once(one).chain(rest.iter().copied()).map(what).collect();
    assert_eq!(found, ["1 t one", "1 t a=1 two", "1 many 0", "1 many 1"]);
    let [two, first, second] = [rest[0], rest[1], rest[2]].map(receipt);
    let done = format!("ack jobs {}\nextend jobs {first} 60000\nnack jobs {second}\nbury jobs {two}", receipt(one));
    assert_eq!(act(&node, "b", &done).await, "done\ndone\ndone\ndone");
    assert_eq!(act(&node, "a", "publish news.x t again").await.lines().count(), 1);
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    // One is in the hands of `b`, one was given back, one is late, one is dead, and one is done.
    assert_eq!(act(&node, "a", "depth jobs").await, "3");
    let again = act(&node, "a", "receive jobs 0\nreceive jobs 0").await;
    let (again, none) = again.split_once('\n').unwrap();
    assert_eq!((what(again), none), ("2 many 1", "none"));
    assert_eq!(act(&node, "b", &format!("ack jobs {first}\nack jobs {first}")).await.lines().next(), Some("done"));
    assert_eq!(node.dead_letters_of(&id_of_letters("jobs")).await.unwrap().len(), 1);
    assert_eq!(act(&node, "b", &format!("unsubscribe {subscription}")).await, "done");
    assert_eq!(act(&node, "a", "publish news.x t unheard").await.lines().count(), 1);
    let kept = ask(&node, "b", "kept", "").await.unwrap();
    assert_eq!(kept.lines().map(|line| line.rsplit(' ').next().unwrap()).collect::<Vec<_>>(), ["hello", "again"]);
    for actor in ["a", "b"] {
        verified(&node, actor).await;
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

/// "What it took returns to its place": and counts as a try, so that a message that brings its consumers down is given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_returns_a_message_to_its_place_and_takes_back_what_was_sent() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    started(&node, &["producer", "bad", "good"]).await;
    act(&node, "producer", "send jobs t one\nsend jobs t two").await;
    // Three attempts of the message that has it receive; each counts.
    let error = ask(&node, "bad", "then-trap", "send jobs t never\nreceive jobs 0").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: false, .. }), "{error}");
    let both = act(&node, "good", "depth jobs\nreceive-many jobs 10 0").await;
    let (depth, both) = both.split_once('\n').unwrap();
    let both: Vec<&str> = both.split("; ").map(what).collect();
    assert_eq!((depth, &both[..]), ("2", &["4 t one", "1 t two"][..]), "in their old order");
    for actor in ["producer", "bad", "good"] {
        replay(&node, actor, "queues").await.unwrap();
    }

    // A poison message does not stand in the way for ever.
    act(&node, "producer", "send poison t one\nsend poison t two").await;
    ask(&node, "bad", "then-trap", "receive poison 0").await.unwrap_err();
    ask(&node, "bad", "then-trap", "receive poison 0").await.unwrap_err();
    while node.dead_letters_of(&id_of_letters("poison")).await.unwrap().len() != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(what(&act(&node, "good", "receive poison 0").await), "2 t two");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.dead_letters_of(&id_of_letters("poison")).await.unwrap().len(), 1);
    node.close().await.unwrap();
}

fn id_of_letters(queue: &str) -> troupe_log::ActorId {
    troupe_log::ActorId::reserved(&format!("default/@queue.{queue}")).unwrap()
}

/// "Visibility counts node time; a stale receipt is `not-found`."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_consumer_that_died_in_a_power_cut_comes_again_when_its_time_is_over() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    started(&node, &["producer", "dies", "lives"]).await;
    act(&node, "producer", "send jobs t one\nsend jobs t two").await;
    let first = act(&node, "dies", "receive jobs 0").await;
    clock.advance(VISIBILITY / 2);

    let (disk, clock) = (power_cut(node, &disk), Manual::new());
    let node = node_with(&disk, &clock).await;
    node.stop_now(&id("dies"), "gone").await.unwrap();
    let second = act(&node, "lives", "receive jobs 0\nreceive jobs 0").await;
    let (second, none) = second.split_once('\n').unwrap();
    assert_eq!((what(second), none), ("1 t two", "none"), "the first is with who has died");
    assert_eq!(info(&node, "jobs").await.delivered, 2);
    clock.advance(VISIBILITY - Duration::from_secs(1));
    assert_eq!(act(&node, "lives", "receive jobs 0").await, "none", "node time stood still while the node was down");
    clock.advance(Duration::from_secs(2));
    let late = act(&node, "lives", &format!("ack jobs {}\ndepth jobs", receipt(&first))).await;
    assert!(late.starts_with("err: not-found") && late.ends_with("\n2"), "its time is over: {late}");
    let again = act(&node, "lives", "receive jobs 0").await;
    assert_eq!(what(&again), "2 t one");
    assert_eq!(again.split(' ').next(), first.split(' ').next(), "the id stays");
    assert_ne!(receipt(&again), receipt(&first));
    for stale in [receipt(&first), "", "x-y", &receipt(second).replace('-', "")] {
        let said = act(&node, "lives", &format!("ack jobs {stale}\nnack jobs {stale}\nextend jobs {stale} 5")).await;
        assert!(said.lines().all(|line| line.starts_with("err: not-found receipt")), "{said}");
    }
    let acked = act(&node, "lives", &format!("ack jobs {}\nack jobs {0}\ndepth jobs", receipt(&again))).await;
    assert!(acked.starts_with("done\nerr: not-found") && acked.ends_with("\n1"), "{acked}");
    for actor in ["producer", "lives"] {
        verified(&node, actor).await;
        replay(&node, actor, "queues").await.unwrap();
    }
    let node = node_with(&power_cut(node, &disk), &Manual::new()).await;
    assert_eq!(info(&node, "jobs").await.depth, 1, "after the ack never again");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_last_try_a_message_is_a_dead_letter_which_can_be_sent_again() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let mut node = node_with(&disk, &clock).await;
    started(&node, &["producer", "consumer"]).await;
    act(&node, "producer", "send-with jobs t - - k=v 0x00ff").await;
    for attempt in 1..=TRIES {
        let got = act(&node, "consumer", "receive jobs 0").await;
        assert_eq!(what(&got), format!("{attempt} t k=v 0x00ff"));
        clock.advance(VISIBILITY);
    }
    let owner = id_of_letters("jobs");
    while node.dead_letters_of(&owner).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(act(&node, "consumer", "receive jobs 0\ndepth jobs").await, "none\n0");
    let disk = power_cut(node, &disk);
    node = node_with(&disk, &clock).await;
    let [letter] = &node.dead_letters().await.unwrap()[..] else { panic!("one") };
    assert_eq!((&letter.actor, letter.message.attempt), (&owner, TRIES));
    assert_eq!((&*letter.message.message_type, &*letter.message.payload), ("t", &b"\x00\xff"[..]));
    assert_eq!(&*letter.message.from, "default/producer");
    assert!(letter.why.contains("default/jobs") && letter.why.contains("5 times"), "{}", letter.why);

    let message = letter.message.id;
    node.resend(&owner, message).await.unwrap();
    let error = node.resend(&owner, message).await.unwrap_err();
    assert!(matches!(&error, CallError::Invalid(why) if why.contains("has no dead letter")), "{error}");
    let disk = power_cut(node, &disk);
    node = node_with(&disk, &clock).await;
    assert_eq!(node.dead_letters().await.unwrap(), []);
    let got = act(&node, "consumer", "receive jobs 0").await;
    assert_eq!(what(&got), "1 t k=v 0x00ff");
    assert!(got.starts_with(&message.to_string()), "under its old id");
    // A consumer that knows that it is hopeless says so.
    assert_eq!(act(&node, "consumer", &format!("bury jobs {}\ndepth jobs", receipt(&got))).await, "done\n0");
    let letters = node.dead_letters_of(&owner).await.unwrap();
    assert!(letters.len() == 1 && letters[0].why.contains("gave it up"), "{letters:?}");
    node.drop_dead_letter(&owner, message).await.unwrap();
    replay(&node, "consumer", "queues").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_puts_a_message_off_and_a_time_to_live_ends_it_but_not_in_a_consumers_hands() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    started(&node, &["producer", "consumer", "waits"]).await;
    act(&node, "producer", "send-with jobs t 60000 - - late\nsend jobs t now\nsend-with jobs t - 10000 - short").await;
    let got = act(&node, "consumer", "receive-many jobs 10 0").await;
    assert_eq!(got.split("; ").map(what).collect::<Vec<_>>(), ["1 t now", "1 t short"]);
    clock.advance(Duration::from_secs(20));
    let short = receipt(got.split("; ").nth(1).unwrap());
    let now = receipt(got.split("; ").next().unwrap());
    assert_eq!(act(&node, "consumer", &format!("ack jobs {now}\nnack jobs {short}")).await, "done\ndone");
    assert_eq!(act(&node, "consumer", "receive jobs 0").await, "none", "given back, it has expired");

    // Who waits is woken by the end of a delay, after a restart too.
    let late = begun(ask(&node, "waits", "do", "receive jobs -")).await;
    waiting(&node, "jobs", 1).await;
    node.sync().await.unwrap();
    drop(late);
    let (disk, clock) = (power_cut(node, &disk), Manual::new());
    let node = node_with(&disk, &clock).await;
    waiting(&node, "jobs", 1).await;
    // The expired one goes as soon as the node gets to it.
    loop {
        let queued = info(&node, "jobs").await;
        if (queued.depth, queued.available) == (1, 0) {
            break;
        }
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(41));
    waiting(&node, "jobs", 0).await;
    assert_eq!(act(&node, "waits", "depth jobs\nreceive jobs 0").await, "1\nnone", "its turn has it");
    assert_eq!(info(&node, "jobs").await.delivered, 1);
    replay(&node, "waits", "queues").await.unwrap();
    node.close().await.unwrap();
}

/// "Waiters are served in order of arrival."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_served_in_order_of_arrival_also_after_one_has_gone() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["producer", "a", "b", "c", "d"]).await;
    let mut calls = Vec::new();
    for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let its = node.clone();
        calls.push(tokio::spawn(async move { act(&its, name, "work jobs -").await }));
        waiting(&node, "jobs", at as u64 + 1).await;
    }
    node.stop_now(&id("b"), "enough").await.unwrap();
    assert_eq!(info(&node, "jobs").await.waiting, 3);
    act(&node, "producer", "send jobs t 1\nsend jobs t 2\nsend jobs t 3").await;
    let mut got = Vec::new();
    for (at, call) in calls.into_iter().enumerate() {
        if at == 1 {
            call.abort();
            continue;
        }
        got.push(call.await.unwrap());
    }
    assert_eq!(got, ["1", "2", "3"]);
    assert_eq!(info(&node, "jobs").await.depth, 0);
    for actor in ["a", "c", "d"] {
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_empty_when_its_time_is_over_and_with_an_error_at_the_deadline() {
    let node = node_on(&SimDisk::new()).await;
    let mut hurried = user("hurried");
    hurried.limits.deadline = Some(Duration::from_millis(400));
    node.start(hurried).await.unwrap();
    assert_eq!(act(&node, "hurried", "receive jobs 20\nreceive-many jobs 3 20\nreceive jobs 0").await, "none\n\nnone");
    assert_eq!(act(&node, "hurried", "receive jobs -").await, "err: timeout");
    assert!(act(&node, "hurried", "receive-many jobs 0 0").await.starts_with("err: invalid-argument"));
    assert_eq!(node.queues().await.unwrap(), [], "nobody stands in line");
    // What was sent after the time was over is not lost to the one who has gone.
    assert_eq!(act(&node, "hurried", "send jobs t one\nwork jobs 0").await.lines().nth(1), Some("one"));
    replay(&node, "hurried", "queues").await.unwrap();
    node.close().await.unwrap();
}

/// "Each operation sees committed data and the step's own": nobody else sees it before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_sees_its_own_messages_and_others_see_them_when_it_is_committed() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["a", "b"]).await;
    // The sleep ends the step; the message before it is there for others then, that behind it is not.
    let sleeps = tokio::spawn({
        let node = node.clone();
        async move {
            act(&node, "a", "send jobs t 1\nwork jobs 0\nsend jobs t 2\ndepth jobs\nsleep 300\nsend jobs t 3").await
        }
    });
    sleeping(&node, 1).await;
    assert_eq!(act(&node, "b", "work jobs -").await, "2");
    let said = sleeps.await.unwrap();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!((said[1], said[3], said[4]), ("1", "1", "done"), "{said:?}");
    assert_eq!(act(&node, "b", "work jobs 0\nwork jobs 0").await, "3\nnone");
    replay(&node, "a", "queues").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_extended_handed_back_and_taken_by_the_next_in_line() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let node = node_with(&disk, &clock).await;
    started(&node, &["producer", "a", "b"]).await;
    act(&node, "producer", "send jobs t one").await;
    let got = act(&node, "a", "receive jobs 0").await;
    let mine = receipt(&got);
    clock.advance(Duration::from_secs(29));
    assert_eq!(act(&node, "a", &format!("extend jobs {mine} 60000")).await, "done");
    clock.advance(Duration::from_secs(59));
    assert_eq!(act(&node, "b", "receive jobs 0").await, "none");
    assert!(act(&node, "a", &format!("extend jobs {mine} 43200001")).await.contains("max-visibility = 43200000 ms"));
    assert_eq!(act(&node, "a", &format!("extend jobs {mine} 43200000")).await, "done", "at the edge");
    let next = tokio::spawn({
        let node = node.clone();
        async move { act(&node, "b", "receive jobs -").await }
    });
    waiting(&node, "jobs", 1).await;
    assert_eq!(act(&node, "a", &format!("extend jobs {mine} 0\nack jobs {mine}")).await.lines().next(), Some("done"));
    let next = next.await.unwrap();
    assert_eq!(what(&next), "2 t one");
    // Given back once more, it waits for the next.
    assert_eq!(act(&node, "b", &format!("nack jobs {}\nreceive jobs 0", receipt(&next))).await.lines().count(), 2);
    for actor in ["a", "b"] {
        replay(&node, actor, "queues").await.unwrap();
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_grant_nothing_is_done_and_a_record_says_so() {
    let node = node_on(&SimDisk::new()).await;
    let mut poor = user("poor");
    poor.grants.channels = Some(Channels {
        send: vec![ActorPattern::parse("out-*").unwrap()],
        receive: vec![ActorPattern::parse("other/in").unwrap()],
        ..Channels::default()
    });
    node.start(poor).await.unwrap();
    node.start(spec("none", "queues")).await.unwrap();
    let said =
        act(&node, "poor", "send in t x\nreceive out-1 0\nsend other/out-1 t x\nsend-many in 2\npublish t t x").await;
    for (line, grant) in said.lines().zip([
        "send = [\"in\"]",
        "receive = [\"out-1\"]",
        "send = [\"other/out-1\"]",
        "send = [\"in\"]",
        "publish = [\"t\"]",
    ]) {
        assert_eq!(line, format!("err: not-permitted [grants.channels] {grant}"));
    }
    let said = act(&node, "poor", "ack in x\nnack in x\nbury in x\nextend in x 1\ndepth in\nsubscribe a").await;
    assert!(said.lines().all(|line| line.starts_with("err: not-permitted")), "{said}");
    let said = act(&node, "none", "send a t x\nreceive a 0\nsubscribe >\npublish a t x\ndepth a").await;
    assert!(said.lines().all(|line| line.starts_with("err: not-permitted [grants.channels]")), "{said}");
    assert_eq!(node.queues().await.unwrap(), []);
    assert_eq!(act(&node, "poor", "depth out-1\nreceive other/in 0").await, "0\nnone");
    replay(&node, "poor", "queues").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_has_an_end_and_what_is_over_it_is_refused_whole() {
    let node = node_on(&SimDisk::new()).await;
    let mut producer = user("producer");
    producer.limits.payload = troupe_log::ByteCount::mib(1);
    node.start(producer).await.unwrap();
    for _ in 0..100 {
        assert_eq!(ask(&node, "producer", "produce", "jobs 1000 1").await.unwrap(), "1000");
    }
    let refused = ask(&node, "producer", "produce", "jobs 1 1").await.unwrap_err();
    assert_eq!(refused, CallError::Refused("err: resource-exhausted max-messages = 100000".to_owned()));
    assert_eq!(ask(&node, "producer", "consume", "jobs 1").await.unwrap(), "1");
    let said = act(&node, "producer", "send-many jobs 2\ndepth jobs\nsend-many jobs 1\ndepth jobs").await;
    assert_eq!(said, "err: resource-exhausted max-messages = 100000\n99999\n1\n100000", "all or none");
    assert_eq!(
        ask(&node, "producer", "produce", "many 1001 1").await.unwrap_err(),
        CallError::Refused("err: resource-exhausted max-many = 1000".to_owned())
    );
    let size = (1 << 20) - "many".len();
    assert_eq!(ask(&node, "producer", "produce", &format!("big 1 {size}")).await.unwrap(), "1", "at the edge");
    assert_eq!(
        ask(&node, "producer", "produce", &format!("big 1 {}", size + 1)).await.unwrap_err(),
        CallError::Refused("err: too-large 1048576".to_owned())
    );
    let (long, longer) = ("q".repeat(56), "q".repeat(57));
    let said =
        act(&node, "producer", &format!("send {long} t x\nsend {longer} t x\nreceive {longer} 1\nsend Q t x")).await;
    let said: Vec<&str> = said.lines().collect();
    assert!(!said[0].starts_with("err") && said[1..].iter().all(|line| line.starts_with("err: invalid-argument")));
    let header = ("a".to_owned(), String::new());
    let headed = |headers| ForChannel { headers: vec![header.clone(); headers], ..ForChannel::new("t", "x") };
    node.send_to_queue(&id("headers"), vec![headed(256)]).await.unwrap();
    let error = node.send_to_queue(&id("headers"), vec![headed(257)]).await.unwrap_err();
    assert_eq!(error, ChannelError::Exhausted("max-headers = 256".to_owned()));
    // Four of a mebibyte fit into one receive, not five.
    for _ in 0..4 {
        ask(&node, "producer", "produce", &format!("big 1 {size}")).await.unwrap();
    }
    let taken = node.receive_from_queue(&id("big"), Receiving { max: 1000, ..Receiving::default() }).await.unwrap();
    assert_eq!(taken.len(), 4);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_a_queue_refuses_new_messages_and_loses_none() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    disk.set_capacity(Some(disk.used()));
    let mut accepted = 0;
    let error = loop {
        assert!(accepted < 300, "never full");
        match node.send_to_queue(&id("jobs"), vec![ForChannel::new("t", vec![7; 1 << 20])]).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, ChannelError::Exhausted(why) if why.contains("full")), "{error}");
    // What is there can be taken: the rest of the segment is kept for that.
    let taken = node.receive_from_queue(&id("jobs"), Receiving { max: 1, ..Receiving::default() }).await.unwrap();
    node.ack(&id("jobs"), &taken[0].receipt.to_string()).await.unwrap();
    disk.set_capacity(None);
    node.send_to_queue(&id("jobs"), vec![ForChannel::new("t", "room again")]).await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(info(&node, "jobs").await.depth, accepted);
    node.close().await.unwrap();
}

/// "Whoever keeps a journal or not, queues are durable."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actors_without_a_journal_share_durable_queues() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let off = |name| ActorSpec { journal: Mode::Off, ..user(name) };
    node.start(off("a")).await.unwrap();
    node.start(off("b")).await.unwrap();
    let waits = tokio::spawn({
        let node = node.clone();
        async move { act(&node, "b", "work jobs -").await }
    });
    waiting(&node, "jobs", 1).await;
    act(&node, "a", "send jobs t 1\nsend jobs t 2\nsend jobs t 3").await;
    assert_eq!(waits.await.unwrap(), "1");
    ask(&node, "b", "then-trap", "receive jobs 0").await.unwrap_err();
    assert_eq!(act(&node, "b", "work jobs 0").await, "2");
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    let taken = node.receive_from_queue(&id("jobs"), Receiving { max: 5, ..Receiving::default() }).await.unwrap();
    assert_eq!(payloads(&taken), ["3"]);
    node.close().await.unwrap();
}

fn payloads(taken: &[Delivery]) -> Vec<&str> {
    taken.iter().map(|delivery| std::str::from_utf8(&delivery.message.payload).unwrap()).collect()
}

/// "Durable before the answer."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sends_waits_receives_and_acknowledges_and_takes_nothing_with_it_when_it_goes() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    started(&node, &["actor"]).await;
    let jobs = id("jobs");
    let text = |text: &str| ForChannel::new("t", text);
    let ids = node.send_to_queue(&jobs, vec![text("1"), text("2")]).await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    let one = Receiving { max: 1, ..Receiving::default() };
    let first = node.receive_from_queue(&jobs, one).await.unwrap();
    assert_eq!((payloads(&first), first[0].message.id, first[0].attempt), (vec!["1"], ids[0], 1));
    assert_eq!(&*first[0].message.from, "@client");
    let receipt = first[0].receipt.to_string();
    node.ack(&jobs, &receipt).await.unwrap();
    assert!(matches!(node.ack(&jobs, &receipt).await, Err(ChannelError::NotFound(_))));
    let second = node.receive_from_queue(&jobs, one).await.unwrap();
    node.nack(&jobs, &second[0].receipt.to_string(), false).await.unwrap();
    assert_eq!(act(&node, "actor", "work jobs 0").await, "2");

    let empty = Receiving { wait: Some(Duration::from_millis(20)), ..one };
    assert_eq!(node.receive_from_queue(&jobs, empty).await.unwrap().len(), 0);
    // One that goes while it waits, and one that goes when it has been served.
    let goes = begun(node.receive_from_queue(&jobs, Receiving { wait: None, ..one })).await;
    drop(goes);
    assert_eq!(info(&node, "jobs").await.waiting, 0);
    let goes = begun(node.receive_from_queue(&jobs, one.forever())).await;
    let stays = tokio::spawn({
        let (node, jobs) = (node.clone(), jobs.clone());
        async move { node.receive_from_queue(&jobs, one.forever()).await }
    });
    waiting(&node, "jobs", 2).await;
    act(&node, "actor", "send jobs t 3").await;
    assert_eq!(info(&node, "jobs").await.waiting, 1, "the first is served");
    drop(goes);
    assert_eq!(payloads(&stays.await.unwrap().unwrap()), ["3"], "it is the next one's");
    for bad in [ForChannel::new("", "x"), ForChannel::new("troupe:x", "x")] {
        assert!(matches!(node.send_to_queue(&jobs, vec![bad]).await, Err(ChannelError::Invalid(_))));
    }
    node.close().await.unwrap();
}

trait Forever {
    fn forever(self) -> Self;
}

impl Forever for Receiving {
    fn forever(self) -> Receiving {
        Receiving { wait: Some(Duration::from_secs(3600)), ..self }
    }
}

/// "Kill at every operation of the disk": what was sent is neither lost nor done twice, wherever the power goes between send and ack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_from_send_to_ack_nothing_is_lost_or_done_twice() {
    let (mut resumed, mut held) = (0, 0);
    for stop in 0.. {
        assert!(stop < 400, "it never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        started(&node, &["producer", "consumer"]).await;
        let work = Outgoing::new("do", &b"work jobs -\nwork jobs 0"[..]).key("work");
        let send = Outgoing::new("do", &b"send jobs t one"[..]).key("send");
        let consumes = tokio::spawn({
            let (node, work) = (node.clone(), work.clone());
            async move { node.call(&id("consumer"), work).await }
        });
        waiting(&node, "jobs", 1).await;
        node.sync().await.unwrap();
        disk.cut_after(operations);
        let sent = node.call(&id("producer"), send.clone()).await.is_ok();
        let whole = match sent {
            true => consumes.await.unwrap().is_ok(),
            false => {
                consumes.abort();
                false
            }
        };
        drop(node);
        crate::coverage::cut();
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }

        let node = node_on(&disk).await;
        let why = format!("after {operations}, killed: {killed}");
        held += usize::from(info(&node, "jobs").await.depth == 1);
        node.call(&id("producer"), send).await.unwrap_or_else(|error| panic!("{why}: {error}"));
        let answer = tokio::time::timeout(Duration::from_secs(20), node.call(&id("consumer"), work)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{why}: it is lost")).unwrap();
        assert_eq!(answer, b"one\nnone", "{why}");
        let there = info(&node, "jobs").await;
        assert_eq!((there.depth, there.waiting), (0, 0), "{why}: acknowledged, it never comes again");
        resumed += crate::support::count(&node, "consumer", troupe_log::Kind::Resume).await;
        for actor in ["producer", "consumer"] {
            replay(&node, actor, "queues").await.unwrap_or_else(|error| panic!("{why}: {error}"));
        }
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    assert!(resumed > 0 && held > 0, "no stop was in the middle: {resumed} {held}");
}

/// Every acknowledged send and every acknowledged ack holds at whatever operation the power goes, from outside too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_what_a_client_was_told_holds() {
    let text = |text: &str| ForChannel::new("t", text);
    for operations in 0.. {
        assert!(operations < 200, "it never ends");
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        let jobs = id("jobs");
        disk.cut_after(operations);
        let mut told = BTreeSet::new();
        let mut sent = false;
        if node.send_to_queue(&jobs, vec![text("1"), text("2")]).await.is_ok() {
            (sent, told) = (true, BTreeSet::from(["1", "2"]));
            if let Ok(first) = node.receive_from_queue(&jobs, Receiving { max: 1, ..Receiving::default() }).await
                && node.ack(&jobs, &first[0].receipt.to_string()).await.is_ok()
            {
                told.remove("1");
            }
        }
        let whole = !disk.is_cut();
        let node = node_on(&power_cut(node, &disk)).await;
        let there = node.queue(&jobs).await.unwrap();
        match sent {
            false => assert!(there.depth == 0 || there.depth == 2, "all or none: {there:?}"),
            true => assert!(there.depth as usize == told.len() || there.depth == 1, "{there:?}"),
        }
        node.close().await.unwrap();
        if whole {
            assert_eq!(told.len(), 1);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_at_once_go_to_waiters_and_come_back_in_order() {
    let node = node_on(&SimDisk::new()).await;
    started(&node, &["producer", "a"]).await;
    let waits = tokio::spawn({
        let node = node.clone();
        async move { act(&node, "a", "receive-many jobs 5000 -").await }
    });
    waiting(&node, "jobs", 1).await;
    act(&node, "producer", "send-many jobs 1000\nsend jobs t more").await;
    let got = waits.await.unwrap();
    let got: Vec<&str> = got.split("; ").map(|one| one.rsplit(' ').next().unwrap()).collect();
    assert_eq!(got, (0..1000).map(|n| n.to_string()).collect::<Vec<_>>(), "max-many of them");
    assert_eq!(act(&node, "producer", "work jobs 0").await, "more");
    replay(&node, "a", "queues").await.unwrap();
    node.close().await.unwrap();
}
