//! `troupe:actor/messaging`: the message in hand, sending, asking, answering later, timers that send.

pub(crate) mod later;
pub(super) mod request;
mod timers;

use std::sync::Arc;

use troupe_log::ActorId;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::common::{check_message, denied, room};
use super::types::{Error, Kind};
use crate::actor::message::{Message, MessageKind};
use crate::boundary::{Answering, Boundary, Effect, Extra, Guest};
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
type Done = (Result<(), Error>,);

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
            |guest: &mut Guest, (): ()| Ok((later::defer(guest),)),
        )?
        .func("reply", Effect::Node, |guest: &mut Guest, (token, answer): (String, Result<Vec<u8>, String>)| {
            Ok((later::reply(guest, token, answer),))
        })?
        .func_with(
            "forward",
            Effect::Node,
            Extra::default().replayed(|guest, _: &(String,), (done,): &Done| {
                if done.is_ok() {
                    guest.turn.answering = Answering::Handed;
                }
            }),
            |guest: &mut Guest, (to,): (String,)| Ok::<Done, _>((later::forward(guest, &to),)),
        )?
        .wait("request", request::WAIT)?
        .wait("request-with", request::WAIT_WITH)?
        .func("send-after", Effect::Node, |guest: &mut Guest, (delay, to, message_type, payload): timers::Params| {
            Ok::<(Result<u64, Error>,), _>((timers::send(guest, delay, false, &to, message_type, payload),))
        })?
        .func("send-every", Effect::Node, |guest: &mut Guest, (period, to, message_type, payload): timers::Params| {
            Ok::<(Result<u64, Error>,), _>((timers::send(guest, period, true, &to, message_type, payload),))
        })?
        .func("cancel-timer", Effect::Node, |guest: &mut Guest, (timer,): (u64,)| {
            Ok::<(Result<bool, Error>,), _>((Ok(timers::cancel(guest, timer)),))
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

pub(super) fn send(
    guest: &mut Guest,
    to: &str,
    message_type: String,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
) -> Result<String, Error> {
    check_message(&message_type, &headers)?;
    let to = receiver(guest, to)?;
    room(guest, payload.len())?;
    let id = guest.node.message_id();
    let message = Message {
        id,
        from: guest.about.id.shared(),
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

/// An actor that this one may send to. Itself it may, always.
pub(super) fn receiver(guest: &mut Guest, to: &str) -> Result<ActorId, Error> {
    if let Some((about, named, id)) = &guest.receiver
        && **named == *to
        && Arc::ptr_eq(about, &guest.about)
    {
        return Ok(id.clone());
    }
    let id = permitted(guest, to)?;
    guest.receiver = Some((guest.about.clone(), to.into(), id.clone()));
    Ok(id)
}

fn permitted(guest: &mut Guest, to: &str) -> Result<ActorId, Error> {
    let to = ActorId::parse(to).map_err(|error| Error::InvalidArgument(error.to_string()))?;
    let own = guest.about.id.namespace();
    if to == guest.about.id || guest.about.grants.messaging.as_ref().is_some_and(|grant| grant.allows(own, &to)) {
        return Ok(to);
    }
    let shown = if to.namespace() == own { to.name() } else { to.as_str() };
    let line = format!("[grants.messaging] to = [\"{shown}\"]");
    Err(denied(guest, "messaging", line))
}
