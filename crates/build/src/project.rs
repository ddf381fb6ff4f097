//! A project's folder: which language it is in, which file it builds, and the build.

use std::path::{Path, PathBuf};

use crate::{Error, Progress, Result, Tools, c, files, js, python, rust};

/// The languages that actors can be built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `Cargo.toml`.
    Rust,
    /// `app.py`.
    Python,
    /// `package.json`.
    JavaScript,
    /// Files that end in `.c`.
    C,
}

/// What a build made.
#[derive(Debug)]
pub struct Built {
    /// The component's file, as `troupe.toml` names it.
    pub component: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What it was built from.
    pub language: Language,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Python, Self::JavaScript, Self::C];

    /// The name, as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::C => "C",
        }
    }

    /// The language of the project in this folder: the one whose mark lies at its top.
    pub fn detect(folder: &Path) -> Result<Self> {
        let mut found = Vec::new();
        for language in Self::ALL {
            let is_there = match language {
                Self::Rust => folder.join("Cargo.toml").is_file(),
                Self::Python => folder.join("app.py").is_file(),
                Self::JavaScript => folder.join("package.json").is_file(),
                Self::C => !c::sources(folder)?.is_empty(),
            };
            if is_there {
                found.push(language);
            }
        }
        match found[..] {
            [language] => Ok(language),
            [] => Err(Error::NotAProject { folder: folder.to_path_buf() }),
            _ => {
                let found = found.iter().map(|language| language.name()).collect::<Vec<_>>().join(" or ");
                Err(Error::Ambiguous { folder: folder.to_path_buf(), found })
            }
        }
    }
}

/// Builds the project in this folder with tools in the user's cache, and writes the component that its `troupe.toml` names.
pub fn build(folder: &Path, progress: Progress<'_>) -> Result<Built> {
    build_with(folder, &Tools::for_project(folder), progress)
}

/// The same with tools in a folder of the caller's choice.
pub fn build_with(folder: &Path, tools: &Tools, progress: Progress<'_>) -> Result<Built> {
    let language = Language::detect(folder)?;
    let component = component_file(folder)?;
    let work = folder.join("target/troupe");
    progress(&format!("building {} from {}", component.display(), language.name()));
    let bytes = match language {
        Language::Rust => rust::build(folder, progress)?,
        Language::Python => python::Toolchain::find(tools, progress)?.build(folder, &work, progress)?,
        Language::JavaScript => js::Toolchain::find(tools, progress)?.build(folder, &work, progress)?,
        Language::C => c::Toolchain::find(tools, progress)?.build(folder, &work, progress)?,
    };
    files::write(&component, &bytes)?;
    Ok(Built { component, size: bytes.len() as u64, language })
}

/// The file that `[actor] component` names, relative to the manifest.
fn component_file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("troupe.toml");
    let fault = |why: &str| Error::Manifest { path: path.clone(), why: why.to_string() };
    if !path.is_file() {
        return Err(fault(
            "there is no manifest here: add one with `[actor]`, `name = \"...\"` and `component = \"NAME.wasm\"`",
        ));
    }
    let text = String::from_utf8(files::read(&path)?).map_err(|_| fault("not UTF-8"))?;
    let manifest: toml::Table = text.parse().map_err(|error: toml::de::Error| fault(&error.to_string()))?;
    let component = manifest.get("actor").and_then(|actor| actor.get("component")).and_then(toml::Value::as_str);
    match component {
        Some(name) if name.ends_with(".wasm") => Ok(folder.join(name)),
        Some(name) => Err(fault(&format!(
            "`component = \"{name}\"` names no file that can be built: write one that ends in `.wasm`"
        ))),
        None => Err(fault("add `component = \"NAME.wasm\"` under `[actor]`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_told_by_one_file_at_the_top() {
        let folder = tempfile::tempdir().unwrap();
        let detect = || Language::detect(folder.path());
        assert!(matches!(detect(), Err(Error::NotAProject { .. })));
        for (file, language) in [
            ("Cargo.toml", Language::Rust),
            ("app.py", Language::Python),
            ("package.json", Language::JavaScript),
            ("counter.c", Language::C),
        ] {
            let path = folder.path().join(file);
            files::write(&path, b"").unwrap();
            assert_eq!(detect().unwrap(), language);
            std::fs::remove_file(path).unwrap();
        }
        files::write(&folder.path().join("app.py"), b"").unwrap();
        files::write(&folder.path().join("Cargo.toml"), b"").unwrap();
        let error = detect().unwrap_err().to_string();
        assert!(error.contains("Rust or Python"), "{error}");
    }

    #[test]
    fn the_component_is_the_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            files::write(&folder.path().join("troupe.toml"), text.as_bytes()).unwrap();
            component_file(folder.path()).map_err(|error| error.to_string())
        };
        assert!(component_file(folder.path()).unwrap_err().to_string().contains("there is no manifest"));
        assert_eq!(with("[actor]\ncomponent = \"a.wasm\""), Ok(folder.path().join("a.wasm")));
        assert!(with("[actor]\nname = \"a\"").unwrap_err().contains("under `[actor]`"));
        assert!(with("[actor]\ncomponent = \"a@1.0\"").unwrap_err().contains("a@1.0"));
        assert!(with("[actor").unwrap_err().contains("troupe.toml"));
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error_that_names_it() {
        let error = build(Path::new("/no/such/project"), &|_| ()).unwrap_err().to_string();
        assert!(error.contains("/no/such/project"), "{error}");
    }
}
