//! Actors that leave for another node, and that come from one.
//!
//! An export ends the actor here in the batch that makes it leave; asked again it gives the same file again, so that a lost one costs
//! nothing. An import is one batch. Which of two nodes an actor lives on is the operator's to know: a file can be imported once on a node, and a move
//! can be taken back where it began, but nobody sees both nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use troupe_log::actor_file::{self, ActorFile, MoveId, Row};
use troupe_log::body::Genesis;
use troupe_log::codec::Reader;
use troupe_log::{ActorId, Batch, Chain, Incarnation, Kind, NodeTime, Position, Seq, Table};

use super::restoring::inbox_of;
use super::{Node, life};
use crate::actor::asked::Asked;
use crate::actor::cell::{Cell, Status, Tip};
use crate::actor::config::{ActorEntry, Config};
use crate::actor::keys::{self, Name};
use crate::actor::message::{Envelope, Gate, Message};
use crate::actor::moving::{Leave, Left, Moved, arrived, arrived_key, arrived_value, parcel};
use crate::actor::promise::{self, Promise};
use crate::actor::upgrade::Upgraded;
use crate::boundary::inbox_key;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::replay::blob_of;
use crate::service::timers::{self, Timer};

/// An actor that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The actor.
    pub id: ActorId,
    /// Its life, which goes on.
    pub incarnation: Incarnation,
    /// The number of its next record.
    pub next: Seq,
    /// Messages that came with it.
    pub waiting: usize,
}

