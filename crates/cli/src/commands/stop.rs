//! `troupe stop`: ends an actor for good, or the node until it is run again.

use std::path::Path;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::body::Bytes;
use rustix::process::{Pid, test_kill_process};
use serde_json::json;
use troupe_server::client::segment;
use troupe_server::endpoint::Endpoint;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// After so long it is said what a stop waits for.
const QUIET: Duration = Duration::from_secs(1);
/// How long a node may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe stop worker-2         its journal stays; messages that wait go to the dead letters
  troupe stop worker-2 --now   the turn in progress is cut, not waited for
  troupe stop --node           the node; `troupe run` brings every actor back

A turn in progress ends first, within its deadline. Cut, it is undone and recorded as a fault, its caller is told, and
its message is a dead letter.")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    #[arg(required_unless_present = "node", conflicts_with = "node")]
    actor: Option<String>,
    /// Cut the actor's turn in progress instead of waiting for its end
    #[arg(long, conflicts_with = "node")]
    now: bool,
    /// Stop the node instead of an actor
    #[arg(long)]
    node: bool,
}

/// Stops it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    let (method, path, what) = match &args.actor {
        Some(actor) => {
            let how = if args.now { "?now=true" } else { "" };
            (Method::DELETE, format!("/v1/actors/{}{how}", segment(actor)), actor.as_str())
        }
        None => (Method::POST, "/v1/node/stop".to_owned(), "the node"),
    };
    let stopping = client.send(method, &path, &[], Bytes::new());
    tokio::pin!(stopping);
    tokio::select! {
        stopped = &mut stopping => stopped?,
        () = tokio::time::sleep(QUIET) => {
            if !args.node && !args.now {
                let what = format!("{what} is in a turn, which ends first; `troupe stop {what} --now` cuts it");
                context.out.progress(&what);
            }
            stopping.await?
        }
    };
    if args.node {
        gone(&context.data()?, client.endpoint()).await?;
    }
    if context.out.json {
        context.out.value(&json!({ "stopped": what }));
    } else {
        context.out.line(format!("stopped {what}"));
    }
    Ok(())
}

/// Waits until the node is closed and the data folder free: it takes down the file that names it last of all.
async fn gone(data: &Path, endpoint: &Endpoint) -> Result<()> {
    let process = i32::try_from(endpoint.pid).ok().and_then(Pid::from_raw);
    let until = Instant::now() + PATIENCE;
    let there = || Endpoint::read(data).is_ok_and(|named| named.as_ref() == Some(endpoint));
    // A process that is not a child cannot be waited for in any way that every system has.
    while there() && process.is_some_and(|process| test_kill_process(process).is_ok()) {
        if Instant::now() > until {
            return Err(Failure::failed(
                "timeout",
                format!("the node was told to stop, and is still there after {} s", PATIENCE.as_secs()),
                format!("its log says what it waits for; it is process {}", endpoint.pid),
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
