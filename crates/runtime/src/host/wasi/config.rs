//! `wasi:config`, drafts 0.2.0-rc.1 and 0.2.0-draft: what `[grants.config]` and `[grants.secrets]` say, and nothing of the node's own.

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
                let plain = guest.about.grants.config.get(&key).map(String::as_str);
                let value = plain.or_else(|| guest.recorder.secrets.get(&key));
                Ok((Ok::<Option<String>, Error>(value.map(str::to_owned)),))
            })?
            .func("get-all", Effect::Read, |guest: &mut Guest, (): ()| {
                let plain = guest.about.grants.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let all = plain.chain(guest.recorder.secrets.shown());
                Ok((Ok::<Pairs, Error>(all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),))
            })?;
    }
    Ok(())
}
