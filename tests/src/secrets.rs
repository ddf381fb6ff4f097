//! Values that are granted as secret: shown to the guest, in no record, in no file of the node, and asked for by a replay.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use troupe_log::body::Redaction;
use troupe_log::{Chain, Kind, SimDisk, Step, record};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::boundary::secrets_of;
use troupe_runtime::manifest::{ActorSpec, Grants, SecretSource};
use troupe_runtime::node::{Node, NodeOptions, secret_key_of};
use troupe_runtime::replay::{Break, Edit, JournalSource, Replay, ReplayCode, Summary, Walk};

use crate::front_support::{Done, Folder};
use crate::processes::parent;
use crate::support::{ask, cache, count, guest, id, journal, node_on, power_cut, spec};

const VALUE: &str = "correct-horse-battery";

fn probe(folder: &Path) -> ActorSpec {
    let mut probe = spec("probe", "probe");
    let source = SecretSource::File(folder.join("token"));
    probe.grants.secrets = BTreeMap::from([("TOKEN".to_owned(), source)]);
    probe
}

async fn node_at(data: &Path) -> Node {
    Node::open(NodeOptions { cache: Some(cache()), ..NodeOptions::at(data) }).await.unwrap()
}

/// Replays with these values.
async fn replayed(node: &Node, data: &Path, given: &[&str]) -> troupe_runtime::Result<Summary> {
    let code = ReplayCode::compile_cached(&std::fs::read(guest("probe")).unwrap(), &cache())?;
    let given = given.iter().map(|value| ("TOKEN".to_owned(), (*value).to_owned())).collect();
    let mut replay = Replay::new(code, journal(node, "probe").await)?.with_secrets(given, secret_key_of(data));
    while replay.next_turn().await?.is_some() {}
    Ok(replay.summary())
}

