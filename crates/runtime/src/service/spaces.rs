//! Tuple spaces: named spaces that all granted actors of the node share.
//!
//! Promises: a committed tuple is there until one step takes it, a lease ends or somebody revokes it; exactly one takes it, whatever
//! crashes; equal matches come out first in, first out; waiters are served first come, first served; what a step takes and does
//! not commit goes back to its place. A pattern that request for one first field looks only at tuples with that field.

mod changes;
mod common;
mod index;
mod rows;
mod serving;
mod space;
mod subscriptions;
#[cfg(test)]
mod tests;
pub mod value;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::RwLock;
use troupe_log::{ActorId, Batch, NodeTime, Table};

use self::changes::{Place, Renew, Swap, Take, Write};
pub use self::common::SpaceLimits;
use self::common::{Common, Phase, Waiting};
use self::rows::{Given, Row};
use self::serving::{Begin, Sweep};
use self::space::{Slot, Space, Subscription, Taken, Waiter, cost};
use self::subscriptions::{Ended, Subscribe};
use self::value::{Pattern, PatternField, Stored, Tuple};
use super::waits::WaitId;
use super::{Ended as End, Party, Service};
use crate::actor::message::Gate;
use crate::boundary::{Services, Staging};

/// All spaces of a node.
pub struct Spaces {
    common: Arc<Common>,
    spaces: RwLock<HashMap<ActorId, Arc<Space>>>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A bound is reached: its name and value.
    Exhausted(String),
    /// Nothing has that id, or nobody but an open step sees it.
    NotFound(String),
    /// Nothing matches.
    Conflict,
}

/// Who request, and when.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The actor; it sees what its own step has done.
    pub me: &'a ActorId,
    /// The space.
    pub space: &'a ActorId,
    /// Node time.
    pub now: NodeTime,
}

/// An answer, and what it depends on.
pub type Seen<T> = (T, Gate);

/// How a wait goes on.
pub enum Wanted {
    /// There is nothing to wait for.
    Found(Stored, Option<Take>),
    /// It is to be staged; the step ends.
    Begins(Begin),
}

impl Default for Spaces {
    fn default() -> Spaces {
        Spaces::within(SpaceLimits::default())
    }
}

impl Spaces {
    /// None yet, and these bounds.
    pub fn within(limits: SpaceLimits) -> Spaces {
        Spaces { common: Arc::new(Common::new(limits)), spaces: RwLock::default() }
    }

    /// The node of these spaces: whom they wake, and by whom they tell.
    pub fn meet(&self, node: &Arc<dyn Services>) {
        self.common.meet(node);
    }

    fn there(&self, name: &ActorId) -> Option<Place> {
        let space = self.spaces.read().get(name)?.clone();
        Some(Place { common: self.common.clone(), space })
    }

    fn place(&self, name: &ActorId) -> Result<Place, Refused> {
        if let Some(place) = self.there(name) {
            return Ok(place);
        }
        let mut spaces = self.spaces.write();
        let most = self.common.limits.spaces;
        if spaces.len() >= most && !spaces.contains_key(name) {
            // Nobody gets hold of one of these meanwhile.
            spaces.retain(|_, space| Arc::strong_count(space) > 1 || !space.lock().idle());
            if spaces.len() >= most {
                return Err(Refused::Exhausted(format!("max-spaces = {most}")));
            }
        }
        let space = spaces.entry(name.clone()).or_insert_with(|| Arc::new(Space::new(name.clone())));
        Ok(Place { common: self.common.clone(), space: space.clone() })
    }

    fn has_room(&self, place: &Place, more: u64, entries: usize) -> Result<(), Refused> {
        let limits = &self.common.limits;
        let state = place.space.lock();
        if state.slots.len() + entries > limits.entries {
            return Err(Refused::Exhausted(format!("max-space-entries = {}", limits.entries)));
        }
        if state.bytes.saturating_add(more) > limits.bytes {
            return Err(Refused::Exhausted(format!("max-space-bytes = {}", limits.bytes)));
        }
        if self.common.bytes.load(Relaxed).saturating_add(more) > limits.all_bytes {
            return Err(Refused::Exhausted(format!("max-spaces-bytes = {}", limits.all_bytes)));
        }
        Ok(())
    }

