//! One actor's records as they are made, and as they are compared in replay.
//!
//! Owns the open step's bytes, the cursor of a replayed turn, and the logical names of resources. Promises: a record is
//! either whole and linked or not there; in replay nothing is compared loosely, and nothing runs past the records.

use std::ops::Range;
use std::sync::Arc;

use troupe_log::body::{CallHead, Due, Hidden, Redaction, TurnEnd};
use troupe_log::codec::{self, Reader};
use troupe_log::record::KindNumber;
use troupe_log::{Chain, Kind, Mark, NodeTime, Record, Seq, Step};

use super::departure::Departure;
use super::dues::Dues;
use super::effect::Tag;
use super::error::{Divergence, Exit, LeftHere, RecordedTrap};
use super::recordable::{Handle, Recordable};
use super::registry::{Entry, Registry};
use super::resources::Resources;
use super::secrets::Secrets;

/// What follows when a replayed turn's records are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// The turn was open: the guest goes on live.
    GoLive,
    /// The turn was killed here (deadline, fuel, stack depth, crash): the guest is stopped, the comparison was good.
    Leave,
    /// The turn ended here: another call is a difference.
    Ended,
}

/// The records of one turn, behind its begin, that the guest is compared with.
pub(crate) struct Cursor {
    bytes: Arc<[u8]>,
    at: usize,
    at_end: AtEnd,
}

/// What a replayed call is answered with.
pub(crate) enum Recalled {
    /// This outcome stands in the journal.
    Outcome(Range<usize>),
    /// The records are used up: run it live.
    Live,
    /// An intent without outcome: by the effect class.
    OpenIntent(Seq),
    /// A wait without answer: wait again under this id, at most until then.
    OpenWait(Seq, Option<NodeTime>),
}

/// How a guest's calls are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// No journal: calls go straight through.
    Off,
    /// Each call is recorded.
    On,
}

/// An actor's recorder.
pub struct Recorder {
    recording: Recording,
    registry: Arc<Registry>,
    pub(crate) step: Step,
    pub(crate) resources: Resources,
    cursor: Option<Cursor>,
    scratch: Vec<u8>,
    /// The handler found that a grant is missing: the record becomes a denial that names it.
    denied: Option<String>,
    /// Constructors of resources that the guest still holds and that can be made again.
    pub(crate) renewals: Vec<(u32, Arc<Entry>, Vec<u8>)>,
    /// When durations are over.
    pub(crate) dues: Dues,
    /// In a fork: where it did something else than the records.
    pub(super) departures: Option<Vec<Departure>>,
    /// The record of the intent in hand, or of the call that replay compared last.
    pub(crate) crossed: Seq,
    /// What no record has.
    pub(crate) secrets: Arc<Secrets>,
    /// Why the turn at hand cannot be replayed.
    unknown: Option<String>,
}

/// How a call ended, as the first byte of an outcome.
const VALUE: u8 = 0;
const TRAP: u8 = 1;
const EXIT: u8 = 2;

impl Recorder {
    /// A recorder that goes on behind `chain`.
    pub fn new(recording: Recording, chain: Chain, registry: Arc<Registry>) -> Recorder {
        Recorder {
            recording,
            registry,
            step: Step::new(chain),
            resources: resources_of(recording),
            cursor: None,
            scratch: Vec::new(),
            denied: None,
            renewals: Vec::new(),
            dues: Dues::default(),
            departures: None,
            crossed: Seq(0),
            secrets: Arc::default(),
            unknown: None,
        }
    }

    /// Whether calls are recorded.
    pub fn recording(&self) -> bool {
        self.recording == Recording::On
    }

    /// True while the guest is answered from its journal.
    pub fn replaying(&self) -> bool {
        self.cursor.is_some()
    }

    /// True in a fork, which may do something else than the records.
    pub(super) fn forked(&self) -> bool {
        self.departures.is_some()
    }

    /// The tip of the journal, with the open step.
    pub fn chain(&self) -> Chain {
        self.step.chain()
    }

