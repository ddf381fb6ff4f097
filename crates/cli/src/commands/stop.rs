//! `troupe stop`: ends an actor for good, or the node until it is run again.

use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use troupe_server::client::segment;

use crate::context::Context;
use crate::failure::Result;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe stop worker-2       its journal stays; messages that wait go to the dead letters
  troupe stop --node         the node; `troupe run` brings every actor back")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    #[arg(required_unless_present = "node", conflicts_with = "node")]
    actor: Option<String>,
    /// Stop the node instead of an actor
    #[arg(long)]
    node: bool,
}

/// Stops it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    let (method, path, what) = match &args.actor {
        Some(actor) => (Method::DELETE, format!("/v1/actors/{}", segment(actor)), actor.as_str()),
        None => (Method::POST, "/v1/node/stop".to_owned(), "the node"),
    };
    client.send(method, &path, &[], Bytes::new()).await?;
    if context.out.json {
        context.out.value(&json!({ "stopped": what }));
    } else {
        context.out.line(format!("stopped {what}"));
    }
    Ok(())
}
