//! C: bindings by `wit-bindgen` in this process, compiled by `zig cc` from PyPI, made into a component here. A guest that keeps to
//! memory and arithmetic imports only its world; one that uses stdio or time gets those from WASI through the usual adapter.

use std::path::{Path, PathBuf};
use std::process::Command;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;

use crate::command::run;
use crate::{Error, Progress, Result, Tools, files, wit};

/// The packages that a guest in C needs.
pub const PACKAGES: [&str; 1] = ["ziglang==0.17.0"];

/// The stack's size. The compiler's own choice is 16 MiB, which is all the memory that an actor has unless its manifest says more.
const STACK: &str = "-Wl,-z,stack-size=1048576";

/// The interpreter whose packages hold the compiler.
pub struct Toolchain {
    python: PathBuf,
    cache: PathBuf,
}

impl Toolchain {
    /// Finds the compiler in the tools' folder, or installs it.
    pub fn find(tools: &Tools, progress: Progress<'_>) -> Result<Self> {
        Ok(Self { python: tools.python(&PACKAGES, progress)?, cache: tools.folder().join("zig-cache") })
    }

    /// Builds all C files at the top of the folder for the world in `wit/`; `work` is a folder for what lies between.
    pub fn build(&self, folder: &Path, work: &Path, progress: Progress<'_>) -> Result<Vec<u8>> {
        let mut world = wit::stage(&folder.join("wit"), &work.join("wit"))?;
        let bindings = work.join("bindings");
        files::empty_dir(&bindings)?;
        let mut generated = Files::default();
        wit_bindgen_c::Opts::default()
            .build()
            .generate(&mut world.resolve, world.id, &mut generated)
            .map_err(|error| Error::Wit { path: folder.join("wit"), why: format!("{error:#}") })?;
        for (name, bytes) in generated.iter() {
            files::write(&bindings.join(name), bytes)?;
        }

        let module = work.join("module.wasm");
        let mut command = Command::new(&self.python);
        command.args([
            "-m",
            "ziglang",
            "cc",
            "-target",
            "wasm32-wasi",
            "-mexec-model=reactor",
            "-Os",
            "-s",
            "-std=c17",
            "-Wall",
            "-mreference-types",
            STACK,
        ]);
        command.arg("-I").arg(&bindings).args(sources(folder)?).args(sources(&bindings)?);
        command.args(objects(&bindings)?).arg("-o").arg(&module);
        command.env("ZIG_GLOBAL_CACHE_DIR", &self.cache).env("ZIG_LOCAL_CACHE_DIR", work.join("zig-cache"));
        run(&mut command, progress)?;
        componentize(&module)
    }
}

/// The C files at the top of a folder.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    with_extension(folder, "c")
}

fn objects(folder: &Path) -> Result<Vec<PathBuf>> {
    with_extension(folder, "o")
}

fn with_extension(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>> {
    let mut found = files::list(folder)?;
    found.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == wanted));
    Ok(found)
}

fn componentize(module: &Path) -> Result<Vec<u8>> {
    let bytes = files::read(module)?;
    ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.adapter(ADAPTER_NAME, ADAPTER))
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| Error::Component { path: module.to_path_buf(), why: format!("{error:#}") })
}
