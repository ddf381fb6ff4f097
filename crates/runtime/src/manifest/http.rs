//! HTTP in a manifest: `[grants.http]`, where an actor may send requests, and `[http]`, the route on which it is served.

use std::fmt;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use troupe_log::ByteCount;

use super::error::Error;
use super::text::Entry;
use super::types::glob;
use super::units::write_duration;

/// Requests that an actor may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// To these hosts.
    pub hosts: Vec<HostPattern>,
    /// With these methods; `*` is every method.
    pub methods: Vec<String>,
    /// Also to this machine and its networks, which are closed otherwise.
    pub private: bool,
    /// Requests that change something are made again after a crash hid their outcome.
    pub repeat: bool,
    /// Bytes of a request's body.
    pub max_request: ByteCount,
    /// Bytes of a response's body.
    pub max_response: ByteCount,
    /// For each phase: to connect, to the response's head, between two parts of its body.
    pub timeout: Duration,
    /// When bodies of requests leave.
    pub bodies: Bodies,
}

/// Held in memory until it is sent.
const MOST_REQUEST: u64 = 256 << 20;
/// Read in parts.
const MOST_RESPONSE: u64 = 1 << 40;
/// Longer phases are no requests any more.
const MOST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

impl Default for HttpGrant {
    fn default() -> Self {
        HttpGrant {
            hosts: Vec::new(),
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
            private: false,
            repeat: false,
            max_request: ByteCount(1 << 20),
            max_response: ByteCount(16 << 20),
            timeout: Duration::from_secs(30),
            bodies: Bodies::default(),
        }
    }
}

impl HttpGrant {
    /// Every public host, with every method.
    pub fn all() -> HttpGrant {
        HttpGrant { hosts: vec![HostPattern("*:*".to_owned())], methods: vec!["*".to_owned()], ..HttpGrant::default() }
    }

    /// Whether a request may be made with this method, to this host and port; the port of its scheme if `usual`.
    pub fn allows(&self, method: &str, host: &str, port: u16, usual: bool) -> bool {
        self.allows_method(method) && self.hosts.iter().any(|pattern| pattern.matches(host, port, usual))
    }

    fn allows_method(&self, method: &str) -> bool {
        self.methods.iter().any(|allowed| allowed == "*" || allowed == method)
    }

    /// What of it the parent has not, as key, value and the parent's value.
    pub(super) fn beyond(&self, parent: &HttpGrant) -> Option<(&'static str, String, String)> {
        let host = self.hosts.iter().find(|host| !parent.hosts.iter().any(|above| above.covers(host)));
        if let Some(host) = host {
            return Some(("hosts", host.to_string(), list(parent.hosts.iter().map(HostPattern::to_string))));
        }
        if let Some(method) = self.methods.iter().find(|method| !parent.allows_method(method)) {
            return Some(("methods", method.clone(), list(parent.methods.iter().cloned())));
        }
        let sizes = [
            ("max-request", self.max_request, parent.max_request),
            ("max-response", self.max_response, parent.max_response),
        ];
        for (key, own, above) in sizes {
            if own > above {
                return Some((key, own.to_string(), above.to_string()));
            }
        }
        if self.timeout > parent.timeout {
            return Some(("timeout", write_duration(self.timeout), write_duration(parent.timeout)));
        }
        let switches = [("private", self.private, parent.private), ("repeat", self.repeat, parent.repeat)];
        let (key, ..) = switches.into_iter().find(|(_, own, above)| *own && !above)?;
        Some((key, "true".to_owned(), "false".to_owned()))
    }

    /// The canonical text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{{ hosts = {}", list(self.hosts.iter().map(HostPattern::to_string)));
        let _ = write!(text, ", methods = {}", list(self.methods.iter().cloned()));
        let _ = write!(text, ", private = {}, repeat = {}", self.private, self.repeat);
        let _ = write!(text, ", max-request = \"{}\", max-response = \"{}\"", self.max_request, self.max_response);
        let _ = write!(text, ", timeout = \"{}\"", write_duration(self.timeout));
        if self.bodies == Bodies::Streamed {
            text.push_str(", bodies = \"streamed\"");
        }
        text.push_str(" }");
        text
    }

    /// `true`, `false`, or a section; what is not said of it is as in [`HttpGrant::default`].
    pub(super) fn read(entry: &Entry<'_, '_>) -> Result<Option<HttpGrant>, Error> {
        if !entry.is_section() {
            return Ok(entry.bool()?.then(HttpGrant::all));
        }
        let keys = ["hosts", "methods", "private", "repeat", "max-request", "max-response", "timeout", "bodies"];
        let section = entry.section(&keys)?;
        if section.entries().is_empty() {
            return Ok(Some(HttpGrant::all()));
        }
        let mut grant = HttpGrant::default();
        for (key, entry) in section.entries() {
            match key.as_str() {
                "hosts" => {
                    let read = |(text, at): (String, Entry<'_, '_>)| {
                        HostPattern::parse(&text).map_err(|why| at.bad(why, HOST))
                    };
                    grant.hosts = entry.strings()?.into_iter().map(read).collect::<Result<_, _>>()?;
                }
                "methods" => grant.methods = entry.strings()?.into_iter().map(method).collect::<Result<_, _>>()?,
                "private" => grant.private = entry.bool()?,
                "repeat" => grant.repeat = entry.bool()?,
                "max-request" => grant.max_request = size(&entry, MOST_REQUEST)?,
                "max-response" => grant.max_response = size(&entry, MOST_RESPONSE)?,
                "bodies" => grant.bodies = entry.word(&Bodies::WORDS)?,
                _ => {
                    grant.timeout = entry.duration()?;
                    if grant.timeout.is_zero() || grant.timeout > MOST_TIMEOUT {
                        return Err(entry.bad("is no time for a request", "write 1ms to 24h, as in timeout = \"30s\""));
                    }
                }
            }
        }
        Ok(Some(grant))
    }
}

