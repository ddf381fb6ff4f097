//! Queues: each message to one consumer, at least once.
//!
//! Promises: a message is in exactly one place: available, put off (a delay or a delivery that has time left), held for a wait that it
//! was given to, or in the hands of one step; a step that does not commit gives it back to its place. Among available messages the first
//! that became available goes first, and waiters are served in the order in which they came. A queue is there while it has
//! messages or waiters, and costs nothing else.
//!
//! Layout: `queue` is one queue in memory, `change` what a step does to it until it is committed, `duty` what falls due,
//! `rows` the bytes of the table, `error` why something is refused.

mod change;
mod duty;
mod error;
mod queue;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use troupe_log::{ActorId, Batch, ByteCount, NodeTime, Table};

pub use self::change::Change;
pub use self::error::ChannelError;
use self::queue::{Fate, Queue};
use super::Party;
use super::waits::WaitId;
use crate::actor::message::{Gate, Message, MessageId, MessageKind};

/// What queues may use up, and how they deliver.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a delivery is its consumer's: a consumer that needs longer extends it.
    pub visibility: u64,
    /// The longest that a delivery may be extended to: a lost message comes back within a working day.
    pub max_visibility: u64,
    /// Deliveries of one message before it is a dead letter: as often as is usual elsewhere.
    pub max_tries: u32,
    /// Messages in one queue, whatever their state: they are kept in memory.
    pub max_messages: usize,
    /// Bytes in one queue, with [`OVERHEAD`] for each message.
    pub max_bytes: ByteCount,
    /// Queues of the node that have something in them.
    pub max_queues: usize,
    /// Bytes in all queues of the node.
    pub max_all_bytes: ByteCount,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            visibility: 30_000,
            max_visibility: 12 * 3_600_000,
            max_tries: 5,
            max_messages: 100_000,
            max_bytes: ByteCount(1 << 30),
            max_queues: 10_000,
            max_all_bytes: ByteCount(4 << 30),
        }
    }
}

/// Messages of one `send-many` or `receive-many`: one batch of the log holds them.
pub const MAX_MANY: usize = 1_000;
/// Bytes of one `receive-many`, but for the first message: they must fit into the receiver's memory and one step of its journal.
pub const MAX_RECEIVE: u64 = 4 << 20;
/// The longest name of a queue, in bytes: its dead letters are kept under `@queue.NAME`.
pub const MAX_NAME: usize = 56;
/// Headers of one message.
pub const MAX_HEADERS: usize = 256;
/// What a message takes beside its own bytes, roughly.
pub const OVERHEAD: u64 = 256;

/// A message to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// Its id, over all deliveries.
    pub id: MessageId,
    /// Who sent it.
    pub from: Arc<str>,
    /// The sender's own word for it, untouched.
    pub message_type: Arc<str>,
    /// The sender's bytes, untouched.
    pub payload: Arc<[u8]>,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Gone after this, unless a consumer has it.
    pub expires: Option<NodeTime>,
}

impl QueueMessage {
    /// Bytes of its changing parts.
    pub fn size(&self) -> u64 {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        (self.payload.len() + self.message_type.len() + headers) as u64
    }

    /// Bytes that it counts for in its queue.
    fn weight(&self) -> u64 {
        self.size() + OVERHEAD + 64 * self.headers.len() as u64
    }

    /// As a dead letter.
    fn letter(&self, attempt: u32) -> Message {
        Message {
            id: self.id,
            from: self.from.clone(),
            kind: MessageKind::Cast,
            message_type: self.message_type.clone(),
            payload: self.payload.clone(),
            headers: self.headers.clone(),
            deadline: None,
            trace: None,
            key: None,
            attempt,
            asker: None,
        }
    }
}

/// A message on its way into a queue.
#[derive(Clone, Debug)]
pub struct Sending {
    /// It.
    pub message: QueueMessage,
    /// Milliseconds until it is available.
    pub delay: u64,
}

/// A message in the hands of a consumer.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// It.
    pub message: Arc<QueueMessage>,
    /// Names this delivery alone.
    pub receipt: Receipt,
    /// 1 the first time.
    pub attempt: u32,
    /// What whoever has it depends on.
    pub gate: Gate,
}

/// The name of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    message: u128,
    delivery: u128,
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}-{:032x}", self.message, self.delivery)
    }
}

