//! Key-value stores: those of single actors, those that actors of a namespace share, and what they keep by content.
//!
//! Owns what stands in which store. A pair is a row from the batch of the step that set it to that of the step that removed it; an
//! actor's own stores end with it. Writes of two steps to one key take effect in the order in which the steps commit. An
//! update that depends on what is there, of a shared store, is decided while its batch is being committed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::actor_file::Row;
use troupe_log::codec::{Reader, put_bytes, put_str, put_u8};
use troupe_log::{ActorId, Batch, Table};

use super::overlay::Overlay;
use super::waits::WaitId;
use super::{End, Ended, Party, Service, Which};
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};

/// Bytes of a key.
pub const MAX_KEY: usize = 1024;
/// Bytes of one store: keys, values and [`OVERHEAD`] for each pair. It is kept in memory.
pub const MAX_STORE: usize = 64 << 20;
/// Stores that one actor may have of its own, and that one namespace may share.
pub const MAX_STORES: usize = 8;
/// Keys of one page of a list.
pub const PAGE: usize = 1000;
/// What a pair costs beside its bytes.
pub const OVERHEAD: usize = 256;

const VERSION: u8 = 1;

/// A store's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreId {
    /// This actor's.
    Own(ActorId, String),
    /// Everybody's who is granted it.
    Shared(ActorId),
    /// What is kept by content in this namespace, in all its stores.
    Content(String),
}

impl StoreId {
    /// The key of a pair's row.
    fn row(&self, key: &str) -> Vec<u8> {
        match self {
            StoreId::Own(actor, name) => format!("o{actor}\0{name}\0{key}"),
            StoreId::Shared(name) => format!("s{name}\0{key}"),
            StoreId::Content(namespace) => format!("c{namespace}\0{key}"),
        }
        .into_bytes()
    }

    fn from_row(row: &[u8]) -> Option<(StoreId, &str)> {
        let row = std::str::from_utf8(row).ok()?;
        let (kind, row) = row.split_at_checked(1)?;
        let (owner, rest) = row.split_once('\0')?;
        match kind {
            "o" => {
                let (name, key) = rest.split_once('\0')?;
                Some((StoreId::Own(ActorId::reserved(owner).ok()?, name.to_owned()), key))
            }
            "s" => Some((StoreId::Shared(ActorId::parse(owner).ok()?), rest)),
            "c" => Some((StoreId::Content(owner.to_owned()), rest)),
            _ => None,
        }
    }

    /// Those of one owner are counted together.
    fn owner(&self) -> String {
        match self {
            StoreId::Own(actor, _) => actor.to_string(),
            StoreId::Shared(name) => format!("@{}", name.namespace()),
            StoreId::Content(namespace) => format!("#{namespace}"),
        }
    }
}

/// What stands at a key.
#[derive(Clone, Debug)]
struct Value {
    bytes: Arc<[u8]>,
    /// Another for each write.
    version: u64,
}

/// Why a pair cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The store has [`MAX_STORE`] bytes.
    Store,
    /// There are [`MAX_STORES`] stores.
    Stores,
}

/// The stores of a node.
#[derive(Default)]
pub struct KeyValues {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    stores: HashMap<StoreId, Store>,
    /// How many stores an owner has.
    counts: HashMap<String, usize>,
    writes: u64,
}

#[derive(Default)]
struct Store {
    pairs: Overlay<Value>,
    /// What is committed takes so much.
    bytes: usize,
    /// What is staged may take so much more.
    staged: usize,
    /// Of the newest change.
    gate: Gate,
}

fn size(key: &str, value: usize) -> usize {
    key.len() + value + OVERHEAD
}

impl State {
    fn store(&mut self, id: &StoreId) -> Result<&mut Store, Full> {
        if !self.stores.contains_key(id) {
            let count = self.counts.entry(id.owner()).or_default();
            if *count >= MAX_STORES {
                return Err(Full::Stores);
            }
            *count += 1;
        }
        Ok(self.stores.entry(id.clone()).or_default())
    }

