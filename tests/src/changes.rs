//! Other settings for a living actor: "Component, grants, limits and engine settings stand in the genesis record; each change of
//! them is a record between two turns and holds from there on."

use std::num::NonZeroU32;
use std::time::Duration;

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, Mode};
use troupe_runtime::node::{Node, Outgoing};

use crate::front_support::Folder;
use crate::support::{ask, begun, count, id, node_on, power_cut, replay, sleeping, spec, verified};
use crate::wasi_calls::probe;

fn faulty(memory: u64) -> ActorSpec {
    let mut faulty = spec("faulty", "faulty");
    faulty.limits.memory = ByteCount::mib(memory);
    faulty.supervision.max_restarts = 100;
    faulty
}

async fn change(node: &Node, to: ActorSpec) -> Vec<String> {
    let started = node.start(to).await.unwrap();
    assert!(started.resumed);
    started.changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_between_two_turns_and_hold_from_there_on() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(faulty(4)).await.unwrap();
    let alloc = async |node: &Node, bytes: &str| ask(node, "faulty", "alloc", bytes).await.unwrap();
    assert_eq!(alloc(&node, "4194304").await, "refused");
    assert_eq!(change(&node, faulty(4)).await, Vec::<String>::new());
    assert_eq!(count(&node, "faulty", Kind::Change).await, 0, "the same settings are no change");
    assert_eq!(change(&node, faulty(16)).await, ["limits.memory \"4MiB\" -> \"16MiB\""]);
    assert_eq!(alloc(&node, "4194304").await, "ok");
    // A fault brings the actor back: what was refused then is refused again, what was given is given.
    assert!(matches!(ask(&node, "faulty", "trap", "").await, Err(CallError::Faulted { .. })));
    assert_eq!(alloc(&node, "4194304").await, "ok");
    let mut less = faulty(8);
    less.limits.mailbox = NonZeroU32::MIN;
    less.limits.payload = ByteCount(100);
    let changes =
        ["limits.memory \"16MiB\" -> \"8MiB\"", "limits.mailbox 1024 -> 1", "limits.payload \"1MiB\" -> \"100B\""];
    assert_eq!(change(&node, less.clone()).await, changes);
    let checked = async |node: &Node| {
        assert_eq!(alloc(node, "65536").await, "refused", "more than 8 MiB are in use already");
        let long = "x".repeat(200);
        let error = ask(node, "faulty", "count", &long).await.unwrap_err();
        assert!(matches!(error, CallError::TooLarge { limit: 100, .. }), "{error}");
        assert_eq!(count(node, "faulty", Kind::Change).await, 2);
        verified(node, "faulty").await;
        replay(node, "faulty", "faulty").await.unwrap();
    };
    checked(&node).await;
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(change(&node, less).await, Vec::<String>::new());
    checked(&node).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_for_the_turn_in_hand_and_comes_before_the_next() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let sleeper = spec("sleeper", "sleeper");
    node.start(sleeper.clone()).await.unwrap();
    let nap = begun(ask(&node, "sleeper", "nap", "700")).await;
    sleeping(&node, 1).await;
    let mut other = sleeper.clone();
    other.limits.deadline = Some(Duration::from_millis(200));
    let changed = begun(node.start(other)).await;
    let next = begun(ask(&node, "sleeper", "nap", "300")).await;
    assert_eq!(nap.await.unwrap(), "before=1 after=2", "under the deadline that it began with");
    assert_eq!(changed.await.unwrap().changed, ["limits.deadline \"5s\" -> \"200ms\""]);
    let error = next.await.unwrap_err();
    assert_eq!(error, CallError::Refused("sleep: error".to_owned()), "under the new one");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_change_and_what_the_guest_holds_of_a_directory_follows_its_name() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(probe(first.path())).await.unwrap();
    let write = async |node: &Node| ask(node, "probe", "types#descriptor.write", "a.txt|hello").await.unwrap();
    assert_eq!(write(&node).await, "5");
    let elsewhere = probe(second.path());
    std::fs::create_dir_all(second.path().join("data")).unwrap();
    let changes = change(&node, elsewhere.clone()).await;
    assert!(changes.len() == 1 && changes[0].starts_with("grants.filesystem [{ host = "), "{changes:?}");
    std::fs::remove_file(first.path().join("data/a.txt")).unwrap();
    assert_eq!(write(&node).await, "5");
    assert!(second.path().join("data/a.txt").exists() && !first.path().join("data/a.txt").exists());
    let mut blind = elsewhere;
    blind.grants.clocks = false;
    blind.grants.random.seed = Some(7);
    change(&node, blind).await;
    let error = ask(&node, "probe", "wall-clock#now", "").await.unwrap_err();
    assert!(error.to_string().contains("grants.clocks"), "{error}");
    let node = node_on(&power_cut(node, &disk)).await;
    ask(&node, "probe", "wall-clock#now", "").await.unwrap_err();
    assert_eq!(count(&node, "probe", Kind::Change).await, 2);
    // A replay touches no directory, whatever was granted when.
    drop((first, second));
    replay(&node, "probe", "probe").await.unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_change_is_refused_and_says_what_to_do() {
    let node = node_on(&SimDisk::new()).await;
    let fsm = spec("light", "fsm");
    node.start(fsm.clone()).await.unwrap();
    let refused = async |spec: ActorSpec, words: [&str; 2]| {
        let error = node.start(spec).await.unwrap_err();
        assert!(matches!(error, Error::OtherSettings { .. }), "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)) && text.contains("--fresh"), "{text}");
    };
    refused(ActorSpec { journal: Mode::Buffered, ..fsm.clone() }, ["durable", "buffered"]).await;
    refused(ActorSpec { initial_fsm_state: "red".to_owned(), ..fsm.clone() }, ["start", "red"]).await;
    let off = ActorSpec { journal: Mode::Off, ..spec("off", "counter-rust") };
    node.start(off.clone()).await.unwrap();
    ask(&node, "off", "add", "3").await.unwrap();
    let mut other = off;
    other.limits.fuel = 5;
    refused(other, ["journal = \"off\"", "limits.fuel"]).await;
    assert_eq!(ask(&node, "off", "get", "").await.unwrap(), "3");
    let mut nowhere = fsm;
    let gone = tempfile::tempdir().unwrap();
    nowhere.grants = probe(gone.path()).grants;
    drop(gone);
    let error = node.start(nowhere).await.unwrap_err();
    assert!(error.to_string().contains("[grants.filesystem] cannot be opened"), "{error}");
    assert_eq!(count(&node, "light", Kind::Change).await, 0);
    node.close().await.unwrap();
}

/// The power goes at every operation of the disk while settings change, with bases before and after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_anywhere_round_a_change_leaves_the_old_settings_or_the_new() {
    let saver = |payload: u64| {
        let mut saver = spec("saver", "saver");
        saver.snapshots.max_replay = 10;
        saver.limits.payload = ByteCount(payload);
        saver
    };
    let fresh = SimDisk::new();
    let node = node_on(&fresh).await;
    node.start(saver(100)).await.unwrap();
    ask(&node, "saver", "add", "0").await.unwrap();
    let fresh = power_cut(node, &fresh);
    let add = async |node: &Node, n: u32| {
        let add = Outgoing::new("add", (1_u64 << n).to_string().into_bytes()).key(n.to_string());
        node.call(&id("saver"), add).await
    };
    let (mut cuts, mut seen) = (0, Vec::new());
    loop {
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(cuts);
        let (mut next, mut changed) = (0, 0);
        while next < 12 {
            if next % 3 == 1 {
                let payload = 100 + u64::from(next);
                if node.start(saver(payload)).await.is_err() {
                    break;
                }
                changed = payload;
            }
            if add(&node, next).await.is_err() {
                break;
            }
            next += 1;
        }
        let whole = next == 12;
        let node = node_on(&power_cut(node, &disk)).await;
        // What was acknowledged is there; what was begun may be.
        let error = ask(&node, "saver", "get", &"x".repeat(1000)).await.unwrap_err();
        let CallError::TooLarge { limit, .. } = error else { panic!("cut after {cuts}: {error}") };
        assert!(limit == changed.max(100) || limit == 100 + u64::from(next), "cut after {cuts}: {limit}, {changed}");
        let changes = count(&node, "saver", Kind::Change).await;
        assert_eq!(changes, if limit == 100 { 0 } else { (limit as usize - 101) / 3 + 1 }, "cut after {cuts}");
        seen.push(changes);
        for next in next.saturating_sub(1)..12 {
            let total: u64 = (0..=next).map(|n| 1 << n).sum();
            assert_eq!(add(&node, next).await.unwrap(), total.to_string().into_bytes(), "cut after {cuts}");
        }
        verified(&node, "saver").await;
        replay(&node, "saver", "saver").await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
        node.close().await.unwrap();
        if whole {
            break;
        }
        cuts += 1;
        assert!(cuts < 500, "the run never ends");
    }
    assert!((0..=4).all(|n| seen.contains(&n)), "cuts on both sides of each change: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_from_a_base_begins_under_the_settings_of_the_base() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let saver = |memory| {
        let mut saver = spec("saver", "saver");
        saver.limits.memory = ByteCount::mib(memory);
        saver
    };
    let add = async |node: &Node| ask(node, "saver", "add", "1").await.unwrap();
    node.start(saver(16)).await.unwrap();
    add(&node).await;
    node.snapshot(&id("saver")).unwrap();
    add(&node).await;
    // Less than the instance of the base needs to begin: recovery must not begin under it.
    let mut tight = saver(16);
    tight.limits.memory = ByteCount::kib(64);
    assert_eq!(change(&node, tight.clone()).await, ["limits.memory \"16MiB\" -> \"64KiB\""]);
    assert_eq!(add(&node).await, "3");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(add(&node).await, "4");
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "4", "since the base");
    // Under it no base can be made, and nothing is lost by trying.
    node.snapshot(&id("saver")).unwrap();
    assert_eq!(add(&node).await, "5");
    assert_eq!(count(&node, "saver", Kind::Base).await, 1);
    change(&node, saver(16)).await;
    node.snapshot(&id("saver")).unwrap();
    assert_eq!(add(&node).await, "6");
    assert_eq!(count(&node, "saver", Kind::Base).await, 2);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "2", "since the newest base");
    replay(&node, "saver", "saver").await.unwrap();
    node.close().await.unwrap();
}

