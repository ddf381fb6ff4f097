//! Tuples and patterns: the types of the interface, what matches what, sizes, and JSON.
//!
//! They cross the border as they are: a copy of each type for the service would cost a copy of each value and say nothing.
//! Floats compare by value, so -0.0 is 0.0. There is one NaN, the canonical one: it equals itself, and is in no range.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::{recordable_enum, recordable_record, recordable_variant};

/// `variant field`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Field {
    /// A whole number.
    #[component(name = "integer")]
    Integer(i64),
    /// A floating-point number.
    #[component(name = "float")]
    Float(f64),
    /// Text.
    #[component(name = "text")]
    Text(String),
    /// Bytes.
    #[component(name = "bytes")]
    Bytes(Vec<u8>),
    /// True or false.
    #[component(name = "boolean")]
    Boolean(bool),
    /// Nothing.
    #[component(name = "null")]
    Null,
}
recordable_variant!(Field { Integer(a), Float(a), Text(a), Bytes(a), Boolean(a), Null });

/// `enum field-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum FieldType {
    /// A whole number.
    #[component(name = "integer")]
    Integer,
    /// A floating-point number.
    #[component(name = "float")]
    Float,
    /// Text.
    #[component(name = "text")]
    Text,
    /// Bytes.
    #[component(name = "bytes")]
    Bytes,
    /// True or false.
    #[component(name = "boolean")]
    Boolean,
    /// Nothing.
    #[component(name = "null")]
    Null,
}
recordable_enum!(FieldType { Integer, Float, Text, Bytes, Boolean, Null });

/// `variant pattern-field`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum PatternField {
    /// This value.
    #[component(name = "exact")]
    Exact(Field),
    /// Whatever it is.
    #[component(name = "any")]
    Any,
    /// Whatever it is, of this type.
    #[component(name = "typed")]
    Typed(FieldType),
    /// An integer from the one to the other, both inclusive.
    #[component(name = "integer-range")]
    IntegerRange((Option<i64>, Option<i64>)),
    /// A float from the one to the other, both inclusive.
    #[component(name = "float-range")]
    FloatRange((Option<f64>, Option<f64>)),
    /// A text that begins so.
    #[component(name = "prefix")]
    Prefix(String),
}
recordable_variant!(PatternField { Exact(a), Any, Typed(a), IntegerRange(a), FloatRange(a), Prefix(a) });

/// `type entry`.
pub type Tuple = Vec<Field>;
/// `type pattern`.
pub type Pattern = Vec<PatternField>;

/// `record stored`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Stored {
    /// Its id, which no other tuple of the node ever has.
    pub id: u64,
    /// Its fields.
    pub value: Tuple,
}
recordable_record!(Stored { id, value });

impl Field {
    /// Its type.
    pub fn kind(&self) -> FieldType {
        match self {
            Field::Integer(_) => FieldType::Integer,
            Field::Float(_) => FieldType::Float,
            Field::Text(_) => FieldType::Text,
            Field::Bytes(_) => FieldType::Bytes,
            Field::Boolean(_) => FieldType::Boolean,
            Field::Null => FieldType::Null,
        }
    }

    /// Whether a pattern that asks for the one finds the other.
    pub fn same(&self, other: &Field) -> bool {
        match (self, other) {
            (Field::Float(a), Field::Float(b)) => a == b || a.is_nan() && b.is_nan(),
            (a, b) => a == b,
        }
    }

    /// Bytes that it takes in a row.
    pub fn size(&self) -> usize {
        1 + match self {
            Field::Integer(_) | Field::Float(_) => 8,
            Field::Text(text) => 4 + text.len(),
            Field::Bytes(bytes) => 4 + bytes.len(),
            Field::Boolean(_) => 1,
            Field::Null => 0,
        }
    }

    fn json(&self) -> Value {
        match self {
            Field::Integer(value) => json!({ "integer": value.to_string() }),
            Field::Float(value) => json!({ "float": value.to_string() }),
            Field::Text(value) => json!({ "text": value }),
            Field::Bytes(value) => json!({ "bytes": STANDARD.encode(value) }),
            Field::Boolean(value) => json!({ "boolean": value }),
            Field::Null => Value::Null,
        }
    }
}

impl PatternField {
    /// Whether a field is as this asks.
    pub fn matches(&self, field: &Field) -> bool {
        match (self, field) {
            (PatternField::Any, _) => true,
            (PatternField::Exact(exact), field) => exact.same(field),
            (PatternField::Typed(kind), field) => *kind == field.kind(),
            (PatternField::IntegerRange((from, to)), Field::Integer(value)) => {
                from.is_none_or(|from| from <= *value) && to.is_none_or(|to| *value <= to)
            }
            (PatternField::FloatRange((from, to)), Field::Float(value)) => {
                !value.is_nan() && from.is_none_or(|from| from <= *value) && to.is_none_or(|to| *value <= to)
            }
            (PatternField::Prefix(prefix), Field::Text(text)) => text.starts_with(prefix.as_str()),
            (PatternField::IntegerRange(_) | PatternField::FloatRange(_) | PatternField::Prefix(_), _) => false,
        }
    }

    /// Bytes that it takes in a row.
    pub fn size(&self) -> usize {
        1 + match self {
            PatternField::Exact(field) => field.size(),
            PatternField::Any => 0,
            PatternField::Typed(_) => 1,
            PatternField::IntegerRange(_) | PatternField::FloatRange(_) => 18,
            PatternField::Prefix(text) => 4 + text.len(),
        }
    }
}

