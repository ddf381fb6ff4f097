//! What a step does to a space, held back until the step is committed.
//!
//! Rows of what nobody else can touch are written at the call; those that depend on what others have done meanwhile, and who is
//! served and told, when the step is committed. Dropped before that, each goes back to what was there.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::common::{Common, Phase, Waiting};
use super::rows;
use super::space::{Slot, Space, State, Taken, Waiter, cost};
use super::value::{Tuple, json};
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};
use crate::service::waits::WaitId;
use crate::service::{Info, Which};

/// A batch that has grown to this takes no further copies for readers and subscribers: one of a gibibyte would stop the log.
const MAX_BATCH: usize = 256 << 20;

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

    /// Gives a tuple that will be everybody's to those who wait for it. `batch` is the one that makes it so.
    pub(super) fn offer(&self, id: u64, batch: &mut Batch) -> Served {
        self.offer_in(&mut self.space.lock(), id, batch)
    }

    fn offer_in(&self, state: &mut State, id: u64, batch: &mut Batch) -> Served {
        let mut served = Served { place: self.clone(), to: Vec::new() };
        let Some(slot) = state.slots.get(&id) else { return served };
        let arrivals = state.waiters_for(&slot.value);
        if arrivals.is_empty() || slot.lease.is_some_and(|lease| lease <= self.common.now()) {
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

    /// Tells those who have asked to be told.
    pub(super) fn tell(&self, id: u64, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let (ids, payload) = {
            let state = self.space.lock();
            let Some(slot) = state.slots.get(&id) else { return Vec::new() };
            match &state.subscribers_of(&slot.value)[..] {
                [] => return Vec::new(),
                ids => (ids.to_vec(), Arc::<[u8]>::from(json(id, &slot.value))),
            }
        };
        let Some(node) = self.common.node() else { return Vec::new() };
        let (from, message_type): (Arc<str>, Arc<str>) =
            (format!("@space/{}", self.space.name).into(), "troupe:tuple".into());
        let mut told = Vec::new();
        for subscription in ids {
            let (actor, missed) = match self.space.lock().subscriptions.get(&subscription) {
                Some(it) => (it.actor.clone(), it.missed),
                None => continue,
            };
            let mut headers = vec![("troupe-subscription".to_owned(), subscription.to_string())];
            if missed > 0 {
                headers.push(("troupe-missed".to_owned(), missed.to_string()));
            }
            let info = Info {
                from: from.clone(),
                message_type: message_type.clone(),
                payload: payload.clone(),
                headers,
                seen: Gate::default(),
            };
            let sent = match batch.bytes().len() > MAX_BATCH {
                true => None,
                false => node.party().info(batch, &actor, info).ok(),
            };
            if let Some(it) = self.space.lock().subscriptions.get_mut(&subscription) {
                it.missed = if sent.is_some() { 0 } else { missed + 1 };
            }
            match sent {
                Some(sent) => told.push(sent),
                None => tracing::warn!(%actor, space = %self.space.name, "a subscriber was not told of a tuple"),
            }
        }
        told
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

/// An actor asks to be told, or not any more.
pub struct Subscribe {
    place: Place,
    id: u64,
    actor: ActorId,
    begins: bool,
    committed: bool,
}

impl Subscribe {
    /// The subscription is there and is not live yet (`begins`), or is marked as ending.
    pub(super) fn new(place: Place, id: u64, actor: ActorId, begins: bool) -> Subscribe {
        Subscribe { place, id, actor, begins, committed: false }
    }

    fn set_live(&self, live: bool) {
        let mut state = self.place.space.lock();
        let Some(it) = state.subscriptions.get_mut(&self.id) else { return };
        it.live = live;
        let pattern = std::mem::take(&mut it.pattern);
        let key = state.subscribed.of_pattern(&pattern);
        match live {
            true => state.subscribed.add(key, self.id),
            false => state.subscribed.remove(key, self.id),
        }
        if let Some(it) = state.subscriptions.get_mut(&self.id) {
            it.pattern = pattern;
        }
    }

    fn remove(&self) {
        self.set_live(false);
        self.place.space.lock().subscriptions.remove(&self.id);
        let mut subscribers = self.place.common.subscribers.lock();
        if let Some(mine) = subscribers.get_mut(&self.actor) {
            mine.remove(&self.id);
            if mine.is_empty() {
                subscribers.remove(&self.actor);
            }
        }
    }
}

impl Staging for Subscribe {
    fn prepare(&mut self, batch: &mut Batch) {
        if self.begins {
            self.place.common.mark(batch, self.id);
        }
        // What the step writes from here on is told, or not any more.
        self.set_live(self.begins);
    }

    fn commit(mut self: Box<Self>, _: &Committed<'_>) {
        self.committed = true;
        if !self.begins {
            self.remove();
        }
    }
}

impl Drop for Subscribe {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if self.begins {
            self.remove();
            return;
        }
        let ending = self.place.space.lock().subscriptions.get_mut(&self.id).map(|it| it.ending = false);
        if ending.is_some() {
            self.set_live(true);
        }
    }
}

/// An actor's life ends.
pub(super) struct Ended {
    pub common: Arc<Common>,
    pub actor: ActorId,
    pub wait: Option<WaitId>,
    pub subscriptions: Vec<(u64, Place)>,
}

impl Staging for Ended {
    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        if let Some(wait) = &self.wait {
            self.common.withdraw(wait);
            self.common.waiting.lock().remove(&self.actor);
        }
        for (id, place) in self.subscriptions {
            Box::new(Subscribe::new(place, id, self.actor.clone(), false)).commit(committed);
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
            state.show(id);
            let served = place.offer_in(&mut state, id, batch);
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
                served.push(place.offer_in(&mut state, id, batch));
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
