//! `[grants]`: what an actor may use, a function for each key.
//!
//! Reading begins with the grants that hold where nothing is said: the defaults, a profile's, or those of the parent. A
//! section that is written stands for itself: of its lists, those that are not named are empty. `true`, or a section
//! without keys, grants everything of the own namespace.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use troupe_log::Digest;

use super::error::Error;
use super::http::HttpGrant;
use super::profile::Profile;
use super::secrets::SecretSource;
use super::sockets::{AddressRange, NamePattern, Sockets};
use super::text::{Entry, Section, shown};
use super::types::{
    ActorPattern, Channels, ClockGrant, Environment, FilesystemGrant, Grants, KeyValue, Messaging, Processes,
    RandomGrant, Registration, TupleSpaces,
};
use super::units::{parse_duration, parse_moment};

pub(super) const GRANT_KEYS: &[&str] = &[
    "profile",
    "clocks",
    "random",
    "host",
    "stdio",
    "messaging",
    "environment",
    "arguments",
    "filesystem",
    "sockets",
    "processes",
    "tuplespace",
    "channels",
    "groups",
    "locks",
    "registry",
    "keyvalue",
    "store",
    "logging",
    "journal",
    "config",
    "http",
    "secrets",
];

/// Faster, and a day of node time is longer than what nanoseconds can count.
const MAX_SCALE: u32 = 86_400;

/// A `module-ref` has a name, a version and an `@`, or is a digest: longer ones name nothing.
const MAX_SPAWN_PATTERN: usize = 255;

/// The keys of `[grants]` over `grants`, and the places of the directories that it names. `components` are the names that
/// `processes = true` lets it spawn.
pub(super) fn read<'d, 'i>(
    section: &Section<'d, 'i>,
    mut grants: Grants,
    components: &[&str],
) -> Result<(Grants, Vec<Entry<'d, 'i>>), Error> {
    // What the names mean is no grant: it stays through a profile and through a section of its own.
    let named = grants.processes.as_ref().map(|p| p.components.clone()).unwrap_or_default();
    if let Some(entry) = section.get("profile") {
        grants = entry.word(&Profile::WORDS)?.grants();
        if let Some(processes) = &mut grants.processes {
            processes.components = named.clone();
        }
    }
    let mut hosts = Vec::new();
    for (key, entry) in section.entries() {
        match key.as_str() {
            "profile" => {}
            "clocks" => clocks(&entry, &mut grants)?,
            "host" => grants.host = switch(&entry)?,
            "stdio" => grants.stdio = switch(&entry)?,
            "logging" => grants.logging = switch(&entry)?,
            "journal" => grants.journal = switch(&entry)?,
            "random" => random(&entry, &mut grants.random)?,
            "messaging" => grants.messaging = messaging(&entry)?,
            "environment" => grants.environment = environment(&entry)?,
            "arguments" => grants.arguments = plain(entry.strings()?),
            "filesystem" => {
                grants.filesystem.clear();
                for entry in entry.list("[[grants.filesystem]]")? {
                    let (grant, host) = directory(&entry)?;
                    if grants.filesystem.iter().any(|g| g.guest == grant.guest) {
                        return Err(entry.bad(
                            format!("grants the guest's `{}` twice", grant.guest),
                            "give each directory its own `guest` path",
                        ));
                    }
                    grants.filesystem.push(grant);
                    hosts.push(host);
                }
            }
            "sockets" => grants.sockets = sockets(&entry)?,
            "processes" => grants.processes = processes(&entry, &named, components)?,
            "tuplespace" => {
                let all = TupleSpaces { spaces: everything(), read: Vec::new() };
                grants.tuplespace = lists(&entry, all, &["spaces", "read"], |grant, key, list| match key {
                    "spaces" => grant.spaces = list,
                    _ => grant.read = list,
                })?;
            }
            "channels" => grants.channels = channels(&entry)?,
            "groups" => grants.groups = lists(&entry, everything(), &["names"], |names, _, list| *names = list)?,
            "locks" => grants.locks = lists(&entry, everything(), &["names"], |names, _, list| *names = list)?,
            "registry" => {
                let all = Registration { register: everything(), lookup: everything() };
                grants.registry = lists(&entry, all, &["register", "lookup"], |grant, key, list| match key {
                    "register" => grant.register = list,
                    _ => grant.lookup = list,
                })?;
            }
            "keyvalue" => {
                let all = KeyValue { own: everything(), shared: everything() };
                grants.keyvalue = lists(&entry, all, &["own", "shared"], |grant, key, list| match key {
                    "own" => grant.own = list,
                    _ => grant.shared = list,
                })?;
            }
            "store" => grants.store = lists(&entry, everything(), &["names"], |names, _, list| *names = list)?,
            "http" => grants.http = HttpGrant::read(&entry)?,
            "secrets" => grants.secrets = secrets(&entry)?,
            _ => {
                grants.config.clear();
                for (key, value) in entry.open_section()?.entries() {
                    grants.config.insert(key, value.str()?.to_owned());
                }
            }
        }
    }
    for name in grants.secrets.keys() {
        let twice = grants.config.contains_key(name)
            || grants.environment.as_ref().is_some_and(|environment| environment.vars.contains_key(name));
        if let Some(entry) = section.get("secrets").filter(|_| twice) {
            return Err(entry.bad(
                format!("names `{}`, which is a variable or a key of `config` too", shown(name)),
                "give each value one place",
            ));
        }
    }
    Ok((grants, hosts))
}

