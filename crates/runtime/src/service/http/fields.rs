//! `resource fields`: names and values in their order, in their own case.
//!
//! Names are compared without case. What connection and framing need is the host's and cannot be set.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::types::HeaderError;
use super::{Charge, Full};

/// Names and values.
pub type Entries = Vec<(String, Vec<u8>)>;

/// Bytes that names and values of one set may take.
pub const MAX_FIELDS: u64 = 128 << 10;
/// What each entry is counted for besides its bytes.
const ENTRY: u64 = 64;

/// Set by the host alone.
const FORBIDDEN: &[&str] = &[
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// One set.
#[derive(Debug)]
pub struct Fields {
    entries: Entries,
    immutable: bool,
    used: u64,
    charge: Charge,
}

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The guest's error.
    Error(HeaderError),
    /// A limit of the node.
    Full,
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Refused {
        Refused::Error(error)
    }
}
impl From<Full> for Refused {
    fn from(_: Full) -> Refused {
        Refused::Full
    }
}

fn cost(name: &str, value: &[u8]) -> u64 {
    name.len() as u64 + value.len() as u64 + ENTRY
}

/// The bytes that these count for.
pub fn size(entries: &[(String, Vec<u8>)]) -> u64 {
    entries.iter().map(|(name, value)| cost(name, value)).sum()
}

fn check_name(name: &str) -> Result<(), HeaderError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderError::InvalidSyntax)?;
    match FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
        true => Err(HeaderError::Forbidden),
        false => Ok(()),
    }
}

fn check_value(value: &[u8]) -> Result<(), HeaderError> {
    HeaderValue::from_bytes(value).map(drop).map_err(|_| HeaderError::InvalidSyntax)
}

impl Fields {
    /// None.
    pub fn new(charge: Charge) -> Fields {
        Fields { entries: Vec::new(), immutable: false, used: 0, charge }
    }

    /// These, each of which must be right.
    pub fn from_list(entries: Entries, charge: Charge) -> Result<Fields, Refused> {
        let mut fields = Fields::new(charge);
        for (name, value) in entries {
            fields.append(name, value)?;
        }
        Ok(fields)
    }

    /// Those of a message that has come in: as they are, and not to be changed.
    pub fn received(entries: Entries, mut charge: Charge) -> Result<Fields, Full> {
        let used = size(&entries);
        charge.add(used)?;
        Ok(Fields { entries, immutable: true, used, charge })
    }

    /// The same once more, as what it is asked for.
    pub fn copy(&self, immutable: bool) -> Result<Fields, Full> {
        let mut charge = self.charge.other();
        charge.add(self.used)?;
        Ok(Fields { entries: self.entries.clone(), immutable, used: self.used, charge })
    }

    /// Not to be changed from now on.
    pub fn freeze(mut self) -> Fields {
        self.immutable = true;
        self
    }

    /// All.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The values of a name.
    pub fn get(&self, name: &str) -> Vec<Vec<u8>> {
        self.entries.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).collect()
    }

    /// Whether there is one.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Puts these values in place of those of the name.
    pub fn set(&mut self, name: &str, values: Vec<Vec<u8>>) -> Result<(), Refused> {
        check_name(name)?;
        values.iter().try_for_each(|value| check_value(value))?;
        self.delete(name)?;
        values.into_iter().try_for_each(|value| self.append(name.to_owned(), value))
    }

    /// Removes all of the name.
    pub fn delete(&mut self, name: &str) -> Result<(), Refused> {
        check_name(name)?;
        self.changeable()?;
        let before = self.used;
        self.entries.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.used = size(&self.entries);
        self.charge.sub(before - self.used);
        Ok(())
    }

    /// One more.
    pub fn append(&mut self, name: String, value: Vec<u8>) -> Result<(), Refused> {
        check_name(&name)?;
        check_value(&value)?;
        self.changeable()?;
        let cost = cost(&name, &value);
        if self.used + cost > MAX_FIELDS {
            return Err(Refused::Full);
        }
        self.charge.add(cost)?;
        self.used += cost;
        self.entries.push((name, value));
        Ok(())
    }

    fn changeable(&self) -> Result<(), Refused> {
        if self.immutable { Err(HeaderError::Immutable.into()) } else { Ok(()) }
    }

    /// The `content-length`, if there is one and it is a number.
    pub fn content_length(&self) -> Result<Option<u64>, NoLength> {
        let mut found = None;
        for value in self.get("content-length") {
            let number = std::str::from_utf8(&value).ok().and_then(length).ok_or(NoLength)?;
            if found.is_some_and(|other| other != number) {
                return Err(NoLength);
            }
            found = Some(number);
        }
        Ok(found)
    }
}

/// A `content-length` that is no number, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLength;

