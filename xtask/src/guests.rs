//! `cargo xtask guests`: every guest as a component in one folder. What did not change is not built again.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use troupe_build::{Language, Tools, c, files, js, python, rust};

use crate::repo;

/// Raised when the way of building changes without a change in the sources.
const RECIPE: &str = "3";

/// A guest outside the Rust workspaces.
struct Foreign {
    /// The component's name.
    name: &'static str,
    language: Language,
    /// Its folder. What lies in `with` is laid beside its files, as it is in a project made by `troupe new`.
    folder: &'static str,
    with: &'static [&'static str],
}

const C_SDK: &[&str] = &["sdk/c/troupe.h", "sdk/c/troupe.c"];
const PYTHON_SDK: &[&str] = &["sdk/python/troupe.py"];
const JS_SDK: &[&str] = &["sdk/javascript/troupe.js"];

#[rustfmt::skip]
const FOREIGN: [Foreign; 13] = [
    Foreign { name: "counter-c", language: Language::C, folder: "tests/guests/c-counter", with: &[] },
    Foreign { name: "tables", language: Language::C, folder: "tests/guests/c-tables", with: &[] },
    Foreign { name: "counter-sdk-c", language: Language::C, folder: "sdk/c/examples/counter", with: C_SDK },
    Foreign { name: "collector-sdk-c", language: Language::C, folder: "sdk/c/examples/collector", with: C_SDK },
    Foreign { name: "workflow-sdk-c", language: Language::C, folder: "sdk/c/examples/workflow", with: C_SDK },
    Foreign { name: "worker-sdk-c", language: Language::C, folder: "sdk/c/examples/worker", with: C_SDK },
    Foreign { name: "counter-python", language: Language::Python, folder: "tests/guests/python-counter", with: &[] },
    Foreign { name: "python-stdlib", language: Language::Python, folder: "tests/guests/python-stdlib", with: &[] },
    Foreign { name: "office-sdk-python", language: Language::Python, folder: "sdk/python/examples/office", with: PYTHON_SDK },
    Foreign { name: "workflow-sdk-python", language: Language::Python, folder: "sdk/python/examples/workflow", with: PYTHON_SDK },
    Foreign { name: "counter-js", language: Language::JavaScript, folder: "tests/guests/js-counter", with: &[] },
    Foreign { name: "office-sdk-js", language: Language::JavaScript, folder: "sdk/javascript/examples/office", with: JS_SDK },
    Foreign { name: "workflow-sdk-js", language: Language::JavaScript, folder: "sdk/javascript/examples/workflow", with: JS_SDK },
];

/// The workspaces of guests in Rust.
const RUST: [&str; 3] = ["tests/guests", "sdk", "examples"];

#[derive(clap::Args, Default)]
pub struct Args {
    /// Where the components go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only the guests in Rust, which need no tools but cargo.
    #[arg(long)]
    rust: bool,
}

impl Args {
    /// The guests in Rust, where they usually go.
    pub fn only_rust() -> Self {
        Self { out: None, rust: true }
    }
}

/// Where guests go unless told otherwise.
pub fn folder() -> PathBuf {
    repo::target().join("guests")
}

/// The tools that guests and tests need, inside the repository.
pub fn tools() -> Tools {
    Tools::at(repo::target().join("tools"))
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let out = args.out.clone().unwrap_or_else(folder);
    let began = Instant::now();
    let _lock = lock()?;
    let mut made = BTreeSet::new();
    // Installing and running the other languages' tools takes the time in which cargo builds the Rust guests.
    std::thread::scope(|scope| {
        let mut others = Vec::new();
        if !args.rust {
            for languages in [&[Language::C, Language::Python][..], &[Language::JavaScript]] {
                let out = &out;
                others.push(scope.spawn(move || foreign_guests(languages, out)));
            }
        }
        made.extend(rust_guests(&out)?);
        for other in others {
            made.extend(other.join().map_err(|_| anyhow::anyhow!("a build thread ended early"))??);
        }
        anyhow::Ok(())
    })?;
    if !args.rust {
        remove_others(&out, &made)?;
    }
    eprintln!("guests: {} in {} ({:.1} s)", made.len(), out.display(), began.elapsed().as_secs_f32());
    Ok(())
}