    /// Writes a tuple; its id.
    pub fn write(
        &self,
        request: Request<'_>,
        value: Tuple,
        lease: Option<NodeTime>,
        batch: &mut Batch,
    ) -> Result<(u64, Write), Refused> {
        let place = self.place(request.space)?;
        self.has_room(&place, cost(&value), 1)?;
        let id = self.common.id();
        batch.put_with(
            Table::SPACES,
            |out| rows::put_entry_key(out, request.space, id),
            |out| rows::put_entry(out, lease, &value),
        );
        Ok((id, Write::new(place, id, value, lease, request.me.clone())))
    }

    /// Has a lease end at another time.
    pub fn renew(&self, request: Request<'_>, id: u64, lease: NodeTime) -> Result<Seen<Renew>, Refused> {
        let missing = || Refused::NotFound(format!("tuple {id}"));
        let place = self.there(request.space).ok_or_else(missing)?;
        let (sees, gate) = {
            let state = place.space.lock();
            (state.sees(id, request.me, request.now), state.gate)
        };
        if !sees {
            return Err(missing());
        }
        Ok((Renew::new(place, id, lease, request.me.clone()), gate))
    }

    /// Removes the tuple of an id, if it is there.
    pub fn revoke(&self, request: Request<'_>, id: u64, batch: &mut Batch) -> Seen<Option<Take>> {
        let Some(place) = self.there(request.space) else { return (None, Gate::default()) };
        let mut state = place.space.lock();
        let gate = state.gate;
        if !state.sees(id, request.me, request.now) {
            return (None, gate);
        }
        state.take(id, Taken::Step, Some(request.me));
        drop(state);
        batch.delete_with(Table::SPACES, |out| rows::put_entry_key(out, request.space, id));
        (Some(Take::held(place, id)), gate)
    }

    /// The first match.
    pub fn read(&self, request: Request<'_>, pattern: &[PatternField]) -> Seen<Option<Stored>> {
        let Some(place) = self.there(request.space) else { return (None, Gate::default()) };
        let mut state = place.space.lock();
        let found = state.find(pattern, Some(request.me), request.now, None);
        (found.and_then(|id| state.stored(id)), state.gate)
    }

    /// Takes the first match.
    pub fn take(
        &self,
        request: Request<'_>,
        pattern: &[PatternField],
        batch: &mut Batch,
    ) -> Seen<Option<(Stored, Take)>> {
        let Some(place) = self.there(request.space) else { return (None, Gate::default()) };
        let mut state = place.space.lock();
        let gate = state.gate;
        let found = state.find(pattern, Some(request.me), request.now, None);
        let Some(stored) = found.and_then(|id| state.stored(id)) else { return (None, gate) };
        state.take(stored.id, Taken::Step, Some(request.me));
        drop(state);
        batch.delete_with(Table::SPACES, |out| rows::put_entry_key(out, request.space, stored.id));
        let take = Take::held(place, stored.id);
        (Some((stored, take)), gate)
    }

