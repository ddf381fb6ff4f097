//! Who is told of whose end: links, both ways, monitors, one way, and what actors of Theater have of each other: channels and
//! children (`service/theater.rs`). And stops and restarts that were asked for and have not happened yet.
//!
//! Promises: an end tells each bonded actor once, in the batch of the end; a bond that is committed when its other side has ended
//! already is answered at once with `not-found`. Bonds are rows: they survive a restart, and end with either side; but a child that
//! is begun anew stays its supervisor's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Batch, Table};

use super::waits::WaitId;
use super::{End, Ended, Info, Party, Service, theater};
use crate::actor::message::{Gate, RUNTIME};
use crate::boundary::{Committed, Staging};

/// One bond, as its owner has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bond {
    /// Both are told; by the lesser and the greater name.
    Link(ActorId, ActorId),
    /// The first is told of the other, under this number.
    Monitor(ActorId, u64, ActorId),
    /// A channel of that id: who opened it and who accepted it. Both are told.
    Channel(Arc<str>, ActorId, ActorId),
    /// The first supervises the other.
    Child(ActorId, ActorId),
}

/// How far a bond has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// By a step that is not committed.
    Made,
    /// Committed.
    There,
    /// Undone by a step that is not committed: it still holds.
    Going,
}

/// Links and monitors of one actor at most; each may have to tell it something.
pub const MAX_BONDS: usize = 1000;

/// All bonds of a node.
#[derive(Default)]
pub struct Bonds {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: BTreeMap<Bond, Stage>,
    /// The bonds that an actor is a side of.
    of: HashMap<ActorId, BTreeSet<Bond>>,
    /// Open channels, by their ids.
    channels: HashMap<Arc<str>, Bond>,
    /// Stops that were committed and have not happened.
    stops: BTreeMap<ActorId, Stop>,
    /// Actors that are to begin anew.
    restarts: BTreeSet<ActorId>,
}

/// A stop that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: StoppedBy,
}

/// Who asked for a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// Another actor.
    Another,
    /// The actor itself, with its last words.
    Itself(Option<Vec<u8>>),
}

const VERSION: u8 = 1;
const LINK: u8 = b'l';
const MONITOR: u8 = b'm';
const CHANNEL: u8 = b'c';
const CHILD: u8 = b'h';
const STOP: u8 = b's';
const RESTART: u8 = b'r';

impl Bond {
    /// A link of these two, whichever asks.
    pub fn link(one: &ActorId, other: &ActorId) -> Bond {
        if one < other { Bond::Link(one.clone(), other.clone()) } else { Bond::Link(other.clone(), one.clone()) }
    }

    pub(super) fn sides(&self) -> [&ActorId; 2] {
        match self {
            Bond::Link(one, other) | Bond::Monitor(one, _, other) => [one, other],
            Bond::Channel(_, one, other) | Bond::Child(one, other) => [one, other],
        }
    }

    /// The side that is not this one.
    pub fn other(&self, own: &ActorId) -> &ActorId {
        let [one, other] = self.sides();
        if one == own { other } else { one }
    }

