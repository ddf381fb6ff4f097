//! A disk in memory that behaves like the worst real one.
//!
//! Writes reach the "platter" only by `sync_data`, names only by `sync_dir`. [`SimDisk::crash`] takes the
//! power away: what was not synced is gone, or survives in the parts that the caller chooses. Failures
//! (a full disk, a failing write or sync, a power cut after n operations) are set from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, Lock};

const PAGE: usize = 4096;
type Page = Arc<[u8; PAGE]>;

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<u64, FileState>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    locks: BTreeSet<String>,
    next_id: u64,
    /// Handles of an older power cycle are dead.
    power_cycle: u64,
    operations: u64,
    writes: u64,
    written: u64,
    syncs: u64,
    cut_at: Option<u64>,
    fail_write_at: Option<u64>,
    fail_sync_at: Option<u64>,
    capacity: Option<u64>,
}

#[derive(Clone, Default)]
struct FileState {
    pages: BTreeMap<u64, Page>,
    len: u64,
    synced_len: u64,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone)]
struct Unsynced {
    offset: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// A write that no sync covered when the power went: the closure given to
/// [`SimDisk::crash_keeping`] says which of its bytes survive.
#[derive(Debug)]
pub struct UnsyncedWrite<'a> {
    /// The file it went to.
    pub name: &'a str,
    /// Its place among the unsynced writes of that file, from 0.
    pub index: usize,
    /// How many unsynced writes that file has.
    pub of: usize,
    /// Its length in bytes.
    pub len: usize,
}

impl FileState {
    fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let n = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let mut done = 0;
        while done < n {
            let at = offset + done as u64;
            let (page, start) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let part = (PAGE - start).min(n - done);
            match self.pages.get(&page) {
                Some(p) => buf[done..done + part].copy_from_slice(&p[start..start + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        n
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (page, start) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let part = (PAGE - start).min(bytes.len() - done);
            let zeroes = bytes[done..done + part].iter().all(|b| *b == 0);
            // What was never written reads as zeroes and takes no memory.
            if zeroes && !self.pages.contains_key(&page) {
                done += part;
                continue;
            }
            let page = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[start..start + part].copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut before = vec![0; bytes.len()];
        self.read(offset, &mut before);
        self.put(offset, bytes);
        self.unsynced.push(Unsynced { offset, before, after: bytes.to_vec() });
    }

    fn crash(&mut self, mut keep: impl FnMut(usize, usize, usize) -> Range<usize>) {
        let writes = std::mem::take(&mut self.unsynced);
        for write in writes.iter().rev() {
            self.put(write.offset, &write.before);
        }
        self.len = self.synced_len;
        for (i, write) in writes.iter().enumerate() {
            let kept = keep(i, writes.len(), write.after.len());
            if let Some(bytes) = write.after.get(kept.clone())
                && !bytes.is_empty()
            {
                self.put(write.offset + kept.start as u64, bytes);
            }
        }
        let len = self.len;
        self.pages.retain(|page, _| page * (PAGE as u64) < len);
        self.synced_len = self.len;
    }
}

fn power_cut() -> io::Error {
    io::Error::other("simulated power cut")
}

impl State {
    /// Counts an operation that changes the disk; an error once the power is cut. The operation that is
    /// cut may still have happened in part, so the caller applies it when `true` comes with the error.
    fn operate(&mut self) -> Result<(), bool> {
        self.operations += 1;
        match self.cut_at {
            Some(at) if self.operations > at => Err(self.operations == at + 1),
            _ => Ok(()),
        }
    }

    fn restart(&mut self) {
        self.locks.clear();
        self.power_cycle += 1;
        self.operations = 0;
        self.cut_at = None;
        self.fail_write_at = None;
        self.fail_sync_at = None;
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|id| self.files.get(id)).map(|f| f.len).sum()
    }

    fn check_room(&self, id: u64, new_len: u64) -> io::Result<()> {
        let len = self.files.get(&id).map_or(0, |f| f.len);
        match self.capacity {
            Some(capacity) if self.used() + new_len.saturating_sub(len) > capacity && new_len > len => {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => Ok(()),
        }
    }
}

impl SimDisk {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of the disk at this moment, as the next process sees it if this one is killed now: nothing
    /// is lost, what was not synced still is not, locks are free, and the failures that were set are
    /// over. Open files stay with the original.
    pub fn fork(&self) -> SimDisk {
        let mut state = self.0.lock().clone();
        state.restart();
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// Takes the power away and brings it back: nothing unsynced survives, open files are dead, locks
    /// are free, and the failures that were set are over (the capacity stays).
    pub fn crash(&self) {
        self.crash_keeping(false, |_| 0..0);
    }

    /// The same, but of each unsynced write the bytes that `keep` names survive, and with `names` also
    /// the files created, renamed or removed without a `sync_dir`.
    pub fn crash_keeping(&self, names: bool, mut keep: impl FnMut(UnsyncedWrite<'_>) -> Range<usize>) {
        let mut state = self.0.lock();
        let state = &mut *state;
        if names {
            state.durable_names = state.names.clone();
        } else {
            state.names = state.durable_names.clone();
        }
        for (name, id) in &state.names {
            if let Some(file) = state.files.get_mut(id) {
                file.crash(|index, of, len| keep(UnsyncedWrite { name, index, of, len }));
            }
        }
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| named.contains(id));
        state.restart();
    }

    /// How many operations changed the disk since the last crash.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// How many times a file was synced.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Cuts the power after that many more operations: everything then fails until [`crash`](SimDisk::crash).
    pub fn cut_after(&self, operations: u64) {
        let mut state = self.0.lock();
        state.cut_at = Some(state.operations + operations);
    }

    /// How many bytes were written to files.
    pub fn written(&self) -> u64 {
        self.0.lock().written
    }

    /// Whether the power that [`cut_after`](SimDisk::cut_after) speaks of is gone.
    pub fn is_cut(&self) -> bool {
        let state = self.0.lock();
        state.cut_at.is_some_and(|at| state.operations > at)
    }

    /// After that many more writes, every write fails.
    pub fn fail_writes_after(&self, writes: u64) {
        let mut state = self.0.lock();
        state.fail_write_at = Some(state.writes + writes);
    }

    /// After that many more syncs of files, every one fails.
    pub fn fail_syncs_after(&self, syncs: u64) {
        let mut state = self.0.lock();
        state.fail_sync_at = Some(state.syncs + syncs);
    }

    /// Writes and syncs work again.
    pub fn heal(&self) {
        let mut state = self.0.lock();
        state.fail_write_at = None;
        state.fail_sync_at = None;
    }

    /// Bounds the length of all files together; `None` for no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// The length of all files together.
    pub fn used(&self) -> u64 {
        self.0.lock().used()
    }

    fn handle(&self, id: u64, state: &State) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.0.clone(), id, power_cycle: state.power_cycle })
    }

    fn change(&self, apply: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.0.lock();
        match state.operate() {
            Ok(()) => {
                apply(&mut state);
                Ok(())
            }
            Err(partly) => {
                if partly {
                    apply(&mut state);
                }
                Err(power_cut())
            }
        }
    }
}

impl Disk for SimDisk {
    fn path(&self, name: &str) -> String {
        format!("(simulated disk)/{name}")
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut id = 0;
        self.change(|state| {
            id = state.next_id;
            state.next_id += 1;
            state.files.insert(id, FileState::default());
            state.names.insert(name.to_owned(), id);
        })?;
        Ok(self.handle(id, &self.0.lock()))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.0.lock();
        let id = state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(*id, &state))
    }

