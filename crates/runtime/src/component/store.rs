//! The components of a node: load, look up, compile once.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use troupe_log::{Batch, Digest, Position, Store, Table};
use wasmtime::component::InstancePre;

use super::cache::Cache;
use super::engine::Engines;
use super::inspect::{Inspection, inspect};
use crate::boundary::{Boundary, Guest, Unservable, bound_to, track};
use crate::contract::Contract;
use crate::contract::theater::ACTOR;
use crate::error::{Error, Result};
use crate::manifest::ComponentRef;
use crate::replay::ReplayCode;

/// What a component exports that saves and loads its own state.
const SNAPSHOT: &str = "troupe:actor/snapshot@0.1";
/// The largest component file.
const MOST_BYTES: usize = 256 << 20;

/// A component that is ready to run.
pub struct Code {
    /// What it is.
    pub inspection: Inspection,
    /// What the runtime drives of it.
    pub contract: Contract,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) wasi: bool,
}

/// The components of a node.
pub struct Components {
    engines: Engines,
    boundary: Arc<Boundary>,
    store: Arc<dyn Store>,
    cache: Cache,
    /// What each name stands for, and the batch that says so.
    index: Mutex<BTreeMap<(String, String), (Digest, Position)>>,
    code: Mutex<HashMap<Digest, Arc<OnceCell<Arc<Code>>>>>,
    /// Which of those that were looked at without being compiled make their own snapshots.
    saves: Mutex<HashMap<Digest, bool>>,
}

impl Components {
    /// The components in a store; `index` are the entries of its table.
    pub fn new(
        engines: Engines,
        boundary: Arc<Boundary>,
        store: Arc<dyn Store>,
        cache: Option<PathBuf>,
        index: Option<&BTreeMap<Vec<u8>, Vec<u8>>>,
    ) -> Components {
        let index = index.into_iter().flatten().filter_map(|(key, value)| {
            let (name, version) = std::str::from_utf8(key).ok()?.rsplit_once('@')?;
            let digest = Digest(value.as_slice().try_into().ok()?);
            Some(((name.to_owned(), version.to_owned()), (digest, Position(0))))
        });
        let index = Mutex::new(index.collect());
        Components {
            engines,
            boundary,
            store,
            cache: Cache::new(cache),
            index,
            code: Mutex::default(),
            saves: Mutex::default(),
        }
    }

    /// Stores a component, checks that it can be linked, and compiles it. Imports that an actor may serve are left to the manifest.
    pub async fn load(&self, bytes: &[u8]) -> Result<Arc<Code>> {
        self.load_for(bytes, None).await
    }

    /// The same, for an actor whose imports these other actors serve.
    async fn load_for(&self, bytes: &[u8], bind: Option<&BTreeMap<String, String>>) -> Result<Arc<Code>> {
        if bytes.len() > MOST_BYTES {
            return Err(Error::NotAComponent {
                why: format!("it has {} bytes, at most {MOST_BYTES} are taken", bytes.len()),
            });
        }
        let inspection = inspect(bytes)?;
        self.check_imports(&inspection, bind)?;
        let digest = inspection.digest;
        let code = self.compiled(digest, Some(bytes)).await?;
        let stored = self.store.put_blob(bytes)?;
        debug_assert_eq!(stored, digest);
        Ok(code)
    }

    /// The same, and names it; both survive a power cut when this returns. A name that has other bytes already is refused.
    pub async fn load_as(&self, name: &str, version: &str, bytes: &[u8]) -> Result<Arc<Code>> {
        let valid = |text: &str| !text.is_empty() && text.len() <= 128 && !text.contains(['@', '\0', '/', ' ']);
        if !valid(name) || !valid(version) {
            return Err(Error::Invalid { what: format!("component name `{name}@{version}`") });
        }
        let code = self.load(bytes).await?;
        let digest = code.inspection.digest;
        let position = self.name(name, version, digest)?;
        self.store.sync(position).await?;
        Ok(code)
    }

    /// Commits what a name stands for; the position of the batch that says so.
    fn name(&self, name: &str, version: &str, digest: Digest) -> Result<Position> {
        let mut index = self.index.lock();
        match index.get(&(name.to_owned(), version.to_owned())) {
            Some((there, position)) if *there == digest => Ok(*position),
            Some((there, _)) => {
                Err(Error::NameTaken { name: format!("{name}@{version}"), there: *there, offered: digest })
            }
            None => {
                let mut batch = Batch::new();
                batch.put(Table::COMPONENTS, format!("{name}@{version}").as_bytes(), &digest.0);
                let position = self.store.append(&batch)?;
                index.insert((name.to_owned(), version.to_owned()), (digest, position));
                Ok(position)
            }
        }
    }

    /// The component of a reference; a path is read, loaded and stored.
    pub async fn resolve(&self, reference: &ComponentRef) -> Result<Arc<Code>> {
        self.resolve_for(reference, None).await
    }

    /// The same, for an actor whose imports these other actors serve: one that nobody serves is an error, and so is one that it
    /// does not import.
    pub async fn resolve_bound(&self, reference: &ComponentRef, bind: &BTreeMap<String, String>) -> Result<Arc<Code>> {
        let code = self.resolve_for(reference, Some(bind)).await?;
        self.check_imports(&code.inspection, Some(bind))?;
        let imported = |name: &&String| {
            let own = BTreeMap::from([((*name).clone(), String::new())]);
            code.inspection
                .imports
                .iter()
                .any(|import| self.boundary.bindable(import) && bound_to(&own, import).is_some())
        };
        match bind.keys().find(|name| !imported(name)) {
            Some(name) => Err(Error::Invalid {
                what: format!(
                    "[bind] names {name}, which {reference} does not import from another actor (it imports {})",
                    code.inspection.imports.join(", ")
                ),
            }),
            None => Ok(code),
        }
    }

