//! `cargo xtask coverage`: every host function, and a test of a real guest that calls it live, before a power cut that the guest
//! survives, and in replay. Fails where one is missing.
//!
//! The tests leave one file each under target/coverage (tests/src/coverage.rs says what counts). What is missing and known stands in
//! tests/coverage-gaps.txt with its reason; a line there that is not missing any more fails too, so that the list only shrinks.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Print what is missing as lines for tests/coverage-gaps.txt, and do not fail.
    #[arg(long)]
    gaps: bool,
}

/// How a function is covered.
const HOW: [&str; 3] = ["live", "kill", "replay"];

pub fn folder() -> PathBuf {
    repo::target().join("coverage")
}

/// The list of what is missing and known.
fn gaps() -> PathBuf {
    repo::root().join("tests/coverage-gaps.txt")
}

/// What the tests covered, at their end. Held to the list of gaps once there is one; until then what is missing is told.
pub fn after_tests() -> anyhow::Result<()> {
    match run(&Args::default()) {
        Err(error) if !gaps().exists() => {
            println!("coverage: {error:#}; `cargo xtask coverage --gaps > tests/coverage-gaps.txt` begins the list");
            Ok(())
        }
        other => other,
    }
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
    let known = known(&fs::read_to_string(gaps()).unwrap_or_default())?;
    let found = compare(&functions, &covered, &known);
    if args.list {
        for function in functions.lines() {
            println!("{function}");
            for how in HOW {
                let test = covered.get(&(how.to_owned(), function.to_owned()));
                println!("  {how:6} {}", test.map_or("-", String::as_str));
            }
        }
    }
    if args.gaps {
        found.missing.iter().for_each(|(how, function)| println!("{how} {function}  # no test yet"));
        return Ok(());
    }
    let (all, known) = (functions.lines().count(), known.len());
    found.missing.iter().for_each(|(how, function)| println!("missing: {how} {function}"));
    found.stale.iter().for_each(|(how, function)| println!("not missing any more: {how} {function}"));
    println!("{all} functions, each live, after a kill and in replay, but for {known} known gaps");
    if !found.missing.is_empty() {
        bail!("{} are missing: docs/adding-a-host-interface.md says how a function is covered", found.missing.len());
    }
    if !found.stale.is_empty() {
        bail!("take what is not missing any more out of tests/coverage-gaps.txt");
    }
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

type Gaps = BTreeSet<(String, String)>;

/// `HOW FUNCTION  # REASON` a line.
fn known(text: &str) -> anyhow::Result<Gaps> {
    let mut gaps = Gaps::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let gap = line.split_once("  # ").filter(|(_, reason)| !reason.trim().is_empty());
        let Some((how, function)) = gap.and_then(|(gap, _)| gap.split_once(' ')).filter(|(how, _)| HOW.contains(how))
        else {
            bail!("tests/coverage-gaps.txt: {line:?} is no `live|kill|replay FUNCTION  # REASON`");
        };
        gaps.insert((how.to_owned(), function.trim().to_owned()));
    }
    Ok(gaps)
}

struct Found {
    missing: Gaps,
    stale: Gaps,
}

fn compare(functions: &str, covered: &Covered, known: &Gaps) -> Found {
    let all = functions.lines().flat_map(|function| HOW.map(|how| (how.to_owned(), function.to_owned())));
    let open: Gaps = all.filter(|one| !covered.contains_key(one)).collect();
    Found { missing: open.difference(known).cloned().collect(), stale: known.difference(&open).cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(how: &str, function: &str) -> (String, String) {
        (how.to_owned(), function.to_owned())
    }

    #[test]
    fn what_is_missing_and_what_is_not_missing_any_more_are_told() {
        let covered: Covered = [one("live", "a"), one("kill", "a"), one("replay", "a"), one("live", "b")]
            .map(|one| (one, "t".into()))
            .into();
        let found =
            compare("a\nb\n", &covered, &known("# why\n\nkill b  # it ends the actor\nkill a  # no test\n").unwrap());
        assert_eq!(found.missing, Gaps::from([one("replay", "b")]));
        assert_eq!(found.stale, Gaps::from([one("kill", "a")]));
        for bad in ["kill b", "kill b  # ", "dead b  # x", "kill  # x"] {
            assert!(known(bad).is_err(), "{bad}");
        }
    }
}
