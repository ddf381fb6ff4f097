//! From drafts to [`ActorSpec`]s: paths made absolute, files of initial state read, directories and ids checked.
//!
//! A relative path is relative to the manifest, wherever the command was started. Text that came without a folder (over
//! the API) may hold absolute paths only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::init::Init;
use super::parse::{self, Draft};
use super::text::{Doc, Entry, Section};
use super::theater;
use super::types::{ActorSpec, ComponentRef, Manifest, Strategy};

/// The most bytes that a manifest may have.
pub const MAX_MANIFEST: u64 = 1 << 20;

const STRATEGIES: [(&str, Strategy); 3] = [
    ("one-for-one", Strategy::OneForOne),
    ("one-for-all", Strategy::OneForAll),
    ("rest-for-one", Strategy::RestForOne),
];

impl Manifest {
    /// Reads a manifest from a file; its relative paths are relative to that file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path).and_then(|f| f.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
        let name = path.display().to_string();
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::TooLarge { file: name, limit: MAX_MANIFEST });
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|e| Error::NotText { file: name.clone(), at: e.valid_up_to() })?;
        let folder = std::path::absolute(path).map_err(failed)?;
        Self::parse(text, &name, folder.parent())
    }

    /// Reads a manifest from text called `name` in errors. Without a folder its paths must be absolute.
    pub fn parse(text: &str, name: &str, folder: Option<&Path>) -> Result<Self, Error> {
        if text.len() as u64 > MAX_MANIFEST {
            return Err(Error::TooLarge { file: name.to_owned(), limit: MAX_MANIFEST });
        }
        let doc = Doc { name, text };
        let table = doc.table()?;
        let top: BTreeSet<&str> = table.get_ref().keys().map(|k| k.get_ref().as_ref()).collect();
        if top.contains("children") {
            return application(&doc, &table, folder);
        }
        let drafts = if !top.contains("actor") && theater::is_one(&top) {
            vec![theater::read(&doc, &table)?]
        } else {
            let known = [&["actor"], parse::SECTION_KEYS].concat();
            let root = Section::root(&doc, &table, &known)?;
            let own = root.need("actor", "an [actor] section with name and component")?.section(parse::ACTOR_KEYS)?;
            vec![parse::actor(&own, &root)?]
        };
        Ok(Self { actors: resolve_all(drafts, folder)?, strategy: None })
    }
}

fn application<'i>(
    doc: &Doc<'i>,
    table: &toml::Spanned<toml::de::DeTable<'i>>,
    folder: Option<&Path>,
) -> Result<Manifest, Error> {
    let root = Section::root(doc, table, &["strategy", "children"])?;
    let strategy = match root.get("strategy") {
        Some(entry) => entry.word(&STRATEGIES)?,
        None => Strategy::default(),
    };
    let children = root.need("children", "[[children]] with name and component")?;
    let known = [parse::ACTOR_KEYS, parse::SECTION_KEYS].concat();
    let mut seen = BTreeSet::new();
    let mut drafts = Vec::new();
    for entry in children.list("[[children]]")? {
        let child = entry.section(&known)?;
        let draft = parse::actor(&child, &child)?;
        if !seen.insert(draft.id.clone()) {
            return Err(entry.bad(format!("names the actor {} twice", draft.id), "give each child its own name"));
        }
        drafts.push(draft);
    }
    if drafts.is_empty() {
        return Err(children.bad("is empty", "add a [[children]] with name and component"));
    }
    Ok(Manifest { actors: resolve_all(drafts, folder)?, strategy: Some(strategy) })
}

fn resolve_all(drafts: Vec<Draft<'_, '_>>, folder: Option<&Path>) -> Result<Vec<ActorSpec>, Error> {
    drafts.into_iter().map(|d| resolve(d, folder)).collect()
}

fn resolve(draft: Draft<'_, '_>, folder: Option<&Path>) -> Result<ActorSpec, Error> {
    let component = code(draft.component, folder)?;
    let mut components = BTreeMap::new();
    for (name, named) in draft.components {
        components.insert(name, code(named, folder)?);
    }
    let init = match draft.init {
        None => Vec::new(),
        Some((Init::Bytes(bytes), entry)) => bounded(bytes, draft.limits.payload.0, &entry)?,
        Some((Init::File(path), entry)) => {
            let path = absolute(&path, folder, &entry)?;
            let limit = draft.limits.payload.0;
            let mut bytes = Vec::new();
            File::open(&path).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)).map_err(|e| {
                entry.bad(
                    format!("names {}, which cannot be read: {e}", path.display()),
                    "correct the path, which is relative to the manifest",
                )
            })?;
            bounded(bytes, limit, &entry)?
        }
    };
    let mut grants = draft.grants;
    for (grant, entry) in grants.filesystem.iter_mut().zip(&draft.hosts) {
        grant.host = absolute(&grant.host, folder, entry)?;
        if !grant.host.is_dir() {
            return Err(entry.bad(
                format!("names {}, where there is no directory", grant.host.display()),
                format!("make it with `mkdir -p {}`", grant.host.display()),
            ));
        }
        if grant.host.to_str().is_none() {
            return Err(entry.bad(
                format!("leads to {}, which is not UTF-8", grant.host.display()),
                "move it under a path of UTF-8 names; it is recorded in the journal",
            ));
        }
    }
    Ok(ActorSpec {
        id: draft.id,
        component,
        journal: draft.journal,
        init,
        limits: draft.limits,
        grants,
        components,
        supervision: draft.supervision,
        snapshots: draft.snapshots,
        bind: draft.bind,
        initial_fsm_state: draft.initial_fsm_state,
    })
}

/// A component's file, if it is one, absolute and there.
fn code((component, entry): (ComponentRef, Entry<'_, '_>), folder: Option<&Path>) -> Result<ComponentRef, Error> {
    let ComponentRef::Path(path) = component else { return Ok(component) };
    let path = absolute(&path, folder, &entry)?;
    if !path.is_file() {
        return Err(entry.bad(
            format!("names {}, where there is no file", path.display()),
            "build it (`troupe build`), or correct the path, which is relative to the manifest",
        ));
    }
    Ok(ComponentRef::Path(path))
}

fn bounded(bytes: Vec<u8>, limit: u64, entry: &Entry<'_, '_>) -> Result<Vec<u8>, Error> {
    if bytes.len() as u64 > limit {
        return Err(entry.bad(
            format!("has more than {limit} bytes"),
            "the initial state is a payload: raise `payload` in [limits], or hand over less",
        ));
    }
    Ok(bytes)
}

/// Joins to the manifest's folder and takes out `.`; `..` stays, since it depends on links.
fn absolute(path: &Path, folder: Option<&Path>, entry: &Entry<'_, '_>) -> Result<PathBuf, Error> {
    let joined = match folder {
        Some(folder) => folder.join(path),
        None if path.is_absolute() => path.to_owned(),
        None => {
            return Err(entry.bad(
                format!("is the relative path {}", path.display()),
                "this manifest has no folder of its own; write an absolute path",
            ));
        }
    };
    Ok(joined.components().collect())
}
