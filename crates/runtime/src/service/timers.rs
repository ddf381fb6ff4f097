//! Timers of one node: durable ones in the log's table, all of them in one ordered set in memory.
//!
//! A timer completes a wait, or sends a message as an info. One task sleeps until the first is due; a pending timer costs memory
//! and nothing else. Firing is one batch: timers removed or armed again, inbox entries and completions added. A timer that fell
//! due while the node was down fires once, at start; missed ticks of a period come as one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Batch, NodeTime, Table, WallTime};

use super::waits::{WaitId, Waits};
use super::{Info, Party, Shared, Which};
use crate::actor::message::{CallError, Gate};
use crate::boundary::{Committed, Staging};
use crate::env::NodeClock;

/// What a timer is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// By the wait that it completes: arming twice, firing twice and cancelling after a crash are harmless.
    Wait(WaitId),
    /// By the actor that armed it, and a number that the actor never uses again.
    Send(ActorId, u64),
}

/// What a timer does besides completing a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// To whom.
    pub to: ActorId,
    /// What.
    pub message_type: Arc<str>,
    /// What.
    pub payload: Arc<[u8]>,
    /// Again and again, so long apart.
    pub period: Option<Duration>,
}

/// One timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its name.
    pub name: Name,
    /// When it fires.
    pub due: WallTime,
    /// Whether it stands in the log's table.
    pub durable: bool,
    /// What it sends; none completes the wait of its name.
    pub sends: Option<Box<Sending>>,
    /// What whoever sees it fire depends on.
    pub seen: Gate,
}

impl Name {
    /// The key in the timers table.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Name::Wait(wait) => {
                let mut key = vec![WAIT];
                key.extend_from_slice(&wait.key());
                key
            }
            Name::Send(owner, number) => {
                let mut key = vec![SEND];
                key.extend_from_slice(owner.as_str().as_bytes());
                key.push(0);
                key.extend_from_slice(&number.to_be_bytes());
                key
            }
        }
    }

    fn from_key(key: &[u8]) -> Option<Name> {
        match key.split_first()? {
            (&WAIT, rest) => WaitId::from_key(rest).map(Name::Wait),
            (&SEND, rest) => {
                let (owner, number) = rest.split_last_chunk::<8>()?;
                let owner = std::str::from_utf8(owner.strip_suffix(&[0])?).ok()?;
                Some(Name::Send(ActorId::reserved(owner).ok()?, u64::from_be_bytes(*number)))
            }
            _ => None,
        }
    }
}

impl Timer {
    /// Ends a wait.
    pub fn completing(wait: WaitId, due: WallTime, durable: bool) -> Timer {
        Timer { name: Name::Wait(wait), due, durable, sends: None, seen: Gate::default() }
    }

    /// Its value in the timers table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8);
        codec::put_u64(&mut out, self.due.0);
        if let Some(sends) = &self.sends {
            codec::put_u64(&mut out, sends.period.map_or(0, micros));
            codec::put_str(&mut out, sends.to.as_str());
            codec::put_str(&mut out, &sends.message_type);
            codec::put_bytes(&mut out, &sends.payload);
        }
        out
    }

    /// Reads an entry of the timers table.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Timer, codec::Error> {
        let bad = codec::Error::Bad { at: 0, what: "timer" };
        let name = Name::from_key(key).ok_or(bad)?;
        let mut input = Reader::new(value);
        let due = WallTime(input.u64()?);
        let mut sends = None;
        if let Name::Send(..) = name {
            let period = input.u64()?;
            let at = input.at();
            let to = ActorId::reserved(input.str()?).map_err(|_| codec::Error::Bad { at, what: "actor id" })?;
            let (message_type, payload) = (input.str()?.into(), input.bytes()?.into());
            let period = (period > 0).then(|| Duration::from_micros(period));
            sends = Some(Box::new(Sending { to, message_type, payload, period }));
        }
        input.finish()?;
        Ok(Timer { name, due, durable: true, sends, seen: Gate::default() })
    }
}

/// First byte of the key of a timer that completes a wait.
const WAIT: u8 = b'w';
/// First byte of the key of a timer that sends.
const SEND: u8 = b's';
/// How many fire in one batch.
const AT_ONCE: usize = 256;
/// How long a timer whose receiver has no place waits until it tries again, in microseconds.
const FULL: u64 = 1_000_000;

/// The timers of a node.
pub struct Timers {
    clock: NodeClock,
    pending: Mutex<Pending>,
    /// When services want to be woken. Apart from the timers: a service says so in the middle of a commit.
    services: Mutex<BTreeMap<Which, NodeTime>>,
    changed: Notify,
}

#[derive(Default)]
struct Pending {
    by_due: BTreeMap<(NodeTime, u64), Timer>,
    /// Ordered, so that those of one actor lie together.
    places: BTreeMap<Name, (NodeTime, u64)>,
    /// How many an actor has that send.
    of: HashMap<ActorId, u32>,
    armed: u64,
}

