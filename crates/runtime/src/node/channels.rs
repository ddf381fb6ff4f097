//! Queues and topics from outside: what a program without an actor sends, receives and publishes.
//!
//! Promises: what is said to be done is durable; a message that was received is the receiver's until it acknowledges it, gives it
//! back, or its time is over; one who goes away while it waits takes nothing with it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use troupe_log::{ActorId, Batch, ByteCount, Incarnation, NodeTime, Seq, Table};

use super::Node;
use super::core::Core;
use crate::actor::message::{CLIENT, Gate, MessageId};
use crate::boundary::{Services as _, Staging};
use crate::host::common::check_message;
use crate::manifest::edges::MAX_PAYLOAD;
use crate::service::Party;
use crate::service::deadletters::DeadLetter;
pub use crate::service::queues::{ChannelError, Delivery, MAX_MANY, QueueInfo};
use crate::service::queues::{QueueMessage, Sending, Taking, Waiter};
use crate::service::topics::Item;
use crate::service::waits::WaitId;

type Result<T> = std::result::Result<T, ChannelError>;

/// A message for a queue, or an item for a topic.
#[derive(Clone, Debug, Default)]
pub struct ForChannel {
    /// The sender's word for it.
    pub message_type: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// How long it is not available.
    pub delay: Duration,
    /// How long it is there, if nobody takes it.
    pub ttl: Option<Duration>,
}

impl ForChannel {
    /// One of this type with these bytes.
    pub fn new(message_type: impl Into<String>, payload: impl Into<Vec<u8>>) -> ForChannel {
        ForChannel { message_type: message_type.into(), payload: payload.into(), ..ForChannel::default() }
    }

    fn check(&self) -> Result<()> {
        check_message(&self.message_type, &self.headers).map_err(|_| {
            let message_type: String = self.message_type.chars().take(80).collect();
            ChannelError::Invalid(format!(
                "the message type `{message_type}` is empty or the runtime's own, or a header is"
            ))
        })?;
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let size = (self.payload.len() + self.message_type.len() + headers) as u64;
        match size > MAX_PAYLOAD.0 {
            true => Err(ChannelError::TooLarge { size, limit: MAX_PAYLOAD.0 }),
            false => Ok(()),
        }
    }
}

/// How a client receives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Receiving {
    /// How many at most; at least one.
    pub max: usize,
    /// How long it waits for the first; none waits for as long as the node is there.
    pub wait: Option<Duration>,
    /// How long they are the client's; none as it is set for queues.
    pub visibility: Option<Duration>,
}

impl Node {
    /// Adds messages to a queue, all or none. Gives their ids once they are durable.
    pub async fn send_to_queue(&self, queue: &ActorId, messages: Vec<ForChannel>) -> Result<Vec<MessageId>> {
        let core = &self.core;
        core.taking_channels()?;
        let total: u64 = messages.iter().map(|message| message.payload.len() as u64).sum();
        if total > MAX_AT_ONCE.0 {
            return Err(ChannelError::exhausted("max-at-once", MAX_AT_ONCE));
        }
        let now = core.clock.now();
        let mut sendings = Vec::with_capacity(messages.len().min(MAX_MANY));
        for message in messages {
            message.check()?;
            let ForChannel { message_type, payload, headers, delay, ttl } = message;
            let message = QueueMessage {
                id: Party::message_id(&**core),
                from: CLIENT.into(),
                message_type: message_type.into(),
                payload: payload.into(),
                headers,
                expires: ttl.map(|ttl| NodeTime(now.0.saturating_add(micros(ttl)))),
            };
            sendings.push(Sending { message, delay: micros(delay) / 1000 });
        }
        let ids = sendings.iter().map(|sending| sending.message.id).collect();
        let mut batch = Batch::new();
        let change = core.shared.queues.send(&self.somebody(), queue, sendings, now, &mut batch)?;
        core.do_now(batch, vec![Box::new(change)]).await?;
        Ok(ids)
    }

