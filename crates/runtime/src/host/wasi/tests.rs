//! The linked functions against the WIT.

use std::collections::BTreeSet;

use crate::boundary::{Boundary, dummy};

const WORLD: &str = "
    package test:everything;
    world w {
        include wasi:cli/imports@0.2.12;
        include wasi:http/imports@0.2.12;
        include troupe:actor/imports@0.1.0;
        include troupe:journal/imports@0.1.0;
        include wasi:keyvalue/imports@0.2.0-draft2;
        include wasi:keyvalue/imports@0.2.0-draft;
        include wasi:logging/imports@0.1.0-draft;
        include wasi:config/imports@0.2.0-rc.1;
        include wasi:config/imports@0.2.0-draft;
    }";

/// A component of a world that may name every interface of `wit/`.
fn component(engine: &wasmtime::Engine, world: &str) -> wasmtime::component::Component {
    let wit = dummy::wit();
    let wasi = ["io", "random", "clocks", "filesystem", "sockets", "cli", "http"];
    let drafts = ["keyvalue", "keyvalue-draft", "logging", "config", "config-draft"];
    let mut paths: Vec<_> = wasi.iter().chain(&drafts).map(|name| wit.join(format!("deps/{name}.wit"))).collect();
    paths.push(wit.join("troupe-actor"));
    paths.push(wit.join("troupe-journal"));
    dummy::component(engine, &paths, world)
}

fn linked(engine: &wasmtime::Engine) -> Boundary {
    let mut boundary = Boundary::new(engine);
    crate::host::link(&mut boundary).unwrap();
    boundary
}

#[test]
fn every_function_of_the_wit_is_registered_and_no_other() {
    let engine = dummy::engine();
    let boundary = linked(&engine);
    let component = component(&engine, WORLD);
    boundary.instantiate_pre(&component).unwrap();

    let imported: BTreeSet<String> = dummy::imported(&engine, &component).into_iter().collect();
    let defined: BTreeSet<String> =
        boundary.defined().filter(|name| !name.starts_with("theater:simple/")).map(str::to_owned).collect();
    assert_eq!(defined.difference(&imported).collect::<Vec<_>>(), Vec::<&String>::new(), "registered, but in no WIT");
    // There is no terminal, so none ends.
    let never = ["terminal-input", "terminal-output"].map(|it| format!("wasi:cli/{it}@0.2.12#[resource-drop]{it}"));
    assert_eq!(imported.difference(&defined).collect::<Vec<_>>(), never.iter().collect::<Vec<_>>(), "not registered");
}

/// Of Theater's host interfaces, with what docs/theater.md says is not there.
#[test]
fn every_function_of_theater_is_registered_or_said_not_to_be() {
    let engine = dummy::engine();
    let interfaces = ["runtime", "environment", "random", "timing", "message-server-host", "store", "supervisor"];
    let imports: String = interfaces.iter().map(|name| format!("import theater:simple/{name};")).collect();
    let text = format!("package test:theater; world w {{ {imports} }}");
    let component = dummy::component(&engine, &[dummy::wit().join("theater-simple")], &text);
    let imported: BTreeSet<String> = dummy::imported(&engine, &component).into_iter().collect();
    let boundary = linked(&engine);
    let theater = boundary.defined().filter(|name| name.starts_with("theater:simple/"));
    let defined: BTreeSet<String> = theater.map(str::to_owned).collect();
    assert_eq!(defined.difference(&imported).collect::<Vec<_>>(), Vec::<&String>::new(), "registered, but in no WIT");
    let missing: Vec<&str> = imported.difference(&defined).map(String::as_str).collect();
    assert_eq!(missing, Vec::<&str>::new(), "not registered");
}

#[test]
fn any_version_of_the_track_links_and_no_other() {
    let engine = dummy::engine();
    let boundary = linked(&engine);
    for (version, links) in [("0.2.0", true), ("0.2.6", true), ("0.2.99", true), ("0.3.0", false)] {
        let world = format!(
            "package wasi:random@{version} {{ interface random {{ get-random-u64: func() -> u64; }} }}
             package wasi:sockets@{version} {{
                 interface network {{ resource network; }}
                 interface instance-network {{ use network.{{network}}; instance-network: func() -> network; }}
             }}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.wit");
        std::fs::write(&file, format!("package test:old;\n{world}\nworld deps {{}}")).unwrap();
        let text = format!(
            "package test:w; world w {{ import wasi:random/random@{version}; import wasi:sockets/instance-network@{version}; }}"
        );
        let component = dummy::component(&engine, &[file], &text);
        assert_eq!(boundary.instantiate_pre(&component).is_ok(), links, "{version}");
        assert_eq!(boundary.provides(&format!("wasi:sockets/tcp@{version}")), links, "{version}");
    }
}

#[test]
fn an_import_that_nobody_knows_is_an_error_that_names_it() {
    let engine = dummy::engine();
    let boundary = linked(&engine);
    let text = "package wasi:odd; interface thing { f: func(); } world w { import thing; }";
    let error = boundary.instantiate_pre(&dummy::component(&engine, &[], text)).map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("wasi:odd/thing"), "{error:#}");
}

#[test]
fn only_the_boundary_names_the_linker() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let name = ["Link", "er"].concat();
    let mut found = Vec::new();
    let mut folders = vec![crates.canonicalize().unwrap()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let inside = path.components().any(|part| part.as_os_str() == "boundary");
                let word = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if !inside && text.match_indices(&name).any(|(at, _)| word(at)) {
                    found.push(path);
                }
            }
        }
    }
    assert_eq!(found, Vec::<std::path::PathBuf>::new(), "only boundary/ may link host functions");
}
