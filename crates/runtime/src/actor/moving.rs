//! An actor leaves its node, or comes to it: what goes with it, as an actor file.
//!
//! Promises: the step that makes it leave is one batch, and from there on it takes no message here, until it is imported again or an
//! operator takes the move back. What waits in its inbox goes with it; a call without an idempotency key whose caller is told here that it has moved (an
//! actor that waits inside a turn, or a client) is withdrawn in that batch instead, so that nothing is applied that was refused. What it has of this node's services ends, but for its timers and the rows that a service says go along.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::actor_file::{About, MoveId, Row, Writer};
use troupe_log::codec::{Reader, put_bytes, put_u8, put_u16, put_u32, put_u64};
use troupe_log::{ActorId, Chain, Digest, Incarnation, NodeTime, Seq, Table, WallTime};

use super::cell::{Cell, Status};
use super::change::base_entry;
use super::executor::Executor;
use super::keys;
use super::message::{Answer, CallError, Envelope, Gate, MessageKind};
use super::promise::{self, Promise};
use super::upgrade::Upgraded;
use crate::boundary::inbox_key;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::node::core::Core;
use crate::replay::blob_of;
use crate::service::End;
use crate::service::timers::Timer;

/// A wish that an actor leave, and who has it.
#[derive(Debug)]
pub struct Leave {
    /// Whether its components go along.
    pub components: bool,
    /// Hears of it. Dropped unused if the executor ended before.
    pub done: oneshot::Sender<Result<Left>>,
}

/// An actor that has left.
pub struct Left {
    /// The actor file.
    pub file: Vec<u8>,
    /// What it waits for before it may be handed out.
    pub gate: Gate,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Left({} bytes)", self.file.len())
    }
}

/// What stands in the table of moves of an actor that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its life.
    pub incarnation: Incarnation,
    /// The move.
    pub id: MoveId,
    /// When, in node time: deadlines in rows count from it.
    pub node_time: NodeTime,
    /// When.
    pub wall: WallTime,
    /// Rows of services and timers that go along.
    pub rows: Vec<Row>,
}

const VERSION: u8 = 1;
/// How long those who have reserved a place in the mailbox may take to fill it.
const PATIENCE: u64 = 10_000_000;
/// Between two looks at them. There is no event for a step that ends.
const BETWEEN: u64 = 1_000;

impl Moved {
    /// The key of an actor in the table of moves.
    pub fn key(actor: &ActorId) -> Vec<u8> {
        keyed(b'm', actor)
    }

    /// The actor of such a key.
    pub fn from_key(key: &[u8]) -> Option<ActorId> {
        of_key(b'm', key)
    }

    /// Its value in the table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        put_u8(&mut out, VERSION);
        put_u32(&mut out, self.incarnation.0);
        out.extend_from_slice(&self.id.0);
        put_u64(&mut out, self.node_time.0);
        put_u64(&mut out, self.wall.0);
        put_u32(&mut out, self.rows.len() as u32);
        for row in &self.rows {
            put_u16(&mut out, row.table.0);
            put_bytes(&mut out, &row.key);
            put_bytes(&mut out, &row.value);
        }
        out
    }

    /// Reads a value of the table.
    pub fn decode(value: &[u8]) -> Option<Moved> {
        let mut input = Reader::new(value);
        if input.u8().ok()? != VERSION {
            return None;
        }
        let (incarnation, id) = (Incarnation(input.u32().ok()?), MoveId(input.array().ok()?));
        let (node_time, wall) = (NodeTime(input.u64().ok()?), WallTime(input.u64().ok()?));
        let mut rows = Vec::new();
        for _ in 0..input.len(10).ok()? {
            let table = Table(input.u16().ok()?);
            let (key, value) = (input.bytes().ok()?.to_vec(), input.bytes().ok()?.to_vec());
            rows.push(Row { table, key, value });
        }
        input.finish().ok()?;
        Some(Moved { incarnation, id, node_time, wall, rows })
    }

    /// What is said of the actor.
    pub fn why(&self) -> String {
        format!("it has moved to another node, with the file of the move {}", self.id)
    }
}

