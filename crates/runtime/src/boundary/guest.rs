//! What stands behind a running instance: the data of its store.
//!
//! Owns the recorder, the resources, the limits, and what the current turn has staged. Promises: nothing that is staged
//! is seen by anybody before [`Guest::commit`] has appended it together with the step's records.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use troupe_log::codec::{put_u8, put_u64};
use troupe_log::{ActorId, Batch, Digest, Incarnation, Kind, NodeTime, Position, Seq, Store, Table, WallTime};
use wasmtime::component::ResourceTable;

use super::error::{CommitFailed, Denied, LimitReached};
use super::limiter::Limiter;
use super::recordable::Recordable;
use super::recorder::{Recalled, Recorder};
use super::secrets::Secrets;
use super::staging::{Committed, Staging};
use crate::actor::cell::Cell;
use crate::actor::config::Config;
use crate::actor::cut::Cut;
use crate::actor::ending::EndCause;
use crate::actor::keys::{self, Keys};
use crate::actor::message::{Answer, Asker, CallError, Envelope, Gate, Message, MessageId, MessageKind, ReplyTo};
use crate::actor::promise::{self, Promise};
use crate::component::Code;
use crate::contract::theater::ActorState;
use crate::manifest::{ComponentRef, Grants, Limits, Mode};
use crate::node::births::{self, Birth};
use crate::node::core::Core;
use crate::node::phases::Watch;
use crate::service::command::Running;
use crate::service::http::Bounds;
use crate::service::http::streaming::Client;
use crate::service::timers::{self, Timer, Timers};
use crate::service::waits::{WaitId, Waits};
use crate::service::{End, Ended, Info, Party, Shared, Which};
use crate::supervision::machine::Moment;

/// The guest's log levels.
pub use tracing::Level;

/// What host functions and contracts may ask of the node. In replay it is a node that refuses all of it.
pub trait Services: Send + Sync + 'static {
    /// Node time now.
    fn node_time(&self) -> NodeTime;
    /// Wall time now.
    fn wall_time(&self) -> WallTime;
    /// Fills `out` with randomness.
    fn entropy(&self, out: &mut [u8]);
    /// The node's log.
    fn store(&self) -> &Arc<dyn Store>;
    /// The records of an actor's own life before `next`, in replay too: what is derived from a journal is made again from that
    /// journal. An error if they take more than `most` bytes.
    fn past(&self, about: &About, tail: Option<Position>, next: Seq, most: usize) -> wasmtime::Result<Vec<u8>> {
        let _ = (about, tail, next, most);
        absent()
    }
    /// Answers that turns wait for.
    fn waits(&self) -> &Waits;
    /// Who hears what the node is in the middle of.
    fn watch(&self) -> Option<&Arc<dyn Watch>> {
        None
    }
    /// Arms or disarms a timer that was committed.
    fn timer(&self, change: TimerChange);
    /// A new message id.
    fn message_id(&self) -> MessageId;
    /// Reserves a place in a mailbox; what the runtime itself sends (`info`) has places of its own.
    fn reserve(&self, to: &ActorId, size: usize, info: bool) -> Result<Box<dyn Reserved>, CallError>;
    /// What actors share.
    fn shared(&self) -> &Shared;
    /// What commits without a guest, and what a step of one stages that others do too.
    fn party(&self) -> &dyn Party;
    /// The node's timers.
    fn timers(&self) -> &Timers;
    /// The code of a component that is loaded.
    fn code(&self, reference: ComponentRef) -> BoxFuture<'_, crate::error::Result<Arc<Code>>> {
        let _ = reference;
        absent()
    }
    /// What an actor lives under.
    fn config_of(&self, actor: &ActorId) -> Option<Config> {
        let _ = actor;
        absent()
    }
    /// The node itself.
    fn core(&self) -> Option<Arc<Core>> {
        absent()
    }
    /// Asks for the end of an actor's life, after the turn in hand.
    fn ask_stop(&self, actor: &ActorId, reason: &str) {
        let _ = (actor, reason);
        absent()
    }
    /// Asks for a new life in place of the one that there is, after the turn in hand.
    fn ask_restart(&self, actor: &ActorId) {
        let _ = actor;
        absent()
    }
    /// Reserves a place in this mailbox.
    fn reserve_in(&self, cell: &Arc<Cell>, size: usize, info: bool) -> Result<Box<dyn Reserved>, CallError> {
        let _ = (cell, size, info);
        absent()
    }
    /// Claims an idempotency key of a call that one of its actors makes. None if the call was made before: `reply` gets its answer.
    fn claim_key(&self, to: &ActorId, message: &Message, reply: ReplyTo) -> Result<Option<Claim>, CallError>;
    /// Hands the answer on to an actor that waits for it, when it comes.
    fn follow(&self, asker: Asker, answer: oneshot::Receiver<Answer>);
    /// After a restart an actor waits again for what it had asked of `to`: sees to it that an answer comes.
    fn ask_again(&self, to: &ActorId, key: Option<keys::Name>, asker: Asker);
    /// The values of the secrets that are granted.
    fn secrets(&self, grants: &Grants) -> Arc<Secrets> {
        let _ = grants;
        Arc::default()
    }
    /// How servers over TLS are known.
    fn tls(&self) -> Arc<tokio_rustls::rustls::ClientConfig> {
        absent()
    }
    /// A line that the guest logs.
    fn log(&self, actor: &ActorId, level: Level, message: &str);
}

