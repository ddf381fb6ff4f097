//! What `run` and `start` are given: a manifest, a folder with one, or a component file that runs with the defaults.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use troupe_log::ActorId;
use troupe_runtime::manifest::{ActorSpec, ComponentRef, MAX_MANIFEST, Manifest};

use crate::failure::{Failure, Result};

/// The names of a manifest in a folder, the first that is there counts.
const NAMES: [&str; 2] = ["troupe.toml", "manifest.toml"];

/// A source of actors, found and not yet read.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A manifest.
    Manifest(PathBuf),
    /// A component.
    Component(PathBuf),
}

impl Source {
    /// Finds it; nothing given is the folder `here`.
    pub fn find(given: Option<&Path>, here: &Path) -> Result<Self> {
        let path = given.map_or_else(|| here.to_owned(), |path| here.join(path));
        if path.is_dir() {
            let manifest = NAMES.iter().map(|name| path.join(name)).find(|p| p.is_file());
            return manifest.map(Self::Manifest).ok_or_else(|| {
                Failure::usage(
                    format!("there is no troupe.toml in {}", path.display()),
                    "make a project with `troupe new NAME`, or name a manifest or a component: `troupe run FILE`",
                )
            });
        }
        let mut start = [0; 4];
        let read = File::open(&path)
            .and_then(|mut f| f.read(&mut start))
            .map_err(|e| Failure { exit: crate::failure::Exit::Usage, ..Failure::read(&path, &e) })?;
        let wasm = start[..read] == *b"\0asm" || path.extension().is_some_and(|e| e == "wasm");
        Ok(if wasm { Self::Component(path) } else { Self::Manifest(path) })
    }

    /// Reads it. `id` takes the place of the id of its one actor.
    pub fn read(&self, id: Option<&str>) -> Result<Manifest> {
        let mut manifest = match self {
            Self::Manifest(path) => Manifest::load(path)?,
            Self::Component(path) => {
                let component = ComponentRef::Path(path.components().collect());
                let actors = vec![ActorSpec::new(stem(path)?, component)];
                Manifest { actors, application: None }
            }
        };
        if let Some(id) = id {
            let id = ActorId::parse(id).map_err(|e| Failure::usage(e, ""))?;
            match (&manifest.application, manifest.actors.as_mut_slice()) {
                (None, [one]) => one.id = id,
                (_, more) => {
                    return Err(Failure::usage(
                        format!("the manifest has {} actors, so --id cannot name one", more.len()),
                        "leave --id out; each child has its own name",
                    ));
                }
            }
        }
        Ok(manifest)
    }

    /// The manifest's text for a node that is to read it, with its name and folder.
    pub fn text(&self) -> Result<(String, String, Option<PathBuf>)> {
        match self {
            Self::Manifest(path) => {
                let mut text = String::new();
                File::open(path)
                    .and_then(|f| f.take(MAX_MANIFEST + 1).read_to_string(&mut text))
                    .map_err(|e| Failure::read(path, &e))?;
                let folder = path.parent().map(Path::to_owned);
                Ok((text, path.display().to_string(), folder))
            }
            Self::Component(path) => {
                let file = path
                    .to_str()
                    .ok_or_else(|| Failure::usage(format!("{} is not UTF-8", path.display()), "rename the file"))?;
                // A JSON string is a TOML string.
                let file = serde_json::Value::from(file);
                let text = format!("[actor]\nname = \"{}\"\ncomponent = {file}\n", stem(path)?);
                Ok((text, path.display().to_string(), None))
            }
        }
    }
}

/// An id from a file's name: what cannot stand in an id becomes `-`.
fn stem(path: &Path) -> Result<ActorId> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).take(63).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    ActorId::parse(name).map_err(|_| {
        Failure::usage(
            format!("{} gives no actor id", path.display()),
            "name the actor with --id NAME, or rename the file",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_means_its_manifest_and_a_component_is_known_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        let e = Source::find(None, here).unwrap_err();
        assert!(e.help.contains("troupe new"), "{e:?}");
        fs::write(here.join("manifest.toml"), "").unwrap();
        assert_eq!(Source::find(None, here).unwrap(), Source::Manifest(here.join("manifest.toml")));
        fs::write(here.join("troupe.toml"), "").unwrap();
        assert_eq!(Source::find(Some(Path::new(".")), here).unwrap(), Source::Manifest(here.join("./troupe.toml")));
        fs::write(here.join("noend"), b"\0asm\x0d\0\x01\0").unwrap();
        assert_eq!(Source::find(Some(Path::new("noend")), here).unwrap(), Source::Component(here.join("noend")));
        let e = Source::find(Some(Path::new("none")), here).unwrap_err();
        assert_eq!(e.exit, crate::failure::Exit::Usage);
    }

    #[test]
    fn a_component_gives_an_id_and_a_manifest_of_its_own() {
        let id = |name: &str| stem(Path::new(name)).map(|id| id.to_string()).ok();
        assert_eq!(id("/x/Hello World.wasm").as_deref(), Some("default/hello-world"));
        assert_eq!(id("_a.b.wasm").as_deref(), Some("default/a.b"));
        assert_eq!(id("---.wasm"), None);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a \"b\".wasm");
        fs::write(&file, b"\0asm").unwrap();
        let source = Source::Component(file);
        let (text, name, folder) = source.text().unwrap();
        let read = Manifest::parse(&text, &name, folder.as_deref()).unwrap();
        assert_eq!(read, source.read(None).unwrap(), "both ways mean the same");
        assert_eq!(source.read(Some("ns/x")).unwrap().actors[0].id.as_str(), "ns/x");
    }
}