/// The key of the row that names the move by which an actor came.
pub fn arrived_key(actor: &ActorId) -> Vec<u8> {
    keyed(b'i', actor)
}

/// The value of that row.
pub fn arrived_value(id: MoveId) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&id.0);
    value
}

/// The actor and the move of such a row; none if it is another, an error if it cannot be read.
pub fn arrived(key: &[u8], value: &[u8]) -> Option<Result<(ActorId, MoveId), ()>> {
    let actor = of_key(b'i', key)?;
    let id = value.strip_prefix(&[VERSION]).and_then(|id| id.try_into().ok());
    Some(id.map(|id| (actor, MoveId(id))).ok_or(()))
}

fn keyed(kind: u8, actor: &ActorId) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(actor.as_str().as_bytes());
    key
}

fn of_key(kind: u8, key: &[u8]) -> Option<ActorId> {
    ActorId::reserved(std::str::from_utf8(key.strip_prefix(&[kind])?).ok()?).ok()
}

/// Whether a call stays behind: its caller is told here that it is not applied.
fn withdrawn(envelope: &Envelope) -> bool {
    let message = &envelope.message;
    message.kind == MessageKind::Call && (message.asker.is_some() || message.key.is_none() && envelope.reply.is_some())
}

/// The actor file of an actor that takes no messages any more.
pub(crate) fn parcel(core: &Core, cell: &Cell, moved: &Moved, components: bool) -> Result<Vec<u8>> {
    let actor = &cell.id;
    let (entry, tip, base_config, upgraded, about) = {
        let life = cell.life.lock();
        (life.entry.clone(), life.tip, life.base_config.clone(), life.upgraded.clone(), life.about.clone())
    };
    let Some(tail) = tip.tail else {
        return Err(Error::NoMove { actor: actor.clone(), why: "it has no journal".to_owned() });
    };
    let mut file = Writer::new(&About {
        actor: actor.clone(),
        incarnation: about.incarnation,
        component: entry.component,
        start: Chain::START,
        end: tip.chain,
        from: core.store.node_id(),
        id: moved.id,
        node_time: moved.node_time,
        wall: moved.wall,
    });
    let mut blobs: Vec<Digest> = if components { vec![entry.component] } else { Vec::new() };
    let mut journal = core.store.journal(actor, about.incarnation, tail, Seq(0))?;
    while let Some((_, part)) = journal.next_part()? {
        for record in troupe_log::record::records(part).map_while(Result::ok) {
            if let Some(digest) = blob_of(&record, components)
                && !blobs.contains(&digest)
            {
                blobs.push(digest);
            }
        }
        file.records(part)?;
    }
    for digest in blobs {
        file.blob(&core.store.blob(&digest)?)?;
    }
    let mut row = |table, key, value| file.row(&Row { table, key, value });
    row(Table::ACTORS, actor.as_str().as_bytes().to_vec(), entry.encode())?;
    if tip.base.0 > 0
        && let Some(config) = &base_config
    {
        let value = base_entry(about.incarnation.0, tip.base.0, config);
        row(Table::BASES, actor.as_str().as_bytes().to_vec(), value)?;
    }
    if let Some(upgraded) = upgraded {
        row(Table::MOVES, Upgraded::key(actor), upgraded.encode())?;
    }
    let mut held = HashSet::new();
    for (message, arrival) in cell.mailbox.waiting(|envelope| !withdrawn(envelope)) {
        let mut value = Vec::with_capacity(message.size() + 64);
        message.encode(&mut value);
        row(Table::INBOX, inbox_key(actor, arrival), value)?;
        held.extend(message.name());
    }
    let promised = about.promised.lock();
    let mut tokens: Vec<_> = promised.iter().collect();
    tokens.sort_by_key(|(token, _)| *token);
    for (token, promise) in tokens {
        row(Table::TOKENS, promise::key(actor, token), without_asker(promise).encode())?;
        held.extend(promise.key.clone().map(|key| (promise.from.clone(), key)));
    }
    drop(promised);
    let mut known = about.keys.lock().rows();
    known.sort();
    for (name, value) in known {
        // One that waits for the answer of a call that stays, or was just refused, is free there.
        if !keys::is_pending(&value) || held.contains(&name) {
            row(Table::KEYS, keys::table_key(actor, &name), value)?;
        }
    }
    for Row { table, key, value } in &moved.rows {
        row(*table, key.clone(), value.clone())?;
    }
    Ok(file.finish()?)
}

