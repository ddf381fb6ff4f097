//! Another component for an actor that lives: first in the shadow, then between two of its turns.
//!
//! The journal is played under the new component while the actor goes on with the old one; what it did meanwhile since its newest base
//! is played once more when it switches, which is all that it has to stand still for.

use troupe_log::{ActorId, Digest, Incarnation, Seq};

use super::Node;
use crate::actor::asked::Asked;
use crate::actor::cell::Life;
use crate::actor::upgrade::{self, Step, Way};
use crate::error::{Error, Result};
use crate::manifest::{ComponentRef, Mode};
use crate::replay::Summary;
use crate::replay::shadow::{Start, shadow};

/// How an actor's state comes to another component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Its journal replays under it without difference.
    Replay,
    /// The old component saves it, the new one loads it: for one that would have done otherwise.
    Snapshot,
}

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// What the actor ran before.
    pub from: Digest,
    /// What it runs, or, after a check, could run.
    pub to: Digest,
    /// The upgrade's record; none if it runs this component already, or was only checked.
    pub record: Option<Seq>,
    /// What was replayed in the shadow.
    pub replayed: Summary,
}

/// Bases that may come between the shadow and the switch, one after another, before it is given up: an actor that makes them that fast has
/// `max-replay` set far too low.
const MOST_TRIES: usize = 16;

impl Node {
    /// Goes on with another component from between two turns on, or, refused, as it was. [`Error::UpgradeDiffers`] has the first
    /// difference. Returns once that survives a power cut.
    pub async fn upgrade(&self, id: &ActorId, to: &ComponentRef, how: How) -> Result<Upgrade> {
        let code = self.core.components.resolve(to).await?;
        if code.contract.is_empty() {
            return Err(refused(id, "the new component exports nothing that takes messages".to_owned()));
        }
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let to = code.inspection.digest;
        let mut replayed = Summary::default();
        for _ in 0..MOST_TRIES {
            let from = self.upgradable(id)?;
            if from == to {
                self.settled().await?;
                return Ok(Upgrade { from, to, record: None, replayed });
            }
            let way = match how {
                How::Snapshot => Way::Saved,
                How::Replay => {
                    let (life, upto);
                    (life, upto, replayed) = self.shadowed(id, to).await?;
                    Way::Replayed(life, upto)
                }
            };
            let step =
                self.asked(&cell, |done| Asked::Upgrade(Box::new(upgrade::Upgrade { code: code.clone(), way, done })));
            match step.await {
                Ok(Step::Done(record, gate)) => {
                    gate.open(&*self.core.store).await?;
                    return Ok(Upgrade { from, to, record: Some(record), replayed });
                }
                Ok(Step::Again) => {}
                Err(Error::Differs(divergence)) => return Err(differs(id, to, divergence)),
                Err(error) => return Err(error),
            }
        }
        let why = format!(
            "{MOST_TRIES} times a base came between its replay and the switch; raise max-replay in [snapshots]"
        );
        Err(refused(id, why))
    }

    /// Only replays the journal of an actor under another component, in the shadow.
    pub async fn check_upgrade(&self, id: &ActorId, to: &ComponentRef) -> Result<Upgrade> {
        let to = self.core.components.resolve(to).await?.inspection.digest;
        let from = self.upgradable(id)?;
        let (_, _, replayed) = self.shadowed(id, to).await?;
        Ok(Upgrade { from, to, record: None, replayed })
    }

    /// What an actor ran before its newest upgrade.
    pub fn before_upgrade(&self, id: &ActorId) -> Result<Digest> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let previous = cell.life.lock().upgraded.as_ref().map(|upgraded| upgraded.previous);
        previous
            .ok_or_else(|| refused(id, "it was never upgraded, so that there is nothing to roll back to".to_owned()))
    }

    /// The component of an actor that can be upgraded.
    fn upgradable(&self, id: &ActorId) -> Result<Digest> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let Life { config, entry, .. } = &*cell.life.lock();
        if config.mode == Mode::Off {
            let why = "its manifest says journal = \"off\": there is nothing to replay, and nothing would bring it back; `--fresh` starts it with other code";
            return Err(refused(id, why.to_owned()));
        }
        Ok(entry.component)
    }

    /// Plays the journal under a component. The record behind what was played.
    async fn shadowed(&self, id: &ActorId, to: Digest) -> Result<(Incarnation, Seq, Summary)> {
        let source = self.journal_source(id).await?;
        let code = self.core.components.replayable(to).await?;
        let start = {
            let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
            let life = cell.life.lock();
            let (seq, config) =
                life.upgraded.as_ref().map_or((Seq(0), None), |upgraded| (upgraded.start, upgraded.config.clone()));
            let secret_key = self.core.secret_key;
            Start { actor: id.clone(), incarnation: life.about.incarnation, seq, config, secret_key }
        };
        let (upto, summary) = shadow(&code, &source, &start).await.map_err(|error| match error {
            Error::Differs(divergence) => differs(id, to, divergence),
            error => error,
        })?;
        Ok((start.incarnation, upto, summary))
    }
}

fn differs(id: &ActorId, to: Digest, divergence: crate::boundary::Divergence) -> Error {
    Error::UpgradeDiffers { actor: id.clone(), to, divergence: Box::new(divergence) }
}

fn refused(id: &ActorId, why: String) -> Error {
    Error::NoUpgrade { actor: id.clone(), why }
}