impl Receipt {
    /// Reads one; none if it was never one.
    pub fn parse(text: &str) -> Option<Receipt> {
        let (message, delivery) = text.split_once('-')?;
        let number = |text: &str| {
            let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            u128::from_str_radix(text, 16).ok().filter(|_| digits)
        };
        Some(Receipt { message: number(message)?, delivery: number(delivery)? })
    }
}

/// How many messages a queue has, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub queue: ActorId,
    /// All that are not acknowledged.
    pub depth: u64,
    /// Those that a consumer would get now.
    pub available: u64,
    /// Those that a consumer has.
    pub delivered: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many wait for a message.
    pub waiting: u64,
}

/// Who waits for messages.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// The wait.
    pub wait: WaitId,
    /// Whether it survives a crash.
    pub durable: bool,
    /// How many messages it takes at most.
    pub max: usize,
}

/// Who takes messages, and how.
pub struct Taking<'a> {
    /// Whose step it is.
    pub by: &'a ActorId,
    /// How many at most.
    pub max: usize,
    /// Milliseconds that they are theirs.
    pub visibility: u64,
    /// Node time now.
    pub now: NodeTime,
    /// Makes numbers of deliveries.
    pub party: &'a dyn Party,
}

/// All queues of a node.
#[derive(Default)]
pub struct Queues {
    settings: Settings,
    state: Mutex<State>,
    bell: OnceLock<Bell>,
}

/// Has [`Service::due`](super::Service::due) called soon.
type Bell = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    queues: HashMap<ActorId, Queue>,
    /// The queue of each wait for which somebody stands in line, or something is held.
    waits: HashMap<WaitId, ActorId>,
    bytes: u64,
    /// Numbers messages that become available in one moment.
    newest: u64,
}

impl State {
    fn number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// Forgets a queue that has nothing.
    fn tidy(&mut self, name: &ActorId) {
        if self.queues.get(name).is_some_and(Queue::is_idle) {
            self.queues.remove(name);
        }
    }
}

impl Queues {
    /// None yet, under these settings.
    pub fn with(settings: Settings) -> Queues {
        Queues { settings, ..Queues::default() }
    }

