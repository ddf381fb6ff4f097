//! WASI 0.2: cli, clocks, filesystem, io, random; sockets are denied. Of the drafts keyvalue, logging and config.
//!
//! Owns what stands behind a guest's WASI imports. Each function is registered once, under the newest version, which serves
//! every 0.2 guest; what touches files and streams is delegated to wasmtime-wasi, time and randomness are the node's. What
//! is made again after a crash, and what is dead then, is said beside each function; docs/semantics.md has the rules.

mod cli;
mod clocks;
mod config;
mod files;
mod filesystem;
mod io;
mod keyvalue;
mod lines;
mod logging;
pub(super) mod random;
mod sockets;
#[cfg(test)]
mod tests;
mod types;

use std::sync::Arc;

use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::boundary::{About, Boundary, Guest, Level, Services};
use crate::manifest::Grants;
use files::Files;
use lines::Lines;

/// What stands behind one instance's WASI imports.
pub struct Wasi {
    ctx: WasiCtx,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    files: Files,
}

/// Registers every interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    random::link(boundary)?;
    clocks::link(boundary)?;
    io::link(boundary)?;
    cli::link(boundary)?;
    filesystem::link(boundary)?;
    sockets::link(boundary);
    keyvalue::link(boundary)?;
    logging::link(boundary)?;
    config::link(boundary)?;
    Ok(())
}

/// The state of a new instance, from the actor's grants. Touches nothing outside: directories are opened when the guest
/// first asks for them.
pub fn context(about: &About, node: &Arc<dyn Services>) -> wasmtime::Result<Wasi> {
    Ok(Wasi::new(about, node))
}

/// Whether what the grants name is there, for the moment at which an actor is started. The error names what is not.
pub fn check(grants: &Grants) -> wasmtime::Result<()> {
    files::check(&grants.filesystem)
}

impl Wasi {
    fn new(about: &About, node: &Arc<dyn Services>) -> Wasi {
        let lines = |level| Arc::new(Lines::new(node.clone(), about.id.clone(), level));
        Wasi {
            ctx: granted(&about.grants),
            stdout: lines(Level::INFO),
            stderr: lines(Level::WARN),
            files: Files::new(&about.grants.filesystem),
        }
    }

    /// Other grants from now on.
    pub(crate) fn settle(&mut self, about: &About) {
        self.ctx = granted(&about.grants);
        self.files.settle(&about.grants.filesystem);
    }
}

/// Environment and arguments.
fn granted(grants: &Grants) -> WasiCtx {
    let mut ctx = WasiCtxBuilder::new();
    if let Some(granted) = &grants.environment {
        for (name, value) in &granted.vars {
            ctx.env(name, value);
        }
        for name in granted.inherit.iter().filter(|name| !granted.vars.contains_key(*name)) {
            if let Ok(value) = std::env::var(name) {
                ctx.env(name, value);
            }
        }
    }
    ctx.args(&grants.arguments);
    ctx.build()
}

/// The instance's state.
fn wasi(guest: &mut Guest) -> &mut Wasi {
    let (about, node) = (&guest.about, &guest.node);
    guest.wasi.get_or_insert_with(|| Box::new(Wasi::new(about, node)))
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Guest { wasi, table, about, node, .. } = self;
        let wasi = wasi.get_or_insert_with(|| Box::new(Wasi::new(about, node)));
        WasiCtxView { ctx: &mut wasi.ctx, table }
    }
}
