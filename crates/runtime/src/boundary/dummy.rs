//! Components for tests that import and export what a WIT world says and do nothing.

use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime::{Config, Engine};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// An engine as a node makes it, as far as types go.
pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.concurrency_support(false);
    Engine::new(&config).unwrap()
}

/// The repository's `wit` folder.
pub(crate) fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// A component of the only world of `text`, which may name the packages in these files and folders.
pub(crate) fn component(engine: &Engine, packages: &[PathBuf], text: &str) -> Component {
    let mut resolve = Resolve::default();
    for path in packages {
        resolve.push_path(path).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
    }
    let package = resolve.push_str("test.wit", text).unwrap_or_else(|error| panic!("{error:#}"));
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let bytes = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    Component::new(engine, bytes).unwrap()
}

/// `interface#function` of every function that the component imports, and the ends of every resource type.
pub(crate) fn imported(engine: &Engine, component: &Component) -> Vec<String> {
    let mut names = Vec::new();
    let mut resources = Vec::new();
    for (interface, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => names.push(format!("{interface}#{name}")),
                // A type that is used from another interface shows up again as the same type.
                ComponentItem::Resource(ty) if !resources.contains(&ty) => {
                    names.push(format!("{interface}#[resource-drop]{name}"));
                    resources.push(ty);
                }
                _ => {}
            }
        }
    }
    names.sort();
    names
}
