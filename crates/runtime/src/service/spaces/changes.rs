//! What a step does to a space, held back until the step is committed.
//!
//! Rows of what nobody else can touch are written at the call; those that depend on what others have done meanwhile, and who is
//! served and told, when the step is committed. Dropped before that, each goes back to what was there.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::common::Common;
use super::rows;
use super::serving::Served;
use super::space::{Slot, Space, State, Taken, cost};
use super::value::Tuple;
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};
use crate::service::Which;

/// A space of a node.
#[derive(Clone)]
pub struct Place {
    pub(super) common: Arc<Common>,
    pub(super) space: Arc<Space>,
}

impl Place {
    /// Everybody depends on this from here on.
    fn saw(&self, gate: Gate) {
        let mut state = self.space.lock();
        state.gate = state.gate.and(gate);
    }

    fn spend(&self, bytes: u64) {
        self.common.bytes.fetch_add(bytes, Relaxed);
    }

    fn regain(&self, bytes: u64) {
        self.common.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Takes a tuple away for good.
    fn remove(&self, id: u64) {
        let mut state = self.space.lock();
        if state.slots.get(&id).is_some_and(|slot| slot.taken == Taken::No) {
            state.hide(id);
        }
        let Some(slot) = state.slots.remove(&id) else { return };
        let bytes = cost(&slot.value);
        state.bytes -= bytes;
        drop(state);
        self.regain(bytes);
        if let Some(lease) = slot.lease {
            self.common.leases.lock().remove(&(lease, id));
        }
    }

    /// The lease of a committed tuple runs.
    fn lease(&self, id: u64, lease: Option<NodeTime>, committed: &Committed<'_>) {
        let Some(lease) = lease else { return };
        self.common.leases.lock().insert((lease, id), self.space.clone());
        committed.timers.wake(Which::Spaces, lease);
    }
}

/// A tuple is written.
pub struct Write {
    place: Place,
    id: u64,
    served: Option<Served>,
    told: Vec<Box<dyn Staging>>,
    committed: bool,
}

impl Write {
    /// It is in the step's batch already.
    pub(super) fn new(place: Place, id: u64, value: Tuple, lease: Option<NodeTime>, by: ActorId) -> Write {
        let bytes = cost(&value);
        {
            let mut state = place.space.lock();
            state.bytes += bytes;
            state.slots.insert(id, Slot::fresh(value, lease, by));
            state.show(id);
        }
        place.spend(bytes);
        Write { place, id, served: None, told: Vec::new(), committed: false }
    }
}

impl Staging for Write {
    fn prepare(&mut self, batch: &mut Batch) {
        self.place.common.mark(batch, self.id);
        if self.place.space.lock().slots.get(&self.id).is_some_and(|slot| slot.taken == Taken::No) {
            self.told = self.place.tell(self.id, batch);
            self.served = Some(self.place.offer(self.id, batch));
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        let lease = {
            let mut state = self.place.space.lock();
            state.gate = state.gate.and(committed.gate);
            let Some(slot) = state.slots.get_mut(&self.id) else { return };
            slot.fresh = false;
            if slot.taken != Taken::Step && slot.old.is_none() {
                slot.by = None;
            }
            slot.lease
        };
        self.place.lease(self.id, lease, committed);
        for told in std::mem::take(&mut self.told) {
            told.commit(committed);
        }
        if let Some(served) = self.served.take() {
            served.commit(committed);
        }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.committed {
            self.place.remove(self.id);
        }
    }
}

/// A tuple is taken: by a step, or because its lease is over.
pub struct Take {
    place: Place,
    id: u64,
    committed: bool,
}

impl Take {
    /// Nobody finds it already.
    pub(super) fn held(place: Place, id: u64) -> Take {
        Take { place, id, committed: false }
    }
}

impl Staging for Take {
    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        self.place.saw(committed.gate);
        self.place.remove(self.id);
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        if !self.committed {
            self.place.common.give_back(&self.place.space, self.id);
        }
    }
}

/// A tuple is replaced in its place.
pub struct Swap {
    place: Place,
    id: u64,
    served: Option<Served>,
    told: Vec<Box<dyn Staging>>,
    committed: bool,
}

impl Swap {
    /// Nobody but the step finds it from here on.
    pub(super) fn new(state: &mut State, place: Place, id: u64, value: Tuple, by: &ActorId) -> Swap {
        state.hide(id);
        let (mut before, after) = (0, cost(&value));
        if let Some(slot) = state.slots.get_mut(&id) {
            before = cost(&slot.value);
            let old = std::mem::replace(&mut slot.value, value);
            // The value that is committed, where a step replaces one twice.
            slot.old.get_or_insert(Box::new(old));
            slot.by = Some(by.clone());
        }
        state.show(id);
        state.bytes = state.bytes + after - before;
        place.spend(after);
        place.regain(before);
        Swap { place, id, served: None, told: Vec::new(), committed: false }
    }
}

impl Staging for Swap {
    fn prepare(&mut self, batch: &mut Batch) {
        let taken = {
            let state = self.place.space.lock();
            let Some(slot) = state.slots.get(&self.id) else { return };
            if slot.taken == Taken::Step {
                // By the same step, whose batch says so already.
                return;
            }
            let name = &self.place.space.name;
            batch.put_with(
                Table::SPACES,
                |out| rows::put_entry_key(out, name, self.id),
                |out| rows::put_entry(out, slot.lease, &slot.value),
            );
            slot.taken
        };
        if taken == Taken::No {
            self.told = self.place.tell(self.id, batch);
            self.served = Some(self.place.offer(self.id, batch));
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        let lease = {
            let mut state = self.place.space.lock();
            state.gate = state.gate.and(committed.gate);
            state.slots.get_mut(&self.id).and_then(|slot| {
                slot.old = None;
                if slot.taken != Taken::Step {
                    slot.by = None;
                }
                slot.lease
            })
        };
        // It may have ended meanwhile.
        self.place.lease(self.id, lease, committed);
        for told in std::mem::take(&mut self.told) {
            told.commit(committed);
        }
        if let Some(served) = self.served.take() {
            served.commit(committed);
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        self.served = None;
        let mut state = self.place.space.lock();
        let Some(slot) = state.slots.get_mut(&self.id) else { return };
        let Some(old) = slot.old.take() else { return };
        let (before, after) = (cost(&slot.value), cost(&old));
        let taken = slot.taken;
        if taken == Taken::No {
            state.hide(self.id);
        }
        if let Some(slot) = state.slots.get_mut(&self.id) {
            slot.value = *old;
        }
        state.bytes = state.bytes + after - before;
        drop(state);
        self.place.spend(after);
        self.place.regain(before);
        if taken == Taken::No {
            self.place.common.give_back(&self.place.space, self.id);
        }
    }
}

/// A lease is renewed.
pub struct Renew {
    place: Place,
    id: u64,
    lease: NodeTime,
    by: ActorId,
    committed: bool,
}

impl Renew {
    /// It does not end meanwhile.
    pub(super) fn new(place: Place, id: u64, lease: NodeTime, by: ActorId) -> Renew {
        if let Some(slot) = place.space.lock().slots.get_mut(&id) {
            slot.renewing += 1;
        }
        Renew { place, id, lease, by, committed: false }
    }

    /// Bytes of the row that it writes.
    pub fn weight(&self) -> usize {
        let state = self.place.space.lock();
        state.slots.get(&self.id).map_or(0, |slot| super::value::size(&slot.value) + 256)
    }

    /// Counts this renewal out; the lease that runs then.
    fn done(&self) -> Option<NodeTime> {
        let mut state = self.place.space.lock();
        let slot = state.slots.get_mut(&self.id)?;
        slot.renewing -= 1;
        slot.lease
    }
}

impl Staging for Renew {
    fn prepare(&mut self, batch: &mut Batch) {
        let mut state = self.place.space.lock();
        let Some(slot) = state.slots.get_mut(&self.id) else { return };
        let own = slot.by.as_ref() == Some(&self.by);
        let before = slot.lease.replace(self.lease);
        if let Some(before) = before {
            self.place.common.leases.lock().remove(&(before, self.id));
        }
        if own && slot.taken == Taken::Step {
            return;
        }
        // What another step makes of it is not committed, and may never be.
        let value = if own { &slot.value } else { slot.old.as_deref().unwrap_or(&slot.value) };
        let name = &self.place.space.name;
        batch.put_with(
            Table::SPACES,
            |out| rows::put_entry_key(out, name, self.id),
            |out| rows::put_entry(out, slot.lease, value),
        );
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        self.place.saw(committed.gate);
        let lease = self.done();
        self.place.lease(self.id, lease, committed);
    }
}

impl Drop for Renew {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Some(lease) = self.done() {
            self.place.common.leases.lock().insert((lease, self.id), self.place.space.clone());
            self.place.common.wake(lease);
        }
    }
}
