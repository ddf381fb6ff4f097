//! Theater's `manifest.toml`: top-level `name`, `component`, `save_chain`, and `[[handler]]`s, each of which is a grant.
//!
//! Read into the same draft as the native form. What is not listed is off, as there. A handler or key whose meaning
//! cannot be kept is an error that says so: narrowing something silently less than asked would be a hole.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::error::Error;
use super::http::{HttpGrant, Serving};
use super::init::Init;
use super::parse::{self, Draft};
use super::text::{Doc, Entry, Section, nearest, shown};
use super::types::{
    ActorPattern, ComponentRef, Environment, FilesystemGrant, Grants, Limits, Messaging, Mode, OnFault, Processes,
    RandomGrant, Snapshots, Supervision,
};

const KEYS: &[&str] = &["name", "version", "component", "description", "save_chain", "init_state", "handler"];

/// Faults within a minute after which an actor ends all the same: each is remembered as long.
const MAX_FAULTS: u32 = 1_000_000;

const HANDLERS: &[&str] =
    &["random", "runtime", "timing", "environment", "filesystem", "wasi-http", "message-server", "supervisor", "store"];

/// Whether these top-level keys are Theater's: a `name` and `component` at the top, or a `handler`.
pub(super) fn is_one(top: &BTreeSet<&str>) -> bool {
    top.contains("handler") || (top.contains("name") && top.contains("component"))
}

/// Reads one.
pub(super) fn read<'d, 'i>(doc: &'d Doc<'i>, table: &'d Spanned<DeTable<'i>>) -> Result<Draft<'d, 'i>, Error> {
    let root = Section::root(doc, table, KEYS)?;
    let name = root.need("name", "name = \"counter\"")?;
    let id = parse::actor_id(&name)?;
    let component = root.need("component", "component = \"counter.wasm\"")?;
    for key in ["version", "description"] {
        if let Some(entry) = root.get(key) {
            entry.str()?;
        }
    }
    let mut granted = Granted {
        grants: Grants {
            clocks: false,
            random: RandomGrant { enabled: false, ..RandomGrant::default() },
            host: false,
            logging: false,
            ..Grants::default()
        },
        hosts: Vec::new(),
        listen: None,
        components: BTreeMap::new(),
    };
    if let Some(handlers) = root.get("handler") {
        for entry in handlers.list("[[handler]]")? {
            granted.handler(&entry)?;
        }
    }
    Ok(Draft {
        id,
        component: (parse::component_ref(&component)?, component),
        // A chain that is not saved is lost with the process there; absent, an actor here is as safe as any.
        journal: match root.get("save_chain") {
            Some(entry) if !entry.bool()? => Mode::Off,
            _ => Mode::Durable,
        },
        init: match root.get("init_state") {
            Some(entry) => Some((Init::File(PathBuf::from(entry.str()?)), entry)),
            None => None,
        },
        limits: Limits::default(),
        grants: granted.grants,
        hosts: granted.hosts,
        components: granted.components,
        // A fault ends its request there, and never the actor.
        supervision: Supervision { on_fault: OnFault::Skip, max_restarts: MAX_FAULTS, ..Supervision::default() },
        snapshots: Snapshots::default(),
        bind: BTreeMap::new(),
        initial_fsm_state: String::new(),
        http: granted.listen.and_then(|_| Serving::on("/").ok()),
        listen: granted.listen,
    })
}

struct Granted<'d, 'i> {
    grants: Grants,
    hosts: Vec<Entry<'d, 'i>>,
    /// Where it is to be served over HTTP.
    listen: Option<SocketAddr>,
    /// What it may spawn by name.
    components: BTreeMap<String, (ComponentRef, Entry<'d, 'i>)>,
}

impl<'d, 'i> Granted<'d, 'i> {
    fn handler(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let kind = entry.open_section()?.need("type", "type = \"random\"")?;
        let unknown = |word: &str| {
            let near = nearest(word, HANDLERS).unwrap_or("random");
            kind.bad(
                format!("is \"{}\"", shown(word)),
                format!("the nearest known handler is \"{near}\" (known: {})", HANDLERS.join(", ")),
            )
        };
        match kind.str()? {
            "random" => self.random(entry),
            "runtime" => {
                entry.section(&["type"])?;
                self.grants.host = true;
                Ok(())
            }
            "timing" => {
                let section = entry.section(&["type", "min_sleep_duration", "max_sleep_duration"])?;
                let millis =
                    |key: &str| section.get(key).map(|entry| entry.u64().map(Duration::from_millis)).transpose();
                let time = &mut self.grants.time;
                (time.min_sleep, time.max_sleep) = (millis("min_sleep_duration")?, millis("max_sleep_duration")?);
                if let Some(entry) = section.get("max_sleep_duration")
                    && time.min_sleep > time.max_sleep
                {
                    return Err(entry.bad("is less than `min_sleep_duration`", "no sleep would be allowed"));
                }
                self.grants.clocks = true;
                Ok(())
            }
            "environment" => self.environment(entry),
            "filesystem" => self.filesystem(entry),
            "message-server" => {
                entry.section(&["type"])?;
                let all = ActorPattern::parse("*").map_err(|why| kind.bad(why, "write `*`"))?;
                self.grants.messaging = Some(Messaging { to: vec![all] });
                Ok(())
            }
            "store" => {
                entry.section(&["type"])?;
                self.grants.store = Some(vec![ActorPattern::all()]);
                Ok(())
            }
            "wasi-http" => self.http(entry),
            "supervisor" => self.supervisor(entry),
            word => Err(unknown(word)),
        }
    }

