//! JavaScript: `componentize-js` from npm, by its API. Clocks, random numbers and output are WASI's; fetch is left out, so that
//! the component imports no `wasi:http`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command::run;
use crate::{Error, Progress, Result, Tools, files, wit};

/// The package that a JavaScript guest needs.
pub const PACKAGE: &str = "@bytecodealliance/componentize-js@0.23.0";

/// Entry files that are tried when `package.json` names none.
const ENTRIES: [&str; 2] = ["app.js", "index.js"];

/// Run by node, with: source, WIT folder, world, output.
const SCRIPT: &str = r#"import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";
const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName, disableFeatures: ["http", "fetch-event"] });
await writeFile(output, component);
"#;

/// Node and the compiler.
pub struct Toolchain {
    node: PathBuf,
    script: PathBuf,
}

impl Toolchain {
    /// Finds node, and the compiler in the tools' folder, or installs it.
    pub fn find(tools: &Tools, progress: Progress<'_>) -> Result<Self> {
        let (folder, node) = tools.npm(PACKAGE, progress)?;
        let script = folder.join("build.mjs");
        files::write(&script, SCRIPT.as_bytes())?;
        Ok(Self { node, script })
    }

    /// Builds the module that `package.json` names as `main` for the world in `wit/`; `work` is a folder for what lies between.
    pub fn build(&self, folder: &Path, work: &Path, progress: Progress<'_>) -> Result<Vec<u8>> {
        let world = wit::stage(&folder.join("wit"), &work.join("wit"))?;
        let output = work.join("component.wasm");
        let mut command = Command::new(&self.node);
        command.arg(&self.script).arg(entry(folder)?).arg(&world.folder).arg(world.name()).arg(&output);
        run(&mut command, progress)?;
        files::read(&output)
    }
}

fn entry(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("package.json");
    let fault = |why: String| Error::Manifest { path: path.clone(), why };
    let package: Value = serde_json::from_slice(&files::read(&path)?).map_err(|error| fault(error.to_string()))?;
    let entry = match package.get("main") {
        Some(Value::String(main)) => Some(folder.join(main)).filter(|path| path.is_file()),
        Some(other) => return Err(fault(format!("`main` must be the name of a file, not {other}"))),
        None => ENTRIES.iter().map(|name| folder.join(name)).find(|path| path.is_file()),
    };
    entry.ok_or_else(|| fault("add `\"main\": \"app.js\"`, naming a file that exists".to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_what_main_names_or_a_usual_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        files::write(&at("package.json"), b"{}").unwrap();
        assert!(entry(folder.path()).unwrap_err().to_string().contains("\"main\""));
        files::write(&at("index.js"), b"").unwrap();
        assert_eq!(entry(folder.path()).unwrap(), at("index.js"));
        files::write(&at("lib/x.js"), b"").unwrap();
        files::write(&at("package.json"), br#"{"main": "lib/x.js"}"#).unwrap();
        assert_eq!(entry(folder.path()).unwrap(), at("lib/x.js"));
        files::write(&at("package.json"), br#"{"main": "gone.js"}"#).unwrap();
        assert!(entry(folder.path()).is_err());
        files::write(&at("package.json"), b"{").unwrap();
        assert!(entry(folder.path()).unwrap_err().to_string().contains("package.json"));
    }
}
