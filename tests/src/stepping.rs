//! Time travel: a journal walked forward and back, stopped where a condition is met, and forked with one thing changed. As a library,
//! and by the command with a script on standard input.

use serde_json::Value;
use troupe_log::{Kind, Seq, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::node::Node;
use troupe_runtime::replay::{Break, Edit, Fork, JournalSource, NOT_MADE, Replay, ReplayCode, Walk};

use crate::front_support::Folder;
use crate::support::{ask, cache, guest, id, journal, node_on, power_cut, spec};

fn code(name: &str) -> ReplayCode {
    ReplayCode::compile_cached(&std::fs::read(guest(name)).unwrap(), &cache()).unwrap()
}

async fn walk(node: &Node, actor: &str, guest: &str) -> Walk {
    Walk::new(Replay::new(code(guest), journal(node, actor).await).unwrap())
}

/// A saver that has made bases, and was killed between them. What it said behind each of its turns.
async fn saved() -> (Node, Vec<(String, u64)>) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = 12;
    node.start(saver).await.unwrap();
    for n in 1..=30 {
        ask(&node, "saver", "add", &n.to_string()).await.unwrap();
    }
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    for n in 31..=60 {
        ask(&node, "saver", "add", &n.to_string()).await.unwrap();
    }
    let mut replay = Replay::new(code("saver"), journal(&node, "saver").await).unwrap();
    let (mut all, mut total) = (Vec::new(), 0);
    while let Some(turn) = replay.next_turn().await.unwrap() {
        if turn.message_type.is_some() {
            total = turn.ended().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        }
        all.push((format!("{turn:?}"), total));
    }
    (node, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_walk_came_to_a_turn_it_stands_where_a_replay_up_to_it_does() {
    let (node, all) = saved().await;
    let mut walk = walk(&node, "saver", "saver").await;
    assert!(all.len() > 70, "{} turns", all.len());
    let n = all.len() as u64;
    // Forward, back by one, far back, to the end, over places that are kept and between them.
    let mut ways: Vec<u64> = vec![1, 2, 33, 32, 31, n, n - 1, n - 2, 64, 65, 1, n];
    ways.extend((0..40).map(|i| 1 + (i * 37) % n));
    for to in ways {
        walk.go(to).await.unwrap();
        assert_eq!(walk.turns(), to);
        let (turn, total) = &all[to as usize - 1];
        assert_eq!(format!("{:?}", walk.newest().unwrap().turn), *turn);
        if !turn.contains("kind: Instantiate") {
            let state = walk.state().await.unwrap();
            assert_eq!(state.saved, Some(total.to_string().into_bytes()), "turn {to}");
        }
    }
    // Back costs the turns since the place before it, wherever that is.
    for to in [n - 1, n / 2, 3] {
        walk.go(n).await.unwrap();
        let before = walk.replay().played();
        walk.go(to).await.unwrap();
        let cost = walk.replay().played() - before;
        assert!(cost <= 32 + 12 + 8, "{cost} turns for going back to {to}");
    }
    walk.go(n + 5).await.unwrap();
    assert_eq!(walk.turns(), n, "there is no more");
    assert!(walk.next(&[]).await.unwrap().is_none());
    walk.go(n - 1).await.unwrap();
    assert!(walk.next(&[]).await.unwrap().is_some(), "from the end back and on");
    walk.go(0).await.unwrap();
    assert!(walk.newest().is_none());
    walk.state().await.unwrap_err();
    let mut passed = 0;
    while walk.next(&[]).await.unwrap().is_some() {
        passed += 1;
    }
    assert_eq!(passed, n);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_stops_behind_the_turn_that_meets_a_condition() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.supervision.max_restarts = 100;
    node.start(counter).await.unwrap();
    for (message_type, payload) in [("add", "5"), ("dice", ""), ("log", "hi"), ("sleep", "1"), ("get", "")] {
        ask(&node, "counter", message_type, payload).await.unwrap();
    }
    ask(&node, "counter", "trap", "").await.unwrap_err();
    ask(&node, "counter", "get", "").await.unwrap();
    let mut walk = walk(&node, "counter", "counter-rust").await;
    let cases = [
        (Break::Message("dice".to_owned()), "dice"),
        (Break::Function("host@0.1#log".to_owned()), "log"),
        (Break::Kind(Kind::Wait), "sleep"),
        (Break::Kind(Kind::Fault), "trap"),
    ];
    for (at, expected) in cases {
        walk.go(0).await.unwrap();
        assert!(walk.run(std::slice::from_ref(&at)).await.unwrap(), "{at:?}");
        let step = walk.newest().unwrap().clone();
        assert_eq!((step.turn.message_type.as_deref(), &step.met[..]), (Some(expected), &[0][..]), "{at:?}");
        let here = Break::Seq(step.turn.last);
        walk.go(0).await.unwrap();
        assert!(walk.run(&[Break::Kind(Kind::Denial), here]).await.unwrap());
        let again = walk.newest().unwrap();
        assert_eq!((again.turn.last, &again.met[..]), (step.turn.last, &[1][..]));
    }
    // A fork leaves out what a fault undid.
    let (add, _) = place(&mut walk, "add").await;
    let more = Edit::Message { message_type: None, payload: Some(b"7".to_vec()) };
    let more = walk.fork(add, &more).await.unwrap();
    assert_eq!((more.differing, more.stopped), (3, None), "the sum, and twice what was asked for");
    // A turn that faulted has no end of its own kind, and a type is meant whole.
    walk.go(0).await.unwrap();
    let both = [Break::Message("trap".to_owned()), Break::Kind(Kind::TurnEnd)];
    let met = loop {
        assert!(walk.run(&both).await.unwrap());
        let met = walk.newest().unwrap().met.clone();
        if met.contains(&0) {
            break met;
        }
    };
    assert_eq!(met, [0]);
    walk.go(0).await.unwrap();
    assert!(!walk.run(&[Break::Message("dic".to_owned()), Break::Message("none".to_owned())]).await.unwrap());
    let records = walk.records().unwrap();
    let last = troupe_log::record::records(&records).map(Result::unwrap).last().unwrap();
    assert_eq!(last.head(), node.actor(&id("counter")).await.unwrap().head);
    node.close().await.unwrap();
}

/// The record of the first turn of this type, and of its first call.
async fn place(walk: &mut Walk, message: &str) -> (Seq, Seq) {
    walk.go(0).await.unwrap();
    assert!(walk.run(&[Break::Message(message.to_owned())]).await.unwrap());
    let began = walk.newest().unwrap().turn.began;
    (began, began.next())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_shows_what_another_message_or_result_would_have_led_to_and_touches_nothing() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    for (message_type, payload) in
        [("add", "5"), ("dice", ""), ("log", "one"), ("add", "1"), ("state", ""), ("log", "two")]
    {
        ask(&node, "counter", message_type, payload).await.unwrap();
    }
    let before = node.actor(&id("counter")).await.unwrap();
    let mut walk = walk(&node, "counter", "counter-rust").await;
    let (add, _) = place(&mut walk, "add").await;
    let (log, _) = place(&mut walk, "log").await;
    let (_, dice) = place(&mut walk, "dice").await;
    let message = |payload: &str| Edit::Message { message_type: None, payload: Some(payload.into()) };
    let ends = |fork: &Fork| -> Vec<String> {
        let end = |turn: &troupe_runtime::replay::ForkedTurn| turn.end.as_ref().map(|end| end.1.clone());
        fork.turns.iter().filter_map(end).collect()
    };

    let same = walk.fork(add, &message("5")).await.unwrap();
    assert_eq!((same.turns, same.played, same.stopped), (vec![], 6, None), "what is the same goes the same way");
    let more = walk.fork(add, &message("7")).await.unwrap();
    assert_eq!(more.edited, ("\"add\" \"5\"".to_owned(), "\"add\" \"7\"".to_owned()));
    let told = ends(&more);
    assert_eq!(told[..2], ["answer \"7\"", "answer \"8\""]);
    assert!(told[2].starts_with("answer \"total=8 adds=2 last-dice="), "{told:?}");
    assert_eq!((more.played, more.differing), (6, 3));
    let refused = walk.fork(add, &message("x")).await.unwrap();
    assert_eq!(refused.turns[0].end.as_ref().unwrap().1, "error \"not a number: x\"");

    // Another result of the call for randomness, by text and by bytes.
    let mut rolled = Vec::new();
    for n in 0..6 {
        let fork = walk.fork(dice, &Edit::Result(n.to_string())).await.unwrap();
        assert!(fork.edited.1.ends_with(&format!("random@0.2#get-random-u64 -> ({n},)")), "{:?}", fork.edited);
        let encoded = format!("0x0{n}00000000000000");
        assert_eq!(walk.fork(dice, &Edit::Result(encoded)).await.unwrap(), fork);
        rolled.push(ends(&fork));
    }
    assert!(rolled.iter().filter(|ends| ends.len() == 2).count() >= 5, "the answer, and the state it left: {rolled:?}");
    // A call with other arguments is answered as the recorded one was.
    let other = walk.fork(log, &message("three")).await.unwrap();
    let call = &other.turns[0].calls[0];
    assert!(call.recorded.contains("\"one\"") && call.forked.contains("\"three\""), "{call:?}");
    assert_eq!((other.differing, other.stopped), (1, None));
    // A call that was recorded is not made, and one that was not has no answer.
    let silent = walk.fork(log, &Edit::Message { message_type: Some("get".to_owned()), payload: None }).await.unwrap();
    assert_eq!(silent.turns[0].calls[0].forked, NOT_MADE);
    let stopped =
        walk.fork(log, &Edit::Message { message_type: Some("dice".to_owned()), payload: None }).await.unwrap();
    assert!(stopped.stopped.unwrap().contains("get-random-u64"));
    let trapped =
        walk.fork(log, &Edit::Message { message_type: Some("trap".to_owned()), payload: None }).await.unwrap();
    assert!(trapped.stopped.unwrap().contains("fault: trap"));

    for (seq, edit) in [
        (Seq(0), message("5")),
        (dice, message("5")),
        (add, Edit::Result("5".to_owned())),
        (dice, Edit::Result("five".to_owned())),
        (dice, Edit::Result("0x05".to_owned())),
        (Seq(u64::MAX), message("5")),
    ] {
        let error = walk.fork(seq, &edit).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    let after = node.actor(&id("counter")).await.unwrap();
    assert_eq!((after.next, after.head), (before.next, before.head));
    node.close().await.unwrap();
}

/// The bytes of a result of a record.
async fn result(node: &Node, actor: &str, seq: Seq) -> Vec<u8> {
    let bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    let record = troupe_log::record::records(&bytes).map(Result::unwrap).find(|record| record.seq == seq).unwrap();
    let mut body = troupe_log::codec::Reader::new(record.body);
    troupe_log::body::CallHead::decode(&mut body).unwrap();
    match troupe_log::body::Outcome::decode(&mut body).unwrap() {
        troupe_log::body::Outcome::Value(value) => value.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_tells_answers_apart_that_differ_behind_what_is_shown() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("probe", "probe")).await.unwrap();
    ask(&node, "probe", "random#get-random-bytes", "1000").await.unwrap();
    let mut walk = walk(&node, "probe", "probe").await;
    let (_, call) = place(&mut walk, "random#get-random-bytes").await;
    let mut value = result(&node, "probe", call).await;
    let as_it_was = Edit::Result(format!("0x{}", hex::encode(&value)));
    assert_eq!(walk.fork(call, &as_it_was).await.unwrap().differing, 0);
    *value.last_mut().unwrap() ^= 1;
    let fork = walk.fork(call, &Edit::Result(format!("0x{}", hex::encode(&value)))).await.unwrap();
    let (recorded, forked) = fork.turns[0].end.clone().unwrap();
    assert!(recorded != forked && recorded.len() < 700 && recorded.contains(".. (2000 bytes)"), "{recorded}\n{forked}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_says_less_than_a_call_has_is_an_error_of_the_replay() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "dice", "").await.unwrap();
    let whole = node.journal(&id("counter")).await.unwrap().read_all().unwrap();
    node.close().await.unwrap();
    for len in 0..20 {
        let mut step = troupe_log::Step::new(troupe_log::Chain::START);
        for record in troupe_log::record::records(&whole).map(Result::unwrap) {
            let is_call = record.kind == Kind::Call;
            let body = if is_call { &record.body[..record.body.len().min(len)] } else { record.body };
            step.record(record.kind.known().unwrap(), |out| out.extend_from_slice(body));
        }
        let source = JournalSource::Bytes { records: step.bytes().into(), blobs: Default::default() };
        let mut replay = Replay::new(code("counter-rust"), source).unwrap();
        replay.until(Seq(u64::MAX), |_| ()).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_goes_on_through_what_it_saves_itself_and_past_a_power_cut() {
    let (node, all) = saved().await;
    let mut walk = walk(&node, "saver", "saver").await;
    let (first, _) = place(&mut walk, "add").await;
    let edit = Edit::Message { message_type: None, payload: Some(b"1001".to_vec()) };
    let fork = walk.fork(first, &edit).await.unwrap();
    assert_eq!(fork.stopped, None);
    let adds: Vec<_> = fork.turns.iter().filter(|turn| turn.about == "add").collect();
    assert_eq!(adds.len(), 60);
    let last = all.last().unwrap().1 + 1000;
    assert_eq!(adds.last().unwrap().end.as_ref().unwrap().1, format!("answer \"{last}\""));
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_of_a_state_machine_goes_from_state_to_state() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("machine", "fsm")).await.unwrap();
    for message_type in ["where", "begin", "finish"] {
        ask(&node, "machine", message_type, "").await.unwrap();
    }
    let mut walk = walk(&node, "machine", "fsm").await;
    let (first, _) = place(&mut walk, "where").await;
    let same = Edit::Message { message_type: None, payload: Some(Vec::new()) };
    let same = walk.fork(first, &same).await.unwrap();
    assert_eq!((same.turns, same.played, same.stopped), (vec![], 3, None));
    let (begin, _) = place(&mut walk, "begin").await;
    let other = Edit::Message { message_type: Some("where".to_owned()), payload: None };
    let other = walk.fork(begin, &other).await.unwrap();
    let ends: Vec<_> = other.turns.iter().map(|turn| turn.end.clone().unwrap().1).collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends[1].contains("no transition from start by finish"), "{ends:?}");
    node.close().await.unwrap();
}

#[test]
fn the_command_walks_by_a_script() {
    let here = Folder::with("saver");
    let node = here.node(&[]);
    for n in ["5", "2", "-3"] {
        here.run(&["call", "actor", "add", n]).ok();
    }
    here.run(&["journal", "export", "actor"]).ok();
    node.stop();
    let script = |text: &str, more: &[&str]| {
        here.feed(&[&["replay", "actor.journal", "--step"], more].concat(), text.as_bytes())
    };
    let said = script("break message add\nrun\nrun\nstate\nback\nstate\ncalls\nrun\nrun\nquit\nnonsense\n", &[]).ok();
    let lines: Vec<&str> = said.lines().collect();
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {said}"));
    assert_eq!(lines[0], "0  message add");
    assert!(at("add  ->  answer \"5\"") < at("add  ->  answer \"7\""), "{said}");
    assert!(at("saved: 7") < at("saved: 5"), "{said}");
    assert!(said.contains("hash: blake3:") && said.contains("call \"add\" from @client  \"5\""), "{said}");
    assert!(said.contains("answer \"4\""), "{said}");

    let said = script("go 3\nstate\nwhere\nbreaks\ncalls\nnext 100\nnext\n", &["--json"]).ok();
    let values: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 7, "{said}");
    assert_eq!(values[0]["newest"]["type"], "add");
    assert_eq!(values[1]["saved"]["text"], "5");
    assert_eq!(values[2], values[0].clone(), "asking moves nothing");
    assert_eq!(values[4]["records"][0]["kind"], "turn-begin");
    assert_eq!(values[6]["why"], "end");
    let began = values[0]["newest"]["began"].as_u64().unwrap().to_string();

    let forked = here.run(&["replay", "actor.journal", "--edit", &began, "--message", "10"]).ok();
    assert!(forked.contains("the fork:    answer \"10\"") && forked.contains("turns went otherwise"), "{forked}");
    let by_script = script(&format!("edit {began} message 10\n"), &[]).ok();
    assert_eq!(by_script, forked);
    for (text, code) in
        [("nonsense\n", 2), ("go x\n", 2), ("break kind none\n", 2), ("delete 1\n", 2), ("edit 0 result 1\n", 1)]
    {
        script(text, &[]).err(code);
    }
    here.run(&["replay", "actor.journal", "--edit", "5"]).err(2);
}
