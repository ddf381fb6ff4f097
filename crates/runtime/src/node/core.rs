//! The state of a node behind its API: what actors, services and host functions share.
//!
//! Owns the store, the clocks, the components, every actor's cell, and the permits for live instances. Promises: an actor has at
//! most one executor; a node whose log has stopped releases nothing more.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};

use foldhash::fast::RandomState;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use troupe_log::body::FaultCause;
use troupe_log::{ActorId, NodeTime, Position, Seq, Store, WallTime};

use crate::actor::cell::{Cell, Life, Status};
use crate::actor::config::Config;
use crate::actor::cut::Cut;
use crate::actor::ending::EndCause;
use crate::actor::executor::{Executor, evictable};
use crate::actor::keys::{self, Looked};
use crate::actor::live::Fall;
use crate::actor::mailbox::{Next, Refused, Roused};
use crate::actor::message::{Answer, Asker, CallError, Envelope, Gate, Message, MessageId, ReplyTo};
use crate::actor::task::{Driver, Task};
use crate::actor::ticker::Ticker;
use crate::boundary::derived;
use crate::boundary::{About, Claim, Level, Registry, Reserved, SecretKey, Secrets, Services, TimerChange};
use crate::component::{Code, Components};
use crate::env::{Entropy, NodeClock};
use crate::error::{Error, Result};
use crate::manifest::{ComponentRef, Grants, Mode};
use crate::node::phases::Watch;
use crate::node::routes::Routes;
use crate::service::deadletters::DeadLetters;
use crate::service::http::client::Trust;
use crate::service::timers::{Name, Timers};
use crate::service::waits::Waits;
use crate::service::{Party, Shared};

/// A node's state.
pub struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: NodeClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) components: Components,
    pub(crate) waits: Waits,
    pub(crate) timers: Timers,
    pub(crate) dead: Arc<DeadLetters>,
    pub(crate) shared: Shared,
    /// Names of actors that are being spawned in steps that are not committed.
    pub(crate) unborn: Mutex<HashSet<ActorId>>,
    /// How many living actors each has spawned.
    pub(crate) children: Mutex<HashMap<ActorId, u32>>,
    pub(crate) routes: Routes,
    pub(crate) ticker: Ticker,
    pub(crate) actors: RwLock<HashMap<ActorId, Arc<Cell>, RandomState>>,
    pub(crate) live_limit: u32,
    pub(crate) watch: Option<Arc<dyn Watch>>,
    pub(crate) secret_key: SecretKey,
    trust: Trust,
    permits: Arc<Semaphore>,
    /// How many wait for a permit.
    wanting: AtomicUsize,
    /// Cells that were given an instance, for the one who evicts; those without are dropped on the way.
    clock_hand: Mutex<(Vec<Weak<Cell>>, usize)>,
    pub(crate) runtime: tokio::runtime::Handle,
    boot: u64,
    messages: AtomicU64,
    pub(crate) arrivals: AtomicU64,
    /// Numbers requests of clients.
    pub(crate) clients: AtomicU64,
    /// One actor comes at a time.
    pub(crate) coming: tokio::sync::Mutex<()>,
    closing: watch::Sender<bool>,
    is_closing: AtomicBool,
    /// One for each executor; closing waits until they are gone.
    executors: watch::Sender<usize>,
    halted: OnceLock<String>,
    me: Weak<Core>,
}

/// What a core is made of.
pub(crate) struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: NodeClock,
    pub entropy: Arc<dyn Entropy>,
    pub registry: Arc<Registry>,
    pub components: Components,
    pub ticker: Ticker,
    pub live: u32,
    pub arrivals: u64,
    pub secret_key: SecretKey,
    pub trust: Trust,
    pub watch: Option<Arc<dyn Watch>>,
}

