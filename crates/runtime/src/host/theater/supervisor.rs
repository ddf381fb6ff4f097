//! `theater:simple/supervisor`: spawning children, and what becomes of them.
//!
//! A child is spawned as by `troupe:actor/processes`, under the same grant, with no more than its parent has; a fault ends it, and its
//! parent decides. A bond tells the parent of each end once (`service/theater.rs`), and ends the children with it.

use std::sync::Arc;

use troupe_log::{ActorId, record};

use super::super::common::{self, denied};
use super::super::messaging::request;
use super::super::processes::{self, Child, stage_stop};
use super::super::types::Error;
use super::chain::{ChainEvent, chain_events};
use crate::actor::cell::{Cell, Status};
use crate::actor::message::Gate;
use crate::boundary::{Begun, Boundary, Effect, Guest, Wait};
use crate::contract::theater::ActorState;
use crate::manifest::{self, ComponentRef, Mode, OnFault};
use crate::service::bonds::{Bond, Bonds, MAX_BONDS, Making, Restarting, Stop};
use crate::service::theater;
use crate::service::waits::{WaitId, Waited};

type Spawn = (String, Option<Vec<u8>>);
type Id = (String,);
type Spawned = (Result<String, String>,);
type Done = (Result<(), String>,);
type Events = (Result<Vec<ChainEvent>, String>,);
type State = (Result<Option<Vec<u8>>, String>,);

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/supervisor")?
        .func_async("spawn", Effect::Node, spawn)?
        .func_async("resume", Effect::Node, resume)?
        .func("list-children", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.processes.is_some(), "processes")?;
            let children = guest.node.shared().bonds.children(&guest.about.id);
            Ok((children.iter().map(ToString::to_string).collect::<Vec<_>>(),))
        })?
        .func("stop-child", Effect::Node, |guest: &mut Guest, (id,): Id| {
            Ok::<Done, _>((stop(guest, &id).map_err(text),))
        })?
        .func_async("restart-child", Effect::Node, restart)?
        .wait("get-child-state", Wait { begin, again, end })?
        .func("get-child-events", Effect::Read, |guest: &mut Guest, (id,): Id| {
            Ok::<Events, _>((events(guest, &id).map_err(text),))
        })?;
    Ok(())
}

fn text(error: Error) -> String {
    error.to_string()
}

async fn spawn(guest: &mut Guest, (manifest, initial): Spawn) -> wasmtime::Result<Spawned> {
    let initial = initial.unwrap_or_default();
    if theater::resumed(&initial).is_some() {
        return Ok((Err("these bytes are the mark of a state to go on with: `resume` takes one".to_owned()),));
    }
    Ok((begin_child(guest, &manifest, initial).await.map_err(text),))
}

/// The same with a state to go on with, in place of its init.
async fn resume(guest: &mut Guest, (manifest, state): Spawn) -> wasmtime::Result<Spawned> {
    let initial = theater::resume(state.as_deref());
    Ok((begin_child(guest, &manifest, initial).await.map_err(text),))
}

/// `manifest` is the name of a component, or a text in Theater's form.
async fn begin_child(guest: &mut Guest, manifest: &str, initial: Vec<u8>) -> Result<String, Error> {
    granted(guest)?;
    let most = guest.about.limits.payload.0;
    if initial.len() as u64 > most {
        return Err(Error::TooLarge(most));
    }
    let mut config = processes::config(guest, None)?;
    let named = !manifest.contains(['\n', '=']);
    let module = match named {
        true => manifest.to_owned(),
        false => {
            let read = manifest::of_theater(manifest, &config.grants);
            let (module, grants) = read.map_err(|error| Error::InvalidArgument(error.to_string()))?;
            config.grants = grants;
            module
        }
    };
    let component = processes::component(guest, &module)?;
    config.supervision.on_fault = OnFault::Stop;
    config.http = None;
    let own = guest.about.id.clone();
    let id = ActorId::parse(&processes::made_up(&own, guest.own_number()));
    let id = id.map_err(|error| Error::Internal(error.to_string()))?;
    full(guest)?;
    let child = Child { id, module: &module, component, initial, config };
    let id = processes::bear(guest, child, |contract| match contract.is_of_theater() {
        true => Ok(()),
        false => Err(Error::InvalidArgument("a child is a component of theater:simple".to_owned())),
    });
    let id = id.await?;
    bind(guest, &id);
    Ok(id.to_string())
}

/// An error if this actor can have no more children.
fn full(guest: &Guest) -> Result<(), Error> {
    match guest.node.shared().bonds.count(&guest.about.id) >= MAX_BONDS {
        true => Err(Error::ResourceExhausted(format!("max-bonds = {MAX_BONDS}"))),
        false => Ok(()),
    }
}

fn granted(guest: &mut Guest) -> Result<(), Error> {
    match guest.about.grants.processes {
        Some(_) => Ok(()),
        None => Err(denied(guest, "processes", "[grants.processes]".to_owned())),
    }
}

/// A child that the step spawns is this actor's.
fn bind(guest: &mut Guest, child: &ActorId) {
    let own = guest.about.id.clone();
    let node = Arc::clone(&guest.node);
    let bond = Bond::Child(own.clone(), child.clone());
    bond.put(guest.batch());
    guest.stage_service(Making::new(node, &own, bond, true));
}

