//! The contracts' WIT, carried in the library, and a project's own WIT made complete with it.
//!
//! A project keeps its world in `wit/`. Packages that it names and does not have under `wit/deps` are taken from here: the native
//! contract, and WASI 0.2. Languages whose tools read `wit/` by themselves (Rust) need the files in the project;
//! [`write_packages`] puts them there.

use std::path::{Path, PathBuf};

use wit_parser::{Resolve, WorldId};

use crate::{Error, Result, files};

/// A package that the library carries.
struct Package {
    name: &'static str,
    folder: &'static str,
    files: &'static [(&'static str, &'static str)],
    needs: &'static [&'static str],
}

macro_rules! wit {
    ($($path:literal),*) => { &[$(($path, include_str!(concat!("../../../wit/", $path)))),*] };
}

/// The native contract's package.
pub const ACTOR: &str = "troupe:actor";

const WASI_ALL: &[&str] = &["wasi:io", "wasi:clocks", "wasi:random", "wasi:filesystem", "wasi:sockets"];
const WASI_CLI: &[&str] = &["wasi:io", "wasi:clocks", "wasi:random", "wasi:filesystem", "wasi:sockets", "wasi:cli"];

const PACKAGES: &[Package] = &[
    Package {
        name: ACTOR,
        folder: "troupe-actor",
        files: wit![
            "troupe-actor/behaviors.wit",
            "troupe-actor/channels.wit",
            "troupe-actor/coordination.wit",
            "troupe-actor/host.wit",
            "troupe-actor/messaging.wit",
            "troupe-actor/processes.wit",
            "troupe-actor/tuplespace.wit",
            "troupe-actor/types.wit"
        ],
        needs: &[],
    },
    Package { name: "wasi:io", folder: "wasi-io", files: wit!["deps/io.wit"], needs: &[] },
    Package { name: "wasi:random", folder: "wasi-random", files: wit!["deps/random.wit"], needs: &[] },
    Package { name: "wasi:clocks", folder: "wasi-clocks", files: wit!["deps/clocks.wit"], needs: &["wasi:io"] },
    Package {
        name: "wasi:filesystem",
        folder: "wasi-filesystem",
        files: wit!["deps/filesystem.wit"],
        needs: &["wasi:io", "wasi:clocks"],
    },
    Package {
        name: "wasi:sockets",
        folder: "wasi-sockets",
        files: wit!["deps/sockets.wit"],
        needs: &["wasi:io", "wasi:clocks"],
    },
    Package { name: "wasi:cli", folder: "wasi-cli", files: wit!["deps/cli.wit"], needs: WASI_ALL },
    Package { name: "wasi:http", folder: "wasi-http", files: wit!["deps/http.wit"], needs: WASI_CLI },
    Package { name: "wasi:keyvalue", folder: "wasi-keyvalue", files: wit!["deps/keyvalue.wit"], needs: &[] },
    Package { name: "wasi:logging", folder: "wasi-logging", files: wit!["deps/logging.wit"], needs: &[] },
    Package { name: "wasi:config", folder: "wasi-config", files: wit!["deps/config.wit"], needs: &[] },
];

/// A project's WIT, complete, and the world that it builds for.
pub struct World {
    /// Everything that the files say.
    pub resolve: Resolve,
    /// The world.
    pub id: WorldId,
    /// The folder that holds the complete files.
    pub folder: PathBuf,
}

impl World {
    /// The world's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.resolve.worlds[self.id].name
    }
}

/// Copies the project's WIT to `into` (which is emptied first), adds the packages that it names and lacks, and reads it.
/// The project's own package must have exactly one world.
pub fn stage(wit: &Path, into: &Path) -> Result<World> {
    files::empty_dir(into)?;
    let mut texts = Vec::new();
    copy(wit, into, &mut texts)?;
    write_packages(&missing(&texts), &into.join("deps"))?;
    let failed = |why: String| Error::Wit { path: wit.to_path_buf(), why };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(into).map_err(|error| failed(format!("{error:#}")))?;
    let id = resolve.select_world(&[package], None).map_err(|error| failed(format!("{error:#}")))?;
    Ok(World { resolve, id, folder: into.to_path_buf() })
}