/// The files below a folder that have these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_stands_in_no_record_and_no_file_of_the_node_and_a_replay_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::write(folder.path().join("token"), format!("{VALUE}\n")).unwrap();
    let node = node_at(&data).await;
    node.start(probe(folder.path())).await.unwrap();
    for round in 0..2 {
        // In a result and in the end of the turn; and in parameters.
        let shown = ask(&node, "probe", "environment#get-environment", "").await.unwrap();
        assert_eq!(shown, format!("TOKEN={VALUE}"), "{round}");
        assert_eq!(ask(&node, "probe", "environment#said", "TOKEN").await.unwrap(), VALUE.len().to_string());
    }
    let records = node.journal(&id("probe")).await.unwrap().read_all().unwrap();
    assert!(!records.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()));
    assert_eq!(secrets_of(&records).into_iter().collect::<Vec<_>>(), ["TOKEN"]);
    let all: Vec<_> = record::records(&records).map(Result::unwrap).collect();
    for redaction in all.iter().filter(|record| record.kind == Kind::Redaction) {
        let redaction = Redaction::decode(redaction.body).unwrap();
        let of = all.iter().find(|record| record.seq == redaction.of).unwrap();
        for hidden in &redaction.hidden {
            let (at, len) = (hidden.at as usize, hidden.len as usize);
            assert_eq!(&of.body[at..at + len], "*".repeat(VALUE.len()).as_bytes(), "record {}", of.seq);
        }
    }
    // Of each round: the result, the end; the result again, what is written.
    assert_eq!(count(&node, "probe", Kind::Redaction).await, 2 * 4);
    node.close().await.unwrap();
    assert_eq!(files_with(&data, VALUE.as_bytes()), Vec::<std::path::PathBuf>::new());
    assert!(!files_with(&data, b"TOKEN").is_empty(), "the search finds what is there");
    let mode = std::fs::metadata(data.join("secret.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Another process plays its journal and goes on.
    let node = node_at(&data).await;
    assert_eq!(ask(&node, "probe", "environment#said", "TOKEN").await.unwrap(), VALUE.len().to_string());
    let next = node.actor(&id("probe")).await.unwrap().next.0;
    assert_eq!(replayed(&node, &data, &[VALUE]).await.unwrap().records, next);
    let missing = replayed(&node, &data, &[]).await.unwrap_err().to_string();
    assert!(missing.contains("the secret TOKEN is missing"), "{missing}");
    for other in ["correct-horse-batterx", "something-longer-than-that"] {
        let differs = replayed(&node, &data, &[other]).await.unwrap_err().to_string();
        assert!(differs.contains("the secret TOKEN has another value"), "{differs}");
        assert!(!differs.contains(other) && !differs.contains(VALUE), "{differs}");
    }
    node.close().await.unwrap();
}

/// The bodies of an actor's records of a kind.
async fn bodies(node: &Node, actor: &str, kind: Kind) -> Vec<Vec<u8>> {
    let bytes = node.journal(&id(actor)).await.unwrap().read_all().unwrap();
    let records = record::records(&bytes).map(Result::unwrap);
    records.filter(|record| record.kind == kind).map(|record| record.body.to_vec()).collect()
}

fn has(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

/// What an actor that has a secret gives as the reason of an end stands in others' records, and is told to who watches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reason_of_a_stop_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), VALUE).unwrap();
    let source = SecretSource::File(folder.path().join("token"));
    let secrets = BTreeMap::from([("TOKEN".to_owned(), source)]);
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut stopper = parent("p");
    stopper.grants.secrets = secrets.clone();
    node.start(stopper).await.unwrap();
    for name in ["friend", "watcher"] {
        node.start(parent(name)).await.unwrap();
    }
    ask(&node, "watcher", "monitor", "friend").await.unwrap();
    assert_eq!(ask(&node, "p", "stop", &format!("friend|by {VALUE}!")).await.unwrap(), "done");
    let told = loop {
        let notes = ask(&node, "watcher", "notes", "").await.unwrap();
        if !notes.is_empty() {
            break notes;
        }
    };
    assert!(told.contains(&format!("by {}!", "*".repeat(VALUE.len()))) && !told.contains(VALUE), "{told}");

    let mut theater = spec("t", "theater");
    theater.grants.secrets = secrets;
    node.start(theater).await.unwrap();
    ask(&node, "t", "any", &format!("shutdown|by {VALUE}!")).await.unwrap();
    while !matches!(ask(&node, "t", "any", "get").await, Err(CallError::NotFound(_))) {
        tokio::task::yield_now().await;
    }
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    for actor in ["friend", "t"] {
        let stops = bodies(&node, actor, Kind::Stop).await;
        assert!(stops.len() == 1 && has(&stops[0], "by ****") && !has(&stops[0], VALUE), "{actor}");
    }
    node.close().await.unwrap();
}

/// Nor does the reason why an actor did not begin; and a replay without the node's key still knows how long a value was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_an_actor_did_not_begin_holds_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), VALUE).unwrap();
    let node = node_on(&SimDisk::new()).await;
    let mut fails = spec("fails", "init-fails");
    fails.grants.secrets = probe(folder.path()).grants.secrets;
    fails.init = format!("no {VALUE} here").into_bytes();
    let why = node.start(fails).await.unwrap_err().to_string();
    assert!(why.contains("no ****") && !why.contains(VALUE), "{why}");

    node.start(probe(folder.path())).await.unwrap();
    ask(&node, "probe", "environment#said", "TOKEN").await.unwrap();
    for (other, fits) in [("correct-horse-battery-and-more", false), ("correct-horse", false), (VALUE, true)] {
        let code = ReplayCode::compile_cached(&std::fs::read(guest("probe")).unwrap(), &cache()).unwrap();
        let given = [("TOKEN".to_owned(), other.to_owned())].into();
        let mut replay = Replay::new(code, journal(&node, "probe").await).unwrap().with_secrets(given, None);
        let ended = loop {
            match replay.next_turn().await {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.to_string()),
            }
        };
        match ended {
            Ok(()) => assert!(fits, "{other}"),
            Err(why) => assert!(!fits && why.contains("the secret TOKEN has another value"), "{other}: {why}"),
        }
    }
    node.close().await.unwrap();
}

