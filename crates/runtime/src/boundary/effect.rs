//! Effect classes and the names of functions in journals.
//!
//! Owns the table of docs/semantics.md ("Effect classes") as a type, and the tag by which a record names a function.

use std::fmt;

/// What a host function does to the world; it decides when its step is committed and what a crash means for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Looks at something: clock, random, configuration. The answer is recorded.
    Read,
    /// Changes something of this node; staged, and committed with the step.
    Node,
    /// Changes something shared in a way that cannot be undone: the step is committed with it.
    SharedUpdate,
    /// Leaves as bytes that are held until the step is committed.
    Deferred,
    /// Acts on the outside at once and may be done again: intent committed, gate, run, outcome recorded.
    Repeatable,
    /// Acts on the outside at once and must not be done again: after a crash its outcome is unknown.
    Once,
    /// Waits for an answer that another party gives later: the step ends here.
    Wait,
}

/// A function's name in a record: the first eight bytes, little-endian, of the BLAKE3 hash of
/// `package:name/interface@TRACK#function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub u64);

impl Tag {
    /// The tag of a function of an interface, whichever version of its semver track is named.
    pub fn new(interface: &str, function: &str) -> Tag {
        Tag::of_name(&function_name(interface, function))
    }

    /// The tag of a full name as [`function_name`] makes it.
    pub fn of_name(name: &str) -> Tag {
        let hash = blake3::hash(name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        Tag(u64::from_le_bytes(first))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function {:016x}", self.0)
    }
}

/// `wasi:random/random@0.2#get-random-bytes`: the interface on its semver track, and the function.
pub fn function_name(interface: &str, function: &str) -> String {
    format!("{}#{function}", track(interface))
}

/// The interface name with its version cut to the semver track: `1.x.y` to `1`, `0.N.x` to `0.N`, a pre-release or no
/// version as it is.
pub fn track(interface: &str) -> String {
    let Some((name, version)) = interface.split_once('@') else {
        return interface.to_owned();
    };
    if version.contains('-') {
        return interface.to_owned();
    }
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some("0")) | (Some(_), None) | (None, _) => interface.to_owned(),
        (Some("0"), Some(minor)) => format!("{name}@0.{minor}"),
        (Some(major), Some(_)) => format!("{name}@{major}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_track_have_one_tag() {
        assert_eq!(track("wasi:random/random@0.2.3"), "wasi:random/random@0.2");
        assert_eq!(track("a:b/c@1.4.2"), "a:b/c@1");
        assert_eq!(track("a:b/c@0.2.0-rc1"), "a:b/c@0.2.0-rc1");
        assert_eq!(track("a:b/c@0.0.3"), "a:b/c@0.0.3");
        assert_eq!(track("theater:simple/runtime"), "theater:simple/runtime");
        assert_eq!(Tag::new("a:b/c@0.2.1", "f"), Tag::new("a:b/c@0.2.99", "f"));
        assert_ne!(Tag::new("a:b/c@0.2.1", "f"), Tag::new("a:b/c@0.3.0", "f"));
    }
}
