//! Damage: what was synced and is not there any more is an error, and is not thrown away.

use std::sync::Arc;

use crate::batch::{Batch, Table};
use crate::conformance::{Model, Writer, same, wait};
use crate::disk::{Disk, SimDisk};
use crate::error::Error;
use crate::ids::ByteCount;
use crate::segments::{Options, Syncing, open};

fn options() -> Options {
    Options { segment: ByteCount::kib(16), ..Options::simulated([3; 32]) }
}

fn filled(batches: usize) -> (SimDisk, Model) {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut writer = Writer::new(8);
    let mut batch = Batch::new();
    for _ in 0..batches {
        writer.random_batch(&mut batch, 100);
        let position = writer.append(&*opened.store, &mut batch).unwrap();
        opened.store.sync_blocking(position).unwrap();
    }
    let copy = disk.fork();
    copy.crash();
    (copy, writer.model)
}

fn flip(disk: &SimDisk, name: &str, offset: u64) {
    let file = disk.open(name).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 0x10]).unwrap();
    file.sync_data().unwrap();
}

fn newest(disk: &SimDisk, dir: &str) -> String {
    format!("{dir}/{}", disk.list(dir).unwrap().into_iter().max().unwrap())
}

#[test]
fn any_flipped_byte_of_the_synced_log_is_an_error_and_changes_nothing() {
    let (disk, model) = filled(6);
    let name = "log/0000000000000000.seg";
    let opened = open(Arc::new(disk.fork()), &options()).unwrap();
    assert!(same(&opened, &model));
    let last = opened.actors.values().map(|t| t.tail.0).max().unwrap();
    let ranges = [0..48, 4096..last];
    for offset in ranges.into_iter().flatten() {
        let damaged = disk.fork();
        flip(&damaged, name, offset);
        let before = damaged.operations();
        match open(Arc::new(damaged.clone()), &options()) {
            Err(Error::Corrupt { .. } | Error::NewerVersion { .. }) => (),
            other => panic!("byte {offset}: {other:?}"),
        }
        // The root folder is synced; nothing else is touched.
        assert_eq!(damaged.operations() - before, 1, "byte {offset}");
    }
}

/// The mark that closing writes says that all before it was synced, the last batch too.
#[test]
fn after_a_close_even_the_last_batch_cannot_be_lost_silently() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", b"v");
    let position = opened.store.append(&batch).unwrap();
    opened.store.close().unwrap();
    let end = position.0 + 56 + batch.bytes().len() as u64;
    for offset in position.0..end {
        let damaged = disk.fork();
        flip(&damaged, "log/0000000000000000.seg", offset);
        let error = open(Arc::new(damaged), &options()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "byte {offset}: {error}");
    }
}

#[test]
fn damage_in_a_sealed_segment_and_a_missing_one_are_found() {
    let (disk, _) = filled(150);
    let segments = disk.list("log").unwrap().len();
    assert!(segments >= 4, "{segments} segments");
    for checkpoint in disk.list("checkpoints").unwrap() {
        disk.remove(&format!("checkpoints/{checkpoint}")).unwrap();
    }
    let damaged = disk.fork();
    flip(&damaged, "log/0000000000000001.seg", 5000);
    let error = open(Arc::new(damaged), &options()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("1.seg")), "{error}");
    disk.remove("log/0000000000000001.seg").unwrap();
    let error = open(Arc::new(disk), &options()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path, .. } if path.ends_with("1.seg")), "{error}");
}

/// Nothing follows the damage in its segment: only the next segment shows that it is no torn end.
#[test]
fn damage_of_the_end_of_a_sealed_segment_is_found() {
    let (disk, _) = filled(150);
    for checkpoint in disk.list("checkpoints").unwrap() {
        disk.remove(&format!("checkpoints/{checkpoint}")).unwrap();
    }
    let name = "log/0000000000000001.seg";
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    let end = bytes.windows(4).rposition(|w| w == b"TRF\x03").unwrap() as u64;
    flip(&disk, name, end);
    let error = open(Arc::new(disk), &options()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path, offset, .. } if path.ends_with("1.seg") && *offset == end));
}

/// A description from an old copy beside a newer log: two nodes could have the same epoch.
#[test]
fn an_older_description_of_the_folder_is_refused() {
    let (disk, _) = filled(1);
    let read = |disk: &SimDisk| {
        let file = disk.open("troupe.meta").unwrap();
        let mut text = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut text).unwrap();
        text
    };
    let old = read(&disk);
    for _ in 0..2 {
        drop(open(Arc::new(disk.clone()), &options()).unwrap());
    }
    disk.open("troupe.meta").unwrap().write_at(0, &old).unwrap();
    let error = open(Arc::new(disk), &options()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { why, .. } if why.contains("epoch")), "{error}");
}

