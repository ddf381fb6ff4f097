//! What components of Theater import: `theater:simple`, a package without version. A file per interface.
//!
//! Errors are text, as the package has them. What is not granted is an error where the function has one, else a fault.

pub mod chain;
pub(crate) mod channels;
mod environment;
mod messages;
mod random;
mod runtime;
mod store;
mod supervisor;
mod timing;

use crate::boundary::Boundary;

/// Registers the package.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    // Types only.
    boundary.interface("theater:simple/types")?;
    runtime::link(boundary)?;
    chain::link(boundary)?;
    messages::link(boundary)?;
    environment::link(boundary)?;
    random::link(boundary)?;
    store::link(boundary)?;
    supervisor::link(boundary)?;
    timing::link(boundary)
}
