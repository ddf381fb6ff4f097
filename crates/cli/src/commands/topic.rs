//! `troupe topic`: gives an item to everybody who has subscribed.

use clap::Subcommand;
use troupe_server::client::segment;
use troupe_server::wire::{ChannelMessage, Payload, Published};

use crate::context::Context;
use crate::failure::Result;
use crate::payload;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe topic publish orders.eu order '{\"id\": 17}'
  troupe topic publish frames frame @picture.png

An item goes to every actor that has subscribed, or to none; it is durable when the command ends.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Publish an item; prints its id and how many actors have it
    #[command(after_help = "Example:\n  troupe topic publish orders.eu order 17")]
    Publish {
        /// The topic: `name`, or `namespace/name`
        topic: String,
        /// The item's type
        #[arg(value_name = "TYPE")]
        message_type: String,
        /// Text, @FILE, or - for standard input
        #[arg(allow_hyphen_values = true)]
        payload: Option<String>,
        /// The payload is hexadecimal
        #[arg(long)]
        hex: bool,
    },
}

/// Does it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let What::Publish { topic, message_type, payload, hex } = &args.what;
    let payload = Payload::of(&payload::read(payload.as_deref(), *hex, std::io::stdin())?);
    let item = ChannelMessage { message_type: message_type.clone(), payload, ..ChannelMessage::default() };
    let path = format!("/v1/topics/{}/publish", segment(topic));
    let published: Published = context.client()?.post(&path, &item).await?;
    match context.out.json {
        true => context.out.value(&published),
        false => context.out.line(format!("{} to {} subscribers", published.id, published.subscribers)),
    }
    Ok(())
}