impl Node {
    /// Has an actor leave this node between two of its turns: the bytes of its actor file, once it is durable that it has left. Asked again,
    /// the same file. `components` puts the components into it that its journal needs.
    pub async fn export_actor(&self, id: &ActorId, components: bool) -> Result<Vec<u8>> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let moved = cell.life.lock().moved.clone();
        if let Some(moved) = moved {
            self.settled().await?;
            return parcel(&self.core, &cell, &moved, components);
        }
        let left = self.asked(&cell, |done| Asked::Leave(Leave { components, done })).await?;
        let Left { file, gate } = left;
        gate.open(&*self.core.store).await?;
        Ok(file)
    }

    /// Takes a move back: the actor goes on here. Right only if its file was imported on no other node, which nobody can know but
    /// the operator.
    pub async fn abort_move(&self, id: &ActorId) -> Result<()> {
        let _alone = self.core.coming.lock().await;
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let Some(moved) = cell.life.lock().moved.clone() else {
            return Err(Error::NoMove {
                actor: id.clone(),
                why: "it has not moved, so that there is nothing to take back".to_owned(),
            });
        };
        cell.mailbox.ended().await;
        let mut batch = Batch::new();
        batch.stamp(self.core.clock.now(), self.core.clock.wall());
        batch.delete(Table::MOVES, &Moved::key(id));
        moved.rows.iter().for_each(|row| batch.put(row.table, &row.key, &row.value));
        let position = self.core.store.append(&batch)?;
        self.restore_rows(&moved.rows);
        {
            let mut life = cell.life.lock();
            life.moved = None;
            life.status = Status::Ready;
            self.core.count_child(life.entry.parent.as_ref(), true);
        }
        self.lives_here(&cell);
        Ok(self.core.store.sync(position).await?)
    }

    /// Takes an actor in that another node exported. Returns once that survives a power cut; it has begun to work by then if
    /// something waits for it.
    pub async fn import_actor(&self, bytes: Vec<u8>) -> Result<Imported> {
        if let Some(why) = self.core.why_halted() {
            return Err(Error::Internal { what: why.to_owned() });
        }
        let read = tokio::task::spawn_blocking(move || {
            let file = actor_file::read(&bytes).map_err(|error| Error::NotAnActorFile { why: error.to_string() })?;
            Ok::<_, Error>((Belongings::of(&file)?, file))
        });
        let (has, file) = read.await.map_err(|error| Error::Internal { what: error.to_string() })??;
        let refused = |why: String| Error::NoImport { actor: file.about.actor.clone(), why };
        crate::host::wasi::check(&has.config.grants).map_err(|error| refused(error.to_string()))?;
        if has.config.limits.memory.0 > crate::component::MOST_MEMORY {
            return Err(refused(format!(
                "its [limits] memory = {} is more than a node gives",
                has.config.limits.memory
            )));
        }
        if let Some(row) = has.services.iter().find(|row| !self.may_come(&file.about.actor, row)) {
            return Err(refused(format!("this version takes no such row of the table {:?}", row.table)));
        }
        let _alone = self.core.coming.lock().await;
        if self.core.unborn.lock().contains(&file.about.actor) {
            return Err(refused("an actor of this name is being spawned here".to_owned()));
        }
        let there = self.core.cell(&file.about.actor);
        let known = match &there {
            Some(cell) => {
                let known = self.may_return(cell, &file)?;
                cell.mailbox.ended().await;
                known
            }
            None => Chain::START,
        };
        self.brings_code(&file).await?;
        let cell = match there {
            Some(cell) => cell,
            None => {
                let mut life = life(&file.about.actor, has.entry.clone(), has.config.clone(), Tip::START);
                life.status = Status::Moved("it is being imported".to_owned());
                let cell = Arc::new(Cell::new(file.about.actor.clone(), life));
                cell.mailbox.shut();
                let unborn = self.core.unborn.lock();
                let mut actors = self.core.actors.write();
                if actors.contains_key(&cell.id) || unborn.contains(&cell.id) {
                    return Err(refused("an actor of this name is being started here".to_owned()));
                }
                actors.insert(cell.id.clone(), cell.clone());
                cell
            }
        };
        if cell.life.lock().config.http.is_some() {
            self.core.routes.forget();
        }
        let (waiting, position) = match self.takes_in(&cell, has, &file, known) {
            Ok(taken) => taken,
            Err(error) => {
                if cell.life.lock().moved.is_none() && matches!(cell.life.lock().status, Status::Moved(_)) {
                    self.core.actors.write().remove(&cell.id);
                }
                return Err(error);
            }
        };
        self.core.store.sync(position).await?;
        let (actor_file::About { actor, incarnation, end, .. }, waiting) = (file.about, waiting);
        Ok(Imported { id: actor, incarnation, next: end.next, waiting })
    }

    /// Whether an actor of which this node knows may come with this file; how much of its journal is here.
    fn may_return(&self, cell: &Cell, file: &ActorFile) -> Result<Chain> {
        let about = &file.about;
        let refused = |why: String| Err(Error::NoImport { actor: about.actor.clone(), why });
        let life = cell.life.lock();
        let (lives, chain) = (life.about.incarnation, life.tip.chain);
        match &life.status {
            Status::Ready | Status::Quarantined(_) => {
                return refused("it lives here already".to_owned());
            }
            Status::Stopped(_) if about.incarnation <= lives => {
                return refused(format!(
                    "it has ended here in its life {lives}, and the file has its life {}",
                    about.incarnation
                ));
            }
            Status::Moved(_) | Status::Stopped(_) => {}
        }
        let own = life.moved.as_ref().is_some_and(|moved| moved.id == about.id);
        if !own && *cell.arrived.lock() == Some(about.id) {
            return refused(
                "this very file was imported here before; what the actor did since is not in it".to_owned(),
            );
        }
        if about.incarnation > lives {
            return Ok(Chain::START);
        }
        let same = about.incarnation == lives && head_before(&file.records, chain.next, about.end) == Some(chain.head);
        if same {
            return Ok(chain);
        }
        refused(format!(
            "this node knows of records that the file does not have: its journal here has {} records, in the file {}",
            chain.next, about.end.next
        ))
    }

    /// Stores what the file brings; its component must be here or in it.
    async fn brings_code(&self, file: &ActorFile) -> Result<()> {
        let digest = file.about.component;
        let components = &self.core.components;
        let code = match file.blobs.get(&digest) {
            Some(bytes) => components.load(bytes).await,
            None => components.get(digest).await,
        };
        let code = code.map_err(|error| match error {
            Error::NoComponent { .. } => Error::NoImport {
                actor: file.about.actor.clone(),
                why: format!("its component {digest} is not here; load it first, or export with --with-component"),
            },
            error => error,
        })?;
        if code.contract.is_empty() {
            return Err(Error::NotAComponent { why: "it exports nothing that takes messages".to_owned() });
        }
        let store = &self.core.store;
        for bytes in file.blobs.values() {
            store.put_blob(bytes)?;
        }
        for record in troupe_log::record::records(&file.records).map_while(Result::ok) {
            if let Some(digest) = blob_of(&record, false)
                && !file.blobs.contains_key(&digest)
            {
                store.blob(&digest)?;
            }
        }
        Ok(())
    }

    /// Commits it all as one batch, and lets the actor live.
    fn takes_in(&self, cell: &Arc<Cell>, has: Belongings, file: &ActorFile, known: Chain) -> Result<(usize, Position)> {
        let core = &self.core;
        let (actor, about) = (&cell.id, &file.about);
        let now = core.clock.now();
        let mut batch = Batch::new();
        batch.stamp(now, core.clock.wall());
        let (before, left) = {
            let life = cell.life.lock();
            (life.tip, life.about.clone())
        };
        let new = if known == Chain::START { &file.records[..] } else { behind(&file.records, known.next) };
        let prev = before.tail.filter(|_| known != Chain::START);
        if !new.is_empty() {
            batch.record_bytes(actor, about.incarnation, prev, new);
        }
        // What is left of an earlier stay.
        let stale = cell.mailbox.waiting(|_| true);
        stale.iter().for_each(|(_, arrival)| batch.delete(Table::INBOX, &inbox_key(actor, *arrival)));
        for (name, _) in left.keys.lock().rows() {
            batch.delete(Table::KEYS, &keys::table_key(actor, &name));
        }
        for token in left.promised.lock().keys() {
            batch.delete(Table::TOKENS, &promise::key(actor, token));
        }
        for key in [Moved::key(actor), Upgraded::key(actor)] {
            batch.delete(Table::MOVES, &key);
        }
        batch.delete(Table::BASES, actor.as_str().as_bytes());
        // What it brings.
        let shift = |deadline: NodeTime| NodeTime(now.0.saturating_add(deadline.0.saturating_sub(about.node_time.0)));
        batch.put(Table::ACTORS, actor.as_str().as_bytes(), &has.entry.encode());
        batch.put(Table::MOVES, &arrived_key(actor), &arrived_value(about.id));
        if let Some((_, value)) = &has.base {
            batch.put(Table::BASES, actor.as_str().as_bytes(), value);
        }
        if let Some(upgraded) = &has.upgraded {
            batch.put(Table::MOVES, &Upgraded::key(actor), &upgraded.encode());
        }
        let mut inbox = Vec::with_capacity(has.inbox.len());
        for mut message in has.inbox {
            message.deadline = message.deadline.map(shift);
            let arrival = core.arrivals.fetch_add(1, Relaxed);
            let mut value = Vec::with_capacity(message.size() + 64);
            message.encode(&mut value);
            batch.put(Table::INBOX, &inbox_key(actor, arrival), &value);
            inbox.push((message, arrival));
        }
        let mut next = life(actor, has.entry, has.config, Tip::START);
        for (name, value) in has.keys {
            batch.put(Table::KEYS, &keys::table_key(actor, &name), &value);
            let restored = next.about.keys.lock().restore(name, &value);
            restored.map_err(|error| Error::NotAnActorFile { why: error.to_string() })?;
        }
        for (token, mut promise) in has.promised {
            promise.deadline = promise.deadline.map(shift);
            batch.put(Table::TOKENS, &promise::key(actor, &token), &promise.encode());
            next.about.promised.lock().insert(token, promise);
        }
        has.services.iter().for_each(|row| batch.put(row.table, &row.key, &row.value));
        let position = core.store.append(&batch)?;
        next.tip = Tip {
            chain: about.end,
            tail: if new.is_empty() { before.tail } else { Some(position) },
            base: has.base.as_ref().map_or(Seq(0), |((seq, _), _)| *seq),
            bytes: file.records.len() as u64,
        };
        next.base_config = has.base.map(|((_, config), _)| Arc::new(config));
        next.upgraded = has.upgraded;
        self.restore_rows(&has.services);
        *cell.arrived.lock() = Some(about.id);
        cell.mailbox.take_where(|_| true);
        cell.mailbox.resize(next.about.limits.mailbox);
        let waiting = inbox.len();
        let seen = Gate { durable: Some(position), written: None };
        for (message, arrival) in inbox {
            cell.mailbox.restore(Envelope {
                message: Arc::new(message),
                reply: None,
                arrival: Some(arrival),
                seen,
                client: None,
            });
        }
        core.count_child(next.entry.parent.as_ref(), true);
        *cell.life.lock() = next;
        self.lives_here(cell);
        tracing::info!(%actor, records = %about.end.next, waiting, "an actor has come from node {}", about.from);
        Ok((waiting, position))
    }

    /// It takes messages from now on.
    fn lives_here(&self, cell: &Arc<Cell>) {
        cell.mailbox.open_again();
        if cell.mailbox.wake() {
            self.core.schedule(cell.clone());
        }
    }

    /// Whether a row is good, and of nobody but this actor.
    fn may_come(&self, actor: &ActorId, row: &Row) -> bool {
        if row.table == Table::TIMERS {
            let timer = Timer::decode(&row.key, &row.value);
            return timer.is_ok_and(|timer| matches!(&timer.name, timers::Name::Send(owner, _) if owner == actor));
        }
        let service = self.core.shared.of_table(row.table);
        service.is_some_and(|service| service.may_come(actor, &row.key, &row.value))
    }

    fn restore_rows(&self, rows: &[Row]) {
        for row in rows {
            if row.table == Table::TIMERS {
                if let Ok(timer) = Timer::decode(&row.key, &row.value) {
                    self.core.timers.arm(timer);
                }
                continue;
            }
            let restored =
                self.core.shared.of_table(row.table).is_some_and(|service| service.restore(&row.key, &row.value));
            debug_assert!(restored, "{:?}", row.table);
        }
        for (which, service) in self.core.shared.all() {
            if let Some(at) = service.next_due() {
                self.core.timers.wake(which, at);
            }
        }
    }

    /// Takes up a row of the table of moves. None if it cannot be read.
    pub(super) fn restore_move(&self, key: &[u8], value: &[u8]) -> Option<()> {
        let cell = |id: &ActorId| self.core.cell(id);
        if let Some(id) = Upgraded::from_key(key) {
            let row = Upgraded::decode(value)?;
            if let Some(cell) = cell(&id) {
                let mut life = cell.life.lock();
                life.upgraded = Some(row).filter(|row| row.incarnation == life.about.incarnation);
            }
        } else if let Some(id) = Moved::from_key(key) {
            let row = Moved::decode(value)?;
            if let Some(cell) = cell(&id) {
                let mut life = cell.life.lock();
                life.status = Status::Moved(row.why());
                life.moved = Some(Arc::new(row));
                cell.mailbox.shut();
            }
        } else if let Some(came) = arrived(key, value) {
            let (id, by): (ActorId, MoveId) = came.ok()?;
            if let Some(cell) = cell(&id) {
                *cell.arrived.lock() = Some(by);
            }
        }
        Some(())
    }
}

