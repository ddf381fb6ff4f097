//! What the clients of one connection are in the middle of, so that one who takes nothing, or asks nothing, does not keep it.
//!
//! The versions of HTTP see to some of it themselves; that a client of HTTP/2 answers pings says nothing about what it takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One connection's.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Requests that are not answered, and responses that are not at their end.
    under_way: usize,
    /// Responses that wait for their client, by number, and since when.
    offered: HashMap<u64, Instant>,
    next: u64,
    /// When the newest of all ended.
    ended: Instant,
}

impl Activity {
    /// Of a connection that begins now.
    pub fn new() -> Activity {
        let state = State { under_way: 0, offered: HashMap::new(), next: 0, ended: Instant::now() };
        Activity(Arc::new(Mutex::new(state)))
    }

    /// A request, to the end of its response.
    pub fn request(&self) -> UnderWay {
        let mut state = self.0.lock();
        state.under_way += 1;
        state.next += 1;
        UnderWay { of: self.clone(), number: state.next }
    }

    /// Ends when nothing was under way for so long, from now at the earliest.
    pub async fn idle(&self, patience: Duration) {
        let now = Instant::now();
        self.since(patience, |state| (state.under_way == 0).then_some(state.ended.max(now))).await;
    }

    /// Ends when a response waited so long for its client.
    pub async fn stalled(&self, patience: Duration) {
        self.since(patience, |state| state.offered.values().min().copied()).await;
    }

    async fn since(&self, patience: Duration, began: impl Fn(&State) -> Option<Instant>) {
        loop {
            let now = Instant::now();
            let began = began(&self.0.lock());
            match began.map(|began| began + patience) {
                Some(until) if until <= now => return,
                // What is over before that begins anew; then it is looked at again.
                Some(until) => tokio::time::sleep_until(until).await,
                None => tokio::time::sleep(patience / 2).await,
            }
        }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct UnderWay {
    of: Activity,
    number: u64,
}

impl UnderWay {
    /// The client is to take something, from now on.
    pub fn offered(&self) {
        self.of.0.lock().offered.insert(self.number, Instant::now());
    }

    /// It has taken what there was: the actor is waited for.
    pub fn taken(&self) {
        self.of.0.lock().offered.remove(&self.number);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.of.0.lock();
        state.offered.remove(&self.number);
        state.under_way -= 1;
        state.ended = Instant::now();
    }
}