fn without_asker(promise: &Promise) -> Promise {
    Promise {
        message: promise.message,
        from: promise.from.clone(),
        key: promise.key.clone(),
        deadline: promise.deadline,
        asker: None,
        reply: None,
    }
}

impl Executor {
    /// Between two turns. The file, and what it must wait for.
    pub(super) async fn leave_node(&mut self, components: bool) -> Result<Left> {
        self.ready()?;
        if self.cell.life.lock().config.mode == Mode::Off {
            let why = "its manifest says journal = \"off\": its state is nowhere but in memory";
            return Err(self.stays(why.to_owned()));
        }
        let component = self.cell.life.lock().entry.component;
        let saves = self.core.components.saves(component).await.unwrap_or(false);
        if saves && (self.since_base > 0 || self.live.is_none()) {
            // Recovery there then starts at it. Without, it plays the whole journal.
            let _ = self.make_base().await;
            self.ready()?;
        }
        self.give_up_instance();
        let now = self.core.clock.now();
        let mut id = [0; 16];
        self.core.entropy.fill(&mut id);
        // From here on nobody gets in.
        self.cell.life.lock().status = Status::Moved("it is leaving this node".to_owned());
        self.cell.mailbox.shut();
        // Disarmed, they do not fire here beside the file that has them.
        let kept = self.core.timers.kept(&self.cell.id).into_iter();
        let taken: Vec<Timer> = kept.filter_map(|timer| self.core.timers.take(&timer.name)).collect();
        let timers = taken.iter();
        let timers = timers.map(|timer| Row { table: Table::TIMERS, key: timer.name.key(), value: timer.encode() });
        let services = self.core.shared.all();
        let rows = services.into_iter().flat_map(|(_, service)| service.moves(&self.cell.id)).chain(timers).collect();
        let moved = Moved {
            incarnation: self.cell.life.lock().about.incarnation,
            id: MoveId(id),
            node_time: now,
            wall: self.core.clock.wall(),
            rows,
        };
        let packed = match self.all_in(now).await {
            Ok(()) => parcel(&self.core, &self.cell, &moved, components),
            Err(error) => Err(error),
        };
        match packed {
            Ok(file) => Ok(Left { file, gate: self.leaves(moved)? }),
            Err(error) => {
                self.cell.life.lock().status = Status::Ready;
                self.cell.mailbox.open_again();
                for timer in taken {
                    self.core.timers.arm(timer);
                }
                Err(error)
            }
        }
    }

    /// Waits for those who have reserved a place: what they fill it with goes along.
    async fn all_in(&mut self, since: NodeTime) -> Result<()> {
        while self.cell.mailbox.expects() {
            let now = self.core.clock.now();
            if self.core.is_closing() {
                return Err(Error::Closing);
            }
            if now.0.saturating_sub(since.0) > PATIENCE {
                return Err(
                    self.stays("another actor has been sending to it for 10 s in one step; try again".to_owned())
                );
            }
            self.core.clock.sleep_until(NodeTime(now.0 + BETWEEN)).await;
        }
        Ok(())
    }

