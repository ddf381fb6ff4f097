//! All applications of a node.
//!
//! A change is staged like that of any service: its row goes into the batch when that is committed, everybody sees it behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use troupe_log::{ActorId, Batch, NodeTime, Table};

use super::machine::{Event, Machine, Moment, Step};
use super::rows::{self, Row, Start};
use super::tree::{Place, Tree};
use crate::actor::ending::EndCause;
use crate::boundary::{Committed, Staging};
use crate::manifest::ActorSpec;

/// The applications of a node.
#[derive(Default)]
pub struct Applications {
    all: Mutex<All>,
    /// Somebody has something to do.
    roused: Notify,
    /// Something changed.
    changed: Notify,
    /// One start or removal of an application at a time, by its name. Those of others go on meanwhile.
    starts: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>,
    /// Held from the look at whether an application can be there until it is.
    pub(crate) placing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct All {
    by_name: BTreeMap<String, Entry>,
    of_actor: HashMap<ActorId, (String, Place)>,
    /// Those whose worker is to be started.
    idle: BTreeSet<String>,
    /// Rows that were read and not taken up yet.
    restored: BTreeMap<(String, u8, Place), Vec<u8>>,
}

struct Entry {
    machine: Machine,
    starts: BTreeMap<Place, Start>,
    /// What a start that is going on was given, and what came of it.
    starting: Starting,
    worker: bool,
    stirred: Arc<Notify>,
}

/// A start by an operator. In memory: the one who asked waits for it.
#[derive(Default)]
pub(crate) struct Starting {
    /// What is started, and whether as a new life in any case.
    pub specs: BTreeMap<Place, (ActorSpec, bool)>,
    /// What was started.
    pub started: BTreeMap<Place, crate::node::Started>,
    /// The first that was not.
    pub failed: Option<crate::Error>,
}

impl Applications {
    /// What a start or a removal of the application of this name holds while it goes on.
    pub(crate) fn one_start(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut starts = self.starts.lock();
        starts.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = starts.get(name).and_then(Weak::upgrade) {
            return one;
        }
        let one = Arc::default();
        starts.insert(name.to_owned(), Arc::downgrade(&one));
        one
    }

    // ---- rows ----

    /// Takes a row of its table at the start of the node. False if it cannot be read.
    pub fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((name, row)) = rows::read_key(key) else { return false };
        let (kind, place) = match row {
            Row::Tree => (0, 0),
            Row::State => (1, 0),
            Row::Actor(place) => (2, place),
        };
        self.all.lock().restored.insert((name.to_owned(), kind, place), value.to_vec());
        true
    }

    /// Makes applications of the rows; `is_there` says of an actor whether it lives. The error names what cannot be read.
    pub fn take_up(&self, is_there: impl Fn(&ActorId) -> bool, now: NodeTime) -> Result<(), String> {
        let mut all = self.all.lock();
        for ((name, kind, place), value) in std::mem::take(&mut all.restored) {
            let bad = |what: &dyn std::fmt::Display| format!("the application {name} cannot be read: {what}");
            if kind == 0 {
                let tree = Arc::new(rows::decode_tree(&value).map_err(|error| bad(&error))?);
                for (place, id) in tree.actors() {
                    all.of_actor.insert(id.clone(), (name.clone(), place));
                }
                all.by_name.insert(name, Entry::new(Machine::new(tree)));
                continue;
            }
            let entry = all.by_name.get_mut(&name).ok_or_else(|| bad(&"it has no tree"))?;
            if kind == 1 {
                let tree = entry.machine.tree.clone();
                let state = rows::decode_state(&value, &tree).map_err(|error| bad(&error))?;
                entry.machine = Machine::with(tree, state);
                let tree = entry.machine.tree.clone();
                entry.machine.look(|place| tree.actor(place).is_some_and(&is_there), now);
            } else {
                entry.starts.insert(place, Start::decode(&value).map_err(|error| bad(&error))?);
            }
        }
        let names: Vec<String> = all.by_name.keys().cloned().collect();
        for name in names {
            all.rouse(&name);
        }
        drop(all);
        self.roused.notify_one();
        Ok(())
    }