/// A journal that was changed where a secret stands: the difference is said, and not the value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_in_replay_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), VALUE).unwrap();
    let node = node_on(&SimDisk::new()).await;
    node.start(probe(folder.path())).await.unwrap();
    ask(&node, "probe", "environment#said", "TOKEN").await.unwrap();
    assert_eq!(ask(&node, "probe", "environment#get-environment", "").await.unwrap(), format!("TOKEN={VALUE}"));
    let records = node.journal(&id("probe")).await.unwrap().read_all().unwrap();
    let given: BTreeMap<String, String> = [("TOKEN".to_owned(), VALUE.to_owned())].into();
    let code = ReplayCode::compile_cached(&std::fs::read(guest("probe")).unwrap(), &cache()).unwrap();
    // Of what is written to standard output, and of an answer, one letter is another.
    for (kind, text) in [(Kind::Call, "TOKEN is ****"), (Kind::TurnEnd, "TOKEN=****")] {
        let (mut step, mut changed) = (Step::new(Chain::START), 0);
        for record in record::records(&records).map(Result::unwrap) {
            let at = record.body.windows(text.len()).position(|window| window == text.as_bytes());
            step.record(record.kind.known().unwrap(), |out| {
                out.extend_from_slice(record.body);
                if let Some(at) = at.filter(|_| record.kind == kind) {
                    let from = out.len() - record.body.len() + at;
                    out[from] = b'X';
                    changed += 1;
                }
            });
        }
        assert_eq!(changed, 1, "{kind:?}");
        let source = JournalSource::Bytes { records: step.bytes().into(), blobs: Arc::default() };
        let mut replay = Replay::new(code.clone(), source).unwrap().with_secrets(given.clone(), None);
        let differs = loop {
            match replay.next_turn().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{kind:?}: identical"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(differs.contains(&text.replacen('T', "X", 1)) && differs.contains(text), "{kind:?}: {differs}");
        assert!(!differs.contains(VALUE), "{kind:?}: {differs}");
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_shows_no_secret_and_a_changed_result_of_one_is_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::write(folder.path().join("token"), VALUE).unwrap();
    let node = node_at(&data).await;
    node.start(probe(folder.path())).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&node, "probe", "environment#get-environment", "").await.unwrap(), format!("TOKEN={VALUE}"));
    }
    let code = ReplayCode::compile_cached(&std::fs::read(guest("probe")).unwrap(), &cache()).unwrap();
    let given = BTreeMap::from([("TOKEN".to_owned(), VALUE.to_owned())]);
    let replay = Replay::new(code, journal(&node, "probe").await).unwrap().with_secrets(given, secret_key_of(&data));
    let mut walk = Walk::new(replay);
    assert!(walk.run(&[Break::Function("get-environment".to_owned())]).await.unwrap());
    let began = walk.newest().unwrap().turn.began;

    // Nothing is changed: nothing goes otherwise, though the journal has stars where the fork has the value.
    let payload = Some(b"".to_vec());
    let same = walk.fork(began, &Edit::Message { message_type: None, payload }).await.unwrap();
    assert_eq!((same.played, same.turns), (2, vec![]));
    let message_type = Some("environment#no-such".to_owned());
    let other = walk.fork(began, &Edit::Message { message_type, payload: None }).await.unwrap();
    assert_eq!(other.differing, 1);
    assert!(!format!("{other:?}").contains(VALUE), "{other:?}");

    let mut encoded = vec![1, 0, 0, 0];
    for text in ["TOKEN", "wrong-donkey-and-no-battery"] {
        encoded.extend((text.len() as u32).to_le_bytes());
        encoded.extend(text.as_bytes());
    }
    let edit = Edit::Result(format!("0x{}", hex::encode(encoded)));
    let fork = walk.fork(began.next(), &edit).await.unwrap();
    assert_eq!(fork.turns[0].end.as_ref().unwrap().1, "answer \"TOKEN=wrong-donkey-and-no-battery\"");
    assert_eq!((fork.differing, fork.stopped.as_deref()), (1, None));
    assert!(!format!("{fork:?}").contains(VALUE), "{fork:?}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_changed_under_a_journal_is_said_and_the_actor_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, token) = (folder.path().join("data"), folder.path().join("token"));
    std::fs::write(&token, VALUE).unwrap();
    let node = node_at(&data).await;
    node.start(probe(folder.path())).await.unwrap();
    ask(&node, "probe", "environment#said", "TOKEN").await.unwrap();
    node.close().await.unwrap();

    std::fs::write(&token, "incorrect-horse-battery").unwrap();
    let node = node_at(&data).await;
    let why = ask(&node, "probe", "environment#said", "TOKEN").await.unwrap_err().to_string();
    assert!(why.contains("the secret TOKEN has another value"), "{why}");
    assert!(!why.contains("horse"), "{why}");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_not_there_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_at(&folder.path().join("data")).await;
    let why = node.start(probe(folder.path())).await.unwrap_err().to_string();
    assert!(why.contains("the secret TOKEN") && why.contains("cannot be read"), "{why}");
    assert!(node.list().await.unwrap().is_empty());
    node.close().await.unwrap();
}

