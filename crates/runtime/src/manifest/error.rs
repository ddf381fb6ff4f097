//! What can be wrong with a manifest, and where.
//!
//! Every variant says what happened, at which file, line and column, and what to write instead.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or what the text was called.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the manifest {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than a manifest may be.
    #[error(
        "{file} has more than {limit} bytes, which no manifest may have; is it the component? `troupe run FILE.wasm` runs one without a manifest"
    )]
    TooLarge {
        /// The file.
        file: String,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file is not UTF-8 text.
    #[error(
        "{file} is not UTF-8 text (byte {at}); is it the component? `troupe run FILE.wasm` runs one without a manifest"
    )]
    NotText {
        /// The file.
        file: String,
        /// The first bad byte.
        at: usize,
    },
    /// The text is not TOML.
    #[error("{place}: this is not TOML: {why}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the TOML parser said.
        why: String,
    },
    /// A key that nobody reads.
    #[error("{place}: unknown key `{key}` in {section}; {hint}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key as written.
        key: String,
        /// The section it stands in, as written in TOML.
        section: String,
        /// The nearest known key, or where the key belongs.
        hint: String,
    },
    /// A key that must be there.
    #[error("{place}: {section} needs `{key}`; add {example}")]
    MissingKey {
        /// Where the section begins.
        place: Place,
        /// The section.
        section: String,
        /// The key.
        key: &'static str,
        /// A line to add.
        example: &'static str,
    },
    /// A value of the wrong type, out of range, or not readable.
    #[error("{place}: `{key}` {why}; {help}")]
    BadValue {
        /// Where.
        place: Place,
        /// The key, with its section.
        key: String,
        /// What is wrong.
        why: String,
        /// What to write instead.
        help: String,
    },
    /// A child's setting that is wider than its parent's.
    #[error("{place}: {why}")]
    Wider {
        /// Where its section is.
        place: Place,
        /// The key and both values.
        why: String,
    },
    /// Something that this version cannot do for a manifest of another system.
    #[error("{place}: {what} is not supported; {help}")]
    Unsupported {
        /// Where.
        place: Place,
        /// What was asked for.
        what: String,
        /// What to do instead.
        help: String,
    },
}

impl Error {
    /// Where it is, if it is at one place of the text.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Read { .. } | Self::TooLarge { .. } | Self::NotText { .. } => None,
            Self::Syntax { place, .. }
            | Self::UnknownKey { place, .. }
            | Self::MissingKey { place, .. }
            | Self::BadValue { place, .. }
            | Self::Wider { place, .. }
            | Self::Unsupported { place, .. } => Some(place),
        }
    }
}