    /// What it may spawn: the `components` that are named, else any that the node has, by `name@version` or digest.
    fn supervisor(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let section = entry.section(&["type", "components"])?;
        let mut processes = Processes::default();
        match section.get("components") {
            None => processes.spawn.push("*".to_owned()),
            Some(entry) => self.components = parse::components(&entry.open_section()?)?,
        }
        processes.spawn.extend(self.components.keys().cloned());
        self.grants.processes = Some(processes);
        Ok(())
    }

    /// Requests to public hosts; with a `port` it is served too, by the gateway of whoever runs the manifest.
    fn http(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let section = entry.section(&["type", "port", "host"])?;
        self.grants.http = Some(HttpGrant::all());
        let host = match section.get("host") {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(host) => match host.str()? {
                "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                text => text.parse().map_err(|_| {
                    host.bad(
                        format!("is \"{}\"", shown(text)),
                        "write an address of this machine, such as \"127.0.0.1\"",
                    )
                })?,
            },
        };
        match section.get("port") {
            // It says where, and not that it is served.
            None => Ok(()),
            Some(port) => {
                let number = u16::try_from(port.u64()?);
                let number = number.map_err(|_| port.bad("is no port", "write a number up to 65535"))?;
                self.listen = Some(SocketAddr::new(host, number));
                Ok(())
            }
        }
    }

    fn random(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let section = entry.section(&["type", "seed", "max_bytes", "max_int", "allow_crypto_secure"])?;
        if let Some(entry) = section.get("allow_crypto_secure") {
            // With a seed nothing given is secure; without one everything is.
            if !entry.bool()? && !section.has("seed") {
                return Err(entry
                    .unsupported("`allow_crypto_secure = false` without a seed", "give a seed, or take the key out"));
            }
        }
        self.grants.random = RandomGrant {
            enabled: true,
            seed: section.get("seed").map(|e| e.u64()).transpose()?,
            max_bytes: section.get("max_bytes").map(|e| e.bytes()).transpose()?,
            max_int: section.get("max_int").map(|e| e.u64()).transpose()?,
        };
        Ok(())
    }

    /// The guest sees the allowed variables and no others, so that listing them all shows nothing more.
    fn environment(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let section = entry.section(&["type", "allowed_vars", "denied_vars", "allowed_prefixes", "allow_list_all"])?;
        if let Some(entry) = section.get("allow_list_all") {
            entry.bool()?;
        }
        let names = |key: &str| match section.get(key) {
            Some(entry) => entry.strings(),
            None => Ok(Vec::new()),
        };
        let denied: BTreeSet<String> = names("denied_vars")?.into_iter().map(|(n, _)| n).collect();
        let prefixes = names("allowed_prefixes")?;
        if let Some((prefix, at)) = prefixes.iter().find(|(prefix, _)| denied.iter().any(|n| n.starts_with(prefix))) {
            let what = format!("a denied variable under the allowed prefix `{}`", shown(prefix));
            return Err(at.unsupported(what, "name the variables with `allowed_vars`"));
        }
        self.grants.environment = Some(Environment {
            vars: BTreeMap::new(),
            inherit: names("allowed_vars")?
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| !denied.contains(name))
                .collect(),
            prefixes: prefixes.into_iter().map(|(prefix, _)| prefix).collect(),
        });
        Ok(())
    }

    fn filesystem(&mut self, entry: &Entry<'d, 'i>) -> Result<(), Error> {
        let section = entry.section(&["type", "path", "new_dir"])?;
        let new = section.get("new_dir").filter(|entry| !matches!(entry.bool(), Ok(false)));
        if let Some(entry) = &new {
            entry.bool()?;
            if section.has("path") {
                return Err(
                    entry.bad("stands beside `path`", "a new directory is the node's to place: take `path` out")
                );
            }
        }
        let (host, path) = match new {
            Some(entry) => (entry, FilesystemGrant::NEW),
            None => {
                let host = section.need("path", "path = \"data\"")?;
                let path = host.str()?;
                (host, path)
            }
        };
        if !self.hosts.is_empty() {
            return Err(host.unsupported("a second filesystem handler", "the guest's root is one directory; name that"));
        }
        self.grants.filesystem.push(FilesystemGrant {
            host: PathBuf::from(path),
            guest: "/".to_owned(),
            read_only: false,
            repeat: false,
            quota: None,
        });
        self.hosts.push(host);
        Ok(())
    }
}
