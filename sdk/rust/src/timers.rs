//! Messages that come later. Durable; each comes as info from `@timer/OWNER`.

use std::time::Duration;

use crate::{Result, bindings::messaging as door};

/// A timer that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(pub u64);

/// One message, after this time.
pub fn after(delay: Duration, to: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<Timer> {
    door::send_after(crate::millis(delay), to, message_type, payload.as_ref()).map(Timer)
}

/// A message again and again. Ticks that were missed come as one.
pub fn every(period: Duration, to: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<Timer> {
    door::send_every(crate::millis(period), to, message_type, payload.as_ref()).map(Timer)
}

impl Timer {
    /// False if it had fired or never was.
    pub fn cancel(self) -> Result<bool> {
        door::cancel_timer(self.0)
    }
}
