//! `troupe:actor/tuplespace`: named spaces of tuples.
//!
//! Needs the grant `tuplespace`: `spaces` for everything, `read` for what only looks.

use std::sync::Arc;

use troupe_log::{ActorId, NodeTime};

use super::common::{after, name, permit};
use super::types::Error;
use crate::boundary::{Begun, Boundary, Effect, Guest, Wait};
use crate::manifest::covers;
use crate::service::spaces::value::{self, Pattern, PatternField, Stored, Tuple};
use crate::service::spaces::{Refused, Request, Seen, Spaces, Wanted};
use crate::service::waits::{WaitId, Waited};

/// `max-fields` of a tuple and of a pattern: more is a value of its own.
const MAX_FIELDS: usize = 64;
/// `max-patterns` of one take-each: the time to give each its own grows with their cube.
const MAX_PATTERNS: usize = 64;
/// `max-read-all`: what one answer has at most, besides at most as many bytes as a payload.
const MAX_READ_ALL: usize = 1024;
/// `max-step-bytes`: what one step writes to spaces stands in one batch of the log, which has an end.
const MAX_STEP: usize = 64 << 20;

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/tuplespace@0.1.0")?
        .func("write", Effect::Node, |guest: &mut Guest, (space, value, lease): (String, Tuple, Option<u64>)| {
            Ok((write(guest, &space, value, lease),))
        })?
        .func("renew", Effect::Node, |guest: &mut Guest, (space, id, lease): (String, u64, u64)| {
            Ok((renew(guest, &space, id, lease),))
        })?
        .func("revoke", Effect::Node, |guest: &mut Guest, (space, id): (String, u64)| Ok((revoke(guest, &space, id),)))?
        .func("read", Effect::Read, |guest: &mut Guest, (space, pattern): (String, Pattern)| {
            Ok((look(guest, &space, &pattern, Spaces::read),))
        })?
        .func("take", Effect::Node, |guest: &mut Guest, (space, pattern): (String, Pattern)| {
            Ok((take(guest, &space, &pattern),))
        })?
        .wait("read-blocking", Wait { begin: read_begin, again: read_again, end: wait_end })?
        .wait("take-blocking", Wait { begin: take_begin, again: take_again, end: wait_end })?
        .func("take-each", Effect::Node, |guest: &mut Guest, (space, patterns): (String, Vec<Pattern>)| {
            Ok((take_each(guest, &space, &patterns),))
        })?
        .func(
            "read-all",
            Effect::Read,
            |guest: &mut Guest, (space, pattern, after, limit): (String, Pattern, Option<u64>, u32)| {
                let most = (MAX_READ_ALL.min(limit as usize), guest.about.limits.payload.0 as usize);
                let find = |spaces: &Spaces, request: Request<'_>, pattern: &[PatternField]| {
                    spaces.read_all(request, pattern, after, most)
                };
                Ok((look(guest, &space, &pattern, find),))
            },
        )?
        .func("count", Effect::Read, |guest: &mut Guest, (space, pattern): (String, Pattern)| {
            Ok((look(guest, &space, &pattern, Spaces::count),))
        })?
        .func_async("compare-and-swap", Effect::SharedUpdate, compare_and_swap)?
        .func("subscribe", Effect::Node, |guest: &mut Guest, (space, pattern): (String, Pattern)| {
            Ok((subscribe(guest, &space, pattern),))
        })?
        .func("unsubscribe", Effect::Node, |guest: &mut Guest, (subscription,): (u64,)| {
            Ok((unsubscribe(guest, subscription),))
        })?;
    Ok(())
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        match refused {
            Refused::Exhausted(limit) => Error::ResourceExhausted(limit),
            Refused::NotFound(what) => Error::NotFound(what),
            Refused::Conflict => Error::Conflict,
        }
    }
}

/// An actor at a space, with the node's lock on nothing.
struct At {
    node: Arc<dyn crate::boundary::Services>,
    me: ActorId,
    space: ActorId,
    now: NodeTime,
}

impl At {
    fn spaces(&self) -> &Spaces {
        &self.node.shared().spaces
    }

    fn request(&self) -> Request<'_> {
        Request { me: &self.me, space: &self.space, now: self.now }
    }
}

fn at(guest: &Guest, space: ActorId) -> At {
    let node = guest.node.clone();
    node.shared().spaces.meet(&node);
    At { me: guest.about.id.clone(), space, now: node.node_time(), node }
}

/// The space, where the actor may do everything.
fn to_change(guest: &mut Guest, space: &str) -> Result<At, Error> {
    let name = name(guest, space)?;
    permit(guest, &name, ("tuplespace", "spaces"), |grants| grants.tuplespace.as_ref().map(|grant| &grant.spaces[..]))?;
    Ok(at(guest, name))
}

