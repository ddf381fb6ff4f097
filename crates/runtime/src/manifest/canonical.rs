//! Grants and limits as one canonical text each: what stands in an actor's genesis record.
//!
//! Every key is written, in one order, so that the text is a function of the value and its meaning does not move when a
//! default does. It is TOML, the body of `[grants]` and of `[limits]`, and is read by the code that reads manifests.
//! Limits go down to the microsecond.

use std::fmt::Write as _;
use std::time::Duration;

use super::error::Error;
use super::sockets::AddressRange;
use super::text::{Doc, Section};
use super::types::{ActorPattern, ClockGrant, Grants, Limits};
use super::units::{write_duration, write_moment};
use super::{grants, parse};

impl Limits {
    /// The canonical text.
    pub fn to_toml(&self) -> String {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let lines = [
            ("memory", quoted(&self.memory.to_string())),
            ("tables", self.tables.to_string()),
            ("fuel", self.fuel.to_string()),
            ("deadline", quoted(&or_none(self.deadline.map(write_duration)))),
            ("mailbox", self.mailbox.to_string()),
            ("outstanding-calls", self.outstanding_calls.to_string()),
            ("payload", quoted(&self.payload.to_string())),
            ("max-turn-journal", quoted(&self.max_turn_journal.to_string())),
            ("max-journal", quoted(&or_none(self.max_journal.map(|b| b.to_string())))),
            ("max-keys", self.max_keys.to_string()),
            ("max-timers", self.max_timers.to_string()),
        ];
        written(&lines)
    }

    /// Reads the canonical text, or any body of a `[limits]` section.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        read("the limits", text, parse::LIMIT_KEYS, |section| parse::limits(section, Limits::default()))
    }
}