impl Core {
    pub(crate) fn new(parts: Parts) -> Arc<Core> {
        let Parts { store, clock, entropy, registry, components, ticker, live, arrivals, secret_key, trust, watch } =
            parts;
        let mut boot = [0; 8];
        entropy.fill(&mut boot);
        Arc::new_cyclic(|me| Core {
            waits: Waits::new(clock.clone()),
            timers: Timers::new(clock.clone()),
            dead: Arc::default(),
            shared: Shared::default(),
            unborn: Mutex::default(),
            children: Mutex::default(),
            routes: Routes::default(),
            store,
            clock,
            entropy,
            registry,
            components,
            ticker,
            actors: RwLock::default(),
            live_limit: live,
            watch,
            secret_key,
            trust,
            permits: Arc::new(Semaphore::new(live as usize)),
            wanting: AtomicUsize::new(0),
            clock_hand: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            boot: u64::from_le_bytes(boot),
            messages: AtomicU64::new(0),
            arrivals: AtomicU64::new(arrivals),
            clients: AtomicU64::new(0),
            coming: tokio::sync::Mutex::default(),
            closing: watch::channel(false).0,
            is_closing: AtomicBool::new(false),
            executors: watch::channel(0).0,
            halted: OnceLock::new(),
            me: me.clone(),
        })
    }

    pub(crate) fn me(&self) -> Option<Arc<Core>> {
        self.me.upgrade()
    }

    pub(crate) fn services(self: &Arc<Self>) -> Arc<dyn Services> {
        self.clone()
    }

    // ---- actors ----

    /// The number of a new inbox entry.
    pub(crate) fn next_arrival(&self) -> u64 {
        self.arrivals.fetch_add(1, Relaxed)
    }

    pub(crate) fn cell(&self, id: &ActorId) -> Option<Arc<Cell>> {
        self.actors.read().get(id).cloned()
    }

    /// Gives a cell an executor. The caller has marked it as running.
    pub(crate) fn schedule(&self, cell: Arc<Cell>) {
        self.spawn(cell, |executor| executor.run());
    }

    /// Resumes an actor with an open turn, then works on.
    pub(crate) fn schedule_resume(&self, cell: Arc<Cell>) {
        self.spawn(cell, |executor| executor.resume_and_run());
    }

    /// Begins a life, then works on. Of one that is `committed` already, a failure is its end.
    pub(crate) fn schedule_begin(&self, cell: Arc<Cell>, begun: oneshot::Sender<Result<Gate>>, committed: bool) {
        self.spawn(cell.clone(), |mut executor| async move {
            let gate = Box::pin(executor.begin()).await;
            let begins = gate.is_ok();
            if let Err(error) = &gate
                && committed
            {
                executor.stillborn(error);
            }
            // Whoever asked may have gone away; the actor lives all the same.
            let _ = begun.send(gate);
            if begins {
                executor.run().await;
            } else {
                cell.mailbox.abandon();
            }
        });
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, cell: Arc<Cell>, work: impl FnOnce(Executor) -> F) {
        let Some(core) = self.me.upgrade() else { return };
        core.executors.send_modify(|running| *running += 1);
        let task = Task::new(Box::pin(work(Executor::new(core.clone(), cell.clone()))));
        cell.mailbox.attach(task.clone());
        let running = Running { core, cell };
        self.runtime.spawn(async move {
            let _running = running;
            Driver::new(task).await;
        });
    }

    /// Sees to a message that has come in. A caller that will wait for the answer lends its thread if it may.
    pub(crate) fn rouse(&self, cell: &Arc<Cell>, roused: Roused, waits: bool) {
        match roused {
            Roused::Nothing => {}
            Roused::Executor => self.schedule(cell.clone()),
            Roused::Parked(task) if waits && self.at_home() => task.lend(&cell.mailbox),
            Roused::Parked(task) => task.wake(),
        }
    }

    /// Whether this thread is in the node's runtime, whose timers turns need.
    fn at_home(&self) -> bool {
        tokio::runtime::Handle::try_current().is_ok_and(|here| here.id() == self.runtime.id())
    }

    /// A permit for an instance: a free one, or that of an idle actor, which is evicted; otherwise waits for one.
    pub(crate) async fn admit(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        // Counted before the look for an idle one: who falls idle after it sees the count.
        self.wanting.fetch_add(1, Relaxed);
        self.evict_one();
        let permit = self.permits.clone().acquire_owned().await;
        self.wanting.fetch_sub(1, Relaxed);
        permit.map_err(|_| Error::Internal { what: "no more permits".to_owned() })
    }

    /// True while an actor waits for an instance.
    pub(crate) fn wanted(&self) -> bool {
        self.wanting.load(Relaxed) > 0
    }

