//! The native form: sections of `troupe.toml` into drafts.
//!
//! A draft holds what the text says, with the places of those values that only resolving can check (paths, files). Each
//! section is one function and one list of keys; the lists are also what hints about misplaced keys are made from.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use troupe_log::{ActorId, Digest};

use super::edges;
use super::error::Error;
use super::grants::{self, GRANT_KEYS};
use super::http::Serving;
use super::init::{self, Init};
use super::text::{Entry, Section};
use super::types::{ComponentRef, Grants, Keep, Limits, Mode, OnFault, Snapshots, Supervision};

pub(super) const ACTOR_KEYS: &[&str] = &["name", "component", "journal", "init", "fsm-state"];
pub(super) const SECTION_KEYS: &[&str] =
    &["limits", "grants", "components", "supervision", "snapshots", "bind", "http"];
pub(super) const LIMIT_KEYS: &[&str] = &[
    "memory",
    "tables",
    "fuel",
    "deadline",
    "mailbox",
    "outstanding-calls",
    "payload",
    "max-turn-journal",
    "max-journal",
    "max-keys",
    "max-timers",
];
pub(super) const SUPERVISION_KEYS: &[&str] = &["on-fault", "attempts", "max-restarts", "window"];
pub(super) const SNAPSHOT_KEYS: &[&str] = &["keep", "max-replay"];

const MODES: [(&str, Mode); 3] = [("durable", Mode::Durable), ("buffered", Mode::Buffered), ("off", Mode::Off)];
const FAULTS: [(&str, OnFault); 4] =
    [("restore", OnFault::Restore), ("skip", OnFault::Skip), ("fresh", OnFault::Fresh), ("stop", OnFault::Stop)];

/// One actor as the text says it.
pub(super) struct Draft<'d, 'i> {
    pub(super) id: ActorId,
    pub(super) component: (ComponentRef, Entry<'d, 'i>),
    pub(super) journal: Mode,
    pub(super) init: Option<(Init, Entry<'d, 'i>)>,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
    /// The `host` of each filesystem grant, in their order.
    pub(super) hosts: Vec<Entry<'d, 'i>>,
    /// The code of `[components]`.
    pub(super) components: BTreeMap<String, (ComponentRef, Entry<'d, 'i>)>,
    pub(super) supervision: Supervision,
    pub(super) snapshots: Snapshots,
    pub(super) bind: BTreeMap<String, String>,
    pub(super) initial_fsm_state: String,
    pub(super) http: Option<Serving>,
    pub(super) listen: Option<std::net::SocketAddr>,
}

/// Reads one actor: `own` has the actor's keys, `sections` the sections beside it (the same one for a child).
pub(super) fn actor<'d, 'i>(own: &Section<'d, 'i>, sections: &Section<'d, 'i>) -> Result<Draft<'d, 'i>, Error> {
    let id = actor_id(&own.need("name", "name = \"counter\"")?)?;
    let component = own.need("component", "component = \"counter.wasm\"")?;
    let limits = match sections.get("limits") {
        Some(entry) => limits(&entry.section(LIMIT_KEYS)?, Limits::default())?,
        None => Limits::default(),
    };
    let components = match sections.get("components") {
        Some(entry) => components(&entry.open_section()?)?,
        None => BTreeMap::new(),
    };
    let names: Vec<&str> = components.keys().map(String::as_str).collect();
    let (grants, hosts) = match sections.get("grants") {
        Some(entry) => grants::read(&entry.section(GRANT_KEYS)?, Grants::default(), &names)?,
        None => (Grants::default(), Vec::new()),
    };
    grants::check_components(&grants, &names, sections)?;
    let http = sections.get("http").map(|entry| Serving::read(&entry, own.get("journal"))).transpose()?;
    Ok(Draft {
        component: (component_ref(&component)?, component),
        journal: match own.get("journal") {
            Some(entry) => entry.word(&MODES)?,
            None => Mode::default(),
        },
        init: match own.get("init") {
            Some(entry) => Some((init::read(&entry)?, entry)),
            None => None,
        },
        limits,
        grants,
        hosts,
        components,
        supervision: match sections.get("supervision") {
            Some(entry) => supervision(&entry.section(SUPERVISION_KEYS)?, Supervision::default())?,
            None => Supervision::default(),
        },
        snapshots: match sections.get("snapshots") {
            Some(entry) => snapshots(&entry.section(SNAPSHOT_KEYS)?)?,
            None => Snapshots::default(),
        },
        bind: match sections.get("bind") {
            Some(entry) => bind(&entry.open_section()?, &id)?,
            None => BTreeMap::new(),
        },
        initial_fsm_state: match own.get("fsm-state") {
            Some(entry) => entry.str()?.to_owned(),
            None => String::new(),
        },
        http,
        listen: None,
        id,
    })
}

pub(super) fn actor_id(entry: &Entry<'_, '_>) -> Result<ActorId, Error> {
    let text = entry.str()?;
    ActorId::parse(text).map_err(|_| {
        entry.bad(
            format!("is \"{}\", no actor id", super::text::shown(text)),
            "write `name` or `namespace/name`, each of 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit",
        )
    })
}

/// The keys of `[components]`: names that spawn may use, and the code behind them.
pub(super) fn components<'d, 'i>(
    section: &Section<'d, 'i>,
) -> Result<BTreeMap<String, (ComponentRef, Entry<'d, 'i>)>, Error> {
    let mut components = BTreeMap::new();
    for (name, entry) in section.entries() {
        grants::component_name(&name, &entry)?;
        components.insert(name, (component_ref(&entry)?, entry));
    }
    Ok(components)
}

