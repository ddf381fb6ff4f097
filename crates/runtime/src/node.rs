//! A node: the whole API of the runtime.
//!
//! Open one on a data folder (or in memory), load components, start actors, call and cast, read journals; beside this file:
//! `typed` calls functions by name, `listing` shows actors, `bases` makes bases of them, `upgrading` gives them another component,
//! `moving` has them leave and come, `stopping` ends them, `dead` has their dead letters. Every answer that leaves through here has waited for its gate: what it says survives a crash as the actor's mode promises.

pub mod actor_ref;
pub mod applications;
mod bases;
pub(crate) mod births;
pub mod channels;
pub(crate) mod core;
mod dead;
pub mod exchange;
mod folders;
pub(crate) mod listing;
mod moving;
mod party;
pub mod phases;
mod restoring;
pub mod routes;
mod stopping;
mod typed;
mod upgrading;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use troupe_log::{ActorId, Batch, Digest, Incarnation, JournalReader, Position, Seq, Table};

use self::actor_ref::ActorRef;
pub use self::applications::{ApplicationInfo, MemberInfo};
use self::core::{Core, Parts};
pub use self::listing::ActorInfo;
pub use self::moving::Imported;
use self::restoring::inbox_of;
pub use self::upgrading::{How, Upgrade};
use crate::actor::asked::Asked;
use crate::actor::cell::{Cell, Life, Status, Tip};
use crate::actor::change::{Change, Changed};
use crate::actor::config::{ActorEntry, Config};
use crate::actor::cut::Cut;
use crate::actor::mailbox::Next;
use crate::actor::message::{CallError, Gate, MessageId};
use crate::actor::ticker::Ticker;
use crate::boundary::{About, Boundary, OPEN_TURNS, Registry, SecretKey};
use crate::component::{Code, Components, Engines, Inspection, Settings};
use crate::env::{Clock, Entropy, NodeClock, SystemClock, SystemEntropy};
use crate::error::{Error, Result};
use crate::manifest::{ActorSpec, ComponentRef, Mode};
use crate::replay::JournalSource;
use crate::service::Which;
pub use crate::service::deadletters::DeadLetter;
use crate::service::http::client::Trust;

/// How a node is opened.
pub struct NodeOptions {
    /// Its data folder; none keeps everything in memory, for as long as the process lives.
    pub data: Option<PathBuf>,
    /// Where compiled code is kept; none is `cache` in the data folder, or nowhere without one.
    pub cache: Option<PathBuf>,
    /// Instances that may be live at the same time.
    pub live: u32,
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Hears what the node is in the middle of.
    pub watch: Option<Arc<dyn phases::Watch>>,
    /// Its disk; none is the real one under `data`, or one in memory.
    pub disk: Option<Arc<dyn troupe_log::Disk>>,
    /// Certificates (PEM) that servers which actors ask over TLS may be known by, besides those that browsers trust.
    pub http_roots: Option<PathBuf>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            data: None,
            cache: None,
            live: Settings::default().live,
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy),
            watch: None,
            disk: None,
            http_roots: None,
        }
    }
}

impl NodeOptions {
    /// On this data folder.
    pub fn at(data: impl Into<PathBuf>) -> NodeOptions {
        NodeOptions { data: Some(data.into()), ..Default::default() }
    }

    /// In memory.
    pub fn in_memory() -> NodeOptions {
        NodeOptions::default()
    }
}

/// A running node. Cheap to clone; close it once.
#[derive(Clone)]
pub struct Node {
    core: Arc<Core>,
    data: Option<PathBuf>,
}

/// A message from outside.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The sender's word for it.
    pub message_type: Arc<str>,
    /// Its bytes.
    pub payload: Arc<[u8]>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// How long the sender waits.
    pub timeout: Option<Duration>,
    /// Makes a repeat of the same call harmless.
    pub key: Option<Arc<str>>,
    /// W3C `traceparent`.
    pub trace: Option<Arc<str>>,
}

impl Outgoing {
    /// A message of this type with these bytes.
    pub fn new(message_type: impl Into<Arc<str>>, payload: impl Into<Arc<[u8]>>) -> Outgoing {
        Outgoing {
            message_type: message_type.into(),
            payload: payload.into(),
            headers: Vec::new(),
            timeout: None,
            key: None,
            trace: None,
        }
    }