const HOST: &str =
    "write a host such as \"api.example.com\", \"*.example.com\", \"example.com:8080\" or \"example.com:*\"";

fn list(items: impl Iterator<Item = String>) -> String {
    // Neither hosts nor methods hold what must be escaped.
    let items: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", items.join(", "))
}

fn method((text, at): (String, Entry<'_, '_>)) -> Result<String, Error> {
    let token = |c: char| c.is_ascii_uppercase() || c == '-';
    if text == "*" || (1..=32).contains(&text.len()) && text.chars().all(token) {
        return Ok(text);
    }
    Err(at.bad("is no method", "write it in capitals, as in methods = [\"GET\", \"POST\"], or \"*\""))
}

fn size(entry: &Entry<'_, '_>, most: u64) -> Result<ByteCount, Error> {
    let bytes = entry.bytes()?;
    if bytes.0 > most {
        return Err(entry.bad(format!("is {bytes}"), format!("write at most {}", ByteCount(most))));
    }
    Ok(bytes)
}

/// Hosts and a port: `api.example.com` (the port of the scheme), `*.example.com:8080`, `example.com:*`. `*` in the host stands
/// for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads a pattern; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let pattern = HostPattern(text.to_ascii_lowercase());
        let (host, port) = pattern.parts();
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_*".contains(c);
        let right = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']').is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok()),
            None => (1..=253).contains(&host.len()) && host.chars().all(plain),
        };
        if !right {
            return Err(format!("has `{}`, which is no host", super::text::shown(text)));
        }
        match port {
            None | Some("*") => Ok(pattern),
            Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(pattern),
            Some(_) => Err(format!("has `{}`, whose port is no number", super::text::shown(text))),
        }
    }

    fn parts(&self) -> (&str, Option<&str>) {
        match self.0.rsplit_once(':') {
            // The colons of an address lie within its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (&self.0, None),
        }
    }

    fn matches(&self, host: &str, port: u16, usual: bool) -> bool {
        let (pattern, ports) = self.parts();
        let port = match ports {
            None => usual,
            Some("*") => true,
            Some(number) => number.parse() == Ok(port),
        };
        port && glob(pattern.as_bytes(), host.to_ascii_lowercase().as_bytes())
    }

    /// Whether whatever `child` matches is matched by this.
    fn covers(&self, child: &HostPattern) -> bool {
        let ((host, ports), (child_host, child_ports)) = (self.parts(), child.parts());
        // A `*` of the child is matched as a character, which only a `*` here takes.
        let hosts = glob(host.as_bytes(), child_host.as_bytes());
        hosts && (ports == Some("*") || ports == child_ports)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an HTTP actor is served by the node's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Requests whose path is this, or lies below it.
    pub route: String,
    /// Who takes them.
    pub instance: Instance,
    /// Instances for requests at one time, where each gets its own.
    pub parallel: NonZeroU32,
    /// How long bodies come to it and leave it.
    pub bodies: Bodies,
}

/// How bodies of requests come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bodies {
    /// That of a request that is served is there before its turn begins, and neither is longer than `limits.payload`; that of
    /// one that is made leaves when it is finished.
    #[default]
    Whole,
    /// That of a request that is served comes while it is read, and neither has a bound but what the turn may use; that of one
    /// that is made leaves while it is written.
    Streamed,
}

impl Bodies {
    const WORDS: [(&str, Bodies); 2] = [("whole", Self::Whole), ("streamed", Self::Streamed)];
}

/// Who takes the requests of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instance {
    /// The actor, one after another, with what it holds in memory.
    #[default]
    Actor,
    /// A fresh instance for each, which is gone behind it. Needs `journal = "off"`.
    PerRequest,
}

impl Instance {
    const WORDS: [(&str, Instance); 2] = [("actor", Self::Actor), ("per-request", Self::PerRequest)];
}

/// Longer paths are no routes.
const MAX_ROUTE: usize = 1024;
/// Requests of a route at one time, unless the manifest says it.
pub(crate) const USUAL_PARALLEL: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// More instances of one actor than that are refused.
const MOST_PARALLEL: u32 = 1024;

