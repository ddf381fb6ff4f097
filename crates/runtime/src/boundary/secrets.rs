//! What is left out of records: the values of secrets.
//!
//! Promises: where a call's parameters or result, or the end of a turn, have a secret's bytes, its record has as many `*`, and
//! beside it stands a redaction: where, whose, and the value's digest under the node's key. A replay that has the values puts
//! them back; one that lacks one says which. Values are never printed: not by `Debug`, not in logs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use troupe_log::body::{Hidden, Redaction};
use troupe_log::{Digest, Kind, Record};

use crate::manifest::Grants;

/// Under which digests of secrets are made: who has a journal and not the key cannot try values out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// This key.
    pub fn new(bytes: [u8; 32]) -> SecretKey {
        SecretKey(bytes)
    }

    /// What tells it from other keys.
    fn id(&self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::derive_key("troupe 2026-11 id of a key for secrets", &self.0)[..8]);
        id
    }

    fn digest(&self, value: &[u8]) -> Digest {
        Digest(*blake3::keyed_hash(&self.0, value).as_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The secrets of one actor, by name; a value may be missing.
#[derive(Clone, Default)]
pub struct Secrets {
    key: Option<SecretKey>,
    values: BTreeMap<String, Result<String, String>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// The values that the grants name, as they are now.
    pub fn of(grants: &Grants, key: Option<SecretKey>) -> Secrets {
        if grants.secrets.is_empty() {
            return Secrets::default();
        }
        let values = grants.secrets.iter().map(|(name, source)| (name.clone(), source.value())).collect();
        Secrets { key, values }
    }

    /// These values for those names that the grants have; the key is known where the node's data is.
    pub fn given(grants: &Grants, given: &BTreeMap<String, String>, key: Option<SecretKey>) -> Secrets {
        let value = |name: &String| given.get(name).cloned().ok_or_else(|| "its value was not given".to_owned());
        Secrets { key, values: grants.secrets.keys().map(|name| (name.clone(), value(name))).collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Names and values, of those that are there.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_ref().ok()?.as_str())))
    }

    /// One value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_ref().ok().map(String::as_str)
    }

    /// Puts `*` for each value in `bytes`, and says where, by the order of the places.
    pub(crate) fn hide(&self, bytes: &mut [u8]) -> Vec<Hidden> {
        let mut hidden: Vec<Hidden> = Vec::new();
        if self.values.is_empty() {
            return hidden;
        }
        let mut values: Vec<(&str, &str)> = self.shown().collect();
        // One that has another inside of it goes first.
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in values {
            let value = value.as_bytes();
            let mut at = 0;
            while let Some(found) = find(&bytes[at..], value) {
                let place = at + found;
                bytes[place..place + value.len()].fill(b'*');
                let digest = self.key.map_or(Digest([0; 32]), |key| key.digest(value));
                hidden.push(Hidden { at: place as u32, len: value.len() as u32, name: name.to_owned(), digest });
                at = place + value.len();
            }
        }
        hidden.sort_by_key(|hidden| hidden.at);
        hidden
    }

    /// The same bytes without the values.
    pub fn masked<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.values.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = bytes.to_vec();
        match self.hide(&mut masked).is_empty() {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned(masked),
        }
    }

    /// The same text without the values.
    pub fn masked_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.masked(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    pub(crate) fn key_id(&self) -> [u8; 8] {
        self.key.map_or([0; 8], |key| key.id())
    }

    /// Records with the values back in their places; the error says which is missing, or is another than was recorded.
    pub(crate) fn restored(&self, records: Arc<[u8]>) -> (Arc<[u8]>, Result<(), String>) {
        if self.values.is_empty() {
            return (records, Ok(()));
        }
        let mut bytes = records.to_vec();
        let mut bodies = Vec::new();
        let (mut at, mut whole) = (0, Ok(()));
        while let Ok(record) = Record::read(&records[at..]) {
            let end = at + record.bytes.len();
            if record.kind == Kind::Redaction
                && let Ok(redaction) = Redaction::decode(record.body)
            {
                let body = bodies.iter().rev().find(|(seq, _)| *seq == redaction.of);
                for hidden in &redaction.hidden {
                    let value = match self.value_of(hidden, &redaction) {
                        Ok(value) => value.as_bytes(),
                        Err(why) => {
                            whole = whole.and(Err(why));
                            continue;
                        }
                    };
                    let place = body.and_then(|(_, body): &(_, std::ops::Range<usize>)| {
                        let from = body.start.checked_add(hidden.at as usize)?;
                        bytes.get_mut(from..from.checked_add(value.len())?).filter(|_| from + value.len() <= body.end)
                    });
                    if let Some(place) = place {
                        place.copy_from_slice(value);
                    }
                }
            }
            bodies.push((record.seq, end - record.body.len()..end));
            at = end;
        }
        (bytes.into(), whole)
    }

    fn value_of(&self, hidden: &Hidden, redaction: &Redaction) -> Result<&str, String> {
        let name = &hidden.name;
        let value = match self.values.get(name) {
            Some(Ok(value)) => value,
            Some(Err(why)) => return Err(format!("the secret {name} is missing: {why}")),
            None => return Err(format!("the secret {name} is missing: it is not granted any more")),
        };
        let same = value.len() == hidden.len as usize
            && self.key.is_none_or(|key| key.id() != redaction.key || key.digest(value.as_bytes()) == hidden.digest);
        match same {
            true => Ok(value),
            false => Err(format!("the secret {name} has another value than when it was recorded")),
        }
    }
}

