//! Who is told of whose end: links, both ways, and monitors, one way. And stops that were asked for and have not happened yet.
//!
//! Promises: an end tells each bonded actor once, in the batch of the end; a bond that is committed when its other side has ended
//! already is answered at once with `not-found`. Bonds are rows: they survive a restart, and end with either side.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Batch, Table};

use super::waits::WaitId;
use super::{End, Ended, Info, Party, Service};
use crate::actor::message::{Gate, RUNTIME};
use crate::boundary::{Committed, Staging};

/// One bond, as its owner has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bond {
    /// Both are told; by the lesser and the greater name.
    Link(ActorId, ActorId),
    /// The first is told of the other, under this number.
    Monitor(ActorId, u64, ActorId),
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
    /// Stops that were committed and have not happened.
    stops: BTreeMap<ActorId, String>,
}

const VERSION: u8 = 1;
const LINK: u8 = b'l';
const MONITOR: u8 = b'm';
const STOP: u8 = b's';

impl Bond {
    /// A link of these two, whichever asks.
    pub fn link(one: &ActorId, other: &ActorId) -> Bond {
        if one < other { Bond::Link(one.clone(), other.clone()) } else { Bond::Link(other.clone(), one.clone()) }
    }

    fn sides(&self) -> [&ActorId; 2] {
        match self {
            Bond::Link(one, other) | Bond::Monitor(one, _, other) => [one, other],
        }
    }

    /// Who is told when `ended` ends, if anybody is, and under which number.
    fn told(&self, ended: &ActorId) -> Option<(&ActorId, Option<u64>)> {
        match self {
            Bond::Link(one, other) => Some((if one == ended { other } else { one }, None)),
            Bond::Monitor(watcher, number, watched) if watched == ended => Some((watcher, Some(*number))),
            Bond::Monitor(..) => None,
        }
    }

    fn key(&self) -> Vec<u8> {
        match self {
            Bond::Link(one, other) => [&[LINK], one.as_str().as_bytes(), &[0], other.as_str().as_bytes()].concat(),
            Bond::Monitor(watcher, number, _) => {
                [&[MONITOR], watcher.as_str().as_bytes(), &[0], &number.to_be_bytes()[..]].concat()
            }
        }
    }

    /// Adds its row.
    pub fn put(&self, batch: &mut Batch) {
        let mut value = vec![VERSION];
        if let Bond::Monitor(_, _, watched) = self {
            codec::put_str(&mut value, watched.as_str());
        }
        batch.put(Table::BONDS, &self.key(), &value);
    }

    /// Removes its row.
    pub fn delete(&self, batch: &mut Batch) {
        batch.delete(Table::BONDS, &self.key());
    }

    fn read(key: &[u8], value: &[u8]) -> Option<Bond> {
        let id = |bytes: &[u8]| ActorId::reserved(std::str::from_utf8(bytes).ok()?).ok();
        let (kind, key) = key.split_first()?;
        match *kind {
            LINK => {
                let at = key.iter().position(|byte| *byte == 0)?;
                Some(Bond::Link(id(&key[..at])?, id(&key[at + 1..])?))
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
        self.all.insert(bond, stage);
    }

    fn remove(&mut self, bond: &Bond) {
        self.all.remove(bond);
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

    /// Takes up a stop that was committed.
    pub fn stops(&self, actor: ActorId, reason: String) {
        self.state.lock().stops.insert(actor, reason);
    }

    /// Stops that were committed and have not happened.
    pub fn pending_stops(&self) -> Vec<(ActorId, String)> {
        self.state.lock().stops.iter().map(|(actor, reason)| (actor.clone(), reason.clone())).collect()
    }

    /// Adds the row of a stop.
    pub fn put_stop(batch: &mut Batch, actor: &ActorId, reason: &str) {
        let mut value = vec![VERSION];
        codec::put_str(&mut value, reason);
        batch.put(Table::BONDS, &stop_key(actor), &value);
    }
}

impl Service for Bonds {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        if value.first() != Some(&VERSION) {
            return false;
        }
        if let Some(actor) = key.strip_prefix(&[STOP]) {
            let actor = std::str::from_utf8(actor).ok().and_then(|actor| ActorId::reserved(actor).ok());
            let reason = Reader::new(&value[1..]).str().map(str::to_owned);
            let (Some(actor), Ok(reason)) = (actor, reason) else { return false };
            self.stops(actor, reason);
            return true;
        }
        let Some(bond) = Bond::read(key, value) else { return false };
        self.state.lock().add(bond, Stage::There);
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn ended(&self, node: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let mut state = self.state.lock();
        if state.stops.remove(end.actor).is_some() {
            batch.delete(Table::BONDS, &stop_key(end.actor));
        }
        let Some(mine) = state.of.get(end.actor).cloned() else { return Vec::new() };
        let mut told: Vec<Box<dyn Staging>> = Vec::new();
        for bond in mine {
            if state.all.get(&bond) == Some(&Stage::Made) {
                // Who makes it finds that the other is gone.
                continue;
            }
            bond.delete(batch);
            state.remove(&bond);
            let Some((who, number)) = bond.told(end.actor) else { continue };
            match node.info(batch, who, told_of(end.actor, how(end.how), end.reason, number)) {
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
        let number = if let Bond::Monitor(_, number, _) = &self.bond { Some(*number) } else { None };
        self.gone = self.node.party().info(batch, &self.by, told_of(other, "not-found", "", number)).ok();
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
    /// Why.
    pub reason: String,
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
        let Stopping { node, actor, reason, over, .. } = *self;
        if over {
            return;
        }
        node.shared().bonds.stops(actor.clone(), reason.clone());
        node.ask_stop(&actor, &reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bond_reads_back_from_its_row() {
        let (a, b) = (ActorId::parse("ns/a").unwrap(), ActorId::parse("ns/b").unwrap());
        assert_eq!(Bond::link(&b, &a), Bond::link(&a, &b));
        for bond in [Bond::link(&a, &b), Bond::Monitor(b.clone(), 7, a.clone())] {
            let mut value = vec![VERSION];
            if let Bond::Monitor(..) = &bond {
                codec::put_str(&mut value, "ns/a");
            }
            assert_eq!(Bond::read(&bond.key(), &value), Some(bond.clone()));
            let bonds = Bonds::default();
            assert!(bonds.restore(&bond.key(), &value));
            assert!(bonds.has(&bond) && bonds.count(&a) == 1 && bonds.count(&b) == 1);
        }
        assert!(!Bonds::default().restore(b"x", &[VERSION]));
        assert!(!Bonds::default().restore(b"m", &[VERSION]));
        assert!(!Bonds::default().restore(b"", &[]));
    }
}
