//! `troupe journal` and `troupe replay`, of the node that runs, of a folder without one, and of a file anywhere.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::front_support::{Folder, binary};
use crate::support::guest;

/// A node whose actor has handled three messages.
fn counted() -> (Folder, crate::front_support::Running) {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    here.run(&["call", "actor", "add", "5"]).ok();
    here.run(&["call", "actor", "dice"]).ok();
    here.run(&["call", "actor", "add", "-2"]).ok();
    (here, node)
}

#[test]
fn the_journal_is_the_same_from_the_node_the_folder_and_the_file() {
    let (here, node) = counted();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    assert!(shown.contains("call \"add\" from @client  \"5\""), "{shown}");
    assert!(shown.contains("wasi:random/random@0.2#get-random-u64"), "{shown}");
    assert!(shown.lines().last().unwrap().contains("answer \"3\""), "{shown}");
    let verified = here.run(&["journal", "verify", "actor"]).ok();
    let records = shown.lines().count();
    assert!(verified.starts_with(&format!("good: {records} records of default/actor, from genesis")), "{verified}");
    assert!(here.run(&["journal", "export", "actor"]).ok().starts_with("wrote "));
    node.stop();

    assert_eq!(
        here.run(&["journal", "show", "actor"]).ok().lines().take(records).collect::<Vec<_>>(),
        shown.lines().collect::<Vec<_>>()
    );
    here.run(&["journal", "verify", "actor"]).ok();
    let elsewhere = Folder::new();
    fs::copy(here.path().join("actor.journal"), elsewhere.path().join("actor.journal")).unwrap();
    assert_eq!(elsewhere.run(&["journal", "show", "actor.journal"]).ok(), shown);
    assert_eq!(elsewhere.run(&["journal", "verify", "actor.journal"]).ok(), verified);
    let from = here.run(&["journal", "show", "actor", "--from", "5", "--json"]).ok();
    let first: Value = serde_json::from_str(from.lines().next().unwrap()).unwrap();
    assert_eq!((&first["seq"], &first["kind"]), (&Value::from(5), &Value::from("turn-begin")));
    let unknown = here.run(&["journal", "show", "nobody"]).err(1);
    assert!(unknown.contains("default/nobody") && unknown.contains("default/actor"), "{unknown}");
}

#[test]
fn waits_and_denials_are_told_by_their_function_and_grant() {
    let here = Folder::with("sleeper");
    let _node = here.node(&[]);
    here.run(&["call", "actor", "nap", "5"]).ok();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    let line = |kind: &str| shown.lines().find(|line| line.contains(kind)).unwrap_or_else(|| panic!("{kind}: {shown}"));
    assert!(line("  wait  ").contains("troupe:actor/host@0.1#sleep-millis(5,)"), "{shown}");
    let wait = line("  wait  ").split_whitespace().next().unwrap();
    assert!(line("  wake  ").contains(&format!("of record {wait}  ->  (Ok(())")), "{shown}");

    here.run(&["start", guest("probe").to_str().unwrap()]).ok();
    let denied = here.run(&["call", "probe", "messaging#send-message", "other|add|1"]).ok();
    assert!(denied.contains("NotPermitted"), "{denied}");
    let shown = here.run(&["journal", "show", "probe"]).ok();
    assert!(shown.contains("#send-message(") && shown.contains("denied: no [grants.messaging]"), "{shown}");
}

#[test]
fn an_exported_file_replays_on_a_machine_without_a_network() {
    let (here, node) = counted();
    let live = here.run(&["replay", "actor"]).ok();
    assert!(live.starts_with("identical, "), "{live}");
    here.run(&["journal", "export", "actor", "-o", "it.journal"]).ok();
    node.stop();
    assert_eq!(here.run(&["replay", "actor"]).ok().split(' ').next(), Some("identical,"), "with no node");

    let empty = Folder::new();
    fs::copy(here.path().join("it.journal"), empty.path().join("it.journal")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rn"]).arg(binary()).args(["replay", "it.journal"]).current_dir(empty.path()).env_clear();
    let output = command.env("PATH", "/usr/bin:/bin").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), live, "{output:?}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 1, "it writes nothing");
}

#[test]
fn a_changed_component_gives_the_first_difference_and_code_3() {
    let (here, node) = counted();
    let other = guest("faulty");
    let differs = here.run(&["replay", "actor", "--component", other.to_str().unwrap()]).err(3);
    assert!(differs.contains("differs at record") && differs.contains("the journal has:"), "{differs}");
    let json = here.run(&["--json", "replay", "actor", "--component", other.to_str().unwrap()]);
    assert_eq!(json.code, 3);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["identical"], false);
    assert!(value["seq"].as_u64().unwrap() > 0 && value["expected"] != value["actual"], "{value}");
    node.stop();
}

