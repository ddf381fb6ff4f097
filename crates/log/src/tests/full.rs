//! Space: zero-filling ahead; and a full disk: new messages are refused while open turns can still end, and space freed is found.

use std::sync::Arc;

use crate::batch::{Batch, Table};
use crate::disk::SimDisk;
use crate::error::Error;
use crate::ids::ByteCount;
use crate::segments::{Options, Syncing, open};

fn fill(syncing: Syncing) {
    let options = Options { segment: ByteCount::kib(64), syncing, ..Options::new([3; 32]) };
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options).unwrap();
    let store = &*opened.store;
    disk.set_capacity(Some(disk.used() + (100 << 10)));
    let mut batch = Batch::new();
    batch.put(Table::KEYS, b"k", &[1; 1000]);
    let mut refused_at = None;
    let mut appended = 0;
    let failed = loop {
        assert!(appended < 10_000, "never full");
        let accepting = store.accepting();
        match store.append(&batch) {
            Ok(_) => appended += 1,
            Err(e) => break e,
        }
        match accepting {
            Err(Error::DiskFull { .. }) => {
                refused_at.get_or_insert(appended);
            }
            Err(e) => panic!("{e}"),
            Ok(()) => (),
        }
    };
    assert!(matches!(failed, Error::DiskFull { .. }), "{failed}");
    let reserve = appended - refused_at.expect("new messages were refused before the end");
    assert!(reserve >= 50, "room for {reserve} batches was kept back");
    // Nothing is lost, and with space it goes on in the same process.
    disk.set_capacity(None);
    let position = store.append(&batch).expect("appends again");
    store.sync_blocking(position).unwrap();
    store.accepting().expect("accepts again");
    drop(opened);
    disk.crash();
    let again = open(Arc::new(disk), &options).unwrap();
    assert_eq!(again.tables[&Table::KEYS].len(), 1);
    assert_eq!(again.dropped_tail, None);
}

#[test]
fn the_rest_of_a_segment_is_kept_for_open_turns() {
    fill(Syncing::Inline);
}

#[test]
fn the_same_with_threads() {
    fill(Syncing::Threads);
}

#[test]
fn a_blob_that_finds_no_space_says_so_and_leaves_nothing() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &Options::simulated([3; 32])).unwrap();
    let used = disk.used();
    disk.set_capacity(Some(used + 10));
    assert!(matches!(opened.store.put_blob(&[1; 100]), Err(Error::DiskFull { .. })));
    assert_eq!(disk.used(), used);
    opened.store.put_blob(&[1; 10]).unwrap();
}

/// A spare segment is filled with zeroes once, when the one before it is half full, and never once it is
/// in use.
#[test]
fn the_next_segment_is_zero_filled_once() {
    let segment = 64 << 10;
    let options = Options { segment: ByteCount(segment), ..Options::new([3; 32]) };
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options).unwrap();
    let store = &*opened.store;
    let mut batch = Batch::new();
    let append = |batch: &mut Batch, i: u64| {
        batch.clear();
        batch.put(Table::KEYS, &i.to_le_bytes(), &[1; 900]);
        let position = store.append(batch).unwrap();
        store.flush(position).unwrap();
        position
    };
    let before = disk.written();
    let mut i = 0;
    while append(&mut batch, i).0 < segment / 2 + 2000 {
        i += 1;
    }
    let started = std::time::Instant::now();
    while disk.written() - before < segment - 4096 + segment / 2 - 4096 {
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "never filled");
        std::thread::yield_now();
    }
    while append(&mut batch, i).0 < segment - 3000 {
        i += 1;
    }
    opened.store.close().unwrap();
    assert!(disk.written() - before < 3 * segment, "filled again and again");
    drop(opened);
    let again = open(Arc::new(disk), &options).unwrap();
    assert_eq!(again.tables[&Table::KEYS].len() as u64, i + 1);
}
