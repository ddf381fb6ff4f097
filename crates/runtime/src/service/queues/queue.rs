//! One queue in memory.
//!
//! Owns its messages, the order in which they become available, and who waits. A message that a step has touched is that step's until it
//! is settled or put back; only the step sees it as it has made it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use troupe_log::{ActorId, NodeTime};

use super::{MAX_RECEIVE, QueueInfo, QueueMessage, Waiter};
use crate::actor::message::Gate;
use crate::service::waits::WaitId;

/// When a message is available, and before which others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// From here on.
    pub at: NodeTime,
    /// Among those of the same moment.
    pub number: u64,
}

/// What changes of a message from delivery to delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its place. While a consumer has it: when that ends.
    pub order: Order,
    /// Deliveries so far.
    pub attempt: u32,
    /// The newest delivery, until it is given back.
    pub delivery: Option<u128>,
}

/// What becomes of a message when the step that has it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the queue, where it stands.
    Free,
    /// It is that wait's.
    Held(WaitId),
    /// It is not there any more.
    Gone,
}

struct Item {
    message: Arc<QueueMessage>,
    standing: Standing,
    hand: Hand,
    gate: Gate,
}

/// Whose a message is.
enum Hand {
    /// Nobody's, or that of the consumer whose delivery stands.
    Free,
    /// A wait's, which has been told of it.
    Held,
    /// A step's.
    Step(Box<Step>),
}

struct Step {
    by: ActorId,
    /// How it stood; none if the step made it.
    before: Option<Standing>,
    fate: Fate,
}

/// What one step has in its hands.
#[derive(Default)]
struct Own {
    ids: HashSet<u128, ById>,
    free: BTreeMap<Order, u128>,
}

/// Hashes ids of messages: the node makes them, nobody else can choose them.
type ById = BuildHasherDefault<Fold>;

