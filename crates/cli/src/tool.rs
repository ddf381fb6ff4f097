//! A command component run to its end: `troupe run TOOL.wasm -- ARGUMENTS`.
//!
//! Each run is another life of its actor, in the journal like any other.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use serde_json::json;
use tokio::sync::oneshot;
use troupe_runtime::manifest::ActorSpec;
use troupe_runtime::node::{Node, Outgoing};
use troupe_runtime::service::command::{Command, Finished, RUN};

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Runs it with these arguments behind its name; gives its exit code.
pub async fn run(context: &Context, node: &Node, spec: ActorSpec, arguments: &[String]) -> Result<i32> {
    let (id, limit) = (spec.id.clone(), spec.limits.payload.0);
    let input = input(limit).await?;
    node.start_fresh(spec).await.map_err(Failure::from)?;
    let arguments = std::iter::once(id.name().to_owned()).chain(arguments.iter().cloned()).collect();
    let message = Outgoing::new(RUN, Command { arguments, input }.encode());
    let answer = node.call(&id, message).await.map_err(|e| {
        Failure::failed(
            "command",
            format!("{id} did not come to its end: {e}"),
            format!("`troupe journal show {}` shows what it did", id.name()),
        )
    })?;
    let finished = Finished::decode(&answer).map_err(|e| Failure::failed("command", e, ""))?;
    if context.out.json {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (output, errors) = (text(&finished.output), text(&finished.errors));
        context.out.value(&json!({ "code": finished.code, "output": output, "errors": errors }));
    } else {
        // Where it is closed, nobody hears of it.
        let _ = io::stderr().write_all(&finished.errors);
        context.out.bytes(&finished.output);
    }
    Ok(finished.code)
}

/// Standard input, whole; nothing from a terminal.
async fn input(limit: u64) -> Result<Vec<u8>> {
    if io::stdin().is_terminal() {
        return Ok(Vec::new());
    }
    let (done, read) = oneshot::channel();
    // In a thread that nobody waits for: the command can be interrupted while nothing comes.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
        let _ = done.send(read.map(|_| bytes));
    });
    let read = read.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
    let bytes = read.map_err(|e| Failure::failed("io", format!("cannot read standard input: {e}"), ""))?;
    if bytes.len() as u64 > limit {
        let what = format!("standard input has more than the {limit} bytes that a message may have");
        return Err(Failure::usage(what, "raise `payload` in [limits] of a manifest, or give it less"));
    }
    Ok(bytes)
}
