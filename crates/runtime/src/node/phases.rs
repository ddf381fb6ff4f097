//! What a node is in the middle of, for whoever wants to know from outside: crash tests, and metrics later.
//!
//! Nothing is counted unless a watcher is passed in.

use std::sync::Arc;

/// Something that a crash can fall into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A turn.
    Turn,
    /// A turn that waits for another party.
    Wait,
    /// An answer that waits for the disk.
    Commit,
    /// A base in the making.
    Base,
    /// An actor coming back.
    Recovery,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 5] = [Phase::Turn, Phase::Wait, Phase::Commit, Phase::Base, Phase::Recovery];
}

/// Hears of each begin (`true`) and end (`false`).
pub trait Watch: Send + Sync + 'static {
    /// One more or one less of this phase.
    fn change(&self, phase: Phase, begins: bool);
}

/// A phase for as long as this lives.
pub struct During(Option<Arc<dyn Watch>>, Phase);

impl During {
    /// Begins it.
    pub fn new(watch: Option<&Arc<dyn Watch>>, phase: Phase) -> During {
        if let Some(watch) = watch {
            watch.change(phase, true);
        }
        During(watch.cloned(), phase)
    }
}

impl Drop for During {
    fn drop(&mut self) {
        if let Some(watch) = &self.0 {
            watch.change(self.1, false);
        }
    }
}
