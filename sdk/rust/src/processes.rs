//! Actors that start and stop actors. Exits and downs come as info from `@runtime`, of the types `troupe:exit` and `troupe:down`.

use crate::{Result, bindings::processes as door};

pub use crate::bindings::processes::SpawnOptions;

/// Starts an actor of a component: `name@version`, a digest, or a name of the manifest's `[components]`. Its id.
pub fn spawn(component: &str, initial_state: &[u8], id: Option<&str>) -> Result<String> {
    spawn_with(component, initial_state, &SpawnOptions { id: id.map(str::to_string), manifest: None })
}

/// The same, with limits, grants and supervision of its own, none wider than this actor's.
pub fn spawn_with(component: &str, initial_state: &[u8], options: &SpawnOptions) -> Result<String> {
    door::spawn_actor(component, initial_state, options)
}

/// Stops an actor for good. One's own id: at the end of this turn.
pub fn stop(id: &str, reason: &str) -> Result<()> {
    door::stop(id, reason)
}

/// From now on each is told of the other's end.
pub fn link(id: &str) -> Result<()> {
    door::link(id)
}

/// Ends a link.
pub fn unlink(id: &str) -> Result<()> {
    door::unlink(id)
}

/// From now on this actor is told of the other's end. The monitor's number.
pub fn monitor(id: &str) -> Result<u64> {
    door::monitor(id)
}

/// Ends a monitor.
pub fn demonitor(monitor: u64) -> Result<()> {
    door::demonitor(monitor)
}
