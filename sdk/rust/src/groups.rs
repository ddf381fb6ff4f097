//! Groups of actors.

use crate::{Result, bindings::groups as door};

/// This actor becomes a member.
pub fn join(group: &str) -> Result<()> {
    door::join(group)
}

/// And is none any more.
pub fn leave(group: &str) -> Result<()> {
    door::leave(group)
}

/// Who is in it.
pub fn members(group: &str) -> Result<Vec<String>> {
    door::members(group)
}

/// A cast to every member whose mailbox has room; how many those were.
pub fn publish(group: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<u32> {
    door::publish(group, message_type, payload.as_ref())
}
