//! `troupe export-actor`: an actor leaves its node, as a file that another one takes in.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use troupe_server::client::segment;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe export-actor counter                     writes counter.actor; from now on the actor is not here
  troupe export-actor counter -o /mnt/c.actor --with-component
  troupe import-actor counter.actor --data other  on the other node
  troupe import-actor --abort counter             it stays after all: right only if the file was imported nowhere

State, inbox, reply tokens, idempotency keys, settings and the whole journal go along; a call to it is answered `unavailable` here.
If the file is lost, the same command writes it again.")]
pub struct Args {
    /// The actor: `name`, or `namespace/name`
    actor: String,
    /// The file [default: NAME.actor]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Put the components that it needs into the file: the other node need not have them
    #[arg(long)]
    with_component: bool,
}

/// Exports it, and says where the file is.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let name = args.actor.rsplit('/').next().unwrap_or(&args.actor);
    let path = context.here.join(args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.actor"))));
    let partial = path.with_extension("actor.part");
    // Where nothing can be written nothing leaves.
    let mut file = File::create(&partial).map_err(|e| Failure::write(&partial, &e))?;
    let route = format!("/v1/actors/{}/export?component={}", segment(&args.actor), args.with_component);
    let exported = match context.client() {
        Ok(client) => client.send(Method::POST, &route, &[], Bytes::new()).await.map_err(Failure::from),
        Err(e) => Err(e),
    };
    let bytes = exported.inspect_err(|_| drop(std::fs::remove_file(&partial)))?;
    let written = file.write_all(&bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&partial, &path));
    written.map_err(|e| {
        // Half a file is worse than none.
        let _ = std::fs::remove_file(&partial);
        let help = format!(
            "{0} has left the node: `troupe export-actor {0} -o FILE` writes its file again, `troupe import-actor --abort {0}` takes it back",
            args.actor
        );
        Failure { help, ..Failure::write(&path, &e) }
    })?;
    if context.out.json {
        context.out.value(&json!({ "actor": args.actor, "file": path, "size": bytes.len() }));
    } else {
        context.out.line(format!(
            "{} has left this node; wrote {} ({} bytes)",
            args.actor,
            path.display(),
            bytes.len()
        ));
    }
    Ok(())
}