    /// What they may use up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who has [`Service::due`](super::Service::due) called when something came back into a queue that somebody waits for.
    pub(crate) fn ring_with(&self, bell: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(bell));
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            bell();
        }
    }

    fn change(self: &Arc<Self>, by: &ActorId, queue: &ActorId, now: NodeTime) -> Change {
        Change::new(self.clone(), by.clone(), queue.clone(), now)
    }

    /// Adds messages, all or none.
    pub fn send(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        messages: Vec<Sending>,
        now: NodeTime,
        batch: &mut Batch,
    ) -> Result<Change, ChannelError> {
        check_name(name)?;
        if messages.len() > MAX_MANY {
            return Err(ChannelError::exhausted("max-many", MAX_MANY));
        }
        if messages.iter().any(|sending| sending.message.headers.len() > MAX_HEADERS) {
            return Err(ChannelError::exhausted("max-headers", MAX_HEADERS));
        }
        let mut change = self.change(by, name, now);
        if messages.is_empty() {
            return Ok(change);
        }
        let weight: u64 = messages.iter().map(|sending| sending.message.weight()).sum();
        let mut state = self.state.lock();
        let state = &mut *state;
        let there = state.queues.get(name).map_or((0, 0), |queue| (queue.len(), queue.bytes()));
        self.check_room(state, name, there, messages.len(), weight)?;
        if let Some(queue) = state.queues.get(name)
            && let Some(twice) = messages.iter().find(|sending| queue.has(sending.message.id.0))
        {
            return Err(ChannelError::Invalid(format!("the message {} is in the queue already", twice.message.id)));
        }
        state.bytes += weight;
        for Sending { message, delay } in messages {
            let at = later(now, delay);
            let order = queue::Order { at, number: state.number() };
            batch.put_with(
                Table::QUEUES,
                |out| rows::put_key(out, name, message.id.0, rows::MESSAGE),
                |out| rows::put_message(out, &message, order),
            );
            change.touches(message.id.0);
            let queue = state.queues.entry(name.clone()).or_insert_with(|| Queue::new(self.settings.max_tries));
            queue.add(message, order, Some(by));
        }
        Ok(change)
    }

    fn check_room(
        &self,
        state: &State,
        name: &ActorId,
        (messages, bytes): (usize, u64),
        more: usize,
        weight: u64,
    ) -> Result<(), ChannelError> {
        let settings = &self.settings;
        if messages + more > settings.max_messages {
            return Err(ChannelError::exhausted("max-messages", settings.max_messages));
        }
        if bytes + weight > settings.max_bytes.0 {
            return Err(ChannelError::exhausted("max-bytes", settings.max_bytes));
        }
        if state.bytes + weight > settings.max_all_bytes.0 {
            return Err(ChannelError::exhausted("max-all-bytes", settings.max_all_bytes));
        }
        if !state.queues.contains_key(name) && state.queues.len() >= settings.max_queues {
            return Err(ChannelError::exhausted("max-queues", settings.max_queues));
        }
        Ok(())
    }

    /// Takes what is available; none if nothing is, or others wait for it already.
    pub fn take(
        self: &Arc<Self>,
        taking: &Taking<'_>,
        name: &ActorId,
        batch: &mut Batch,
    ) -> Option<(Change, Vec<Delivery>)> {
        let mut state = self.state.lock();
        let queue = state.queues.get(name)?;
        if queue.is_awaited() {
            return None;
        }
        let ids = queue.pick(taking.by, taking.max, taking.now);
        if ids.is_empty() {
            return None;
        }
        Some(self.deliver(&mut state, taking, name, ids, batch))
    }

    /// Takes what was held for a wait; none if nothing was.
    pub fn take_held(
        self: &Arc<Self>,
        taking: &Taking<'_>,
        wait: &WaitId,
        batch: &mut Batch,
    ) -> Option<(Change, Vec<Delivery>)> {
        let mut state = self.state.lock();
        let name = state.waits.remove(wait)?;
        let ids = state.queues.get_mut(&name)?.unhold(wait);
        if ids.is_empty() {
            return None;
        }
        Some(self.deliver(&mut state, taking, &name, ids, batch))
    }

    fn deliver(
        self: &Arc<Self>,
        state: &mut State,
        taking: &Taking<'_>,
        name: &ActorId,
        ids: Vec<u128>,
        batch: &mut Batch,
    ) -> (Change, Vec<Delivery>) {
        let mut change = self.change(taking.by, name, taking.now);
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            let number = state.number();
            let Some(queue) = state.queues.get_mut(name) else { break };
            let delivery = taking.party.message_id().0;
            let order = queue::Order { at: later(taking.now, taking.visibility), number };
            let taken = queue.stage(id, taking.by, Fate::Free, |standing| {
                standing.order = order;
                standing.attempt = standing.attempt.saturating_add(1);
                standing.delivery = Some(delivery);
            });
            let Some((message, standing, gate)) = taken else { continue };
            change.touches(id);
            rows::put_standing(batch, name, id, &standing);
            let receipt = Receipt { message: id, delivery };
            deliveries.push(Delivery { message, receipt, attempt: standing.attempt, gate });
        }
        (change, deliveries)
    }

    /// Stands in line, once the step is committed; served at once if something is there by then.
    pub fn await_turn(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        waiter: Waiter,
        now: NodeTime,
    ) -> Result<Change, ChannelError> {
        check_name(name)?;
        let state = self.state.lock();
        if !state.queues.contains_key(name) && state.queues.len() >= self.settings.max_queues {
            return Err(ChannelError::exhausted("max-queues", self.settings.max_queues));
        }
        drop(state);
        let mut change = self.change(by, name, now);
        change.registers(waiter);
        Ok(change)
    }

    /// After a restart stands in line again, unless something is held already.
    pub fn await_again(&self, name: &ActorId, waiter: Waiter) {
        let mut state = self.state.lock();
        if state.waits.contains_key(&waiter.wait) {
            return;
        }
        state.waits.insert(waiter.wait.clone(), name.clone());
        let max_tries = self.settings.max_tries;
        let queue = state.queues.entry(name.clone()).or_insert_with(|| Queue::new(max_tries));
        queue.line_up(waiter);
        drop(state);
        self.ring();
    }

    /// Removes a message that was delivered.
    pub fn ack(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        receipt: &str,
        now: NodeTime,
        batch: &mut Batch,
    ) -> Result<Change, ChannelError> {
        let mut state = self.state.lock();
        let (queue, id) = delivered(&mut state, by, name, receipt, now)?;
        queue.stage(id, by, Fate::Gone, |_| ());
        rows::delete(batch, name, id);
        let mut change = self.change(by, name, now);
        change.touches(id);
        Ok(change)
    }

    /// Removes a message that was delivered, and makes it a dead letter.
    pub fn bury(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        receipt: &str,
        party: &dyn Party,
        batch: &mut Batch,
    ) -> Result<Change, ChannelError> {
        let now = party.now();
        let mut state = self.state.lock();
        let (queue, id) = delivered(&mut state, by, name, receipt, now)?;
        let mut change = self.change(by, name, now);
        if let Some((message, standing, _)) = queue.stage(id, by, Fate::Gone, |_| ()) {
            rows::delete(batch, name, id);
            let why = format!("a consumer of the queue {name} gave it up");
            change.buries(party.dead_letter(batch, &owner(name), message.letter(standing.attempt), why));
        }
        change.touches(id);
        Ok(change)
    }

    /// From now on a delivery has so many milliseconds; with none it is over, and the message available.
    pub fn extend(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        receipt: &str,
        visibility: u64,
        now: NodeTime,
        batch: &mut Batch,
    ) -> Result<Change, ChannelError> {
        if visibility > self.settings.max_visibility {
            let most = self.settings.max_visibility;
            return Err(ChannelError::Invalid(format!("{visibility} ms are more than max-visibility = {most} ms")));
        }
        let mut state = self.state.lock();
        let number = state.number();
        let (queue, id) = delivered(&mut state, by, name, receipt, now)?;
        let order = queue::Order { at: later(now, visibility), number };
        let staged = queue.stage(id, by, Fate::Free, |standing| {
            standing.order = order;
            if visibility == 0 {
                standing.delivery = None;
            }
        });
        if let Some((_, standing, _)) = staged {
            rows::put_standing(batch, name, id, &standing);
        }
        let mut change = self.change(by, name, now);
        change.touches(id);
        Ok(change)
    }

    /// How many messages are not acknowledged, as the step of `by` sees it, and what that depends on.
    pub fn depth(&self, by: &ActorId, name: &ActorId) -> (u64, Gate) {
        let state = self.state.lock();
        state.queues.get(name).map_or((0, Gate::default()), |queue| (queue.depth(by), queue.gate()))
    }

    /// What one queue has.
    pub fn info(&self, name: &ActorId, now: NodeTime) -> QueueInfo {
        let state = self.state.lock();
        let idle = Queue::new(self.settings.max_tries);
        state.queues.get(name).unwrap_or(&idle).info(name, now)
    }

    /// All queues that have something in them, by name.
    pub fn list(&self, now: NodeTime) -> Vec<QueueInfo> {
        let state = self.state.lock();
        let mut infos: Vec<QueueInfo> = state.queues.iter().map(|(name, queue)| queue.info(name, now)).collect();
        drop(state);
        infos.sort_by(|a, b| a.queue.cmp(&b.queue));
        infos
    }
}