    /// Takes messages from a queue, as soon as there is one; none when the time is over. They are durably the client's.
    pub async fn receive_from_queue(&self, queue: &ActorId, receiving: Receiving) -> Result<Vec<Delivery>> {
        let core = &self.core;
        if core.is_closing() {
            return Err(closing());
        }
        let by = self.somebody();
        let settings = core.shared.queues.settings();
        let visibility = receiving.visibility.map_or(settings.visibility, |time| micros(time) / 1000);
        if visibility == 0 || visibility > settings.max_visibility {
            let most = settings.max_visibility;
            return Err(ChannelError::Invalid(format!(
                "a visibility of {visibility} ms; it has 1 to {most}, max-visibility"
            )));
        }
        let max = receiving.max.clamp(1, MAX_MANY);
        let taking = |now| Taking { by: &by, max, visibility, now, party: &**core };
        let mut batch = Batch::new();
        let now = core.clock.now();
        if let Some((change, deliveries)) = core.shared.queues.take(&taking(now), queue, &mut batch) {
            return core.received(batch, Box::new(change), deliveries).await;
        }
        let until = receiving.wait.map(|wait| NodeTime(now.0.saturating_add(micros(wait))));
        if until == Some(now) {
            return Ok(Vec::new());
        }
        let wait = WaitId { actor: by.clone(), incarnation: Incarnation(0), seq: Seq(0) };
        let waiting = Waiting { core, wait: wait.clone() };
        let waiter = Waiter { wait: wait.clone(), durable: false, max };
        let change = core.shared.queues.await_turn(&by, queue, waiter, now)?;
        Party::commit(&**core, Batch::new(), vec![Box::new(change)]).map_err(|error| core.log_failed(error))?;
        let served = tokio::select! {
            served = core.waits.wait(&wait, until) => served,
            () = core.closed() => return Err(closing()),
        };
        let taken = match served {
            Some(_) => {
                let mut batch = Batch::new();
                let taken = core.shared.queues.take_held(&taking(core.clock.now()), &wait, &mut batch);
                taken.map(|(change, deliveries)| (batch, change, deliveries))
            }
            None => None,
        };
        drop(waiting);
        match taken {
            Some((batch, change, deliveries)) => core.received(batch, Box::new(change), deliveries).await,
            None => Ok(Vec::new()),
        }
    }

    /// Removes a message that was received.
    pub async fn ack(&self, queue: &ActorId, receipt: &str) -> Result<()> {
        let (core, mut batch) = (&self.core, Batch::new());
        let change = core.shared.queues.ack(&self.somebody(), queue, receipt, core.clock.now(), &mut batch)?;
        core.do_now(batch, vec![Box::new(change)]).await
    }

    /// Gives a message that was received back at once, or makes it a dead letter.
    pub async fn nack(&self, queue: &ActorId, receipt: &str, dead: bool) -> Result<()> {
        if !dead {
            return self.extend(queue, receipt, Duration::ZERO).await;
        }
        let (core, mut batch) = (&self.core, Batch::new());
        let change = core.shared.queues.bury(&self.somebody(), queue, receipt, &**core, &mut batch)?;
        core.do_now(batch, vec![Box::new(change)]).await
    }

    /// A message that was received is the client's for so long from now on.
    pub async fn extend(&self, queue: &ActorId, receipt: &str, visibility: Duration) -> Result<()> {
        let (core, mut batch) = (&self.core, Batch::new());
        let (by, now, millis) = (self.somebody(), core.clock.now(), micros(visibility) / 1000);
        let change = core.shared.queues.extend(&by, queue, receipt, millis, now, &mut batch)?;
        core.do_now(batch, vec![Box::new(change)]).await
    }