/// The child of that name, which lives or has ended.
fn child(guest: &mut Guest, id: &str) -> Result<(ActorId, Arc<Cell>), Error> {
    granted(guest)?;
    let id = common::name(guest, id)?;
    let cell = guest.node.core().and_then(|core| core.cell(&id));
    let own = &guest.about.id;
    match cell.filter(|cell| cell.life.lock().entry.parent.as_ref() == Some(own)) {
        Some(cell) => Ok((id, cell)),
        None => Err(Error::NotFound(format!("child {id}"))),
    }
}

/// The same; an error if it has ended.
fn living(guest: &mut Guest, id: &str) -> Result<ActorId, Error> {
    granted(guest)?;
    let name = common::name(guest, id)?;
    // One that the step in hand spawns is one already.
    if guest.node.shared().bonds.has(&Bond::Child(guest.about.id.clone(), name.clone())) {
        return Ok(name);
    }
    child(guest, id)?;
    Err(Error::Unavailable(format!("the child {name} has ended")))
}

fn stop(guest: &mut Guest, id: &str) -> Result<(), Error> {
    let id = living(guest, id)?;
    let reason = format!("stopped by its supervisor {}", guest.about.id);
    stage_stop(guest, id, Stop::by_another(reason));
    Ok(())
}

async fn restart(guest: &mut Guest, (id,): Id) -> wasmtime::Result<Done> {
    Ok((anew(guest, &id).await.map_err(text),))
}

/// Of one that lives another life takes the place; one that has ended is spawned again, as it was.
async fn anew(guest: &mut Guest, id: &str) -> Result<(), Error> {
    let (id, cell) = child(guest, id)?;
    let node = Arc::clone(&guest.node);
    if node.shared().bonds.has(&Bond::Child(guest.about.id.clone(), id.clone())) {
        Bonds::put_restart(guest.batch(), &id);
        guest.stage_service(Restarting { node, actor: id, over: false });
        return Ok(());
    }
    if !matches!(cell.life.lock().status, Status::Stopped(_)) {
        return Err(Error::Unavailable(format!("{id} is no child of this life")));
    }
    full(guest)?;
    // Its last executor is about to go.
    cell.mailbox.ended().await;
    let (entry, config) = {
        let life = cell.life.lock();
        (life.entry.clone(), (*life.config).clone())
    };
    let own = node.config_of(&guest.about.id).ok_or(Error::Internal("the parent is gone".to_owned()))?;
    config.grants.within(&own.grants).map_err(Error::InvalidArgument)?;
    let module = entry.component.to_string();
    let component = ComponentRef::Digest(entry.component);
    let again = Child { id: id.clone(), module: &module, component, initial: entry.initial, config };
    processes::bear(guest, again, |_| Ok(())).await?;
    bind(guest, &id);
    Ok(())
}

fn begin(guest: &mut Guest, (child,): &Id, id: &WaitId) -> wasmtime::Result<Begun<State>> {
    Ok(match ask(guest, child, id) {
        Ok(due) => Begun::Parked(due),
        Err(error) => Begun::Now((Err(error.to_string()),)),
    })
}

/// The child says it itself, in a turn, behind what it was sent before.
fn ask(guest: &mut Guest, child: &str, id: &WaitId) -> Result<Option<troupe_log::NodeTime>, Error> {
    let to = living(guest, child)?;
    let ask = request::Ask {
        to: to.as_str(),
        message_type: theater::STATE,
        payload: &[],
        headers: &[],
        timeout: None,
        key: None,
    };
    request::ask_of(guest, &ask, &to, id)
}

fn again(guest: &mut Guest, (child,): &Id, id: &WaitId) -> wasmtime::Result<()> {
    if let Ok(child) = common::name(guest, child) {
        request::wait_again(guest, &child, None, id);
    }
    Ok(())
}

fn end(guest: &mut Guest, _: &Id, id: &WaitId, waited: Waited) -> wasmtime::Result<State> {
    let answer = request::end(guest, id, waited).map_err(text);
    let state = answer.and_then(|bytes| ActorState::decode(&bytes).map_err(|error| error.to_string()));
    Ok((state,))
}

/// What is committed of a child's life. It stands in the record whole: a replay of this actor has no journal but this actor's.
fn events(guest: &mut Guest, id: &str) -> Result<Vec<ChainEvent>, Error> {
    let (id, cell) = child(guest, id)?;
    let (about, tip) = {
        let life = cell.life.lock();
        (life.about.clone(), life.tip)
    };
    if about.mode == Mode::Off {
        return Err(Error::Unavailable(format!("{id} keeps no journal")));
    }
    let limits = &guest.about.limits;
    let room = limits.max_turn_journal.0.saturating_sub(guest.turn.journaled).min(limits.memory.0);
    let read = guest.node.past(&about, tip.tail, tip.chain.next, usize::try_from(room).unwrap_or(usize::MAX));
    let limited = |error: wasmtime::Error| Error::ResourceExhausted(format!("{error:#}"));
    let records = read.map_err(limited)?;
    guest.saw(Gate { durable: tip.tail, written: None });
    let events = chain_events(guest, record::records(&records).map_while(Result::ok)).map_err(limited)?;
    // Each has two hashes, a type and a description beside what it is an event of.
    let takes = |event: &ChainEvent| (event.data.len() + event.event_type.len() + 160) as u64;
    if events.iter().map(takes).sum::<u64>() > room {
        let most = guest.about.limits.max_turn_journal;
        let why = format!("max-turn-journal = {most}: the events of {id} are recorded too");
        return Err(Error::ResourceExhausted(why));
    }
    Ok(events)
}
