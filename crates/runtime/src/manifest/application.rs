//! An application: actors under supervisors, as a tree.
//!
//! `[application]` is the topmost supervisor; each of `[[children]]` is an actor, or a supervisor of its own if it has `children`.
//! The order of the list is the order in which children are started; they are stopped in reverse. What the words mean is in
//! docs/supervision.md.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use troupe_log::ActorId;

use super::error::Error;
use super::parse::{self, Draft};
use super::resolve::{absolute, one_actor, resolve};
use super::text::{Doc, Entry, Section};
use super::types::{ActorSpec, Manifest, Strategy};

/// The most children and supervisors that an application may have, all together: each transition writes all of them.
pub const MAX_CHILDREN: usize = 1000;
/// How deep supervisors may lie in each other.
pub const MAX_DEPTH: usize = 16;
/// The most restarts within a window that a supervisor may allow: their times are kept.
pub const MAX_RESTARTS: u32 = 1000;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name, which is its node's own: 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`.
    pub name: String,
    /// What its topmost supervisor does.
    pub policy: Policy,
    /// What it supervises, in the order of starts.
    pub children: Vec<Child>,
}

/// What a supervisor does when a child ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which children are started again with it.
    pub strategy: Strategy,
    /// Restarts within the window; at one more the supervisor gives up.
    pub max_restarts: u32,
    /// The window, in node time.
    pub window: Duration,
    /// How long a restart waits.
    pub backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            strategy: Strategy::default(),
            max_restarts: 5,
            window: Duration::from_secs(60),
            backoff: Backoff::default(),
        }
    }
}

/// How long a restart waits: `initial` for the first within the window, twice as long for each one more, never longer than `max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// For the first restart.
    pub initial: Duration,
    /// For any.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Before the restart of that number within the window, from 1.
    pub fn before(&self, restart: u32) -> Duration {
        let doubled = 1u32.checked_shl(restart.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial.saturating_mul(doubled).min(self.max)
    }
}

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an abnormal end.
    Transient,
    /// Never.
    Temporary,
}

impl Restart {
    /// The manifest's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Restart::Permanent => "permanent",
            Restart::Transient => "transient",
            Restart::Temporary => "temporary",
        }
    }
}

/// One child of a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// When it is started again.
    pub restart: Restart,
    /// What it is.
    pub what: Supervised,
}

/// What a supervisor supervises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supervised {
    /// An actor; its settings are those of that id in [`Manifest::actors`].
    Actor {
        /// Which.
        id: ActorId,
        /// How long a turn in progress may go on when its supervisor stops it; then it is cut.
        shutdown: Duration,
    },
    /// Another supervisor.
    Supervisor {
        /// Its name.
        name: String,
        /// What it does.
        policy: Policy,
        /// What it supervises.
        children: Vec<Child>,
    },
}

impl Supervised {
    /// An actor that has five seconds to end its turn.
    pub fn actor(id: ActorId) -> Supervised {
        Supervised::Actor { id, shutdown: SHUTDOWN }
    }
}

/// The time that a turn in progress has to end, unless the manifest says otherwise.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What a supervisor is told.
const POLICY_KEYS: &[&str] = &["strategy", "max-restarts", "window", "backoff"];
const APPLICATION_KEYS: &[&str] = &["name", "strategy", "max-restarts", "window", "backoff"];
const SUPERVISOR_KEYS: &[&str] = &["name", "restart", "strategy", "max-restarts", "window", "backoff", "children"];
const CHILD_KEYS: &[&str] = &["restart", "shutdown", "manifest"];
/// The keys of a child that is another manifest's actor.
const ELSEWHERE_KEYS: &[&str] = &["name", "manifest", "restart", "shutdown"];

const STRATEGIES: [(&str, Strategy); 3] = [
    ("one-for-one", Strategy::OneForOne),
    ("one-for-all", Strategy::OneForAll),
    ("rest-for-one", Strategy::RestForOne),
];

const RESTARTS: [(&str, Restart); 3] =
    [("permanent", Restart::Permanent), ("transient", Restart::Transient), ("temporary", Restart::Temporary)];

/// Reads a manifest that has `[[children]]`. Without `[application]` they are actors side by side.
pub(super) fn read<'i>(
    doc: &Doc<'i>,
    table: &toml::Spanned<toml::de::DeTable<'i>>,
    folder: Option<&Path>,
) -> Result<Manifest, Error> {
    let root = Section::root(doc, table, &[&["application", "children"], POLICY_KEYS].concat())?;
    if let Some(entry) = POLICY_KEYS.iter().find_map(|key| root.get(key)) {
        return Err(entry.bad(
            "stands above the children, where nobody supervises them",
            "write it in [application], which has a name: `[application]`, `name = \"shop\"`, `strategy = \"one-for-all\"`",
        ));
    }
    let mut reader = Reader { folder, actors: Vec::new(), seen: BTreeSet::new(), named: BTreeSet::new(), count: 0 };
    let children = reader.children(&root, 1)?;
    let Some(entry) = root.get("application") else {
        let supervisor = children.iter().find_map(|child| match &child.what {
            Supervised::Supervisor { name, .. } => Some(name),
            Supervised::Actor { .. } => None,
        });
        if let Some(name) = supervisor {
            return Err(root.need("children", "")?.bad(
                format!("has the supervisor {name}, and none above it"),
                "write [application] with a name above the children",
            ));
        }
        return Ok(Manifest { actors: reader.actors, application: None });
    };
    let own = entry.section(APPLICATION_KEYS)?;
    let name = name(&own.need("name", "name = \"shop\"")?)?;
    let application = Application { name, policy: policy(&own)?, children };
    Ok(Manifest { actors: reader.actors, application: Some(application) })
}

