//! Plays turns of a journal into an instance and compares.
//!
//! Recovery and replay both do this; they differ in what stands behind the guest (the node, or nothing that can be touched)
//! and in what happens where the records end.

use std::borrow::Cow;
use std::sync::Arc;

use troupe_log::body::{FaultCause, TurnKind};
use troupe_log::codec::{self, Reader};
use troupe_log::{Digest, Seq};

use super::turns::{End, PastTurn};
use crate::actor::config::Config;
use crate::actor::live::{Bounds, Fall, Live};
use crate::boundary::{About, AtEnd, Divergence, Guest, Recorder, Services};
use crate::component::Code;
use crate::contract::{Input, Output};
use crate::error::{Error, Result};
use crate::node::core::Core;

/// Fuel that a replayed turn has at least.
const LEAST_FUEL: u64 = 100_000_000;

/// Gives the bytes of a digest that a journal names.
pub type Blobs<'a> = &'a (dyn Fn(&Digest) -> Option<Vec<u8>> + Send + Sync);

/// What a load turn is about: who saved the state, and the state or its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Digest of the component that saved it.
    pub saved_by: String,
    /// The state, or the digest of the blob that holds it.
    pub state: Result<Vec<u8>, Digest>,
}

impl Loaded {
    /// States up to this many bytes stand in the record itself.
    pub const INLINE: usize = 16 << 10;

    /// The bytes behind the turn's begin.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        codec::put_str(&mut out, &self.saved_by);
        match &self.state {
            Ok(bytes) => {
                out.push(0);
                codec::put_bytes(&mut out, bytes);
            }
            Err(digest) => {
                out.push(1);
                out.extend_from_slice(&digest.0);
            }
        }
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Loaded, codec::Error> {
        let mut input = Reader::new(bytes);
        let saved_by = input.str()?.to_owned();
        let state = match input.case(2)? {
            0 => Ok(input.bytes()?.to_vec()),
            _ => Err(Digest(input.array()?)),
        };
        input.finish()?;
        Ok(Loaded { saved_by, state })
    }
}

/// The number and the bytes that stand for an output in a turn's end.
pub fn outcome(kind: TurnKind, output: &Output) -> (u8, Cow<'_, [u8]>) {
    match output {
        // A saved state stands in the journal as its digest.
        Output::Answer(bytes) if kind == TurnKind::Save => (0, Cow::Owned(Digest::of(bytes).0.to_vec())),
        Output::Answer(bytes) => (0, Cow::Borrowed(bytes)),
        Output::Refused(text) => (1, Cow::Borrowed(text.as_bytes())),
        Output::State(name) => (2, Cow::Borrowed(name.as_bytes())),
        Output::NoTaker(text) => (3, Cow::Borrowed(text.as_bytes())),
        Output::Kept { answer, state, size } => {
            let mut out = state.0.to_vec();
            codec::put_u64(&mut out, *size);
            codec::put_option(&mut out, answer.as_deref(), codec::put_bytes);
            (4, Cow::Owned(out))
        }
    }
}

/// An outcome as text; what is long is cut, counted, and told by its digest.
pub fn describe_outcome(number: u8, answer: &[u8]) -> String {
    let kept = if number == 4 { kept(answer) } else { None };
    if let Some((state, size, answer)) = kept {
        let state =
            if state == Digest([0; 32]) { "no state".to_owned() } else { format!("state of {size} bytes, {state}") };
        return match answer {
            Some(answer) => format!("{}; {state}", describe_outcome(0, answer)),
            None => format!("the answer put off; {state}"),
        };
    }
    let text = crate::boundary::show::answer(answer);
    match number {
        0 => format!("answer {text}"),
        1 => format!("error {text}"),
        2 => format!("state {text}"),
        3 => format!("no taker {text}"),
        other => format!("outcome {other} {text}"),
    }
}

/// The digest and size of the state that was kept, and the answer, of an outcome with one.
fn kept(bytes: &[u8]) -> Option<(Digest, u64, Option<&[u8]>)> {
    let mut input = Reader::new(bytes);
    let (state, size) = (Digest(input.array().ok()?), input.u64().ok()?);
    let answer = input.option(Reader::bytes).ok()?;
    input.finish().ok().map(|()| (state, size, answer))
}

