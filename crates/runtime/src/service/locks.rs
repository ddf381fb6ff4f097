//! Locks: names that one actor at a time holds, for as long as its lease lasts.
//!
//! Promises: a lock has one holder; whoever waits gets it in the order of arrival, when the holder releases it, ends, or its lease
//! is over in node time; each holder's token is greater than every one before it, of whatever lock, also over restarts. Who gets
//! a lock is decided while the batch that says so is being committed, so nothing here is ever staged for one actor alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::codec::{Reader, put_str, put_u8, put_u64};
use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::waits::WaitId;
use super::{Ended, Party, Service, Which};
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};

/// Locks that one actor may hold: what it gives up with its end is one batch.
pub const MAX_LOCKS: usize = 256;

const VERSION: u8 = 1;
/// Leases that end in one batch.
const AT_ONCE: usize = 1024;
/// The key of the row with the newest token. No name of a lock is like it.
const NEWEST: &[u8] = b"\0";

/// A lock's holder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    actor: ActorId,
    token: u64,
    until: NodeTime,
}

/// Somebody who waits for a lock.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// Its wait.
    pub wait: WaitId,
    /// How long it wants the lock, in microseconds of node time.
    pub lease: u64,
    /// Whether its wait survives the node.
    pub durable: bool,
}

#[derive(Default, Debug)]
struct Lock {
    held: Option<Held>,
    /// A step that is being committed renews it: no lease ends meanwhile.
    kept: bool,
    waiters: VecDeque<Waiter>,
}

/// Why a lock is not its holder's to renew or release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The token was good once.
    Stale,
    /// It never was, or it is another actor's.
    Unknown,
}

/// The locks of a node.
#[derive(Default)]
pub struct Locks {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Those that are held or waited for.
    locks: BTreeMap<ActorId, Lock>,
    /// What each actor holds.
    of: HashMap<ActorId, BTreeSet<ActorId>>,
    /// What each waits for: its turns do not overlap.
    waits: HashMap<WaitId, ActorId>,
    /// When leases end.
    dues: BTreeSet<(NodeTime, ActorId)>,
    /// Locks that nobody holds and somebody waits for.
    idle: BTreeSet<ActorId>,
    /// The newest token.
    token: u64,
    /// Of the newest change.
    gate: Gate,
}

/// What becomes of one lock in a commit.
#[derive(Debug)]
struct Move {
    name: ActorId,
    to: Option<(Held, Waiter)>,
}

impl State {
    fn held(&self, name: &ActorId, now: NodeTime) -> Option<&Held> {
        let lock = self.locks.get(name)?;
        lock.held.as_ref().filter(|held| held.until > now || lock.kept)
    }

    fn check(&self, name: &ActorId, me: &ActorId, token: u64, now: NodeTime) -> Result<(), Lost> {
        match self.held(name, now) {
            Some(held) if held.token == token && held.actor == *me => Ok(()),
            Some(held) if held.token == token => Err(Lost::Unknown),
            _ if token == 0 || token > self.token => Err(Lost::Unknown),
            _ => Err(Lost::Stale),
        }
    }

    /// Has the first who waits hold a lock that is free, or nobody; puts the rows that say so. `newest` counts on.
    fn hand_over(
        &self,
        name: &ActorId,
        also: Option<&Waiter>,
        now: NodeTime,
        newest: &mut u64,
        batch: &mut Batch,
    ) -> Move {
        let first = self.locks.get(name).and_then(|lock| lock.waiters.front()).or(also);
        let Some(waiter) = first.cloned() else {
            batch.delete(Table::LOCKS, name.as_str().as_bytes());
            return Move { name: name.clone(), to: None };
        };
        *newest += 1;
        let until = NodeTime(now.0.saturating_add(waiter.lease));
        let held = Held { actor: waiter.wait.actor.clone(), token: *newest, until };
        put(batch, name, &held);
        batch.put(Table::LOCKS, NEWEST, &newest_value(*newest));
        if waiter.durable {
            batch.put(Table::COMPLETIONS, &waiter.wait.key(), &completion(held.token));
        }
        Move { name: name.clone(), to: Some((held, waiter)) }
    }

    /// The batch with that is appended.
    fn moved(&mut self, moved: Move, committed: &Committed<'_>) {
        let Move { name, to } = moved;
        if let Some((_, waiter)) = &to {
            self.unqueue(&waiter.wait);
        }
        self.set(&name, to.as_ref().map(|(held, _)| held.clone()));
        if let Some((held, waiter)) = to {
            self.token = self.token.max(held.token);
            committed.waits.complete(waiter.wait, completion(held.token), self.gate);
        }
    }

