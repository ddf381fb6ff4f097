//! `outgoing-response`, `response-outparam`, `incoming-response`.

use wasmtime::component::Resource;

use super::bodies::{self, Outgoing};
use super::fields::Set;
use super::{TYPES, room};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::service::http::body::Of;
use crate::service::http::parts::{IncomingBody, IncomingResponse, OutgoingResponse, ResponseOutparam};
use crate::service::http::types::ErrorCode;

pub(super) type Response = Resource<OutgoingResponse>;
pub(super) type Incoming = Resource<IncomingResponse>;
type Outparam = Resource<ResponseOutparam>;

/// Registers them.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    outgoing(boundary)?;
    incoming(boundary)
}

fn outgoing(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("outgoing-response", |guest, response: Response| {
            guest.table.delete(response)?;
            Ok(())
        })?
        .func_with(
            "[constructor]outgoing-response",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (headers,): (Set,)| {
                let headers = guest.table.delete(headers)?.freeze();
                Ok((guest.table.push(OutgoingResponse { status: 200, headers, body: None })?,))
            },
        )?
        .func("[method]outgoing-response.status-code", Effect::Read, |guest: &mut Guest, (response,): (Response,)| {
            Ok((guest.table.get(&response)?.status,))
        })?
        .func_with(
            "[method]outgoing-response.set-status-code",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (response, status): (Response, u16)| -> wasmtime::Result<(Result<(), ()>,)> {
                // A final one: what is said before it is not said through here.
                if !(200..600).contains(&status) {
                    return Ok((Err(()),));
                }
                guest.table.get_mut(&response)?.status = status;
                Ok((Ok(()),))
            },
        )?
        .func_with(
            "[method]outgoing-response.headers",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (response,): (Response,)| {
                let copy = guest.table.get(&response)?.headers.copy(true);
                let copy = room(guest, copy)?;
                Ok((guest.table.push(copy)?,))
            },
        )?
        .func_with(
            "[method]outgoing-response.body",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (response,): (Response,)| -> wasmtime::Result<(Result<Outgoing, ()>,)> {
                let limit = guest.about.limits.payload.0;
                let charge = guest.http.values.charge();
                let response = guest.table.get_mut(&response)?;
                let length = response.headers.content_length();
                let body = bodies::begin(&mut response.body, Of::Response, limit, length, charge);
                bodies::hand_out(guest, body)
            },
        )?
        .resource("response-outparam", |guest, outparam: Outparam| {
            guest.table.delete(outparam)?;
            Ok(())
        })?
        .func_with(
            "[static]response-outparam.set",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (outparam, response): (Outparam, Result<Response, ErrorCode>)| {
                let outparam = guest.table.delete(outparam)?;
                let response = match response {
                    Ok(response) => Ok(guest.table.delete(response)?),
                    Err(error) => Err(error),
                };
                // One that was kept from an earlier turn has nobody who takes it.
                if let Ok(response) = &response
                    && outparam.message == guest.turn.message.as_ref().map(|message| message.id)
                {
                    bodies::leaves(guest, response, outparam.unbounded);
                }
                *outparam.slot.lock() = Some(response);
                Ok(())
            },
        )?;
    Ok(())
}

fn incoming(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("incoming-response", |guest, response: Incoming| {
            guest.table.delete(response)?;
            Ok(())
        })?
        .func("[method]incoming-response.status", Effect::Read, |guest: &mut Guest, (response,): (Incoming,)| {
            Ok((guest.table.get(&response)?.status,))
        })?
        .func_with(
            "[method]incoming-response.headers",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (response,): (Incoming,)| {
                let copy = guest.table.get(&response)?.headers.copy(true);
                let copy = room(guest, copy)?;
                Ok((guest.table.push(copy)?,))
            },
        )?
        .func_with(
            "[method]incoming-response.consume",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (response,): (Incoming,)| -> wasmtime::Result<(Result<Resource<IncomingBody>, ()>,)> {
                let Some(reading) = guest.table.get_mut(&response)?.body.take() else { return Ok((Err(()),)) };
                Ok((Ok(guest.table.push(IncomingBody { reading, streamed: false, served: false })?),))
            },
        )?;
    Ok(())
}