/// An instance that is played.
pub struct Player {
    code: Arc<Code>,
    about: Arc<About>,
    services: Arc<dyn Services>,
    first_state: String,
    live: Option<Live>,
    /// The recorder before there is an instance, and after one is gone.
    recorder: Option<Recorder>,
    core: Option<Arc<Core>>,
    tail: Option<troupe_log::Position>,
}

impl Player {
    /// No instance yet. What the guest calls behind its records goes to `services`.
    pub(crate) fn new(
        code: Arc<Code>,
        about: Arc<About>,
        services: Arc<dyn Services>,
        first_state: &str,
        recorder: Recorder,
        tail: Option<troupe_log::Position>,
        core: Option<Arc<Core>>,
    ) -> Player {
        let first_state = first_state.to_owned();
        Player { code, about, services, first_state, live: None, recorder: Some(recorder), core, tail }
    }

    /// The instance, if there is one.
    pub fn live(&mut self) -> Option<&mut Live> {
        self.live.as_mut()
    }

    /// What is instantiated from here on.
    pub fn upgrade(&mut self, code: Arc<Code>) {
        self.code = code;
    }

    /// What the actor lives under where it stands.
    pub fn about(&self) -> &Arc<About> {
        &self.about
    }

    /// What follows is played under these settings.
    pub fn settle(&mut self, about: Arc<About>) {
        if Arc::ptr_eq(&about, &self.about) {
            return;
        }
        if let Some(live) = &mut self.live {
            live.guest().settle(about.clone());
        }
        self.about = about;
    }

    /// The same, read from a change record.
    pub fn change(&mut self, seq: Seq, body: &[u8]) -> Result<()> {
        let unreadable = |why: String| Error::Unreplayable { why: format!("the settings in record {seq}: {why}") };
        let change = troupe_log::body::Change::decode(body).map_err(|error| unreadable(error.to_string()))?;
        let config = Config::decode(change.config).map_err(unreadable)?;
        self.settle(Arc::new(self.about.under(&config)));
        Ok(())
    }

    /// The recorder, wherever it is.
    pub(super) fn any_recorder(&mut self) -> Option<&mut Recorder> {
        match (&mut self.live, &mut self.recorder) {
            (Some(live), _) => Some(&mut live.guest().recorder),
            (None, recorder) => recorder.as_mut(),
        }
    }

    /// Hands the instance over.
    pub fn into_live(self) -> Option<Live> {
        self.live
    }

    /// Hands the recorder over; none if there is an instance.
    pub fn into_recorder(self) -> Option<Recorder> {
        self.recorder.filter(|_| self.live.is_none())
    }

