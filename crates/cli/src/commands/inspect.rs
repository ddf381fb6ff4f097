//! `troupe inspect`: what a component file is, with no node.

use std::path::PathBuf;

use serde_json::json;
use troupe_runtime::component::{Missing, inspect};

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe inspect counter.wasm
  troupe inspect counter.wasm --json | jq -r .digest")]
pub struct Args {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints digest, size, imports and exports.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let path = context.here.join(&args.file);
    let bytes = std::fs::read(&path).map_err(|e| Failure::read(&path, &e))?;
    let found = inspect(&bytes).map_err(|e| Failure::failed("not-a-component", e.of_file(&path), ""))?;
    let Missing { missing, to_bind } = troupe_runtime::component::missing(&found)?;
    let out = context.out;
    if out.json {
        out.value(&json!({
            "digest": found.digest.to_string(), "size": found.size, "contracts": found.contracts(),
            "imports": found.imports, "exports": found.exports, "missing": missing, "to-bind": to_bind,
        }));
        return Ok(());
    }
    out.line(format!("{}\n{} bytes", found.digest, found.size));
    for (title, names) in
        [("can be driven by", &found.contracts()), ("imports", &found.imports), ("exports", &found.exports)]
    {
        out.line(format!("{title}:{}", if names.is_empty() { " nothing" } else { "" }));
        names.iter().for_each(|name| out.line(format!("  {name}")));
    }
    if !missing.is_empty() {
        out.line("it cannot run: nobody provides");
        missing.iter().for_each(|name| out.line(format!("  {name}")));
    }
    if !to_bind.is_empty() {
        out.line("an actor must provide, named in [bind] of the manifest");
        to_bind.iter().for_each(|name| out.line(format!("  {name}")));
    }
    Ok(())
}
