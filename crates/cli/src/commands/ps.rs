//! `troupe ps`: the actors of the running node.

use troupe_server::wire::ActorInfo;

use crate::context::Context;
use crate::failure::Result;
use crate::output::plain;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe ps
  troupe ps --json | jq .id

MAILBOX is the number of messages that wait, RECORDS the length of the journal, HEAD its newest hash. BASE is the
record that recovery plays from: - as long as there is no base, `never` if the actor cannot make one (--json says
why), so that its recovery takes longer with every record. SUPERVISOR has those above it, from the application down;
`troupe app show` has the tree.")]
pub struct Args {}

/// Prints a table, or a JSON object a line.
pub async fn run(context: &Context, _: &Args) -> Result<()> {
    let actors: Vec<ActorInfo> = context.client()?.get("/v1/actors").await?;
    if context.out.json {
        actors.iter().for_each(|actor| context.out.value(actor));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = actors.iter().map(row).collect();
    let head = [
        "ACTOR",
        "STATUS",
        "JOURNAL",
        "MAILBOX",
        "TURNS",
        "RECORDS",
        "HEAD",
        "BASE",
        "COMPONENT",
        "SUPERVISOR",
        "LAST FAULT",
    ];
    context.out.table(&head, &rows);
    Ok(())
}

fn row(actor: &ActorInfo) -> Vec<String> {
    let name = actor.id.strip_prefix("default/").unwrap_or(&actor.id);
    let base = match (actor.base, &actor.no_base) {
        (Some(base), _) => base.to_string(),
        (None, Some(_)) => "never".to_owned(),
        (None, None) => "-".to_owned(),
    };
    let fault = actor.last_fault.as_deref().unwrap_or("-");
    vec![
        name.to_owned(),
        actor.status.clone(),
        actor.mode.clone(),
        actor.mailbox.to_string(),
        actor.turns.to_string(),
        actor.records.to_string(),
        actor.head.chars().take(12).collect(),
        base,
        actor.component.trim_start_matches("blake3:").chars().take(12).collect(),
        actor.supervisor.clone().unwrap_or_else(|| "-".to_owned()),
        plain(fault.lines().next().unwrap_or_default()).chars().take(60).collect(),
    ]
}