/// A digest, `name@version`, or else a path. What ends in `.wasm` or has a `/` is a path in any case.
pub(super) fn component_ref(entry: &Entry<'_, '_>) -> Result<ComponentRef, Error> {
    let text = entry.str()?;
    if text.is_empty() {
        return Err(entry.bad("is empty", "write a path, `name@version`, or a digest `blake3:...`"));
    }
    if text.starts_with("blake3:") {
        return text.parse::<Digest>().map(ComponentRef::Digest).map_err(|_| {
            entry.bad(
                "is no digest",
                "write `blake3:` and 64 hexadecimal digits, as `troupe inspect FILE.wasm` prints it",
            )
        });
    }
    let path = text.contains('/') || text.contains('\\') || text.ends_with(".wasm");
    match text.rsplit_once('@') {
        Some((name, version)) if !path && !name.is_empty() && !version.is_empty() => {
            Ok(ComponentRef::Named { name: name.to_owned(), version: version.to_owned() })
        }
        _ => Ok(ComponentRef::Path(PathBuf::from(text))),
    }
}

/// The keys of `[limits]`; what is not there is `limits`' own.
pub(super) fn limits(section: &Section<'_, '_>, mut limits: Limits) -> Result<Limits, Error> {
    for (key, entry) in section.entries() {
        match key.as_str() {
            "memory" => limits.memory = entry.bytes()?,
            "tables" => limits.tables = entry.u32()?,
            "fuel" => limits.fuel = entry.u64()?,
            "deadline" => limits.deadline = entry.duration_or_none()?,
            "mailbox" => limits.mailbox = positive(&entry)?,
            "outstanding-calls" => limits.outstanding_calls = entry.u32()?,
            "payload" => limits.payload = entry.bytes()?,
            "max-turn-journal" => limits.max_turn_journal = entry.bytes()?,
            "max-journal" => limits.max_journal = entry.bytes_or_none()?,
            "max-keys" => limits.max_keys = entry.u32()?,
            _ => limits.max_timers = entry.u32()?,
        }
    }
    edges::limits(&limits).map_err(|e| out_of_range(section, e))?;
    Ok(limits)
}

/// Puts a value out of range at its own place, or at its section's.
fn out_of_range(section: &Section<'_, '_>, e: edges::OutOfRange) -> Error {
    match section.get(e.key) {
        Some(entry) => entry.bad(e.why, e.help),
        None => Error::BadValue { place: section.place(), key: e.key.to_owned(), why: e.why, help: e.help },
    }
}

fn positive(entry: &Entry<'_, '_>) -> Result<NonZeroU32, Error> {
    NonZeroU32::new(entry.u32()?).ok_or_else(|| entry.bad("is 0", "at least 1"))
}

/// The keys of `[supervision]`; what is not there is `supervision`'s own.
pub(super) fn supervision(section: &Section<'_, '_>, mut supervision: Supervision) -> Result<Supervision, Error> {
    for (key, entry) in section.entries() {
        match key.as_str() {
            "on-fault" => supervision.on_fault = entry.word(&FAULTS)?,
            "attempts" => supervision.attempts = positive(&entry)?,
            "max-restarts" => supervision.max_restarts = entry.u32()?,
            _ => supervision.window = entry.duration()?,
        }
    }
    edges::supervision(&supervision).map_err(|e| out_of_range(section, e))?;
    Ok(supervision)
}

fn snapshots(section: &Section<'_, '_>) -> Result<Snapshots, Error> {
    let mut snapshots = Snapshots::default();
    if let Some(entry) = section.get("keep") {
        snapshots.keep = match entry.str()? {
            "all" => Keep::All,
            "base" => Keep::Base,
            text => Keep::For(super::units::parse_duration(text).ok_or_else(|| {
                entry.bad(
                    format!("is \"{}\"", super::text::shown(text)),
                    "it is `all`, `base`, or a duration like \"7d\"",
                )
            })?),
        };
    }
    if let Some(entry) = section.get("max-replay") {
        snapshots.max_replay = entry.u64()?;
    }
    edges::snapshots(&snapshots).map_err(|e| out_of_range(section, e))?;
    Ok(snapshots)
}

/// Interfaces and the actors that serve them; an actor without a namespace is in that of the one that binds.
fn bind(section: &Section<'_, '_>, own: &ActorId) -> Result<BTreeMap<String, String>, Error> {
    let mut bound = BTreeMap::new();
    for (interface, entry) in section.entries() {
        let named = interface.split_once('/').is_some_and(|(package, name)| package.contains(':') && !name.is_empty());
        if !named {
            return Err(entry.bad(
                "is no interface",
                "bind interfaces by their full name, as in \"bank:ledger/account\" = \"acct-1\"",
            ));
        }
        let text = entry.str()?;
        let full = if text.contains('/') { text.to_owned() } else { format!("{}/{text}", own.namespace()) };
        let id = ActorId::parse(&full).map_err(|_| {
            entry.bad(
                format!("is bound to \"{}\", no actor id", super::text::shown(text)),
                "write an actor's `name` or `namespace/name`",
            )
        })?;
        bound.insert(interface, id.to_string());
    }
    Ok(bound)
}