#[test]
fn run_and_start_with_a_changed_manifest_go_on_under_it_and_say_so() {
    let here = Folder::with("counter-rust");
    let node = here.node(&[]);
    assert_eq!(here.run(&["call", "actor", "add", "5"]).ok(), "5");
    here.manifest("troupe.toml", "counter-rust", "[limits]\nfuel = 2_000_000_000\n");
    let said = here.run(&["start", "troupe.toml"]).ok();
    let line = "default/actor settings changed: limits.fuel 1000000000 -> 2000000000\n";
    assert_eq!(said, format!("default/actor goes on (incarnation 0)\n{line}"));
    assert_eq!(here.run(&["start", "troupe.toml"]).ok(), "default/actor goes on (incarnation 0)\n");
    node.stop();
    here.manifest("troupe.toml", "counter-rust", "[limits]\nfuel = 3_000_000_000\n[supervision]\nattempts = 5\n");
    let node = here.node(&[]);
    assert_eq!(
        node.said["started"][0]["changed"],
        serde_json::json!(["limits.fuel 2000000000 -> 3000000000", "supervision.attempts 3 -> 5"])
    );
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5");
    let journal = here.run(&["journal", "show", "actor"]).ok();
    assert!(journal.contains("fuel = 2000000000") && journal.contains("fuel = 3000000000"), "{journal}");
    here.run(&["journal", "export", "actor", "-o", "it.journal"]).ok();
    assert!(here.run(&["replay", "it.journal"]).ok().contains("identical"));
    here.manifest("troupe.toml", "counter-rust", "journal = \"off\"\n");
    let refused = here.run(&["start", "troupe.toml"]).err(1);
    assert!(refused.contains("durable") && refused.contains("--fresh"), "{refused}");
    node.stop();
}
