//! `troupe snapshot`: a base of an actor now, so that its recovery starts there.

use serde_json::json;
use troupe_server::client::segment;
use troupe_server::wire::Based;

use crate::context::Context;
use crate::failure::Result;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  troupe snapshot counter      between two of its turns: the component saves itself, a new instance loads that

A component without the export troupe:actor/snapshot makes no base; its recovery plays the whole journal.")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    actor: String,
}

/// Makes it, and says at which record it stands.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let path = format!("/v1/actors/{}/snapshot", segment(&args.actor));
    let made: Based = context.client()?.post(&path, &json!({})).await?;
    if context.out.json {
        context.out.value(&made);
    } else {
        context.out.line(format!("base made at record {}", made.record));
    }
    Ok(())
}