    /// Starts recording behind `chain`; used when recovery has replayed everything before it.
    pub fn resume(&mut self, chain: Chain) {
        self.step = Step::new(chain);
        self.cursor = None;
    }

    /// Answers the next turn from `bytes`: the records behind its begin.
    pub fn replay(&mut self, bytes: Arc<[u8]>, at_end: AtEnd) {
        let (bytes, whole) = self.secrets.restored(bytes);
        self.unknown = whole.err();
        self.cursor = Some(Cursor { bytes, at: 0, at_end });
    }

    /// Ends a replayed turn; an error if the guest ended it before its records did. Returns the record it ended at.
    pub fn end_replay(&mut self, how: impl FnOnce() -> String) -> Result<(), Divergence> {
        if self.departures.is_some() {
            self.leave_rest();
        }
        let Some(mut cursor) = self.cursor.take().filter(|_| self.departures.is_none()) else { return Ok(()) };
        match cursor.peek() {
            Some(record) if crossing(record.kind) => {
                let (tag, params) = tag_and_params(record.body);
                Err(Divergence {
                    seq: record.seq,
                    function: self.registry.name(tag),
                    expected: self.shown(tag, params),
                    actual: how(),
                })
            }
            _ => Ok(()),
        }
    }

    /// A new instance begins: it holds no resource.
    pub fn new_instance(&mut self) {
        self.resources = resources_of(self.recording);
        self.renewals.clear();
        self.dues = Dues::default();
    }

    /// Marks the call in hand as denied.
    pub fn deny(&mut self, grant: &str) {
        self.denied = Some(grant.to_owned());
    }

    /// The function of that name.
    pub(crate) fn entry(&self, name: &str) -> wasmtime::Result<Arc<Entry>> {
        let found = self.registry.get(Tag::of_name(name)).cloned();
        found.ok_or_else(|| wasmtime::Error::msg(format!("nothing is registered as {name}")))
    }

    /// The name of one of the host's own functions.
    pub(crate) fn name_of(&self, tag: Tag) -> Option<String> {
        self.registry.get(tag).map(|entry| entry.name.clone())
    }

    /// Whether something of an earlier life could be made again.
    pub(crate) fn has_renewals(&self) -> bool {
        !self.renewals.is_empty()
    }

    /// How the resource of that number is made again; asked once.
    pub(crate) fn take_renewal(&mut self, logical: u32) -> Option<(Arc<Entry>, Vec<u8>)> {
        let at = self.renewals.iter().position(|(number, _, _)| *number == logical)?;
        let (_, entry, params) = self.renewals.swap_remove(at);
        Some((entry, params))
    }

    /// A resource has ended: it is not made again.
    pub(crate) fn forget(&mut self, logical: u32) {
        self.renewals.retain(|(number, _, _)| *number != logical);
        self.dues.forget(logical);
    }

    // ---- making records ----