/// Of a node that is not there.
fn absent() -> ! {
    panic!("a replay touched an actor: a call was not answered from the journal")
}

/// A place in a mailbox, given back if it is dropped unused.
pub trait Reserved: Send {
    /// Number of the inbox entry.
    fn arrival(&self) -> u64;
    /// Whether the entry must be put into the inbox table.
    fn recorded(&self) -> bool;
    /// Puts the message there. Who `waits` for the answer lends its thread.
    fn deliver(self: Box<Self>, envelope: Envelope, waits: bool);
}

/// An idempotency key that a step claims. Dropped before the step is committed, it is free again.
pub struct Claim {
    keys: Arc<Mutex<Keys>>,
    name: keys::Name,
    fingerprint: Digest,
    reply: Option<ReplyTo>,
}

impl Claim {
    /// Of these keys; `reply` gets the answer.
    pub fn new(keys: Arc<Mutex<Keys>>, name: keys::Name, fingerprint: Digest, reply: ReplyTo) -> Claim {
        Claim { keys, name, fingerprint, reply: Some(reply) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.reply.is_some() {
            let why = CallError::Unavailable("the call was taken back before it was made".to_owned());
            self.keys.lock().free(&self.name, &why, Gate::default());
        }
    }
}

/// A committed change of the node's timers.
#[derive(Clone, Debug)]
pub enum TimerChange {
    /// Fires at its time.
    Arm(Timer),
    /// Does not fire any more.
    Cancel(WaitId),
}

/// What an actor lives under. Settings change between two turns, by another of these that shares what is not a setting.
pub struct About {
    /// The actor.
    pub id: ActorId,
    /// Its life.
    pub incarnation: Incarnation,
    /// How its journal is kept.
    pub mode: Mode,
    /// What it may use.
    pub grants: Grants,
    /// What it may use up.
    pub limits: Limits,
    /// Imported interfaces and the actors that serve them.
    pub bind: BTreeMap<String, String>,
    /// Who spawned it.
    pub parent: Option<ActorId>,
    /// Callers that were promised an answer in a later turn.
    pub promised: Arc<Mutex<HashMap<String, Promise>>>,
    /// Idempotency keys.
    pub keys: Arc<Mutex<Keys>>,
    /// The end of what its state depends on in the log.
    pub seen: Arc<AtomicU64>,
    /// Whether the turn in progress is to end now.
    pub cut: Cut,
    /// Live resources that the instance holds, which end with it: while there are any, it is not given up to another actor.
    pub held: Arc<AtomicU32>,
}

impl About {
    /// The same life under these settings.
    pub fn under(&self, config: &Config) -> About {
        About {
            id: self.id.clone(),
            incarnation: self.incarnation,
            mode: config.mode,
            grants: config.grants.clone(),
            limits: config.limits.clone(),
            bind: config.bind.clone(),
            parent: self.parent.clone(),
            promised: self.promised.clone(),
            keys: self.keys.clone(),
            seen: self.seen.clone(),
            cut: self.cut.clone(),
            held: self.held.clone(),
        }
    }