    /// Forgets a store that has nothing.
    fn prune(&mut self, id: &StoreId) {
        if self.stores.get(id).is_none_or(|store| !store.pairs.is_empty()) {
            return;
        }
        self.stores.remove(id);
        let owner = id.owner();
        if let Some(count) = self.counts.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&owner);
            }
        }
    }

    /// An error if a value of that size has no room. Returns what room it takes beyond that of what is committed.
    fn room(&mut self, id: &StoreId, me: &ActorId, key: &str, value: usize) -> Result<usize, Full> {
        let result = self.store(id).map(|store| {
            let before = store.pairs.get(key, me).map_or(0, |value| size(key, value.bytes.len()));
            let more = size(key, value).saturating_sub(before);
            (more, store.bytes + store.staged + more <= MAX_STORE)
        });
        self.prune(id);
        match result? {
            (more, true) => Ok(more),
            (_, false) => Err(Full::Store),
        }
    }

    fn stage(&mut self, id: &StoreId, me: &ActorId, key: &str, value: Option<Arc<[u8]>>) -> Result<usize, Full> {
        let more = match &value {
            Some(bytes) => self.room(id, me, key, bytes.len())?,
            None => 0,
        };
        self.writes += 1;
        let version = self.writes;
        let store = self.store(id)?;
        store.staged += more;
        store.pairs.stage(key, me, value.map(|bytes| Value { bytes, version }));
        Ok(more)
    }

    fn settle(&mut self, id: &StoreId, me: &ActorId, key: &str) {
        let Some(store) = self.stores.get_mut(id) else { return };
        if let Some(before) = store.pairs.settle(key, me) {
            let before = before.map_or(0, |value| size(key, value.bytes.len()));
            let after = store.pairs.committed(key).map_or(0, |value| size(key, value.bytes.len()));
            store.bytes = store.bytes + after - before;
        }
    }
}

/// What a shared store is asked to do where the answer depends on what is there.
#[derive(Clone, Debug)]
pub enum Update {
    /// The value is a decimal number, 0 if there is none: adds to it.
    Add(Delta),
    /// Sets the value if the newest write is still this one.
    Swap {
        /// Number of that write; 0 if there was no value.
        version: u64,
        /// The value.
        value: Arc<[u8]>,
    },
    /// Removes the value if it is this one.
    Remove(Arc<[u8]>),
}

/// What is added to a number; the drafts of the interface differ in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta {
    /// To a number of 64 bits with a sign.
    Signed(i64),
    /// To one without.
    Unsigned(u64),
}

/// What came of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The new number.
    Number(String),
    /// The value is set, or removed.
    Swapped,
    /// Somebody was first.
    Changed,
    /// Nothing was changed, for this reason.
    Refused(String),
}

impl Delta {
    fn add(self, before: &str) -> Result<String, String> {
        let overflow = || format!("{before} and {self:?} overflow");
        match self {
            Delta::Signed(delta) => {
                let before: i64 = before.parse().map_err(|_| NOT_A_NUMBER.to_owned())?;
                before.checked_add(delta).map(|sum| sum.to_string()).ok_or_else(overflow)
            }
            Delta::Unsigned(delta) => {
                let before: u64 = before.parse().map_err(|_| NOT_A_NUMBER.to_owned())?;
                before.checked_add(delta).map(|sum| sum.to_string()).ok_or_else(overflow)
            }
        }
    }
}

const NOT_A_NUMBER: &str = "the value is not a decimal number of 64 bits";

impl Update {
    /// What stands there from now on (a removal is none), if anything changes, and the answer.
    fn decide(&self, before: Option<&Value>) -> (Option<Option<Arc<[u8]>>>, Updated) {
        match self {
            Update::Add(delta) => {
                let text = before.map_or(Ok("0"), |value| std::str::from_utf8(&value.bytes));
                let sum = text.map_err(|_| NOT_A_NUMBER.to_owned()).and_then(|text| delta.add(text));
                match sum {
                    Ok(sum) => (Some(Some(sum.as_bytes().into())), Updated::Number(sum)),
                    Err(why) => (None, Updated::Refused(why)),
                }
            }
            Update::Swap { version, value } => match before.map_or(0, |value| value.version) {
                now if now == *version => (Some(Some(value.clone())), Updated::Swapped),
                _ => (None, Updated::Changed),
            },
            Update::Remove(value) => match before {
                Some(before) if before.bytes == *value => (Some(None), Updated::Swapped),
                _ => (None, Updated::Changed),
            },
        }
    }
}

/// What a full store says.
pub fn refusal(full: Full) -> String {
    match full {
        Full::Store => format!("max-store = {MAX_STORE} bytes"),
        Full::Stores => format!("max-stores = {MAX_STORES}"),
    }
}