fn secrets(entry: &Entry<'_, '_>) -> Result<BTreeMap<String, SecretSource>, Error> {
    let mut secrets = BTreeMap::new();
    for (name, entry) in entry.open_section()?.entries() {
        if name.is_empty() || name.len() > 255 || name.contains(['=', '\0']) {
            return Err(
                entry.bad(format!("is a secret named `{}`", shown(&name)), "a name is not empty and holds no `=`")
            );
        }
        let source = SecretSource::parse(entry.str()?)
            // What stands there may be the value itself.
            .map_err(|why| {
                entry.bad(format!("is no place of a secret: {why}"), "write \"env:NAME\" or \"file:/PATH\"")
            })?;
        secrets.insert(name, source);
    }
    Ok(secrets)
}

/// Everything of the own namespace.
fn everything() -> Vec<ActorPattern> {
    vec![ActorPattern::all()]
}

fn plain(list: Vec<(String, Entry<'_, '_>)>) -> Vec<String> {
    list.into_iter().map(|(text, _)| text).collect()
}

/// `true`, `false`, or an empty section, which grants.
fn switch(entry: &Entry<'_, '_>) -> Result<bool, Error> {
    if entry.is_section() {
        entry.section(&[])?;
        return Ok(true);
    }
    entry.bool()
}

/// A grant that is lists of patterns: `true`, `false`, or a section of them.
fn lists<T: Default>(
    entry: &Entry<'_, '_>,
    all: T,
    keys: &[&str],
    set: impl Fn(&mut T, &str, Vec<ActorPattern>),
) -> Result<Option<T>, Error> {
    if !entry.is_section() {
        return Ok(entry.bool()?.then_some(all));
    }
    let entries = entry.section(keys)?.entries();
    if entries.is_empty() {
        return Ok(Some(all));
    }
    let mut grant = T::default();
    for (key, entry) in entries {
        set(&mut grant, &key, patterns(&entry)?);
    }
    Ok(Some(grant))
}

fn patterns(entry: &Entry<'_, '_>) -> Result<Vec<ActorPattern>, Error> {
    let read = |(text, at): (String, Entry<'_, '_>)| {
        ActorPattern::parse(&text).map_err(|why| {
            at.bad(format!("has a bad pattern: {why}"), "write it like \"worker-*\" or \"other-namespace/worker-*\"")
        })
    };
    entry.strings()?.into_iter().map(read).collect()
}

fn clocks(entry: &Entry<'_, '_>, grants: &mut Grants) -> Result<(), Error> {
    if !entry.is_section() {
        grants.clocks = entry.bool()?;
        return Ok(());
    }
    let section = entry.section(&["enabled", "offset", "frozen", "scale", "min-sleep", "max-sleep"])?;
    grants.clocks = section.get("enabled").map_or(Ok(true), |e| e.bool())?;
    let mut time = ClockGrant::default();
    if let Some(entry) = section.get("offset") {
        let text = entry.str()?;
        let (sign, amount) = text.strip_prefix('-').map_or((1, text), |amount| (-1, amount));
        let duration = parse_duration(amount)
            .ok_or_else(|| entry.bad(format!("is \"{}\"", shown(text)), "write a time like \"1h\" or \"-30d\""))?;
        time.offset = sign * i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    }
    if let Some(entry) = section.get("frozen") {
        let text = entry.str()?;
        time.frozen = Some(parse_moment(text).ok_or_else(|| {
            entry.bad(format!("is \"{}\"", shown(text)), "write a moment like \"2026-01-31T12:00:00Z\"")
        })?);
    }
    if let Some(entry) = section.get("scale") {
        let scale = NonZeroU32::new(entry.u32()?).filter(|scale| scale.get() <= MAX_SCALE);
        time.scale = scale
            .ok_or_else(|| entry.bad("is out of range", format!("the clocks run 1 to {MAX_SCALE} times as fast")))?;
    }
    for (key, bound) in [("min-sleep", &mut time.min_sleep), ("max-sleep", &mut time.max_sleep)] {
        if let Some(entry) = section.get(key) {
            *bound = Some(entry.duration()?);
        }
    }
    if let (Some(min), Some(max)) = (time.min_sleep, time.max_sleep)
        && min > max
        && let Some(entry) = section.get("max-sleep")
    {
        return Err(entry.bad("is shorter than `min-sleep`", "no sleep would be allowed: make it longer"));
    }
    grants.time = time;
    Ok(())
}

