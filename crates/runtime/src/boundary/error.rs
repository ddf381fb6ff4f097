//! What a call across the boundary can end with besides a value.
//!
//! Each is raised as a trap that the guest cannot swallow and is found again by `downcast_ref` at the other end.

use std::fmt;
use troupe_log::Seq;

/// The guest did something else than its journal says. Replay ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The record at which they part.
    pub seq: Seq,
    /// The function that the guest called, or the end of turn that it reached.
    pub function: String,
    /// What the journal has, decoded.
    pub expected: String,
    /// What the guest did, decoded.
    pub actual: String,
}

impl Divergence {
    /// The record of a call behind the last record of its turn, until it is known which record ended the turn.
    pub(crate) const NO_FURTHER_RECORD: Seq = Seq(u64::MAX);
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "replay differs at record {} in {}: the journal has {}, the actor did {}",
            self.seq.0, self.function, self.expected, self.actual
        )
    }
}
impl std::error::Error for Divergence {}

/// The guest called something that it has no grant for, and the function has no error case to say so.
#[derive(Clone, Debug)]
pub struct Denied {
    /// The section of the manifest that is missing.
    pub grant: String,
}
impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not permitted: the manifest has no [grants.{}]", self.grant)
    }
}
impl std::error::Error for Denied {}

/// The guest called something while a base is made that would end the step or reach beyond the actor.
#[derive(Clone, Debug)]
pub struct Restrained {
    /// The function.
    pub function: String,
}
impl fmt::Display for Restrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restrained { function } = self;
        write!(
            f,
            "{function} may not be called in save and load, nor while an instance is made for them: only `host`, and what only reads"
        )
    }
}
impl std::error::Error for Restrained {}

/// The guest asked to end.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Its exit code.
    pub code: i32,
}
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest exited with code {}", self.code)
    }
}
impl std::error::Error for Exit {}

/// A trap that a host function raised when this was recorded, raised again in replay.
#[derive(Clone, Debug)]
pub struct RecordedTrap(
    /// What it said then.
    pub String,
);
impl fmt::Display for RecordedTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for RecordedTrap {}

/// Replay has compared a turn that was killed up to its last record and stops running the guest.
#[derive(Clone, Copy, Debug)]
pub struct LeftHere;
impl fmt::Display for LeftHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("compared up to the last record of a turn that was killed")
    }
}
impl std::error::Error for LeftHere {}

/// The step could not be committed: the log has stopped, or a limit of the actor's journal was reached.
#[derive(Debug)]
pub struct CommitFailed(
    /// The log's own error.
    pub troupe_log::Error,
);
impl fmt::Display for CommitFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the step could not be committed: {}", self.0)
    }
}
impl std::error::Error for CommitFailed {}

/// A limit of the actor was reached inside a host call; a fault of the cause `limit`.
#[derive(Clone, Debug)]
pub struct LimitReached(
    /// The limit and its value.
    pub String,
);
impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for LimitReached {}
