//! Requests between actors: who waits inside a turn for whose answer.
//!
//! Promises: a request that would close a circle of actors waiting inside their turns is found at once, whoever closes it; an
//! answer that nobody waits for any more leaves nothing behind. Nothing here is durable: the wait is a record of the asker, the
//! message that asks is in the other's inbox, and both say who asks.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use troupe_log::ActorId;

use super::Service;
use super::waits::WaitId;

/// All requests of a node that somebody waits for.
#[derive(Default)]
pub struct Asks {
    waiting: Mutex<HashMap<ActorId, Asking, RandomState>>,
}

/// An actor waits for one answer at a time: its turns do not overlap.
struct Asking {
    wait: WaitId,
    /// Who is to answer.
    of: ActorId,
}

impl Asks {
    /// `wait` is for an answer of `of` from here on. If that closes a circle, its actors, from the one who asks to the last.
    pub fn ask(&self, wait: &WaitId, of: &ActorId) -> Result<(), Vec<ActorId>> {
        let mut waiting = self.waiting.lock();
        circle(&waiting, &wait.actor, of)?;
        waiting.insert(wait.actor.clone(), Asking { wait: wait.clone(), of: of.clone() });
        Ok(())
    }

    /// Whether a request of `asker` may go on to `to`; else the circle that it would close.
    pub fn circle(&self, asker: &ActorId, to: &ActorId) -> Result<(), Vec<ActorId>> {
        circle(&self.waiting.lock(), asker, to)
    }

    /// The request of `asker` has gone on to `to`.
    pub fn redirect(&self, asker: &ActorId, to: &ActorId) {
        if let Some(asking) = self.waiting.lock().get_mut(asker) {
            asking.of = to.clone();
        }
    }

    /// Whether somebody waits under this id.
    pub fn wants(&self, wait: &WaitId) -> bool {
        self.waiting.lock().get(&wait.actor).is_some_and(|asking| asking.wait == *wait)
    }

    /// Nobody waits under this id any more.
    pub fn gone(&self, wait: &WaitId) {
        self.take(wait);
    }

    /// The same; whether somebody waited.
    pub fn take(&self, wait: &WaitId) -> bool {
        let mut waiting = self.waiting.lock();
        match waiting.get(&wait.actor) {
            Some(asking) if asking.wait == *wait => waiting.remove(&wait.actor).is_some(),
            _ => false,
        }
    }
}

/// Follows who waits for whom from `to` on; an error if that ends at `from`.
fn circle(waiting: &HashMap<ActorId, Asking, RandomState>, from: &ActorId, to: &ActorId) -> Result<(), Vec<ActorId>> {
    let mut at = to;
    // Without a circle nobody comes twice.
    for _ in 0..=waiting.len() {
        if at == from {
            let mut actors = vec![from.clone()];
            let mut next = to;
            while next != from {
                actors.push(next.clone());
                let Some(asking) = waiting.get(next) else { break };
                next = &asking.of;
            }
            return Err(actors);
        }
        match waiting.get(at) {
            Some(asking) => at = &asking.of,
            None => return Ok(()),
        }
    }
    Ok(())
}

impl Service for Asks {
    fn withdraw(&self, wait: &WaitId) {
        self.gone(wait);
    }
}