    /// An error if an actor without instance cannot get one now: all others are busy.
    pub(crate) fn room(&self, cell: Option<&Cell>) -> Result<()> {
        if self.permits.available_permits() > 0 || cell.is_some_and(|cell| cell.mailbox.running()) || self.evict_one() {
            return Ok(());
        }
        Err(Error::AllBusy { live: self.live_limit })
    }

    pub(crate) fn has_instance(&self, cell: &Arc<Cell>) {
        let mut guard = self.clock_hand.lock();
        if !cell.listed.swap(true, Relaxed) {
            guard.0.push(Arc::downgrade(cell));
        }
    }

    /// Asks an idle actor that was not used lately to give its instance up. False if all are busy.
    fn evict_one(&self) -> bool {
        let mut guard = self.clock_hand.lock();
        let (cells, hand) = &mut *guard;
        let mut looks = 2 * cells.len();
        while looks > 0 && !cells.is_empty() {
            looks -= 1;
            if *hand >= cells.len() {
                *hand = 0;
            }
            let cell = cells[*hand].upgrade();
            let Some(cell) = cell.as_ref().filter(|cell| cell.mailbox.running()) else {
                if let Some(cell) = cell {
                    cell.listed.store(false, Relaxed);
                }
                cells.swap_remove(*hand);
                continue;
            };
            let recent = cell.used.swap(false, Relaxed);
            if !recent && cell.mailbox.idle() && evictable(cell) {
                cells.swap_remove(*hand);
                cell.listed.store(false, Relaxed);
                cell.mailbox.ask(Next::Evict);
                return true;
            }
            *hand += 1;
        }
        false
    }

    /// A new life of the same actor: from init, with its inbox, keys and timers.
    pub(crate) fn renew(&self, cell: &Arc<Cell>) -> Result<()> {
        crate::node::renew(&mut cell.life.lock());
        self.route_changed(cell);
        Ok(())
    }

    /// The actor's life has ended.
    pub(crate) fn ended(&self, cell: &Arc<Cell>) {
        self.count_child(cell.life.lock().entry.parent.as_ref(), false);
        if cell.life.lock().config.mode == Mode::Off {
            let mut actors = self.actors.write();
            if actors.get(&cell.id).is_some_and(|there| Arc::ptr_eq(there, cell)) {
                actors.remove(&cell.id);
            }
        }
        self.route_changed(cell);
    }

    /// Puts a cell back that has left with its life; false if another has its place by now.
    pub(crate) fn put_back(&self, cell: &Arc<Cell>) -> bool {
        let unborn = self.unborn.lock();
        let mut actors = self.actors.write();
        match actors.get(&cell.id) {
            Some(there) => Arc::ptr_eq(there, cell),
            None if unborn.contains(&cell.id) => false,
            None => {
                actors.insert(cell.id.clone(), cell.clone());
                true
            }
        }
    }

    /// The life of an actor began or ended: who is served on a route is looked up again.
    fn route_changed(&self, cell: &Cell) {
        if cell.life.lock().config.http.is_some() {
            self.routes.forget();
        }
    }

    /// Why an actor does not go on.
    pub(crate) fn why_not(&self, cell: &Cell) -> Error {
        if let Some(why) = self.halted.get() {
            return Error::Internal { what: why.clone() };
        }
        match &cell.life.lock().status {
            Status::Quarantined(why) => Error::Quarantined { actor: cell.id.clone(), why: why.clone() },
            Status::Moved(why) => Error::Moved { actor: cell.id.clone(), why: why.clone() },
            Status::Ready | Status::Stopped(_) => Error::NoActor(cell.id.clone()),
        }
    }

    // ---- the node's end ----