    /// With an idempotency key.
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Outgoing {
        self.key = Some(key.into());
        self
    }

    /// Waiting at most so long.
    pub fn timeout(mut self, timeout: Duration) -> Outgoing {
        self.timeout = Some(timeout);
        self
    }
}

/// What a start did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The actor.
    pub id: ActorId,
    /// Its life.
    pub incarnation: Incarnation,
    /// True if it was there and goes on.
    pub resumed: bool,
    /// What changed of the settings that it had lived under, in words.
    pub changed: Vec<String>,
}

/// A message that was accepted, perhaps not yet durably.
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    gate: Gate,
    core: Arc<Core>,
}

impl Accepted {
    /// Waits until the acceptance survives a crash as the receiver's mode promises.
    pub async fn durable(self) -> Result<MessageId, CallError> {
        self.core.open(self.gate).await?;
        Ok(self.id)
    }
}

impl Node {
    /// Opens a node, takes its actors up again, and resumes open turns. Needs a tokio runtime, which becomes the node's own.
    pub async fn open(options: NodeOptions) -> Result<Node> {
        let NodeOptions { data, cache, live, clock, entropy, watch, disk, http_roots } = options;
        let trust = match &http_roots {
            None => Trust::BROWSERS,
            Some(path) => Trust::with(path).map_err(|why| Error::Roots { path: path.clone(), why })?,
        };
        let mut random = [0; 32];
        entropy.fill(&mut random);
        let disk: Arc<dyn troupe_log::Disk> = match (disk, &data) {
            (Some(disk), _) => disk,
            (None, Some(folder)) => {
                std::fs::create_dir_all(folder).map_err(|source| Error::File {
                    op: "make the data folder",
                    path: folder.clone(),
                    source,
                })?;
                Arc::new(troupe_log::RealDisk::new(folder))
            }
            (None, None) => Arc::new(troupe_log::SimDisk::new()),
        };
        let opened = tokio::task::spawn_blocking(move || troupe_log::open(disk, &troupe_log::Options::new(random)))
            .await
            .map_err(|error| Error::Internal { what: error.to_string() })??;
        if let Some(cut) = &opened.dropped_tail {
            tracing::info!(position = %cut.position, bytes = cut.bytes, "an unsynced end of the log was cut off");
        }
        let engines = Engines::new(Settings { live })?;
        let boundary = linked(&engines.run)?;
        let registry = boundary.registry().clone();
        let cache = cache.or_else(|| data.as_ref().map(|folder| folder.join("cache")));
        let store = opened.store.clone();
        let components =
            Components::new(engines.clone(), boundary, store.clone(), cache, opened.tables.get(&Table::COMPONENTS));
        let ticker = Ticker::start(engines.run.clone())
            .map_err(|source| Error::Internal { what: format!("no thread for ticks: {source}") })?;
        let secret_key = secret_key(data.as_deref(), &*entropy)
            .map_err(|source| Error::Internal { what: format!("no key for secrets: {source}") })?;
        let arrivals = last_arrival(&opened.tables) + 1;
        let core = Core::new(Parts {
            store,
            clock: NodeClock::new(clock, opened.node_time),
            entropy,
            registry,
            components,
            ticker,
            live,
            arrivals,
            secret_key,
            trust,
            watch,
        });
        let bell = Arc::downgrade(&core);
        core.shared.queues.ring_with(move || {
            if let Some(core) = bell.upgrade() {
                core.timers.wake(Which::Queues, core.clock.now());
            }
        });
        let node = Node { core, data };
        node.restore(&opened)?;
        let timers = node.core.clone();
        tokio::spawn(async move {
            tokio::select! {
                error = timers.timers.run(&timers.waits, &timers.shared, &*timers) => timers.halt(&error.to_string()),
                () = timers.closed() => {}
            }
        });
        tokio::spawn(crate::supervision::worker::run(node.core.clone()));
        Ok(node)
    }

