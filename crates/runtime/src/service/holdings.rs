//! What actors hold by key, each as a row of one table: memberships, names.
//!
//! Promises: a holding is a row from the batch of the step that began it to that of the step that gave it up or ended the actor; what
//! a step stages is its actor's alone until it is committed, and never was if that does not happen.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use troupe_log::{ActorId, Batch, Table};

use super::Ended;
use super::overlay::Overlay;
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};

/// What is held knows who holds it.
pub(super) trait Held: Send + 'static {
    fn holder(&self) -> &ActorId;
}

impl Held for ActorId {
    fn holder(&self) -> &ActorId {
        self
    }
}

/// All holdings of one kind.
pub(super) struct Holdings<V>(Arc<Mutex<State<V>>>);

pub(super) struct State<V> {
    /// By the key of the row.
    pub all: Overlay<V>,
    /// The keys of each actor, with the staged ones.
    of: HashMap<ActorId, BTreeSet<String>>,
    /// Of the newest change.
    pub gate: Gate,
}

impl<V> Default for Holdings<V> {
    fn default() -> Self {
        Holdings(Arc::new(Mutex::new(State { all: Overlay::default(), of: HashMap::new(), gate: Gate::default() })))
    }
}

impl<V: Held> State<V> {
    /// This actor sees that from here on; none is a removal.
    pub fn stage(&mut self, key: &str, me: &ActorId, value: Option<V>) {
        self.all.stage(key, me, value);
        self.of.entry(me.clone()).or_default().insert(key.to_owned());
    }

    /// How many an actor has or has staged, but for this one.
    pub fn others_of(&self, me: &ActorId, key: &str) -> usize {
        self.of.get(me).map_or(0, |keys| keys.len() - usize::from(keys.contains(key)))
    }

    /// What the actor staged there has settled or was forgotten.
    fn index(&mut self, key: &str, me: &ActorId) {
        if self.all.committed(key).is_some_and(|value| value.holder() == me) {
            return;
        }
        if let Some(keys) = self.of.get_mut(me) {
            keys.remove(key);
            if keys.is_empty() {
                self.of.remove(me);
            }
        }
    }
}

impl<V: Held> Holdings<V> {
    pub fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.0.lock()
    }

    /// What stands there at the start of the node.
    pub fn restore(&self, key: String, value: V) {
        let mut state = self.lock();
        state.of.entry(value.holder().clone()).or_default().insert(key.clone());
        state.all.restore(key, value);
    }

    /// What was staged under these keys, for the step to take along.
    pub fn change(&self, keys: Vec<String>, me: &ActorId) -> Change<V> {
        Change { state: self.0.clone(), keys, me: me.clone(), done: false }
    }

    /// Stages that an actor that ends holds nothing any more.
    pub fn ended(&self, table: Table, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let mut state = self.lock();
        let Some(keys) = state.of.get(end.actor) else { return Vec::new() };
        let keys: Vec<String> = keys.iter().cloned().collect();
        for key in &keys {
            batch.delete(table, key.as_bytes());
            state.stage(key, end.actor, None);
        }
        vec![Box::new(self.change(keys, end.actor))]
    }
}

/// Holdings that a step begins or gives up.
pub(super) struct Change<V: Held> {
    state: Arc<Mutex<State<V>>>,
    keys: Vec<String>,
    me: ActorId,
    done: bool,
}

impl<V: Held> Staging for Change<V> {
    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.done = true;
        let mut state = self.state.lock();
        for key in &self.keys {
            state.all.settle(key, &self.me);
            state.index(key, &self.me);
        }
        state.gate = state.gate.and(committed.gate);
    }
}

impl<V: Held> Drop for Change<V> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.state.lock();
        for key in &self.keys {
            state.all.forget(key, &self.me);
            state.index(key, &self.me);
        }
    }
}
