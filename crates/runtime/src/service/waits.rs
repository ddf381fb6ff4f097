//! Answers that parked turns wait for.
//!
//! A wait has the id of its record. Whoever answers commits a completion under that id; the first wins. This is the
//! place in memory where a committed completion meets its turn, in whichever order they come.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Incarnation, NodeTime, Seq};

use crate::actor::message::Gate;
use crate::env::NodeClock;

/// A wait: the record that began it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId {
    /// Who waits.
    pub actor: ActorId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The record.
    pub seq: Seq,
}

impl WaitId {
    /// Its key in the completions table.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.actor.as_str().as_bytes().to_vec();
        key.push(0);
        key.extend_from_slice(&self.incarnation.0.to_be_bytes());
        key.extend_from_slice(&self.seq.0.to_be_bytes());
        key
    }

    /// Appends it in the value codec.
    pub fn encode(&self, out: &mut Vec<u8>) {
        codec::put_str(out, self.actor.as_str());
        codec::put_u32(out, self.incarnation.0);
        codec::put_u64(out, self.seq.0);
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<WaitId, codec::Error> {
        let at = input.at();
        let actor = ActorId::reserved(input.str()?).map_err(|_| codec::Error::Bad { at, what: "actor id" })?;
        Ok(WaitId { actor, incarnation: Incarnation(input.u32()?), seq: Seq(input.u64()?) })
    }

    /// Reads a key of the completions table.
    pub fn from_key(key: &[u8]) -> Option<WaitId> {
        let (rest, seq) = key.split_last_chunk::<8>()?;
        let (rest, incarnation) = rest.split_last_chunk::<4>()?;
        let actor = ActorId::reserved(std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?).ok()?;
        Some(WaitId {
            actor,
            incarnation: Incarnation(u32::from_be_bytes(*incarnation)),
            seq: Seq(u64::from_be_bytes(*seq)),
        })
    }
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// With this completion.
    Completed(Vec<u8>),
    /// Its own time has passed.
    TimedOut,
    /// The turn's deadline is near.
    DeadlineNear,
}

/// A committed completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What whoever answered says.
    pub bytes: Vec<u8>,
    /// What the answer depends on.
    pub gate: Gate,
}

enum Slot {
    Waiting(oneshot::Sender<Completion>),
    Done(Completion),
}

/// All waits of a node.
pub struct Waits {
    clock: NodeClock,
    slots: Mutex<HashMap<WaitId, Slot, RandomState>>,
}

impl Waits {
    /// None yet.
    pub fn new(clock: NodeClock) -> Waits {
        Waits { clock, slots: Mutex::default() }
    }

    /// Waits for the completion of `id`, at most until `until`: none then. A completion that is there wins over the time.
    pub async fn wait(&self, id: &WaitId, until: Option<NodeTime>) -> Option<Completion> {
        let receiver = {
            let mut slots = self.slots.lock();
            if let Some(Slot::Done(completion)) = slots.remove(id) {
                return Some(completion);
            }
            let (sender, receiver) = oneshot::channel();
            slots.insert(id.clone(), Slot::Waiting(sender));
            receiver
        };
        let gone = Gone { waits: self, id };
        let waited = match until {
            None => receiver.await.ok(),
            Some(until) => tokio::select! {
                biased;
                completion = receiver => completion.ok(),
                () = self.clock.sleep_until(until) => None,
            },
        };
        drop(gone);
        waited
    }

    /// Takes the completion of a wait that gave up, if it was committed before.
    pub fn take(&self, id: &WaitId) -> Option<Completion> {
        let mut slots = self.slots.lock();
        match slots.remove(id) {
            Some(Slot::Done(completion)) => Some(completion),
            Some(waiting) => {
                slots.insert(id.clone(), waiting);
                None
            }
            None => None,
        }
    }

    /// Waits until that node time; for pollables.
    pub async fn sleep_until(&self, at: NodeTime) {
        self.clock.sleep_until(at).await;
    }

    /// A completion was committed. Later ones under the same id are dropped.
    pub fn complete(&self, id: WaitId, bytes: Vec<u8>, gate: Gate) {
        let completion = Completion { bytes, gate };
        let mut slots = self.slots.lock();
        match slots.entry(id) {
            Entry::Occupied(slot) if matches!(slot.get(), Slot::Waiting(_)) => {
                if let Slot::Waiting(sender) = slot.remove() {
                    // The waiter may have just timed out: then nobody wants it.
                    let _ = sender.send(completion);
                }
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(slot) => {
                slot.insert(Slot::Done(completion));
            }
        }
    }

    /// Forgets what is there for one wait.
    pub fn forget_one(&self, id: &WaitId) {
        self.slots.lock().remove(id);
    }

    /// Forgets what is there for the waits of one life of an actor.
    pub fn forget(&self, actor: &ActorId) {
        self.slots.lock().retain(|id, _| id.actor != *actor);
    }
}

/// Takes a wait's slot away when its turn is killed or times out.
struct Gone<'a> {
    waits: &'a Waits,
    id: &'a WaitId,
}

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let mut slots = self.waits.slots.lock();
        if let Some(Slot::Waiting(_)) = slots.get(self.id) {
            slots.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemClock;
    use std::sync::Arc;

    fn id(seq: u64) -> WaitId {
        WaitId { actor: ActorId::parse("a").unwrap(), incarnation: Incarnation(2), seq: Seq(seq) }
    }

    #[test]
    fn a_key_names_its_wait() {
        assert_eq!(WaitId::from_key(&id(7).key()), Some(id(7)));
        assert_eq!(WaitId::from_key(b"short"), None);
    }

    #[tokio::test]
    async fn the_first_completion_wins_whether_it_comes_before_or_after_the_wait() {
        let waits = Waits::new(NodeClock::new(Arc::new(SystemClock::default()), NodeTime(0)));
        let bytes = |completion: Option<Completion>| completion.map(|completion| completion.bytes);
        waits.complete(id(1), vec![1], Gate::default());
        waits.complete(id(1), vec![2], Gate::default());
        assert_eq!(bytes(waits.wait(&id(1), None).await), Some(vec![1]));
        let second = id(2);
        let waiting = waits.wait(&second, None);
        tokio::pin!(waiting);
        assert!(futures_util::FutureExt::now_or_never(waiting.as_mut()).is_none());
        waits.complete(id(2), vec![3], Gate::default());
        assert_eq!(bytes(waiting.await), Some(vec![3]));
        assert_eq!(waits.wait(&id(3), Some(NodeTime(0))).await, None);
        assert!(waits.slots.lock().is_empty());
    }
}
