//! Another component for a living actor: "An upgrade happens between turns, its state from a complete replay without difference or
//! from save and load; it commits the upgrade record with a new base (or the mark that the whole journal replays under it), or is
//! refused. Rolling back is an upgrade to the old component."

use troupe_log::{Digest, Kind, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorSpec, ComponentRef, Mode};
use troupe_runtime::node::{How, Node, Outgoing};
use troupe_runtime::replay::{Replay, ReplayCode, Summary};

use crate::front_support::Folder;
use crate::support::{
    ask, begun, cache, count, guest, id, journal, node_on, power_cut, replay, sleeping, spec, verified,
};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).unwrap()
}

/// Another component that does the same: its bytes have one more section, which nobody reads.
fn twin(name: &str) -> Vec<u8> {
    let mut bytes = bytes(name);
    bytes.extend_from_slice(&[0, 5, 4]);
    bytes.extend_from_slice(b"twin");
    bytes
}

/// Gives the node a component.
async fn loaded(node: &Node, bytes: &[u8]) -> ComponentRef {
    ComponentRef::Digest(node.load(bytes).await.unwrap().digest)
}

fn saver(max_replay: u64) -> ActorSpec {
    let mut saver = spec("saver", "saver");
    saver.snapshots.max_replay = max_replay;
    saver.supervision.max_restarts = 100;
    saver.supervision.attempts = std::num::NonZeroU32::MIN;
    saver
}

async fn runs(node: &Node) -> Digest {
    node.actor(&id("saver")).await.unwrap().component
}

