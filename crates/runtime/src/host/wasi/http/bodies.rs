//! `outgoing-body`, `incoming-body`, and their streams.
//!
//! A written body is gathered whole, so its stream takes what comes until a limit; a read one gives what has come.

use bytes::Bytes;
use futures_util::FutureExt as _;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, IoError, OutputStream, Pollable, StreamError, StreamResult,
};

use super::fields::Set;
use super::{TYPES, behind, take};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::service::http::Charge;
use crate::service::http::body::{Found, Of, Read, Writing, Written};
use crate::service::http::fields::NoLength;
use crate::service::http::parts::{FutureTrailers, IncomingBody, OutgoingBody, OutgoingResponse};
use crate::service::http::types::ErrorCode;

pub(super) type Outgoing = Resource<OutgoingBody>;
type Incoming = Resource<IncomingBody>;
type Output = Resource<DynOutputStream>;
type Finish = (Outgoing, Option<Set>);
type Finished = (Result<(), ErrorCode>,);

const SPLICED: &str = "troupe:http/received@0.1#spliced";

/// Bytes that may be written at once.
const PERMIT: usize = 64 << 10;

/// Registers them.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("outgoing-body", |guest, body: Outgoing| {
            guest.table.delete(body)?;
            Ok(())
        })?
        .func_with(
            "[method]outgoing-body.write",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (body,): (Outgoing,)| -> wasmtime::Result<(Result<Resource<DynOutputStream>, ()>,)> {
                let written = guest.table.get(&body)?.0.clone();
                if std::mem::replace(&mut written.lock().streamed, true) {
                    return Ok((Err(()),));
                }
                Ok((Ok(gathers(guest, written)?),))
            },
        )?
        .func_async_with(
            "[static]outgoing-body.finish",
            Effect::Once,
            Extra::default()
                .class(|guest, (body, _): &Finish| class_of_finish(guest, body))
                .unknown(unknown_finish)
                .replayed(replayed_finish),
            async |guest: &mut Guest, finish: Finish| finish_live(guest, finish).await,
        )?
        .resource("incoming-body", |guest, body: Incoming| {
            guest.table.delete(body)?;
            Ok(())
        })?
        .func_with(
            "[method]incoming-body.stream",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (body,): (Incoming,)| -> wasmtime::Result<(Result<Resource<DynInputStream>, ()>,)> {
                let body = guest.table.get_mut(&body)?;
                if std::mem::replace(&mut body.streamed, true) {
                    return Ok((Err(()),));
                }
                let (reading, served) = (body.reading.clone(), body.served);
                let stream: DynInputStream = Box::new(BodyIn(reading));
                let stream = guest.table.push(stream)?;
                if served {
                    guest.http.sources.insert(stream.rep());
                }
                Ok((Ok(stream),))
            },
        )?
        .func_with(
            "[static]incoming-body.finish",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (body,): (Incoming,)| {
                let reading = guest.table.delete(body)?.reading;
                Ok((guest.table.push(FutureTrailers { reading, taken: false })?,))
            },
        )?;
    Ok(())
}

/// The body of a message, once; none if the length that it declares is no length.
pub(super) fn begin(
    place: &mut Option<Written>,
    of: Of,
    limit: u64,
    declared: Result<Option<u64>, NoLength>,
    charge: Charge,
) -> Result<Written, ()> {
    if place.is_some() {
        return Err(());
    }
    let written = Writing::new(of, limit, declared.map_err(|_| ())?, charge);
    *place = Some(written.clone());
    Ok(written)
}

/// A body as the guest gets it.
pub(super) fn hand_out(guest: &mut Guest, body: Result<Written, ()>) -> wasmtime::Result<(Result<Outgoing, ()>,)> {
    Ok((match body {
        Ok(written) => Ok(guest.table.push(OutgoingBody(written))?),
        Err(()) => Err(()),
    },))
}

// ---- finish: where a request leaves that was handed over before its body was whole ----

fn class_of_finish(guest: &mut Guest, body: &Outgoing) -> Effect {
    let Some(body) = behind(guest, body) else { return Effect::Read };
    let Ok(body) = guest.table.get(&body) else { return Effect::Read };
    match &body.0.lock().waiting {
        None => Effect::Read,
        Some(sending) if sending.terms.repeatable => Effect::Repeatable,
        Some(_) => Effect::Once,
    }
}