#[test]
fn a_manifest_and_what_is_printed_of_it_hold_the_place_and_never_the_value() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), VALUE).unwrap();
    let grants = probe(folder.path()).grants;
    assert!(!format!("{grants:?}{}", grants.to_toml()).contains(VALUE));
    assert_eq!(Grants::from_toml(&grants.to_toml()).unwrap(), grants);
    // Who writes the value itself is told what to write, and not what was written.
    let error = Grants::from_toml(&format!("secrets = {{ TOKEN = \"{VALUE}\" }}")).unwrap_err().to_string();
    assert!(error.contains("env:NAME") && !error.contains(VALUE), "{error}");
}

#[test]
fn the_command_shows_no_secret_and_its_replay_asks_for_it() {
    let here = Folder::new();
    here.manifest("troupe.toml", "probe", "[grants.secrets]\nTOKEN = \"env:NODES_TOKEN\"\n");
    let missing = here.run(&["run"]).err(1);
    assert!(missing.contains("the node has no variable NODES_TOKEN"), "{missing}");
    let node = here.node_with(&[], &[("NODES_TOKEN", Path::new(VALUE))]);
    here.run(&["call", "actor", "environment#said", "TOKEN"]).ok();
    let shown = here.run(&["journal", "show", "actor"]).ok();
    assert!(shown.contains("(\"TOKEN\", \"*********************\")") && shown.contains("the secrets TOKEN"), "{shown}");
    assert!(!shown.contains(VALUE), "{shown}");
    here.run(&["journal", "verify", "actor"]).ok();
    here.run(&["journal", "export", "actor", "-o", "it.journal"]).ok();
    let asked = here.run(&["replay", "actor"]).err(1);
    assert!(asked.contains("leaves out the values of secrets: TOKEN") && asked.contains("--secret TOKEN="), "{asked}");
    let given = format!("TOKEN={VALUE}");
    assert!(here.run(&["replay", "actor", "--secret", &given]).ok().starts_with("identical, "));
    let another = here.run(&["replay", "actor", "--secret", "TOKEN=incorrect-horse-batt"]).err(3);
    assert!(another.contains("the secret TOKEN has another value"), "{another}");
    let log = node.stop();
    assert!(log.contains("TOKEN is *****") && !log.contains(VALUE), "{log}");

    // On a machine that has neither the node nor its key.
    let elsewhere = Folder::new();
    std::fs::copy(here.path().join("it.journal"), elsewhere.path().join("it.journal")).unwrap();
    assert!(elsewhere.run(&["replay", "it.journal", "--secret", &given]).ok().starts_with("identical, "));
    let mut by_variable = elsewhere.command(&["replay", "it.journal", "--secret", "TOKEN"]);
    assert!(Done::of(by_variable.env("TOKEN", VALUE).output().unwrap()).ok().starts_with("identical, "));
    elsewhere.run(&["replay", "it.journal", "--secret", "TOKEN"]).err(1);
}