impl Grants {
    /// The canonical text.
    pub fn to_toml(&self) -> String {
        let random = {
            let mut text = format!("{{ enabled = {}", self.random.enabled);
            if let Some(seed) = self.random.seed {
                let _ = write!(text, ", seed = {seed}");
            }
            if let Some(max) = self.random.max_bytes {
                let _ = write!(text, ", max-bytes = {}", quoted(&max.to_string()));
            }
            if let Some(max) = self.random.max_int {
                let _ = write!(text, ", max-int = {max}");
            }
            text + " }"
        };
        let clocks = match &self.time {
            time if *time == ClockGrant::default() => self.clocks.to_string(),
            time => {
                let mut text = format!("{{ enabled = {}", self.clocks);
                if time.offset != 0 {
                    let sign = if time.offset < 0 { "-" } else { "" };
                    let amount = write_duration(Duration::from_micros(time.offset.unsigned_abs()));
                    let _ = write!(text, ", offset = \"{sign}{amount}\"");
                }
                if let Some(frozen) = time.frozen {
                    let _ = write!(text, ", frozen = \"{}\"", write_moment(frozen));
                }
                if time.scale.get() != 1 {
                    let _ = write!(text, ", scale = {}", time.scale);
                }
                for (key, bound) in [("min-sleep", time.min_sleep), ("max-sleep", time.max_sleep)] {
                    if let Some(bound) = bound {
                        let _ = write!(text, ", {key} = {}", quoted(&write_duration(bound)));
                    }
                }
                text + " }"
            }
        };
        let messaging = match &self.messaging {
            None => "false".to_owned(),
            Some(m) => format!("{{ to = {} }}", patterns(&m.to)),
        };
        let environment = match &self.environment {
            None => "false".to_owned(),
            Some(e) => {
                let vars = e.vars.iter().map(|(k, v)| format!("{} = {}", quoted(k), quoted(v)));
                let more = match e.prefixes.is_empty() {
                    true => String::new(),
                    false => format!(", prefixes = {}", list(e.prefixes.iter().map(|s| quoted(s)))),
                };
                format!(
                    "{{ vars = {{ {} }}, inherit = {}{more} }}",
                    vars.collect::<Vec<_>>().join(", "),
                    list(e.inherit.iter().map(|s| quoted(s)))
                )
            }
        };
        let filesystem = list(self.filesystem.iter().map(|f| {
            let quota = f.quota.map_or(String::new(), |quota| format!(", quota = {}", quoted(&quota.to_string())));
            format!(
                "{{ host = {}, guest = {}, read-only = {}, repeat = {}{quota} }}",
                quoted(&f.host.to_string_lossy()),
                quoted(&f.guest),
                f.read_only,
                f.repeat
            )
        }));
        let mut lines = vec![
            ("clocks", clocks),
            ("random", random),
            ("host", self.host.to_string()),
            ("stdio", self.stdio.to_string()),
            ("messaging", messaging),
            ("environment", environment),
            ("arguments", list(self.arguments.iter().map(|s| quoted(s)))),
            ("filesystem", filesystem),
            (
                "processes",
                section(self.processes.as_ref(), |p| {
                    let spawn = list(p.spawn.iter().map(|s| quoted(s)));
                    let components = pairs(p.components.iter().map(|(name, digest)| (name, digest.to_string())));
                    vec![("spawn", spawn), ("control", patterns(&p.control)), ("components", components)]
                }),
            ),
            (
                "tuplespace",
                section(self.tuplespace.as_ref(), |t| {
                    vec![("spaces", patterns(&t.spaces)), ("read", patterns(&t.read))]
                }),
            ),
            (
                "channels",
                section(self.channels.as_ref(), |c| {
                    vec![
                        ("send", patterns(&c.send)),
                        ("receive", patterns(&c.receive)),
                        ("publish", patterns(&c.publish)),
                        ("subscribe", patterns(&c.subscribe)),
                    ]
                }),
            ),
            ("groups", section(self.groups.as_ref(), |names| vec![("names", patterns(names))])),
            ("locks", section(self.locks.as_ref(), |names| vec![("names", patterns(names))])),
            (
                "registry",
                section(self.registry.as_ref(), |r| {
                    vec![("register", patterns(&r.register)), ("lookup", patterns(&r.lookup))]
                }),
            ),
            (
                "keyvalue",
                section(self.keyvalue.as_ref(), |k| vec![("own", patterns(&k.own)), ("shared", patterns(&k.shared))]),
            ),
            ("logging", self.logging.to_string()),
            ("config", pairs(self.config.iter().map(|(k, v)| (k, v.clone())))),
        ];
        // What came later is written only where it is granted: older texts, which stand in journals, stay as they are.
        if self.journal {
            lines.push(("journal", self.journal.to_string()));
        }
        if self.store.is_some() {
            lines.push(("store", section(self.store.as_ref(), |names| vec![("names", patterns(names))])));
        }
        if let Some(http) = &self.http {
            lines.push(("http", http.text()));
        }
        let mut text = written(&lines);
        if self.sockets.is_some() {
            let sockets = section(self.sockets.as_ref(), |s| {
                let lookup = list(s.lookup.iter().map(|name| quoted(name.as_str())));
                vec![
                    ("connect", ranges(&s.connect)),
                    ("listen", ranges(&s.listen)),
                    ("udp", ranges(&s.udp)),
                    ("udp-bind", ranges(&s.udp_bind)),
                    ("lookup", lookup),
                ]
            });
            text.push_str(&written(&[("sockets", sockets)]));
        }
        if !self.secrets.is_empty() {
            let secrets = pairs(self.secrets.iter().map(|(name, source)| (name, source.to_string())));
            text.push_str(&written(&[("secrets", secrets)]));
        }
        text
    }

    /// Reads the canonical text, or any body of a `[grants]` section. Paths are taken as they are.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        read("the grants", text, grants::GRANT_KEYS, |section| Ok(grants::read(section, Grants::default(), &[])?.0))
    }
}

fn read<T>(
    name: &str,
    text: &str,
    known: &[&str],
    f: impl Fn(&Section<'_, '_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let doc = Doc { name, text };
    let table = doc.table()?;
    f(&Section::root(&doc, &table, known)?)
}

fn written(lines: &[(&str, String)]) -> String {
    lines.iter().fold(String::new(), |mut out, (key, value)| {
        let _ = writeln!(out, "{key} = {value}");
        out
    })
}

/// A section of lists in one line, or `false`.
fn section<T>(grant: Option<&T>, keys: impl Fn(&T) -> Vec<(&'static str, String)>) -> String {
    let Some(grant) = grant else { return "false".to_owned() };
    let keys: Vec<String> = keys(grant).into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ {} }}", keys.join(", "))
}

fn ranges(ranges: &[AddressRange]) -> String {
    list(ranges.iter().map(|range| quoted(&range.to_string())))
}

fn patterns(patterns: &[ActorPattern]) -> String {
    list(patterns.iter().map(|p| quoted(p.as_str())))
}

