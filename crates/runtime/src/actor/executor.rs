//! The one who runs an actor's turns, one after another.
//!
//! Owns the instance while there is one. Promises: turns never overlap; each ends in exactly one batch (earlier steps in their
//! own); an answer is handed over only behind the batch, with the gate that it must wait for; a fault undoes the step in hand
//! and answers once. Cancellation: the task is never dropped by others; a node that closes asks it to end between two turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;
use troupe_log::body::{self, FaultCause, TurnKind};
use troupe_log::{Kind, NodeTime, Table};

use super::burial::{Burial, bury};
use super::cell::{Cell, Status, Tip};
use super::ending::EndCause;
use super::errands::Errands;
use super::live::{Bounds, Fall, Live};
use super::mailbox::Next;
use super::message::{Answer, CallError, Envelope, Gate, Message, MessageKind};
use super::turn::{self, About};
use crate::boundary::{Answering, Guest, inbox_key};
use crate::component::Code;
use crate::contract::{Input, Output};
use crate::error::{Error, Result};
use crate::host::later;
use crate::host::theater::channels;
use crate::manifest::{Instance, Mode, OnFault};
use crate::node::core::Core;
use crate::node::phases::{During, Phase};
use crate::replay::player::outcome;
use crate::service::theater;

/// Runs one actor.
pub(crate) struct Executor {
    pub(super) core: Arc<Core>,
    pub(super) cell: Arc<Cell>,
    pub(super) live: Option<Live>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    faults: VecDeque<NodeTime>,
    pub(super) since_base: u64,
    pub(super) no_base: bool,
    /// Requests with an instance each, of an actor that has such.
    errands: Option<Box<Errands>>,
    /// Runs one of them.
    errand: bool,
    /// The fault that it ended with.
    pub(super) faulted: Option<String>,
}

impl Executor {
    pub(crate) fn new(core: Arc<Core>, cell: Arc<Cell>) -> Executor {
        Executor {
            core,
            cell,
            live: None,
            permit: None,
            faults: VecDeque::new(),
            since_base: 0,
            no_base: false,
            errands: None,
            errand: false,
            faulted: None,
        }
    }

    /// Works until there is nothing to do and the instance is given up, or the node closes.
    pub(crate) async fn run(mut self) {
        loop {
            let (core, cell, holds) = (&*self.core, &*self.cell, self.permit.is_some());
            let errands = &mut self.errands;
            let next = std::future::poll_fn(|context| {
                if let Some(errands) = errands {
                    if let Poll::Ready(fault) = errands.poll_ended(context) {
                        return Poll::Ready(Err(fault));
                    }
                    if errands.full() {
                        return Poll::Pending;
                    }
                }
                poll_next(core, cell, holds, context).map(Ok)
            });
            let next = match next.await {
                Ok(next) => next,
                Err(None) => continue,
                Err(Some(words)) => {
                    if Box::pin(self.errand_faulted(&words)).await {
                        continue;
                    }
                    break;
                }
            };
            match next {
                Next::Message(envelope) => {
                    if !self.message(envelope).await {
                        break;
                    }
                }
                // Why there is none is told where actors are listed.
                Next::Snapshot => {
                    let _ = Box::pin(self.make_base()).await;
                    if self.has_moved() {
                        break;
                    }
                }
                Next::Asked(asked) => {
                    Box::pin(self.asked(asked)).await;
                    if self.has_moved() {
                        break;
                    }
                }
                Next::Evict => {
                    if !evictable(&self.cell) {
                        continue;
                    }
                    self.drop_instance();
                    if self.cell.mailbox.rest() {
                        return;
                    }
                }
                Next::Restart => {
                    self.errands_cut("another life begins").await;
                    if !Box::pin(self.restart()).await {
                        break;
                    }
                }
                Next::Stop(cause, reason) => {
                    Box::pin(self.errands_ended(None)).await;
                    Box::pin(self.stop(cause, &reason)).await;
                    break;
                }
                Next::Close => break,
            }
        }
        Box::pin(self.errands_ended(None)).await;
        self.leave();
    }

    /// Waits for the requests that are under way, or ends them for a reason.
    async fn errands_ended(&mut self, now: Option<&str>) {
        let Some(errands) = &mut self.errands else { return };
        if let Some(reason) = now {
            let cut = self.cell.life.lock().about.cut.clone();
            cut.ask(reason);
        }
        errands.all_ended().await;
    }