    /// Plays a turn that ended in order, or, in a replay that stops at its fault, one that did not. Afterwards the instance stands
    /// behind the turn; behind a fault it is gone.
    pub async fn play(&mut self, turn: &PastTurn, blobs: Blobs<'_>) -> Result<(), Fall> {
        let at_end = match &turn.end {
            End::Ended { .. } => AtEnd::Ended,
            End::Faulted(fault) => match fault.cause {
                FaultCause::Trap | FaultCause::Exit => AtEnd::Ended,
                FaultCause::OutOfFuel | FaultCause::Deadline | FaultCause::Limit | FaultCause::Kill => AtEnd::Leave,
            },
            End::Open => AtEnd::Leave,
        };
        if at_end == AtEnd::Leave && turn.records.is_empty() {
            // Killed before its first call: there is nothing to compare.
            self.drop_instance();
            return Ok(());
        }
        let recorded = match &turn.end {
            End::Ended { fuel, .. } => *fuel,
            _ => 0,
        };
        let fuel = recorded.saturating_mul(10).max(LEAST_FUEL);
        let played = self.run(turn, at_end, fuel, blobs).await;
        match (&turn.end, played) {
            (End::Ended { outcome: number, answer, .. }, Ok(output)) => {
                let (actual, bytes) = self.masked_outcome(turn.kind, &output);
                let Some(live) = &mut self.live else { return Err(gone()) };
                live.guest()
                    .recorder
                    .end_replay(|| format!("ended the turn with {}", describe_outcome(actual, &bytes)))
                    .map_err(Fall::Differs)?;
                if actual != *number || bytes != *answer {
                    return Err(Fall::Differs(Divergence {
                        seq: turn.last,
                        function: "the end of the turn".to_owned(),
                        expected: describe_outcome(*number, answer),
                        actual: describe_outcome(actual, &bytes),
                    }));
                }
                if let Output::State(state) = output {
                    live.state = state;
                }
                Ok(())
            }
            (End::Faulted(_) | End::Open, Err(Fall::Left)) => {
                self.drop_instance();
                Ok(())
            }
            (End::Faulted(fault), Err(Fall::Fault(cause, text))) if cause == fault.cause || at_end == AtEnd::Leave => {
                let unread = match &mut self.live {
                    Some(live) => live.guest().recorder.end_replay(|| format!("ended with a fault: {text}")),
                    None => Ok(()),
                };
                self.drop_instance();
                unread.map_err(Fall::Differs)
            }
            (End::Faulted(fault), Ok(output)) => {
                let (number, bytes) = self.masked_outcome(turn.kind, &output);
                Err(Fall::Differs(Divergence {
                    seq: turn.last,
                    function: "the end of the turn".to_owned(),
                    expected: format!("{}: {}", fault.cause.name(), fault.text),
                    actual: describe_outcome(number, &bytes),
                }))
            }
            (End::Open, Ok(output)) => {
                let (number, bytes) = self.masked_outcome(turn.kind, &output);
                Err(Fall::Differs(Divergence {
                    seq: turn.last,
                    function: "the end of the turn".to_owned(),
                    expected: "a turn that goes on".to_owned(),
                    actual: describe_outcome(number, &bytes),
                }))
            }
            (End::Ended { outcome, answer, .. }, Err(Fall::Fault(cause, text))) => Err(Fall::Differs(Divergence {
                seq: turn.last,
                function: "the end of the turn".to_owned(),
                expected: describe_outcome(*outcome, answer),
                actual: format!("{}: {}", cause.name(), self.masked_text(&text)),
            })),
            (End::Faulted(fault), Err(Fall::Fault(cause, text))) => Err(Fall::Differs(Divergence {
                seq: turn.last,
                function: "the end of the turn".to_owned(),
                expected: format!("{}: {}", fault.cause.name(), fault.text),
                actual: format!("{}: {}", cause.name(), self.masked_text(&text)),
            })),
            (end, Err(Fall::Differs(mut divergence))) => {
                if divergence.seq == Divergence::NO_FURTHER_RECORD {
                    divergence.seq = turn.last;
                    if let End::Ended { outcome, answer, .. } = end {
                        divergence.expected =
                            format!("the end of the turn with {}", describe_outcome(*outcome, answer));
                    }
                }
                Err(Fall::Differs(divergence))
            }
            (_, Err(fall)) => Err(fall),
        }
    }

    /// What an output is in a turn's end, without the values of secrets, which replay has put back.
    pub(super) fn masked_outcome(&mut self, kind: TurnKind, output: &Output) -> (u8, Vec<u8>) {
        let (number, bytes) = outcome(kind, output);
        let secrets = self.any_recorder().map(|recorder| recorder.secrets.clone()).unwrap_or_default();
        (number, secrets.masked(&bytes).into_owned())
    }

    /// The same of a text.
    pub(super) fn masked_text(&mut self, text: &str) -> String {
        let secrets = self.any_recorder().map(|recorder| recorder.secrets.clone()).unwrap_or_default();
        secrets.masked_text(text).into_owned()
    }

    /// Runs a turn against its records. With [`AtEnd::GoLive`] it goes on live behind them.
    pub async fn run(&mut self, turn: &PastTurn, at_end: AtEnd, fuel: u64, blobs: Blobs<'_>) -> Result<Output, Fall> {
        let core = self.core.clone();
        let bounds = Bounds { fuel, deadline: None, core: core.as_deref(), cut: false };
        if turn.kind == TurnKind::Instantiate {
            return Box::pin(self.instantiate(turn, at_end, &bounds)).await;
        }
        let Some(live) = &mut self.live else { return Err(gone()) };
        let guest = live.guest();
        guest.recorder.replay(turn.records.clone(), at_end);
        guest.turn = crate::boundary::Turn { began: turn.began, ..Default::default() };
        let Some(message) = &turn.message else { return Box::pin(self.hook(turn, &bounds, blobs)).await };
        guest.turn.message = Some(message.clone());
        let state = std::mem::take(&mut live.state);
        let output = live.drive(Input::Message { message, state: &state }, &bounds).await;
        live.state = state;
        output
    }

