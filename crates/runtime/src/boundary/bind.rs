//! Imports that another actor serves: a user's own interface, which the manifest's `[bind]` gives to an actor.
//!
//! Owns their linking. Such functions are known only by the component, so they are linked over dynamic types, each as a wait:
//! the arguments in the journal's codec are the record's parameters and the message's payload. Which actor serves them is
//! not linked in; it is looked up at the call, so one linked component does for all its actors.

use std::collections::BTreeMap;
use std::sync::Arc;

use troupe_log::codec::Reader;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, Type, Val};
use wasmtime::{Result, StoreContextMut};

use super::effect::{Effect, Tag, function_name, track};
use super::guest::Guest;
use super::interface::{Bytes, Wait, cross_wait};
use super::recordable::{DecodeError, Recordable};
use super::registry::Entry;
use super::{Boundary, value};

/// A function that an actor serves.
pub struct Bound {
    /// `bank:ledger/account@0.1.0`, as the component imports it.
    pub interface: String,
    /// `bank:ledger/account#deposit`: the type of its messages.
    pub message_type: String,
    pub(super) entry: Arc<Entry>,
    params: Vec<Type>,
    result: Option<Type>,
}

/// One call of it.
pub struct BoundCall {
    /// The function.
    pub function: Arc<Bound>,
    /// Its arguments, in the journal's codec.
    pub arguments: Vec<u8>,
}

/// How a bound call is served; registered once, by the host interface that knows how to ask an actor.
pub type Serve = Wait<BoundCall, Bytes>;

/// Packages whose interfaces are the node's to provide, now or in a later version.
const OURS: [&str; 5] = ["troupe:", "wasi:", "actr:", "theater:", "wetware:"];

/// An interface's name without its version.
fn unversioned(interface: &str) -> &str {
    interface.split('@').next().unwrap_or(interface)
}

/// Who serves an import of this name: the manifest names it with its version, on any of its semver track, or without.
pub fn bound_to<'a>(bind: &'a BTreeMap<String, String>, import: &str) -> Option<&'a str> {
    let versioned = bind.iter().find(|(name, _)| track(name) == track(import));
    versioned.or_else(|| bind.get_key_value(unversioned(import))).map(|(_, actor)| actor.as_str())
}

impl Boundary {
    /// Says how bound calls are served. Without it none can be linked.
    pub fn serve_bound(&mut self, serve: Serve) {
        self.serve = Some(serve);
    }

    /// True if an import of this name is an interface that the node does not provide and an actor may.
    pub fn bindable(&self, import: &str) -> bool {
        import.contains('/') && !OURS.iter().any(|package| import.starts_with(package)) && !self.provides(import)
    }

    /// A linker that has what the component imports of bindable interfaces as well; none if it imports nothing of them.
    pub(super) fn with_bound(&self, component: &Component) -> Result<Option<Linker<Guest>>> {
        let Some(serve) = self.serve else { return Ok(None) };
        let mut linker: Option<Linker<Guest>> = None;
        let engine = component.engine();
        for (interface, item) in component.component_type().imports(engine) {
            let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
            if !self.bindable(interface) {
                continue;
            }
            for (name, item) in instance.exports(engine) {
                let ty = match item.ty {
                    ComponentItem::ComponentFunc(ty) => ty,
                    ComponentItem::Resource(_) => return Err(has_resource(interface, name)),
                    _ => continue,
                };
                let function = Arc::new(Bound {
                    interface: interface.to_owned(),
                    message_type: format!("{}#{name}", unversioned(interface)),
                    entry: entry_of(interface, name),
                    params: ty.params().map(|(_, ty)| ty).collect(),
                    result: ty.results().next(),
                });
                if ty.async_() || function.params.iter().chain(&function.result).any(value::has_resource) {
                    return Err(has_resource(interface, name));
                }
                self.registry.add_bound(function.clone());
                let linker = linker.get_or_insert_with(|| self.linker.clone());
                linker.instance(interface)?.func_new_async(name, move |store, _, params, results| {
                    let function = function.clone();
                    Box::new(async move { call(store, function, serve, params, results).await })
                })?;
            }
        }
        Ok(linker)
    }
}

/// What a journal knows of a function whose types are only known with the component: its name and its class.
fn entry_of(interface: &str, name: &str) -> Arc<Entry> {
    Arc::new(Entry {
        tag: Tag::new(interface, name),
        name: function_name(interface, name),
        effect: Effect::Wait,
        params: undescribed,
        outcome: undescribed,
        hands_out: None,
        renew: None,
    })
}

fn undescribed(bytes: &[u8]) -> Result<String, DecodeError> {
    Ok(format!("({} bytes)", bytes.len()))
}

/// A function that no actor can serve: it is called by message.
#[derive(Debug, thiserror::Error)]
#[error(
    "it imports {0}, which has a resource, a stream or a future in its signature or is async: an actor is called by message and \
     cannot serve it"
)]
pub struct Unservable(String);

fn has_resource(interface: &str, name: &str) -> wasmtime::Error {
    Unservable(format!("{interface}#{name}")).into()
}