    async fn resolve_for(
        &self,
        reference: &ComponentRef,
        bind: Option<&BTreeMap<String, String>>,
    ) -> Result<Arc<Code>> {
        match reference {
            ComponentRef::Path(path) => {
                let bytes =
                    std::fs::read(path).map_err(|source| Error::File { op: "read", path: path.clone(), source })?;
                self.load_for(&bytes, bind).await.map_err(|error| error.of_file(path))
            }
            ComponentRef::Named { name, version } => {
                let named = self.index.lock().get(&(name.clone(), version.clone())).copied();
                let (digest, _) = named.ok_or_else(|| Error::NoComponent { reference: reference.to_string() })?;
                self.get(digest).await
            }
            ComponentRef::Digest(digest) => self.get(*digest).await,
        }
    }

    /// The component of a digest, from the store.
    pub async fn get(&self, digest: Digest) -> Result<Arc<Code>> {
        self.compiled(digest, None).await
    }

    /// The component of a digest as it replays.
    pub async fn replayable(&self, digest: Digest) -> Result<ReplayCode> {
        let (bytes, cache) = (self.bytes(&digest)?, self.cache.clone());
        tokio::task::spawn_blocking(move || ReplayCode::compile_in(&bytes, &cache))
            .await
            .map_err(|error| Error::Internal { what: format!("compiling: {error}") })?
    }

    /// The bytes of a component.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.store.blob(digest).map_err(|error| match error {
            troupe_log::Error::NoBlob(digest) => Error::NoComponent { reference: digest.to_string() },
            error => error.into(),
        })
    }

    /// Whether actors of a component can make a snapshot of their own. Nothing is compiled for it.
    pub async fn saves(&self, digest: Digest) -> Result<bool> {
        let compiled = self.code.lock().get(&digest).and_then(|cell| cell.get().cloned());
        if let Some(code) = compiled {
            return Ok(code.contract.saves());
        }
        if let Some(saves) = self.saves.lock().get(&digest) {
            return Ok(*saves);
        }
        let store = self.store.clone();
        let inspected = tokio::task::spawn_blocking(move || inspect(&store.blob(&digest)?)).await;
        let inspection = inspected.map_err(|error| Error::Internal { what: error.to_string() })??;
        let saves = inspection.exports.iter().any(|export| track(export) == SNAPSHOT || export == ACTOR);
        self.saves.lock().insert(digest, saves);
        Ok(saves)
    }

    /// All names.
    pub fn names(&self) -> Vec<(String, Digest)> {
        self.index.lock().iter().map(|((name, version), (digest, _))| (format!("{name}@{version}"), *digest)).collect()
    }

    /// How many were compiled in this process; all others were found in the cache.
    pub fn compilations(&self) -> u64 {
        self.cache.compiled()
    }

    /// However many ask at once, one compiles.
    async fn compiled(&self, digest: Digest, bytes: Option<&[u8]>) -> Result<Arc<Code>> {
        let cell = self.code.lock().entry(digest).or_default().clone();
        let made = cell
            .get_or_try_init(|| async {
                let bytes = match bytes {
                    Some(bytes) => bytes.to_vec(),
                    None => self.bytes(&digest)?,
                };
                let (engines, boundary, cache) = (self.engines.clone(), self.boundary.clone(), self.cache.clone());
                tokio::task::spawn_blocking(move || {
                    prepare(&boundary, |engine| cache.load(engine, &digest, &bytes), &engines.run, inspect(&bytes)?)
                })
                .await
                .map_err(|error| Error::Internal { what: format!("compiling: {error}") })?
            })
            .await;
        if made.is_err() {
            let mut code = self.code.lock();
            if code.get(&digest).is_some_and(|there| there.get().is_none()) {
                code.remove(&digest);
            }
        }
        made.cloned()
    }

    /// Whether every import is the node's, or one that an actor serves by `bind`; without it, one that an actor may serve.
    fn check_imports(&self, inspection: &Inspection, bind: Option<&BTreeMap<String, String>>) -> Result<()> {
        for import in &inspection.imports {
            if self.boundary.provides(import) {
                continue;
            }
            let bindable = self.boundary.bindable(import);
            match bind {
                _ if !bindable => return Err(Error::MissingImport { import: import.clone() }),
                Some(bind) if bound_to(bind, import).is_none() => {
                    return Err(Error::Unbound { import: import.clone() });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Compiles and links.
pub(crate) fn prepare(
    boundary: &Boundary,
    compile: impl FnOnce(&wasmtime::Engine) -> wasmtime::Result<wasmtime::component::Component>,
    engine: &wasmtime::Engine,
    inspection: Inspection,
) -> Result<Arc<Code>> {
    let refused = |error: wasmtime::Error| Error::NotAComponent { why: format!("{error:#}") };
    let component = compile(engine).map_err(refused)?;
    let pre = boundary.instantiate_pre(&component).map_err(|error| match error.downcast_ref::<Unservable>() {
        Some(why) => Error::NotAComponent { why: why.to_string() },
        None => Error::MissingImport { import: format!("{error:#}") },
    })?;
    let contract = Contract::of(&component).map_err(refused)?;
    let wasi = inspection.imports.iter().any(|name| name.starts_with("wasi:"));
    Ok(Arc::new(Code { inspection, contract, pre, wasi }))
}