#[test]
fn opening_reads_the_newest_checkpoint_and_the_log_after_it_only() {
    let (disk, model) = filled(150);
    assert!(disk.list("checkpoints").unwrap().len() >= 2);
    disk.remove("log/0000000000000000.seg").unwrap();
    let opened = open(Arc::new(disk), &options()).unwrap();
    assert!(same(&opened, &model));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before_it() {
    let (disk, model) = filled(150);
    let name = newest(&disk, "checkpoints");
    let len = disk.open(&name).unwrap().len().unwrap();
    for offset in (0..len).step_by(7).chain(len - 40..len) {
        let damaged = disk.fork();
        flip(&damaged, &name, offset);
        match open(Arc::new(damaged.clone()), &options()) {
            Ok(opened) => assert!(same(&opened, &model), "byte {offset}"),
            Err(Error::NewerVersion { .. }) if (8..12).contains(&offset) => (),
            Err(e) => panic!("byte {offset}: {e}"),
        }
    }
    flip(&disk, &name, len / 2);
    for other in disk.list("checkpoints").unwrap() {
        flip(&disk, &format!("checkpoints/{other}"), 60);
    }
    assert!(same(&open(Arc::new(disk.clone()), &options()).unwrap(), &model), "from the log alone");
    // The upkeep of that opening made good ones again.
    disk.remove("log/0000000000000000.seg").unwrap();
    assert!(same(&open(Arc::new(disk), &options()).unwrap(), &model), "from a checkpoint made again");
}

#[test]
fn a_checkpoint_damaged_while_the_node_runs_is_made_again() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut writer = Writer::new(12);
    let mut batch = Batch::new();
    for i in 0..200 {
        writer.random_batch(&mut batch, 100);
        let position = writer.append(&*opened.store, &mut batch).unwrap();
        opened.store.flush(position).unwrap();
        if i == 120 {
            let name = newest(&disk, "checkpoints");
            flip(&disk, &name, 100);
        }
    }
    drop(opened);
    let newest = newest(&disk, "checkpoints");
    let others = disk.list("log").unwrap().len();
    assert!(others > 4 && newest.as_str() > "checkpoints/000000000000c000.ckp", "{newest}");
    for name in disk.list("log").unwrap() {
        let base = u64::from_str_radix(&name[..16], 16).unwrap() * (16 << 10);
        if format!("checkpoints/{base:016x}.ckp") < newest {
            disk.remove(&format!("log/{name}")).unwrap();
        }
    }
    assert!(same(&open(Arc::new(disk), &options()).unwrap(), &writer.model));
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let (disk, _) = filled(1);
    let file = disk.open("troupe.meta").unwrap();
    let mut text = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap().replace("version = 1", "version = 9");
    file.write_at(0, text.as_bytes()).unwrap();
    let error = open(Arc::new(disk), &options()).unwrap_err();
    assert!(matches!(error, Error::NewerVersion { found: 9, known: 1, .. }), "{error}");
}

#[test]
fn a_folder_whose_description_is_gone_is_not_made_new() {
    let (disk, _) = filled(1);
    disk.remove("troupe.meta").unwrap();
    assert!(matches!(open(Arc::new(disk), &options()), Err(Error::Corrupt { .. })));
}

/// "After a failed write or sync nothing that waited is ever reported durable."
#[test]
fn a_failing_sync_stops_the_store_for_good() {
    for syncing in [Syncing::Inline, Syncing::Threads] {
        let disk = SimDisk::new();
        let opened = open(Arc::new(disk.clone()), &Options { syncing, ..options() }).unwrap();
        let mut batch = Batch::new();
        batch.put(Table::KEYS, b"k", b"v");
        disk.fail_syncs_after(0);
        let position = opened.store.append(&batch).unwrap();
        let error = wait(opened.store.sync(position)).unwrap_err();
        assert!(matches!(&error, Error::Stopped { why } if why.contains("sync")), "{error}");
        disk.heal();
        assert!(opened.store.durable() <= position);
        assert!(matches!(opened.store.append(&batch), Err(Error::Stopped { .. })));
        assert!(matches!(opened.store.sync_blocking(position), Err(Error::Stopped { .. })));
        assert!(opened.store.close().is_err());
        assert!(opened.store.durable() <= position);
    }
}

#[test]
fn a_failing_write_stops_the_store_for_good() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", b"v");
    let position = opened.store.append(&batch).unwrap();
    disk.fail_writes_after(0);
    assert!(matches!(opened.store.flush(position), Err(Error::Stopped { .. })));
    disk.heal();
    assert!(matches!(opened.store.sync_blocking(position), Err(Error::Stopped { .. })));
    assert!(opened.store.durable() <= position);
}

/// "When a newer epoch has the data, the store is stopped."
#[test]
fn a_store_whose_epoch_is_old_stops_at_the_next_segment() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let description = |disk: &SimDisk| {
        let file = disk.open("troupe.meta").unwrap();
        let mut text = vec![0; file.len().unwrap() as usize];
        file.read_at(0, &mut text).unwrap();
        text
    };
    // Another machine opened a copy of the lock's file system: the lock did not help.
    let other = disk.fork();
    drop(open(Arc::new(other.clone()), &options()).unwrap());
    disk.open("troupe.meta").unwrap().write_at(0, &description(&other)).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", &[0; 4000]);
    let failed = (0..20).find_map(|_| opened.store.append(&batch).err()).unwrap();
    assert!(matches!(&failed, Error::Stopped { why } if why.contains("epoch 2")), "{failed}");
}
