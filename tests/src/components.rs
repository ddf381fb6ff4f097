//! Components: named by digest and by `name@version`, compiled once, cached across runs; and what is none.

use std::path::Path;
use std::sync::Arc;

use troupe_log::{Digest, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::manifest::ComponentRef;
use troupe_runtime::node::{Node, NodeOptions};

use crate::support::{ask, guest, id, node_on, power_cut, spec};

async fn node_with(disk: &SimDisk, cache: &Path) -> Node {
    let options = NodeOptions {
        disk: Some(Arc::new(disk.clone())),
        live: 8,
        cache: Some(cache.to_owned()),
        ..NodeOptions::default()
    };
    Node::open(options).await.unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).unwrap()
}

fn named(name: &str, version: &str) -> ComponentRef {
    ComponentRef::Named { name: name.to_owned(), version: version.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_loads_at_once_compile_once() {
    let cache = tempfile::tempdir().unwrap();
    let node = node_with(&SimDisk::new(), cache.path()).await;
    let bytes: Arc<[u8]> = bytes("saver").into();
    let loads: Vec<_> = (0..100)
        .map(|_| {
            let (node, bytes) = (node.clone(), bytes.clone());
            tokio::spawn(async move { node.load(&bytes).await })
        })
        .collect();
    for load in loads {
        assert_eq!(load.await.unwrap().unwrap().digest, Digest::of(&bytes));
    }
    assert_eq!(node.compilations(), 1);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_is_found_again_and_damaged_code_is_compiled_again() {
    let cache = tempfile::tempdir().unwrap();
    let run = async |compilations: u64, when: &str| {
        let node = node_with(&SimDisk::new(), cache.path()).await;
        node.start(spec("saver", "saver")).await.unwrap();
        assert_eq!(ask(&node, "saver", "add", "1").await.unwrap(), "1", "{when}");
        assert_eq!(node.compilations(), compilations, "{when}");
        node.close().await.unwrap();
    };
    run(1, "the first time").await;
    run(0, "from the cache").await;
    let files = || std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
    let code = files().find(|path| path.extension().is_some_and(|end| end == "cwasm")).unwrap();
    let sum = code.with_extension("b3");
    let good = std::fs::read(&code).unwrap();
    // As another file: the old one may still be mapped.
    let replace = |file: &Path, bytes: &[u8]| {
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, bytes).unwrap();
    };
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        replace(&code, &damaged);
        run(1, &format!("byte {at} flipped")).await;
        assert_eq!(std::fs::read(&code).unwrap().len(), good.len());
        run(0, "repaired").await;
    }
    replace(&code, &good[..good.len() / 2]);
    run(1, "cut short").await;
    replace(&code, b"");
    run(1, "empty").await;
    replace(&sum, b"?");
    run(1, "its sum is damaged").await;
    std::fs::remove_file(&sum).unwrap();
    run(1, "its sum is gone").await;
    std::fs::remove_file(&code).unwrap();
    run(1, "gone").await;
    run(0, "repaired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_bytes_outlive_the_node_and_a_name_never_changes_its_meaning() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let saver = node.load_as("counter", "1.0.0", &bytes("saver")).await.unwrap().digest;
    let rust = node.load_as("counter", "2.0.0", &bytes("counter-rust")).await.unwrap().digest;
    node.load_as("counter", "1.0.0", &bytes("saver")).await.unwrap();
    let taken = async |node: &Node| {
        let error = node.load_as("counter", "1.0.0", &bytes("counter-rust")).await.unwrap_err();
        let Error::NameTaken { name, there, offered } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), *there, *offered), ("counter@1.0.0", saver, rust));
    };
    taken(&node).await;
    for (name, version) in [("", "1"), ("a", ""), ("a@b", "1"), ("a/b", "1"), ("a", "1@2"), (&"a".repeat(129), "1")] {
        let error = node.load_as(name, version, &bytes("saver")).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{name}@{version}: {error}");
    }
    // What `load_as` returned is there after a power cut.
    let node = node_on(&power_cut(node, &disk)).await;
    let names = [("counter@1.0.0".to_owned(), saver), ("counter@2.0.0".to_owned(), rust)];
    assert_eq!(node.components(), names);
    taken(&node).await;
    assert_eq!(node.component_bytes(&saver).unwrap(), bytes("saver"));
    for (number, component) in [named("counter", "1.0.0"), ComponentRef::Digest(saver)].into_iter().enumerate() {
        let mut actor = spec(&format!("actor-{number}"), "saver");
        actor.component = component;
        node.start(actor.clone()).await.unwrap();
        assert_eq!(ask(&node, actor.id.name(), "add", "1").await.unwrap(), "1");
        assert_eq!(node.actor(&actor.id).await.unwrap().component, saver);
    }
    for unknown in [named("counter", "3.0.0"), named("other", "1.0.0"), ComponentRef::Digest(Digest::of(b"?"))] {
        let mut actor = spec("unknown", "saver");
        actor.component = unknown.clone();
        let error = node.start(actor).await.unwrap_err();
        let Error::NoComponent { reference } = &error else { panic!("{error}") };
        assert_eq!(*reference, unknown.to_string());
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_run_is_refused_with_the_reason_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let node = node_on(&SimDisk::new()).await;
    let whole = bytes("saver");
    let module = [0, b'a', b's', b'm', 1, 0, 0, 0];
    let empty = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
    let mut files: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "does not begin like a wasm file"),
        (b"(component)".to_vec(), "does not begin like a wasm file"),
        (module.to_vec(), "it is a core module, not a component"),
        (empty.to_vec(), "it exports nothing that takes messages"),
        (bytes("importer-unknown"), "nobody provides the import nobody:knows/this@0.1.0"),
    ];
    for parts in 1..20 {
        files.push((whole[..whole.len() * parts / 20].to_vec(), "not a component"));
    }
    for (bytes, why) in files {
        let path = folder.path().join("file.wasm");
        std::fs::write(&path, &bytes).unwrap();
        let mut actor = spec("actor", "saver");
        actor.component = ComponentRef::Path(path.clone());
        let error = node.start(actor).await.unwrap_err().to_string();
        assert!(error.contains(why), "{} bytes: {error}", bytes.len());
        if bytes != empty {
            assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
            // Who serves an import of a user's own interface is for the manifest to say; see `bound`.
            if !why.contains("nobody:knows") {
                let named = node.load_as("broken", "1", &bytes).await.unwrap_err().to_string();
                assert!(named.contains(why), "{named}");
            }
            assert!(matches!(node.component_bytes(&Digest::of(&bytes)), Err(Error::NoComponent { .. })));
        }
    }
    assert_eq!(node.components(), []);
    assert!(node.list().await.unwrap().is_empty());
    let mut actor = spec("actor", "saver");
    actor.component = ComponentRef::Path(folder.path().join("none.wasm"));
    let error = node.start(actor).await.unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("none.wasm")), "{error}");
    node.start(spec("actor", "saver")).await.unwrap();
    assert!(node.actor(&id("actor")).await.is_ok());
    node.close().await.unwrap();
}