    /// Who is told of this end, if anybody is, and what.
    fn told(&self, end: &Ended<'_>, by: Option<&StoppedBy>) -> Option<(&ActorId, Info)> {
        match self {
            Bond::Link(..) => Some((self.other(end.actor), told_of(end.actor, how(end.how), end.reason, None))),
            Bond::Monitor(watcher, number, watched) if watched == end.actor => {
                Some((watcher, told_of(end.actor, how(end.how), end.reason, Some(*number))))
            }
            Bond::Channel(id, ..) => Some((self.other(end.actor), theater::closed(id))),
            Bond::Child(parent, child) if child == end.actor => Some((parent, theater::child_ended(end, by))),
            Bond::Monitor(..) | Bond::Child(..) => None,
        }
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Bond::Link(one, other) => [&[LINK], one.as_str().as_bytes(), &[0], other.as_str().as_bytes()].concat(),
            Bond::Monitor(watcher, number, _) => {
                [&[MONITOR], watcher.as_str().as_bytes(), &[0], &number.to_be_bytes()[..]].concat()
            }
            Bond::Channel(id, ..) => [&[CHANNEL], id.as_bytes()].concat(),
            Bond::Child(parent, child) => {
                [&[CHILD], parent.as_str().as_bytes(), &[0], child.as_str().as_bytes()].concat()
            }
        }
    }

    fn value(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        match self {
            Bond::Link(..) | Bond::Child(..) => {}
            Bond::Monitor(_, _, watched) => codec::put_str(&mut value, watched.as_str()),
            Bond::Channel(_, one, other) => {
                codec::put_str(&mut value, one.as_str());
                codec::put_str(&mut value, other.as_str());
            }
        }
        value
    }

    /// Adds its row.
    pub fn put(&self, batch: &mut Batch) {
        batch.put(Table::BONDS, &self.key(), &self.value());
    }

    /// Removes its row.
    pub fn delete(&self, batch: &mut Batch) {
        batch.delete(Table::BONDS, &self.key());
    }

    fn read(key: &[u8], value: &[u8]) -> Option<Bond> {
        let id = |bytes: &[u8]| ActorId::reserved(std::str::from_utf8(bytes).ok()?).ok();
        let (kind, key) = key.split_first()?;
        match *kind {
            LINK | CHILD => {
                let at = key.iter().position(|byte| *byte == 0)?;
                let (one, other) = (id(&key[..at])?, id(&key[at + 1..])?);
                Some(if *kind == LINK { Bond::Link(one, other) } else { Bond::Child(one, other) })
            }
            CHANNEL => {
                let mut input = Reader::new(value);
                let (_, one, other) = (input.u8().ok()?, input.str().ok()?, input.str().ok()?);
                let name = std::str::from_utf8(key).ok()?;
                Some(Bond::Channel(name.into(), id(one.as_bytes())?, id(other.as_bytes())?))
            }
            MONITOR => {
                let (watcher, number) = key.split_last_chunk::<8>()?;
                let mut input = Reader::new(value);
                let (_, watched) = (input.u8().ok()?, input.str().ok()?);
                Some(Bond::Monitor(
                    id(watcher.strip_suffix(&[0])?)?,
                    u64::from_be_bytes(*number),
                    id(watched.as_bytes())?,
                ))
            }
            _ => None,
        }
    }
}

impl State {
    fn add(&mut self, bond: Bond, stage: Stage) {
        for side in bond.sides() {
            self.of.entry(side.clone()).or_default().insert(bond.clone());
        }
        if let Bond::Channel(id, ..) = &bond {
            self.channels.insert(id.clone(), bond.clone());
        }
        self.all.insert(bond, stage);
    }

    fn remove(&mut self, bond: &Bond) {
        self.all.remove(bond);
        if let Bond::Channel(id, ..) = bond {
            self.channels.remove(id);
        }
        for side in bond.sides() {
            if let Some(mine) = self.of.get_mut(side) {
                mine.remove(bond);
                if mine.is_empty() {
                    self.of.remove(side);
                }
            }
        }
    }
}

/// The key of the row of a stop that is to happen.
fn stop_key(actor: &ActorId) -> Vec<u8> {
    [&[STOP], actor.as_str().as_bytes()].concat()
}

/// The key of the row of an actor that is to begin anew.
fn restart_key(actor: &ActorId) -> Vec<u8> {
    [&[RESTART], actor.as_str().as_bytes()].concat()
}

impl Stop {
    /// Asked for by another actor.
    pub fn by_another(reason: String) -> Stop {
        Stop { reason, by: StoppedBy::Another }
    }

    fn value(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        codec::put_str(&mut value, &self.reason);
        // Written only where it is: rows of before end here.
        if let StoppedBy::Itself(words) = &self.by {
            codec::put_option(&mut value, words.as_deref(), codec::put_bytes);
        }
        value
    }

    fn read(value: &[u8]) -> Result<Stop, codec::Error> {
        let mut input = Reader::new(value);
        input.u8()?;
        let reason = input.str()?.to_owned();
        let by = match input.is_empty() {
            true => StoppedBy::Another,
            false => StoppedBy::Itself(input.option(|input| input.bytes().map(<[u8]>::to_vec))?),
        };
        input.finish()?;
        Ok(Stop { reason, by })
    }
}