    /// The log has stopped: nothing more is released.
    pub(crate) fn halt(&self, why: &str) {
        if self.halted.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the node stops");
            self.close_executors();
            if let Some(core) = self.me.upgrade() {
                self.runtime.spawn(async move { core.close().await });
            }
        }
    }

    /// What a caller hears when no answer comes any more.
    pub(crate) fn gone(&self) -> CallError {
        let why = match self.halted.get() {
            Some(why) => format!("the node has stopped: {why}"),
            None => "the node is closing".to_owned(),
        };
        CallError::Unavailable(format!("{why}; a repeat with the same idempotency key is safe"))
    }

    /// Waits until an answer may leave the node. A log that failed stops the node.
    pub(crate) async fn open(&self, gate: Gate) -> Result<(), CallError> {
        let Err(error) = gate.open(&*self.store).await else { return Ok(()) };
        if !self.is_closing() {
            self.halt(&error.to_string());
        }
        Err(CallError::Unavailable(error.to_string()))
    }

    pub(crate) fn halted(&self, why: &str) -> Error {
        self.halt(why);
        Error::Internal { what: why.to_owned() }
    }

    pub(crate) fn why_halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Relaxed)
    }

    fn close_executors(&self) {
        self.is_closing.store(true, Relaxed);
        self.closing.send_replace(true);
        for cell in self.actors.read().values() {
            if cell.mailbox.running() {
                cell.mailbox.ask(Next::Close);
            }
        }
    }

    /// Ends every executor: between two turns, or in the middle of a wait, which goes on at the next start.
    pub(crate) async fn close(&self) {
        self.close_executors();
        let mut running = self.executors.subscribe();
        // The sender lives in self, so this ends only when all are gone.
        let _ = running.wait_for(|running| *running == 0).await;
        let gone = self.gone();
        let cells: Vec<Arc<Cell>> = self.actors.read().values().cloned().collect();
        for cell in cells {
            cell.hang_up(&gone);
        }
    }

    /// Ends when the node closes or halts.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// What ends a parked turn from outside: its deadline, the node's end, or somebody who cuts it.
    pub(crate) fn alarm(&self, deadline: Option<NodeTime>, cut: Option<Cut>) -> BoxFuture<'static, Fall> {
        let mut closing = self.closing.subscribe();
        let passed = || Fall::Fault(FaultCause::Deadline, "the deadline of the turn has passed".to_owned());
        let sleep = deadline.map(|deadline| self.clock.sleep_until(deadline));
        Box::pin(async move {
            let closed = async {
                let _ = closing.wait_for(|closing| *closing).await;
            };
            let sleep = async {
                match sleep {
                    Some(sleep) => sleep.await,
                    None => std::future::pending().await,
                }
            };
            let cut = async {
                match cut {
                    Some(cut) => cut.asked().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => passed(),
                () = closed => Fall::Closing,
                why = cut => Fall::Fault(FaultCause::Kill, why),
            }
        })
    }
}

/// Counts an executor, and takes note if it panics.
struct Running {
    core: Arc<Core>,
    cell: Arc<Cell>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A defect of the runtime. The journal has every committed step, so nothing is lost; nobody may wait for ever.
            let why = "the runtime panicked in a turn: a defect of Troupe, see its log".to_owned();
            self.cell.life.lock().status = Status::Quarantined(why.clone());
            self.cell.mailbox.shut();
            self.cell.hang_up(&CallError::Internal(why));
            self.cell.mailbox.abandon();
        }
        self.core.executors.send_modify(|running| *running -= 1);
    }
}

impl Services for Core {
    fn secrets(&self, grants: &Grants) -> Arc<Secrets> {
        Arc::new(Secrets::of(grants, Some(self.secret_key)))
    }
    fn tls(&self) -> Arc<tokio_rustls::rustls::ClientConfig> {
        self.trust.config()
    }
    fn node_time(&self) -> NodeTime {
        self.clock.now()
    }

    fn wall_time(&self) -> WallTime {
        self.clock.wall()
    }

    fn entropy(&self, out: &mut [u8]) {
        self.entropy.fill(out);
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    fn past(&self, about: &About, tail: Option<Position>, next: Seq, most: usize) -> wasmtime::Result<Vec<u8>> {
        // Nothing is committed yet.
        let Some(tail) = tail else { return Ok(Vec::new()) };
        derived::read(&mut self.store.journal(&about.id, about.incarnation, tail, Seq(0))?, next, most)
    }

    fn waits(&self) -> &Waits {
        &self.waits
    }

    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        self.watch.as_ref()
    }

    fn timer(&self, change: TimerChange) {
        match change {
            TimerChange::Arm(timer) => self.timers.arm(timer),
            TimerChange::Cancel(wait) => drop(self.timers.take(&Name::Wait(wait))),
        }
    }

