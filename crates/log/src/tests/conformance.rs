//! The conformance suite over both disks and both ways of syncing.

use std::path::Path;
use std::sync::Arc;

use crate::conformance::{Subject, run};
use crate::disk::{Disk, RealDisk, SimDisk};
use crate::error::Error;
use crate::ids::ByteCount;
use crate::segments::{Options, Syncing, open};
use crate::store::Opened;

struct Simulated(SimDisk, Options);

impl Subject for Simulated {
    fn open(&self) -> Result<Opened, Error> {
        open(Arc::new(self.0.clone()), &self.1)
    }

    fn after_power_cut(&self) -> Box<dyn Subject> {
        let disk = self.0.fork();
        disk.crash();
        Box::new(Simulated(disk, self.1.clone()))
    }
}

struct Folder(tempfile::TempDir, Options);

impl Subject for Folder {
    fn open(&self) -> Result<Opened, Error> {
        open(Arc::new(RealDisk::new(self.0.path())), &self.1)
    }

    /// A copy of the files as another process sees them: what a killed process leaves.
    fn after_power_cut(&self) -> Box<dyn Subject> {
        // The store's threads go on renaming files: a copy that misses one begins again.
        let copy = std::iter::repeat_with(|| tempfile::tempdir().unwrap())
            .find(|copy| copied(self.0.path(), copy.path()).is_ok())
            .unwrap();
        Box::new(Folder(copy, self.1.clone()))
    }
}

fn copied(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&to)?;
            copied(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn options(syncing: Syncing) -> Options {
    Options { segment: ByteCount::kib(64), syncing, ..Options::new([5; 32]) }
}

#[test]
fn a_simulated_disk_inline() {
    run(&|| Box::new(Simulated(SimDisk::new(), options(Syncing::Inline))));
}

#[test]
fn a_simulated_disk_with_threads() {
    run(&|| Box::new(Simulated(SimDisk::new(), options(Syncing::Threads))));
}

#[test]
fn a_folder_inline() {
    run(&|| Box::new(Folder(tempfile::tempdir().unwrap(), options(Syncing::Inline))));
}

#[test]
fn a_folder_with_threads() {
    run(&|| Box::new(Folder(tempfile::tempdir().unwrap(), options(Syncing::Threads))));
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new(dir.path()));
    let opened = open(disk.clone(), &options(Syncing::Inline)).unwrap();
    let Err(Error::Locked { path, pid }) = open(disk.clone(), &options(Syncing::Inline)) else {
        panic!("opened twice");
    };
    assert_eq!((path, pid), (disk.path(""), Some(std::process::id())));
    drop(opened);
}

#[test]
fn what_nobody_asked_to_sync_is_synced_by_itself() {
    let disk = SimDisk::new();
    let options = Options { sync_within: std::time::Duration::from_millis(5), ..options(Syncing::Threads) };
    let opened = open(Arc::new(disk.clone()), &options).unwrap();
    for _ in 0..20 {
        let mut batch = crate::Batch::new();
        batch.put(crate::Table::KEYS, b"k", b"v");
        let position = opened.store.append(&batch).unwrap();
        let started = std::time::Instant::now();
        while opened.store.durable() <= position {
            assert!(started.elapsed() < std::time::Duration::from_secs(20), "never synced");
            std::thread::yield_now();
        }
    }
}
