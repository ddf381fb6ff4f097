//! One space: its tuples, who waits in it, who is told.
//!
//! Promises: equal matches come out in the order of their ids; a tuple that an open step has written, taken or changed is seen by
//! nobody but that step; one that goes back goes back to its old place; waiters are served in order of arrival.

use std::collections::{BTreeMap, HashMap};

use parking_lot::{Mutex, MutexGuard};
use troupe_log::{ActorId, NodeTime};

use super::index::Index;
use super::value::{Field, Pattern, PatternField, Stored, Tuple, matches, size};
use crate::actor::message::Gate;
use crate::service::waits::WaitId;

/// What a tuple takes in memory and rows beside its fields.
const OVERHEAD: u64 = 128;

/// A space.
pub struct Space {
    /// Its full name.
    pub name: ActorId,
    state: Mutex<State>,
}

impl Space {
    /// An empty one.
    pub fn new(name: ActorId) -> Space {
        Space { name, state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// Who has a tuple, so that nobody finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    No,
    /// The step of [`Slot::by`], or what removes tuples whose lease is over.
    Step,
    /// A wait that has not consumed it yet.
    Wait,
    /// Nobody any more; waiters that came while it was gone are asked first.
    Returned,
}

/// A tuple in its place.
pub(super) struct Slot {
    pub value: Tuple,
    /// The value before the open step of [`Slot::by`] that replaced it.
    pub old: Option<Box<Tuple>>,
    pub lease: Option<NodeTime>,
    /// Whose open step has it.
    pub by: Option<ActorId>,
    pub taken: Taken,
    /// Written by that step.
    pub fresh: bool,
    /// Open steps that renew its lease: it does not end meanwhile.
    pub renewing: u32,
}

impl Slot {
    /// What a step has just written.
    pub fn fresh(value: Tuple, lease: Option<NodeTime>, by: ActorId) -> Slot {
        Slot { value, old: None, lease, by: Some(by), taken: Taken::No, fresh: true, renewing: 0 }
    }

    /// What a committed row says.
    pub fn restored(value: Tuple, lease: Option<NodeTime>) -> Slot {
        Slot { value, old: None, lease, by: None, taken: Taken::No, fresh: false, renewing: 0 }
    }

    fn seen_by(&self, me: Option<&ActorId>, now: NodeTime) -> bool {
        self.taken == Taken::No
            && (self.by.is_none() || self.by.as_ref() == me)
            && (self.renewing > 0 || self.lease.is_none_or(|lease| lease > now))
    }

    /// Committed, and nobody has it.
    pub fn free(&self) -> bool {
        self.taken == Taken::No && self.by.is_none()
    }
}

/// What a tuple counts for in the bounds.
pub(super) fn cost(value: &[Field]) -> u64 {
    size(value) as u64 + OVERHEAD
}

/// Somebody who waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub wait: WaitId,
    pub pattern: Pattern,
    pub takes: bool,
    /// Whether its completion is a row.
    pub durable: bool,
}

/// Somebody who is told.
pub(super) struct Subscription {
    pub actor: ActorId,
    pub pattern: Pattern,
    /// Whether it hears of what is written from here on.
    pub live: bool,
    /// An open step ends it.
    pub ending: bool,
    /// What it could not be told since it was told something.
    pub missed: u64,
}

#[derive(Default)]
pub(super) struct State {
    pub slots: HashMap<u64, Slot>,
    pub index: Index,
    pub bytes: u64,
    /// By arrival.
    pub waiters: BTreeMap<u64, Waiter>,
    pub waiting: Index,
    pub subscriptions: BTreeMap<u64, Subscription>,
    pub subscribed: Index,
    /// What every answer depends on.
    pub gate: Gate,
    /// Tuples that were looked at.
    #[cfg(test)]
    pub visited: u64,
}

impl State {
    /// True if nothing is lost when it is forgotten.
    pub fn idle(&self) -> bool {
        self.slots.is_empty() && self.waiters.is_empty() && self.subscriptions.is_empty()
    }

    /// The first tuple behind `after` that `me` sees, or anybody if it is none, and that matches.
    pub fn find(
        &mut self,
        pattern: &[PatternField],
        me: Option<&ActorId>,
        now: NodeTime,
        after: Option<u64>,
    ) -> Option<u64> {
        let key = self.index.of_pattern(pattern);
        for id in self.index.under(key, after) {
            #[cfg(test)]
            {
                self.visited += 1;
            }
            let Some(slot) = self.slots.get(&id) else { continue };
            if slot.seen_by(me, now) && matches(pattern, &slot.value) {
                return Some(id);
            }
        }
        None
    }

