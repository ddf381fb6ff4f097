//! A full disk: new messages are refused while open turns can still end, and space freed is found.

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