/// The space, where the actor may at least look.
fn to_look(guest: &mut Guest, space: &str) -> Result<At, Error> {
    let name = name(guest, space)?;
    let own = guest.about.id.namespace();
    if !guest.about.grants.tuplespace.as_ref().is_some_and(|grant| covers(&grant.spaces, own, &name)) {
        permit(guest, &name, ("tuplespace", "read"), |grants| grants.tuplespace.as_ref().map(|grant| &grant.read[..]))?;
    }
    Ok(at(guest, name))
}

fn check(guest: &Guest, what: &str, fields: usize, size: usize) -> Result<(), Error> {
    if fields > MAX_FIELDS {
        return Err(Error::InvalidArgument(format!("a {what} of {fields} fields: max-fields = {MAX_FIELDS}")));
    }
    let limit = guest.about.limits.payload.0;
    if size as u64 > limit {
        return Err(Error::TooLarge(limit));
    }
    Ok(())
}

fn check_tuple(guest: &mut Guest, tuple: &mut Tuple) -> Result<(), Error> {
    let size = value::size(tuple);
    check(guest, "tuple", tuple.len(), size)?;
    has_room(guest, size)?;
    value::settle(tuple);
    Ok(())
}

fn check_pattern(guest: &Guest, pattern: &[PatternField]) -> Result<(), Error> {
    check(guest, "pattern", pattern.len(), value::pattern_size(pattern))
}

/// An error if the step's batch has grown to its bound.
fn has_room(guest: &mut Guest, more: usize) -> Result<(), Error> {
    let promised = guest.turn.promised;
    match guest.batch().bytes().len() + promised + more > MAX_STEP {
        true => Err(Error::ResourceExhausted(format!("max-step-bytes = {MAX_STEP}"))),
        false => Ok(()),
    }
}

fn write(guest: &mut Guest, space: &str, mut value: Tuple, lease: Option<u64>) -> Result<u64, Error> {
    let at = to_change(guest, space)?;
    check_tuple(guest, &mut value)?;
    let lease = lease.map(|millis| after(guest, millis));
    let (id, change) = at.spaces().write(at.request(), value, lease, guest.batch())?;
    guest.stage_service(change);
    Ok(id)
}

fn renew(guest: &mut Guest, space: &str, id: u64, lease: u64) -> Result<(), Error> {
    let at = to_change(guest, space)?;
    has_room(guest, 0)?;
    let (change, gate) = at.spaces().renew(at.request(), id, after(guest, lease))?;
    guest.saw(gate);
    // The whole row is written again when the step is committed.
    guest.turn.promised += change.weight();
    guest.stage_service(change);
    Ok(())
}

fn revoke(guest: &mut Guest, space: &str, id: u64) -> Result<bool, Error> {
    let at = to_change(guest, space)?;
    has_room(guest, 0)?;
    let (change, gate) = at.spaces().revoke(at.request(), id, guest.batch());
    guest.saw(gate);
    let found = change.is_some();
    if let Some(change) = change {
        guest.stage_service(change);
    }
    Ok(found)
}

