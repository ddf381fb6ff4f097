//! The tuple space: named spaces of tuples, found by pattern. Equal matches: first in, first out.
//!
//! ```ignore
//! let jobs = Space::named("jobs");
//! jobs.write(tuple!["job", 7, 2.5])?;
//! let job = jobs.take(pattern!["job", 1..=9, ANY])?;
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Result, bindings::tuplespace as door};

pub use crate::bindings::tuplespace::{Field, FieldType, PatternField, Stored};
pub use crate::{pattern, tuple};

/// Matches every field.
pub const ANY: PatternField = PatternField::Any;

/// A space. Making this value calls nothing; whether the actor may use the space is seen at the first call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space(String);

impl Space {
    /// The space of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.to_string())
    }

    /// Adds a tuple, for ever. Its id.
    pub fn write(&self, value: Vec<Field>) -> Result<u64> {
        door::write(&self.0, &value, None)
    }

    /// Adds a tuple that goes when its lease ends.
    pub fn write_for(&self, value: Vec<Field>, lease: Duration) -> Result<u64> {
        door::write(&self.0, &value, Some(crate::millis(lease)))
    }

    /// A new lease, from now on.
    pub fn renew(&self, id: u64, lease: Duration) -> Result<()> {
        door::renew(&self.0, id, crate::millis(lease))
    }

    /// Removes a tuple; false if it was gone.
    pub fn revoke(&self, id: u64) -> Result<bool> {
        door::revoke(&self.0, id)
    }

    /// The first that matches, which stays.
    pub fn read(&self, pattern: Vec<PatternField>) -> Result<Option<Stored>> {
        door::read(&self.0, &pattern)
    }

    /// The first that matches, which goes.
    pub fn take(&self, pattern: Vec<PatternField>) -> Result<Option<Stored>> {
        door::take(&self.0, &pattern)
    }

    /// Waits for one: none when the time is over. No time: what the turn has left.
    pub fn read_wait(&self, pattern: Vec<PatternField>, timeout: Option<Duration>) -> Result<Option<Stored>> {
        door::read_blocking(&self.0, &pattern, timeout.map(crate::millis))
    }

    /// Waits for one and takes it.
    pub fn take_wait(&self, pattern: Vec<PatternField>, timeout: Option<Duration>) -> Result<Option<Stored>> {
        door::take_blocking(&self.0, &pattern, timeout.map(crate::millis))
    }

    /// One for each pattern, or none at all.
    pub fn take_each(&self, patterns: &[Vec<PatternField>]) -> Result<Option<Vec<Stored>>> {
        door::take_each(&self.0, patterns)
    }

    /// Up to `limit` that match, in the order of their ids, from the one behind `after` on.
    pub fn read_all(&self, pattern: Vec<PatternField>, after: Option<u64>, limit: u32) -> Result<Vec<Stored>> {
        door::read_all(&self.0, &pattern, after, limit)
    }

    /// How many match.
    pub fn count(&self, pattern: Vec<PatternField>) -> Result<u64> {
        door::count(&self.0, &pattern)
    }

    /// Replaces the first match, which it gives back. `Error::Conflict` if there is none.
    pub fn swap(&self, expected: Vec<PatternField>, replacement: Vec<Field>) -> Result<Stored> {
        door::compare_and_swap(&self.0, &expected, &replacement)
    }

    /// From now on this actor is told of each tuple that matches, as info from `@space/NAME`, type `troupe:tuple`.
    pub fn subscribe(&self, pattern: Vec<PatternField>) -> Result<u64> {
        door::subscribe(&self.0, &pattern)
    }
}

/// Ends a subscription.
pub fn unsubscribe(subscription: u64) -> Result<()> {
    door::unsubscribe(subscription)
}

/// Matches a field of this type.
#[must_use]
pub fn typed(field_type: FieldType) -> PatternField {
    PatternField::Typed(field_type)
}

/// Matches a text that begins so.
#[must_use]
pub fn prefix(text: &str) -> PatternField {
    PatternField::Prefix(text.to_string())
}

macro_rules! fields {
    ($($from:ty => $case:ident($value:ident) $convert:expr;)+) => {
        $(
            impl From<$from> for Field {
                fn from($value: $from) -> Self {
                    Self::$case($convert)
                }
            }

            impl From<$from> for PatternField {
                fn from(value: $from) -> Self {
                    Self::Exact(value.into())
                }
            }
        )+
    };
}

fields! {
    i64 => Integer(value) value;
    i32 => Integer(value) value.into();
    u32 => Integer(value) value.into();
    f64 => Float(value) value;
    &str => Text(value) value.to_string();
    String => Text(value) value;
    &[u8] => Bytes(value) value.to_vec();
    Vec<u8> => Bytes(value) value;
    bool => Boolean(value) value;
}

impl From<Field> for PatternField {
    fn from(value: Field) -> Self {
        Self::Exact(value)
    }
}

impl From<RangeInclusive<i64>> for PatternField {
    fn from(range: RangeInclusive<i64>) -> Self {
        Self::IntegerRange((Some(*range.start()), Some(*range.end())))
    }
}

impl From<RangeInclusive<f64>> for PatternField {
    fn from(range: RangeInclusive<f64>) -> Self {
        Self::FloatRange((Some(*range.start()), Some(*range.end())))
    }
}

impl Field {
    /// The number, if it is one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    /// The float, if it is one.
    #[must_use]
    pub fn float(&self) -> Option<f64> {
        if let Self::Float(value) = self { Some(*value) } else { None }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    /// The bytes, if it is some.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }
}

/// A tuple: `tuple!["job", 7, 2.5]`.
#[macro_export]
macro_rules! tuple {
    ($($field:expr),* $(,)?) => { ::std::vec![$($crate::space::Field::from($field)),*] };
}

/// A pattern: values that must be equal, ranges, `ANY`, `typed(..)`, `prefix(..)`.
#[macro_export]
macro_rules! pattern {
    ($($field:expr),* $(,)?) => { ::std::vec![$($crate::space::PatternField::from($field)),*] };
}
