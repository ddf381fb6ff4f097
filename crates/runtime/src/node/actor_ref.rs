//! Sending to an actor from outside of actors: calls, casts, and what happens before a message stands in a mailbox.
//!
//! Promises: a message is in the mailbox if and only if its acceptance is in the log (where its receiver has a journal); a
//! repeat under the same idempotency key gets the first answer; an answer leaves behind its gate.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::oneshot;
use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::core::Core;
use super::phases::{During, Phase};
use super::{Accepted, Outgoing};
use crate::actor::cell::Cell;
use crate::actor::keys::{self, Looked};
use crate::actor::message::{Answer, CLIENT, CallError, Envelope, Gate, Message, MessageId, MessageKind};
use crate::boundary::{Services, put_inbox_key};
use crate::manifest::Mode;
use crate::service::command::RUN;
use crate::service::http::streaming::Client;

/// An actor of a node, found once. It stays good over restarts, new lives and evictions; an actor without journal that has
/// ended is gone for it, also if another begins under its name.
#[derive(Clone)]
pub struct ActorRef {
    pub(super) core: Arc<Core>,
    cell: Arc<Cell>,
}

impl ActorRef {
    pub(super) fn new(core: Arc<Core>, cell: Arc<Cell>) -> ActorRef {
        ActorRef { core, cell }
    }

    /// Its id.
    pub fn id(&self) -> &ActorId {
        &self.cell.id
    }

    /// Calls it and waits for its answer.
    pub async fn call(&self, outgoing: Outgoing) -> Result<Vec<u8>, CallError> {
        let until = outgoing.timeout.map(|timeout| NodeTime(self.core.clock.now().0.saturating_add(micros(timeout))));
        let (reply, answer) = oneshot::channel();
        self.accept(MessageKind::Call, outgoing, Some(reply), None)?;
        let answer = match until {
            None => answer.await,
            Some(until) => {
                tokio::select! {
                    biased;
                    answer = answer => answer,
                    () = self.core.clock.sleep_until(until) => return Err(CallError::Timeout),
                }
            }
        };
        let Answer { result, gate } = answer.map_err(|_| {
            CallError::Unavailable(
                "the node ended before the actor answered; a repeat with the same idempotency key is safe".to_owned(),
            )
        })?;
        let _commit = During::new(self.core.watch.as_ref(), Phase::Commit);
        self.core.open(gate).await?;
        result
    }

    /// Sends it a message that nobody waits for. Returns once its acceptance survives a crash.
    pub async fn cast(&self, outgoing: Outgoing) -> Result<MessageId, CallError> {
        self.offer(outgoing)?.durable().await
    }

    /// Sends it a message that nobody waits for, without waiting for the disk.
    pub fn offer(&self, outgoing: Outgoing) -> Result<Accepted, CallError> {
        let (id, gate) = self.accept(MessageKind::Cast, outgoing, None, None)?;
        Ok(Accepted { id, gate, core: self.core.clone() })
    }

