//! A node that opens: what the tables of its log say is taken up, and what a crash cut goes on.
//!
//! Promises: nothing runs before every row was read; a row that cannot be read keeps the node from opening.

use std::sync::Arc;

use troupe_log::codec::Reader;
use troupe_log::{ActorId, Batch, Chain, Seq, Table};

use super::{Node, life};
use crate::actor::cell::{Cell, Status, Tip};
use crate::actor::config::{ActorEntry, Config};
use crate::actor::ending::EndCause;
use crate::actor::keys;
use crate::actor::message::{Envelope, Gate, Message};
use crate::actor::promise::{self, Promise};
use crate::boundary::{OPEN_TURNS, Services};
use crate::error::{Error, Result};
use crate::service::deadletters::DeadLetter;
use crate::service::timers::Timer;
use crate::service::waits::WaitId;
use crate::service::{End, Ended, Party, Service};

impl Node {
    /// Takes up what the log's tables say.
    pub(super) fn restore(&self, opened: &troupe_log::Opened) -> Result<()> {
        let core = &self.core;
        let corrupt = |what: &str| Error::Internal { what: format!("an entry of the table of {what} cannot be read") };
        let table = |table: Table| opened.tables.get(&table).into_iter().flatten();
        for (key, value) in table(Table::ACTORS) {
            let id = std::str::from_utf8(key).ok().and_then(|id| ActorId::reserved(id).ok());
            let (Some(id), Ok(entry)) = (id, ActorEntry::decode(value)) else { return Err(corrupt("actors")) };
            let config =
                Config::decode(&entry.config).map_err(|why| Error::Internal { what: format!("{id}: {why}") })?;
            let mut tip = Tip::START;
            if let Some(tail) = opened.actors.get(&id).filter(|tail| tail.incarnation == entry.incarnation) {
                tip = Tip {
                    chain: Chain { next: tail.next, head: tail.head },
                    tail: Some(tail.tail),
                    base: Seq(0),
                    bytes: tail.bytes,
                };
            }
            let life = life(&id, entry, config, tip);
            let stopped = matches!(life.status, Status::Stopped(_));
            let cell = Arc::new(Cell::new(id.clone(), life));
            if stopped {
                cell.mailbox.close();
            }
            core.actors.write().insert(id, cell);
        }
        for (key, value) in table(Table::BASES) {
            let id = std::str::from_utf8(key).ok().and_then(|id| ActorId::reserved(id).ok());
            let mut input = Reader::new(value);
            let (Some(id), Ok(incarnation), Ok(seq)) = (id, input.u32(), input.u64()) else {
                return Err(corrupt("bases"));
            };
            if let Some(cell) = core.cell(&id) {
                let mut life = cell.life.lock();
                if life.about.incarnation.0 == incarnation {
                    life.tip.base = Seq(seq);
                    // Before settings could change, an entry had none.
                    life.base_config = match input.rest() {
                        [] => Some(life.config.clone()),
                        config => Some(Arc::new(Config::decode(config).map_err(|_| corrupt("bases"))?)),
                    };
                }
            }
        }
        for (key, value) in table(Table::MOVES) {
            self.restore_move(key, value).ok_or_else(|| corrupt("moves"))?;
        }
        for (key, value) in table(Table::KEYS) {
            let Some((id, name)) = keys::from_table_key(key) else { return Err(corrupt("keys")) };
            if let Some(cell) = core.cell(&id) {
                let restored = cell.life.lock().about.keys.lock().restore(name, value);
                restored.map_err(|_| corrupt("keys"))?;
            }
        }
        for (key, value) in table(Table::TOKENS) {
            let (Some((id, token)), Ok(promise)) = (promise::from_key(key), Promise::decode(value)) else {
                return Err(corrupt("tokens"));
            };
            if let Some(cell) = core.cell(&id) {
                cell.life.lock().about.promised.lock().insert(token, promise);
            }
        }
        for (key, value) in table(Table::APPLICATIONS) {
            if !core.shared.applications.restore(key, value) {
                return Err(corrupt("applications"));
            }
        }
        self.take_up_applications()?;
        for (name, rows) in &opened.tables {
            let Some(service) = core.shared.of_table(*name) else { continue };
            if let Some((key, _)) = rows.iter().find(|(key, value)| !service.restore(key, value)) {
                return Err(corrupt(&format!("{name:?} (its key is {})", hex::encode(key))));
            }
        }
        let mut over = Batch::new();
        for (key, value) in table(Table::COMPLETIONS) {
            let Some(wait) = WaitId::from_key(key) else { return Err(corrupt("completions")) };
            let open =
                opened.tables.get(&OPEN_TURNS).is_some_and(|open| open.contains_key(wait.actor.as_str().as_bytes()));
            let cell = core.cell(&wait.actor).filter(|cell| cell.life.lock().about.incarnation == wait.incarnation);
            if !open || cell.is_none() {
                // Its turn, or its life, is over.
                over.delete(Table::COMPLETIONS, key);
                continue;
            }
            // An empty one is a timer's.
            let held = match value.first() {
                Some(number) => core.shared.numbered(*number).is_some_and(|service| service.hold(&wait, value)),
                None => true,
            };
            if held {
                core.waits.complete(wait, value.clone(), Gate::default());
            }
        }
        if !over.is_empty() {
            core.commit(over, Vec::new())?;
        }
        for (key, value) in table(Table::TIMERS) {
            core.timers.arm(Timer::decode(key, value).map_err(|_| corrupt("timers"))?);
        }
        for (key, value) in table(Table::DEADLETTERS) {
            core.dead.add(DeadLetter::decode(key, value).ok_or_else(|| corrupt("dead letters"))?);
        }
        for (key, value) in table(Table::INBOX) {
            let (Some((id, arrival)), Ok(message)) = (inbox_of(key), Message::decode(&mut Reader::new(value))) else {
                return Err(corrupt("inbox"));
            };
            if let Some(cell) = core.cell(&id) {
                let envelope = Envelope {
                    message: Arc::new(message),
                    reply: None,
                    arrival: Some(arrival),
                    seen: Gate::default(),
                    client: None,
                };
                cell.mailbox.restore(envelope);
            }
        }
        for (which, service) in core.shared.all() {
            if let Some(at) = service.next_due() {
                core.timers.wake(which, at);
            }
        }
        let mut resumed: Vec<Arc<Cell>> = Vec::new();
        for (key, value) in table(OPEN_TURNS) {
            let id = std::str::from_utf8(key).ok().and_then(|id| ActorId::reserved(id).ok());
            if let Some(cell) = id.and_then(|id| core.cell(&id))
                && cell.mailbox.claim()
            {
                cell.life.lock().ends = value.get(8).and_then(|number| EndCause::numbered(*number));
                resumed.push(cell);
            }
        }
        core.shared.resumes(resumed.iter().map(|cell| cell.id.clone()));
        for cell in resumed {
            core.schedule_resume(cell);
        }
        for (actor, reason) in core.shared.bonds.pending_stops() {
            Services::ask_stop(&**core, &actor, &reason);
        }
        for actor in core.shared.bonds.pending_restarts() {
            Services::ask_restart(&**core, &actor);
        }
        for actor in core.shared.bonds.actors().iter().filter(|actor| !core.alive(actor)) {
            // It had no journal: who is bound to it hears of its end now.
            let end = Ended { actor, how: End::Stopped, reason: "the node has started again, and it had no journal" };
            let mut batch = Batch::new();
            let told = core.shared.bonds.ended(&**core, &end, &mut batch);
            core.commit(batch, told)?;
        }
        for cell in core.actors.read().values() {
            let (unbegun, parent) = {
                let life = cell.life.lock();
                (life.tip.tail.is_none() && life.status == Status::Ready, life.entry.parent.clone())
            };
            if !matches!(cell.life.lock().status, Status::Stopped(_) | Status::Moved(_)) {
                core.count_child(parent.as_ref(), true);
            }
            if unbegun {
                // Its spawning was committed, and nothing else.
                if cell.mailbox.claim() {
                    core.schedule_birth(cell.clone());
                }
                continue;
            }
            let moved = matches!(cell.life.lock().status, Status::Moved(_));
            if !moved && cell.mailbox.wake() {
                core.schedule(cell.clone());
            }
        }
        Ok(())
    }
}

/// The actor and the number of an inbox entry's key.
pub(super) fn inbox_of(key: &[u8]) -> Option<(ActorId, u64)> {
    let (id, arrival) = key.split_last_chunk::<8>()?;
    let id = ActorId::reserved(std::str::from_utf8(id.strip_suffix(&[0])?).ok()?).ok()?;
    Some((id, u64::from_be_bytes(*arrival)))
}
