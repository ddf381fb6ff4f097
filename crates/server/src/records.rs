//! Journal records in words: what `troupe journal show` prints and the API streams, one JSON object a record.
//!
//! Reads any bytes: a body that does not fit its kind is shown as so many bytes, a kind of a later version by its number.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use troupe_log::body::{
    Base, CallHead, Carried, Change, Checkpoint, Due, Fault, Genesis, Image, Outcome, Redaction, TurnBegin, TurnEnd,
    TurnKind, Upgrade,
};
use troupe_log::codec::{self, Reader};
use troupe_log::{Head, Kind, Record};
use troupe_runtime::actor::config::Config;
use troupe_runtime::actor::message::Message;
use troupe_runtime::boundary::{Registry, Tag, show};
use troupe_runtime::replay::player::describe_outcome;

/// One record, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub seq: u64,
    /// The name of its kind.
    pub kind: String,
    /// The function, the turn or the thing that it is about.
    pub what: String,
    /// Arguments, or details.
    pub input: String,
    /// What came of it; empty where nothing could.
    pub output: String,
    /// What kind of outcome that is: `value`, `error` (the function's own), `denied`, `trap`, `exit` or `cancelled`; for a turn's
    /// end `value`, `error` or `no-taker`; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub result: String,
    /// What else there is of the message that begins a turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<ShownMessage>,
    /// The head of the journal after it.
    pub head: String,
}

/// What a message has besides sender, type and payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownMessage {
    /// Its id: what an answer that is given later names.
    pub id: String,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The node time in microseconds after which nobody wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
}

/// Tells the records of one journal, in their order: an outcome is read as its intent's or wait's function gives it.
pub struct Teller<'a> {
    registry: &'a Registry,
    /// The intents and waits of the turn, and their functions.
    begun: HashMap<u64, u64>,
}

impl<'a> Teller<'a> {
    /// Nothing told yet.
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, begun: HashMap::new() }
    }

    /// Decodes the next record.
    pub fn tell(&mut self, record: &Record<'_>) -> Shown {
        match record.kind.known() {
            Some(Kind::TurnBegin) => self.begun.clear(),
            Some(Kind::Intent | Kind::Wait) => {
                if let Ok(head) = CallHead::decode(&mut Reader::new(record.body)) {
                    self.begun.insert(record.seq.0, head.tag);
                }
            }
            _ => {}
        }
        let parts = record.kind.known().and_then(|kind| words(kind, record.body, self.registry, &self.begun).ok());
        let parts = parts.unwrap_or_else(|| Words::new("", format!("{} bytes", record.body.len())));
        Shown {
            seq: record.seq.0,
            kind: record.kind.to_string(),
            what: parts.what,
            input: parts.input,
            output: parts.output,
            result: parts.result.to_owned(),
            message: parts.message,
            head: hex(&record.head()),
        }
    }
}

impl Shown {
    /// The record in one line.
    pub fn line(&self) -> String {
        let mut line = format!("{:>6}  {:<10}  {}", self.seq, self.kind, self.what);
        if !self.input.is_empty() {
            let joint = if self.input.starts_with('(') { "" } else { "  " };
            line.push_str(joint);
            line.push_str(&self.input);
        }
        if !self.output.is_empty() {
            line.push_str("  ->  ");
            line.push_str(&self.output);
        }
        line
    }
}

fn hex(head: &Head) -> String {
    hex::encode(head.0)
}

#[derive(Default)]
struct Words {
    what: String,
    input: String,
    output: String,
    result: &'static str,
    message: Option<ShownMessage>,
}

impl Words {
    fn new(what: impl Into<String>, input: impl Into<String>) -> Self {
        Self { what: what.into(), input: input.into(), ..Self::default() }
    }

    fn output(self, output: impl Into<String>) -> Self {
        Self { output: output.into(), ..self }
    }

    fn result(self, result: &'static str) -> Self {
        Self { result, ..self }
    }
}

