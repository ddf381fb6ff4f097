//! `theater:simple/message-server-host`: sending, asking, answering later; what is of channels is in `channels.rs`.
//!
//! An actor of another contract is addressed as `ID`, or `ID#TYPE` where the message is to have a type; without one it is `message`.
//! Request ids are those of messages: a guest sees none but of calls made to it.

use super::super::common::denied;
use super::super::messaging::{self, later, request};
use super::super::types::Error;
use super::channels;
use crate::actor::message::CallError;
use crate::boundary::{Answering, Begun, Boundary, Effect, Extra, Guest, Wait};
use crate::service::waits::{WaitId, Waited};

/// The type of what is sent without one.
const MESSAGE: &str = "message";

type To = (String, Vec<u8>);
type Done = (Result<(), String>,);
type Answer = (Result<Vec<u8>, String>,);

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/message-server-host")?
        .func("send", Effect::Node, |guest: &mut Guest, (to, payload): To| Ok::<Done, _>((send(guest, &to, payload),)))?
        .wait("request", Wait { begin, again, end })?
        .wait("open-channel", channels::OPEN)?
        .func("send-on-channel", Effect::Node, |guest: &mut Guest, (id, payload): To| {
            Ok::<Done, _>((channels::send(guest, &id, payload),))
        })?
        .func("close-channel", Effect::Node, |guest: &mut Guest, (id,): (String,)| {
            Ok::<Done, _>((channels::close(guest, &id),))
        })?
        .func("list-outstanding-requests", Effect::Read, |guest: &mut Guest, (): ()| Ok((outstanding(guest),)))?
        .func_with(
            "respond-to-request",
            Effect::Node,
            Extra::default().replayed(|guest, (id, _): &To, (done,): &Done| answered(guest, id, done)),
            |guest: &mut Guest, (id, answer): To| Ok::<Done, _>((respond(guest, &id, Ok(answer)),)),
        )?
        .func_with(
            "cancel-request",
            Effect::Node,
            Extra::default().replayed(|guest, (id,): &(String,), (done,): &Done| answered(guest, id, done)),
            |guest: &mut Guest, (id,): (String,)| {
                let cancelled = CallError::Refused("the request was cancelled".to_owned());
                Ok::<Done, _>((respond(guest, &id, Err(cancelled)),))
            },
        )?;
    Ok(())
}

fn addressed(to: &str) -> (&str, &str) {
    to.split_once('#').unwrap_or((to, MESSAGE))
}

fn send(guest: &mut Guest, to: &str, payload: Vec<u8>) -> Result<(), String> {
    let (id, message_type) = addressed(to);
    let sent = messaging::send(guest, id, message_type.to_owned(), payload, Vec::new());
    sent.map(drop).map_err(|error| error.to_string())
}

fn ask<'a>(to: &'a str, payload: &'a [u8]) -> request::Ask<'a> {
    let (to, message_type) = addressed(to);
    request::Ask { to, message_type, payload, headers: &[], timeout: None, key: None }
}

fn begin(guest: &mut Guest, (to, payload): &To, id: &WaitId) -> wasmtime::Result<Begun<Answer>> {
    Ok(match request::begin(guest, &ask(to, payload), id) {
        Ok(due) => Begun::Parked(due),
        Err(error) => Begun::Now((Err(error.to_string()),)),
    })
}

fn again(guest: &mut Guest, (to, _): &To, id: &WaitId) -> wasmtime::Result<()> {
    if let Ok(to) = troupe_log::ActorId::parse(addressed(to).0) {
        request::wait_again(guest, &to, None, id);
    }
    Ok(())
}

fn end(guest: &mut Guest, _: &To, id: &WaitId, waited: Waited) -> wasmtime::Result<Answer> {
    Ok((request::end(guest, id, waited).map_err(|error| error.to_string()),))
}

/// The requests that were put off and are not answered, and the one in hand.
fn outstanding(guest: &mut Guest) -> Vec<String> {
    let mut ids: Vec<String> = guest.about.promised.lock().keys().cloned().collect();
    ids.extend(later::call_in_hand(guest));
    ids.sort();
    ids
}

fn respond(guest: &mut Guest, id: &str, answer: Result<Vec<u8>, CallError>) -> Result<(), String> {
    if guest.about.grants.messaging.is_none() {
        return Err(denied(guest, "messaging", "[grants.messaging]".to_owned()).to_string());
    }
    if later::call_in_hand(guest).as_deref() == Some(id) {
        later::put_off_as(guest);
    }
    match guest.keep_promise(id, answer) {
        true => Ok(()),
        false => Err(Error::NotFound(format!("request {id}")).to_string()),
    }
}

/// What an answer of this turn's own request left in the turn.
fn answered(guest: &mut Guest, id: &str, done: &Result<(), String>) {
    if done.is_ok() && later::call_in_hand(guest).as_deref() == Some(id) {
        guest.turn.answering = Answering::Token(id.to_owned());
    }
}
