//! Actors that leave a node and come to another: "It is kept 24 h after the answer, through restore, fresh, upgrade and move." "A committed
//! message gets exactly one end."

use troupe_log::{Chain, Digest, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, ComponentRef, KeyValue, Mode};
use troupe_runtime::node::{How, Node, Outgoing};

use crate::front_support::Folder;
use crate::requests::partner;
use crate::support::{ask, begun, guest, id, node_on, power_cut, replay, sleeping, spec, verified};

fn saver() -> ActorSpec {
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = 40;
    saver
}

/// A node that has the guest's component in its store.
async fn node_with(disk: &SimDisk, guest_name: &str) -> Node {
    let node = node_on(disk).await;
    node.load(&std::fs::read(guest(guest_name)).unwrap()).await.unwrap();
    node
}

async fn add(node: &Node, n: u64) -> Result<String, CallError> {
    let add = Outgoing::new("add", n.to_string().into_bytes()).key(n.to_string());
    Ok(String::from_utf8(node.call(&id("saver"), add).await?).unwrap())
}

fn moved(error: &CallError) {
    let text = error.to_string();
    assert!(matches!(error, CallError::Unavailable(_)) && text.contains("has moved to another node"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_goes_on_elsewhere_with_its_state_journal_keys_and_settings() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_on(&here).await;
    node.start(saver()).await.unwrap();
    for n in 1..=30 {
        add(&node, n).await.unwrap();
    }
    let saver_id = id("saver");
    let file = node.export_actor(&saver_id, false).await.unwrap();
    let left = node.actor(&saver_id).await.unwrap();
    assert_eq!((left.status, left.base.is_some()), ("moved", true), "a base is made on the way");
    moved(&add(&node, 31).await.unwrap_err());
    for refused in [node.start(saver()).await.map(drop), node.start_fresh(saver()).await.map(drop)] {
        assert!(matches!(&refused, Err(Error::Moved { .. })), "{refused:?}");
    }
    assert!(matches!(node.stop(&saver_id, "x").await, Err(Error::Moved { .. })));
    assert_eq!(node.export_actor(&saver_id, false).await.unwrap(), file, "a lost file is written again");
    let here = power_cut(node, &here);
    let node = node_on(&here).await;
    moved(&add(&node, 31).await.unwrap_err());
    assert_eq!(node.export_actor(&saver_id, false).await.unwrap(), file, "after a power cut, too");
    // Its journal stays to be looked at.
    verified(&node, "saver").await;

    let other = node_on(&there).await;
    let error = other.import_actor(file.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&left.component.to_string()) && error.contains("--with-component"), "{error}");
    assert!(other.list().await.unwrap().is_empty(), "nothing of it came");
    other.load(&std::fs::read(guest("saver")).unwrap()).await.unwrap();
    let came = other.import_actor(file.clone()).await.unwrap();
    assert_eq!((came.next, came.waiting), (left.next, 0));
    let info = other.actor(&saver_id).await.unwrap();
    assert_eq!((info.head, info.next, info.base), (left.head, left.next, left.base), "the same heads");
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    assert_eq!(add(&other, 30).await.unwrap(), (30 * 31 / 2).to_string(), "a repeat gets the first answer");
    assert_eq!(add(&other, 31).await.unwrap(), (31 * 32 / 2).to_string());
    assert!(other.start(saver()).await.unwrap().resumed, "under the same settings");
    let error = other.import_actor(file).await.unwrap_err().to_string();
    assert!(error.contains("lives here already"), "{error}");
    verified(&other, "saver").await;
    let whole = replay(&other, "saver", "saver").await.unwrap();
    assert_eq!(whole.records, other.actor(&saver_id).await.unwrap().next.0, "from genesis on, across the move");
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    assert_eq!(ask(&other, "saver", "get", "").await.unwrap(), (31 * 32 / 2).to_string());
    node.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_goes_along_in_order_and_what_was_refused_here_is_applied_nowhere() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_on(&here).await;
    node.start(saver()).await.unwrap();
    let saver_id = id("saver");
    let nap = begun(node.call(&saver_id, Outgoing::new("sleep", &b"50"[..]))).await;
    sleeping(&node, 1).await;
    let (one, two) = (begun(add(&node, 1)).await, begun(add(&node, 2)).await);
    let unkeyed = begun(ask(&node, "saver", "add", "1000")).await;
    let late = Outgoing::new("add", &b"4"[..]).key("4").timeout(std::time::Duration::from_secs(60));
    let late = begun(node.call(&saver_id, late)).await;
    let exported = begun(node.export_actor(&saver_id, true)).await;
    nap.await.unwrap();
    let file = exported.await.unwrap();
    for heard in [one.await, two.await, unkeyed.await, late.await.map(|_| String::new())] {
        moved(&heard.unwrap_err());
    }
    let read = troupe_log::actor_file::read(&file).unwrap();
    assert!(read.blobs.contains_key(&read.about.component), "with its component");
    drop(power_cut(node, &here));
    let other = node_on(&there).await;
    assert_eq!(other.import_actor(file).await.unwrap().waiting, 3);
    for (n, total) in [(1, "1"), (2, "3"), (4, "7")] {
        assert_eq!(add(&other, n).await.unwrap(), total, "in the order of arrival");
    }
    assert_eq!(ask(&other, "saver", "get", "").await.unwrap(), "7");
    replay(&other, "saver", "saver").await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_off_answer_is_given_where_the_actor_is() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_on(&here).await;
    node.start(spec("deferrer", "deferrer")).await.unwrap();
    let actor = id("deferrer");
    let later = || Outgoing::new("later", &b""[..]).key("k");
    let waiting = begun(node.call(&actor, later())).await;
    while ask(&node, "deferrer", "held", "").await.unwrap() != "1" {}
    let file = node.export_actor(&actor, true).await.unwrap();
    moved(&waiting.await.unwrap_err());
    node.close().await.unwrap();
    let other = node_on(&there).await;
    other.import_actor(file).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    let again = begun(other.call(&actor, later())).await;
    ask(&other, "deferrer", "release", "here").await.unwrap();
    assert_eq!(again.await.unwrap(), b"here");
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_go_along_and_actors_that_wait_here_are_told() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_on(&here).await;
    for name in ["asker", "mover", "waiter"] {
        node.start(partner(name)).await.unwrap();
    }
    let mover = id("mover");
    let late = ask(&node, "mover", "after", "3600000|mover|late|x").await.unwrap();
    ask(&node, "mover", "after", "1500|mover|soon|y").await.unwrap();
    let put_off = begun(ask(&node, "waiter", "ask", "mover|later|")).await;
    while ask(&node, "mover", "held", "").await.unwrap() != "1" {}
    let nap = begun(ask(&node, "mover", "nap", "50")).await;
    sleeping(&node, 3).await;
    let asked = begun(ask(&node, "asker", "ask", "mover|add|2")).await;
    while node.actor(&mover).await.unwrap().mailbox == 0 {}
    let exported = begun(node.export_actor(&mover, false)).await;
    nap.await.unwrap();
    exported.await.unwrap();
    for told in [asked.await, put_off.await] {
        let told = told.unwrap_err().to_string();
        assert!(told.contains("unavailable: ") && told.contains("has moved to another node"), "{told}");
    }
    assert_eq!(node.pending_timers(), 0);
    for name in ["asker", "waiter"] {
        replay(&node, name, "partner").await.unwrap();
    }
    node.abort_move(&mover).await.unwrap();
    assert_eq!(node.pending_timers(), 2, "taken back");
    let file = node.export_actor(&mover, true).await.unwrap();
    let here = power_cut(node, &here);
    let node = node_on(&here).await;
    assert_eq!(node.pending_timers(), 0, "none stays behind");
    let other = node_on(&there).await;
    other.import_actor(file).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    let soon = "info soon(y) from @timer/default/mover";
    while ask(&other, "mover", "notes", "").await.unwrap() != soon {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&other, "mover", "cancel", &late).await.unwrap(), "true");
    assert_eq!(ask(&other, "mover", "total", "").await.unwrap(), "0", "what was refused is applied nowhere");
    assert_eq!(ask(&other, "mover", "release", "").await.unwrap(), "", "the token is good, and nobody waits");
    replay(&other, "mover", "partner").await.unwrap();
    node.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_its_own_go_along_and_come_back() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_on(&here).await;
    let mut one = spec("one", "keyvalue");
    let pattern = |text: &str| vec![ActorPattern::parse(text).unwrap()];
    one.grants.keyvalue = Some(KeyValue { own: pattern("*"), shared: pattern("shared*") });
    node.start(one).await.unwrap();
    let run = async |node: &Node, lines: &str| ask(node, "one", "do", lines).await.unwrap().replace('\n', " ");
    assert_eq!(run(&node, "open\nset k one\nincrement n 5").await, "ok ok 5");
    node.export_actor(&id("one"), false).await.unwrap();
    node.abort_move(&id("one")).await.unwrap();
    assert_eq!(run(&node, "get k\nset k two").await, "one ok", "taken back");
    let file = node.export_actor(&id("one"), true).await.unwrap();
    let here = power_cut(node, &here);
    let node = node_on(&here).await;
    assert_eq!(node.export_actor(&id("one"), true).await.unwrap(), file);
    let other = node_on(&there).await;
    other.import_actor(file).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    assert_eq!(run(&other, "get k\nincrement n 1\nkeys").await, "two 6 k n then none");
    replay(&other, "one", "keyvalue").await.unwrap();
    let back = other.export_actor(&id("one"), false).await.unwrap();
    node.import_actor(back).await.unwrap();
    assert_eq!(run(&node, "get n").await, "6");
    node.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_returns_with_what_it_did_elsewhere_and_no_older_file_does() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let (node, other) = (node_with(&here, "saver").await, node_with(&there, "saver").await);
    node.start(saver()).await.unwrap();
    add(&node, 1).await.unwrap();
    let saver_id = id("saver");
    let out = node.export_actor(&saver_id, false).await.unwrap();
    // It never arrived: taken back.
    node.abort_move(&saver_id).await.unwrap();
    assert_eq!(add(&node, 2).await.unwrap(), "3");
    let error = node.abort_move(&saver_id).await.unwrap_err();
    assert!(matches!(error, Error::NoMove { .. }), "{error}");
    let next = node.export_actor(&saver_id, false).await.unwrap();
    other.import_actor(next.clone()).await.unwrap();
    assert_eq!(add(&other, 3).await.unwrap(), "6");
    let back = other.export_actor(&saver_id, false).await.unwrap();
    let here = power_cut(node, &here);
    let node = node_on(&here).await;
    let error = node.import_actor(out).await.unwrap_err().to_string();
    assert!(error.contains("knows of records that the file does not have"), "{error}");
    node.import_actor(back).await.unwrap();
    assert_eq!(add(&node, 3).await.unwrap(), "6");
    assert_eq!(add(&node, 4).await.unwrap(), "10");
    let error = other.import_actor(next).await.unwrap_err().to_string();
    assert!(error.contains("imported here before"), "{error}");
    // Once more, without a turn in between.
    let out = node.export_actor(&saver_id, false).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    other.import_actor(out.clone()).await.unwrap();
    let back = other.export_actor(&saver_id, false).await.unwrap();
    let error = other.import_actor(out).await.unwrap_err().to_string();
    assert!(error.contains("imported here before"), "{error}");
    node.import_actor(back).await.unwrap();
    let here = power_cut(node, &here);
    let node = node_on(&here).await;
    assert_eq!(add(&node, 5).await.unwrap(), "15");
    verified(&node, "saver").await;
    verified(&other, "saver").await;
    replay(&node, "saver", "saver").await.unwrap();
    node.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgraded_actor_moves_with_its_large_state_and_is_rolled_back_there() {
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let node = node_with(&here, "saver-next").await;
    node.start(saver()).await.unwrap();
    add(&node, 7).await.unwrap();
    ask(&node, "saver", "pad", "1000000").await.unwrap();
    let saver_id = id("saver");
    let (old, next) =
        (Digest::of(&std::fs::read(guest("saver")).unwrap()), std::fs::read(guest("saver-next")).unwrap());
    node.upgrade(&saver_id, &ComponentRef::Digest(Digest::of(&next)), How::Snapshot).await.unwrap();
    let file = node.export_actor(&saver_id, true).await.unwrap();
    let other = node_with(&there, "saver").await;
    other.import_actor(file).await.unwrap();
    let there = power_cut(other, &there);
    let other = node_on(&there).await;
    assert_eq!(ask(&other, "saver", "get", "").await.unwrap(), "7");
    assert_eq!(other.before_upgrade(&saver_id).unwrap(), old);
    other.upgrade(&saver_id, &ComponentRef::Digest(old), How::Snapshot).await.unwrap();
    assert_eq!(add(&other, 1).await.unwrap(), "8");
    node.close().await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_move_and_files_that_bring_nothing_say_why() {
    let node = node_on(&SimDisk::new()).await;
    let mut off = spec("off", "saver");
    off.journal = Mode::Off;
    node.start(off).await.unwrap();
    ask(&node, "off", "add", "2").await.unwrap();
    let error = node.export_actor(&id("off"), false).await.unwrap_err().to_string();
    assert!(error.contains("journal = \"off\""), "{error}");
    assert_eq!(ask(&node, "off", "get", "").await.unwrap(), "2");
    assert!(matches!(node.export_actor(&id("nobody"), false).await, Err(Error::NoActor(_))));
    node.start(saver()).await.unwrap();
    add(&node, 1).await.unwrap();
    let file = node.export_actor(&id("saver"), false).await.unwrap();
    let other = node_with(&SimDisk::new(), "saver").await;
    let refused = async |bytes: Vec<u8>, words: &str| {
        let error = other.import_actor(bytes).await.unwrap_err();
        assert!(matches!(error, Error::NotAnActorFile { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(b"something else".to_vec(), "not").await;
    refused(file[..file.len() - 1].to_vec(), "changed, or its end is missing").await;
    let mut read = troupe_log::actor_file::read(&file).unwrap();
    let written = |file: &troupe_log::actor_file::ActorFile| {
        let mut writer = troupe_log::actor_file::Writer::new(&file.about);
        writer.records(&file.records).unwrap();
        file.rows.iter().for_each(|row| writer.row(row).unwrap());
        writer.finish().unwrap()
    };
    read.about.actor = id("somebody");
    refused(written(&read), "genesis of the actor").await;
    read.about.actor = id("saver");
    let entry = read.rows.remove(0);
    refused(written(&read), "does not say how the actor lives").await;
    read.rows.push(troupe_log::actor_file::Row { key: b"default/other".to_vec(), ..entry.clone() });
    refused(written(&read), "of another actor").await;
    read.rows.pop();
    read.rows.push(entry);
    let foreign = troupe_log::actor_file::Row { table: troupe_log::Table(900), key: Vec::new(), value: Vec::new() };
    read.rows.push(foreign);
    let error = other.import_actor(written(&read)).await.unwrap_err();
    assert!(error.to_string().contains("takes no such row"), "{error}");
    assert!(other.list().await.unwrap().is_empty());
    node.close().await.unwrap();
    other.close().await.unwrap();
}

/// The power goes at every operation of the disk of the node that an actor leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_anywhere_round_an_export_leaves_the_actor_on_one_node() {
    let fresh = SimDisk::new();
    let node = node_on(&fresh).await;
    node.start(saver()).await.unwrap();
    add(&node, 1).await.unwrap();
    let fresh = power_cut(node, &fresh);
    let (mut cuts, mut seen) = (0, Vec::new());
    loop {
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(cuts);
        let added = add(&node, 2).await.is_ok();
        let file = if added { node.export_actor(&id("saver"), true).await.ok() } else { None };
        let disk = power_cut(node, &disk);
        let node = node_on(&disk).await;
        let status = node.actor(&id("saver")).await.unwrap().status;
        assert!(file.is_none() || status == "moved", "cut after {cuts}: a file is out, and the actor is {status}");
        seen.push(status == "moved");
        if status != "moved" {
            assert_eq!(add(&node, 2).await.unwrap(), "3", "cut after {cuts}");
            verified(&node, "saver").await;
        }
        let done = file.is_some();
        let again = node.export_actor(&id("saver"), true).await.unwrap();
        assert!(file.is_none_or(|file| file == again), "cut after {cuts}: the same file");
        let other = node_on(&SimDisk::new()).await;
        other.import_actor(again).await.unwrap();
        assert_eq!(add(&other, 2).await.unwrap(), "3", "cut after {cuts}");
        verified(&other, "saver").await;
        replay(&other, "saver", "saver").await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
        other.close().await.unwrap();
        node.close().await.unwrap();
        if done {
            break;
        }
        cuts += 1;
        assert!(cuts < 500, "the run never ends");
    }
    assert!(seen.contains(&true) && seen.contains(&false), "cuts on both sides: {seen:?}");
}

/// The power goes at every operation of the disk of the node that an actor comes to, first and on its return.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_anywhere_round_an_import_brings_all_of_the_actor_or_nothing() {
    let home = node_on(&SimDisk::new()).await;
    home.start(saver()).await.unwrap();
    add(&home, 1).await.unwrap();
    ask(&home, "saver", "pad", "100000").await.unwrap();
    let first = home.export_actor(&id("saver"), true).await.unwrap();
    let next = |file: &[u8]| troupe_log::actor_file::read(file).unwrap().about.end;
    // A disk that the actor was on and has left again.
    let left = SimDisk::new();
    let node = node_on(&left).await;
    node.import_actor(first.clone()).await.unwrap();
    add(&node, 2).await.unwrap();
    let out = node.export_actor(&id("saver"), true).await.unwrap();
    let left = power_cut(node, &left);
    home.import_actor(out).await.unwrap();
    add(&home, 3).await.unwrap();
    let second = home.export_actor(&id("saver"), true).await.unwrap();
    for (fresh, file, total) in [(SimDisk::new(), first, "8"), (left, second, "13")] {
        let (mut cuts, mut seen) = (0, Vec::new());
        loop {
            let disk = fresh.fork();
            let node = node_on(&disk).await;
            disk.cut_after(cuts);
            let came = node.import_actor(file.clone()).await.is_ok();
            let disk = power_cut(node, &disk);
            let node = node_on(&disk).await;
            let status = node.actor(&id("saver")).await.map(|info| info.status).ok();
            let there = status.is_some_and(|status| status != "moved");
            assert!(there || !came, "cut after {cuts}: {status:?}");
            seen.push(there);
            if !there {
                node.import_actor(file.clone()).await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
            }
            let info = node.actor(&id("saver")).await.unwrap();
            assert_eq!(Chain { next: info.next, head: info.head }, next(&file), "cut after {cuts}");
            assert_eq!(add(&node, 7).await.unwrap(), total, "cut after {cuts}");
            verified(&node, "saver").await;
            replay(&node, "saver", "saver").await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
            node.close().await.unwrap();
            if came {
                break;
            }
            cuts += 1;
            assert!(cuts < 500, "the run never ends");
        }
        assert!(seen.contains(&true) && seen.contains(&false), "cuts on both sides: {seen:?}");
    }
    home.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_moves_to_and_fro_under_load_loses_nothing_and_counts_nothing_twice() {
    const CALLS: u64 = 400;
    let (here, there) = (SimDisk::new(), SimDisk::new());
    let nodes = [node_with(&here, "saver").await, node_with(&there, "saver").await];
    nodes[0].start(saver()).await.unwrap();
    let client = |lane: u64| {
        let nodes = nodes.clone();
        tokio::spawn(async move {
            for n in 0..CALLS {
                let n = lane * CALLS + n;
                let mut at = 0;
                loop {
                    let one = Outgoing::new("add", &b"1"[..]).key(n.to_string());
                    match nodes[at % 2].call(&id("saver"), one).await {
                        Ok(_) => break,
                        Err(CallError::Unavailable(_) | CallError::NotFound(_)) => at += 1,
                        Err(error) => panic!("{error}"),
                    }
                    tokio::task::yield_now().await;
                }
            }
        })
    };
    let clients: Vec<_> = (0..3).map(client).collect();
    let mut moves = 0;
    while clients.iter().any(|client| !client.is_finished()) || moves < 4 {
        let file = nodes[moves % 2].export_actor(&id("saver"), false).await.unwrap();
        nodes[(moves + 1) % 2].import_actor(file).await.unwrap();
        moves += 1;
    }
    for client in clients {
        client.await.unwrap();
    }
    let home = &nodes[moves % 2];
    assert_eq!(ask(home, "saver", "get", "").await.unwrap(), (3 * CALLS).to_string(), "after {moves} moves");
    verified(home, "saver").await;
    replay(home, "saver", "saver").await.unwrap();
    for node in nodes {
        node.close().await.unwrap();
    }
}

#[test]
fn the_command_moves_an_actor_and_takes_a_move_back() {
    let (here, there) = (Folder::with("saver"), Folder::new());
    let node = here.node(&[]);
    there.manifest("other.toml", "typed", "");
    let other = there.node(&["other.toml", "--id", "other"]);
    here.run(&["call", "actor", "add", "5", "--key", "k"]).ok();
    assert!(here.run(&["export-actor", "actor", "-o", "no/such/folder/x"]).err(1).contains("cannot write"));
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5", "where nothing can be written nothing leaves");
    let said = here.run(&["export-actor", "actor"]).ok();
    assert!(said.contains("has left this node") && said.contains("actor.actor"), "{said}");
    let error = here.run(&["call", "actor", "get"]).err(1);
    assert!(error.contains("has moved") && error.contains("--abort"), "{error}");
    assert!(here.run(&["ps"]).ok().contains("moved"));
    let said = here.run(&["import-actor", "--abort", "actor"]).ok();
    assert!(said.contains("goes on here"), "{said}");
    assert_eq!(here.run(&["call", "actor", "add", "1"]).ok(), "6");
    here.run(&["export-actor", "actor", "-o", "it.actor"]).ok();
    let file = here.path().join("it.actor");
    let error = there.run(&["import-actor", file.to_str().unwrap()]).err(1);
    assert!(error.contains("blake3:") && error.contains("--with-component"), "{error}");
    here.run(&["export-actor", "actor", "-o", "it.actor", "--with-component"]).ok();
    let said = there.run(&["import-actor", file.to_str().unwrap()]).ok();
    assert!(said.starts_with("default/actor goes on here (incarnation 0), "), "{said}");
    assert_eq!(there.run(&["call", "actor", "add", "5", "--key", "k"]).ok(), "5", "a repeat");
    assert_eq!(there.run(&["call", "actor", "get"]).ok(), "6");
    assert!(there.run(&["replay", "actor"]).ok().contains("identical"));
    assert!(there.run(&["journal", "verify", "actor"]).ok().contains("good"));
    there.run(&["import-actor", "it.txt"]).err(1);
    there.run(&["import-actor"]).err(2);
    other.kill();
    let other = there.node(&["other.toml", "--id", "other"]);
    assert_eq!(there.run(&["call", "actor", "get"]).ok(), "6");
    other.stop();
    node.stop();
    // The manifest still names it: the node does not start it a second time.
    let error = here.run(&["run"]).err(1);
    assert!(error.contains("has moved to another node"), "{error}");
}