impl KeyValues {
    /// The value at a key, and what it depends on.
    pub fn get(&self, id: &StoreId, me: &ActorId, key: &str) -> (Option<Arc<[u8]>>, Gate) {
        let state = self.state.lock();
        let Some(store) = state.stores.get(id) else { return Default::default() };
        (store.pairs.get(key, me).map(|value| value.bytes.clone()), store.gate)
    }

    /// The number of the newest write of a key; 0 if there is no value.
    pub fn version(&self, id: &StoreId, me: &ActorId, key: &str) -> (u64, Gate) {
        let state = self.state.lock();
        let Some(store) = state.stores.get(id) else { return Default::default() };
        (store.pairs.get(key, me).map_or(0, |value| value.version), store.gate)
    }

    /// Up to [`PAGE`] keys in their order: behind `after`, without the first `skip`. True if there are more.
    pub fn keys(&self, id: &StoreId, me: &ActorId, after: Option<&str>, skip: usize) -> (Vec<String>, bool, Gate) {
        let state = self.state.lock();
        let Some(store) = state.stores.get(id) else { return Default::default() };
        let behind = store.pairs.from(after.unwrap_or(""), me).map(|(key, _)| key);
        let mut behind = behind.filter(|key| Some(*key) != after).skip(skip);
        let keys = behind.by_ref().take(PAGE).map(str::to_owned).collect();
        (keys, behind.next().is_some(), store.gate)
    }

    /// Shows every key that begins like this, in order, with the size of its value, until it has seen enough.
    pub fn each(&self, id: &StoreId, me: &ActorId, prefix: &str, mut show: impl FnMut(&str, usize) -> bool) -> Gate {
        let state = self.state.lock();
        let Some(store) = state.stores.get(id) else { return Gate::default() };
        let mut all = store.pairs.from(prefix, me).take_while(|(key, _)| key.starts_with(prefix));
        while let Some((key, value)) = all.next()
            && show(key, value.bytes.len())
        {}
        store.gate
    }

    /// Stages that a key has a value, or none; nothing where it has none already.
    pub fn set(
        &self,
        id: &StoreId,
        me: &ActorId,
        key: &str,
        value: Option<Vec<u8>>,
        batch: &mut Batch,
    ) -> Result<Option<Change>, Full> {
        let value: Option<Arc<[u8]>> = value.map(Arc::from);
        let mut state = self.state.lock();
        if value.is_none() && state.stores.get(id).and_then(|store| store.pairs.get(key, me)).is_none() {
            return Ok(None);
        }
        let more = state.stage(id, me, key, value.clone())?;
        put(batch, id, key, value.as_deref());
        Ok(Some(self.change(id, me, vec![key.to_owned()], more)))
    }

    /// Decides an update of an own store at once, and stages it.
    pub fn update(
        &self,
        id: &StoreId,
        me: &ActorId,
        key: &str,
        update: &Update,
        batch: &mut Batch,
    ) -> (Updated, Option<Change>) {
        let mut state = self.state.lock();
        let before = state.stores.get(id).and_then(|store| store.pairs.get(key, me));
        let (value, updated) = update.decide(before);
        let Some(value) = value else { return (updated, None) };
        match state.stage(id, me, key, value.clone()) {
            Ok(more) => {
                put(batch, id, key, value.as_deref());
                drop(state);
                (updated, Some(self.change(id, me, vec![key.to_owned()], more)))
            }
            Err(full) => (Updated::Refused(refusal(full)), None),
        }
    }

    /// Stages an update of a shared store that is decided when the step commits, and completes this wait.
    pub fn ask(&self, id: &StoreId, key: &str, update: Update, wait: &WaitId, durable: bool) -> Deciding {
        let asked = Asked { id: id.clone(), key: key.to_owned(), update, wait: wait.clone(), durable };
        Deciding { state: self.state.clone(), asked, decided: None, done: false }
    }

    fn change(&self, id: &StoreId, me: &ActorId, keys: Vec<String>, more: usize) -> Change {
        Change { state: self.state.clone(), id: id.clone(), me: me.clone(), keys, more, done: false }
    }
}

fn put(batch: &mut Batch, id: &StoreId, key: &str, value: Option<&[u8]>) {
    let row = id.row(key);
    match value {
        Some(value) => batch.put_with(
            Table::KEYVALUE,
            |out| out.extend_from_slice(&row),
            |out| {
                out.push(VERSION);
                out.extend_from_slice(value);
            },
        ),
        None => batch.delete(Table::KEYVALUE, &row),
    }
}

