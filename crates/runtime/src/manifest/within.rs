//! Whether a child's settings are within its parent's: nothing granted, and no limit, that the parent does not have.
//!
//! A pattern is within another if everything that it matches is matched there. The test is on the text: `*` of the child is a
//! character that only a `*` of the parent covers, so it may refuse what is within (`a/x` under `*` in the namespace `a`) and
//! never lets through what is not. The child lives in its parent's namespace.

use super::secrets::SecretSource;
use super::types::{ActorPattern, ClockGrant, Grants, Limits, Supervision, glob};
use super::units::write_duration;
use std::time::Duration;

impl Grants {
    /// Ok if whoever has these grants may do nothing that `parent` may not; else the key and both values.
    ///
    /// Arguments are data that the parent hands over, as the initial state is, and are free. Variables and config are an
    /// operator's word, so a child has only those of its parent. Of its parent's directories it may have any, by the same
    /// path: one below could lead out of it by a link that the parent made.
    pub fn within(&self, parent: &Grants) -> Result<(), String> {
        for (key, child, parent) in [
            ("clocks", self.clocks, parent.clocks),
            ("host", self.host, parent.host),
            ("stdio", self.stdio, parent.stdio),
            ("logging", self.logging, parent.logging),
            ("journal", self.journal, parent.journal),
            ("random", self.random.enabled, parent.random.enabled),
        ] {
            check(&format!("grants.{key}"), !child || parent, "true", "false")?;
        }
        if self.clocks {
            let time = |grants: &Grants| ClockGrant { min_sleep: None, max_sleep: None, ..grants.time.clone() };
            let (child, above) = (time(self), time(parent));
            check("grants.clocks", above == ClockGrant::default() || child == above, "another time", "its own")?;
            let shown = |bound: Option<Duration>| bound.map_or("none".to_owned(), write_duration);
            let (child, above) = (self.time.min_sleep, parent.time.min_sleep);
            let kept = above.is_none_or(|least| child.is_some_and(|min| min >= least));
            check("grants.clocks.min-sleep", kept, shown(child), shown(above))?;
            let (child, above) = (self.time.max_sleep, parent.time.max_sleep);
            let kept = above.is_none_or(|most| child.is_some_and(|max| max <= most));
            check("grants.clocks.max-sleep", kept, shown(child), shown(above))?;
        }
        if self.random.enabled {
            let (child, above) = (&self.random, &parent.random);
            let shown = |seed: Option<u64>| seed.map_or("none".to_owned(), |seed| seed.to_string());
            let kept = above.seed.is_none() || child.seed.is_some();
            check("grants.random.seed", kept, shown(child.seed), shown(above.seed))?;
            let shown = |max: Option<troupe_log::ByteCount>| max.map_or("none".to_owned(), |max| max.to_string());
            let kept = above.max_bytes.is_none_or(|most| child.max_bytes.is_some_and(|max| max <= most));
            check("grants.random.max-bytes", kept, shown(child.max_bytes), shown(above.max_bytes))?;
            let shown = |max: Option<u64>| max.map_or("none".to_owned(), |max| max.to_string());
            let kept = above.max_int.is_none_or(|most| child.max_int.is_some_and(|max| max <= most));
            check("grants.random.max-int", kept, shown(child.max_int), shown(above.max_int))?;
        }
        self.environment_within(parent)?;
        for (key, value) in &self.config {
            let above = parent.config.get(key);
            check(&format!("grants.config.{key}"), above == Some(value), "another value", "its own or none")?;
        }
        for (name, source) in &self.secrets {
            let above = parent.secrets.get(name);
            check(&format!("grants.secrets.{name}"), above == Some(source), "another value", "its own or none")?;
        }
        for directory in &self.filesystem {
            let covers = |above: &super::FilesystemGrant| {
                above.host == directory.host
                    && (directory.read_only || !above.read_only)
                    && (!directory.repeat || above.repeat)
                    && above.quota.is_none_or(|most| directory.quota.is_some_and(|quota| quota <= most))
            };
            let how = if directory.read_only { "for reading" } else { "for writing" };
            let shown = format!("{} {how}", directory.host.display());
            let above: Vec<_> = parent.filesystem.iter().map(|above| above.host.display().to_string()).collect();
            check("grants.filesystem", parent.filesystem.iter().any(covers), shown, format!("{above:?}"))?;
        }
        self.sockets_within(parent)?;
        let to = |grants: &Grants| grants.messaging.as_ref().map(|m| m.to.clone());
        patterns("messaging.to", to(self), to(parent))?;
        if let Some(child) = &self.http {
            let above = parent.http.as_ref();
            check("grants.http", above.is_some(), "granted", "false")?;
            if let Some((key, own, above)) = above.and_then(|above| child.beyond(above)) {
                check(&format!("grants.http.{key}"), false, own, above)?;
            }
        }
        self.processes_within(parent)?;
        self.shared_within(parent)
    }

