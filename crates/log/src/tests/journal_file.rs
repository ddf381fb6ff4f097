//! Journal files: they read back, damage is named, the Python verifier agrees, old versions stay readable.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::body::{Base, Checkpoint, Fault, FaultCause, Genesis, Image, TurnBegin, TurnEnd, TurnKind};
use crate::chain::{Chain, Step};
use crate::error::Error;
use crate::export::{About, Exporter, FileReport, read, verify_file};
use crate::ids::{ActorId, Digest, Incarnation, NodeTime, Seq, WallTime};
use crate::record::{HEADER, Kind, records};
use crate::signed::{NodeKey, Refuted};
use crate::verify::{Began, What};

fn about() -> About {
    About {
        actor: ActorId::parse("bank/acct-1").unwrap(),
        incarnation: Incarnation(2),
        component: Digest::of(b"a component"),
        start: Chain::START,
    }
}

/// Some records of every kind that has a typed body, each in bytes of its own.
fn parts() -> Vec<Vec<u8>> {
    let About { actor, incarnation, component, .. } = about();
    let mut step = Step::new(Chain::START);
    let mut parts = Vec::new();
    let mut seal = |step: &mut Step| {
        parts.push(step.bytes().to_vec());
        step.clear();
    };
    let genesis = Genesis {
        actor,
        incarnation,
        component,
        component_name: "acct@1.0.0".into(),
        engine: "troupe 1".into(),
        config: b"memory = \"16MiB\"\n".to_vec(),
        initial: b"100".to_vec(),
        previous: None,
        wall: WallTime(1_700_000_000_000_000),
    };
    step.record(Kind::Genesis, |b| genesis.encode(b));
    seal(&mut step);
    for i in 0..3u8 {
        let (node_time, wall_time) = (NodeTime(i.into()), WallTime(10 + u64::from(i)));
        let begin = TurnBegin { kind: TurnKind::Message, node_time, wall_time, rest: b"deposit 5" };
        step.record(Kind::TurnBegin, |b| begin.encode(b));
        seal(&mut step);
        // Zeroes look like records; a damaged length must not lead a reader astray in them.
        step.record(Kind::Call, |b| b.extend([0; 120]));
        seal(&mut step);
        step.record(Kind::TurnEnd, |b| TurnEnd { outcome: 0, fuel: 77, answer: &[i] }.encode(b));
        seal(&mut step);
    }
    let first_undone = step.next_seq();
    let fault = Fault { cause: FaultCause::Trap, text: "unreachable".into(), first_undone, disposition: 1 };
    step.record(Kind::Fault, |b| fault.encode(b));
    seal(&mut step);
    let image = Image::Blob(Digest::of(BLOB), BLOB.len() as u64);
    let base = Base { component, form: 1, state: Digest::of(b"state"), image, rest: b"running".to_vec() };
    step.record(Kind::Base, |b| base.encode(b));
    seal(&mut step);
    parts
}

const BLOB: &[u8] = b"the image of a guest, out of line";

fn file(parts: &[Vec<u8>], about: &About) -> Vec<u8> {
    let mut exporter = Exporter::new(Vec::new(), about).unwrap();
    for chunk in parts.chunks(4) {
        exporter.records(&chunk.concat()).unwrap();
    }
    exporter.blob(BLOB).unwrap();
    exporter.finish().unwrap()
}

/// A file with the frame of the good one, but other records: what somebody would make to deceive, and
/// who does not know the footer's check does worse.
fn with_records(good: &[Vec<u8>], bad: &[Vec<u8>]) -> Vec<u8> {
    let whole = file(good, &about());
    let footer = &whole[whole.len() - 32 - 80 - 5..whole.len() - 32];
    let mut out = Exporter::new(Vec::new(), &about()).unwrap().finish().unwrap();
    out.truncate(out.len() - 32 - 80 - 5);
    let bytes = bad.concat();
    out.push(1);
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
    out.extend(footer);
    let hash = *blake3::hash(&out).as_bytes();
    out.extend(hash);
    out
}

/// What a verifier says in one line, as the Python one says it.
fn line(bytes: &[u8]) -> String {
    match verify_file(bytes) {
        Err(Error::Format { .. }) => "bad file".into(),
        Err(e) => panic!("{e}"),
        Ok(FileReport { records, damage, .. }) => match (records.problems.first(), damage) {
            (Some(problem), _) => format!("bad record {}", problem.seq),
            (None, Some(_)) => "bad file".into(),
            (None, None) => records.end.head.to_string(),
        },
    }
}