    /// The node's randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.core.entropy
    }

    /// Wall time by the node's clock.
    pub fn wall_time(&self) -> troupe_log::WallTime {
        self.core.clock.wall()
    }

    /// Its data folder.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Its identity.
    pub fn id(&self) -> troupe_log::NodeId {
        self.core.store.node_id()
    }

    // ---- components ----

    /// Stores and compiles a component.
    pub async fn load(&self, bytes: &[u8]) -> Result<Inspection> {
        Ok(self.core.components.load(bytes).await?.inspection.clone())
    }

    /// The same under a name and a version.
    pub async fn load_as(&self, name: &str, version: &str, bytes: &[u8]) -> Result<Inspection> {
        Ok(self.core.components.load_as(name, version, bytes).await?.inspection.clone())
    }

    /// A component that is loaded, or a file.
    pub async fn component(&self, reference: &ComponentRef) -> Result<Arc<Code>> {
        self.core.components.resolve(reference).await
    }

    /// The bytes of a component.
    pub fn component_bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.core.components.bytes(digest)
    }

    /// Every name and what it stands for.
    pub fn components(&self) -> Vec<(String, Digest)> {
        self.core.components.names()
    }

    /// How many components were compiled since the node was opened; all others were found in the cache.
    pub fn compilations(&self) -> u64 {
        self.core.components.compilations()
    }

    // ---- actors ----

    /// Starts an actor, or goes on with the one that is there. Returns once that survives a crash as its mode promises.
    pub async fn start(&self, spec: ActorSpec) -> Result<Started> {
        self.begin(spec, false).await
    }

    /// Starts an actor; one that is there begins a new life, with its inbox and idempotency keys.
    pub async fn start_fresh(&self, spec: ActorSpec) -> Result<Started> {
        self.begin(spec, true).await
    }

    /// Loads what `[components]` names and writes down in the grant which code each name means.
    async fn name_components(&self, spec: &mut ActorSpec) -> Result<()> {
        if spec.components.is_empty() {
            return Ok(());
        }
        let Some(processes) = &mut spec.grants.processes else {
            return Err(Error::Invalid { what: format!("{} names components and is granted no processes", spec.id) });
        };
        for (name, reference) in &spec.components {
            let code = self.core.components.resolve(reference).await?;
            processes.components.insert(name.clone(), code.inspection.digest);
        }
        Ok(())
    }

    pub(crate) async fn begin(&self, mut spec: ActorSpec, fresh: bool) -> Result<Started> {
        if let Some(why) = self.core.why_halted() {
            return Err(Error::Internal { what: why.to_owned() });
        }
        if crate::service::theater::resumed(&spec.init).is_some() {
            return Err(Error::Invalid {
                what: format!("{}: its init begins as the mark of a state to go on with", spec.id),
            });
        }
        let most = crate::component::MOST_MEMORY;
        if spec.limits.memory.0 > most {
            return Err(Error::Invalid {
                what: format!(
                    "[limits] memory = {} is more than a node gives one actor, {most} bytes",
                    spec.limits.memory
                ),
            });
        }
        let code = self.core.components.resolve_bound(&spec.component, &spec.bind).await?;
        if code.contract.is_empty() {
            return Err(Error::NotAComponent {
                why: format!(
                    "it exports nothing that takes messages (its exports: {}); see wit/troupe-actor/behaviors.wit",
                    code.inspection.exports.join(", ")
                ),
            });
        }
        self.name_components(&mut spec).await?;
        let folders = self.name_folders(&mut spec)?;
        let config = Config::of(&spec);
        let there = self.core.cell(&spec.id);
        if let Some(Status::Moved(why)) = there.as_ref().map(|cell| cell.life.lock().status.clone()) {
            return Err(Error::Moved { actor: spec.id, why });
        }
        if let Some(cell) = &there
            && !fresh
            && let Some((incarnation, changed)) = self.go_on(cell, code.inspection.digest, &config).await?
        {
            return Ok(Started { id: spec.id, incarnation, resumed: true, changed });
        }
        folders::make(&folders)?;
        crate::host::wasi::check(&spec.grants).map_err(|error| Error::Invalid { what: error.to_string() })?;
        self.core.room(there.as_deref())?;
        if self.core.unborn.lock().contains(&spec.id) {
            return Err(being_started(&spec.id));
        }
        let incarnation = match &there {
            Some(cell) => {
                self.take_over(cell).await;
                // It may have left while this waited for its turn to end.
                if let Status::Moved(why) = &cell.life.lock().status {
                    cell.mailbox.abandon();
                    return Err(Error::Moved { actor: spec.id, why: why.clone() });
                }
                // One without a journal has left the table with its life.
                if !self.core.put_back(cell) {
                    cell.mailbox.abandon();
                    return Err(being_started(&spec.id));
                }
                Incarnation(cell.life.lock().about.incarnation.0 + 1)
            }
            None => Incarnation(0),
        };
        if let Err(error) = folders::empty(&folders) {
            if let Some(cell) = &there {
                cell.mailbox.abandon();
            }
            return Err(error);
        }
        let entry = ActorEntry {
            incarnation,
            component: code.inspection.digest,
            initial: spec.init,
            parent: there.as_ref().and_then(|cell| parent_of(cell)),
            stopped: None,
            config: config.encode(),
        };
        let mut life = life(&spec.id, entry, config, Tip::START);
        life.code = Some(code);
        life.succeeds = there.as_ref().is_some_and(|cell| !matches!(cell.life.lock().status, Status::Stopped(_)));
        let (cell, last) = match there {
            Some(cell) => {
                inherit(&life.about, &cell.life.lock().about);
                cell.mailbox.reopen(life.about.limits.mailbox);
                let last = std::mem::replace(&mut *cell.life.lock(), life);
                (cell, Some(last))
            }
            None => {
                let cell = Arc::new(Cell::new(spec.id.clone(), life));
                cell.mailbox.claim();
                let unborn = self.core.unborn.lock();
                let mut actors = self.core.actors.write();
                if actors.contains_key(&spec.id) || unborn.contains(&spec.id) {
                    return Err(being_started(&spec.id));
                }
                actors.insert(spec.id.clone(), cell.clone());
                (cell, None)
            }
        };
        let (sender, begun) = oneshot::channel();
        if spec.http.is_some() || last.as_ref().is_some_and(|last| last.config.http.is_some()) {
            self.core.routes.forget();
        }
        self.core.schedule_begin(cell.clone(), sender, false);
        let gate = Beginning { node: self, cell: &cell, last: Some(last), begun }.outcome().await?;
        self.adopted(&spec.id)?;
        gate.open(&*self.core.store).await?;
        Ok(Started { id: spec.id, incarnation, resumed: false, changed: Vec::new() })
    }

    /// Goes on with an actor that is there, between two of its turns under these settings if they are others. None if it has ended.
    async fn go_on(
        &self,
        cell: &Arc<Cell>,
        offered: Digest,
        config: &Config,
    ) -> Result<Option<(Incarnation, Vec<String>)>> {
        let mut changed = Vec::new();
        loop {
            let Some(there) = goes_on(cell, offered, config)? else { return Ok(None) };
            if there.same {
                if let Some(tail) = there.tail {
                    self.core.store.sync(tail).await?;
                }
                return Ok(Some((there.incarnation, changed)));
            }
            crate::host::wasi::check(&config.grants).map_err(|error| Error::Invalid { what: error.to_string() })?;
            let (done, heard) = oneshot::channel();
            if cell.mailbox.ask(Next::Asked(Asked::Change(Box::new(Change { config: config.clone(), done })))) {
                self.core.schedule(cell.clone());
            }
            match heard.await {
                Ok(Ok(Changed { gate, changes })) => {
                    gate.open(&*self.core.store).await?;
                    changed = changes;
                }
                Ok(Err(error)) => return Err(error),
                Err(_) if self.core.is_closing() => return Err(Error::Closing),
                // Its executor ended for another reason: how it is now decides.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Ends the executor of an actor that is there, between two turns, and takes its place.
    async fn take_over(&self, cell: &Arc<Cell>) {
        let taker = Taker::new(&self.core, cell);
        while !cell.mailbox.claim() {
            cell.mailbox.nudge();
            cell.mailbox.ended().await;
        }
        taker.done();
    }

    /// A life did not begin: the one before it, if there was one, goes on as it was.
    async fn give_back(&self, cell: &Arc<Cell>, last: Option<Life>) {
        cell.mailbox.ended().await;
        // What failed behind a committed step stays in the tables as a life that has ended.
        let ended = matches!(cell.life.lock().status, Status::Stopped(_));
        let status = match last {
            None if !ended => {
                self.core.actors.write().remove(&cell.id);
                self.core.routes.forget();
                return;
            }
            Some(last) if !ended => {
                inherit(&last.about, &cell.life.lock().about);
                cell.mailbox.reopen(last.about.limits.mailbox);
                let status = last.status.clone();
                *cell.life.lock() = last;
                status
            }
            _ => Status::Stopped(String::new()),
        };
        self.core.routes.forget();
        match status {
            Status::Ready if cell.mailbox.wake() => self.core.schedule(cell.clone()),
            Status::Ready => {}
            Status::Quarantined(_) | Status::Moved(_) => cell.mailbox.shut(),
            Status::Stopped(_) => drop(cell.mailbox.close()),
        }
    }

    /// An actor to send to: who sends often finds it once.
    pub fn actor_ref(&self, id: &ActorId) -> Result<ActorRef, CallError> {
        let cell = self.core.cell(id).ok_or_else(|| CallError::NotFound(id.to_string()))?;
        Ok(ActorRef::new(self.core.clone(), cell))
    }

    /// Calls an actor and waits for its answer.
    pub async fn call(&self, to: &ActorId, outgoing: Outgoing) -> Result<Vec<u8>, CallError> {
        self.actor_ref(to)?.call(outgoing).await
    }

    /// Sends an actor a message that nobody waits for. Returns once its acceptance survives a crash.
    pub async fn cast(&self, to: &ActorId, outgoing: Outgoing) -> Result<MessageId, CallError> {
        self.offer(to, outgoing)?.durable().await
    }

    /// Sends an actor a message that nobody waits for, without waiting for the disk.
    pub fn offer(&self, to: &ActorId, outgoing: Outgoing) -> Result<Accepted, CallError> {
        self.actor_ref(to)?.offer(outgoing)
    }

    /// Makes a base of an actor now, if it can make one.
    pub fn snapshot(&self, id: &ActorId) -> Result<()> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        if cell.mailbox.ask(Next::Snapshot) {
            self.core.schedule(cell);
        }
        Ok(())
    }

    /// Gives the instances of an idle actor up, as the node does by itself when it needs room.
    pub fn evict(&self, id: &ActorId) -> Result<()> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        if cell.mailbox.running() {
            cell.mailbox.ask(Next::Evict);
        }
        Ok(())
    }

    /// The records of an actor's present life, from the first. Waits until they are durable: they are shown outside.
    pub async fn journal(&self, id: &ActorId) -> Result<JournalReader> {
        let (incarnation, tail) = self.shown(id).await?;
        Ok(self.core.store.journal(id, incarnation, tail, Seq(0))?)
    }

    /// The same for replay, which reads it more than once.
    pub async fn journal_source(&self, id: &ActorId) -> Result<JournalSource> {
        let (incarnation, tail) = self.shown(id).await?;
        Ok(JournalSource::Store { store: self.core.store.clone(), actor: id.clone(), incarnation, tail })
    }

    /// A life and the batch with its newest records, once that is durable.
    async fn shown(&self, id: &ActorId) -> Result<(Incarnation, Position)> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let (tip, incarnation) = {
            let life = cell.life.lock();
            (life.tip, life.about.incarnation)
        };
        let Some(tail) = tip.tail else {
            return Err(Error::Invalid { what: format!("{id} has no journal: its manifest says journal = \"off\"") });
        };
        self.core.store.sync(tail).await?;
        Ok((incarnation, tail))
    }

    /// Timers that are armed.
    pub fn pending_timers(&self) -> usize {
        self.core.timers.len()
    }

    /// Makes everything that was committed durable.
    pub async fn sync(&self) -> Result<()> {
        let mut mark = Batch::new();
        mark.stamp(self.core.clock.now(), self.core.clock.wall());
        mark.delete(OPEN_TURNS, b"");
        let position = self.core.store.append(&mark)?;
        Ok(self.core.store.sync(position).await?)
    }

    /// What every function in a journal is called and how its records are read.
    pub fn registry(&self) -> &Registry {
        &self.core.registry
    }

    /// The node's log.
    pub fn store(&self) -> &Arc<dyn troupe_log::Store> {
        &self.core.store
    }

    /// Ends when the node has stopped by itself, with the reason: its log failed.
    pub async fn halted(&self) -> String {
        self.core.closed().await;
        self.core.why_halted().unwrap_or("closed").to_owned()
    }

    /// Ends all turns (waits go on at the next start), makes everything durable, and closes the log.
    pub async fn close(self) -> Result<()> {
        self.core.close().await;
        if self.core.why_halted().is_some() {
            return Ok(());
        }
        let store = self.core.store.clone();
        tokio::task::spawn_blocking(move || store.close())
            .await
            .map_err(|error| Error::Internal { what: error.to_string() })??;
        Ok(())
    }
}

