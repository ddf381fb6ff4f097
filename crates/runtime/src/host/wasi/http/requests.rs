//! `outgoing-request`, `request-options`, `incoming-request`.

use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use wasmtime::component::Resource;

use super::bodies::{self, Outgoing};
use super::fields::Set;
use super::{TYPES, room};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::service::http::body::Of;
use crate::service::http::parts::{IncomingBody, IncomingRequest, OutgoingRequest, RequestOptions};
use crate::service::http::types::{Method, Scheme};

pub(super) type Request = Resource<OutgoingRequest>;
pub(super) type Options = Resource<RequestOptions>;
type Incoming = Resource<IncomingRequest>;
type Done = (Result<(), ()>,);

/// Bytes of a method, an authority, a path: what a server takes at all.
const MAX_TEXT: usize = 8 << 10;

/// Registers them.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    outgoing(boundary)?;
    options(boundary)?;
    incoming(boundary)
}

fn outgoing(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("outgoing-request", |guest, request: Request| {
            guest.table.delete(request)?;
            Ok(())
        })?
        .func_with(
            "[constructor]outgoing-request",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (headers,): (Set,)| {
                let headers = guest.table.delete(headers)?.freeze();
                let (method, scheme, authority, path, body) = (Method::Get, None, None, None, None);
                let request = OutgoingRequest { method, scheme, authority, path, headers, body };
                Ok((guest.table.push(request)?,))
            },
        )?
        .func_with(
            "[method]outgoing-request.body",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request,): (Request,)| -> wasmtime::Result<(Result<Outgoing, ()>,)> {
                let limit = guest.about.grants.http.as_ref().map_or(0, |grant| grant.max_request.0);
                let charge = guest.http.values.charge();
                let request = guest.table.get_mut(&request)?;
                let length = request.headers.content_length();
                let body = bodies::begin(&mut request.body, Of::Request, limit, length, charge);
                bodies::hand_out(guest, body)
            },
        )?
        .func("[method]outgoing-request.method", Effect::Read, |guest: &mut Guest, (request,): (Request,)| {
            Ok((guest.table.get(&request)?.method.clone(),))
        })?
        .func_with(
            "[method]outgoing-request.set-method",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request, method): (Request, Method)| -> wasmtime::Result<Done> {
                let right =
                    method.as_str().len() <= MAX_TEXT && http::Method::from_bytes(method.as_str().as_bytes()).is_ok();
                Ok((set(right, &mut guest.table.get_mut(&request)?.method, method),))
            },
        )?
        .func("[method]outgoing-request.path-with-query", Effect::Read, |guest: &mut Guest, (request,): (Request,)| {
            Ok((guest.table.get(&request)?.path.clone(),))
        })?
        .func_with(
            "[method]outgoing-request.set-path-with-query",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request, path): (Request, Option<String>)| -> wasmtime::Result<Done> {
                let right = path.as_ref().is_none_or(|path| {
                    path.len() <= MAX_TEXT
                        && PathAndQuery::try_from(path.as_str()).is_ok_and(|read| read.as_str() == path)
                });
                Ok((set(right, &mut guest.table.get_mut(&request)?.path, path),))
            },
        )?
        .func("[method]outgoing-request.scheme", Effect::Read, |guest: &mut Guest, (request,): (Request,)| {
            Ok((guest.table.get(&request)?.scheme.clone(),))
        })?
        .func_with(
            "[method]outgoing-request.set-scheme",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request, scheme): (Request, Option<Scheme>)| -> wasmtime::Result<Done> {
                let right = scheme.as_ref().is_none_or(|scheme| {
                    let text = scheme.as_str();
                    text.starts_with(|c: char| c.is_ascii_alphabetic())
                        && text.len() <= MAX_TEXT
                        && http::uri::Scheme::try_from(text).is_ok()
                });
                Ok((set(right, &mut guest.table.get_mut(&request)?.scheme, scheme),))
            },
        )?
        .func("[method]outgoing-request.authority", Effect::Read, |guest: &mut Guest, (request,): (Request,)| {
            Ok((guest.table.get(&request)?.authority.clone(),))
        })?
        .func_with(
            "[method]outgoing-request.set-authority",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request, authority): (Request, Option<String>)| -> wasmtime::Result<Done> {
                let right = authority.as_ref().is_none_or(|text| {
                    text.len() <= MAX_TEXT
                        && Authority::try_from(text.as_str()).is_ok_and(|read| !read.as_str().contains('@'))
                });
                Ok((set(right, &mut guest.table.get_mut(&request)?.authority, authority),))
            },
        )?
        .func_with(
            "[method]outgoing-request.headers",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request,): (Request,)| {
                let copy = guest.table.get(&request)?.headers.copy(true);
                let copy = room(guest, copy)?;
                Ok((guest.table.push(copy)?,))
            },
        )?;
    Ok(())
}

