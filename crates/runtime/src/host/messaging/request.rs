//! A call of another actor: a wait.
//!
//! The message in the other's inbox says who asks, and the wait is a record, so it survives a crash of either side. With an
//! idempotency key the other's table of keys says who waits for the first answer.

use troupe_log::NodeTime;
use troupe_log::codec::Reader;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::super::common::{after, check_message};
use super::super::types::Error;
use super::receiver;
use crate::actor::keys;
use crate::actor::message::{Asker, CallError, Message, MessageKind};
use crate::boundary::{Begun, Guest, Wait};
use crate::recordable_record;
use crate::service::waits::{WaitId, Waited};

/// `record request-options`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct RequestOptions {
    /// Milliseconds to wait at most.
    pub timeout: Option<u64>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Makes a repeat harmless.
    #[component(name = "idempotency-key")]
    pub idempotency_key: Option<String>,
}
recordable_record!(RequestOptions { timeout, headers, idempotency_key });

type Params = (String, String, Vec<u8>, Option<u64>);
type ParamsWith = (String, String, Vec<u8>, RequestOptions);
type Answer = (Result<Vec<u8>, Error>,);

/// One request.
pub(crate) struct Ask<'a> {
    /// Whom.
    pub to: &'a str,
    /// What.
    pub message_type: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// Milliseconds to wait at most.
    pub timeout: Option<u64>,
    /// Makes a repeat harmless.
    pub key: Option<&'a str>,
}

fn plain((to, message_type, payload, timeout): &Params) -> Ask<'_> {
    Ask { to, message_type, payload, headers: &[], timeout: *timeout, key: None }
}

fn with((to, message_type, payload, options): &ParamsWith) -> Ask<'_> {
    let RequestOptions { timeout, headers, idempotency_key } = options;
    Ask { to, message_type, payload, headers, timeout: *timeout, key: idempotency_key.as_deref() }
}

/// `request`.
pub(super) const WAIT: Wait<Params, Answer> = Wait {
    begin: |guest, params, id| Ok(begun(begin(guest, &plain(params), id))),
    again: |guest, params, id| again(guest, &plain(params), id),
    end: |guest, _, id, waited| Ok((end(guest, id, waited),)),
};

/// `request-with`.
pub(super) const WAIT_WITH: Wait<ParamsWith, Answer> = Wait {
    begin: |guest, params, id| Ok(begun(begin(guest, &with(params), id))),
    again: |guest, params, id| again(guest, &with(params), id),
    end: |guest, _, id, waited| Ok((end(guest, id, waited),)),
};

fn begun(begun: Result<Option<NodeTime>, Error>) -> Begun<Answer> {
    match begun {
        Ok(due) => Begun::Parked(due),
        Err(error) => Begun::Now((Err(error),)),
    }
}

/// Stages a request, whose answer completes the wait. Returns when its own time is over.
pub(crate) fn begin(guest: &mut Guest, ask: &Ask<'_>, id: &WaitId) -> Result<Option<NodeTime>, Error> {
    check_message(ask.message_type, ask.headers)?;
    if ask.timeout == Some(0) {
        return Err(Error::InvalidArgument("a timeout of 0 ms".to_owned()));
    }
    let to = receiver(guest, ask.to)?;
    ask_of(guest, ask, &to, id)
}

/// The same, of an actor that is known to be allowed.
pub(crate) fn ask_of(
    guest: &mut Guest,
    ask: &Ask<'_>,
    to: &troupe_log::ActorId,
    id: &WaitId,
) -> Result<Option<NodeTime>, Error> {
    let due = ask.timeout.map(|millis| after(guest, millis));
    let durable = guest.recorder.recording();
    let asker = Asker { wait: id.clone(), durable };
    let message = Message {
        id: guest.node.message_id(),
        from: guest.about.id.shared(),
        kind: MessageKind::Call,
        message_type: ask.message_type.into(),
        payload: ask.payload.into(),
        headers: ask.headers.to_vec(),
        deadline: [due, guest.turn.patience].into_iter().flatten().min(),
        trace: guest.turn.message.as_ref().and_then(|message| message.trace.clone()),
        key: ask.key.map(Into::into),
        attempt: 1,
        asker: Some(asker),
    };
    let node = guest.node.clone();
    let asks = &node.shared().asks;
    asks.ask(id, to).map_err(|actors| Error::Cycle(actors.iter().map(ToString::to_string).collect()))?;
    let sent = match message.key {
        None => guest.send(message, to),
        Some(_) => guest.send_keyed(message, to),
    };
    sent.map_err(|error| {
        asks.gone(id);
        Error::from(error)
    })?;
    Ok(due)
}

fn again(guest: &mut Guest, ask: &Ask<'_>, id: &WaitId) -> wasmtime::Result<()> {
    let Ok(to) = troupe_log::ActorId::parse(ask.to) else { return Ok(()) };
    wait_again(guest, &to, ask.key, id);
    Ok(())
}

/// After a restart: who waits for whom is known again. What was asked of an actor without journal is lost.
pub(crate) fn wait_again(guest: &mut Guest, to: &troupe_log::ActorId, key: Option<&str>, id: &WaitId) {
    let node = guest.node.clone();
    // A circle was found when it was closed.
    let _ = node.shared().asks.ask(id, to);
    let from = guest.about.id.shared();
    let asker = Asker { wait: id.clone(), durable: guest.recorder.recording() };
    node.ask_again(to, key.map(|key| (from, key.into())), asker);
}

/// The answer of a request.
pub(crate) fn end(guest: &Guest, id: &WaitId, waited: Waited) -> Result<Vec<u8>, Error> {
    guest.node.shared().asks.gone(id);
    let Waited::Completed(bytes) = waited else { return Err(Error::Timeout) };
    let mut input = Reader::new(bytes.get(1..).unwrap_or(&[]));
    match keys::decode_result(&mut input) {
        Ok(result) => result.map_err(Error::from),
        Err(error) => Err(Error::from(CallError::Internal(error.to_string()))),
    }
}
