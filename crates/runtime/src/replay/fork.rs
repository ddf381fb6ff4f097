//! A journal played with one thing changed: the result of a call, or a message; and what then differs.
//!
//! Promises: nothing outside is touched. Calls are answered from the records of their own turn as `boundary/departure.rs` says, and
//! what no record can answer ends the fork there; each difference in calls, answers and ends is told. Turns that ended with a fault
//! left nothing, and are left out; a state that was saved and loaded again is the fork's own.

use std::sync::Arc;

use troupe_log::body::{self, Outcome, TurnKind};
use troupe_log::codec::{self, Reader};
use troupe_log::record::HEADER;
use troupe_log::{Digest, Kind, Record, Seq, record};

use super::player::{Loaded, Player, describe_outcome};
use super::turns::{End, Item, PastTurn};
use super::{JournalSource, Replay};
use crate::actor::executor::describe;
use crate::actor::live::Fall;
use crate::boundary::{AtEnd, Departure, Divergence, Entry, Registry, Tag};
use crate::contract::Output;
use crate::error::{Error, Result};

/// Turns with a difference that are told; the fork goes on and counts more.
const MOST_TURNS: usize = 10_000;

/// What is changed of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The result of a call: text, or `0x` and the encoded result.
    Result(String),
    /// The message of a turn.
    Message {
        /// Another type.
        message_type: Option<String>,
        /// Another payload.
        payload: Option<Vec<u8>>,
    },
}

/// A turn that went otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkedTurn {
    /// Counted from 1.
    pub number: u64,
    /// The record that began it.
    pub began: Seq,
    /// What it was about.
    pub about: String,
    /// Calls that were others.
    pub calls: Vec<Departure>,
    /// How it ended in the journal and in the fork, if that differs.
    pub end: Option<(String, String)>,
}

/// What a fork came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// What was changed, before and after.
    pub edited: (String, String),
    /// The turns that went otherwise.
    pub turns: Vec<ForkedTurn>,
    /// Turns that were played from the changed one on.
    pub played: u64,
    /// How many of them went otherwise.
    pub differing: u64,
    /// Why it ended before the journal did.
    pub stopped: Option<String>,
}

impl Replay {
    /// Plays up to the turn with record `seq`, changes that, and plays on to the end. The replay is used up.
    pub async fn fork(mut self, seq: Seq, edit: &Edit) -> Result<Fork> {
        let no_such = |why: &str| Error::Invalid { what: format!("record {seq} cannot be changed: {why}") };
        let mut turn = loop {
            let Some(turn) = self.look()? else { return Err(no_such("no turn has it")) };
            if turn.last >= seq {
                break turn;
            }
            self.ahead = Some(turn);
            self.next_turn().await?;
        };
        if turn.began > seq {
            return Err(no_such("it stands between two turns; a call's result or a message can be changed"));
        }
        if !self.standing && self.summary.turns > 0 && turn.kind != TurnKind::Instantiate {
            self.stand_before(turn.began).await?;
        }
        let edited = change(&mut turn, seq, edit, self.code.boundary().registry())?;
        let mut fork = Fork { edited, ..Fork::default() };
        let mut next = Some(turn);
        let mut saved: Option<Vec<u8>> = None;
        let (mut number, mut first) = (self.summary.turns + 1, true);
        // A message whose fault the change has undone is not tried again.
        let mut healed = None;
        while let Some(mut turn) = next.take() {
            let message = turn.message.as_ref().map(|message| (message.id, message.attempt));
            let repeats = message.is_some_and(|(id, attempt)| attempt > 1 && healed == Some(id));
            if first || matches!(turn.end, End::Ended { .. }) && !repeats {
                if let (TurnKind::Load, Some(state)) = (turn.kind, &saved) {
                    carry(&mut turn, state)?;
                }
                fork.played += 1;
                let played = play(&mut self.player, &self.source, &turn).await?;
                let (calls, end, stopped) = (played.calls, played.end, played.stopped);
                if first && stopped.is_none() && !matches!(turn.end, End::Ended { .. }) {
                    healed = message.map(|(id, _)| id);
                }
                saved = played.saved.or(saved);
                if !calls.is_empty() || end.is_some() {
                    fork.differing += 1;
                    if fork.turns.len() < MOST_TURNS {
                        let about = turn.message.as_ref().map_or(turn.kind.name(), |message| &message.message_type);
                        fork.turns.push(ForkedTurn { number, began: turn.began, about: about.to_owned(), calls, end });
                    }
                }
                if stopped.is_some() {
                    fork.stopped = stopped;
                    break;
                }
            }
            number += 1;
            first = false;
            match self.look_forked()? {
                Ok(turn) => next = turn,
                Err(why) => fork.stopped = Some(why),
            }
        }
        Ok(fork)
    }

