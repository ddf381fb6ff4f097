//! Names for actors, with metadata to find them by.

use crate::{Headers, Result, bindings::registry as door};

pub use crate::bindings::registry::Registration;

/// This actor has the name from now on, until it ends. Again: the metadata is replaced.
pub fn register(name: &str, metadata: &Headers) -> Result<()> {
    door::register(name, metadata)
}

/// And no longer.
pub fn unregister(name: &str) -> Result<()> {
    door::unregister(name)
}

/// Who has the name.
pub fn lookup(name: &str) -> Result<Option<Registration>> {
    door::lookup(name)
}

/// All whose metadata has every given pair.
pub fn discover(metadata: &Headers) -> Result<Vec<Registration>> {
    door::discover(metadata)
}
