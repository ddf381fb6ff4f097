//! `troupe stop --now` and `troupe dead`, through kill -9.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::front_support::{Done, Folder, http};

fn lines(done: Done) -> Vec<Value> {
    done.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until a turn sleeps, as the node's counts of what it is in the middle of say: the second is that of waits.
fn until_it_sleeps(here: &Folder) {
    while std::fs::read(here.path().join("phases")).unwrap()[4] == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_sleeping_turn_is_waited_for_or_cut_and_what_waited_can_be_sent_again() {
    let here = Folder::new();
    here.manifest("troupe.toml", "sleeper", "[limits]\ndeadline = \"none\"\n");
    let node = here.node(&["--phases", "phases"]);
    let mut calling = here.command(&["call", "actor", "nap", "3600000"]);
    let calling = calling.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_it_sleeps(&here);
    let waiting = here.run(&["send", "actor", "nap", "1"]).ok();
    let waiting = waiting.trim();
    let mut stopping = here.command(&["stop", "actor"]);
    let mut stopping = stopping.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(stopping.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "actor is in a turn, which ends first; `troupe stop actor --now` cuts it\n");
    assert_eq!(here.run(&["stop", "actor", "--now"]).ok(), "stopped actor\n");
    assert_eq!(stopping.wait().unwrap().code(), Some(0));
    let told = Done::of(calling.wait_with_output().unwrap()).err(1);
    assert!(told.contains("faulted: kill: ") && told.contains("part of the turn had been committed"), "{told}");
    assert!(here.run(&["journal", "show", "actor"]).ok().contains("kill"));

    node.kill();
    // The same manifest begins a new life.
    let node = here.node(&[]);
    assert_eq!(node.said["started"][0]["incarnation"], 1);
    let letters = lines(here.run(&["dead", "list", "--json"]));
    assert_eq!(letters.len(), 2, "{letters:?}");
    let cut = letters.iter().find(|letter| letter["id"] != waiting).unwrap();
    assert!(cut["why"].as_str().unwrap().starts_with("kill: ") && cut["kind"] == "call", "{cut}");
    let table = here.run(&["dead", "list", "actor"]).ok();
    assert!(
        table.starts_with("ACTOR") && table.contains(waiting) && table.contains("the actor was stopped"),
        "{table}"
    );
    let shown = &lines(here.run(&["dead", "show", "actor", waiting, "--json"]))[0];
    assert_eq!((&shown["payload"]["text"], &shown["attempt"]), (&Value::from("1"), &Value::from(1)));
    let shown = here.run(&["dead", "show", "actor", waiting]).ok();
    assert!(shown.contains("payload, 1 bytes: 1") && shown.contains("cast nap from @client"), "{shown}");

    let sent = format!("{waiting} is in the inbox of actor again\n");
    assert_eq!(here.run(&["dead", "resend", "actor", waiting]).ok(), sent);
    node.kill();
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "count"]).ok(), "2", "once");
    let twice = here.run(&["dead", "resend", "actor", waiting]).err(1);
    assert!(twice.contains("has no dead letter") && twice.contains("troupe dead list"), "{twice}");
    let dropped = format!("dropped {}\n", cut["id"].as_str().unwrap());
    assert_eq!(here.run(&["dead", "drop", "actor", "--all"]).ok(), dropped);
    node.kill();
    let node = here.node(&[]);
    assert_eq!(here.run(&["dead", "list"]).ok(), "no dead letters\n");
    assert_eq!(lines(here.run(&["dead", "list", "actor", "--json"])), Vec::<Value>::new());
    here.run(&["dead", "list", "nobody"]).err(1);
    here.run(&["dead", "show", "actor", "what"]).err(1);
    here.run(&["dead", "drop", "actor"]).err(2);
    here.run(&["stop", "--node", "--now"]).err(2);
    node.stop();
}

