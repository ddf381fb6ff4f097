//! Which host functions real guests have called in tests: live, before a power cut that their actor survived, and in replay.
//!
//! Promises: noted is only what stands in the journal of a real guest that was replayed without difference, and was not denied; *kill*
//! only where the call was recorded before the power went and its actor went on behind it in another process. `cargo xtask coverage` reads the files,
//! one a test, under target/coverage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use troupe_log::{ActorId, Incarnation, Kind, Options, Seq, SimDisk, Syncing, record};
use troupe_runtime::boundary::{Tag, function_name};
use troupe_runtime::node::Node;
use troupe_runtime::replay::ReplayCode;

use crate::support::{cache, guest, guests};

/// What this process has seen: with nextest, one test.
#[derive(Default)]
struct Seen {
    /// The power was cut, and no node was opened since.
    cut: bool,
    /// Where the journals ended that another process had made.
    survived: BTreeMap<(ActorId, Incarnation), Seq>,
    lines: BTreeSet<String>,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

/// The power went.
pub fn cut() {
    SEEN.lock().unwrap().get_or_insert_default().cut = true;
}

/// A node is about to be opened there.
pub fn opens(disk: &SimDisk) {
    let mut seen = SEEN.lock().unwrap();
    let seen = seen.get_or_insert_default();
    // Of another disk an actor of the same name is another.
    seen.survived.clear();
    if !std::mem::take(&mut seen.cut) {
        return;
    }
    let options = Options { syncing: Syncing::Inline, ..Options::new([7; 32]) };
    // A disk that is damaged on purpose is for the test to judge.
    if let Ok(opened) = troupe_log::open(Arc::new(disk.fork()), &options) {
        let tails = opened.actors.iter().map(|(actor, tail)| ((actor.clone(), tail.incarnation), tail.next));
        seen.survived.extend(tails);
    }
}

/// An actor's journal was replayed without difference.
pub async fn replayed(node: &Node, actor: &ActorId) {
    let Ok(info) = node.actor(actor).await else { return };
    let Ok(Ok(bytes)) = node.journal(actor).await.map(troupe_log::JournalReader::read_all) else { return };
    let mut seen = SEEN.lock().unwrap();
    let seen = seen.get_or_insert_default();
    let survived = seen.survived.get(&(info.id, info.incarnation)).copied().filter(|cut| info.next > *cut);
    let before = seen.lines.len();
    for record in record::records(&bytes).map_while(Result::ok) {
        let Some(Kind::Call | Kind::Intent | Kind::Wait) = record.kind.known() else { continue };
        let Some(tag) = record.body.first_chunk::<8>() else { continue };
        let Some(entry) = node.registry().get(Tag(u64::from_le_bytes(*tag))) else { continue };
        for how in ["live", "replay"] {
            seen.lines.insert(format!("{how} {}", entry.name));
        }
        if survived.is_some_and(|cut| record.seq < cut) {
            seen.lines.insert(format!("kill {}", entry.name));
        }
    }
    if seen.lines.len() > before {
        let text: String = seen.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder().join(format!("{}.txt", test())), text).unwrap();
    }
}

fn folder() -> PathBuf {
    let folder = guests().parent().unwrap().join("coverage");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The test's name; one for all where the runner does not say.
fn test() -> String {
    std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| "tests".to_owned()).replace("::", ".")
}

/// The list that `cargo xtask coverage` compares with.
#[test]
fn every_host_function_is_listed() {
    let bytes = fs::read(guest("bench")).unwrap();
    let code = ReplayCode::compile_cached(&bytes, &cache()).unwrap();
    let names = code.boundary().defined().filter_map(|name| name.split_once('#'));
    let names: BTreeSet<String> = names.map(|(interface, function)| function_name(interface, function)).collect();
    assert!(names.len() > 150, "{} functions", names.len());
    assert!(names.contains("troupe:actor/host@0.1#log"), "{names:?}");
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    fs::write(folder().join("functions.list"), text).unwrap();
}