    fn make_dir(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let in_dir = |name: &String| {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            (folder == dir).then(|| file.to_owned())
        };
        Ok(state.names.keys().filter_map(in_dir).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            state.names.remove(name);
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if !self.0.lock().names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(|state| {
            if let Some(id) = state.names.remove(from) {
                state.names.insert(to.to_owned(), id);
            }
        })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate().map_err(|_| power_cut())?;
        let inside = |name: &String| name.rsplit_once('/').map_or("", |p| p.0) == dir;
        state.durable_names.retain(|name, _| !inside(name));
        let here: Vec<_> = state.names.iter().filter(|(n, _)| inside(n)).map(|(n, i)| (n.clone(), *i)).collect();
        state.durable_names.extend(here);
        let state = &mut *state;
        let named: BTreeSet<u64> = state.names.values().chain(state.durable_names.values()).copied().collect();
        state.files.retain(|id, _| named.contains(id));
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<Lock> {
        let mut state = self.0.lock();
        if !state.locks.insert(name.to_owned()) {
            return Ok(Lock::Taken(None));
        }
        let power_cycle = state.power_cycle;
        Ok(Lock::Held(Box::new(SimLock { disk: self.0.clone(), name: name.to_owned(), power_cycle })))
    }
}

struct SimLock {
    disk: Arc<Mutex<State>>,
    name: String,
    power_cycle: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.power_cycle == self.power_cycle {
            state.locks.remove(&self.name);
        }
    }
}

struct SimFile {
    disk: Arc<Mutex<State>>,
    id: u64,
    power_cycle: u64,
}

impl SimFile {
    fn with<R>(&self, f: impl FnOnce(&mut State) -> io::Result<R>) -> io::Result<R> {
        let mut state = self.disk.lock();
        if state.power_cycle != self.power_cycle || !state.files.contains_key(&self.id) {
            return Err(power_cut());
        }
        f(&mut state)
    }

