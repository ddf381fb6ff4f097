//! Bringing an actor back: its newest base, its journal after it, and into the middle of a turn if need be.
//!
//! Recovery is replay: each turn that ended in order is run against its records, faulted ones are skipped. An open turn is run
//! against what it has and goes on live behind it. A difference, or three starts that did not end the resumption, quarantines.

use std::sync::Arc;

use troupe_log::Kind;
use troupe_log::body::TurnKind;
use troupe_log::record::records;

use super::config::Config;
use super::ending::EndCause;
use super::executor::{Executor, describe};
use super::live::{Bounds, Fall};
use super::turn;
use crate::boundary::{AtEnd, Guest, Recorder, Recording, Turn};
use crate::component::Code;
use crate::contract::Input;
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::node::phases::{During, Phase};
use crate::replay::player::{Player, base_state};
use crate::replay::turns::{End, Item, PastTurn, Source, Turns};

/// Starts of an open turn's resumption after which the actor is quarantined.
const MOST_RESUMPTIONS: usize = 3;

impl Executor {
    /// Brings the instance back, and ends an open turn. Without a journal it is a new beginning.
    pub(super) async fn revive(&mut self) -> Result<()> {
        let tip = self.tip();
        if tip.tail.is_none() {
            return self.begin().await.map(drop);
        }
        debug_assert_ne!(self.cell.life.lock().config.mode, Mode::Off);
        let recovery = During::new(self.core.watch.as_ref(), Phase::Recovery);
        if self.permit.is_none() {
            self.permit = Some(self.core.admit().await?);
        }
        self.load_code().await?;
        let code = self.code()?;
        let (player, open) = self.played(code).await.map_err(|error| match error {
            Error::Differs(divergence) => Error::Unreplayable { why: divergence.to_string() },
            error => error,
        })?;
        drop(recovery);
        self.set_since_base(tip.chain.next.0.saturating_sub(tip.base.0));
        match open {
            Some(past) => self.resume(player, past).await,
            None => {
                let Some(mut live) = player.into_live() else {
                    return Err(Error::Unreplayable { why: "it has no instantiation".to_owned() });
                };
                let guest = live.guest();
                guest.recorder.resume(tip.chain);
                self.live = Some(live);
                self.core.has_instance(&self.cell);
                Ok(())
            }
        }
    }

    /// An instance of `code` brought up from the newest base by the journal after it, and the turn that is still open.
    pub(super) async fn played(&mut self, code: Arc<Code>) -> Result<(Player, Option<PastTurn>)> {
        let tip = self.tip();
        let Some(tail) = tip.tail else {
            return Err(Error::Unreplayable { why: "it has no journal".to_owned() });
        };
        let (about, first_state, base_config, settings) = {
            let life = self.cell.life.lock();
            let settings = life.entry.config.clone();
            (life.about.clone(), life.config.first_state.clone(), life.base_config.clone(), settings)
        };
        let present = about.clone();
        let reader = self.core.store.journal(&self.cell.id, about.incarnation, tail, tip.base)?;
        let mut turns = Turns::new(Source::Store(reader));
        let recorder = Recorder::new(Recording::On, tip.chain, self.core.registry.clone());
        let core = Some(self.core.clone());
        let services = self.core.services();
        let mut player = Player::new(code, about, services, &first_state, recorder, Some(tail), core);
        let store = self.core.store.clone();
        let blobs = move |digest: &troupe_log::Digest| store.blob(digest).ok();
        let mut open = None;
        if let Some(config) = base_config.filter(|_| tip.base.0 > 0) {
            player.settle(Arc::new(present.under(&config)));
        }
        while let Some(item) = turns.next_item()? {
            let past = match item {
                Item::Turn(past) => past,
                Item::Genesis(genesis) if tip.base.0 == 0 && genesis.config != settings => {
                    let config = Config::decode(&genesis.config).map_err(|why| Error::Unreplayable {
                        why: format!("the settings in its genesis record: {why}"),
                    })?;
                    player.settle(Arc::new(present.under(&config)));
                    continue;
                }
                Item::Other { seq, kind: Some(Kind::Base), body } => {
                    if let Some(live) = player.live() {
                        live.state = base_state(seq, &body)?;
                    }
                    continue;
                }
                Item::Other { seq, kind: Some(Kind::Change), body } if seq >= tip.base => {
                    player.change(seq, &body)?;
                    continue;
                }
                Item::Genesis(_) | Item::Other { .. } => continue,
            };
            // What stands before the base of which only the end is in the first part.
            if past.began < tip.base {
                continue;
            }
            match past.end {
                End::Ended { .. } => match player.play(&past, &blobs).await {
                    Ok(()) => {}
                    Err(Fall::Closing) => return Err(Error::Closing),
                    Err(Fall::Differs(divergence)) => return Err(divergence.into()),
                    Err(fall) => return Err(Error::Unreplayable { why: describe(&fall) }),
                },
                End::Faulted(_) => {}
                End::Open => open = Some(*past),
            }
        }
        player.settle(present);
        Ok((player, open))
    }

