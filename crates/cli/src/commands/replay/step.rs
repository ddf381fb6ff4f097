//! `troupe replay --step`: a journal walked forward and back, from a terminal or by a script on standard input.
//!
//! One command a line, one answer a command; with --json an answer is one JSON value. At a terminal a wrong command is said and
//! asked again; in a script it ends the walk with exit code 2, so that nobody takes half a script for the whole.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use serde_json::{Value, json};
use troupe_log::{Kind, Seq, record};
use troupe_runtime::replay::{Break, Edit, Fork, StateView, Step, Walk};
use troupe_server::records::{Shown, Teller};
use troupe_server::wire::Payload;

use super::failed;
use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::output::plain;

/// The longest line of a script.
const MAX_LINE: u64 = 16 << 20;
/// Conditions that may be set.
const MAX_BREAKS: usize = 100;

/// What can be said.
pub const HELP: &str = "\
next [N]                      N turns forward, or one
back [N]                      N turns back, or one
go N                          to behind turn N; go 0: before the first
run                           forward to the first turn that meets a condition, or to the end
break kind KIND               a condition: a record of this kind (call, fault, denial, ..)
break function TEXT           a call of a function whose name contains TEXT
break message TYPE            a message of this type
break seq N                   record N
breaks                        the conditions; delete N takes one away
calls                         the records of the turn
state                         the state behind the turn
edit N result VALUE           play the journal with another result of the call of record N: text, or 0x and the encoded value
edit N message PAYLOAD        the same with another payload of the message of record N
edit N type TYPE              the same with another message type
where, help, quit";

/// Walks until the commands end.
pub async fn walk(context: &Context, mut walk: Walk) -> Result<()> {
    let mut input = std::io::stdin().lock();
    let interactive = input.is_terminal();
    let mut breaks = Vec::new();
    loop {
        if interactive {
            print!("{}> ", walk.turns());
            let _ = std::io::stdout().flush();
        }
        let mut line = Vec::new();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|e| Failure::failed("io", format!("standard input: {e}"), ""))?;
        if line.is_empty() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&line);
        let done = command(context, &mut walk, &mut breaks, said.trim()).await;
        match done {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) if interactive && goes_on(said.trim(), &e) => e.print(context.out.json),
            Err(e) => return Err(e),
        }
    }
}

/// Whether who sits at a terminal may try again: what was said is wrong, or what was to be edited.
fn goes_on(said: &str, error: &Failure) -> bool {
    error.exit == Exit::Usage || error.exit == Exit::Failed && said.split_whitespace().next() == Some("edit")
}

