//! The end of an actor's life: its last turn, its dead letters, and what it had promised.
//!
//! Promises: all of it is one batch; whoever waited for an answer hears of the end behind that batch. An actor that cannot be
//! brought back ends too: its journal stays as it is, the tables say that it has stopped.

use troupe_log::body::{self, FaultCause, TurnKind};
use troupe_log::codec::put_str;
use troupe_log::{Kind, Table};

use super::burial::{Burial, bury};
use super::cell::Status;
use super::executor::{Executor, describe, drive, ended_fault, refuse};
use super::keys;
use super::live::{Fall, Live};
use super::message::{CallError, Envelope, Gate};
use super::turn::{self, About};
use crate::boundary::{Guest, OPEN_TURNS, Recorder, Recording, inbox_key};
use crate::contract::Input;
use crate::error::Error;
use crate::manifest::Mode;

impl Executor {
    /// The last turn, then nothing more: the inbox goes to the dead letters.
    pub(super) async fn stop(&mut self, reason: &str) {
        // The turn that it was to end is over; the last one is not meant.
        self.cell.life.lock().about.cut.clear();
        if self.live.is_none() && self.revive().await.is_err() {
            self.live = None;
        }
        let waiting = self.cell.mailbox.close();
        let mut live = self.live.take();
        if let Some(live) = &mut live {
            self.terminate(live, reason).await;
        }
        let mut bodiless = None;
        let mut burial = Burial::default();
        let guest = match &mut live {
            Some(live) => live.guest(),
            None => bodiless.insert(self.bodiless()),
        };
        if guest.recorder.recording() {
            let mut entry = self.cell.life.lock().entry.clone();
            entry.stopped = Some(reason.to_owned());
            guest.put(Table::ACTORS, self.cell.id.as_str().as_bytes(), &entry.encode());
            guest.delete(OPEN_TURNS, self.cell.id.as_str().as_bytes());
            burial = self.dead_letters(guest, &waiting);
        }
        let tokens: Vec<String> = guest.about.promised.lock().keys().cloned().collect();
        for token in tokens {
            guest.keep_promise(&token, Err(ended_fault(&format!("the actor was stopped: {reason}"))));
        }
        let about = guest.about.clone();
        let (gate, heard) = match guest.commit_turn() {
            Ok(gate) => (gate, Error::NoActor(self.cell.id.clone())),
            Err(error) => (Gate::default(), self.core.halted(&format!("{error:#}"))),
        };
        burial.done(&self.core.dead);
        if bodiless.is_some() {
            // Nothing in its journal says so: whoever asks for the stop waits for the tables.
            let _ = self.core.open(gate).await;
        }
        self.live = live;
        self.note_tip();
        {
            let mut life = self.cell.life.lock();
            life.status = Status::Stopped(reason.to_owned());
            life.entry.stopped = Some(reason.to_owned());
        }
        for mut envelope in waiting {
            if let Some(key) = &envelope.message.key {
                let name = (envelope.message.from.clone(), key.clone());
                about.keys.lock().free(&name, &CallError::NotFound(self.cell.id.to_string()), gate);
            }
            envelope.seen = envelope.seen.and(gate);
            refuse(envelope, &heard);
        }
        self.core.waits.forget(&self.cell.id);
        self.drop_instance();
        self.core.ended(&self.cell);
    }

    /// Runs terminate and records that the life has ended. Nothing is committed yet.
    async fn terminate(&mut self, live: &mut Live, reason: &str) {
        turn::begin(live.guest(), About::Hook(TurnKind::Terminate, reason.as_bytes()));
        let deadline = live.guest().turn.deadline;
        let driven = drive(&self.core, live, Input::Terminate(reason), deadline).await;
        let full = live.guest().about.limits.fuel;
        let fuel = live.fuel_used(full);
        let guest = live.guest();
        match driven {
            Ok(_) => turn::end(guest, 0, fuel, &[]),
            Err(fall) => {
                guest.undo_step();
                if guest.recorder.recording() {
                    let (cause, text) = match fall {
                        Fall::Fault(cause, text) => (cause, text),
                        other => (FaultCause::Trap, describe(&other)),
                    };
                    let first_undone = guest.turn.began;
                    let fault = body::Fault { cause, text, first_undone, disposition: 1 };
                    guest.recorder.step.record(Kind::Fault, |out| fault.encode(out));
                }
            }
        }
        if guest.recorder.recording() {
            guest.recorder.step.record(Kind::Stop, |out| put_str(out, reason));
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
