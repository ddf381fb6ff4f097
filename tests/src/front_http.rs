//! `troupe run` with a gateway, and with a command.

use std::net::TcpStream;

use serde_json::json;

use crate::front_support::{Folder, http};
use crate::support::guest;

#[test]
fn an_actor_with_a_route_is_served_and_goes_on_after_kill_9() {
    let here = Folder::new();
    here.manifest("troupe.toml", "web", "[http]\nroute = \"/app\"\n");
    let ask = |node: &crate::front_support::Running, path: &str| {
        let (status, body) = http(&json!({ "address": node.said["http"] }), &format!("GET {path}"), &[], b"");
        (status, String::from_utf8(body).unwrap())
    };
    let node = here.node(&["--http", "127.0.0.1:0"]);
    assert_eq!(ask(&node, "/app/count"), (200, "1".to_owned()));
    assert_eq!(ask(&node, "/elsewhere").0, 404);
    node.kill();
    let node = here.node(&["--http", "127.0.0.1:0"]);
    assert_eq!(ask(&node, "/app/count"), (200, "2".to_owned()));
    let address = node.said["http"].as_str().unwrap().to_owned();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    assert!(shown.contains("GET /app/count") && shown.contains("wasi:http/types@0.2#"), "{shown}");
    node.stop();
    assert!(TcpStream::connect(address).is_err());
    assert!(here.run(&["replay", "actor"]).ok().contains("no difference") || here.run(&["replay", "actor"]).code == 0);
}

/// `wasi-http` with a `port` in the manifest of Theater is a route for everything, and a gateway that listens there.
#[test]
fn a_manifest_of_theater_with_a_port_is_served_there() {
    let here = Folder::new();
    let text = format!(
        "name = \"web\"\ncomponent = {:?}\n[[handler]]\ntype = \"wasi-http\"\nport = 0\nhost = \"localhost\"\n",
        guest("web")
    );
    here.write("manifest.toml", text.as_bytes());
    let ask = |node: &crate::front_support::Running, path: &str| {
        let (status, body) = http(&json!({ "address": node.said["http"] }), &format!("GET {path}"), &[], b"");
        (status, String::from_utf8(body).unwrap())
    };
    let node = here.node(&["manifest.toml"]);
    assert!(node.said["http"].as_str().unwrap().starts_with("127.0.0.1:"), "{}", node.said);
    assert_eq!(ask(&node, "/count"), (200, "1".to_owned()));
    node.kill();
    let node = here.node(&["manifest.toml"]);
    assert_eq!(ask(&node, "/any/thing"), (404, "nothing here".to_owned()), "the guest's own answer");
    assert_eq!(ask(&node, "/count"), (200, "3".to_owned()));
    node.stop();
    assert_eq!(here.run(&["replay", "web"]).code, 0);
}

#[test]
fn a_command_is_run_with_its_arguments_and_its_code_is_passed_on() {
    let here = Folder::new();
    let tool = guest("command");
    let tool = tool.to_str().unwrap();
    let done = here.feed(&["run", tool, "--", "well", "-x"], b"some input");
    assert_eq!((done.code, &*String::from_utf8(done.stdout).unwrap()), (0, "3 arguments: command well -x\nSOME INPUT"));
    assert!(done.stderr.contains("done\n"), "{}", done.stderr);
    let done = here.feed(&["run", tool, "--", "fail"], b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert_eq!(here.run(&["replay", "command"]).code, 0);
    let shown = here.run(&["journal", "show", "command"]).ok();
    assert!(shown.contains("troupe:run") && shown.contains("get-arguments"), "{shown}");
    let none = here.run(&["run", guest("counter-rust").to_str().unwrap(), "--", "x"]).err(2);
    assert!(none.contains("arguments are for commands"), "{none}");
}
