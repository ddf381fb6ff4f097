//! From drafts to [`ActorSpec`]s: paths made absolute, files of initial state read, directories and ids checked.
//!
//! A relative path is relative to the manifest, wherever the command was started. Text that came without a folder (over
//! the API) may hold absolute paths only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::application;
use super::error::Error;
use super::init::Init;
use super::parse::{self, Draft};
use super::text::{Doc, Entry, Section};
use super::theater;
use super::types::{ActorSpec, ComponentRef, Manifest};

/// The most bytes that a manifest may have.
pub const MAX_MANIFEST: u64 = 1 << 20;

impl Manifest {
    /// Reads a manifest from a file; its relative paths are relative to that file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let Text { text, name, folder } = read(path)?;
        Self::parse(&text, &name, folder.as_deref())
    }

    /// Reads a manifest from text called `name` in errors. Without a folder its paths must be absolute.
    pub fn parse(text: &str, name: &str, folder: Option<&Path>) -> Result<Self, Error> {
        if text.len() as u64 > MAX_MANIFEST {
            return Err(Error::TooLarge { file: name.to_owned(), limit: MAX_MANIFEST });
        }
        let doc = Doc { name, text };
        let table = doc.table()?;
        let top: BTreeSet<&str> = table.get_ref().keys().map(|k| k.get_ref().as_ref()).collect();
        if top.contains("children") || top.contains("application") {
            return application::read(&doc, &table, folder);
        }
        let drafts = if !top.contains("actor") && theater::is_one(&top) {
            vec![theater::read(&doc, &table)?]
        } else {
            let known = [&["actor"], parse::SECTION_KEYS].concat();
            let root = Section::root(&doc, &table, &known)?;
            let own = root.need("actor", "an [actor] section with name and component")?.section(parse::ACTOR_KEYS)?;
            vec![parse::actor(&own, &root)?]
        };
        let actors = drafts.into_iter().map(|draft| resolve(draft, folder)).collect::<Result<_, _>>()?;
        Ok(Self { actors, application: None })
    }
}

/// The one actor of the manifest in another file, for a child.
pub(super) fn one_actor(path: &Path, entry: &Entry<'_, '_>) -> Result<ActorSpec, Error> {
    let read = read(path)?;
    let doc = Doc { name: &read.name, text: &read.text };
    let table = doc.table()?;
    if table.get_ref().keys().any(|key| matches!(key.get_ref().as_ref(), "children" | "application")) {
        return Err(entry.bad(
            format!("names {}, an application", path.display()),
            "a child is one actor; write the application's children here, as children of a supervisor",
        ));
    }
    let mut manifest = Manifest::parse(&read.text, &read.name, read.folder.as_deref())?;
    manifest.actors.pop().ok_or_else(|| entry.bad("names a manifest without an actor", "write [actor] in it"))
}

/// A manifest's text, what it is called, and its folder.
struct Text {
    text: String,
    name: String,
    folder: Option<PathBuf>,
}

fn read(path: &Path) -> Result<Text, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(MAX_MANIFEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    let name = path.display().to_string();
    if bytes.len() as u64 > MAX_MANIFEST {
        return Err(Error::TooLarge { file: name, limit: MAX_MANIFEST });
    }
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::NotText { file: name.clone(), at: e.utf8_error().valid_up_to() })?;
    let folder = std::path::absolute(path).map_err(failed)?.parent().map(Path::to_owned);
    Ok(Text { text, name, folder })
}

pub(super) fn resolve(draft: Draft<'_, '_>, folder: Option<&Path>) -> Result<ActorSpec, Error> {
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
        // The node makes it.
        if grant.is_new() {
            continue;
        }
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
        http: draft.http,
        listen: draft.listen,
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
pub(super) fn absolute(path: &Path, folder: Option<&Path>, entry: &Entry<'_, '_>) -> Result<PathBuf, Error> {
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
