//! `troupe:actor/channels`: queues and topics.

use std::sync::Arc;

use troupe_log::{ActorId, NodeTime};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::common::{after, check_message, denied, name, permit, room};
use super::types::Error;
use crate::boundary::{Begun, Boundary, Committed, Effect, Guest, Staging, Wait};
use crate::manifest::{Channels, covers};
use crate::service::queues::{self, ChannelError, MAX_MANY, QueueMessage, Sending, Taking, Waiter};
use crate::service::topics::{Item, Pattern};
use crate::service::waits::{WaitId, Waited};
use crate::{recordable_enum, recordable_record};

/// `record send-options`.
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct SendOptions {
    /// Milliseconds until it is available.
    pub delay: Option<u64>,
    /// Milliseconds until it is gone.
    pub ttl: Option<u64>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}
recordable_record!(SendOptions { delay, ttl, headers });

/// `record outgoing`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Outgoing {
    /// The sender's word for it.
    #[component(name = "message-type")]
    pub message_type: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// When it is there.
    pub options: SendOptions,
}
recordable_record!(Outgoing { message_type, payload, options });

/// `record delivery`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Delivery {
    /// Stable over deliveries.
    pub id: String,
    /// Of this delivery alone.
    pub receipt: String,
    /// The sender's word for it.
    #[component(name = "message-type")]
    pub message_type: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// 1 the first time.
    pub attempt: u32,
}
recordable_record!(Delivery { id, receipt, message_type, payload, headers, attempt });

/// `enum on-nack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum OnNack {
    /// Available again, at once.
    #[component(name = "requeue")]
    Requeue,
    /// Never again.
    #[component(name = "dead-letter")]
    DeadLetter,
}
recordable_enum!(OnNack { Requeue, DeadLetter });

impl From<ChannelError> for Error {
    fn from(error: ChannelError) -> Error {
        match error {
            ChannelError::NotFound(what) => Error::NotFound(what),
            ChannelError::Exhausted(limit) => Error::ResourceExhausted(limit),
            ChannelError::Invalid(what) => Error::InvalidArgument(what),
            ChannelError::TooLarge { limit, .. } => Error::TooLarge(limit),
            ChannelError::Unavailable(why) => Error::Unavailable(why),
            ChannelError::Internal(why) => Error::Internal(why),
        }
    }
}

type Answer<T> = (Result<T, Error>,);
type Timeout = Option<u64>;

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/channels@0.1.0")?
        .func("send-to-queue", Effect::Node, |guest: &mut Guest, params: (String, String, Vec<u8>)| {
            let (queue, message_type, payload) = params;
            Ok::<Answer<String>, _>((send_one(guest, &queue, message_type, payload, SendOptions::default()),))
        })?
        .func("send-to-queue-with", Effect::Node, |guest: &mut Guest, params: SendWith| {
            let (queue, message_type, payload, options) = params;
            Ok::<Answer<String>, _>((send_one(guest, &queue, message_type, payload, options),))
        })?
        .func("send-many", Effect::Node, |guest: &mut Guest, (queue, messages): (String, Vec<Outgoing>)| {
            Ok((send_many(guest, &queue, messages),))
        })?
        .wait("receive-from-queue", Wait { begin: receive_begin, again: receive_again, end: receive_end })?
        .wait("receive-many", Wait { begin: many_begin, again: many_again, end: many_end })?
        .func("ack", Effect::Node, |guest: &mut Guest, (queue, receipt): (String, String)| {
            Ok((ack(guest, &queue, &receipt),))
        })?
        .func("nack", Effect::Node, |guest: &mut Guest, (queue, receipt, then): (String, String, OnNack)| {
            Ok((nack(guest, &queue, &receipt, then),))
        })?
        .func("extend", Effect::Node, |guest: &mut Guest, (queue, receipt, visibility): (String, String, u64)| {
            Ok((extend(guest, &queue, &receipt, visibility),))
        })?
        .func("queue-depth", Effect::Read, |guest: &mut Guest, (queue,): (String,)| Ok((depth(guest, &queue),)))?
        .func("publish-to-topic", Effect::Node, |guest: &mut Guest, params: (String, String, Vec<u8>)| {
            let (topic, message_type, payload) = params;
            Ok((publish(guest, &topic, message_type, payload),))
        })?
        .func("subscribe", Effect::Node, |guest: &mut Guest, (pattern,): (String,)| Ok((subscribe(guest, &pattern),)))?
        .func("unsubscribe", Effect::Node, |guest: &mut Guest, (id,): (u64,)| Ok((unsubscribe(guest, id),)))?;
    Ok(())
}

