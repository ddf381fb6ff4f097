//! Queues and topics by the command and over the API: producers and consumers without an actor.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::front_support::{Folder, http};

const GRANTS: &str = "[limits]\nmemory = \"32MiB\"\n[grants.channels]\nsend = [\"*\"]\nreceive = [\"*\"]\npublish = [\"*\"]\nsubscribe = [\"*\"]\n";

fn lines(text: String) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_client_uses_queues_and_topics_by_command_and_over_the_api() {
    let here = Folder::new();
    here.manifest("troupe.toml", "queues", GRANTS);
    here.write("bytes", b"\x00\xff\n");
    let node = here.node(&[]);
    assert_eq!(here.run(&["queue", "list"]).ok(), "no messages in any queue\n");
    let id = here.run(&["queue", "send", "jobs", "odd:type", "@bytes", "--header", "a=b=c"]).ok();
    // Durable before the answer.
    node.kill();
    let node = here.node(&[]);
    let table = here.run(&["queue", "list"]).ok();
    assert!(table.starts_with("QUEUE") && table.contains("jobs"), "{table}");
    let got = &lines(here.run(&["queue", "receive", "jobs", "--visibility", "1h", "--json"]).ok())[0];
    assert_eq!(got["id"], id.trim());
    assert_eq!((&got["type"], &got["attempt"], &got["from"]), (&json!("odd:type"), &json!(1), &json!("@client")));
    assert_eq!((&got["base64"], &got["headers"]), (&json!("AP8K"), &json!([["a", "b=c"]])));
    let receipt = got["receipt"].as_str().unwrap();
    assert_eq!(here.run(&["queue", "receive", "jobs"]).ok(), "no message\n");
    let info = &lines(here.run(&["queue", "list", "jobs", "--json"]).ok())[0];
    assert_eq!((&info["depth"], &info["available"], &info["delivered"]), (&json!(1), &json!(0), &json!(1)));
    here.run(&["queue", "extend", "jobs", receipt, "5m"]).ok();
    here.run(&["queue", "nack", "jobs", receipt]).ok();
    let again = here.run(&["queue", "receive", "jobs"]).ok();
    assert!(again.contains("attempt 2") && again.contains("payload, 3 bytes, hexadecimal: 00ff0a"), "{again}");
    let stale = here.run(&["queue", "ack", "jobs", receipt]).err(1);
    assert!(stale.contains("not found: receipt"), "{stale}");
    let receipt = again.lines().next().unwrap().strip_prefix("receipt: ").unwrap().to_owned();
    here.run(&["queue", "nack", "jobs", &receipt, "--dead"]).ok();
    let dead = here.run(&["dead", "list", "@queue.jobs"]).ok();
    assert!(dead.contains(id.trim()) && dead.contains("gave it up"), "{dead}");
    here.run(&["dead", "show", "@queue.jobs", id.trim()]).ok();
    here.run(&["dead", "resend", "@queue.jobs", id.trim()]).ok();
    assert_eq!(here.run(&["dead", "list"]).ok(), "no dead letters\n");
    assert_eq!(here.run(&["dead", "list", "@queue.jobs"]).ok(), "no dead letters\n");
    let got = &lines(here.run(&["queue", "receive", "jobs", "--ack", "--json"]).ok())[0];
    assert_eq!((&got["id"], &got["attempt"]), (&json!(id.trim()), &json!(1)));
    node.kill();
    let node = here.node(&[]);
    assert_eq!(here.run(&["queue", "list"]).ok(), "no messages in any queue\n", "after the ack never again");

    // One who waits is served by an actor, and an actor by one who sends.
    let mut waits = here.command(&["queue", "receive", "back", "--wait", "1m", "--ack"]);
    let waits = waits.stdout(std::process::Stdio::piped()).spawn().unwrap();
    while here.run(&["queue", "list"]).ok().lines().count() < 2 {}
    assert_eq!(here.run(&["call", "actor", "do", "send back t from-actor"]).ok().len(), 32);
    let got = String::from_utf8(waits.wait_with_output().unwrap().stdout).unwrap();
    assert!(got.contains("from default/actor") && got.ends_with(": from-actor\n"), "{got}");
    here.run(&["queue", "send", "jobs", "t", "late", "--delay", "1ms", "--ttl", "1h"]).ok();
    assert_eq!(here.run(&["call", "actor", "do", "work jobs 5000"]).ok(), "late");

    here.run(&["call", "actor", "do", "subscribe news.>"]).ok();
    let told = here.run(&["topic", "publish", "news.today", "t", "it rains"]).ok();
    assert!(told.ends_with(" to 1 subscribers\n"), "{told}");
    let kept = here.run(&["call", "actor", "kept"]).ok();
    assert!(kept.starts_with("@topic/news.today t troupe-publisher=@client troupe-subscription="), "{kept}");
    for bad in [
        &["queue", "receive", "jobs", "--wait", "x"][..],
        &["queue", "send", "jobs", "t", "x", "--header", "x"],
        &["queue", "extend", "jobs", "r", "x"],
    ] {
        here.run(bad).err(2);
    }
    here.run(&["queue", "send", "jobs", "", "x"]).err(1);
    here.run(&["queue", "send", "JOBS", "t", "x"]).err(1);
    node.stop();
}

