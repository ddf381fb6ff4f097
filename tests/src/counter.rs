//! One table of cases, four components: the same counter in four languages, live, killed and recovered, replayed.

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;

use crate::support::{ask, guest, id, node_on, replay, spec};

const LANGUAGES: [&str; 4] = ["counter-rust", "counter-python", "counter-js", "counter-c"];

/// Message type, payload, answer. `?` stands for an answer that a clock or a dice gives.
const CASES: [(&str, &str, Result<&str, &str>); 11] = [
    ("get", "", Ok("5")),
    ("add", "3", Ok("8")),
    ("add", "-10", Ok("-2")),
    ("dice", "", Ok("?")),
    ("now", "", Ok("?")),
    ("echo", "ein Gruß\n", Ok("ein Gruß\n")),
    ("log", "hello", Ok("logged")),
    ("add", "x", Err("not a number: x")),
    ("what", "", Err("unknown message type: what")),
    ("sleep", "1", Ok("slept")),
    ("get", "", Ok("-2")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counter_of_each_language_answers_survives_a_power_cut_and_replays() {
    for language in LANGUAGES {
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        let mut counter = spec("counter", language);
        counter.init = b"5".to_vec();
        let started = node.start(counter.clone()).await.unwrap();
        assert!(!started.resumed);
        for (message_type, payload, expected) in CASES {
            let answer = ask(&node, "counter", message_type, payload).await;
            match expected {
                Ok("?") => assert!(answer.unwrap().parse::<u64>().is_ok(), "{language} {message_type}"),
                Ok(text) => assert_eq!(answer, Ok(text.to_owned()), "{language} {message_type}"),
                Err(text) => assert_eq!(answer, Err(CallError::Refused(text.to_owned())), "{language} {message_type}"),
            }
        }
        let state = ask(&node, "counter", "state", "").await.unwrap();
        assert!(state.starts_with("total=-2 adds=2 last-dice="), "{language}: {state}");

        // The disk forgets everything that was not synced; the process is gone.
        let after = disk.fork();
        after.crash();
        crate::coverage::cut();
        drop(node);
        let node = node_on(&after).await;
        let started = node.start(counter).await.unwrap();
        assert!(started.resumed, "{language}");
        assert_eq!(ask(&node, "counter", "state", "").await.unwrap(), state, "{language}: the same dice, too");
        assert_eq!(ask(&node, "counter", "add", "1").await.unwrap(), "-1", "{language}");

        let summary = replay(&node, "counter", language).await.unwrap();
        assert_eq!(summary.turns, 2 + CASES.len() as u64 + 3, "{language}");
        assert_eq!(summary.records, node.actor(&id("counter")).await.unwrap().next.0, "{language}");
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_component_differs_at_the_first_call_that_is_not_in_the_journal() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "add", "2").await.unwrap();
    ask(&node, "counter", "now", "").await.unwrap();
    let error = replay(&node, "counter", "counter-c").await;
    // The two counters behave alike to the letter, and so does their journal.
    assert!(error.is_ok(), "{error:?}");
    let error = replay(&node, "counter", "bench").await.unwrap_err();
    let troupe_runtime::Error::Differs(difference) = error else { panic!("{error}") };
    assert_eq!(difference.function, "the end of the turn");
    assert_eq!(difference.expected, "answer \"2\"");
    assert!(guest("bench").is_file());
}
