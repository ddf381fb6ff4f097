//! TOML with the place of every key: sections that know their keys, values that know where they stand.
//!
//! Knows nothing of actors. A section is opened with the keys that it has; any other key is refused at once, before
//! anything is read, with the nearest known one. All getters say what they wanted and what to write.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use troupe_log::ByteCount;

use super::error::{Error, Place};
use super::units;

/// The text of one manifest and what it is called in errors.
pub(super) struct Doc<'i> {
    pub(super) name: &'i str,
    pub(super) text: &'i str,
}

impl<'i> Doc<'i> {
    /// The line and column of a byte offset.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let mut at = span.start.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// Reads the text as TOML.
    pub(super) fn table(&self) -> Result<Spanned<DeTable<'i>>, Error> {
        DeTable::parse(self.text).map_err(|e| Error::Syntax {
            place: self.place(&e.span().unwrap_or(0..0)),
            why: e.message().trim().replace('\n', "; "),
        })
    }
}

/// A table whose keys are all known.
#[derive(Clone)]
pub(super) struct Section<'d, 'i> {
    doc: &'d Doc<'i>,
    /// `grants.random`; empty for the top of the file.
    path: String,
    table: &'d DeTable<'i>,
    span: Range<usize>,
}

impl<'d, 'i> Section<'d, 'i> {
    /// The top of the file.
    pub(super) fn root(doc: &'d Doc<'i>, table: &'d Spanned<DeTable<'i>>, known: &[&str]) -> Result<Self, Error> {
        let section = Self { doc, path: String::new(), table: table.get_ref(), span: 0..0 };
        section.check(known)?;
        Ok(section)
    }

    fn check(&self, known: &[&str]) -> Result<(), Error> {
        let unknown = self
            .table
            .iter()
            .filter(|(key, _)| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|(key, _)| key.span().start);
        match unknown {
            None => Ok(()),
            Some((key, _)) => Err(Error::UnknownKey {
                place: self.doc.place(&key.span()),
                key: shown(key.get_ref()),
                section: self.title(),
                hint: hint(key.get_ref(), known),
            }),
        }
    }

    /// The section as it is written in the file.
    pub(super) fn title(&self) -> String {
        if self.path.is_empty() { "the manifest".to_owned() } else { format!("[{}]", self.path) }
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place {
        self.doc.place(&self.span)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Entry<'d, 'i>> {
        let (_, value) = self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        Some(self.entry(key, value))
    }

    /// The value of a key that must be there.
    pub(super) fn need(&self, key: &'static str, example: &'static str) -> Result<Entry<'d, 'i>, Error> {
        self.get(key).ok_or_else(|| Error::MissingKey { place: self.place(), section: self.title(), key, example })
    }

    /// All entries, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(String, Entry<'d, 'i>)> {
        let mut all: Vec<_> = self.table.iter().collect();
        all.sort_by_key(|(key, _)| key.span().start);
        all.into_iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                let entry = self.entry(&name, value);
                (name, entry)
            })
            .collect()
    }

    /// Whether a key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn entry(&self, key: &str, value: &'d Spanned<DeValue<'i>>) -> Entry<'d, 'i> {
        let key = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Entry { doc: self.doc, key, value }
    }
}

/// A value with its key and its place.
#[derive(Clone)]
pub(super) struct Entry<'d, 'i> {
    doc: &'d Doc<'i>,
    pub(super) key: String,
    value: &'d Spanned<DeValue<'i>>,
}