    /// Who holds a lock from here on.
    fn set(&mut self, name: &ActorId, held: Option<Held>) {
        let lock = self.locks.entry(name.clone()).or_default();
        let before = std::mem::replace(&mut lock.held, held.clone());
        lock.kept = false;
        if let Some(before) = before {
            self.dues.remove(&(before.until, name.clone()));
            if let Some(names) = self.of.get_mut(&before.actor) {
                names.remove(name);
                if names.is_empty() {
                    self.of.remove(&before.actor);
                }
            }
        }
        if let Some(held) = held {
            self.dues.insert((held.until, name.clone()));
            self.of.entry(held.actor).or_default().insert(name.clone());
        }
        self.tidy(name);
    }

    /// Somebody waits behind all who wait already.
    fn queue(&mut self, name: &ActorId, waiter: Waiter) {
        self.waits.insert(waiter.wait.clone(), name.clone());
        self.locks.entry(name.clone()).or_default().waiters.push_back(waiter);
        self.tidy(name);
    }

    fn unqueue(&mut self, wait: &WaitId) {
        let Some(name) = self.waits.remove(wait) else { return };
        if let Some(lock) = self.locks.get_mut(&name) {
            lock.waiters.retain(|waiter| waiter.wait != *wait);
        }
        self.tidy(&name);
    }

    fn tidy(&mut self, name: &ActorId) {
        let Some(lock) = self.locks.get(name) else { return };
        let (held, waited) = (lock.held.is_some(), !lock.waiters.is_empty());
        if waited && !held {
            self.idle.insert(name.clone());
        } else {
            self.idle.remove(name);
        }
        if !waited && !held {
            self.locks.remove(name);
        }
    }

    fn next_due(&self) -> Option<NodeTime> {
        match self.idle.is_empty() {
            true => self.dues.first().map(|(at, _)| *at),
            false => Some(NodeTime(0)),
        }
    }
}

