//! `troupe key`: what the signatures of a node are checked with.

use clap::Subcommand;
use serde_json::json;
use troupe_runtime::env::SystemEntropy;
use troupe_server::signed;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  troupe key show      ed25519:...; give it to whoever checks your journals

The key lies in the data folder as node.key, for its owner only, and is made when it is first asked for.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print the public key
    #[command(after_help = "Example:\n  troupe key show --json")]
    Show,
}

/// Shows it.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let What::Show = args.what;
    let key = signed::key(&context.data()?, &SystemEntropy).map_err(no_key)?.public().to_string();
    if context.out.json {
        context.out.value(&json!({ "key": key }));
    } else {
        context.out.line(key);
    }
    Ok(())
}

/// There is no key to sign with.
pub fn no_key(e: signed::KeyError) -> Failure {
    Failure::failed("key", e, "the key's file is `node.key` in the data folder")
}