    /// The life that they are of ends, and they with it.
    async fn errands_cut(&mut self, why: &str) {
        if self.errands.is_some() {
            self.errands_ended(Some(why)).await;
            self.cell.life.lock().about.cut.clear();
        }
    }

    /// What a fault in an instance of a request means for the actor.
    async fn errand_faulted(&mut self, words: &str) -> bool {
        let supervision = self.cell.life.lock().config.supervision.clone();
        if matches!(supervision.on_fault, OnFault::Fresh | OnFault::Stop) {
            self.errands_cut("the life that it was of ends").await;
        }
        self.supervise(&supervision, words).await
    }

    fn has_moved(&self) -> bool {
        matches!(self.cell.life.lock().status, Status::Moved(_))
    }

    /// Ends the executor, whatever waits.
    fn leave(&mut self) {
        self.drop_instance();
        loop {
            let stopped = matches!(self.cell.life.lock().status, Status::Stopped(_));
            if stopped {
                let late = self.cell.mailbox.close();
                self.too_late(late);
            }
            self.cell.mailbox.abandon();
            // One whose place was reserved before the end may come in behind it.
            if !stopped || self.cell.mailbox.is_empty() || !self.cell.mailbox.claim() {
                break;
            }
        }
        if self.core.is_closing() {
            self.cell.hang_up(&self.core.gone());
        }
    }

    /// Brings the actor back and ends its open turn, then works on.
    pub(crate) async fn resume_and_run(mut self) {
        let revived = Box::pin(self.revive()).await;
        self.core.shared.resumed(&self.cell.id);
        if let Err(error) = revived {
            if self.cell.life.lock().status == Status::Ready && !self.core.is_closing() {
                self.quarantine(&error.to_string());
            }
            self.leave();
            return;
        }
        self.run().await;
    }

    pub(super) fn drop_instance(&mut self) {
        self.live = None;
        self.permit = None;
    }

    /// The same when what the actor lives under changes: it may make bases where it could not.
    pub(super) fn give_up_instance(&mut self) {
        self.drop_instance();
        self.no_base = false;
    }

    /// Fuel and deadline of a turn.
    fn fuel(&self) -> u64 {
        self.cell.life.lock().about.limits.fuel
    }

    pub(super) fn code(&self) -> Result<Arc<Code>> {
        self.cell.life.lock().code.clone().ok_or_else(|| Error::Internal { what: "an actor without code".to_owned() })
    }

    /// The actor's component is compiled, or found compiled.
    pub(super) async fn load_code(&mut self) -> Result<()> {
        let digest = {
            let life = self.cell.life.lock();
            if life.code.is_some() {
                return Ok(());
            }
            life.entry.component
        };
        let code = self.core.components.get(digest).await?;
        self.cell.life.lock().code = Some(code);
        Ok(())
    }

    /// Keeps what outlives the instance.
    pub(super) fn note_tip(&mut self) {
        if let Some(live) = &mut self.live {
            keep_tip(&self.cell, live.guest(), &mut self.since_base);
        }
    }

    // ---- messages ----

    /// The one message of an errand.
    pub(super) async fn one(&mut self, envelope: Envelope) {
        self.message(envelope).await;
        self.drop_instance();
    }

    /// One message. False if the actor does not go on.
    async fn message(&mut self, envelope: Envelope) -> bool {
        let _turn = During::new(self.core.watch.as_ref(), Phase::Turn);
        let without_journal = match &self.live {
            Some(live) => live.store.data().about.mode == Mode::Off,
            None => true,
        };
        if without_journal
            && !self.errand
            && let Some(most) = self.fresh_each_time()
        {
            return self.run_errand(envelope, most);
        }
        if self.live.is_none() {
            let status = self.cell.life.lock().status.clone();
            match status {
                Status::Ready => {}
                // Its place was reserved before the life ended.
                Status::Stopped(_) => {
                    self.too_late(vec![envelope]);
                    return false;
                }
                Status::Quarantined(_) | Status::Moved(_) => {
                    self.cell.mailbox.put_back(envelope);
                    self.cell.hang_up(&CallError::Unavailable(self.core.why_not(&self.cell).to_string()));
                    return false;
                }
            }
            if let Err(error) = Box::pin(self.revive()).await {
                return self.cannot_go_on(envelope, &error);
            }
        }
        // Recovery may have taken the message up itself.
        let Some(mut live) = self.live.take() else { return true };
        if let Some(deadline) = envelope.message.deadline
            && deadline <= self.core.clock.now()
        {
            self.live = Some(live);
            return self.expired(envelope);
        }
        let span = tracing::debug_span!(
            "turn",
            actor = %self.cell.id,
            message = %envelope.message.id,
            message_type = %envelope.message.message_type,
            trace = envelope.message.trace.as_deref(),
        );
        let begun = turn::begin(live.guest(), About::Message(envelope));
        let Some(message) = begun else { return true };
        let state = std::mem::take(&mut live.state);
        let deadline = live.guest().turn.deadline;
        let input = Input::Message { message: &message, state: &state };
        let driven = if span.is_disabled() {
            drive(&self.core, &mut live, input, deadline).await
        } else {
            Box::pin(drive(&self.core, &mut live, input, deadline).instrument(span)).await
        };
        live.state = state;
        self.live = Some(live);
        self.ended(Some(message), driven).await
    }

