//! `wasi:filesystem`: the directories of the grant, through wasmtime-wasi.
//!
//! Classes, as docs/semantics.md has them: looking is a read; opening, unless it must create, writing at an offset and setting
//! size or times are repeatable; everything else that changes something is done once, unless the grant says `repeat`. A
//! change in a directory that is granted for reading only is a denial. Descriptors are made again after a crash by their
//! path; one that is not there any more is a bad descriptor.

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Host, HostDescriptor,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsResult, IoError};

use super::files::{self, Files, Opened, Place};
use super::listing::Listing;
use super::quota::{self, ENTRY};
use super::types::fs;
use crate::boundary::{Boundary, Effect, Extra, Guest};

type Fd = Resource<Descriptor>;
type Answer<T> = (Result<T, ErrorCode>,);
type Times = (Fd, NewTimestamp, NewTimestamp);
type TimesAt = (Fd, PathFlags, String, NewTimestamp, NewTimestamp);
type Open = (Fd, PathFlags, String, OpenFlags, DescriptorFlags);

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .resource("descriptor", |guest, fd: Fd| {
            super::wasi(guest).files.closed(fd.rep());
            HostDescriptor::drop(&mut guest.filesystem(), fd)
        })?
        .resource("directory-entry-stream", |guest, stream: Resource<Listing>| {
            super::wasi(guest).files.stream_closed(stream.rep());
            guest.table.delete(stream)?;
            Ok(())
        })?
        .func_with(
            "filesystem-error-code",
            Effect::Read,
            Extra::default().lost(|_| Ok((None,))),
            |guest: &mut Guest, (error,): (Resource<IoError>,)| {
                if quota::is_full(guest.table.get(&error)?) {
                    return Ok((Some(ErrorCode::Quota),));
                }
                Ok((guest.filesystem().filesystem_error_code(error)?,))
            },
        )?;
    boundary.interface("wasi:filesystem/preopens@0.2.12")?.func_with(
        "get-directories",
        Effect::Read,
        Extra::default()
            .replayed(|guest, (): &(), (made,): &(Vec<(Fd, String)>,)| files::recorded_directories(guest, made))
            .renew(|guest, logical, (): &()| files::reopen(guest, logical)),
        |guest: &mut Guest, (): ()| Ok((Files::directories(guest)?,)),
    )?;
    streams(boundary)?;
    looks(boundary)?;
    directories(boundary)?;
    repeatable(boundary)?;
    once(boundary)
}

/// What is said where the descriptor, or the outcome, is lost.
fn answers<P, T>() -> Extra<P, Answer<T>> {
    Extra::default().lost(|_| Ok((Err(ErrorCode::BadDescriptor),))).unknown(|_, _| Ok((Err(ErrorCode::Io),)))
}

/// The answer to a change by `fd`; a refusal because of the grant is a denial.
fn changed<T>(guest: &mut Guest, fd: u32, result: FsResult<T>) -> wasmtime::Result<Answer<T>> {
    let answer = fs(result)?;
    if matches!(answer, Err(ErrorCode::NotPermitted)) && super::wasi(guest).files.is_read_only(fd) {
        guest.recorder.deny("filesystem");
    }
    Ok((answer,))
}