impl Service for KeyValues {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let Some((id, key)) = StoreId::from_row(key) else { return false };
        let Some((&VERSION, bytes)) = value.split_first() else { return false };
        let mut state = self.state.lock();
        state.writes += 1;
        let version = state.writes;
        if !state.stores.contains_key(&id) {
            *state.counts.entry(id.owner()).or_default() += 1;
        }
        let store = state.stores.entry(id).or_default();
        store.bytes += size(key, bytes.len());
        store.pairs.restore(key.to_owned(), Value { bytes: bytes.into(), version });
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn moves(&self, actor: &ActorId) -> Vec<Row> {
        let state = self.state.lock();
        let mut rows = Vec::new();
        for (id, store) in &state.stores {
            if !matches!(id, StoreId::Own(owner, _) if owner == actor) {
                continue;
            }
            for key in store.pairs.keys_from("") {
                if let Some(held) = store.pairs.committed(key) {
                    let value = [&[VERSION], &*held.bytes].concat();
                    rows.push(Row { table: Table::KEYVALUE, key: id.row(key), value });
                }
            }
        }
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        rows
    }

    fn may_come(&self, actor: &ActorId, key: &[u8], value: &[u8]) -> bool {
        let own = |id: &StoreId| matches!(id, StoreId::Own(owner, _) if owner == actor);
        let named = StoreId::from_row(key).is_some_and(|(id, key)| own(&id) && key.len() <= MAX_KEY);
        named && value.first() == Some(&VERSION)
    }

    fn ended(&self, _: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let mut state = self.state.lock();
        // Another life of the actor finds what the one before has kept.
        if end.how == End::Fresh || !state.counts.contains_key(end.actor.as_str()) {
            return Vec::new();
        }
        let mine = |id: &&StoreId| matches!(id, StoreId::Own(owner, _) if owner == end.actor);
        let stores: Vec<StoreId> = state.stores.keys().filter(mine).cloned().collect();
        let mut changes: Vec<Box<dyn Staging>> = Vec::with_capacity(stores.len());
        for id in stores {
            let Some(store) = state.stores.get_mut(&id) else { continue };
            let keys: Vec<String> = store.pairs.keys_from("").map(str::to_owned).collect();
            for key in &keys {
                batch.delete(Table::KEYVALUE, &id.row(key));
                store.pairs.stage(key, end.actor, None);
            }
            changes.push(Box::new(self.change(&id, end.actor, keys, 0)));
        }
        changes
    }
}

/// Pairs of one store that a step sets or removes.
pub struct Change {
    state: Arc<Mutex<State>>,
    id: StoreId,
    me: ActorId,
    keys: Vec<String>,
    more: usize,
    done: bool,
}

impl Change {
    fn over(&mut self, gate: Option<Gate>) {
        self.done = true;
        let mut state = self.state.lock();
        for key in &self.keys {
            match gate {
                Some(_) => state.settle(&self.id, &self.me, key),
                None => {
                    if let Some(store) = state.stores.get_mut(&self.id) {
                        store.pairs.forget(key, &self.me);
                    }
                }
            }
        }
        if let Some(store) = state.stores.get_mut(&self.id) {
            store.staged = store.staged.saturating_sub(self.more);
            store.gate = store.gate.and(gate.unwrap_or_default());
        }
        state.prune(&self.id);
    }
}

impl Staging for Change {
    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.over(Some(committed.gate));
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.done {
            self.over(None);
        }
    }
}

struct Asked {
    id: StoreId,
    key: String,
    update: Update,
    wait: WaitId,
    durable: bool,
}

/// An update that is decided in the commit.
pub struct Deciding {
    state: Arc<Mutex<State>>,
    asked: Asked,
    /// The answer, and what room was taken for a value that is staged.
    decided: Option<(Vec<u8>, Option<usize>)>,
    done: bool,
}

