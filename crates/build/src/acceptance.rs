//! Projects built for real, each in a folder of its own, with the real tools; what came out is read back as a component.
//! Tools lie where TROUPE_TOOLS says, else in the workspace's target folder.

use std::path::{Path, PathBuf};

use wit_component::DecodedWasm;

use crate::{Built, Error, Language, Result, Tools, build_with, create, files};

const WORLD: &str = "package a:b;\nworld w { import troupe:actor/host@0.1.0; export troupe:actor/handler@0.1.0; }";

fn tools() -> Tools {
    let folder = std::env::var_os("TROUPE_TOOLS").map(PathBuf::from);
    Tools::at(folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")))
}

fn build(folder: &Path) -> Result<Built> {
    build_with(folder, &tools(), &|line| println!("{line}"))
}

/// The names that the component imports and exports.
fn surface(component: &Path) -> (Vec<String>, Vec<String>) {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(&files::read(component).unwrap()).unwrap()
    else {
        panic!("{} is no component", component.display());
    };
    let world = &resolve.worlds[world];
    let imports = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
    let exports = world.exports.keys().map(|key| resolve.name_world_key(key)).collect();
    (imports, exports)
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let common = [("troupe.toml", "[actor]\nname = \"x\"\ncomponent = \"out/x.wasm\"\n"), ("wit/world.wit", WORLD)];
    for (path, text) in common.iter().chain(files) {
        files::write(&folder.path().join(path), text.as_bytes()).unwrap();
    }
    folder
}

#[test]
fn a_new_rust_project_builds_and_imports_nothing_but_its_world() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), "hello.2nd", Language::Rust).unwrap();
    let built = build(folder.path()).unwrap();
    assert_eq!(built.component, folder.path().join("hello.2nd.wasm"));
    assert_eq!(built.size, std::fs::metadata(&built.component).unwrap().len());
    let (imports, exports) = surface(&built.component);
    assert_eq!(imports, ["troupe:actor/types@0.1.0", "troupe:actor/host@0.1.0"]);
    assert_eq!(exports.len(), 3);
    for name in ["gen-server", "gen-event", "lifecycle"] {
        assert!(exports.contains(&format!("troupe:actor/{name}@0.1.0")), "{exports:?}");
    }

    files::write(&folder.path().join("src/lib.rs"), b"fn broken( {}").unwrap();
    let Err(Error::Command { output, folder: where_, .. }) = build(folder.path()) else { panic!("it was built") };
    assert!(output.contains("src/lib.rs:1"), "{output}");
    assert_eq!(where_, folder.path());
}

#[test]
fn a_new_python_project_builds() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), "hello", Language::Python).unwrap();
    let built = build(folder.path()).unwrap();
    assert_eq!((built.component, built.language), (folder.path().join("hello.wasm"), Language::Python));
    let (imports, exports) = surface(&folder.path().join("hello.wasm"));
    assert!(imports.iter().any(|name| name == "troupe:actor/host@0.1.0"), "{imports:?}");
    assert!(!imports.iter().any(|name| name.contains("messaging") || name.contains("http")), "{imports:?}");
    for name in ["gen-server", "gen-event", "lifecycle"] {
        assert!(exports.contains(&format!("troupe:actor/{name}@0.1.0")), "{exports:?}");
    }

    files::write(&folder.path().join("app.py"), b"import no_such_module").unwrap();
    let Err(Error::Command { output, .. }) = build(folder.path()) else { panic!("it was built") };
    assert!(output.contains("no_such_module"), "{output}");
}

#[test]
fn a_new_project_in_c_builds_and_imports_nothing_but_what_it_calls() {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), "hello", Language::C).unwrap();
    let built = build(folder.path()).unwrap();
    assert_eq!((&built.component, built.language), (&folder.path().join("hello.wasm"), Language::C));
    let (imports, exports) = surface(&built.component);
    assert_eq!(imports, ["troupe:actor/types@0.1.0", "troupe:actor/host@0.1.0"]);
    assert_eq!(exports, ["gen-server", "gen-event", "lifecycle"].map(|name| format!("troupe:actor/{name}@0.1.0")));
}

#[test]
fn a_javascript_project_builds_and_has_no_http() {
    let folder = project(&[
        ("package.json", r#"{"main": "x.js"}"#),
        ("x.js", "export const handler = { handleMessage: (from, type, payload) => payload };"),
    ]);
    let built = build(folder.path()).unwrap();
    assert_eq!(built.component, folder.path().join("out/x.wasm"));
    let (imports, exports) = surface(&built.component);
    assert!(!imports.iter().any(|name| name.starts_with("wasi:http")), "{imports:?}");
    assert!(imports.iter().any(|name| name.starts_with("wasi:clocks/wall-clock@0.2")), "{imports:?}");
    assert_eq!(exports, ["troupe:actor/handler@0.1.0"]);
}

#[test]
fn a_project_in_c_gets_wasi_only_if_it_uses_it() {
    let handler = "bool exports_troupe_actor_handler_handle_message(w_string_t *from, w_string_t *type,
        exports_troupe_actor_handler_payload_t *payload, exports_troupe_actor_handler_payload_t *ret, w_string_t *err)";
    let quiet = format!("#include \"w.h\"\n{handler} {{ *ret = *payload; return true; }}");
    let folder = project(&[("x.c", &quiet)]);
    let (imports, exports) = surface(&build(folder.path()).unwrap().component);
    assert_eq!(imports, ["troupe:actor/types@0.1.0"]);
    assert_eq!(exports, ["troupe:actor/handler@0.1.0"]);

    let talking = format!("#include <stdio.h>\n{}", quiet.replace("*ret =", "puts(\"here\"); *ret ="));
    files::write(&folder.path().join("x.c"), talking.as_bytes()).unwrap();
    let (imports, _) = surface(&build(folder.path()).unwrap().component);
    assert!(imports.iter().any(|name| name.starts_with("wasi:cli/stdout@0.2")), "{imports:?}");
}
