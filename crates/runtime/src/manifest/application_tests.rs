use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::manifest::{Limits, Manifest};

const SHOP: &str = r#"
[application]
name = "shop"
strategy = "rest-for-one"
max-restarts = 3
window = "10s"
backoff = { initial = "1s", max = "1m" }

[[children]]
name = "front"
component = "counter@1"
restart = "transient"
shutdown = "1s"

[[children]]
name = "storage"
strategy = "one-for-all"
restart = "temporary"
[[children.children]]
name = "db"
component = "counter@1"
[children.children.limits]
fuel = 5
[[children.children]]
name = "cache/one"
component = "counter@1"
"#;

fn parse(text: &str) -> Result<Manifest, Error> {
    Manifest::parse(text, "troupe.toml", None)
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn an_application_is_a_tree_in_the_order_of_the_text() {
    let manifest = parse(SHOP).unwrap();
    let ids: Vec<_> = manifest.actors.iter().map(|actor| actor.id.to_string()).collect();
    assert_eq!(ids, ["default/front", "default/db", "cache/one"]);
    assert_eq!(manifest.actors[1].limits.fuel, 5);
    assert_eq!(manifest.actors[2].limits.fuel, Limits::default().fuel);
    let shop = manifest.application.unwrap();
    let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(60) };
    let policy = Policy { strategy: Strategy::RestForOne, max_restarts: 3, window: Duration::from_secs(10), backoff };
    assert_eq!((shop.name.as_str(), &shop.policy), ("shop", &policy));
    let [front, storage] = &shop.children[..] else { panic!("two") };
    assert_eq!(front.restart, Restart::Transient);
    let Supervised::Actor { shutdown, .. } = &front.what else { panic!("an actor") };
    assert_eq!(*shutdown, Duration::from_secs(1));
    let Supervised::Supervisor { name, policy, children } = &storage.what else { panic!("a supervisor") };
    assert_eq!((name.as_str(), storage.restart), ("storage", Restart::Temporary));
    assert_eq!(*policy, Policy { strategy: Strategy::OneForAll, ..Policy::default() });
    let names: Vec<_> = children.iter().map(|child| (child.restart, child.what.clone())).collect();
    let db = Supervised::Actor { id: ActorId::parse("db").unwrap(), shutdown: SHUTDOWN };
    assert_eq!(names[0], (Restart::Permanent, db));
}

#[test]
fn a_child_may_be_the_actor_of_another_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let load = || Manifest::load(&folder.path().join("app.toml"));
    fs::create_dir(folder.path().join("worker")).unwrap();
    file("worker/troupe.toml", "[actor]\nname = \"worker\"\ncomponent = \"w.wasm\"\n[limits]\nfuel = 7\n");
    file("worker/w.wasm", "");
    let child = "[[children]]\nmanifest = \"worker/troupe.toml\"\n";
    file(
        "app.toml",
        &format!("[application]\nname = \"a\"\n{child}{child}name = \"other\"\nrestart = \"temporary\"\n"),
    );
    let manifest = load().unwrap();
    let ids: Vec<_> = manifest.actors.iter().map(|actor| actor.id.name()).collect();
    assert_eq!(ids, ["worker", "other"]);
    assert!(manifest.actors.iter().all(|actor| actor.limits.fuel == 7));
    let at = |path: &Path| matches!(&manifest.actors[0].component, crate::manifest::ComponentRef::Path(p) if p == path);
    assert!(at(&folder.path().join("worker/w.wasm")), "relative to its own manifest");
    // An application is no child, not even of itself.
    file("app.toml", "[application]\nname = \"a\"\n[[children]]\nmanifest = \"app.toml\"\n");
    assert!(load().unwrap_err().to_string().contains("an application"));
    file("app.toml", &format!("[application]\nname = \"a\"\n{child}{child}"));
    assert!(load().unwrap_err().to_string().contains("default/worker twice"));
    file("app.toml", &format!("[application]\nname = \"a\"\n{child}component = \"x@1\"\n"));
    assert!(load().unwrap_err().to_string().contains("unknown key `component`"));
}

#[test]
fn mistakes_are_named() {
    let bad = [
        ("name = \"shop\"", "nam = \"shop\"", "`name`"),
        ("name = \"shop\"", "name = \"ns/shop\"", "no name"),
        ("rest-for-one", "rest-for-all", "rest-for-one"),
        ("transient", "always", "permanent"),
        ("max-restarts = 3", "max-restarts = 1001", "at most 1000"),
        ("window = \"10s\"", "window = \"0s\"", "window"),
        ("max = \"1m\"", "max = \"1ms\"", "less than `initial`"),
        ("max = \"1m\"", "maximum = \"1m\"", "`max`"),
        ("name = \"db\"", "name = \"front\"", "default/front twice"),
        ("restart = \"temporary\"", "restrat = \"temporary\"", "`restart`"),
        ("[application]\nname = \"shop\"\nstrategy", "strategy", "[application]"),
    ];
    for (from, to, part) in bad {
        let message = error(&SHOP.replacen(from, to, 1));
        assert!(message.contains(part), "{to}: {message}\nshould have: {part}");
    }
    assert!(error("[application]\nname = \"a\"\n").contains("children"));
    let lonely = "[[children]]\nname = \"s\"\n[[children.children]]\nname = \"a\"\ncomponent = \"x@1\"\n";
    assert!(error(lonely).contains("the supervisor s, and none above it"));
    let twice = format!("[application]\nname = \"a\"\n{}{}", lonely, lonely.replace("\"a\"", "\"b\""));
    assert!(error(&twice).contains("the supervisor s twice"));
}

#[test]
fn the_number_and_the_depth_of_children_have_a_limit() {
    let many = |count: usize| {
        let one = |i: usize| format!("[[children]]\nname = \"a{i}\"\ncomponent = \"x@1\"\n");
        format!("[application]\nname = \"a\"\n{}", (0..count).map(one).collect::<String>())
    };
    assert_eq!(parse(&many(MAX_CHILDREN)).unwrap().actors.len(), MAX_CHILDREN);
    assert!(error(&many(MAX_CHILDREN + 1)).contains("one more than the 1000"));
    let deep = |levels: usize| {
        let (mut text, mut path) = ("[application]\nname = \"a\"\n".to_owned(), "children".to_owned());
        for level in 1..levels {
            text += &format!("[[{path}]]\nname = \"s{level}\"\n");
            path += ".children";
        }
        text + &format!("[[{path}]]\nname = \"a\"\ncomponent = \"x@1\"\n")
    };
    assert_eq!(parse(&deep(MAX_DEPTH)).unwrap().actors.len(), 1);
    assert!(error(&deep(MAX_DEPTH + 1)).contains("16 supervisors deep"));
}
