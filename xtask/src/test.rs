//! `cargo xtask test`: the guests, then every test and doc test of the workspace, then what they covered.

use std::process::Command;

use anyhow::{Context, bail};
use troupe_build::{c, python};

use crate::{coverage, guests, repo};

/// What the journal verifier in docs/ needs.
const VERIFIER: &str = "blake3==1.0.11";

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the test runner: names of tests, or options of it.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    guests::run(&guests::Args::default())?;
    let say = |line: &str| eprintln!("test: {line}");
    let packages = [&python::PACKAGES[..], &c::PACKAGES, &[VERIFIER]].concat();
    let python = guests::tools().python(&packages, &say)?;

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = |words: &[&str]| {
        let mut command = Command::new(&cargo);
        command.args(words).current_dir(repo::root());
        command.env("TROUPE_GUESTS", guests::folder());
        command.env("TROUPE_TOOLS", guests::tools().folder());
        command.env("TROUPE_PYTHON", &python);
        command.env("TROUPE_BIN", repo::target().join("release/troupe"));
        command
    };

    // The tests drive the command itself.
    if !passed(&mut command(&["build", "--release", "--workspace", "--bins"]))? {
        bail!("the workspace does not build");
    }
    let has_nextest = command(&["nextest", "--version"]).output().is_ok_and(|output| output.status.success());
    let mut tests = if has_nextest {
        command(&["nextest", "run", "--release", "--workspace", "--no-fail-fast"])
    } else {
        command(&["test", "--release", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])
    };
    let whole = args.rest.is_empty();
    if whole {
        coverage::clear()?;
    }
    let tests_passed = passed(tests.args(&args.rest))?;
    if whole && tests_passed && has_nextest {
        // Without nextest a file would be of all tests at once, and a cut in one of them would count for all.
        coverage::run(&coverage::Args::default())?;
    }
    // Doc tests run in either case, so that one run shows all that is wrong.
    let docs_passed = !args.rest.is_empty() || passed(&mut command(&["test", "--release", "--workspace", "--doc"]))?;
    match (tests_passed, docs_passed) {
        (true, true) => Ok(()),
        (false, true) => bail!("tests failed"),
        (true, false) => bail!("doc tests failed"),
        (false, false) => bail!("tests and doc tests failed"),
    }
}

fn passed(command: &mut Command) -> anyhow::Result<bool> {
    let status = command.status().with_context(|| format!("{:?} did not start", command.get_program()))?;
    Ok(status.success())
}
