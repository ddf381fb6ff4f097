//! A bounded mailbox.
//!
//! A place is reserved before a message is committed and filled after, so a successful send never finds the box full. What
//! passes the bound (answers, messages taken up again) has bounds of its own.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};

use parking_lot::Mutex;

use super::asked::Asked;
use super::cut::Cut;
use super::ending::EndCause;
use super::message::{Asker, Envelope, Message, MessageKind, ReplyTo};
use super::task::Task;

/// What an executor does next.
#[derive(Debug)]
pub enum Next {
    /// This message's turn.
    Message(Envelope),
    /// Free the instance; recovery brings it back.
    Evict,
    /// End the actor's life, for this reason.
    Stop(EndCause, String),
    /// Begin anew, in place of the life that there is.
    Restart,
    /// Make a base now.
    Snapshot,
    /// Do what somebody waits for.
    Asked(Asked),
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

/// What a message that has come in needs.
#[must_use]
pub enum Roused {
    /// Nothing: the executor is at work and finds it.
    Nothing,
    /// The actor has no executor and needs one.
    Executor,
    /// The executor is parked: wake it, or lend it this thread.
    Parked(Arc<Task>),
}

#[derive(Default)]
struct State {
    limit: u32,
    queue: VecDeque<Envelope>,
    reserved: u32,
    /// Of the queue and of the reserved places: what the runtime itself sends, which has a bound of its own.
    infos: u32,
    reserved_infos: u32,
    task: Option<Arc<Task>>,
    parked: bool,
    running: bool,
    evict: bool,
    snapshot: bool,
    asked: VecDeque<Asked>,
    close: bool,
    /// How many wait for the executor to end, to begin another life.
    takers: u32,
    closed: bool,
    restart: bool,
    stop: Option<(EndCause, String)>,
    ending: Vec<tokio::sync::oneshot::Sender<()>>,
}

/// One actor's mailbox.
pub struct Mailbox {
    state: Mutex<State>,
    /// No turn is in hand.
    idle: AtomicBool,
    /// Messages in work beside the executor's own turn.
    beside: AtomicU32,
    /// Whether a caller polls the executor, and has had its message taken.
    lent: AtomicU8,
}

const OWN: u8 = 0;
const LENT: u8 = 1;
const TAKEN: u8 = 2;

impl Mailbox {
    /// Empty, with room for `limit` messages.
    pub fn new(limit: NonZeroU32) -> Mailbox {
        Mailbox {
            state: Mutex::new(State { limit: limit.get(), ..State::default() }),
            idle: AtomicBool::new(false),
            beside: AtomicU32::new(0),
            lent: AtomicU8::new(OWN),
        }
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

    /// Takes a place for a message that is about to be committed. Infos have places of their own.
    pub fn reserve(&self, info: bool) -> Result<(), Refused> {
        let mut state = self.state.lock();
        // Who is told of something has been looked at: one that waits for an operator is told, too.
        if state.closed && !info {
            return Err(Refused::Closed);
        }
        if info {
            if state.infos + state.reserved_infos >= infos(state.limit) {
                return Err(Refused::Full);
            }
            state.reserved_infos += 1;
            return Ok(());
        }
        if state.full() {
            return Err(Refused::Full);
        }
        state.reserved += 1;
        Ok(())
    }

    /// Gives a place back.
    pub fn release(&self, info: bool) {
        let mut state = self.state.lock();
        if info {
            state.reserved_infos -= 1;
        } else {
            state.reserved -= 1;
        }
    }

    /// Fills a reserved place.
    pub fn fill(&self, envelope: Envelope) -> Roused {
        let mut state = self.state.lock();
        if envelope.message.kind == MessageKind::Info {
            state.reserved_infos -= 1;
        } else {
            state.reserved -= 1;
        }
        state.push_back(envelope);
        start(&mut state)
    }

    /// Takes a place and fills it in one go.
    pub fn offer(&self, envelope: Envelope) -> Result<Roused, (Refused, Envelope)> {
        let mut state = self.state.lock();
        if state.closed {
            return Err((Refused::Closed, envelope));
        }
        if state.full() {
            return Err((Refused::Full, envelope));
        }
        state.push_back(envelope);
        Ok(start(&mut state))
    }

    /// Puts a message back that is tried again, before all others, past the bound.
    pub fn put_back(&self, envelope: Envelope) -> bool {
        let mut state = self.state.lock();
        if envelope.message.kind == MessageKind::Info {
            state.infos += 1;
        }
        state.queue.push_front(envelope);
        rouse(state)
    }

    /// Adds a message that was accepted in an earlier life of the process, past the bound.
    pub fn restore(&self, envelope: Envelope) {
        self.state.lock().push_back(envelope);
    }

    /// Asks for something between two turns. True if the actor has no executor and needs one.
    pub fn ask(&self, what: Next) -> bool {
        let mut state = self.state.lock();
        match what {
            Next::Message(envelope) => state.push_back(envelope),
            Next::Evict => state.evict = true,
            Next::Snapshot => state.snapshot = true,
            Next::Asked(asked) => state.asked.push_back(asked),
            Next::Close => state.close = true,
            Next::Stop(cause, reason) => state.stop = Some((cause, reason)),
            Next::Restart => state.restart = true,
        }
        rouse(state)
    }

    /// Asks for the end of the actor's life, and for that of the turn in progress. True if an executor is needed.
    pub fn stop_now(&self, cause: EndCause, reason: &str, cut: &Cut) -> bool {
        let mut state = self.state.lock();
        state.stop = Some((cause, reason.to_owned()));
        // An executor that has nothing in hand takes the stop next, and with it the wish back.
        if state.running && (!self.idle.load(Relaxed) || self.beside.load(Relaxed) > 0) {
            cut.ask(reason);
        }
        rouse(state)
    }

    /// True if messages wait or something was asked for and no executor runs: one is needed. Marks it as running.
    pub fn wake(&self) -> bool {
        let state = self.state.lock();
        if state.queue.is_empty() && state.stop.is_none() && !state.restart && state.asked.is_empty() {
            return false;
        }
        rouse(state)
    }

    /// The executor that was asked for runs as this task.
    pub fn attach(&self, task: Arc<Task>) {
        let mut state = self.state.lock();
        state.task = Some(task);
        state.parked = false;
    }

    /// A caller begins or ends to poll the executor.
    pub fn lent(&self, begins: bool) {
        // Only who holds the executor's lock writes and reads it.
        self.lent.store(if begins { LENT } else { OWN }, Relaxed);
    }

    /// An executor starts by itself. False if there is one.
    pub fn claim(&self) -> bool {
        let mut state = self.state.lock();
        !std::mem::replace(&mut state.running, true)
    }

    /// Somebody begins (`true`) or ends to wait for the executor's end; it ends between two turns.
    pub fn taker(&self, begins: bool) {
        let mut state = self.state.lock();
        if begins {
            state.takers += 1;
        } else {
            state.takers -= 1;
        }
    }

    /// Has a parked executor see that somebody waits for its end.
    pub fn nudge(&self) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.parked) {
            return;
        }
        let task = state.task.clone();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The turn in hand is over, or as good as: who hears of its answer finds the actor idle.
    pub fn turn_over(&self) {
        self.idle.store(true, Relaxed);
    }

