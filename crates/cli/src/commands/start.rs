//! `troupe start`: actors of a manifest into the node that runs.

use std::path::PathBuf;

use troupe_server::wire::{StartReply, StartRequest};

use crate::context::Context;
use crate::failure::Result;
use crate::source::Source;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe start worker/troupe.toml
  troupe start worker/troupe.toml --id worker-2
  troupe start counter.wasm                      with the default limits and grants
  troupe start counter.wasm --fresh              forgets what it was")]
pub struct Args {
    /// A manifest, a folder with troupe.toml, or a component
    manifest: PathBuf,
    /// Another id for the actor
    #[arg(long)]
    id: Option<String>,
    /// Begin a new incarnation if the actor exists
    #[arg(long)]
    fresh: bool,
}

/// Starts them, and says which.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    let source = Source::find(Some(&args.manifest), &context.here)?;
    // Read here first: what is wrong with it is usage, wherever the node runs.
    source.read(args.id.as_deref())?;
    let (manifest, name, folder) = source.text()?;
    let request =
        StartRequest { manifest, name: Some(name), folder, id: args.id.clone(), component: None, fresh: args.fresh };
    let reply: StartReply = client.post("/v1/actors", &request).await?;
    for actor in reply.actors {
        if context.out.json {
            context.out.value(&actor);
        } else {
            let how = if actor.resumed { "goes on" } else { "started" };
            context.out.line(format!("{} {how} (incarnation {})", actor.id, actor.incarnation));
            if !actor.changed.is_empty() {
                context.out.line(format!("{} settings changed: {}", actor.id, actor.changed.join(", ")));
            }
        }
    }
    Ok(())
}
