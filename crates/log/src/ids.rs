//! The names of things: actors, incarnations, sequence numbers, digests, heads, times.
//!
//! Every quantity that crosses a signature of this crate is one of these newtypes. A [`Position`] is
//! a place in one node's log: it is never hashed and never part of an id, so a journal means the
//! same on every node.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest part (namespace or name) of an actor's id, in bytes: a label fits a DNS name.
pub const MAX_ID_PART: usize = 63;

/// An actor's id, `namespace/name`. Each part is `[a-z0-9][a-z0-9._-]{0,62}`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(Arc<str>);

/// Why a text is no actor id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no actor id: {why}; write `name` or `namespace/name`, each part a-z, 0-9, `.`, `_`, `-`, starting with a letter or digit, at most 63 bytes"
)]
pub struct BadId {
    /// What was given, cut to a printable length.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl ActorId {
    /// Reads `namespace/name`, or `name` in the namespace `default`.
    pub fn parse(text: &str) -> Result<Self, BadId> {
        Self::build(text, false)
    }

    /// The same, but `@` is allowed too: such ids belong to the runtime and to stored bytes.
    pub fn reserved(text: &str) -> Result<Self, BadId> {
        Self::build(text, true)
    }

    fn build(text: &str, at: bool) -> Result<Self, BadId> {
        let bad = |why| BadId { text: text.chars().take(160).collect(), why };
        match text.split_once('/') {
            Some((namespace, name)) => {
                check_part(namespace, at).map_err(bad)?;
                check_part(name, at).map_err(bad)?;
                Ok(Self(text.into()))
            }
            None => {
                check_part(text, at).map_err(bad)?;
                Ok(Self(format!("default/{text}").into()))
            }
        }
    }

    /// The whole id, `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, for who keeps it: without a copy.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The part before the slash.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |p| p.0)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |p| p.1)
    }
}

fn check_part(part: &str, at: bool) -> Result<(), &'static str> {
    let first = part.bytes().next().ok_or("a part of it is empty")?;
    if part.len() > MAX_ID_PART {
        return Err("a part of it is longer than 63 bytes");
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !(plain(first) || at && first == b'@') {
        return Err("a part of it does not start with a letter or digit");
    }
    if !part.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-') || at && b == b'@') {
        return Err("a character in it is not allowed");
    }
    Ok(())
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ActorId {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        Self::parse(s)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
    };
}

number!(
    /// Which life of an actor id: an id used again, or made fresh, is a new incarnation.
    Incarnation(u32)
);
number!(
    /// The number of a record in its incarnation's journal, from 0.
    Seq(u64)
);
number!(
    /// How many times the data folder was opened: a store refuses a writer with an older one.
    Epoch(u64)
);
number!(
    /// The place of a batch in one node's log. Never hashed, never part of an id.
    Position(u64)
);
number!(
    /// Node time in microseconds: runs only while the node is up.
    NodeTime(u64)
);
number!(
    /// Wall time in microseconds since 1970-01-01T00:00Z.
    WallTime(u64)
);

impl Seq {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0.wrapping_add(1))
    }
}

/// A BLAKE3 digest of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest; write `blake3:` and 64 hexadecimal digits")]
pub struct BadDigest(pub String);

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest(text.chars().take(100).collect());
        let hex = text.strip_prefix("blake3:").ok_or_else(bad)?;
        from_hex(hex).map(Self).ok_or_else(bad)
    }
}

/// Lower-case hexadecimal of some bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        let _ = write!(out, "{b:02x}");
    }
    out
}

/// Exactly `N` bytes from lower-case hexadecimal.
pub(crate) fn from_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let hex = hex.as_bytes();
    if hex.len() != N * 2 {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (o, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
        *o = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{}", to_hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The head of a journal: the BLAKE3 hash of its newest record, which covers all before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// The head before the first record of an incarnation.
    pub const ZERO: Head = Head([0; 32]);
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Head {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        from_hex(text).map(Self).ok_or_else(|| BadDigest(text.chars().take(100).collect()))
    }
}

/// The identity of a data folder, random, for its whole life.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(pub [u8; 16]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number of bytes; reads and writes `512`, `64KiB`, `16MiB`, `2GiB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

impl ByteCount {
    /// So many times 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    /// So many times 1024 * 1024 bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Why a text is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write a whole number and B, KiB, MiB or GiB, such as `16MiB`")]
pub struct BadByteCount(pub String);

impl FromStr for ByteCount {
    type Err = BadByteCount;
    fn from_str(text: &str) -> Result<Self, BadByteCount> {
        let bad = || BadByteCount(text.chars().take(40).collect());
        let trimmed = text.trim();
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| trimmed.strip_suffix(unit).map(|d| (d, *factor)))
            .unwrap_or((trimmed, 1));
        let digits: String = digits.trim().chars().filter(|c| *c != '_').collect();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let n: u64 = digits.parse().map_err(|_| bad())?;
        n.checked_mul(factor).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS[..3].iter().find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n)) {
            Some((unit, n)) => write!(f, "{}{unit}", self.0 / n),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_default_namespace_and_refuse_what_is_not_in_the_alphabet() {
        let id = ActorId::parse("counter-1").unwrap();
        assert_eq!((id.as_str(), id.namespace(), id.name()), ("default/counter-1", "default", "counter-1"));
        assert_eq!(ActorId::parse("a.b/c_d").unwrap().namespace(), "a.b");
        for bad in ["", "/", "a/", "/a", "A", "a b", "-a", "a/b/c", "a@b", "ü", &"a".repeat(64)] {
            assert!(ActorId::parse(bad).is_err(), "{bad}");
        }
        assert!(ActorId::parse(&"a".repeat(63)).is_ok());
        assert!(ActorId::reserved("a@b").is_ok());
        assert!(ActorId::reserved("a b").is_err());
    }

    #[test]
    fn digests_and_sizes_read_what_they_write() {
        let d = Digest::of(b"x");
        assert_eq!(d.to_string().parse::<Digest>().unwrap(), d);
        assert!("blake3:00".parse::<Digest>().is_err());
        assert!(d.to_string().to_uppercase().parse::<Digest>().is_err());
        for (text, n) in [("512", 512), ("16MiB", 16 << 20), ("1 KiB", 1024), ("2GB", 2_000_000_000), ("1_000", 1000)] {
            assert_eq!(text.parse::<ByteCount>().unwrap(), ByteCount(n), "{text}");
        }
        for bad in ["", "MiB", "-1", "1.5MiB", "99999999999GiB", "+5"] {
            assert!(bad.parse::<ByteCount>().is_err(), "{bad}");
        }
        assert_eq!(ByteCount::mib(16).to_string(), "16MiB");
        assert_eq!(ByteCount(1000).to_string(), "1000B");
    }
}
