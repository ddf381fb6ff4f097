//! `troupe call`, `send`, `start`, `stop`, `ps`: payloads in every form, typed calls, errors with their codes.

use serde_json::{Value, json};

use crate::front_support::Folder;
use crate::support::guest;

#[test]
fn a_payload_is_text_a_file_standard_input_or_hexadecimal() {
    let here = Folder::with("counter-rust");
    let _node = here.node(&[]);
    let echo = |arguments: &[&str]| {
        let done = here.run(&[&["call", "actor", "echo"], arguments].concat());
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout
    };
    let bytes = [0, 0xff, b'\n', 0xc3];
    here.write("payload.bin", &bytes);
    assert_eq!(echo(&["hello"]), b"hello");
    assert_eq!(echo(&[]), b"");
    assert_eq!(echo(&["-5"]), b"-5");
    assert_eq!(echo(&["@payload.bin"]), bytes, "to the byte");
    assert_eq!(echo(&["@@home"]), b"@home");
    assert_eq!(echo(&["--hex", "00 ff 0ac3"]), b"00ff0ac3\n");
    assert_eq!(here.feed(&["call", "actor", "echo", "-"], &bytes).stdout, bytes);
    let json = |arguments: &[&str]| -> Value { serde_json::from_slice(&echo(arguments)).unwrap() };
    assert_eq!(json(&["hello", "--json"])["text"], "hello");
    assert_eq!(json(&["@payload.bin", "--json"])["base64"], "AP8Kww==");
    let odd = here.run(&["call", "actor", "echo", "--hex", "abc"]).err(2);
    assert!(odd.contains("not hexadecimal"), "{odd}");
    let none = here.run(&["call", "actor", "echo", "@none.bin"]).err(1);
    assert!(none.contains("none.bin") && none.contains("@@none.bin"), "{none}");
}

#[test]
fn a_key_makes_a_repeat_harmless() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    let add = ["call", "actor", "add", "5", "--key", "order-17"];
    assert_eq!(here.run(&add).ok(), "5");
    assert_eq!(here.run(&add).ok(), "5", "the first answer");
    node.kill();
    let _node = here.node(&[]);
    assert_eq!(here.run(&add).ok(), "5", "through kill -9");
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5");
    let other = here.run(&["call", "actor", "add", "6", "--key", "order-17"]).err(1);
    assert!(other.contains("key"), "{other}");
}

#[test]
fn what_goes_wrong_in_a_call_is_told_apart() {
    let here = Folder::new();
    here.manifest("troupe.toml", "faulty", "[limits]\npayload = \"1KiB\"\n[supervision]\nattempts = 1\n");
    here.manifest("sleeper.toml", "sleeper", "");
    let _node = here.node(&[]);
    here.run(&["start", "sleeper.toml", "--id", "sleeper"]).ok();
    let code = |arguments: &[&str]| {
        let done = here.run(&[&["--json", "call"], arguments].concat());
        assert_eq!(done.code, 1, "{done:?}");
        let error: Value = serde_json::from_str(&done.stderr).unwrap();
        error["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&["actor", "err", "no"]), "refused");
    assert_eq!(code(&["actor", "trap"]), "faulted");
    assert_eq!(code(&["nobody", "get"]), "not-found");
    assert_eq!(code(&["Nobody", "get"]), "invalid-argument");
    assert_eq!(code(&["actor", "troupe:own"]), "invalid-argument");
    assert_eq!(code(&["sleeper", "nap", "60000", "--deadline", "50ms"]), "timeout");
    assert_eq!(code(&["sleeper", "nap", "1", "--deadline", "soon"]), "invalid-argument");
    here.write("edge", &[b'x'; 1000]);
    here.write("over", &[b'x'; 1025]);
    assert_eq!(code(&["actor", "err", "@edge"]), "refused", "below the limit it arrives");
    assert_eq!(code(&["actor", "err", "@over"]), "too-large");
    let fault = here.run(&["call", "actor", "trap"]).err(1);
    assert!(fault.contains("faulted: trap") && fault.contains("help: `troupe journal show"), "{fault}");
    assert!(here.run(&["ps"]).ok().contains("trap"));
}

#[test]
fn an_exported_function_takes_and_gives_wave() {
    let here = Folder::new();
    let _node = here.node(&[guest("typed").to_str().unwrap()]);
    let call = |function: &str, arguments: &[&str]| {
        let function = format!("bank:ledger/account#{function}");
        here.run(&[&["call", "typed", &function], arguments].concat())
    };
    assert_eq!(call("deposit", &["(42)"]).ok(), "ok(42)\n");
    assert_eq!(call("withdraw", &["(40)"]).ok(), "ok(2)\n");
    assert_eq!(call("balance", &[]).ok(), "2\n");
    assert!(call("withdraw", &["(3)"]).ok().starts_with("err(\""));
    assert!(call("describe", &["()", "--json"]).ok().contains("\"result\":\"{owner: "));
    let wrong = call("deposit", &["(-1)"]).err(1);
    assert!(wrong.contains("deposit") || wrong.contains("u64"), "{wrong}");
    let unknown = call("depozit", &["(1)"]).err(1);
    assert!(unknown.contains("depozit") && unknown.contains("deposit"), "{unknown}");
    // A repeat under a key gets the first answer, other arguments are refused.
    assert_eq!(call("deposit", &["(10)", "--key", "k"]).ok(), "ok(12)\n");
    assert_eq!(call("deposit", &["(10)", "--key", "k"]).ok(), "ok(12)\n");
    let other = call("deposit", &["(11)", "--key", "k"]).err(1);
    assert!(other.contains("idempotency key `k`"), "{other}");
    assert_eq!(call("balance", &["--deadline", "10s"]).ok(), "12\n");
    let late = call("balance", &["--deadline", "soon"]).err(1);
    assert!(late.contains("`soon` is no duration"), "{late}");
    call("balance", &["--hex"]).err(2);
}

#[test]
fn a_send_is_accepted_and_applied() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    let id = here.run(&["send", "actor", "add", "3"]).ok();
    assert_eq!(id.trim().len(), 32, "{id}");
    node.kill();
    let _node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "3", "accepted is durable");
    here.run(&["send", "nobody", "add", "3"]).err(1);
}