impl Locks {
    /// Whether an actor may ask for this lock: an error if it has it, or has too many.
    pub fn may_ask(&self, name: &ActorId, me: &ActorId, now: NodeTime) -> Result<(), Refused> {
        let state = self.state.lock();
        if state.held(name, now).is_some_and(|held| held.actor == *me) {
            return Err(Refused::Held);
        }
        if state.of.get(me).map_or(0, BTreeSet::len) >= MAX_LOCKS {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Stages that somebody waits for a lock. It is served in the very commit if the lock is free.
    pub fn ask(&self, name: &ActorId, waiter: Waiter, now: NodeTime) -> Change {
        self.change(What::Ask { name: name.clone(), waiter, now })
    }

    /// After a restart: somebody waits again, unless the lock was handed to it already. Returns when the service must be woken.
    pub fn ask_again(&self, name: &ActorId, waiter: Waiter) -> Option<NodeTime> {
        let mut state = self.state.lock();
        let held = state.locks.get(name).and_then(|lock| lock.held.as_ref());
        if held.is_none_or(|held| held.actor != waiter.wait.actor) {
            state.queue(name, waiter);
        }
        state.next_due()
    }

    /// Stages that a lock is held for another lease, from `now` on.
    pub fn renew(
        &self,
        name: &ActorId,
        me: &ActorId,
        token: u64,
        until: NodeTime,
        now: NodeTime,
    ) -> Result<Change, Lost> {
        let mut state = self.state.lock();
        state.check(name, me, token, now)?;
        if let Some(lock) = state.locks.get_mut(name) {
            lock.kept = true;
        }
        Ok(self.change(What::Renew { name: name.clone(), held: Held { actor: me.clone(), token, until } }))
    }

    /// Stages that a lock is free, and the next who waits holds it.
    pub fn release(&self, name: &ActorId, me: &ActorId, token: u64, now: NodeTime) -> Result<Change, Lost> {
        self.state.lock().check(name, me, token, now)?;
        Ok(self.change(What::Free { now, of: me.clone(), tokens: vec![(name.clone(), token)] }))
    }

    /// What whoever looks at a lock depends on.
    pub fn gate(&self) -> Gate {
        self.state.lock().gate
    }

    fn change(&self, what: What) -> Change {
        Change { state: self.state.clone(), what, moves: Vec::new() }
    }
}

/// Why an actor cannot ask for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It holds it.
    Held,
    /// It holds [`MAX_LOCKS`].
    Full,
}

#[derive(Debug)]
enum What {
    /// Somebody asks for a lock.
    Ask { name: ActorId, waiter: Waiter, now: NodeTime },
    /// A holder goes on.
    Renew { name: ActorId, held: Held },
    /// These are given up by their holder.
    Free { now: NodeTime, of: ActorId, tokens: Vec<(ActorId, u64)> },
    /// Leases that are over at `now` end, and who waits for what nobody holds is served.
    Sweep { now: NodeTime },
    /// Committed.
    Done,
}

/// What a commit does to locks.
pub struct Change {
    state: Arc<Mutex<State>>,
    what: What,
    moves: Vec<Move>,
}

impl Staging for Change {
    fn prepare(&mut self, batch: &mut Batch) {
        let state = self.state.lock();
        let mut newest = state.token;
        let moves = &mut self.moves;
        match &self.what {
            What::Ask { name, waiter, now } => {
                if state.held(name, *now).is_none() {
                    moves.push(state.hand_over(name, Some(waiter), *now, &mut newest, batch));
                }
            }
            What::Renew { name, held } => put(batch, name, held),
            What::Free { now, of, tokens } => {
                for (name, token) in tokens {
                    // A sweep may have come between.
                    let held = state.locks.get(name).and_then(|lock| lock.held.as_ref());
                    if held.is_some_and(|held| held.token == *token && held.actor == *of) {
                        moves.push(state.hand_over(name, None, *now, &mut newest, batch));
                    }
                }
            }
            What::Sweep { now } => {
                let over = state.dues.iter().take_while(|(at, _)| at <= now).map(|(_, name)| name);
                let over = over.filter(|name| state.held(name, *now).is_none());
                for name in over.chain(&state.idle).take(AT_ONCE) {
                    moves.push(state.hand_over(name, None, *now, &mut newest, batch));
                }
            }
            What::Done => {}
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        let what = std::mem::replace(&mut self.what, What::Done);
        let mut state = self.state.lock();
        state.gate = state.gate.and(committed.gate);
        match what {
            What::Ask { name, waiter, .. } => state.queue(&name, waiter),
            What::Renew { name, held } => state.set(&name, Some(held)),
            What::Free { .. } | What::Sweep { .. } | What::Done => {}
        }
        for moved in std::mem::take(&mut self.moves) {
            state.moved(moved, committed);
        }
        if let Some(at) = state.next_due() {
            committed.timers.wake(Which::Locks, at);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if let What::Renew { name, .. } = &self.what
            && let Some(lock) = self.state.lock().locks.get_mut(name)
        {
            lock.kept = false;
        }
    }
}

/// The token of a completion.
pub fn token(completion: &[u8]) -> Option<u64> {
    let mut input = Reader::new(completion);
    let which = input.u8().ok()?;
    let version = input.u8().ok()?;
    let token = input.u64().ok()?;
    (which == Which::Locks as u8 && version == VERSION && input.is_empty()).then_some(token)
}

fn completion(token: u64) -> Vec<u8> {
    let mut out = vec![Which::Locks as u8, VERSION];
    put_u64(&mut out, token);
    out
}

fn newest_value(token: u64) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_u64(&mut out, token);
    out
}

fn put(batch: &mut Batch, name: &ActorId, held: &Held) {
    let mut out = Vec::with_capacity(96);
    put_u8(&mut out, VERSION);
    put_u64(&mut out, held.token);
    put_u64(&mut out, held.until.0);
    put_str(&mut out, held.actor.as_str());
    batch.put(Table::LOCKS, name.as_str().as_bytes(), &out);
}

fn decode(value: &[u8]) -> Option<Held> {
    let mut input = Reader::new(value);
    if input.u8().ok()? != VERSION {
        return None;
    }
    let (token, until) = (input.u64().ok()?, NodeTime(input.u64().ok()?));
    let actor = ActorId::reserved(input.str().ok()?).ok()?;
    input.finish().ok()?;
    Some(Held { actor, token, until })
}

impl Service for Locks {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let mut state = self.state.lock();
        if key == NEWEST {
            let Some((&VERSION, token)) = value.split_first() else { return false };
            let Ok(token) = token.try_into() else { return false };
            state.token = u64::from_le_bytes(token);
            return true;
        }
        let Some(name) = std::str::from_utf8(key).ok().and_then(|name| ActorId::parse(name).ok()) else { return false };
        let Some(held) = decode(value) else { return false };
        state.set(&name, Some(held));
        true
    }