/// A boundary with every host interface.
pub(crate) fn linked(engine: &wasmtime::Engine) -> Result<Arc<Boundary>> {
    let mut boundary = Boundary::new(engine);
    crate::host::link(&mut boundary).map_err(|error| Error::Internal { what: format!("linking: {error:#}") })?;
    Ok(Arc::new(boundary))
}

fn life(id: &ActorId, entry: ActorEntry, config: Config, tip: Tip) -> Life {
    let about = About {
        id: id.clone(),
        incarnation: entry.incarnation,
        mode: config.mode,
        grants: config.grants.clone(),
        limits: config.limits.clone(),
        bind: config.bind.clone(),
        parent: entry.parent.clone(),
        promised: Arc::default(),
        keys: Arc::default(),
        seen: Arc::default(),
        cut: Cut::default(),
        held: Arc::default(),
    };
    let status = match &entry.stopped {
        Some(reason) => Status::Stopped(reason.clone()),
        None => Status::Ready,
    };
    let (about, config) = (Arc::new(about), Arc::new(config));
    Life {
        about,
        config,
        base_config: None,
        entry,
        code: None,
        upgraded: None,
        moved: None,
        tip,
        status,
        ending: false,
        succeeds: false,
        ends: None,
        last_fault: None,
        no_base: None,
    }
}

