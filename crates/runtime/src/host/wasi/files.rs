//! Where a guest's descriptors and file streams come from: what effect classes and recovery ask of them.
//!
//! A descriptor is known by its granted directory and the path below it, a file stream by its file and its place in it. Live
//! ones are kept by their index in the host's table. In replay the same is kept by logical number, read off the journal, and
//! on first use after it the thing is made again: opened, never created or truncated, and a stream where it had got to.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use futures_util::FutureExt;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi::{FsPerms, OpenMode};

use crate::boundary::{Effect, Guest};
use crate::manifest::FilesystemGrant;

/// Descriptors, streams of files and listings of directories that one actor may hold together; each is an open file of the node.
pub(super) const MAX_OPEN: usize = 256;

/// A path below a granted directory that is longer cannot be opened again.
const MAX_PATH: usize = 4096;

/// All of one instance.
#[derive(Default)]
pub(super) struct Files {
    preopens: Vec<Preopen>,
    descriptors: HashMap<u32, Origin>,
    /// Streams and listings, which hold their file open whatever becomes of its descriptor.
    streams: HashSet<u32>,
    writers: HashMap<u32, Writer>,
    recorded_descriptors: HashMap<u32, Origin>,
    recorded_streams: HashMap<u32, Stream>,
}

/// A granted directory. Opened when it is first asked for, so that a replay touches nothing.
struct Preopen {
    grant: FilesystemGrant,
    dirs: OnceCell<Dirs>,
    /// What it takes at most, once it was measured; see `quota`.
    used: Option<u64>,
}

#[derive(Clone)]
struct Dirs {
    dir: Dir,
    /// The same, for opening below it without a wait.
    at_once: Dir,
}

/// How a descriptor was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    preopen: usize,
    /// Below the granted directory; empty for that itself, none where it is too long to be opened again.
    path: Option<String>,
    follow: PathFlags,
    directory: bool,
    flags: DescriptorFlags,
}

/// A live stream that writes to a file.
#[derive(Clone, Copy)]
struct Writer {
    preopen: usize,
    appends: bool,
}

/// A file stream of the replayed part.
#[derive(Clone)]
struct Stream {
    origin: Origin,
    place: Place,
}

/// Where a stream has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Reads on from here.
    Read(u64),
    /// Writes on from here.
    Write(u64),
    /// Writes to the end.
    Append,
}

impl Files {
    /// Nothing open yet.
    pub(super) fn new(grants: &[FilesystemGrant]) -> Files {
        let preopens =
            grants.iter().map(|grant| Preopen { grant: grant.clone(), dirs: OnceCell::new(), used: None }).collect();
        Files { preopens, ..Files::default() }
    }

    /// Other directories are granted from now on, and nothing is open. What was known of the replayed part by a directory that the
    /// guest still sees by its name is known by the new one.
    pub(super) fn settle(&mut self, grants: &[FilesystemGrant]) {
        let before = std::mem::replace(self, Files::new(grants));
        let now: Vec<Option<usize>> = before
            .preopens
            .iter()
            .enumerate()
            .map(|(number, old)| {
                let named = |grant: &FilesystemGrant| grant.guest == old.grant.guest;
                if grants.get(number).is_some_and(named) { Some(number) } else { grants.iter().position(named) }
            })
            .collect();
        let moved = |origin: Origin| {
            let preopen = now.get(origin.preopen).copied().flatten()?;
            Some(Origin { preopen, ..origin })
        };
        let descriptors = before.recorded_descriptors.into_iter();
        self.recorded_descriptors = descriptors.filter_map(|(number, origin)| Some((number, moved(origin)?))).collect();
        let streams = before.recorded_streams.into_iter();
        self.recorded_streams = streams
            .filter_map(|(number, Stream { origin, place })| Some((number, Stream { origin: moved(origin)?, place })))
            .collect();
    }

