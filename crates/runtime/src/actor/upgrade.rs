//! Another component for an actor that lives.
//!
//! Promises: "An upgrade happens between turns, its state from a complete replay without difference or from save and load; it
//! commits the upgrade record with a new base (or the mark that the whole journal replays under it), or is refused." The record,
//! the actors table and the row of the table of moves change in one batch: after a crash the actor runs the old component or the new one,
//! wherever it is looked at. Refused, it goes on as it was.

use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::body::{self, Carried};
use troupe_log::codec::{Reader, put_u8, put_u32, put_u64};
use troupe_log::{ActorId, Digest, Incarnation, Kind, Seq, Table};

use super::config::{ActorEntry, Config};
use super::executor::{Executor, describe, recording};
use super::live::Fall;
use super::message::Gate;
use crate::boundary::{Guest, Turn};
use crate::component::Code;
use crate::error::{Error, Result};
use crate::node::listing::NO_SNAPSHOT;
use crate::node::phases::{During, Phase};

/// What was asked for, and who asked.
pub struct Upgrade {
    /// What runs from now on.
    pub code: Arc<Code>,
    /// How the state comes to it.
    pub way: Way,
    /// Hears of it. Dropped unused if the executor ended before.
    pub done: oneshot::Sender<Result<Step>>,
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upgrade({}, {:?})", self.code.inspection.digest, self.way)
    }
}

/// How the state of the actor comes to the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The journal of this life up to this record was played under it without difference: what follows the newest base is played once
    /// more, live.
    Replayed(Incarnation, Seq),
    /// The old one saves it, the new one loads it.
    Saved,
}

/// What a step towards an upgrade came to.
#[derive(Debug)]
pub enum Step {
    /// The actor runs it: the upgrade's record, and what whoever shows it must wait for.
    Done(Seq, Gate),
    /// A base was made meanwhile, behind what was played: it must be played further.
    Again,
}

/// What stands in the table of moves of an actor that was upgraded.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgraded {
    /// Its life.
    pub incarnation: Incarnation,
    /// What it ran before.
    pub previous: Digest,
    /// Where the state that its present component replays from begins: the instantiation behind the newest upgrade by save and load, or 0.
    pub start: Seq,
    /// The settings in force there; none at 0, where the genesis record has them.
    pub config: Option<Arc<Config>>,
}

const VERSION: u8 = 1;

impl Upgraded {
    /// The key of an actor in the table of moves.
    pub fn key(actor: &ActorId) -> Vec<u8> {
        let mut key = vec![b'u'];
        key.extend_from_slice(actor.as_str().as_bytes());
        key
    }

    /// The actor of such a key.
    pub fn from_key(key: &[u8]) -> Option<ActorId> {
        ActorId::reserved(std::str::from_utf8(key.strip_prefix(b"u")?).ok()?).ok()
    }

    /// Its value in the table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        put_u8(&mut out, VERSION);
        put_u32(&mut out, self.incarnation.0);
        out.extend_from_slice(&self.previous.0);
        put_u64(&mut out, self.start.0);
        if let Some(config) = &self.config {
            out.extend_from_slice(&config.encode());
        }
        out
    }

    /// Reads a value of the table.
    pub fn decode(value: &[u8]) -> Option<Upgraded> {
        let mut input = Reader::new(value);
        if input.u8().ok()? != VERSION {
            return None;
        }
        let (incarnation, previous) = (Incarnation(input.u32().ok()?), Digest(input.array().ok()?));
        let start = Seq(input.u64().ok()?);
        let config = match input.rest() {
            [] => None,
            bytes => Some(Arc::new(Config::decode(bytes).ok()?)),
        };
        Some(Upgraded { incarnation, previous, start, config })
    }
}

/// What an upgrade commits.
pub(super) struct Commit {
    pub(super) record: body::Upgrade,
    entry: ActorEntry,
    upgraded: Upgraded,
    code: Arc<Code>,
}

impl Commit {
    /// Puts its rows. `start` is where a replay under the new component begins.
    pub(super) fn rows(&self, guest: &mut Guest, start: Option<Seq>) -> Upgraded {
        let mut upgraded = self.upgraded.clone();
        if let Some(start) = start {
            upgraded.start = start;
        }
        let actor = guest.about.id.clone();
        guest.put(Table::ACTORS, actor.as_str().as_bytes(), &self.entry.encode());
        guest.put(Table::MOVES, &Upgraded::key(&actor), &upgraded.encode());
        upgraded
    }
}

