//! `future-incoming-response`, `future-trailers`, and `http-error-code`.
//!
//! What came from outside is noted behind the call that handed it out, so that it is there after a crash: the head of a
//! response, trailers.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynPollable, IoError, subscribe};

use super::fields::Set;
use super::responses::Incoming;
use super::{TYPES, behind, full, put};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::service::http::body::Reading;
use crate::service::http::fields::{Entries, Fields};
use crate::service::http::parts::{FutureResponse, FutureTrailers, IncomingResponse};
use crate::service::http::types::ErrorCode;

pub(super) type Future = Resource<FutureResponse>;
type Trailers = Resource<FutureTrailers>;
type Got<T> = (Option<Result<Result<T, ErrorCode>, ()>>,);

const NOTES: &str = "troupe:http/received@0.1.0";
const HEAD: &str = "troupe:http/received@0.1#head";
const TRAILERS: &str = "troupe:http/received@0.1#trailers";

/// Registers them.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface(NOTES)?.note::<(u16, Entries)>("head").note::<Entries>("trailers").note::<Vec<u8>>("spliced");
    boundary
        .interface(TYPES)?
        .resource("future-incoming-response", |guest, future: Future| {
            guest.table.delete(future)?;
            Ok(())
        })?
        .func_with(
            "[method]future-incoming-response.subscribe",
            Effect::Read,
            Extra::default().renew(|guest, _, (future,): &(Future,)| {
                let Some(future) = behind(guest, future) else { return Ok(None) };
                take_up(guest, &future)?;
                Ok(Some(subscribe(&mut guest.table, future)?.rep()))
            }),
            |guest: &mut Guest, (future,): (Future,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
                take_up(guest, &future)?;
                Ok((subscribe(&mut guest.table, future)?,))
            },
        )?
        .func_async_with(
            "[method]future-incoming-response.get",
            Effect::Read,
            Extra::default()
                .noted(|guest, (got,): &Got<Incoming>| {
                    let Some(Ok(Ok(response))) = got else { return Ok(()) };
                    let Some(real) = behind(guest, response) else { return Ok(()) };
                    let there = guest.table.get(&real)?;
                    let head = (there.status, there.headers.entries().clone());
                    guest.note(HEAD, response.rep(), head)
                })
                .replayed(replayed_get),
            async |guest: &mut Guest, (future,): (Future,)| -> wasmtime::Result<Got<Incoming>> {
                if take_up(guest, &future)? {
                    // It had been there before the crash, so nobody may be told that it is not.
                    guest.table.get_mut(&future)?.arrived().await;
                }
                get(guest, &future)
            },
        )?
        .resource("future-trailers", |guest, trailers: Trailers| {
            guest.table.delete(trailers)?;
            Ok(())
        })?
        .func_with(
            "[method]future-trailers.subscribe",
            Effect::Read,
            Extra::default().renew(|guest, _, (trailers,): &(Trailers,)| {
                let Some(trailers) = behind(guest, trailers) else { return Ok(None) };
                Ok(Some(subscribe(&mut guest.table, trailers)?.rep()))
            }),
            |guest: &mut Guest, (trailers,): (Trailers,)| -> wasmtime::Result<(Resource<DynPollable>,)> {
                Ok((subscribe(&mut guest.table, trailers)?,))
            },
        )?
        .func_with(
            "[method]future-trailers.get",
            Effect::Read,
            Extra::default()
                .noted(|guest, (got,): &Got<Option<Set>>| {
                    let Some(Ok(Ok(Some(trailers)))) = got else { return Ok(()) };
                    let Some(real) = behind(guest, trailers) else { return Ok(()) };
                    let entries = guest.table.get(&real)?.entries().clone();
                    guest.note(TRAILERS, trailers.rep(), entries)
                })
                .replayed(replayed_trailers),
            |guest: &mut Guest, (trailers,): (Trailers,)| -> wasmtime::Result<Got<Option<Set>>> {
                trailers_of(guest, &trailers)
            },
        )?
        .func_with(
            "http-error-code",
            Effect::Read,
            Extra::default().lost(|_| Ok((None,))),
            |guest: &mut Guest, (error,): (Resource<IoError>,)| {
                Ok((guest.table.get(&error)?.downcast_ref::<ErrorCode>().cloned(),))
            },
        )?;
    Ok(())
}

