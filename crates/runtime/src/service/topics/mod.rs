//! Topics: each item to everybody who has subscribed.
//!
//! Promises: an item goes into the inbox of every subscriber in the batch of the step that publishes it, or into none; a
//! subscription is there from the step that made it to the one that ends it, or its actor; it stands in the log's table.

mod pattern;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::codec::{Reader, put_str, put_u8};
use troupe_log::{ActorId, Batch, Table};

pub use self::pattern::Pattern;
use super::queues::ChannelError;
use super::waits::WaitId;
use super::{Ended, Info, Party, Service};
use crate::actor::message::{CallError, Gate, MessageId};
use crate::boundary::{Committed, Staging};

/// Subscriptions of one actor: each costs some hundred bytes of the node for as long as the actor is there.
pub const MAX_OF_ONE: usize = 1_000;
/// Subscriptions of the node.
pub const MAX_SUBSCRIPTIONS: usize = 100_000;
/// Bytes that one step may publish, counted once for each subscriber: a batch of the log has an end.
pub const MAX_FAN_OUT: usize = 64 << 20;

/// An item for a topic.
#[derive(Clone, Debug)]
pub struct Item {
    /// The topic.
    pub topic: ActorId,
    /// Who publishes: an actor, or `@client`.
    pub publisher: Arc<str>,
    /// The publisher's own word for it, untouched.
    pub message_type: Arc<str>,
    /// The publisher's bytes, untouched.
    pub payload: Arc<[u8]>,
}

/// Whether a subscription is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// For everybody.
    Free,
    /// For the step of its own actor only.
    Coming,
    /// For everybody but the step of its own actor.
    Going,
}

struct Subscription {
    actor: ActorId,
    pattern: Pattern,
    hand: Hand,
    gate: Gate,
}

/// Namespace and, where it is no wildcard, first segment: what a topic looks for.
type Place = (String, Option<String>);

#[derive(Default)]
struct State {
    newest: u64,
    all: BTreeMap<u64, Subscription>,
    places: HashMap<Place, BTreeMap<u64, ()>>,
    of_actors: HashMap<ActorId, Vec<u64>>,
}

impl State {
    fn add(&mut self, id: u64, subscription: Subscription) {
        self.newest = self.newest.max(id);
        self.places.entry(place(&subscription.pattern)).or_default().insert(id, ());
        self.of_actors.entry(subscription.actor.clone()).or_default().push(id);
        self.all.insert(id, subscription);
    }

    fn remove(&mut self, id: u64) {
        let Some(subscription) = self.all.remove(&id) else { return };
        let place = place(&subscription.pattern);
        if let Some(there) = self.places.get_mut(&place) {
            there.remove(&id);
            if there.is_empty() {
                self.places.remove(&place);
            }
        }
        if let Some(of_actor) = self.of_actors.get_mut(&subscription.actor) {
            of_actor.retain(|of_actor| *of_actor != id);
            if of_actor.is_empty() {
                self.of_actors.remove(&subscription.actor);
            }
        }
    }
}

fn place(pattern: &Pattern) -> Place {
    (pattern.namespace().to_owned(), pattern.first().map(str::to_owned))
}

/// All topics of a node. A topic is nothing but a name.
#[derive(Default)]
pub struct Topics {
    state: Mutex<State>,
}

impl Topics {
    /// A new subscription of an actor; one that is not durable ends with the process, as its actor does.
    pub fn subscribe(
        self: &Arc<Self>,
        actor: &ActorId,
        pattern: Pattern,
        durable: bool,
        batch: &mut Batch,
    ) -> Result<(u64, Change), ChannelError> {
        let mut state = self.state.lock();
        if state.of_actors.get(actor).is_some_and(|mine| mine.len() >= MAX_OF_ONE) {
            return Err(ChannelError::exhausted("max-subscriptions of one actor", MAX_OF_ONE));
        }
        if state.all.len() >= MAX_SUBSCRIPTIONS {
            return Err(ChannelError::exhausted("max-subscriptions", MAX_SUBSCRIPTIONS));
        }
        let id = state.newest + 1;
        if durable {
            batch.put(Table::TOPICS, &key(id), &value(actor, &pattern));
        }
        state.add(id, Subscription { actor: actor.clone(), pattern, hand: Hand::Coming, gate: Gate::default() });
        Ok((id, Change { topics: self.clone(), ids: vec![id], committed: false }))
    }

