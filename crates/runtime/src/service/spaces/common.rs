//! What all spaces of a node have together: ids, bounds, leases, who waits where, and the way to wake the node.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::rows;
use super::space::{Space, Taken};
use crate::boundary::Services;
use crate::service::Which;
use crate::service::waits::WaitId;

/// How much a node keeps in spaces.
#[derive(Clone, Copy, Debug)]
pub struct SpaceLimits {
    /// `max-spaces` that hold something: a name costs memory even where little is in it.
    pub spaces: usize,
    /// `max-space-entries`: ten million small tuples take 2 GiB.
    pub entries: usize,
    /// `max-space-bytes` of one space; each tuple counts 128 bytes beside its fields.
    pub bytes: u64,
    /// `max-spaces-bytes` of all of them: they are in memory.
    pub all_bytes: u64,
    /// `max-subscriptions` of one actor: each write asks each that could match.
    pub subscriptions: usize,
}

impl Default for SpaceLimits {
    fn default() -> SpaceLimits {
        SpaceLimits { spaces: 65_536, entries: 10_000_000, bytes: 1 << 30, all_bytes: 4 << 30, subscriptions: 64 }
    }
}

/// Ids that are set aside with one row.
const AHEAD: u64 = 1 << 16;

/// Where an actor's wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nowhere: it is over, or its actor has not come back yet.
    Gone,
    /// In line.
    Registered,
    /// Served: this is held for it.
    Held(u64),
    /// Served with a copy.
    Read,
}

/// The newest wait of an actor.
pub(super) struct Waiting {
    pub wait: WaitId,
    /// Its place in line.
    pub arrival: u64,
    /// Whether its place is a row.
    pub row: bool,
    pub space: Option<Arc<Space>>,
    pub phase: Phase,
}

pub(super) struct Common {
    pub limits: SpaceLimits,
    next: AtomicU64,
    /// Ids from here on are not set aside yet.
    marked: AtomicU64,
    arrivals: AtomicU64,
    pub bytes: AtomicU64,
    pub leases: Mutex<BTreeMap<(NodeTime, u64), Arc<Space>>>,
    pub waiting: Mutex<HashMap<ActorId, Waiting>>,
    /// Subscriptions by actor, with their spaces.
    pub subscribers: Mutex<HashMap<ActorId, BTreeMap<u64, Arc<Space>>>>,
    /// Tuples that went back while somebody waits for them.
    pub returned: Mutex<Vec<(Arc<Space>, u64)>>,
    /// Waiters, by arrival, for whom something may be there.
    pub hungry: Mutex<Vec<(Arc<Space>, u64)>>,
    node: OnceLock<Weak<dyn Services>>,
}

impl Common {
    pub fn new(limits: SpaceLimits) -> Common {
        Common {
            limits,
            next: AtomicU64::new(1),
            marked: AtomicU64::new(0),
            arrivals: AtomicU64::new(1),
            bytes: AtomicU64::new(0),
            leases: Mutex::default(),
            waiting: Mutex::default(),
            subscribers: Mutex::default(),
            returned: Mutex::default(),
            hungry: Mutex::default(),
            node: OnceLock::new(),
        }
    }

    /// Whom to wake and by whom to tell.
    pub fn meet(&self, node: &Arc<dyn Services>) {
        self.node.get_or_init(|| Arc::downgrade(node));
    }

    pub fn node(&self) -> Option<Arc<dyn Services>> {
        self.node.get().and_then(Weak::upgrade)
    }

    /// Node time now; the beginning of it where there is no node.
    pub fn now(&self) -> NodeTime {
        self.node().map_or(NodeTime(0), |node| node.node_time())
    }

    /// Has the node look at what is due at `at`.
    pub fn wake(&self, at: NodeTime) {
        if let Some(node) = self.node() {
            node.timers().wake(Which::Spaces, at);
        }
    }

    /// A number that no tuple and no subscription ever had.
    pub fn id(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    pub fn arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Relaxed)
    }

    /// Sets ids aside, so that one that was committed is not given again after a restart. While a step is committed; if its batch
    /// cannot be written, nothing more will be.
    pub fn mark(&self, batch: &mut Batch, id: u64) {
        if id >= self.marked.load(Relaxed) {
            let below = id.saturating_add(AHEAD);
            batch.put(Table::SPACES, &rows::mark_key(), &rows::mark(below));
            self.marked.store(below, Relaxed);
        }
    }

    /// Ids below this one may have been given before the restart.
    pub fn restore_mark(&self, below: u64) {
        self.marked.fetch_max(below, Relaxed);
        self.next.fetch_max(below, Relaxed);
    }

    /// That place in line is taken.
    pub fn restore_arrival(&self, arrival: u64) {
        self.arrivals.fetch_max(arrival.saturating_add(1), Relaxed);
    }

    /// Nobody waits under this id any more.
    pub fn withdraw(&self, wait: &WaitId) {
        let (space, arrival, phase) = {
            let mut waiting = self.waiting.lock();
            let Some(entry) = waiting.get_mut(&wait.actor).filter(|entry| entry.wait == *wait) else { return };
            let (space, arrival, phase) = (entry.space.take(), entry.arrival, entry.phase);
            entry.phase = Phase::Gone;
            if !entry.row {
                waiting.remove(&wait.actor);
            }
            (space, arrival, phase)
        };
        let Some(space) = space else { return };
        match phase {
            Phase::Registered => drop(space.lock().dismiss(arrival)),
            Phase::Held(id) => self.give_back(&space, id),
            Phase::Gone | Phase::Read => {}
        }
    }

    /// What a step or a wait had is everybody's again, in its old place; those who wait for it come first.
    pub fn give_back(&self, space: &Arc<Space>, id: u64) {
        let mut state = space.lock();
        let Some(slot) = state.slots.get_mut(&id) else { return };
        slot.taken = Taken::No;
        if !slot.fresh && slot.old.is_none() {
            slot.by = None;
        }
        let (free, lease) = (slot.free(), slot.lease);
        if free && state.slots.get(&id).is_some_and(|slot| !state.waiters_for(&slot.value).is_empty()) {
            if let Some(slot) = state.slots.get_mut(&id) {
                slot.taken = Taken::Returned;
            }
            self.returned.lock().push((space.clone(), id));
            drop(state);
            self.wake(NodeTime(0));
        } else {
            state.show(id);
            drop(state);
        }
        if let Some(lease) = lease {
            // It may have ended meanwhile.
            self.leases.lock().insert((lease, id), space.clone());
            self.wake(lease);
        }
    }

    /// Whether something is due.
    pub fn next_due(&self) -> Option<NodeTime> {
        if !self.returned.lock().is_empty() || !self.hungry.lock().is_empty() {
            return Some(NodeTime(0));
        }
        self.leases.lock().first_key_value().map(|((at, _), _)| *at)
    }
}