/// Does one command. True ends the walk.
async fn command(context: &Context, walk: &mut Walk, breaks: &mut Vec<Break>, said: &str) -> Result<bool> {
    let (word, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let rest = rest.trim();
    let failed = |e| failed(context, e);
    match word {
        "" => {}
        "n" | "next" => {
            let to = walk.turns().saturating_add(number(rest, 1)?);
            let before = walk.turns();
            while walk.turns() < to && walk.next(breaks).await.map_err(failed)?.is_some() {}
            place(context, walk, if walk.turns() == before { Some("end") } else { None });
        }
        "b" | "back" => {
            let to = walk.turns().saturating_sub(number(rest, 1)?);
            walk.go(to).await.map_err(failed)?;
            place(context, walk, None);
        }
        "g" | "go" => {
            let to = number(rest, 0)?;
            walk.go(to).await.map_err(failed)?;
            place(context, walk, if walk.turns() < to { Some("end") } else { None });
        }
        "r" | "run" => {
            let met = walk.run(breaks).await.map_err(failed)?;
            place(context, walk, if met { Some("met") } else { Some("end") });
        }
        "w" | "where" => place(context, walk, None),
        "break" => {
            if breaks.len() >= MAX_BREAKS {
                return Err(Failure::usage(format!("there are {MAX_BREAKS} conditions"), "`delete N` takes one away"));
            }
            breaks.push(condition(rest)?);
            tell_breaks(context, breaks);
        }
        "breaks" => tell_breaks(context, breaks),
        "delete" => {
            let n = number(rest, u64::MAX)?;
            match usize::try_from(n).ok().filter(|n| *n < breaks.len()) {
                Some(n) => drop(breaks.remove(n)),
                None => return Err(Failure::usage(format!("there is no condition {rest:?}"), "`breaks` lists them")),
            }
            tell_breaks(context, breaks);
        }
        "c" | "calls" => calls(context, walk).map_err(failed)?,
        "s" | "state" => {
            let state = walk.state().await.map_err(failed)?;
            tell_state(context, &state);
        }
        "edit" => {
            let (seq, edit) = edit(rest)?;
            let fork = walk.fork(seq, &edit).await.map_err(failed)?;
            tell_fork(context, &fork);
        }
        "h" | "help" | "?" if context.out.json => context.out.value(&json!({ "help": HELP })),
        "h" | "help" | "?" => context.out.line(HELP),
        "q" | "quit" => return Ok(true),
        other => return Err(Failure::usage(format!("there is no command {other:?}"), "`help` lists them")),
    }
    Ok(false)
}

fn number(text: &str, missing: u64) -> Result<u64> {
    if text.is_empty() && missing != u64::MAX {
        return Ok(missing);
    }
    text.parse().map_err(|_| Failure::usage(format!("{text:?} is no number"), "`help` shows what goes where"))
}

fn condition(text: &str) -> Result<Break> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    Ok(match word {
        _ if rest.is_empty() => {
            return Err(Failure::usage(
                "a condition is missing",
                "as in `break function get-random` or `break seq 120`",
            ));
        }
        "kind" => Break::Kind(*Kind::ALL.iter().find(|kind| kind.name() == rest).ok_or_else(|| {
            let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            Failure::usage(format!("{rest:?} is no kind of record"), format!("one of {}", all.join(", ")))
        })?),
        "function" => Break::Function(rest.to_owned()),
        "message" => Break::Message(rest.to_owned()),
        "seq" => Break::Seq(Seq(number(rest, u64::MAX)?)),
        other => {
            return Err(Failure::usage(format!("{other:?} is no condition"), "kind, function, message, or seq"));
        }
    })
}

fn edit(text: &str) -> Result<(Seq, Edit)> {
    let mut parts = text.splitn(3, char::is_whitespace);
    let seq = Seq(number(parts.next().unwrap_or(""), u64::MAX)?);
    let (what, to) = (parts.next().unwrap_or(""), parts.next().unwrap_or("").to_owned());
    let edit = match what {
        "result" => Edit::Result(to),
        "message" => Edit::Message { message_type: None, payload: Some(payload(&to)) },
        "type" => Edit::Message { message_type: Some(to), payload: None },
        _ => return Err(Failure::usage("nothing to edit", "as in `edit 7 result 5` or `edit 6 message hello`")),
    };
    Ok((seq, edit))
}