/// The queue of a delivery that has time left, and its message.
fn delivered<'s>(
    state: &'s mut State,
    by: &ActorId,
    name: &ActorId,
    receipt: &str,
    now: NodeTime,
) -> Result<(&'s mut Queue, u128), ChannelError> {
    let stale = || ChannelError::NotFound(format!("receipt {}", receipt.chars().take(80).collect::<String>()));
    let Receipt { message, delivery } = Receipt::parse(receipt).ok_or_else(stale)?;
    let queue = state.queues.get_mut(name).ok_or_else(stale)?;
    match queue.is_delivered(message, delivery, by, now) {
        true => Ok((queue, message)),
        false => Err(stale()),
    }
}

/// Under whose name the dead letters of a queue are kept.
pub fn owner(queue: &ActorId) -> ActorId {
    // A name that was checked is short enough; any other is shown as it is.
    ActorId::reserved(&format!("{}/@queue.{}", queue.namespace(), queue.name())).unwrap_or_else(|_| queue.clone())
}

/// The queue whose dead letters are kept under this name.
pub fn of_owner(owner: &ActorId) -> Option<ActorId> {
    let name = owner.name().strip_prefix("@queue.")?;
    ActorId::parse(&format!("{}/{name}", owner.namespace())).ok()
}

fn check_name(name: &ActorId) -> Result<(), ChannelError> {
    match name.name().len() > MAX_NAME {
        true => Err(ChannelError::Invalid(format!("the name of a queue has at most {MAX_NAME} bytes"))),
        false => Ok(()),
    }
}

fn later(now: NodeTime, millis: u64) -> NodeTime {
    NodeTime(now.0.saturating_add(millis.saturating_mul(1000)))
}