impl Bonds {
    /// How many an actor is a side of.
    pub fn count(&self, actor: &ActorId) -> usize {
        self.state.lock().of.get(actor).map_or(0, BTreeSet::len)
    }

    /// Whether there is such a link, as the actors see it.
    pub fn has(&self, bond: &Bond) -> bool {
        self.state.lock().all.get(bond).is_some_and(|stage| *stage != Stage::Going)
    }

    /// The monitor of an actor under that number.
    pub fn monitor(&self, watcher: &ActorId, number: u64) -> Option<Bond> {
        let state = self.state.lock();
        let mine = state.of.get(watcher)?.iter();
        let mut found =
            mine.filter(|bond| matches!(bond, Bond::Monitor(who, which, _) if who == watcher && *which == number));
        found.find(|bond| state.all.get(*bond).is_some_and(|stage| *stage != Stage::Going)).cloned()
    }

    /// The open channel of that id of which `own` is a side.
    pub fn channel(&self, own: &ActorId, id: &str) -> Option<Bond> {
        let state = self.state.lock();
        let bond = state.channels.get(id).filter(|bond| bond.sides().contains(&own))?;
        (state.all.get(bond) == Some(&Stage::There)).then(|| bond.clone())
    }

    /// Those that an actor supervises, as it sees them, in order.
    pub fn children(&self, parent: &ActorId) -> Vec<ActorId> {
        let state = self.state.lock();
        let mine = state.of.get(parent).into_iter().flatten();
        let children = mine.filter(|bond| state.all.get(*bond).is_some_and(|stage| *stage != Stage::Going));
        children
            .filter_map(|bond| match bond {
                Bond::Child(by, child) if by == parent => Some(child.clone()),
                _ => None,
            })
            .collect()
    }

    /// All who are a side of one.
    pub fn actors(&self) -> Vec<ActorId> {
        self.state.lock().of.keys().cloned().collect()
    }

    /// Takes up a stop that was committed.
    pub fn stops(&self, actor: ActorId, stop: Stop) {
        self.state.lock().stops.insert(actor, stop);
    }

    /// Stops that were committed and have not happened.
    pub fn pending_stops(&self) -> Vec<(ActorId, String)> {
        self.state.lock().stops.iter().map(|(actor, stop)| (actor.clone(), stop.reason.clone())).collect()
    }

    /// Actors whose new beginning was committed and has not happened.
    pub fn pending_restarts(&self) -> Vec<ActorId> {
        self.state.lock().restarts.iter().cloned().collect()
    }

    /// Adds the row of a stop.
    pub fn put_stop(batch: &mut Batch, actor: &ActorId, stop: &Stop) {
        batch.put(Table::BONDS, &stop_key(actor), &stop.value());
    }

    /// Adds the row of a new beginning.
    pub fn put_restart(batch: &mut Batch, actor: &ActorId) {
        batch.put(Table::BONDS, &restart_key(actor), &[VERSION]);
    }

    pub(super) fn add(&self, bond: Bond) {
        self.state.lock().add(bond, Stage::Made);
    }

    pub(super) fn there(&self, bond: &Bond) {
        if let Some(stage) = self.state.lock().all.get_mut(bond) {
            *stage = Stage::There;
        }
    }

    pub(super) fn remove(&self, bond: &Bond) {
        self.state.lock().remove(bond);
    }
}