    pub(crate) fn open(&mut self, kind: Kind, entry: &Entry, params: &impl Recordable) -> Mark {
        self.denied = None;
        self.dues.take_begun();
        let mark = self.step.begin(kind);
        let out = self.step.body();
        codec::put_u64(out, entry.tag.0);
        let at = out.len();
        codec::put_u32(out, 0);
        params.encode(out);
        let len = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&len.to_le_bytes());
        mark
    }

    /// Maps what the handler returned to the guest's side, records it and closes the record.
    pub(crate) fn close<R: Recordable>(&mut self, mark: Mark, result: &mut wasmtime::Result<R>) {
        if R::RESOURCES
            && let Ok(value) = result
        {
            self.give(value);
        }
        let denied = self.denied.take().or_else(|| {
            let denied = result.as_ref().err()?.downcast_ref::<super::error::Denied>()?;
            Some(denied.grant.clone())
        });
        if let Some(grant) = denied {
            self.step.set_kind(&mark, Kind::Denial);
            codec::put_str(self.step.body(), &grant);
        }
        self.outcome(result);
        let due = self.dues.take_begun();
        self.seal(mark, due);
    }

    /// Ends the open record: what it must not have is hidden, and said beside it, behind when the call is over.
    pub(crate) fn seal(&mut self, mark: Mark, due: Option<NodeTime>) -> Seq {
        let len = self.step.open_body(&mark).len();
        let buffer = self.step.body();
        let from = buffer.len() - len;
        let hidden = self.secrets.hide(&mut buffer[from..]);
        let of = self.step.seal(mark);
        if let Some(at) = due {
            self.step.record(Kind::Due, |out| Due { of, at }.encode(out));
        }
        self.redact(of, hidden);
        of
    }

    /// Records the end of a turn, in which secrets are hidden too.
    pub(crate) fn end_turn(&mut self, outcome: u8, fuel: u64, answer: &[u8]) {
        let mut answer = std::borrow::Cow::Borrowed(answer);
        if !self.secrets.is_empty() {
            let hidden = self.secrets.hide(answer.to_mut());
            if !hidden.is_empty() {
                let of = self.step.next_seq().next();
                // The answer is the last of the body, behind this much.
                let before = 9;
                let hidden = hidden.into_iter().map(|it| Hidden { at: it.at + before, ..it }).collect();
                self.redact(of, hidden);
            }
        }
        self.step.record(Kind::TurnEnd, |out| TurnEnd { outcome, fuel, answer: &answer }.encode(out));
    }

    fn redact(&mut self, of: Seq, hidden: Vec<Hidden>) {
        if !hidden.is_empty() {
            let key = self.secrets.key_id();
            self.step.record(Kind::Redaction, |out| Redaction { of, key, hidden }.encode(out));
        }
    }

    /// The call in hand is a wait, over at `due` if not before.
    pub(crate) fn park(&mut self, mark: Mark, due: Option<NodeTime>) {
        self.step.set_kind(&mark, Kind::Wait);
        self.seal(mark, due);
    }

    /// Records the answer of an intent or a wait.
    pub(crate) fn answer<R: Recordable>(&mut self, kind: Kind, of: Seq, result: &mut wasmtime::Result<R>) {
        if R::RESOURCES
            && let Ok(value) = result
        {
            self.give(value);
        }
        let mark = self.step.begin(kind);
        codec::put_u64(self.step.body(), of.0);
        self.outcome(result);
        self.seal(mark, None);
    }

    fn give<R: Recordable>(&mut self, value: &mut R) {
        let resources = &mut self.resources;
        let mapped = value.map_resources(&mut |handle: Handle| {
            Ok(if handle.owned { resources.to_logical(handle.rep) } else { handle.rep })
        });
        debug_assert!(mapped.is_ok());
    }

    fn outcome<R: Recordable>(&mut self, result: &wasmtime::Result<R>) {
        let out = self.step.body();
        match result {
            Ok(value) => {
                out.push(VALUE);
                value.encode(out);
            }
            Err(error) => match exit_code(error) {
                Some(code) => {
                    out.push(EXIT);
                    code.encode(out);
                }
                None => {
                    out.push(TRAP);
                    codec::put_str(out, &format!("{error:#}"));
                }
            },
        }
    }

    // ---- answering from records ----

    /// Compares a call with the next record and says how it is answered.
    pub(crate) fn recall(&mut self, entry: &Arc<Entry>, params: &impl Recordable) -> wasmtime::Result<Recalled> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        params.encode(&mut scratch);
        let recalled = match &self.unknown {
            Some(why) if self.cursor.is_some() => {
                let seq = self.cursor.as_mut().and_then(Cursor::peek).map_or(Seq(0), |record| record.seq);
                Err(self.differs(seq, entry, &scratch, why.clone()).into())
            }
            _ => self.compare(entry, &scratch),
        };
        self.scratch = scratch;
        recalled
    }

    fn compare(&mut self, entry: &Arc<Entry>, params: &[u8]) -> wasmtime::Result<Recalled> {
        let Some(cursor) = &mut self.cursor else { return Ok(Recalled::Live) };
        let Some(record) = cursor.peek() else {
            let at_end = cursor.at_end;
            return match at_end {
                AtEnd::GoLive => {
                    self.cursor = None;
                    Ok(Recalled::Live)
                }
                AtEnd::Leave => Err(LeftHere.into()),
                AtEnd::Ended => {
                    let expected = "no further record".to_owned();
                    Err(self.differs(Divergence::NO_FURTHER_RECORD, entry, params, expected).into())
                }
            };
        };
        let (mut seq, kind, body) = (record.seq, record.kind, record.body);
        if !crossing(kind) {
            let at_end = cursor.at_end;
            if at_end == AtEnd::Leave {
                return Err(LeftHere.into());
            }
            return Err(self.differs(seq, entry, params, format!("the end of the turn ({kind})")).into());
        }
        let (tag, expected) = tag_and_params(body);
        if (tag != entry.tag || expected != params) && self.departures.is_some() {
            if let Err(divergence) = self.depart(entry, params) {
                return Err(divergence.into());
            }
            seq = self.cursor.as_mut().and_then(Cursor::peek).map_or(seq, |record| record.seq);
        } else if tag != entry.tag || expected != params {
            let expected = self.registry.call(tag, &self.secrets.masked(expected));
            return Err(self.differs(seq, entry, params, expected).into());
        }
        self.crossed = seq;
        let Some(cursor) = &mut self.cursor else { return Ok(Recalled::Live) };
        let recalled = match cursor.take_answer() {
            Err(error) if error.is::<Unanswered>() => {
                return Err(self.differs(seq, entry, params, error.to_string()).into());
            }
            recalled => recalled?,
        };
        if let Recalled::Outcome(range) = &recalled {
            let logical = handed_out(entry, &cursor.bytes[range.clone()])?;
            let due = cursor.take_due(seq);
            for number in &logical {
                self.resources.observe(*number);
                if let Some(at) = due {
                    self.dues.recorded(*number, at);
                }
                if entry.renew.is_some() {
                    self.renewals.push((*number, entry.clone(), params.to_vec()));
                }
            }
        }
        if let Recalled::OpenIntent(_) | Recalled::OpenWait(..) = recalled {
            self.cursor = None;
        }
        Ok(recalled)
    }

    /// Reads an outcome of the journal as the function's result.
    pub(crate) fn decode<R: Recordable>(&self, range: Range<usize>) -> wasmtime::Result<R> {
        let Some(cursor) = &self.cursor else {
            return Err(wasmtime::Error::msg("no journal to read from"));
        };
        let mut input = Reader::new(&cursor.bytes[range]);
        match input.u8()? {
            VALUE => Ok(R::decode(&mut input)?),
            EXIT => Err(Exit { code: i32::decode(&mut input)? }.into()),
            _ => Err(RecordedTrap(input.str()?.to_owned()).into()),
        }
    }

    /// The records of the turn, and how far they were compared.
    pub(super) fn left(&self) -> Option<(Arc<[u8]>, usize)> {
        self.cursor.as_ref().map(|cursor| (cursor.bytes.clone(), cursor.at))
    }

    /// The next record that is compared begins there.
    pub(super) fn go_on_at(&mut self, at: usize) {
        if let Some(cursor) = &mut self.cursor {
            cursor.at = at;
        }
    }

    fn differs(&self, seq: Seq, entry: &Entry, params: &[u8], expected: String) -> Divergence {
        // Beside a value that is not the recorded one nothing of the call can be shown.
        let actual = if self.unknown.is_some() { entry.name.clone() } else { self.shown(entry.tag, params) };
        Divergence { seq, function: entry.name.clone(), expected, actual }
    }

    /// A call in words, without the values of secrets, which replay has put back.
    pub(super) fn shown(&self, tag: Tag, params: &[u8]) -> String {
        self.registry.call(tag, &self.secrets.masked(params))
    }
}

