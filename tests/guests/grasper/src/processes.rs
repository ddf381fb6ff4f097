//! `processes`: other actors' lives. For `spawn-actor` the name is the component's.

use crate::Grasp;
use crate::troupe::actor::processes::{SpawnOptions, link, monitor, spawn_actor, stop};

pub const GRASPS: &[Grasp] = &[
    ("processes.spawn-actor", |module| spawn_actor(module, b"", &SpawnOptions { id: None, manifest: None }).map(drop)),
    ("processes.stop", |id| stop(id, "grasped")),
    ("processes.link", |id| link(id)),
    ("processes.monitor", |id| monitor(id).map(drop)),
];