async fn finish_live(guest: &mut Guest, (body, trailers): Finish) -> wasmtime::Result<Finished> {
    let trailers = match trailers {
        Some(trailers) => Some(guest.table.delete(trailers)?.entries().clone()),
        None => None,
    };
    let body = guest.table.delete(body)?;
    let sending = {
        let mut writing = body.0.lock();
        if let Err(error) = writing.finish(trailers) {
            if let Some(sending) = writing.waiting.take() {
                sending.fail(error.clone());
            }
            return Ok((Err(error),));
        }
        match writing.waiting.take() {
            Some(mut sending) => {
                sending.held.push(writing.hand_on());
                (sending, writing.whole())
            }
            None => {
                drop(writing);
                if !guest.recorder.recording() {
                    wrote(guest)?;
                }
                return Ok((Ok(()),));
            }
        }
    };
    let (mut sending, whole) = sending;
    sending.request.body = whole.ok();
    super::outgoing::start(guest, *sending)?;
    Ok((Ok(()),))
}

/// Whether it left is unknown: nothing is sent, and who waits for the response hears of it.
fn unknown_finish(guest: &mut Guest, finish: &Finish) -> wasmtime::Result<Finished> {
    let finished = (Err(ErrorCode::unknown()),);
    replayed_finish(guest, finish, &finished);
    Ok(finished)
}

/// What was handed over before is sent now, or was in an earlier life.
fn replayed_finish(guest: &mut Guest, (body, trailers): &Finish, (finished,): &Finished) {
    let trailers = trailers.as_ref().and_then(|trailers| Some(take(guest, trailers)?.entries().clone()));
    let Some(body) = take(guest, body) else { return };
    let mut writing = body.0.lock();
    let ended = writing.finish(trailers);
    let Some(mut sending) = writing.waiting.take() else { return };
    match ended.and(finished.clone()) {
        Ok(()) => {
            sending.request.body = writing.whole().ok();
            super::outgoing::with_key(guest, &mut sending);
            sending.recall();
        }
        Err(error) => sending.fail(error),
    }
}

// ---- the streams ----

/// Writes to a body that is gathered.
struct BodyOut(Written);

/// A stream that writes to a body that is gathered.
pub(in super::super) fn gathers(guest: &mut Guest, written: Written) -> wasmtime::Result<Output> {
    let stream: DynOutputStream = Box::new(BodyOut(written));
    let stream = guest.table.push(stream)?;
    guest.http.sinks.insert(stream.rep());
    Ok(stream)
}

/// A response was handed out: from now on it leaves while it is written, if its client is there.
pub(super) fn leaves(guest: &mut Guest, response: &OutgoingResponse, unbounded: bool) {
    let Some(body) = response.body.as_ref().filter(|body| !body.lock().is_over()) else { return };
    body.lock().unbounded = unbounded;
    let Some(to) = guest.turn.client.as_mut().and_then(|client| client.to.take()) else { return };
    let head = (response.status, response.headers.entries().clone());
    guest.http.going.begin(to, head, body.clone(), guest.node.node_time());
}

/// Something was written: hands it over if it should not wait for the end of the step.
pub(in super::super) fn wrote(guest: &mut Guest) -> wasmtime::Result<()> {
    if !guest.http.going.is_there() || guest.turn.restricted {
        return Ok(());
    }
    let now = guest.node.node_time();
    if guest.http.going.is_due(now) {
        guest.check_journal()?;
        guest.commit_step()?;
        guest.http.going.hand_over(Some(now));
    }
    Ok(())
}

/// Whether a stream reads the body of a request that is served.
fn is_source(guest: &Guest, stream: u32) -> bool {
    let real = guest.recorder.resources.get(stream);
    real.is_some_and(|real| guest.http.sources.contains(&real))
}

/// Whether a stream writes to such a body.
pub(in super::super) fn is_sink(guest: &Guest, stream: &Output) -> bool {
    guest.http.sinks.contains(&stream.rep())
}

/// A stream has ended.
pub(in super::super) fn sink_closed(guest: &mut Guest, stream: u32) {
    guest.http.sinks.remove(&stream);
}

/// A stream has ended.
pub(in super::super) fn source_closed(guest: &mut Guest, stream: u32) {
    guest.http.sources.remove(&stream);
}