    /// A turn that no message began.
    async fn hook(&mut self, turn: &PastTurn, bounds: &Bounds<'_>, blobs: Blobs<'_>) -> Result<Output, Fall> {
        let broken = |error: codec::Error| Fall::Halted(format!("record {}: {error}", turn.began));
        let Some(live) = &mut self.live else { return Err(gone()) };
        match turn.kind {
            TurnKind::Init => live.drive(Input::Init(&turn.about), bounds).await,
            TurnKind::Save => {
                live.guest().turn.restricted = true;
                live.drive(Input::Save, bounds).await
            }
            TurnKind::Load => {
                let loaded = Loaded::decode(&turn.about).map_err(broken)?;
                let state = match loaded.state {
                    Ok(bytes) => bytes,
                    Err(digest) => {
                        blobs(&digest).ok_or_else(|| Fall::Halted(format!("the saved state {digest} is not there")))?
                    }
                };
                live.guest().turn.restricted = true;
                live.drive(Input::Load { state: &state, saved_by: &loaded.saved_by }, bounds).await
            }
            TurnKind::Terminate => {
                let reason = String::from_utf8_lossy(&turn.about).into_owned();
                live.drive(Input::Terminate(&reason), bounds).await
            }
            TurnKind::Message | TurnKind::Timer | TurnKind::Hook | TurnKind::Instantiate => {
                Err(Fall::Halted(format!("record {}: a turn of the kind {}", turn.began, turn.kind.name())))
            }
        }
    }

    async fn instantiate(&mut self, turn: &PastTurn, at_end: AtEnd, bounds: &Bounds<'_>) -> Result<Output, Fall> {
        let mut recorder = match (self.live.take(), self.recorder.take()) {
            (Some(live), _) => live.store.into_data().recorder,
            (None, Some(recorder)) => recorder,
            (None, None) => return Err(gone()),
        };
        recorder.new_instance();
        recorder.secrets = self.services.secrets(&self.about.grants);
        recorder.replay(turn.records.clone(), at_end);
        let mut guest = Guest::new(self.about.clone(), self.services.clone(), recorder, self.tail);
        guest.turn.began = turn.began;
        prepare(&self.code, &mut guest)?;
        match Live::instantiate(&self.code, guest, bounds).await {
            Ok(mut live) => {
                live.state = self.first_state.clone();
                self.live = Some(live);
                Ok(Output::Answer(Vec::new()))
            }
            Err((guest, fall)) => {
                self.recorder = Some(guest.recorder);
                Err(fall)
            }
        }
    }

    fn drop_instance(&mut self) {
        if let Some(live) = self.live.take() {
            self.recorder = Some(live.store.into_data().recorder);
        }
    }
}

/// Makes what an instance needs before it is there.
pub fn prepare(code: &Code, guest: &mut Guest) -> Result<(), Fall> {
    if code.wasi {
        let context = crate::host::wasi::context(&guest.about, &guest.node).map_err(Fall::of)?;
        guest.wasi = Some(Box::new(context));
    }
    Ok(())
}

/// The runtime's own state in a base: the state of a gen-fsm actor.
pub fn base_state(seq: Seq, body: &[u8]) -> Result<String> {
    let unreadable = |error: codec::Error| Error::Unreplayable { why: format!("base {seq}: {error}") };
    let base = troupe_log::body::Base::decode(body).map_err(unreadable)?;
    Ok(Reader::new(&base.rest).str().map_err(unreadable)?.to_owned())
}

fn gone() -> Fall {
    Fall::Differs(Divergence {
        seq: Seq(0),
        function: "the journal".to_owned(),
        expected: "a turn that makes an instance".to_owned(),
        actual: "another turn first".to_owned(),
    })
}