impl Pending {
    fn add(&mut self, at: NodeTime, timer: Timer) {
        self.armed += 1;
        let place = (at, self.armed);
        match self.places.insert(timer.name.clone(), place) {
            Some(old) => drop(self.by_due.remove(&old)),
            None => {
                if let Name::Send(owner, _) = &timer.name {
                    *self.of.entry(owner.clone()).or_default() += 1;
                }
            }
        }
        self.by_due.insert(place, timer);
    }

    fn remove(&mut self, name: &Name) -> Option<Timer> {
        let place = self.places.remove(name)?;
        if let Name::Send(owner, _) = name
            && let Some(count) = self.of.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                self.of.remove(owner);
            }
        }
        self.by_due.remove(&place)
    }

    /// The first one, if it is due.
    fn take_due(&mut self, now: NodeTime) -> Option<Timer> {
        let (_, timer) = self.by_due.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let name = timer.name.clone();
        self.remove(&name)
    }
}

impl Timers {
    /// None yet.
    pub fn new(clock: NodeClock) -> Timers {
        Timers { clock, pending: Mutex::default(), services: Mutex::default(), changed: Notify::new() }
    }

    /// Arms a timer whose entry is committed.
    pub fn arm(&self, timer: Timer) {
        let at = self.at(timer.due);
        let mut pending = self.pending.lock();
        let first = pending.by_due.first_key_value().is_none_or(|((first, _), _)| at < *first);
        pending.add(at, timer);
        drop(pending);
        if first {
            self.changed.notify_one();
        }
    }

    /// The node time of a wall time.
    fn at(&self, due: WallTime) -> NodeTime {
        let left = due.0.saturating_sub(self.clock.wall().0);
        NodeTime(self.clock.now().0.saturating_add(left))
    }

    /// Disarms a timer; none if it is not armed.
    pub fn take(&self, name: &Name) -> Option<Timer> {
        self.pending.lock().remove(name)
    }

    /// How many of an actor are armed that send.
    pub fn count(&self, owner: &ActorId) -> u32 {
        self.pending.lock().of.get(owner).copied().unwrap_or(0)
    }

    /// The names of all of an actor that send.
    pub fn of(&self, owner: &ActorId) -> Vec<Name> {
        let pending = self.pending.lock();
        if !pending.of.contains_key(owner) {
            return Vec::new();
        }
        let (first, last) = (Name::Send(owner.clone(), 0), Name::Send(owner.clone(), u64::MAX));
        pending.places.range(first..=last).map(|(name, _)| name.clone()).collect()
    }

    /// All durable ones of an actor that send.
    pub fn kept(&self, owner: &ActorId) -> Vec<Timer> {
        let pending = self.pending.lock();
        let (first, last) = (Name::Send(owner.clone(), 0), Name::Send(owner.clone(), u64::MAX));
        let places = pending.places.range(first..=last);
        places.filter_map(|(_, place)| pending.by_due.get(place)).filter(|timer| timer.durable).cloned().collect()
    }

