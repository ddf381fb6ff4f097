//! What finds tuples for a pattern, and patterns for a tuple, without looking at all of them.
//!
//! A number (an entry's id, a waiter's place in line) stands under a key: the hash of how many fields there are and of the first
//! of them, or of how many alone. Under one key numbers are in order. Two keys may collide: who finds must look.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::value::{Field, PatternField};

/// Numbers by key.
#[derive(Default)]
pub struct Index {
    places: BTreeSet<(u64, u64)>,
    state: RandomState,
}

impl Index {
    /// The key that a pattern looks under, or stands under.
    pub fn of_pattern(&self, pattern: &[PatternField]) -> u64 {
        match pattern.first() {
            Some(PatternField::Exact(first)) => self.key(pattern.len(), Some(first)),
            _ => self.key(pattern.len(), None),
        }
    }

    /// The keys that a tuple stands under, or that patterns which may match it stand under; the second is for those that
    /// do not ask for one first field.
    pub fn of_tuple(&self, tuple: &[Field]) -> [u64; 2] {
        let any = self.key(tuple.len(), None);
        [tuple.first().map_or(any, |first| self.key(tuple.len(), Some(first))), any]
    }

    fn key(&self, arity: usize, first: Option<&Field>) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write_usize(arity);
        match first {
            None => hasher.write_u8(0),
            Some(Field::Integer(value)) => (1u8, value).hash(&mut hasher),
            // Equal values have one hash: 0.0 and -0.0, every NaN.
            Some(Field::Float(value)) if *value == 0.0 => (2u8, 0u64).hash(&mut hasher),
            Some(Field::Float(value)) if value.is_nan() => (2u8, 1u64).hash(&mut hasher),
            Some(Field::Float(value)) => (3u8, value.to_bits()).hash(&mut hasher),
            Some(Field::Text(value)) => (4u8, value).hash(&mut hasher),
            Some(Field::Bytes(value)) => (5u8, value).hash(&mut hasher),
            Some(Field::Boolean(value)) => (6u8, value).hash(&mut hasher),
            Some(Field::Null) => hasher.write_u8(7),
        }
        hasher.finish()
    }

    /// Puts a number under a key.
    pub fn add(&mut self, key: u64, number: u64) {
        self.places.insert((key, number));
    }

    /// Takes it away.
    pub fn remove(&mut self, key: u64, number: u64) {
        self.places.remove(&(key, number));
    }

    /// The numbers under a key, in order, from the one behind `after` on.
    pub fn under(&self, key: u64, after: Option<u64>) -> impl Iterator<Item = u64> {
        // No number is the greatest there is.
        let first = after.map_or(0, |after| after.saturating_add(1));
        self.places.range((key, first)..=(key, u64::MAX)).map(|(_, number)| *number)
    }

    /// The numbers under either of two keys, in order, each once.
    pub fn under_either(&self, keys: [u64; 2]) -> impl Iterator<Item = u64> {
        let mut left = self.under(keys[0], None).peekable();
        let mut right = (keys[1] != keys[0]).then(|| self.under(keys[1], None)).into_iter().flatten().peekable();
        std::iter::from_fn(move || match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a < b => left.next(),
            (Some(_), None) => left.next(),
            _ => right.next(),
        })
    }

    /// True if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_order_whichever_key_they_stand_under() {
        let mut index = Index::default();
        let tuple = [Field::Float(-0.0), Field::Null];
        let exact = index.of_pattern(&[PatternField::Exact(Field::Float(0.0)), PatternField::Any]);
        let any = index.of_pattern(&[PatternField::Any, PatternField::Any]);
        assert_eq!(index.of_tuple(&tuple), [exact, any]);
        for number in [5, 1, 9] {
            index.add(exact, number);
        }
        for number in [4, 8] {
            index.add(any, number);
        }
        assert_eq!(index.under_either([exact, any]).collect::<Vec<_>>(), [1, 4, 5, 8, 9]);
        assert_eq!(index.under_either([any, any]).collect::<Vec<_>>(), [4, 8]);
        assert_eq!(index.under(exact, Some(1)).collect::<Vec<_>>(), [5, 9]);
        index.remove(exact, 5);
        assert_eq!(index.under(exact, None).collect::<Vec<_>>(), [1, 9]);
        assert_ne!(index.of_tuple(&[])[0], any);
    }
}