async fn call(
    mut store: StoreContextMut<'_, Guest>,
    function: Arc<Bound>,
    serve: Serve,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let mut arguments = Vec::new();
    for (param, ty) in params.iter().zip(&function.params) {
        value::encode(param, ty, &mut arguments)?;
    }
    let call = BoundCall { function: function.clone(), arguments };
    let answer = cross_wait(store.data_mut(), &function.entry, call, serve).await?;
    if let Some(place) = results.first_mut() {
        *place = function.read(&answer.0)?.unwrap_or(Val::Bool(false));
    }
    Ok(())
}

impl Bound {
    /// The answer of an actor as the function's result; none for a function without.
    fn read(&self, answer: &[u8]) -> std::result::Result<Option<Val>, DecodeError> {
        let mut input = Reader::new(answer);
        let val = self.result.as_ref().map(|ty| value::decode(&mut input, ty)).transpose()?;
        input.finish()?;
        Ok(val)
    }

    /// Whether these bytes are a result of the function; the error says why not.
    pub fn check(&self, answer: &[u8]) -> std::result::Result<(), String> {
        self.read(answer).map(drop).map_err(|error| format!("it answered with bytes that are no result of it: {error}"))
    }

    /// The result that says `words`, if the function's type has a place for that: `result<_, string>`.
    pub fn refusal(&self, words: &str) -> Option<Vec<u8>> {
        let Some(ty @ Type::Result(result)) = &self.result else { return None };
        if result.err() != Some(Type::String) {
            return None;
        }
        let val = Val::Result(Err(Some(Box::new(Val::String(words.to_owned())))));
        let mut bytes = Vec::new();
        value::encode(&val, ty, &mut bytes).ok()?;
        Some(bytes)
    }

    /// Arguments as text.
    pub(super) fn params_text(&self, bytes: &[u8]) -> std::result::Result<String, String> {
        value::text(&self.params, bytes).map(|text| format!("({text})"))
    }

    /// A result as text.
    pub(super) fn outcome_text(&self, bytes: &[u8]) -> std::result::Result<String, String> {
        value::text(self.result.as_slice(), bytes)
    }
}

/// In a record a call is its arguments.
impl Recordable for BoundCall {
    const MIN_BYTES: usize = 0;
    fn show(&self, out: &mut String) {
        super::show::bytes(&self.arguments, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.arguments);
    }
    fn decode(input: &mut Reader<'_>) -> std::result::Result<Self, DecodeError> {
        // Calls are compared, never made from a record: only the component knows their types.
        Err(DecodeError::Bad { at: input.at(), what: "a bound call" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::dummy;
    use super::*;

    fn linked(text: &str) -> Result<()> {
        let engine = dummy::engine();
        let boundary = crate::node::linked(&engine).unwrap();
        boundary.instantiate_pre(&dummy::component(&engine, &[], text)).map(drop)
    }

    fn world(interface: &str) -> String {
        format!("package a:b@0.1.0; interface served {{ {interface} }} world w {{ import served; }}")
    }

    #[test]
    fn any_interface_of_values_can_be_served_and_none_with_resources() {
        linked(&world("record r { a: u8 } f: func(r: r) -> result<list<r>, string>; g: func();")).unwrap();
        let bad = [
            ("resource r;", "a:b/served@0.1.0#r"),
            ("resource r { get: func() -> u8; }", "a:b/served@0.1.0#"),
            ("resource r; f: func(all: list<r>);", "a:b/served@0.1.0#"),
        ];
        for (interface, named) in bad {
            let error = linked(&world(interface)).expect_err(interface);
            let why =
                error.downcast_ref::<Unservable>().unwrap_or_else(|| panic!("{interface}: {error:#}")).to_string();
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn what_is_the_nodes_to_provide_is_served_by_no_actor() {
        let boundary = crate::node::linked(&dummy::engine()).unwrap();
        for import in ["bank:ledger/account", "a:b/c@1.2.3", "troupes:a/b"] {
            assert!(boundary.bindable(import), "{import}");
        }
        for import in
            ["wasi:nn/graph", "troupe:actor/host@0.1.0", "troupe:actor/none@9.0.0", "theater:simple/runtime", "plain"]
        {
            assert!(!boundary.bindable(import), "{import}");
        }
    }

    #[test]
    fn a_binding_names_an_import_with_or_without_its_version() {
        let bind = |names: &[(&str, &str)]| -> BTreeMap<String, String> {
            names.iter().map(|(name, actor)| ((*name).to_owned(), (*actor).to_owned())).collect()
        };
        let both = bind(&[("a:b/c", "any"), ("a:b/c@1.2.0", "one")]);
        assert_eq!(bound_to(&both, "a:b/c@1.9.9"), Some("one"));
        assert_eq!(bound_to(&both, "a:b/c@2.0.0"), Some("any"));
        assert_eq!(bound_to(&both, "a:b/c"), Some("any"));
        assert_eq!(bound_to(&both, "a:b/d"), None);
    }
}
