//! The journal as evidence: shown with its data, exported as lines, signed by the node's key, checked by a third party offline.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use crate::front_support::{Folder, Running};
use crate::support::guest;

/// A node whose actor has handled three messages.
fn counted() -> (Folder, Running) {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    here.run(&["call", "actor", "add", "5"]).ok();
    here.run(&["call", "actor", "dice"]).ok();
    here.run(&["call", "actor", "add", "x"]).err(1);
    (here, node)
}

fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn calls_results_and_errors_are_shown_with_the_data_that_crossed() {
    let here = Folder::with("probe");
    let _node = here.node(&[]);
    let bytes = here.run(&["call", "actor", "random#get-random-bytes", "32"]).ok();
    here.run(&["call", "actor", "messaging#send-message", "other|add|1"]).ok();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    let bytes = bytes.trim();
    let call = format!("wasi:random/random@0.2#get-random-bytes(32,)  ->  (0x{bytes},)");
    assert!(shown.contains(&call), "{call}\n{shown}");
    let lines = here.run(&["journal", "show", "actor", "--json"]).ok();
    let one = |what: &str| {
        let found = lines.lines().map(value).find(|line| line["what"].as_str().unwrap().contains(what));
        found.unwrap_or_else(|| panic!("{what}: {lines}"))
    };
    let random = one("#get-random-bytes");
    assert_eq!((&random["kind"], &random["result"]), (&Value::from("call"), &Value::from("value")));
    assert_eq!(random["input"], "(32,)");
    assert_eq!(random["output"], format!("(0x{bytes},)"));
    let denied = one("#send-message");
    assert_eq!((&denied["kind"], &denied["result"]), (&Value::from("denial"), &Value::from("denied")));
    assert!(
        denied["input"].as_str().unwrap().contains("payload: \"1\"")
            || denied["input"].as_str().unwrap().contains("\"1\""),
        "bytes as text: {denied}"
    );
    assert!(!denied["input"].as_str().unwrap().contains("[49]"), "{denied}");
}

#[test]
fn a_journal_of_lines_is_verified_anywhere_and_whatever_is_changed_in_it_is_found() {
    let (here, node) = counted();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    let verified = here.run(&["journal", "verify", "actor"]).ok();
    assert!(here.run(&["journal", "export", "actor", "--format", "jsonl"]).ok().contains("actor.jsonl ("));
    node.stop();
    let by_node = fs::read_to_string(here.path().join("actor.jsonl")).unwrap();
    here.run(&["journal", "export", "actor", "--format", "jsonl", "-o", "again.jsonl"]).ok();
    let by_folder = fs::read_to_string(here.path().join("again.jsonl")).unwrap();
    let records = shown.lines().count();
    assert_eq!(
        by_folder.lines().take(records + 1).collect::<Vec<_>>(),
        by_node.lines().take(records + 1).collect::<Vec<_>>()
    );

    let there = Folder::new();
    there.write("it.jsonl", by_node.as_bytes());
    assert_eq!(there.run(&["journal", "verify", "it.jsonl"]).ok(), verified);
    assert_eq!(there.run(&["journal", "show", "it.jsonl"]).ok(), shown);
    let replayed = there.run(&["replay", "it.jsonl", "--component", guest("counter-rust").to_str().unwrap()]).ok();
    assert!(replayed.starts_with("identical, "), "{replayed}");
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 1, "it writes nothing");

    let lines: Vec<&str> = by_node.lines().collect();
    assert_eq!(lines.len(), records + 2, "a header, a line a record, an end");
    for (n, line) in lines[1..=records].iter().enumerate() {
        let line = value(line);
        assert_eq!(line["seq"], n as u64);
        if n > 0 {
            assert_eq!(line["prev"], value(lines[n])["head"], "each has the hash of the one before");
        }
    }
    let damaged = |lines: &[String]| {
        there.write("bad.jsonl", (lines.join("\n") + "\n").as_bytes());
        let damaged = there.run(&["journal", "verify", "bad.jsonl"]).err(1);
        assert!(damaged.contains("bad.jsonl"), "{damaged}");
    };
    let owned: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    for n in 0..lines.len() {
        let mut dropped = owned.clone();
        dropped.remove(n);
        damaged(&dropped);
        for key in ["body", "prev", "head", "before", "actor", "component"] {
            let mut object = value(lines[n]);
            let Some(text) = object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) else { continue };
            let last = if text.ends_with('0') { "1" } else { "0" };
            object[key] = Value::from(format!("{}{last}", &text[..text.len() - 1]));
            let mut changed = owned.clone();
            changed[n] = object.to_string();
            damaged(&changed);
        }
    }
    for key in ["seq", "kind", "records", "next", "incarnation", "first", "troupe_journal"] {
        for n in [0, 3, lines.len() - 1] {
            let mut object = value(lines[n]);
            match object.get(key) {
                Some(Value::Number(number)) => object[key] = Value::from(number.as_u64().unwrap() + 1),
                Some(Value::String(_)) => object[key] = Value::from("stop"),
                _ => continue,
            }
            let mut changed = owned.clone();
            changed[n] = object.to_string();
            damaged(&changed);
        }
    }
    // No hash covers words: they are told again.
    let mut object = value(lines[4]);
    object["output"] = Value::from("paid");
    let mut changed = owned.clone();
    changed[4] = object.to_string();
    there.write("told.jsonl", (changed.join("\n") + "\n").as_bytes());
    let told = there.run(&["journal", "verify", "told.jsonl"]).ok();
    assert!(told.contains("the line of record 3 reads otherwise"), "{told}");
    for text in ["{", "{}", "{\"troupe_journal\":1}", "[]"] {
        there.write("bad.jsonl", text.as_bytes());
        there.run(&["journal", "verify", "bad.jsonl"]).err(1);
    }
}

