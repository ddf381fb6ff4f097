//! Typed calls: any interface that a component exports and no other contract knows, called by name.
//!
//! The message's type is the function (`bank:ledger/account#deposit`), its payload the arguments in the journal's codec, its
//! answer the results in the same. Text for people is WAVE. A function with a resource in its signature is refused at load.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_log::codec::Reader;
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance, Type, Val};

use super::Output;
use crate::actor::message::Message;
use crate::boundary::{Guest, track, value};

/// A function that can be called by name.
#[derive(Clone, Debug)]
pub struct Signature {
    index: ComponentExportIndex,
    params: Arc<[(String, Type)]>,
    results: Arc<[Type]>,
}

/// All of a component.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    functions: BTreeMap<String, Signature>,
}

/// The same in one instance.
pub struct Functions {
    functions: BTreeMap<String, (Func, Signature)>,
}

/// One of them.
pub struct Function<'a>(&'a (Func, Signature));

/// Packages whose exports are contracts of their own, or the tools' own business.
fn known(interface: &str) -> bool {
    ["troupe:actor/", "wasi:", "actr:", "theater:", "wetware:"].iter().any(|package| interface.starts_with(package))
}

impl Exports {
    pub(super) fn of(component: &Component) -> wasmtime::Result<Exports> {
        let engine = component.engine();
        let mut functions = BTreeMap::new();
        for (interface, item) in component.component_type().exports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            if known(interface) || !interface.contains('/') {
                continue;
            }
            let Some((_, at)) = component.get_export(None, interface) else { continue };
            for (name, item) in instance.exports(engine) {
                let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
                let Some((_, index)) = component.get_export(Some(&at), name) else { continue };
                let signature = Signature {
                    index,
                    params: ty.params().map(|(name, ty)| (name.to_owned(), ty)).collect(),
                    results: ty.results().collect(),
                };
                if let Some(resource) = signature.resource() {
                    return Err(wasmtime::Error::msg(format!(
                        "{interface}#{name} has a resource in its {resource}: such a function cannot be called by message; \
                         leave it out of the world"
                    )));
                }
                functions.insert(format!("{}#{name}", name_of(interface)), signature);
            }
        }
        Ok(Exports { functions })
    }

    pub(super) fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.functions.keys().filter_map(|name| Some(name.split_once('#')?.0.to_owned())).collect();
        names.dedup();
        names
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The functions' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The function of that name, with or without version.
    pub fn get(&self, name: &str) -> Option<&Signature> {
        find(&self.functions, name)
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        let mut functions = BTreeMap::new();
        for (name, signature) in &self.functions {
            let func = instance
                .get_func(&mut *store, signature.index)
                .ok_or_else(|| wasmtime::Error::msg(format!("the instance has no {name}")))?;
            functions.insert(name.clone(), (func, signature.clone()));
        }
        Ok(Functions { functions })
    }
}

/// `bank:ledger/account@0.1.0` and `bank:ledger/account` name the same interface.
fn name_of(interface: &str) -> String {
    track(interface).split('@').next().unwrap_or(interface).to_owned()
}

fn find<'a, T>(functions: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    let (interface, function) = name.split_once('#')?;
    match functions.get(name) {
        Some(found) => Some(found),
        None => functions.get(&format!("{}#{function}", name_of(interface))),
    }
}

impl Signature {
    fn resource(&self) -> Option<&'static str> {
        if self.params.iter().any(|(_, ty)| value::has_resource(ty)) {
            return Some("parameters");
        }
        self.results.iter().any(value::has_resource).then_some("result")
    }

    /// Arguments written as WAVE, `(42, "x")`, in the journal's codec.
    pub fn arguments(&self, wave: &str) -> Result<Vec<u8>, String> {
        value::parse_arguments(&self.params, wave)
    }

    /// Results in the journal's codec as WAVE; empty for a function without result.
    pub fn results(&self, bytes: &[u8]) -> Result<String, String> {
        value::text(&self.results, bytes)
    }
}

impl Functions {
    pub(super) fn get(&self, name: &str) -> Option<Function<'_>> {
        if self.functions.is_empty() {
            return None;
        }
        find(&self.functions, name).map(Function)
    }
}

impl Function<'_> {
    pub(super) async fn call(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Output> {
        let (func, signature) = self.0;
        let mut input = Reader::new(&message.payload);
        let mut params = Vec::with_capacity(signature.params.len());
        for (name, ty) in &*signature.params {
            match value::decode(&mut input, ty) {
                Ok(val) => params.push(val),
                Err(error) => return Ok(Output::Refused(format!("argument {name}: {error}"))),
            }
        }
        if let Err(error) = input.finish() {
            return Ok(Output::Refused(format!("arguments of {}: {error}", message.message_type)));
        }
        let mut results = vec![Val::Bool(false); signature.results.len()];
        func.call_async(&mut *store, &params, &mut results).await?;
        let mut answer = Vec::new();
        for (val, ty) in results.iter().zip(&*signature.results) {
            value::encode(val, ty, &mut answer)?;
        }
        Ok(Output::Answer(answer))
    }
}