struct Reader<'f> {
    folder: Option<&'f Path>,
    actors: Vec<ActorSpec>,
    seen: BTreeSet<ActorId>,
    named: BTreeSet<String>,
    count: usize,
}

impl Reader<'_> {
    fn children(&mut self, parent: &Section<'_, '_>, depth: usize) -> Result<Vec<Child>, Error> {
        let entry = parent.need("children", "[[children]] with name and component")?;
        if depth > MAX_DEPTH {
            return Err(entry.bad(
                format!("lies more than {MAX_DEPTH} supervisors deep"),
                "a tree of fewer levels is easier to reason about; use several applications",
            ));
        }
        let mut children = Vec::new();
        for child in entry.list("[[children]]")? {
            self.count += 1;
            if self.count > MAX_CHILDREN {
                return Err(child.bad(
                    format!("is one more than the {MAX_CHILDREN} that an application may have"),
                    "use several applications",
                ));
            }
            children.push(self.child(&child, depth)?);
        }
        if children.is_empty() {
            return Err(entry.bad("is empty", "add a [[children]] with name and component"));
        }
        Ok(children)
    }

    fn child(&mut self, entry: &Entry<'_, '_>, depth: usize) -> Result<Child, Error> {
        let open = entry.open_section()?;
        let restart = |section: &Section<'_, '_>| match section.get("restart") {
            Some(entry) => entry.word(&RESTARTS),
            None => Ok(Restart::default()),
        };
        if open.has("children") {
            let own = entry.section(SUPERVISOR_KEYS)?;
            let at = own.need("name", "name = \"storage\"")?;
            let name = name(&at)?;
            if !self.named.insert(name.clone()) {
                return Err(at.bad(format!("names the supervisor {name} twice"), "give each its own name"));
            }
            let what =
                Supervised::Supervisor { name, policy: policy(&own)?, children: self.children(&own, depth + 1)? };
            return Ok(Child { restart: restart(&own)?, what });
        }
        let (spec, own) = if let Some(elsewhere) = open.get("manifest") {
            let own = entry.section(ELSEWHERE_KEYS)?;
            let path = absolute(Path::new(elsewhere.str()?), self.folder, &elsewhere)?;
            let mut spec = one_actor(&path, &elsewhere)?;
            if let Some(name) = own.get("name") {
                spec.id = parse::actor_id(&name)?;
            }
            (spec, own)
        } else {
            let own = entry.section(&[parse::ACTOR_KEYS, parse::SECTION_KEYS, CHILD_KEYS].concat())?;
            let draft: Draft<'_, '_> = parse::actor(&own, &own)?;
            (resolve(draft, self.folder)?, own)
        };
        if !self.seen.insert(spec.id.clone()) {
            return Err(entry.bad(format!("names the actor {} twice", spec.id), "give each child its own name"));
        }
        let shutdown = match own.get("shutdown") {
            Some(entry) => entry.duration()?,
            None => SHUTDOWN,
        };
        let id = spec.id.clone();
        self.actors.push(spec);
        Ok(Child { restart: restart(&own)?, what: Supervised::Actor { id, shutdown } })
    }
}

fn policy(section: &Section<'_, '_>) -> Result<Policy, Error> {
    let mut policy = Policy::default();
    if let Some(entry) = section.get("strategy") {
        policy.strategy = entry.word(&STRATEGIES)?;
    }
    if let Some(entry) = section.get("max-restarts") {
        policy.max_restarts = entry.u32()?;
        if policy.max_restarts > MAX_RESTARTS {
            return Err(entry.bad(format!("is {}", policy.max_restarts), format!("it is at most {MAX_RESTARTS}")));
        }
    }
    if let Some(entry) = section.get("window") {
        policy.window = entry.duration()?;
        if policy.window < Duration::from_millis(1) {
            return Err(entry.bad("is shorter than 1ms", "write a time like \"1m\""));
        }
    }
    if let Some(entry) = section.get("backoff") {
        let own = entry.section(&["initial", "max"])?;
        if let Some(entry) = own.get("initial") {
            policy.backoff.initial = entry.duration()?;
            policy.backoff.max = policy.backoff.max.max(policy.backoff.initial);
        }
        if let Some(entry) = own.get("max") {
            policy.backoff.max = entry.duration()?;
        }
        if policy.backoff.max < policy.backoff.initial {
            return Err(entry.bad("has a `max` that is less than `initial`", "raise `max`, or lower `initial`"));
        }
    }
    Ok(policy)
}

/// A name of an application or a supervisor: as an actor's, without a namespace.
fn name(entry: &Entry<'_, '_>) -> Result<String, Error> {
    let text = entry.str()?;
    match ActorId::parse(text) {
        Ok(_) if !text.contains('/') => Ok(text.to_owned()),
        _ => Err(entry.bad(
            format!("is \"{}\", no name", super::text::shown(text)),
            "write 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit",
        )),
    }
}

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