    /// All that match, up to `limit` of them and about so many bytes, at least one.
    pub fn all(
        &self,
        pattern: &[PatternField],
        me: &ActorId,
        now: NodeTime,
        after: Option<u64>,
        (limit, bytes): (usize, usize),
    ) -> Vec<Stored> {
        let (mut all, mut used) = (Vec::new(), 0);
        for id in self.index.under(self.index.of_pattern(pattern), after) {
            if all.len() >= limit {
                break;
            }
            let Some(slot) = self.slots.get(&id) else { continue };
            if !slot.seen_by(Some(me), now) || !matches(pattern, &slot.value) {
                continue;
            }
            used += 8 + size(&slot.value);
            if used > bytes && !all.is_empty() {
                break;
            }
            all.push(Stored { id, value: slot.value.clone() });
        }
        all
    }

    /// How many match.
    pub fn count(&self, pattern: &[PatternField], me: &ActorId, now: NodeTime) -> u64 {
        let ids = self.index.under(self.index.of_pattern(pattern), None);
        let found = ids.filter(|id| {
            let slot = self.slots.get(id);
            slot.is_some_and(|slot| slot.seen_by(Some(me), now) && matches(pattern, &slot.value))
        });
        found.count() as u64
    }

    /// Whether `me` sees the tuple of that id.
    pub fn sees(&self, id: u64, me: &ActorId, now: NodeTime) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.seen_by(Some(me), now))
    }

    /// The stored tuple, for an answer.
    pub fn stored(&self, id: u64) -> Option<Stored> {
        self.slots.get(&id).map(|slot| Stored { id, value: slot.value.clone() })
    }

    /// Lets it be found.
    pub fn show(&mut self, id: u64) {
        let Some(slot) = self.slots.get(&id) else { return };
        let [exact, any] = self.index.of_tuple(&slot.value);
        self.index.add(exact, id);
        if any != exact {
            self.index.add(any, id);
        }
    }

    /// Lets it not be found.
    pub fn hide(&mut self, id: u64) {
        let Some(slot) = self.slots.get(&id) else { return };
        let [exact, any] = self.index.of_tuple(&slot.value);
        self.index.remove(exact, id);
        if any != exact {
            self.index.remove(any, id);
        }
    }

    /// Whoever takes it has it from here on.
    pub fn take(&mut self, id: u64, taken: Taken, by: Option<&ActorId>) {
        self.hide(id);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.taken = taken;
            // What a step has written or changed stays its own.
            if slot.by.is_none() {
                slot.by = by.cloned();
            }
        }
    }

    /// Those who wait for what this is, in order of arrival.
    pub fn waiters_for(&self, value: &[Field]) -> Vec<u64> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let arrivals = self.waiting.under_either(self.waiting.of_tuple(value));
        let mut found = Vec::new();
        for arrival in arrivals {
            let Some(waiter) = self.waiters.get(&arrival) else { continue };
            if matches(&waiter.pattern, value) {
                found.push(arrival);
                if waiter.takes {
                    break;
                }
            }
        }
        found
    }

    /// Puts a waiter in its place in line.
    pub fn enlist(&mut self, arrival: u64, waiter: Waiter) {
        let key = self.waiting.of_pattern(&waiter.pattern);
        self.waiting.add(key, arrival);
        self.waiters.insert(arrival, waiter);
    }

    /// Takes a waiter out of the line.
    pub fn dismiss(&mut self, arrival: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&arrival)?;
        let key = self.waiting.of_pattern(&waiter.pattern);
        self.waiting.remove(key, arrival);
        Some(waiter)
    }

    /// Those who are to be told of this, by their ids.
    pub fn subscribers_of(&self, value: &[Field]) -> Vec<u64> {
        if self.subscribed.is_empty() {
            return Vec::new();
        }
        let ids = self.subscribed.under_either(self.subscribed.of_tuple(value));
        let wants = |id: &u64| self.subscriptions.get(id).is_some_and(|it| it.live && matches(&it.pattern, value));
        ids.filter(wants).collect()
    }
}