fn words(kind: Kind, body: &[u8], registry: &Registry, begun: &HashMap<u64, u64>) -> Result<Words, codec::Error> {
    let mut input = Reader::new(body);
    Ok(match kind {
        Kind::Genesis => genesis(&Genesis::decode(body)?),
        Kind::TurnBegin => turn(&TurnBegin::decode(body)?),
        Kind::Call => {
            let head = CallHead::decode(&mut input)?;
            let found = Outcome::decode(&mut input)?;
            let text = outcome(head.tag, &found, registry);
            let result = result(&found, &text);
            called(&head, registry).output(text).result(result)
        }
        Kind::Intent | Kind::Wait => called(&CallHead::decode(&mut input)?, registry),
        Kind::Denial => denial(&mut input, registry)?,
        Kind::Outcome | Kind::Wake => {
            let of = input.u64()?;
            let found = Outcome::decode(&mut input)?;
            let text = match (&found, begun.get(&of)) {
                (Outcome::Value(bytes), None) => bytes_shown(bytes),
                (other, tag) => outcome(tag.copied().unwrap_or_default(), other, registry),
            };
            let result = result(&found, &text);
            Words::new(format!("of record {of}"), "").output(text).result(result)
        }
        Kind::TurnEnd => {
            let end = TurnEnd::decode(body)?;
            Words::new("", format!("fuel {}", end.fuel))
                .output(describe_outcome(end.outcome, end.answer))
                .result(["value", "error", "value", "no-taker", "value"].get(usize::from(end.outcome)).unwrap_or(&""))
        }
        Kind::Fault => {
            let fault = Fault::decode(body)?;
            Words::new(fault.cause.name(), format!("{}; undone from record {}", fault.text, fault.first_undone))
        }
        Kind::Base => {
            let base = Base::decode(body)?;
            let size = match &base.image {
                Image::Inline(bytes) => bytes.len() as u64,
                Image::Blob(_, len) => *len,
            };
            Words::new(format!("of {}", base.component), format!("state {}, {size} bytes", base.state))
        }
        Kind::Resume => Words::new("after a restart", format!("epoch {}", input.u64()?)),
        Kind::Expired => message("message", &Message::decode(&mut input)?),
        Kind::Stop => Words::new("the actor", format!("{:?}", input.str()?)),
        Kind::Checkpoint => {
            let point = Checkpoint::decode(body)?;
            let input = format!("head before it {}, base {}", hex(&point.head_before), point.base);
            Words::new(format!("first kept record {}", point.first_kept), input)
        }
        Kind::Change => {
            let change = Change::decode(body)?;
            match Config::decode(change.config) {
                Ok(config) => Words::new("from here on", settings(&config)),
                Err(_) => Words::new("", format!("{} bytes", body.len())),
            }
        }
        Kind::Due => {
            let due = Due::decode(body)?;
            Words::new(format!("of record {}", due.of), format!("over at node time {}", due.at.0))
        }
        Kind::Upgrade => {
            let upgrade = Upgrade::decode(body)?;
            let how = match upgrade.carried {
                Carried::Replayed => "the journal replays under it",
                Carried::Saved => "saved by the one before, loaded by it",
            };
            Words::new(format!("to {}", upgrade.to), format!("from {}; {how}", upgrade.from))
        }
        Kind::Redaction => {
            let redaction = Redaction::decode(body)?;
            let names: BTreeSet<&str> = redaction.hidden.iter().map(|hidden| hidden.name.as_str()).collect();
            let names: Vec<&str> = names.into_iter().collect();
            Words::new(format!("of record {}", redaction.of), format!("the secrets {}", names.join(", ")))
        }
        Kind::Derived => Words::new("", format!("{} bytes", body.len())),
    })
}