    /// Whether each message gets an instance of its own, and how many of them there may be.
    fn fresh_each_time(&self) -> Option<u32> {
        let life = self.cell.life.lock();
        let http = life.config.http.as_ref().filter(|_| life.status == Status::Ready)?;
        // What an actor shares with others it has as one: what two of its turns stage and wait for is not told apart.
        let alone = life.code.as_ref().is_some_and(|code| code.inspection.is_alone());
        (http.instance == Instance::PerRequest).then_some(if alone { http.parallel.get() } else { 1 })
    }

    /// Gives a message an instance of its own, beside those of others. The one that began the life takes the first.
    fn run_errand(&mut self, envelope: Envelope, most: u32) -> bool {
        let mut errand = Executor::new(self.core.clone(), self.cell.clone());
        errand.errand = true;
        (errand.live, errand.permit) = (self.live.take(), self.permit.take());
        let cell = &self.cell;
        let errands = self.errands.get_or_insert_with(|| Box::new(Errands::new(cell.clone(), most)));
        errands.begin(errand, envelope);
        true
    }

    /// Ends a message's turn, or that of a resumed hook. False if the actor does not go on.
    pub(super) async fn ended(&mut self, message: Option<Arc<Message>>, driven: Result<Output, Fall>) -> bool {
        let ended = match driven {
            Ok(output) => self.finish(message.as_deref(), output),
            // What is rare is kept out of the executor's own future, which each live actor has.
            Err(Fall::Fault(cause, text)) => return Box::pin(self.fault(message, cause, text)).await,
            Err(Fall::Differs(divergence)) => {
                self.quarantine(&divergence.to_string());
                return false;
            }
            Err(Fall::Left) => Err("a live turn was left".to_owned()),
            Err(Fall::Closing) => return false,
            Err(Fall::Halted(why)) => Err(why),
        };
        if let Err(why) = ended {
            self.core.halt(&why);
            return false;
        }
        if self.since_base > 0 && !self.no_base {
            let max_replay = self.cell.life.lock().config.snapshots.max_replay;
            if self.since_base >= max_replay {
                // Why there is none is told where actors are listed.
                let _ = Box::pin(self.make_base()).await;
            }
        }
        true
    }