/// Replays the whole journal with the component in force at each record.
async fn replayed(node: &Node, components: &[&[u8]]) -> troupe_runtime::Result<Summary> {
    let code = |bytes: &&[u8]| ReplayCode::compile_cached(bytes, &cache()).unwrap();
    let mut replay = Replay::in_force(components.iter().map(code).collect(), journal(node, "saver").await)?;
    while replay.next_turn().await?.is_some() {}
    Ok(replay.summary())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_asked_for_is_waited_for_and_says_its_record_or_why_there_is_none() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(saver(u64::MAX)).await.unwrap();
    ask(&node, "saver", "add", "3").await.unwrap();
    let record = node.make_base(&id("saver")).await.unwrap();
    assert_eq!(record.0 + 1, node.actor(&id("saver")).await.unwrap().next.0);
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "1", "it was durable, and recovery starts there");
    ask(&node, "saver", "refuse-save", "").await.unwrap();
    let error = node.make_base(&id("saver")).await.unwrap_err();
    assert!(matches!(&error, Error::NoBase { why, .. } if why.contains("save answered with an error")), "{error}");
    node.start(spec("counter", "counter-rust")).await.unwrap();
    let error = node.make_base(&id("counter")).await.unwrap_err();
    assert!(error.to_string().contains("no snapshot export"), "{error}");
    assert!(matches!(node.make_base(&id("nobody")).await, Err(Error::NoActor(_))));
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "3");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_does_the_same_takes_over_between_two_turns_and_gives_back() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let (old, new) = (bytes("saver"), twin("saver"));
    node.start(saver(u64::MAX)).await.unwrap();
    for n in 0..9 {
        ask(&node, "saver", "add", "2").await.unwrap();
        if n % 3 == 2 && n < 8 {
            // Bases are replayed too.
            node.make_base(&id("saver")).await.unwrap();
        }
    }
    let calls: u64 = ask(&node, "saver", "calls", "").await.unwrap().parse().unwrap();
    // It waits for the turn in hand.
    let saver_id = id("saver");
    let nap = begun(node.call(&saver_id, Outgoing::new("sleep", &b"50"[..]))).await;
    sleeping(&node, 1).await;
    let to = loaded(&node, &new).await;
    let done = node.upgrade(&saver_id, &to, How::Replay).await.unwrap();
    nap.await.unwrap();
    assert_eq!((done.from, done.to), (Digest::of(&old), Digest::of(&new)));
    assert_eq!(count(&node, "saver", Kind::Upgrade).await, 1);
    assert_eq!(runs(&node).await, Digest::of(&new));
    let again = node.upgrade(&saver_id, &to, How::Replay).await.unwrap();
    assert_eq!((again.record, again.from), (None, Digest::of(&new)), "it runs it already");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(runs(&node).await, Digest::of(&new));
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), (calls + 2).to_string(), "nothing was loaded");
    assert_eq!(ask(&node, "saver", "add", "2").await.unwrap(), "20");
    let error = node.start(saver(u64::MAX)).await.unwrap_err().to_string();
    assert!(error.contains("`troupe upgrade default/saver blake3:"), "{error}");

    let back = ComponentRef::Digest(node.before_upgrade(&saver_id).unwrap());
    assert_eq!(back, ComponentRef::Digest(Digest::of(&old)));
    node.upgrade(&saver_id, &back, How::Replay).await.unwrap();
    assert_eq!(node.before_upgrade(&saver_id).unwrap(), Digest::of(&new));
    assert_eq!(ask(&node, "saver", "add", "2").await.unwrap(), "22");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert!(node.start(saver(u64::MAX)).await.unwrap().resumed, "the first component again");
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "22");
    verified(&node, "saver").await;
    // Either is right where the whole journal replays under both.
    let whole = replayed(&node, &[&old, &new]).await.unwrap();
    assert_eq!(whole.records, node.actor(&id("saver")).await.unwrap().next.0);
    assert_eq!(replay(&node, "saver", "saver").await.unwrap(), whole);
    let missing = replayed(&node, &[&old]).await.unwrap_err().to_string();
    assert!(missing.contains(&Digest::of(&new).to_string()), "{missing}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_differs_is_refused_with_the_first_difference_or_loads_what_the_old_one_saved() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let (old, next) = (bytes("saver"), bytes("saver-next"));
    node.start(saver(u64::MAX)).await.unwrap();
    let saver_id = id("saver");
    ask(&node, "saver", "add", "5").await.unwrap();
    // Nothing of a faulted turn is in the state: that the new one does not fault there is what it is for.
    assert!(matches!(ask(&node, "saver", "crash", "").await, Err(CallError::Faulted { .. })));
    let to = loaded(&node, &next).await;
    let checked = node.check_upgrade(&saver_id, &to).await.unwrap();
    assert_eq!((checked.record, checked.to), (None, Digest::of(&next)));
    assert_eq!(runs(&node).await, Digest::of(&old));

    ask(&node, "saver", "calls", "").await.unwrap();
    let end = node.actor(&saver_id).await.unwrap().next;
    let error = node.upgrade(&saver_id, &to, How::Replay).await.unwrap_err();
    let Error::UpgradeDiffers { divergence, .. } = &error else { panic!("{error}") };
    assert_eq!(divergence.seq.0, end.0 - 1);
    assert_eq!((&*divergence.expected, &*divergence.actual), ("answer \"2\"", "answer \"calls: 2\""));
    assert_eq!(count(&node, "saver", Kind::Upgrade).await, 0);
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "3", "it goes on as it was");

    let done = node.upgrade(&saver_id, &to, How::Snapshot).await.unwrap();
    assert!(done.record.is_some());
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "calls: 1", "in a loaded instance");
    assert_eq!(ask(&node, "saver", "saved-by", "").await.unwrap(), Digest::of(&old).to_string());
    assert_eq!(ask(&node, "saver", "crash", "").await.unwrap(), "mended");
    assert_eq!(ask(&node, "saver", "add", "1").await.unwrap(), "6");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(runs(&node).await, Digest::of(&next));
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "calls: 5");
    // From here on the journal is the new one's: what it replays is what stands behind its base.
    let twin = twin("saver-next");
    let again = loaded(&node, &twin).await;
    node.upgrade(&saver_id, &again, How::Replay).await.unwrap();
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "calls: 6");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "calls: 7");
    let back = ComponentRef::Digest(Digest::of(&old));
    let error = node.upgrade(&saver_id, &back, How::Replay).await.unwrap_err();
    assert!(matches!(error, Error::UpgradeDiffers { .. }), "{error}");
    node.upgrade(&saver_id, &back, How::Snapshot).await.unwrap();
    assert_eq!(ask(&node, "saver", "get", "").await.unwrap(), "6");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    assert_eq!(ask(&node, "saver", "calls", "").await.unwrap(), "2");
    verified(&node, "saver").await;
    let whole = replayed(&node, &[&next, &old, &twin]).await.unwrap();
    assert_eq!(whole.records, node.actor(&saver_id).await.unwrap().next.0, "from genesis, across all upgrades");
    assert!(matches!(replay(&node, "saver", "saver-next").await, Err(Error::Differs(_))), "one over everything");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_upgraded_says_why_and_goes_on() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    ask(&node, "counter", "add", "4").await.unwrap();
    let refused = async |actor: &str, to: &ComponentRef, how: How, words: &str| {
        let error = node.upgrade(&id(actor), to, how).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let twin = loaded(&node, &twin("counter-rust")).await;
    refused("counter", &twin, How::Snapshot, "the component that it runs: it has no snapshot export").await;
    let nobody = ComponentRef::Digest(Digest::of(b"nobody"));
    refused("counter", &nobody, How::Replay, "no component blake3:").await;
    assert!(node.before_upgrade(&id("counter")).unwrap_err().to_string().contains("never upgraded"));
    node.start(spec("saver", "saver")).await.unwrap();
    refused("saver", &twin, How::Snapshot, "the new component: it has no snapshot export").await;
    let next = loaded(&node, &bytes("saver-next")).await;
    ask(&node, "saver", "refuse-save", "").await.unwrap();
    refused("saver", &next, How::Snapshot, "save answered with an error").await;
    node.start(spec("unlucky", "saver")).await.unwrap();
    ask(&node, "unlucky", "add", "13").await.unwrap();
    refused("unlucky", &next, How::Snapshot, "load refused: 13 is bad luck").await;
    let mut off = spec("off", "saver");
    off.journal = Mode::Off;
    node.start(off).await.unwrap();
    ask(&node, "off", "add", "2").await.unwrap();
    refused("off", &next, How::Snapshot, "journal = \"off\"").await;
    for (actor, total) in [("counter", "4"), ("saver", "0"), ("unlucky", "13"), ("off", "2")] {
        assert_eq!(ask(&node, actor, "get", "").await.unwrap(), total);
    }
    for actor in ["saver", "unlucky"] {
        assert_eq!(count(&node, actor, Kind::Upgrade).await, 0);
        verified(&node, actor).await;
        replay(&node, actor, "saver").await.unwrap();
    }
    node.close().await.unwrap();
}