    /// The next turn, or why there is none for the fork; a base of the journal is none of the fork's state.
    fn look_forked(&mut self) -> Result<Result<Option<Box<PastTurn>>, String>> {
        while let Some(item) = self.turns.next_item()? {
            match item {
                Item::Turn(turn) => return Ok(Ok(Some(turn))),
                Item::Other { seq, kind: Some(Kind::Change), body } => self.player.change(seq, &body)?,
                Item::Other { seq, kind: Some(Kind::Upgrade), body } if !self.in_force.is_empty() => {
                    let upgrade =
                        body::Upgrade::decode(&body).map_err(|error| Error::Unreplayable { why: error.to_string() })?;
                    if upgrade.carried == body::Carried::Replayed {
                        // The new component's state is that of the journal replayed, not of the fork.
                        return Ok(Err(format!("record {seq} upgrades it by a replay of the journal as it is")));
                    }
                    self.upgrade(seq, &body)?;
                }
                Item::Genesis(_) | Item::Other { .. } => {}
            }
        }
        Ok(Ok(None))
    }
}

struct Played {
    calls: Vec<Departure>,
    end: Option<(String, String)>,
    saved: Option<Vec<u8>>,
    stopped: Option<String>,
}

async fn play(player: &mut Player, source: &JournalSource, turn: &PastTurn) -> Result<Played> {
    let blobs = |digest: &Digest| source.blob(digest);
    player.let_depart();
    let fuel = player.about().limits.fuel;
    let ended = player.run(turn, AtEnd::Ended, fuel, &blobs).await;
    if ended.is_ok() {
        player.leave_rest();
    }
    let mut played = Played { calls: player.departed(), end: None, saved: None, stopped: None };
    let recorded = match &turn.end {
        End::Ended { outcome, answer, .. } => describe_outcome(*outcome, answer),
        End::Faulted(fault) => format!("fault {}: {}", fault.cause.name(), fault.text),
        End::Open => "still open".to_owned(),
    };
    let (forked, same) = match ended {
        Ok(output) => {
            let (number, bytes) = player.masked_outcome(turn.kind, &output);
            let same =
                matches!(&turn.end, End::Ended { outcome, answer, .. } if *outcome == number && *answer == bytes);
            match output {
                Output::State(state) => {
                    if let Some(live) = player.live() {
                        live.state = state;
                    }
                }
                Output::Answer(state) if turn.kind == TurnKind::Save => played.saved = Some(state),
                _ => {}
            }
            (describe_outcome(number, &bytes), same)
        }
        Err(Fall::Differs(Divergence { seq, expected, actual, .. })) => {
            let at = if seq == Divergence::NO_FURTHER_RECORD { turn.last } else { seq };
            played.stopped = Some(format!("at record {at} it calls {actual}, which no record of its turn answers"));
            played.calls.push(Departure { seq: at, recorded: expected, forked: actual });
            return Ok(played);
        }
        Err(Fall::Fault(cause, text)) => {
            let text = player.masked_text(&text);
            let same = matches!(&turn.end, End::Faulted(fault) if fault.cause == cause && fault.text == text);
            played.stopped = Some(format!("its turn ended with a fault: {}: {text}", cause.name()));
            (format!("fault {}: {text}", cause.name()), same)
        }
        Err(fall) => return Err(Error::Unreplayable { why: describe(&fall) }),
    };
    if !same {
        played.end = Some((recorded, forked));
    }
    Ok(played)
}

/// The fork loads what the fork has saved.
fn carry(turn: &mut PastTurn, state: &[u8]) -> Result<()> {
    let unreadable = |e: codec::Error| Error::Unreplayable { why: format!("record {}: {e}", turn.began) };
    let loaded = Loaded::decode(&turn.about).map_err(unreadable)?;
    turn.about = Loaded { saved_by: loaded.saved_by, state: Ok(state.to_vec()) }.encode();
    Ok(())
}