#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
    fn write_u128(&mut self, id: u128) {
        self.0 = (id as u64 ^ (id >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// A queue.
pub struct Queue {
    max_tries: u32,
    items: HashMap<u128, Item, ById>,
    /// Those with tries left, in order.
    free: BTreeMap<Order, u128>,
    /// Those without: dead letters when their time has come.
    spent: BTreeMap<Order, u128>,
    expiring: BTreeSet<(NodeTime, u128)>,
    own: HashMap<ActorId, Own>,
    held: HashMap<WaitId, Vec<u128>>,
    line: VecDeque<Waiter>,
    bytes: u64,
    gate: Gate,
}

impl Queue {
    pub fn new(max_tries: u32) -> Queue {
        Queue {
            max_tries,
            items: HashMap::default(),
            free: BTreeMap::new(),
            spent: BTreeMap::new(),
            expiring: BTreeSet::new(),
            own: HashMap::new(),
            held: HashMap::new(),
            line: VecDeque::new(),
            bytes: 0,
            gate: Gate::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn gate(&self) -> Gate {
        self.gate
    }

    pub fn has(&self, id: u128) -> bool {
        self.items.contains_key(&id)
    }

    /// True if it has nothing and nobody waits.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty() && self.line.is_empty()
    }

    /// True if somebody stands in line.
    pub fn is_awaited(&self) -> bool {
        !self.line.is_empty()
    }

    /// A message of a step, or (by nobody) one that is committed.
    pub fn add(&mut self, message: QueueMessage, order: Order, by: Option<&ActorId>) {
        let id = message.id.0;
        self.bytes += message.weight();
        let hand = match by {
            Some(by) => {
                self.own.entry(by.clone()).or_default().ids.insert(id);
                Hand::Step(Box::new(Step { by: by.clone(), before: None, fate: Fate::Free }))
            }
            None => Hand::Free,
        };
        let standing = Standing { order, attempt: 0, delivery: None };
        self.items.insert(id, Item { message: Arc::new(message), standing, hand, gate: Gate::default() });
        self.enlist(id);
    }

    /// How a message stands that is restored. False if there is no such message.
    pub fn set_standing(&mut self, id: u128, standing: Standing) -> bool {
        self.delist(id);
        let Some(item) = self.items.get_mut(&id) else { return false };
        item.standing = standing;
        self.enlist(id);
        true
    }

    /// The first that the step of `by` would get now.
    pub fn pick(&self, by: &ActorId, max: usize, now: NodeTime) -> Vec<u128> {
        let until = Order { at: now, number: u64::MAX };
        let own = self.own.get(by).map(|own| own.free.range(..=until)).into_iter().flatten();
        let (mut all, mut own) = (self.free.range(..=until).peekable(), own.peekable());
        let (mut picked, mut bytes) = (Vec::new(), 0);
        while picked.len() < max {
            let next = match (all.peek(), own.peek()) {
                (Some((a, _)), Some((b, _))) if b < a => own.next(),
                (None, _) => own.next(),
                _ => all.next(),
            };
            let Some((_, id)) = next else { break };
            let Some(item) = self.items.get(id) else { continue };
            let spent = item.standing.attempt >= self.max_tries;
            if spent || item.message.expires.is_some_and(|expires| expires <= now) {
                continue;
            }
            bytes += item.message.size();
            if bytes > MAX_RECEIVE && !picked.is_empty() {
                break;
            }
            picked.push(*id);
        }
        picked
    }

    /// Whether this delivery is the newest of its message, has time left, and is not in the hands of another step.
    pub fn is_delivered(&self, id: u128, delivery: u128, by: &ActorId, now: NodeTime) -> bool {
        self.items.get(&id).is_some_and(|item| {
            let mine = match &item.hand {
                Hand::Free => true,
                Hand::Held => false,
                Hand::Step(step) => step.by == *by && step.fate == Fate::Free,
            };
            mine && item.standing.delivery == Some(delivery) && item.standing.order.at > now
        })
    }

    /// The step of `by` does this to a message that it may have. Gives the message, how it stands then, and what it depends on.
    pub fn stage(
        &mut self,
        id: u128,
        by: &ActorId,
        fate: Fate,
        edit: impl FnOnce(&mut Standing),
    ) -> Option<(Arc<QueueMessage>, Standing, Gate)> {
        self.delist(id);
        let item = self.items.get_mut(&id)?;
        let before = match std::mem::replace(&mut item.hand, Hand::Free) {
            Hand::Step(step) => step.before,
            Hand::Free | Hand::Held => Some(item.standing),
        };
        edit(&mut item.standing);
        item.hand = Hand::Step(Box::new(Step { by: by.clone(), before, fate }));
        let staged = (item.message.clone(), item.standing, item.gate);
        self.own.entry(by.clone()).or_default().ids.insert(id);
        self.enlist(id);
        Some(staged)
    }

    /// The step of `by` is committed. Gives the bytes that have gone.
    pub fn settle(&mut self, id: u128, by: &ActorId, gate: Gate) -> u64 {
        let Some(step) = self.release(id, by) else { return 0 };
        self.gate = self.gate.and(gate);
        let Some(item) = self.items.get_mut(&id) else { return 0 };
        item.gate = item.gate.and(gate);
        match step.fate {
            Fate::Free => {
                self.enlist(id);
                0
            }
            Fate::Held(wait) => {
                item.hand = Hand::Held;
                self.held.entry(wait).or_default().push(id);
                0
            }
            Fate::Gone => self.remove(id),
        }
    }

    /// The step of `by` never happened, but for a delivery that counts as a try. Gives the bytes that have gone.
    pub fn put_back(&mut self, id: u128, by: &ActorId) -> u64 {
        let Some(step) = self.release(id, by) else { return 0 };
        let Some(before) = step.before else { return self.remove(id) };
        if let Some(item) = self.items.get_mut(&id) {
            // Else a message that brings every consumer down would come first for ever.
            let attempt = item.standing.attempt.max(before.attempt);
            item.standing = Standing { attempt, ..before };
        }
        self.enlist(id);
        0
    }

    /// Takes a message out of the hands of the step of `by`, if it is there.
    fn release(&mut self, id: u128, by: &ActorId) -> Option<Box<Step>> {
        if !self.own.get(by).is_some_and(|own| own.ids.contains(&id)) {
            return None;
        }
        self.delist(id);
        if let Some(own) = self.own.get_mut(by) {
            own.ids.remove(&id);
            if own.ids.is_empty() {
                self.own.remove(by);
            }
        }
        let item = self.items.get_mut(&id)?;
        match std::mem::replace(&mut item.hand, Hand::Free) {
            Hand::Step(step) => Some(step),
            _ => None,
        }
    }

    fn remove(&mut self, id: u128) -> u64 {
        let weight = self.items.remove(&id).map_or(0, |item| item.message.weight());
        self.bytes -= weight;
        weight
    }

    /// Into the lists that it belongs to.
    fn enlist(&mut self, id: u128) {
        let Some(item) = self.items.get(&id) else { return };
        let order = item.standing.order;
        match &item.hand {
            Hand::Free => {
                let spent = item.standing.attempt >= self.max_tries;
                if spent { &mut self.spent } else { &mut self.free }.insert(order, id);
                self.expiring.extend(expiry(item).map(|at| (at, id)));
            }
            Hand::Held => {}
            Hand::Step(step) => {
                if step.fate == Fate::Free
                    && let Some(own) = self.own.get_mut(&step.by)
                {
                    own.free.insert(order, id);
                }
            }
        }
    }

    fn delist(&mut self, id: u128) {
        let Some(item) = self.items.get(&id) else { return };
        let order = item.standing.order;
        match &item.hand {
            Hand::Free => {
                self.free.remove(&order);
                self.spent.remove(&order);
                if let Some(at) = expiry(item) {
                    self.expiring.remove(&(at, id));
                }
            }
            Hand::Held => {}
            Hand::Step(step) => {
                if let Some(own) = self.own.get_mut(&step.by) {
                    own.free.remove(&order);
                }
            }
        }
    }

    // ---- who waits ----

    /// At the end of the line.
    pub fn line_up(&mut self, waiter: Waiter) {
        self.line.push_back(waiter);
    }

    /// Before all others: it was served, and that never happened.
    pub fn line_up_first(&mut self, waiter: Waiter) {
        self.line.push_front(waiter);
    }

    /// Out of the line.
    pub fn leave(&mut self, wait: &WaitId) {
        self.line.retain(|waiter| waiter.wait != *wait);
    }

    /// Gives to those in line what the step of `by` may give, in order. It is theirs when the step is committed.
    pub fn serve(&mut self, by: &ActorId, now: NodeTime) -> Vec<(Waiter, Vec<(u128, Order)>)> {
        let mut served = Vec::new();
        while let Some(first) = self.line.front() {
            let ids = self.pick(by, first.max, now);
            if ids.is_empty() {
                break;
            }
            let Some(waiter) = self.line.pop_front() else { break };
            let mut given = Vec::with_capacity(ids.len());
            for id in ids {
                if let Some((_, standing, _)) = self.stage(id, by, Fate::Held(waiter.wait.clone()), |_| ()) {
                    given.push((id, standing.order));
                }
            }
            served.push((waiter, given));
        }
        served
    }

    /// A message that a completion from before a restart names: the wait's, if it still stands there.
    pub fn hold(&mut self, wait: &WaitId, id: u128, order: Order) -> bool {
        let there = |item: &Item| matches!(item.hand, Hand::Free) && item.standing.order == order;
        if !self.items.get(&id).is_some_and(there) {
            return false;
        }
        self.delist(id);
        if let Some(item) = self.items.get_mut(&id) {
            item.hand = Hand::Held;
        }
        self.held.entry(wait.clone()).or_default().push(id);
        true
    }

    /// What was held for a wait is everybody's again.
    pub fn unhold(&mut self, wait: &WaitId) -> Vec<u128> {
        let ids = self.held.remove(wait).unwrap_or_default();
        for id in &ids {
            if let Some(item) = self.items.get_mut(id) {
                item.hand = Hand::Free;
            }
            self.enlist(*id);
        }
        ids
    }

    // ---- what falls due ----

    /// When something is due next: somebody can be served, a message expires or is given up.
    pub fn next_due(&self) -> Option<NodeTime> {
        let first = |list: &BTreeMap<Order, u128>| list.first_key_value().map(|(order, _)| order.at);
        let served = if self.line.is_empty() { None } else { first(&self.free) };
        let expires = self.expiring.first().map(|(at, _)| *at);
        [served, expires, first(&self.spent)].into_iter().flatten().min()
    }

    /// True if the first in line could be served now.
    pub fn can_serve(&self, by: &ActorId, now: NodeTime) -> bool {
        !self.line.is_empty() && !self.pick(by, 1, now).is_empty()
    }

    /// Messages whose time to live is over.
    pub fn expired(&self, now: NodeTime, most: usize) -> Vec<u128> {
        self.expiring.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, id)| *id).collect()
    }

    /// Messages without tries left whose last delivery is over.
    pub fn given_up(&self, now: NodeTime, most: usize) -> Vec<u128> {
        self.spent.iter().take_while(|(order, _)| order.at <= now).take(most).map(|(_, id)| *id).collect()
    }

    // ---- what it shows ----

    /// How many messages are not acknowledged, as the step of `by` sees it.
    pub fn depth(&self, by: &ActorId) -> u64 {
        let mut depth = self.items.len() as i64;
        for (actor, own) in &self.own {
            for item in own.ids.iter().filter_map(|id| self.items.get(id)) {
                let Hand::Step(step) = &item.hand else { continue };
                let there = if actor == by { step.fate != Fate::Gone } else { step.before.is_some() };
                depth -= i64::from(!there);
            }
        }
        depth as u64
    }

    /// What it has, for everybody.
    pub fn info(&self, name: &ActorId, now: NodeTime) -> QueueInfo {
        let until = Order { at: now, number: u64::MAX };
        let (mut depth, mut delivered) = (0, 0);
        for item in self.items.values() {
            let standing = match &item.hand {
                Hand::Free | Hand::Held => Some(item.standing),
                Hand::Step(step) => step.before,
            };
            let Some(standing) = standing else { continue };
            depth += 1;
            delivered += u64::from(standing.delivery.is_some() && standing.order.at > now);
        }
        QueueInfo {
            queue: name.clone(),
            depth,
            available: self.free.range(..=until).count() as u64,
            delivered,
            bytes: self.bytes,
            waiting: self.line.len() as u64,
        }
    }
}

/// When a message expires: not while a consumer has it.
fn expiry(item: &Item) -> Option<NodeTime> {
    let expires = item.message.expires?;
    match item.standing.delivery {
        Some(_) => Some(expires.max(item.standing.order.at)),
        None => Some(expires),
    }
}
