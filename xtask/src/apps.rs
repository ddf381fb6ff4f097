//! `cargo xtask apps`: the applications in examples/, through the library; a line each on what was computed and checked.

use std::process::Command;

use anyhow::{Context, bail};

use crate::{guests, repo};

pub fn run() -> anyhow::Result<()> {
    guests::run(&guests::Args::only_rust())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // One selection of packages everywhere, so that nothing is built twice; one at a time, so that the times mean something.
    command.args(["test", "--release", "--workspace", "--lib", "--", "--nocapture", "--test-threads=1", "apps::"]);
    command.current_dir(repo::root()).env("TROUPE_GUESTS", guests::folder());
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cargo did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("an application failed:\n{text}");
    }
    // A line of an application stands behind the name of its test.
    let said: Vec<&str> = text
        .lines()
        .filter_map(|line| NAMES.iter().find_map(|name| line.find(&format!("{name}: ")).map(|at| &line[at..])))
        .collect();
    for line in &said {
        println!("{line}");
    }
    if said.len() != NAMES.len() {
        bail!("{} applications of {} said what they did:\n{text}", said.len(), NAMES.len());
    }
    Ok(())
}

/// The applications.
const NAMES: [&str; 3] = ["heat", "orders", "matrix"];
