//! `troupe import-actor`: an actor that another node exported goes on here.

use std::path::PathBuf;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use troupe_server::client::segment;
use troupe_server::wire::Imported;

use crate::commands::journal::records;
use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe import-actor counter.actor     its grants and limits come with it: look at them first if you do not know the file
  troupe import-actor --abort counter   on the node that it left: it goes on there

Its component must be here already (`troupe run` or `troupe start` had it once), or in the file. A file can be imported once on a node.
Whether an actor that was exported was imported elsewhere no node can know: --abort is for a file that never was.")]
pub struct Args {
    /// The actor file
    #[arg(required_unless_present = "abort", conflicts_with = "abort")]
    file: Option<PathBuf>,
    /// Take the export of this actor back
    #[arg(long, value_name = "ACTOR")]
    abort: Option<String>,
}

/// Takes it in, and says how far its journal goes.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    if let Some(actor) = &args.abort {
        client.send(Method::POST, &format!("/v1/actors/{}/export/abort", segment(actor)), &[], Bytes::new()).await?;
        if context.out.json {
            context.out.value(&json!({ "actor": actor, "aborted": true }));
        } else {
            context.out.line(format!("{actor} goes on here; its file must not be imported any more"));
        }
        return Ok(());
    }
    let path = context.here.join(args.file.as_deref().unwrap_or_else(|| "".as_ref()));
    let bytes = std::fs::read(&path).map_err(|e| Failure::read(&path, &e))?;
    let answer = client.send(Method::POST, "/v1/import", &[], bytes.into()).await?;
    let came: Imported = serde_json::from_slice(&answer)
        .map_err(|e| Failure::failed("no-node", format!("the node's answer cannot be read: {e}"), ""))?;
    if context.out.json {
        context.out.value(&came);
    } else {
        let waiting = if came.mailbox == 0 { String::new() } else { format!(", {} messages wait", came.mailbox) };
        context.out.line(format!(
            "{} goes on here (incarnation {}), {}{waiting}",
            came.id,
            came.incarnation,
            records(came.records)
        ));
    }
    Ok(())
}
