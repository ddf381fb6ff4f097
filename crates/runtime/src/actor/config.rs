//! What an actor lives under: the settings that stand in its genesis record and in the actors table.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use troupe_log::codec::{self, Reader, put_str, put_u8, put_u32, put_u64};
use troupe_log::{ActorId, Digest, Incarnation};

use crate::manifest::units::write_duration;
use crate::manifest::{
    ActorSpec, Bodies, Grants, Instance, Keep, Limits, Mode, OnFault, Serving, Snapshots, Supervision, USUAL_PARALLEL,
};

/// The settings of one actor.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How its journal is kept.
    pub mode: Mode,
    /// The first state of a gen-fsm actor.
    pub first_state: String,
    /// What it may use up.
    pub limits: Limits,
    /// What it may use.
    pub grants: Grants,
    /// What follows a fault.
    pub supervision: Supervision,
    /// Bases and truncation.
    pub snapshots: Snapshots,
    /// Imports bound to actors.
    pub bind: BTreeMap<String, String>,
    /// The route on which it is served over HTTP.
    pub http: Option<Serving>,
}

const VERSION: u8 = 1;

impl Config {
    /// The settings that a manifest asks for.
    pub fn of(spec: &ActorSpec) -> Config {
        let first_state = if spec.initial_fsm_state.is_empty() { "start" } else { &spec.initial_fsm_state };
        Config {
            mode: spec.journal,
            first_state: first_state.to_owned(),
            limits: spec.limits.clone(),
            grants: spec.grants.clone(),
            supervision: spec.supervision.clone(),
            snapshots: spec.snapshots.clone(),
            bind: spec.bind.clone(),
            http: spec.http.clone(),
        }
    }

    /// What differs from these settings to `other`, by the names of the manifest: `limits.fuel 5 -> 6`. Values of the environment
    /// and of `config` may be secrets and are left out.
    pub fn differences(&self, other: &Config) -> Vec<String> {
        let mut all = Vec::new();
        let mut one = |section: &str, key: &str, before: String, now: String| {
            if before != now && section == "grants" && matches!(key, "environment" | "config") {
                all.push(format!("grants.{key}"));
            } else if before != now {
                all.push(format!("{section}.{key} {before} -> {now}"));
            }
        };
        let texts = [
            ("limits", self.limits.to_toml(), other.limits.to_toml()),
            ("grants", self.grants.to_toml(), other.grants.to_toml()),
        ];
        for (section, before, now) in &texts {
            // A key that only one has is not granted by the other.
            let (was, is): (Vec<_>, Vec<_>) =
                (before.lines().map(key_and_value).collect(), now.lines().map(key_and_value).collect());
            let value = |lines: &[(&str, &str)], key: &str| {
                lines
                    .iter()
                    .find(|(known, _)| *known == key)
                    .map_or("false".to_owned(), |(_, value)| (*value).to_owned())
            };
            let added = is.iter().filter(|(key, _)| !was.iter().any(|(known, _)| known == key));
            for (key, _) in was.iter().chain(added) {
                one(section, key, value(&was, key), value(&is, key));
            }
        }
        let (was, is) = (&self.supervision, &other.supervision);
        one("supervision", "on-fault", on_fault(was.on_fault), on_fault(is.on_fault));
        one("supervision", "attempts", was.attempts.to_string(), is.attempts.to_string());
        one("supervision", "max-restarts", was.max_restarts.to_string(), is.max_restarts.to_string());
        one("supervision", "window", write_duration(was.window), write_duration(is.window));
        let (was, is) = (&self.snapshots, &other.snapshots);
        one("snapshots", "keep", keep(was.keep), keep(is.keep));
        one("snapshots", "max-replay", was.max_replay.to_string(), is.max_replay.to_string());
        let served = |config: &Config| match &config.http {
            None => ["route", "instance", "parallel", "bodies"].map(|_| "none".to_owned()),
            Some(http) => [
                http.route.clone(),
                format!("{:?}", http.instance),
                http.parallel.to_string(),
                format!("{:?}", http.bodies),
            ],
        };
        let (was, is) = (served(self), served(other));
        for ((key, was), is) in ["route", "instance", "parallel", "bodies"].into_iter().zip(was).zip(is) {
            one("http", key, was, is);
        }
        let imports: std::collections::BTreeSet<_> = self.bind.keys().chain(other.bind.keys()).collect();
        for import in imports {
            let bound =
                |config: &Config| config.bind.get(import).map_or("none".to_owned(), |actor| format!("{actor:?}"));
            one("bind", &format!("{import:?}"), bound(self), bound(other));
        }
        all
    }

    /// Whether a living actor can go on under `other`; the error says what cannot change.
    pub fn may_become(&self, other: &Config) -> Result<(), String> {
        if self.mode != other.mode {
            return Err(format!("journal = \"{}\", the manifest says \"{}\"", self.mode, other.mode));
        }
        if self.first_state != other.first_state {
            return Err(format!("the first state {:?}, the manifest says {:?}", self.first_state, other.first_state));
        }
        if self.mode == Mode::Off && self != other {
            return Err(format!(
                "journal = \"off\", so that nothing would bring it back under {}",
                self.differences(other).join(", ")
            ));
        }
        Ok(())
    }

