//! A replay that is walked forward and back, turn by turn, with conditions at which it stops.
//!
//! Promises: after any way there, what stands behind a turn is what a replay up to it gives. Back costs the turns since the newest
//! base before the place, and at most [`EVERY`] more: where a replay can go on from is kept for every so many turns.

use std::sync::Arc;

use troupe_log::{Kind, Seq, record};

use super::nothing::Given;
use super::turns::PastTurn;
use super::{Ahead, Edit, Fork, JournalSource, Replay, ReplayCode, Replayed, Start, StateView, Summary, new_player};
use crate::boundary::{About, Registry, tag_and_params};
use crate::error::{Error, Result};

/// A place to go on from is kept each time so many turns were passed.
pub const EVERY: u64 = 32;

/// Where a walk stops: behind the first turn with a record that meets one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// A record of this kind.
    Kind(Kind),
    /// A call of a function whose name contains this.
    Function(String),
    /// A message of this type.
    Message(String),
    /// This record.
    Seq(Seq),
}

/// A turn that was passed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The turn.
    pub turn: Replayed,
    /// The first record of it, or of what stands between it and the turn before.
    pub first: Seq,
    /// The conditions that it met, by their numbers in the list.
    pub met: Vec<usize>,
}

/// Where a replay can go on from.
struct Place {
    code: ReplayCode,
    about: Arc<About>,
    made: Start,
    base: Start,
    summary: Summary,
}

/// A walk over a journal.
pub struct Walk {
    replay: Replay,
    places: Vec<Place>,
    newest: Option<Step>,
}

impl Walk {
    /// Over what this replays; it must not have begun.
    pub fn new(replay: Replay) -> Walk {
        let mut walk = Walk { replay, places: Vec::new(), newest: None };
        walk.keep();
        walk
    }

    /// The replay, where it stands.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// How many turns were passed.
    pub fn turns(&self) -> u64 {
        self.replay.summary.turns
    }

    /// The turn that was passed last.
    pub fn newest(&self) -> Option<&Step> {
        self.newest.as_ref()
    }

    /// Notes where it stands, if nobody has there before.
    fn keep(&mut self) {
        let turns = self.replay.summary.turns;
        if self.replay.ahead.is_some() || turns != self.places.len() as u64 * EVERY {
            return;
        }
        let Replay { code, made, base, summary, player, .. } = &self.replay;
        let (code, made, base) = (code.clone(), made.clone(), base.clone());
        self.places.push(Place { code, about: player.about().clone(), made, base, summary: *summary });
    }

    /// One turn forward; none at the end.
    pub async fn next(&mut self, breaks: &[Break]) -> Result<Option<&Step>> {
        let first = Seq(self.replay.summary.records);
        let Some(turn) = self.replay.look().inspect_err(|_| self.replay.ended = true)? else {
            self.replay.ended = true;
            return Ok(None);
        };
        let between = match first < turn.began {
            true => self.replay.source.between(first, turn.began)?,
            false => Vec::new(),
        };
        let met = breaks.iter().enumerate().filter(|(_, at)| self.meets(at, &turn, &between)).map(|(n, _)| n).collect();
        self.replay.ahead = Some(turn);
        let Some(turn) = self.replay.next_turn().await? else { return Ok(None) };
        self.keep();
        Ok(Some(self.newest.insert(Step { turn, first, met })))
    }

    /// Forward until a turn meets one of the conditions. False at the end.
    pub async fn run(&mut self, breaks: &[Break]) -> Result<bool> {
        while let Some(step) = self.next(breaks).await? {
            if !step.met.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn meets(&self, at: &Break, turn: &PastTurn, between: &[u8]) -> bool {
        let registry = self.replay.code.boundary().registry();
        let of = |kind: Kind| match kind {
            Kind::TurnBegin => true,
            Kind::TurnEnd => matches!(turn.end, super::End::Ended { .. }),
            Kind::Fault => matches!(turn.end, super::End::Faulted(_)),
            _ => false,
        };
        let mut records =
            [between, &turn.records].into_iter().flat_map(record::records).map_while(std::result::Result::ok);
        match at {
            Break::Kind(kind) => of(*kind) || records.any(|record| record.kind == *kind),
            Break::Function(text) => records.any(|record| {
                matches!(record.kind.known(), Some(Kind::Call | Kind::Intent | Kind::Wait | Kind::Denial))
                    && registry.name(tag_and_params(record.body).0).contains(text)
            }),
            Break::Message(text) => turn.message.as_ref().is_some_and(|message| *message.message_type == **text),
            Break::Seq(seq) => {
                let first = record::records(between).next().and_then(std::result::Result::ok);
                (first.map_or(turn.began, |first| first.seq)..=turn.last).contains(seq)
            }
        }
    }

    /// To where so many turns are passed, or to the end if there are not so many.
    pub async fn go(&mut self, turns: u64) -> Result<()> {
        if turns < self.turns() {
            self.back_to(turns)?;
        }
        while self.turns() < turns && self.next(&[]).await?.is_some() {}
        if self.turns() == 0 {
            self.newest = None;
        }
        Ok(())
    }

    /// Stands where the newest place at or before so many turns is.
    fn back_to(&mut self, turns: u64) -> Result<()> {
        // One turn before at least, so that passing it again tells of it.
        let at = (turns.saturating_sub(1) / EVERY).min(self.places.len() as u64 - 1) as usize;
        let Place { code, about, made, base, summary } = &self.places[at];
        let replay = &mut self.replay;
        let from = if at == 0 { Seq(0) } else { Seq(summary.records) };
        let mut turns = replay.source.turns(from)?;
        if at == 0 {
            // The genesis record.
            turns.next_item()?;
        }
        replay.turns = Ahead::new(turns)?;
        replay.from = from;
        replay.code = code.clone();
        replay.player = new_player(code, &replay.source, about, &replay.config, &replay.given);
        (replay.made, replay.base, replay.summary) = (made.clone(), base.clone(), *summary);
        (replay.standing, replay.ended, replay.ahead) = (false, false, None);
        self.newest = None;
        Ok(())
    }

    /// The records of the turn that was passed last, and what stands between it and the turn before.
    pub fn records(&self) -> Result<Vec<u8>> {
        match &self.newest {
            Some(step) => self.replay.source.between(step.first, step.turn.last.next()),
            None => Ok(Vec::new()),
        }
    }

    /// The state behind the turn that was passed last.
    pub async fn state(&mut self) -> Result<StateView> {
        if self.turns() == 0 {
            return Err(Error::Unreplayable { why: "before its first turn there is no instance".to_owned() });
        }
        self.replay.state().await
    }

    /// What would have come of it had record `seq` been another. The walk stays where it is.
    pub async fn fork(&self, seq: Seq, edit: &Edit) -> Result<Fork> {
        let Replay { source, in_force, code, given, .. } = &self.replay;
        let replay = match in_force.is_empty() {
            true => Replay::new(code.clone(), source.clone())?,
            false => Replay::in_force(in_force.clone(), source.clone())?,
        };
        let Given { values, key } = given.clone();
        replay.with_secrets(values.unwrap_or_default(), key).fork(seq, edit).await
    }

    /// How the records are read.
    pub fn registry(&self) -> &Registry {
        self.replay.code.boundary().registry()
    }

    /// The journal.
    pub fn source(&self) -> &JournalSource {
        &self.replay.source
    }
}