/// "Re-sent, a message is in the inbox and no dead letter any more in one batch": at whatever moment the node is killed.
#[test]
fn killed_in_the_middle_of_a_resend_a_letter_is_dead_or_handled_once() {
    const ROUNDS: usize = 16;
    let here = Folder::new();
    here.manifest("troupe.toml", "sleeper", "[limits]\ndeadline = \"none\"\n");
    let mut node = here.node(&["--phases", "phases"]);
    let mut calling = here.command(&["call", "actor", "nap", "3600000"]);
    let calling = calling.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_it_sleeps(&here);
    let sent: Vec<String> =
        (0..ROUNDS).map(|_| here.run(&["send", "actor", "nap", "0"]).ok().trim().to_owned()).collect();
    here.run(&["stop", "actor", "--now"]).ok();
    calling.wait_with_output().unwrap();
    here.run(&["start", "troupe.toml"]).ok();
    let mut acknowledged = Vec::new();
    for (round, message) in sent.iter().enumerate() {
        let mut resend = here.command(&["dead", "resend", "actor", message]);
        let mut resend = resend.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Later in each round: before it has asked, in the middle, after its answer.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(500) * round as u32 {
            std::hint::spin_loop();
        }
        node.kill();
        if resend.wait().unwrap().success() {
            acknowledged.push(message);
        }
        node = here.node(&[]);
    }
    let dead: Vec<String> = lines(here.run(&["dead", "list", "--json"]))
        .iter()
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .filter(|id| sent.contains(id))
        .collect();
    assert!(acknowledged.iter().all(|message| !dead.contains(message)), "{acknowledged:?} {dead:?}");
    let handled = here.run(&["call", "actor", "count"]).ok();
    assert_eq!(handled, (2 * (ROUNDS - dead.len())).to_string(), "each that is not dead, once");
    println!("{} acknowledged, {} dead", acknowledged.len(), dead.len());
    node.stop();
}

#[test]
fn dead_letters_over_the_api() {
    let here = Folder::new();
    here.manifest("troupe.toml", "faulty", "[supervision]\nattempts = 1\n");
    let _node = here.node(&[]);
    here.run(&["call", "actor", "trap", "@troupe.toml"]).err(1);
    let api = here.endpoint();
    let token = format!("Bearer {}", api["token"].as_str().unwrap());
    let ask = |request: &str| {
        let (status, body) = http(&api, request, &[("authorization", &token)], b"");
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (status, body)
    };
    let (status, all) = ask("GET /v1/dead-letters");
    assert_eq!((status, all.as_array().unwrap().len()), (200, 1), "{all}");
    assert_eq!((&all[0]["type"], all[0].get("payload")), (&Value::from("trap"), None), "{all}");
    let letter = format!("/v1/actors/actor/dead-letters/{}", all[0]["id"].as_str().unwrap());
    let (status, shown) = ask(&format!("GET {letter}"));
    assert!(status == 200 && shown["payload"]["text"].as_str().unwrap().contains("[supervision]"), "{shown}");
    let (status, sent) = ask(&format!("POST {letter}/resend"));
    assert_eq!((status, &sent["id"]), (200, &all[0]["id"]));
    while ask("GET /v1/actors/actor/dead-letters").1 == Value::Array(Vec::new()) {}
    assert_eq!(ask(&format!("DELETE {letter}")), (204, Value::Null));
    for gone in [format!("GET {letter}"), format!("DELETE {letter}"), format!("POST {letter}/resend")] {
        let (status, failure) = ask(&gone);
        assert_eq!((status, &failure["code"]), (404, &Value::from("not-found")), "{gone}");
    }
    assert_eq!(ask("GET /v1/actors/nobody/dead-letters").0, 404);
    for bad in
        ["GET /v1/actors/actor/dead-letters/x", "GET /v1/actors/UPPER/dead-letters", "DELETE /v1/actors/actor?now=x"]
    {
        assert_eq!(ask(bad).0, 400, "{bad}");
    }
}

#[test]
fn ps_marks_actors_that_cannot_make_a_base() {
    let here = Folder::with("counter-rust");
    here.manifest("saver.toml", "saver", "[snapshots]\nmax-replay = 9\n");
    let _node = here.node(&[]);
    here.run(&["start", "saver.toml", "--id", "saver"]).ok();
    let column = |actor: &str| {
        let table = here.run(&["ps"]).ok();
        let column = table.lines().next().unwrap().split_whitespace().position(|name| name == "BASE").unwrap();
        let line = table.lines().find(|line| line.starts_with(actor)).unwrap();
        line.split_whitespace().nth(column).unwrap().to_owned()
    };
    assert_eq!((column("actor"), column("saver")), ("never".to_owned(), "-".to_owned()));
    while column("saver") == "-" {
        here.run(&["call", "saver", "add", "1"]).ok();
    }
    let actors = lines(here.run(&["ps", "--json"]));
    assert_eq!((&actors[0]["no_base"], &actors[0]["base"]), (&Value::from("it has no snapshot export"), &Value::Null));
    assert_eq!((&actors[1]["no_base"], actors[1]["base"].to_string()), (&Value::Null, column("saver")));
}
