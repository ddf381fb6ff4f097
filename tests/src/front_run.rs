//! `troupe run`: goes on, stops in order, and says what it will not do.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::front_support::Folder;
use crate::support::guest;

#[test]
fn run_again_goes_on_after_ctrl_c_and_after_kill_9() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    assert_eq!(node.said["started"][0]["resumed"], false);
    assert_eq!(here.run(&["call", "actor", "add", "5"]).ok(), "5");
    node.stop();
    assert!(!here.path().join(".troupe/api.json").exists());
    let node = here.node(&[]);
    assert_eq!(node.said["started"][0]["resumed"], true);
    assert_eq!(here.run(&["call", "actor", "add", "2"]).ok(), "7");
    node.kill();
    // The file that named the killed node is still there, and nobody answers at its address.
    assert!(here.path().join(".troupe/api.json").exists());
    let gone = here.run(&["ps"]).err(1);
    assert!(gone.contains("no node runs on") && gone.contains("help: start one with `troupe run"), "{gone}");
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "7");
    node.stop();
}

#[test]
fn a_node_ends_with_0_when_it_is_asked_to() {
    let here = Folder::with("counter-rust");
    let mut node = here.node(&[]);
    node.signal("TERM");
    assert_eq!(node.end().0.code(), Some(0));
    let mut node = here.node(&[]);
    assert_eq!(here.run(&["stop", "--node"]).ok(), "stopped the node\n");
    // The folder is free at once.
    let again = here.node(&[]);
    assert_eq!(node.end().0.code(), Some(0));
    again.stop();
}

#[test]
fn another_component_stops_it_and_fresh_begins_again() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    here.run(&["call", "actor", "add", "5"]).ok();
    node.stop();
    here.manifest("other.toml", "counter-c", "[limits]\nmemory = \"32MiB\"\n");
    let refused = here.run(&["run", "other.toml"]).err(1);
    assert!(
        refused.contains("default/actor") && refused.contains("--fresh") && refused.contains("`troupe upgrade "),
        "{refused}"
    );
    // Nothing was lost by asking.
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5");
    node.stop();
    let node = here.node(&["--fresh", "other.toml"]);
    assert_eq!(node.said["started"][0]["incarnation"], 1);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "0");
    node.stop();
}

#[test]
fn a_component_alone_runs_with_the_defaults() {
    let here = Folder::new();
    let file = guest("counter-rust");
    let node = here.node(&[file.to_str().unwrap()]);
    assert_eq!(node.said["started"][0]["id"], "default/counter-rust");
    assert_eq!(here.run(&["call", "counter-rust", "add", "1"]).ok(), "1");
    node.stop();
    // With no manifest in sight the node runs what its folder holds.
    let node = here.node(&[]);
    assert_eq!(node.said["actors"], 1);
    assert_eq!(here.run(&["call", "counter-rust", "get"]).ok(), "1");
    node.stop();
}

#[test]
fn the_init_of_the_manifest_reaches_the_actor_and_its_log_stands_under_its_name() {
    let here = Folder::new();
    here.manifest("troupe.toml", "counter-rust", "init = { text = \"40\" }\n");
    let mut command = here.command(&["run"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut stdout, &mut lines).unwrap() > 0, "{lines}");
    }
    assert!(lines.contains(" listens on 127.0.0.1:") && lines.contains("default/actor started"), "{lines}");
    assert_eq!(here.run(&["call", "actor", "add", "2"]).ok(), "42");
    here.run(&["call", "actor", "log", "hello from the guest"]).ok();
    here.run(&["stop", "--node"]).ok();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !log.contains("panicked at"), "{log}");
    assert!(log.lines().any(|line| line.ends_with("INFO actor: hello from the guest")), "{log}");
}

#[test]
fn an_application_starts_all_its_children() {
    let here = Folder::new();
    let (rust, c) = (guest("counter-rust"), guest("counter-c"));
    let text = format!(
        "[[children]]\nname = \"a\"\ncomponent = {rust:?}\n[[children]]\nname = \"ns/b\"\ncomponent = {c:?}\nlimits = {{ memory = \"32MiB\" }}\n"
    );
    here.write("troupe.toml", text.as_bytes());
    let _node = here.node(&[]);
    assert_eq!(here.run(&["call", "a", "add", "1"]).ok(), "1");
    assert_eq!(here.run(&["call", "ns/b", "add", "2"]).ok(), "2");
    let table = here.run(&["ps"]).ok();
    let names: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["ACTOR", "a", "ns/b"]);
}