#[test]
fn a_replay_stops_where_it_is_told_and_shows_the_state() {
    let here = Folder::with("saver");
    let _node = here.node(&[]);
    here.run(&["call", "actor", "add", "5"]).ok();
    let line = here.run(&["ps", "--json"]).ok();
    let records = serde_json::from_str::<Value>(&line).unwrap()["records"].as_u64().unwrap();
    here.run(&["call", "actor", "add", "2"]).ok();
    let until = here.run(&["replay", "actor", "--until", &(records - 1).to_string(), "--json"]).ok();
    let until: Value = serde_json::from_str(&until).unwrap();
    assert_eq!(until["records"], records);
    assert_eq!(until["state"]["saved"]["text"], "5", "as it was then");
    let whole = here.run(&["replay", "actor", "--until", "1000000"]).ok();
    assert!(whole.contains("saved: 7"), "{whole}");
    let turns = here.run(&["replay", "actor", "--turns"]).ok();
    assert!(turns.contains("add  ->  answer \"5\"") && turns.contains("identical, "), "{turns}");
}

#[test]
fn a_run_that_trapped_replays() {
    let here = Folder::new();
    here.manifest("troupe.toml", "faulty", "[supervision]\nattempts = 2\n");
    let _node = here.node(&[]);
    here.run(&["call", "actor", "count"]).ok();
    here.run(&["call", "actor", "trap"]).err(1);
    here.run(&["call", "actor", "count"]).ok();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    assert_eq!(shown.lines().filter(|line| line.contains("  fault ")).count(), 2, "{shown}");
    assert!(here.run(&["replay", "actor"]).ok().starts_with("identical, "));
}

#[test]
fn journals_are_compared() {
    let (here, node) = counted();
    here.run(&["journal", "export", "actor", "-o", "one.journal"]).ok();
    here.run(&["call", "actor", "add", "9"]).ok();
    let same = here.run(&["journal", "diff", "one.journal", "one.journal"]).ok();
    assert!(same.starts_with("identical, "), "{same}");
    let done = here.run(&["journal", "diff", "one.journal", "actor"]);
    let shown = String::from_utf8(done.stdout.clone()).unwrap();
    let differs = done.err(3);
    assert!(differs.contains("differ from record"), "{differs}");
    assert!(shown.contains("(has ended)") && shown.contains("\"add\""), "{shown}");
    node.stop();
}

#[test]
fn a_damaged_journal_file_is_named_with_its_record() {
    let (here, node) = counted();
    here.run(&["journal", "export", "actor", "-o", "good.journal", "--no-component"]).ok();
    node.stop();
    let good = fs::read(here.path().join("good.journal")).unwrap();
    let alone = here.run(&["replay", "good.journal"]).err(1);
    assert!(alone.contains("--component"), "{alone}");
    let again = here.run(&["replay", "good.journal", "--component", guest("counter-rust").to_str().unwrap()]).ok();
    assert!(again.starts_with("identical, "), "{again}");
    let mut flipped = good.clone();
    let at = good.windows(3).rposition(|w| w == b"add").unwrap();
    flipped[at] ^= 1;
    here.write("bad.journal", &flipped);
    for command in [&["journal", "verify"][..], &["journal", "show"], &["replay"]] {
        let damaged = here.run(&[command, &["bad.journal"]].concat()).err(1);
        assert!(damaged.contains("bad.journal") && damaged.contains("record "), "{command:?}: {damaged}");
    }
    for (name, bytes) in [("cut.journal", &good[..good.len() / 2]), ("empty.journal", b""), ("text.journal", b"hello")]
    {
        here.write(name, bytes);
        let damaged = here.run(&["journal", "verify", name]).err(1);
        assert!(damaged.contains(name), "{damaged}");
        here.run(&["replay", name]).err(1);
    }
    let none = here.run(&["journal", "verify", "none.journal"]).err(1);
    assert!(none.contains("there is no file"), "{none}");
}

#[test]
fn a_component_is_inspected_without_a_node() {
    let here = Folder::new();
    let file = guest("counter-rust");
    let found = here.run(&["inspect", file.to_str().unwrap()]).ok();
    assert!(found.contains("blake3:") && found.contains("troupe:actor/gen-server@0.1.0"), "{found}");
    let json = here.run(&["inspect", "--json", file.to_str().unwrap()]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["imports"].as_array().unwrap().iter().any(|i| i == "troupe:actor/host@0.1.0"), "{json}");
    let none = here.run(&["inspect", "none.wasm"]).err(1);
    assert!(none.contains("none.wasm"), "{none}");
}