/// Who spawned an actor that lives: that stays so in a fresh life.
fn parent_of(cell: &Cell) -> Option<ActorId> {
    let life = cell.life.lock();
    life.entry.parent.clone().filter(|_| !matches!(life.status, Status::Stopped(_)))
}

fn being_started(id: &ActorId) -> Error {
    Error::Invalid { what: format!("{id} is being started by another") }
}

/// An actor that is there.
struct There {
    incarnation: Incarnation,
    /// The end of its journal.
    tail: Option<Position>,
    /// Whether it lives under the settings that are asked for.
    same: bool,
}

/// The life of an actor that a start with this component and these settings means; none if it has ended.
fn goes_on(cell: &Cell, offered: Digest, config: &Config) -> Result<Option<There>> {
    let life = cell.life.lock();
    let actor = cell.id.clone();
    match &life.status {
        Status::Quarantined(why) => return Err(Error::Quarantined { actor, why: why.clone() }),
        Status::Moved(why) => return Err(Error::Moved { actor, why: why.clone() }),
        Status::Stopped(_) => return Ok(None),
        Status::Ready => {}
    }
    if life.entry.component != offered {
        return Err(Error::OtherComponent { actor, there: life.entry.component, offered });
    }
    life.config.may_become(config).map_err(|what| Error::OtherSettings { actor: actor.clone(), what })?;
    if life.tip.tail.is_none() && config.mode != Mode::Off {
        return Err(being_started(&actor));
    }
    let same = *life.config == *config;
    Ok(Some(There { incarnation: life.about.incarnation, tail: life.tip.tail, same }))
}