impl Service for Bonds {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        if value.first() != Some(&VERSION) {
            return false;
        }
        if let Some((kind @ (&STOP | &RESTART), actor)) = key.split_first() {
            let actor = std::str::from_utf8(actor).ok().and_then(|actor| ActorId::reserved(actor).ok());
            let Some(actor) = actor else { return false };
            if *kind == RESTART {
                self.state.lock().restarts.insert(actor);
                return true;
            }
            let Ok(stop) = Stop::read(value) else { return false };
            self.stops(actor, stop);
            return true;
        }
        let Some(bond) = Bond::read(key, value) else { return false };
        self.state.lock().add(bond, Stage::There);
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn ended(&self, node: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let mut state = self.state.lock();
        let stop = state.stops.remove(end.actor);
        if stop.is_some() {
            batch.delete(Table::BONDS, &stop_key(end.actor));
        }
        if state.restarts.contains(end.actor) {
            batch.delete(Table::BONDS, &restart_key(end.actor));
            // A new life that does not get through its beginning ends: then it is deleted again.
            if end.how != End::Fresh {
                state.restarts.remove(end.actor);
            }
        }
        let Some(mine) = state.of.get(end.actor).cloned() else { return Vec::new() };
        let mut told: Vec<Box<dyn Staging>> = Vec::new();
        for bond in mine {
            if state.all.get(&bond) == Some(&Stage::Made) {
                // Who makes it finds that the other is gone.
                continue;
            }
            if matches!(&bond, Bond::Child(_, child) if child == end.actor && end.how == End::Fresh) {
                // It goes on under who supervises it.
                continue;
            }
            bond.delete(batch);
            state.remove(&bond);
            if let Bond::Child(parent, child) = &bond
                && parent == end.actor
            {
                let stop = Stop::by_another(format!("its supervisor {parent} has ended"));
                Bonds::put_stop(batch, child, &stop);
                told.extend(node.stopping(child, stop));
                continue;
            }
            let Some((who, info)) = bond.told(end, stop.as_ref().map(|stop| &stop.by)) else { continue };
            match node.info(batch, who, info) {
                Ok(delivery) => told.push(delivery),
                Err(error) => tracing::warn!(actor = %who, ended = %end.actor, %error, "cannot be told of an end"),
            }
        }
        told
    }
}

fn how(end: End) -> &'static str {
    match end {
        End::Stopped => "stopped",
        End::Fault => "fault",
        End::Fresh => "fresh",
    }
}

/// What an actor hears of the end of another.
pub fn told_of(ended: &ActorId, kind: &str, reason: &str, monitor: Option<u64>) -> Info {
    let mut payload = serde_json::json!({ "actor": ended.as_str(), "kind": kind, "reason": reason });
    if let (Some(number), Some(fields)) = (monitor, payload.as_object_mut()) {
        fields.insert("monitor".to_owned(), number.to_string().into());
    }
    Info {
        from: RUNTIME.into(),
        message_type: if monitor.is_some() { "troupe:down" } else { "troupe:exit" }.into(),
        payload: payload.to_string().into_bytes().into(),
        headers: Vec::new(),
        seen: Gate::default(),
    }
}

/// A bond that a step makes.
pub struct Making {
    node: Arc<dyn crate::boundary::Services>,
    by: ActorId,
    bond: Bond,
    /// The other is spawned by the same step.
    born: bool,
    /// Who makes it ends with the step.
    over: bool,
    /// The other has ended meanwhile: this tells so.
    gone: Option<Box<dyn Staging>>,
    open: bool,
}

impl Making {
    /// By one of its sides.
    pub fn new(node: Arc<dyn crate::boundary::Services>, by: &ActorId, bond: Bond, born: bool) -> Making {
        node.shared().bonds.state.lock().add(bond.clone(), Stage::Made);
        Making { node, by: by.clone(), bond, born, over: false, gone: None, open: true }
    }
}