    fn finish(&mut self, message: Option<&Message>, output: Output) -> Result<(), String> {
        let Some(live) = &mut self.live else { return Err("a turn without instance".to_owned()) };
        let kind = if message.is_some() { TurnKind::Message } else { TurnKind::Init };
        let full = live.guest().about.limits.fuel;
        let fuel = live.fuel_used(full);
        if let Some(message) = message {
            let (message_type, trace) = (&*message.message_type, message.trace.as_deref());
            tracing::debug!(actor = %self.cell.id, message = %message.id, message_type, trace, fuel, "turn");
        }
        if live.guest().recorder.recording() {
            let (number, answer) = outcome(kind, &output);
            turn::end(live.guest(), number, fuel, &answer);
        }
        let result = match output {
            Output::Kept { answer: Some(bytes), .. } => match message {
                Some(message) if &*message.message_type == theater::OPEN => {
                    channels::answered(live.guest(), message, bytes)
                }
                _ => Ok(bytes),
            },
            Output::Answer(bytes) => Ok(bytes),
            Output::Kept { answer: None, .. } => later::put_off(live.guest()).map(|()| Vec::new()),
            Output::State(name) => {
                live.state = name.clone();
                Ok(name.into_bytes())
            }
            Output::Refused(text) => {
                tracing::debug!(actor = %self.cell.id, error = text, "the actor answered with an error");
                Err(CallError::Refused(text))
            }
            Output::NoTaker(text) => {
                tracing::warn!(actor = %self.cell.id, text, "no export takes this message");
                Err(CallError::Invalid(text))
            }
        };
        let guest = live.guest();
        let answers = guest.turn.answering == Answering::Result;
        let keyed = message.filter(|message| answers && message.key.is_some());
        let until = keyed.map(|message| guest.remember(&message.from, message.key.as_ref(), &result));
        if answers && let Some(message) = message {
            guest.answer_asker(message.asker.as_ref(), &result);
        }
        let (cell, since_base) = (&*self.cell, &mut self.since_base);
        let committed = guest.commit_turn_then(|guest| {
            cell.turned();
            cell.mailbox.turn_over();
            keep_tip(cell, guest, since_base);
        });
        let gate = committed.map_err(|error| format!("{error:#}"))?;
        guest.http.going.finish();
        let reply = if answers { guest.turn.reply.take() } else { None };
        let about = guest.about.clone();
        if let (Some(message), Some(until)) = (keyed, until)
            && let Some(key) = &message.key
        {
            about.keys.lock().done(&(message.from.clone(), key.clone()), &result, gate, until);
        }
        if let Some(reply) = reply {
            // A caller that has gone away does not want it any more.
            let _ = reply.send(Answer { result, gate });
        }
        Ok(())
    }

    /// A message whose deadline passed before its turn.
    fn expired(&mut self, envelope: Envelope) -> bool {
        let Some(live) = &mut self.live else { return true };
        let guest = live.guest();
        let message = &envelope.message;
        guest.turn = crate::boundary::Turn { arrival: envelope.arrival, seen: envelope.seen, ..Default::default() };
        if guest.recorder.recording() {
            guest.recorder.step.record(Kind::Expired, |out| message.encode(out));
        }
        let name = message.key.as_ref().map(|key| (message.from.clone(), key.clone()));
        if let Some(name) = &name
            && guest.recorder.recording()
        {
            guest.delete(Table::KEYS, &super::keys::table_key(&self.cell.id, name));
        }
        guest.answer_asker(message.asker.as_ref(), &Err(CallError::Timeout));
        let (cell, since_base) = (&*self.cell, &mut self.since_base);
        let committed = guest.commit_turn_then(|guest| {
            keep_tip(cell, guest, since_base);
            cell.mailbox.turn_over();
        });
        match committed {
            Ok(gate) => {
                let about = guest.about.clone();
                // Behind the batch, so that a new use of the key stands in the log behind the end of the old one.
                if let Some(name) = &name {
                    about.keys.lock().free(name, &CallError::Timeout, gate);
                }
                if let Some(reply) = envelope.reply {
                    let _ = reply.send(Answer { result: Err(CallError::Timeout), gate });
                }
                true
            }
            Err(error) => {
                self.core.halt(&format!("{error:#}"));
                false
            }
        }
    }

    // ---- faults ----