    fn file<'a>(&self, state: &'a mut State) -> io::Result<&'a mut FileState> {
        state.files.get_mut(&self.id).ok_or_else(power_cut)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(self.file(state)?.len))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.with(|state| Ok(self.file(state)?.read(offset, buf)))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            if state.fail_write_at.is_some_and(|at| state.writes >= at) {
                return Err(io::Error::other("simulated write error"));
            }
            state.writes += 1;
            state.written += bytes.len() as u64;
            state.check_room(self.id, offset + bytes.len() as u64)?;
            match state.operate() {
                Ok(()) => {
                    self.file(state)?.write(offset, bytes);
                    Ok(())
                }
                Err(partly) => {
                    if partly {
                        self.file(state)?.write(offset, bytes);
                    }
                    Err(power_cut())
                }
            }
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            state.check_room(self.id, len)?;
            state.operate().map_err(|_| power_cut())?;
            let file = self.file(state)?;
            file.len = file.len.max(len);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            if state.fail_sync_at.is_some_and(|at| state.syncs >= at) {
                return Err(io::Error::other("simulated sync error"));
            }
            state.syncs += 1;
            state.operate().map_err(|_| power_cut())?;
            let file = self.file(state)?;
            file.unsynced.clear();
            file.synced_len = file.len;
            Ok(())
        })
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock();
        f.debug_struct("SimDisk").field("files", &state.names.len()).field("used", &state.used()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(disk: &SimDisk, name: &str) -> Vec<u8> {
        let file = disk.open(name).unwrap();
        let mut buf = vec![0; file.len().unwrap() as usize];
        assert_eq!(file.read_at(0, &mut buf).unwrap(), buf.len());
        buf
    }

    #[test]
    fn a_crash_forgets_what_was_not_synced_and_tears_where_it_is_told() {
        let disk = SimDisk::new();
        let file = disk.create("d/a").unwrap();
        file.write_at(0, b"synced").unwrap();
        file.sync_data().unwrap();
        disk.sync_dir("d").unwrap();
        file.write_at(3, b"OTHER").unwrap();
        file.write_at(8, b"end").unwrap();
        disk.create("d/b").unwrap();
        assert_eq!(contents(&disk, "d/a"), b"synOTHERend");
        let torn = disk.fork();
        torn.crash_keeping(true, |w| if w.index == 0 { 0..2 } else { 1..w.len });
        assert_eq!(contents(&torn, "d/a"), b"synOTd\0\0\0nd");
        assert!(torn.open("d/b").is_ok());
        disk.crash();
        assert_eq!(contents(&disk, "d/a"), b"synced");
        assert!(disk.open("d/b").is_err());
        assert!(file.write_at(0, b"x").is_err(), "a handle from before the crash is dead");
    }

    #[test]
    fn it_is_full_fails_and_loses_power_when_told() {
        let disk = SimDisk::new();
        disk.set_capacity(Some(10));
        let file = disk.create("a").unwrap();
        file.allocate(8).unwrap();
        file.write_at(0, b"12345678").unwrap();
        assert!(super::super::is_full(&file.write_at(8, b"123").unwrap_err()));
        disk.set_capacity(None);
        disk.fail_syncs_after(0);
        assert!(file.sync_data().is_err());
        disk.heal();
        file.sync_data().unwrap();
        disk.sync_dir("").unwrap();
        disk.cut_after(1);
        file.write_at(0, b"A").unwrap();
        assert!(file.write_at(1, b"B").is_err());
        assert!(file.write_at(2, b"C").is_err());
        disk.crash_keeping(false, |w| 0..w.len);
        assert_eq!(contents(&disk, "a"), b"AB345678");
    }

    #[test]
    fn one_lock_at_a_time_and_a_crash_frees_it() {
        let disk = SimDisk::new();
        let held = disk.lock("l").unwrap();
        assert!(matches!(disk.lock("l").unwrap(), Lock::Taken(None)));
        disk.crash();
        let again = disk.lock("l").unwrap();
        drop(held);
        assert!(matches!(disk.lock("l").unwrap(), Lock::Taken(_)), "the dead guard freed the new lock");
        drop(again);
        assert!(matches!(disk.lock("l").unwrap(), Lock::Held(_)));
    }
}
