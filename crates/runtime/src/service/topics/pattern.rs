//! Patterns over the names of topics: segments between dots, `*` for one of them, `>` at the end for one or more.

use troupe_log::ActorId;

/// The longest pattern without its namespace, in bytes: that of a name.
const MAX_PATTERN: usize = 63;

/// Which topics a subscription is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    namespace: String,
    text: String,
}

impl Pattern {
    /// Reads `pattern`, in that namespace, or `namespace/pattern`; the error says in words what is wrong with it.
    pub fn parse(text: &str, own_namespace: &str) -> Result<Pattern, String> {
        let shown: String = text.chars().take(80).collect();
        let (namespace, pattern) = text.split_once('/').unwrap_or((own_namespace, text));
        if ActorId::reserved(&format!("{namespace}/x")).is_err() {
            return Err(format!("`{shown}` has no namespace that can be: a pattern is `name` or `namespace/name`"));
        }
        if pattern.len() > MAX_PATTERN {
            return Err(format!("a pattern has at most {MAX_PATTERN} bytes"));
        }
        let segments: Vec<&str> = pattern.split('.').collect();
        for (at, segment) in segments.iter().enumerate() {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
            match *segment {
                "*" => {}
                ">" if at + 1 == segments.len() => {}
                ">" => return Err(format!("in `{shown}` `>` does not stand at the end")),
                "" => return Err(format!("`{shown}` has an empty segment")),
                segment if segment.bytes().all(plain) => {}
                _ => return Err(format!("`{shown}` has a segment that is no name: a-z, 0-9, `_`, `-`, or `*` alone")),
            }
        }
        Ok(Pattern { namespace: namespace.to_owned(), text: pattern.to_owned() })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its text without the namespace.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its first segment, if that is a name.
    pub fn first(&self) -> Option<&str> {
        self.text.split('.').next().filter(|first| !matches!(*first, "*" | ">"))
    }

    /// Whether it is for this topic.
    pub fn matches(&self, topic: &ActorId) -> bool {
        if topic.namespace() != self.namespace {
            return false;
        }
        let mut segments = topic.name().split('.');
        for wanted in self.text.split('.') {
            match (wanted, segments.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// A name that a grant covers only if it covers every topic of the pattern: no letter of a grant is `@`, so `*` alone has it.
    pub fn covering(&self) -> Option<ActorId> {
        ActorId::reserved(&format!("{}/{}", self.namespace, self.text.replace(['*', '>'], "@"))).ok()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment_and_the_end_sign_is_the_rest() {
        for (pattern, topic, matches) in [
            ("orders", "orders", true),
            ("orders", "orders.eu", false),
            ("orders.*", "orders.eu", true),
            ("orders.*", "orders", false),
            ("orders.*", "orders.eu.de", false),
            ("*.eu", "orders.eu", true),
            ("orders.*.de", "orders.eu.de", true),
            ("orders.>", "orders.eu.de", true),
            ("orders.>", "orders", false),
            (">", "orders", true),
            (">", "other/orders", false),
            ("other/>", "other/orders.eu", true),
        ] {
            let topic = ActorId::parse(topic).unwrap();
            assert_eq!(Pattern::parse(pattern, "default").unwrap().matches(&topic), matches, "{pattern} {topic}");
        }
        for bad in ["", ".", "a..b", ">.a", "a.>.b", "a*", "A", "a b", "/a", "a/b/c", "*/a", &"a".repeat(64)] {
            assert!(Pattern::parse(bad, "default").is_err(), "{bad}");
        }
    }
}