fn random(entry: &Entry<'_, '_>, grant: &mut RandomGrant) -> Result<(), Error> {
    if !entry.is_section() {
        grant.enabled = entry.bool()?;
        return Ok(());
    }
    let section = entry.section(&["enabled", "seed", "max-bytes", "max-int"])?;
    grant.enabled = section.get("enabled").map_or(Ok(true), |e| e.bool())?;
    if let Some(seed) = section.get("seed") {
        grant.seed = Some(seed.u64()?);
    }
    if let Some(max) = section.get("max-bytes") {
        grant.max_bytes = Some(max.bytes()?);
    }
    if let Some(max) = section.get("max-int") {
        grant.max_int = Some(max.u64()?);
    }
    Ok(())
}

fn messaging(entry: &Entry<'_, '_>) -> Result<Option<Messaging>, Error> {
    let all = Messaging { to: everything() };
    if !entry.is_section() {
        return Ok(entry.bool()?.then_some(all));
    }
    match entry.section(&["to"])?.get("to") {
        Some(to) => Ok(Some(Messaging { to: patterns(&to)? })),
        None => Ok(Some(all)),
    }
}

fn channels(entry: &Entry<'_, '_>) -> Result<Option<Channels>, Error> {
    let all = Channels { send: everything(), receive: everything(), publish: everything(), subscribe: everything() };
    lists(entry, all, &["send", "receive", "publish", "subscribe"], |grant, key, list| match key {
        "send" => grant.send = list,
        "receive" => grant.receive = list,
        "publish" => grant.publish = list,
        _ => grant.subscribe = list,
    })
}

/// `true` lets it spawn what `components` names; `named` is what those names mean, if that is known already.
fn processes(
    entry: &Entry<'_, '_>,
    named: &BTreeMap<String, Digest>,
    components: &[&str],
) -> Result<Option<Processes>, Error> {
    let all = Processes {
        spawn: components.iter().map(|name| (*name).to_owned()).collect(),
        control: Vec::new(),
        components: named.clone(),
    };
    if !entry.is_section() {
        return Ok(entry.bool()?.then_some(all));
    }
    let entries = entry.section(&["spawn", "control", "components"])?.entries();
    if entries.is_empty() {
        return Ok(Some(all));
    }
    let mut grant = Processes { components: named.clone(), ..Processes::default() };
    for (key, entry) in entries {
        match key.as_str() {
            "spawn" => grant.spawn = spawn(&entry)?,
            "control" => grant.control = patterns(&entry)?,
            _ => {
                grant.components.clear();
                for (name, entry) in entry.open_section()?.entries() {
                    component_name(&name, &entry)?;
                    let digest = entry.str()?.parse::<Digest>().map_err(|_| {
                        entry.bad("is no digest", "write `blake3:` and 64 hexadecimal digits, or use [components]")
                    })?;
                    grant.components.insert(name, digest);
                }
            }
        }
    }
    Ok(Some(grant))
}

fn spawn(entry: &Entry<'_, '_>) -> Result<Vec<String>, Error> {
    let read = |(text, at): (String, Entry<'_, '_>)| match text.len() {
        1..=MAX_SPAWN_PATTERN if !text.contains(char::is_control) => Ok(text),
        _ => Err(at.bad(
            format!("has \"{}\", which names no component", shown(&text)),
            "write \"name@version\", a digest \"blake3:...\", or a name of [components], each perhaps with `*`",
        )),
    };
    entry.strings()?.into_iter().map(read).collect()
}

/// An error unless it can be a name of `[components]`: nothing that could also be `name@version` or a digest.
pub(super) fn component_name(name: &str, entry: &Entry<'_, '_>) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=63).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(entry.bad(
        "is no name for a component",
        "use 1 to 63 letters, digits, `.`, `_`, `-`, as in worker = \"worker.wasm\"",
    ))
}