    /// Undoes the step, records the fault, answers once, and applies the policy. False if the actor does not go on.
    async fn fault(&mut self, message: Option<Arc<Message>>, cause: FaultCause, text: String) -> bool {
        let Some(mut live) = self.live.take() else { return true };
        let supervision = self.cell.life.lock().config.supervision.clone();
        let guest = live.guest();
        guest.undo_step();
        // What a client has seen cannot be undone either.
        let committed = guest.turn.steps > 0 || guest.http.going.begun();
        guest.http.going.end();
        let attempts = if supervision.on_fault == OnFault::Restore { supervision.attempts.get() } else { 1 };
        let again = message.as_ref().filter(|message| {
            supervision.on_fault == OnFault::Restore
                && cause == FaultCause::Trap
                && !committed
                && message.attempt < attempts
        });
        let words = format!("{}: {text}", cause.name());
        tracing::warn!(actor = %self.cell.id, cause = cause.name(), text, committed, retried = again.is_some(), "fault");
        if guest.recorder.recording() {
            let fault = body::Fault {
                cause,
                text,
                first_undone: if committed { guest.recorder.step.first_seq() } else { guest.turn.began },
                disposition: u8::from(again.is_none()),
            };
            guest.recorder.step.record(Kind::Fault, |out| fault.encode(out));
        }
        let mut answered = None;
        let mut retried = None;
        let mut burial = Burial::default();
        match (again, &message) {
            (Some(message), _) => {
                let next = Message { attempt: message.attempt + 1, ..(**message).clone() };
                if let Some(arrival) = guest.turn.arrival.take() {
                    let mut value = Vec::new();
                    next.encode(&mut value);
                    guest.put(Table::INBOX, &inbox_key(&self.cell.id, arrival), &value);
                    retried = Some((next, Some(arrival)));
                } else {
                    retried = Some((next, None));
                }
            }
            (None, Some(message)) => {
                let result = Err(CallError::Faulted { cause: words.clone(), committed });
                let handed = guest.turn.answering == Answering::Handed;
                if guest.recorder.recording() && !handed {
                    let letter = (message.clone(), words.clone());
                    burial = bury(&self.core.dead, &self.cell.id, guest, [letter]);
                }
                // A promise that an earlier step made is broken here: the caller gets this one answer.
                let promised = match &guest.turn.answering {
                    Answering::Token(token) => Some(token.clone()),
                    _ => None,
                };
                match promised {
                    _ if handed => {}
                    Some(token) if committed && guest.keep_promise(&token, result.clone()) => {}
                    _ => {
                        let until = guest.remember(&message.from, message.key.as_ref(), &result);
                        guest.answer_asker(message.asker.as_ref(), &result);
                        answered = Some((result, until));
                    }
                }
            }
            (None, None) => {}
        }
        let (core, cell, since_base) = (&*self.core, &*self.cell, &mut self.since_base);
        let committed = guest.commit_turn_then(|guest| {
            keep_tip(cell, guest, since_base);
            cell.faults.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            cell.life.lock().last_fault = Some(words.clone());
            burial.done(&core.dead);
            cell.mailbox.turn_over();
        });
        let gate = match committed {
            Ok(gate) => gate,
            Err(error) => {
                self.core.halt(&format!("{error:#}"));
                return false;
            }
        };
        let reply = guest.turn.reply.take();
        let about = guest.about.clone();
        // The instance is dead; recovery brings the actor back to before the turn.
        drop(live);
        if let (Some((result, until)), Some(message)) = (answered, &message) {
            if let Some(key) = &message.key {
                about.keys.lock().done(&(message.from.clone(), key.clone()), &result, gate, until);
            }
            if let Some(reply) = reply {
                let _ = reply.send(Answer { result, gate });
            }
        } else if let Some((next, arrival)) = retried {
            self.cell.mailbox.put_back(Envelope { message: Arc::new(next), reply, arrival, seen: gate, client: None });
        }
        if cause == FaultCause::Kill && message.is_some() {
            // Whoever cut the turn has said what comes next.
            return true;
        }
        if message.is_none() {
            // A life whose init faulted never began.
            self.stop(EndCause::Fault, &format!("init faulted: {words}")).await;
            return false;
        }
        self.supervise(&supervision, &words).await
    }

    async fn supervise(&mut self, supervision: &crate::manifest::Supervision, words: &str) -> bool {
        if self.errand {
            self.faulted = Some(words.to_owned());
            return false;
        }
        let now = self.core.clock.now();
        let window = u64::try_from(supervision.window.as_micros()).unwrap_or(u64::MAX);
        self.faults.push_back(now);
        while self.faults.front().is_some_and(|first| now.0.saturating_sub(first.0) > window) {
            self.faults.pop_front();
        }
        if self.faults.len() > supervision.max_restarts as usize {
            let reason = format!("{} faults within {:?}, the last: {words}", self.faults.len(), supervision.window);
            self.stop(EndCause::Fault, &reason).await;
            return false;
        }
        match supervision.on_fault {
            OnFault::Restore | OnFault::Skip => true,
            OnFault::Stop => {
                self.stop(EndCause::Fault, &format!("fault: {words}")).await;
                false
            }
            OnFault::Fresh => {
                self.permit = None;
                match self.core.renew(&self.cell) {
                    Ok(()) => match self.begin().await {
                        Ok(_) => true,
                        Err(error) => {
                            // A life that ended before it began, or a node that closes, is no quarantine.
                            if self.cell.life.lock().status == Status::Ready && !self.core.is_closing() {
                                self.quarantine(&format!("a fresh start failed: {error}"));
                            }
                            false
                        }
                    },
                    Err(error) => {
                        self.quarantine(&error.to_string());
                        false
                    }
                }
            }
        }
    }

