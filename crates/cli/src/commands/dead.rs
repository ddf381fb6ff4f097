//! `troupe dead`: messages that found no good end, shown, sent again, dropped.

use clap::Subcommand;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use troupe_server::client::{Client, segment};
use troupe_server::wire::{Accepted, DeadLetter};

use crate::context::Context;
use crate::failure::Result;
use crate::output::plain;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe dead list
  troupe dead list counter --json | jq -r .id
  troupe dead show counter 5f0c2a9d1b7e46830000000000000007
  troupe dead resend counter 5f0c2a9d1b7e46830000000000000007
  troupe dead drop counter --all

A message is a dead letter once its turn has faulted and is not tried again, or when its actor was stopped before it.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List them, of one actor or of all
    #[command(after_help = "Examples:\n  troupe dead list\n  troupe dead list counter")]
    List {
        /// The actor: `name`, or `namespace/name`
        actor: Option<String>,
    },
    /// Show one with its payload
    #[command(after_help = "Example:\n  troupe dead show counter 5f0c2a9d1b7e46830000000000000007")]
    Show {
        /// The actor
        actor: String,
        /// The message's id
        message: String,
    },
    /// Put one back into its actor's inbox, as a first attempt
    #[command(after_help = "Example:\n  troupe dead resend counter 5f0c2a9d1b7e46830000000000000007")]
    Resend {
        /// The actor
        actor: String,
        /// The message's id
        message: String,
    },
    /// Remove one, or all of an actor
    #[command(
        after_help = "Examples:\n  troupe dead drop counter 5f0c2a9d1b7e46830000000000000007\n  troupe dead drop counter --all"
    )]
    Drop {
        /// The actor
        actor: String,
        /// The message's id
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        message: Option<String>,
        /// All of the actor
        #[arg(long)]
        all: bool,
    },
}

/// Does it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    match &args.what {
        What::List { actor } => {
            let letters = list(&client, actor.as_deref()).await?;
            print(context, &letters);
        }
        What::Show { actor, message } => show(context, &client.get(&path(actor, message)).await?),
        What::Resend { actor, message } => {
            let path = format!("{}/resend", path(actor, message));
            let accepted: Accepted = client.post(&path, &json!({})).await?;
            if context.out.json {
                context.out.value(&accepted);
            } else {
                context.out.line(format!("{} is in the inbox of {actor} again", accepted.id));
            }
        }
        What::Drop { actor, message, .. } => {
            let messages = match message {
                Some(message) => vec![message.clone()],
                None => list(&client, Some(actor)).await?.into_iter().map(|letter| letter.id).collect(),
            };
            for message in messages {
                client.send(Method::DELETE, &path(actor, &message), &[], Bytes::new()).await?;
                if context.out.json {
                    context.out.value(&json!({ "dropped": message }));
                } else {
                    context.out.line(format!("dropped {message}"));
                }
            }
        }
    }
    Ok(())
}

fn path(actor: &str, message: &str) -> String {
    format!("/v1/actors/{}/dead-letters/{}", segment(actor), segment(message))
}

async fn list(client: &Client, actor: Option<&str>) -> Result<Vec<DeadLetter>> {
    let path = match actor {
        Some(actor) => format!("/v1/actors/{}/dead-letters", segment(actor)),
        None => "/v1/dead-letters".to_owned(),
    };
    Ok(client.get(&path).await?)
}

fn print(context: &Context, letters: &[DeadLetter]) {
    if context.out.json {
        letters.iter().for_each(|letter| context.out.value(letter));
        return;
    }
    if letters.is_empty() {
        context.out.line("no dead letters");
        return;
    }
    let row = |letter: &DeadLetter| {
        vec![
            short(&letter.actor).to_owned(),
            letter.id.clone(),
            letter.kind.clone(),
            plain(&letter.message_type),
            letter.bytes.to_string(),
            short(&letter.from).to_owned(),
            plain(letter.why.lines().next().unwrap_or_default()).chars().take(60).collect(),
        ]
    };
    let rows: Vec<Vec<String>> = letters.iter().map(row).collect();
    context.out.table(&["ACTOR", "MESSAGE", "KIND", "TYPE", "BYTES", "FROM", "WHY"], &rows);
}

fn show(context: &Context, letter: &DeadLetter) {
    let out = context.out;
    if out.json {
        out.value(letter);
        return;
    }
    out.line(format!("{} of {}", letter.id, letter.actor));
    out.line(format!("why: {}", plain(&letter.why)));
    out.line(format!(
        "{} {} from {}, attempt {}",
        letter.kind,
        plain(&letter.message_type),
        letter.from,
        letter.attempt
    ));
    if let Some(key) = &letter.key {
        out.line(format!("key: {}", plain(key)));
    }
    for (name, value) in &letter.headers {
        out.line(format!("header: {}: {}", plain(name), plain(value)));
    }
    match letter.payload.as_ref().and_then(|payload| payload.text.as_deref()) {
        Some(text) => out.line(format!("payload, {} bytes: {}", letter.bytes, plain(text))),
        None => {
            let bytes = letter.payload.as_ref().and_then(|payload| payload.bytes().ok()).unwrap_or_default();
            out.line(format!("payload, {} bytes, hexadecimal: {}", letter.bytes, hex::encode(bytes)));
        }
    }
}

fn short(id: &str) -> &str {
    id.strip_prefix("default/").unwrap_or(id)
}
