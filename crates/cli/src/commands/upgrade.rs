//! `troupe upgrade`: another component for an actor that lives, its state kept.
//!
//! Exit code 3 and the first difference if the new component would not have done what the journal says.

use std::path::Path;

use hyper::Method;
use troupe_server::client::{Client, segment};
use troupe_server::wire::{ComponentInfo, UpgradeRequest, Upgraded};

use crate::commands::journal::records;
use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe upgrade counter counter.wasm            if its journal replays under it without difference
  troupe upgrade counter counter@1.1.0 --check   only replays, and says what differs
  troupe upgrade counter counter.wasm --by-snapshot
                                                 the old component saves the state, the new one loads it
  troupe upgrade counter --rollback              back to the component before

The journal is replayed under the new component while the actor goes on; the switch itself is between two of its turns. Refused,
with exit code 3 and the first difference, the actor goes on as it was.")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    actor: String,
    /// The new component: a file, `name@version`, or a digest
    #[arg(required_unless_present = "rollback", conflicts_with = "rollback")]
    component: Option<String>,
    /// Go back to the component before the newest upgrade
    #[arg(long)]
    rollback: bool,
    /// Have the old component save the state and the new one load it
    #[arg(long)]
    by_snapshot: bool,
    /// Only replay, and change nothing
    #[arg(long, conflicts_with = "by_snapshot")]
    check: bool,
}

/// Upgrades, and says from what to what.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    let component = match &args.component {
        Some(text) => Some(reference(context, &client, text).await?),
        None => None,
    };
    let request =
        UpgradeRequest { component, rollback: args.rollback, by_snapshot: args.by_snapshot, check: args.check };
    let done: Upgraded = client.post(&format!("/v1/actors/{}/upgrade", segment(&args.actor)), &request).await?;
    if context.out.json {
        context.out.value(&done);
        return Ok(());
    }
    let replayed = format!("{} in {} turns replayed without difference", records(done.records), done.turns);
    context.out.line(match (done.record, args.check) {
        (Some(record), _) if args.by_snapshot => {
            format!("{} runs {} from record {record} on; before: {}", args.actor, done.to, done.from)
        }
        (Some(record), _) => {
            format!("{} runs {} from record {record} on; before: {}; {replayed}", args.actor, done.to, done.from)
        }
        (None, true) => format!("{} can go on with {}; {replayed}", args.actor, done.to),
        (None, false) => format!("{} runs {} already", args.actor, done.to),
    });
    Ok(())
}

/// What the node knows a component by; a file is given to it first.
async fn reference(context: &Context, client: &Client, text: &str) -> Result<String> {
    let path = context.here.join(text);
    if !path.is_file() && (text.contains('@') || text.starts_with("blake3:")) {
        return Ok(text.to_owned());
    }
    load(client, &path).await
}

/// Gives the node a component; its digest.
pub async fn load(client: &Client, path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Failure::read(path, &e))?;
    let answer = client.send(Method::POST, "/v1/components", &[], bytes.into()).await?;
    let info: ComponentInfo = serde_json::from_slice(&answer)
        .map_err(|e| Failure::failed("no-node", format!("the node's answer cannot be read: {e}"), ""))?;
    Ok(info.digest)
}
