//! `troupe replay`: a journal against its component, or another one, call by call. Touches nothing outside.
//!
//! Exit code 3 and the first difference, or 0 and how much was identical.

mod step;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use troupe_log::{Digest, Kind, Seq, body, record};
use troupe_runtime::boundary::Divergence;
use troupe_runtime::replay::{Edit, JournalSource, Replay, ReplayCode, Replayed, Walk};
use troupe_server::wire::Payload;

use super::journal::{file, records};
use crate::context::Context;
use crate::evidence::Evidence;
use crate::failure::{Failure, Result};
use crate::journals::Of;
use crate::output::plain;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe replay counter                            of an actor here
  troupe replay counter.journal                    of an exported file, on any machine
  troupe replay counter --component changed.wasm   would it have done the same? The first difference, exit code 3
  troupe replay counter --until 120                stops there and shows the actor's state
  troupe replay counter --step                     walks forward and back: next, back, run, break, calls, state, help
  troupe replay counter --edit 7 --result 5        what would have come of it, had the call of record 7 given 5?")]
pub struct Args {
    /// An actor, or a journal file
    #[arg(value_name = "ACTOR|FILE")]
    of: String,
    /// Another component in place of the recorded one
    #[arg(long, value_name = "OTHER.wasm")]
    component: Option<PathBuf>,
    /// Stop behind the last turn that ends at or before this record, and show the state
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// The value of a secret that the journal has left out; without a value, that of the environment
    #[arg(long = "secret", value_name = "NAME[=VALUE]")]
    secrets: Vec<String>,
    /// Print every turn
    #[arg(long)]
    turns: bool,
    /// Walk through it by commands on standard input; `help` lists them
    #[arg(long, conflicts_with_all = ["until", "turns", "edit"])]
    step: bool,
    /// Change this record, with --result, --message or --type, and show what then differs
    #[arg(long, value_name = "N", conflicts_with_all = ["until", "turns"])]
    edit: Option<u64>,
    /// The other result of the call: text, or 0x and the encoded value
    #[arg(long, value_name = "VALUE", requires = "edit", conflicts_with_all = ["message", "message_type"])]
    result: Option<String>,
    /// The other payload of the message: text, or 0x and hexadecimal digits
    #[arg(long, value_name = "PAYLOAD", requires = "edit")]
    message: Option<String>,
    /// The other type of the message
    #[arg(long = "type", value_name = "TYPE", requires = "edit")]
    message_type: Option<String>,
}

impl Args {
    /// What is to be changed.
    fn edit(&self) -> Result<Option<(Seq, Edit)>> {
        let Some(seq) = self.edit else { return Ok(None) };
        let edit = match (&self.result, &self.message, &self.message_type) {
            (Some(result), ..) => Edit::Result(result.clone()),
            (None, None, None) => {
                return Err(Failure::usage(
                    format!("what is record {seq} to be?"),
                    "add --result VALUE, --message PAYLOAD or --type TYPE",
                ));
            }
            (None, message, message_type) => {
                Edit::Message { message_type: message_type.clone(), payload: message.as_deref().map(step::payload) }
            }
        };
        Ok(Some((Seq(seq), edit)))
    }
}

