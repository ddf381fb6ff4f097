//! Locks with a lease and a fencing token.

use std::time::Duration;

use crate::{Result, bindings::locks as door};

/// A lock that this actor holds until its lease ends. The token only ever grows: who guards a resource refuses an older one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The fencing token.
    pub token: u64,
}

/// Waits for the lock: none when the time is over.
pub fn acquire(name: &str, lease: Duration, timeout: Option<Duration>) -> Result<Option<Lock>> {
    let token = door::acquire(name, crate::millis(lease), timeout.map(crate::millis))?;
    Ok(token.map(|token| Lock { name: name.to_string(), token }))
}

impl Lock {
    /// A new lease, from now on.
    pub fn renew(&self, lease: Duration) -> Result<()> {
        door::renew(&self.name, self.token, crate::millis(lease))
    }

    /// Gives it back.
    pub fn release(self) -> Result<()> {
        door::release(&self.name, self.token)
    }
}