/// A length: digits alone.
fn length(text: &str) -> Option<u64> {
    let digits = text.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// As hyper wants them. What is no field there is left out; those of [`Fields`] all are.
pub fn to_map(entries: &[(String, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(entries.len().min(1024));
    for (name, value) in entries {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            // A map holds 32768 at most; sets are smaller by far.
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// As they came over the wire, without what is between two hops.
pub fn from_map(map: &HeaderMap) -> Entries {
    let of_the_hop =
        |name: &HeaderName| FORBIDDEN.iter().any(|forbidden| *forbidden == name.as_str() && name != "host");
    map.iter()
        .filter(|(name, _)| !of_the_hop(name))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::http::Budget;

    fn fields() -> Fields {
        Fields::new(Budget::new(1 << 20).charge())
    }

    #[test]
    fn names_have_no_case_and_keep_it() {
        let mut some = fields();
        some.append("X-One".into(), b"1".to_vec()).unwrap();
        some.append("x-one".into(), b"2".to_vec()).unwrap();
        assert_eq!(some.get("X-ONE"), [b"1".to_vec(), b"2".to_vec()]);
        assert_eq!(some.entries()[0].0, "X-One");
        some.set("x-ONE", vec![b"3".to_vec()]).unwrap();
        assert_eq!(some.entries(), &[("x-ONE".to_owned(), b"3".to_vec())]);
        some.delete("X-one").unwrap();
        assert!(!some.has("x-one"));
        assert_eq!(some.charge.bytes, 0);
    }

    #[test]
    fn what_is_wrong_or_the_hosts_is_refused() {
        let mut some = fields();
        let error = |result: Result<(), Refused>| result.unwrap_err();
        assert_eq!(error(some.append("a b".into(), vec![])), HeaderError::InvalidSyntax.into());
        assert_eq!(error(some.append("a".into(), b"x\r\ny: z".to_vec())), HeaderError::InvalidSyntax.into());
        for name in ["Host", "transfer-encoding", "Connection", "te"] {
            assert_eq!(error(some.append(name.into(), vec![])), HeaderError::Forbidden.into());
        }
        let mut frozen = fields().freeze();
        assert_eq!(error(frozen.append("a".into(), vec![])), HeaderError::Immutable.into());
        assert_eq!(error(frozen.delete("a")), HeaderError::Immutable.into());
        assert!(frozen.copy(false).unwrap().append("a".into(), vec![]).is_ok());
    }

    #[test]
    fn a_set_ends_at_its_limit() {
        let mut some = Fields::new(Budget::new(1 << 30).charge());
        let each = 1000 + 1 + ENTRY;
        for _ in 0..MAX_FIELDS / each {
            some.append("a".into(), vec![b'x'; 1000]).unwrap();
        }
        assert_eq!(some.append("a".into(), vec![b'x'; 1000]), Err(Refused::Full));
        let rest = MAX_FIELDS % each - 1 - ENTRY;
        assert_eq!(some.append("a".into(), vec![b'x'; rest as usize + 1]), Err(Refused::Full));
        some.append("a".into(), vec![b'x'; rest as usize]).unwrap();
        assert_eq!(some.used, MAX_FIELDS, "at the edge");
    }

    #[test]
    fn what_is_copied_or_received_takes_of_the_budget_and_gives_it_back() {
        let budget = Budget::new(1000);
        let mut some = Fields::new(budget.charge());
        some.append("a".into(), vec![b'x'; 399 - ENTRY as usize]).unwrap();
        let copy = some.copy(false).unwrap();
        assert!(some.copy(true).is_err(), "a third of 400 is over 1000");
        let entries = some.entries().clone();
        assert!(Fields::received(entries.clone(), budget.charge()).is_err());
        drop(copy);
        let received = Fields::received(entries.clone(), budget.charge()).unwrap();
        assert_eq!(Fields::from_list(entries.clone(), budget.charge()).err(), Some(Refused::Full));
        some.delete("a").unwrap();
        drop(received);
        assert!(Fields::from_list(entries, budget.charge()).is_ok());
    }

    #[test]
    fn a_set_that_is_refused_is_as_it_was_and_what_is_of_the_hop_is_not_taken_over() {
        let mut some = fields();
        some.append("a".into(), b"1".to_vec()).unwrap();
        assert!(some.set("a", vec![b"2".to_vec(), b"x\ny".to_vec()]).is_err());
        assert_eq!(some.get("a"), [b"1".to_vec()]);
        let mut map = HeaderMap::new();
        for name in ["host", "connection", "te", "upgrade", "x"] {
            map.insert(name, HeaderValue::from_static("v"));
        }
        let names: Vec<String> = from_map(&map).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["host", "x"]);
    }

    #[test]
    fn a_length_that_is_no_number_or_two_is_an_error() {
        let mut some = fields();
        assert_eq!(some.content_length(), Ok(None));
        some.append("Content-Length".into(), b"5".to_vec()).unwrap();
        assert_eq!(some.content_length(), Ok(Some(5)));
        some.append("content-length".into(), b"6".to_vec()).unwrap();
        assert_eq!(some.content_length(), Err(NoLength));
        for bad in ["-1", "+0", "", "1 2"] {
            some.set("content-length", vec![bad.into()]).unwrap();
            assert_eq!(some.content_length(), Err(NoLength), "{bad}");
        }
    }
}