    // Inlined into the future of `call`, a call took 0.05 us more.
    #[inline(never)]
    pub(super) fn accept(
        &self,
        kind: MessageKind,
        outgoing: Outgoing,
        reply: Option<oneshot::Sender<Answer>>,
        client: Option<Box<Client>>,
    ) -> Result<(MessageId, Gate), CallError> {
        let (core, cell) = (&self.core, &self.cell);
        if outgoing.message_type.is_empty()
            || (outgoing.message_type.starts_with("troupe:") && &*outgoing.message_type != RUN)
        {
            let message_type = &outgoing.message_type;
            return Err(CallError::Invalid(format!("the message type `{message_type}` is empty or the runtime's own")));
        }
        let id = core.message_id();
        let Outgoing { message_type, payload, headers, timeout, key, trace } = outgoing;
        let deadline = timeout.map(|timeout| NodeTime(core.clock.now().0.saturating_add(micros(timeout))));
        let message = Message {
            id,
            from: a_client(),
            kind,
            message_type,
            payload,
            headers,
            deadline,
            trace,
            key: key.filter(|_| kind == MessageKind::Call),
            attempt: 1,
            asker: None,
        };
        let mut reply = reply;
        if let Some(key) = &message.key
            && let Some(to_caller) = reply.take()
        {
            // A repeat takes no room: it is answered however full the actor and the node are.
            core.reachable(cell)?;
            let about = cell.life.lock().about.clone();
            let name = (message.from.clone(), key.clone());
            let repeated = about.keys.lock().repeat(&name, message.fingerprint(), to_caller, core.clock.wall())?;
            match repeated {
                Looked::Repeat => return Ok((id, Gate::default())),
                Looked::New(to_caller) => reply = Some(to_caller),
            }
        }
        let recorded = core.accepts(cell, message.size())?;
        let mut batch = Batch::with_capacity(if recorded { 256 + message.size() } else { 0 });
        if let Some(key) = &message.key
            && let Some(to_caller) = reply.take()
        {
            let fingerprint = message.fingerprint();
            let name = (message.from.clone(), key.clone());
            let about = cell.life.lock().about.clone();
            let looked =
                about.keys.lock().look(&name, fingerprint, to_caller, core.clock.wall(), about.limits.max_keys)?;
            match looked {
                Looked::Repeat => return Ok((id, Gate::default())),
                Looked::New(to_caller) => {
                    reply = Some(to_caller);
                    batch.put(Table::KEYS, &keys::table_key(&cell.id, &name), &keys::pending_value(&fingerprint));
                }
            }
        }
        if !recorded {
            let seen = Gate::default();
            let envelope = Envelope { message: Arc::new(message), reply, arrival: None, seen, client };
            match cell.mailbox.offer(envelope) {
                Ok(roused) => core.rouse(cell, roused, kind == MessageKind::Call),
                Err((refused, envelope)) => {
                    let refused = core.refused(cell, refused);
                    withdraw(cell, &envelope.message, &refused);
                    return Err(refused);
                }
            }
            return Ok((id, Gate::default()));
        }
        if let Err(refused) = cell.mailbox.reserve(false) {
            let refused = core.refused(cell, refused);
            withdraw(cell, &message, &refused);
            return Err(refused);
        }
        let arrival = core.arrivals.fetch_add(1, Relaxed);
        batch.put_with(Table::INBOX, |out| put_inbox_key(out, &cell.id, arrival), |out| message.encode(out));
        if message.deadline.is_some() || message.key.is_some() {
            // What else is accepted is stamped by its turn.
            batch.stamp(core.clock.now(), core.clock.wall());
        }
        let position = match core.store.append(&batch) {
            Ok(position) => position,
            Err(error) => {
                cell.mailbox.release(false);
                let refused = CallError::Unavailable(error.to_string());
                withdraw(cell, &message, &refused);
                if !matches!(error, troupe_log::Error::DiskFull { .. }) {
                    core.halt(&error.to_string());
                }
                return Err(refused);
            }
        };
        let gate = match cell.life.lock().about.mode {
            Mode::Durable => Gate { durable: Some(position), written: None },
            Mode::Buffered => Gate { durable: None, written: Some(position) },
            Mode::Off => Gate::default(),
        };
        let seen = Gate::default();
        let envelope = Envelope { message: Arc::new(message), reply, arrival: Some(arrival), seen, client };
        let roused = cell.mailbox.fill(envelope);
        core.rouse(cell, roused, kind == MessageKind::Call);
        Ok((id, gate))
    }
}

/// A message was not accepted: its key is free.
fn withdraw(cell: &Cell, message: &Message, why: &CallError) {
    if let Some(key) = &message.key {
        let about = cell.life.lock().about.clone();
        about.keys.lock().free(&(message.from.clone(), key.clone()), why, Gate::default());
    }
}

fn a_client() -> Arc<str> {
    static CLIENT_NAME: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| CLIENT.into());
    CLIENT_NAME.clone()
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
