//! What actors of one node share: waits, timers, dead letters, and the services behind the host interfaces.
//!
//! A service is state in memory over rows of its own table; it knows nothing of WebAssembly. What a step does to it is held back
//! until the step is committed ([`Staging`]). To add one: its file here with [`Service`], its field in [`Shared`], its line in
//! [`Shared::all`], its number in [`Which`], and in [`Shared::of_table`] the table of its rows.

pub mod asks;
pub mod bonds;
pub mod command;
pub mod deadletters;
pub mod groups;
mod holdings;
pub mod http;
pub mod keyvalue;
pub mod locks;
pub mod overlay;
pub mod queues;
pub mod registry;
pub mod spaces;
pub mod theater;
pub mod timers;
pub mod topics;
pub mod waits;

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use troupe_log::actor_file::Row;
use troupe_log::{ActorId, Batch, NodeTime, Table, WallTime};

use self::waits::{Completion, WaitId, Waits};
use crate::actor::message::{CallError, Gate, Message, MessageId};
use crate::boundary::Staging;
use crate::supervision::applications::Applications;

/// A service, as the node sees it.
pub trait Service: Send + Sync {
    /// Takes up a row of its table at the start of the node. False if the row cannot be read.
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let _ = (key, value);
        false
    }

    /// Takes up a completion of its own that nobody has consumed: what it names is that wait's. False if that is gone; the wait
    /// then goes on.
    fn hold(&self, wait: &WaitId, completion: &[u8]) -> bool {
        let _ = (wait, completion);
        true
    }

    /// Nobody waits under this id any more: forgets the waiter, and what was held for it is everybody's again. Nothing for a wait
    /// that is not its own.
    fn withdraw(&self, wait: &WaitId);

    /// An actor's life ends in the step of this batch: what it had goes with it.
    fn ended(&self, node: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let _ = (node, end, batch);
        Vec::new()
    }

    /// The rows of an actor that go with it to another node, in the step before [`ended`](Self::ended) is asked. There, once they are
    /// committed, [`restore`](Self::restore) takes them up; so it does here if the move is taken back.
    fn moves(&self, actor: &ActorId) -> Vec<Row> {
        let _ = actor;
        Vec::new()
    }

    /// Whether a row that came with an actor is good, and of nobody but that actor.
    fn may_come(&self, actor: &ActorId, key: &[u8], value: &[u8]) -> bool {
        let _ = (actor, key, value);
        false
    }

    /// When something is due next.
    fn next_due(&self) -> Option<NodeTime> {
        None
    }

    /// Commits what is due at `now`, by [`Party::commit`].
    fn due(&self, node: &dyn Party, now: NodeTime) -> Result<(), troupe_log::Error> {
        let _ = (node, now);
        Ok(())
    }
}

/// The end of a life.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Whose.
    pub actor: &'a ActorId,
    /// How.
    pub how: End,
    /// Why, in words.
    pub reason: &'a str,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was stopped.
    Stopped,
    /// By faults.
    Fault,
    /// Another life of the same actor begins.
    Fresh,
}

/// The node, for what a service or the API commits by itself and not in a guest's step.
pub trait Party: Send + Sync {
    /// Node time now.
    fn now(&self) -> NodeTime;
    /// Wall time now.
    fn wall(&self) -> WallTime;
    /// Commits staged changes with their rows as one batch. The gate is what an answer to the outside must wait for.
    fn commit(&self, batch: Batch, changes: Vec<Box<dyn Staging>>) -> Result<Gate, troupe_log::Error>;
    /// Stages an info for an actor: from one of the runtime's own senders, past the mailbox's bound and within one of its own.
    fn info(&self, batch: &mut Batch, to: &ActorId, info: Info) -> Result<Box<dyn Staging>, CallError>;
    /// Gives a message that found no good end to the dead letters of an owner, which may be an actor or a name with `@`.
    fn dead_letter(&self, batch: &mut Batch, owner: &ActorId, message: Message, why: String) -> Box<dyn Staging>;
    /// Stages a stop of an actor whose row is in the batch. None while the node goes away.
    fn stopping(&self, actor: &ActorId, stop: bonds::Stop) -> Option<Box<dyn Staging>>;
    /// A new message id.
    fn message_id(&self) -> MessageId;
    /// Whether an actor of that name lives, and its life is not about to end.
    fn alive(&self, actor: &ActorId) -> bool;
}

/// What the runtime or a service tells an actor.
#[derive(Clone, Debug)]
pub struct Info {
    /// `@runtime`, `@timer/OWNER`, `@topic/NAME`, `@space/NAME`.
    pub from: Arc<str>,
    /// Its type.
    pub message_type: Arc<str>,
    /// Its bytes.
    pub payload: Arc<[u8]>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What it depends on beside the step that sends it.
    pub seen: Gate,
}

