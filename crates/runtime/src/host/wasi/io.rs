//! `wasi:io`: errors, polling, streams.
//!
//! Polling ends the step unless something is ready at once, and goes on after a crash. Streams of files are made again where they
//! had got to; others than those and the standard ones are dead: each function fails, what is waited for is ready. A write
//! to a file is over when its outcome is recorded.

use futures_util::FutureExt;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::io::error::HostError;
use wasmtime_wasi::p2::bindings::io::poll::{Host as _, HostPollable};
use wasmtime_wasi::p2::bindings::io::streams::{self, HostInputStream, HostOutputStream};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, IoError, Pollable, StreamError, StreamResult, subscribe,
};

use super::{files, http, quota, types};
use crate::boundary::{Boundary, Effect, Extra, Guest};

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;
type Answer<T> = (Result<T, streams::StreamError>,);

/// More than any stream permits at once.
const MOST_ZEROES: u64 = 1 << 20;
/// Bytes that a stream of a file takes at once, at most.
const MAX_SPLICE: u64 = 64 << 10;

const LOST: &str = "the stream did not survive the restart of its actor";
const UNKNOWN: &str = "whether these bytes were written is unknown: the node stopped at that moment";

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:io/error@0.2.12")?
        .resource("error", |guest, error: Resource<IoError>| HostError::drop(&mut guest.table, error))?
        .func_with(
            "[method]error.to-debug-string",
            Effect::Read,
            Extra::default().lost(|_| Ok(("an error before the restart of the actor".to_owned(),))),
            |guest: &mut Guest, (error,): (Resource<IoError>,)| Ok((guest.table.to_debug_string(error)?,)),
        )?;
    poll(boundary)?;
    input(boundary)?;
    output(boundary)
}

fn poll(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:io/poll@0.2.12")?
        .resource("pollable", |guest, pollable: Resource<DynPollable>| HostPollable::drop(&mut guest.table, pollable))?
        .func_async(
            "[method]pollable.ready",
            Effect::Read,
            async |guest: &mut Guest, (pollable,): (Resource<DynPollable>,)| Ok((guest.table.ready(pollable).await?,)),
        )?
        .func_async_with(
            "[method]pollable.block",
            Effect::Wait,
            Extra::default().class(|guest, (pollable,): &(Resource<DynPollable>,)| wait(guest, [pollable.rep()])),
            async |guest: &mut Guest, (pollable,): (Resource<DynPollable>,)| {
                let restricted = guest.turn.restricted;
                parked(restricted, guest.table.block(pollable)).await
            },
        )?
        .func_async_with(
            "poll",
            Effect::Wait,
            Extra::default().class(|guest, (list,): &(Vec<Resource<DynPollable>>,)| {
                let list: Vec<u32> = list.iter().map(Resource::rep).collect();
                wait(guest, list)
            }),
            async |guest: &mut Guest, (list,): (Vec<Resource<DynPollable>>,)| {
                let restricted = guest.turn.restricted;
                Ok((parked(restricted, guest.table.poll(list)).await?,))
            },
        )?;
    Ok(())
}

/// A call that finds something ready at once is no wait.
fn wait(guest: &mut Guest, pollables: impl IntoIterator<Item = u32>) -> Effect {
    if guest.recorder.replaying() {
        return Effect::Wait;
    }
    // Nothing may park in save and load; an empty list is refused by the call itself, as is a handle that is wrong.
    let (mut some, mut any_ready) = (false, guest.turn.restricted);
    for logical in pollables {
        some = true;
        if let Ok(Some(real)) = guest.real(logical) {
            let ready = guest.table.ready(Resource::new_borrow(real)).now_or_never();
            any_ready |= matches!(ready, Some(Ok(true)));
        }
    }
    if any_ready || !some { Effect::Read } else { Effect::Wait }
}

async fn parked<T>(restricted: bool, wait: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    if !restricted {
        return wait.await;
    }
    match wait.now_or_never() {
        Some(done) => done,
        None => Err(wasmtime::Error::msg("no waiting in save and load")),
    }
}

