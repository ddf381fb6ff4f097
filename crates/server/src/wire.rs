//! What the management API says and hears, as types: the one definition for server and client.
//!
//! JSON objects may gain fields; readers ignore those that they do not know. Bytes are base64 (`base64`), with `text` beside
//! them where they are UTF-8.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The header that names a message's type; with it, the body of a call or send is the payload itself.
pub const TYPE: &str = "troupe-type";
/// The header of a call's deadline, such as `5s`.
pub const DEADLINE: &str = "troupe-deadline";
/// The header of an idempotency key.
pub const KEY: &str = "troupe-key";

/// Why a request failed, and what to do: the body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A word for programs: `not-found`, `mailbox-full`, `timeout`, ...
    pub code: String,
    /// What happened and where.
    pub message: String,
    /// What to do next; may be empty.
    #[serde(default)]
    pub help: String,
    /// For `faulted`: whether a part of the failed turn had been committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<bool>,
}

/// The node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its id, which stays with the data folder.
    pub id: String,
    /// Troupe's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its data folder; none for a node in memory.
    pub data: Option<PathBuf>,
    /// How many actors it has.
    pub actors: usize,
}

/// One actor, as `troupe ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorInfo {
    /// `namespace/name`.
    pub id: String,
    /// One more with each fresh start.
    pub incarnation: u32,
    /// The component's digest.
    pub component: String,
    /// live, idle, quarantined, moved or stopped.
    pub status: String,
    /// Why it is quarantined, moved or stopped.
    #[serde(default)]
    pub reason: Option<String>,
    /// durable, buffered or off.
    pub mode: String,
    /// Messages that wait.
    pub mailbox: u64,
    /// Records in its journal, from the first of this incarnation.
    pub records: u64,
    /// The head of its journal.
    pub head: String,
    /// The first record that recovery plays, if it has a base; without one it plays all.
    #[serde(default)]
    pub base: Option<u64>,
    /// Why it cannot make a base, if it cannot: its recovery takes longer with every record.
    #[serde(default)]
    pub no_base: Option<String>,
    /// The supervisors above it, from the application down, if it has any: `shop/storage`.
    #[serde(default)]
    pub supervisor: Option<String>,
    /// Turns since the node started.
    pub turns: u64,
    /// Faults since the node started.
    pub faults: u64,
    /// The newest fault, in words.
    #[serde(default)]
    pub last_fault: Option<String>,
}

/// An actor that came from another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// `namespace/name`.
    pub id: String,
    /// Its incarnation, which goes on.
    pub incarnation: u32,
    /// Records in its journal.
    pub records: u64,
    /// Messages that came with it.
    pub mailbox: u64,
}

/// A base that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Based {
    /// Its record.
    pub record: u64,
}

/// Another component for an actor that lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeRequest {
    /// A digest, or `name@version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The component before the newest upgrade, in place of `component`.
    #[serde(default)]
    pub rollback: bool,
    /// The old component saves the state and the new one loads it; otherwise the journal must replay under the new one.
    #[serde(default)]
    pub by_snapshot: bool,
    /// Only replays, and changes nothing.
    #[serde(default)]
    pub check: bool,
}

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The digest of the component before.
    pub from: String,
    /// The digest of the component that the actor runs, or, checked, could run.
    pub to: String,
    /// The upgrade's record; none if it runs this component already, or was only checked.
    pub record: Option<u64>,
    /// Records that were replayed under the new component.
    pub records: u64,
    /// Turns among them.
    pub turns: u64,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// starting, running, stopping, stopped, failing or failed.
    pub status: String,
    /// Why it fails or has failed.
    #[serde(default)]
    pub reason: Option<String>,
    /// Its supervisors and children, in the order of starts; the first is its own supervisor.
    pub members: Vec<Member>,
    /// What happened last, oldest first.
    pub notes: Vec<Note>,
}

/// A supervisor or a child of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// An actor's id, or a supervisor's name.
    pub name: String,
    /// How many supervisors stand above it.
    pub depth: usize,
    /// permanent, transient or temporary.
    pub restart: String,
    /// Of a supervisor: one-for-one, one-for-all or rest-for-one.
    #[serde(default)]
    pub strategy: Option<String>,
    /// up, due, stopping or down.
    pub phase: String,
    /// Of an actor: how often it was started again. Of a supervisor: how often it did so.
    pub restarts: u64,
    /// How its newest life ended, of those that did.
    #[serde(default)]
    pub last: Option<Ended>,
}

/// The end of a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// normal, fault, operator or supervisor.
    pub cause: String,
    /// In words.
    pub why: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Microseconds since 1970-01-01T00:00Z.
    pub at: u64,
    /// In words.
    pub text: String,
}

/// A component as the node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// The contracts that it can be driven by.
    pub contracts: Vec<String>,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
}