    /// The end of a subscription of this actor.
    pub fn unsubscribe(self: &Arc<Self>, actor: &ActorId, id: u64, batch: &mut Batch) -> Result<Change, ChannelError> {
        let mut state = self.state.lock();
        let mine = state.all.get_mut(&id).filter(|it| it.actor == *actor && it.hand != Hand::Going);
        let Some(subscription) = mine else { return Err(ChannelError::NotFound(format!("subscription {id}"))) };
        batch.delete(Table::TOPICS, &key(id));
        match subscription.hand {
            // It never was there for anybody: what was staged for it finds nothing.
            Hand::Coming => state.remove(id),
            _ => subscription.hand = Hand::Going,
        }
        Ok(Change { topics: self.clone(), ids: vec![id], committed: false })
    }

    /// Stages an item for the inbox of each subscriber, all or none. `staged` bytes are in the step's batch already.
    pub fn publish(
        &self,
        by: Option<&ActorId>,
        item: &Item,
        party: &dyn Party,
        staged: usize,
    ) -> Result<Published, ChannelError> {
        let to = self.subscribers(by, &item.topic);
        let size = item.payload.len() + item.message_type.len() + OVERHEAD;
        if staged + to.len().saturating_mul(size) > MAX_FAN_OUT {
            return Err(ChannelError::exhausted("max-fan-out", troupe_log::ByteCount(MAX_FAN_OUT as u64)));
        }
        let mut published = Published {
            id: party.message_id(),
            batch: Batch::new(),
            changes: Vec::with_capacity(to.len()),
            gate: Gate::default(),
        };
        for (id, actor, gate) in to {
            let topic = &item.topic;
            let shown = if topic.namespace() == actor.namespace() { topic.name() } else { topic.as_str() };
            let info = Info {
                from: format!("@topic/{shown}").into(),
                message_type: item.message_type.clone(),
                payload: item.payload.clone(),
                headers: vec![
                    ("troupe-publisher".to_owned(), item.publisher.to_string()),
                    ("troupe-subscription".to_owned(), id.to_string()),
                ],
                seen: gate,
            };
            match party.info(&mut published.batch, &actor, info) {
                Ok(change) => published.changes.push(change),
                // Its life has just ended.
                Err(CallError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            published.gate = published.gate.and(gate);
        }
        Ok(published)
    }

    /// In the order in which they subscribed.
    fn subscribers(&self, by: Option<&ActorId>, topic: &ActorId) -> Vec<(u64, ActorId, Gate)> {
        let state = self.state.lock();
        let first = topic.name().split('.').next().unwrap_or_default();
        let places = [Some(first.to_owned()), None].map(|first| (topic.namespace().to_owned(), first));
        let mut found: Vec<(u64, ActorId, Gate)> = places
            .iter()
            .filter_map(|place| state.places.get(place))
            .flat_map(BTreeMap::keys)
            .filter_map(|id| state.all.get(id).map(|subscription| (*id, subscription)))
            .filter(|(_, it)| match it.hand {
                Hand::Free => true,
                Hand::Coming => by == Some(&it.actor),
                Hand::Going => by != Some(&it.actor),
            })
            .filter(|(_, it)| it.pattern.matches(topic))
            .map(|(id, it)| (id, it.actor.clone(), it.gate))
            .collect();
        found.sort_by_key(|(id, ..)| *id);
        found
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.state.lock().all.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a message in an inbox takes beside type and payload.
const OVERHEAD: usize = 256;

/// An item that is on its way into every inbox.
pub struct Published {
    /// Its id.
    pub id: MessageId,
    /// Its inbox entries.
    pub batch: Batch,
    /// What must be committed with them.
    pub changes: Vec<Box<dyn Staging>>,
    /// What it depends on.
    pub gate: Gate,
}

/// Subscriptions that a step makes or ends.
pub struct Change {
    topics: Arc<Topics>,
    ids: Vec<u64>,
    committed: bool,
}

impl Staging for Change {
    /// At the commit: whichever of two steps comes last, the row has the newest id of both.
    fn prepare(&mut self, batch: &mut Batch) {
        batch.put(Table::TOPICS, NEWEST, &self.topics.state.lock().newest.to_le_bytes());
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        self.committed = true;
        let mut state = self.topics.state.lock();
        for id in &self.ids {
            match state.all.get_mut(id) {
                Some(it) if it.hand == Hand::Going => state.remove(*id),
                Some(it) => {
                    it.hand = Hand::Free;
                    it.gate = committed.gate;
                }
                None => {}
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let mut state = self.topics.state.lock();
        for id in &self.ids {
            match state.all.get_mut(id) {
                Some(it) if it.hand == Hand::Coming => state.remove(*id),
                Some(it) => it.hand = Hand::Free,
                None => {}
            }
        }
    }
}

impl Service for Arc<Topics> {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let mut state = self.state.lock();
        if key == NEWEST {
            let Ok(newest) = value.try_into() else { return false };
            state.newest = state.newest.max(u64::from_le_bytes(newest));
            return true;
        }
        let (Ok(id), Some((actor, pattern))) = (key.try_into().map(u64::from_be_bytes), read(value)) else {
            return false;
        };
        state.add(id, Subscription { actor, pattern, hand: Hand::Free, gate: Gate::default() });
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn ended(&self, _: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let mut state = self.state.lock();
        let Some(ids) = state.of_actors.get(end.actor).cloned() else { return Vec::new() };
        for id in &ids {
            batch.delete(Table::TOPICS, &key(*id));
            match state.all.get_mut(id) {
                Some(it) if it.hand == Hand::Coming => state.remove(*id),
                Some(it) => it.hand = Hand::Going,
                None => {}
            }
        }
        vec![Box::new(Change { topics: self.clone(), ids, committed: false })]
    }
}

/// The key of the row with the newest id: an id is never used again.
const NEWEST: &[u8] = b"newest";
const VERSION: u8 = 1;

fn key(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

fn value(actor: &ActorId, pattern: &Pattern) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    put_u8(&mut out, VERSION);
    put_str(&mut out, actor.as_str());
    put_str(&mut out, pattern.namespace());
    put_str(&mut out, pattern.text());
    out
}

fn read(value: &[u8]) -> Option<(ActorId, Pattern)> {
    let mut input = Reader::new(value);
    if input.u8().ok()? != VERSION {
        return None;
    }
    let actor = ActorId::reserved(input.str().ok()?).ok()?;
    let namespace = input.str().ok()?.to_owned();
    let pattern = Pattern::parse(input.str().ok()?, &namespace).ok()?;
    input.finish().ok()?;
    Some((actor, pattern))
}

#[cfg(test)]
mod tests {
    use troupe_log::batch::{Entry, entries};

    use super::*;
    use crate::service::tests::{commit, id};

    #[test]
    fn an_id_is_never_used_again_whichever_of_two_steps_is_committed_first() {
        let (topics, mut rows) = (Arc::new(Topics::default()), Batch::new());
        let any = || Pattern::parse("a", "default").unwrap();
        let (_, first) = topics.subscribe(&id("a"), any(), true, &mut rows).unwrap();
        let (newest, second) = topics.subscribe(&id("b"), any(), true, &mut rows).unwrap();
        rows.clear();
        rows.append(&commit(vec![Box::new(second)]));
        rows.append(&commit(vec![Box::new(first)]));
        // As after a restart behind the end of both.
        let restarted = Arc::new(Topics::default());
        for entry in entries(rows.bytes()) {
            if let Entry::Put { key, value, .. } = entry.unwrap() {
                assert!(restarted.restore(key, value));
            }
        }
        let (next, _) = restarted.subscribe(&id("a"), any(), true, &mut Batch::new()).unwrap();
        assert_eq!(next, newest + 1);
    }
}
