//! Data folders of every version are opened. "Fixtures of each version are kept and read forever."

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::batch::{Batch, Table};
use crate::conformance::{Model, Writer, check_journals};
use crate::disk::{Disk, SimDisk};
use crate::ids::{ByteCount, Digest};
use crate::segments::{Options, open};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1-folder")
}

fn options() -> Options {
    Options { segment: ByteCount::kib(8), ..Options::simulated([1; 32]) }
}

const FOLDERS: [&str; 4] = ["", "log", "checkpoints", "blobs"];

/// What the folder of version 1 was made by; its results are asserted below, so that a change of the
/// maker shows.
fn make() -> (SimDisk, Writer) {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut writer = Writer::new(1);
    let mut batch = Batch::new();
    for _ in 0..45 {
        writer.random_batch(&mut batch, 120);
        let position = writer.append(&*opened.store, &mut batch).unwrap();
        opened.store.sync_blocking(position).unwrap();
    }
    opened.store.put_blob(b"out of line").unwrap();
    (disk, writer)
}

/// Runs by hand when a version is made: `TROUPE_WRITE_FIXTURE=1`.
#[test]
fn a_folder_of_version_1_is_opened() {
    let (made, Writer { model, journals, .. }) = make();
    if std::env::var_os("TROUPE_WRITE_FIXTURE").is_some() {
        for folder in FOLDERS {
            std::fs::create_dir_all(fixture().join(folder)).unwrap();
            for name in made.list(folder).unwrap() {
                let name = Path::new(folder).join(name);
                let file = made.open(name.to_str().unwrap()).unwrap();
                let mut bytes = vec![0; file.len().unwrap() as usize];
                file.read_at(0, &mut bytes).unwrap();
                std::fs::write(fixture().join(name), bytes).unwrap();
            }
        }
    }
    let disk = SimDisk::new();
    let mut files = 0;
    for folder in FOLDERS {
        for entry in std::fs::read_dir(fixture().join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = Path::new(folder).join(entry.file_name());
                let file = disk.create(name.to_str().unwrap()).unwrap();
                file.write_at(0, &std::fs::read(entry.path()).unwrap()).unwrap();
                // The end of a segment is zeroes, which a simulated disk need not keep.
                file.allocate(entry.metadata().unwrap().len()).unwrap();
                files += 1;
            }
        }
    }
    assert!(files >= 6, "{files} files");
    let opened = open(Arc::new(disk), &options()).unwrap();
    let Model { actors, tables, node_time } = model;
    assert_eq!((&opened.actors, &opened.tables, opened.node_time), (&actors, &tables, node_time));
    check_journals(&opened, &journals);
    assert_eq!(opened.store.epoch().0, 2);
    assert_eq!(opened.store.blob(&Digest::of(b"out of line")).unwrap(), b"out of line");
    assert!(tables.contains_key(&Table::INBOX));
    assert_eq!(opened.dropped_tail, None);
}
