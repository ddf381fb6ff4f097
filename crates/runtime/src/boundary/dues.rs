//! When the durations that a guest waits for are over.
//!
//! Promises: a duration that was begun before a restart goes on through it; it is over when it would have been, in node time. The
//! moment stands in the journal behind the call that began it, since the call itself holds only how long.

use troupe_log::NodeTime;

/// Of one instance.
#[derive(Debug, Default)]
pub(crate) struct Dues {
    /// The call in hand began a duration that is over then.
    begun: Option<NodeTime>,
    /// Of resources of the replayed part, by their logical numbers.
    recorded: Vec<(u32, NodeTime)>,
}

impl Dues {
    /// The call in hand begins a duration.
    pub(crate) fn begin(&mut self, over: NodeTime) {
        self.begun = Some(over);
    }

    /// What the call in hand began.
    pub(crate) fn take_begun(&mut self) -> Option<NodeTime> {
        self.begun.take()
    }

    /// The journal says when it is over.
    pub(crate) fn recorded(&mut self, logical: u32, over: NodeTime) {
        self.recorded.push((logical, over));
    }

    /// When that of the replayed part is over; none in a journal from before this was recorded.
    pub(crate) fn of(&self, logical: u32) -> Option<NodeTime> {
        self.recorded.iter().find(|(number, _)| *number == logical).map(|(_, over)| *over)
    }

    /// The guest gave it up.
    pub(crate) fn forget(&mut self, logical: u32) {
        self.recorded.retain(|(number, _)| *number != logical);
    }
}