    fn environment_within(&self, parent: &Grants) -> Result<(), String> {
        let Some(child) = &self.environment else { return Ok(()) };
        let above = parent.environment.clone().unwrap_or_default();
        for (name, value) in &child.vars {
            // The values may be secrets.
            let key = format!("grants.environment.vars.{name}");
            check(&key, above.vars.get(name) == Some(value), "another value", "its own or none")?;
        }
        for name in &child.inherit {
            check("grants.environment.inherit", above.inherits(name), name, format!("{:?}", above.inherit))?;
        }
        for prefix in &child.prefixes {
            let kept = above.prefixes.iter().any(|above| prefix.starts_with(above));
            check("grants.environment.prefixes", kept, prefix, format!("{:?}", above.prefixes))?;
        }
        for (name, source) in &parent.secrets {
            let seen = child.inherits(name) || matches!(source, SecretSource::Env(var) if child.inherits(var));
            let kept = !seen || self.secrets.get(name) == Some(source);
            check(&format!("grants.secrets.{name}"), kept, "a variable", "a secret")?;
        }
        Ok(())
    }

    fn sockets_within(&self, parent: &Grants) -> Result<(), String> {
        let Some(child) = &self.sockets else { return Ok(()) };
        let above = parent.sockets.clone().unwrap_or_default();
        let lists = [
            ("connect", &child.connect, &above.connect),
            ("listen", &child.listen, &above.listen),
            ("udp", &child.udp, &above.udp),
            ("udp-bind", &child.udp_bind, &above.udp_bind),
        ];
        for (key, child, above) in lists {
            let shown: Vec<String> = above.iter().map(ToString::to_string).collect();
            for range in child {
                let kept = above.iter().any(|above| above.covers_all_of(range));
                check(&format!("grants.sockets.{key}"), kept, format!("\"{range}\""), format!("{shown:?}"))?;
            }
        }
        let shown: Vec<&str> = above.lookup.iter().map(|name| name.as_str()).collect();
        for name in &child.lookup {
            let kept = above.lookup.iter().any(|above| above.covers_all_of(name));
            check("grants.sockets.lookup", kept, format!("{:?}", name.as_str()), format!("{shown:?}"))?;
        }
        Ok(())
    }

    fn processes_within(&self, parent: &Grants) -> Result<(), String> {
        let Some(child) = &self.processes else { return Ok(()) };
        let above = parent.processes.clone().unwrap_or_default();
        for name in &child.spawn {
            let kept = above.spawn.iter().any(|pattern| glob(pattern.as_bytes(), name.as_bytes()));
            check("grants.processes.spawn", kept, format!("{name:?}"), format!("{:?}", above.spawn))?;
        }
        for (name, digest) in &child.components {
            let there = above.components.get(name);
            let shown = there.map_or("none".to_owned(), ToString::to_string);
            check(&format!("grants.processes.components.{name}"), there == Some(digest), digest, shown)?;
        }
        patterns("processes.control", Some(child.control.clone()), Some(above.control))
    }

    fn shared_within(&self, parent: &Grants) -> Result<(), String> {
        type Lists = fn(&Grants) -> Option<Vec<ActorPattern>>;
        let lists: [(&str, Lists); 12] = [
            ("tuplespace.spaces", |g| g.tuplespace.as_ref().map(|t| t.spaces.clone())),
            ("channels.send", |g| g.channels.as_ref().map(|c| c.send.clone())),
            ("channels.receive", |g| g.channels.as_ref().map(|c| c.receive.clone())),
            ("channels.publish", |g| g.channels.as_ref().map(|c| c.publish.clone())),
            ("channels.subscribe", |g| g.channels.as_ref().map(|c| c.subscribe.clone())),
            ("groups.names", |g| g.groups.clone()),
            ("locks.names", |g| g.locks.clone()),
            ("registry.register", |g| g.registry.as_ref().map(|r| r.register.clone())),
            ("registry.lookup", |g| g.registry.as_ref().map(|r| r.lookup.clone())),
            ("keyvalue.own", |g| g.keyvalue.as_ref().map(|k| k.own.clone())),
            ("keyvalue.shared", |g| g.keyvalue.as_ref().map(|k| k.shared.clone())),
            ("store.names", |g| g.store.clone()),
        ];
        for (key, list) in lists {
            patterns(key, list(self), list(parent))?;
        }
        // Who may do everything in a space may read it.
        let read = |g: &Grants| g.tuplespace.as_ref().map(|t| [t.read.clone(), t.spaces.clone()].concat());
        patterns("tuplespace.read", self.tuplespace.as_ref().map(|t| t.read.clone()), read(parent))
    }
}