type SendWith = (String, String, Vec<u8>, SendOptions);

// ---- queues ----

fn to_send(guest: &mut Guest, queue: &str) -> Result<ActorId, Error> {
    let queue = name(guest, queue)?;
    permit(guest, &queue, ("channels", "send"), |grants| grants.channels.as_ref().map(|it: &Channels| &it.send[..]))?;
    Ok(queue)
}

fn to_receive(guest: &mut Guest, queue: &str) -> Result<ActorId, Error> {
    let queue = name(guest, queue)?;
    permit(guest, &queue, ("channels", "receive"), |grants| grants.channels.as_ref().map(|it| &it.receive[..]))?;
    Ok(queue)
}

fn send_one(
    guest: &mut Guest,
    queue: &str,
    message_type: String,
    payload: Vec<u8>,
    options: SendOptions,
) -> Result<String, Error> {
    let ids = send_many(guest, queue, vec![Outgoing { message_type, payload, options }])?;
    ids.into_iter().next().ok_or_else(|| Error::Internal("no id".to_owned()))
}

fn send_many(guest: &mut Guest, queue: &str, messages: Vec<Outgoing>) -> Result<Vec<String>, Error> {
    let queue = to_send(guest, queue)?;
    if messages.len() > MAX_MANY {
        return Err(ChannelError::exhausted("max-many", MAX_MANY).into());
    }
    let node = guest.node.clone();
    node.store().accepting().map_err(|error| Error::ResourceExhausted(error.to_string()))?;
    let (now, from): (NodeTime, Arc<str>) = (node.node_time(), guest.about.id.shared());
    let mut sendings = Vec::with_capacity(messages.len());
    let mut total = 0;
    for Outgoing { message_type, payload, options: SendOptions { delay, ttl, headers } } in messages {
        check_message(&message_type, &headers)?;
        let message = QueueMessage {
            id: node.message_id(),
            from: from.clone(),
            message_type: message_type.into(),
            payload: payload.into(),
            headers,
            expires: ttl.map(|ttl| NodeTime(now.0.saturating_add(ttl.saturating_mul(1000)))),
        };
        if message.size() > guest.about.limits.payload.0 {
            return Err(Error::TooLarge(guest.about.limits.payload.0));
        }
        total += message.size() as usize + 256;
        sendings.push(Sending { message, delay: delay.unwrap_or(0) });
    }
    room(guest, total)?;
    let ids = sendings.iter().map(|sending| sending.message.id.to_string()).collect();
    let by = guest.about.id.clone();
    let change = node.shared().queues.send(&by, &queue, sendings, now, guest.batch())?;
    guest.stage_service(change);
    Ok(ids)
}

type Receive = (String, Timeout);
type ReceiveMany = (String, u32, Timeout);

fn receive_begin(
    guest: &mut Guest,
    (queue, timeout): &Receive,
    id: &WaitId,
) -> wasmtime::Result<Begun<Answer<Option<Delivery>>>> {
    Ok(match begin(guest, queue, 1, *timeout, id) {
        Begun::Now(answer) => Begun::Now((answer.map(|deliveries| deliveries.into_iter().next()),)),
        Begun::Parked(until) => Begun::Parked(until),
    })
}

fn receive_again(guest: &mut Guest, (queue, _): &Receive, id: &WaitId) -> wasmtime::Result<()> {
    again(guest, queue, 1, id);
    Ok(())
}

fn receive_end(
    guest: &mut Guest,
    _: &Receive,
    id: &WaitId,
    waited: Waited,
) -> wasmtime::Result<Answer<Option<Delivery>>> {
    Ok((end(guest, 1, id, waited).map(|deliveries| deliveries.into_iter().next()),))
}