/// To read nothing is no look at a stream; wasmtime-wasi takes it for the end of a file.
fn input(boundary: &mut Boundary) -> wasmtime::Result<()> {
    fn bytes() -> Extra<(Input, u64), Answer<Vec<u8>>> {
        Extra::default().lost(|guest| types::broken(guest, LOST)).replayed(|guest, (stream, _), (answer,)| {
            let read = moved(answer, |bytes| bytes.len() as u64);
            http::recorded_read(guest, stream.rep(), read.unwrap_or(0));
            files::recorded_move(guest, stream.rep(), read);
        })
    }
    fn count() -> Extra<(Input, u64), Answer<u64>> {
        Extra::default().lost(|guest| types::broken(guest, LOST)).replayed(|guest, (stream, _), (answer,)| {
            let skipped = moved(answer, |count| *count);
            http::recorded_read(guest, stream.rep(), skipped.unwrap_or(0));
            files::recorded_move(guest, stream.rep(), skipped);
        })
    }
    boundary
        .interface("wasi:io/streams@0.2.12")?
        .resource_async("input-stream", async |guest: &mut Guest, (stream,): (Input,)| {
            let wasi = super::wasi(guest);
            wasi.files.stream_closed(stream.rep());
            wasi.sockets.stream_closed(stream.rep());
            http::source_closed(guest, stream.rep());
            HostInputStream::drop(&mut guest.table, stream).await
        })?
        .func_with(
            "[method]input-stream.read",
            Effect::Read,
            bytes(),
            |guest: &mut Guest, (stream, len): (Input, u64)| {
                if len == 0 {
                    return Ok((Ok(Vec::new()),));
                }
                let read = HostInputStream::read(&mut guest.table, stream, len);
                Ok((types::stream(guest, read)?,))
            },
        )?
        .func_async_with(
            "[method]input-stream.blocking-read",
            Effect::Read,
            bytes().class(|guest, (stream, _): &(Input, _)| arrives(guest, stream.rep())),
            async |guest: &mut Guest, (stream, len): (Input, u64)| {
                if len == 0 {
                    return Ok((Ok(Vec::new()),));
                }
                let read = guest.table.blocking_read(stream, len).await;
                Ok((types::stream(guest, read)?,))
            },
        )?
        .func_with(
            "[method]input-stream.skip",
            Effect::Read,
            count(),
            |guest: &mut Guest, (stream, len): (Input, u64)| {
                if len == 0 {
                    return Ok((Ok(0),));
                }
                let skipped = guest.table.skip(stream, len);
                Ok((types::stream(guest, skipped)?,))
            },
        )?
        .func_async_with(
            "[method]input-stream.blocking-skip",
            Effect::Read,
            count().class(|guest, (stream, _): &(Input, _)| arrives(guest, stream.rep())),
            async |guest: &mut Guest, (stream, len): (Input, u64)| {
                if len == 0 {
                    return Ok((Ok(0),));
                }
                let skipped = guest.table.blocking_skip(stream, len).await;
                Ok((types::stream(guest, skipped)?,))
            },
        )?
        .func_with(
            "[method]input-stream.subscribe",
            Effect::Read,
            Extra::default()
                .lost(|guest| Ok((Resource::<DynPollable>::new_own(ready(guest)?),)))
                .renew(|guest, _, (stream,): &(Input,)| subscribe_again::<DynInputStream>(guest, stream.rep())),
            |guest: &mut Guest, (stream,): (Input,)| Ok((subscribe(&mut guest.table, stream)?,)),
        )?;
    Ok(())
}

