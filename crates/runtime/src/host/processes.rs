//! `troupe:actor/processes`: beginning, ending and watching other actors.

use std::sync::Arc;

use troupe_log::{ActorId, Digest};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::common::{self, denied};
use super::types::Error;
use crate::actor::config::{ActorEntry, Config};
use crate::boundary::{Boundary, Effect, Guest};
use crate::contract::Contract;
use crate::manifest::{ComponentRef, Processes, covers, glob};
use crate::node::births::{Birth, NotBorn};
use crate::recordable_record;
use crate::service::bonds::{Bond, Bonds, MAX_BONDS, Making, Stop, StoppedBy, Stopping, Undoing, told_of};

/// `record spawn-options`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct SpawnOptions {
    /// Its name.
    pub id: Option<String>,
    /// Limits, grants and supervision, as TOML.
    pub manifest: Option<String>,
}
recordable_record!(SpawnOptions { id, manifest });

type Done = (Result<(), Error>,);
type Spawn = (String, Vec<u8>, SpawnOptions);

/// Actors that one may have spawned and that still live.
pub const MAX_CHILDREN: u32 = 10_000;

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/processes@0.1.0")?
        .func_async("spawn-actor", Effect::Node, spawn_actor)?
        .func("stop", Effect::Node, |guest: &mut Guest, (id, reason): (String, String)| {
            Ok::<Done, _>((stop(guest, &id, reason),))
        })?
        .func("link", Effect::Node, |guest: &mut Guest, (id,): (String,)| Ok::<Done, _>((bind(guest, &id, None),)))?
        .func("unlink", Effect::Node, |guest: &mut Guest, (id,): (String,)| Ok::<Done, _>((unlink(guest, &id),)))?
        .func("monitor", Effect::Node, |guest: &mut Guest, (id,): (String,)| {
            let number = guest.own_number();
            Ok::<(Result<u64, Error>,), _>((bind(guest, &id, Some(number)).map(|()| number),))
        })?
        .func("demonitor", Effect::Node, |guest: &mut Guest, (number,): (u64,)| {
            Ok::<Done, _>((demonitor(guest, number),))
        })?;
    Ok(())
}

async fn spawn_actor(
    guest: &mut Guest,
    (module, initial, options): Spawn,
) -> wasmtime::Result<(Result<String, Error>,)> {
    Ok((spawn(guest, &module, initial, options).await.map(|id| id.to_string()),))
}

async fn spawn(guest: &mut Guest, module: &str, initial: Vec<u8>, options: SpawnOptions) -> Result<ActorId, Error> {
    let reference = component(guest, module)?;
    let most = guest.about.limits.payload.0;
    if crate::service::theater::resumed(&initial).is_some() {
        return Err(Error::InvalidArgument("an initial state that begins as the mark of one to go on with".to_owned()));
    }
    if initial.len() as u64 > most {
        return Err(Error::TooLarge(most));
    }
    let own = guest.about.id.clone();
    let id = match &options.id {
        None => ActorId::parse(&made_up(&own, guest.own_number())),
        Some(name) => Ok(common::name(guest, name)?),
    };
    let id = id.map_err(|error| Error::Internal(error.to_string()))?;
    if id.namespace() != own.namespace() {
        return Err(Error::InvalidArgument(format!("{id}: an actor is spawned in the namespace of who spawns it")));
    }
    let config = config(guest, options.manifest.as_deref())?;
    let child = Child { id, module, component: reference, initial, config };
    bear(guest, child, |_| Ok(())).await
}

/// An actor that is to be spawned.
pub(super) struct Child<'a> {
    pub(super) id: ActorId,
    /// What its component is called where it is missing.
    pub(super) module: &'a str,
    pub(super) component: ComponentRef,
    pub(super) initial: Vec<u8>,
    pub(super) config: Config,
}

/// Spawns it with the step, if its code `may` be.
pub(super) async fn bear(
    guest: &mut Guest,
    child: Child<'_>,
    may: fn(&Contract) -> Result<(), Error>,
) -> Result<ActorId, Error> {
    let Child { id, module, component, initial, config } = child;
    let (node, own) = (guest.node.clone(), guest.about.id.clone());
    let code = node.code(component).await.map_err(|error| match error {
        crate::error::Error::NoComponent { .. } => Error::NotFound(format!("component {module}")),
        error => Error::Unavailable(error.to_string()),
    })?;
    if code.contract.is_empty() {
        return Err(Error::InvalidArgument(format!("{module} exports nothing that takes messages")));
    }
    may(&code.contract)?;
    let entry = ActorEntry {
        incarnation: Default::default(),
        component: code.inspection.digest,
        initial,
        parent: Some(own),
        stopped: None,
        config: config.encode(),
    };
    let birth = Birth::new(&*node, &id, entry, config, code, MAX_CHILDREN).map_err(|why| match why {
        NotBorn::Taken => Error::AlreadyExists(id.to_string()),
        NotBorn::TooMany(most) => Error::ResourceExhausted(format!("max-children = {most}")),
        NotBorn::Closing => Error::Unavailable("the node is closing".to_owned()),
    })?;
    guest.bear(birth);
    Ok(id)
}

/// A name that nobody else makes up: the spawner's, and a number that it never has again.
pub(super) fn made_up(own: &ActorId, number: u64) -> String {
    let name: String = own.name().chars().take(45).collect();
    format!("{}/{name}.{number:x}", own.namespace())
}

