//! Who waits and who is served: with what a step writes, with what goes back, and with what was there.
//!
//! Promises: in order of arrival; what one is given nobody else gets; given only in the batch that makes it everybody's.

use std::sync::Arc;

use troupe_log::{Batch, NodeTime, Table};

use super::changes::{Place, Take};
use super::common::{Common, Phase, Waiting};
use super::rows;
use super::space::{Space, State, Taken, Waiter};
use super::value::Tuple;
use crate::boundary::{Committed, Staging};
use crate::service::Which;

/// A batch that has grown to this takes no further copies for readers and subscribers: one of a gibibyte would stop the log.
pub(super) const MAX_BATCH: usize = 256 << 20;

impl Place {
    /// Gives a tuple that will be everybody's to those who wait for it. `batch` is the one that makes it so.
    pub(super) fn offer(&self, id: u64, batch: &mut Batch) -> Served {
        self.offer_in(&mut self.space.lock(), id, self.common.now(), batch)
    }

    fn offer_in(&self, state: &mut State, id: u64, now: NodeTime, batch: &mut Batch) -> Served {
        let mut served = Served { place: self.clone(), to: Vec::new() };
        let Some(slot) = state.slots.get(&id) else { return served };
        let arrivals = state.waiters_for(&slot.value);
        if arrivals.is_empty() || slot.lease.is_some_and(|lease| lease <= now) {
            return served;
        }
        for arrival in arrivals {
            let takes = state.waiters.get(&arrival).is_some_and(|waiter| waiter.takes);
            if !takes && batch.bytes().len() > MAX_BATCH {
                self.common.hungry.lock().push((self.space.clone(), arrival));
                self.common.wake(NodeTime(0));
                continue;
            }
            let Some(waiter) = state.dismiss(arrival) else { continue };
            let Some(slot) = state.slots.get(&id) else { continue };
            served.to.push(give(&self.common, &self.space, (id, &slot.value), arrival, waiter, batch));
            if takes {
                state.take(id, Taken::Wait, None);
            }
        }
        served
    }
}

/// A waiter that is out of line gets a tuple.
fn give(
    common: &Common,
    space: &Arc<Space>,
    (id, value): (u64, &Tuple),
    arrival: u64,
    waiter: Waiter,
    batch: &mut Batch,
) -> (u64, Waiter, Vec<u8>, u64) {
    let completion = if waiter.takes { rows::taken(&space.name, id) } else { rows::seen(id, value) };
    if waiter.durable {
        batch.put(Table::COMPLETIONS, &waiter.wait.key(), &completion);
    }
    if let Some(waiting) = common.waiting.lock().get_mut(&waiter.wait.actor)
        && waiting.wait == waiter.wait
    {
        waiting.phase = if waiter.takes { Phase::Held(id) } else { Phase::Read };
    }
    (arrival, waiter, completion, id)
}

/// Waiters who get something with a batch that is being committed: place in line, who, completion, and which tuple.
pub(super) struct Served {
    place: Place,
    to: Vec<(u64, Waiter, Vec<u8>, u64)>,
}

