//! Bases of the guest's own kind: save, a new instance, load; the actor goes on in the loaded one.
//!
//! Promises: a base is one batch; if any of it fails, none of it happened and the journal brings the actor back as it was. The
//! component that loads may be another than the one that saved: then the record of the upgrade stands between the two.

use std::sync::Arc;

use troupe_log::body::{self, FaultCause, TurnKind};
use troupe_log::codec::put_str;
use troupe_log::{Digest, Kind, Seq, Table};

use super::beginning::{Restraint, instantiate};
use super::cell::Status;
use super::change::base_entry;
use super::executor::{Executor, describe, drive, recording};
use super::live::{Fall, Live};
use super::turn::{self, About};
use super::upgrade::Commit;
use crate::boundary::Guest;
use crate::component::Code;
use crate::contract::{Input, Output};
use crate::error::{Error, Result};
use crate::node::listing::NO_SNAPSHOT;
use crate::node::phases::{During, Phase};
use crate::replay::player::{Loaded, outcome};

/// A base that was made.
pub(super) struct Based {
    live: Live,
    /// The first record that recovery plays.
    start: Seq,
    /// The base's own record.
    record: Seq,
}

impl Based {
    /// The first record that recovery plays.
    pub(super) fn start(&self) -> Seq {
        self.start
    }
}

impl Executor {
    /// Makes a base; its record.
    pub(super) async fn make_base(&mut self) -> Result<Seq> {
        let code = self.standing().await?;
        let Some(live) = self.live.take() else { return Err(Error::NoActor(self.cell.id.clone())) };
        if !code.contract.saves() || !recording(&live) {
            let why = if recording(&live) { NO_SNAPSHOT } else { "its manifest says journal = \"off\"" };
            self.live = Some(live);
            return Err(self.no_base(why));
        }
        let digest = self.cell.life.lock().entry.component;
        let _base = During::new(self.core.watch.as_ref(), Phase::Base);
        match self.based(&code, live, digest, None).await {
            Ok(based) => Ok(self.stands_on(based)),
            Err(Fall::Halted(why)) => Err(self.core.halted(&why)),
            Err(Fall::Closing) => Err(Error::Closing),
            // Nothing of it was committed: the journal brings the actor back as it was.
            Err(fall) => Err(self.no_base(&describe(&fall))),
        }
    }

    /// Brings the instance up if there is none. Its code.
    pub(super) async fn standing(&mut self) -> Result<Arc<Code>> {
        self.ready()?;
        if self.live.is_none() {
            self.revive().await?;
        }
        self.code()
    }

    /// An error if the actor does not live.
    pub(super) fn ready(&self) -> Result<()> {
        let actor = self.cell.id.clone();
        match &self.cell.life.lock().status {
            Status::Ready => Ok(()),
            Status::Quarantined(why) => Err(Error::Quarantined { actor, why: why.clone() }),
            Status::Moved(why) => Err(Error::Moved { actor, why: why.clone() }),
            Status::Stopped(_) => Err(Error::NoActor(actor)),
        }
    }

    /// Goes on in the loaded instance.
    pub(super) fn stands_on(&mut self, based: Based) -> Seq {
        self.live = Some(based.live);
        self.note_tip();
        let mut life = self.cell.life.lock();
        life.tip.base = based.start;
        life.no_base = None;
        life.base_config = Some(life.config.clone());
        drop(life);
        self.since_base = 0;
        self.no_base = false;
        based.record
    }

    fn no_base(&mut self, why: &str) -> Error {
        self.no_base = true;
        self.cell.life.lock().no_base = Some(why.to_owned());
        tracing::warn!(actor = %self.cell.id, why, records = self.since_base, "no base can be made; recovery replays them all");
        Error::NoBase { actor: self.cell.id.clone(), why: why.to_owned() }
    }

    /// The state of `live`, saved by the component of this digest, loaded into a new instance of `code`, and committed. With an upgrade its
    /// record and rows go with it.
    pub(super) async fn based(
        &mut self,
        code: &Code,
        mut live: Live,
        saved_by: Digest,
        upgrade: Option<&Commit>,
    ) -> Result<Based, Fall> {
        turn::begin(live.guest(), About::Hook(TurnKind::Save, &[]));
        let deadline = live.guest().turn.deadline;
        let saved = drive(&self.core, &mut live, Input::Save, deadline).await?;
        let full = live.guest().about.limits.fuel;
        let fuel = live.fuel_used(full);
        let (number, answer) = outcome(TurnKind::Save, &saved);
        turn::end(live.guest(), number, fuel, &answer);
        let Output::Answer(state) = saved else {
            return Err(Fall::Fault(FaultCause::Limit, "save answered with an error".to_owned()));
        };
        let store = self.core.store.clone();
        let blob = |bytes: &[u8]| store.put_blob(bytes).map_err(|error| Fall::Halted(error.to_string()));
        let held = if state.len() <= Loaded::INLINE { Ok(state.clone()) } else { Err(blob(&state)?) };
        let loaded = Loaded { saved_by: saved_by.to_string(), state: held };
        let fsm_state = live.state.clone();
        let tail = live.guest().tail();
        let mut old = live.store.into_data();
        if let Some(commit) = upgrade {
            old.recorder.step.record(Kind::Upgrade, |out| commit.record.encode(out));
        }
        let (about, journaled) = (old.about.clone(), old.turn.journaled);
        let guest = Guest::new(about, self.core.services(), old.recorder, tail);
        let start = guest.recorder.chain().next;
        let mut live = instantiate(&self.core, code, guest, Restraint::Base).await.map_err(|(_, fall)| fall)?;
        live.state = fsm_state;
        turn::begin(live.guest(), About::Hook(TurnKind::Load, &loaded.encode()));
        let deadline = live.guest().turn.deadline;
        let input = Input::Load { state: &state, saved_by: &loaded.saved_by };
        let output = drive(&self.core, &mut live, input, deadline).await?;
        let fuel = live.fuel_used(full);
        let (number, answer) = outcome(TurnKind::Load, &output);
        turn::end(live.guest(), number, fuel, &answer);
        if let Output::Refused(why) | Output::NoTaker(why) = output {
            return Err(Fall::Fault(FaultCause::Limit, format!("load refused: {why}")));
        }
        let guest_state = live.state.clone();
        let guest = live.guest();
        guest.turn.journaled += journaled;
        let mut rest = Vec::new();
        put_str(&mut rest, &guest_state);
        let base = body::Base {
            component: code.inspection.digest,
            form: 1,
            state: Digest::of(&state),
            image: match loaded.state {
                Ok(bytes) => body::Image::Inline(bytes),
                Err(digest) => body::Image::Blob(digest, state.len() as u64),
            },
            rest,
        };
        let record = guest.recorder.step.record(Kind::Base, |out| base.encode(out));
        let config = self.cell.life.lock().config.clone();
        let value = base_entry(guest.about.incarnation.0, start.0, &config);
        guest.put(Table::BASES, self.cell.id.as_str().as_bytes(), &value);
        if let Some(commit) = upgrade {
            commit.rows(guest, Some(start));
        }
        guest.commit_turn().map_err(|error| Fall::Halted(format!("{error:#}")))?;
        Ok(Based { live, start, record })
    }
}