#[test]
fn a_signed_head_shows_a_third_party_that_a_journal_was_not_rewritten() {
    let (here, node) = counted();
    let key = here.run(&["key", "show"]).ok();
    let key = key.trim();
    assert!(key.starts_with("ed25519:") && key.len() == 72, "{key}");
    let mode = fs::metadata(here.path().join(".troupe/node.key")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    let signed = here.run(&["journal", "sign", "actor"]).ok();
    assert!(signed.contains("actor.signed") && signed.contains(key), "{signed}");
    // More is written afterwards: the signed part is vouched for.
    here.run(&["call", "actor", "add", "1"]).ok();
    here.run(&["journal", "export", "actor"]).ok();
    here.run(&["journal", "export", "actor", "--sign", "-o", "own.journal"]).ok();
    here.run(&["journal", "export", "actor", "--sign", "--format", "jsonl", "-o", "own.jsonl"]).ok();
    let living = here.run(&["journal", "verify", "actor", "--signed", "actor.signed", "--key", key]).ok();
    assert!(living.contains("neither rewritten nor cut before it"), "{living}");
    node.stop();

    let there = Folder::new();
    for name in ["actor.journal", "actor.signed", "own.journal", "own.jsonl"] {
        fs::copy(here.path().join(name), there.path().join(name)).unwrap();
    }
    let verify = |arguments: &[&str]| there.run(&[&["journal", "verify"], arguments].concat());
    for arguments in [
        &["actor.journal", "--signed", "actor.signed", "--key", key][..],
        &["own.journal", "--key", key],
        &["own.jsonl", "--key", key],
    ] {
        let good = verify(arguments).ok();
        assert!(good.starts_with("good: ") && good.contains(&format!("signed by {key} at record ")), "{good}");
    }
    // Another node signed what it exported; the head that was kept apart is held to its own key.
    fs::remove_file(here.path().join(".troupe/node.key")).unwrap();
    here.run(&["journal", "export", "actor", "--sign", "-o", "moved.journal"]).ok();
    fs::copy(here.path().join("moved.journal"), there.path().join("moved.journal")).unwrap();
    verify(&["moved.journal", "--key", key]).err(1);
    verify(&["moved.journal", "--signed", "actor.signed", "--key", key]).ok();
    assert!(verify(&["own.journal"]).ok().contains("if you trust that key"));
    assert!(verify(&["own.journal", "--json"]).ok().contains("\"signed\":{"));
    there.run(&["replay", "own.journal"]).ok();

    // Without the signature another journal of the same actor is as good.
    let other = Folder::with("counter-rust");
    let rewriter = other.node(&[]);
    for n in 0..6 {
        other.run(&["call", "actor", "add", &n.to_string()]).ok();
    }
    other.run(&["journal", "export", "actor", "--sign"]).ok();
    rewriter.stop();
    fs::copy(other.path().join("actor.journal"), there.path().join("other.journal")).unwrap();
    verify(&["other.journal"]).ok();
    let rewritten = verify(&["other.journal", "--signed", "actor.signed"]).err(1);
    assert!(rewritten.contains("it was rewritten"), "{rewritten}");
    let strange = verify(&["other.journal", "--key", key]).err(1);
    assert!(strange.contains(&format!("not by {key}")), "{strange}");
    // Of the head that was kept apart the key is asked; another node's word in the file must hold as well.
    let own = verify(&["own.journal", "--signed", "actor.signed", "--key", key]).ok();
    assert!(own.contains(&format!("signed by {key}")), "{own}");
    let unsigned = verify(&["actor.journal", "--key", key]).err(1);
    assert!(unsigned.contains("--signed"), "{unsigned}");

    // Cut before the signed head, and the header, links and end made good again: as lines anybody can.
    let text = fs::read_to_string(here.path().join("own.jsonl")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(value).collect();
    let (end, last) = (lines.len() - 1, lines.len() - 3);
    lines.remove(end - 1);
    let (head, seq) = (lines[last]["head"].clone(), lines[last]["seq"].as_u64().unwrap());
    let end = lines.last_mut().unwrap();
    end["head"] = head;
    end["next"] = Value::from(seq + 1);
    end["records"] = Value::from(seq + 1);
    let told = end["signed"].take();
    end.as_object_mut().unwrap().remove("signed");
    let write = |name: &str, lines: &[Value]| {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        there.write(name, text.join("\n").as_bytes());
    };
    write("cut.jsonl", &lines);
    verify(&["cut.jsonl"]).ok();
    lines.last_mut().unwrap()["signed"] = told;
    write("cut.jsonl", &lines);
    let cut = verify(&["cut.jsonl"]).err(1);
    assert!(cut.contains("it was cut"), "{cut}");

    let mut forged = value(&fs::read_to_string(here.path().join("actor.signed")).unwrap());
    forged["seq"] = Value::from(1);
    there.write("forged.signed", forged.to_string().as_bytes());
    let found = verify(&["actor.journal", "--signed", "forged.signed"]).err(1);
    assert!(found.contains("was changed, or made up"), "{found}");
    verify(&["actor.journal", "--key", "ed25519:00"]).err(2);
}

#[test]
fn a_folder_without_a_node_is_signed_with_the_same_key_and_a_loose_key_file_is_refused() {
    let (here, node) = counted();
    let by_node = here.run(&["journal", "sign", "actor", "-o", "-"]).ok();
    node.stop();
    let by_folder = here.run(&["journal", "sign", "actor", "-o", "-"]).ok();
    assert_eq!(value(&by_node)["key"], value(&by_folder)["key"]);
    here.run(&["journal", "sign", "actor"]).ok();
    let key = value(&by_node)["key"].as_str().unwrap().to_owned();
    here.run(&["journal", "verify", "actor", "--signed", "actor.signed", "--key", &key]).ok();
    let file = here.path().join(".troupe/node.key");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = here.run(&["journal", "sign", "actor"]).err(1);
    assert!(refused.contains("chmod 600"), "{refused}");
}