/// The settings in one line; values of the environment and of `config` may be secrets and are left out.
fn settings(config: &Config) -> String {
    let text = format!("{}{}", config.limits.to_toml(), config.grants.to_toml());
    let shown = text.lines().map(|line| match line.split_once(" = ") {
        Some(("environment", value)) if value != "false" => "environment = ...",
        Some(("config", value)) if value != "{}" => "config = ...",
        _ => line,
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn genesis(genesis: &Genesis) -> Words {
    let what = format!("{} (incarnation {})", genesis.actor, genesis.incarnation);
    let mut input = format!("component {}", genesis.component);
    if !genesis.initial.is_empty() {
        input.push_str(&format!(", init {}", bytes_shown(&genesis.initial)));
    }
    Words::new(what, input)
}

fn turn(begin: &TurnBegin<'_>) -> Words {
    match begin.kind {
        TurnKind::Message => match Message::decode(&mut Reader::new(begin.rest)) {
            Ok(sent) => message("message", &sent),
            Err(_) => Words::new("message", format!("{} bytes", begin.rest.len())),
        },
        TurnKind::Init | TurnKind::Terminate if !begin.rest.is_empty() => {
            Words::new(begin.kind.name(), bytes_shown(begin.rest))
        }
        _ => Words::new(begin.kind.name(), ""),
    }
}

fn message(what: &str, message: &Message) -> Words {
    let kind = format!("{:?}", message.kind).to_lowercase();
    let mut input =
        format!("{kind} {:?} from {}  {}", message.message_type, message.from, bytes_shown(&message.payload));
    if let Some(key) = &message.key {
        input.push_str(&format!("  key {key:?}"));
    }
    if message.attempt > 1 {
        input.push_str(&format!("  attempt {}", message.attempt));
    }
    let more = ShownMessage {
        id: message.id.to_string(),
        headers: message.headers.clone(),
        deadline: message.deadline.map(|at| at.0),
    };
    Words { message: Some(more), ..Words::new(what, input) }
}

fn called(head: &CallHead<'_>, registry: &Registry) -> Words {
    let tag = Tag(head.tag);
    let text = registry.call(tag, head.params);
    let name = registry.name(tag);
    match text.strip_prefix(&name) {
        Some(params) => Words::new(name.clone(), params),
        None => Words::new(text, ""),
    }
}

/// A call, the grant that it lacks, and its outcome.
fn denial(input: &mut Reader<'_>, registry: &Registry) -> Result<Words, codec::Error> {
    let head = CallHead::decode(input)?;
    let grant = input.str()?;
    let words = called(&head, registry).output(format!("denied: no [grants.{grant}]")).result("denied");
    Outcome::decode(input)?;
    Ok(words)
}

fn outcome(tag: u64, outcome: &Outcome<'_>, registry: &Registry) -> String {
    match outcome {
        Outcome::Value(bytes) => registry.outcome(Tag(tag), bytes),
        Outcome::Trap(text) => format!("trap: {text}"),
        Outcome::Exit(code) => format!("exit {code}"),
        Outcome::Cancelled => "cancelled".to_owned(),
    }
}

/// The kind of an outcome, of which `text` is what it reads like.
fn result(outcome: &Outcome<'_>, text: &str) -> &'static str {
    match outcome {
        Outcome::Value(_) if is_error(text) => "error",
        Outcome::Value(_) => "value",
        Outcome::Trap(_) => "trap",
        Outcome::Exit(_) => "exit",
        Outcome::Cancelled => "cancelled",
    }
}

/// A result that is an error reads `(Err(..),)`, of a function whose types only its component knows `err(..)`; it may be the value of
/// an option or of another result, as that of a future is. A text that begins so stands in quotes.
fn is_error(text: &str) -> bool {
    let mut rest = text.strip_prefix('(').unwrap_or(text);
    while let Some(inner) = ["Some(", "Ok(", "some(", "ok("].iter().find_map(|case| rest.strip_prefix(case)) {
        rest = inner;
    }
    ["Err(", "err("].iter().any(|case| rest.starts_with(case))
        || matches!(rest.trim_end_matches([',', ')']), "Err" | "err")
}

/// Text in quotes, or hexadecimal; cut and counted.
fn bytes_shown(bytes: &[u8]) -> String {
    let mut out = String::new();
    show::bytes(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::body::FaultCause;
    use troupe_log::{Chain, Seq, Step, record};

    fn shown(kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Shown {
        let mut step = Step::new(Chain::START);
        step.record(kind, body);
        let bytes = step.bytes().to_vec();
        let record = record::records(&bytes).next().unwrap().unwrap();
        let shown = Teller::new(&Registry::default()).tell(&record);
        assert_eq!(shown.head, hex(&record.head()));
        shown
    }

    #[test]
    fn records_are_told_in_words() {
        let end = shown(Kind::TurnEnd, |out| TurnEnd { outcome: 0, fuel: 7, answer: b"42" }.encode(out));
        assert_eq!(end.line(), "     0  turn-end      fuel 7  ->  answer \"42\"");
        let fault = shown(Kind::Fault, |out| {
            let text = "unreachable".to_owned();
            Fault { cause: FaultCause::Trap, text, first_undone: Seq(5), disposition: 0 }.encode(out);
        });
        assert_eq!(fault.line(), "     0  fault       trap  unreachable; undone from record 5");
        let stop = shown(Kind::Stop, |out| codec::put_str(out, "enough"));
        assert_eq!((stop.what.as_str(), stop.input.as_str()), ("the actor", "\"enough\""));
        let call = shown(Kind::Call, |out| {
            CallHead { tag: 1, params: b"ab" }.encode(out);
            Outcome::Trap("no").encode(out);
        });
        assert_eq!(call.what, "function 0000000000000001");
        assert_eq!((call.input.as_str(), call.output.as_str()), ("(2 bytes)", "trap: no"));
        let denial = shown(Kind::Denial, |out| {
            CallHead { tag: 1, params: b"" }.encode(out);
            codec::put_str(out, "messaging");
            Outcome::Value(b"\x01\x00\x00\x00x").encode(out);
        });
        assert_eq!(denial.output, "denied: no [grants.messaging]");
    }

    #[test]
    fn what_reads_like_an_error_is_one() {
        for text in ["(Err(NoEntry),)", "(Err(()),)", "err(\"no\")", "(Some(Ok(Err(DestinationNotFound))),)", "err"] {
            assert!(is_error(text), "{text}");
        }
        for text in ["(Ok(5),)", "(\"Err(x)\",)", "ok(\"err(x)\")", "(Some(\"Err(\"),)", "(Errand { a: 1 },)", "()"] {
            assert!(!is_error(text), "{text}");
        }
    }

    #[test]
    fn a_body_that_does_not_fit_is_counted() {
        for kind in Kind::ALL {
            for body in [&b""[..], b"\xff", &[0xff; 64]] {
                let shown = shown(*kind, |out| out.extend_from_slice(body));
                assert_eq!(shown.kind, kind.name());
            }
        }
        let shown = shown(Kind::TurnEnd, |out| out.push(1));
        assert_eq!(shown.input, "1 bytes");
    }

    #[test]
    fn bytes_are_text_or_hexadecimal_and_never_long() {
        assert_eq!(bytes_shown(b"a\n\"b"), "\"a\\n\\\"b\"");
        assert_eq!(bytes_shown(&[0, 255]), "0x00ff");
        assert_eq!(bytes_shown(b"\x1b[31m"), "0x1b5b33316d", "a terminal's control sequence is no text");
        assert!(bytes_shown(&[b'x'; 10_000]).len() < 600);
        assert!(bytes_shown(&[0; 10_000]).len() < 1100);
    }
}