    /// So many messages are in work beside the executor's own turn.
    pub fn works_beside(&self, messages: usize) {
        self.beside.store(u32::try_from(messages).unwrap_or(u32::MAX), Relaxed);
    }

    /// True if an executor holds an instance and has nothing to do.
    pub fn idle(&self) -> bool {
        let state = self.state.lock();
        self.idle.load(Relaxed)
            && !state.evict
            && state.asked.is_empty()
            && state.queue.is_empty()
            && state.reserved == 0
            && state.reserved_infos == 0
    }

    /// True while an executor runs.
    pub fn running(&self) -> bool {
        self.state.lock().running
    }

    /// What comes next; waits for it.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        self.idle.store(false, Relaxed);
        state.parked = false;
        if state.close || state.takers > 0 {
            return Poll::Ready(Next::Close);
        }
        // Asked for before a stop, it is made before it.
        if std::mem::take(&mut state.snapshot) {
            return Poll::Ready(Next::Snapshot);
        }
        if let Some(asked) = state.asked.pop_front() {
            return Poll::Ready(Next::Asked(asked));
        }
        if std::mem::take(&mut state.restart) {
            return Poll::Ready(Next::Restart);
        }
        if let Some((cause, reason)) = state.stop.take() {
            return Poll::Ready(Next::Stop(cause, reason));
        }
        if !state.queue.is_empty() && self.lent.load(Relaxed) == TAKEN {
            // The others are not the lender's to wait for.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(envelope) = state.queue.pop_front() {
            if envelope.message.kind == MessageKind::Info {
                state.infos -= 1;
            }
            if self.lent.load(Relaxed) == LENT {
                self.lent.store(TAKEN, Relaxed);
            }
            return Poll::Ready(Next::Message(envelope));
        }
        if std::mem::take(&mut state.evict) {
            return Poll::Ready(Next::Evict);
        }
        self.idle.store(true, Relaxed);
        state.parked = true;
        Poll::Pending
    }

