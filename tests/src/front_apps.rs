//! Applications through the command: started, shown, killed with `kill -9` in the middle of a restart, gone on with.

use serde_json::Value;

use crate::front_support::Folder;
use crate::support::guest;

/// An application `shop`: `db`, and under the supervisor `workers` two more, whose first fault ends their lives.
fn shop(backoff: &str, max_restarts: u32) -> Folder {
    let folder = Folder::new();
    let counter = guest("counter-rust");
    let actor = |table: &str, name: &str| {
        format!("[[{table}]]\nname = \"{name}\"\ncomponent = {counter:?}\nsupervision = {{ on-fault = \"stop\" }}\n")
    };
    let text = format!(
        "[application]\nname = \"shop\"\nmax-restarts = 0\n{}[[children]]\nname = \"workers\"\nstrategy = \"one-for-all\"\n\
         max-restarts = {max_restarts}\nbackoff = {{ initial = \"{backoff}\" }}\n{}{}",
        actor("children", "db"),
        actor("children.children", "one"),
        actor("children.children", "two"),
    );
    folder.write("troupe.toml", text.as_bytes());
    folder
}

fn show(here: &Folder) -> Value {
    serde_json::from_str(&here.run(&["app", "show", "shop", "--json"]).ok()).unwrap()
}

/// The phases of db, one and two.
fn phases(shown: &Value) -> Vec<String> {
    let members = shown["members"].as_array().unwrap();
    let actors = members.iter().filter(|member| member["strategy"].is_null());
    actors.map(|member| member["phase"].as_str().unwrap().to_owned()).collect()
}

fn until(here: &Folder, holds: impl Fn(&Value) -> bool) -> Value {
    loop {
        let shown = show(here);
        if holds(&shown) {
            return shown;
        }
    }
}

fn incarnations(here: &Folder) -> Vec<i64> {
    let lines = here.run(&["ps", "--json"]).ok();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["incarnation"].as_i64().unwrap()).collect()
}

#[test]
fn an_application_goes_on_after_kill_9_in_the_middle_of_a_restart_without_its_manifest() {
    let here = shop("3s", 5);
    let node = here.node(&[]);
    assert_eq!(node.said["started"].as_array().unwrap().len(), 3);
    let list = here.run(&["app", "list"]).ok();
    assert!(list.contains("shop") && list.contains("running") && list.contains("3/3"), "{list}");
    let ps = here.run(&["ps"]).ok();
    assert!(ps.lines().any(|line| line.starts_with("two ") && line.contains(" shop/workers ")), "{ps}");
    assert!(here.run(&["call", "two", "trap"]).err(1).contains("trap"));
    let waits = until(&here, |shown| phases(shown) == ["up", "due", "due"]);
    assert_eq!(waits["members"][2]["restarts"], 1);
    node.kill();
    std::fs::remove_file(here.path().join("troupe.toml")).unwrap();

    let node = here.node(&[]);
    let shown = until(&here, |shown| phases(shown) == ["up", "up", "up"]);
    assert_eq!((&shown["status"], &shown["members"][2]["restarts"]), (&Value::from("running"), &Value::from(1)));
    assert_eq!(incarnations(&here), [0, 1, 1]);
    for actor in ["db", "one", "two"] {
        here.run(&["journal", "verify", actor]).ok();
        here.run(&["replay", actor]).ok();
    }
    let text = here.run(&["app", "show", "shop"]).ok();
    assert!(text.starts_with("shop running\n") && text.contains("default/two is started again in 3s"), "{text}");
    assert_eq!(here.run(&["app", "stop", "shop"]).ok(), "stopped shop\n");
    assert_eq!(show(&here)["status"], "stopped");
    node.kill();
    let node = here.node(&[]);
    assert_eq!(phases(&show(&here)), ["down", "down", "down"], "it stays stopped");
    assert_eq!(here.run(&["app", "remove", "shop"]).ok(), "removed shop\n");
    assert_eq!(here.run(&["app", "list"]).ok(), "no applications\n");
    node.stop();
}

#[test]
fn an_application_that_has_failed_says_so_and_is_started_again_by_hand() {
    let here = shop("1ms", 0);
    let node = here.node(&[]);
    assert!(here.run(&["call", "one", "trap"]).err(1).contains("trap"));
    let failed = until(&here, |shown| shown["status"] == "failed");
    assert_eq!(phases(&failed), ["down", "down", "down"]);
    let list = here.run(&["app", "list"]).ok();
    assert!(list.contains("failed") && list.contains("supervisor workers"), "{list}");
    let error = here.run(&["app", "stop", "shop"]).err(1);
    assert!(error.contains("the application shop does not run"), "{error}");
    assert!(here.run(&["app", "show", "none"]).err(1).contains("no application none; `troupe app list`"));
    let started = here.run(&["start", "troupe.toml"]).ok();
    assert_eq!(started.lines().last(), Some("default/two started (incarnation 1)"), "{started}");
    assert_eq!(here.run(&["call", "one", "get"]).ok(), "0");
    assert!(here.run(&["start", "troupe.toml", "--id", "x"]).err(2).contains("--id cannot name one"));
    let log = node.stop();
    assert!(log.contains("application shop gives up"), "{log}");
}