    /// Commits that it has left.
    fn leaves(&mut self, moved: Moved) -> Result<Gate> {
        let actor = self.cell.id.clone();
        let error = Error::Moved { actor: actor.clone(), why: moved.why() };
        let heard = Err(CallError::Unavailable(error.to_string()));
        let mut guest = self.bodiless();
        let stay: Vec<Envelope> = self.cell.mailbox.take_where(withdrawn);
        for envelope in &stay {
            let message = &envelope.message;
            if let Some(arrival) = envelope.arrival {
                guest.delete(Table::INBOX, &inbox_key(&actor, arrival));
            }
            if let Some(name) = message.name() {
                guest.delete(Table::KEYS, &keys::table_key(&actor, &name));
            }
            guest.answer_asker(message.asker.as_ref(), &heard);
        }
        let about = guest.about.clone();
        for (token, promise) in &mut *about.promised.lock() {
            if let Some(asker) = promise.asker.take() {
                guest.answer_asker(Some(&asker), &heard);
                guest.put(Table::TOKENS, &promise::key(&actor, token), &promise.encode());
            }
        }
        guest.leave_services(End::Stopped, &moved.why());
        for row in moved.rows.iter().filter(|row| row.table == Table::TIMERS) {
            guest.delete(Table::TIMERS, &row.key);
        }
        guest.put(Table::MOVES, &Moved::key(&actor), &moved.encode());
        let cell = &*self.cell;
        // Whoever hears of it finds that it has moved.
        let committed = guest.commit_turn_then(|_| {
            let mut life = cell.life.lock();
            life.status = Status::Moved(moved.why());
            life.moved = Some(Arc::new(moved));
        });
        let gate = committed.map_err(|error| self.core.halted(&format!("{error:#}")))?;
        // Whatever its mode: a file that is out must not find the actor here again.
        let gate = Gate { durable: gate.durable.max(gate.written), written: None };
        self.core.count_child(cell.life.lock().entry.parent.as_ref(), false);
        let heard = CallError::Unavailable(error.to_string());
        for envelope in stay {
            if let Some(name) = envelope.message.name() {
                about.keys.lock().free(&name, &heard, gate);
            }
            if let Some(reply) = envelope.reply {
                let _ = reply.send(Answer { result: Err(heard.clone()), gate: envelope.seen.and(gate) });
            }
        }
        let there = format!("{error}; a repeat there with the same idempotency key is safe");
        self.cell.hang_up(&CallError::Unavailable(there));
        tracing::info!(%actor, "moved away");
        Ok(gate)
    }

    fn stays(&self, why: String) -> Error {
        Error::NoMove { actor: self.cell.id.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_moves_read_back_and_are_told_apart() {
        let actor = ActorId::parse("ns/a").unwrap();
        let rows = vec![Row { table: Table::TIMERS, key: vec![1], value: vec![2, 3] }];
        let (node_time, wall) = (NodeTime(5), WallTime(6));
        let moved = Moved { incarnation: Incarnation(1), id: MoveId([4; 16]), node_time, wall, rows };
        let mut value = moved.encode();
        assert_eq!(Moved::decode(&value), Some(moved));
        for cut in 0..value.len() {
            assert_eq!(Moved::decode(&value[..cut]), None, "{cut}");
        }
        value[0] = 2;
        assert_eq!(Moved::decode(&value), None);
        let keys = [Moved::key(&actor), arrived_key(&actor), Upgraded::key(&actor)];
        assert_eq!(keys.each_ref().map(|key| Moved::from_key(key).is_some()), [true, false, false]);
        assert_eq!(keys.each_ref().map(|key| arrived(key, &[]).is_some()), [false, true, false]);
        assert_eq!(keys.each_ref().map(|key| Upgraded::from_key(key).is_some()), [false, false, true]);
        let id = MoveId([9; 16]);
        assert_eq!(arrived(&arrived_key(&actor), &arrived_value(id)), Some(Ok((actor.clone(), id))));
        assert_eq!(arrived(&arrived_key(&actor), &[1, 2]), Some(Err(())));
    }
}