impl Staging for Deciding {
    fn prepare(&mut self, batch: &mut Batch) {
        let Asked { id, key, update, wait, durable } = &self.asked;
        let me = &wait.actor;
        let mut state = self.state.lock();
        let before = state.stores.get(id).and_then(|store| store.pairs.get(key, me));
        let (value, mut updated) = update.decide(before);
        let mut staged = None;
        if let Some(value) = value {
            match state.stage(id, me, key, value.clone()) {
                Ok(more) => {
                    staged = Some(more);
                    put(batch, id, key, value.as_deref());
                }
                Err(full) => updated = Updated::Refused(refusal(full)),
            }
        }
        let completion = encode(id, key, &updated);
        if *durable {
            batch.put(Table::COMPLETIONS, &wait.key(), &completion);
        }
        self.decided = Some((completion, staged));
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.done = true;
        let Some((completion, staged)) = self.decided.take() else { return };
        let Asked { id, key, wait, .. } = &self.asked;
        let mut gate = committed.gate;
        {
            let mut state = self.state.lock();
            if let Some(more) = staged {
                state.settle(id, &wait.actor, key);
                if let Some(store) = state.stores.get_mut(id) {
                    store.staged = store.staged.saturating_sub(more);
                    store.gate = store.gate.and(committed.gate);
                }
            }
            if let Some(store) = state.stores.get(id) {
                gate = gate.and(store.gate);
            }
            state.prune(id);
        }
        committed.waits.complete(wait.clone(), completion, gate);
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        let Some((_, Some(more))) = self.decided.take().filter(|_| !self.done) else { return };
        let Asked { id, key, wait, .. } = &self.asked;
        let mut state = self.state.lock();
        if let Some(store) = state.stores.get_mut(id) {
            store.pairs.forget(key, &wait.actor);
            store.staged = store.staged.saturating_sub(more);
        }
        state.prune(id);
    }
}

fn encode(id: &StoreId, key: &str, updated: &Updated) -> Vec<u8> {
    let mut out = vec![Which::KeyValue as u8, VERSION];
    put_bytes(&mut out, &id.row(key));
    match updated {
        Updated::Number(number) => {
            put_u8(&mut out, 0);
            put_str(&mut out, number);
        }
        Updated::Swapped => put_u8(&mut out, 1),
        Updated::Changed => put_u8(&mut out, 2),
        Updated::Refused(why) => {
            put_u8(&mut out, 3);
            put_str(&mut out, why);
        }
    }
    out
}

