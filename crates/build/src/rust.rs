//! Rust: the target `wasm32-unknown-unknown`, then the component made of the module in this process. Such a component imports
//! what its world names and its code calls, and nothing else: no clock, no random numbers, no files come in by the back door.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wit_component::ComponentEncoder;

use crate::command::{find, run};
use crate::{Error, Progress, Result, files};

const TARGET: &str = "wasm32-unknown-unknown";

/// A Rust toolchain that can build for WebAssembly.
pub struct Toolchain {
    cargo: PathBuf,
    homes: Homes,
}

/// A module as cargo made it, not yet a component.
#[derive(Debug)]
pub struct Module {
    /// The package's name, with `-` for each `_`.
    pub package: String,
    /// The module.
    pub path: PathBuf,
}

/// Where cargo and rustup keep their things, when it must be told to them.
#[derive(Default)]
struct Homes {
    cargo: Option<PathBuf>,
    rustup: Option<PathBuf>,
}

impl Toolchain {
    /// Finds cargo on the PATH, and the target in its sysroot; a missing target is added with rustup.
    pub fn find(folder: &Path, progress: Progress<'_>) -> Result<Self> {
        let cargo = find("cargo").ok_or_else(|| Error::Missing {
            what: "cargo".to_string(),
            remedy: "install Rust from https://rustup.rs, or put its `bin` folder on the PATH".to_string(),
        })?;
        let homes = Homes::beside(&cargo, |name| std::env::var_os(name).is_some(), home().as_deref());
        let toolchain = Self { cargo, homes };
        if !toolchain.has_target(folder, progress)? {
            toolchain.add_target(folder, progress)?;
        }
        Ok(toolchain)
    }

    /// Builds the package, or all packages of the workspace, of this folder. Cargo's own output folder is used unless one is given.
    pub fn compile(&self, folder: &Path, target_dir: Option<&Path>, progress: Progress<'_>) -> Result<Vec<Module>> {
        let mut command = self.command(&self.cargo, folder);
        command.args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics"]);
        if let Some(target_dir) = target_dir {
            command.arg("--target-dir").arg(target_dir);
        }
        // Flags that the caller's own build was given are meant for the host.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
        let output = run(&mut command, progress)?;
        Ok(modules(&String::from_utf8_lossy(&output)))
    }

    fn has_target(&self, folder: &Path, progress: Progress<'_>) -> Result<bool> {
        let rustc = self.cargo.with_file_name("rustc");
        let rustc = if rustc.is_file() { rustc } else { PathBuf::from("rustc") };
        let output = run(self.command(&rustc, folder).args(["--print", "sysroot"]), progress)?;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output).trim());
        let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        Ok(files::list(&library).is_ok_and(|entries| {
            entries
                .iter()
                .any(|entry| entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstd-")))
        }))
    }

    fn add_target(&self, folder: &Path, progress: Progress<'_>) -> Result<()> {
        let by_hand = |why: &str| Error::Missing {
            what: format!("the Rust target {TARGET}"),
            remedy: format!("run `rustup target add {TARGET}`{why}"),
        };
        let beside = self.cargo.with_file_name("rustup");
        let rustup = if beside.is_file() { Some(beside) } else { find("rustup") };
        let rustup = rustup.ok_or_else(|| by_hand(" (no rustup was found; get it from https://rustup.rs)"))?;
        progress(&format!("adding the Rust target {TARGET} (once)"));
        run(self.command(&rustup, folder).args(["target", "add", TARGET]), progress)
            .map_err(|error| by_hand(&format!("; it was tried: {error}")))?;
        Ok(())
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder);
        for (name, home) in [("CARGO_HOME", &self.homes.cargo), ("RUSTUP_HOME", &self.homes.rustup)] {
            if let Some(home) = home {
                command.env(name, home);
            }
        }
        command
    }
}