/// What only looks.
fn look<T>(
    guest: &mut Guest,
    space: &str,
    pattern: &[PatternField],
    find: impl FnOnce(&Spaces, Request<'_>, &[PatternField]) -> Seen<T>,
) -> Result<T, Error> {
    let at = to_look(guest, space)?;
    check_pattern(guest, pattern)?;
    let (found, gate) = find(at.spaces(), at.request(), pattern);
    guest.saw(gate);
    Ok(found)
}

fn take(guest: &mut Guest, space: &str, pattern: &[PatternField]) -> Result<Option<Stored>, Error> {
    let at = to_change(guest, space)?;
    check_pattern(guest, pattern)?;
    has_room(guest, 0)?;
    let (taken, gate) = at.spaces().take(at.request(), pattern, guest.batch());
    guest.saw(gate);
    Ok(taken.map(|(stored, change)| {
        guest.stage_service(change);
        stored
    }))
}

fn take_each(guest: &mut Guest, space: &str, patterns: &[Pattern]) -> Result<Option<Vec<Stored>>, Error> {
    let at = to_change(guest, space)?;
    if patterns.len() > MAX_PATTERNS {
        let count = patterns.len();
        return Err(Error::InvalidArgument(format!("{count} patterns: max-patterns = {MAX_PATTERNS}")));
    }
    for pattern in patterns {
        check_pattern(guest, pattern)?;
    }
    has_room(guest, 0)?;
    let (taken, gate) = at.spaces().take_each(at.request(), patterns, guest.batch());
    guest.saw(gate);
    let Some(taken) = taken else { return Ok(None) };
    let mut all = Vec::with_capacity(taken.len());
    for (stored, change) in taken {
        guest.stage_service(change);
        all.push(stored);
    }
    Ok(Some(all))
}

type Swapped = (Result<Stored, Error>,);

async fn compare_and_swap(
    guest: &mut Guest,
    (space, expected, replacement): (String, Pattern, Tuple),
) -> wasmtime::Result<Swapped> {
    Ok((swap(guest, &space, &expected, replacement),))
}

fn swap(guest: &mut Guest, space: &str, expected: &[PatternField], mut value: Tuple) -> Result<Stored, Error> {
    let at = to_change(guest, space)?;
    check_pattern(guest, expected)?;
    check_tuple(guest, &mut value)?;
    let ((stored, change), gate) = at.spaces().swap(at.request(), expected, value)?;
    guest.saw(gate);
    guest.stage_service(change);
    Ok(stored)
}

fn subscribe(guest: &mut Guest, space: &str, pattern: Pattern) -> Result<u64, Error> {
    let at = to_look(guest, space)?;
    check_pattern(guest, &pattern)?;
    has_room(guest, value::pattern_size(&pattern))?;
    // That of an actor without a journal ends with the process, as the actor does.
    let durable = guest.recorder.recording();
    let (id, change) = at.spaces().subscribe(at.request(), pattern, durable, guest.batch())?;
    guest.stage_service(change);
    Ok(id)
}

fn unsubscribe(guest: &mut Guest, id: u64) -> Result<(), Error> {
    let node = guest.node.clone();
    let me = guest.about.id.clone();
    has_room(guest, 0)?;
    let change = node.shared().spaces.unsubscribe(&me, id, guest.batch())?;
    guest.stage_service(change);
    Ok(())
}

type WaitParams = (String, Pattern, Option<u64>);
type WaitResult = (Result<Option<Stored>, Error>,);

fn read_begin(guest: &mut Guest, params: &WaitParams, id: &WaitId) -> wasmtime::Result<Begun<WaitResult>> {
    Ok(begin(guest, params, id, false).unwrap_or_else(|error| Begun::Now((Err(error),))))
}

fn take_begin(guest: &mut Guest, params: &WaitParams, id: &WaitId) -> wasmtime::Result<Begun<WaitResult>> {
    Ok(begin(guest, params, id, true).unwrap_or_else(|error| Begun::Now((Err(error),))))
}

fn begin(
    guest: &mut Guest,
    (space, pattern, timeout): &WaitParams,
    id: &WaitId,
    takes: bool,
) -> Result<Begun<WaitResult>, Error> {
    let at = if takes { to_change(guest, space)? } else { to_look(guest, space)? };
    check_pattern(guest, pattern)?;
    has_room(guest, 0)?;
    let durable = guest.recorder.recording();
    if *timeout == Some(0) {
        // Nothing to wait for: as if it did not block.
        return Ok(Begun::Now((match takes {
            true => take(guest, space, pattern),
            false => look(guest, space, pattern, Spaces::read),
        },)));
    }
    let (wanted, gate) = at.spaces().wait(at.request(), pattern, takes, (id, durable), guest.batch())?;
    guest.saw(gate);
    match wanted {
        Wanted::Found(stored, change) => {
            if let Some(change) = change {
                guest.stage_service(change);
            }
            Ok(Begun::Now((Ok(Some(stored)),)))
        }
        Wanted::Begins(change) => {
            guest.stage_service(change);
            Ok(Begun::Parked(timeout.map(|millis| after(guest, millis))))
        }
    }
}

fn read_again(guest: &mut Guest, params: &WaitParams, id: &WaitId) -> wasmtime::Result<()> {
    again(guest, params, id, false)
}

fn take_again(guest: &mut Guest, params: &WaitParams, id: &WaitId) -> wasmtime::Result<()> {
    again(guest, params, id, true)
}

/// The grant was there when it began, and a wait that has begun goes on without.
fn again(guest: &mut Guest, (space, pattern, _): &WaitParams, id: &WaitId, takes: bool) -> wasmtime::Result<()> {
    let wrong = |why: String| wasmtime::Error::msg(format!("cannot wait again in the space {space}: {why}"));
    let name = name(guest, space).map_err(|error| wrong(format!("{error:?}")))?;
    let at = at(guest, name);
    let _alone = at.node.shared().committing();
    at.spaces().wait_again(at.request(), pattern, takes, id).map_err(|refused| wrong(format!("{refused:?}")))
}

fn wait_end(
    guest: &mut Guest,
    (_, _, timeout): &WaitParams,
    id: &WaitId,
    waited: Waited,
) -> wasmtime::Result<WaitResult> {
    let node = guest.node.clone();
    let spaces = &node.shared().spaces;
    if guest.recorder.recording() {
        spaces.left(id, guest.batch());
    }
    let in_vain = match timeout {
        Some(_) => Ok(None),
        None => Err(Error::Timeout),
    };
    Ok((match waited {
        Waited::Completed(bytes) => match spaces.waited(&id.actor, id, &bytes, guest.batch()) {
            Some((stored, change)) => {
                if let Some(change) = change {
                    guest.stage_service(change);
                }
                Ok(Some(stored))
            }
            // It timed out as it was served, and another has it by now.
            None => in_vain,
        },
        Waited::TimedOut => Ok(None),
        Waited::DeadlineNear => Err(Error::Timeout),
    },))
}