    /// What a turn depends on: what its message has seen, and what earlier turns had, for the state has it from them. The
    /// batches of a durable actor lie behind all that it has seen.
    pub fn depends_on(&self, seen: Gate) -> Gate {
        if self.mode == Mode::Durable {
            return seen;
        }
        let (now, before) = (seen.durable.map_or(0, |position| position.0 + 1), self.seen.load(Relaxed));
        if now > before {
            // Only turns with an instance each overlap.
            self.seen.fetch_max(now, Relaxed);
        }
        Gate { durable: now.max(before).checked_sub(1).map(Position), ..seen }
    }
}

/// What a turn does besides its records; applied once they are committed.
pub enum Staged {
    /// A message goes into a mailbox.
    Send(Box<dyn Reserved>, Arc<Message>),
    /// The turn's own message goes into another mailbox, and with it who waits for the answer.
    Hand(Box<dyn Reserved>, Arc<Message>),
    /// A call with an idempotency key goes into a mailbox.
    Claimed(Box<(Box<dyn Reserved>, Arc<Message>, Claim)>),
    /// The answer that comes there is that of a wait.
    Follow(Asker, oneshot::Receiver<Answer>),
    /// A timer starts or ends.
    Timer(TimerChange),
    /// The caller of this turn is promised an answer.
    Promise(String, Promise),
    /// A promised answer is given.
    Keep(Box<Kept>),
    /// An actor that waits for it is answered.
    Answer(Box<ToAsker>),
    /// A service changes.
    Service(Box<dyn Staging>),
}

/// An answer to an actor that waits inside a turn.
pub struct ToAsker {
    asker: Asker,
    /// Empty if nobody wants it any more.
    completion: Vec<u8>,
}

/// An answer to a call whose answer was put off.
pub struct Kept {
    token: String,
    promise: Promise,
    /// True if the promise was made by this very step, and never committed.
    fresh: bool,
    result: Result<Vec<u8>, CallError>,
    until: WallTime,
}

/// Who answers the caller of the current turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answering {
    /// The handler's result.
    #[default]
    Result,
    /// Whoever shows this token later.
    Token(String),
    /// Another actor, once the step is committed.
    Forward,
    /// Another actor.
    Handed,
}

/// The turn in hand.
#[derive(Default)]
pub struct Turn {
    /// Its message; none in hooks.
    pub message: Option<Arc<Message>>,
    /// Who waits for the answer in this process.
    pub reply: Option<ReplyTo>,
    /// What who waits has beside the message.
    pub client: Option<Box<Client>>,
    /// Who answers.
    pub answering: Answering,
    /// Node time and wall time at its begin, where they were looked at.
    pub clocks: Option<(NodeTime, WallTime)>,
    /// When guest computation is killed.
    pub deadline: Option<NodeTime>,
    /// The inbox entry that its first step consumes.
    pub arrival: Option<u64>,
    /// When a wait gives up so that the guest can still answer.
    pub patience: Option<NodeTime>,
    /// The record that began it.
    pub began: Seq,
    /// Steps committed so far.
    pub steps: u32,
    /// What it depends on.
    pub seen: Gate,
    /// Bytes of records committed so far.
    pub journaled: u64,
    /// The newest wait that it began: a fault takes back what stands for it.
    pub wait: Option<WaitId>,
    /// Why the life ends, in its last turn.
    pub ends: Option<EndCause>,
    /// True in save and load and the instantiation between them, where only `host` and what only reads may be called.
    pub restricted: bool,
    pub(crate) staged: Vec<Staged>,
    /// Something of `staged` is a service's.
    pub(crate) shares: bool,
    /// Bytes that the step's batch will have besides what it has.
    pub(crate) promised: usize,
    /// The actor's life ends with the step.
    pub(crate) leaving: Option<(End, String)>,
    /// Actors that the step spawns.
    pub(crate) born: Vec<Arc<Cell>>,
}

/// The data of a running instance's store.
pub struct Guest {
    /// Its records.
    pub recorder: Recorder,
    /// The host's own resources.
    pub table: ResourceTable,
    /// The WASI host's state; made with the instance, none for components that import no WASI.
    pub wasi: Option<Box<crate::host::wasi::Wasi>>,
    /// What its HTTP values may hold.
    pub http: Bounds,
    /// The command that runs in this turn.
    pub command: Option<Running>,
    /// Memory and tables.
    pub limiter: Limiter,
    /// The turn in hand.
    pub turn: Turn,
    /// The actor.
    pub about: Arc<About>,
    /// The node.
    pub node: Arc<dyn Services>,
    /// What the runtime keeps for the guest from turn to turn.
    pub kept: ActorState,
    /// The life before this one, which begins, had not ended.
    pub(crate) follows: bool,
    /// Whom it sent to last, as it names them, and under which grants.
    pub(crate) receiver: Option<(Arc<About>, Box<str>, ActorId)>,
    batch: Batch,
    tail: Option<Position>,
}

/// Marks actors with an open turn that has committed a step; value: the turn's first record.
pub const OPEN_TURNS: Table = Table(32);

/// Host resources that one instance may hold; each takes some hundred bytes of the node.
const MAX_RESOURCES: usize = 16 << 10;

