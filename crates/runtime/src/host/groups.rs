//! `troupe:actor/groups`: join, leave, members, publish. All are node effects or reads.

use troupe_log::ActorId;

use super::common::{check_message, name, permit, room};
use super::types::Error;
use crate::actor::message::{Message, MessageKind};
use crate::boundary::{Boundary, Effect, Guest};
use crate::service::groups::{Full, MAX_MEMBERS, MAX_MEMBERSHIPS};

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/groups@0.1.0")?
        .func("join", Effect::Node, |guest: &mut Guest, (group,): (String,)| Ok((join(guest, &group),)))?
        .func("leave", Effect::Node, |guest: &mut Guest, (group,): (String,)| Ok((leave(guest, &group),)))?
        .func("members", Effect::Read, |guest: &mut Guest, (group,): (String,)| {
            let members = members(guest, &group);
            Ok((members.map(|members| members.iter().map(ToString::to_string).collect::<Vec<_>>()),))
        })?
        .func("publish", Effect::Node, |guest: &mut Guest, (group, message_type, payload): Publish| {
            Ok((publish(guest, &group, message_type, payload),))
        })?;
    Ok(())
}

type Publish = (String, String, Vec<u8>);

fn granted(guest: &mut Guest, group: &str) -> Result<ActorId, Error> {
    let group = name(guest, group)?;
    permit(guest, &group, ("groups", "names"), |grants| grants.groups.as_deref())?;
    Ok(group)
}

fn join(guest: &mut Guest, group: &str) -> Result<(), Error> {
    let group = granted(guest, group)?;
    room(guest, ROW)?;
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    match node.shared().groups.join(&group, &me, guest.batch()) {
        Ok(change) => {
            if let Some(change) = change {
                guest.stage_service(change);
            }
            Ok(())
        }
        Err(Full::Memberships) => Err(Error::ResourceExhausted(format!("max-memberships = {MAX_MEMBERSHIPS}"))),
        Err(Full::Members) => Err(Error::ResourceExhausted(format!("max-members = {MAX_MEMBERS}"))),
    }
}

fn leave(guest: &mut Guest, group: &str) -> Result<(), Error> {
    let group = granted(guest, group)?;
    room(guest, ROW)?;
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().groups.leave(&group, &me, guest.batch());
    let change = change.ok_or_else(|| Error::NotFound(format!("{me} in the group {group}")))?;
    guest.stage_service(change);
    Ok(())
}

fn members(guest: &mut Guest, group: &str) -> Result<Vec<ActorId>, Error> {
    let group = granted(guest, group)?;
    let (members, gate) = guest.node.shared().groups.members(&group, &guest.about.id);
    guest.saw(gate);
    Ok(members)
}

fn publish(guest: &mut Guest, group: &str, message_type: String, payload: Vec<u8>) -> Result<u32, Error> {
    check_message(&message_type, &[])?;
    let members = members(guest, group)?;
    let limit = guest.about.limits.payload;
    if (message_type.len() + payload.len()) as u64 > limit.0 {
        return Err(Error::TooLarge(limit.0));
    }
    let mut message = Message {
        id: guest.node.message_id(),
        from: guest.about.id.shared(),
        kind: MessageKind::Cast,
        message_type: message_type.into(),
        payload: payload.into(),
        headers: Vec::new(),
        deadline: None,
        trace: guest.turn.message.as_ref().and_then(|message| message.trace.clone()),
        key: None,
        attempt: 1,
        asker: None,
    };
    room(guest, members.len().saturating_mul(message.size() + ROW))?;
    let mut took = 0;
    for member in &members {
        // One that takes nothing now, for whatever reason, does not keep it from the others.
        if guest.send(message.clone(), member).is_ok() {
            took += 1;
            message.id = guest.node.message_id();
        }
    }
    Ok(took)
}

/// What a row takes at most, beside its message if it is one of an inbox.
const ROW: usize = 256;