/// Changes the record in the turn. What it was, and what it is.
fn change(turn: &mut PastTurn, seq: Seq, edit: &Edit, registry: &Registry) -> Result<(String, String)> {
    let no_such = |why: &str| Error::Invalid { what: format!("record {seq} cannot be changed: {why}") };
    match edit {
        Edit::Message { message_type, payload } => {
            let message = turn.message.as_ref().filter(|_| turn.began == seq);
            let message = message.ok_or_else(|| no_such("it begins no turn of a message"))?;
            let mut changed = (**message).clone();
            if let Some(message_type) = message_type {
                changed.message_type = message_type.as_str().into();
            }
            if let Some(payload) = payload {
                if payload.len() > MAX_PAYLOAD {
                    return Err(no_such("its payload would be over 1 GiB"));
                }
                changed.payload = payload.as_slice().into();
            }
            let shown = |message: &crate::actor::message::Message| {
                let mut text = format!("{:?} ", message.message_type);
                crate::boundary::show::bytes(&message.payload, &mut text);
                text
            };
            let words = (shown(message), shown(&changed));
            turn.message = Some(Arc::new(changed));
            Ok(words)
        }
        Edit::Result(text) => {
            let mut out = Vec::with_capacity(turn.records.len());
            let (mut words, mut begun) = (None, Vec::new());
            for record in record::records(&turn.records).map_while(std::result::Result::ok) {
                if matches!(record.kind.known(), Some(Kind::Intent | Kind::Wait)) {
                    begun.push((record.seq, crate::boundary::tag_and_params(record.body).0));
                }
                if record.kind == Kind::Redaction && body::Redaction::decode(record.body).is_ok_and(|it| it.of == seq) {
                    // What is hidden of the result that was; nothing of it is put into the one that is.
                    continue;
                }
                if record.seq != seq {
                    out.extend_from_slice(record.bytes);
                    continue;
                }
                let (kind, head, tag, before) =
                    parts(&record, &begun).ok_or_else(|| no_such("it holds no result of a call"))?;
                let entry = registry.get(tag).ok_or_else(|| no_such("nothing is known of its function's types"))?;
                let after = encode(entry, before.unwrap_or(&[]), text).ok_or_else(|| {
                    no_such(&format!("{text:?} is no result of {}; give it encoded, as 0x..", entry.name))
                })?;
                let old = before.map_or_else(|| "no value".to_owned(), |before| registry.outcome(tag, before));
                words = Some((
                    format!("{} -> {old}", entry.name),
                    format!("{} -> {}", entry.name, registry.outcome(tag, &after)),
                ));
                let mut body = head.to_vec();
                Outcome::Value(&after).encode(&mut body);
                put(&mut out, &record, kind, &body);
            }
            turn.records = out.into();
            words.ok_or_else(|| no_such("it holds no result of a call"))
        }
    }
}

const MAX_PAYLOAD: usize = 1 << 30;

/// What a record with a result consists of: its kind as one that holds a value, what stands before its outcome, its function, and
/// the value that it has.
type Parts<'a> = (Kind, &'a [u8], Tag, Option<&'a [u8]>);

fn parts<'a>(record: &Record<'a>, begun: &[(Seq, Tag)]) -> Option<Parts<'a>> {
    let body = record.body;
    let (kind, at, tag) = match record.kind.known()? {
        kind @ (Kind::Call | Kind::Denial) => {
            let (tag, params) = crate::boundary::tag_and_params(body);
            // A denial that is granted in the fork is a call.
            return match kind {
                Kind::Denial => Some((Kind::Call, body.get(..12 + params.len())?, tag, None)),
                _ => {
                    value_at(body, 12 + params.len()).map(|value| (Kind::Call, &body[..12 + params.len()], tag, value))
                }
            };
        }
        kind @ (Kind::Outcome | Kind::Wake) => {
            let of = Seq(Reader::new(body).u64().ok()?);
            (kind, 8, begun.iter().find(|(seq, _)| *seq == of)?.1)
        }
        _ => return None,
    };
    value_at(body, at).map(|value| (kind, &body[..at], tag, value))
}

fn value_at(body: &[u8], at: usize) -> Option<Option<&[u8]>> {
    match Outcome::decode(&mut Reader::new(body.get(at..)?)).ok()? {
        Outcome::Value(bytes) => Some(Some(bytes)),
        _ => Some(None),
    }
}

fn put(out: &mut Vec<u8>, record: &Record<'_>, kind: Kind, body: &[u8]) {
    out.extend_from_slice(&record.bytes[..HEADER - 5]);
    out.push(kind as u8);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
}

