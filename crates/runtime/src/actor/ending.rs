//! The end of an actor's life: its last turn, its dead letters, and what it had promised.
//!
//! Promises: what of it waits for nothing is one batch, and an end that a crash cut goes on where it was; whoever waited for an
//! answer hears of the end behind its last batch. An actor that cannot be brought back ends too: its journal stays as it is, the
//! tables say that it has stopped.

use parking_lot::Mutex;
use troupe_log::body::{self, FaultCause, TurnKind};
use troupe_log::codec::put_str;
use troupe_log::{Kind, Table};

use super::burial::{Burial, bury};
use super::cell::Status;
use super::config::ActorEntry;
use super::executor::{Executor, describe, drive, ended_fault, refuse};
use super::keys::{self, Keys};
use super::live::{Fall, Live};
use super::message::{CallError, Envelope, Gate};
use super::turn::{self, About};
use crate::boundary::{Guest, OPEN_TURNS, Recorder, Recording, inbox_key};
use crate::contract::{Input, Output};
use crate::error::{Error, Result};
use crate::manifest::Mode;
use crate::service::End;

/// Who or what ended a life. Who is told of the end (a supervisor, links, monitors) decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EndCause {
    /// The actor itself, in order.
    Normal = 0,
    /// Its own policy, after faults; or a life that began and did not get through its init.
    Fault = 1,
    /// An operator, or whoever speaks for one: the API, the embedder.
    Operator = 2,
    /// Its supervisor, which knows what comes next.
    Supervisor = 3,
}

impl EndCause {
    /// For people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            EndCause::Normal => "normal",
            EndCause::Fault => "fault",
            EndCause::Operator => "operator",
            EndCause::Supervisor => "supervisor",
        }
    }

    /// The cause of that number.
    pub const fn numbered(number: u8) -> Option<EndCause> {
        match number {
            0 => Some(EndCause::Normal),
            1 => Some(EndCause::Fault),
            2 => Some(EndCause::Operator),
            3 => Some(EndCause::Supervisor),
            _ => None,
        }
    }
}

/// Whether the end of a life is a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Journal {
    /// It is the last one.
    Ends,
    /// The actor could not be brought back: its journal stays as it is.
    Untouched,
}

/// Bytes of waiting messages that one batch makes dead letters of; a batch holds 1 GiB, and a mailbox may hold more.
const AT_ONCE: usize = 16 << 20;

impl Executor {
    /// The last turn, then nothing more: the inbox goes to the dead letters.
    pub(super) async fn stop(&mut self, cause: EndCause, reason: &str) {
        // The turn that it was to end is over; the last one is not meant.
        self.cell.life.lock().about.cut.clear();
        if matches!(self.cell.life.lock().status, Status::Stopped(_)) {
            return;
        }
        if self.live.is_none() && self.revive().await.is_err() {
            self.live = None;
            if self.core.is_closing() {
                return;
            }
        }
        if matches!(self.cell.life.lock().status, Status::Stopped(_)) {
            // It was in its last turn already.
            return;
        }
        self.cell.mailbox.shut();
        let Some(mut live) = self.live.take() else {
            let mut guest = self.bodiless();
            // Nothing in its journal says so: whoever asks for the stop waits for the tables.
            if let Ok(gate) = self.end_life(&mut guest, cause, reason, Journal::Untouched) {
                let _ = self.core.open(gate).await;
            }
            return;
        };
        turn::begin(live.guest(), About::Hook(TurnKind::Terminate, reason.as_bytes()));
        live.guest().turn.ends = Some(cause);
        let deadline = live.guest().turn.deadline;
        let driven = drive(&self.core, &mut live, Input::Terminate(reason), deadline).await;
        // Of a node that closes or has halted nobody asks how its actors ended.
        let _ = self.terminated(live, driven, cause, reason);
        self.drop_instance();
    }

    /// What follows from what terminate came to: the life has ended, unless the node closes while it waits.
    pub(super) fn terminated(
        &mut self,
        mut live: Live,
        driven: Result<Output, Fall>,
        cause: EndCause,
        reason: &str,
    ) -> Result<()> {
        let full = live.guest().about.limits.fuel;
        let fuel = live.fuel_used(full);
        let guest = live.guest();
        match driven {
            Ok(_) => turn::end(guest, 0, fuel, &[]),
            // It goes on at the next start.
            Err(Fall::Closing) => return Err(Error::Closing),
            Err(Fall::Halted(why)) => return Err(self.core.halted(&why)),
            Err(Fall::Differs(divergence)) => return Err(Error::Unreplayable { why: divergence.to_string() }),
            Err(fall) => {
                guest.undo_step();
                if guest.recorder.recording() {
                    let (cause, text) = match fall {
                        Fall::Fault(cause, text) => (cause, text),
                        other => (FaultCause::Trap, describe(&other)),
                    };
                    let first_undone =
                        if guest.turn.steps > 0 { guest.recorder.step.first_seq() } else { guest.turn.began };
                    let fault = body::Fault { cause, text, first_undone, disposition: 1 };
                    guest.recorder.step.record(Kind::Fault, |out| fault.encode(out));
                }
            }
        }
        self.end_life(guest, cause, reason, Journal::Ends).map(drop)
    }

