//! `troupe app`: applications, shown, stopped, forgotten.

use clap::Subcommand;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;
use troupe_server::client::segment;
use troupe_server::wire::{Application, Member};

use crate::context::Context;
use crate::failure::Result;
use crate::output::plain;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe app list
  troupe app show shop
  troupe app stop shop
  troupe app remove shop

An application is actors under supervisors, from a manifest with [application]; `troupe run` and `troupe start` start it, or those
of its children that are not there.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List them
    #[command(after_help = "Examples:\n  troupe app list\n  troupe app list --json | jq .status")]
    List,
    /// Show the tree of one, and what happened last
    #[command(after_help = "Example:\n  troupe app show shop")]
    Show {
        /// Its name
        name: String,
    },
    /// Stop its actors, in the reverse order of their starts
    #[command(after_help = "Example:\n  troupe app stop shop")]
    Stop {
        /// Its name
        name: String,
    },
    /// Forget one that has stopped or failed; its actors stay as they are
    #[command(after_help = "Example:\n  troupe app remove shop")]
    Remove {
        /// Its name
        name: String,
    },
}

/// Does it.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let client = context.client()?;
    let path = |name: &str| format!("/v1/applications/{}", segment(name));
    let done = |what: &str, name: &str| {
        if context.out.json {
            context.out.value(&json!({ what: name }));
        } else {
            context.out.line(format!("{what} {name}"));
        }
    };
    match &args.what {
        What::List => list(context, &client.get::<Vec<Application>>("/v1/applications").await?),
        What::Show { name } => show(context, &client.get(&path(name)).await?),
        What::Stop { name } => {
            client.send(Method::POST, &format!("{}/stop", path(name)), &[], Bytes::new()).await?;
            done("stopped", name);
        }
        What::Remove { name } => {
            client.send(Method::DELETE, &path(name), &[], Bytes::new()).await?;
            done("removed", name);
        }
    }
    Ok(())
}

fn list(context: &Context, all: &[Application]) {
    if context.out.json {
        all.iter().for_each(|application| context.out.value(application));
        return;
    }
    if all.is_empty() {
        context.out.line("no applications");
        return;
    }
    let row = |application: &Application| {
        let actors = || application.members.iter().filter(|member| member.strategy.is_none());
        let up = actors().filter(|member| member.phase == "up").count();
        vec![
            application.name.clone(),
            application.status.clone(),
            format!("{up}/{}", actors().count()),
            application.members.iter().filter(|m| m.strategy.is_some()).map(|m| m.restarts).sum::<u64>().to_string(),
            line(application.reason.as_deref().unwrap_or("-")),
        ]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    context.out.table(&["APPLICATION", "STATUS", "UP", "RESTARTS", "REASON"], &rows);
}

fn show(context: &Context, application: &Application) {
    let out = context.out;
    if out.json {
        out.value(application);
        return;
    }
    let reason = application.reason.as_ref().map(|why| format!(": {}", line(why))).unwrap_or_default();
    out.line(format!("{} {}{reason}", application.name, application.status));
    let row = |member: &Member| {
        let name = member.name.strip_prefix("default/").unwrap_or(&member.name);
        let last = member.last.as_ref().map_or("-".to_owned(), |last| format!("{}: {}", last.cause, last.why));
        vec![
            format!("{}{name}", "  ".repeat(member.depth)),
            member.strategy.clone().unwrap_or_else(|| member.restart.clone()),
            member.phase.clone(),
            member.restarts.to_string(),
            line(&last),
        ]
    };
    let rows: Vec<Vec<String>> = application.members.iter().map(row).collect();
    out.table(&["MEMBER", "KIND", "PHASE", "RESTARTS", "LAST END"], &rows);
    for note in &application.notes {
        out.line(format!("{}.{:06}  {}", note.at / 1_000_000, note.at % 1_000_000, line(&note.text)));
    }
}

/// The first line of a text, not too long.
fn line(text: &str) -> String {
    plain(text.lines().next().unwrap_or_default()).chars().take(100).collect()
}