    /// Stages that an application is there with this tree and these settings of its actors, and that an operator starts it; its rows
    /// are in the batch.
    pub(crate) fn put(
        self: &Arc<Self>,
        batch: &mut Batch,
        tree: Tree,
        starts: BTreeMap<Place, Start>,
        starting: Starting,
        (there, fresh): (Vec<Place>, bool),
        moment: Moment,
    ) -> Box<dyn Staging> {
        let (name, tree) = (tree.name().to_owned(), Arc::new(tree));
        let before = self.all.lock().by_name.get(&name).map(|entry| entry.machine.clone());
        batch.put(Table::APPLICATIONS, &rows::key(&name, Row::Tree), &rows::encode_tree(&tree));
        for (place, start) in &starts {
            batch.put(Table::APPLICATIONS, &rows::key(&name, Row::Actor(*place)), &start.encode());
        }
        if let Some(old) = &before {
            for (place, _) in old.tree.actors().filter(|(place, _)| !starts.contains_key(place)) {
                batch.delete(Table::APPLICATIONS, &rows::key(&name, Row::Actor(place)));
            }
        }
        Box::new(Putting { applications: self.clone(), tree, starts, starting, there, fresh, moment, machine: None })
    }

    /// Stages that an application is not there any more.
    pub(crate) fn remove(self: &Arc<Self>, batch: &mut Batch, machine: &Machine) -> Box<dyn Staging> {
        let name = machine.tree.name();
        let actors = machine.tree.actors().map(|(place, _)| Row::Actor(place));
        for row in [Row::Tree, Row::State].into_iter().chain(actors) {
            batch.delete(Table::APPLICATIONS, &rows::key(name, row));
        }
        Box::new(Removing { applications: self.clone(), name: name.to_owned() })
    }

    // ---- events ----

    /// Stages what the supervisor of an actor decides when its life ends; none if it has no supervisor.
    pub(crate) fn ended(
        self: &Arc<Self>,
        actor: &ActorId,
        cause: EndCause,
        why: &str,
        moment: Moment,
    ) -> Option<Box<dyn Staging>> {
        let (name, place) = self.all.lock().of_actor.get(actor).cloned()?;
        Some(self.change(&name, Event::Ended { place, cause, why: why.to_owned() }, moment))
    }

    /// Stages that an application hears something.
    pub(crate) fn change(self: &Arc<Self>, name: &str, event: Event, moment: Moment) -> Box<dyn Staging> {
        Box::new(Changing { applications: self.clone(), name: name.to_owned(), event, moment, machine: None })
    }

    // ---- looks ----

    /// The application and place of an actor.
    pub fn of(&self, actor: &ActorId) -> Option<(String, Place)> {
        self.all.lock().of_actor.get(actor).cloned()
    }

