//! `tuplespace`: every way to write, see and take.

use crate::Grasp;
use crate::troupe::actor::tuplespace::*;

fn tuple() -> Vec<Field> {
    vec![Field::Integer(1)]
}

fn any() -> Vec<PatternField> {
    vec![PatternField::Any]
}

pub const GRASPS: &[Grasp] = &[
    ("tuplespace.write", |space| write(space, &tuple(), None).map(drop)),
    ("tuplespace.renew", |space| renew(space, 1, 1)),
    ("tuplespace.revoke", |space| revoke(space, 1).map(drop)),
    ("tuplespace.read", |space| read(space, &any()).map(drop)),
    ("tuplespace.take", |space| take(space, &any()).map(drop)),
    ("tuplespace.read-blocking", |space| read_blocking(space, &any(), Some(0)).map(drop)),
    ("tuplespace.take-blocking", |space| take_blocking(space, &any(), Some(0)).map(drop)),
    ("tuplespace.take-each", |space| take_each(space, &[any()]).map(drop)),
    ("tuplespace.read-all", |space| read_all(space, &any(), None, 1).map(drop)),
    ("tuplespace.count", |space| count(space, &any()).map(drop)),
    ("tuplespace.compare-and-swap", |space| compare_and_swap(space, &any(), &tuple()).map(drop)),
    ("tuplespace.subscribe", |space| subscribe(space, &any()).map(drop)),
];
