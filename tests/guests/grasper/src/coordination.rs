//! `groups`, `locks`, `registry`.

use crate::Grasp;
use crate::troupe::actor::{groups, locks, registry};

pub const GRASPS: &[Grasp] = &[
    ("groups.join", |group| groups::join(group)),
    ("groups.leave", |group| groups::leave(group)),
    ("groups.members", |group| groups::members(group).map(drop)),
    ("groups.publish", |group| groups::publish(group, "grasp", b"").map(drop)),
    ("locks.acquire", |name| locks::acquire(name, 1000, Some(0)).map(drop)),
    ("locks.renew", |name| locks::renew(name, 1, 1000)),
    ("locks.release", |name| locks::release(name, 1)),
    ("registry.register", |name| registry::register(name, &[])),
    ("registry.unregister", |name| registry::unregister(name)),
    ("registry.lookup", |name| registry::lookup(name).map(drop)),
    // Which names it may see is the grant's to say.
    ("registry.discover", |_| registry::discover(&[]).map(drop)),
];