impl Guest {
    /// A guest that goes on behind `tail`.
    pub fn new(about: Arc<About>, node: Arc<dyn Services>, recorder: Recorder, tail: Option<Position>) -> Guest {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut recorder = recorder;
        recorder.secrets = node.secrets(&about.grants);
        about.held.store(0, Relaxed);
        Guest {
            recorder,
            table,
            wasi: None,
            http: Bounds::new(&about.limits),
            command: None,
            kept: ActorState::default(),
            follows: false,
            receiver: None,
            limiter: Limiter::new(&about.limits),
            turn: Turn::default(),
            about,
            node,
            batch: Batch::new(),
            tail,
        }
    }

    /// Goes on under other settings. What the guest holds of its directories it holds of those that are granted now.
    pub fn settle(&mut self, about: Arc<About>) {
        self.limiter.set(&about.limits);
        self.http.set(&about.limits);
        self.recorder.secrets = self.node.secrets(&about.grants);
        if let Some(wasi) = &mut self.wasi {
            wasi.settle(&about, &self.recorder.secrets);
        }
        self.about = about;
    }

    /// Where the newest records of the actor are.
    pub fn tail(&self) -> Option<Position> {
        self.tail
    }

    /// The id of the wait that the next record will begin.
    pub fn wait_id(&mut self) -> WaitId {
        let seq = if self.recorder.recording() {
            self.recorder.chain().next
        } else {
            Seq(unrecorded(self.node.message_id()))
        };
        WaitId { actor: self.about.id.clone(), incarnation: self.about.incarnation, seq }
    }

    /// The host's number of the resource that the guest knows by this one. One of an earlier life is made again here, where
    /// its constructor knows how; none if nothing stands behind it any more.
    pub fn real(&mut self, logical: u32) -> wasmtime::Result<Option<u32>> {
        if let Some(real) = self.recorder.resources.get(logical) {
            return Ok(Some(real));
        }
        let Some((entry, params)) = self.recorder.take_renewal(logical) else { return Ok(None) };
        let Some(renew) = &entry.renew else { return Ok(None) };
        let made = renew(self, logical, &params)?;
        if let Some(real) = made {
            self.recorder.resources.renew(logical, real);
        }
        Ok(made)
    }

    /// A line that the guest logs, without its secrets.
    pub fn say(&self, level: Level, message: &str) {
        self.node.log(&self.about.id, level, &self.recorder.secrets.masked_text(message));
    }

    /// What the guest says for others to read, without its secrets.
    pub fn without_secrets(&self, text: &str) -> String {
        self.recorder.secrets.masked_text(text).into_owned()
    }

    /// Records what the resource of that logical number is made of, so that it can be made again: a record of its own, behind the
    /// call that handed it out. `name` is that of [`Interface::note`](super::Interface::note), on its track.
    pub fn note(&mut self, name: &str, logical: u32, value: impl Recordable) -> wasmtime::Result<()> {
        if self.recorder.recording() {
            let entry = self.recorder.entry(name)?;
            let mark = self.recorder.open(Kind::Call, &entry, &(logical,));
            self.recorder.close(mark, &mut Ok(value));
        }
        Ok(())
    }

    /// In replay, behind the call that handed the resource out: what was noted of it.
    pub fn noted<T: Recordable>(&mut self, name: &str, logical: u32) -> wasmtime::Result<Option<T>> {
        let entry = self.recorder.entry(name)?;
        match self.recorder.recall(&entry, &(logical,))? {
            Recalled::Outcome(range) => Ok(Some(self.recorder.decode(range)?)),
            _ => Ok(None),
        }
    }

    /// An error that the door turns into a denial, for functions whose result has no error case.
    pub fn require(&self, granted: bool, grant: &str) -> wasmtime::Result<()> {
        if granted { Ok(()) } else { Err(Denied { grant: grant.to_owned() }.into()) }
    }

    /// Does this once the step is committed.
    pub fn stage(&mut self, effect: Staged) {
        self.turn.staged.push(effect);
    }

