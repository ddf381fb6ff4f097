//! `cargo xtask coverage`: every host function, and a test of a real guest that calls it live, before a power cut that the guest
//! survives, and in replay. Fails where one is missing.
//!
//! The tests leave one file each under target/coverage; tests/src/coverage.rs says what counts.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::repo;

#[derive(clap::Args, Default)]
pub struct Args {
    /// Print every function with a test of each kind, not only what is missing.
    #[arg(long)]
    list: bool,
}

/// How a function is covered.
const HOW: [&str; 3] = ["live", "kill", "replay"];

pub fn folder() -> PathBuf {
    repo::target().join("coverage")
}

/// Forgets what earlier tests left.
pub fn clear() -> anyhow::Result<()> {
    match fs::remove_dir_all(folder()) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e).context("target/coverage"),
        _ => Ok(()),
    }
}

/// A function and a way to cover it, and the first test that does.
type Covered = BTreeMap<(String, String), String>;

pub fn run(args: &Args) -> anyhow::Result<()> {
    let list = folder().join("functions.list");
    let functions = fs::read_to_string(&list)
        .with_context(|| format!("{}: run the tests first, `cargo xtask test`", list.display()))?;
    let covered = covered()?;
    let missing = missing(&functions, &covered);
    if args.list {
        for function in functions.lines() {
            println!("{function}");
            for how in HOW {
                let test = covered.get(&(how.to_owned(), function.to_owned()));
                println!("  {how:6} {}", test.map_or("-", String::as_str));
            }
        }
    }
    missing.iter().for_each(|(function, how)| println!("missing: {how} {function}"));
    if !missing.is_empty() {
        bail!("{} are missing: docs/adding-a-host-interface.md says how a function is covered", missing.len());
    }
    println!("{} functions, each live, after a kill and in replay", functions.lines().count());
    Ok(())
}

fn covered() -> anyhow::Result<Covered> {
    let mut covered = Covered::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "txt") {
            continue;
        }
        let test = path.file_stem().unwrap_or_default().to_string_lossy().replace('.', "::");
        for line in fs::read_to_string(&path)?.lines() {
            if let Some((how, function)) = line.split_once(' ') {
                covered.entry((how.to_owned(), function.to_owned())).or_insert_with(|| test.clone());
            }
        }
    }
    Ok(covered)
}

/// Functions and ways in which no test covers them.
fn missing(functions: &str, covered: &Covered) -> Vec<(String, &'static str)> {
    let all = functions.lines().flat_map(|function| HOW.map(|how| (function.to_owned(), how)));
    all.filter(|(function, how)| !covered.contains_key(&((*how).to_owned(), function.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_test_covers_is_missing_by_each_way() {
        let covered: Covered = [("live", "a"), ("kill", "a"), ("replay", "a"), ("live", "b")]
            .map(|(how, function)| ((how.to_owned(), function.to_owned()), "t".into()))
            .into();
        let b = |how| ("b".to_owned(), how);
        assert_eq!(missing("a\nb\n", &covered), [b("kill"), b("replay")]);
        assert_eq!(missing("a\n", &covered), []);
    }
}
