//! Queues: each message to one consumer, at least once, acknowledged.

use std::time::Duration;

use crate::{Result, bindings::channels as door};

pub use crate::bindings::channels::{Outgoing, SendOptions};

/// A message that was received and is not acknowledged yet.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The queue that it came from.
    pub queue: String,
    /// What it is: its id stays over redeliveries, so that one that was seen before is recognised.
    pub message: door::Delivery,
}

/// Puts a message into a queue, which is made at its first use. The message's id.
pub fn send(queue: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<String> {
    door::send_to_queue(queue, message_type, payload.as_ref())
}

/// The same with a delay, a time to live, or headers.
pub fn send_with(queue: &str, message_type: &str, payload: impl AsRef<[u8]>, options: &SendOptions) -> Result<String> {
    door::send_to_queue_with(queue, message_type, payload.as_ref(), options)
}

/// All of them or none.
pub fn send_many(queue: &str, messages: &[Outgoing]) -> Result<Vec<String>> {
    door::send_many(queue, messages)
}

/// Waits for a message: none when the time is over. It is this actor's until ack, nack or the visibility timeout.
pub fn receive(queue: &str, timeout: Option<Duration>) -> Result<Option<Delivery>> {
    let found = door::receive_from_queue(queue, timeout.map(crate::millis))?;
    Ok(found.map(|message| Delivery { queue: queue.to_string(), message }))
}

/// Waits for one, and takes up to `max` that are there.
pub fn receive_many(queue: &str, max: u32, timeout: Option<Duration>) -> Result<Vec<Delivery>> {
    let found = door::receive_many(queue, max, timeout.map(crate::millis))?;
    Ok(found.into_iter().map(|message| Delivery { queue: queue.to_string(), message }).collect())
}

/// How many messages wait.
pub fn depth(queue: &str) -> Result<u64> {
    door::queue_depth(queue)
}

impl Delivery {
    /// It is done.
    pub fn ack(self) -> Result<()> {
        door::ack(&self.queue, &self.message.receipt)
    }

    /// It is for somebody else, or for a later try.
    pub fn requeue(self) -> Result<()> {
        door::nack(&self.queue, &self.message.receipt, door::OnNack::Requeue)
    }

    /// It is for nobody.
    pub fn dead_letter(self) -> Result<()> {
        door::nack(&self.queue, &self.message.receipt, door::OnNack::DeadLetter)
    }

    /// More time, from now on.
    pub fn extend(&self, visibility: Duration) -> Result<()> {
        door::extend(&self.queue, &self.message.receipt, crate::millis(visibility))
    }
}
