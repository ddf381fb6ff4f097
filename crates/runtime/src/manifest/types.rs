//! What a manifest means: the settings of one actor, with their defaults.
//!
//! Everything here is plain data, built by the parser or by a Rust program that embeds the runtime. A default is the same
//! whether a key is left out of a manifest or a field is taken from `Default`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use troupe_log::{ActorId, ByteCount, Digest, WallTime};

use super::secrets::SecretSource;
use super::sockets::Sockets;

use super::http::{HttpGrant, Serving};

/// Everything the node must know to start one actor.
#[derive(Clone, Debug, PartialEq)]
pub struct ActorSpec {
    /// The actor's id, `namespace/name`.
    pub id: ActorId,
    /// The code that it runs.
    pub component: ComponentRef,
    /// How its journal is kept.
    pub journal: Mode,
    /// The bytes handed to its init.
    pub init: Vec<u8>,
    /// What it may use up.
    pub limits: Limits,
    /// What it may use at all.
    pub grants: Grants,
    /// Names that spawn may use, and the code behind them; loaded when the actor starts.
    pub components: BTreeMap<String, ComponentRef>,
    /// What happens after a fault.
    pub supervision: Supervision,
    /// How long journal and bases are kept, and when a base is made.
    pub snapshots: Snapshots,
    /// Imported interfaces (`pkg:ns/iface`) and the full ids of the actors that serve them.
    pub bind: BTreeMap<String, String>,
    /// The state that a gen-fsm actor begins in.
    pub initial_fsm_state: String,
    /// The route on which it is served over HTTP.
    pub http: Option<Serving>,
    /// Where the node's gateway listens for it, if whoever runs the node does not say. The command's affair, in no record.
    pub listen: Option<SocketAddr>,
}

impl ActorSpec {
    /// An actor with the default settings: durable, no grants beyond clocks, random, host and stdio.
    pub fn new(id: ActorId, component: ComponentRef) -> Self {
        Self {
            id,
            component,
            journal: Mode::Durable,
            init: Vec::new(),
            limits: Limits::default(),
            grants: Grants::default(),
            components: BTreeMap::new(),
            supervision: Supervision::default(),
            snapshots: Snapshots::default(),
            bind: BTreeMap::new(),
            initial_fsm_state: String::new(),
            http: None,
            listen: None,
        }
    }
}

/// How a manifest names the code of an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentRef {
    /// A file, absolute after resolving.
    Path(PathBuf),
    /// A component loaded earlier under a name and a version.
    Named {
        /// The name in the index.
        name: String,
        /// The version in the index.
        version: String,
    },
    /// A component by the digest of its bytes.
    Digest(Digest),
}

impl fmt::Display for ComponentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Named { name, version } => write!(f, "{name}@{version}"),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// How an actor's journal is kept (docs/semantics.md, Modes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Outputs wait for the disk: nothing acknowledged is lost in a power cut.
    #[default]
    Durable,
    /// Outputs wait for the write only: survives a killed process, loses at most 1 s in a power cut.
    Buffered,
    /// No journal, no resume, messages at most once.
    Off,
}

impl Mode {
    /// The manifest's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Buffered => "buffered",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one actor may use up. Always on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of the instance, all its memories together.
    pub memory: ByteCount,
    /// Elements of the instance's tables, all together.
    pub tables: u32,
    /// Fuel of one turn.
    pub fuel: u64,
    /// Node time that one turn may take, waiting included; `None` is no deadline.
    pub deadline: Option<Duration>,
    /// Messages that may wait for the actor.
    pub mailbox: NonZeroU32,
    /// Requests of the actor that may be without an answer.
    pub outstanding_calls: u32,
    /// Bytes of one message: payload, type and headers together.
    pub payload: ByteCount,
    /// Bytes that one turn may write to the journal.
    pub max_turn_journal: ByteCount,
    /// Bytes of the journal in all; `None` is no bound.
    pub max_journal: Option<ByteCount>,
    /// Idempotency keys that are remembered.
    pub max_keys: u32,
    /// Timers of the actor that are armed.
    pub max_timers: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteCount(16 << 20),
            tables: 20_000,
            fuel: 1_000_000_000,
            deadline: Some(Duration::from_secs(5)),
            mailbox: NonZeroU32::MIN.saturating_add(1023),
            outstanding_calls: 64,
            payload: ByteCount(1 << 20),
            max_turn_journal: ByteCount(64 << 20),
            max_journal: None,
            max_keys: 100_000,
            max_timers: 10_000,
        }
    }
}

