//! Requests that get an instance each: so many at a time, each run by an executor of its own.
//!
//! Promises: the actor's executor ends only when all of them have; what their faults mean for the actor is decided there,
//! one after another. Nothing is journaled, so nothing of it must be in order.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::cell::Cell;
use super::executor::Executor;
use super::message::Envelope;

/// The ones of one actor that are under way.
pub(super) struct Errands {
    cell: Arc<Cell>,
    running: JoinSet<Option<String>>,
    most: usize,
}

impl Errands {
    /// None yet, and never more than `most`.
    pub(super) fn new(cell: Arc<Cell>, most: u32) -> Errands {
        Errands { cell, running: JoinSet::new(), most: most as usize }
    }

    /// Begins one.
    pub(super) fn begin(&mut self, executor: Executor, envelope: Envelope) {
        let runtime = executor.core.runtime.clone();
        self.running.spawn_on(run(executor, envelope), &runtime);
        self.cell.mailbox.works_beside(self.running.len());
    }

    /// True if one more would be too many.
    pub(super) fn full(&self) -> bool {
        self.running.len() >= self.most
    }

    /// One that has ended: with a fault, or in order. Nothing is ready if there is none.
    pub(super) fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        match self.running.poll_join_next(context) {
            Poll::Ready(Some(ended)) => {
                self.cell.mailbox.works_beside(self.running.len());
                Poll::Ready(ended.ok().flatten())
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Waits until all have ended.
    pub(super) async fn all_ended(&mut self) {
        while self.running.join_next().await.is_some() {}
        self.cell.mailbox.works_beside(0);
    }
}

/// The words of its fault, if it had one. Boxed with its type said: an executor runs errands, and an errand is an executor.
fn run(mut executor: Executor, envelope: Envelope) -> BoxFuture<'static, Option<String>> {
    Box::pin(async move {
        executor.one(envelope).await;
        executor.faulted.take()
    })
}
