//! `theater:simple/environment`: the variables that the manifest grants, the same that `wasi:cli/environment` shows, and no others.

use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;

use crate::boundary::{Boundary, Effect, Guest};

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/environment")?
        .func("get-var", Effect::Read, |guest: &mut Guest, (name,): (String,)| Ok((value(guest, &name)?,)))?
        .func("list-vars", Effect::Read, |guest: &mut Guest, (): ()| Ok((guest.cli().get_environment()?,)))?
        .func("exists", Effect::Read, |guest: &mut Guest, (name,): (String,)| Ok((value(guest, &name)?.is_some(),)))?;
    Ok(())
}

fn value(guest: &mut Guest, name: &str) -> wasmtime::Result<Option<String>> {
    let vars = guest.cli().get_environment()?;
    Ok(vars.into_iter().find(|(known, _)| known == name).map(|(_, value)| value))
}
