//! Timers of one node: durable ones in the log's table, all of them in one ordered set in memory.
//!
//! One task sleeps until the first is due; a pending timer costs memory and nothing else. Firing is one batch: the timer
//! is removed and what it does is added. A timer that fell due while the node was down fires once, at start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use troupe_log::codec::{self, Reader};
use troupe_log::{Batch, NodeTime, Store, Table, WallTime};

use super::waits::{WaitId, Waits};
use super::{Party, Shared, Which};
use crate::actor::message::Gate;
use crate::env::NodeClock;

/// One timer: it completes a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When it fires.
    pub due: WallTime,
    /// Whether it stands in the log's table.
    pub durable: bool,
    /// The wait that it completes, which is also its name.
    pub completes: WaitId,
}

impl Timer {
    /// Its key in the timers table.
    pub fn key(completes: &WaitId) -> Vec<u8> {
        let mut key = vec![WAIT];
        key.extend_from_slice(&completes.key());
        key
    }

    /// Its value in the timers table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8);
        codec::put_u64(&mut out, self.due.0);
        out
    }

    /// Reads an entry of the timers table.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Timer, codec::Error> {
        let bad = codec::Error::Bad { at: 0, what: "timer" };
        let (WAIT, rest) = key.split_first().ok_or(bad).map(|(kind, rest)| (*kind, rest))? else { return Err(bad) };
        let completes = WaitId::from_key(rest).ok_or(bad)?;
        let mut input = Reader::new(value);
        let due = WallTime(input.u64()?);
        input.finish()?;
        Ok(Timer { due, durable: true, completes })
    }
}

/// First byte of the key of a timer that completes a wait.
const WAIT: u8 = b'w';

/// The timers of a node.
pub struct Timers {
    clock: NodeClock,
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    by_due: BTreeMap<(NodeTime, u64), Timer>,
    due_of: HashMap<WaitId, (NodeTime, u64)>,
    armed: u64,
    /// When services want to be woken.
    services: BTreeMap<Which, NodeTime>,
}

impl Timers {
    /// None yet.
    pub fn new(clock: NodeClock) -> Timers {
        Timers { clock, pending: Mutex::default(), changed: Notify::new() }
    }

    /// Arms a timer whose entry is committed.
    pub fn arm(&self, timer: Timer) {
        let left = timer.due.0.saturating_sub(self.clock.wall().0);
        let at = NodeTime(self.clock.now().0.saturating_add(left));
        let mut pending = self.pending.lock();
        let first = pending.by_due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        pending.armed += 1;
        let place = (at, pending.armed);
        if let Some(old) = pending.due_of.insert(timer.completes.clone(), place) {
            pending.by_due.remove(&old);
        }
        pending.by_due.insert(place, timer);
        drop(pending);
        if first {
            self.changed.notify_one();
        }
    }

    /// Disarms a timer whose entry is gone.
    pub fn cancel(&self, completes: &WaitId) {
        let mut pending = self.pending.lock();
        if let Some(place) = pending.due_of.remove(completes) {
            pending.by_due.remove(&place);
        }
    }

    /// Wakes a service at that node time, if it is not to be woken before.
    pub fn wake(&self, service: Which, at: NodeTime) {
        let mut pending = self.pending.lock();
        if pending.services.get(&service).is_some_and(|before| *before <= at) {
            return;
        }
        pending.services.insert(service, at);
        drop(pending);
        self.changed.notify_one();
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.pending.lock().by_due.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fires timers for as long as the log goes on. Returns the log's error.
    pub async fn run(
        &self,
        store: &Arc<dyn Store>,
        waits: &Waits,
        shared: &Shared,
        node: &dyn Party,
    ) -> troupe_log::Error {
        let mut batch = Batch::new();
        loop {
            let now = self.clock.now();
            for service in self.services_due(now) {
                let Some(service) = shared.numbered(service as u8) else { continue };
                if let Err(error) = service.due(node, now) {
                    return error;
                }
            }
            let next = {
                let pending = self.pending.lock();
                let timer = pending.by_due.first_key_value().map(|((at, _), _)| *at);
                timer.into_iter().chain(pending.services.values().copied()).min()
            };
            match next {
                None => self.changed.notified().await,
                Some(at) if at > self.clock.now() => {
                    tokio::select! {
                        () = self.clock.sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Some(_) => {
                    if let Err(error) = self.fire(&mut batch, store, waits) {
                        return error;
                    }
                }
            }
        }
    }

    fn services_due(&self, now: NodeTime) -> Vec<Which> {
        let mut pending = self.pending.lock();
        let due: Vec<Which> = pending.services.iter().filter(|(_, at)| **at <= now).map(|(which, _)| *which).collect();
        for which in &due {
            pending.services.remove(which);
        }
        due
    }

    fn fire(&self, batch: &mut Batch, store: &Arc<dyn Store>, waits: &Waits) -> Result<(), troupe_log::Error> {
        // Held to the end: who cancels finds it armed, or its completion in the log already.
        let mut pending = self.pending.lock();
        if pending.by_due.first_key_value().is_none_or(|((at, _), _)| *at > self.clock.now()) {
            return Ok(());
        }
        let Some((_, timer)) = pending.by_due.pop_first() else { return Ok(()) };
        pending.due_of.remove(&timer.completes);
        if timer.durable {
            batch.clear();
            batch.stamp(self.clock.now(), self.clock.wall());
            batch.delete(Table::TIMERS, &Timer::key(&timer.completes));
            batch.put(Table::COMPLETIONS, &timer.completes.key(), &[]);
            store.append(batch)?;
        }
        waits.complete(timer.completes, Vec::new(), Gate::default());
        Ok(())
    }
}

/// The wall time so long from now.
pub fn due_after(now: WallTime, delay: Duration) -> WallTime {
    WallTime(now.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::{ActorId, Incarnation, Seq};

    #[test]
    fn a_timer_reads_back_from_its_entry() {
        let completes = WaitId { actor: ActorId::parse("ns/a").unwrap(), incarnation: Incarnation(1), seq: Seq(9) };
        let timer = Timer { due: WallTime(17), durable: true, completes };
        assert_eq!(Timer::decode(&Timer::key(&timer.completes), &timer.encode()), Ok(timer));
        assert!(Timer::decode(&[1], &[]).is_err());
    }
}