/// What one actor may use. Denied unless said here; clocks, random, host and stdio are granted unless switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Wall clock and monotonic clock.
    pub clocks: bool,
    /// How the clocks of WASI differ from the node's.
    pub time: ClockGrant,
    /// Random numbers.
    pub random: RandomGrant,
    /// `troupe:actor/host`: log, now, sleep.
    pub host: bool,
    /// Captured standard output and error, an empty standard input.
    pub stdio: bool,
    /// Sending and asking other actors; `None` denies it.
    pub messaging: Option<Messaging>,
    /// Environment variables; `None` is an empty environment.
    pub environment: Option<Environment>,
    /// Command line arguments.
    pub arguments: Vec<String>,
    /// Directories of the host.
    pub filesystem: Vec<FilesystemGrant>,
    /// The network; `None` denies it.
    pub sockets: Option<Sockets>,
    /// Beginning, ending and watching other actors; `None` denies it.
    pub processes: Option<Processes>,
    /// Tuple spaces; `None` denies them.
    pub tuplespace: Option<TupleSpaces>,
    /// Queues and topics; `None` denies them.
    pub channels: Option<Channels>,
    /// Groups, by name; `None` denies them.
    pub groups: Option<Vec<ActorPattern>>,
    /// Locks, by name; `None` denies them.
    pub locks: Option<Vec<ActorPattern>>,
    /// The registry; `None` denies it.
    pub registry: Option<Registration>,
    /// Key-value stores; `None` denies them.
    pub keyvalue: Option<KeyValue>,
    /// Stores by content, by name; `None` denies them.
    pub store: Option<Vec<ActorPattern>>,
    /// `wasi:logging`.
    pub logging: bool,
    /// `troupe:journal/records`: seeing the own journal.
    pub journal: bool,
    /// What `wasi:config` answers; empty unless said.
    pub config: BTreeMap<String, String>,
    /// Requests over HTTP; `None` denies them.
    pub http: Option<HttpGrant>,
    /// Values that stand in no record: variables of the environment, and of `wasi:config`, and where they come from.
    pub secrets: BTreeMap<String, SecretSource>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            clocks: true,
            time: ClockGrant::default(),
            random: RandomGrant::default(),
            host: true,
            stdio: true,
            messaging: None,
            environment: None,
            arguments: Vec::new(),
            filesystem: Vec::new(),
            sockets: None,
            processes: None,
            tuplespace: None,
            channels: None,
            groups: None,
            locks: None,
            registry: None,
            keyvalue: None,
            store: None,
            logging: true,
            journal: false,
            config: BTreeMap::new(),
            http: None,
            secrets: BTreeMap::new(),
        }
    }
}

/// How a guest's clocks differ from the node's: for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockGrant {
    /// Microseconds that the wall clock is ahead of the node's.
    pub offset: i64,
    /// The moment at which the wall clock stands.
    pub frozen: Option<WallTime>,
    /// How many times faster both clocks run, and what is waited for is over.
    pub scale: NonZeroU32,
    /// A sleep is this long, or longer; `None` is no bound.
    pub min_sleep: Option<Duration>,
    /// A sleep is this long, or shorter; `None` is no bound.
    pub max_sleep: Option<Duration>,
}

impl Default for ClockGrant {
    fn default() -> Self {
        Self { offset: 0, frozen: None, scale: NonZeroU32::MIN, min_sleep: None, max_sleep: None }
    }
}

/// Random numbers, perhaps reproducible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomGrant {
    /// False denies `wasi:random`.
    pub enabled: bool,
    /// With a seed every answer is a function of seed, actor and record number.
    pub seed: Option<u64>,
    /// Bytes of one request; `None` leaves the payload limit.
    pub max_bytes: Option<ByteCount>,
    /// How far apart the ends of a range may be out of which a number is drawn; `None` is no bound.
    pub max_int: Option<u64>,
}

impl Default for RandomGrant {
    fn default() -> Self {
        Self { enabled: true, seed: None, max_bytes: None, max_int: None }
    }
}

/// To whom an actor may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messaging {
    /// The actors that it may reach: any of these.
    pub to: Vec<ActorPattern>,
}

impl Messaging {
    /// Whether an actor of `namespace` that holds this grant may reach `target`.
    pub fn allows(&self, namespace: &str, target: &ActorId) -> bool {
        self.to.iter().any(|p| p.matches(namespace, target))
    }
}

/// What an actor may do to other actors' lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes {
    /// The components that it may spawn: names of `[components]`, `name@version`, digests. `*` stands for any run of characters.
    pub spawn: Vec<String>,
    /// The actors that it may stop, link and monitor, beside those that it spawned and itself.
    pub control: Vec<ActorPattern>,
    /// What `[components]` says, resolved: name and digest.
    pub components: BTreeMap<String, Digest>,
}

/// Which tuple spaces an actor may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TupleSpaces {
    /// For everything.
    pub spaces: Vec<ActorPattern>,
    /// For read, read-all, count and subscribe only.
    pub read: Vec<ActorPattern>,
}

/// Which queues and topics an actor may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that it may send to.
    pub send: Vec<ActorPattern>,
    /// Queues that it may receive from.
    pub receive: Vec<ActorPattern>,
    /// Topics that it may publish to.
    pub publish: Vec<ActorPattern>,
    /// Topics that it may subscribe to: a subscription's pattern must be covered by one of these.
    pub subscribe: Vec<ActorPattern>,
}

/// What an actor may do in the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Names that it may register.
    pub register: Vec<ActorPattern>,
    /// Names that it may look up and discover.
    pub lookup: Vec<ActorPattern>,
}