    /// The bytes of them: the body of `config` in a genesis record (docs/journal-format.md).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        put_u8(&mut out, VERSION);
        put_u8(
            &mut out,
            match self.mode {
                Mode::Durable => 0,
                Mode::Buffered => 1,
                Mode::Off => 2,
            },
        );
        put_str(&mut out, &self.first_state);
        put_str(&mut out, &self.limits.to_toml());
        put_str(&mut out, &self.grants.to_toml());
        put_u8(
            &mut out,
            match self.supervision.on_fault {
                OnFault::Restore => 0,
                OnFault::Skip => 1,
                OnFault::Fresh => 2,
                OnFault::Stop => 3,
            },
        );
        put_u32(&mut out, self.supervision.attempts.get());
        put_u32(&mut out, self.supervision.max_restarts);
        put_u64(&mut out, micros(self.supervision.window));
        match self.snapshots.keep {
            Keep::All => put_u8(&mut out, 0),
            Keep::Base => put_u8(&mut out, 1),
            Keep::For(time) => {
                put_u8(&mut out, 2);
                put_u64(&mut out, micros(time));
            }
        }
        put_u64(&mut out, self.snapshots.max_replay);
        put_u32(&mut out, self.bind.len() as u32);
        for (import, actor) in &self.bind {
            put_str(&mut out, import);
            put_str(&mut out, actor);
        }
        // Written only where it is: settings of before end here.
        if let Some(http) = &self.http {
            put_str(&mut out, &http.route);
            put_u8(&mut out, u8::from(http.instance == Instance::PerRequest));
            if http.parallel != USUAL_PARALLEL || http.bodies != Bodies::Whole {
                put_u32(&mut out, http.parallel.get());
                put_u8(&mut out, u8::from(http.bodies == Bodies::Streamed));
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Config, String> {
        let text = |error: codec::Error| error.to_string();
        let mut input = Reader::new(bytes);
        let version = input.u8().map_err(text)?;
        if version != VERSION {
            return Err(format!("settings of version {version}, this program knows {VERSION}"));
        }
        let mut read = || -> Result<Result<Config, String>, codec::Error> {
            let mode = match input.case(3)? {
                0 => Mode::Durable,
                1 => Mode::Buffered,
                _ => Mode::Off,
            };
            let first_state = input.str()?.to_owned();
            let limits = Limits::from_toml(input.str()?);
            let grants = Grants::from_toml(input.str()?);
            let on_fault = match input.case(4)? {
                0 => OnFault::Restore,
                1 => OnFault::Skip,
                2 => OnFault::Fresh,
                _ => OnFault::Stop,
            };
            let attempts = NonZeroU32::new(input.u32()?).unwrap_or(NonZeroU32::MIN);
            let max_restarts = input.u32()?;
            let window = Duration::from_micros(input.u64()?);
            let keep = match input.case(3)? {
                0 => Keep::All,
                1 => Keep::Base,
                _ => Keep::For(Duration::from_micros(input.u64()?)),
            };
            let max_replay = input.u64()?;
            let mut bind = BTreeMap::new();
            for _ in 0..input.len(8)? {
                bind.insert(input.str()?.to_owned(), input.str()?.to_owned());
            }
            let mut http = None;
            if !input.is_empty() {
                let at = input.at();
                let serving = Serving::on(input.str()?).map_err(|_| codec::Error::Bad { at, what: "route" })?;
                let instance = if input.bool()? { Instance::PerRequest } else { Instance::Actor };
                let (mut parallel, mut bodies) = (USUAL_PARALLEL, Bodies::Whole);
                if !input.is_empty() {
                    let at = input.at();
                    let count = NonZeroU32::new(input.u32()?);
                    parallel = count.ok_or(codec::Error::Bad { at, what: "number of instances" })?;
                    bodies = if input.bool()? { Bodies::Streamed } else { Bodies::Whole };
                }
                http = Some(Serving { instance, parallel, bodies, ..serving });
            }
            input.finish()?;
            let (limits, grants) = match (limits, grants) {
                (Ok(limits), Ok(grants)) => (limits, grants),
                (Err(error), _) | (_, Err(error)) => return Ok(Err(error.to_string())),
            };
            Ok(Ok(Config {
                mode,
                first_state,
                limits,
                grants,
                supervision: Supervision { on_fault, attempts, max_restarts, window },
                snapshots: Snapshots { keep, max_replay },
                bind,
                http,
            }))
        };
        read().map_err(text)?
    }
}

/// An entry of the actors table: what the node must know to bring an actor back.
#[derive(Clone, Debug, PartialEq)]
pub struct ActorEntry {
    /// Its life.
    pub incarnation: Incarnation,
    /// What it runs.
    pub component: Digest,
    /// What its init was given, for a fresh start.
    pub initial: Vec<u8>,
    /// Who spawned it.
    pub parent: Option<ActorId>,
    /// Why it takes no messages any more; none while it lives.
    pub stopped: Option<String>,
    /// Its settings.
    pub config: Vec<u8>,
}

impl ActorEntry {
    /// Its value in the table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.config.len() + self.initial.len() + 96);
        put_u32(&mut out, self.incarnation.0);
        out.extend_from_slice(&self.component.0);
        codec::put_bytes(&mut out, &self.initial);
        codec::put_option(&mut out, self.parent.as_ref().map(ActorId::as_str), put_str);
        codec::put_option(&mut out, self.stopped.as_deref(), put_str);
        codec::put_bytes(&mut out, &self.config);
        out
    }

    /// Reads a value of the table.
    pub fn decode(value: &[u8]) -> Result<ActorEntry, codec::Error> {
        let mut input = Reader::new(value);
        let entry = ActorEntry {
            incarnation: Incarnation(input.u32()?),
            component: Digest(input.array()?),
            initial: input.bytes()?.to_vec(),
            parent: input.option(|input| {
                let at = input.at();
                ActorId::reserved(input.str()?).map_err(|_| codec::Error::Bad { at, what: "actor id" })
            })?,
            stopped: input.option(|input| input.str().map(str::to_owned))?,
            config: input.bytes()?.to_vec(),
        };
        input.finish()?;
        Ok(entry)
    }
}

fn on_fault(policy: OnFault) -> String {
    let name = match policy {
        OnFault::Restore => "restore",
        OnFault::Skip => "skip",
        OnFault::Fresh => "fresh",
        OnFault::Stop => "stop",
    };
    name.to_owned()
}

fn keep(keep: Keep) -> String {
    match keep {
        Keep::All => "all".to_owned(),
        Keep::Base => "base".to_owned(),
        Keep::For(time) => write_duration(time),
    }
}

fn key_and_value(line: &str) -> (&str, &str) {
    line.split_once(" = ").unwrap_or((line, ""))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ComponentRef;

    #[test]
    fn settings_read_back() {
        let mut spec = ActorSpec::new(ActorId::parse("a").unwrap(), ComponentRef::Digest(Digest::of(b"x")));
        spec.snapshots.keep = Keep::For(Duration::from_secs(60));
        spec.bind.insert("bank:ledger/account".to_owned(), "default/acct".to_owned());
        let config = Config::of(&spec);
        assert_eq!(Config::decode(&config.encode()), Ok(config.clone()));
        assert!(Config::decode(&config.encode()[..40]).is_err());
        // How it is served, in the shortest form that says it.
        let mut served = Config { http: Some(Serving::on("/a").unwrap()), ..config.clone() };
        assert_eq!(served.encode().len(), config.encode().len() + "/a".len() + 5);
        let changes: [fn(&mut Serving); 3] = [
            |http| http.instance = Instance::PerRequest,
            |http| http.parallel = NonZeroU32::MIN,
            |http| http.bodies = Bodies::Streamed,
        ];
        for change in changes {
            let before = served.clone();
            change(served.http.as_mut().unwrap());
            assert_eq!(Config::decode(&served.encode()), Ok(served.clone()));
            assert_eq!(before.differences(&served).len(), 1);
        }
        let mut other = config.clone();
        assert_eq!(config.differences(&other), Vec::<String>::new());
        other.limits.fuel = 7;
        other.grants.clocks = false;
        other.snapshots.keep = Keep::All;
        other.supervision.attempts = NonZeroU32::MIN;
        other.bind.clear();
        let vars = BTreeMap::from([("TOKEN".to_owned(), "secret".to_owned())]);
        other.grants.config.insert("password".to_owned(), "secret".to_owned());
        other.grants.environment = Some(crate::manifest::Environment { vars, ..Default::default() });
        let changes = [
            "limits.fuel 1000000000 -> 7",
            "grants.clocks true -> false",
            "grants.environment",
            "grants.config",
            "supervision.attempts 3 -> 1",
            "snapshots.keep 1m -> all",
            "bind.\"bank:ledger/account\" \"default/acct\" -> none",
        ];
        assert_eq!(config.differences(&other), changes);
        assert_eq!(config.may_become(&other), Ok(()));
        for (mode, word) in [(Mode::Off, "off"), (Mode::Buffered, "buffered")] {
            let why = config.may_become(&Config { mode, ..config.clone() }).unwrap_err();
            assert!(why.contains("durable") && why.contains(word), "{why}");
        }
        assert!(config.may_become(&Config { first_state: "red".to_owned(), ..config.clone() }).is_err());
        let off = Config { mode: Mode::Off, ..config.clone() };
        assert!(off.may_become(&Config { mode: Mode::Off, ..other }).unwrap_err().contains("limits.fuel"));
        let entry = ActorEntry {
            incarnation: Incarnation(3),
            component: Digest::of(b"x"),
            initial: vec![1],
            parent: Some(spec.id),
            stopped: None,
            config: config.encode(),
        };
        assert_eq!(ActorEntry::decode(&entry.encode()), Ok(entry));
    }
}
