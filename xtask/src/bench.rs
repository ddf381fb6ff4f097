//! `cargo xtask bench`: the guests, then the benchmarks, in release. One run, one table, bench/results/latest.json.

use std::process::Command;

use anyhow::{Context, bail};

use crate::{guests, repo};

#[derive(clap::Args)]
pub struct Args {
    /// Passed on to the benchmarks: `-- --only cast`, `-- --help`.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    guests::run(&guests::Args::default())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["run", "--release", "--quiet", "-p", "troupe-bench", "--"]).current_dir(repo::root());
    command.arg("--guests").arg(guests::folder()).arg("--work").arg(repo::target().join("bench")).args(&args.rest);
    let status = command.status().with_context(|| format!("{cargo:?} did not start"))?;
    if !status.success() {
        bail!("the benchmarks ended with {status}");
    }
    Ok(())
}