impl Limits {
    /// Ok if no limit is higher than `parent`'s; else the key and both values.
    pub fn within(&self, parent: &Limits) -> Result<(), String> {
        let none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let keys: [(&str, u64, u64); 9] = [
            ("memory", self.memory.0, parent.memory.0),
            ("tables", self.tables.into(), parent.tables.into()),
            ("fuel", self.fuel, parent.fuel),
            ("mailbox", self.mailbox.get().into(), parent.mailbox.get().into()),
            ("outstanding-calls", self.outstanding_calls.into(), parent.outstanding_calls.into()),
            ("payload", self.payload.0, parent.payload.0),
            ("max-turn-journal", self.max_turn_journal.0, parent.max_turn_journal.0),
            ("max-keys", self.max_keys.into(), parent.max_keys.into()),
            ("max-timers", self.max_timers.into(), parent.max_timers.into()),
        ];
        for (key, child, parent) in keys {
            check(&format!("limits.{key}"), child <= parent, child, parent)?;
        }
        let kept = parent.deadline.is_none_or(|most| self.deadline.is_some_and(|deadline| deadline <= most));
        let shown = |limits: &Limits| none(limits.deadline.map(write_duration));
        check("limits.deadline", kept, shown(self), shown(parent))?;
        let kept = parent.max_journal.is_none_or(|most| self.max_journal.is_some_and(|max| max <= most));
        let shown = |limits: &Limits| none(limits.max_journal.map(|max| max.to_string()));
        check("limits.max-journal", kept, shown(self), shown(parent))
    }
}

impl Supervision {
    /// Ok if no message is tried more often, and no more faults are let pass in a time, than under `parent`'s.
    pub fn within(&self, parent: &Supervision) -> Result<(), String> {
        check("supervision.attempts", self.attempts <= parent.attempts, self.attempts, parent.attempts)?;
        let kept = self.max_restarts <= parent.max_restarts;
        check("supervision.max-restarts", kept, self.max_restarts, parent.max_restarts)?;
        let shown = |supervision: &Supervision| write_duration(supervision.window);
        check("supervision.window", self.window >= parent.window, shown(self), shown(parent))
    }
}

/// Each pattern of the child's within one of its parent's.
fn patterns(key: &str, child: Option<Vec<ActorPattern>>, parent: Option<Vec<ActorPattern>>) -> Result<(), String> {
    let parent = parent.unwrap_or_default();
    for pattern in child.unwrap_or_default() {
        let shown: Vec<&str> = parent.iter().map(ActorPattern::as_str).collect();
        let kept = parent.iter().any(|above| above.covers_all_of(&pattern));
        check(&format!("grants.{key}"), kept, format!("{:?}", pattern.as_str()), format!("{shown:?}"))?;
    }
    Ok(())
}

fn check(key: &str, kept: bool, child: impl ToString, parent: impl ToString) -> Result<(), String> {
    match kept {
        true => Ok(()),
        false => Err(format!("{key} = {} is wider than the parent's, {}", child.to_string(), parent.to_string())),
    }
}

