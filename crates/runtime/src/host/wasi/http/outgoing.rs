//! `wasi:http/outgoing-handler`: what is checked before a request leaves, and when it does.
//!
//! An immediate effect of the class of its method: GET, HEAD and OPTIONS are asked again after a crash; of others the outcome is
//! unknown, unless the grant says `repeat`, and then they carry an `Idempotency-Key`. A request leaves when it was handed over and
//! its body is finished, whichever comes last, behind the commit of the step and its gate; with `bodies = "streamed"` it leaves as
//! it is handed over, what is written of its body follows by steps, and a crash leaves its outcome unknown.

use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

use super::futures::Future;
use super::requests::{Options, Request};
use super::{behind, put, take};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::manifest::{Bodies, HttpGrant};
use crate::service::http::client::{Prepared, Sending, Terms};
use crate::service::http::parts::{FutureResponse, OutgoingRequest, RequestOptions};
use crate::service::http::streaming::pair;
use crate::service::http::types::{ErrorCode, Scheme};

type Handle = (Request, Option<Options>);
type Handled = (Result<Future, ErrorCode>,);

const KEY: &str = "idempotency-key";

/// Registers it.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("wasi:http/outgoing-handler@0.2.12")?.func_async_with(
        "handle",
        Effect::Once,
        Extra::default()
            .class(|guest, handle: &Handle| class(guest, handle))
            .unknown(|guest, handle| {
                let handled = (Err(ErrorCode::unknown()),);
                replayed(guest, handle, &handled);
                Ok(handled)
            })
            .replayed(replayed),
        async |guest: &mut Guest, handle: Handle| live(guest, handle).await,
    )?;
    Ok(())
}

/// A request that leaves at once is an effect; one that is refused, or whose body is not whole yet, is none.
fn class(guest: &mut Guest, (request, _): &Handle) -> Effect {
    let Some(request) = behind(guest, request) else { return Effect::Read };
    let Ok(request) = guest.table.get(&request) else { return Effect::Read };
    let open = request.body.as_ref().is_some_and(|body| !body.lock().is_over());
    match prepare(request, RequestOptions::default(), guest.about.grants.http.as_ref()) {
        Err(_) => Effect::Read,
        Ok((_, terms)) if open => {
            if terms.streamed {
                Effect::Once
            } else {
                Effect::Read
            }
        }
        Ok((_, terms)) if terms.repeatable => Effect::Repeatable,
        Ok(_) => Effect::Once,
    }
}

/// What of a request is sent and how, if it may be.
fn prepare(
    request: &OutgoingRequest,
    options: RequestOptions,
    grant: Option<&HttpGrant>,
) -> Result<(Prepared, Terms), ErrorCode> {
    let Some(grant) = grant else { return Err(ErrorCode::HttpRequestDenied) };
    let tls = match request.scheme {
        Some(Scheme::Http) => false,
        None | Some(Scheme::Https) => true,
        Some(Scheme::Other(_)) => return Err(ErrorCode::HttpProtocolError),
    };
    let text = request.authority.clone().ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let authority = Authority::try_from(text.as_str()).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let usual = if tls { 443 } else { 80 };
    let port = port(&text, authority.host(), usual).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    if !grant.allows(request.method.as_str(), authority.host(), port, port == usual) {
        return Err(ErrorCode::HttpRequestDenied);
    }
    let body_expected = request.headers.content_length().map_err(|_| ErrorCode::HttpProtocolError)?;
    if request.body.is_none() && body_expected.is_some_and(|length| length != 0) {
        return Err(ErrorCode::HttpRequestBodySize(Some(0)));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let prepared = Prepared {
        method: request.method.clone(),
        tls,
        authority: text,
        host,
        port,
        path: request.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned()),
        headers: request.headers.entries().clone(),
        body: None,
    };
    let at_most = |asked: Option<Duration>| asked.map_or(grant.timeout, |asked| asked.min(grant.timeout));
    let terms = Terms {
        private: grant.private,
        max_response: grant.max_response.0,
        connect: at_most(options.connect),
        first_byte: at_most(options.first_byte),
        between_bytes: at_most(options.between_bytes),
        repeatable: request.method.is_safe() || grant.repeat,
        streamed: grant.bodies == Bodies::Streamed,
    };
    Ok((prepared, terms))
}

/// The port of an authority that begins with its host: digits behind a colon, or the usual one. Nobody may be named before it.
fn port(authority: &str, host: &str, usual: u16) -> Option<u16> {
    match authority.strip_prefix(host)? {
        "" => Some(usual),
        rest => {
            let digits = rest.strip_prefix(':')?;
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok())?
        }
    }
}

