//! What services and the API commit by themselves, outside of any guest's step.

use std::sync::Arc;

use troupe_log::{ActorId, Batch, NodeTime, Table, WallTime};

use super::core::Core;
use crate::actor::cell::Status;
use crate::actor::keys;
use crate::actor::message::{Asker, CallError, Envelope, Gate, Message, MessageId, MessageKind};
use crate::boundary::{Committed, Reserved, Services, Staging, put_inbox_key};
use crate::service::bonds::{Stop, Stopping};
use crate::service::deadletters::{DeadLetter, DeadLetters};
use crate::service::{Info, Party, Which};

impl Party for Core {
    fn now(&self) -> NodeTime {
        self.clock.now()
    }

    fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    fn commit(&self, mut batch: Batch, mut changes: Vec<Box<dyn Staging>>) -> Result<Gate, troupe_log::Error> {
        let alone = self.shared.committing();
        for change in &mut changes {
            change.prepare(&mut batch);
        }
        let mut gate = Gate::default();
        if !batch.is_empty() {
            batch.stamp(self.clock.now(), self.clock.wall());
            let position = self.store.append(&batch)?;
            gate.durable = Some(position);
        }
        for change in changes {
            change.commit(&Committed { gate, waits: &self.waits, timers: &self.timers });
        }
        drop(alone);
        Ok(gate)
    }

    fn info(&self, batch: &mut Batch, to: &ActorId, info: Info) -> Result<Box<dyn Staging>, CallError> {
        let Info { from, message_type, payload, headers, seen } = info;
        let message = Message {
            id: Services::message_id(self),
            from,
            kind: MessageKind::Info,
            message_type,
            payload,
            headers,
            deadline: None,
            trace: None,
            key: None,
            attempt: 1,
            asker: None,
        };
        let reserved = self.reserve(to, message.size(), true)?;
        if reserved.recorded() {
            let arrival = reserved.arrival();
            batch.put_with(Table::INBOX, |out| put_inbox_key(out, to, arrival), |out| message.encode(out));
        }
        Ok(Box::new(Delivery { reserved, message: Arc::new(message), seen }))
    }

    fn dead_letter(&self, batch: &mut Batch, owner: &ActorId, message: Message, why: String) -> Box<dyn Staging> {
        let letter = DeadLetter { actor: owner.clone(), message: Arc::new(message), why };
        let surplus = self.dead.surplus(owner, 1, 0);
        for letter in &surplus {
            batch.delete(Table::DEADLETTERS, &letter.key());
        }
        batch.put(Table::DEADLETTERS, &letter.key(), &letter.encode());
        Box::new(Burying { dead: self.dead.clone(), letter, surplus })
    }

    fn stopping(&self, actor: &ActorId, stop: Stop) -> Option<Box<dyn Staging>> {
        let node = self.me()?;
        Some(Box::new(Stopping { node, actor: actor.clone(), stop, born: false, over: false }))
    }

    fn message_id(&self) -> MessageId {
        Services::message_id(self)
    }

    fn alive(&self, actor: &ActorId) -> bool {
        self.cell(actor).is_some_and(|cell| {
            let life = cell.life.lock();
            !life.ending && !matches!(life.status, Status::Stopped(_))
        })
    }
}

impl Core {
    /// Answers an actor that waits, in a batch of its own.
    pub(crate) fn answer(&self, asker: Asker, result: &Result<Vec<u8>, CallError>, gate: Gate) {
        let Some(node) = self.me() else { return };
        let mut completion = vec![Which::Asks as u8];
        keys::encode_result(result, &mut completion);
        let late = Late { node, asker, completion, seen: gate };
        if let Err(error) = self.commit(Batch::new(), vec![Box::new(late)]) {
            self.halt(&error.to_string());
        }
    }
}

/// An answer to an actor that waits.
struct Late {
    node: Arc<Core>,
    asker: Asker,
    completion: Vec<u8>,
    seen: Gate,
}

impl Staging for Late {
    fn prepare(&mut self, batch: &mut Batch) {
        let (shared, wait) = (&self.node.shared, &self.asker.wait);
        if !shared.asks.take(wait) && !shared.resuming(&wait.actor) {
            self.completion.clear();
        } else if self.asker.durable {
            batch.put(Table::COMPLETIONS, &wait.key(), &self.completion);
        }
    }

    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        if !self.completion.is_empty() {
            committed.waits.complete(self.asker.wait, self.completion, self.seen.and(committed.gate));
        }
    }
}

/// An info on its way.
struct Delivery {
    reserved: Box<dyn Reserved>,
    message: Arc<Message>,
    seen: Gate,
}

impl Staging for Delivery {
    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        let Delivery { reserved, message, seen } = *self;
        let arrival = reserved.recorded().then(|| reserved.arrival());
        reserved
            .deliver(Envelope { message, reply: None, arrival, seen: seen.and(committed.gate), client: None }, false);
    }
}

struct Burying {
    dead: Arc<DeadLetters>,
    letter: DeadLetter,
    surplus: Vec<DeadLetter>,
}

impl Staging for Burying {
    fn commit(self: Box<Self>, _: &Committed<'_>) {
        for letter in &self.surplus {
            self.dead.take(&letter.actor, letter.message.id);
        }
        self.dead.add(self.letter);
    }
}
