//! What a step does to a service of the node, between the call and the commit.
//!
//! A host function asks its service to do something for a step; the service holds it back from everybody else and hands out a
//! [`Staging`]. Committed, it is everybody's. Dropped, it never happened: a fault, a crash of the turn, a node that closes.

use troupe_log::Batch;

use crate::actor::message::Gate;
use crate::service::timers::Timers;
use crate::service::waits::Waits;

/// A staged change of a service. The rows that it stands for are in the step's batch already, but for what depends on others.
///
/// Between `prepare` and `commit` nobody else commits anything of a service, nor gives a wait up. Dropped without `commit`, it
/// gives back what it took and forgets what it added; that happens at once, in memory.
pub trait Staging: Send {
    /// The step is being committed: adds what depends on this moment, as who is served, to its batch.
    fn prepare(&mut self, batch: &mut Batch) {
        let _ = batch;
    }

    /// The batch is appended: others see it from here on.
    fn commit(self: Box<Self>, committed: &Committed<'_>);
}

/// What a committed change may need.
pub struct Committed<'a> {
    /// What whoever sees the change depends on from here on.
    pub gate: Gate,
    /// Where completions meet their turns.
    pub waits: &'a Waits,
    /// Where a service says when it must be woken.
    pub timers: &'a Timers,
}
