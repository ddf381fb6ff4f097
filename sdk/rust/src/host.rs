//! What needs no grant: the log, the time, sleep.

use std::time::{Duration, SystemTime};

use crate::{Result, bindings};

pub use crate::bindings::host::Level;

/// A line in the node's log.
pub fn log(level: Level, line: impl AsRef<str>) {
    bindings::host::log(level, line.as_ref());
}

/// A line in the node's log, at info.
pub fn info(line: impl AsRef<str>) {
    log(Level::Info, line);
}

/// The node's time. In a replay it is what it was.
#[must_use]
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(bindings::host::now_millis())
}

/// Parks the actor, and ends a step: what was done until here stays, even if the turn faults later.
pub fn sleep(time: Duration) -> Result<()> {
    bindings::host::sleep_millis(crate::millis(time))
}
