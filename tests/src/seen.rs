//! Seen from outside: an event for every turn and host call, with the actor's id; trace context in headers and records.

use crate::front_support::{Folder, http};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn turns_and_host_calls_are_events_and_the_trace_context_goes_with_the_message() {
    let here = Folder::new();
    here.manifest("troupe.toml", "generic", "");
    let node = here.node(&["--log", "trace"]);
    let endpoint = here.endpoint();
    let token = format!("Bearer {}", endpoint["token"].as_str().unwrap());
    let headers = [("authorization", token.as_str()), ("troupe-type", "hello"), ("traceparent", TRACE)];
    let (status, answer) = http(&endpoint, "POST /v1/actors/default%2Factor/call", &headers, b"x");
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains(&format!("traceparent={TRACE}")), "the guest sees it: {answer}");
    let journal = here.run(&["journal", "show", "actor"]).ok();
    assert!(journal.contains(TRACE), "{journal}");
    let log = node.stop();
    let line = |words: &[&str]| log.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["\"TRACE\"", "default/actor", "host call", "troupe:actor/messaging@0.1#current"]), "{log}");
    assert!(line(&["\"DEBUG\"", "default/actor", "\"turn\"", "hello", TRACE]), "{log}");
}
