//! The manifest from outside: whole files in, specs or error messages out.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use troupe_log::{ActorId, ByteCount};

use super::*;

/// A folder with a component and some data in it.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("counter.wasm"), b"\0asm").unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    dir
}

fn parse(text: &str) -> Result<Manifest, Error> {
    let dir = folder();
    Manifest::parse(text, "troupe.toml", Some(dir.path()))
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

/// The smallest manifest, with a section added.
fn with(section: &str) -> String {
    format!("[actor]\nname = \"counter\"\ncomponent = \"counter.wasm\"\n{section}")
}

#[test]
fn the_manifest_of_the_design_is_read_whole() {
    let dir = folder();
    let text = r#"
[actor]
name = "counter"
component = "counter.wasm"
journal = "buffered"
init = { text = "7" }
fsm-state = "idle"
[limits]
memory = "32MiB"
fuel = 2_000_000_000
deadline = "none"
mailbox = 16
payload = 4096
max-journal = "1GiB"
[grants]
clocks = false
arguments = ["--verbose"]
[grants.random]
seed = 7
[grants.messaging]
to = ["worker-*", "bank/acct-*"]
[grants.environment]
vars = { LANG = "C" }
inherit = ["TZ"]
[[grants.filesystem]]
host = "./data"
guest = "/data"
read-only = true
[supervision]
on-fault = "fresh"
attempts = 1
max-restarts = 0
window = "30s"
[snapshots]
keep = "7d"
max-replay = 50
[bind]
"bank:ledger/account" = "acct-1"
"bank:ledger/audit" = "other/audit"
"#;
    let manifest = Manifest::parse(text, "troupe.toml", Some(dir.path())).unwrap();
    assert_eq!(manifest.application, None);
    let [spec] = manifest.actors.as_slice() else {
        panic!("one actor");
    };
    assert_eq!(spec.id, ActorId::parse("default/counter").unwrap());
    assert_eq!(spec.component, ComponentRef::Path(dir.path().join("counter.wasm")));
    assert_eq!(spec.journal, Mode::Buffered);
    assert_eq!(spec.init, b"7");
    assert_eq!(spec.initial_fsm_state, "idle");
    assert_eq!(
        spec.limits,
        Limits {
            memory: ByteCount(32 << 20),
            fuel: 2_000_000_000,
            deadline: None,
            mailbox: 16.try_into().unwrap(),
            payload: ByteCount(4096),
            max_journal: Some(ByteCount(1 << 30)),
            ..Limits::default()
        }
    );
    let g = &spec.grants;
    assert!(!g.clocks && g.host && g.stdio && g.random.enabled);
    assert_eq!(g.random.seed, Some(7));
    assert_eq!(g.arguments, ["--verbose"]);
    let env = g.environment.as_ref().unwrap();
    assert_eq!(env.vars["LANG"], "C");
    assert_eq!(env.inherit, ["TZ"]);
    assert_eq!(g.filesystem[0].host, dir.path().join("data"));
    assert!(g.filesystem[0].read_only && !g.filesystem[0].repeat);
    assert_eq!(spec.supervision.on_fault, OnFault::Fresh);
    assert_eq!(spec.supervision.window, Duration::from_secs(30));
    assert_eq!(spec.snapshots.keep, Keep::For(Duration::from_secs(7 * 86_400)));
    assert_eq!(spec.bind["bank:ledger/account"], "default/acct-1");
    assert_eq!(spec.bind["bank:ledger/audit"], "other/audit");
}

#[test]
fn what_is_left_out_has_the_defaults_of_the_types() {
    let spec = parse(&with("")).unwrap().actors.remove(0);
    let plain = ActorSpec::new(spec.id.clone(), spec.component.clone());
    assert_eq!(spec, plain);
}

fn patterns(texts: &[&str]) -> Vec<ActorPattern> {
    texts.iter().map(|text| ActorPattern::parse(text).unwrap()).collect()
}

#[test]
fn grants_of_what_actors_share_are_read_and_resolved() {
    let dir = folder();
    let text = with(
        r#"
[components]
worker = "counter.wasm"
"report.v2" = "report@1.0.0"
[limits]
max-timers = 3
[grants]
locks = true
logging = false
config = { "a b" = "c" }
[grants.processes]
spawn = ["worker", "other@1.*"]
control = ["worker-*"]
[grants.tuplespace]
spaces = ["jobs"]
read = ["bank/*"]
[grants.channels]
send = ["orders*"]
subscribe = ["news.*"]
[grants.groups]
names = ["g"]
[grants.registry]
lookup = ["*"]
[grants.keyvalue]
own = ["*"]
shared = ["cache"]
"#,
    );
    let spec = Manifest::parse(&text, "m", Some(dir.path())).unwrap().actors.remove(0);
    let worker = ComponentRef::Path(dir.path().join("counter.wasm"));
    let report = ComponentRef::Named { name: "report".into(), version: "1.0.0".into() };
    assert_eq!(
        spec.components.into_iter().collect::<Vec<_>>(),
        [("report.v2".to_owned(), report), ("worker".to_owned(), worker)]
    );
    assert_eq!(spec.limits.max_timers, 3);
    let expected = Grants {
        locks: Some(patterns(&["*"])),
        logging: false,
        config: [("a b".to_owned(), "c".to_owned())].into(),
        processes: Some(Processes {
            spawn: vec!["worker".into(), "other@1.*".into()],
            control: patterns(&["worker-*"]),
            components: Default::default(),
        }),
        tuplespace: Some(TupleSpaces { spaces: patterns(&["jobs"]), read: patterns(&["bank/*"]) }),
        channels: Some(Channels {
            send: patterns(&["orders*"]),
            subscribe: patterns(&["news.*"]),
            ..Channels::default()
        }),
        groups: Some(patterns(&["g"])),
        registry: Some(Registration { register: Vec::new(), lookup: patterns(&["*"]) }),
        keyvalue: Some(KeyValue { own: patterns(&["*"]), shared: patterns(&["cache"]) }),
        ..Grants::default()
    };
    assert_eq!(spec.grants, expected);

    // `true` and a section without keys are everything of the own namespace; `false` is nothing.
    let grants = |text: &str| parse(&with(text)).map(|mut m| m.actors.remove(0).grants);
    let all = "processes = true\ntuplespace = true\nchannels = true\ngroups = true\nlocks = true\nregistry = true\nkeyvalue = true\nstore = true\n";
    let of_true = grants(&format!("[components]\nworker = \"counter.wasm\"\n[grants]\n{all}")).unwrap();
    assert_eq!(of_true.processes, Some(Processes { spawn: vec!["worker".into()], ..Processes::default() }));
    let trusted = Profile::Trusted.grants();
    assert_eq!(of_true, Grants { messaging: None, processes: of_true.processes.clone(), ..trusted });
    assert_eq!(grants(&format!("[grants]\n{}", all.replace("true", "false"))).unwrap(), Grants::default());
    assert_eq!(grants("[grants.channels]").unwrap().channels, grants("[grants]\nchannels = true").unwrap().channels);
}

#[test]
fn a_profile_is_what_the_other_keys_are_read_over_wherever_it_stands() {
    let grants = |text: &str| parse(&with(text)).map(|mut m| m.actors.remove(0).grants);
    assert_eq!(grants("[grants]\nprofile = \"default\"").unwrap(), Grants::default());
    let first = grants("[grants]\nprofile = \"untrusted\"\nclocks = true\nmessaging = { to = [\"a\"] }").unwrap();
    let last = grants("[grants]\nclocks = true\nmessaging = { to = [\"a\"] }\nprofile = \"untrusted\"").unwrap();
    assert_eq!(first, last);
    let to = patterns(&["a"]);
    let expected = Grants { clocks: true, messaging: Some(Messaging { to }), ..Profile::Untrusted.grants() };
    assert_eq!(first, expected);
    assert_eq!(grants("[grants]\nprofile = \"trusted\"").unwrap(), Profile::Trusted.grants());
    let trusted = grants("[grants]\nprofile = \"trusted\"\nlocks = false\n[grants.channels]\nsend = [\"x\"]").unwrap();
    assert_eq!(trusted.locks, None);
    assert_eq!(
        trusted.channels,
        Some(Channels { send: patterns(&["x"]), ..Channels::default() }),
        "it stands for itself"
    );
    assert!(trusted.tuplespace.is_some());
    let why = grants("[grants]\nprofile = \"root\"").unwrap_err().to_string();
    assert!(why.contains("it is one of untrusted, default, trusted"), "{why}");
}

#[test]
fn an_unknown_key_names_the_nearest_the_file_and_the_place() {
    let cases = [
        (
            with("[limits]\n  memroy = \"1MiB\""),
            "troupe.toml:5:3: unknown key `memroy` in [limits]; the nearest known key is `memory`",
        ),
        (
            with("[limit]\nfuel = 1"),
            "troupe.toml:4:2: unknown key `limit` in the manifest; the nearest known key is `limits`",
        ),
        (with("fuel = 5"), "troupe.toml:4:1: unknown key `fuel` in [actor]; `fuel` belongs in [limits]"),
        (
            with("[grants.random]\nsed = 1"),
            "troupe.toml:5:1: unknown key `sed` in [grants.random]; the nearest known key is `seed`",
        ),
        (
            with("[[grants.filesystem]]\nhost = \"data\"\nguest = \"/d\"\nreadonly = true"),
            "troupe.toml:7:1: unknown key `readonly` in [grants.filesystem]; the nearest known key is `read-only`",
        ),
        (
            with("[grants.channels]\nrecieve = [\"a\"]"),
            "troupe.toml:5:1: unknown key `recieve` in [grants.channels]; the nearest known key is `receive`",
        ),
        (
            with("[grants]\ntuplespaces = true"),
            "troupe.toml:5:1: unknown key `tuplespaces` in [grants]; the nearest known key is `tuplespace`",
        ),
        (with("[grants.logging]\nwall = true"), "unknown key `wall` in [grants.logging]; nothing is known there"),
    ];
    for (text, start) in cases {
        let message = error(&text);
        assert!(message.contains(start), "{message}\nshould have: {start}");
    }
}

#[test]
fn a_bad_value_says_what_it_is_and_what_it_may_be() {
    let cases = [
        ("[limits]\nmemory = \"16Mib\"", "`limits.memory` is \"16Mib\", no amount of bytes; write it like \"64KiB\""),
        ("[limits]\nmemory = \"63KiB\"", "`limits.memory` is 63KiB; at least 64KiB, at most 4GiB"),
        ("[limits]\nmailbox = 0", "`limits.mailbox` is 0; at least 1"),
        ("[limits]\nmailbox = 1_000_001", "`limits.mailbox` is 1000001; at least 1, at most 1000000"),
        ("[limits]\nfuel = -1", "`limits.fuel` is -1; it cannot be negative"),
        ("[limits]\nfuel = \"many\"", "`limits.fuel` must be a whole number, not a string"),
        ("[limits]\ndeadline = 5", "`limits.deadline` must be a duration in quotes, not a whole number"),
        ("[limits]\ndeadline = \"0s\"", "`limits.deadline` is 0s; at least 1ms, at most 3650d, or \"none\""),
        ("[limits]\npayload = \"65MiB\"", "`max-turn-journal` is 64MiB; at least `payload`, here 65MiB"),
        (
            "[supervision]\non-fault = \"retry\"",
            "`supervision.on-fault` is \"retry\"; it is one of restore, skip, fresh, stop",
        ),
        ("[supervision]\nattempts = 1001", "`supervision.attempts` is 1001; at least 1, at most 1000"),
        ("[snapshots]\nkeep = \"some\"", "`snapshots.keep` is \"some\"; it is `all`, `base`, or a duration"),
        ("[snapshots]\nmax-replay = 0", "`snapshots.max-replay` is 0"),
        ("[grants]\nenvironment = true", "the whole environment is never handed on"),
        ("[grants.messaging]\nto = [\"UPPER\"]", "`U` cannot stand in an actor id"),
        (
            "[[grants.filesystem]]\nhost = \"data\"\nguest = \"data\"",
            "`grants.filesystem.guest` is \"data\"; the guest's path begins with `/`",
        ),
        (
            "[[grants.filesystem]]\nhost = \"nowhere\"\nguest = \"/d\"",
            "where there is no directory; make it with `mkdir -p",
        ),
        (
            "[[grants.filesystem]]\nhost = \"data\"\nguest = \"/d\"\n[[grants.filesystem]]\nhost = \"data\"\nguest = \"/d\"",
            "grants the guest's `/d` twice",
        ),
        ("[grants.tuplespace]\nspaces = [\"a/b/c\"]", "`grants.tuplespace.spaces` has a bad pattern"),
        ("[grants]\ngroups = [\"a\"]", "`grants.groups` must be true or false"),
        ("[grants.processes]\nspawn = [\"\"]", "names no component"),
        (
            "[grants.processes]\nspawn = [\"worker\"]",
            "lets it spawn \"worker\", which [components] does not name; add [components] worker = \"worker.wasm\"",
        ),
        ("[components]\nworker = \"counter.wasm\"", "names code that the actor may not spawn; grant it"),
        ("[components]\n\"a@1\" = \"counter.wasm\"\n[grants]\nprocesses = true", "is no name for a component"),
        ("[components]\nworker = \"none.wasm\"\n[grants]\nprocesses = true", "`components.worker` names"),
        ("[grants.config]\na = 1", "`grants.config.a` must be a string"),
        ("[limits]\nmax-timers = 1_000_001", "`limits.max-timers` is 1000001; at least 0, at most 1000000"),
        ("[bind]\naccount = \"acct-1\"", "`bind.account` is no interface"),
        ("[bind]\n\"bank:ledger/account\" = \"Acct\"", "is bound to \"Acct\", no actor id"),
    ];
    for (section, part) in cases {
        let message = error(&with(section));
        assert!(message.contains(part), "{message}\nshould have: {part}");
        assert!(message.starts_with("troupe.toml:"), "{message}");
    }
    let cases = [
        ("", "the manifest needs `actor`"),
        ("[actor]\nname = \"a\"", "troupe.toml:1:1: [actor] needs `component`; add component = \"counter.wasm\""),
        ("[actor]\nname = \"A b\"\ncomponent = \"counter.wasm\"", "`actor.name` is \"A b\", no actor id"),
        (
            "[actor]\nname = \"a\"\ncomponent = \"none.wasm\"",
            "none.wasm, where there is no file; build it (`troupe build`)",
        ),
        ("[actor]\nname = \"a\"\ncomponent = \"blake3:12\"", "is no digest"),
        ("[actor\n", "troupe.toml:1:"),
        ("[actor]\nname = \"a\"\ncomponent = \"counter.wasm\"\njournal = \"yes\"", "one of durable, buffered, off"),
    ];
    for (text, part) in cases {
        let message = error(text);
        assert!(message.contains(part), "{message}\nshould have: {part}");
    }
}

#[test]
fn a_component_is_a_path_a_name_with_version_or_a_digest() {
    let component = |text: &str| {
        let text = format!("[actor]\nname = \"a\"\ncomponent = \"{text}\"");
        parse(&text).map(|m| m.actors[0].component.clone())
    };
    assert_eq!(
        component("counter@1.2.0").unwrap(),
        ComponentRef::Named { name: "counter".into(), version: "1.2.0".into() }
    );
    let digest = troupe_log::Digest::of(b"x");
    assert_eq!(component(&digest.to_string()).unwrap(), ComponentRef::Digest(digest));
    let message = component("./a@b/c.wasm").unwrap_err().to_string();
    assert!(message.contains("there is no file"), "a path: {message}");
    let message = component("name@1.wasm").unwrap_err().to_string();
    assert!(message.contains("there is no file"), "a path: {message}");
}

#[test]
fn init_has_four_forms_and_exactly_one_of_them() {
    let init = |form: &str| {
        let dir = folder();
        fs::write(dir.path().join("state.bin"), [0xff, 0, 1]).unwrap();
        let text = with(&format!("init = {form}\n[limits]\npayload = 8"));
        Manifest::parse(&text, "m", Some(dir.path())).map(|mut m| m.actors.remove(0).init)
    };
    assert_eq!(init("{ text = \"hi\" }").unwrap(), b"hi");
    assert_eq!(init("{ base64 = \"/wAB\" }").unwrap(), [0xff, 0, 1]);
    assert_eq!(init("{ file = \"state.bin\" }").unwrap(), [0xff, 0, 1]);
    assert_eq!(init("{ json = { a = 1 } }").unwrap(), br#"{"a":1}"#);
    assert_eq!(init("{ json = '[1, 2]' }").unwrap(), b"[1, 2]");
    let bad = [
        ("{}", "exactly one of"),
        ("{ text = \"a\", json = 1 }", "exactly one of"),
        ("\"a\"", "must be a section, not a string"),
        ("{ json = '{' }", "is not JSON"),
        ("{ json = nan }", "finite numbers only"),
        ("{ base64 = \"*\" }", "is not base64"),
        ("{ file = \"none\" }", "cannot be read"),
        ("{ text = \"123456789\" }", "has more than 8 bytes"),
    ];
    for (form, part) in bad {
        let message = init(form).expect_err(form).to_string();
        assert!(message.contains(part), "{message}\nshould have: {part}");
    }
    assert_eq!(init("{ text = \"12345678\" }").unwrap().len(), 8, "at the edge");
}

#[test]
fn children_without_an_application_are_actors_side_by_side() {
    let text = r#"
[[children]]
name = "a"
component = "counter.wasm"
[children.limits]
fuel = 5
[[children]]
name = "other/b"
component = "counter.wasm"
journal = "off"
[children.grants.random]
seed = 1
"#;
    let manifest = parse(text).unwrap();
    assert_eq!(manifest.application, None);
    let ids: Vec<_> = manifest.actors.iter().map(|a| a.id.to_string()).collect();
    assert_eq!(ids, ["default/a", "other/b"]);
    assert_eq!(manifest.actors[0].limits.fuel, 5);
    assert_eq!(manifest.actors[1].limits.fuel, Limits::default().fuel);
    assert_eq!(manifest.actors[1].grants.random.seed, Some(1));
    let twice = text.replace("other/b", "default/a");
    assert!(error(&twice).contains("names the actor default/a twice"));
    assert!(error("children = []").contains("is empty"));
    assert!(error("stratgy = \"one-for-one\"\n[[children]]\n").contains("`strategy`"));
    assert!(error("strategy = \"one-for-all\"\n[[children]]\n").contains("[application]"));
}

#[test]
fn theaters_manifest_is_read_and_its_handlers_are_the_grants() {
    let text = r#"
name = "wasi-random-test"
version = "0.1.0"
component = "counter.wasm"
description = "WASI random interface test actor"
save_chain = true
init_state = "state.json"
[[handler]]
type = "random"
seed = 3
max_bytes = 64
[[handler]]
type = "environment"
allowed_vars = ["A", "B"]
denied_vars = ["B"]
[[handler]]
type = "filesystem"
path = "data"
[[handler]]
type = "message-server"
"#;
    let dir = folder();
    fs::write(dir.path().join("state.json"), "{}").unwrap();
    let read = |text: &str| Manifest::parse(text, "manifest.toml", Some(dir.path()));
    let spec = read(text).unwrap().actors.remove(0);
    assert_eq!(spec.id.to_string(), "default/wasi-random-test");
    assert_eq!(spec.init, b"{}");
    assert_eq!(spec.journal, Mode::Durable);
    let g = &spec.grants;
    assert_eq!((g.random.enabled, g.random.seed), (true, Some(3)));
    assert_eq!(g.random.max_bytes, Some(ByteCount(64)));
    assert_eq!(g.environment.as_ref().unwrap().inherit, ["A"]);
    assert_eq!(g.filesystem[0].guest, "/");
    assert!(!g.clocks && !g.host, "what is not listed is off");
    let b = ActorId::parse("b").unwrap();
    assert!(g.messaging.as_ref().unwrap().allows("default", &b));

    let bare = "name = \"a\"\ncomponent = \"counter.wasm\"\nsave_chain = false";
    let spec = read(bare).unwrap().actors.remove(0);
    assert_eq!(spec.journal, Mode::Off);
    assert!(!spec.grants.random.enabled && spec.grants.messaging.is_none());

    let served = |keys: &str| {
        let text = format!("{bare}\n[[handler]]\ntype = \"wasi-http\"\n{keys}");
        let spec = read(&text).unwrap().actors.remove(0);
        assert_eq!(spec.grants.http, Some(crate::manifest::HttpGrant::all()));
        assert_eq!(spec.http.is_some(), spec.listen.is_some());
        assert!(spec.http.is_none_or(|serving| serving.route == "/"));
        spec.listen.map(|address| address.to_string())
    };
    assert_eq!(served(""), None, "it only asks");
    assert_eq!(served("host = \"localhost\"").as_deref(), None);
    assert_eq!(served("port = 8080").as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(served("port = 1\nhost = \"0.0.0.0\"").as_deref(), Some("0.0.0.0:1"));

    let supervisor = format!("{bare}\n[[handler]]\ntype = \"supervisor\"\n");
    let any = read(&supervisor).unwrap().actors.remove(0);
    assert_eq!(any.grants.processes.unwrap().spawn, ["*"]);
    let named = format!("{supervisor}components = {{ worker = \"counter.wasm\" }}");
    let named = read(&named).unwrap().actors.remove(0);
    assert_eq!(named.grants.processes.unwrap().spawn, ["worker"]);
    assert!(named.components.contains_key("worker"));

    let cases = [
        ("[[handler]]\ntype = \"wasi-http\"\nport = 65536", "is no port"),
        ("[[handler]]\ntype = \"wasi-http\"\nhost = \"example.com\"", "is \"example.com\""),
        ("[[handler]]\ntype = \"randon\"", "the nearest known handler is \"random\""),
        ("[[handler]]\ntype = \"supervisor\"\nkomponents = [\"x\"]", "the nearest known key is `components`"),
        ("[[handler]]\ntype = \"supervisor\"\ncomponents = 3", "components"),
        ("[[handler]]\ntype = \"random\"\nmax_int = -3", "max_int"),
        ("[[handler]]\ntype = \"random\"\nsed = 3", "the nearest known key is `seed`"),
        (
            "[[handler]]\ntype = \"timing\"\nmin_sleep_duration = 4\nmax_sleep_duration = 3",
            "is less than `min_sleep_duration`",
        ),
        ("[[handler]]\ntype = \"filesystem\"\nnew_dir = true\npath = \"data\"", "stands beside `path`"),
        ("[[handler]]\ntype = \"filesystem\"\nnew_dir = false", "needs `path`"),
        ("[[handler]]\nseed = 1", "needs `type`"),
        ("save = true", "the nearest known key is `name`"),
    ];
    for (more, part) in cases {
        let message = read(&format!("{bare}\n{more}")).expect_err(more).to_string();
        assert!(message.contains(part), "{message}\nshould have: {part}");
    }
}

#[test]
fn a_manifest_is_text_of_at_most_a_mebibyte() {
    let dir = folder();
    let path = dir.path().join("troupe.toml");
    let mut text = with("#");
    text.push_str(&"x".repeat(MAX_MANIFEST as usize - text.len()));
    fs::write(&path, &text).unwrap();
    Manifest::load(&path).expect("exactly the limit is read");
    fs::write(&path, text + "x").unwrap();
    let message = Manifest::load(&path).unwrap_err().to_string();
    assert!(message.contains("more than 1048576 bytes"), "{message}");
    fs::write(&path, b"[actor]\n\xff").unwrap();
    let message = Manifest::load(&path).unwrap_err().to_string();
    assert!(message.contains("is not UTF-8 text (byte 8)"), "{message}");
    let message = Manifest::load(&dir.path().join("no")).unwrap_err().to_string();
    assert!(message.contains("cannot read the manifest"), "{message}");
}

#[test]
fn without_a_folder_paths_must_be_absolute() {
    let message = Manifest::parse(&with(""), "request", None).unwrap_err().to_string();
    assert!(message.contains("write an absolute path"), "{message}");
    let dir = folder();
    let path = dir.path().join("counter.wasm");
    let text = with("").replace("counter.wasm", path.to_str().unwrap());
    let manifest = Manifest::parse(&text, "request", None).unwrap();
    assert_eq!(manifest.actors[0].component, ComponentRef::Path(path));
}

#[test]
fn no_input_panics() {
    let dir = folder();
    let seed =
        with("[limits]\nfuel = 1\n[grants.random]\nseed = 2\n[[grants.filesystem]]\nhost = \"/\"\nguest = \"/\"");
    let (mut read, mut refused) = (0, 0);
    for cut in 0..seed.len() {
        for insert in ["", "\"", "[", "=", "\u{e9}", "9", "\n"] {
            let Some((a, b)) = seed.split_at_checked(cut) else {
                continue;
            };
            let text = format!("{a}{insert}{}", &b[b.len().min(1)..]);
            match Manifest::parse(&text, "m", Some(dir.path())) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 50 && refused > 500, "{read} read, {refused} refused");
    for deep in ["[", "{a=", "a.", "[a."] {
        let text = with(&format!("init = {}", deep.repeat(100_000)));
        assert!(Manifest::parse(&text, "m", Some(dir.path())).is_err());
        let text = deep.repeat(100_000);
        assert!(Manifest::parse(&text, "m", Some(dir.path())).is_err());
    }
    let dotted = format!("{}b = 1", "a.".repeat(100_000));
    assert!(Manifest::parse(&dotted, "m", Some(dir.path())).is_err());
}

#[test]
fn patterns_reach_only_where_they_say() {
    let id = |s: &str| ActorId::parse(s).unwrap();
    let m = |p: &str, own: &str, target: &str| ActorPattern::parse(p).unwrap().matches(own, &id(target));
    assert!(m("worker-*", "default", "worker-1"));
    assert!(!m("worker-*", "default", "worker"));
    assert!(!m("worker-*", "default", "other/worker-1"), "never across namespaces unless named");
    assert!(m("other/worker-*", "default", "other/worker-1"));
    assert!(m("*", "a", "a/x") && !m("*", "a", "b/x"));
    assert!(m("*/*", "a", "b/x"));
    assert!(m("a*b*c", "default", "axxbbyc") && !m("a*b*c", "default", "axxbbyd"));
    assert!(ActorPattern::parse("a/b/c").is_err());
    assert!(ActorPattern::parse("").is_err());
    assert!(ActorPattern::parse("@client").is_err());
}

#[test]
fn how_an_actor_is_served_is_read_and_bounded() {
    let serving = |section: &str| {
        let text = format!("{}\n[http]\n{section}", with("journal = \"off\""));
        parse(&text).map(|manifest| manifest.actors[0].http.clone().unwrap()).map_err(|error| error.to_string())
    };
    let usual = serving("route = \"/a\"").unwrap();
    assert_eq!((usual.instance, usual.parallel.get(), usual.bodies), (Instance::Actor, 16, Bodies::Whole));
    let all = serving("route = \"/a\"\ninstance = \"per-request\"\nparallel = 1024\nbodies = \"streamed\"").unwrap();
    assert_eq!((all.instance, all.parallel.get(), all.bodies), (Instance::PerRequest, 1024, Bodies::Streamed));
    for (section, named) in [
        ("instance = \"per-request\"\nparallel = 0", "parallel"),
        ("instance = \"per-request\"\nparallel = 1025", "1024"),
        ("parallel = 2", "per-request"),
        ("bodies = \"half\"", "bodies"),
        ("paralel = 2", "parallel"),
    ] {
        let told = serving(&format!("route = \"/a\"\n{section}")).unwrap_err();
        assert!(told.contains(named), "{told}");
    }
}

#[test]
fn what_http_is_granted_and_served_has_its_edges() {
    let granted = |line: &str| parse(&with(&format!("[grants.http]\nhosts = [\"a.example\"]\n{line}")));
    for right in [
        "timeout = \"1ms\"",
        "timeout = \"24h\"",
        "max-request = \"256MiB\"",
        "max-response = \"1024GiB\"",
        "methods = [\"*\"]",
        "methods = [\"M-SEARCH\"]",
    ] {
        assert!(granted(right).is_ok(), "{right}: {:?}", granted(right));
    }
    for (wrong, why) in [
        ("timeout = \"0ms\"", "is no time for a request"),
        ("timeout = \"25h\"", "is no time for a request"),
        ("max-request = \"257MiB\"", "write at most 256MiB"),
        ("max-response = \"1025GiB\"", "write at most 1024GiB"),
        ("methods = [\"get\"]", "is no method"),
        ("methods = [\"\"]", "is no method"),
    ] {
        let said = granted(wrong).unwrap_err().to_string();
        assert!(said.contains(why), "{wrong}: {said}");
    }
    let served = |journal: &str| {
        let text = with(&format!("journal = \"{journal}\"\n[http]\nroute = \"/\"\ninstance = \"per-request\""));
        parse(&text).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(served("off"), Ok(()));
    let said = served("durable").unwrap_err();
    assert!(said.contains("an instance that is gone cannot be replayed"), "{said}");
}
