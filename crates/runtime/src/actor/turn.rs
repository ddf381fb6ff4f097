//! How a live turn begins and ends in the journal.

use std::sync::Arc;
use std::time::Duration;

use troupe_log::body::{TurnBegin, TurnKind};
use troupe_log::codec::{put_u8, put_u64};
use troupe_log::{Kind, NodeTime, Seq};

use super::message::{Envelope, Message};
use crate::boundary::{Guest, Turn};

/// What begins a turn.
pub enum About<'a> {
    /// A message.
    Message(Envelope),
    /// A hook, with the bytes that stand behind its begin.
    Hook(TurnKind, &'a [u8]),
}

/// Makes `guest` ready for a turn and records its begin. Returns the message of a message's turn.
pub fn begin(guest: &mut Guest, about: About<'_>) -> Option<Arc<Message>> {
    let now = guest.node.node_time();
    let recording = guest.recorder.recording();
    let began = if recording { guest.recorder.chain().next } else { Seq(0) };
    let mut turn = Turn { began, ..Turn::default() };
    limit(&mut turn, now, guest.about.limits.deadline);
    let wall = if recording { guest.node.wall_time() } else { troupe_log::WallTime(0) };
    turn.clocks = recording.then_some((now, wall));
    let message = match about {
        About::Hook(kind, rest) => {
            if recording {
                guest.recorder.step.record(Kind::TurnBegin, |out| {
                    TurnBegin { kind, node_time: now, wall_time: wall, rest }.encode(out);
                });
            }
            turn.restricted = matches!(kind, TurnKind::Save | TurnKind::Load);
            None
        }
        About::Message(envelope) => {
            let Envelope { message, reply, arrival, seen, client } = envelope;
            if recording {
                guest.recorder.step.record(Kind::TurnBegin, |out| {
                    put_u8(out, TurnKind::Message as u8);
                    put_u64(out, now.0);
                    put_u64(out, wall.0);
                    message.encode(out);
                });
            }
            turn.reply = reply;
            turn.client = client;
            turn.arrival = arrival;
            turn.seen = guest.about.depends_on(seen);
            turn.message = Some(message.clone());
            Some(message)
        }
    };
    guest.turn = turn;
    message
}

/// Sets when a turn that began at `began` is killed, and when its waits give up.
pub fn limit(turn: &mut Turn, began: NodeTime, deadline: Option<Duration>) {
    let Some(deadline) = deadline else { return };
    let micros = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX);
    let margin = (micros / 10).min(100_000);
    turn.deadline = Some(NodeTime(began.0.saturating_add(micros)));
    turn.patience = Some(NodeTime(began.0.saturating_add(micros - margin)));
}

/// Records the end of a turn in order.
pub fn end(guest: &mut Guest, outcome: u8, fuel: u64, answer: &[u8]) {
    if guest.recorder.recording() {
        guest.recorder.end_turn(outcome, fuel, answer);
    }
}