impl Homes {
    /// `cargo` on the PATH may be rustup's stand-in, which looks for the toolchains under the home folder. Where that is another one
    /// (`env -i`, a service) or does not hold them, the folders beside the stand-in are right: `.cargo/bin` lies beside
    /// `.rustup`. What is set in the environment, or lies in the home folder, is not touched.
    fn beside(cargo: &Path, is_set: impl Fn(&str) -> bool, home: Option<&Path>) -> Self {
        let mut homes = Self::default();
        let Some(cargo_home) = cargo.parent().and_then(Path::parent) else { return homes };
        if !cargo.with_file_name("rustup").is_file() {
            return homes;
        }
        let in_home = |name: &str| home.is_some_and(|home| home.join(name).is_dir());
        if !is_set("CARGO_HOME") && !in_home(".cargo/registry") {
            homes.cargo = Some(cargo_home.to_path_buf());
        }
        if !is_set("RUSTUP_HOME") && !in_home(".rustup/toolchains") {
            homes.rustup = [".rustup", "rustup"]
                .iter()
                .map(|name| cargo_home.with_file_name(name))
                .find(|folder| folder.join("toolchains").is_dir());
        }
        homes
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

/// The modules that cargo names in its messages.
fn modules(messages: &str) -> Vec<Module> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact");
    artifacts
        .filter_map(|artifact| {
            let path = artifact["filenames"]
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .find(|name| name.ends_with(".wasm"))?;
            // A library's target has `_` where its package has `-`.
            let name = artifact["target"]["name"].as_str()?;
            Some(Module { package: name.replace('_', "-"), path: PathBuf::from(path) })
        })
        .collect()
}

/// Makes a component of a module that `wit-bindgen` prepared.
pub fn componentize(module: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(module)?;
    ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| Error::Component { path: module.to_path_buf(), why: format!("{error:#}") })
}

/// Builds the one package of this folder and gives its component's bytes.
pub fn build(folder: &Path, progress: Progress<'_>) -> Result<Vec<u8>> {
    let toolchain = Toolchain::find(folder, progress)?;
    let mut made = toolchain.compile(folder, None, progress)?;
    match (made.pop(), made.pop()) {
        (Some(module), None) => componentize(&module.path),
        (None, _) => Err(Error::Output {
            folder: folder.to_path_buf(),
            why: "cargo made no WebAssembly module: add `[lib]` with `crate-type = [\"cdylib\"]` to Cargo.toml"
                .to_string(),
        }),
        (Some(one), Some(other)) => Err(Error::Output {
            folder: folder.to_path_buf(),
            why: format!(
                "cargo made more than one module ({}, {}): build one package at a time",
                one.package, other.package
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_beside_the_stand_in_are_used_only_where_nothing_else_says() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join(".cargo/bin");
        files::write(&bin.join("rustup"), b"").unwrap();
        files::create_dir(&root.path().join(".rustup/toolchains")).unwrap();
        let cargo = bin.join("cargo");

        let homes = Homes::beside(&cargo, |_| false, Some(Path::new("/nowhere")));
        assert_eq!(homes.cargo, Some(root.path().join(".cargo")));
        assert_eq!(homes.rustup, Some(root.path().join(".rustup")));

        let homes = Homes::beside(&cargo, |name| name == "RUSTUP_HOME", None);
        assert_eq!((homes.cargo.is_some(), homes.rustup), (true, None));

        files::create_dir(&root.path().join(".cargo/registry")).unwrap();
        let homes = Homes::beside(&cargo, |_| false, Some(root.path()));
        assert_eq!((homes.cargo, homes.rustup), (None, None));

        let plain = root.path().join("usr/bin/cargo");
        let homes = Homes::beside(&plain, |_| false, None);
        assert_eq!((homes.cargo, homes.rustup), (None, None));
    }

    #[test]
    fn modules_are_read_from_cargos_messages() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"dep\"},\"filenames\":[\"/t/libdep.rlib\"]}\n",
            "not json\n",
            "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"two_words\"},\"filenames\":[\"/t/two_words.wasm\"]}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        let made = modules(messages);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].package, "two-words");
        assert_eq!(made[0].path, Path::new("/t/two_words.wasm"));
    }

    #[test]
    fn a_module_that_is_none_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.wasm");
        files::write(&path, b"not wasm").unwrap();
        let error = componentize(&path).unwrap_err().to_string();
        assert!(error.contains("bad.wasm"), "{error}");
    }
}