impl Executor {
    /// Between two turns.
    pub(super) async fn upgrade(&mut self, code: Arc<Code>, way: Way) -> Result<Step> {
        self.ready()?;
        let _upgrade = During::new(self.core.watch.as_ref(), Phase::Base);
        let to = code.inspection.digest;
        let carried = if way == Way::Saved { Carried::Saved } else { Carried::Replayed };
        let commit = {
            let life = self.cell.life.lock();
            let from = life.entry.component;
            let before = life.upgraded.clone();
            let (start, config) = match carried {
                // The start is known when the old component has saved.
                Carried::Saved => (Seq(0), Some(life.config.clone())),
                Carried::Replayed => before.map_or((Seq(0), None), |before| (before.start, before.config)),
            };
            Commit {
                record: body::Upgrade { wall: self.core.clock.wall(), from, to, carried },
                entry: ActorEntry { component: to, ..life.entry.clone() },
                upgraded: Upgraded { incarnation: life.about.incarnation, previous: from, start, config },
                code,
            }
        };
        let record = match way {
            Way::Saved => self.saved_into(&commit).await?,
            Way::Replayed(life, upto) => {
                if self.tip().base > upto || life != self.cell.life.lock().about.incarnation {
                    return Ok(Step::Again);
                }
                self.replayed_into(&commit).await?
            }
        };
        self.core.has_instance(&self.cell);
        tracing::info!(actor = %self.cell.id, from = %commit.record.from, to = %to, "upgraded");
        Ok(Step::Done(record, Gate { durable: self.tip().tail, written: None }))
    }

    /// By save and load.
    async fn saved_into(&mut self, commit: &Commit) -> Result<Seq> {
        let old = self.standing().await?;
        let Some(live) = self.live.take() else { return Err(Error::NoActor(self.cell.id.clone())) };
        for (which, code) in [("the component that it runs", &old), ("the new component", &commit.code)] {
            if !code.contract.saves() || !recording(&live) {
                self.live = Some(live);
                return Err(self.refused(format!("by snapshot: {which}: {NO_SNAPSHOT}")));
            }
        }
        let record = match self.based(&commit.code, live, commit.record.from, Some(commit)).await {
            Ok(based) => {
                let record = Seq(based.start().0 - 1);
                self.stands_on(based);
                record
            }
            Err(Fall::Halted(why)) => return Err(self.core.halted(&why)),
            Err(Fall::Closing) => return Err(Error::Closing),
            Err(fall) => {
                self.give_up_instance();
                return Err(self.refused(format!("by snapshot: {}", describe(&fall))));
            }
        };
        let start = self.tip().base;
        self.runs(commit, Upgraded { start, ..commit.upgraded.clone() });
        Ok(record)
    }

    /// By playing what follows the newest base into an instance of the new component, which then goes on.
    async fn replayed_into(&mut self, commit: &Commit) -> Result<Seq> {
        let tip = self.tip();
        self.give_up_instance();
        self.permit = Some(self.core.admit().await?);
        let played = self.played(commit.code.clone()).await;
        let (player, open) = match played {
            Ok(played) => played,
            Err(error) => {
                self.give_up_instance();
                return Err(error);
            }
        };
        let Some(mut live) = player.into_live().filter(|_| open.is_none()) else {
            self.give_up_instance();
            return Err(Error::Unreplayable { why: "it does not end between two turns".to_owned() });
        };
        let guest = live.guest();
        guest.recorder.resume(tip.chain);
        guest.turn = Turn::default();
        let record = guest.recorder.step.record(Kind::Upgrade, |out| commit.record.encode(out));
        let upgraded = commit.rows(guest, None);
        guest.commit_turn().map_err(|error| self.core.halted(&format!("{error:#}")))?;
        self.live = Some(live);
        self.note_tip();
        self.runs(commit, upgraded);
        Ok(record)
    }

    /// The batch is appended.
    fn runs(&self, commit: &Commit, upgraded: Upgraded) {
        let mut life = self.cell.life.lock();
        life.entry = commit.entry.clone();
        life.code = Some(commit.code.clone());
        life.no_base = None;
        life.upgraded = Some(upgraded);
    }

    fn refused(&self, why: String) -> Error {
        Error::NoUpgrade { actor: self.cell.id.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ActorSpec, ComponentRef};

    #[test]
    fn a_row_reads_back_and_refuses_another_version() {
        let actor = ActorId::parse("ns/a").unwrap();
        assert_eq!(Upgraded::from_key(&Upgraded::key(&actor)), Some(actor.clone()));
        let config = Config::of(&ActorSpec::new(actor, ComponentRef::Digest(Digest::of(b"x"))));
        for config in [None, Some(Arc::new(config))] {
            let row = Upgraded { incarnation: Incarnation(2), previous: Digest::of(b"y"), start: Seq(7), config };
            let mut value = row.encode();
            assert_eq!(Upgraded::decode(&value), Some(row));
            assert_eq!(Upgraded::decode(&value[..20]), None);
            value[0] = 2;
            assert_eq!(Upgraded::decode(&value), None);
        }
    }
}