impl Serving {
    /// Served on this route.
    pub fn on(route: &str) -> Result<Serving, String> {
        let plain = |c: char| c.is_ascii_graphic() && !"?#%\"\\".contains(c);
        if !route.starts_with('/') || route.len() > MAX_ROUTE || !route.chars().all(plain) || route.contains("//") {
            return Err(format!("is \"{}\", no path", super::text::shown(route)));
        }
        let route = if route == "/" { route } else { route.trim_end_matches('/') };
        Ok(Serving {
            route: route.to_owned(),
            instance: Instance::default(),
            parallel: USUAL_PARALLEL,
            bodies: Bodies::default(),
        })
    }

    /// Whether it takes a request of this path.
    pub fn takes(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.route.as_str());
        self.route == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The `[http]` section of an actor with this `journal`.
    pub(super) fn read(entry: &Entry<'_, '_>, journal: Option<Entry<'_, '_>>) -> Result<Serving, Error> {
        let section = entry.section(&["route", "instance", "parallel", "bodies"])?;
        let route = section.need("route", "route = \"/hello\"")?;
        let mut serving =
            Serving::on(route.str()?).map_err(|why| route.bad(why, "a route is a path such as \"/hello\""))?;
        if let Some(entry) = section.get("instance") {
            serving.instance = entry.word(&Instance::WORDS)?;
            let off = journal.as_ref().is_some_and(|journal| journal.str().is_ok_and(|word| word == "off"));
            if serving.instance == Instance::PerRequest && !off {
                return Err(entry.bad(
                    "is \"per-request\", and an instance that is gone cannot be replayed",
                    "write journal = \"off\" in [actor] too, or instance = \"actor\"",
                ));
            }
        }
        if let Some(entry) = section.get("bodies") {
            serving.bodies = entry.word(&Bodies::WORDS)?;
        }
        if let Some(entry) = section.get("parallel") {
            let count = entry.u32()?;
            let right = NonZeroU32::new(count).filter(|count| count.get() <= MOST_PARALLEL);
            serving.parallel =
                right.ok_or_else(|| entry.bad(format!("is {count}"), format!("write 1 to {MOST_PARALLEL}")))?;
            if serving.instance != Instance::PerRequest {
                return Err(entry.bad("is for an instance a request", "write instance = \"per-request\" too"));
            }
        }
        Ok(serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_host_has_the_port_of_its_scheme_unless_another_is_said() {
        let cases = [
            ("example.com", "example.com", 443, true, true),
            ("example.com", "EXAMPLE.com", 443, true, true),
            ("example.com", "example.com", 8080, false, false),
            ("example.com:8080", "example.com", 8080, false, true),
            ("example.com:*", "example.com", 8080, false, true),
            ("*.example.com", "a.example.com", 80, true, true),
            ("*.example.com", "example.com", 80, true, false),
            ("*.example.com", "example.com.evil.org", 80, true, false),
            ("*", "anything", 80, true, true),
            ("[::1]:80", "[::1]", 80, true, true),
            ("[::1]", "[::1]", 8080, false, false),
        ];
        for (text, host, port, usual, expected) in cases {
            assert_eq!(pattern(text).matches(host, port, usual), expected, "{text} {host}:{port}");
        }
        for wrong in ["", "a b", "http://a", "a/b", "a:", "a:0", "a:x", "a:99999", "[::1", "user@a"] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_child_has_beyond_its_parent_is_named() {
        let parent = HttpGrant { hosts: vec![pattern("*.example.com")], ..HttpGrant::default() };
        assert_eq!(parent.beyond(&parent), None);
        type Change = fn(&mut HttpGrant);
        let cases: [(&str, Change); 7] = [
            ("hosts", |g| g.hosts.push(HostPattern("other.com".into()))),
            ("hosts", |g| g.hosts[0] = HostPattern("*.example.com:*".into())),
            ("methods", |g| g.methods.push("POST".into())),
            ("max-request", |g| g.max_request.0 += 1),
            ("max-response", |g| g.max_response.0 += 1),
            ("timeout", |g| g.timeout += Duration::from_millis(1)),
            ("private", |g| g.private = true),
        ];
        for (key, change) in cases {
            let mut child = parent.clone();
            change(&mut child);
            assert_eq!(child.beyond(&parent).map(|(key, ..)| key), Some(key));
        }
        let mut child = parent.clone();
        child.repeat = true;
        assert_eq!(child.beyond(&parent).map(|(key, ..)| key), Some("repeat"));
        child = HttpGrant { hosts: vec![pattern("a.example.com")], ..parent.clone() };
        assert_eq!(child.beyond(&parent), None);
        assert_eq!(parent.beyond(&HttpGrant::all()), None);
    }

    #[test]
    fn a_route_takes_its_path_and_what_lies_below() {
        let serving = Serving::on("/shop/").unwrap();
        for (path, taken) in [("/shop", true), ("/shop/", true), ("/shop/a", true), ("/shopping", false), ("/", false)]
        {
            assert_eq!(serving.takes(path), taken, "{path}");
        }
        assert!(Serving::on("/").unwrap().takes("/anything"));
        for wrong in ["", "shop", "/a b", "/a?b", "//", "/a//b"] {
            assert!(Serving::on(wrong).is_err(), "{wrong}");
        }
    }
}