#[test]
fn actors_are_started_listed_and_stopped_in_a_running_node() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    assert_eq!(here.run(&["start", "troupe.toml", "--id", "ns/second"]).ok(), "ns/second started (incarnation 0)\n");
    assert_eq!(here.run(&["start", ".", "--id", "ns/second"]).ok(), "ns/second goes on (incarnation 0)\n");
    here.run(&["call", "ns/second", "add", "1"]).ok();
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "0", "each has a state of its own");
    assert_eq!(here.run(&["start", ".", "--id", "ns/second", "--fresh"]).ok(), "ns/second started (incarnation 1)\n");
    assert_eq!(here.run(&["call", "ns/second", "get"]).ok(), "0");
    let line = here.run(&["ps", "--json"]).ok();
    let actors: Vec<Value> = line.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(actors.len(), 2);
    assert_eq!((&actors[1]["id"], &actors[1]["mode"]), (&Value::from("ns/second"), &Value::from("durable")));

    assert_eq!(here.run(&["stop", "ns/second"]).ok(), "stopped ns/second\n");
    here.run(&["call", "ns/second", "get"]).err(1);
    here.run(&["stop", "ns/second"]).err(1);
    here.run(&["stop", "nobody"]).err(1);
    node.stop();
    let node = here.node(&[]);
    here.run(&["call", "ns/second", "get"]).err(1);
    node.stop();

    let wrong = here.run(&["start", "none.toml"]).err(1);
    assert!(wrong.contains("no node runs"), "{wrong}");
}

#[test]
fn usage_is_2_and_help_teaches() {
    let here = Folder::new();
    for wrong in [&["call"][..], &["call", "a"], &["fly"], &["stop"], &["stop", "a", "--node"], &["ps", "--wrong"], &[]]
    {
        let done = here.run(wrong);
        assert_eq!(done.code, 2, "{wrong:?}: {done:?}");
    }
    let help = here.run(&["help"]).ok();
    assert!(help.contains("troupe new hello") && help.contains("Exit codes: 0"), "{help}");
    assert!(here.run(&["help", "call"]).ok().contains("bank:ledger/account#deposit"));
    assert!(here.run(&["completions", "bash"]).ok().contains("_troupe"));
    let untrusted = here.run(&["profile", "untrusted"]).ok();
    assert!(untrusted.contains("[grants]\nclocks = false\n") && untrusted.contains("host = true"), "{untrusted}");
    let trusted: Value = serde_json::from_str(&here.run(&["profile", "trusted", "--json"]).ok()).unwrap();
    assert_eq!(trusted["grants"]["tuplespace"]["spaces"], json!(["*"]));
    assert_eq!(here.run(&["profile"]).ok().lines().count(), 3);
    assert!(here.run(&["profile", "root"]).err(2).contains("untrusted, default, trusted"));
    let lost = here.run(&["ps"]).err(1);
    assert!(lost.contains("no data folder") && lost.contains("troupe run"), "{lost}");
    let lost = here.run(&["--json", "ps", "--data", "none"]);
    let error: Value = serde_json::from_str(&lost.stderr).unwrap();
    assert_eq!(error["error"]["code"], "no-data");
}

#[test]
fn the_data_folder_is_the_one_named_or_the_nearest_upward() {
    let here = Folder::with("counter-rust");
    let node = here.node(&["--data", "elsewhere"]);
    assert!(here.path().join("elsewhere/api.json").exists());
    here.run(&["ps"]).err(1);
    assert_eq!(here.run(&["--data", "elsewhere", "call", "actor", "add", "1"]).ok(), "1");
    let mut command = here.command(&["call", "actor", "get"]);
    let output = command.env("TROUPE_DATA", "elsewhere").output().unwrap();
    assert_eq!(output.stdout, b"1");
    node.stop();
    let _node = here.node(&[]);
    let deep = here.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let output = here.command(&["call", "actor", "get"]).current_dir(&deep).output().unwrap();
    assert_eq!(output.stdout, b"0", "{output:?}");
}