    /// Takes a match for each pattern, each its own, or none of them.
    pub fn take_each(
        &self,
        request: Request<'_>,
        patterns: &[Pattern],
        batch: &mut Batch,
    ) -> Seen<Option<Vec<(Stored, Take)>>> {
        let Some(place) = self.there(request.space) else {
            return (patterns.is_empty().then(Vec::new), Gate::default());
        };
        let mut state = place.space.lock();
        let gate = state.gate;
        // As many candidates as there are patterns are enough: the others cannot have them all.
        let mut candidates = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let (mut mine, mut after) = (Vec::new(), None);
            while mine.len() < patterns.len()
                && let Some(id) = state.find(pattern, Some(request.me), request.now, after)
            {
                mine.push(id);
                after = Some(id);
            }
            if mine.is_empty() {
                return (None, gate);
            }
            candidates.push(mine);
        }
        let Some(ids) = each_its_own(&candidates) else { return (None, gate) };
        let mut taken: Vec<(Stored, Take)> = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(stored) = state.stored(id) else { continue };
            state.take(id, Taken::Step, Some(request.me));
            batch.delete_with(Table::SPACES, |out| rows::put_entry_key(out, request.space, id));
            taken.push((stored, Take::held(place.clone(), id)));
        }
        (Some(taken), gate)
    }

    /// Matches in the order of their ids, from the one behind `after` on: up to so many, and about so many bytes.
    pub fn read_all(
        &self,
        request: Request<'_>,
        pattern: &[PatternField],
        after: Option<u64>,
        most: (usize, usize),
    ) -> Seen<Vec<Stored>> {
        let Some(place) = self.there(request.space) else { return (Vec::new(), Gate::default()) };
        let state = place.space.lock();
        (state.all(pattern, request.me, request.now, after, most), state.gate)
    }

    /// How many match.
    pub fn count(&self, request: Request<'_>, pattern: &[PatternField]) -> Seen<u64> {
        let Some(place) = self.there(request.space) else { return (0, Gate::default()) };
        let state = place.space.lock();
        (state.count(pattern, request.me, request.now), state.gate)
    }

    /// Replaces the first match in its place; what it was.
    pub fn swap(
        &self,
        request: Request<'_>,
        pattern: &[PatternField],
        value: Tuple,
    ) -> Result<Seen<(Stored, Swap)>, Refused> {
        let place = self.there(request.space).ok_or(Refused::Conflict)?;
        self.has_room(&place, cost(&value), 0)?;
        let mut state = place.space.lock();
        let gate = state.gate;
        let found = state.find(pattern, Some(request.me), request.now, None);
        let Some(stored) = found.and_then(|id| state.stored(id)) else { return Err(Refused::Conflict) };
        Ok(((stored.clone(), Swap::new(&mut state, place.clone(), stored.id, value, request.me)), gate))
    }

    /// Reads, or takes (`takes`), the first match; waits for one if there is none.
    pub fn wait(
        &self,
        request: Request<'_>,
        pattern: &Pattern,
        takes: bool,
        (wait, durable): (&WaitId, bool),
        batch: &mut Batch,
    ) -> Result<Seen<Wanted>, Refused> {
        if takes {
            if let (Some((stored, take)), gate) = self.take(request, pattern, batch) {
                return Ok((Wanted::Found(stored, Some(take)), gate));
            }
        } else if let (Some(stored), gate) = self.read(request, pattern) {
            return Ok((Wanted::Found(stored, None), gate));
        }
        let place = self.place(request.space)?;
        let gate = place.space.lock().gate;
        let arrival = self.common.arrival();
        if durable {
            batch.put(Table::SPACES, &rows::waiter_key(&wait.actor), &rows::waiter(wait, arrival));
        }
        let waiter = Waiter { wait: wait.clone(), pattern: pattern.clone(), takes, durable };
        Ok((Wanted::Begins(Begin::new(place, arrival, waiter, request.now)), gate))
    }

    /// After a restart: the wait goes on, in its old place. Nobody commits to services meanwhile.
    pub fn wait_again(
        &self,
        request: Request<'_>,
        pattern: &Pattern,
        takes: bool,
        wait: &WaitId,
    ) -> Result<(), Refused> {
        let place = self.place(request.space)?;
        let arrival = {
            let mut waiting = self.common.waiting.lock();
            let known = waiting.get(&wait.actor).filter(|known| known.wait == *wait);
            if known.is_some_and(|known| known.phase != Phase::Gone) {
                return Ok(());
            }
            let (arrival, row) = match known {
                Some(known) => (known.arrival, known.row),
                None => (self.common.arrival(), false),
            };
            let (space, phase) = (Some(place.space.clone()), Phase::Registered);
            waiting.insert(wait.actor.clone(), Waiting { wait: wait.clone(), arrival, row, space, phase });
            arrival
        };
        let mut state = place.space.lock();
        let found = state.find(pattern, None, request.now, None);
        state.enlist(arrival, Waiter { wait: wait.clone(), pattern: pattern.clone(), takes, durable: true });
        drop(state);
        if found.is_some() {
            self.common.hungry.lock().push((place.space, arrival));
            self.common.wake(NodeTime(0));
        }
        Ok(())
    }

    /// What a completed wait has got: for one that takes, the step takes it now. None if it was given back since and another has it.
    /// Its place in line is free.
    pub fn waited(
        &self,
        me: &ActorId,
        wait: &WaitId,
        completion: &[u8],
        batch: &mut Batch,
    ) -> Option<(Stored, Option<Take>)> {
        let (space, id) = match rows::given(completion)? {
            Given::Read { id, value } => {
                self.common.withdraw(wait);
                return Some((Stored { id, value }, None));
            }
            Given::Taken { space, id } => (space, id),
        };
        let held = {
            let mut waiting = self.common.waiting.lock();
            let entry = waiting.get_mut(me).filter(|entry| entry.wait == *wait);
            let held = entry.is_some_and(|entry| {
                entry.space = None;
                std::mem::replace(&mut entry.phase, Phase::Gone) == Phase::Held(id)
            });
            if waiting.get(me).is_some_and(|entry| entry.wait == *wait && !entry.row) {
                waiting.remove(me);
            }
            held
        };
        let place = self.there(&space)?;
        let mut state = place.space.lock();
        let slot = state.slots.get_mut(&id)?;
        match (held, slot.free()) {
            (true, _) if slot.taken == Taken::Wait => (slot.taken, slot.by) = (Taken::Step, Some(me.clone())),
            (false, true) => state.take(id, Taken::Step, Some(me)),
            _ => return None,
        }
        let stored = state.stored(id)?;
        drop(state);
        batch.delete_with(Table::SPACES, |out| rows::put_entry_key(out, &space, id));
        Some((stored, Some(Take::held(place, id))))
    }

    /// The wait is over: the row of its place in line goes.
    pub fn left(&self, wait: &WaitId, batch: &mut Batch) {
        batch.delete(Table::SPACES, &rows::waiter_key(&wait.actor));
    }

    /// Has an actor told of what is written and matches; the id of the subscription.
    pub fn subscribe(
        &self,
        request: Request<'_>,
        pattern: Pattern,
        durable: bool,
        batch: &mut Batch,
    ) -> Result<(u64, Subscribe), Refused> {
        let most = self.common.limits.subscriptions;
        if self.common.subscribers.lock().get(request.me).is_some_and(|mine| mine.len() >= most) {
            return Err(Refused::Exhausted(format!("max-subscriptions = {most}")));
        }
        let place = self.place(request.space)?;
        let id = self.common.id();
        if durable {
            let row = rows::subscription(request.space, request.me, &pattern);
            batch.put(Table::SPACES, &rows::subscription_key(id), &row);
        }
        self.add_subscription(&place, id, request.me, pattern, false);
        Ok((id, Subscribe::new(place, id, request.me.clone(), true)))
    }

    fn add_subscription(&self, place: &Place, id: u64, actor: &ActorId, pattern: Pattern, live: bool) {
        let subscription = Subscription { actor: actor.clone(), pattern, live, ending: false, missed: 0 };
        {
            let mut state = place.space.lock();
            if live {
                let key = state.subscribed.of_pattern(&subscription.pattern);
                state.subscribed.add(key, id);
            }
            state.subscriptions.insert(id, subscription);
        }
        self.common.subscribers.lock().entry(actor.clone()).or_default().insert(id, place.space.clone());
    }

    /// Has an actor not be told any more.
    pub fn unsubscribe(&self, me: &ActorId, id: u64, batch: &mut Batch) -> Result<Subscribe, Refused> {
        let missing = || Refused::NotFound(format!("subscription {id}"));
        let space = self.common.subscribers.lock().get(me).and_then(|mine| mine.get(&id).cloned());
        let place = Place { common: self.common.clone(), space: space.ok_or_else(missing)? };
        {
            let mut state = place.space.lock();
            let subscription = state.subscriptions.get_mut(&id).ok_or_else(missing)?;
            if std::mem::replace(&mut subscription.ending, true) {
                return Err(missing());
            }
        }
        batch.delete(Table::SPACES, &rows::subscription_key(id));
        Ok(Subscribe::new(place, id, me.clone(), false))
    }
}

