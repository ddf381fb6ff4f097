//! WASI 0.2: cli, clocks, filesystem, io, random, sockets. Of the drafts keyvalue, logging and config.
//!
//! Owns what stands behind a guest's WASI imports. Each function is registered once, under the newest version, which serves
//! every 0.2 guest; what touches files and streams is delegated to wasmtime-wasi, time and randomness are the node's. What
//! is made again after a crash, and what is dead then, is said beside each function; docs/semantics.md has the rules.

mod cli;
mod clocks;
mod config;
mod files;
mod filesystem;
mod http;
mod io;
mod keyvalue;
mod lines;
mod listing;
mod logging;
mod quota;
pub(super) mod random;
mod sockets;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::boundary::{About, Boundary, Guest, Level, Secrets, Services};
use crate::manifest::{Environment, Grants};
use files::Files;
use lines::Lines;
use sockets::Sockets;

/// What stands behind one instance's WASI imports.
pub struct Wasi {
    ctx: WasiCtx,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    files: Files,
    sockets: Sockets,
}

/// Registers every interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    random::link(boundary)?;
    clocks::link(boundary)?;
    io::link(boundary)?;
    cli::link(boundary)?;
    filesystem::link(boundary)?;
    sockets::link(boundary)?;
    keyvalue::link(boundary)?;
    logging::link(boundary)?;
    config::link(boundary)?;
    http::link(boundary)?;
    Ok(())
}

/// The state of a new instance, from the actor's grants. Touches nothing outside: directories are opened when the guest
/// first asks for them.
pub fn context(about: &About, node: &Arc<dyn Services>) -> wasmtime::Result<Wasi> {
    Ok(Wasi::new(about, node, &node.secrets(&about.grants)))
}

/// Whether what the grants name is there, for the moment at which an actor is started. The error names what is not.
pub fn check(grants: &Grants) -> wasmtime::Result<()> {
    files::check(&grants.filesystem)?;
    for (name, source) in &grants.secrets {
        if let Err(why) = source.value() {
            return Err(wasmtime::Error::msg(format!("the secret {name} of [grants.secrets], {source}: {why}")));
        }
    }
    Ok(())
}

impl Wasi {
    fn new(about: &About, node: &Arc<dyn Services>, secrets: &Arc<Secrets>) -> Wasi {
        let lines = |level| Arc::new(Lines::new(node.clone(), about.id.clone(), level, secrets.clone()));
        Wasi {
            ctx: granted(&about.grants, secrets),
            stdout: lines(Level::INFO),
            stderr: lines(Level::WARN),
            files: Files::new(&about.grants.filesystem),
            sockets: Sockets::default(),
        }
    }

    /// Other grants from now on.
    pub(crate) fn settle(&mut self, about: &About, secrets: &Secrets) {
        self.ctx = granted(&about.grants, secrets);
        self.files.settle(&about.grants.filesystem);
    }
}

/// Environment, arguments and network.
fn granted(grants: &Grants, secrets: &Secrets) -> WasiCtx {
    let mut ctx = WasiCtxBuilder::new();
    for (name, value) in secrets.shown() {
        ctx.env(name, value);
    }
    if let Some(granted) = &grants.environment {
        for (name, value) in &granted.vars {
            ctx.env(name, value);
        }
        for (name, value) in inherited(granted).filter(|(name, _)| !grants.secrets.contains_key(name)) {
            ctx.env(name, value);
        }
    }
    sockets::allow(&mut ctx, grants);
    ctx.args(&grants.arguments);
    ctx.build()
}

/// Those of the node's own variables that are handed on, by name. What is no text is none.
fn inherited(granted: &Environment) -> impl Iterator<Item = (String, String)> {
    let own =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let seen: BTreeMap<String, String> =
        own.filter(|(name, _)| granted.inherits(name) && !granted.vars.contains_key(name)).collect();
    seen.into_iter()
}

/// The instance's state.
fn wasi(guest: &mut Guest) -> &mut Wasi {
    let (about, node, secrets) = (&guest.about, &guest.node, &guest.recorder.secrets);
    guest.wasi.get_or_insert_with(|| Box::new(Wasi::new(about, node, secrets)))
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Guest { wasi, table, about, node, recorder, .. } = self;
        let wasi = wasi.get_or_insert_with(|| Box::new(Wasi::new(about, node, &recorder.secrets)));
        WasiCtxView { ctx: &mut wasi.ctx, table }
    }
}
