//! `wasi:config`, drafts 0.2.0-rc.1 and 0.2.0-draft: what `[grants.config]` says, and nothing of the node's own.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::boundary::{Boundary, Effect, Guest};
use crate::recordable_variant;

/// `variant error`. Nothing here ever fails.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Error {
    /// What the source of the values said.
    #[component(name = "upstream")]
    Upstream(String),
    /// What reading them said.
    #[component(name = "io")]
    Io(String),
}
recordable_variant!(Error { Upstream(text), Io(text) });

type Pairs = Vec<(String, String)>;

/// Registers both drafts.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    for interface in ["wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-draft"] {
        boundary
            .interface(interface)?
            .func("get", Effect::Read, |guest: &mut Guest, (key,): (String,)| {
                Ok((Ok::<Option<String>, Error>(guest.about.grants.config.get(&key).cloned()),))
            })?
            .func("get-all", Effect::Read, |guest: &mut Guest, (): ()| {
                let all = guest.about.grants.config.iter();
                Ok((Ok::<Pairs, Error>(all.map(|(key, value)| (key.clone(), value.clone())).collect()),))
            })?;
    }
    Ok(())
}