/// The power goes at every operation of the disk while an actor is upgraded to and fro, either way, under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_anywhere_round_an_upgrade_leaves_the_old_component_or_the_new() {
    let (old, same, next) = (bytes("saver"), twin("saver"), bytes("saver-next"));
    let fresh = SimDisk::new();
    let node = node_on(&fresh).await;
    node.start(saver(10)).await.unwrap();
    for component in [&same, &next] {
        node.load(component).await.unwrap();
    }
    ask(&node, "saver", "add", "0").await.unwrap();
    let fresh = power_cut(node, &fresh);
    let add = async |node: &Node, n: u32| {
        let add = Outgoing::new("add", (1_u64 << n).to_string().into_bytes()).key(n.to_string());
        node.call(&id("saver"), add).await
    };
    let steps = [(&same, How::Replay), (&next, How::Snapshot), (&old, How::Snapshot), (&same, How::Replay)];
    let (mut cuts, mut seen) = (0, Vec::new());
    loop {
        let disk = fresh.fork();
        let node = node_on(&disk).await;
        disk.cut_after(cuts);
        let (mut next_add, mut done, mut begun) = (0, 0, 0);
        while next_add < 12 {
            if next_add % 3 == 1 {
                let (to, how) = steps[done];
                begun = done + 1;
                let to = ComponentRef::Digest(Digest::of(to));
                if node.upgrade(&id("saver"), &to, how).await.is_err() {
                    break;
                }
                done += 1;
            }
            if add(&node, next_add).await.is_err() {
                break;
            }
            next_add += 1;
        }
        let whole = next_add == 12;
        let disk = power_cut(node, &disk);
        let node = node_on(&disk).await;
        let upgrades = count(&node, "saver", Kind::Upgrade).await;
        assert!(upgrades == done || upgrades == begun, "cut after {cuts}: {upgrades}, {done}");
        let expected = if upgrades == 0 { &old } else { steps[upgrades - 1].0 };
        assert_eq!(runs(&node).await, Digest::of(expected), "cut after {cuts}");
        seen.push(upgrades);
        for n in next_add.saturating_sub(1)..12 {
            let total: u64 = (0..=n).map(|n| 1 << n).sum();
            assert_eq!(add(&node, n).await.unwrap(), total.to_string().into_bytes(), "cut after {cuts}");
        }
        verified(&node, "saver").await;
        replayed(&node, &[&old, &same, &next]).await.unwrap_or_else(|error| panic!("cut after {cuts}: {error}"));
        node.close().await.unwrap();
        if whole {
            break;
        }
        cuts += 1;
        assert!(cuts < 500, "the run never ends");
    }
    assert!((0..=4).all(|n| seen.contains(&n)), "cuts on both sides of each upgrade: {seen:?}");
}