/// The names of the secrets that records lack.
pub fn secrets_of(records: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = records;
    while let Ok(record) = Record::read(rest) {
        if record.kind == Kind::Redaction
            && let Ok(redaction) = Redaction::decode(record.body)
        {
            names.extend(redaction.hidden.into_iter().map(|hidden| hidden.name));
        }
        rest = &rest[record.bytes.len()..];
    }
    names
}

fn find(bytes: &[u8], value: &[u8]) -> Option<usize> {
    let (first, rest) = value.split_first()?;
    let last = bytes.len().checked_sub(value.len())?;
    (0..=last).find(|at| bytes[*at] == *first && bytes[at + 1..].starts_with(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::{Chain, Step};

    fn secrets(list: &[(&str, &str)]) -> Secrets {
        let values = list.iter().map(|(name, value)| ((*name).to_owned(), Ok((*value).to_owned()))).collect();
        Secrets { key: Some(SecretKey::new([7; 32])), values }
    }

    #[test]
    fn every_place_of_a_value_is_hidden_and_the_longer_one_first() {
        let secrets = secrets(&[("A", "hunter22"), ("B", "hunter22-and-more")]);
        let mut bytes = *b"x hunter22 hunter22-and-more hunter2";
        let hidden = secrets.hide(&mut bytes);
        assert_eq!(&bytes, b"x ******** ***************** hunter2");
        let places: Vec<_> = hidden.iter().map(|hidden| (hidden.at, hidden.name.as_str())).collect();
        assert_eq!(places, [(2, "A"), (11, "B")]);
        assert_ne!(hidden[0].digest, Digest::of(b"hunter22"), "without the key nobody can try values out");
        assert!(!format!("{secrets:?}").contains("hunter"));
    }

    #[test]
    fn values_are_put_back_and_a_missing_or_another_one_is_named() {
        let secrets_of_actor = secrets(&[("A", "hunter22")]);
        let mut step = Step::new(Chain::START);
        let mut plain = b"says hunter22 twice: hunter22".to_vec();
        let original = plain.clone();
        let hidden = secrets_of_actor.hide(&mut plain);
        let of = step.record(Kind::Call, |out| out.extend_from_slice(&plain));
        step.record(Kind::Redaction, |out| Redaction { of, key: secrets_of_actor.key_id(), hidden }.encode(out));
        let records: Arc<[u8]> = step.bytes().into();
        assert!(find(&records, b"hunter22").is_none());
        assert_eq!(secrets_of(&records).into_iter().collect::<Vec<_>>(), ["A"]);

        let (back, whole) = secrets_of_actor.restored(records.clone());
        assert_eq!((Record::read(&back).unwrap().body, whole), (&original[..], Ok(())));
        let why = |secrets: Secrets| secrets.restored(records.clone()).1.unwrap_err();
        assert!(why(secrets(&[("A", "hunter23")])).contains("another value"));
        assert!(why(secrets(&[("A", "hunter222")])).contains("another value"));
        assert!(why(secrets(&[("B", "hunter22")])).contains("the secret A is missing"));
        // On another node the key is another: what fits is taken.
        let elsewhere = Secrets { key: Some(SecretKey::new([8; 32])), ..secrets(&[("A", "hunter23")]) };
        assert_eq!(elsewhere.restored(records).1, Ok(()));
    }

    #[test]
    fn a_place_outside_of_its_record_changes_nothing() {
        let mut step = Step::new(Chain::START);
        let of = step.record(Kind::Call, |out| out.extend_from_slice(b"********"));
        for at in [1, 8, u32::MAX] {
            let hidden = Hidden { at, len: 8, name: "A".to_owned(), digest: Digest([0; 32]) };
            step.record(Kind::Redaction, |out| Redaction { of, key: [0; 8], hidden: vec![hidden] }.encode(out));
        }
        let records: Arc<[u8]> = step.bytes().into();
        assert_eq!(secrets(&[("A", "hunter22")]).restored(records.clone()).0, records);
    }
}
