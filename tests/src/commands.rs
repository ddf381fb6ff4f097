//! Commands: components that export `wasi:cli/run`.

use troupe_log::SimDisk;
use troupe_runtime::node::{Node, Outgoing};
use troupe_runtime::service::command::{Command, Finished, RUN};

use crate::support::{id, node_on, replay, spec, verified};

fn run(arguments: &[&str], input: &str) -> Outgoing {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Outgoing::new(RUN, Command { arguments, input: input.as_bytes().to_vec() }.encode()).key("once")
}

async fn done(node: &Node, call: Outgoing) -> Finished {
    Finished::decode(&node.call(&id("command"), call).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_run_once_with_its_arguments_and_streams_and_replayed() {
    for (word, code) in [("well", 0), ("fail", 1), ("exit", 1)] {
        let node = node_on(&SimDisk::new()).await;
        node.start(spec("command", "command")).await.unwrap();
        let finished = done(&node, run(&["command", word], "some input")).await;
        assert_eq!(finished.code, code);
        assert_eq!(String::from_utf8(finished.output).unwrap(), format!("2 arguments: command {word}\nSOME INPUT"));
        assert_eq!(finished.errors, b"done\n");
        let again = node.call(&id("command"), Outgoing::new(RUN, Command::default().encode())).await.unwrap_err();
        assert!(again.to_string().contains("has run"), "{again}");
        verified(&node, "command").await;
        replay(&node, "command", "command").await.unwrap();
        node.start_fresh(spec("command", "command")).await.unwrap();
        let finished = done(&node, run(&["command"], "").key("again")).await;
        assert_eq!((finished.code, &*finished.output), (0, &b"1 arguments: command\n"[..]));
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_a_crash_cuts_is_run_to_the_same_end() {
    for operations in 0.. {
        assert!(operations < 200, "the run never ends");
        let disk = SimDisk::new();
        let node = node_on(&disk).await;
        node.start(spec("command", "command")).await.unwrap();
        disk.cut_after(operations);
        let whole = node.call(&id("command"), run(&["command", "exit"], "in")).await.is_ok();
        drop(node);
        disk.crash();
        let node = node_on(&disk).await;
        let finished = done(&node, run(&["command", "exit"], "in")).await;
        assert_eq!(
            (finished.code, &*finished.output),
            (1, &b"2 arguments: command exit\nIN"[..]),
            "after {operations}"
        );
        replay(&node, "command", "command").await.unwrap();
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
}