async fn live(guest: &mut Guest, (request, options): Handle) -> wasmtime::Result<Handled> {
    let options = match options {
        Some(options) => guest.table.delete(options)?,
        None => RequestOptions::default(),
    };
    let request = guest.table.delete(request)?;
    let (prepared, terms) = match prepare(&request, options, guest.about.grants.http.as_ref()) {
        Ok(prepared) => prepared,
        Err(error) => {
            if error == ErrorCode::HttpRequestDenied {
                guest.recorder.deny("http");
            }
            return Ok((Err(error),));
        }
    };
    let mut head = guest.http.values.charge();
    if head.add(prepared.size()).is_err() {
        return Ok((Err(ErrorCode::HttpRequestHeaderSectionSize(None)),));
    }
    let (mut sending, coming) = Sending::new(prepared, terms);
    sending.held.push(head);
    if let Some(body) = request.body {
        let mut writing = body.lock();
        if !writing.is_over() && terms.streamed {
            drop(writing);
            let (to, from) = pair();
            sending.body = Some(from);
            // Of what has left already only a part is known: it is not made again.
            sending.terms.repeatable = false;
            if start(guest, sending)? {
                guest.http.going.asks(Arc::new(to), body, guest.node.node_time());
            } else {
                body.lock().cut();
            }
            return Ok((Ok(guest.table.push(FutureResponse::Coming(coming))?),));
        }
        if !writing.is_over() {
            writing.waiting = Some(Box::new(sending));
            drop(writing);
            return Ok((Ok(guest.table.push(FutureResponse::Coming(coming))?),));
        }
        match writing.whole() {
            Ok(whole) => {
                sending.request.body = Some(whole);
                sending.held.push(writing.hand_on());
            }
            Err(error) => return Ok((Err(error),)),
        }
    }
    start(guest, sending)?;
    Ok((Ok(guest.table.push(FutureResponse::Coming(coming))?),))
}

/// Sends it, if there is a place for one more; whether it does.
pub(super) fn start(guest: &mut Guest, mut sending: Sending) -> wasmtime::Result<bool> {
    // What was handed over before a change of the grants may not be sent any more, or not so.
    let request = &sending.request;
    let usual = request.port == if request.tls { 443 } else { 80 };
    let grant = guest.about.grants.http.as_ref();
    let host = Authority::try_from(request.authority.as_str()).map(|authority| authority.host().to_owned());
    let host = host.unwrap_or_default();
    let allowed = grant.filter(|grant| grant.allows(request.method.as_str(), &host, request.port, usual));
    match allowed {
        Some(grant) => sending.terms.private &= grant.private,
        None => {
            guest.recorder.deny("http");
            sending.fail(ErrorCode::HttpRequestDenied);
            return Ok(false);
        }
    }
    let mut place = guest.http.exchanges.charge();
    if place.add(1).is_err() {
        sending.fail(ErrorCode::ConnectionLimitReached);
        return Ok(false);
    }
    sending.place = Some(place);
    with_key(guest, &mut sending);
    sending.start(guest.node.clone(), guest.turn.seen);
    Ok(true)
}

/// The key of a request that may be made twice and changes something: the effect's own id, unless the guest has set one.
pub(super) fn with_key(guest: &Guest, sending: &mut Sending) {
    let headers = &mut sending.request.headers;
    let has_one = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(KEY));
    if !sending.terms.repeatable || sending.request.method.is_safe() || has_one || !guest.recorder.recording() {
        return;
    }
    let about = &guest.about;
    let key = format!("\"{}/{}/{}\"", about.id, about.incarnation.0, guest.recorder.crossed.0);
    headers.push((KEY.to_owned(), key.into_bytes()));
}

/// The request was handed over, and perhaps sent, in an earlier life.
fn replayed(guest: &mut Guest, (request, options): &Handle, (handled,): &Handled) {
    let options = options.as_ref().and_then(|options| take(guest, options)).unwrap_or_default();
    let Some(request) = take(guest, request) else { return };
    let Ok(future) = handled else { return };
    let Ok((prepared, terms)) = prepare(&request, options, guest.about.grants.http.as_ref()) else { return };
    let (mut sending, coming) = Sending::new(prepared, terms);
    match request.body {
        Some(body) if !body.lock().is_over() && terms.streamed => {
            body.lock().cut();
            sending.terms.repeatable = false;
            sending.recall();
        }
        Some(body) if !body.lock().is_over() => body.lock().waiting = Some(Box::new(sending)),
        body => {
            sending.request.body = body.and_then(|body| body.lock().whole().ok());
            with_key(guest, &mut sending);
            sending.recall();
        }
    }
    let _ = put(guest, future, FutureResponse::Coming(coming));
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn a_port_is_digits_behind_a_colon_and_nothing_else() {
        assert_eq!(port("a.example", "a.example", 80), Some(80));
        assert_eq!(port("a.example:8080", "a.example", 80), Some(8080));
        assert_eq!(port("[::1]:8080", "[::1]", 80), Some(8080));
        for bad in ["a.example:", "a.example:99999", "a.example:+80", "a.example:80x", "a.example80", "me@a.example"] {
            assert_eq!(port(bad, "a.example", 80), None, "{bad}");
        }
        assert_eq!(port("[::1]junk", "[::1]", 80), None);
    }
}
