//! Answering in another turn, and handing the message on.

use std::sync::Arc;

use troupe_log::{ActorId, Table};

use super::super::types::Error;
use super::receiver;
use crate::actor::message::{CallError, MessageKind};
use crate::actor::promise::{self, Promise};
use crate::boundary::{Answering, Committed, Guest, Services, Staged, Staging};

pub(super) fn defer(guest: &mut Guest) -> Result<String, Error> {
    let Some(message) = &guest.turn.message else {
        return Err(Error::InvalidArgument("there is no call to answer".to_owned()));
    };
    if message.kind != MessageKind::Call {
        return Err(Error::InvalidArgument("only a call can be answered later".to_owned()));
    }
    if guest.turn.answering != Answering::Result {
        return Err(Error::InvalidArgument("the answer of this turn is put off already".to_owned()));
    }
    full(guest).map_err(Error::ResourceExhausted)?;
    let mut random = [0; 16];
    guest.node.entropy(&mut random);
    let token = hex::encode(random);
    let promise = Promise::of(message);
    promised(guest, token.clone(), promise);
    Ok(token)
}

/// An error if no further answer may be put off.
fn full(guest: &Guest) -> Result<(), String> {
    let limit = guest.about.limits.outstanding_calls;
    match guest.about.promised.lock().len() >= limit as usize {
        true => Err(format!("outstanding-calls = {limit}")),
        false => Ok(()),
    }
}

fn promised(guest: &mut Guest, token: String, promise: Promise) {
    if guest.recorder.recording() {
        guest.put(Table::TOKENS, &promise::key(&guest.about.id, &token), &promise.encode());
    }
    guest.stage(Staged::Promise(token.clone(), promise));
    guest.turn.answering = Answering::Token(token);
}

/// The id of the call in hand, as long as nobody has answered it nor put it off.
pub(crate) fn call_in_hand(guest: &Guest) -> Option<String> {
    let message = guest.turn.message.as_ref()?;
    // What the runtime asks is answered by the turn itself.
    let asked = message.kind == MessageKind::Call && !message.message_type.starts_with("troupe:");
    let open = asked && guest.turn.answering == Answering::Result;
    open.then(|| message.id.to_string())
}

/// At the end of a turn: its call is answered later, by its id. A call beyond the limit is answered with that at once.
pub(crate) fn put_off(guest: &mut Guest) -> Result<(), CallError> {
    match call_in_hand(guest) {
        None => Ok(()),
        Some(_) => {
            full(guest).map_err(CallError::Exhausted)?;
            put_off_as(guest);
            Ok(())
        }
    }
}

/// Puts the answer of the call in hand off, by its id.
pub(crate) fn put_off_as(guest: &mut Guest) {
    if let (Some(id), Some(message)) = (call_in_hand(guest), guest.turn.message.clone()) {
        promised(guest, id, Promise::of(&message));
    }
}

pub(super) fn reply(guest: &mut Guest, token: String, answer: Result<Vec<u8>, String>) -> Result<(), Error> {
    if guest.keep_promise(&token, answer.map_err(CallError::Refused)) {
        Ok(())
    } else {
        Err(Error::NotFound(format!("reply token {token}")))
    }
}

pub(super) fn forward(guest: &mut Guest, to: &str) -> Result<(), Error> {
    let Some(message) = guest.turn.message.clone() else {
        return Err(Error::InvalidArgument("there is no message to hand on".to_owned()));
    };
    let to = receiver(guest, to)?;
    if guest.turn.answering != Answering::Result {
        return Err(Error::InvalidArgument("the answer of this turn is put off or handed on already".to_owned()));
    }
    if message.key.is_some() {
        return Err(Error::InvalidArgument(
            "a call with an idempotency key is answered by the actor that it was sent to: request, then answer"
                .to_owned(),
        ));
    }
    if let Some(asker) = &message.asker {
        let circle = guest.node.shared().asks.circle(&asker.wait.actor, &to);
        circle.map_err(|actors| Error::Cycle(actors.iter().map(ToString::to_string).collect()))?;
    }
    let asker = message.asker.as_ref().map(|asker| asker.wait.actor.clone());
    guest.forward(message, &to)?;
    if let Some(asker) = asker {
        guest.stage_service(Redirected { node: guest.node.clone(), asker, to });
    }
    guest.turn.answering = Answering::Forward;
    Ok(())
}

/// Who waits for the answer to what was handed on waits for another.
struct Redirected {
    node: Arc<dyn Services>,
    asker: ActorId,
    to: ActorId,
}

impl Staging for Redirected {
    fn commit(self: Box<Self>, _: &Committed<'_>) {
        self.node.shared().asks.redirect(&self.asker, &self.to);
    }
}