/// The bytes of a result that is given as text: the first way to write it that the function's type takes and shows as what was
/// given. Before it stands what `ok` and `some` are written as, if the type wants that.
fn encode(entry: &Entry, before: &[u8], text: &str) -> Option<Vec<u8>> {
    let shown = |bytes: &[u8]| (entry.outcome)(bytes).ok();
    if let Some(digits) = text.strip_prefix("0x") {
        return hex::decode(digits).ok().filter(|bytes| shown(bytes).is_some());
    }
    // Each way, and what its type shows of it.
    let mut ways: Vec<(Vec<u8>, String)> = Vec::new();
    if let Ok(number) = text.parse::<i128>() {
        let fits = |n: usize| {
            let bits = 8 * n as u32;
            number >= -(1_i128 << (bits - 1)) && number < 1_i128 << bits
        };
        let bytes = number.to_le_bytes();
        let way = |n: usize| (bytes[..n].to_vec(), number.to_string());
        ways.extend([8, 4, 2, 1].into_iter().filter(|n| fits(*n)).map(way));
    }
    if let Ok(number) = text.parse::<f64>() {
        let mut bytes = Vec::new();
        codec::put_f64(&mut bytes, number);
        ways.push((bytes, format!("{number:?}")));
    }
    match text {
        "true" => ways.push((vec![1], text.to_owned())),
        "false" => ways.push((vec![0], text.to_owned())),
        "()" => ways.push((Vec::new(), text.to_owned())),
        "none" => ways.push((vec![0], "None".to_owned())),
        _ => {}
    }
    let mut string = Vec::new();
    codec::put_str(&mut string, text);
    // Long text is shown cut.
    let start: String = text.chars().take(40).collect();
    ways.push((string, format!("{start:?}").trim_end_matches('"').to_owned()));
    let as_before = before.first().filter(|first| **first <= 1).map(|first| vec![*first]);
    let wraps = [Some(Vec::new()), as_before, Some(vec![0]), Some(vec![1]), Some(vec![0, 1])];
    wraps.into_iter().flatten().find_map(|wrap| {
        let tried = ways.iter().map(|(way, told)| ([&wrap[..], way].concat(), told));
        tried
            .into_iter()
            .find(|(bytes, told)| shown(bytes).is_some_and(|text| says(&text, told)))
            .map(|(bytes, _)| bytes)
    })
}

/// Whether a value that is shown as `text` is the one told: a number as a whole, and not some digits of another.
fn says(text: &str, told: &str) -> bool {
    let of_number = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    let whole = told.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    text.match_indices(told).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + told.len()..]);
        !whole || !before.ends_with(of_number) && !behind.starts_with(of_number)
    })
}

impl Player {
    fn let_depart(&mut self) {
        if let Some(recorder) = self.any_recorder() {
            recorder.let_depart();
        }
    }

    fn leave_rest(&mut self) {
        if let Some(recorder) = self.any_recorder() {
            // In a fork it notes, and never fails.
            let _ = recorder.end_replay(String::new);
        }
    }

    fn departed(&mut self) -> Vec<Departure> {
        self.any_recorder().map(|recorder| recorder.departed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::{DecodeError, Effect, Recordable};

    fn shown<T: Recordable>(bytes: &[u8]) -> std::result::Result<String, DecodeError> {
        let mut input = Reader::new(bytes);
        let value = T::decode(&mut input)?;
        input.finish()?;
        let mut text = String::new();
        value.show(&mut text);
        Ok(text)
    }

    fn encoded<T: Recordable>(text: &str) -> Option<Vec<u8>> {
        let entry = Entry {
            tag: Tag::of_name("f"),
            name: "f".to_owned(),
            effect: Effect::Read,
            params: shown::<T>,
            outcome: shown::<T>,
            hands_out: None,
            renew: None,
        };
        encode(&entry, &[], text)
    }

    #[test]
    fn a_number_becomes_what_the_function_gives() {
        let bits = |number: f64| Some(number.to_le_bytes().to_vec());
        for (text, number) in [("5", 5.0), ("-5", -5.0), ("0", 0.0), ("2.5", 2.5), ("1e300", 1e300), ("0.1", 0.1)] {
            assert_eq!(encoded::<(f64,)>(text), bits(number), "{text}");
        }
        assert_eq!(encoded::<(u64,)>("5"), Some(vec![5, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(encoded::<(u8,)>("5"), Some(vec![5]));
        assert_eq!(encoded::<(i32,)>("-5"), Some(vec![251, 255, 255, 255]));
        assert_eq!(encoded::<(u8,)>("256"), None);
        assert_eq!(encoded::<(u64,)>("2.5"), None);
        assert_eq!(encoded::<(Option<u32>,)>("5"), Some(vec![1, 5, 0, 0, 0]));
        assert_eq!(encoded::<(String,)>("5"), Some(vec![1, 0, 0, 0, b'5']));
    }
}