/// A section whose keys are the user's.
fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, String)>) -> String {
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{} = {}", quoted(key), quoted(&value))).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A basic TOML string. Escapes by hand: the same bytes whatever the TOML crate's version.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{
        Channels, Environment, FilesystemGrant, HostPattern, HttpGrant, KeyValue, Messaging, NamePattern, Processes,
        RandomGrant, Registration, SecretSource, Sockets, TupleSpaces,
    };
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;
    use std::path::PathBuf;
    use troupe_log::{ByteCount, Digest, WallTime};

    /// A small generator, so that the property needs no crate: the same values on every run.
    struct Random(u64);
    impl Random {
        fn next(&mut self, below: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % below
        }
        fn flip(&mut self) -> bool {
            self.next(2) == 1
        }
        fn text(&mut self) -> String {
            let letters = ['a', '"', '\\', '\n', '\u{7f}', '\u{0}', '=', '#', '\u{e9}', '\u{1F3AD}', ' '];
            let n = self.next(8);
            (0..n).map(|_| letters[self.next(11) as usize]).collect()
        }
    }

    fn limits(r: &mut Random) -> Limits {
        let payload = 1 + r.next(1 << 20);
        let turn = payload + r.next(1 << 20);
        Limits {
            memory: ByteCount((64 << 10) + r.next(1 << 30)),
            tables: r.next(10_000_000) as u32,
            fuel: 1 + r.next(i64::MAX as u64),
            deadline: r.flip().then(|| Duration::from_micros(1000 + r.next(1 << 40))),
            mailbox: NonZeroU32::new(1 + r.next(1_000_000) as u32).unwrap(),
            outstanding_calls: r.next(1_000_000) as u32,
            payload: ByteCount(payload),
            max_turn_journal: ByteCount(turn),
            max_journal: r.flip().then(|| ByteCount(turn + r.next(1 << 40))),
            max_keys: r.next(10_000_000) as u32,
            max_timers: r.next(1_000_000) as u32,
        }
    }

    fn some(r: &mut Random) -> Vec<ActorPattern> {
        let patterns = ["*", "worker-*", "other/*", "a*b*c"];
        (0..r.next(4)).map(|i| ActorPattern::parse(patterns[i as usize]).unwrap()).collect()
    }

    fn ranges(r: &mut Random) -> Vec<AddressRange> {
        let ranges = ["*:80", "10.0.0.0/8:*", "[fd00::1]:1-2"];
        (0..r.next(4)).map(|i| AddressRange::parse(ranges[i as usize]).unwrap()).collect()
    }

    fn grants(r: &mut Random) -> Grants {
        Grants {
            clocks: r.flip(),
            time: ClockGrant {
                offset: if r.flip() { -(r.next(1 << 40) as i64) } else { r.next(1 << 40) as i64 },
                frozen: r.flip().then(|| WallTime(r.next(1 << 32) * 1_000_000)),
                scale: NonZeroU32::new(1 + r.next(86_400) as u32).unwrap(),
                min_sleep: r.flip().then(|| Duration::from_micros(r.next(1 << 30))),
                max_sleep: r.flip().then(|| Duration::from_micros((1 << 30) + r.next(1 << 40))),
            },
            random: RandomGrant {
                enabled: r.flip(),
                seed: r.flip().then(|| if r.flip() { u64::MAX } else { r.next(u64::MAX) }),
                max_bytes: r.flip().then(|| ByteCount(r.next(1 << 20))),
                max_int: r.flip().then(|| r.next(u64::MAX)),
            },
            host: r.flip(),
            stdio: r.flip(),
            messaging: r.flip().then(|| Messaging { to: some(r) }),
            environment: r.flip().then(|| Environment {
                vars: (0..r.next(3)).map(|i| (format!("V{i} \"{}", r.next(9)), r.text())).collect::<BTreeMap<_, _>>(),
                inherit: (0..r.next(3)).map(|i| format!("I{i}")).collect(),
                prefixes: (0..r.next(3)).map(|i| format!("P{i}_")).collect(),
            }),
            arguments: (0..r.next(4)).map(|_| r.text()).collect(),
            filesystem: (0..r.next(3))
                .map(|i| FilesystemGrant {
                    host: PathBuf::from(format!("/h/{}", r.text())),
                    guest: format!("/g{i}"),
                    read_only: r.flip(),
                    repeat: r.flip(),
                    quota: r.flip().then(|| ByteCount(r.next(1 << 40))),
                })
                .collect(),
            sockets: r.flip().then(|| Sockets {
                connect: ranges(r),
                listen: ranges(r),
                udp: ranges(r),
                udp_bind: ranges(r),
                lookup: (0..r.next(3)).map(|i| NamePattern::parse(&format!("*.n{i}.example")).unwrap()).collect(),
            }),
            processes: r.flip().then(|| Processes {
                spawn: ["worker", "other@1.0.0", "blake3:ab*"][..r.next(4) as usize]
                    .iter()
                    .map(|s| (*s).to_owned())
                    .collect(),
                control: some(r),
                components: (0..r.next(3)).map(|i| (format!("c{i}"), Digest::of(&[i as u8]))).collect(),
            }),
            tuplespace: r.flip().then(|| TupleSpaces { spaces: some(r), read: some(r) }),
            channels: r.flip().then(|| Channels {
                send: some(r),
                receive: some(r),
                publish: some(r),
                subscribe: some(r),
            }),
            groups: r.flip().then(|| some(r)),
            locks: r.flip().then(|| some(r)),
            registry: r.flip().then(|| Registration { register: some(r), lookup: some(r) }),
            keyvalue: r.flip().then(|| KeyValue { own: some(r), shared: some(r) }),
            logging: r.flip(),
            journal: r.flip(),
            store: r.flip().then(|| some(r)),
            secrets: (0..r.next(3))
                .map(|i| {
                    (
                        format!("S{i}"),
                        if r.flip() { SecretSource::Env("X".to_owned()) } else { SecretSource::File("/f".into()) },
                    )
                })
                .collect(),
            config: (0..r.next(3)).map(|i| (format!("{i} {}", r.text()), r.text())).collect(),
            http: r.flip().then(|| HttpGrant {
                hosts: (0..r.next(3)).map(|i| HostPattern::parse(&format!("*.h{i}.org:{}", i + 1)).unwrap()).collect(),
                private: r.flip(),
                max_request: ByteCount(r.next(1 << 20)),
                timeout: Duration::from_millis(1 + r.next(10_000)),
                ..HttpGrant::all()
            }),
        }
    }

    #[test]
    fn reading_what_was_written_gives_the_same_and_the_same_text() {
        let mut r = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2000 {
            let l = limits(&mut r);
            let text = l.to_toml();
            let back = Limits::from_toml(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(back, l, "{text}");
            assert_eq!(back.to_toml(), text);
            let g = grants(&mut r);
            let text = g.to_toml();
            let back = Grants::from_toml(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(back, g, "{text}");
            assert_eq!(back.to_toml(), text);
        }
    }

    #[test]
    fn the_default_text_does_not_change_by_accident() {
        assert_eq!(
            Limits::default().to_toml(),
            "memory = \"16MiB\"\ntables = 20000\nfuel = 1000000000\ndeadline = \"5s\"\nmailbox = 1024\n\
             outstanding-calls = 64\npayload = \"1MiB\"\nmax-turn-journal = \"64MiB\"\nmax-journal = \"none\"\nmax-keys = 100000\nmax-timers = 10000\n"
        );
        assert_eq!(
            Grants::default().to_toml(),
            "clocks = true\nrandom = { enabled = true }\nhost = true\nstdio = true\nmessaging = false\n\
             environment = false\narguments = []\nfilesystem = []\nprocesses = false\ntuplespace = false\n\
             channels = false\ngroups = false\nlocks = false\nregistry = false\nkeyvalue = false\nlogging = true\nconfig = {}\n"
        );
    }

    #[test]
    fn a_text_of_the_first_version_is_read_with_the_defaults_of_what_came_later() {
        let limits = "memory = \"16MiB\"\ntables = 20000\nfuel = 7\ndeadline = \"5s\"\nmailbox = 1024\n\
             outstanding-calls = 64\npayload = \"1MiB\"\nmax-turn-journal = \"64MiB\"\nmax-journal = \"none\"\nmax-keys = 100000\n";
        assert_eq!(Limits::from_toml(limits).unwrap(), Limits { fuel: 7, ..Limits::default() });
        let grants = "clocks = false\nrandom = { enabled = true }\nhost = true\nstdio = true\nmessaging = { to = [\"*\"] }\n\
             environment = false\narguments = []\nfilesystem = []\n";
        let messaging = Some(Messaging { to: vec![ActorPattern::all()] });
        assert_eq!(Grants::from_toml(grants).unwrap(), Grants { clocks: false, messaging, ..Grants::default() });
    }
}
