//! Other settings for an actor that lives.
//!
//! Promises: "each change of them is a record between two turns and holds from there on." The record and the actors table change
//! in one batch, so after a crash the actor lives under the old settings or under the new ones, wherever it is looked at. The
//! instance is given up: recovery plays each part of the journal under the settings of its time, and ends under the new ones.

use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::{Kind, Table, body};

use super::cell::{Life, Status};
use super::config::{ActorEntry, Config};
use super::executor::Executor;
use super::message::Gate;
use crate::error::{Error, Result};

/// What was asked for, and who asked.
#[derive(Debug)]
pub struct Change {
    /// The settings from now on.
    pub config: Config,
    /// Hears of it. Dropped unused if the executor ended before.
    pub done: oneshot::Sender<Result<Changed>>,
}

/// What a change came to.
#[derive(Debug)]
pub struct Changed {
    /// What whoever shows it must wait for.
    pub gate: Gate,
    /// Each setting with what it was and what it is; none if they were the same.
    pub changes: Vec<String>,
}

impl Executor {
    /// Between two turns.
    pub(super) fn change(&mut self, asked: Change) {
        let Change { config, done } = asked;
        // Whoever asked may have gone away; the settings hold all the same.
        let _ = done.send(self.settle(config));
    }

    fn settle(&mut self, config: Config) -> Result<Changed> {
        let actor = self.cell.id.clone();
        let (before, entry, base, at_base) = {
            let life = self.cell.life.lock();
            match &life.status {
                Status::Ready => {}
                Status::Quarantined(why) => {
                    return Err(Error::Quarantined { actor, why: why.clone() });
                }
                Status::Moved(why) => return Err(Error::Moved { actor, why: why.clone() }),
                Status::Stopped(_) => return Err(Error::NoActor(actor)),
            }
            (life.config.clone(), life.entry.clone(), life.tip.base, life.base_config.clone())
        };
        before.may_become(&config).map_err(|what| Error::OtherSettings { actor: actor.clone(), what })?;
        let changes = before.differences(&config);
        if changes.is_empty() {
            return Ok(Changed { gate: Gate::default(), changes });
        }
        self.give_up_instance();
        let entry = ActorEntry { config: config.encode(), ..entry };
        let mut guest = self.bodiless();
        let change = body::Change { wall: self.core.clock.wall(), config: &entry.config };
        guest.recorder.step.record(Kind::Change, |out| change.encode(out));
        guest.put(Table::ACTORS, actor.as_str().as_bytes(), &entry.encode());
        if base.0 > 0 {
            let at_base = at_base.as_deref().unwrap_or(&before);
            guest.put(Table::BASES, actor.as_str().as_bytes(), &base_entry(entry.incarnation.0, base.0, at_base));
        }
        let gate = guest.commit_turn().map_err(|error| self.core.halted(&format!("{error:#}")))?;
        self.cell.mailbox.resize(config.limits.mailbox);
        let mut life = self.cell.life.lock();
        life.tip.moved(guest.recorder.chain(), guest.tail(), guest.turn.journaled);
        if base.0 > 0 && life.base_config.is_none() {
            life.base_config = Some(before);
        }
        life.entry = entry;
        life.no_base = None;
        let served = life.config.http.is_some() || config.http.is_some();
        live_under(&mut life, config);
        drop(life);
        if served {
            self.core.routes.forget();
        }
        tracing::info!(actor = %self.cell.id, changes = changes.join(", "), "settings changed");
        Ok(Changed { gate, changes })
    }
}

fn live_under(life: &mut Life, config: Config) {
    life.about = Arc::new(life.about.under(&config));
    life.config = Arc::new(config);
}

/// The value of an actor in the table of bases: the first record that recovery plays, and the settings in force there.
pub(super) fn base_entry(incarnation: u32, start: u64, config: &Config) -> Vec<u8> {
    let mut value = incarnation.to_le_bytes().to_vec();
    value.extend_from_slice(&start.to_le_bytes());
    value.extend_from_slice(&config.encode());
    value
}
