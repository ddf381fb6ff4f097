//! `troupe:actor/registry`: register, unregister, lookup, discover. All are node effects or reads.

use troupe_log::ActorId;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::common::{denied, name, permit, room};
use super::types::Error;
use crate::boundary::{Boundary, Effect, Guest};
use crate::manifest::covers;
use crate::recordable_record;
use crate::service::registry::{self, MAX_FOUND, MAX_METADATA, MAX_NAMES, Refused};

/// `record registration`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Registration {
    /// In full.
    pub name: String,
    /// Who has it.
    pub actor: String,
    /// What it says about itself.
    pub metadata: Headers,
}
recordable_record!(Registration { name, actor, metadata });

type Headers = Vec<(String, String)>;

impl Registration {
    fn of(name: &ActorId, registration: registry::Registration) -> Registration {
        let registry::Registration { actor, metadata } = registration;
        Registration { name: name.to_string(), actor: actor.to_string(), metadata }
    }
}

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/registry@0.1.0")?
        .func("register", Effect::Node, |guest: &mut Guest, (name, metadata): (String, Headers)| {
            Ok((register(guest, &name, metadata),))
        })?
        .func("unregister", Effect::Node, |guest: &mut Guest, (name,): (String,)| Ok((unregister(guest, &name),)))?
        .func("lookup", Effect::Read, |guest: &mut Guest, (name,): (String,)| Ok((lookup(guest, &name),)))?
        .func("discover", Effect::Read, |guest: &mut Guest, (metadata,): (Headers,)| {
            Ok((discover(guest, &metadata),))
        })?;
    Ok(())
}

fn may_register(guest: &mut Guest, text: &str) -> Result<ActorId, Error> {
    let full = name(guest, text)?;
    let key = ("registry", "register");
    permit(guest, &full, key, |grants| grants.registry.as_ref().map(|grant| &grant.register[..]))?;
    Ok(full)
}

fn register(guest: &mut Guest, text: &str, metadata: Headers) -> Result<(), Error> {
    if let Some((name, _)) = metadata.iter().find(|(name, _)| name.starts_with("troupe-")) {
        return Err(Error::InvalidArgument(format!("`{name}` is a name of the runtime's own")));
    }
    if registry::size(&metadata) > MAX_METADATA {
        return Err(Error::TooLarge(MAX_METADATA as u64));
    }
    let name = may_register(guest, text)?;
    room(guest, MAX_METADATA)?;
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    match node.shared().registry.register(&name, &me, metadata, guest.batch()) {
        Ok(change) => {
            guest.stage_service(change);
            Ok(())
        }
        Err(Refused::Taken) => Err(Error::AlreadyExists(name.to_string())),
        Err(Refused::Full) => Err(Error::ResourceExhausted(format!("max-names = {MAX_NAMES}"))),
    }
}

fn unregister(guest: &mut Guest, text: &str) -> Result<(), Error> {
    let name = may_register(guest, text)?;
    room(guest, 256)?;
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().registry.unregister(&name, &me, guest.batch());
    guest.stage_service(change.ok_or_else(|| Error::NotFound(name.to_string()))?);
    Ok(())
}

fn lookup(guest: &mut Guest, text: &str) -> Result<Option<Registration>, Error> {
    let full = name(guest, text)?;
    let key = ("registry", "lookup");
    permit(guest, &full, key, |grants| grants.registry.as_ref().map(|grant| &grant.lookup[..]))?;
    let (found, gate) = guest.node.shared().registry.lookup(&full, &guest.about.id);
    guest.saw(gate);
    Ok(found.map(|registration| Registration::of(&full, registration)))
}

fn discover(guest: &mut Guest, metadata: &[(String, String)]) -> Result<Vec<Registration>, Error> {
    let (node, about) = (guest.node.clone(), guest.about.clone());
    let patterns = about.grants.registry.as_ref().map_or(&[][..], |grant| &grant.lookup);
    if patterns.is_empty() {
        return Err(denied(guest, "registry", "[grants.registry] lookup = [\"*\"]".to_owned()));
    }
    if registry::size(metadata) > MAX_METADATA {
        return Err(Error::TooLarge(MAX_METADATA as u64));
    }
    let own = about.id.namespace();
    let found = node.shared().registry.discover(metadata, &about.id, |name| covers(patterns, own, name));
    let (found, gate) = found.map_err(|_| Error::ResourceExhausted(format!("max-found = {MAX_FOUND}")))?;
    guest.saw(gate);
    Ok(found.into_iter().map(|(name, registration)| Registration::of(&name, registration)).collect())
}