    /// The executor ends. False if something came meanwhile and it must go on.
    pub fn rest(&self) -> bool {
        let mut state = self.state.lock();
        let asked = state.stop.is_some() || state.restart || state.snapshot || !state.asked.is_empty();
        if asked || !state.queue.is_empty() {
            return false;
        }
        state.running = false;
        self.idle.store(false, Relaxed);
        state.evict = false;
        state.task = None;
        state.parked = false;
        state.ending.clear();
        true
    }

    /// The executor ends whatever waits.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.running = false;
        self.idle.store(false, Relaxed);
        state.task = None;
        state.parked = false;
        state.asked.clear();
        state.ending.clear();
    }

    /// Other settings: room for so many messages from now on. What waits stays.
    pub fn resize(&self, limit: NonZeroU32) {
        self.state.lock().limit = limit.get();
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
        state.infos = 0;
        state.queue.drain(..).collect()
    }

    /// No more messages; what waits stays.
    pub fn shut(&self) {
        self.state.lock().closed = true;
    }

    /// Takes messages again, after [`shut`](Self::shut).
    pub fn open_again(&self) {
        self.state.lock().closed = false;
    }

    /// True while a place is reserved and not filled.
    pub fn expects(&self) -> bool {
        let state = self.state.lock();
        state.reserved > 0 || state.reserved_infos > 0
    }

    /// What waits and stands in the inbox table, in order, where `which`.
    pub fn waiting(&self, which: impl Fn(&Envelope) -> bool) -> Vec<(Arc<Message>, u64)> {
        let state = self.state.lock();
        let shown = state.queue.iter().filter(|envelope| which(envelope));
        shown.filter_map(|envelope| Some((envelope.message.clone(), envelope.arrival?))).collect()
    }

    /// Takes the messages out for which `which` is true.
    pub fn take_where(&self, which: impl Fn(&Envelope) -> bool) -> Vec<Envelope> {
        let mut state = self.state.lock();
        let (taken, rest): (Vec<_>, VecDeque<_>) = std::mem::take(&mut state.queue).into_iter().fold(
            (Vec::new(), VecDeque::new()),
            |(mut taken, mut rest), envelope| {
                if which(&envelope) {
                    taken.push(envelope);
                } else {
                    rest.push_back(envelope);
                }
                (taken, rest)
            },
        );
        state.infos = rest.iter().filter(|envelope| envelope.message.kind == MessageKind::Info).count() as u32;
        state.queue = rest;
        taken
    }

    /// Hands back who waits for an answer to a message that waits.
    pub fn hang_up(&self) -> Vec<ReplyTo> {
        self.state.lock().queue.iter_mut().filter_map(|envelope| envelope.reply.take()).collect()
    }

    /// The actors that wait for an answer to a message that waits.
    pub fn askers(&self) -> Vec<Asker> {
        self.state.lock().queue.iter().filter_map(|envelope| envelope.message.asker.clone()).collect()
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

impl State {
    /// No place for a message of an actor or a client.
    fn full(&self) -> bool {
        self.queue.len() - self.infos as usize + self.reserved as usize >= self.limit as usize
    }

    fn push_back(&mut self, envelope: Envelope) {
        if envelope.message.kind == MessageKind::Info {
            self.infos += 1;
        }
        self.queue.push_back(envelope);
    }
}

/// How much of what the runtime itself sends may wait: ends of others, timers, items of topics.
fn infos(limit: u32) -> u32 {
    limit.saturating_mul(4).saturating_add(1024)
}

/// What there is to do for what has come in.
fn start(state: &mut State) -> Roused {
    if !state.running {
        state.running = true;
        return Roused::Executor;
    }
    if !std::mem::take(&mut state.parked) {
        return Roused::Nothing;
    }
    state.task.clone().map_or(Roused::Nothing, Roused::Parked)
}

/// Wakes the executor, or says that one is needed.
fn rouse(mut state: parking_lot::MutexGuard<'_, State>) -> bool {
    match start(&mut state) {
        Roused::Nothing => false,
        Roused::Executor => true,
        Roused::Parked(task) => {
            drop(state);
            task.wake();
            false
        }
    }
}
