//! A journal played under another component, before an actor goes on with that.
//!
//! Promises what recovery under it would find: each turn that ended in order makes the same calls with the same arguments and ends
//! alike, or the first difference; turns that ended with a fault are skipped, since nothing of them is in the actor's state.
//! Nothing outside is touched.

use std::sync::Arc;

use troupe_log::{ActorId, Digest, Incarnation, Kind, Seq};

use super::ahead::Ahead;
use super::nothing::Given;
use super::player::{self, Player};
use super::turns::{End, Item};
use super::{JournalSource, ReplayCode, Summary, alone, failed, new_player};
use crate::actor::config::Config;
use crate::boundary::SecretKey;
use crate::error::{Error, Result};

/// Turns that are played without a look at what else there is to do.
const TOGETHER: u64 = 64;

/// Where a shadow begins: at genesis, or at an instantiation under these settings.
pub(crate) struct Start {
    pub(crate) actor: ActorId,
    pub(crate) incarnation: Incarnation,
    pub(crate) seq: Seq,
    pub(crate) config: Option<Arc<Config>>,
    pub(crate) secret_key: SecretKey,
}

/// Plays all that ended. The record behind it, and how much it was.
pub(crate) async fn shadow(code: &ReplayCode, source: &JournalSource, start: &Start) -> Result<(Seq, Summary)> {
    let from = start.seq;
    let mut turns = Ahead::new(source.turns(from)?)?;
    let blobs = |digest: &Digest| source.blob(digest);
    let begin = |config: &Config| {
        let about = Arc::new(alone(&start.actor, start.incarnation, config));
        // On the node itself: secrets are where the grants say.
        let given = Given { values: None, key: Some(start.secret_key) };
        new_player(code, source, &about, config, &given)
    };
    let mut player: Option<Player> = start.config.as_deref().map(&begin);
    let (mut summary, mut next) = (Summary::default(), from);
    while let Some(item) = turns.next_item()? {
        match item {
            Item::Genesis(genesis) if player.is_none() => {
                let config = Config::decode(&genesis.config)
                    .map_err(|why| Error::Unreplayable { why: format!("the settings in its genesis record: {why}") })?;
                player = Some(begin(&config));
                next = Seq(1);
            }
            // What is left of the part before.
            Item::Turn(turn) if turn.began < from => {}
            Item::Other { seq, .. } if seq < from => {}
            Item::Turn(turn) => {
                let Some(player) = &mut player else { return Err(headless()) };
                match turn.end {
                    End::Ended { .. } => {
                        player.play(&turn, &blobs).await.map_err(failed)?;
                        summary.turns += 1;
                        if summary.turns % TOGETHER == 0 {
                            // Others of this thread have their turns, too.
                            tokio::task::yield_now().await;
                        }
                    }
                    End::Faulted(_) => {}
                    End::Open => break,
                }
                next = turn.last.next();
            }
            Item::Other { seq, kind, body } => {
                let Some(player) = &mut player else { return Err(headless()) };
                match kind {
                    Some(Kind::Base) => {
                        if let Some(live) = player.live() {
                            live.state = player::base_state(seq, &body)?;
                        }
                    }
                    Some(Kind::Change) => player.change(seq, &body)?,
                    _ => {}
                }
                next = seq.next();
            }
            Item::Genesis(_) => {}
        }
    }
    summary.records = next.0.saturating_sub(from.0);
    Ok((next, summary))
}

fn headless() -> Error {
    Error::Unreplayable { why: "it does not begin with a genesis record".to_owned() }
}