impl Cursor {
    /// The next record that the guest is compared with.
    fn peek(&mut self) -> Option<Record<'_>> {
        while let Ok(record) = Record::read(&self.bytes[self.at..]) {
            match record.kind.known() {
                None | Some(Kind::Resume | Kind::Redaction | Kind::Derived | Kind::Due) => {
                    self.at += record.bytes.len()
                }
                Some(_) => break,
            }
        }
        Record::read(&self.bytes[self.at..]).ok()
    }

    /// Steps over what says when the duration is over that the call of record `of` began.
    fn take_due(&mut self, of: Seq) -> Option<NodeTime> {
        let record = Record::read(&self.bytes[self.at..]).ok().filter(|record| record.kind == Kind::Due)?;
        let due = Due::decode(record.body).ok().filter(|due| due.of == of)?;
        self.at += record.bytes.len();
        Some(due.at)
    }

    /// Steps over the record at hand, which was compared, and finds its answer.
    fn take_answer(&mut self) -> wasmtime::Result<Recalled> {
        let bytes = self.bytes.clone();
        let record = Record::read(&bytes[self.at..])?;
        self.at += record.bytes.len();
        let seq = record.seq;
        let kind = record.kind.known();
        let due = if kind == Some(Kind::Wait) { self.take_due(seq) } else { None };
        let wanted = match kind {
            Some(Kind::Intent) => Kind::Outcome,
            Some(Kind::Wait) => Kind::Wake,
            kind => {
                // Anybody may have made it.
                let mut body = Reader::new(record.body);
                CallHead::decode(&mut body)?;
                if kind == Some(Kind::Denial) {
                    body.str()?;
                }
                let outcome = body.at();
                return Ok(Recalled::Outcome(self.at - record.body.len() + outcome..self.at));
            }
        };
        if let Some(answer) = self.peek()
            && answer.kind == wanted
            && answer.body.get(..8) == Some(&seq.0.to_le_bytes()[..])
        {
            let (whole, body) = (answer.bytes.len(), answer.body.len());
            self.at += whole;
            return Ok(Recalled::Outcome(self.at - body + 8..self.at));
        }
        match self.at_end {
            AtEnd::GoLive => {}
            AtEnd::Leave => return Err(LeftHere.into()),
            AtEnd::Ended => {
                return Err(Unanswered.into());
            }
        }
        Ok(if wanted == Kind::Outcome { Recalled::OpenIntent(seq) } else { Recalled::OpenWait(seq, due) })
    }
}

