//! `cargo xtask guests`: every guest as a component in one folder. What did not change is not built again.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use troupe_build::{files, rust};

use crate::repo;

#[derive(clap::Args, Default)]
pub struct Args {
    /// Where the components go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let out = args.out.clone().unwrap_or_else(|| repo::target().join("guests"));
    let began = Instant::now();
    rust_guests(&out)?;
    eprintln!("guests: done in {:.1} s: {}", began.elapsed().as_secs_f32(), out.display());
    Ok(())
}

fn rust_guests(out: &std::path::Path) -> anyhow::Result<()> {
    let sources = repo::root().join("tests/guests");
    let say = |line: &str| eprintln!("guests: rust: {}", line.trim());
    let toolchain = rust::Toolchain::find(&sources, &say)?;
    for module in toolchain.compile(&sources, Some(&repo::target().join("guests-rust")), &say)? {
        let component = rust::componentize(&module.path).with_context(|| format!("guest {}", module.package))?;
        files::write(&out.join(format!("{}.wasm", module.package)), &component)?;
    }
    Ok(())
}
