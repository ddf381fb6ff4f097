//! The beginning of an actor's life: genesis, instantiation, init.
//!
//! Promises: what of it waits for nothing is one batch; a beginning that a crash cut goes on where it was. A life that did not
//! begin leaves nothing behind, or, behind a committed step, a life that has ended: its inbox dead-lettered, its promises broken.

use tracing::Instrument;
use troupe_log::body::{self, FaultCause, TurnKind};
use troupe_log::{Kind, Table};

use super::cell::Status;
use super::ending::{EndCause, Journal};
use super::executor::{Executor, describe, drive, ended_fault};
use super::live::{Bounds, Fall, Live};
use super::message::Gate;
use super::turn::{self, About};
use crate::boundary::{AtEnd, Guest, OPEN_TURNS, Recorder, Recording};
use crate::component::Code;
use crate::contract::{Input, Output};
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::node::core::Core;
use crate::replay::player::{Player, outcome, prepare};
use crate::replay::turns::PastTurn;
use crate::service::End;

/// What an instantiation may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restraint {
    /// Everything: a life begins.
    None,
    /// What save and load may: a base is one batch.
    Base,
}

impl Executor {
    /// The gate is what an answer to whoever asked must wait for.
    pub(crate) async fn begin(&mut self) -> Result<Gate> {
        self.permit = Some(self.core.admit().await?);
        self.load_code().await?;
        let code = self.code()?;
        let (about, entry, tip) = {
            let life = self.cell.life.lock();
            (life.about.clone(), life.entry.clone(), life.tip)
        };
        let recording = if about.mode == Mode::Off { Recording::Off } else { Recording::On };
        let mut recorder = Recorder::new(recording, tip.chain, self.core.registry.clone());
        if recorder.recording() {
            let genesis = body::Genesis {
                actor: about.id.clone(),
                incarnation: about.incarnation,
                component: entry.component,
                component_name: String::new(),
                engine: crate::component::Engines::fingerprint(),
                config: entry.config.clone(),
                initial: entry.initial.clone(),
                previous: None,
                wall: self.core.clock.wall(),
            };
            recorder.step.record(Kind::Genesis, |out| genesis.encode(out));
        }
        let mut guest = Guest::new(about.clone(), self.core.services(), recorder, tip.tail);
        if about.incarnation.0 > 0 {
            // What the life before was in the middle of is over.
            guest.delete(OPEN_TURNS, about.id.as_str().as_bytes());
        }
        guest.follows = self.cell.life.lock().succeeds;
        if about.mode != Mode::Off {
            guest.put(Table::ACTORS, about.id.as_str().as_bytes(), &entry.encode());
        }
        match instantiate(&self.core, &code, guest, Restraint::None).await {
            Ok(live) => self.init(live).await,
            Err((mut guest, fall)) => Err(self.did_not_begin(&mut guest, fall)),
        }
    }

    /// Init, behind an instantiation whose end is recorded.
    async fn init(&mut self, mut live: Live) -> Result<Gate> {
        let (entry, first_state) = {
            let life = self.cell.life.lock();
            (life.entry.clone(), life.config.first_state.clone())
        };
        live.state = first_state;
        if !live.has_init() {
            return self.lives(live);
        }
        let made = std::mem::take(&mut live.guest().turn);
        turn::begin(live.guest(), About::Hook(TurnKind::Init, &entry.initial));
        let turn = &mut live.guest().turn;
        // What the instantiation has committed is committed of this beginning, and what it staged is committed with it.
        (turn.steps, turn.journaled, turn.seen) = (made.steps, made.journaled, made.seen);
        (turn.staged, turn.shares, turn.born, turn.wait) = (made.staged, made.shares, made.born, made.wait);
        let deadline = turn.deadline;
        let span = tracing::debug_span!("turn", actor = %self.cell.id, kind = "init");
        let driven = drive(&self.core, &mut live, Input::Init(&entry.initial), deadline).instrument(span).await;
        self.initialized(live, driven)
    }

    /// What follows from what init came to.
    pub(super) fn initialized(&mut self, mut live: Live, driven: Result<Output, Fall>) -> Result<Gate> {
        let output = match driven {
            Ok(output) => output,
            Err(fall) => return Err(self.did_not_begin(live.guest(), fall)),
        };
        let (number, answer) = outcome(TurnKind::Init, &output);
        let full = live.guest().about.limits.fuel;
        let fuel = live.fuel_used(full);
        turn::end(live.guest(), number, fuel, &answer);
        match output {
            Output::Refused(why) => {
                let why = live.guest().without_secrets(&why);
                Err(self.never_began(live.guest(), None, format!("init refused: {why}")))
            }
            _ => self.lives(live),
        }
    }

    /// Commits what is left of the beginning.
    fn lives(&mut self, mut live: Live) -> Result<Gate> {
        let guest = live.guest();
        // Tokens mean nothing to a new life.
        let promised: Vec<String> = guest.about.promised.lock().keys().cloned().collect();
        for token in promised {
            guest.keep_promise(&token, Err(ended_fault("another life began")));
        }
        let gate = guest.commit_turn().map_err(|error| self.core.halted(&format!("{error:#}")))?;
        guest.http.going.finish();
        self.live = Some(live);
        self.core.has_instance(&self.cell);
        self.note_tip();
        self.cell.mailbox.turn_over();
        Ok(gate)
    }