/// An error if `[components]` and the grant to spawn do not know each other.
pub(super) fn check_components(grants: &Grants, names: &[&str], sections: &Section<'_, '_>) -> Result<(), Error> {
    let Some(processes) = &grants.processes else {
        return match sections.get("components") {
            Some(entry) if !names.is_empty() => Err(entry.bad(
                "names code that the actor may not spawn",
                "grant it, with [grants.processes] spawn = [\"worker\"], or take the section out",
            )),
            _ => Ok(()),
        };
    };
    let unknown = |text: &&String| {
        !text.contains(['*', '@', ':']) && !names.contains(&text.as_str()) && !processes.components.contains_key(*text)
    };
    match (processes.spawn.iter().find(unknown), sections.get("grants")) {
        (Some(text), Some(entry)) => Err(entry.bad(
            format!("lets it spawn \"{}\", which [components] does not name", shown(text)),
            format!("add [components] {} = \"{}.wasm\", or write \"name@version\"", shown(text), shown(text)),
        )),
        _ => Ok(()),
    }
}

fn environment(entry: &Entry<'_, '_>) -> Result<Option<Environment>, Error> {
    if !entry.is_section() {
        if entry.bool()? {
            return Err(entry.bad(
                "cannot be true: the whole environment is never handed on",
                "name the variables, as in [grants.environment] inherit = [\"LANG\"]",
            ));
        }
        return Ok(None);
    }
    let section = entry.section(&["vars", "inherit", "prefixes"])?;
    let mut grant = Environment::default();
    let check = |name: &str, at: &Entry<'_, '_>| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(at.bad(format!("names a variable `{}`", shown(name)), "a name is not empty and holds no `=`"));
        }
        Ok(())
    };
    if let Some(vars) = section.get("vars") {
        for (name, value) in vars.open_section()?.entries() {
            check(&name, &value)?;
            grant.vars.insert(name, value.str()?.to_owned());
        }
    }
    if let Some(inherit) = section.get("inherit") {
        for (name, at) in inherit.strings()? {
            check(&name, &at)?;
            grant.inherit.push(name);
        }
    }
    if let Some(prefixes) = section.get("prefixes") {
        for (prefix, at) in prefixes.strings()? {
            check(&prefix, &at)?;
            grant.prefixes.push(prefix);
        }
    }
    Ok(Some(grant))
}

fn sockets(entry: &Entry<'_, '_>) -> Result<Option<Sockets>, Error> {
    if !entry.is_section() {
        if entry.bool()? {
            return Err(entry.bad(
                "cannot be true: the whole network is never granted by a word",
                "name the addresses, as in [grants.sockets] connect = [\"203.0.113.0/24:443\"]",
            ));
        }
        return Ok(None);
    }
    let ranges = |entry: &Entry<'_, '_>| -> Result<Vec<AddressRange>, Error> {
        let read = |(text, at): (String, Entry<'_, '_>)| {
            AddressRange::parse(&text).map_err(|why| {
                at.bad(
                    format!("has \"{}\": {why}", shown(&text)),
                    "write it like \"203.0.113.0/24:443\", \"[2001:db8::1]:*\" or \"*:8000-8100\"",
                )
            })
        };
        entry.strings()?.into_iter().map(read).collect()
    };
    let mut grant = Sockets::default();
    for (key, entry) in entry.section(&["connect", "listen", "udp", "udp-bind", "lookup"])?.entries() {
        match key.as_str() {
            "connect" => grant.connect = ranges(&entry)?,
            "listen" => grant.listen = ranges(&entry)?,
            "udp" => grant.udp = ranges(&entry)?,
            "udp-bind" => grant.udp_bind = ranges(&entry)?,
            _ => {
                let read = |(text, at): (String, Entry<'_, '_>)| {
                    NamePattern::parse(&text).map_err(|why| {
                        at.bad(
                            format!("has a bad name: {why}"),
                            "write it like \"db.example.com\" or \"*.example.com\"",
                        )
                    })
                };
                grant.lookup = entry.strings()?.into_iter().map(read).collect::<Result<_, _>>()?;
            }
        }
    }
    Ok(Some(grant))
}

fn directory<'d, 'i>(entry: &Entry<'d, 'i>) -> Result<(FilesystemGrant, Entry<'d, 'i>), Error> {
    let section = entry.section(&["host", "guest", "read-only", "repeat", "quota"])?;
    let host = section.need("host", "host = \"data\"")?;
    let guest = section.need("guest", "guest = \"/data\"")?;
    let path = guest.str()?;
    if !path.starts_with('/') || path.contains('\0') {
        return Err(guest.bad(format!("is \"{}\"", shown(path)), "the guest's path begins with `/`"));
    }
    if host.str()?.is_empty() {
        return Err(host.bad("is empty", "name a directory; `.` is the manifest's own"));
    }
    let grant = FilesystemGrant {
        host: PathBuf::from(host.str()?),
        guest: path.to_owned(),
        read_only: section.get("read-only").map_or(Ok(false), |e| e.bool())?,
        repeat: section.get("repeat").map_or(Ok(false), |e| e.bool())?,
        quota: section.get("quota").map(|e| e.bytes()).transpose()?,
    };
    Ok((grant, host))
}
