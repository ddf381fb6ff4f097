//! A bounded mailbox.
//!
//! A place is reserved before a message is committed and filled after, so a successful send never finds the box full. What
//! passes the bound (answers, messages taken up again) has bounds of its own.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::message::{Envelope, ReplyTo};

/// What an executor does next.
#[derive(Debug)]
pub enum Next {
    /// This message's turn.
    Message(Envelope),
    /// Free the instance; recovery brings it back.
    Evict,
    /// End the actor's life, for this reason.
    Stop(String),
    /// Make a base now.
    Snapshot,
    /// The node is closing.
    Close,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No place.
    Full,
    /// The actor takes no messages any more.
    Closed,
}

#[derive(Default)]
struct State {
    limit: u32,
    queue: VecDeque<Envelope>,
    reserved: u32,
    waker: Option<Waker>,
    running: bool,
    idle: bool,
    evict: bool,
    snapshot: bool,
    close: bool,
    closed: bool,
    stop: Option<String>,
    ending: Vec<tokio::sync::oneshot::Sender<()>>,
}

/// One actor's mailbox.
pub struct Mailbox {
    state: Mutex<State>,
}

impl Mailbox {
    /// Empty, with room for `limit` messages.
    pub fn new(limit: NonZeroU32) -> Mailbox {
        Mailbox { state: Mutex::new(State { limit: limit.get(), ..State::default() }) }
    }

    /// Messages that it takes at most.
    pub fn limit(&self) -> u32 {
        self.state.lock().limit
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a place for a message that is about to be committed.
    pub fn reserve(&self) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.queue.len() + state.reserved as usize >= state.limit as usize {
            return Err(Refused::Full);
        }
        state.reserved += 1;
        Ok(())
    }

    /// Gives a place back.
    pub fn release(&self) {
        self.state.lock().reserved -= 1;
    }

    /// Fills a reserved place. True if the actor has no executor and needs one.
    pub fn fill(&self, envelope: Envelope) -> bool {
        self.push(envelope, true, false)
    }

    /// Takes a place and fills it in one go.
    pub fn offer(&self, envelope: Envelope) -> Result<bool, (Refused, Envelope)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((Refused::Closed, envelope));
        }
        if state.queue.len() + state.reserved as usize >= state.limit as usize {
            return Err((Refused::Full, envelope));
        }
        state.queue.push_back(envelope);
        Ok(start(state))
    }

    /// Puts a message back that is tried again, before all others, past the bound.
    pub fn put_back(&self, envelope: Envelope) -> bool {
        self.push(envelope, false, true)
    }

    /// Adds a message that was accepted in an earlier life of the process, past the bound.
    pub fn restore(&self, envelope: Envelope) {
        self.state.lock().queue.push_back(envelope);
    }

    fn push(&self, envelope: Envelope, reserved: bool, front: bool) -> bool {
        let mut state = self.state.lock();
        if reserved {
            state.reserved -= 1;
        }
        if front {
            state.queue.push_front(envelope);
        } else {
            state.queue.push_back(envelope);
        }
        start(state)
    }

    /// Asks for something between two turns. True if the actor has no executor and needs one.
    pub fn ask(&self, what: Next) -> bool {
        let mut state = self.state.lock();
        match what {
            Next::Message(envelope) => state.queue.push_back(envelope),
            Next::Evict => state.evict = true,
            Next::Snapshot => state.snapshot = true,
            Next::Close => state.close = true,
            Next::Stop(reason) => state.stop = Some(reason),
        }
        start(state)
    }

    /// True if messages wait or something was asked for and no executor runs: one is needed. Marks it as running.
    pub fn wake(&self) -> bool {
        let state = self.state.lock();
        if state.queue.is_empty() && state.stop.is_none() {
            return false;
        }
        start(state)
    }

    /// An executor starts by itself. False if there is one.
    pub fn claim(&self) -> bool {
        let mut state = self.state.lock();
        !std::mem::replace(&mut state.running, true)
    }

    /// The turn in hand is over, or as good as: who hears of its answer finds the actor idle.
    pub fn turn_over(&self) {
        self.state.lock().idle = true;
    }

    /// True if an executor holds an instance and has nothing to do.
    pub fn idle(&self) -> bool {
        let state = self.state.lock();
        state.idle && !state.evict && state.queue.is_empty() && state.reserved == 0
    }

    /// True while an executor runs.
    pub fn running(&self) -> bool {
        self.state.lock().running
    }

    /// What comes next; waits for it.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        state.idle = false;
        if state.close {
            return Poll::Ready(Next::Close);
        }
        // Asked for before a stop, it is made before it.
        if std::mem::take(&mut state.snapshot) {
            return Poll::Ready(Next::Snapshot);
        }
        if let Some(reason) = state.stop.take() {
            return Poll::Ready(Next::Stop(reason));
        }
        if let Some(envelope) = state.queue.pop_front() {
            return Poll::Ready(Next::Message(envelope));
        }
        if std::mem::take(&mut state.evict) {
            return Poll::Ready(Next::Evict);
        }
        state.idle = true;
        match &mut state.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            slot => *slot = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// The executor ends. False if something came meanwhile and it must go on.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock();
        if !state.queue.is_empty() || state.stop.is_some() || state.snapshot {
            return false;
        }
        state.running = false;
        state.idle = false;
        state.evict = false;
        state.waker = None;
        state.ending.clear();
        true
    }

    /// The executor ends whatever waits.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.running = false;
        state.idle = false;
        state.waker = None;
        state.ending.clear();
    }

    /// Waits until no executor runs.
    pub async fn ended(&self) {
        let ended = {
            let mut state = self.state.lock();
            if !state.running {
                return;
            }
            let (sender, ended) = tokio::sync::oneshot::channel();
            state.ending.push(sender);
            ended
        };
        // Dropped or sent, it has ended.
        let _ = ended.await;
    }

    /// No more messages; hands back what waits.
    pub fn close(&self) -> Vec<Envelope> {
        let mut state = self.state.lock();
        state.closed = true;
        state.queue.drain(..).collect()
    }

    /// No more messages; what waits stays.
    pub fn shut(&self) {
        self.state.lock().closed = true;
    }

    /// Hands back who waits for an answer to a message that waits.
    pub fn hang_up(&self) -> Vec<ReplyTo> {
        self.state.lock().queue.iter_mut().filter_map(|envelope| envelope.reply.take()).collect()
    }

    /// Takes messages again, now so many.
    pub fn reopen(&self, limit: NonZeroU32) {
        let mut state = self.state.lock();
        state.limit = limit.get();
        state.closed = false;
        state.stop = None;
        state.close = false;
    }
}

/// Wakes the executor, or says that one is needed.
fn start(mut state: parking_lot::MutexGuard<'_, State>) -> bool {
    if state.running {
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        return false;
    }
    state.running = true;
    true
}