fn streams(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .func_with(
            "[method]descriptor.read-via-stream",
            Effect::Read,
            answers::<(Fd, u64), Resource<DynInputStream>>()
                .replayed(|guest, (fd, at), (answer,)| {
                    if let Ok(made) = answer {
                        files::recorded_stream(guest, fd.rep(), made.rep(), Place::Read(*at));
                    }
                })
                .renew(|guest, logical, _| files::restream(guest, logical)),
            |guest: &mut Guest, (fd, at): (Fd, u64)| -> wasmtime::Result<Answer<Resource<DynInputStream>>> {
                if !super::wasi(guest).files.has_room() {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let made = fs(guest.filesystem().read_via_stream(fd, at))?;
                if let Ok(stream) = &made {
                    super::wasi(guest).files.streamed(stream.rep());
                }
                Ok((made,))
            },
        )?
        .func_async_with(
            "[method]descriptor.write-via-stream",
            Effect::Read,
            answers::<(Fd, u64), Resource<DynOutputStream>>()
                .replayed(|guest, (fd, at), (answer,)| {
                    if let Ok(made) = answer {
                        files::recorded_stream(guest, fd.rep(), made.rep(), Place::Write(*at));
                    }
                })
                .renew(|guest, logical, _| files::restream(guest, logical)),
            async |guest: &mut Guest, (fd, at): (Fd, u64)| {
                let number = fd.rep();
                if !super::wasi(guest).files.has_room() || !quota::grows_to(guest, number, at).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let made = guest.filesystem().write_via_stream(fd, at);
                writer(guest, number, made, false)
            },
        )?
        .func_with(
            "[method]descriptor.append-via-stream",
            Effect::Read,
            answers::<(Fd,), Resource<DynOutputStream>>()
                .replayed(|guest, (fd,), (answer,)| {
                    if let Ok(made) = answer {
                        files::recorded_stream(guest, fd.rep(), made.rep(), Place::Append);
                    }
                })
                .renew(|guest, logical, _| files::restream(guest, logical)),
            |guest: &mut Guest, (fd,): (Fd,)| {
                let number = fd.rep();
                if !super::wasi(guest).files.has_room() {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let made = guest.filesystem().append_via_stream(fd);
                writer(guest, number, made, true)
            },
        )?;
    Ok(())
}

fn writer(
    guest: &mut Guest,
    fd: u32,
    made: FsResult<Resource<DynOutputStream>>,
    appends: bool,
) -> wasmtime::Result<Answer<Resource<DynOutputStream>>> {
    let answer = changed(guest, fd, made)?;
    if let (Ok(stream),) = &answer {
        super::wasi(guest).files.writes(fd, stream.rep(), appends);
    }
    Ok(answer)
}

fn looks(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .func_async_with(
            "[method]descriptor.advise",
            Effect::Read,
            answers(),
            async |guest: &mut Guest, (fd, offset, len, advice): (Fd, u64, u64, Advice)| {
                Ok((fs(guest.filesystem().advise(fd, offset, len, advice).await)?,))
            },
        )?
        .func_async_with(
            "[method]descriptor.sync-data",
            Effect::Read,
            answers(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().sync_data(fd).await)?,)),
        )?
        .func_async_with(
            "[method]descriptor.sync",
            Effect::Read,
            answers(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().sync(fd).await)?,)),
        )?
        .func_async_with(
            "[method]descriptor.get-flags",
            Effect::Read,
            answers::<_, DescriptorFlags>(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().get_flags(fd).await)?,)),
        )?
        .func_async_with(
            "[method]descriptor.get-type",
            Effect::Read,
            answers::<_, DescriptorType>(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().get_type(fd).await)?,)),
        )?
        .func_async_with(
            "[method]descriptor.stat",
            Effect::Read,
            answers::<_, DescriptorStat>(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().stat(fd).await)?,)),
        )?
        .func_async_with(
            "[method]descriptor.read",
            Effect::Read,
            answers::<_, (Vec<u8>, bool)>(),
            async |guest: &mut Guest, (fd, len, offset): (Fd, u64, u64)| {
                Ok((fs(HostDescriptor::read(&mut guest.filesystem(), fd, len, offset).await)?,))
            },
        )?
        .func_async("[method]descriptor.is-same-object", Effect::Read, async |guest: &mut Guest, (a, b): (Fd, Fd)| {
            Ok((guest.filesystem().is_same_object(a, b).await?,))
        })?
        .func_async_with(
            "[method]descriptor.metadata-hash",
            Effect::Read,
            answers::<_, MetadataHashValue>(),
            async |guest: &mut Guest, (fd,): (Fd,)| Ok((fs(guest.filesystem().metadata_hash(fd).await)?,)),
        )?;
    Ok(())
}

fn directories(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .func_async_with(
            "[method]descriptor.stat-at",
            Effect::Read,
            answers::<_, DescriptorStat>(),
            async |guest: &mut Guest, (fd, flags, path): (Fd, PathFlags, String)| {
                Ok((fs(guest.filesystem().stat_at(fd, flags, path).await)?,))
            },
        )?
        .func_async_with(
            "[method]descriptor.metadata-hash-at",
            Effect::Read,
            answers::<_, MetadataHashValue>(),
            async |guest: &mut Guest, (fd, flags, path): (Fd, PathFlags, String)| {
                Ok((fs(guest.filesystem().metadata_hash_at(fd, flags, path).await)?,))
            },
        )?
        .func_async_with(
            "[method]descriptor.readlink-at",
            Effect::Read,
            answers::<_, String>(),
            async |guest: &mut Guest, (fd, path): (Fd, String)| {
                Ok((fs(guest.filesystem().readlink_at(fd, path).await)?,))
            },
        )?
        .func_with("[method]descriptor.read-directory", Effect::Read, answers(), list)?
        .func_async_with(
            "[method]directory-entry-stream.read-directory-entry",
            Effect::Read,
            Extra::default().lost(|_| Ok((Err(ErrorCode::Io),))),
            async |guest: &mut Guest,
                   (stream,): (Resource<Listing>,)|
                   -> wasmtime::Result<Answer<Option<DirectoryEntry>>> {
                Ok((fs(guest.table.get_mut(&stream)?.next().transpose())?,))
            },
        )?;
    Ok(())
}

