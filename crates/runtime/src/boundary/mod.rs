//! The one door between guests and everything else.
//!
//! Every call passes here: its grant is checked, it is recorded or answered from the record, it is treated as its effect
//! class says. The linker is private to this module, so there is no other way to link a host function, and a test fails
//! if one is touched elsewhere. docs/semantics.md has the rules, docs/journal-format.md the bytes.

mod bind;
mod departure;
pub(crate) mod derived;
mod dues;
#[cfg(test)]
pub(crate) mod dummy;
mod effect;
mod error;
mod guest;
mod interface;
mod limiter;
mod recordable;
mod recorder;
mod registry;
mod resources;
mod secrets;
pub mod show;
mod staging;
pub mod value;

use std::collections::HashSet;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

pub use bind::{Bound, BoundCall, Serve, Unservable, bound_to};
pub use departure::{Departure, NOT_MADE};
pub use derived::{Derived, Past};
pub use effect::{Effect, Tag, function_name, track};
pub use error::{CommitFailed, Denied, Divergence, Exit, LeftHere, LimitReached, RecordedTrap};
pub use guest::{
    About, Answering, Claim, Guest, Level, OPEN_TURNS, Reserved, Services, Staged, TimerChange, Turn, inbox_key,
    put_inbox_key,
};
pub use interface::{AsyncHost, Begun, Bytes, Extra, Interface, Params, Results, Wait};
pub use limiter::Limiter;
pub use recordable::{DecodeError, Handle, MapResource, Recordable};
pub(crate) use recorder::exit_code;
pub(crate) use recorder::tag_and_params;
pub use recorder::{AtEnd, Recorder, Recording};
pub use registry::{Entry, Registry, Renew};
pub use resources::{Lost, Resources};
pub use secrets::{SecretKey, Secrets, secrets_of};
pub use staging::{Committed, Staging};

/// All host interfaces of a node, linked.
pub struct Boundary {
    linker: Linker<Guest>,
    registry: Arc<Registry>,
    /// `interface@version#function` of everything defined.
    defined: HashSet<String>,
    /// Every interface, on its track; also those with nothing but types.
    interfaces: HashSet<String>,
    /// How a call is served that another actor answers.
    serve: Option<Serve>,
}

impl Boundary {
    /// No interface yet.
    pub fn new(engine: &Engine) -> Boundary {
        Boundary {
            linker: Linker::new(engine),
            registry: Arc::default(),
            defined: HashSet::new(),
            interfaces: HashSet::new(),
            serve: None,
        }
    }

    /// Begins an interface; `name` with the newest version, which serves every version of its semver track.
    pub fn interface(&mut self, name: &'static str) -> wasmtime::Result<Interface<'_>> {
        self.linker.instance(name)?;
        self.interfaces.insert(track(name));
        Ok(Interface { boundary: self, name })
    }

    /// What can be called, by tag.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// True if an import of this name is provided, in some version of its track.
    pub fn provides(&self, import: &str) -> bool {
        self.interfaces.contains(&track(import))
    }

    /// Every function defined, as `interface@version#function`.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.defined.iter().map(String::as_str)
    }

    fn register(&mut self, entry: Arc<Entry>) {
        // Shared only once linking is over.
        let registry = Arc::get_mut(&mut self.registry);
        debug_assert!(registry.is_some());
        if let Some(registry) = registry {
            registry.add(entry);
        }
    }

    /// Links a component.
    pub fn instantiate_pre(&self, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
        match self.with_bound(component)? {
            Some(linker) => linker.instantiate_pre(component),
            None => self.linker.instantiate_pre(component),
        }
    }
}