    /// The granted directories as new descriptors, with the names that the guest sees.
    pub(super) fn directories(guest: &mut Guest) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let granted = super::wasi(guest).files.preopens.iter();
        let granted: Vec<_> = granted
            .map(|one| Ok((one.dirs()?.dir.clone(), one.grant.guest.clone())))
            .collect::<wasmtime::Result<_>>()?;
        let mut made = Vec::with_capacity(granted.len());
        for (number, (dir, name)) in granted.into_iter().enumerate() {
            let descriptor = guest.table.push(Descriptor::Dir(dir))?;
            super::wasi(guest).files.descriptors.insert(descriptor.rep(), Origin::of_preopen(number));
            made.push((descriptor, name));
        }
        Ok(made)
    }

    /// Whether one more file may be open.
    pub(super) fn has_room(&self) -> bool {
        self.descriptors.len() + self.streams.len() < MAX_OPEN
    }

    /// A stream of a file, or a listing of a directory, was made.
    pub(super) fn streamed(&mut self, stream: u32) {
        self.streams.insert(stream);
    }

    /// Whether a stream is one of a file.
    pub(super) fn is_of_file(&self, stream: u32) -> bool {
        self.streams.contains(&stream)
    }

    /// A descriptor was opened below another.
    pub(super) fn opened(&mut self, parent: u32, made: u32, opened: Opened<'_>) {
        if let Some(origin) = self.descriptors.get(&parent).map(|parent| parent.below(opened)) {
            self.descriptors.insert(made, origin);
        }
    }

    /// A descriptor has ended.
    pub(super) fn closed(&mut self, descriptor: u32) {
        self.descriptors.remove(&descriptor);
    }

    /// A stream that writes to a file was made.
    pub(super) fn writes(&mut self, descriptor: u32, stream: u32, appends: bool) {
        self.streamed(stream);
        if let Some(origin) = self.descriptors.get(&descriptor) {
            self.writers.insert(stream, Writer { preopen: origin.preopen, appends });
        }
    }

    /// Whether a stream writes to a file.
    pub(super) fn is_writer(&self, stream: u32) -> bool {
        self.writers.contains_key(&stream)
    }

    /// A stream or a listing has ended.
    pub(super) fn stream_closed(&mut self, stream: u32) {
        self.streams.remove(&stream);
        self.writers.remove(&stream);
    }

    /// Whether the descriptor lies in a directory that is granted for reading only.
    pub(super) fn is_read_only(&self, descriptor: u32) -> bool {
        self.descriptors.get(&descriptor).is_some_and(|origin| self.preopens[origin.preopen].grant.read_only)
    }

    /// The granted directory that a descriptor lies in.
    pub(super) fn preopen_of(&self, descriptor: u32) -> Option<usize> {
        self.descriptors.get(&descriptor).map(|origin| origin.preopen)
    }

    /// The granted directory of the file that a stream writes to.
    pub(super) fn preopen_of_writer(&self, stream: u32) -> Option<usize> {
        self.writers.get(&stream).map(|writer| writer.preopen)
    }

    /// Whether the descriptor lies in a directory with a quota.
    pub(super) fn has_quota(&self, descriptor: u32) -> bool {
        self.preopen_of(descriptor).is_some_and(|preopen| self.quota(preopen).is_some())
    }

    /// The quota of a granted directory, what of it is used at most, and where it lies.
    pub(super) fn quota(&self, preopen: usize) -> Option<(u64, Option<u64>, &Path)> {
        let preopen = self.preopens.get(preopen)?;
        Some((preopen.grant.quota?.0, preopen.used, &preopen.grant.host))
    }

    /// So much of the quota is used at most.
    pub(super) fn count(&mut self, preopen: usize, used: u64) {
        if let Some(preopen) = self.preopens.get_mut(preopen) {
            preopen.used = Some(used);
        }
    }

    /// Whether something may not be moved or linked as it is: it would come into a directory with a quota, unmeasured.
    pub(super) fn crosses(&self, from: u32, to: u32) -> bool {
        self.has_quota(to) && self.preopen_of(from) != self.preopen_of(to)
    }

    fn preopen(&self, number: usize) -> Option<&Preopen> {
        self.preopens.get(number)
    }
}