/// The keys go on in the next life; what was promised by tokens is answered with a fault when it begins.
fn inherit(next: &About, last: &About) {
    *next.keys.lock() = std::mem::take(&mut *last.keys.lock());
    *next.promised.lock() = std::mem::take(&mut *last.promised.lock());
}

/// The next life of the same actor.
pub(crate) fn renew(life_now: &mut Life) {
    let mut entry = life_now.entry.clone();
    entry.incarnation = Incarnation(entry.incarnation.0 + 1);
    let mut next = life(&life_now.about.id, entry, (*life_now.config).clone(), Tip::START);
    next.code = life_now.code.clone();
    next.succeeds = true;
    next.last_fault = life_now.last_fault.clone();
    inherit(&next.about, &life_now.about);
    *life_now = next;
}

/// The node's key for digests of secrets: made once, readable to nobody else, and kept in the data folder; without one it is as old
/// as the process.
fn secret_key(data: Option<&Path>, entropy: &dyn Entropy) -> std::io::Result<SecretKey> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut key = [0; 32];
    let Some(data) = data else {
        entropy.fill(&mut key);
        return Ok(SecretKey::new(key));
    };
    let path = data.join(SECRET_KEY);
    match std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        read => return read.map(|()| SecretKey::new(key)),
    }
    entropy.fill(&mut key);
    // Whole or not there, also after a power cut.
    let new = data.join(format!("{SECRET_KEY}.new"));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    std::fs::File::open(data)?.sync_all()?;
    Ok(SecretKey::new(key))
}

