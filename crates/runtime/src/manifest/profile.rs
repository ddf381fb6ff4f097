//! Profiles: grants for a kind of code, by one word. `[grants] profile = "untrusted"` stands for all of them, and the other keys
//! of `[grants]` are read over it.

use super::types::{
    ActorPattern, Channels, Grants, KeyValue, Messaging, Processes, RandomGrant, Registration, TupleSpaces,
};

/// A kind of code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// `troupe:actor/host` and nothing else: no clocks, no random numbers, no output, no other actor.
    Untrusted,
    /// What an actor has whose manifest says nothing: clocks, random numbers, host, output, log.
    #[default]
    Default,
    /// The default and everything of the own namespace: messages, processes and all that actors share. Nothing outside of
    /// the node: no files, no network, no environment.
    Trusted,
}

impl Profile {
    /// Every profile and its word.
    pub const WORDS: [(&str, Profile); 3] =
        [("untrusted", Self::Untrusted), ("default", Self::Default), ("trusted", Self::Trusted)];

    /// The manifest's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Default => "default",
            Self::Trusted => "trusted",
        }
    }

    /// What it is for, in a line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Untrusted => "troupe:actor/host and nothing else",
            Self::Default => "what holds where nothing is said: clocks, random, host, stdio, logging",
            Self::Trusted => "the default and everything of the own namespace; nothing outside of the node",
        }
    }

    /// The grants that it stands for.
    pub fn grants(self) -> Grants {
        let all = || vec![ActorPattern::all()];
        match self {
            Self::Untrusted => Grants {
                clocks: false,
                random: RandomGrant { enabled: false, ..RandomGrant::default() },
                stdio: false,
                logging: false,
                ..Grants::default()
            },
            Self::Default => Grants::default(),
            Self::Trusted => Grants {
                messaging: Some(Messaging { to: all() }),
                processes: Some(Processes {
                    spawn: vec!["*".to_owned()],
                    control: all(),
                    components: Default::default(),
                }),
                tuplespace: Some(TupleSpaces { spaces: all(), read: Vec::new() }),
                channels: Some(Channels { send: all(), receive: all(), publish: all(), subscribe: all() }),
                groups: Some(all()),
                locks: Some(all()),
                registry: Some(Registration { register: all(), lookup: all() }),
                keyvalue: Some(KeyValue { own: all(), shared: all() }),
                store: Some(all()),
                ..Grants::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_within_the_next_and_only_the_words_differ() {
        for pair in Profile::WORDS.windows(2) {
            let (narrow, wide) = (pair[0].1.grants(), pair[1].1.grants());
            assert_eq!(narrow.within(&wide), Ok(()), "{} within {}", pair[0].0, pair[1].0);
            assert!(wide.within(&narrow).is_err(), "{} not within {}", pair[1].0, pair[0].0);
        }
        for (word, profile) in Profile::WORDS {
            assert_eq!(word, profile.as_str());
        }
    }
}