impl Served {
    pub fn commit(mut self, committed: &Committed<'_>) {
        if self.to.is_empty() {
            return;
        }
        let gate = self.place.space.lock().gate.and(committed.gate);
        for (_, waiter, completion, _) in std::mem::take(&mut self.to) {
            committed.waits.complete(waiter.wait, completion, gate);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for (arrival, waiter, _, id) in std::mem::take(&mut self.to) {
            let takes = waiter.takes;
            if let Some(waiting) = self.place.common.waiting.lock().get_mut(&waiter.wait.actor)
                && waiting.wait == waiter.wait
            {
                waiting.phase = Phase::Registered;
            }
            self.place.space.lock().enlist(arrival, waiter);
            if takes {
                self.place.common.give_back(&self.place.space, id);
            }
        }
    }
}

/// An actor begins to wait.
pub struct Begin {
    place: Place,
    arrival: u64,
    waiter: Option<Waiter>,
    /// When it looked.
    now: NodeTime,
    served: Option<Served>,
}

impl Begin {
    pub(super) fn new(place: Place, arrival: u64, waiter: Waiter, now: NodeTime) -> Begin {
        Begin { place, arrival, waiter: Some(waiter), now, served: None }
    }
}

impl Staging for Begin {
    /// What has come since it looked is its own; else it stands in line.
    fn prepare(&mut self, batch: &mut Batch) {
        let Some(waiter) = self.waiter.take() else { return };
        let Place { common, space } = &self.place;
        let wait = waiter.wait.clone();
        let (space_, phase) = (Some(space.clone()), Phase::Registered);
        let waiting = Waiting { wait: wait.clone(), arrival: self.arrival, row: waiter.durable, space: space_, phase };
        common.waiting.lock().insert(wait.actor, waiting);
        let mut state = space.lock();
        let found = state.find(&waiter.pattern, None, self.now, None);
        let mut served = Served { place: self.place.clone(), to: Vec::new() };
        match found.and_then(|id| state.slots.get(&id).map(|slot| (id, slot))) {
            Some((id, slot)) => {
                let takes = waiter.takes;
                served.to.push(give(common, space, (id, &slot.value), self.arrival, waiter, batch));
                if takes {
                    state.take(id, Taken::Wait, None);
                }
            }
            None => state.enlist(self.arrival, waiter),
        }
        self.served = Some(served);
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        if let Some(served) = self.served.take() {
            served.commit(committed);
        }
    }
}

/// What is due: leases that are over, tuples that went back, waiters for whom something may be there.
pub(super) struct Sweep {
    common: Arc<Common>,
    now: NodeTime,
    over: Vec<Take>,
    served: Vec<Served>,
}

/// What one batch of a sweep does at most.
const SWEPT: usize = 4096;

impl Sweep {
    pub(super) fn new(common: Arc<Common>, now: NodeTime) -> Sweep {
        Sweep { common, now, over: Vec::new(), served: Vec::new() }
    }

    fn place(&self, space: Arc<Space>) -> Place {
        Place { common: self.common.clone(), space }
    }
}

impl Staging for Sweep {
    fn prepare(&mut self, batch: &mut Batch) {
        let over: Vec<_> = {
            let mut leases = self.common.leases.lock();
            let mut over = Vec::new();
            while over.len() < SWEPT
                && let Some(first) = leases.first_entry()
                && first.key().0 <= self.now
            {
                over.push(first.remove_entry());
            }
            over
        };
        for ((lease, id), space) in over {
            let place = self.place(space);
            let mut state = place.space.lock();
            let ends = state.slots.get(&id).is_some_and(|slot| {
                // One that is taken, changed or renewed comes again when that is over.
                slot.free() && slot.renewing == 0 && slot.lease == Some(lease)
            });
            if ends {
                batch.delete_with(Table::SPACES, |out| rows::put_entry_key(out, &place.space.name, id));
                state.take(id, Taken::Step, None);
                drop(state);
                self.over.push(Take::held(place, id));
            }
        }
        let returned: Vec<_> = {
            let mut returned = self.common.returned.lock();
            let count = returned.len().min(SWEPT);
            returned.drain(..count).collect()
        };
        for (space, id) in returned {
            let place = self.place(space);
            let mut state = place.space.lock();
            let Some(slot) = state.slots.get_mut(&id).filter(|slot| slot.taken == Taken::Returned) else { continue };
            slot.taken = Taken::No;
            if let Some(lease) = slot.lease {
                // It may have ended meanwhile: then the next sweep has it.
                self.common.leases.lock().insert((lease, id), place.space.clone());
            }
            state.show(id);
            let served = place.offer_in(&mut state, id, self.now, batch);
            drop(state);
            self.served.push(served);
        }
        let hungry: Vec<_> = {
            let mut hungry = self.common.hungry.lock();
            let count = hungry.len().min(SWEPT);
            hungry.drain(..count).collect()
        };
        for (space, arrival) in hungry {
            let place = self.place(space);
            let mut served = Vec::new();
            let mut state = place.space.lock();
            // Others who came before may be served first; then it looks for another.
            while let Some(waiter) = state.waiters.get(&arrival).cloned()
                && let Some(id) = state.find(&waiter.pattern, None, self.now, None)
            {
                if batch.bytes().len() > MAX_BATCH {
                    self.common.hungry.lock().push((place.space.clone(), arrival));
                    break;
                }
                let offered = place.offer_in(&mut state, id, self.now, batch);
                if offered.to.is_empty() {
                    // Its lease ends just now.
                    break;
                }
                served.push(offered);
            }
            drop(state);
            self.served.append(&mut served);
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        for over in std::mem::take(&mut self.over) {
            Box::new(over).commit(committed);
        }
        for served in std::mem::take(&mut self.served) {
            served.commit(committed);
        }
        if let Some(at) = self.common.next_due() {
            committed.timers.wake(Which::Spaces, at);
        }
    }
}