impl ActorPattern {
    /// Whether this one matches all that `child` matches, for actors of one and the same namespace. May say no to what it does.
    pub fn covers_all_of(&self, child: &ActorPattern) -> bool {
        let covers = |parent: &str, child: &str| glob(parent.as_bytes(), child.as_bytes());
        match (self.as_str().split_once('/'), child.as_str().split_once('/')) {
            (Some((namespace, name)), Some((of, child))) => covers(namespace, of) && covers(name, child),
            (None, None) => covers(self.as_str(), child.as_str()),
            // Whichever the own namespace is, only what matches any covers it.
            (Some((namespace, name)), None) => namespace.bytes().all(|b| b == b'*') && covers(name, child.as_str()),
            (None, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{
        AddressRange, Channels, Environment, FilesystemGrant, KeyValue, Messaging, NamePattern, Processes, RandomGrant,
        Registration, SecretSource, Sockets, TupleSpaces,
    };
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;
    use std::time::Duration;
    use troupe_log::{ActorId, ByteCount, Digest};

    fn pattern(text: &str) -> ActorPattern {
        ActorPattern::parse(text).unwrap()
    }

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).unwrap()
    }

    /// All texts of at most `most` letters.
    fn texts(letters: &[u8], most: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut from = 0;
        for _ in 0..most {
            let until = all.len();
            for i in from..until {
                for letter in letters {
                    let text = format!("{}{}", all[i], char::from(*letter));
                    all.push(text);
                }
            }
            from = until;
        }
        all.remove(0);
        all
    }

    #[test]
    fn whatever_the_child_matches_the_parent_matches() {
        let parts = texts(b"a*b", 3);
        let mut patterns: Vec<String> = parts.clone();
        patterns.extend(["a/a", "a/*", "*/a", "*/*", "b/*", "a*/b*", "*/*b", "**/a*"].map(str::to_owned));
        let names = texts(b"ab", 4);
        let ids: Vec<ActorId> = ["a", "b", "ab"]
            .iter()
            .flat_map(|ns| names.iter().map(move |n| ActorId::parse(&format!("{ns}/{n}")).unwrap()))
            .collect();
        let (mut within, mut strict) = (0, 0);
        for parent in &patterns {
            for child in &patterns {
                let (parent, child) = (pattern(parent), pattern(child));
                let all = |own: &str| ids.iter().all(|id| !child.matches(own, id) || parent.matches(own, id));
                let really = all("a") && all("b");
                match parent.covers_all_of(&child) {
                    true => {
                        assert!(really, "{parent} does not cover {child}");
                        within += 1;
                    }
                    false if really => strict += 1,
                    false => {}
                }
            }
        }
        assert!(within > 200, "{within} pairs within, {strict} refused though they are");
    }

    #[test]
    fn a_pattern_is_within_itself_and_within_a_star() {
        for text in ["worker-*", "a*b*c", "other/*", "*/x"] {
            assert!(pattern(text).covers_all_of(&pattern(text)), "{text}");
            assert!(pattern("*/*").covers_all_of(&pattern(text)), "{text}");
        }
        assert!(pattern("*").covers_all_of(&pattern("a*")));
        assert!(!pattern("*").covers_all_of(&pattern("other/a")), "a star stays in its namespace");
        assert!(!pattern("a*").covers_all_of(&pattern("*")));
        assert!(!pattern("other/*").covers_all_of(&pattern("a")), "which namespace `a` is in is not known");
    }

    /// A value for each key that may be narrower, and its parent that has it.
    fn wide() -> Grants {
        let list = |text: &str| vec![pattern(text)];
        Grants {
            random: RandomGrant { enabled: true, seed: Some(1), max_bytes: Some(ByteCount(64)), max_int: Some(9) },
            messaging: Some(Messaging { to: list("m*") }),
            environment: Some(Environment {
                vars: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
                inherit: vec!["LANG".to_owned()],
                prefixes: vec!["APP_".to_owned()],
            }),
            arguments: vec!["x".to_owned()],
            filesystem: vec![FilesystemGrant {
                host: "/data".into(),
                guest: "/data".to_owned(),
                read_only: true,
                repeat: false,
                quota: Some(ByteCount(4096)),
            }],
            time: ClockGrant {
                offset: 5,
                min_sleep: Some(Duration::from_millis(1)),
                max_sleep: Some(Duration::from_millis(9)),
                ..ClockGrant::default()
            },
            store: Some(list("d*")),
            sockets: Some(Sockets {
                connect: vec![range("*:443"), range("10.0.0.0/8:80-90")],
                listen: vec![range("127.0.0.1:8080")],
                udp: vec![range("*:53")],
                udp_bind: vec![range("0.0.0.0:*")],
                lookup: vec![NamePattern::parse("*.example.com").unwrap()],
            }),
            processes: Some(Processes {
                spawn: vec!["worker*".to_owned()],
                control: list("w*"),
                components: BTreeMap::from([("worker".to_owned(), Digest::of(b"w"))]),
            }),
            tuplespace: Some(TupleSpaces { spaces: list("s*"), read: list("r*") }),
            channels: Some(Channels {
                send: list("s*"),
                receive: list("r*"),
                publish: list("p*"),
                subscribe: list("t*"),
            }),
            groups: Some(list("g*")),
            locks: Some(list("l*")),
            registry: Some(Registration { register: list("n*"), lookup: list("n*") }),
            keyvalue: Some(KeyValue { own: list("k*"), shared: list("h*") }),
            config: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            secrets: BTreeMap::from([("S".to_owned(), SecretSource::Env("S".to_owned()))]),
            ..Grants::default()
        }
    }

    #[test]
    fn each_grant_that_the_parent_lacks_is_named() {
        let parent = wide();
        assert_eq!(parent.within(&parent), Ok(()));
        assert_eq!(Profile::Untrusted.grants().within(&parent), Ok(()));
        type Change = fn(&mut Grants);
        let none = Grants { clocks: false, host: false, stdio: false, logging: false, ..wide() };
        let switches: [(&str, Change); 5] = [
            ("clocks", |g| g.clocks = true),
            ("host", |g| g.host = true),
            ("stdio", |g| g.stdio = true),
            ("logging", |g| g.logging = true),
            ("journal", |g| g.journal = true),
        ];
        for (key, change) in switches {
            let mut child = none.clone();
            change(&mut child);
            assert!(child.within(&none).unwrap_err().starts_with(&format!("grants.{key} = true")), "{key}");
        }
        let cases: [(&str, Change); 46] = [
            ("random.seed", |g| g.random.seed = None),
            ("random.max-bytes", |g| g.random.max_bytes = Some(ByteCount(65))),
            ("random.max-bytes", |g| g.random.max_bytes = None),
            ("random.max-int", |g| g.random.max_int = Some(10)),
            ("random.max-int", |g| g.random.max_int = None),
            ("clocks.min-sleep", |g| g.time.min_sleep = Some(Duration::from_micros(999))),
            ("clocks.max-sleep", |g| g.time.max_sleep = Some(Duration::from_millis(10))),
            ("clocks.max-sleep", |g| g.time.max_sleep = None),
            ("store.names", |g| g.store.as_mut().unwrap().push(pattern("*"))),
            ("messaging.to", |g| g.messaging.as_mut().unwrap().to.push(pattern("*"))),
            ("environment.vars.A", |g| drop(g.environment.as_mut().unwrap().vars.insert("A".into(), "2".into()))),
            ("environment.vars.B", |g| drop(g.environment.as_mut().unwrap().vars.insert("B".into(), "1".into()))),
            ("environment.inherit", |g| g.environment.as_mut().unwrap().inherit.push("HOME".into())),
            ("environment.prefixes", |g| g.environment.as_mut().unwrap().prefixes.push("AP".into())),
            ("environment.inherit", |g| g.environment.as_mut().unwrap().inherit.push("AP".into())),
            ("clocks", |g| g.time = ClockGrant::default()),
            ("filesystem", |g| g.filesystem[0].quota = Some(ByteCount(4097))),
            ("filesystem", |g| g.filesystem[0].quota = None),
            ("filesystem", |g| g.filesystem[0].read_only = false),
            ("filesystem", |g| g.filesystem[0].repeat = true),
            ("filesystem", |g| g.filesystem[0].host = "/data/below".into()),
            ("filesystem", |g| g.filesystem[0].host = "/".into()),
            ("sockets.connect", |g| g.sockets.as_mut().unwrap().connect.push(range("10.0.0.0/8:443"))),
            ("sockets.connect", |g| g.sockets.as_mut().unwrap().connect.push(range("10.0.0.0/7:80"))),
            ("sockets.listen", |g| g.sockets.as_mut().unwrap().listen.push(range("127.0.0.1:8081"))),
            ("sockets.udp", |g| g.sockets.as_mut().unwrap().udp.push(range("127.0.0.1:53"))),
            ("sockets.udp-bind", |g| g.sockets.as_mut().unwrap().udp_bind.push(range("*:1"))),
            ("sockets.lookup", |g| g.sockets.as_mut().unwrap().lookup.push(NamePattern::parse("example.com").unwrap())),
            ("processes.spawn", |g| g.processes.as_mut().unwrap().spawn.push("*".into())),
            ("processes.spawn", |g| g.processes.as_mut().unwrap().spawn.push("other".into())),
            ("processes.control", |g| g.processes.as_mut().unwrap().control.push(pattern("x"))),
            ("processes.components.worker", |g| {
                g.processes.as_mut().unwrap().components.insert("worker".into(), Digest::of(b"other"));
            }),
            ("processes.components.more", |g| {
                g.processes.as_mut().unwrap().components.insert("more".into(), Digest::of(b"w"));
            }),
            ("tuplespace.spaces", |g| g.tuplespace.as_mut().unwrap().spaces.push(pattern("r"))),
            ("tuplespace.read", |g| g.tuplespace.as_mut().unwrap().read.push(pattern("x"))),
            ("channels.send", |g| g.channels.as_mut().unwrap().send.push(pattern("x"))),
            ("channels.receive", |g| g.channels.as_mut().unwrap().receive.push(pattern("x"))),
            ("channels.publish", |g| g.channels.as_mut().unwrap().publish.push(pattern("x"))),
            ("channels.subscribe", |g| g.channels.as_mut().unwrap().subscribe.push(pattern("x"))),
            ("groups.names", |g| g.groups.as_mut().unwrap().push(pattern("x"))),
            ("locks.names", |g| g.locks.as_mut().unwrap().push(pattern("x"))),
            ("registry.register", |g| g.registry.as_mut().unwrap().register.push(pattern("x"))),
            ("keyvalue.shared", |g| g.keyvalue.as_mut().unwrap().shared.push(pattern("other/h"))),
            ("secrets.S", |g| drop(g.secrets.insert("S".into(), SecretSource::Env("OTHER".into())))),
            ("secrets.T", |g| drop(g.secrets.insert("T".into(), SecretSource::Env("S".into())))),
            ("config.k", |g| drop(g.config.insert("k".into(), "w".into()))),
        ];
        for (key, change) in cases {
            let mut child = parent.clone();
            change(&mut child);
            let why = child.within(&parent).expect_err(key);
            assert!(why.starts_with(&format!("grants.{key} = ")), "{why}");
        }
        let mut child = parent.clone();
        child.arguments.push("free".to_owned());
        child.environment.as_mut().unwrap().inherit.push("APP_NAME".to_owned());
        child.tuplespace.as_mut().unwrap().read.push(pattern("s1"));
        assert_eq!(child.within(&parent), Ok(()), "who may write a space may read it");
    }

    #[test]
    fn each_limit_above_the_parents_is_named() {
        let parent = Limits { max_journal: Some(ByteCount(1 << 30)), ..Limits::default() };
        assert_eq!(parent.within(&parent), Ok(()));
        type Change = fn(&mut Limits);
        let cases: [(&str, Change); 13] = [
            ("memory", |l| l.memory.0 += 1),
            ("tables", |l| l.tables += 1),
            ("fuel", |l| l.fuel += 1),
            ("mailbox", |l| l.mailbox = l.mailbox.saturating_add(1)),
            ("outstanding-calls", |l| l.outstanding_calls += 1),
            ("payload", |l| l.payload.0 += 1),
            ("max-turn-journal", |l| l.max_turn_journal.0 += 1),
            ("max-keys", |l| l.max_keys += 1),
            ("max-timers", |l| l.max_timers += 1),
            ("deadline", |l| l.deadline = Some(Duration::from_secs(6))),
            ("deadline", |l| l.deadline = None),
            ("max-journal", |l| l.max_journal = Some(ByteCount((1 << 30) + 1))),
            ("max-journal", |l| l.max_journal = None),
        ];
        for (key, change) in cases {
            let mut child = parent.clone();
            change(&mut child);
            let why = child.within(&parent).expect_err(key);
            assert!(why.starts_with(&format!("limits.{key} = ")), "{why}");
        }
        let s = Supervision::default();
        assert_eq!(s.within(&s), Ok(()));
        let cases = [
            ("attempts", Supervision { attempts: NonZeroU32::new(4).unwrap(), ..s.clone() }),
            ("max-restarts", Supervision { max_restarts: 6, ..s.clone() }),
            ("window", Supervision { window: Duration::from_secs(59), ..s.clone() }),
        ];
        for (key, child) in cases {
            let why = child.within(&s).expect_err(key);
            assert!(why.starts_with(&format!("supervision.{key} = ")), "{why}");
        }
    }
    use crate::manifest::Profile;
}