/// Replays, and says how far the same was the same.
pub async fn run(context: &Context, args: &Args) -> Result<()> {
    let edit = args.edit()?;
    let of = Of::parse(&args.of, &context.here)?;
    let journal = file(context, &of).await?;
    let component = component(context, args, &of, &journal)?;
    // A data folder that is at hand saves compiling; without one nothing is written anywhere.
    let compiled = |component: &[u8]| match context.data() {
        Ok(data) => ReplayCode::compile_cached(component, &data.join("cache")),
        Err(_) => ReplayCode::compile(component),
    };
    let mut codes = vec![compiled(&component).map_err(|e| failed(context, e))?];
    if args.component.is_none() {
        for digest in upgrades(&journal.records) {
            // One that is not there is missed, and named, when the replay comes to it.
            if let Some(bytes) = journal.blobs.get(&digest)
                && codes.iter().all(|code| code.digest() != digest)
            {
                codes.push(compiled(bytes).map_err(|e| failed(context, e))?);
            }
        }
    }
    let given = secrets(&args.secrets)?;
    let needed = troupe_runtime::boundary::secrets_of(&journal.records);
    let missing: Vec<String> = needed.into_iter().filter(|name| !given.contains_key(name)).collect();
    if !missing.is_empty() {
        return Err(Failure::failed(
            "secrets-missing",
            format!("{} leaves out the values of secrets: {}", of.name(), missing.join(", ")),
            format!(
                "give them with --secret {}=VALUE, or --secret {} and a variable of that name",
                missing[0], missing[0]
            ),
        ));
    }
    let blobs: HashMap<_, _> = journal.blobs.into_iter().collect();
    let source = JournalSource::Bytes { records: journal.records.into(), blobs: Arc::new(blobs) };
    let replay = match (args.component.is_some(), codes.pop()) {
        (true, Some(code)) => Replay::new(code, source),
        (_, last) => Replay::in_force(codes.into_iter().chain(last).collect(), source),
    };
    let replay = replay.map_err(|e| failed(context, e))?;
    let key = context.data().ok().and_then(|data| troupe_runtime::node::secret_key_of(&data));
    let mut replay = replay.with_secrets(given, key);
    if let Some((seq, edit)) = edit {
        let fork = replay.fork(seq, &edit).await.map_err(|e| failed(context, e))?;
        step::tell_fork(context, &fork);
        return Ok(());
    }
    if args.step {
        return step::walk(context, Walk::new(replay)).await;
    }
    let until = Seq(args.until.unwrap_or(u64::MAX));
    let told = |turn: &Replayed| {
        if args.turns {
            show(context, turn);
        }
    };
    replay.until(until, told).await.map_err(|e| failed(context, e))?;
    let summary = replay.summary();
    let state = match args.until {
        None => None,
        Some(_) => Some(replay.state().await.map_err(|e| failed(context, e))?),
    };
    if context.out.json {
        let state =
            state.map(|s| json!({ "fsm": s.fsm, "memory": s.memory, "saved": s.saved.as_deref().map(Payload::of) }));
        context.out.value(&json!({
            "identical": true, "records": summary.records, "turns": summary.turns,
            "same-component": replay.same_component(), "state": state,
        }));
        return Ok(());
    }
    context.out.line(format!("identical, {} in {} turns", records(summary.records), summary.turns));
    if let Some(state) = state {
        step::tell_state(context, &state);
    }
    Ok(())
}

/// Values by name: as they are given, or of the environment.
fn secrets(given: &[String]) -> Result<BTreeMap<String, String>> {
    let read = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.clone(), value)),
            Err(_) => Err(Failure::failed(
                "no-variable",
                format!("there is no variable {text} for --secret {text}"),
                "set it, or write --secret NAME=VALUE",
            )),
        },
    };
    given.iter().map(read).collect()
}

/// The component to run: the one named, else the one in the file.
fn component(context: &Context, args: &Args, of: &Of, journal: &Evidence) -> Result<Vec<u8>> {
    if let Some(path) = &args.component {
        let path = context.here.join(path);
        return std::fs::read(&path).map_err(|e| Failure::read(&path, &e));
    }
    journal.blobs.get(&journal.about.component).cloned().ok_or_else(|| {
        Failure::failed(
            "no-component",
            format!("{} does not hold its component {}", of.name(), journal.about.component),
            "name it with --component FILE.wasm; `troupe journal export` puts it into the file unless told not to",
        )
    })
}

/// The components that upgrades in a journal name.
fn upgrades(bytes: &[u8]) -> impl Iterator<Item = Digest> {
    let upgrades =
        record::records(bytes).map_while(std::result::Result::ok).filter(|record| record.kind == Kind::Upgrade);
    upgrades.filter_map(|record| Some(body::Upgrade::decode(record.body).ok()?.to))
}

fn show(context: &Context, turn: &Replayed) {
    let about = turn.message_type.as_deref().unwrap_or(turn.kind.name());
    if context.out.json {
        context.out.value(&json!({
            "turn": turn.number, "began": turn.began.0, "last": turn.last.0, "kind": turn.kind.name(),
            "type": turn.message_type.as_deref(), "ended": turn.ended(), "fault": turn.faulted(), "head": turn.head.to_string(),
        }));
    } else {
        let line =
            format!("turn {}  records {}..{}  {about}  ->  {}", turn.number, turn.began, turn.last, turn.ended());
        context.out.line(plain(&line));
    }
}

fn failed(context: &Context, e: troupe_runtime::Error) -> Failure {
    match e {
        troupe_runtime::Error::Differs(Divergence { seq, function, expected, actual }) => {
            if context.out.json {
                context.out.value(&json!({
                    "identical": false, "seq": seq.0, "function": function, "expected": expected, "actual": actual,
                }));
            }
            Failure::differs(
                format!(
                    "the replay differs at record {seq}, {function}\n  the journal has: {expected}\n  the component:   {actual}"
                ),
                "",
            )
        }
        e => Failure::failed("replay", e, ""),
    }
}
