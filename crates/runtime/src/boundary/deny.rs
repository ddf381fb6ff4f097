//! Packages that actors may import and may not use: each call is a record and a refusal.
//!
//! Owns their linking. A guest's toolchain often imports interfaces that the guest never calls (every libc imports sockets), so
//! such an import is no reason to refuse a component; a call of it is a denial that names the grant: the interface's own
//! `access-denied` where its result has that case, else a trap. An import that is in no such package stays an error.

use std::sync::Arc;

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, ResourceType, Type, Val};
use wasmtime::{AsContextMut, Result, StoreContextMut};

use troupe_log::codec::Reader;

use super::effect::{Effect, Tag, function_name, track};
use super::error::Denied;
use super::guest::Guest;
use super::interface::cross_dynamic;
use super::recordable::DecodeError;
use super::registry::Entry;
use super::{Boundary, value};

/// A package that is denied.
pub(super) struct Package {
    /// `wasi:sockets`.
    name: &'static str,
    /// `0.2`.
    track: &'static str,
    /// The section of the manifest that would grant it.
    grant: &'static str,
}

impl Package {
    fn has(&self, interface: &str) -> bool {
        let interface = track(interface);
        let Some((path, version)) = interface.split_once('@') else { return false };
        version == self.track && path.split_once('/').is_some_and(|(package, _)| package == self.name)
    }
}

/// Types of imported resources and how the linker knows those that were defined here.
const FIRST_DYNAMIC: u32 = 0xd000_0000;

impl Boundary {
    /// Lets components import the interfaces of a package on one semver track (`wasi:sockets`, `0.2`) and denies every call,
    /// naming `grant`. `functions` are its interfaces, with their functions, so that a journal that has a call of them
    /// can be read.
    pub fn deny(
        &mut self,
        package: &'static str,
        track: &'static str,
        grant: &'static str,
        functions: &[(&str, &[&str])],
    ) {
        for (interface, names) in functions {
            for name in *names {
                self.register(entry(interface, name));
            }
        }
        self.denied.push(Package { name: package, track, grant });
    }

    /// Whether every call of this interface is denied.
    pub fn denies(&self, interface: &str) -> bool {
        self.denied_package(interface).is_some()
    }

    fn denied_package(&self, interface: &str) -> Option<&Package> {
        self.denied.iter().find(|package| package.has(interface))
    }

    /// A linker that has what the component imports from denied packages as well; none if it imports nothing of them.
    pub(super) fn with_denied(&self, component: &Component) -> Result<Option<Linker<Guest>>> {
        let engine = component.engine();
        let ty = component.component_type();
        let mut linker = None;
        // `use other.{thing}` shows the same type once more, in the interface that uses it: only its home defines it.
        let mut seen: Vec<ResourceType> = Vec::new();
        for (interface, item) in ty.imports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            let package = self.denied_package(interface);
            for (name, item) in instance.exports(engine) {
                match (item.ty, package) {
                    (ComponentItem::Resource(ty), package) => {
                        if seen.contains(&ty) {
                            continue;
                        }
                        let number = FIRST_DYNAMIC + seen.len() as u32;
                        seen.push(ty);
                        if package.is_some() {
                            let linker: &mut Linker<Guest> = linker.get_or_insert_with(|| self.linker.clone());
                            // Nothing ever makes one.
                            linker.instance(interface)?.resource(
                                name,
                                ResourceType::host_dynamic(number),
                                |_, _| Ok(()),
                            )?;
                        }
                    }
                    (ComponentItem::ComponentFunc(_), Some(package)) => {
                        let linker = linker.get_or_insert_with(|| self.linker.clone());
                        let (entry, grant) = (entry(interface, name), package.grant);
                        linker.instance(interface)?.func_new(name, move |store, ty, params, results| {
                            refuse(store, &entry, grant, &ty, params, results)
                        })?;
                    }
                    _ => {}
                }
            }
        }
        Ok(linker)
    }
}

/// What the journal knows of a denied function: its name.
fn entry(interface: &str, name: &str) -> Arc<Entry> {
    entry_of(interface, name, Effect::Read)
}

/// What a journal knows of a function whose types are only known with the component: its name and its class.
pub(super) fn entry_of(interface: &str, name: &str, effect: Effect) -> Arc<Entry> {
    Arc::new(Entry {
        tag: Tag::new(interface, name),
        name: function_name(interface, name),
        effect,
        params: undescribed,
        outcome: undescribed,
        hands_out: None,
        renew: None,
    })
}

fn undescribed(bytes: &[u8]) -> Result<String, DecodeError> {
    Ok(format!("({} bytes)", bytes.len()))
}

fn refuse(
    mut store: StoreContextMut<'_, Guest>,
    entry: &Arc<Entry>,
    grant: &'static str,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let mut bytes = Vec::new();
    for (param, (_, ty)) in params.iter().zip(ty.params()) {
        value::encode_naming(param, &ty, &mut bytes, &mut |resource| {
            Ok(resource.try_into_resource_dynamic(store.as_context_mut())?.rep())
        })?;
    }
    let result = ty.results().next();
    let answer = cross_dynamic(store.data_mut(), entry, bytes, |guest| {
        let refusal = result.as_ref().and_then(|ty| Some((ty, access_denied(ty)?)));
        let Some((ty, val)) = refusal else { return Err(Denied { grant: grant.to_owned() }.into()) };
        guest.recorder.deny(grant);
        let mut bytes = Vec::new();
        value::encode(&val, ty, &mut bytes)?;
        Ok(bytes)
    })?;
    if let (Some(ty), Some(place)) = (result, results.first_mut()) {
        *place = value::decode(&mut Reader::new(&answer), &ty)?;
    }
    Ok(())
}

/// The answer `err(access-denied)`, if a result of the type can be that.
fn access_denied(ty: &Type) -> Option<Val> {
    const CASE: &str = "access-denied";
    let Type::Result(result) = ty else { return None };
    let Some(Type::Enum(error)) = result.err() else { return None };
    error.names().any(|name| name == CASE).then(|| Val::Result(Err(Some(Box::new(Val::Enum(CASE.to_owned()))))))
}