impl<'d, 'i> Entry<'d, 'i> {
    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.doc.place(&self.value.span())
    }

    /// An error about this value.
    pub(super) fn bad(&self, why: impl Into<String>, help: impl Into<String>) -> Error {
        Error::BadValue { place: self.place(), key: self.key.clone(), why: why.into(), help: help.into() }
    }

    /// An error about something that this version cannot do.
    pub(super) fn unsupported(&self, what: impl Into<String>, help: impl Into<String>) -> Error {
        Error::Unsupported { place: self.place(), what: what.into(), help: help.into() }
    }

    fn wrong_type(&self, wanted: &str, help: impl Into<String>) -> Error {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        self.bad(format!("must be {wanted}, not {found}"), help)
    }

    pub(super) fn value(&self) -> &'d DeValue<'i> {
        self.value.get_ref()
    }

    pub(super) fn str(&self) -> Result<&'d str, Error> {
        match self.value.get_ref() {
            DeValue::String(s) => Ok(s.as_ref()),
            _ => Err(self.wrong_type("a string", "write it in quotes")),
        }
    }

    pub(super) fn bool(&self) -> Result<bool, Error> {
        match self.value.get_ref() {
            DeValue::Boolean(b) => Ok(*b),
            _ => Err(self.wrong_type("true or false", "write one of the two without quotes")),
        }
    }

    /// A whole number from 0.
    pub(super) fn u64(&self) -> Result<u64, Error> {
        let DeValue::Integer(n) = self.value.get_ref() else {
            return Err(self.wrong_type("a whole number", "write it without quotes"));
        };
        match i128::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) if n < 0 => Err(self.bad(format!("is {n}"), "it cannot be negative")),
            Ok(n) if n <= i128::from(u64::MAX) => Ok(n as u64),
            _ => Err(self.bad("is too large", format!("at most {}", u64::MAX))),
        }
    }

    pub(super) fn u32(&self) -> Result<u32, Error> {
        let n = self.u64()?;
        u32::try_from(n).map_err(|_| self.bad(format!("is {n}"), format!("at most {}", u32::MAX)))
    }

    /// An amount of bytes: `"16MiB"`, or a plain number of bytes.
    pub(super) fn bytes(&self) -> Result<ByteCount, Error> {
        let help = "write it like \"64KiB\", \"16MiB\" or \"1GiB\", or as a number of bytes";
        match self.value.get_ref() {
            DeValue::Integer(_) => self.u64().map(ByteCount),
            DeValue::String(s) => {
                s.parse().map_err(|_| self.bad(format!("is \"{}\", no amount of bytes", shown(s)), help))
            }
            _ => Err(self.wrong_type("an amount of bytes", help)),
        }
    }

    /// The same, where `"none"` means no bound.
    pub(super) fn bytes_or_none(&self) -> Result<Option<ByteCount>, Error> {
        match self.value.get_ref() {
            DeValue::String(s) if s == "none" => Ok(None),
            _ => self.bytes().map(Some),
        }
    }

    /// A duration with its unit.
    pub(super) fn duration(&self) -> Result<Duration, Error> {
        let help = "write it like \"100ms\", \"5s\", \"1m\", \"2h\" or \"7d\", at most 3650d";
        match self.value.get_ref() {
            DeValue::String(s) => {
                units::parse_duration(s).ok_or_else(|| self.bad(format!("is \"{}\", no duration", shown(s)), help))
            }
            _ => Err(self.wrong_type("a duration in quotes", help)),
        }
    }

    /// The same, where `"none"` means no bound.
    pub(super) fn duration_or_none(&self) -> Result<Option<Duration>, Error> {
        match self.value.get_ref() {
            DeValue::String(s) if s == "none" => Ok(None),
            _ => self.duration().map(Some),
        }
    }

    /// A list of strings, each with its place.
    pub(super) fn strings(&self) -> Result<Vec<(String, Entry<'d, 'i>)>, Error> {
        self.list("[\"a\", \"b\"]")?.into_iter().map(|entry| Ok((entry.str()?.to_owned(), entry))).collect()
    }

    /// A list of anything.
    pub(super) fn list(&self, example: &str) -> Result<Vec<Entry<'d, 'i>>, Error> {
        match self.value.get_ref() {
            DeValue::Array(items) => {
                Ok(items.iter().map(|value| Entry { doc: self.doc, key: self.key.clone(), value }).collect())
            }
            _ => Err(self.wrong_type("a list", format!("write {example}"))),
        }
    }

    /// Whether it is a section.
    pub(super) fn is_section(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Table(_))
    }

    /// A section with these keys.
    pub(super) fn section(&self, known: &[&str]) -> Result<Section<'d, 'i>, Error> {
        let section = self.open_section()?;
        section.check(known)?;
        Ok(section)
    }

    /// A section whose keys are the user's.
    pub(super) fn open_section(&self) -> Result<Section<'d, 'i>, Error> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                Ok(Section { doc: self.doc, path: self.key.clone(), table, span: self.value.span() })
            }
            _ => Err(self.wrong_type("a section", format!("write [{}]", self.key))),
        }
    }

    /// One word of a few, with what it means.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Error> {
        let word = self.str()?;
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        match words.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => Ok(*value),
            None => Err(self.bad(format!("is \"{}\"", shown(word)), format!("it is one of {}", names.join(", ")))),
        }
    }
}

/// Where the keys of the native manifest live, for hints about keys in the wrong section.
const HOMES: [(&str, &[&str]); 5] = [
    ("[actor]", super::parse::ACTOR_KEYS),
    ("[limits]", super::parse::LIMIT_KEYS),
    ("[grants]", super::grants::GRANT_KEYS),
    ("[supervision]", super::parse::SUPERVISION_KEYS),
    ("[snapshots]", super::parse::SNAPSHOT_KEYS),
];

/// What to say about an unknown key: its home, or the nearest known key and all others.
fn hint(key: &str, known: &[&str]) -> String {
    if let Some((home, _)) = HOMES.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("`{key}` belongs in {home}");
    }
    match nearest(key, known) {
        None => "nothing is known there".to_owned(),
        Some(near) if known.len() == 1 => format!("the only key there is `{near}`"),
        Some(near) => format!("the nearest known key is `{near}` (known there: {})", known.join(", ")),
    }
}

/// The word that needs the fewest changed letters.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().min_by_key(|k| distance(word, k))
}

/// Levenshtein distance over the first 64 characters; `_` and `-` count as the same.
fn distance(a: &str, b: &str) -> usize {
    let letters = |s: &str| -> Vec<char> {
        s.chars().take(64).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Text of the user's in a message: short, in one line.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_with_the_fewest_changes() {
        let known = ["memory", "mailbox", "max-keys", "max-journal"];
        assert_eq!(nearest("memroy", &known), Some("memory"));
        assert_eq!(nearest("max_journal", &known), Some("max-journal"));
        assert_eq!(nearest("mail", &known), Some("mailbox"));
        assert_eq!(nearest("x", &[]), None);
    }

    #[test]
    fn places_count_characters_not_bytes() {
        let doc = Doc { name: "m", text: "a\n\u{e9}\u{e9}x" };
        let place = doc.place(&(6..7));
        assert_eq!((place.line, place.column), (2, 3));
        assert_eq!(doc.place(&(1000..1001)).line, 2, "past the end is the end");
    }

    #[test]
    fn long_and_multi_line_text_is_shortened_in_messages() {
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(100)).len(), 63);
    }
}