/// Sets what is right; else nothing changes.
fn set<T>(right: bool, place: &mut T, value: T) -> Result<(), ()> {
    if right {
        *place = value;
    }
    right.then_some(()).ok_or(())
}

fn options(boundary: &mut Boundary) -> wasmtime::Result<()> {
    type Field = fn(&mut RequestOptions) -> &mut Option<Duration>;
    const FIELDS: [(&str, &str, Field); 3] = [
        ("[method]request-options.connect-timeout", "[method]request-options.set-connect-timeout", |o| &mut o.connect),
        ("[method]request-options.first-byte-timeout", "[method]request-options.set-first-byte-timeout", |o| {
            &mut o.first_byte
        }),
        ("[method]request-options.between-bytes-timeout", "[method]request-options.set-between-bytes-timeout", |o| {
            &mut o.between_bytes
        }),
    ];
    let mut interface = boundary.interface(TYPES)?;
    interface
        .resource("request-options", |guest, options: Options| {
            guest.table.delete(options)?;
            Ok(())
        })?
        .func_with(
            "[constructor]request-options",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (): ()| Ok((guest.table.push(RequestOptions::default())?,)),
        )?;
    for (get, set, field) in FIELDS {
        interface
            .func(get, Effect::Read, move |guest: &mut Guest, (options,): (Options,)| {
                let time = *field(guest.table.get_mut(&options)?);
                Ok((time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),))
            })?
            .func_with(
                set,
                Effect::Read,
                Extra::default().value(),
                move |guest: &mut Guest, (options, nanos): (Options, Option<u64>)| -> wasmtime::Result<Done> {
                    *field(guest.table.get_mut(&options)?) = nanos.map(Duration::from_nanos);
                    Ok((Ok(()),))
                },
            )?;
    }
    Ok(())
}

fn incoming(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("incoming-request", |guest, request: Incoming| {
            guest.table.delete(request)?;
            Ok(())
        })?
        .func("[method]incoming-request.method", Effect::Read, |guest: &mut Guest, (request,): (Incoming,)| {
            Ok((guest.table.get(&request)?.method.clone(),))
        })?
        .func(
            "[method]incoming-request.path-with-query",
            Effect::Read,
            |guest: &mut Guest, (request,): (Incoming,)| Ok((guest.table.get(&request)?.path.clone(),)),
        )?
        .func("[method]incoming-request.scheme", Effect::Read, |guest: &mut Guest, (request,): (Incoming,)| {
            Ok((Some(guest.table.get(&request)?.scheme.clone()),))
        })?
        .func("[method]incoming-request.authority", Effect::Read, |guest: &mut Guest, (request,): (Incoming,)| {
            Ok((guest.table.get(&request)?.authority.clone(),))
        })?
        .func_with(
            "[method]incoming-request.headers",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request,): (Incoming,)| {
                let copy = guest.table.get(&request)?.headers.copy(true);
                let copy = room(guest, copy)?;
                Ok((guest.table.push(copy)?,))
            },
        )?
        .func_with(
            "[method]incoming-request.consume",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (request,): (Incoming,)| -> wasmtime::Result<(Result<Resource<IncomingBody>, ()>,)> {
                let Some(reading) = guest.table.get_mut(&request)?.body.take() else { return Ok((Err(()),)) };
                Ok((Ok(guest.table.push(IncomingBody { reading, streamed: false, served: true })?),))
            },
        )?;
    Ok(())
}