/// What `open-at` was asked for.
pub(super) struct Opened<'a> {
    pub(super) path: &'a str,
    pub(super) follow: PathFlags,
    pub(super) how: OpenFlags,
    pub(super) flags: DescriptorFlags,
}

impl Preopen {
    fn dirs(&self) -> wasmtime::Result<&Dirs> {
        if let Some(dirs) = self.dirs.get() {
            return Ok(dirs);
        }
        let opened = open_directory(&self.grant)?;
        Ok(self.dirs.get_or_init(|| opened))
    }
}

/// Whether something can be opened without a wait for who has the other end: a pipe by name is no file for a guest.
pub(super) fn opens(is: DescriptorType) -> bool {
    // wasmtime-wasi knows neither pipes nor sockets by name.
    !matches!(is, DescriptorType::Fifo | DescriptorType::Socket | DescriptorType::Unknown)
}

/// Opens a granted directory; the error says what to do.
fn open_directory(grant: &FilesystemGrant) -> wasmtime::Result<Dirs> {
    let (perms, mode) = match grant.read_only {
        true => (FsPerms::ReadOnly, OpenMode::READ),
        false => (FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE),
    };
    let open = || {
        let file = std::fs::File::open(&grant.host)?;
        match file.metadata()?.is_dir() {
            true => Ok((file.try_clone()?, file)),
            false => Err(std::io::Error::from(std::io::ErrorKind::NotADirectory)),
        }
    };
    match open() {
        Ok((file, again)) => {
            Ok(Dirs { dir: Dir::new(file, perms, mode, false), at_once: Dir::new(again, perms, mode, true) })
        }
        Err(error) => Err(wasmtime::Error::msg(format!(
            "the directory {} of [grants.filesystem] cannot be opened: {error}; create it, or change `host`",
            grant.host.display()
        ))),
    }
}

/// Whether every granted directory can be opened now.
pub(super) fn check(grants: &[FilesystemGrant]) -> wasmtime::Result<()> {
    grants.iter().try_for_each(|grant| open_directory(grant).map(drop))
}

impl Origin {
    fn of_preopen(number: usize) -> Origin {
        Origin {
            preopen: number,
            path: Some(String::new()),
            follow: PathFlags::empty(),
            directory: true,
            flags: DescriptorFlags::empty(),
        }
    }

    fn below(&self, opened: Opened<'_>) -> Origin {
        // What creates or truncates opens for writing even if that is not asked for.
        let writes = opened.how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        Origin {
            preopen: self.preopen,
            path: self.path.as_deref().and_then(|path| joined(path, opened.path)),
            follow: opened.follow,
            directory: opened.how.contains(OpenFlags::DIRECTORY),
            flags: if writes { opened.flags | DescriptorFlags::WRITE } else { opened.flags },
        }
    }
}

/// The path below another, without what leads nowhere; none if it is too long.
fn joined(path: &str, below: &str) -> Option<String> {
    if path.len() + below.len() > MAX_PATH {
        return None;
    }
    let parts = path.split('/').chain(below.split('/')).filter(|part| !matches!(*part, "" | "."));
    let joined = parts.collect::<Vec<_>>().join("/");
    // A slash at the end wants a directory, and `.` is one.
    Some(if below.ends_with('/') || joined.is_empty() { joined + "/." } else { joined })
}

// ---- effect classes; numbers are the guest's ----

/// How the descriptor of that logical number was opened, in this life or in the replayed part.
fn origin(guest: &mut Guest, logical: u32) -> Option<&Origin> {
    let real = guest.recorder.resources.get(logical);
    let files = &super::wasi(guest).files;
    match real {
        Some(real) => files.descriptors.get(&real),
        None => files.recorded_descriptors.get(&logical),
    }
}

fn class_in(guest: &mut Guest, preopen: usize, class: Effect) -> Effect {
    match super::wasi(guest).files.preopen(preopen) {
        // Nothing will happen outside: the refusal is all.
        Some(preopen) if preopen.grant.read_only => Effect::Read,
        Some(preopen) if preopen.grant.repeat && class == Effect::Once => Effect::Repeatable,
        _ => class,
    }
}