    /// All queues that have something in them, by name.
    pub async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let infos = self.core.shared.queues.list(self.core.clock.now());
        self.settled().await.map_err(|error| ChannelError::Unavailable(error.to_string()))?;
        Ok(infos)
    }

    /// What one queue has; nothing if it is not there.
    pub async fn queue(&self, queue: &ActorId) -> Result<QueueInfo> {
        let info = self.core.shared.queues.info(queue, self.core.clock.now());
        self.settled().await.map_err(|error| ChannelError::Unavailable(error.to_string()))?;
        Ok(info)
    }

    /// Gives an item to all who have subscribed to the topic, or to none. Gives its id, and to how many, once that is durable.
    pub async fn publish(&self, topic: &ActorId, item: ForChannel) -> Result<(MessageId, usize)> {
        let core = &self.core;
        core.taking_channels()?;
        item.check()?;
        let item = Item {
            topic: topic.clone(),
            publisher: CLIENT.into(),
            message_type: item.message_type.into(),
            payload: item.payload.into(),
        };
        let published = core.shared.topics.publish(None, &item, &**core, 0)?;
        let subscribers = published.changes.len();
        core.do_now(published.batch, published.changes).await?;
        core.opened(published.gate).await?;
        Ok((published.id, subscribers))
    }

    /// Puts a dead letter of a queue back into it, in one batch.
    pub(super) fn enqueue_letter(&self, queue: &ActorId, letter: &DeadLetter) -> Result<Gate> {
        let core = &self.core;
        core.taking_channels()?;
        let message = QueueMessage {
            id: letter.message.id,
            from: letter.message.from.clone(),
            message_type: letter.message.message_type.clone(),
            payload: letter.message.payload.clone(),
            headers: letter.message.headers.clone(),
            expires: None,
        };
        let mut batch = Batch::new();
        batch.delete(Table::DEADLETTERS, &letter.key());
        let sending = vec![Sending { message, delay: 0 }];
        let now = core.clock.now();
        let change = core.shared.queues.send(&self.somebody(), queue, sending, now, &mut batch)?;
        Party::commit(&**core, batch, vec![Box::new(change)]).map_err(|error| core.log_failed(error))
    }

    /// Stands for the step of one request of a client.
    fn somebody(&self) -> ActorId {
        let number = self.core.clients.fetch_add(1, Relaxed);
        ActorId::reserved(&format!("@client/{number}")).unwrap_or_else(|_| unreachable!("digits are allowed"))
    }
}

/// Bytes that a client sends at once: one batch of the log holds them.
const MAX_AT_ONCE: ByteCount = ByteCount(256 << 20);

impl Core {
    /// An error if the node takes nothing more.
    fn taking_channels(&self) -> Result<()> {
        if self.is_closing() {
            return Err(closing());
        }
        self.store.accepting().map_err(|error| self.log_failed(error))
    }

    /// Commits and waits until that is durable.
    async fn do_now(&self, batch: Batch, changes: Vec<Box<dyn Staging>>) -> Result<()> {
        let gate = Party::commit(self, batch, changes).map_err(|error| self.log_failed(error))?;
        self.opened(gate).await
    }

    async fn received(
        &self,
        batch: Batch,
        change: Box<dyn Staging>,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>> {
        self.do_now(batch, vec![change]).await?;
        for delivery in &deliveries {
            self.opened(delivery.gate).await?;
        }
        Ok(deliveries)
    }

    /// A log that failed for another reason than a full disk stops the node.
    fn log_failed(&self, error: troupe_log::Error) -> ChannelError {
        if matches!(error, troupe_log::Error::DiskFull { .. }) {
            return ChannelError::Exhausted(error.to_string());
        }
        if !self.is_closing() {
            self.halt(&error.to_string());
        }
        ChannelError::Unavailable(error.to_string())
    }

    async fn opened(&self, gate: Gate) -> Result<()> {
        Ok(self.open(gate).await?)
    }
}

fn closing() -> ChannelError {
    ChannelError::Unavailable("the node is closing".to_owned())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A client that waits. When it goes, nobody stands in line for it, and what was held for it is everybody's.
struct Waiting<'a> {
    core: &'a Arc<Core>,
    wait: WaitId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.core.shared().withdraw(&self.wait);
        self.core.waits.forget_one(&self.wait);
    }
}