/// The records of a turn that has ended begin something and do not end it.
#[derive(Debug, thiserror::Error)]
#[error("a call without an answer")]
struct Unanswered;

fn resources_of(recording: Recording) -> Resources {
    if recording == Recording::On { Resources::default() } else { Resources::plain() }
}

/// The logical numbers that an outcome hands out.
fn handed_out(entry: &Entry, outcome: &[u8]) -> wasmtime::Result<Vec<u32>> {
    match (entry.hands_out, outcome.split_first()) {
        (Some(hands_out), Some((&VALUE, value))) => Ok(hands_out(value)?),
        _ => Ok(Vec::new()),
    }
}

/// True for records that a call of the guest is compared with.
pub(crate) fn crossing(kind: KindNumber) -> bool {
    matches!(kind.known(), Some(Kind::Call | Kind::Intent | Kind::Wait | Kind::Denial))
}

/// The function and the parameters of a call-like record; empty where the body is too short.
pub(crate) fn tag_and_params(body: &[u8]) -> (Tag, &[u8]) {
    let mut input = Reader::new(body);
    let tag = Tag(input.u64().unwrap_or(0));
    let len = input.u32().unwrap_or(0) as usize;
    (tag, input.take(len).unwrap_or(&[]))
}

/// The exit code if this is a guest's wish to end.
pub(crate) fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    if let Some(exit) = error.downcast_ref::<Exit>() {
        return Some(exit.code);
    }
    error.downcast_ref::<wasmtime_wasi::I32Exit>().map(|exit| exit.0)
}