/// The class of a change by this descriptor, which is `class` unless its grant says otherwise.
pub(super) fn change(guest: &mut Guest, logical: u32, class: Effect) -> Effect {
    match origin(guest, logical).map(|origin| origin.preopen) {
        Some(preopen) => class_in(guest, preopen, class),
        None => class,
    }
}

/// The class of a write to this stream: captured output is kept on the node, a file and a peer are outside.
pub(super) fn write(guest: &mut Guest, logical: u32) -> Effect {
    let real = guest.recorder.resources.get(logical);
    let files = &super::wasi(guest).files;
    let writer = match real {
        Some(real) => files.writers.get(&real).copied(),
        None => files
            .recorded_streams
            .get(&logical)
            .map(|stream| Writer { preopen: stream.origin.preopen, appends: stream.place == Place::Append }),
    };
    match writer {
        // To a peer.
        None if is_live(guest, logical) => Effect::Once,
        None => Effect::Deferred,
        Some(writer) => class_in(guest, writer.preopen, if writer.appends { Effect::Once } else { Effect::Repeatable }),
    }
}

/// Whether the stream of that logical number is, or was before a restart, one that ends with the instance: a peer's.
pub(super) fn is_live(guest: &mut Guest, logical: u32) -> bool {
    match guest.recorder.resources.get(logical) {
        Some(real) => super::wasi(guest).sockets.has_stream(real),
        None => !guest.recorder.renewals.iter().any(|(number, _, _)| *number == logical),
    }
}

// ---- what the journal tells; numbers are logical ----

/// A replayed `get-directories` answered with these.
pub(super) fn recorded_directories(guest: &mut Guest, made: &[(Resource<Descriptor>, String)]) {
    for (number, (descriptor, _)) in made.iter().enumerate() {
        record_descriptor(guest, descriptor.rep(), Origin::of_preopen(number));
    }
}

/// A replayed `open-at` answered with `made`.
pub(super) fn recorded_open(guest: &mut Guest, parent: u32, made: u32, opened: Opened<'_>) {
    if let Some(origin) = origin(guest, parent).map(|parent| parent.below(opened)) {
        record_descriptor(guest, made, origin);
    }
}

fn record_descriptor(guest: &mut Guest, logical: u32, origin: Origin) {
    prune(guest);
    super::wasi(guest).files.recorded_descriptors.insert(logical, origin);
}

/// A replayed call made a stream of a file.
pub(super) fn recorded_stream(guest: &mut Guest, descriptor: u32, made: u32, place: Place) {
    if let Some(origin) = origin(guest, descriptor).cloned() {
        prune(guest);
        super::wasi(guest).files.recorded_streams.insert(made, Stream { origin, place });
    }
}

/// A replayed call moved a stream on; with none, it failed, and how far it got nobody knows.
pub(super) fn recorded_move(guest: &mut Guest, stream: u32, by: Option<u64>) {
    let streams = &mut super::wasi(guest).files.recorded_streams;
    match by {
        None => drop(streams.remove(&stream)),
        Some(by) => {
            if let Some(Stream { place: Place::Read(at) | Place::Write(at), .. }) = streams.get_mut(&stream) {
                *at = at.saturating_add(by);
            }
        }
    }
}

/// Forgets what ended in the replayed part, each time there is twice as much as is still held.
fn prune(guest: &mut Guest) {
    let Guest { wasi, recorder, .. } = guest;
    let Some(wasi) = wasi else { return };
    let files = &mut wasi.files;
    let kept = files.recorded_descriptors.len() + files.recorded_streams.len();
    if kept < 64 || kept < 2 * recorder.renewals.len() {
        return;
    }
    let held: HashSet<u32> = recorder.renewals.iter().map(|(logical, _, _)| *logical).collect();
    files.recorded_descriptors.retain(|logical, _| held.contains(logical));
    files.recorded_streams.retain(|logical, _| held.contains(logical));
}

// ---- made again ----