    /// A table change of the step.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.put(table, key, value);
    }

    /// A table change of the step.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.delete(table, key);
    }

    /// Does this once the step is committed; undoes it if the step is.
    pub(crate) fn stage_service(&mut self, change: impl Staging + 'static) {
        self.turn.shares = true;
        self.turn.staged.push(Staged::Service(Box::new(change)));
    }

    /// The actor's life ends with this step: what it had of services goes. Its timers are kept for another life.
    pub(crate) fn leave_services(&mut self, how: End, reason: &str) {
        // Done while nobody else commits, so that who binds itself to the actor meanwhile is told, or finds it gone.
        self.turn.leaving = Some((how, reason.to_owned()));
        self.turn.shares = true;
    }

    /// The same at once, with the step in hand: nothing of the actor's is staged yet.
    pub(crate) fn leave_now(&mut self, how: End, reason: &str) {
        let node = self.node.clone();
        self.turn.shares = true;
        self.leave(&*node, how, reason);
    }

    fn leave(&mut self, node: &dyn Services, how: End, reason: &str) {
        let about = self.about.clone();
        let end = Ended { actor: &about.id, how, reason };
        for (_, service) in node.shared().all() {
            for change in service.ended(node.party(), &end, &mut self.batch) {
                self.turn.staged.push(Staged::Service(change));
            }
        }
    }

    /// The actor's timers end with its life, those too that its last step arms. Not while others are kept from committing: what
    /// fires holds the timers until it has committed.
    fn leave_timers(&mut self, node: &dyn Services) {
        let batch = &mut self.batch;
        self.turn.staged.retain(|effect| match effect {
            Staged::Timer(TimerChange::Arm(timer)) if timer.sends.is_some() => {
                batch.delete(Table::TIMERS, &timer.name.key());
                false
            }
            _ => true,
        });
        for name in node.timers().of(&self.about.id) {
            self.batch.delete(Table::TIMERS, &name.key());
            let timer = node.timers().take(&name);
            self.turn.staged.push(Staged::Service(Box::new(timers::Disarmed { node: self.node.clone(), timer })));
        }
    }

    /// Stages that an actor is spawned.
    pub(crate) fn bear(&mut self, birth: Birth) {
        if let Some((table, key, value)) = births::row(birth.cell()) {
            self.batch.put(table, &key, &value);
        }
        self.turn.born.push(birth.cell().clone());
        self.stage_service(birth);
    }

    /// Whether the step in hand spawns this actor.
    pub(crate) fn bears(&self, id: &ActorId) -> bool {
        self.turn.born.iter().any(|cell| cell.id == *id)
    }

    /// Whether this actor spawned it, or who was spawned by it did.
    pub(crate) fn descends(&self, id: &ActorId) -> bool {
        self.bears(id) || self.node.core().is_some_and(|core| core.descends(id, &self.about.id))
    }

    /// The actor's life ends for this cause: stages what its supervisor decides.
    pub(crate) fn leave_supervisor(&mut self, cause: EndCause, why: &str) {
        let node = self.node.clone();
        let moment = Moment { now: node.node_time(), wall: node.wall_time() };
        if let Some(change) = node.shared().applications.ended(&self.about.id, cause, why, moment) {
            self.turn.shares = true;
            self.turn.staged.push(Staged::Service(change));
        }
    }

    /// Stages an info for an actor.
    pub(crate) fn info(&mut self, to: &ActorId, info: Info) -> Result<(), CallError> {
        let node = self.node.clone();
        let change = node.party().info(&mut self.batch, to, info)?;
        self.turn.shares = true;
        self.turn.staged.push(Staged::Service(change));
        Ok(())
    }

    /// The step's batch, for the rows of a service.
    pub(crate) fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Answers the actor that waits for the answer of this message, if one does, when the step commits.
    pub(crate) fn answer_asker(&mut self, asker: Option<&Asker>, result: &Result<Vec<u8>, CallError>) {
        let Some(asker) = asker else { return };
        let mut completion = Vec::with_capacity(16 + result.as_ref().map_or(0, Vec::len));
        completion.push(Which::Asks as u8);
        keys::encode_result(result, &mut completion);
        self.turn.shares = true;
        self.turn.staged.push(Staged::Answer(Box::new(ToAsker { asker: asker.clone(), completion })));
    }

    /// What the turn has learnt depends on this.
    pub fn saw(&mut self, gate: Gate) {
        self.turn.seen = self.about.depends_on(self.turn.seen.and(gate));
    }

    /// Stages a message; its place in the mailbox is taken at once.
    pub fn send(&mut self, message: Message, to: &ActorId) -> Result<(), CallError> {
        let child = self.turn.born.iter().find(|cell| cell.id == *to);
        let reserved = match child {
            Some(child) => self.node.reserve_in(child, message.size(), false)?,
            None => self.node.reserve(to, message.size(), message.kind == MessageKind::Info)?,
        };
        if reserved.recorded() {
            let arrival = reserved.arrival();
            self.batch.put_with(Table::INBOX, |out| put_inbox_key(out, to, arrival), |out| message.encode(out));
        }
        self.turn.staged.push(Staged::Send(reserved, Arc::new(message)));
        Ok(())
    }

    /// Stages a call with an idempotency key, for an actor that waits.
    pub(crate) fn send_keyed(&mut self, mut message: Message, to: &ActorId) -> Result<(), CallError> {
        let Some(asker) = message.asker.take() else { return self.send(message, to) };
        let (reply, answer) = oneshot::channel();
        if let Some(claim) = self.node.claim_key(to, &message, reply)? {
            let reserved = self.node.reserve(to, message.size(), false)?;
            if reserved.recorded() {
                let arrival = reserved.arrival();
                self.batch.put_with(Table::INBOX, |out| put_inbox_key(out, to, arrival), |out| message.encode(out));
                let pending = keys::pending_value(&claim.fingerprint);
                self.batch.put(Table::KEYS, &keys::table_key(to, &claim.name), &pending);
            }
            self.turn.staged.push(Staged::Claimed(Box::new((reserved, Arc::new(message), claim))));
        }
        self.turn.staged.push(Staged::Follow(asker, answer));
        Ok(())
    }

    /// Stages that the turn's message goes on to another actor.
    pub(crate) fn forward(&mut self, message: Arc<Message>, to: &ActorId) -> Result<(), CallError> {
        let message = Arc::new(Message { attempt: 1, ..(*message).clone() });
        let reserved = self.node.reserve(to, message.size(), message.kind == MessageKind::Info)?;
        if reserved.recorded() {
            let arrival = reserved.arrival();
            self.batch.put_with(Table::INBOX, |out| put_inbox_key(out, to, arrival), |out| message.encode(out));
        }
        self.turn.staged.push(Staged::Hand(reserved, message));
        Ok(())
    }

    /// A number that this actor never had and never gets again: that of the record in hand, in this life.
    pub(crate) fn own_number(&self) -> u64 {
        match self.recorder.recording() {
            true => u64::from(self.about.incarnation.0) << 40 | self.recorder.chain().next.0,
            false => unrecorded(self.node.message_id()),
        }
    }

    /// Gives a promised answer when the step commits. False if the token is not this actor's.
    pub fn keep_promise(&mut self, token: &str, result: Result<Vec<u8>, CallError>) -> bool {
        let staged = &mut self.turn.staged;
        let made = staged.iter().position(|effect| matches!(effect, Staged::Promise(name, _) if name == token));
        let (promise, fresh) = match made {
            Some(at) => match staged.remove(at) {
                Staged::Promise(_, mut promise) => {
                    promise.reply = self.turn.reply.take();
                    (Some(promise), true)
                }
                _ => (None, false),
            },
            None => (self.about.promised.lock().remove(token), false),
        };
        let Some(promise) = promise else { return false };
        if self.recorder.recording() {
            self.batch.delete(Table::TOKENS, &promise::key(&self.about.id, token));
        }
        let until = self.remember(&promise.from, promise.key.as_ref(), &result);
        self.answer_asker(promise.asker.as_ref(), &result);
        self.stage(Staged::Keep(Box::new(Kept { token: token.to_owned(), promise, fresh, result, until })));
        true
    }

    /// Puts the answer of a call with an idempotency key into the table; returns until when it is kept.
    pub fn remember(
        &mut self,
        from: &Arc<str>,
        key: Option<&Arc<str>>,
        result: &Result<Vec<u8>, CallError>,
    ) -> WallTime {
        let Some(key) = key else { return WallTime(0) };
        let name = (from.clone(), key.clone());
        let Some(fingerprint) = self.about.keys.lock().pending(&name) else { return WallTime(0) };
        let (value, until) = keys::done_value(&fingerprint, result, self.node.wall_time());
        if self.recorder.recording() {
            self.batch.put(Table::KEYS, &keys::table_key(&self.about.id, &name), &value);
        }
        until
    }

    /// Throws away what the current step staged; its records stay.
    pub fn undo_step(&mut self) {
        self.batch.clear();
        self.turn.promised = 0;
        self.turn.shares = false;
        self.turn.born.clear();
        self.give_up_wait();
        for effect in std::mem::take(&mut self.turn.staged) {
            if let Staged::Keep(kept) = effect {
                if kept.fresh {
                    self.turn.reply = kept.promise.reply;
                } else {
                    self.about.promised.lock().insert(kept.token, kept.promise);
                }
            }
        }
        self.recorder.step.truncate_to_last_sealed();
    }

    /// Nobody waits any more for what the turn had waited for: no timer fires for it, and no completion stays. What comes with
    /// the next commit.
    fn give_up_wait(&mut self) {
        let Some(id) = self.turn.wait.take() else { return };
        // At once: one that has fired already stands before the deletes in the log.
        self.node.timer(TimerChange::Cancel(id.clone()));
        self.node.shared().withdraw(&id);
        self.node.waits().forget_one(&id);
        if self.recorder.recording() {
            self.batch.delete(Table::TIMERS, &timers::Name::Wait(id.clone()).key());
            self.batch.delete(Table::COMPLETIONS, &id.key());
        }
    }

    /// Commits the step inside a turn that goes on.
    pub fn commit_step(&mut self) -> wasmtime::Result<Gate> {
        if self.turn.steps == 0 && self.recorder.recording() {
            let mut open = self.turn.began.0.to_le_bytes().to_vec();
            open.extend(self.turn.ends.map(|cause| cause as u8));
            self.batch.put(OPEN_TURNS, self.about.id.as_str().as_bytes(), &open);
        }
        self.turn.steps += 1;
        self.consume();
        self.commit(|_| {})
    }

    /// Records that an open turn is being taken up again, or (`reached`) that it waits again where it had waited.
    pub fn note_resumption(&mut self, reached: bool) {
        let epoch = self.node.store().epoch();
        self.recorder.step.record(Kind::Resume, |out| {
            put_u64(out, epoch.0);
            put_u8(out, u8::from(reached));
        });
    }

    /// Commits the last step of a turn. Whoever answers the caller does so after this.
    pub fn commit_turn(&mut self) -> wasmtime::Result<Gate> {
        self.commit_turn_then(|_| {})
    }

    /// The same; `then` runs once it is appended and before any other actor, or whoever waits, can hear of it.
    pub fn commit_turn_then(&mut self, then: impl FnOnce(&Guest)) -> wasmtime::Result<Gate> {
        if self.turn.steps > 0 && self.recorder.recording() {
            self.batch.delete(OPEN_TURNS, self.about.id.as_str().as_bytes());
        }
        self.consume();
        self.commit(then)
    }

    /// The step's batch removes the inbox entry of the turn's message.
    fn consume(&mut self) {
        if let Some(arrival) = self.turn.arrival.take() {
            self.batch.delete_with(Table::INBOX, |out| put_inbox_key(out, &self.about.id, arrival));
        }
    }

    /// Appends the step's records and table changes as one batch, then lets the rest of the node see what it staged.
    fn commit(&mut self, then: impl FnOnce(&Guest)) -> wasmtime::Result<Gate> {
        let mut gate = self.turn.seen;
        self.turn.promised = 0;
        let node = std::mem::take(&mut self.turn.shares).then(|| self.node.clone());
        let alone = node.as_ref().map(|node| self.prepare(&**node));
        if self.recorder.recording() && !self.recorder.step.is_empty() {
            self.turn.journaled += self.recorder.step.bytes().len() as u64;
            self.batch.records(&self.about.id, self.about.incarnation, self.tail, &self.recorder.step);
        }
        if !self.batch.is_empty() {
            let now = self.node.node_time();
            let wall = match self.turn.clocks {
                // One clock is enough: each look at one costs 25 ns, and this is every turn's.
                Some((began, wall)) => WallTime(wall.0.saturating_add(now.0.saturating_sub(began.0))),
                None => self.node.wall_time(),
            };
            self.batch.stamp(now, wall);
            let position = self.node.store().append(&self.batch).map_err(CommitFailed)?;
            self.batch.clear();
            if self.recorder.recording() && !self.recorder.step.is_empty() {
                self.tail = Some(position);
                self.recorder.step.clear();
            }
            gate = gate.and(match self.about.mode {
                Mode::Durable => Gate { durable: Some(position), written: None },
                Mode::Buffered => Gate { durable: None, written: Some(position) },
                Mode::Off => Gate::default(),
            });
            self.turn.seen = gate;
        }
        self.http.going.free(gate);
        then(self);
        if let (Some(node), Some(alone)) = (&node, alone) {
            self.turn.born.clear();
            self.share(&**node, gate);
            drop(alone);
        }
        if !self.turn.staged.is_empty() {
            for effect in std::mem::take(&mut self.turn.staged) {
                self.apply(effect, gate);
            }
        }
        Ok(gate)
    }

    /// Adds to the batch what depends on others at this moment; until what it returns is dropped it stays so.
    fn prepare<'n>(&mut self, node: &'n dyn Services) -> parking_lot::MutexGuard<'n, ()> {
        if matches!(self.turn.leaving, Some((how, _)) if how != End::Fresh) {
            self.leave_timers(node);
        }
        let alone = node.shared().committing();
        if let Some((how, reason)) = self.turn.leaving.take() {
            self.leave(node, how, &reason);
        }
        for effect in &mut self.turn.staged {
            match effect {
                Staged::Service(change) => change.prepare(&mut self.batch),
                Staged::Answer(answer) => {
                    let wait = &answer.asker.wait;
                    // Whoever answers first has answered; a log that does not take it stops the node.
                    if !node.shared().asks.take(wait) && !node.shared().resuming(&wait.actor) {
                        answer.completion.clear();
                    } else if answer.asker.durable {
                        self.batch.put(Table::COMPLETIONS, &wait.key(), &answer.completion);
                    }
                }
                _ => {}
            }
        }
        alone
    }

    /// Has the services change.
    fn share(&mut self, node: &dyn Services, gate: Gate) {
        for effect in std::mem::take(&mut self.turn.staged) {
            match effect {
                Staged::Service(change) => {
                    change.commit(&Committed { gate, waits: node.waits(), timers: node.timers() })
                }
                Staged::Answer(answer) => {
                    let ToAsker { asker, completion } = *answer;
                    if !completion.is_empty() {
                        node.waits().complete(asker.wait, completion, gate);
                    }
                }
                other => self.turn.staged.push(other),
            }
        }
    }

    fn apply(&mut self, effect: Staged, gate: Gate) {
        match effect {
            Staged::Send(reserved, message) => {
                let arrival = reserved.recorded().then(|| reserved.arrival());
                let waits = message.kind == MessageKind::Call;
                reserved.deliver(Envelope { message, reply: None, arrival, seen: gate, client: None }, waits);
            }
            Staged::Hand(reserved, message) => {
                let arrival = reserved.recorded().then(|| reserved.arrival());
                self.turn.answering = Answering::Handed;
                let reply = self.turn.reply.take();
                reserved.deliver(Envelope { message, reply, arrival, seen: gate, client: None }, false);
            }
            Staged::Claimed(claimed) => {
                let (reserved, message, mut claim) = *claimed;
                let arrival = reserved.recorded().then(|| reserved.arrival());
                let reply = claim.reply.take();
                reserved.deliver(Envelope { message, reply, arrival, seen: gate, client: None }, false);
            }
            Staged::Follow(asker, answer) => self.node.follow(asker, answer),
            // Done already.
            Staged::Answer(_) | Staged::Service(_) => {}
            Staged::Timer(TimerChange::Arm(timer)) => self.node.timer(TimerChange::Arm(Timer { seen: gate, ..timer })),
            Staged::Timer(change) => self.node.timer(change),
            Staged::Promise(token, mut promise) => {
                promise.reply = self.turn.reply.take();
                self.about.promised.lock().insert(token, promise);
            }
            Staged::Keep(kept) => {
                let Kept { promise, result, until, .. } = *kept;
                if let Some(key) = promise.key {
                    self.about.keys.lock().done(&(promise.from, key), &result, gate, until);
                }
                if let Some(reply) = promise.reply {
                    // A caller that has gone away does not want it any more.
                    let _ = reply.send(Answer { result, gate });
                }
            }
        }
    }

    /// Waits until what was committed may be seen outside.
    pub async fn gate(&mut self) -> wasmtime::Result<()> {
        let gate = self.turn.seen;
        let store = self.node.store().clone();
        gate.open(&*store).await.map_err(|error| CommitFailed(error).into())
    }

    /// An error if the turn has written more records than it may.
    pub(crate) fn check_journal(&self) -> wasmtime::Result<()> {
        let limit = self.about.limits.max_turn_journal;
        let used = self.turn.journaled + self.recorder.step.bytes().len() as u64;
        if used > limit.0 {
            return Err(LimitReached(format!("the turn has written more than max-turn-journal = {limit}")).into());
        }
        Ok(())
    }
}

/// A number of this boot, for an actor without records.
fn unrecorded(id: MessageId) -> u64 {
    ((id.0 >> 64) as u64).wrapping_add(id.0 as u64)
}

/// The key of an inbox entry: entries of one actor lie together, in the order of arrival.
pub fn inbox_key(actor: &ActorId, arrival: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(actor.as_str().len() + 9);
    put_inbox_key(&mut key, actor, arrival);
    key
}

/// Appends the key of an inbox entry.
pub fn put_inbox_key(out: &mut Vec<u8>, actor: &ActorId, arrival: u64) {
    out.extend_from_slice(actor.as_str().as_bytes());
    out.push(0);
    out.extend_from_slice(&arrival.to_be_bytes());
}