/// Reads a completion: which key of which store, and what came of the update.
pub fn updated(completion: &[u8]) -> Option<(StoreId, String, Updated)> {
    let mut input = Reader::new(completion);
    if input.u8().ok()? != Which::KeyValue as u8 || input.u8().ok()? != VERSION {
        return None;
    }
    let (id, key) = StoreId::from_row(input.bytes().ok()?)?;
    let updated = match input.u8().ok()? {
        0 => Updated::Number(input.str().ok()?.to_owned()),
        1 => Updated::Swapped,
        2 => Updated::Changed,
        3 => Updated::Refused(input.str().ok()?.to_owned()),
        _ => return None,
    };
    input.finish().ok()?;
    Some((id, key.to_owned(), updated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::{commit, id};
    use troupe_log::{Incarnation, Seq};

    fn set(stores: &KeyValues, store: &StoreId, me: &str, key: &str, value: &[u8]) -> Result<Box<Change>, Full> {
        let mut batch = Batch::new();
        let change = stores.set(store, &id(me), key, Some(value.to_vec()), &mut batch)?;
        assert!(batch.bytes().ends_with(value));
        Ok(Box::new(change.unwrap()))
    }

    fn get(stores: &KeyValues, store: &StoreId, me: &str) -> Option<Vec<u8>> {
        stores.get(store, &id(me), "k").0.map(|value| value.to_vec())
    }

    fn ask(stores: &KeyValues, store: &StoreId, me: &str, update: Update) -> Box<Deciding> {
        let wait = WaitId { actor: id(me), incarnation: Incarnation(1), seq: Seq(1) };
        Box::new(stores.ask(store, "k", update, &wait, true))
    }

    #[test]
    fn the_later_commit_wins_and_an_update_sees_what_is_committed_at_its_own() {
        let (stores, store) = (KeyValues::default(), StoreId::Shared(id("shared")));
        let (a, b) = (set(&stores, &store, "a", "k", b"1").unwrap(), set(&stores, &store, "b", "k", b"2").unwrap());
        assert_eq!((get(&stores, &store, "a"), get(&stores, &store, "c")), (Some(b"1".to_vec()), None));
        // Asked for while both are staged, decided behind them.
        let add = ask(&stores, &store, "c", Update::Add(Delta::Signed(5)));
        commit(vec![b]);
        assert_eq!(get(&stores, &store, "a"), Some(b"1".to_vec()), "its own");
        commit(vec![a]);
        commit(vec![add]);
        assert_eq!(get(&stores, &store, "b"), Some(b"6".to_vec()));

        let (version, _) = stores.version(&store, &id("a"), "k");
        let swap = |me| ask(&stores, &store, me, Update::Swap { version, value: me.as_bytes().into() });
        let (first, second) = (swap("a"), swap("b"));
        commit(vec![second]);
        commit(vec![first]);
        assert_eq!(get(&stores, &store, "c"), Some(b"b".to_vec()), "the first to commit");
    }

    #[test]
    fn what_is_dropped_never_was_and_gives_its_room_back() {
        let (stores, store) = (KeyValues::default(), StoreId::Own(id("a"), "default".to_owned()));
        let half = vec![b'x'; MAX_STORE / 2];
        let staged = set(&stores, &store, "a", "k", &half).unwrap();
        assert_eq!(set(&stores, &store, "a", "l", &half).err(), Some(Full::Store));
        drop(staged);
        assert_eq!(get(&stores, &store, "a"), None);
        assert!(stores.state.lock().stores.is_empty(), "an empty store is none");
        commit(vec![set(&stores, &store, "a", "k", &half).unwrap()]);
        let fits = MAX_STORE - size("k", half.len()) - size("l", 0);
        assert_eq!(set(&stores, &store, "a", "l", &half[..fits + 1]).err(), Some(Full::Store));
        commit(vec![set(&stores, &store, "a", "l", &half[..fits]).unwrap()]);
        let staged = stores.set(&store, &id("a"), "k", None, &mut Batch::new()).unwrap().unwrap();
        assert_eq!(set(&stores, &store, "a", "m", b"").err(), Some(Full::Store), "not free before the commit");
        commit(vec![Box::new(staged)]);
        assert!(set(&stores, &store, "a", "m", b"").is_ok());
        assert_eq!(stores.state.lock().stores[&store].staged, 0);
    }

    #[test]
    fn what_is_removed_if_it_is_this_is_not_what_somebody_put_there_meanwhile() {
        let (stores, store) = (KeyValues::default(), StoreId::Content("default".to_owned()));
        commit(vec![set(&stores, &store, "a", "k", b"1").unwrap()]);
        let remove = |value: &[u8]| ask(&stores, &store, "b", Update::Remove(value.into()));
        commit(vec![remove(b"2")]);
        assert_eq!(get(&stores, &store, "a"), Some(b"1".to_vec()), "another value");
        // Asked for when it was, decided when it was not any more.
        let late = remove(b"1");
        commit(vec![set(&stores, &store, "a", "k", b"3").unwrap()]);
        commit(vec![late]);
        assert_eq!(get(&stores, &store, "a"), Some(b"3".to_vec()));
        commit(vec![remove(b"3")]);
        assert_eq!(get(&stores, &store, "a"), None);
        assert!(stores.state.lock().stores.is_empty(), "an empty store is none");
        for (key, value) in [("x", "1"), ("y1", "22"), ("y2", "333"), ("z", "4")] {
            commit(vec![set(&stores, &store, "a", key, value.as_bytes()).unwrap()]);
        }
        let mut seen = Vec::new();
        stores.each(&store, &id("a"), "y", |key, size| {
            seen.push((key.to_owned(), size));
            true
        });
        assert_eq!(seen, [("y1".to_owned(), 2), ("y2".to_owned(), 3)]);
    }

    #[test]
    fn a_row_names_its_store_and_key() {
        for (store, key) in [
            (StoreId::Own(id("ns/a"), "default".to_owned()), "k"),
            (StoreId::Own(id("a"), "x".to_owned()), "with\0zero"),
            (StoreId::Shared(id("ns/shared")), ""),
            (StoreId::Content("ns".to_owned()), "store-1\0cab"),
        ] {
            assert_eq!(StoreId::from_row(&store.row(key)), Some((store, key)));
        }
        assert_eq!(StoreId::from_row(b"x"), None);
        for updated in
            [Updated::Number("7".to_owned()), Updated::Swapped, Updated::Changed, Updated::Refused(String::new())]
        {
            let bytes = encode(&StoreId::Shared(id("s")), "k", &updated);
            assert_eq!(super::updated(&bytes), Some((StoreId::Shared(id("s")), "k".to_owned(), updated)));
            assert_eq!(super::updated(&bytes[..bytes.len() - 1]), None);
        }
    }
}