/// Opens the descriptor of that logical number again; none if it cannot be opened any more.
pub(super) fn reopen(guest: &mut Guest, logical: u32) -> wasmtime::Result<Option<u32>> {
    let Some(origin) = super::wasi(guest).files.recorded_descriptors.remove(&logical) else { return Ok(None) };
    open_by(guest, origin)
}

/// Makes the file stream of that logical number again, where it had got to.
pub(super) fn restream(guest: &mut Guest, logical: u32) -> wasmtime::Result<Option<u32>> {
    let files = &mut super::wasi(guest).files;
    let Some(stream) = files.recorded_streams.remove(&logical).filter(|_| files.has_room()) else { return Ok(None) };
    let preopen = stream.origin.preopen;
    let Some(file) = open_by(guest, stream.origin)? else { return Ok(None) };
    let descriptor = || Resource::<Descriptor>::new_borrow(file);
    let (made, appends) = match stream.place {
        Place::Read(at) => {
            let made = guest.filesystem().read_via_stream(descriptor(), at);
            (made.ok().map(|made: Resource<DynInputStream>| made.rep()), None)
        }
        Place::Write(at) => {
            let made = guest.filesystem().write_via_stream(descriptor(), at);
            (made.ok().map(|made: Resource<DynOutputStream>| made.rep()), Some(false))
        }
        Place::Append => {
            let made = guest.filesystem().append_via_stream(descriptor());
            (made.ok().map(|made: Resource<DynOutputStream>| made.rep()), Some(true))
        }
    };
    let files = &mut super::wasi(guest).files;
    files.closed(file);
    if let Some(made) = made {
        files.streamed(made);
        if let Some(appends) = appends {
            files.writers.insert(made, Writer { preopen, appends });
        }
    }
    guest.table.delete(Resource::<Descriptor>::new_own(file))?;
    Ok(made)
}

fn open_by(guest: &mut Guest, origin: Origin) -> wasmtime::Result<Option<u32>> {
    // A directory or file that is gone makes a bad descriptor, which the guest can handle.
    let Some(Ok(dirs)) = super::wasi(guest).files.preopen(origin.preopen).map(Preopen::dirs) else { return Ok(None) };
    let dirs = dirs.clone();
    let Some(path) = origin.path.clone() else { return Ok(None) };
    let made = if path.is_empty() {
        guest.table.push(Descriptor::Dir(dirs.dir))?
    } else {
        let base = guest.table.push(Descriptor::Dir(dirs.at_once))?;
        let how = if origin.directory { OpenFlags::DIRECTORY } else { OpenFlags::empty() };
        let below = || Resource::new_borrow(base.rep());
        let opens = match guest.filesystem().stat_at(below(), origin.follow, path.clone()).now_or_never() {
            Some(Ok(about)) => opens(about.type_),
            _ => false,
        };
        let opened = match opens {
            true => guest.filesystem().open_at(below(), origin.follow, path, how, origin.flags).now_or_never(),
            false => None,
        };
        guest.table.delete(base)?;
        let Some(Ok(made)) = opened else { return Ok(None) };
        made
    };
    super::wasi(guest).files.descriptors.insert(made.rep(), origin);
    Ok(Some(made.rep()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_without_what_leads_nowhere_and_is_bounded() {
        let joins = |path: &str, below: &str| joined(path, below).unwrap();
        assert_eq!(joins("", "a"), "a");
        assert_eq!(joins("a", "./b//c"), "a/b/c");
        assert_eq!(joins("a/b", "../c"), "a/b/../c", "what a link is for is not guessed");
        assert_eq!(joins("", "."), "/.");
        assert_eq!(joins("", "a/"), "a/.");
        assert_eq!(joins("a/.", "b"), "a/b");
        assert_eq!(joined("", &"x/".repeat(2048)).map(|path| path.len()), Some(4097));
        assert_eq!(joined("x", &"x/".repeat(2048)), None);
        let mut path = String::new();
        for _ in 0..10_000 {
            path = joins(&path, "./././.");
        }
        assert_eq!(path, "/.");
    }
}
