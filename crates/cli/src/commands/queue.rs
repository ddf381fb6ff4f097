//! `troupe queue`: sends to queues, takes from them, shows what they have.

use std::time::Duration;

use clap::Subcommand;
use hyper::Method;
use hyper::body::Bytes;
use serde::Serialize;
use troupe_runtime::manifest::units::parse_duration;
use troupe_server::client::{Client, segment};
use troupe_server::wire::{
    ChannelMessage, Delivery, ExtendRequest, NackRequest, Payload, QueueInfo, ReceiptRequest, Sent,
};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::plain;
use crate::payload;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe queue list
  troupe queue send jobs resize @picture.png --ttl 1h
  troupe queue receive jobs --wait 30s
  troupe queue ack jobs RECEIPT

A message is its receiver's until it is acknowledged or given back, or its time is over; then another gets it. Where nobody
acknowledges it, it becomes a dead letter: `troupe dead list @queue.jobs`.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List the queues that have messages, or one
    #[command(after_help = "Examples:\n  troupe queue list\n  troupe queue list jobs --json | jq .depth")]
    List {
        /// The queue: `name`, or `namespace/name`
        queue: Option<String>,
    },
    /// Send a message; prints its id
    #[command(
        after_help = "Examples:\n  troupe queue send jobs resize 17\n  troupe queue send jobs resize - --delay 10s --header a=b"
    )]
    Send {
        /// The queue
        queue: String,
        /// The message's type
        #[arg(value_name = "TYPE")]
        message_type: String,
        /// Text, @FILE, or - for standard input
        #[arg(allow_hyphen_values = true)]
        payload: Option<String>,
        /// The payload is hexadecimal
        #[arg(long)]
        hex: bool,
        /// How long nobody gets it, such as 10s
        #[arg(long, value_name = "TIME")]
        delay: Option<String>,
        /// How long it is there if nobody takes it, such as 1h
        #[arg(long, value_name = "TIME")]
        ttl: Option<String>,
        /// A header, NAME=VALUE; may be given again
        #[arg(long, value_name = "HEADER")]
        header: Vec<String>,
    },
    /// Take messages and print them with their receipts
    #[command(
        after_help = "Examples:\n  troupe queue receive jobs\n  troupe queue receive jobs --max 10 --wait 30s --json\n  troupe queue receive jobs --ack"
    )]
    Receive {
        /// The queue
        queue: String,
        /// How many at most
        #[arg(long, default_value_t = 1, value_name = "NUMBER")]
        max: u32,
        /// How long to wait for the first, such as 30s
        #[arg(long, value_name = "TIME")]
        wait: Option<String>,
        /// How long they are yours, such as 5m [default: 30s]
        #[arg(long, value_name = "TIME")]
        visibility: Option<String>,
        /// Acknowledge each once it is printed
        #[arg(long)]
        ack: bool,
    },
    /// Remove a message that was received
    #[command(after_help = "Example:\n  troupe queue ack jobs RECEIPT")]
    Ack {
        /// The queue
        queue: String,
        /// What `receive` printed
        receipt: String,
    },
    /// Give a message that was received back
    #[command(after_help = "Examples:\n  troupe queue nack jobs RECEIPT\n  troupe queue nack jobs RECEIPT --dead")]
    Nack {
        /// The queue
        queue: String,
        /// What `receive` printed
        receipt: String,
        /// Make it a dead letter
        #[arg(long)]
        dead: bool,
    },
    /// Keep a message that was received for so long from now on
    #[command(after_help = "Example:\n  troupe queue extend jobs RECEIPT 5m")]
    Extend {
        /// The queue
        queue: String,
        /// What `receive` printed
        receipt: String,
        /// How long, such as 5m
        #[arg(value_name = "TIME")]
        visibility: String,
    },
}