#[test]
fn the_command_makes_bases_and_upgrades_and_ends_with_3_where_it_differs() {
    let here = Folder::with("saver");
    here.write("same.wasm", &twin("saver"));
    here.write("next.wasm", &bytes("saver-next"));
    let node = here.node(&[]);
    here.run(&["call", "actor", "add", "5"]).ok();
    let made = here.run(&["snapshot", "actor"]).ok();
    assert!(made.starts_with("base made at record "), "{made}");
    here.run(&["call", "actor", "calls"]).ok();
    let said = here.run(&["upgrade", "actor", "same.wasm", "--check"]).ok();
    assert!(said.contains("can go on with blake3:") && said.contains("without difference"), "{said}");
    let said = here.run(&["upgrade", "actor", "same.wasm"]).ok();
    assert!(said.contains("from record") && said.contains("without difference"), "{said}");
    let error = here.run(&["upgrade", "actor", "next.wasm"]).err(3);
    assert!(
        error.contains("answer \"1\"") && error.contains("\"calls: 1\"") && error.contains("--by-snapshot"),
        "{error}"
    );
    here.run(&["upgrade", "actor", "next.wasm", "--by-snapshot"]).ok();
    assert_eq!(here.run(&["call", "actor", "calls"]).ok(), "calls: 1");
    let error = here.run(&["upgrade", "actor", "--rollback"]).err(3);
    assert!(error.contains("calls: 1"), "{error}");
    here.run(&["upgrade", "actor", "--rollback", "--by-snapshot"]).ok();
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5");
    let shown = here.run(&["journal", "show", "actor"]).ok();
    assert!(shown.contains("the journal replays under it") && shown.contains("loaded by it"), "{shown}");
    here.run(&["journal", "export", "actor", "-o", "it.journal"]).ok();
    assert!(here.run(&["journal", "verify", "it.journal"]).ok().contains("good"));
    assert!(here.run(&["replay", "it.journal"]).ok().contains("identical"));
    assert!(here.run(&["replay", "actor"]).ok().contains("identical"));
    here.run(&["upgrade", "actor"]).err(2);
    node.kill();
    let node = here.node(&["same.wasm", "--id", "actor"]);
    assert_eq!(here.run(&["call", "actor", "get"]).ok(), "5", "what it was rolled back to");
    node.stop();
}