/// Starts the actors of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// The manifest's text.
    pub manifest: String,
    /// What the manifest is called in errors.
    #[serde(default)]
    pub name: Option<String>,
    /// The folder that its relative paths are relative to, on the node's machine.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Another id for the actor, if the manifest has one.
    #[serde(default)]
    pub id: Option<String>,
    /// A component's digest in place of the manifest's, if it has one actor.
    #[serde(default)]
    pub component: Option<String>,
    /// Begins a new incarnation where the actor exists.
    #[serde(default)]
    pub fresh: bool,
}

/// One actor that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// `namespace/name`.
    pub id: String,
    /// Its incarnation.
    pub incarnation: u32,
    /// True if it goes on where it was.
    pub resumed: bool,
    /// Settings that are others from now on, each with what it was and what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
}

/// The actors that were started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartReply {
    /// In the manifest's order.
    pub actors: Vec<Started>,
}

/// Bytes in JSON: `text` or `base64`, not both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The bytes as text, where they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

impl Payload {
    /// Bytes as an answer shows them: text where they are UTF-8.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: Some(text.to_owned()), base64: None },
            Err(_) => Self { text: None, base64: Some(STANDARD.encode(bytes)) },
        }
    }

    /// The bytes; the error says in words what is wrong.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.text, &self.base64) {
            (Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|e| format!("`base64` is not base64: {e}")),
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(_)) => Err("both `text` and `base64` are given".to_owned()),
        }
    }
}

/// A call or a send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRequest {
    /// The message's type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Its payload.
    #[serde(flatten)]
    pub payload: Payload,
    /// How long a call may take, such as `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Makes a repeat harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The id of a message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The message's id.
    pub id: String,
}

/// A typed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedRequest {
    /// `pkg:ns/interface#function`.
    pub function: String,
    /// The arguments in WAVE: `(42, "a")`.
    #[serde(default)]
    pub arguments: String,
    /// How long it may take, such as `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Makes a repeat harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The result of a typed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypedReply {
    /// The result in WAVE.
    pub result: String,
}

/// A message that found no good end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Whose message it was.
    pub actor: String,
    /// The message's id.
    pub id: String,
    /// What became of it.
    pub why: String,
    /// Who sent it.
    pub from: String,
    /// call, cast or info.
    pub kind: String,
    /// The message's type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// Bytes of its payload.
    pub bytes: u64,
    /// Which attempt was the last.
    pub attempt: u32,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its headers; where one letter is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Its payload; where one letter is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// What a queue has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// `namespace/name`.
    pub queue: String,
    /// Messages that are not acknowledged.
    pub depth: u64,
    /// Those that a consumer would get now.
    pub available: u64,
    /// Those that a consumer has.
    pub delivered: u64,
    /// Bytes that it counts as.
    pub bytes: u64,
    /// How many wait for a message.
    pub waiting: u64,
}

/// A message for a queue, or an item for a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelMessage {
    /// Its type.
    #[serde(rename = "type", default)]
    pub message_type: String,
    /// Its payload.
    #[serde(flatten)]
    pub payload: Payload,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// How long it is not available, such as `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<String>,
    /// How long it is there if nobody takes it, such as `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// One message for a queue, or `messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    /// The one.
    #[serde(flatten)]
    pub message: ChannelMessage,
    /// Several, all or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<ChannelMessage>>,
}

/// Messages that are in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Their ids, in their order.
    pub ids: Vec<String>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message's id, the same at each delivery.
    pub id: String,
    /// Of this delivery alone.
    pub receipt: String,
    /// Its type.
    #[serde(rename = "type")]
    pub message_type: String,
    /// 1 the first time.
    pub attempt: u32,
    /// Who sent it.
    pub from: String,
    /// Names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Its payload.
    #[serde(flatten)]
    pub payload: Payload,
}

/// Names a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRequest {
    /// Its receipt.
    pub receipt: String,
}

/// Gives a message back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NackRequest {
    /// Its receipt.
    pub receipt: String,
    /// It becomes a dead letter at once.
    #[serde(default)]
    pub dead: bool,
}

/// Keeps a message longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    /// Its receipt.
    pub receipt: String,
    /// How long from now on, such as `30s`.
    pub visibility: String,
}

/// An item that every subscriber has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// How many have it.
    pub subscribers: u64,
}

/// What a check of a journal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whose journal it is.
    pub actor: String,
    /// Whether nothing is wrong.
    pub good: bool,
    /// Where it begins: `genesis`, `checkpoint`, or `nowhere`, if its first records are missing.
    pub began: String,
    /// The first record that should be there.
    pub first: u64,
    /// How many records there are.
    pub records: u64,
    /// The head that it ends with; kept apart, it shows later if the end was cut off.
    pub head: String,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_keep_every_byte() {
        for bytes in [&b""[..], b"text", b"\xff\0\x01", "\u{e9}".as_bytes()] {
            assert_eq!(Payload::of(bytes).bytes().unwrap(), bytes);
        }
        assert_eq!(Payload::of(b"a").text.as_deref(), Some("a"));
        assert_eq!(Payload::of(b"\xff").base64.as_deref(), Some("/w=="));
        let both = Payload { text: Some(String::new()), base64: Some(String::new()) };
        assert!(both.bytes().is_err());
    }
}
