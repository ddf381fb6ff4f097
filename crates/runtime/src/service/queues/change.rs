//! What a step does to a queue, until it is committed or never happened.

use std::sync::Arc;

use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::queue::{Order, Queue};
use super::{Queues, Waiter, rows};
use crate::boundary::{Committed, Staging};
use crate::service::Which;
use crate::service::waits::WaitId;

/// A staged change of one queue.
pub struct Change {
    queues: Arc<Queues>,
    by: ActorId,
    queue: ActorId,
    now: NodeTime,
    items: Vec<u128>,
    waiter: Option<Waiter>,
    /// Stands in line since `prepare`.
    lined_up: Option<WaitId>,
    served: Vec<(Waiter, Vec<(u128, Order)>)>,
    buried: Vec<Box<dyn Staging>>,
    committed: bool,
}

impl Change {
    pub(super) fn new(queues: Arc<Queues>, by: ActorId, queue: ActorId, now: NodeTime) -> Change {
        Change {
            queues,
            by,
            queue,
            now,
            items: Vec::new(),
            waiter: None,
            lined_up: None,
            served: Vec::new(),
            buried: Vec::new(),
            committed: false,
        }
    }

    pub(super) fn touches(&mut self, id: u128) {
        self.items.push(id);
    }

    pub(super) fn registers(&mut self, waiter: Waiter) {
        self.waiter = Some(waiter);
    }

    pub(super) fn buries(&mut self, letter: Box<dyn Staging>) {
        self.buried.push(letter);
    }
}

impl Staging for Change {
    fn prepare(&mut self, batch: &mut Batch) {
        for letter in &mut self.buried {
            letter.prepare(batch);
        }
        let mut state = self.queues.state.lock();
        if let Some(waiter) = self.waiter.take() {
            self.lined_up = Some(waiter.wait.clone());
            state.waits.insert(waiter.wait.clone(), self.queue.clone());
            let max_tries = self.queues.settings.max_tries;
            state.queues.entry(self.queue.clone()).or_insert_with(|| Queue::new(max_tries)).line_up(waiter);
        }
        let Some(queue) = state.queues.get_mut(&self.queue) else { return };
        self.served = queue.serve(&self.by, self.now);
        drop(state);
        for (waiter, items) in self.served.iter().filter(|(waiter, _)| waiter.durable) {
            batch.put(Table::COMPLETIONS, &waiter.wait.key(), &rows::completion(&self.queue, items));
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        let served = std::mem::take(&mut self.served);
        let mut state = self.queues.state.lock();
        let mut next = None;
        if let Some(queue) = state.queues.get_mut(&self.queue) {
            let given = served.iter().flat_map(|(_, items)| items).map(|(id, _)| *id);
            let gone: u64 =
                self.items.iter().copied().chain(given).map(|id| queue.settle(id, &self.by, committed.gate)).sum();
            next = queue.next_due();
            state.bytes -= gone;
            state.tidy(&self.queue);
        }
        drop(state);
        for (waiter, items) in served {
            committed.waits.complete(waiter.wait, rows::completion(&self.queue, &items), committed.gate);
        }
        if let Some(at) = next {
            committed.timers.wake(Which::Queues, at);
        }
        for letter in self.buried.drain(..) {
            letter.commit(committed);
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let mut guard = self.queues.state.lock();
        let state = &mut *guard;
        let Some(queue) = state.queues.get_mut(&self.queue) else { return };
        let given = self.served.iter().flat_map(|(_, items)| items).map(|(id, _)| *id);
        state.bytes -= self.items.iter().copied().chain(given).map(|id| queue.put_back(id, &self.by)).sum::<u64>();
        for (waiter, _) in self.served.drain(..).rev() {
            // Who gave up meanwhile does not come back.
            if state.waits.contains_key(&waiter.wait) {
                queue.line_up_first(waiter);
            }
        }
        if let Some(wait) = self.lined_up.take() {
            queue.leave(&wait);
            state.waits.remove(&wait);
        }
        let due = queue.next_due().is_some();
        state.tidy(&self.queue);
        drop(guard);
        if due {
            self.queues.ring();
        }
    }
}