/// What an actor brings beside its journal.
struct Belongings {
    entry: ActorEntry,
    config: Config,
    /// Where recovery starts, the settings there, and the row that says so.
    base: Option<((Seq, Config), Vec<u8>)>,
    /// In order.
    inbox: Vec<Message>,
    keys: Vec<(Name, Vec<u8>)>,
    promised: Vec<(String, Promise)>,
    upgraded: Option<Upgraded>,
    services: Vec<Row>,
}

impl Belongings {
    /// Reads the rows of a file. Every one must be of this actor and of a kind that is known.
    fn of(file: &ActorFile) -> Result<Belongings> {
        let about = &file.about;
        let bad = |why: &str| Error::NotAnActorFile { why: why.to_owned() };
        let genesis = troupe_log::record::records(&file.records).next().and_then(Result::ok);
        let genesis =
            genesis.filter(|first| first.kind == Kind::Genesis).and_then(|first| Genesis::decode(first.body).ok());
        if !genesis.is_some_and(|genesis| genesis.actor == about.actor && genesis.incarnation == about.incarnation) {
            return Err(bad("its journal does not begin with the genesis of the actor that it names"));
        }
        let (mut entry, mut base, mut upgraded) = (None, None, None);
        let (mut inbox, mut keys, mut promised, mut services) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Row { table, key, value } in &file.rows {
            let own = key == about.actor.as_str().as_bytes();
            match *table {
                Table::ACTORS if own => entry = ActorEntry::decode(value).ok(),
                Table::BASES if own => base = base_of(value, about).map(|base| (base, value.clone())),
                Table::MOVES if *key == Upgraded::key(&about.actor) => {
                    upgraded = Upgraded::decode(value).filter(|row| row.start <= about.end.next);
                }
                Table::INBOX => {
                    let of = inbox_of(key).filter(|(actor, _)| *actor == about.actor);
                    let mut input = Reader::new(value);
                    let message =
                        Message::decode(&mut input).ok().filter(|message| input.is_empty() && message.asker.is_none());
                    let (Some((_, arrival)), Some(message)) = (of, message) else {
                        return Err(bad("a message in it cannot be read"));
                    };
                    inbox.push((arrival, message));
                }
                Table::KEYS => match keys::from_table_key(key).filter(|(actor, _)| *actor == about.actor) {
                    Some((_, name)) => keys.push((name, value.clone())),
                    None => return Err(bad("an idempotency key in it cannot be read")),
                },
                Table::TOKENS => {
                    let of = promise::from_key(key).filter(|(actor, _)| *actor == about.actor);
                    let promise = Promise::decode(value).ok().filter(|promise| promise.asker.is_none());
                    let (Some((_, token)), Some(promise)) = (of, promise) else {
                        return Err(bad("a reply token in it cannot be read"));
                    };
                    promised.push((token, promise));
                }
                Table::ACTORS | Table::BASES | Table::MOVES => return Err(bad("a row in it is of another actor")),
                _ => services.push(Row { table: *table, key: key.clone(), value: value.clone() }),
            }
        }
        let entry: ActorEntry = entry.ok_or_else(|| bad("it does not say how the actor lives"))?;
        if entry.incarnation != about.incarnation || entry.component != about.component || entry.stopped.is_some() {
            return Err(bad("what it says of the actor is not the same everywhere"));
        }
        let config = Config::decode(&entry.config).map_err(|why| bad(&why))?;
        if config.mode == Mode::Off {
            return Err(bad("an actor without a journal cannot move"));
        }
        inbox.sort_by_key(|(arrival, _)| *arrival);
        let inbox = inbox.into_iter().map(|(_, message)| message).collect();
        Ok(Belongings { entry, config, base, inbox, keys, promised, upgraded, services })
    }
}

fn base_of(value: &[u8], about: &actor_file::About) -> Option<(Seq, Config)> {
    let mut input = Reader::new(value);
    let (incarnation, seq) = (Incarnation(input.u32().ok()?), Seq(input.u64().ok()?));
    let config = Config::decode(input.rest()).ok()?;
    (incarnation == about.incarnation && seq < about.end.next).then_some((seq, config))
}

/// The head before record `seq` of a journal that ends like this.
fn head_before(records: &[u8], seq: Seq, end: Chain) -> Option<troupe_log::Head> {
    if seq == end.next {
        return Some(end.head);
    }
    troupe_log::record::records(records)
        .map_while(Result::ok)
        .find(|record| record.seq == seq)
        .map(|record| record.prev)
}

/// The records from `seq` on.
fn behind(records: &[u8], seq: Seq) -> &[u8] {
    let before = troupe_log::record::records(records).map_while(Result::ok).take_while(|record| record.seq < seq);
    let skip: usize = before.map(|record| record.bytes.len()).sum();
    &records[skip..]
}
