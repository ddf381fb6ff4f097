//! What queues do by themselves: taken up at the start of the node, served, expired, given up.

use std::sync::Arc;

use troupe_log::{ActorId, Batch, NodeTime};

use super::queue::{Fate, Queue};
use super::rows::{self, Row};
use super::{Change, Queues, owner};
use crate::boundary::{Committed, Staging};
use crate::service::waits::WaitId;
use crate::service::{Ended, Party, Service, Which};

/// Messages that one batch gives up or lets expire.
const AT_ONCE: usize = 100;

impl Service for Arc<Queues> {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((name, row)) = rows::read(key, value) else { return false };
        let mut state = self.state.lock();
        let state = &mut *state;
        let max_tries = self.settings.max_tries;
        let queue = state.queues.entry(name).or_insert_with(|| Queue::new(max_tries));
        let order = match row {
            Row::Message(message, order) => {
                state.bytes += message.weight();
                queue.add(message, order, None);
                order
            }
            Row::Standing(id, standing) => {
                if !queue.set_standing(id, standing) {
                    return false;
                }
                standing.order
            }
        };
        state.newest = state.newest.max(order.number);
        true
    }

    fn hold(&self, wait: &WaitId, completion: &[u8]) -> bool {
        let Some((name, items)) = rows::read_completion(completion) else { return false };
        let mut state = self.state.lock();
        let Some(queue) = state.queues.get_mut(&name) else { return false };
        let mut held = false;
        for (id, order) in items {
            held |= queue.hold(wait, id, order);
        }
        if held {
            state.waits.insert(wait.clone(), name);
        }
        held
    }

    fn withdraw(&self, wait: &WaitId) {
        let mut state = self.state.lock();
        let Some(name) = state.waits.remove(wait) else { return };
        let Some(queue) = state.queues.get_mut(&name) else { return };
        queue.leave(wait);
        let due = !queue.unhold(wait).is_empty() && queue.next_due().is_some();
        state.tidy(&name);
        drop(state);
        if due {
            self.ring();
        }
    }

    fn ended(&self, _: &dyn Party, end: &Ended<'_>, _: &mut Batch) -> Vec<Box<dyn Staging>> {
        // A turn that is quarantined is not undone: what it waited for is let go here.
        let waits: Vec<WaitId> =
            self.state.lock().waits.keys().filter(|wait| wait.actor == *end.actor).cloned().collect();
        match waits.is_empty() {
            true => Vec::new(),
            false => vec![Box::new(Left { queues: self.clone(), waits })],
        }
    }

    fn next_due(&self) -> Option<NodeTime> {
        self.state.lock().queues.values().filter_map(Queue::next_due).min()
    }

    fn due(&self, node: &dyn Party, now: NodeTime) -> Result<(), troupe_log::Error> {
        // Nobody else's id.
        let Ok(by) = ActorId::reserved("@runtime/queues") else { return Ok(()) };
        loop {
            let (mut batch, mut changes) = (Batch::new(), Vec::<Box<dyn Staging>>::new());
            for name in self.pending(&by, now) {
                changes.push(Box::new(self.see_to(&by, &name, node, now, &mut batch)));
            }
            let last = changes.is_empty();
            changes.push(Box::new(Awake(self.clone())));
            node.commit(batch, changes)?;
            if last {
                return Ok(());
            }
        }
    }
}

impl Queues {
    /// Queues in which something is due.
    fn pending(&self, by: &ActorId, now: NodeTime) -> Vec<ActorId> {
        let state = self.state.lock();
        let due = |queue: &Queue| {
            queue.next_due().is_some_and(|at| at <= now)
                && (queue.can_serve(by, now) || !queue.expired(now, 1).is_empty() || !queue.given_up(now, 1).is_empty())
        };
        // A batch has an end.
        state.queues.iter().filter(|(_, queue)| due(queue)).map(|(name, _)| name.clone()).take(AT_ONCE).collect()
    }

    /// What is due in one queue. Who waits is served when it is committed.
    fn see_to(
        self: &Arc<Self>,
        by: &ActorId,
        name: &ActorId,
        node: &dyn Party,
        now: NodeTime,
        batch: &mut Batch,
    ) -> Change {
        let mut change = self.change(by, name, now);
        let mut state = self.state.lock();
        let Some(queue) = state.queues.get_mut(name) else { return change };
        for id in queue.expired(now, AT_ONCE) {
            queue.stage(id, by, Fate::Gone, |_| ());
            rows::delete(batch, name, id);
            change.touches(id);
        }
        // The bytes of a letter stand in the batch.
        let mut bytes = 0;
        for id in queue.given_up(now, AT_ONCE) {
            if bytes > MAX_BURIED {
                break;
            }
            let Some((message, standing, _)) = queue.stage(id, by, Fate::Gone, |_| ()) else { continue };
            rows::delete(batch, name, id);
            bytes += message.size();
            let why =
                format!("the queue {name} has delivered it {} times, and nobody acknowledged it", standing.attempt);
            change.buries(node.dead_letter(batch, &owner(name), message.letter(standing.attempt), why));
            change.touches(id);
        }
        change
    }
}

/// Bytes of dead letters of one queue in one batch, but for the last.
const MAX_BURIED: u64 = 1 << 20;

/// Waits of an actor whose life has ended.
struct Left {
    queues: Arc<Queues>,
    waits: Vec<WaitId>,
}

impl Staging for Left {
    fn commit(self: Box<Self>, _: &Committed<'_>) {
        self.waits.iter().for_each(|wait| self.queues.withdraw(wait));
    }
}

/// Says when something is due next.
struct Awake(Arc<Queues>);

impl Staging for Awake {
    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        if let Some(at) = self.0.next_due() {
            committed.timers.wake(Which::Queues, at);
        }
    }
}