/// Text, or `0x` and hexadecimal digits.
pub fn payload(text: &str) -> Vec<u8> {
    let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    bytes.unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Where the walk stands.
fn place(context: &Context, walk: &Walk, why: Option<&str>) {
    match (context.out.json, walk.newest()) {
        (true, newest) => {
            let step = newest.map_or(Value::Null, |Step { turn, first, met }| {
                json!({
                    "turn": turn.number, "first": first.0, "began": turn.began.0, "last": turn.last.0,
                    "kind": turn.kind.name(), "type": turn.message_type.as_deref(), "ended": turn.ended(),
                    "fault": turn.faulted(), "head": turn.head.to_string(), "met": met,
                })
            });
            context.out.value(&json!({ "passed": walk.turns(), "newest": step, "why": why }));
        }
        (false, None) => context.out.line("before the first turn"),
        (false, Some(Step { turn, .. })) => {
            let about = turn.message_type.as_deref().unwrap_or(turn.kind.name());
            let line =
                format!("turn {}  records {}..{}  {about}  ->  {}", turn.number, turn.began, turn.last, turn.ended());
            context.out.line(plain(&line));
            if why == Some("end") {
                context.out.line("the journal ends here");
            }
        }
    }
}

fn tell_breaks(context: &Context, breaks: &[Break]) {
    let shown = |at: &Break| match at {
        Break::Kind(kind) => format!("kind {}", kind.name()),
        Break::Function(text) => format!("function {text}"),
        Break::Message(text) => format!("message {text}"),
        Break::Seq(seq) => format!("seq {seq}"),
    };
    let shown: Vec<String> = breaks.iter().map(shown).collect();
    if context.out.json {
        context.out.value(&json!({ "breaks": shown }));
        return;
    }
    for (n, at) in shown.iter().enumerate() {
        context.out.line(plain(&format!("{n}  {at}")));
    }
}

fn calls(context: &Context, walk: &Walk) -> std::result::Result<(), troupe_runtime::Error> {
    let records = walk.records()?;
    let mut teller = Teller::new(walk.registry());
    let shown: Vec<Shown> =
        record::records(&records).map_while(std::result::Result::ok).map(|record| teller.tell(&record)).collect();
    if context.out.json {
        context.out.value(&json!({ "records": shown }));
    } else {
        shown.iter().for_each(|shown| context.out.line(plain(&shown.line())));
    }
    Ok(())
}

/// The state, for people or programs.
pub fn tell_state(context: &Context, state: &StateView) {
    let digest = state.saved.as_deref().map(troupe_log::Digest::of);
    if context.out.json {
        context.out.value(&json!({
            "fsm": state.fsm, "memory": state.memory, "saved": state.saved.as_deref().map(Payload::of),
            "hash": digest.map(|digest| digest.to_string()),
        }));
        return;
    }
    context.out.line(format!("memory: {} bytes", state.memory));
    if !state.fsm.is_empty() {
        context.out.line(format!("state: {}", plain(&state.fsm)));
    }
    match state.saved.as_deref().map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => context.out.line("saved: the component has no snapshot of its own"),
        Some((Ok(text), _)) => context.out.line(format!("saved: {}", plain(text))),
        Some((Err(_), bytes)) => context.out.line(format!("saved: 0x{}", hex::encode(bytes))),
    }
    if let Some(digest) = digest {
        context.out.line(format!("hash: {digest}"));
    }
}

/// What a fork came to.
pub fn tell_fork(context: &Context, fork: &Fork) {
    if context.out.json {
        let turns: Vec<Value> = fork
            .turns
            .iter()
            .map(|turn| {
                let calls: Vec<Value> = turn
                    .calls
                    .iter()
                    .map(|call| json!({ "seq": call.seq.0, "recorded": call.recorded, "forked": call.forked }))
                    .collect();
                let end = turn.end.as_ref().map(|(recorded, forked)| json!({ "recorded": recorded, "forked": forked }));
                json!({ "turn": turn.number, "began": turn.began.0, "about": turn.about, "calls": calls, "end": end })
            })
            .collect();
        let (before, after) = &fork.edited;
        context.out.value(&json!({
            "edited": { "before": before, "after": after }, "played": fork.played, "differing": fork.differing,
            "turns": turns, "stopped": fork.stopped,
        }));
        return;
    }
    let line = |text: String| context.out.line(plain(&text));
    line(format!("was: {}\nis:  {}", fork.edited.0, fork.edited.1));
    for turn in &fork.turns {
        line(format!("turn {}  from record {}  {}", turn.number, turn.began, turn.about));
        for call in &turn.calls {
            line(format!(
                "  record {}\n    the journal: {}\n    the fork:    {}",
                call.seq, call.recorded, call.forked
            ));
        }
        if let Some((recorded, forked)) = &turn.end {
            line(format!("  the end of the turn\n    the journal: {recorded}\n    the fork:    {forked}"));
        }
    }
    if let Some(why) = &fork.stopped {
        line(format!("the fork ends here: {why}"));
    }
    let more = if fork.differing > fork.turns.len() as u64 { ", not all are shown" } else { "" };
    line(format!("{} of {} turns went otherwise{more}", fork.differing, fork.played));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_terminal_a_wrong_edit_is_tried_again_and_a_journal_that_cannot_be_read_is_not() {
        assert!(goes_on("nonsense", &Failure::usage("there is no command", "")));
        let failed = Failure::failed("invalid", "record 0 cannot be changed", "");
        assert!(goes_on("edit 0 result 1", &failed));
        assert!(!goes_on("next", &failed));
        assert!(!goes_on("edit 5 result 1", &Failure::differs("the replay differs", "")));
    }
}
