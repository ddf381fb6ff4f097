//! `[grants.secrets]`: where the values come from that are shown to a guest and to nobody else.
//!
//! A manifest, and a genesis record, hold the place of a value and never the value.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;

/// Bytes of the shortest secret: a shorter one stands in too much by chance.
pub const MIN_SECRET: usize = 8;
/// Bytes of the longest.
pub const MAX_SECRET: usize = 64 << 10;

/// The place of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the node's own environment.
    Env(String),
    /// A file, by its whole path; a line's end at its end is no part of the value.
    File(PathBuf),
}

impl SecretSource {
    /// Reads `env:NAME` or `file:/PATH`; the error says in words what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if path.starts_with('/') && !path.contains('\0') => Ok(Self::File(path.into())),
            Some(("file", _)) => Err("the path of a file begins with `/`".to_owned()),
            _ => Err("it names neither a variable nor a file".to_owned()),
        }
    }

    /// The value now; the error says what is missing, and nothing of the value.
    pub fn value(&self) -> Result<String, String> {
        let value = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("the node has no variable {name}"))?,
            Self::File(path) => {
                let mut bytes = Vec::new();
                let read = std::fs::File::open(path)
                    .and_then(|file| file.take(MAX_SECRET as u64 + 3).read_to_end(&mut bytes))
                    .map_err(|error| format!("{} cannot be read: {error}", path.display()));
                read?;
                let text = String::from_utf8(bytes).map_err(|_| format!("{} is no text", path.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                line.strip_suffix('\r').unwrap_or(line).to_owned()
            }
        };
        match value.len() {
            MIN_SECRET..=MAX_SECRET => Ok(value),
            _ => Err(format!("a secret has {MIN_SECRET} bytes to {} KiB", MAX_SECRET >> 10)),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_written_and_what_is_none_is_said() {
        for text in ["env:TOKEN", "file:/run/secrets/token"] {
            assert_eq!(SecretSource::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "TOKEN", "env:", "env:A=B", "file:token", "file:", "vault:x", "hunter2hunter2"] {
            assert!(SecretSource::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_value_has_its_bounds_and_no_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            SecretSource::File(path.clone()).value()
        };
        assert_eq!(of(b"12345678\r\n"), Ok("12345678".to_owned()));
        assert_eq!(of(&[b'x'; MAX_SECRET]).map(|value| value.len()), Ok(MAX_SECRET));
        assert!(of(b"1234567\n").is_err() && of(&[b'x'; MAX_SECRET + 1]).is_err() && of(&[0xff; 9]).is_err());
        assert!(SecretSource::File(folder.path().join("none")).value().unwrap_err().contains("none"));
    }
}
