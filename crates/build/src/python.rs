//! Python: `componentize-py` from PyPI. The component holds the interpreter and imports WASI's clocks, random numbers, environment
//! and more, used or not; the actor's grants decide what answers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run;
use crate::{Progress, Result, Tools, files, wit};

/// The packages that a Python guest needs.
pub const PACKAGES: [&str; 1] = ["componentize-py==0.25.1"];

/// What the package's own script does; that one begins with a path that may be too long for the system.
const START: &str = "import sys; from componentize_py import script; sys.exit(script())";

/// The interpreter that runs the compiler.
pub struct Toolchain {
    python: PathBuf,
}

impl Toolchain {
    /// Finds the compiler in the tools' folder, or installs it.
    pub fn find(tools: &Tools, progress: Progress<'_>) -> Result<Self> {
        Ok(Self { python: tools.python(&PACKAGES, progress)? })
    }

    /// Builds `app.py` and the modules beside it for the world in `wit/`; `work` is a folder for what lies between.
    pub fn build(&self, folder: &Path, work: &Path, progress: Progress<'_>) -> Result<Vec<u8>> {
        let world = wit::stage(&folder.join("wit"), &work.join("wit"))?;
        let output = work.join("component.wasm");
        let mut command = Command::new(&self.python);
        command.args(["-c", START, "--quiet", "-d"]).arg(&world.folder).args(["-w", world.name()]);
        command.args(["componentize", "app", "-p"]).arg(folder).arg("-o").arg(&output);
        // The guest's own modules are all that it may see of this machine's Python.
        command.env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV");
        run(&mut command, progress)?;
        files::read(&output)
    }
}