#[test]
fn a_journal_file_reads_back_with_its_blobs() {
    let parts = parts();
    let bytes = file(&parts, &about());
    let export = read(&bytes).unwrap();
    assert_eq!((export.about, &export.records), (about(), &parts.concat()));
    assert_eq!(export.blobs[&Digest::of(BLOB)], BLOB);
    let last = records(parts.last().unwrap()).next().unwrap().unwrap();
    assert_eq!(export.end, Chain { next: last.seq.next(), head: last.head() });
    let first = records(&export.records).next().unwrap().unwrap();
    assert_eq!(Genesis::decode(first.body).unwrap().actor, about().actor);
}

#[test]
fn a_file_that_begins_at_a_checkpoint_is_good_only_with_its_record() {
    let parts = parts();
    let kept = records(&parts[5]).next().unwrap().unwrap();
    let start = Chain { next: kept.seq, head: kept.prev };
    let last = records(parts.last().unwrap()).next().unwrap().unwrap();
    let mut step = Step::new(Chain { next: last.seq.next(), head: last.head() });
    let checkpoint = Checkpoint { first_kept: start.next, head_before: start.head, base: last.seq };
    step.record(Kind::Checkpoint, |b| checkpoint.encode(b));
    let about = About { start, ..about() };
    let mut with = parts[5..].to_vec();
    with.push(step.bytes().to_vec());
    let report = verify_file(&file(&with, &about)).unwrap();
    assert!(report.is_good());
    assert_eq!((report.records.began, report.records.first), (Began::Checkpoint(Seq(12)), Seq(5)));
    let report = verify_file(&file(&parts[5..], &about)).unwrap();
    assert_eq!(report.records.began, Began::Nowhere);
    assert_eq!((report.records.problems[0].seq, report.records.problems[0].what), (Seq(0), What::Dropped));
}

#[test]
fn no_cut_and_no_bytes_at_all_panic_or_are_taken_for_good() {
    let good = file(&parts(), &about());
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(read(&longer).is_err());
    let huge = [&good[..12], &[0xff; 200]].concat();
    assert!(read(&huge).is_err());
    let newer = [&good[..8], &3u32.to_le_bytes(), &good[12..]].concat();
    assert!(read(&newer).unwrap_err().to_string().contains("version 3"));
}

/// Each damage, its file, and what a verifier must say of it; `None` where any complaint will do.
fn damaged() -> Vec<(String, Vec<u8>, Option<String>)> {
    let parts = parts();
    let good = file(&parts, &about());
    let record = |seq: usize| Some(format!("bad record {seq}"));
    let mut cases = vec![];
    for (seq, part) in parts.iter().enumerate() {
        for i in 0..part.len() {
            let mut bad = parts.clone();
            bad[seq][i] ^= 1 << (i % 8);
            let what = if i < HEADER { "header" } else { "body" };
            cases.push((format!("{what} byte {i} of {seq}"), with_records(&parts, &bad), record(seq)));
        }
        let mut bad = parts.clone();
        bad.remove(seq);
        cases.push((format!("{seq} dropped"), with_records(&parts, &bad), record(seq)));
        let mut bad = parts.clone();
        bad.insert((seq + 3).min(parts.len()), parts[seq].clone());
        let what = format!("{seq} repeated");
        cases.push((what, with_records(&parts, &bad), record(seq)));
        for other in seq + 1..parts.len() {
            let mut bad = parts.clone();
            bad.swap(seq, other);
            cases.push((format!("{seq} and {other} swapped"), with_records(&parts, &bad), record(seq)));
        }
        cases.push((format!("cut before {seq}"), with_records(&parts, &parts[..seq]), record(seq)));
    }
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 0x20;
        cases.push((format!("byte {i} of the file"), bad, None));
    }
    for cut in (0..good.len()).step_by(29) {
        cases.push((format!("file cut at {cut}"), good[..cut].to_vec(), Some("bad file".into())));
    }
    cases
}

#[test]
fn every_damaged_file_is_bad_and_the_bad_record_is_named() {
    for (what, bytes, expected) in damaged() {
        let said = line(&bytes);
        assert!(said.starts_with("bad "), "{what}: {said}");
        if let Some(expected) = expected {
            assert_eq!(said, expected, "{what}");
        }
        assert!(read(&bytes).is_err(), "{what}");
    }
}