pub(super) fn component(guest: &mut Guest, module: &str) -> Result<ComponentRef, Error> {
    let granted = guest.about.grants.processes.as_ref();
    if !granted.is_some_and(|grant| grant.spawn.iter().any(|pattern| glob(pattern.as_bytes(), module.as_bytes()))) {
        return Err(denied(guest, "processes", format!("[grants.processes] spawn = [\"{module}\"]")));
    }
    if let Some(digest) = granted.and_then(|Processes { components, .. }| components.get(module)) {
        return Ok(ComponentRef::Digest(*digest));
    }
    if let Some((name, version)) = module.split_once('@') {
        return Ok(ComponentRef::Named { name: name.to_owned(), version: version.to_owned() });
    }
    match module.parse::<Digest>() {
        Ok(digest) => Ok(ComponentRef::Digest(digest)),
        Err(_) => Err(Error::NotFound(format!("component {module}: [components] of the manifest does not name it"))),
    }
}

/// What the child lives under: what is said, within what its parent has.
pub(super) fn config(guest: &Guest, manifest: Option<&str>) -> Result<Config, Error> {
    let mut config = guest.node.config_of(&guest.about.id).ok_or(Error::Internal("the parent is gone".to_owned()))?;
    config.first_state = String::new();
    config.bind.clear();
    let Some(text) = manifest else { return Ok(config) };
    let parent = (&config.limits, &config.grants, &config.supervision);
    let own = crate::manifest::spawn_options(text, parent);
    let (limits, grants, supervision) = own.map_err(|error| Error::InvalidArgument(error.to_string()))?;
    (config.limits, config.grants, config.supervision) = (limits, grants, supervision);
    Ok(config)
}

/// An actor that this one may stop, link and monitor: itself, what it spawned (and what that spawned), and whom its grant names.
fn controlled(guest: &mut Guest, id: &str) -> Result<ActorId, Error> {
    let id = common::name(guest, id)?;
    let own = guest.about.id.clone();
    let granted = guest.about.grants.processes.as_ref();
    let by_grant = granted.is_some_and(|grant| covers(&grant.control, own.namespace(), &id));
    if granted.is_some() && (by_grant || id == own || guest.descends(&id)) {
        return Ok(id);
    }
    let shown = if id.namespace() == own.namespace() { id.name() } else { id.as_str() };
    let line = format!("[grants.processes] control = [\"{shown}\"]");
    Err(denied(guest, "processes", line))
}

fn stop(guest: &mut Guest, id: &str, reason: String) -> Result<(), Error> {
    let id = controlled(guest, id)?;
    if !guest.node.party().alive(&id) && !guest.bears(&id) {
        return Err(Error::NotFound(id.to_string()));
    }
    let most = guest.about.limits.payload.0;
    if reason.len() as u64 > most {
        return Err(Error::TooLarge(most));
    }
    common::room(guest, reason.len())?;
    let reason = guest.without_secrets(&reason);
    let by = match id == guest.about.id {
        true => StoppedBy::Itself(Some(reason.clone().into_bytes())),
        false => StoppedBy::Another,
    };
    stage_stop(guest, id, Stop { reason, by });
    Ok(())
}

/// The life of that actor ends after the step, and the turn that it is in.
pub(super) fn stage_stop(guest: &mut Guest, id: ActorId, stop: Stop) {
    Bonds::put_stop(guest.batch(), &id, &stop);
    let (node, born) = (Arc::clone(&guest.node), guest.bears(&id));
    guest.stage_service(Stopping { node, actor: id, stop, born, over: false });
}

fn bind(guest: &mut Guest, id: &str, monitor: Option<u64>) -> Result<(), Error> {
    let id = controlled(guest, id)?;
    let own = guest.about.id.clone();
    if id == own {
        return Err(Error::InvalidArgument("oneself".to_owned()));
    }
    let node = Arc::clone(&guest.node);
    let bond = match monitor {
        None => Bond::link(&own, &id),
        Some(number) => Bond::Monitor(own.clone(), number, id.clone()),
    };
    let bonds = &node.shared().bonds;
    if bonds.has(&bond) {
        return Ok(());
    }
    if bonds.count(&own) >= MAX_BONDS {
        return Err(Error::ResourceExhausted(format!("max-bonds = {MAX_BONDS}")));
    }
    let born = guest.bears(&id);
    if !born && !node.party().alive(&id) {
        guest.info(&own, told_of(&id, "not-found", "", monitor))?;
        return Ok(());
    }
    bond.put(guest.batch());
    guest.stage_service(Making::new(node.clone(), &own, bond, born));
    Ok(())
}

fn unlink(guest: &mut Guest, id: &str) -> Result<(), Error> {
    let id = controlled(guest, id)?;
    undo(guest, Bond::link(&guest.about.id.clone(), &id), || format!("a link with {id}"))
}

fn demonitor(guest: &mut Guest, number: u64) -> Result<(), Error> {
    if guest.about.grants.processes.is_none() {
        return Err(denied(guest, "processes", "[grants.processes]".to_owned()));
    }
    match guest.node.shared().bonds.monitor(&guest.about.id, number) {
        Some(bond) => undo(guest, bond, || format!("monitor {number}")),
        None => Err(Error::NotFound(format!("monitor {number}"))),
    }
}

fn undo(guest: &mut Guest, bond: Bond, what: impl FnOnce() -> String) -> Result<(), Error> {
    let node = Arc::clone(&guest.node);
    if !node.shared().bonds.has(&bond) {
        return Err(Error::NotFound(what()));
    }
    bond.delete(guest.batch());
    guest.stage_service(Undoing::new(node.clone(), bond));
    Ok(())
}