    /// The supervisors above an actor, from the application down: `shop/storage`.
    pub fn path(&self, actor: &ActorId) -> Option<String> {
        let all = self.all.lock();
        let (name, place) = all.of_actor.get(actor)?;
        Some(all.by_name.get(name)?.machine.tree.path(*place))
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Machine> {
        self.all.lock().by_name.values().map(|entry| entry.machine.clone()).collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Machine> {
        self.all.lock().by_name.get(name).map(|entry| entry.machine.clone())
    }

    /// What the actor in a place is started with, as the row has it.
    pub(crate) fn start_of(&self, name: &str, place: Place) -> Option<Start> {
        self.all.lock().by_name.get(name)?.starts.get(&place).cloned()
    }

    /// Ends once something has changed since the call.
    pub(crate) fn changes(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Works on the start that an operator asked for.
    pub(crate) fn starting<T>(&self, name: &str, work: impl FnOnce(&mut Starting) -> T) -> Option<T> {
        let done = self.all.lock().by_name.get_mut(name).map(|entry| work(&mut entry.starting));
        self.changed.notify_waiters();
        done
    }

    /// The same, by who waits for it and need not be told.
    pub(crate) fn awaited<T>(&self, name: &str, work: impl FnOnce(&mut Starting) -> T) -> Option<T> {
        self.all.lock().by_name.get_mut(name).map(|entry| work(&mut entry.starting))
    }

    // ---- workers ----

    /// Applications that have something to do and nobody who does it. Who takes one must do it.
    pub(crate) async fn idle(&self) -> Vec<String> {
        loop {
            let roused = self.roused.notified();
            let idle: Vec<String> = std::mem::take(&mut self.all.lock().idle).into_iter().collect();
            if !idle.is_empty() {
                return idle;
            }
            roused.await;
        }
    }

    /// What is to be done now, and what says that this has changed. None: there is nothing, and the worker is one no more.
    pub(crate) fn next(&self, name: &str, now: NodeTime) -> Option<(Step, Arc<Notify>)> {
        let mut all = self.all.lock();
        let entry = all.by_name.get_mut(name)?;
        let step = entry.machine.next(now);
        if step == Step::Idle {
            entry.worker = false;
            return None;
        }
        Some((step, entry.stirred.clone()))
    }

    fn install(&self, name: &str, change: impl FnOnce(&mut All)) {
        let mut all = self.all.lock();
        change(&mut all);
        all.rouse(name);
        drop(all);
        self.roused.notify_one();
        self.changed.notify_waiters();
    }
}

impl All {
    /// Sees to it that somebody does what an application has to do.
    fn rouse(&mut self, name: &str) {
        let Some(entry) = self.by_name.get_mut(name) else { return };
        if entry.worker {
            entry.stirred.notify_one();
        } else if entry.machine.next(NodeTime(u64::MAX)) != Step::Idle {
            entry.worker = true;
            self.idle.insert(name.to_owned());
        }
    }
}

impl Entry {
    fn new(machine: Machine) -> Entry {
        Entry {
            machine,
            starts: BTreeMap::new(),
            starting: Starting::default(),
            worker: false,
            stirred: Arc::default(),
        }
    }
}

/// An event on its way to its machine.
struct Changing {
    applications: Arc<Applications>,
    name: String,
    event: Event,
    moment: Moment,
    /// What it makes of it, from `prepare` on.
    machine: Option<Machine>,
}

impl Staging for Changing {
    fn prepare(&mut self, batch: &mut Batch) {
        let Some(mut machine) = self.applications.get(&self.name) else { return };
        if machine.hear(&self.event, self.moment) {
            batch.put(Table::APPLICATIONS, &rows::key(&self.name, Row::State), &rows::encode_state(&machine.state));
            self.machine = Some(machine);
        }
    }

    fn commit(self: Box<Self>, _: &Committed<'_>) {
        let Changing { applications, name, machine, .. } = *self;
        let Some(machine) = machine else { return };
        applications.install(&name, |all| {
            let Some(entry) = all.by_name.get_mut(&name) else { return };
            tell(&name, &entry.machine, &machine);
            entry.machine = machine;
        });
    }
}

/// An application on its way.
struct Putting {
    applications: Arc<Applications>,
    tree: Arc<Tree>,
    starts: BTreeMap<Place, Start>,
    starting: Starting,
    there: Vec<Place>,
    fresh: bool,
    moment: Moment,
    machine: Option<Machine>,
}

impl Staging for Putting {
    fn prepare(&mut self, batch: &mut Batch) {
        let name = self.tree.name();
        let mut machine = match self.applications.get(name) {
            Some(mut there) if there.tree.same_shape(&self.tree) => {
                there.under(self.tree.clone());
                there
            }
            _ => Machine::new(self.tree.clone()),
        };
        machine.hear(&Event::Start { there: std::mem::take(&mut self.there), fresh: self.fresh }, self.moment);
        batch.put(Table::APPLICATIONS, &rows::key(name, Row::State), &rows::encode_state(&machine.state));
        self.machine = Some(machine);
    }

    fn commit(self: Box<Self>, _: &Committed<'_>) {
        let Putting { applications, tree, starts, starting, machine, .. } = *self;
        let (name, Some(machine)) = (tree.name().to_owned(), machine) else { return };
        applications.install(&name, |all| {
            all.of_actor.retain(|_, (application, _)| *application != name);
            for (place, id) in tree.actors() {
                all.of_actor.insert(id.clone(), (name.clone(), place));
            }
            let entry = all.by_name.entry(name.clone()).or_insert_with(|| Entry::new(machine.clone()));
            (entry.machine, entry.starts, entry.starting) = (machine, starts, starting);
        });
    }
}

/// An application on its way out. It has nothing to do.
struct Removing {
    applications: Arc<Applications>,
    name: String,
}

impl Staging for Removing {
    fn commit(self: Box<Self>, _: &Committed<'_>) {
        let Removing { applications, name } = *self;
        applications.install(&name, |all| {
            all.of_actor.retain(|_, (application, _)| *application != name);
            all.by_name.remove(&name);
        });
    }
}

/// Says in the node's log what happened between the two.
fn tell(application: &str, before: &Machine, after: &Machine) {
    let old = before.state.notes.back();
    let mut new: Vec<_> = after.state.notes.iter().rev().take_while(|note| Some(*note) != old).collect();
    new.reverse();
    for note in new {
        tracing::warn!(application, "{}", note.text);
    }
}