fn repeatable(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .func_async_with(
            "[method]descriptor.open-at",
            Effect::Repeatable,
            answers()
                .class(|guest, (fd, _, _, how, flags): &Open| {
                    let changes = how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
                        || flags.contains(DescriptorFlags::WRITE);
                    let class = if how.contains(OpenFlags::EXCLUSIVE) { Effect::Once } else { Effect::Repeatable };
                    if changes { files::change(guest, fd.rep(), class) } else { class }
                })
                .replayed(|guest, (fd, follow, path, how, flags), (answer,): &Answer<Fd>| {
                    if let Ok(made) = answer {
                        let opened = Opened { path, follow: *follow, how: *how, flags: *flags };
                        files::recorded_open(guest, fd.rep(), made.rep(), opened);
                    }
                })
                .renew(|guest, logical, _| files::reopen(guest, logical)),
            open,
        )?
        .func_async_with(
            "[method]descriptor.write",
            Effect::Repeatable,
            answers::<_, u64>()
                .class(|guest, (fd, _, _): &(Fd, Vec<u8>, u64)| files::change(guest, fd.rep(), Effect::Repeatable)),
            async |guest: &mut Guest, (fd, bytes, offset): (Fd, Vec<u8>, u64)| {
                let number = fd.rep();
                if !quota::grows_to(guest, number, offset.saturating_add(bytes.len() as u64)).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let written = HostDescriptor::write(&mut guest.filesystem(), fd, bytes, offset).await;
                changed(guest, number, written)
            },
        )?
        .func_async_with(
            "[method]descriptor.set-size",
            Effect::Repeatable,
            answers().class(|guest, (fd, _): &(Fd, u64)| files::change(guest, fd.rep(), Effect::Repeatable)),
            async |guest: &mut Guest, (fd, size): (Fd, u64)| {
                let number = fd.rep();
                if !quota::grows_to(guest, number, size).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let set = guest.filesystem().set_size(fd, size).await;
                changed(guest, number, set)
            },
        )?
        .func_async_with(
            "[method]descriptor.set-times",
            Effect::Repeatable,
            answers().class(|guest, (fd, _, _): &Times| files::change(guest, fd.rep(), Effect::Repeatable)),
            async |guest: &mut Guest, (fd, accessed, modified): Times| {
                let number = fd.rep();
                let (accessed, modified) = (now(guest, accessed), now(guest, modified));
                let set = guest.filesystem().set_times(fd, accessed, modified).await;
                changed(guest, number, set)
            },
        )?
        .func_async_with(
            "[method]descriptor.set-times-at",
            Effect::Repeatable,
            answers().class(|guest, (fd, ..): &TimesAt| files::change(guest, fd.rep(), Effect::Repeatable)),
            async |guest: &mut Guest, (fd, flags, path, accessed, modified): TimesAt| {
                let number = fd.rep();
                let (accessed, modified) = (now(guest, accessed), now(guest, modified));
                let set = guest.filesystem().set_times_at(fd, flags, path, accessed, modified).await;
                changed(guest, number, set)
            },
        )?;
    Ok(())
}

/// The entries are read as they are asked for, so that a large directory takes no memory of the node.
fn list(guest: &mut Guest, (fd,): (Fd,)) -> wasmtime::Result<Answer<Resource<Listing>>> {
    if !super::wasi(guest).files.has_room() {
        return Ok((Err(ErrorCode::Quota),));
    }
    let Descriptor::Dir(dir) = guest.table.get(&fd)? else { return Ok((Err(ErrorCode::NotDirectory),)) };
    match Listing::of(&dir.dir) {
        Ok(listing) => {
            let stream = guest.table.push(listing)?;
            super::wasi(guest).files.streamed(stream.rep());
            Ok((Ok(stream),))
        }
        Err(error) => Ok((Err(error),)),
    }
}

async fn open(guest: &mut Guest, (fd, follow, path, how, flags): Open) -> wasmtime::Result<Answer<Fd>> {
    if !super::wasi(guest).files.has_room() {
        return Ok((Err(ErrorCode::Quota),));
    }
    let number = fd.rep();
    let there = guest.filesystem().stat_at(Resource::new_borrow(number), follow, path.clone()).await;
    if there.as_ref().is_ok_and(|about| !files::opens(about.type_)) {
        return Ok((Err(ErrorCode::Unsupported),));
    }
    if how.contains(OpenFlags::CREATE) && there.is_err() && !quota::grows(guest, number, ENTRY).await {
        return Ok((Err(ErrorCode::Quota),));
    }
    let made = guest.filesystem().open_at(fd, follow, path.clone(), how, flags).await;
    let answer = changed(guest, number, made)?;
    if let (Ok(made),) = &answer {
        let opened = Opened { path: &path, follow, how, flags };
        super::wasi(guest).files.opened(number, made.rep(), opened);
    }
    Ok(answer)
}

