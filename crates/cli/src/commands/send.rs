//! `troupe send`: a message that nobody waits for. Ends when the node has it safe.

use hyper::Method;
use troupe_server::client::segment;
use troupe_server::wire::{self, Accepted};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::payload;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe send logger line 'it rains'
  troupe send sink frame @picture.png
  troupe send sink frame --hex 'ff d8 ff'

The command ends when the message is accepted: in the journal's mode, so with `durable` it is on disk. A message that
may be repeated without harm is a call: `troupe call --key`.")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    actor: String,
    /// The message's type
    #[arg(value_name = "TYPE")]
    message_type: String,
    /// Text, @FILE, or - for standard input
    #[arg(allow_hyphen_values = true)]
    payload: Option<String>,
    /// The payload is hexadecimal
    #[arg(long)]
    hex: bool,
}

/// Sends, and prints the message's id.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let payload = payload::read(args.payload.as_deref(), args.hex, std::io::stdin())?;
    let path = format!("/v1/actors/{}/send", segment(&args.actor));
    let headers = [(wire::TYPE, args.message_type.as_str())];
    let answer = context.client()?.send(Method::POST, &path, &headers, payload.into()).await?;
    let accepted: Accepted = serde_json::from_slice(&answer).map_err(|e| {
        Failure::failed("no-node", format!("the node's answer cannot be read: {e}"), "use the same version of `troupe`")
    })?;
    if context.out.json {
        context.out.value(&accepted);
    } else {
        context.out.line(accepted.id);
    }
    Ok(())
}