    fn did_not_begin(&mut self, guest: &mut Guest, fall: Fall) -> Error {
        match fall {
            Fall::Halted(why) => self.core.halted(&why),
            // What was committed of it goes on at the next start.
            Fall::Closing => Error::Closing,
            Fall::Differs(divergence) => Error::Unreplayable { why: divergence.to_string() },
            fall => {
                let cause = if let Fall::Fault(cause, _) = fall { cause } else { FaultCause::Trap };
                self.never_began(guest, Some(cause), describe(&fall))
            }
        }
    }

    /// Another life, of the same settings and initial state, in place of the one that there is. False if none goes on.
    pub(super) async fn restart(&mut self) -> bool {
        match self.cell.life.lock().status {
            Status::Ready | Status::Quarantined(_) => {}
            Status::Moved(_) | Status::Stopped(_) => return false,
        }
        self.give_up_instance();
        if self.core.renew(&self.cell).is_err() {
            return false;
        }
        self.cell.mailbox.open_again();
        match self.begin().await {
            Ok(_) => true,
            Err(error) => {
                self.stillborn(&error);
                false
            }
        }
    }

    /// A life whose spawning is committed did not begin: it ends.
    pub(crate) fn stillborn(&mut self, error: &Error) {
        let ended = matches!(self.cell.life.lock().status, Status::Stopped(_));
        if ended || self.core.is_closing() || matches!(error, Error::Closing) {
            return;
        }
        self.drop_instance();
        let mut guest = self.bodiless();
        // What it commits to tables says that it has ended; a journal it has none.
        let _ = self.end_life(&mut guest, EndCause::Fault, &error.to_string(), Journal::Untouched);
    }

    /// Ends a life that did not begin. Without a committed step, nothing of it was ever there.
    fn never_began(&mut self, guest: &mut Guest, cause: Option<FaultCause>, why: String) -> Error {
        guest.undo_step();
        if guest.turn.steps > 0 && guest.recorder.recording() {
            if let Some(cause) = cause {
                let first_undone = guest.recorder.step.first_seq();
                let fault = body::Fault { cause, text: why.clone(), first_undone, disposition: 1 };
                guest.recorder.step.record(Kind::Fault, |out| fault.encode(out));
            }
            if let Err(error) = self.end_life(guest, EndCause::Fault, &why, Journal::Ends) {
                return error;
            }
        }
        Error::InitFailed { actor: self.cell.id.clone(), why }
    }

    /// Goes on with an instantiation that a crash cut, and with what follows it.
    pub(super) async fn resume_instantiation(&mut self, player: Player, past: &PastTurn) -> Result<()> {
        let code = self.code()?;
        let Some(recorder) = player.into_recorder() else {
            return Err(Error::Unreplayable { why: format!("record {} instantiates it a second time", past.began) });
        };
        let (about, tip) = {
            let life = self.cell.life.lock();
            (life.about.clone(), life.tip)
        };
        let mut guest = Guest::new(about, self.core.services(), recorder, tip.tail);
        self.note_start(&mut guest, past).await?;
        guest.recorder.new_instance();
        guest.recorder.replay(past.records.clone(), AtEnd::GoLive);
        let (fuel, deadline) = (guest.about.limits.fuel, guest.turn.deadline);
        let bounds = Bounds { fuel, deadline, core: Some(&self.core), cut: true };
        let made = match prepare(&code, &mut guest) {
            Ok(()) => Live::instantiate(&code, guest, &bounds).await,
            Err(fall) => Err((Box::new(guest), fall)),
        };
        let mut live = match made {
            Ok(live) => live,
            Err((mut guest, fall)) => return Err(self.did_not_begin(&mut guest, fall)),
        };
        let used = live.fuel_used(fuel);
        let differs = live.guest().recorder.end_replay(|| "ended its instantiation".to_owned());
        differs.map_err(|divergence| Error::Unreplayable { why: divergence.to_string() })?;
        turn::end(live.guest(), 0, used, &[]);
        self.init(live).await.map(drop)
    }
}

/// Instantiation as a turn of its own, its batch not committed.
pub(super) async fn instantiate(
    core: &Core,
    code: &Code,
    mut guest: Guest,
    restraint: Restraint,
) -> Result<Live, (Box<Guest>, Fall)> {
    guest.recorder.new_instance();
    turn::begin(&mut guest, About::Hook(TurnKind::Instantiate, &[]));
    guest.turn.restricted = restraint == Restraint::Base;
    if std::mem::take(&mut guest.follows) {
        // Before the new life takes anything.
        guest.leave_now(End::Fresh, "another life began");
    }
    if let Err(fall) = prepare(code, &mut guest) {
        return Err((Box::new(guest), fall));
    }
    let fuel = guest.about.limits.fuel;
    let deadline = guest.turn.deadline;
    let bounds = Bounds { fuel, deadline, core: Some(core), cut: true };
    let mut live = Live::instantiate(code, guest, &bounds).await?;
    let used = live.fuel_used(fuel);
    turn::end(live.guest(), 0, used, &[]);
    Ok(live)
}