/// Two builds of the guests at the same time would use the same folders; the second waits.
fn lock() -> anyhow::Result<File> {
    files::create_dir(&repo::target())?;
    let path = repo::target().join("guests.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn rust_guests(out: &Path) -> anyhow::Result<Vec<String>> {
    let say = |line: &str| eprintln!("guests: rust: {}", line.trim());
    let mut made = Vec::new();
    for workspace in RUST {
        let sources = repo::root().join(workspace);
        let toolchain = rust::Toolchain::find(&sources, &say)?;
        for module in toolchain.compile(&sources, Some(&repo::target().join("guests-rust")), &say)? {
            let component = rust::componentize(&module.path).with_context(|| format!("guest {}", module.package))?;
            files::write(&out.join(format!("{}.wasm", module.package)), &component)?;
            made.push(module.package);
        }
    }
    Ok(made)
}

fn foreign_guests(languages: &[Language], out: &Path) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for guest in FOREIGN.iter().filter(|guest| languages.contains(&guest.language)) {
        foreign_guest(guest, out).with_context(|| format!("guest {}", guest.name))?;
        made.push(guest.name.to_string());
    }
    Ok(made)
}

fn foreign_guest(guest: &Foreign, out: &Path) -> anyhow::Result<()> {
    let Foreign { name, language, .. } = *guest;
    let component = out.join(format!("{name}.wasm"));
    let stamp = out.join(".stamps").join(name);
    let mut recipe = vec![RECIPE];
    match language {
        Language::Python => recipe.extend(python::PACKAGES),
        Language::JavaScript => recipe.push(js::PACKAGE),
        Language::C => recipe.extend(c::PACKAGES),
        Language::Rust => {}
    }
    let folder = repo::root().join(guest.folder);
    let beside: Vec<PathBuf> = guest.with.iter().map(|file| repo::root().join(file)).collect();
    let wit = repo::root().join("wit");
    let parts: Vec<&Path> = [&folder, &wit].into_iter().chain(&beside).map(PathBuf::as_path).collect();
    let sources = files::digest(&parts, &recipe)?;
    if component.is_file() && files::read(&stamp).is_ok_and(|old| old == sources.as_bytes()) {
        return Ok(());
    }
    let say = |line: &str| eprintln!("guests: {}: {}", language.name(), line.trim());
    say(&format!("building {name}"));
    let (tools, work) = (tools(), repo::target().join("guests-work").join(name));
    let folder = if beside.is_empty() { folder } else { staged(&folder, &beside, &work.join("project"))? };
    let bytes = match language {
        Language::Rust => rust::build(&folder, &say)?,
        Language::Python => python::Toolchain::find(&tools, &say)?.build(&folder, &work, &say)?,
        Language::JavaScript => js::Toolchain::find(&tools, &say)?.build(&folder, &work, &say)?,
        Language::C => c::Toolchain::find(&tools, &say)?.build(&folder, &work, &say)?,
    };
    files::write(&component, &bytes)?;
    files::write(&stamp, sources.as_bytes())?;
    Ok(())
}

/// A folder with these files beside its own, as a project has them.
fn staged(folder: &Path, beside: &[PathBuf], into: &Path) -> anyhow::Result<PathBuf> {
    files::empty_dir(into)?;
    copy(folder, into)?;
    for file in beside {
        files::write(&into.join(file.file_name().unwrap_or_default()), &files::read(file)?)?;
    }
    Ok(into.to_path_buf())
}

fn copy(from: &Path, into: &Path) -> anyhow::Result<()> {
    for entry in files::list(from)? {
        let to = into.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy(&entry, &to)?;
        } else {
            files::write(&to, &files::read(&entry)?)?;
        }
    }
    Ok(())
}

/// A guest that is gone from the sources must not go on passing tests.
fn remove_others(out: &Path, made: &BTreeSet<String>) -> anyhow::Result<()> {
    for path in files::list(out)? {
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if is_component && !made.contains(&name) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