    /// Nothing runs any more until an operator decides; what waits stays in the inbox, callers learn of it.
    pub(super) fn quarantine(&mut self, why: &str) {
        tracing::error!(actor = %self.cell.id, why, "quarantined");
        self.cell.life.lock().status = Status::Quarantined(why.to_owned());
        self.cell.mailbox.shut();
        let error = Error::Quarantined { actor: self.cell.id.clone(), why: why.to_owned() };
        let told = CallError::Unavailable(error.to_string());
        self.cell.hang_up(&told);
        for asker in self.cell.mailbox.askers() {
            self.core.answer(asker, &Err(told.clone()), Gate::default());
        }
        self.drop_instance();
    }

    /// Recovery failed: the message waits in the inbox, its caller is told.
    fn cannot_go_on(&mut self, envelope: Envelope, error: &Error) -> bool {
        let status = self.cell.life.lock().status.clone();
        if matches!(status, Status::Stopped(_)) {
            refuse(envelope, error);
            return false;
        }
        self.cell.mailbox.put_back(envelope);
        if !matches!(error, Error::Closing) && status == Status::Ready {
            self.quarantine(&error.to_string());
        }
        false
    }

    /// Records played again when the actor comes back.
    pub(super) fn set_since_base(&mut self, records: u64) {
        self.since_base = records;
    }

    pub(super) fn tip(&self) -> Tip {
        self.cell.life.lock().tip
    }

    pub(super) fn full_fuel(&self) -> u64 {
        self.fuel()
    }
}

/// What comes next. An actor that holds an instance and has nothing to do gives it up if another waits for one.
fn poll_next(core: &Core, cell: &Cell, holds: bool, context: &mut Context<'_>) -> Poll<Next> {
    let next = cell.mailbox.poll_next(context);
    if next.is_pending() && holds && core.wanted() && evictable(cell) {
        return Poll::Ready(Next::Evict);
    }
    if next.is_pending() && core.is_closing() {
        // It began to work when those at work had been asked to end already.
        return Poll::Ready(Next::Close);
    }
    next
}

/// Without a journal nothing brings the instance back, and nothing ever brings a live resource back.
pub(crate) fn evictable(cell: &Cell) -> bool {
    let life = cell.life.lock();
    life.config.mode != Mode::Off && life.about.held.load(std::sync::atomic::Ordering::Relaxed) == 0
}

pub(super) async fn drive(
    core: &Core,
    live: &mut Live,
    input: Input<'_>,
    deadline: Option<NodeTime>,
) -> Result<Output, Fall> {
    let fuel = live.guest().about.limits.fuel;
    let bounds = Bounds { fuel, deadline, core: Some(core), cut: true };
    live.drive(input, &bounds).await
}

pub(super) fn recording(live: &Live) -> bool {
    live.store.data().recorder.recording()
}

/// What who was promised an answer gets from a life that has ended.
pub(super) fn ended_fault(why: &str) -> CallError {
    CallError::Faulted { cause: why.to_owned(), committed: true }
}

/// What a fall means in words.
pub(crate) fn describe(fall: &Fall) -> String {
    match fall {
        Fall::Fault(cause, text) => format!("{}: {text}", cause.name()),
        Fall::Differs(divergence) => divergence.to_string(),
        Fall::Left => "left where its records end".to_owned(),
        Fall::Closing => "the node is closing".to_owned(),
        Fall::Halted(why) => why.clone(),
    }
}

pub(super) fn refuse(envelope: Envelope, error: &Error) {
    if let Some(reply) = envelope.reply
        && envelope.message.kind == MessageKind::Call
    {
        let result = Err(match error {
            Error::NoActor(id) => CallError::NotFound(id.to_string()),
            error => CallError::Unavailable(error.to_string()),
        });
        let _ = reply.send(Answer { result, gate: envelope.seen });
    }
}

/// Keeps what outlives an instance.
fn keep_tip(cell: &Cell, guest: &Guest, since_base: &mut u64) {
    if !guest.recorder.recording() {
        return;
    }
    let mut life = cell.life.lock();
    let before = life.tip.chain.next;
    life.tip.moved(guest.recorder.chain(), guest.tail(), guest.turn.journaled);
    *since_base += life.tip.chain.next.0.saturating_sub(before.0);
}