#[test]
fn queues_and_topics_over_the_api() {
    let here = Folder::new();
    here.manifest("troupe.toml", "queues", GRANTS);
    let _node = here.node(&[]);
    let api = here.endpoint();
    let token = format!("Bearer {}", api["token"].as_str().unwrap());
    let ask = |request: &str, body: Value| {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let (status, body) = http(&api, request, &[("authorization", &token)], &body);
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    };
    let raw = [("authorization", token.as_str()), ("troupe-type", "raw")];
    let (status, sent) = http(&api, "POST /v1/queues/jobs/send", &raw, b"\xff\x00");
    assert_eq!(status, 200, "{sent:?}");
    let two = json!({ "messages": [{ "type": "a", "text": "1" }, { "type": "b", "base64": "AA==", "headers": [["x", "y"]] }] });
    let (status, sent) = ask("POST /v1/queues/jobs/send", two);
    assert_eq!((status, sent["ids"].as_array().unwrap().len()), (200, 2));
    let bad = json!({ "messages": [{ "type": "a", "text": "1" }, { "type": "troupe:x" }] });
    assert_eq!(ask("POST /v1/queues/jobs/send", bad).0, 400);
    let (status, info) = ask("GET /v1/queues/jobs", Value::Null);
    assert_eq!((status, &info["depth"], &info["queue"]), (200, &json!(3), &json!("default/jobs")), "all or none");
    assert_eq!(ask("GET /v1/queues", Value::Null).1.as_array().unwrap().len(), 1);
    let (status, got) = ask("POST /v1/queues/jobs/receive?max=10&wait=5s", Value::Null);
    let got = got.as_array().unwrap();
    assert_eq!((status, got.len()), (200, 3));
    let types: Vec<&Value> = got.iter().map(|one| &one["type"]).collect();
    assert_eq!(types, ["raw", "a", "b"]);
    for one in got {
        let receipt = json!({ "receipt": one["receipt"] });
        assert_eq!(ask("POST /v1/queues/jobs/ack", receipt.clone()), (204, Value::Null));
        let (status, failure) = ask("POST /v1/queues/jobs/ack", receipt);
        assert_eq!((status, &failure["code"]), (404, &json!("not-found")));
    }
    let begun = Instant::now();
    assert_eq!(ask("POST /v1/queues/jobs/receive?wait=50ms", Value::Null), (200, json!([])));
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let (status, published) = ask("POST /v1/topics/t/publish", json!({ "type": "x", "text": "y" }));
    assert_eq!((status, &published["subscribers"]), (200, &json!(0)));
    for (request, body) in [
        ("POST /v1/queues/UPPER/send", json!({ "type": "x" })),
        ("POST /v1/queues/jobs/receive?max=x", Value::Null),
        ("POST /v1/queues/jobs/receive?what=1", Value::Null),
        ("POST /v1/queues/jobs/receive?visibility=13h", Value::Null),
        ("POST /v1/queues/jobs/send", json!({ "type": "x", "delay": "soon" })),
        ("POST /v1/topics/t/publish", json!({ "type": "x", "ttl": "1s" })),
        ("POST /v1/topics/t/publish", json!({ "text": "y" })),
    ] {
        let (status, failure) = ask(request, body);
        assert_eq!((status, &failure["code"]), (400, &json!("invalid-argument")), "{request}");
    }
    let many = json!({ "messages": vec![json!({ "type": "x" }); 1001] });
    let (status, failure) = ask("POST /v1/queues/jobs/send", many);
    assert_eq!((status, &failure["code"]), (429, &json!("resource-exhausted")));
}
