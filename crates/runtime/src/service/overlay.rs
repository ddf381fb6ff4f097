//! Values that everybody sees, and over them what single actors have staged.
//!
//! Promises: "each operation is atomic and sees committed data and the step's own"; what an actor stages nobody else sees until
//! it is settled, and it leaves nothing behind if it is dropped. A step is committed or undone as a whole, so an actor has one
//! staged value a key: the newest.

use std::collections::BTreeMap;

use troupe_log::ActorId;

/// Values by key, in the order of their keys.
#[derive(Debug)]
pub struct Overlay<V> {
    cells: BTreeMap<String, Cell<V>>,
}

#[derive(Debug)]
struct Cell<V> {
    now: Option<V>,
    /// By whom; none is a removal.
    next: Vec<(ActorId, Option<V>)>,
}

impl<V> Default for Overlay<V> {
    fn default() -> Self {
        Overlay { cells: BTreeMap::new() }
    }
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        Cell { now: None, next: Vec::new() }
    }
}

impl<V> Cell<V> {
    fn seen_by(&self, me: &ActorId) -> Option<&V> {
        match self.next.iter().find(|(actor, _)| actor == me) {
            Some((_, staged)) => staged.as_ref(),
            None => self.now.as_ref(),
        }
    }
}

impl<V> Overlay<V> {
    /// What stands there for this actor.
    pub fn get(&self, key: &str, me: &ActorId) -> Option<&V> {
        self.cells.get(key)?.seen_by(me)
    }

    /// What everybody sees.
    pub fn committed(&self, key: &str) -> Option<&V> {
        self.cells.get(key)?.now.as_ref()
    }

    /// Whether somebody else has staged something there.
    pub fn staged_by_others(&self, key: &str, me: &ActorId) -> bool {
        self.cells.get(key).is_some_and(|cell| cell.next.iter().any(|(actor, _)| actor != me))
    }

    /// From this key on, what this actor sees.
    pub fn from<'a>(&'a self, key: &str, me: &'a ActorId) -> impl Iterator<Item = (&'a str, &'a V)> {
        let cells = self.cells.range::<str, _>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded));
        cells.filter_map(move |(key, cell)| Some((key.as_str(), cell.seen_by(me)?)))
    }

    /// From this key on, every key at which anything stands for anybody.
    pub fn keys_from(&self, key: &str) -> impl Iterator<Item = &str> {
        let cells = self.cells.range::<str, _>((std::ops::Bound::Included(key), std::ops::Bound::Unbounded));
        cells.map(|(key, _)| key.as_str())
    }

    /// What stands there at the start of the node.
    pub fn restore(&mut self, key: String, value: V) {
        self.cells.insert(key, Cell { now: Some(value), next: Vec::new() });
    }

    /// This actor sees that from here on; none is a removal.
    pub fn stage(&mut self, key: &str, me: &ActorId, value: Option<V>) {
        let cell = match self.cells.get_mut(key) {
            Some(cell) => cell,
            None => self.cells.entry(key.to_owned()).or_default(),
        };
        match cell.next.iter_mut().find(|(actor, _)| actor == me) {
            Some((_, staged)) => *staged = value,
            None => cell.next.push((me.clone(), value)),
        }
    }

    /// What the actor has staged there is everybody's. Returns what stood there, if it had staged something.
    pub fn settle(&mut self, key: &str, me: &ActorId) -> Option<Option<V>> {
        let cell = self.cells.get_mut(key)?;
        let at = cell.next.iter().position(|(actor, _)| actor == me)?;
        let (_, value) = cell.next.swap_remove(at);
        let before = std::mem::replace(&mut cell.now, value);
        self.prune(key);
        Some(before)
    }

    /// What the actor has staged there never was. Returns it.
    pub fn forget(&mut self, key: &str, me: &ActorId) -> Option<V> {
        let cell = self.cells.get_mut(key)?;
        let at = cell.next.iter().position(|(actor, _)| actor == me)?;
        let (_, value) = cell.next.swap_remove(at);
        self.prune(key);
        value
    }

    /// Whether nothing stands there, for anybody.
    pub fn is_free(&self, key: &str) -> bool {
        !self.cells.contains_key(key)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn prune(&mut self, key: &str) {
        if self.cells.get(key).is_some_and(|cell| cell.now.is_none() && cell.next.is_empty()) {
            self.cells.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_staged_is_its_actors_alone_until_it_is_settled() {
        let (a, b) = (ActorId::parse("a").unwrap(), ActorId::parse("b").unwrap());
        let mut cells = Overlay::default();
        cells.restore("k".to_owned(), 1);
        cells.stage("k", &a, Some(2));
        cells.stage("k", &a, Some(3));
        cells.stage("k", &b, None);
        assert_eq!((cells.get("k", &a), cells.get("k", &b), cells.committed("k")), (Some(&3), None, Some(&1)));
        assert_eq!(cells.from("", &a).collect::<Vec<_>>(), [("k", &3)]);
        assert_eq!(cells.from("", &b).count(), 0);
        assert_eq!(cells.settle("k", &a), Some(Some(1)));
        assert_eq!(cells.settle("k", &a), None, "settled already");
        assert_eq!((cells.get("k", &b), cells.committed("k")), (None, Some(&3)));
        assert_eq!(cells.forget("k", &b), None);
        assert_eq!(cells.get("k", &b), Some(&3));
        cells.stage("k", &b, None);
        cells.settle("k", &b);
        assert!(cells.is_empty());
        cells.stage("other", &a, Some(1));
        assert!(cells.staged_by_others("other", &b) && !cells.staged_by_others("other", &a));
        cells.forget("other", &a);
        assert!(cells.is_free("other"));
    }
}