fn many_begin(
    guest: &mut Guest,
    (queue, max, timeout): &ReceiveMany,
    id: &WaitId,
) -> wasmtime::Result<Begun<Answer<Vec<Delivery>>>> {
    if *max == 0 {
        return Ok(Begun::Now((Err(Error::InvalidArgument("max is 0".to_owned())),)));
    }
    Ok(match begin(guest, queue, most(*max), *timeout, id) {
        Begun::Now(answer) => Begun::Now((answer,)),
        Begun::Parked(until) => Begun::Parked(until),
    })
}

fn many_again(guest: &mut Guest, (queue, max, _): &ReceiveMany, id: &WaitId) -> wasmtime::Result<()> {
    again(guest, queue, most(*max), id);
    Ok(())
}

fn many_end(
    guest: &mut Guest,
    (_, max, _): &ReceiveMany,
    id: &WaitId,
    waited: Waited,
) -> wasmtime::Result<Answer<Vec<Delivery>>> {
    Ok((end(guest, most(*max), id, waited),))
}

fn most(max: u32) -> usize {
    (max as usize).min(MAX_MANY)
}

fn begin(
    guest: &mut Guest,
    queue: &str,
    max: usize,
    timeout: Timeout,
    id: &WaitId,
) -> Begun<Result<Vec<Delivery>, Error>> {
    let queue = match to_receive(guest, queue) {
        Ok(queue) => queue,
        Err(error) => return Begun::Now(Err(error)),
    };
    let node = guest.node.clone();
    let queues = &node.shared().queues;
    let by = guest.about.id.clone();
    let taking = taking(&*node, &by, max);
    let taken = queues.take(&taking, &queue, guest.batch());
    if let Some((change, deliveries)) = taken {
        return Begun::Now(Ok(received(guest, change, deliveries)));
    }
    if timeout == Some(0) {
        return Begun::Now(Ok(Vec::new()));
    }
    let waiter = Waiter { wait: id.clone(), durable: guest.recorder.recording(), max };
    match queues.await_turn(&by, &queue, waiter, taking.now) {
        Ok(change) => guest.stage_service(change),
        Err(error) => return Begun::Now(Err(error.into())),
    }
    Begun::Parked(timeout.map(|timeout| after(guest, timeout)))
}

fn again(guest: &mut Guest, queue: &str, max: usize, id: &WaitId) {
    // It was a name when the wait began.
    if let Ok(queue) = name(guest, queue) {
        let waiter = Waiter { wait: id.clone(), durable: guest.recorder.recording(), max };
        guest.node.shared().queues.await_again(&queue, waiter);
    }
}

fn end(guest: &mut Guest, max: usize, id: &WaitId, waited: Waited) -> Result<Vec<Delivery>, Error> {
    match waited {
        Waited::TimedOut => return Ok(Vec::new()),
        Waited::DeadlineNear => return Err(Error::Timeout),
        Waited::Completed(_) => {}
    }
    let node = guest.node.clone();
    let by = guest.about.id.clone();
    let taken = node.shared().queues.take_held(&taking(&*node, &by, max), id, guest.batch());
    let Some((change, deliveries)) = taken else {
        return Err(Error::Internal("what the wait was given is gone".to_owned()));
    };
    Ok(received(guest, change, deliveries))
}

fn taking<'a>(node: &'a dyn crate::boundary::Services, by: &'a ActorId, max: usize) -> Taking<'a> {
    let visibility = node.shared().queues.settings().visibility;
    Taking { by, max, visibility, now: node.node_time(), party: node.party() }
}

fn received(guest: &mut Guest, change: queues::Change, deliveries: Vec<queues::Delivery>) -> Vec<Delivery> {
    guest.stage_service(change);
    let one = |delivery: queues::Delivery| {
        guest.saw(delivery.gate);
        Delivery {
            id: delivery.message.id.to_string(),
            receipt: delivery.receipt.to_string(),
            message_type: delivery.message.message_type.to_string(),
            payload: delivery.message.payload.to_vec(),
            headers: delivery.message.headers.clone(),
            attempt: delivery.attempt,
        }
    };
    deliveries.into_iter().map(one).collect()
}

fn ack(guest: &mut Guest, queue: &str, receipt: &str) -> Result<(), Error> {
    let queue = to_receive(guest, queue)?;
    room(guest, 256)?;
    let (node, by) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().queues.ack(&by, &queue, receipt, node.node_time(), guest.batch())?;
    guest.stage_service(change);
    Ok(())
}