/// A request that an earlier life sent is sent again, if it may be; else its outcome is unknown. True if it was one.
fn take_up(guest: &mut Guest, future: &Future) -> wasmtime::Result<bool> {
    let Some(sent) = guest.table.get_mut(future)?.recalled() else { return Ok(false) };
    if sent.terms.repeatable {
        let (sending, coming) = sent.again();
        *guest.table.get_mut(future)? = FutureResponse::Coming(coming);
        super::outgoing::start(guest, sending)?;
    }
    Ok(true)
}

fn get(guest: &mut Guest, future: &Future) -> wasmtime::Result<Got<Incoming>> {
    let there = guest.table.get_mut(future)?;
    there.look();
    let arrived = match std::mem::replace(there, FutureResponse::Taken) {
        FutureResponse::Taken => return Ok((Some(Err(())),)),
        coming @ FutureResponse::Coming(_) => {
            *there = coming;
            return Ok((None,));
        }
        FutureResponse::There(arrived) => *arrived,
    };
    Ok((Some(Ok(match arrived {
        Ok(arrived) => match Fields::received(arrived.headers, guest.http.values.charge()) {
            Ok(headers) => {
                let response = IncomingResponse { status: arrived.status, headers, body: Some(arrived.body) };
                Ok(guest.table.push(response)?)
            }
            Err(_) => return Err(full(guest)),
        },
        Err(error) => Err(error),
    })),))
}

fn replayed_get(guest: &mut Guest, (future,): &(Future,), (got,): &Got<Incoming>) {
    if let Some(Ok(_)) = got
        && let Some(real) = behind(guest, future)
        && let Ok(future) = guest.table.get_mut(&real)
    {
        *future = FutureResponse::Taken;
    }
    let Some(Ok(Ok(response))) = got else { return };
    // Without its note the response stays lost; a difference is found by the next call.
    if let Ok(Some((status, headers))) = guest.noted::<(u16, Entries)>(HEAD, response.rep())
        && let Ok(headers) = Fields::received(headers, guest.http.values.charge())
    {
        let _ = put(guest, response, IncomingResponse { status, headers, body: Some(Reading::dead()) });
    }
}

fn trailers_of(guest: &mut Guest, trailers: &Trailers) -> wasmtime::Result<Got<Option<Set>>> {
    let there = guest.table.get_mut(trailers)?;
    if there.taken {
        return Ok((Some(Err(())),));
    }
    let reading = there.reading.clone();
    let end = reading.try_lock().ok().and_then(|mut reading| reading.at_end());
    let Some(end) = end else { return Ok((None,)) };
    there.taken = true;
    Ok((Some(Ok(match end {
        Ok(Some(entries)) => match Fields::received(entries, guest.http.values.charge()) {
            Ok(fields) => Ok(Some(guest.table.push(fields)?)),
            Err(_) => return Err(full(guest)),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    })),))
}

fn replayed_trailers(guest: &mut Guest, (trailers,): &(Trailers,), (got,): &Got<Option<Set>>) {
    if let Some(Ok(_)) = got
        && let Some(real) = behind(guest, trailers)
        && let Ok(trailers) = guest.table.get_mut(&real)
    {
        trailers.taken = true;
    }
    let Some(Ok(Ok(Some(fields)))) = got else { return };
    if let Ok(Some(entries)) = guest.noted::<Entries>(TRAILERS, fields.rep())
        && let Ok(received) = Fields::received(entries, guest.http.values.charge())
    {
        let _ = put(guest, fields, received);
    }
}
