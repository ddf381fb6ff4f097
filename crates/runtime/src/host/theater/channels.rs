//! Channels of `theater:simple/message-server-host`: opened by a request that the other accepts, open until a side closes it or ends.
//!
//! Who opens waits as for a request, under the same grant. What a channel is stands in the table of bonds (`service/theater.rs`); what
//! is sent on it is a message as any other, in order, whose type only the runtime can use.

use std::sync::Arc;

use super::super::common::{denied, room};
use super::super::messaging::{self, request};
use super::super::types::Error;
use crate::actor::message::{CallError, Message, MessageKind};
use crate::boundary::{Begun, Guest, Wait};
use crate::service::bonds::{Bond, MAX_BONDS, Undoing};
use crate::service::theater::{self, Accept, Accepting, CHANNEL, channel_id};
use crate::service::waits::{WaitId, Waited};

type To = (String, Vec<u8>);
type Opened = (Result<String, String>,);

/// `open-channel`.
pub(super) const OPEN: Wait<To, Opened> = Wait { begin, again, end };

fn begin(guest: &mut Guest, (to, first): &To, id: &WaitId) -> wasmtime::Result<Begun<Opened>> {
    Ok(match ask(guest, to, first, id) {
        Ok(due) => Begun::Parked(due),
        Err(error) => Begun::Now((Err(error.to_string()),)),
    })
}

fn ask(guest: &mut Guest, to: &str, first: &[u8], id: &WaitId) -> Result<Option<troupe_log::NodeTime>, Error> {
    let receiver = messaging::receiver(guest, to)?;
    full(guest).map_err(Error::ResourceExhausted)?;
    let ask = request::Ask { to, message_type: theater::OPEN, payload: first, headers: &[], timeout: None, key: None };
    request::ask_of(guest, &ask, &receiver, id)
}

fn again(guest: &mut Guest, (to, _): &To, id: &WaitId) -> wasmtime::Result<()> {
    if let Ok(to) = troupe_log::ActorId::parse(to) {
        request::wait_again(guest, &to, None, id);
    }
    Ok(())
}

fn end(guest: &mut Guest, _: &To, id: &WaitId, waited: Waited) -> wasmtime::Result<Opened> {
    Ok((opened(guest, id, waited),))
}

fn opened(guest: &mut Guest, id: &WaitId, waited: Waited) -> Result<String, String> {
    let answer = request::end(guest, id, waited).map_err(|error| error.to_string())?;
    let Accept { accepted, message } =
        Accept::decode(&answer).map_err(|error| format!("no answer to who opens a channel: {error}"))?;
    if !accepted {
        let why = message.map_or_else(String::new, |why| format!(": {}", String::from_utf8_lossy(&why)));
        return Err(format!("the channel was not accepted{why}"));
    }
    let name = channel_id(id);
    // It may be closed by now.
    open(guest, &name)?;
    Ok(name)
}

/// An error if this actor can have no more channels.
fn full(guest: &Guest) -> Result<(), String> {
    match guest.node.shared().bonds.count(&guest.about.id) >= MAX_BONDS {
        true => Err(format!("max-bonds = {MAX_BONDS}")),
        false => Ok(()),
    }
}

/// At the end of a turn that has answered who opens a channel: if it accepts, the channel is there with the step.
pub(crate) fn answered(guest: &mut Guest, message: &Message, answer: Vec<u8>) -> Result<Vec<u8>, CallError> {
    let Some(asker) = &message.asker else { return Ok(answer) };
    let Ok(Accept { accepted: true, message: first }) = Accept::decode(&answer) else { return Ok(answer) };
    let (own, wait) = (guest.about.id.clone(), asker.wait.clone());
    let name = channel_id(&wait);
    let refused = match full(guest) {
        Err(limit) => Some(CallError::Exhausted(limit)),
        Ok(()) => {
            room(guest, first.as_ref().map_or(0, Vec::len)).err().map(|error| CallError::Refused(error.to_string()))
        }
    };
    if let Some(error) = refused {
        // It thinks that it has it.
        let told = guest.info(&own, theater::closed(&name));
        return Err(told.err().unwrap_or(error));
    }
    let bond = Bond::Channel(name.into(), wait.actor.clone(), own);
    bond.put(guest.batch());
    let node = Arc::clone(&guest.node);
    guest.stage_service(Accepting::new(node, bond, wait, first));
    Ok(answer)
}

/// An error unless the actor has this channel, and it is open.
fn open(guest: &Guest, id: &str) -> Result<Bond, String> {
    let bond = guest.node.shared().bonds.channel(&guest.about.id, id);
    bond.ok_or_else(|| format!("there is no open channel {id}"))
}

/// Both sides may use a channel that is open, whomever else they may reach.
fn granted(guest: &mut Guest) -> Result<(), String> {
    match guest.about.grants.messaging {
        Some(_) => Ok(()),
        None => Err(denied(guest, "messaging", "[grants.messaging]".to_owned()).to_string()),
    }
}

pub(super) fn send(guest: &mut Guest, id: &str, payload: Vec<u8>) -> Result<(), String> {
    granted(guest)?;
    let own = guest.about.id.clone();
    let bond = open(guest, id)?;
    room(guest, payload.len()).map_err(|error| error.to_string())?;
    let message = on_channel(guest, id, MessageKind::Cast, theater::MESSAGE, payload);
    guest.send(message, bond.other(&own)).map_err(|error| Error::from(error).to_string())
}

fn on_channel(guest: &Guest, id: &str, kind: MessageKind, message_type: &str, payload: Vec<u8>) -> Message {
    Message {
        id: guest.node.message_id(),
        from: guest.about.id.shared(),
        kind,
        message_type: message_type.into(),
        payload: payload.into(),
        headers: vec![(CHANNEL.to_owned(), id.to_owned())],
        deadline: None,
        trace: guest.turn.message.as_ref().and_then(|message| message.trace.clone()),
        key: None,
        attempt: 1,
        asker: None,
    }
}

pub(super) fn close(guest: &mut Guest, id: &str) -> Result<(), String> {
    granted(guest)?;
    let own = guest.about.id.clone();
    let bond = open(guest, id)?;
    // Staged as what is sent is: it comes behind that.
    let message = on_channel(guest, id, MessageKind::Info, theater::CLOSE, Vec::new());
    match guest.send(message, bond.other(&own)) {
        // Who is gone need not be told.
        Ok(()) | Err(CallError::NotFound(_)) => {}
        Err(error) => return Err(Error::from(error).to_string()),
    }
    bond.delete(guest.batch());
    let node = Arc::clone(&guest.node);
    guest.stage_service(Undoing::new(node, bond));
    Ok(())
}