/// From a stream to a body that is gathered. The bytes are noted, for nobody else has seen them.
pub(in super::super) async fn splice(
    guest: &mut Guest,
    (stream, source, len): (Output, Resource<DynInputStream>, u64),
    blocking: bool,
) -> wasmtime::Result<StreamResult<u64>> {
    let most = usize::try_from(len).unwrap_or(usize::MAX).min(PERMIT);
    let from = guest.table.get_mut(&source)?;
    if blocking {
        from.ready().await;
    }
    let bytes = match from.read(most) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(error)),
    };
    let moved = bytes.len() as u64;
    let written = guest.table.get_mut(&stream)?.write(bytes.clone());
    if written.is_ok() {
        guest.http.spliced = Some(bytes.into());
    }
    Ok(written.map(|()| moved))
}

/// What was written before leaves now if there is nothing to splice yet: who sends it may wait for that.
pub(in super::super) fn about_to_splice(guest: &mut Guest, source: u32) {
    let watched = guest.http.going.is_there() && !guest.recorder.replaying() && !guest.turn.restricted;
    if !watched || !is_source(guest, source) {
        return;
    }
    let Some(real) = guest.recorder.resources.get(source) else { return };
    let ready = guest.table.get_mut(&Resource::<DynInputStream>::new_borrow(real));
    if ready.is_ok_and(|stream| stream.ready().now_or_never().is_none()) {
        // A log that takes nothing more is met by the next commit as well.
        let _ = guest.commit_step();
        guest.http.going.hand_over(None);
    }
}

/// Notes what was just spliced.
pub(in super::super) fn spliced(guest: &mut Guest) -> wasmtime::Result<()> {
    if let Some(bytes) = guest.http.spliced.take() {
        guest.note(SPLICED, 0, bytes)?;
    }
    wrote(guest)
}

/// In replay: so many bytes were spliced.
pub(in super::super) fn recorded_splice(guest: &mut Guest, stream: u32, source: u32, moved: u64) {
    recorded_read(guest, source, moved);
    let sink = guest.recorder.resources.get(stream).is_some_and(|real| guest.http.sinks.contains(&real));
    if sink && let Ok(Some(bytes)) = guest.noted::<Vec<u8>>(SPLICED, 0) {
        recorded_write(guest, stream, bytes.into());
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for BodyOut {
    async fn ready(&mut self) {
        let to = {
            let writing = self.0.lock();
            writing.streamed_size().and_then(|_| writing.to().cloned())
        };
        if let Some(to) = to {
            to.has_room().await;
        }
    }
}

impl OutputStream for BodyOut {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut writing = self.0.lock();
        if writing.is_over() || writing.to().is_some_and(|to| to.lost()) {
            return Err(StreamError::Closed);
        }
        if writing.window() == Some(0) {
            return Err(StreamError::trap("more was written than `check-write` permits"));
        }
        writing.write(&bytes).map_err(|error| StreamError::LastOperationFailed(IoError::from(error)))
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        let writing = self.0.lock();
        if writing.is_over() || writing.to().is_some_and(|to| to.lost()) || writing.nobody_takes() {
            return Err(StreamError::Closed);
        }
        Ok(writing.window().map_or(PERMIT, |room| room.min(PERMIT)))
    }
}

/// Reads a body.
pub(in super::super) struct BodyIn(pub(in super::super) Read);

#[wasmtime_wasi::async_trait]
impl Pollable for BodyIn {
    async fn ready(&mut self) {
        self.0.lock().await.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for BodyIn {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // Nobody else reads while the guest does.
        let Ok(mut reading) = self.0.try_lock() else { return Ok(Bytes::new()) };
        match reading.read(size) {
            Found::Bytes(bytes) => Ok(bytes),
            Found::End => Err(StreamError::Closed),
            Found::Failed(error) => Err(StreamError::LastOperationFailed(IoError::from(error))),
        }
    }
}

/// In replay: these bytes went to that stream, by its logical number.
pub(in super::super) fn recorded_write(guest: &mut Guest, stream: u32, bytes: Bytes) {
    let Some(real) = guest.recorder.resources.get(stream) else { return };
    if let Ok(stream) = guest.table.get_mut(&Resource::<DynOutputStream>::new_borrow(real)) {
        // Only bodies are there in replay; what they refused stands in the journal.
        let _ = stream.write(bytes);
    }
}

/// In replay: so many bytes came from that stream.
pub(in super::super) fn recorded_read(guest: &mut Guest, stream: u32, count: u64) {
    let Some(real) = guest.recorder.resources.get(stream) else { return };
    if let Ok(stream) = guest.table.get_mut(&Resource::<DynInputStream>::new_borrow(real)) {
        // Where the body is one that is there it moves on; a dead one has nothing.
        let _ = stream.read(usize::try_from(count).unwrap_or(usize::MAX));
    }
}