/// Somebody who changes a blob can make the file's hash right again, not the blob's.
#[test]
fn a_changed_blob_is_found_even_if_the_hash_of_the_file_is_right() {
    let mut bytes = file(&parts(), &about());
    let at = bytes.windows(BLOB.len()).position(|w| w == BLOB).unwrap();
    bytes[at] ^= 1;
    let end = bytes.len() - 32;
    let hash = *blake3::hash(&bytes[..end]).as_bytes();
    bytes[end..].copy_from_slice(&hash);
    let report = verify_file(&bytes).unwrap();
    assert_eq!((report.records.is_good(), report.damage), (true, Some("a blob in it was changed")));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs where `TROUPE_PYTHON` names an interpreter that has `blake3`, as the whole test run sees to.
#[test]
fn the_python_verifier_agrees_on_good_and_damaged_files() {
    let Some(python) = std::env::var_os("TROUPE_PYTHON") else {
        eprintln!("TROUPE_PYTHON is not set: not compared with the Python verifier");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let good = file(&parts(), &about());
    let mut cases = damaged();
    cases.push(("good".into(), good, None));
    let mut command = Command::new(&python);
    command.arg(repository().join("docs/verify_journal.py"));
    let mut expected = Vec::new();
    for (i, (what, bytes, _)) in cases.iter().enumerate() {
        let path = dir.path().join(format!("{i}"));
        std::fs::write(&path, bytes).unwrap();
        command.arg(path);
        expected.push((what, line(bytes)));
    }
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let said: Vec<_> = said.lines().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(said.len(), cases.len(), "{}", String::from_utf8_lossy(&out.stderr));
    for ((what, rust), python) in expected.iter().zip(&said) {
        assert_eq!(rust, python, "{what}");
    }
    assert_eq!(out.status.code(), Some(1));
    let alone = Command::new(python)
        .arg(repository().join("docs/verify_journal.py"))
        .arg(dir.path().join(format!("{}", cases.len() - 1)))
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(0));
    assert_eq!(String::from_utf8(alone.stdout).unwrap().trim(), said[cases.len() - 1]);
}

/// "Fixtures of each version are kept and read forever."
/// The same file with a signed head in it.
fn signed_file(parts: &[Vec<u8>], about: &About) -> Vec<u8> {
    let mut exporter = Exporter::to_be_signed(Vec::new(), about).unwrap();
    exporter.records(&parts.concat()).unwrap();
    exporter.blob(BLOB).unwrap();
    let (tip, key) = (exporter.tip(), NodeKey::from_secret(&[42; 32]));
    let seq = Seq(tip.next.0 - 1);
    let head = key.sign(about.actor.clone(), about.incarnation, seq, tip.head, WallTime(1_700_000_000_000_000));
    exporter.signed(&head).unwrap();
    exporter.finish().unwrap()
}

#[test]
fn a_signed_file_holds_what_was_signed_and_any_changed_byte_is_found() {
    let good = signed_file(&parts(), &about());
    let report = verify_file(&good).unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!(report.signed.as_ref().unwrap().key, NodeKey::from_secret(&[42; 32]).public());
    assert_eq!(read(&good).unwrap().signed, report.signed);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(!verify_file(&bad).is_ok_and(|report| report.is_good()), "byte {at}");
        assert!(verify_file(&good[..at]).is_err(), "cut at {at}");
    }
    // All of it made again around other records, but for the signature, which nobody else can make.
    let mut others = parts();
    others.pop();
    let shorter = signed_file(&others, &about());
    let head = verify_file(&good).unwrap().signed.unwrap();
    let mut exporter = Exporter::to_be_signed(Vec::new(), &about()).unwrap();
    exporter.records(&others.concat()).unwrap();
    exporter.signed(&head).unwrap();
    let report = verify_file(&exporter.finish().unwrap()).unwrap();
    assert!(report.records.is_good() && !report.is_good());
    assert_eq!(report.refuted, Some(Refuted::Cut { signed: head.seq, last: Seq(head.seq.0 - 1) }));
    assert!(verify_file(&shorter).unwrap().is_good());
}

#[test]
fn files_of_every_version_are_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let v1 = std::fs::read(dir.join("v1.journal")).unwrap();
    let export = read(&v1).unwrap();
    let head = std::fs::read_to_string(dir.join("v1.head")).unwrap();
    assert_eq!(export.end.head.to_string(), head.trim());
    assert_eq!(export.about, about());
    assert_eq!(export.blobs[&Digest::of(BLOB)], BLOB);
    let v2 = read(&std::fs::read(dir.join("v2.journal")).unwrap()).unwrap();
    assert_eq!(
        (&v2.about, &v2.records, &v2.blobs, v2.end),
        (&export.about, &export.records, &export.blobs, export.end)
    );
    assert_eq!(v2.signed.unwrap().head, export.end.head);
    let kinds: Vec<_> = records(&export.records).map(|r| r.unwrap().kind.to_string()).collect();
    let turn = ["turn-begin", "call", "turn-end"];
    assert_eq!(kinds, [&["genesis"][..], &turn, &turn, &turn, &["fault", "base"]].concat());
}

/// Writes the fixtures; run by hand when a version is made.
#[test]
fn the_fixture_of_this_version_is_what_is_written_today() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (name, bytes) in [("v1.journal", file(&parts(), &about())), ("v2.journal", signed_file(&parts(), &about()))] {
        let path = folder.join(name);
        if std::env::var_os("TROUPE_WRITE_FIXTURE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(path.with_extension("head"), line(&bytes) + "\n").unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "the bytes of {name} have changed");
    }
}