impl Staging for Making {
    fn prepare(&mut self, batch: &mut Batch) {
        let [one, other] = self.bond.sides();
        let other = if *one == self.by { other } else { one };
        if !self.node.party().alive(&self.by) {
            // Its own last step: there is nobody to tell.
            self.bond.delete(batch);
            self.over = true;
            return;
        }
        if self.born || self.node.party().alive(other) {
            return;
        }
        self.bond.delete(batch);
        let ended = Ended { actor: other, how: End::Stopped, reason: "not-found" };
        let told = match &self.bond {
            Bond::Link(..) => told_of(other, "not-found", "", None),
            Bond::Monitor(_, number, _) => told_of(other, "not-found", "", Some(*number)),
            Bond::Channel(id, ..) => theater::closed(id),
            Bond::Child(..) => theater::child_ended(&ended, None),
        };
        self.gone = self.node.party().info(batch, &self.by, told).ok();
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        match self.gone.take() {
            // Dropped, it is forgotten.
            Some(told) => told.commit(committed),
            None if self.over => {}
            None => {
                self.open = false;
                if let Some(stage) = self.node.shared().bonds.state.lock().all.get_mut(&self.bond) {
                    *stage = Stage::There;
                }
            }
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.open {
            self.node.shared().bonds.state.lock().remove(&self.bond);
        }
    }
}

/// A bond that a step undoes.
pub struct Undoing {
    node: Arc<dyn crate::boundary::Services>,
    bond: Bond,
    before: Option<Stage>,
}

impl Undoing {
    /// This one.
    pub fn new(node: Arc<dyn crate::boundary::Services>, bond: Bond) -> Undoing {
        let before = node.shared().bonds.state.lock().all.insert(bond.clone(), Stage::Going);
        Undoing { node, bond, before }
    }
}

impl Staging for Undoing {
    fn commit(mut self: Box<Self>, _: &Committed<'_>) {
        self.before = None;
        self.node.shared().bonds.state.lock().remove(&self.bond);
    }
}

impl Drop for Undoing {
    fn drop(&mut self) {
        let Some(before) = self.before else { return };
        // It may have ended with the other side.
        if let Some(stage) = self.node.shared().bonds.state.lock().all.get_mut(&self.bond) {
            *stage = before;
        }
    }
}

/// A stop that a step asks for.
pub struct Stopping {
    /// The node.
    pub node: Arc<dyn crate::boundary::Services>,
    /// Whose.
    pub actor: ActorId,
    /// Why, and by whom.
    pub stop: Stop,
    /// It is spawned by the same step.
    pub born: bool,
    /// It has ended meanwhile.
    pub over: bool,
}

impl Staging for Stopping {
    fn prepare(&mut self, batch: &mut Batch) {
        if !self.born && !self.node.party().alive(&self.actor) {
            batch.delete(Table::BONDS, &stop_key(&self.actor));
            self.over = true;
        }
    }

    fn commit(self: Box<Self>, _: &Committed<'_>) {
        let Stopping { node, actor, stop, over, .. } = *self;
        if over {
            return;
        }
        node.shared().bonds.stops(actor.clone(), stop.clone());
        node.ask_stop(&actor, &stop.reason);
    }
}

/// A new beginning that a step asks for.
pub struct Restarting {
    /// The node.
    pub node: Arc<dyn crate::boundary::Services>,
    /// Whose.
    pub actor: ActorId,
    /// It has ended meanwhile, and who supervises it is told.
    pub over: bool,
}

impl Staging for Restarting {
    fn prepare(&mut self, batch: &mut Batch) {
        if !self.node.party().alive(&self.actor) {
            batch.delete(Table::BONDS, &restart_key(&self.actor));
            self.over = true;
        }
    }

    fn commit(self: Box<Self>, _: &Committed<'_>) {
        if !self.over {
            self.node.shared().bonds.state.lock().restarts.insert(self.actor.clone());
            self.node.ask_restart(&self.actor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_reads_back_from_its_row() {
        let (a, b) = (ActorId::parse("ns/a").unwrap(), ActorId::parse("ns/b").unwrap());
        assert_eq!(Bond::link(&b, &a), Bond::link(&a, &b));
        let all = [
            Bond::link(&a, &b),
            Bond::Monitor(b.clone(), 7, a.clone()),
            Bond::Channel("ns/b~0.7".into(), b.clone(), a.clone()),
            Bond::Child(b.clone(), a.clone()),
        ];
        for bond in all {
            let value = bond.value();
            assert_eq!(Bond::read(&bond.key(), &value), Some(bond.clone()));
            let bonds = Bonds::default();
            assert!(bonds.restore(&bond.key(), &value));
            assert!(bonds.has(&bond) && bonds.count(&a) == 1 && bonds.count(&b) == 1);
        }
        for by in [StoppedBy::Another, StoppedBy::Itself(None), StoppedBy::Itself(Some(vec![0, 255]))] {
            let stop = Stop { reason: "enough".to_owned(), by };
            assert_eq!(Stop::read(&stop.value()), Ok(stop));
        }
        let bonds = Bonds::default();
        assert!(bonds.restore(b"rns/a", &[VERSION]) && bonds.pending_restarts() == [a]);
        assert!(!Bonds::default().restore(b"cns/b~0.7", &[VERSION]));
        assert!(!Bonds::default().restore(b"x", &[VERSION]));
        assert!(!Bonds::default().restore(b"m", &[VERSION]));
        assert!(!Bonds::default().restore(b"", &[]));
    }
}