    /// Commits that the life has ended, with all that follows from it. The gate is that of the end.
    pub(super) fn end_life(
        &mut self,
        guest: &mut Guest,
        cause: EndCause,
        reason: &str,
        journal: Journal,
    ) -> Result<Gate> {
        tracing::debug!(actor = %self.cell.id, cause = cause.name(), reason, "its life ends");
        self.cell.life.lock().ending = true;
        let waiting = self.cell.mailbox.close();
        let waiting = self.all_but_the_last(waiting);
        let mut burial = Burial::default();
        let stopped = ActorEntry { stopped: Some(reason.to_owned()), ..self.cell.life.lock().entry.clone() };
        if guest.recorder.recording() {
            if journal == Journal::Ends {
                guest.recorder.step.record(Kind::Stop, |out| put_str(out, reason));
            }
            guest.put(Table::ACTORS, self.cell.id.as_str().as_bytes(), &stopped.encode());
            guest.delete(OPEN_TURNS, self.cell.id.as_str().as_bytes());
            burial = self.dead_letters(guest, &waiting);
        }
        self.answer_askers(guest, &waiting);
        let how = if cause == EndCause::Fault { End::Fault } else { End::Stopped };
        guest.leave_services(how, reason);
        guest.leave_supervisor(cause, reason);
        let tokens: Vec<String> = guest.about.promised.lock().keys().cloned().collect();
        for token in tokens {
            guest.keep_promise(&token, Err(ended_fault(&format!("the actor was stopped: {reason}"))));
        }
        let about = guest.about.clone();
        // Whoever hears of the end finds that it has ended.
        let (core, cell) = (&*self.core, &*self.cell);
        let has_ended = |guest: &Guest| {
            burial.done(&core.dead);
            let mut life = cell.life.lock();
            if guest.recorder.recording() {
                life.tip.moved(guest.recorder.chain(), guest.tail(), guest.turn.journaled);
            }
            life.status = Status::Stopped(reason.to_owned());
            life.entry = stopped;
        };
        let (gate, heard, ended) = match guest.commit_turn_then(has_ended) {
            Ok(gate) => (gate, Error::NoActor(self.cell.id.clone()), Ok(gate)),
            Err(error) => {
                let why = format!("{error:#}");
                (Gate::default(), self.core.halted(&why), Err(Error::Internal { what: why }))
            }
        };
        self.refuse_all(waiting, &about.keys, gate, &heard);
        self.core.waits.forget(&self.cell.id);
        self.core.ended(&self.cell);
        ended
    }

    /// Gives messages up in batches of their own for as long as they are too much for one; returns what is left.
    fn all_but_the_last(&mut self, mut waiting: Vec<Envelope>) -> Vec<Envelope> {
        loop {
            let mut bytes = 0;
            let fits = waiting.iter().take_while(|envelope| {
                bytes += envelope.message.size();
                bytes <= AT_ONCE
            });
            let fits = fits.count().max(1);
            if fits >= waiting.len() {
                return waiting;
            }
            let rest = waiting.split_off(fits);
            self.too_late(std::mem::replace(&mut waiting, rest));
        }
    }

    /// Messages that came in behind the end: with them happens what the end would have done.
    pub(super) fn too_late(&mut self, waiting: Vec<Envelope>) {
        if waiting.is_empty() {
            return;
        }
        let mut guest = self.bodiless();
        let mut burial = Burial::default();
        if guest.recorder.recording() {
            burial = self.dead_letters(&mut guest, &waiting);
        }
        self.answer_askers(&mut guest, &waiting);
        let core = &*self.core;
        let (gate, heard) = match guest.commit_turn_then(|_| burial.done(&core.dead)) {
            Ok(gate) => (gate, Error::NoActor(self.cell.id.clone())),
            Err(error) => (Gate::default(), self.core.halted(&format!("{error:#}"))),
        };
        self.refuse_all(waiting, &guest.about.keys, gate, &heard);
    }

    /// Tells who sent these messages that none is handled, behind `gate`; their keys are free.
    fn refuse_all(&self, waiting: Vec<Envelope>, keys: &Mutex<Keys>, gate: Gate, heard: &Error) {
        for mut envelope in waiting {
            if let Some(key) = &envelope.message.key {
                let name = (envelope.message.from.clone(), key.clone());
                keys.lock().free(&name, &CallError::NotFound(self.cell.id.to_string()), gate);
            }
            envelope.seen = envelope.seen.and(gate);
            refuse(envelope, heard);
        }
    }

    /// What commits for an actor without instance.
    pub(super) fn bodiless(&self) -> Guest {
        let (about, tip) = {
            let life = self.cell.life.lock();
            (life.about.clone(), life.tip)
        };
        let recording = if about.mode == Mode::Off { Recording::Off } else { Recording::On };
        let recorder = Recorder::new(recording, tip.chain, self.core.registry.clone());
        Guest::new(about, self.core.services(), recorder, tip.tail)
    }

    /// Stages that the actors that wait for an answer to one of these hear that there is nobody.
    fn answer_askers(&self, guest: &mut Guest, waiting: &[Envelope]) {
        let nobody = Err(CallError::NotFound(self.cell.id.to_string()));
        for envelope in waiting {
            guest.answer_asker(envelope.message.asker.as_ref(), &nobody);
        }
    }

    /// Stages that these messages are dead letters, and their keys free.
    fn dead_letters(&self, guest: &mut Guest, waiting: &[Envelope]) -> Burial {
        let mut letters = Vec::with_capacity(waiting.len());
        for envelope in waiting {
            let Some(arrival) = envelope.arrival else { continue };
            let message = &envelope.message;
            guest.delete(Table::INBOX, &inbox_key(&self.cell.id, arrival));
            if let Some(key) = &message.key {
                guest.delete(Table::KEYS, &keys::table_key(&self.cell.id, &(message.from.clone(), key.clone())));
            }
            letters.push((message.clone(), "the actor was stopped".to_owned()));
        }
        bury(&self.core.dead, &self.cell.id, guest, letters)
    }
}