/// `now` is the node's.
fn now(guest: &Guest, time: NewTimestamp) -> NewTimestamp {
    match time {
        NewTimestamp::Now => {
            let now = guest.node.wall_time().0;
            NewTimestamp::Timestamp(Datetime { seconds: now / 1_000_000, nanoseconds: (now % 1_000_000) as u32 * 1000 })
        }
        given => given,
    }
}

/// The class of a change from one descriptor's directory to another's: none, where either may only be read.
fn between(guest: &mut Guest, from: &Fd, to: &Fd) -> Effect {
    match files::change(guest, to.rep(), Effect::Once) {
        Effect::Read => Effect::Read,
        _ => files::change(guest, from.rep(), Effect::Once),
    }
}

/// Which of two descriptors may only be read, if one may.
fn narrower(guest: &mut Guest, from: u32, to: u32) -> u32 {
    if super::wasi(guest).files.is_read_only(to) { to } else { from }
}

fn once(boundary: &mut Boundary) -> wasmtime::Result<()> {
    fn by_path() -> Extra<(Fd, String), Answer<()>> {
        answers().class(|guest, (fd, _)| files::change(guest, fd.rep(), Effect::Once))
    }
    boundary
        .interface("wasi:filesystem/types@0.2.12")?
        .func_async_with(
            "[method]descriptor.create-directory-at",
            Effect::Once,
            by_path(),
            async |guest: &mut Guest, (fd, path): (Fd, String)| {
                let number = fd.rep();
                if !quota::grows(guest, number, ENTRY).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let made = guest.filesystem().create_directory_at(fd, path).await;
                changed(guest, number, made)
            },
        )?
        .func_async_with(
            "[method]descriptor.remove-directory-at",
            Effect::Once,
            by_path(),
            async |guest: &mut Guest, (fd, path): (Fd, String)| {
                let number = fd.rep();
                let removed = guest.filesystem().remove_directory_at(fd, path).await;
                changed(guest, number, removed)
            },
        )?
        .func_async_with(
            "[method]descriptor.unlink-file-at",
            Effect::Once,
            by_path(),
            async |guest: &mut Guest, (fd, path): (Fd, String)| {
                let number = fd.rep();
                let removed = guest.filesystem().unlink_file_at(fd, path).await;
                changed(guest, number, removed)
            },
        )?
        .func_async_with(
            "[method]descriptor.link-at",
            Effect::Once,
            answers().class(|guest, (fd, _, _, to, _): &(Fd, PathFlags, String, Fd, String)| between(guest, fd, to)),
            async |guest: &mut Guest, (fd, flags, from, to, path): (Fd, PathFlags, String, Fd, String)| {
                let number = fd.rep();
                if super::wasi(guest).files.crosses(number, to.rep()) {
                    return Ok((Err(ErrorCode::CrossDevice),));
                }
                if !quota::grows(guest, to.rep(), ENTRY).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let narrow = narrower(guest, number, to.rep());
                let linked = guest.filesystem().link_at(fd, flags, from, to, path).await;
                changed(guest, narrow, linked)
            },
        )?
        .func_async_with(
            "[method]descriptor.rename-at",
            Effect::Once,
            answers().class(|guest, (fd, _, to, _): &(Fd, String, Fd, String)| between(guest, fd, to)),
            async |guest: &mut Guest, (fd, from, to, path): (Fd, String, Fd, String)| {
                let number = fd.rep();
                if super::wasi(guest).files.crosses(number, to.rep()) {
                    return Ok((Err(ErrorCode::CrossDevice),));
                }
                let narrow = narrower(guest, number, to.rep());
                let renamed = guest.filesystem().rename_at(fd, from, to, path).await;
                changed(guest, narrow, renamed)
            },
        )?
        .func_async_with(
            "[method]descriptor.symlink-at",
            Effect::Once,
            answers().class(|guest, (fd, ..): &(Fd, String, String)| files::change(guest, fd.rep(), Effect::Once)),
            async |guest: &mut Guest, (fd, target, path): (Fd, String, String)| {
                let number = fd.rep();
                if !quota::grows(guest, number, ENTRY + target.len() as u64).await {
                    return Ok((Err(ErrorCode::Quota),));
                }
                let linked = guest.filesystem().symlink_at(fd, target, path).await;
                changed(guest, number, linked)
            },
        )?;
    Ok(())
}
