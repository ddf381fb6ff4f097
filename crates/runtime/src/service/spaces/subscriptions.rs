//! Subscriptions: who is told of what is written.

use std::sync::Arc;

use troupe_log::{ActorId, Batch};

use super::changes::Place;
use super::common::Common;
use super::serving::MAX_BATCH;
use super::value::json;
use crate::actor::message::Gate;
use crate::boundary::{Committed, Staging};
use crate::service::Info;
use crate::service::waits::WaitId;

impl Place {
    /// Tells those who have asked to be told.
    pub(super) fn tell(&self, id: u64, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        let (ids, payload) = {
            let state = self.space.lock();
            let Some(slot) = state.slots.get(&id) else { return Vec::new() };
            match &state.subscribers_of(&slot.value)[..] {
                [] => return Vec::new(),
                ids => (ids.to_vec(), Arc::<[u8]>::from(json(id, &slot.value))),
            }
        };
        let Some(node) = self.common.node() else { return Vec::new() };
        let (from, message_type): (Arc<str>, Arc<str>) =
            (format!("@space/{}", self.space.name).into(), "troupe:tuple".into());
        let mut told = Vec::new();
        for subscription in ids {
            let (actor, missed) = match self.space.lock().subscriptions.get(&subscription) {
                Some(it) => (it.actor.clone(), it.missed),
                None => continue,
            };
            let mut headers = vec![("troupe-subscription".to_owned(), subscription.to_string())];
            if missed > 0 {
                headers.push(("troupe-missed".to_owned(), missed.to_string()));
            }
            let info = Info {
                from: from.clone(),
                message_type: message_type.clone(),
                payload: payload.clone(),
                headers,
                seen: Gate::default(),
            };
            let sent = match batch.bytes().len() > MAX_BATCH {
                true => None,
                false => node.party().info(batch, &actor, info).ok(),
            };
            if let Some(it) = self.space.lock().subscriptions.get_mut(&subscription) {
                it.missed = if sent.is_some() { 0 } else { missed + 1 };
            }
            match sent {
                Some(sent) => told.push(sent),
                None => tracing::warn!(%actor, space = %self.space.name, "a subscriber was not told of a tuple"),
            }
        }
        told
    }
}

/// An actor asks to be told, or not any more.
pub struct Subscribe {
    place: Place,
    id: u64,
    actor: ActorId,
    begins: bool,
    committed: bool,
}

impl Subscribe {
    /// The subscription is there and is not live yet (`begins`), or is marked as ending.
    pub(super) fn new(place: Place, id: u64, actor: ActorId, begins: bool) -> Subscribe {
        Subscribe { place, id, actor, begins, committed: false }
    }

    fn set_live(&self, live: bool) {
        let mut state = self.place.space.lock();
        let Some(it) = state.subscriptions.get_mut(&self.id) else { return };
        it.live = live;
        let pattern = std::mem::take(&mut it.pattern);
        let key = state.subscribed.of_pattern(&pattern);
        match live {
            true => state.subscribed.add(key, self.id),
            false => state.subscribed.remove(key, self.id),
        }
        if let Some(it) = state.subscriptions.get_mut(&self.id) {
            it.pattern = pattern;
        }
    }

    fn remove(&self) {
        self.set_live(false);
        self.place.space.lock().subscriptions.remove(&self.id);
        let mut subscribers = self.place.common.subscribers.lock();
        if let Some(mine) = subscribers.get_mut(&self.actor) {
            mine.remove(&self.id);
            if mine.is_empty() {
                subscribers.remove(&self.actor);
            }
        }
    }
}

impl Staging for Subscribe {
    fn prepare(&mut self, batch: &mut Batch) {
        if self.begins {
            self.place.common.mark(batch, self.id);
        }
        // What the step writes from here on is told, or not any more.
        self.set_live(self.begins);
    }

    fn commit(mut self: Box<Self>, _: &Committed<'_>) {
        self.committed = true;
        if !self.begins {
            self.remove();
        }
    }
}

impl Drop for Subscribe {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if self.begins {
            self.remove();
            return;
        }
        let ending = self.place.space.lock().subscriptions.get_mut(&self.id).map(|it| it.ending = false);
        if ending.is_some() {
            self.set_live(true);
        }
    }
}

/// An actor's life ends.
pub(super) struct Ended {
    pub common: Arc<Common>,
    pub actor: ActorId,
    pub wait: Option<WaitId>,
    pub subscriptions: Vec<(u64, Place)>,
}

impl Staging for Ended {
    fn commit(self: Box<Self>, committed: &Committed<'_>) {
        if let Some(wait) = &self.wait {
            self.common.withdraw(wait);
            self.common.waiting.lock().remove(&self.actor);
        }
        for (id, place) in self.subscriptions {
            Box::new(Subscribe::new(place, id, self.actor.clone(), false)).commit(committed);
        }
    }
}