/// A service's number: the first byte of its completions, and its name when it asks to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Which {
    /// Answers to requests.
    Asks = 0,
    /// Tuple spaces.
    Spaces = 1,
    /// Queues.
    Queues = 2,
    /// Topics.
    Topics = 3,
    /// Groups.
    Groups = 4,
    /// Locks.
    Locks = 5,
    /// The registry.
    Registry = 6,
    /// Key-value stores.
    KeyValue = 7,
    /// Links and monitors.
    Bonds = 8,
}

/// The services of a node.
#[derive(Default)]
pub struct Shared {
    /// Requests between actors.
    pub asks: asks::Asks,
    /// Links and monitors.
    pub bonds: bonds::Bonds,
    /// Groups of actors.
    pub groups: groups::Groups,
    /// Locks.
    pub locks: locks::Locks,
    /// Names of actors.
    pub registry: registry::Registry,
    /// Key-value stores.
    pub keyvalue: keyvalue::KeyValues,
    /// Tuple spaces.
    pub spaces: spaces::Spaces,
    /// Queues.
    pub queues: Arc<queues::Queues>,
    /// Topics.
    pub topics: Arc<topics::Topics>,
    /// Applications and their supervisors.
    pub applications: Arc<Applications>,
    /// One commits to services at a time.
    commits: Mutex<()>,
    /// Actors that were in the middle of a turn when the node started and have not got to its end yet: waits of theirs are not
    /// known yet.
    resuming: Mutex<HashSet<ActorId>>,
}

impl Shared {
    /// All of them, by number.
    pub fn all(&self) -> [(Which, &dyn Service); 9] {
        [
            (Which::Asks, &self.asks),
            (Which::Spaces, &self.spaces),
            (Which::Queues, &self.queues),
            (Which::Topics, &self.topics),
            (Which::Groups, &self.groups),
            (Which::Locks, &self.locks),
            (Which::Registry, &self.registry),
            (Which::KeyValue, &self.keyvalue),
            (Which::Bonds, &self.bonds),
        ]
    }

    /// The service that keeps its rows in this table.
    pub fn of_table(&self, table: Table) -> Option<&dyn Service> {
        match table {
            Table::BONDS => Some(&self.bonds),
            Table::GROUPS => Some(&self.groups),
            Table::LOCKS => Some(&self.locks),
            Table::REGISTRY => Some(&self.registry),
            Table::KEYVALUE => Some(&self.keyvalue),
            Table::SPACES => Some(&self.spaces),
            Table::QUEUES => Some(&self.queues),
            Table::TOPICS => Some(&self.topics),
            _ => None,
        }
    }

    /// The service of that number.
    pub fn numbered(&self, number: u8) -> Option<&dyn Service> {
        self.all().into_iter().find(|(which, _)| *which as u8 == number).map(|(_, service)| service)
    }

    /// Held from `prepare` to `commit` of what a step stages, and while a wait is given up.
    pub fn committing(&self) -> MutexGuard<'_, ()> {
        self.commits.lock()
    }

    /// Nobody waits under this id any more.
    pub fn withdraw(&self, wait: &WaitId) {
        let _alone = self.committing();
        self.forget(wait);
    }

    /// The time of a wait is over: its completion, if that was committed before, else nobody waits any more.
    pub fn give_up(&self, waits: &Waits, wait: &WaitId) -> Option<Completion> {
        let _alone = self.committing();
        let completion = waits.take(wait);
        if completion.is_none() {
            self.forget(wait);
        }
        completion
    }

    fn forget(&self, wait: &WaitId) {
        for (_, service) in self.all() {
            service.withdraw(wait);
        }
    }

    /// These actors are in the middle of a turn.
    pub fn resumes(&self, actors: impl IntoIterator<Item = ActorId>) {
        self.resuming.lock().extend(actors);
    }

    /// True if the waits of this actor are not known yet.
    pub fn resuming(&self, actor: &ActorId) -> bool {
        let resuming = self.resuming.lock();
        !resuming.is_empty() && resuming.contains(actor)
    }

    /// The turn that was open at the start of the node waits again, or is over.
    pub fn resumed(&self, actor: &ActorId) {
        let mut resuming = self.resuming.lock();
        if !resuming.is_empty() {
            resuming.remove(actor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::Committed;
    use crate::env::{NodeClock, SystemClock};

    pub(super) fn id(name: &str) -> ActorId {
        ActorId::parse(name).unwrap()
    }

    /// Commits what a step has staged. Returns its batch.
    pub(super) fn commit(changes: Vec<Box<dyn Staging>>) -> Batch {
        let clock = NodeClock::new(Arc::new(SystemClock::default()), NodeTime(0));
        let (waits, timers) = (waits::Waits::new(clock.clone()), timers::Timers::new(clock));
        commit_to(changes, &waits, &timers)
    }

    /// The same where completions are looked at.
    pub(super) fn commit_to(
        mut changes: Vec<Box<dyn Staging>>,
        waits: &waits::Waits,
        timers: &timers::Timers,
    ) -> Batch {
        let mut batch = Batch::new();
        for change in &mut changes {
            change.prepare(&mut batch);
        }
        for change in changes {
            change.commit(&Committed { gate: Gate::default(), waits, timers });
        }
        batch
    }
}