fn output(boundary: &mut Boundary) -> wasmtime::Result<()> {
    fn answers<P, T>() -> Extra<P, Answer<T>> {
        Extra::default().lost(|guest| types::broken(guest, LOST)).unknown(|guest, _| types::broken(guest, UNKNOWN))
    }
    fn contents() -> Extra<(Output, Vec<u8>), Answer<()>> {
        let answers = answers().class(|guest, (stream, _): &(Output, _)| files::write(guest, stream.rep()));
        answers.noted(|guest, _| http::wrote(guest)).replayed(|guest, (stream, bytes), (answer,)| {
            if answer.is_ok() {
                http::recorded_write(guest, stream.rep(), bytes.clone().into());
            }
            files::recorded_move(guest, stream.rep(), answer.as_ref().ok().map(|()| bytes.len() as u64));
        })
    }
    fn zeroes() -> Extra<(Output, u64), Answer<()>> {
        let answers = answers().class(|guest, (stream, _): &(Output, _)| files::write(guest, stream.rep()));
        answers.noted(|guest, _| http::wrote(guest)).replayed(|guest, (stream, len), (answer,)| {
            if answer.is_ok() {
                // No more are written at once than a stream permits.
                http::recorded_write(guest, stream.rep(), vec![0; (*len).min(MOST_ZEROES) as usize].into());
            }
            files::recorded_move(guest, stream.rep(), answer.as_ref().ok().map(|()| *len));
        })
    }
    fn spliced() -> Extra<(Output, Input, u64), Answer<u64>> {
        answers()
            .class(|guest, (stream, source, _): &(Output, Input, _)| {
                http::about_to_splice(guest, source.rep());
                files::write(guest, stream.rep())
            })
            .noted(|guest, _| http::spliced(guest))
            .replayed(|guest, (stream, source, _), (answer,)| {
                let moved = moved(answer, |count| *count);
                if answer.is_ok() {
                    http::recorded_splice(guest, stream.rep(), source.rep(), moved.unwrap_or(0));
                }
                files::recorded_move(guest, stream.rep(), moved);
                files::recorded_move(guest, source.rep(), moved);
            })
    }
    boundary
        .interface("wasi:io/streams@0.2.12")?
        .resource_async("output-stream", async |guest: &mut Guest, (stream,): (Output,)| {
            let wasi = super::wasi(guest);
            wasi.files.stream_closed(stream.rep());
            wasi.sockets.stream_closed(stream.rep());
            http::sink_closed(guest, stream.rep());
            HostOutputStream::drop(&mut guest.table, stream).await
        })?
        .func_with(
            "[method]output-stream.check-write",
            Effect::Read,
            answers(),
            |guest: &mut Guest, (stream,): (Output,)| {
                let permit = guest.table.check_write(stream);
                Ok((types::stream(guest, permit)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.write",
            Effect::Deferred,
            contents(),
            async |guest: &mut Guest, (stream, bytes): (Output, Vec<u8>)| {
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, bytes.len() as u64).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let written = HostOutputStream::write(&mut guest.table, stream, bytes);
                let written = settle(guest, number, written).await?;
                unrecorded(guest)?;
                Ok((types::stream(guest, written)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.blocking-write-and-flush",
            Effect::Deferred,
            contents(),
            async |guest: &mut Guest, (stream, bytes): (Output, Vec<u8>)| {
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, bytes.len() as u64).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let written = guest.table.blocking_write_and_flush(stream, bytes).await;
                unrecorded(guest)?;
                Ok((types::stream(guest, written)?,))
            },
        )?
        .func_with(
            "[method]output-stream.flush",
            Effect::Read,
            answers(),
            |guest: &mut Guest, (stream,): (Output,)| {
                let flushed = HostOutputStream::flush(&mut guest.table, stream);
                Ok((types::stream(guest, flushed)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.blocking-flush",
            Effect::Read,
            answers(),
            async |guest: &mut Guest, (stream,): (Output,)| {
                let flushed = guest.table.blocking_flush(stream).await;
                Ok((types::stream(guest, flushed)?,))
            },
        )?
        .func_with(
            "[method]output-stream.subscribe",
            Effect::Read,
            Extra::default()
                .lost(|guest| Ok((Resource::<DynPollable>::new_own(ready(guest)?),)))
                .renew(|guest, _, (stream,): &(Output,)| subscribe_again::<DynOutputStream>(guest, stream.rep())),
            |guest: &mut Guest, (stream,): (Output,)| Ok((subscribe(&mut guest.table, stream)?,)),
        )?
        .func_async_with(
            "[method]output-stream.write-zeroes",
            Effect::Deferred,
            zeroes(),
            async |guest: &mut Guest, (stream, len): (Output, u64)| {
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, len).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let written = HostOutputStream::write_zeroes(&mut guest.table, stream, len);
                let written = settle(guest, number, written).await?;
                unrecorded(guest)?;
                Ok((types::stream(guest, written)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.blocking-write-zeroes-and-flush",
            Effect::Deferred,
            zeroes(),
            async |guest: &mut Guest, (stream, len): (Output, u64)| {
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, len).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let written = guest.table.blocking_write_zeroes_and_flush(stream, len).await;
                unrecorded(guest)?;
                Ok((types::stream(guest, written)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.splice",
            Effect::Deferred,
            spliced(),
            async |guest: &mut Guest, (stream, source, len): (Output, Input, u64)| {
                if http::is_sink(guest, &stream) {
                    let moved = http::splice(guest, (stream, source, len), false).await?;
                    unrecorded(guest)?;
                    return Ok((types::stream(guest, moved)?,));
                }
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, len.min(MAX_SPLICE)).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let moved = guest.table.splice(stream, source, len);
                let moved = settle(guest, number, moved).await?;
                Ok((types::stream(guest, moved)?,))
            },
        )?
        .func_async_with(
            "[method]output-stream.blocking-splice",
            Effect::Deferred,
            spliced(),
            async |guest: &mut Guest, (stream, source, len): (Output, Input, u64)| {
                if http::is_sink(guest, &stream) {
                    let moved = http::splice(guest, (stream, source, len), true).await?;
                    unrecorded(guest)?;
                    return Ok((types::stream(guest, moved)?,));
                }
                let number = stream.rep();
                if let Err(full) = quota::takes(guest, number, len.min(MAX_SPLICE)).await {
                    return Ok((types::stream(guest, Err(full))?,));
                }
                let moved = guest.table.blocking_splice(stream, source, len).await;
                Ok((types::stream(guest, moved)?,))
            },
        )?;
    Ok(())
}

/// What a peer has yet to send is waited for, with the step committed; else it is a look.
fn arrives(guest: &mut Guest, stream: u32) -> Effect {
    let Some(real) = guest.recorder.resources.get(stream) else {
        return if files::is_live(guest, stream) { Effect::Wait } else { Effect::Read };
    };
    if super::wasi(guest).files.is_of_file(real) {
        return Effect::Read;
    }
    let ready = guest.table.get_mut(&Input::new_borrow(real)).map(|stream| stream.ready().now_or_never().is_some());
    if ready.unwrap_or(true) { Effect::Read } else { Effect::Wait }
}

/// How far a recorded call moved its stream. At the end of what is read it stays there; where it failed nobody knows.
fn moved<T>(answer: &Result<T, streams::StreamError>, count: impl Fn(&T) -> u64) -> Option<u64> {
    match answer {
        Ok(value) => Some(count(value)),
        Err(streams::StreamError::Closed) => Some(0),
        Err(streams::StreamError::LastOperationFailed(_)) => None,
    }
}

/// Waits until what was handed to a file's stream is in the file, so that a recorded outcome is no promise but a fact. Where it
/// could not be written this call says so, and not the next, of which a crash would make another stream.
async fn settle<T>(guest: &mut Guest, stream: u32, written: StreamResult<T>) -> wasmtime::Result<StreamResult<T>> {
    if !super::wasi(guest).files.is_writer(stream) || written.is_err() {
        return Ok(written);
    }
    let stream = guest.table.get_mut(&Output::new_borrow(stream))?;
    stream.ready().await;
    Ok(match stream.check_write() {
        Err(error @ StreamError::LastOperationFailed(_)) => Err(error),
        _ => written,
    })
}

/// What a handler has written may leave at once where there is no journal; with one, behind the record of the call.
fn unrecorded(guest: &mut Guest) -> wasmtime::Result<()> {
    if guest.recorder.recording() { Ok(()) } else { http::wrote(guest) }
}

/// A pollable of a stream of an earlier life: of the stream if that can be made again, else one that is ready, so that nobody
/// waits for what never comes.
pub(super) fn subscribe_again<S: Pollable>(guest: &mut Guest, stream: u32) -> wasmtime::Result<Option<u32>> {
    match guest.real(stream)? {
        Some(real) => Ok(Some(subscribe(&mut guest.table, Resource::<S>::new_borrow(real))?.rep())),
        None => ready(guest).map(Some),
    }
}

/// A pollable that is ready.
pub(super) fn ready(guest: &mut Guest) -> wasmtime::Result<u32> {
    let ready = guest.table.push(Ready)?;
    Ok(subscribe(&mut guest.table, ready)?.rep())
}

/// Always ready.
struct Ready;

#[wasmtime_wasi::async_trait]
impl Pollable for Ready {
    async fn ready(&mut self) {}
}