/// Whether a tuple is as a pattern asks: as many fields, each as its part asks.
pub fn matches(pattern: &[PatternField], tuple: &[Field]) -> bool {
    pattern.len() == tuple.len() && pattern.iter().zip(tuple).all(|(pattern, field)| pattern.matches(field))
}

/// Bytes that a tuple takes in a row.
pub fn size(tuple: &[Field]) -> usize {
    4 + tuple.iter().map(Field::size).sum::<usize>()
}

/// Bytes that a pattern takes in a row.
pub fn pattern_size(pattern: &[PatternField]) -> usize {
    4 + pattern.iter().map(PatternField::size).sum::<usize>()
}

/// Makes every NaN the canonical one, as it will be read back from a row.
pub fn settle(tuple: &mut [Field]) {
    for field in tuple {
        if let Field::Float(value) = field
            && value.is_nan()
        {
            *value = f64::from_bits(0x7ff8_0000_0000_0000);
        }
    }
}

/// What a subscriber is told: numbers are text, since JSON's would lose digits; bytes are base64.
pub fn json(id: u64, tuple: &[Field]) -> Vec<u8> {
    let fields: Vec<Value> = tuple.iter().map(Field::json).collect();
    json!({ "id": id.to_string(), "value": fields }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::Recordable;

    fn found(pattern: PatternField) -> Vec<bool> {
        let fields = [
            Field::Integer(-5),
            Field::Integer(7),
            Field::Float(-0.0),
            Field::Float(2.5),
            Field::Float(f64::NAN),
            Field::Text("north/sea".into()),
            Field::Bytes(b"north".to_vec()),
            Field::Boolean(true),
            Field::Null,
        ];
        fields.iter().map(|field| pattern.matches(field)).collect()
    }

    fn only(places: &[usize]) -> Vec<bool> {
        (0..9).map(|place| places.contains(&place)).collect()
    }

    #[test]
    fn each_part_of_a_pattern_finds_what_it_says_and_nothing_else() {
        use PatternField::{Any, Exact, FloatRange, IntegerRange, Prefix, Typed};
        for (pattern, places) in [
            (Any, &[0, 1, 2, 3, 4, 5, 6, 7, 8][..]),
            (Exact(Field::Integer(7)), &[1]),
            (Exact(Field::Float(7.0)), &[]),
            (Exact(Field::Float(0.0)), &[2]),
            (Exact(Field::Float(f64::from_bits(0x7ff8_0000_0000_0001))), &[4]),
            (Exact(Field::Text("north".into())), &[]),
            (Exact(Field::Bytes(b"north".to_vec())), &[6]),
            (Exact(Field::Boolean(false)), &[]),
            (Exact(Field::Null), &[8]),
            (Typed(FieldType::Integer), &[0, 1]),
            (Typed(FieldType::Float), &[2, 3, 4]),
            (Typed(FieldType::Null), &[8]),
            (IntegerRange((Some(-5), Some(6))), &[0]),
            (IntegerRange((Some(7), None)), &[1]),
            (IntegerRange((None, None)), &[0, 1]),
            (IntegerRange((Some(8), Some(-8))), &[]),
            (FloatRange((Some(0.0), Some(2.5))), &[2, 3]),
            (FloatRange((None, None)), &[2, 3]),
            (FloatRange((None, Some(f64::NAN))), &[]),
            (Prefix("north".into()), &[5]),
            (Prefix(String::new()), &[5]),
        ] {
            assert_eq!(found(pattern.clone()), only(places), "{pattern:?}");
        }
        assert!(!matches(&[Any], &[]));
        assert!(matches(&[], &[]));
    }

    #[test]
    fn sizes_are_those_of_the_codec() {
        let tuple = vec![
            Field::Integer(1),
            Field::Float(1.0),
            Field::Text("ab".into()),
            Field::Bytes(vec![1, 2, 3]),
            Field::Boolean(true),
            Field::Null,
        ];
        let mut out = Vec::new();
        tuple.encode(&mut out);
        assert_eq!(out.len(), size(&tuple));
        let mut pattern: Pattern = tuple.into_iter().map(PatternField::Exact).collect();
        pattern.push(PatternField::Any);
        pattern.push(PatternField::Typed(FieldType::Null));
        pattern.push(PatternField::Prefix("xyz".into()));
        pattern.push(PatternField::IntegerRange((Some(1), Some(2))));
        pattern.push(PatternField::FloatRange((Some(1.0), Some(2.0))));
        out.clear();
        pattern.encode(&mut out);
        assert_eq!(out.len(), pattern_size(&pattern));
    }

    #[test]
    fn the_payload_of_an_info_is_as_the_interface_says() {
        let tuple = [
            Field::Integer(1),
            Field::Float(2.5),
            Field::Text("a".into()),
            Field::Bytes(vec![1]),
            Field::Boolean(true),
            Field::Null,
        ];
        let expected = r#"{"id":"1","value":[{"integer":"1"},{"float":"2.5"},{"text":"a"},{"bytes":"AQ=="},{"boolean":true},null]}"#;
        assert_eq!(String::from_utf8(json(1, &tuple)).unwrap(), expected);
    }
}