/// A candidate for each, all different: the first ones, but where that would leave another without.
fn each_its_own(candidates: &[Vec<u64>]) -> Option<Vec<u64>> {
    let mut owner: HashMap<u64, usize> = HashMap::new();
    for at in 0..candidates.len() {
        if !place_one(at, candidates, &mut owner, &mut Vec::new()) {
            return None;
        }
    }
    let mut ids = vec![0; candidates.len()];
    for (id, at) in owner {
        ids[at] = id;
    }
    Some(ids)
}

/// Finds one for `at`; those who have what it wants look for another.
fn place_one(at: usize, candidates: &[Vec<u64>], owner: &mut HashMap<u64, usize>, tried: &mut Vec<u64>) -> bool {
    let free = candidates[at].iter().find(|id| !owner.contains_key(*id));
    if let Some(id) = free {
        owner.insert(*id, at);
        return true;
    }
    for id in &candidates[at] {
        if tried.contains(id) {
            continue;
        }
        tried.push(*id);
        let other = owner.get(id).copied();
        if other.is_none_or(|other| place_one(other, candidates, owner, tried)) {
            owner.insert(*id, at);
            return true;
        }
    }
    false
}

impl Service for Spaces {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        match rows::read(key, value) {
            Some(Row::Entry { space, id, lease, value }) => {
                let Ok(place) = self.place(&space) else { return false };
                let bytes = cost(&value);
                {
                    let mut state = place.space.lock();
                    state.bytes += bytes;
                    state.slots.insert(id, Slot::restored(value, lease));
                    state.show(id);
                }
                self.common.bytes.fetch_add(bytes, Relaxed);
                if let Some(lease) = lease {
                    self.common.leases.lock().insert((lease, id), place.space);
                }
            }
            Some(Row::Subscription { id, space, actor, pattern }) => {
                let Ok(place) = self.place(&space) else { return false };
                self.add_subscription(&place, id, &actor, pattern, true);
            }
            Some(Row::Waiter { wait, arrival }) => {
                self.common.restore_arrival(arrival);
                let waiting = Waiting { wait: wait.clone(), arrival, row: true, space: None, phase: Phase::Gone };
                self.common.waiting.lock().insert(wait.actor, waiting);
            }
            Some(Row::Mark(below)) => self.common.restore_mark(below),
            None => return false,
        }
        true
    }

    fn hold(&self, wait: &WaitId, completion: &[u8]) -> bool {
        let (space, phase) = match rows::given(completion) {
            None => return false,
            Some(Given::Read { .. }) => (None, Phase::Read),
            Some(Given::Taken { space, id }) => {
                let Some(place) = self.there(&space) else { return false };
                let mut state = place.space.lock();
                if !state.slots.get(&id).is_some_and(Slot::free) {
                    return false;
                }
                state.take(id, Taken::Wait, None);
                drop(state);
                (Some(place.space), Phase::Held(id))
            }
        };
        let mut waiting = self.common.waiting.lock();
        let known = waiting.get(&wait.actor).filter(|known| known.wait == *wait);
        let (arrival, row) = known.map_or((0, false), |known| (known.arrival, known.row));
        waiting.insert(wait.actor.clone(), Waiting { wait: wait.clone(), arrival, row, space, phase });
        true
    }

    fn withdraw(&self, wait: &WaitId) {
        self.common.withdraw(wait);
    }

    fn ended(&self, _: &dyn Party, end: &End<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let actor = end.actor;
        let wait = self.common.waiting.lock().get(actor).map(|waiting| waiting.wait.clone());
        let mine = self.common.subscribers.lock().get(actor).cloned().unwrap_or_default();
        if wait.is_none() && mine.is_empty() {
            return Vec::new();
        }
        if wait.is_some() {
            batch.delete(Table::SPACES, &rows::waiter_key(actor));
        }
        let mut subscriptions = Vec::with_capacity(mine.len());
        for (id, space) in mine {
            batch.delete(Table::SPACES, &rows::subscription_key(id));
            subscriptions.push((id, Place { common: self.common.clone(), space }));
        }
        vec![Box::new(Ended { common: self.common.clone(), actor: actor.clone(), wait, subscriptions })]
    }

    fn next_due(&self) -> Option<NodeTime> {
        self.common.next_due()
    }

    fn due(&self, node: &dyn Party, now: NodeTime) -> Result<(), troupe_log::Error> {
        while self.common.next_due().is_some_and(|at| at <= now) {
            node.commit(Batch::new(), vec![Box::new(Sweep::new(self.common.clone(), now))])?;
        }
        Ok(())
    }
}