/// Writes these packages (and no other), each into a folder of its own.
pub fn write_packages(names: &[&str], deps: &Path) -> Result<()> {
    for package in PACKAGES.iter().filter(|package| names.contains(&package.name)) {
        for (path, text) in package.files {
            let name = Path::new(path).file_name().unwrap_or_default();
            files::write(&deps.join(package.folder).join(name), text.as_bytes())?;
        }
    }
    Ok(())
}

/// Which of our packages these texts name, with all that those need in turn, and do not define.
fn missing(texts: &[String]) -> Vec<&'static str> {
    let mut wanted: Vec<&'static str> = Vec::new();
    for package in PACKAGES {
        let is_used = texts.iter().any(|text| text.contains(&format!("{}/", package.name)));
        if is_used {
            wanted.extend(package.needs.iter().chain([&package.name]));
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted.retain(|name| !texts.iter().any(|text| defines(text, name)));
    wanted
}

fn defines(text: &str, package: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("package "))
        .any(|rest| rest.trim_start().strip_prefix(package).is_some_and(|rest| rest.starts_with(['@', ';', ' ', '{'])))
}

fn copy(from: &Path, to: &Path, texts: &mut Vec<String>) -> Result<()> {
    for entry in files::list(from)? {
        let Some(name) = entry.file_name() else { continue };
        if entry.is_dir() {
            copy(&entry, &to.join(name), texts)?;
        } else if entry.extension().is_some_and(|extension| extension == "wit") {
            let bytes = files::read(&entry)?;
            files::write(&to.join(name), &bytes)?;
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(world: &str) -> Result<World> {
        let folder = tempfile::tempdir().unwrap();
        files::write(&folder.path().join("wit/world.wit"), world.as_bytes()).unwrap();
        stage(&folder.path().join("wit"), &folder.path().join("staged"))
    }

    #[test]
    fn a_world_gets_the_packages_that_it_names_and_their_needs() {
        let world =
            staged("package a:b;\nworld w { import troupe:actor/host@0.1.0; import wasi:clocks/wall-clock@0.2.12; }")
                .unwrap();
        assert_eq!(world.name(), "w");
        let mut names: Vec<String> = world
            .resolve
            .packages
            .iter()
            .map(|(_, package)| format!("{}:{}", package.name.namespace, package.name.name))
            .collect();
        names.sort();
        assert_eq!(names, ["a:b", "troupe:actor", "wasi:clocks", "wasi:io"]);
    }

    #[test]
    fn the_whole_of_wasi_and_of_the_contract_parses() {
        staged("package a:b;\nworld w { include troupe:actor/imports@0.1.0; include wasi:cli/imports@0.2.12; }")
            .unwrap();
    }

    #[test]
    fn what_the_project_has_is_not_replaced() {
        let texts = ["import troupe:actor/host@0.1.0; import wasi:random/random@0.2.0;".to_string()];
        assert_eq!(missing(&texts), ["troupe:actor", "wasi:random"]);
        let texts =
            [texts[0].clone(), "package wasi:random@0.2.0;".to_string(), "package wasi:random-more;".to_string()];
        assert_eq!(missing(&texts), ["troupe:actor"]);
    }

    #[test]
    fn wit_that_cannot_be_used_is_an_error_that_names_the_folder() {
        for bad in
            ["package a:b;\nworld w { import no:such/thing; }", "package a:b;", "package a:b;\nworld v {}\nworld w {}"]
        {
            let Err(error) = staged(bad) else { panic!("accepted: {bad}") };
            assert!(error.to_string().contains("/wit cannot be used"), "{error}");
        }
        assert!(matches!(
            stage(Path::new("/no/such/wit"), &std::env::temp_dir().join("troupe-no-such-wit")),
            Err(Error::Io { .. })
        ));
    }
}