/// Does it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    match &args.what {
        What::List { queue } => list(context, &client, queue.as_deref()).await,
        What::Send { queue, message_type, payload, hex, delay, ttl, header } => {
            let message = ChannelMessage {
                message_type: message_type.clone(),
                payload: Payload::of(&payload::read(payload.as_deref(), *hex, std::io::stdin())?),
                headers: header.iter().map(|header| pair(header)).collect::<Result<_>>()?,
                delay: delay.clone(),
                ttl: ttl.clone(),
            };
            let sent: Sent = client.post(&path(queue, "send"), &message).await?;
            match context.out.json {
                true => context.out.value(&sent),
                false => sent.ids.iter().for_each(|id| context.out.line(id)),
            }
            Ok(())
        }
        What::Receive { queue, max, wait, visibility, ack } => {
            let mut query = format!("?max={max}");
            for (name, value) in [("wait", wait), ("visibility", visibility)] {
                if let Some(value) = value {
                    query.push_str(&format!("&{name}={}", segment(&checked(value)?)));
                }
            }
            let path = format!("{}{query}", path(queue, "receive"));
            let deliveries: Vec<Delivery> = client.post(&path, &()).await?;
            for delivery in &deliveries {
                print(context, delivery);
                if *ack {
                    tell(&client, queue, "ack", &ReceiptRequest { receipt: delivery.receipt.clone() }).await?;
                }
            }
            if deliveries.is_empty() && !context.out.json {
                context.out.line("no message");
            }
            Ok(())
        }
        What::Ack { queue, receipt } => tell(&client, queue, "ack", &ReceiptRequest { receipt: receipt.clone() }).await,
        What::Nack { queue, receipt, dead } => {
            tell(&client, queue, "nack", &NackRequest { receipt: receipt.clone(), dead: *dead }).await
        }
        What::Extend { queue, receipt, visibility } => {
            let request = ExtendRequest { receipt: receipt.clone(), visibility: checked(visibility)? };
            tell(&client, queue, "extend", &request).await
        }
    }
}

fn path(queue: &str, what: &str) -> String {
    format!("/v1/queues/{}/{what}", segment(queue))
}

async fn tell(client: &Client, queue: &str, what: &str, request: &impl Serialize) -> Result<()> {
    let body = serde_json::to_vec(request).unwrap_or_default();
    client.send(Method::POST, &path(queue, what), &[], Bytes::from(body)).await?;
    Ok(())
}

/// A duration, as it was written.
fn checked(text: &str) -> Result<String> {
    match parse_duration(text) {
        Some(Duration { .. }) => Ok(text.to_owned()),
        None => Err(Failure::usage(format!("`{text}` is no duration"), "write it like 500ms, 5s or 1m")),
    }
}

fn pair(header: &str) -> Result<(String, String)> {
    let pair = header.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| Failure::usage(format!("the header `{header}` has no `=`"), "write it as NAME=VALUE"))
}

async fn list(context: &Context, client: &Client, queue: Option<&str>) -> Result<()> {
    let queues: Vec<QueueInfo> = match queue {
        Some(queue) => vec![client.get(&format!("/v1/queues/{}", segment(queue))).await?],
        None => client.get("/v1/queues").await?,
    };
    if context.out.json {
        queues.iter().for_each(|queue| context.out.value(queue));
        return Ok(());
    }
    if queues.is_empty() {
        context.out.line("no messages in any queue");
        return Ok(());
    }
    let row = |info: &QueueInfo| {
        let name = info.queue.strip_prefix("default/").unwrap_or(&info.queue).to_owned();
        let numbers = [info.depth, info.available, info.delivered, info.bytes, info.waiting];
        std::iter::once(name).chain(numbers.iter().map(ToString::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = queues.iter().map(row).collect();
    context.out.table(&["QUEUE", "DEPTH", "AVAILABLE", "DELIVERED", "BYTES", "WAITING"], &rows);
    Ok(())
}

fn print(context: &Context, delivery: &Delivery) {
    let out = context.out;
    if out.json {
        out.value(delivery);
        return;
    }
    out.line(format!("receipt: {}", delivery.receipt));
    out.line(format!(
        "{} {} from {}, attempt {}",
        delivery.id,
        plain(&delivery.message_type),
        plain(&delivery.from),
        delivery.attempt
    ));
    for (name, value) in &delivery.headers {
        out.line(format!("header: {}: {}", plain(name), plain(value)));
    }
    let bytes = delivery.payload.bytes().unwrap_or_default();
    match &delivery.payload.text {
        Some(text) => out.line(format!("payload, {} bytes: {}", bytes.len(), plain(text))),
        None => out.line(format!("payload, {} bytes, hexadecimal: {}", bytes.len(), hex::encode(bytes))),
    }
}
