//! The dead letters of a node's actors: shown, sent again, removed.
//!
//! Promises: what is shown is durable; a message that is sent again goes back into the inbox and out of the dead letters in one
//! batch, so it is in exactly one of them whatever happens; two that send the same one again, or remove it, get it once.

use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::{ActorId, Batch, Table};

use super::Node;
use crate::actor::cell::Cell;
use crate::actor::keys::{self, Looked, Standing};
use crate::actor::message::{CallError, Envelope, Gate, Message, MessageId, MessageKind};
use crate::boundary::inbox_key;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::service::deadletters::DeadLetter;
use crate::service::queues::{self, ChannelError};

impl Node {
    /// All dead letters, by actor, the oldest first.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let letters = self.core.dead.list();
        self.settled().await?;
        Ok(letters)
    }

    /// Those of one actor, which may be gone.
    pub async fn dead_letters_of(&self, actor: &ActorId) -> Result<Vec<DeadLetter>> {
        let letters = self.core.dead.of(actor);
        self.settled().await?;
        Ok(letters)
    }

    /// One of them.
    pub async fn dead_letter(&self, actor: &ActorId, message: MessageId) -> Result<DeadLetter> {
        let mine = self.dead_letters_of(actor).await?;
        let found = mine.into_iter().find(|letter| letter.message.id == message);
        found.ok_or_else(|| Error::NoDeadLetter { actor: actor.clone(), message })
    }

    /// Removes one. Returns once that is durable.
    pub async fn drop_dead_letter(&self, actor: &ActorId, message: MessageId) -> Result<()> {
        let core = &self.core;
        let letter = core.dead.take(actor, message);
        let letter = letter.ok_or_else(|| Error::NoDeadLetter { actor: actor.clone(), message })?;
        let mut batch = Batch::new();
        batch.delete(Table::DEADLETTERS, &letter.key());
        batch.stamp(core.clock.now(), core.clock.wall());
        if let Err(error) = core.store.append(&batch) {
            core.dead.add(letter);
            return Err(error.into());
        }
        self.settled().await
    }

    /// Puts one back into its actor's inbox, behind what waits there, as a first attempt with no deadline. Nobody waits for its
    /// answer. One of a queue goes back into the queue, as if it were sent now. Returns once its acceptance survives a crash. Who sent it under an idempotency key that has a fault as its
    /// answer goes on getting that; a key that was used again since refuses it.
    pub async fn resend(&self, actor: &ActorId, message: MessageId) -> Result<(), CallError> {
        let core = &self.core;
        if let Some(queue) = queues::of_owner(actor) {
            return self.requeue(&queue, actor, message).await;
        }
        let cell = core.cell(actor).ok_or_else(|| CallError::NotFound(actor.to_string()))?;
        let Some(letter) = core.dead.take(actor, message) else {
            return Err(CallError::Invalid(format!("{actor} has no dead letter {message} any more")));
        };
        match self.send_again(&cell, &letter) {
            Ok(gate) => core.open(gate).await,
            Err(error) => {
                core.dead.add(letter);
                Err(error)
            }
        }
    }

    async fn requeue(&self, queue: &ActorId, owner: &ActorId, message: MessageId) -> Result<(), CallError> {
        let core = &self.core;
        let Some(letter) = core.dead.take(owner, message) else {
            return Err(CallError::Invalid(format!("{owner} has no dead letter {message} any more")));
        };
        let sent = self.enqueue_letter(queue, &letter);
        match sent {
            Ok(gate) => core.open(gate).await,
            Err(error) => {
                core.dead.add(letter);
                Err(match error {
                    ChannelError::Exhausted(limit) => {
                        CallError::Exhausted(format!("the queue {queue} is full: {limit}"))
                    }
                    error => CallError::Unavailable(error.to_string()),
                })
            }
        }
    }

    fn send_again(&self, cell: &Arc<Cell>, letter: &DeadLetter) -> Result<Gate, CallError> {
        let core = &self.core;
        let about = cell.life.lock().about.clone();
        let mut message = Message { attempt: 1, deadline: None, asker: None, ..(*letter.message).clone() };
        let recorded = core.accepts(cell, message.size())?;
        let mut batch = Batch::new();
        batch.delete(Table::DEADLETTERS, &letter.key());
        let name = message.key.clone().map(|key| (message.from.clone(), key));
        let mut claimed = None;
        if let Some(name) = name {
            let mut known = about.keys.lock();
            match known.standing(&name, core.clock.wall()) {
                Standing::Unknown => {
                    let (nobody, _) = oneshot::channel();
                    let fingerprint = message.fingerprint();
                    let looked = known.look(&name, fingerprint, nobody, core.clock.wall(), about.limits.max_keys)?;
                    debug_assert!(matches!(looked, Looked::New(_)));
                    batch.put(Table::KEYS, &keys::table_key(&cell.id, &name), &keys::pending_value(&fingerprint));
                    claimed = Some(name);
                }
                // The answer to the key is that fault.
                Standing::Faulted => message.key = None,
                Standing::Used => {
                    return Err(CallError::Invalid(format!(
                        "the idempotency key `{}` of {} was used again since: its sender has sent the message anew",
                        name.1, message.id
                    )));
                }
            }
        }
        let info = message.kind == MessageKind::Info;
        let refused = |error: CallError| {
            if let Some(name) = &claimed {
                about.keys.lock().free(name, &error, Gate::default());
            }
            error
        };
        cell.mailbox.reserve(info).map_err(|full| refused(core.refused(cell, full)))?;
        let arrival = recorded.then(|| core.next_arrival());
        if let Some(arrival) = arrival {
            let mut value = Vec::with_capacity(160 + message.payload.len());
            message.encode(&mut value);
            batch.put(Table::INBOX, &inbox_key(&cell.id, arrival), &value);
        }
        batch.stamp(core.clock.now(), core.clock.wall());
        let position = match core.store.append(&batch) {
            Ok(position) => position,
            Err(error) => {
                cell.mailbox.release(info);
                if !matches!(error, troupe_log::Error::DiskFull { .. }) {
                    core.halt(&error.to_string());
                }
                return Err(refused(CallError::Unavailable(error.to_string())));
            }
        };
        let gate = match about.mode {
            Mode::Durable => Gate { durable: Some(position), written: None },
            Mode::Buffered => Gate { durable: None, written: Some(position) },
            Mode::Off => Gate::default(),
        };
        let envelope =
            Envelope { message: Arc::new(message), reply: None, arrival, seen: Gate::default(), client: None };
        let roused = cell.mailbox.fill(envelope);
        core.rouse(cell, roused, false);
        Ok(gate)
    }
}
