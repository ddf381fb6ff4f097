//! What the interfaces of the native contract check alike: names, types, grants, times.

use troupe_log::{ActorId, NodeTime};

pub use super::types::Error;
use crate::boundary::Guest;
use crate::manifest::{ActorPattern, covers};

/// The full name of a space, queue, group or whatever else is shared: in the actor's own namespace unless it says another.
pub fn name(guest: &Guest, text: &str) -> Result<ActorId, Error> {
    let full = match text.contains('/') {
        true => ActorId::parse(text),
        false => ActorId::parse(&format!("{}/{text}", guest.about.id.namespace())),
    };
    full.map_err(|error| Error::InvalidArgument(error.to_string()))
}

/// An error, and a denial in the record of the call, unless one of `patterns` (none: there is no grant) has the name. `key` is where
/// it would be granted: `tuplespace spaces`.
pub fn permit(
    guest: &mut Guest,
    name: &ActorId,
    key: (&str, &str),
    patterns: impl FnOnce(&crate::manifest::Grants) -> Option<&[ActorPattern]>,
) -> Result<(), Error> {
    let own = guest.about.id.namespace();
    if patterns(&guest.about.grants).is_some_and(|patterns| covers(patterns, own, name)) {
        return Ok(());
    }
    let shown = if name.namespace() == own { name.name() } else { name.as_str() };
    Err(denied(guest, key.0, format!("[grants.{}] {} = [\"{shown}\"]", key.0, key.1)))
}

/// The error of a missing grant, which also makes the record of the call in hand a denial.
pub fn denied(guest: &mut Guest, section: &str, line: String) -> Error {
    guest.recorder.deny(section);
    Error::NotPermitted(line)
}

/// An error if a guest may not use this message type and these headers.
pub fn check_message(message_type: &str, headers: &[(String, String)]) -> Result<(), Error> {
    if message_type.is_empty() || message_type.starts_with("troupe:") {
        return Err(Error::InvalidArgument(format!("the message type `{message_type}` is empty or the runtime's own")));
    }
    match headers.iter().find(|(name, _)| name.starts_with("troupe-")) {
        Some((name, _)) => Err(Error::InvalidArgument(format!("the header `{name}` is the runtime's own"))),
        None => Ok(()),
    }
}

/// Bytes that one step may put into its batch by what it asks of services, so that nothing which multiplies what a guest says
/// (a publish to many, writes without a journal) grows without end. A batch of the log holds 1 GiB.
pub const MAX_STEP: usize = 128 << 20;

/// An error if the step in hand has no room for so many bytes more.
pub fn room(guest: &mut Guest, bytes: usize) -> Result<(), Error> {
    let promised = guest.turn.promised;
    match guest.batch().bytes().len().saturating_add(promised).saturating_add(bytes) > MAX_STEP {
        true => Err(Error::ResourceExhausted(format!("max-step = {MAX_STEP} bytes"))),
        false => Ok(()),
    }
}

/// The node time so many milliseconds from now.
pub fn after(guest: &Guest, millis: u64) -> NodeTime {
    NodeTime(guest.node.node_time().0.saturating_add(millis.saturating_mul(1000)))
}
