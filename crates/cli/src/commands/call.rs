//! `troupe call`: asks an actor, by message or by an exported function.

use hyper::Method;
use hyper::body::Bytes;
use troupe_server::client::segment;
use troupe_server::wire::{self, Payload, TypedReply, TypedRequest};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::payload;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe call counter add 5
  troupe call counter load @state.bin --deadline 2s
  echo hello | troupe call echo say -
  troupe call acct-1 'bank:ledger/account#deposit' '(42)'      prints the result in WAVE
  troupe call counter add 5 --key order-17                     repeated, it is applied once")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    actor: String,
    /// The message's type, or an exported function `pkg:ns/interface#function`
    #[arg(value_name = "TYPE")]
    message_type: String,
    /// Text, @FILE, or - for standard input; WAVE arguments for a function
    #[arg(allow_hyphen_values = true)]
    payload: Option<String>,
    /// The payload is hexadecimal, and so is the printed answer
    #[arg(long)]
    hex: bool,
    /// How long the answer may take, such as 500ms or 5s
    #[arg(long, value_name = "TIME")]
    deadline: Option<String>,
    /// An idempotency key: the same call again gets the first answer
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Asks, and prints the answer.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    if is_function(&args.message_type) {
        return typed(context, args).await;
    }
    let payload = payload::read(args.payload.as_deref(), args.hex, std::io::stdin())?;
    let path = format!("/v1/actors/{}/call", segment(&args.actor));
    let mut headers = vec![(wire::TYPE, args.message_type.as_str())];
    headers.extend(args.deadline.as_deref().map(|d| (wire::DEADLINE, d)));
    headers.extend(args.key.as_deref().map(|k| (wire::KEY, k)));
    let answer = context.client()?.send(Method::POST, &path, &headers, payload.into()).await?;
    print(context, &answer, args.hex);
    Ok(())
}

fn print(context: &Context, answer: &Bytes, hex: bool) {
    match (context.out.json, hex) {
        (true, _) => context.out.value(&Payload::of(answer)),
        (false, true) => context.out.line(hex::encode(answer)),
        (false, false) => context.out.bytes(answer),
    }
}

async fn typed(context: &Context, args: &Args) -> Result<()> {
    if args.hex {
        return Err(Failure::usage(
            "--hex does not go with a function",
            "leave it out; the arguments are WAVE text such as '(42, \"a\")'",
        ));
    }
    let arguments = payload::read(args.payload.as_deref().or(Some("()")), false, std::io::stdin())?;
    let arguments = String::from_utf8(arguments)
        .map_err(|_| Failure::usage("the arguments are not UTF-8", "write WAVE text such as '(42, \"a\")'"))?;
    let request = TypedRequest {
        function: args.message_type.clone(),
        arguments,
        deadline: args.deadline.clone(),
        key: args.key.clone(),
    };
    let path = format!("/v1/actors/{}/typed", segment(&args.actor));
    let reply: TypedReply = context.client()?.post(&path, &request).await?;
    if context.out.json {
        context.out.value(&reply);
    } else {
        context.out.line(reply.result);
    }
    Ok(())
}

/// `pkg:ns/interface#function`, which no message type of ours looks like.
fn is_function(message_type: &str) -> bool {
    message_type.split_once('#').is_some_and(|(interface, function)| {
        !function.is_empty() && interface.split_once('/').is_some_and(|(package, _)| package.contains(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_told_from_a_type() {
        assert!(is_function("bank:ledger/account#deposit"));
        assert!(is_function("bank:ledger/account@1.2.0#deposit"));
        for message_type in ["add", "a#b", "a:b#c", "a/b#c", "bank:ledger/account#", "bank:ledger/account"] {
            assert!(!is_function(message_type), "{message_type}");
        }
    }
}