fn nack(guest: &mut Guest, queue: &str, receipt: &str, then: OnNack) -> Result<(), Error> {
    if then == OnNack::Requeue {
        return extend(guest, queue, receipt, 0);
    }
    let queue = to_receive(guest, queue)?;
    // A letter holds its whole message.
    let most = guest.about.limits.payload.0 as usize;
    room(guest, most.saturating_add(1024))?;
    let (node, by) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().queues.bury(&by, &queue, receipt, node.party(), guest.batch())?;
    guest.stage_service(change);
    Ok(())
}

fn extend(guest: &mut Guest, queue: &str, receipt: &str, visibility: u64) -> Result<(), Error> {
    let queue = to_receive(guest, queue)?;
    room(guest, 256)?;
    let (node, by) = (guest.node.clone(), guest.about.id.clone());
    let queues = &node.shared().queues;
    let change = queues.extend(&by, &queue, receipt, visibility, node.node_time(), guest.batch())?;
    guest.stage_service(change);
    Ok(())
}

/// Whoever may send or receive may know how much there is.
fn depth(guest: &mut Guest, queue: &str) -> Result<u64, Error> {
    let queue = name(guest, queue)?;
    let own = guest.about.id.namespace();
    let sends = guest.about.grants.channels.as_ref().is_some_and(|grant| covers(&grant.send, own, &queue));
    if !sends {
        permit(guest, &queue, ("channels", "receive"), |grants| grants.channels.as_ref().map(|it| &it.receive[..]))?;
    }
    let (depth, gate) = guest.node.shared().queues.depth(&guest.about.id, &queue);
    guest.saw(gate);
    Ok(depth)
}

// ---- topics ----

fn publish(guest: &mut Guest, topic: &str, message_type: String, payload: Vec<u8>) -> Result<String, Error> {
    let topic = name(guest, topic)?;
    permit(guest, &topic, ("channels", "publish"), |grants| grants.channels.as_ref().map(|it| &it.publish[..]))?;
    check_message(&message_type, &[])?;
    let limit = guest.about.limits.payload.0;
    if (payload.len() + message_type.len()) as u64 > limit {
        return Err(Error::TooLarge(limit));
    }
    let (node, by) = (guest.node.clone(), guest.about.id.clone());
    let publisher = by.as_str().into();
    let item = Item { topic, publisher, message_type: message_type.into(), payload: payload.into() };
    let staged = guest.batch().bytes().len();
    let published = node.shared().topics.publish(Some(&by), &item, node.party(), staged)?;
    guest.batch().append(&published.batch);
    guest.saw(published.gate);
    guest.stage_service(Everybody(published.changes));
    Ok(published.id.to_string())
}

/// Inbox entries of one item.
struct Everybody(Vec<Box<dyn Staging>>);

impl Staging for Everybody {
    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        self.0.into_iter().for_each(|change| change.commit(committed));
    }
}

fn subscribe(guest: &mut Guest, pattern: &str) -> Result<u64, Error> {
    let own = guest.about.id.namespace();
    let pattern = Pattern::parse(pattern, own).map_err(Error::InvalidArgument)?;
    let granted = match (&guest.about.grants.channels, pattern.covering()) {
        (Some(grant), Some(all)) => covers(&grant.subscribe, own, &all),
        _ => false,
    };
    if !granted {
        let text = pattern.text().replace('>', "*");
        let shown = if pattern.namespace() == own { text } else { format!("{}/{text}", pattern.namespace()) };
        return Err(denied(guest, "channels", format!("[grants.channels] subscribe = [\"{shown}\"]")));
    }
    let (node, by, durable) = (guest.node.clone(), guest.about.id.clone(), guest.recorder.recording());
    let (id, change) = node.shared().topics.subscribe(&by, pattern, durable, guest.batch())?;
    guest.stage_service(change);
    Ok(id)
}

/// Needs no grant: what an actor has it may give up.
fn unsubscribe(guest: &mut Guest, id: u64) -> Result<(), Error> {
    let (node, by) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().topics.unsubscribe(&by, id, guest.batch())?;
    guest.stage_service(change);
    Ok(())
}