#[test]
fn what_cannot_run_is_said_and_loses_nothing() {
    let here = Folder::new();
    let none = here.run(&["run"]).err(2);
    assert!(none.contains("there is no troupe.toml") && none.contains("troupe new"), "{none}");
    assert!(!here.path().join(".troupe").exists(), "a wrong command makes no folder");
    let none = here.run(&["run", "none.toml"]).err(2);
    assert!(none.contains("none.toml"), "{none}");
    here.write("troupe.toml", b"[actor]\nname = \"a\"\ncomponet = \"x\"\n");
    let unknown = here.run(&["run"]).err(2);
    assert!(
        unknown.contains("troupe.toml:3:1: unknown key `componet`") && unknown.contains("`component`"),
        "{unknown}"
    );

    here.manifest("troupe.toml", "counter-rust", "");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = here.run(&["run", "--listen", &address]).err(1);
    assert!(in_use.contains(&address) && in_use.contains("in use") && in_use.contains("--listen"), "{in_use}");
    let open = here.run(&["run", "--listen", "0.0.0.0:0"]).err(1);
    assert!(open.contains("loopback"), "{open}");

    let node = here.node(&[]);
    here.run(&["call", "actor", "add", "1"]).ok();
    let second = here.run(&["run"]).err(1);
    assert!(second.contains("in use by another node") && second.contains("troupe start"), "{second}");
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "1");
    node.stop();

    let file = here.path().join("a-file");
    fs::write(&file, "x").unwrap();
    let no_folder = here.run(&["run", "--data", file.to_str().unwrap()]).err(1);
    assert!(no_folder.contains("a-file"), "{no_folder}");
}

/// A process that was killed may hold its lock a little longer than its children, or its parent, believe.
#[test]
fn a_data_folder_that_is_still_locked_is_waited_for_and_then_named() {
    let here = Folder::with("counter-rust");
    here.node(&[]).stop();
    let lock = fs::File::options().write(true).open(here.path().join(".troupe/lock")).unwrap();
    lock.lock().unwrap();
    let mut verify = here.command(&["journal", "verify", "actor"]);
    let mut reading = verify.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut line, mut log) = (String::new(), BufReader::new(reading.stderr.take().unwrap()));
    log.read_line(&mut line).unwrap();
    assert!(line.contains(".troupe is still locked by"), "{line}");
    lock.unlock().unwrap();
    assert_eq!(reading.wait().unwrap().code(), Some(0));

    lock.lock().unwrap();
    let waits = || {
        let mut command = here.command(&["run"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        assert!(line.contains("WARN") && line.contains(".troupe is still locked by"), "{line}");
        (child, log)
    };
    let (mut child, mut log) = waits();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("error: ") && rest.contains("in use by another node"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(1));

    let (mut child, log) = waits();
    lock.unlock().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    lines.read_line(&mut said).unwrap();
    assert!(said.contains(" listens on "), "{said}");
    here.run(&["stop", "--node"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(log);
}

#[test]
fn a_node_starts_at_once_behind_one_that_was_killed() {
    let here = Folder::with("counter-rust");
    let mut node = here.node(&[]);
    for n in 1..=20 {
        assert_eq!(here.run(&["call", "actor", "add", "1"]).ok(), n.to_string());
        node.signal("KILL");
        // The killed one is not waited for.
        let next = here.node(&[]);
        node.end();
        node = next;
    }
    node.stop();
}

#[test]
fn files_that_are_no_component_are_refused_with_the_reason() {
    let here = Folder::new();
    let whole = fs::read(guest("counter-rust")).unwrap();
    here.write("cut.wasm", &whole[..whole.len() / 2]);
    here.write("text.wasm", b"not wasm at all");
    here.write("empty.wasm", b"");
    // A core module that exports nothing.
    here.write("core.wasm", b"\0asm\x01\0\0\0");
    let cases = [
        ("cut.wasm", "cut short"),
        ("text.wasm", "does not begin like a wasm file"),
        ("empty.wasm", "does not begin like a wasm file"),
        ("core.wasm", "core module"),
    ];
    for (file, reason) in cases {
        for command in ["run", "inspect"] {
            let refused = here.run(&[command, file]).err(1);
            assert!(refused.contains(file) && refused.contains(reason), "{command} {file}: {refused}");
        }
    }
    let importer = guest("importer-unknown");
    let refused = here.run(&["run", importer.to_str().unwrap()]).err(1);
    assert!(refused.contains("nobody:knows/this@0.1.0") && refused.contains("troupe inspect"), "{refused}");
    // To look at it is no error.
    let seen = here.run(&["inspect", importer.to_str().unwrap()]).ok();
    assert!(
        seen.ends_with("an actor must provide, named in [bind] of the manifest\n  nobody:knows/this@0.1.0\n"),
        "{seen}"
    );
    let seen = here.run(&["inspect", "--json", importer.to_str().unwrap()]).ok();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!((&seen["missing"], &seen["to-bind"]), (&json!([]), &json!(["nobody:knows/this@0.1.0"])));
    for good in ["counter-rust", "counter-python"] {
        let seen = here.run(&["inspect", "--json", guest(good).to_str().unwrap()]).ok();
        let seen: Value = serde_json::from_str(&seen).unwrap();
        assert_eq!((&seen["missing"], &seen["to-bind"]), (&json!([]), &json!([])), "{good}");
    }
    // Its memory begins with more than one page.
    let counter = guest("counter-rust");
    let manifest = format!("[actor]\nname = \"large\"\ncomponent = {counter:?}\n[limits]\nmemory = \"64KiB\"\n");
    here.write("large.toml", manifest.as_bytes());
    let large = here.run(&["run", "large.toml"]).err(1);
    assert!(large.contains("memory") && large.contains("help: ") && large.contains("[limits]"), "{large}");
    let failing = here.run(&["run", guest("init-fails").to_str().unwrap()]).err(1);
    assert!(failing.contains("default/init-fails"), "{failing}");
}