    fn hold(&self, wait: &WaitId, completion: &[u8]) -> bool {
        let Some(token) = token(completion) else { return false };
        let state = self.state.lock();
        let names = state.of.get(&wait.actor).into_iter().flatten();
        names.filter_map(|name| state.locks.get(name)?.held.as_ref()).any(|held| held.token == token)
    }

    fn withdraw(&self, wait: &WaitId) {
        self.state.lock().unqueue(wait);
    }

    fn ended(&self, node: &dyn Party, end: &Ended<'_>, _: &mut Batch) -> Vec<Box<dyn Staging>> {
        let state = self.state.lock();
        let names = state.of.get(end.actor).into_iter().flatten();
        let held = names.filter_map(|name| Some((name.clone(), state.locks.get(name)?.held.as_ref()?.token)));
        let tokens: Vec<(ActorId, u64)> = held.collect();
        match tokens.is_empty() {
            true => Vec::new(),
            false => vec![Box::new(self.change(What::Free { now: node.now(), of: end.actor.clone(), tokens }))],
        }
    }

    fn next_due(&self) -> Option<NodeTime> {
        self.state.lock().next_due()
    }

    fn due(&self, node: &dyn Party, now: NodeTime) -> Result<(), troupe_log::Error> {
        node.commit(Batch::new(), vec![Box::new(self.change(What::Sweep { now }))]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{NodeClock, SystemClock};
    use crate::service::tests::{commit_to, id};
    use crate::service::timers::Timers;
    use crate::service::waits::Waits;
    use troupe_log::{Incarnation, Seq};

    struct Node {
        locks: Locks,
        waits: Waits,
        timers: Timers,
    }

    impl Node {
        fn new() -> Node {
            let clock = NodeClock::new(Arc::new(SystemClock::default()), NodeTime(0));
            Node { locks: Locks::default(), waits: Waits::new(clock.clone()), timers: Timers::new(clock) }
        }

        fn ask(&self, actor: &str, now: u64) -> WaitId {
            let wait = WaitId { actor: id(actor), incarnation: Incarnation(1), seq: Seq(now) };
            let waiter = Waiter { wait: wait.clone(), lease: 10, durable: true };
            self.commit(self.locks.ask(&id("l"), waiter, NodeTime(now)));
            wait
        }

        fn commit(&self, change: Change) {
            commit_to(vec![Box::new(change)], &self.waits, &self.timers);
        }

        fn sweep(&self, now: u64) {
            self.commit(self.locks.change(What::Sweep { now: NodeTime(now) }));
        }

        fn token(&self, wait: &WaitId) -> Option<u64> {
            self.waits.take(wait).and_then(|completion| token(&completion.bytes))
        }
    }

    #[test]
    fn a_lease_that_is_being_renewed_does_not_end_meanwhile() {
        let node = Node::new();
        let (a, b) = (node.ask("a", 0), node.ask("b", 1));
        assert_eq!((node.token(&a), node.token(&b)), (Some(1), None));
        let (name, me) = (id("l"), id("a"));
        let renews = node.locks.renew(&name, &me, 1, NodeTime(19), NodeTime(9)).unwrap();
        node.sweep(10);
        assert_eq!(node.token(&b), None, "it was told that the lock is renewed");
        node.commit(renews);
        node.sweep(18);
        assert_eq!(node.token(&b), None);
        // One that is not committed was no renewal.
        drop(node.locks.renew(&name, &me, 1, NodeTime(29), NodeTime(18)).unwrap());
        node.sweep(19);
        assert_eq!(node.token(&b), Some(2));
        assert_eq!(node.locks.release(&name, &me, 1, NodeTime(20)).err(), Some(Lost::Stale));
    }

    #[test]
    fn who_gives_up_is_passed_by_and_a_lock_that_nobody_has_leaves_nothing() {
        let node = Node::new();
        let (_, b, c) = (node.ask("a", 0), node.ask("b", 1), node.ask("c", 2));
        node.locks.withdraw(&b);
        node.commit(node.locks.release(&id("l"), &id("a"), 1, NodeTime(3)).unwrap());
        assert_eq!((node.token(&b), node.token(&c)), (None, Some(2)));
        node.commit(node.locks.release(&id("l"), &id("c"), 2, NodeTime(4)).unwrap());
        let state = node.locks.state.lock();
        assert!(state.locks.is_empty() && state.of.is_empty() && state.dues.is_empty() && state.waits.is_empty());
        assert_eq!(state.token, 2);
    }
}