    /// Goes on with an open turn.
    async fn resume(&mut self, player: Player, past: PastTurn) -> Result<()> {
        let begun = unended(&past.records);
        if begun >= MOST_RESUMPTIONS {
            return Err(Error::Unreplayable {
                why: format!("{begun} starts did not end the resumption of the turn at record {}", past.began),
            });
        }
        tracing::info!(actor = %self.cell.id, record = %past.began, "an open turn goes on");
        if past.kind == TurnKind::Instantiate {
            return self.resume_instantiation(player, &past).await;
        }
        if past.kind == TurnKind::Terminate {
            self.cell.mailbox.shut();
        }
        let full = self.full_fuel();
        let message = match past.kind {
            TurnKind::Message => past.message.clone(),
            _ => None,
        };
        let Some(mut live) = player.into_live() else {
            return Err(Error::Unreplayable { why: "it has no instantiation".to_owned() });
        };
        let guest = live.guest();
        self.note_start(guest, &past).await?;
        guest.turn.message = message.clone();
        guest.recorder.replay(past.records.clone(), AtEnd::GoLive);
        let bounds = Bounds { fuel: full, deadline: live.guest().turn.deadline, core: Some(&*self.core), cut: true };
        let state = live.state.clone();
        let reason = String::from_utf8_lossy(&past.about).into_owned();
        let input = match (past.kind, &message) {
            (TurnKind::Message, Some(message)) => Input::Message { message, state: &state },
            (TurnKind::Init, _) => Input::Init(&past.about),
            (TurnKind::Terminate, _) => Input::Terminate(&reason),
            (kind, _) => {
                return Err(Error::Unreplayable { why: format!("a crash inside a turn of the kind {}", kind.name()) });
            }
        };
        let driven = live.drive(input, &bounds).await;
        if driven.is_ok() && live.guest().recorder.replaying() {
            let differs = live.guest().recorder.end_replay(|| "ended the turn".to_owned());
            if let Err(divergence) = differs {
                return Err(Error::Unreplayable { why: divergence.to_string() });
            }
        }
        match past.kind {
            TurnKind::Init => return self.initialized(live, driven).map(drop),
            TurnKind::Terminate => {
                let cause = self.cell.life.lock().ends.unwrap_or(EndCause::Operator);
                self.terminated(live, driven, cause, &reason)?;
                return Err(self.core.why_not(&self.cell));
            }
            _ => {}
        }
        self.live = Some(live);
        self.core.has_instance(&self.cell);
        match driven {
            Err(Fall::Closing) => Err(Error::Closing),
            Err(Fall::Differs(divergence)) => Err(Error::Unreplayable { why: divergence.to_string() }),
            driven => {
                if Box::pin(self.ended(message, driven)).await {
                    Ok(())
                } else {
                    Err(self.core.why_not(&self.cell))
                }
            }
        }
    }
}

impl Executor {
    /// Notes a resumption, durably, before it runs, so that one which kills the node is counted, and makes the guest ready for its turn.
    pub(super) async fn note_start(&mut self, guest: &mut Guest, past: &PastTurn) -> Result<()> {
        let core = self.core.clone();
        let failed = |error: wasmtime::Error| core.halted(&format!("{error:#}"));
        guest.recorder.resume(self.tip().chain);
        guest.turn = Turn { began: past.began, steps: 1, ..Turn::default() };
        guest.note_resumption(false);
        guest.commit_step().map_err(failed)?;
        let journaled = std::mem::take(&mut guest.turn.journaled);
        self.cell.life.lock().tip.moved(guest.recorder.chain(), guest.tail(), journaled);
        guest.gate().await.map_err(failed)?;
        let deadline = guest.about.limits.deadline;
        turn::limit(&mut guest.turn, past.node_time, deadline);
        Ok(())
    }
}

/// Resumptions at the end of an open turn's records that were begun and came to nothing: the guest neither reached a wait nor
/// the end of the turn.
fn unended(bytes: &[u8]) -> usize {
    let mut begun = 0;
    for record in records(bytes).flatten() {
        begun = match (record.kind.known(), record.body.get(8)) {
            (Some(Kind::Resume), Some(0)) => begun + 1,
            _ => 0,
        };
    }
    begun
}