    /// Wakes a service at that node time, if it is not to be woken before.
    pub fn wake(&self, service: Which, at: NodeTime) {
        let mut services = self.services.lock();
        if services.get(&service).is_some_and(|before| *before <= at) {
            return;
        }
        services.insert(service, at);
        drop(services);
        self.changed.notify_one();
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.pending.lock().by_due.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fires timers and wakes services for as long as the log goes on. Returns the log's error.
    pub async fn run(&self, waits: &Waits, shared: &Shared, node: &dyn Party) -> troupe_log::Error {
        loop {
            let now = self.clock.now();
            for service in self.services_due(now) {
                let Some(service) = shared.numbered(service as u8) else { continue };
                if let Err(error) = service.due(node, now) {
                    return error;
                }
            }
            let timer = self.pending.lock().by_due.first_key_value().map(|((at, _), _)| *at);
            let service = self.services.lock().values().min().copied();
            match timer.into_iter().chain(service).min() {
                None => self.changed.notified().await,
                Some(at) if at > self.clock.now() => {
                    tokio::select! {
                        () = self.clock.sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Some(_) => {
                    if let Err(error) = self.fire(waits, node) {
                        return error;
                    }
                }
            }
        }
    }

    fn services_due(&self, now: NodeTime) -> Vec<Which> {
        let mut services = self.services.lock();
        let due: Vec<Which> = services.iter().filter(|(_, at)| **at <= now).map(|(which, _)| *which).collect();
        for which in &due {
            services.remove(which);
        }
        due
    }

    fn fire(&self, waits: &Waits, node: &dyn Party) -> Result<(), troupe_log::Error> {
        // Held to the end: who cancels finds a timer armed, or what it did in the log already.
        let mut pending = self.pending.lock();
        let now = self.clock.now();
        let (mut batch, mut changes, mut completed) = (Batch::new(), Vec::new(), Vec::new());
        for _ in 0..AT_ONCE {
            let Some(mut timer) = pending.take_due(now) else { break };
            let Some(sends) = &timer.sends else {
                let Name::Wait(wait) = timer.name else { continue };
                if timer.durable {
                    batch.delete(Table::TIMERS, &Name::Wait(wait.clone()).key());
                    batch.put(Table::COMPLETIONS, &wait.key(), &[]);
                }
                completed.push(wait);
                continue;
            };
            let sent = node.info(&mut batch, &sends.to, info(&timer, sends));
            let again = match sent {
                Ok(delivery) => {
                    changes.push(delivery);
                    sends.period.map(|period| next(timer.due, self.clock.wall(), period))
                }
                // It is there, and takes none now.
                Err(CallError::MailboxFull { .. } | CallError::Unavailable(_) | CallError::Exhausted(_)) => {
                    pending.add(NodeTime(now.0.saturating_add(FULL)), timer);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(timer = ?timer.name, to = %sends.to, %error, "a timer's message has no receiver");
                    None
                }
            };
            match again {
                Some(due) => {
                    timer.due = due;
                    batch.put(Table::TIMERS, &timer.name.key(), &timer.encode());
                    pending.add(self.at(due), timer);
                }
                None => batch.delete(Table::TIMERS, &timer.name.key()),
            }
        }
        if !batch.is_empty() {
            node.commit(batch, changes)?;
        }
        for wait in completed {
            waits.complete(wait, Vec::new(), Gate::default());
        }
        Ok(())
    }
}

fn info(timer: &Timer, sends: &Sending) -> Info {
    let (owner, number) = match &timer.name {
        Name::Send(owner, number) => (owner.as_str(), *number),
        Name::Wait(wait) => (wait.actor.as_str(), 0),
    };
    Info {
        from: format!("@timer/{owner}").into(),
        message_type: sends.message_type.clone(),
        payload: sends.payload.clone(),
        headers: vec![("troupe-timer".to_owned(), number.to_string())],
        seen: timer.seen,
    }
}

/// The first tick behind `now` of those that are so long apart.
fn next(due: WallTime, now: WallTime, period: Duration) -> WallTime {
    let period = micros(period).max(1);
    let missed = now.0.saturating_sub(due.0) / period;
    WallTime(due.0.saturating_add(period.saturating_mul(missed + 1)))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The wall time so long from now.
pub fn due_after(now: WallTime, delay: Duration) -> WallTime {
    WallTime(now.0.saturating_add(micros(delay)))
}

/// A timer that a step has disarmed: committed it is gone, otherwise it is armed as it was.
pub(crate) struct Disarmed {
    /// The node's timers.
    pub node: Arc<dyn crate::boundary::Services>,
    /// The timer; none once it is gone.
    pub timer: Option<Timer>,
}

impl Staging for Disarmed {
    fn commit(mut self: Box<Self>, _: &Committed<'_>) {
        self.timer = None;
    }
}

impl Drop for Disarmed {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.node.timers().arm(timer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::{Incarnation, Seq};

    fn sending(number: u64, period: Option<Duration>) -> Timer {
        let actor = ActorId::parse("ns/a").unwrap();
        let sends = Sending { to: actor.clone(), message_type: "t".into(), payload: vec![1, 2].into(), period };
        let name = Name::Send(actor, number);
        Timer { name, due: WallTime(18), durable: true, sends: Some(Box::new(sends)), seen: Gate::default() }
    }

    #[test]
    fn a_timer_reads_back_from_its_entry() {
        let wait = WaitId { actor: ActorId::parse("ns/a").unwrap(), incarnation: Incarnation(1), seq: Seq(9) };
        for timer in [
            Timer::completing(wait, WallTime(17), true),
            sending(7, None),
            sending(u64::MAX, Some(Duration::from_millis(3))),
        ] {
            let (key, value) = (timer.name.key(), timer.encode());
            assert_eq!(Timer::decode(&key, &value), Ok(timer));
            for cut in 0..value.len() {
                assert!(Timer::decode(&key, &value[..cut]).is_err());
            }
        }
        assert!(Timer::decode(&[1], &[]).is_err());
    }

    #[test]
    fn missed_ticks_come_as_one() {
        let period = Duration::from_micros(10);
        assert_eq!(next(WallTime(100), WallTime(100), period), WallTime(110));
        assert_eq!(next(WallTime(100), WallTime(109), period), WallTime(110));
        assert_eq!(next(WallTime(100), WallTime(135), period), WallTime(140));
        assert_eq!(next(WallTime(100), WallTime(u64::MAX), period), WallTime(u64::MAX));
    }

    #[test]
    fn those_of_an_actor_are_counted_and_found() {
        let mut pending = Pending::default();
        for number in 0..3 {
            pending.add(NodeTime(number), sending(number, None));
        }
        pending.add(NodeTime(9), sending(1, None));
        assert_eq!(pending.of.values().copied().collect::<Vec<_>>(), [3], "the second of a name takes its place");
        assert_eq!(pending.take_due(NodeTime(0)).map(|timer| timer.name), Some(sending(0, None).name));
        assert_eq!(pending.take_due(NodeTime(1)), None, "that one was armed anew");
        assert!(pending.remove(&sending(0, None).name).is_none());
        assert!(pending.remove(&sending(2, None).name).is_some());
        assert!(pending.take_due(NodeTime(9)).is_some());
        assert!(pending.of.is_empty() && pending.places.is_empty() && pending.by_due.is_empty());
    }
}