    fn message_id(&self) -> MessageId {
        let count = self.messages.fetch_add(1, Relaxed);
        MessageId(u128::from(self.boot) << 64 | u128::from(count))
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn party(&self) -> &dyn Party {
        self
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn reserve(&self, to: &ActorId, size: usize, info: bool) -> Result<Box<dyn Reserved>, CallError> {
        let cell = self.cell(to).ok_or_else(|| CallError::NotFound(to.to_string()))?;
        self.reserve_in(&cell, size, info)
    }

    fn code(&self, reference: ComponentRef) -> BoxFuture<'_, Result<Arc<Code>>> {
        Box::pin(async move { self.components.resolve(&reference).await })
    }

    fn config_of(&self, actor: &ActorId) -> Option<Config> {
        self.cell(actor).map(|cell| (*cell.life.lock().config).clone())
    }

    fn core(&self) -> Option<Arc<Core>> {
        self.me.upgrade()
    }

    fn ask_stop(&self, actor: &ActorId, reason: &str) {
        let Some(cell) = self.cell(actor) else { return };
        if cell.mailbox.ask(Next::Stop(EndCause::Normal, reason.to_owned())) {
            self.schedule(cell);
        }
    }

    fn ask_restart(&self, actor: &ActorId) {
        let Some(cell) = self.cell(actor) else { return };
        if cell.mailbox.ask(Next::Restart) {
            self.schedule(cell);
        }
    }

    fn reserve_in(&self, cell: &Arc<Cell>, size: usize, info: bool) -> Result<Box<dyn Reserved>, CallError> {
        if info && matches!(cell.life.lock().status, Status::Moved(_)) {
            // Who tells of something must not try for ever.
            return Err(CallError::NotFound(cell.id.to_string()));
        }
        let recorded = if info { hears(cell)? } else { self.accepts(cell, size)? };
        cell.mailbox.reserve(info).map_err(|refused| self.refused(cell, refused))?;
        let arrival = self.next_arrival();
        let core = self.me.upgrade().ok_or_else(|| CallError::Unavailable("the node is closing".to_owned()))?;
        Ok(Box::new(Place { core, cell: Some(cell.clone()), arrival, recorded, info }))
    }

    fn claim_key(&self, to: &ActorId, message: &Message, reply: ReplyTo) -> Result<Option<Claim>, CallError> {
        let cell = self.cell(to).ok_or_else(|| CallError::NotFound(to.to_string()))?;
        self.reachable(&cell)?;
        let Some(key) = &message.key else { return Err(CallError::Invalid("a call without a key".to_owned())) };
        let (about, fingerprint) = (cell.life.lock().about.clone(), message.fingerprint());
        let name = (message.from.clone(), key.clone());
        let looked = about.keys.lock().look(&name, fingerprint, reply, self.clock.wall(), about.limits.max_keys)?;
        Ok(match looked {
            Looked::Repeat => None,
            Looked::New(reply) => Some(Claim::new(about.keys.clone(), name, fingerprint, reply)),
        })
    }

    fn follow(&self, asker: Asker, answer: oneshot::Receiver<Answer>) {
        let Some(core) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            // Without an answer the node is closing; the wait goes on at its next start.
            if let Ok(Answer { result, gate }) = answer.await {
                core.answer(asker, &result, gate);
            }
        });
    }

    fn ask_again(&self, to: &ActorId, key: Option<keys::Name>, asker: Asker) {
        let Some(cell) = self.cell(to).filter(|cell| !matches!(cell.life.lock().status, Status::Stopped(_))) else {
            return self.answer(asker, &Err(CallError::NotFound(to.to_string())), Gate::default());
        };
        let moved = match &cell.life.lock().status {
            Status::Moved(why) => Some(Error::Moved { actor: to.clone(), why: why.clone() }),
            _ => None,
        };
        if let Some(error) = moved {
            return self.answer(asker, &Err(CallError::Unavailable(error.to_string())), Gate::default());
        }
        let about = cell.life.lock().about.clone();
        if about.mode == Mode::Off {
            let why = format!("the node has started again, and {to} has no journal: what it was asked is lost");
            return self.answer(asker, &Err(CallError::Unavailable(why)), Gate::default());
        }
        let Some(name) = key else { return };
        let (reply, answer) = oneshot::channel();
        match about.keys.lock().attach(&name, reply) {
            true => self.follow(asker, answer),
            // It expired, or its letter is dead.
            false => self.answer(asker, &Err(CallError::Timeout), Gate::default()),
        }
    }

    fn log(&self, actor: &ActorId, level: Level, message: &str) {
        let actor = actor.as_str();
        match level {
            Level::ERROR => tracing::error!(target: "guest", actor, "{message}"),
            Level::WARN => tracing::warn!(target: "guest", actor, "{message}"),
            Level::INFO => tracing::info!(target: "guest", actor, "{message}"),
            Level::DEBUG => tracing::debug!(target: "guest", actor, "{message}"),
            Level::TRACE => tracing::trace!(target: "guest", actor, "{message}"),
        }
    }
}

