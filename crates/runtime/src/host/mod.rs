//! What actors may import: a file per interface, a folder per WASI package.
//!
//! Each file registers its functions with the boundary, each with its effect class, and translates between WIT types and
//! the services. To add an interface: its file here, its line in [`link`], its WIT under `wit/`, a guest under
//! `tests/guests`, and its page in `docs/`.

pub mod bind;
pub mod channels;
pub mod common;
pub mod groups;
// The interface is called so.
#[allow(clippy::module_inception)]
pub mod host;
pub mod journal;
pub mod locks;
pub mod messaging;
pub mod processes;
pub mod registry;
pub mod theater;
pub mod tuplespace;
pub mod types;
pub mod wasi;

pub(crate) use messaging::later;

use crate::boundary::Boundary;

/// Registers every host interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    types::link(boundary)?;
    host::link(boundary)?;
    messaging::link(boundary)?;
    processes::link(boundary)?;
    bind::link(boundary);
    groups::link(boundary)?;
    locks::link(boundary)?;
    registry::link(boundary)?;
    tuplespace::link(boundary)?;
    channels::link(boundary)?;
    journal::link(boundary)?;
    theater::link(boundary)?;
    wasi::link(boundary)?;
    Ok(())
}