/// Which key-value stores an actor may open. A plain name is its own; `shared` ones are everybody's who is granted them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// Stores of its own, by name.
    pub own: Vec<ActorPattern>,
    /// Stores of its namespace (or another, if the pattern names it), for reading and writing.
    pub shared: Vec<ActorPattern>,
}

/// Whether any of these patterns has the name, for an actor of that namespace.
pub fn covers(patterns: &[ActorPattern], own_namespace: &str, name: &ActorId) -> bool {
    patterns.iter().any(|pattern| pattern.matches(own_namespace, name))
}

/// A pattern over actor ids, and over the names of spaces, queues and what else is shared: `worker-*`, `other/worker-*`. `*` stands for any run of characters within one part.
///
/// Without a namespace it speaks of the actor's own; with one it reaches into that namespace, which nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorPattern(String);

impl ActorPattern {
    /// Reads a pattern; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-*".contains(c);
        if parts.len() > 2 {
            return Err(format!("`{text}` has more than one `/`; a pattern is `name` or `namespace/name`"));
        }
        if let Some(part) = parts.iter().find(|p| p.is_empty() || p.len() > 63) {
            return Err(format!("`{part}` in `{text}` must have 1 to 63 characters"));
        }
        match text.chars().find(|&c| c != '/' && !allowed(c)) {
            Some(c) => Err(format!(
                "`{c}` cannot stand in an actor id; use a-z, 0-9, `.`, `_`, `-`, and `*` for any run of them"
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The pattern that is everything of the own namespace.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `target` matches, for an actor of `own_namespace`.
    pub fn matches(&self, own_namespace: &str, target: &ActorId) -> bool {
        match self.0.split_once('/') {
            Some((namespace, name)) => {
                glob(namespace.as_bytes(), target.namespace().as_bytes())
                    && glob(name.as_bytes(), target.name().as_bytes())
            }
            None => target.namespace() == own_namespace && glob(self.0.as_bytes(), target.name().as_bytes()),
        }
    }
}

impl fmt::Display for ActorPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `*` matches any run of bytes. Linear but for going back to the last star, so at most pattern times text.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The environment that a guest sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables with their values.
    pub vars: BTreeMap<String, String>,
    /// Names of the node's own variables that are handed on.
    pub inherit: Vec<String>,
    /// Beginnings of names of the node's own variables that are handed on.
    pub prefixes: Vec<String>,
}

impl Environment {
    /// Whether the node's variable of this name is handed on.
    pub fn inherits(&self, name: &str) -> bool {
        self.inherit.iter().any(|own| own == name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// One directory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemGrant {
    /// The directory on the host, absolute after resolving.
    pub host: PathBuf,
    /// Where the guest sees it.
    pub guest: String,
    /// Refuses every change.
    pub read_only: bool,
    /// Makes effects repeatable after a crash that are not by themselves (docs/semantics.md, Effect classes).
    pub repeat: bool,
    /// Bytes that all below it may take; `None` is no bound.
    pub quota: Option<ByteCount>,
}

/// What happens to a message whose turn faulted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// Back to before the turn; the message is tried again while attempts remain.
    #[default]
    Restore,
    /// `restore` with one attempt.
    Skip,
    /// A new incarnation from init.
    Fresh,
    /// The actor stops.
    Stop,
}

impl OnFault {
    /// The manifest's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Skip => "skip",
            Self::Fresh => "fresh",
            Self::Stop => "stop",
        }
    }
}

/// The policy after faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// What a fault leads to.
    pub on_fault: OnFault,
    /// Attempts at one message in all.
    pub attempts: NonZeroU32,
    /// Faults within the window after which the actor is stopped.
    pub max_restarts: u32,
    /// The window in which faults are counted, in node time.
    pub window: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            on_fault: OnFault::Restore,
            attempts: NonZeroU32::MIN.saturating_add(2),
            max_restarts: 5,
            window: Duration::from_secs(60),
        }
    }
}

/// What of a journal is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All of it, from genesis.
    #[default]
    All,
    /// What the newest two bases need.
    Base,
    /// What is younger than this, and what the newest two bases need.
    For(Duration),
}

/// How an actor's bases are made and its journal kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// What is kept.
    pub keep: Keep,
    /// Records since the newest base at which another is made.
    pub max_replay: u64,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { keep: Keep::All, max_replay: 100_000 }
    }
}

/// Which children are started again when one of them ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// That one.
    #[default]
    OneForOne,
    /// All.
    OneForAll,
    /// That one and those started after it.
    RestForOne,
}

impl Strategy {
    /// The manifest's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one-for-one",
            Self::OneForAll => "one-for-all",
            Self::RestForOne => "rest-for-one",
        }
    }
}

/// A manifest, read and resolved: one actor, or an application's.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The actors in the order in which they are started; never empty.
    pub actors: Vec<ActorSpec>,
    /// Who supervises them; none for actors that stand by themselves.
    pub application: Option<super::application::Application>,
}