impl Core {
    /// Whether an actor takes messages at all.
    pub(crate) fn reachable(&self, cell: &Cell) -> Result<(), CallError> {
        if self.is_closing() {
            return Err(self.gone());
        }
        takes_messages(cell, &cell.life.lock())
    }

    /// Whether a message of this size can be accepted for an actor now; true if it must stand in the inbox table.
    pub(crate) fn accepts(&self, cell: &Cell, size: usize) -> Result<bool, CallError> {
        if self.is_closing() {
            return Err(self.gone());
        }
        let (mode, limit, journal) = {
            let life = cell.life.lock();
            takes_messages(cell, &life)?;
            let full = life.about.limits.max_journal.filter(|most| life.tip.bytes >= most.0);
            (life.about.mode, life.about.limits.payload.0, full)
        };
        if size as u64 > limit {
            return Err(CallError::TooLarge { actor: cell.id.to_string(), size: size as u64, limit });
        }
        if let Some(limit) = journal {
            return Err(CallError::Exhausted(format!("the journal of {} has reached max-journal = {limit}", cell.id)));
        }
        self.room(Some(cell)).map_err(|error| CallError::Exhausted(error.to_string()))?;
        if mode == Mode::Off {
            return Ok(false);
        }
        self.store.accepting().map_err(|error| match error {
            error @ troupe_log::Error::DiskFull { .. } => CallError::Exhausted(error.to_string()),
            error => CallError::Unavailable(error.to_string()),
        })?;
        Ok(true)
    }

    pub(crate) fn refused(&self, cell: &Cell, refused: Refused) -> CallError {
        match refused {
            Refused::Full => CallError::MailboxFull { actor: cell.id.to_string(), limit: cell.mailbox.limit() },
            Refused::Closed => match self.why_not(cell) {
                Error::NoActor(id) => CallError::NotFound(id.to_string()),
                error => CallError::Unavailable(error.to_string()),
            },
        }
    }
}

/// Whether what the runtime says must stand in the inbox table. It is said to whoever lives, whatever their limits and their state.
fn hears(cell: &Cell) -> Result<bool, CallError> {
    let life = cell.life.lock();
    match &life.status {
        Status::Ready | Status::Quarantined(_) if !life.ending => Ok(life.about.mode != Mode::Off),
        _ => Err(CallError::NotFound(cell.id.to_string())),
    }
}

/// An error if the actor's life has ended, or waits for an operator.
fn takes_messages(cell: &Cell, life: &Life) -> Result<(), CallError> {
    match &life.status {
        Status::Ready => Ok(()),
        Status::Stopped(_) => Err(CallError::NotFound(cell.id.to_string())),
        Status::Moved(why) => {
            let error = Error::Moved { actor: cell.id.clone(), why: why.clone() };
            Err(CallError::Unavailable(error.to_string()))
        }
        Status::Quarantined(why) => {
            let error = Error::Quarantined { actor: cell.id.clone(), why: why.clone() };
            Err(CallError::Unavailable(error.to_string()))
        }
    }
}

/// A reserved place in a mailbox.
struct Place {
    core: Arc<Core>,
    cell: Option<Arc<Cell>>,
    arrival: u64,
    recorded: bool,
    info: bool,
}

impl Reserved for Place {
    fn arrival(&self) -> u64 {
        self.arrival
    }

    fn recorded(&self) -> bool {
        self.recorded
    }

    fn deliver(mut self: Box<Self>, envelope: Envelope, waits: bool) {
        if let Some(cell) = self.cell.take() {
            let roused = cell.mailbox.fill(envelope);
            self.core.rouse(&cell, roused, waits);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            cell.mailbox.release(self.info);
        }
    }
}
