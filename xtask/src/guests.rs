//! `cargo xtask guests`: every guest as a component in one folder. What did not change is not built again.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use troupe_build::{Language, Tools, c, files, js, python, rust};

use crate::repo;

/// Raised when the way of building changes without a change in the sources.
const RECIPE: &str = "2";

/// The guests outside the Rust workspace: the component's name, its folder under tests/guests, its language.
const FOREIGN: [(&str, &str, Language); 4] = [
    ("counter-c", "c-counter", Language::C),
    ("tables", "c-tables", Language::C),
    ("counter-python", "python-counter", Language::Python),
    ("counter-js", "js-counter", Language::JavaScript),
];

#[derive(clap::Args, Default)]
pub struct Args {
    /// Where the components go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only the guests in Rust, which need no tools but cargo.
    #[arg(long)]
    rust: bool,
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
    let sources = repo::root().join("tests/guests");
    let say = |line: &str| eprintln!("guests: rust: {}", line.trim());
    let toolchain = rust::Toolchain::find(&sources, &say)?;
    let mut made = Vec::new();
    for module in toolchain.compile(&sources, Some(&repo::target().join("guests-rust")), &say)? {
        let component = rust::componentize(&module.path).with_context(|| format!("guest {}", module.package))?;
        files::write(&out.join(format!("{}.wasm", module.package)), &component)?;
        made.push(module.package);
    }
    Ok(made)
}

fn foreign_guests(languages: &[Language], out: &Path) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for &(name, folder, language) in FOREIGN.iter().filter(|(_, _, language)| languages.contains(language)) {
        foreign_guest(name, &repo::root().join("tests/guests").join(folder), language, out)
            .with_context(|| format!("guest {name}"))?;
        made.push(name.to_string());
    }
    Ok(made)
}

fn foreign_guest(name: &str, folder: &Path, language: Language, out: &Path) -> anyhow::Result<()> {
    let component = out.join(format!("{name}.wasm"));
    let stamp = out.join(".stamps").join(name);
    let mut recipe = vec![RECIPE];
    match language {
        Language::Python => recipe.extend(python::PACKAGES),
        Language::JavaScript => recipe.push(js::PACKAGE),
        Language::C => recipe.extend(c::PACKAGES),
        Language::Rust => {}
    }
    let sources = files::digest(&[folder, &repo::root().join("wit")], &recipe)?;
    if component.is_file() && files::read(&stamp).is_ok_and(|old| old == sources.as_bytes()) {
        return Ok(());
    }
    let say = |line: &str| eprintln!("guests: {}: {}", language.name(), line.trim());
    say(&format!("building {name}"));
    let (tools, work) = (tools(), repo::target().join("guests-work").join(name));
    let bytes = match language {
        Language::Rust => rust::build(folder, &say)?,
        Language::Python => python::Toolchain::find(&tools, &say)?.build(folder, &work, &say)?,
        Language::JavaScript => js::Toolchain::find(&tools, &say)?.build(folder, &work, &say)?,
        Language::C => c::Toolchain::find(&tools, &say)?.build(folder, &work, &say)?,
    };
    files::write(&component, &bytes)?;
    files::write(&stamp, sources.as_bytes())?;
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
