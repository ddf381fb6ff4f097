//! `troupe:actor/messaging`: the message in hand, sending, and answering later.

use troupe_log::{ActorId, Table};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::common::check_message;
use super::types::{Error, Kind};
use crate::actor::message::{CallError, Message, MessageKind};
use crate::actor::promise::{self, Promise};
use crate::boundary::{Answering, Boundary, Effect, Extra, Guest, Staged};
use crate::recordable_record;

/// `record message`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Current {
    /// Its id.
    pub id: String,
    /// Its sender.
    #[component(name = "from")]
    pub from: String,
    /// Call, cast or info.
    pub kind: Kind,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Milliseconds until nobody wants it any more.
    #[component(name = "time-left")]
    pub time_left: Option<u64>,
    /// 1 the first time.
    pub attempt: u32,
}
recordable_record!(Current { id, from, kind, headers, time_left, attempt });

type Sent = (Result<String, Error>,);

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/messaging@0.1.0")?
        .func("self-id", Effect::Read, |guest: &mut Guest, (): ()| Ok((guest.about.id.to_string(),)))?
        .func("parent-id", Effect::Read, |guest: &mut Guest, (): ()| {
            Ok((guest.about.parent.as_ref().map(ToString::to_string),))
        })?
        .func("current", Effect::Read, |guest: &mut Guest, (): ()| Ok((current(guest),)))?
        .func(
            "send-message",
            Effect::Node,
            |guest: &mut Guest, (to, message_type, payload): (String, String, Vec<u8>)| {
                Ok::<Sent, _>((send(guest, &to, message_type, payload, Vec::new()),))
            },
        )?
        .func("send-with", Effect::Node, |guest: &mut Guest, params: SendWith| {
            let (to, message_type, payload, headers) = params;
            Ok::<Sent, _>((send(guest, &to, message_type, payload, headers),))
        })?
        .func_with(
            "defer-reply",
            Effect::Node,
            Extra::default().replayed(|guest, (), (token,): &Sent| {
                if let Ok(token) = token {
                    guest.turn.answering = Answering::Token(token.clone());
                }
            }),
            |guest: &mut Guest, (): ()| Ok((defer(guest),)),
        )?
        .func("reply", Effect::Node, |guest: &mut Guest, (token, answer): (String, Result<Vec<u8>, String>)| {
            Ok((reply(guest, token, answer),))
        })?;
    Ok(())
}

type SendWith = (String, String, Vec<u8>, Vec<(String, String)>);

fn current(guest: &Guest) -> Option<Current> {
    let message = guest.turn.message.as_ref()?;
    let now = guest.node.node_time();
    Some(Current {
        id: message.id.to_string(),
        from: message.from.to_string(),
        kind: message.kind.into(),
        headers: message.headers.clone(),
        time_left: message.deadline.map(|deadline| deadline.0.saturating_sub(now.0) / 1000),
        attempt: message.attempt,
    })
}

fn send(
    guest: &mut Guest,
    to: &str,
    message_type: String,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
) -> Result<String, Error> {
    check_message(&message_type, &headers)?;
    let to = ActorId::parse(to).map_err(|error| Error::InvalidArgument(error.to_string()))?;
    let own = guest.about.id.namespace();
    if !guest.about.grants.messaging.as_ref().is_some_and(|grant| grant.allows(own, &to)) {
        guest.recorder.deny("messaging");
        return Err(Error::NotPermitted(format!("[grants.messaging] to = [\"{}\"]", to.name())));
    }
    let id = guest.node.message_id();
    let message = Message {
        id,
        from: guest.about.id.as_str().into(),
        kind: MessageKind::Cast,
        message_type: message_type.into(),
        payload: payload.into(),
        headers,
        deadline: None,
        trace: guest.turn.message.as_ref().and_then(|message| message.trace.clone()),
        key: None,
        attempt: 1,
        asker: None,
    };
    guest.send(message, &to)?;
    Ok(id.to_string())
}

fn defer(guest: &mut Guest) -> Result<String, Error> {
    let Some(message) = &guest.turn.message else {
        return Err(Error::InvalidArgument("there is no call to answer".to_owned()));
    };
    if message.kind != MessageKind::Call {
        return Err(Error::InvalidArgument("only a call can be answered later".to_owned()));
    }
    if guest.turn.answering != Answering::Result {
        return Err(Error::InvalidArgument("the answer of this turn is put off already".to_owned()));
    }
    let outstanding = guest.about.promised.lock().len();
    if outstanding >= guest.about.limits.outstanding_calls as usize {
        let limit = guest.about.limits.outstanding_calls;
        return Err(Error::ResourceExhausted(format!("outstanding-calls = {limit}")));
    }
    let mut random = [0; 16];
    guest.node.entropy(&mut random);
    let token = hex::encode(random);
    let promise = Promise::of(message);
    if guest.recorder.recording() {
        guest.put(Table::TOKENS, &promise::key(&guest.about.id, &token), &promise.encode());
    }
    guest.stage(Staged::Promise(token.clone(), promise));
    guest.turn.answering = Answering::Token(token.clone());
    Ok(token)
}

fn reply(guest: &mut Guest, token: String, answer: Result<Vec<u8>, String>) -> Result<(), Error> {
    if guest.keep_promise(&token, answer.map_err(CallError::Refused)) {
        Ok(())
    } else {
        Err(Error::NotFound(format!("reply token {token}")))
    }
}