/// The key of a data folder; none if no node was there yet.
pub fn secret_key_of(data: &Path) -> Option<SecretKey> {
    let bytes = std::fs::read(data.join(SECRET_KEY)).ok()?;
    Some(SecretKey::new(bytes.try_into().ok()?))
}

/// The key's file in the data folder.
const SECRET_KEY: &str = "secret.key";

fn last_arrival(tables: &troupe_log::Tables) -> u64 {
    let inbox = tables.get(&Table::INBOX).into_iter().flatten();
    inbox.filter_map(|(key, _)| inbox_of(key)).map(|(_, arrival)| arrival).max().unwrap_or(0)
}

/// A life that begins. Whoever asked for it may go away: the life before it comes back all the same if this one does not begin.
struct Beginning<'a> {
    node: &'a Node,
    cell: &'a Arc<Cell>,
    /// The life before it, if any; none once it is settled.
    last: Option<Option<Life>>,
    begun: oneshot::Receiver<Result<Gate>>,
}

impl Beginning<'_> {
    async fn outcome(mut self) -> Result<Gate> {
        let begun = (&mut self.begun).await;
        let last = self.last.take().flatten();
        match begun {
            Ok(Ok(gate)) => Ok(gate),
            Ok(Err(error)) => {
                let (node, cell) = (self.node.clone(), self.cell.clone());
                // A task of its own goes on to its end, whoever waits for it.
                let _ = self.node.core.runtime.spawn(async move { node.give_back(&cell, last).await }).await;
                Err(error)
            }
            Err(_) => Err(Error::Internal { what: format!("{} was not started", self.cell.id) }),
        }
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        let Some(last) = self.last.take() else { return };
        let (node, cell) = (self.node.clone(), self.cell.clone());
        let begun = std::mem::replace(&mut self.begun, oneshot::channel().1);
        self.node.core.runtime.spawn(async move {
            if let Ok(Err(_)) = begun.await {
                node.give_back(&cell, last).await;
            }
        });
    }
}

/// Who waits for an actor's executor to end. One that goes away leaves the actor at work.
struct Taker<'a> {
    core: &'a Core,
    cell: &'a Arc<Cell>,
    claimed: bool,
}

impl<'a> Taker<'a> {
    fn new(core: &'a Core, cell: &'a Arc<Cell>) -> Taker<'a> {
        cell.mailbox.taker(true);
        Taker { core, cell, claimed: false }
    }

    /// The place is taken.
    fn done(mut self) {
        self.claimed = true;
    }
}

impl Drop for Taker<'_> {
    fn drop(&mut self) {
        self.cell.mailbox.taker(false);
        if !self.claimed && self.cell.mailbox.wake() {
            self.core.schedule(self.cell.clone());
        }
    }
}
