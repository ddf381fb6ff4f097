//! The one shape of a message, for every contract, and how it stands in records and inbox entries.

use std::sync::Arc;

use troupe_log::codec::{self, Reader};
use troupe_log::{NodeTime, Position};

use crate::service::http::streaming::Client;
use crate::service::waits::WaitId;

/// Whether an answer is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// The sender waits for an answer.
    Call,
    /// Nobody waits.
    Cast,
    /// Nobody waits, and the runtime or a service sent it.
    Info,
}

/// A message's identity: the number of the boot that made it, and a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u128);

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The sender of everything that comes from outside actors.
pub const CLIENT: &str = "@client";
/// The sender of what the runtime says by itself.
pub const RUNTIME: &str = "@runtime";

/// A message as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Unique among all messages of the node's data folder.
    pub id: MessageId,
    /// An actor's id, or a name that begins with `@`.
    pub from: Arc<str>,
    /// Call, cast or info.
    pub kind: MessageKind,
    /// The sender's own word for it, untouched.
    pub message_type: Arc<str>,
    /// The sender's bytes, untouched.
    pub payload: Arc<[u8]>,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// Node time after which nobody wants it any more.
    pub deadline: Option<NodeTime>,
    /// The W3C `traceparent` of whoever sent it.
    pub trace: Option<Arc<str>>,
    /// Makes a repeat of the same call harmless.
    pub key: Option<Arc<str>>,
    /// 1 the first time, one more after each fault.
    pub attempt: u32,
    /// The actor that waits inside a turn for the answer; none if nobody or a client does.
    pub asker: Option<Asker>,
}

/// An actor that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// What completes its wait.
    pub wait: WaitId,
    /// Whether the wait is a record, and survives a crash.
    pub durable: bool,
}

impl Asker {
    /// Appends it in the value codec.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.wait.encode(out);
        out.push(u8::from(self.durable));
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<Asker, codec::Error> {
        Ok(Asker { wait: WaitId::decode(input)?, durable: input.case(2)? == 1 })
    }
}

impl Message {
    /// Bytes of the message's changing parts, for limits.
    pub fn size(&self) -> usize {
        self.payload.len()
            + self.message_type.len()
            + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Whose idempotency key it is used under, and the key.
    pub fn name(&self) -> Option<crate::actor::keys::Name> {
        self.key.as_ref().map(|key| (self.from.clone(), key.clone()))
    }

    /// Appends the message in the value codec.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        codec::put_str(out, &self.from);
        out.push(match self.kind {
            MessageKind::Call if self.asker.is_some() => ASKED,
            MessageKind::Call => 0,
            MessageKind::Cast => 1,
            MessageKind::Info => 2,
        });
        codec::put_str(out, &self.message_type);
        codec::put_bytes(out, &self.payload);
        codec::put_u32(out, self.headers.len() as u32);
        for (name, value) in &self.headers {
            codec::put_str(out, name);
            codec::put_str(out, value);
        }
        match self.deadline {
            None => out.push(0),
            Some(deadline) => {
                out.push(1);
                codec::put_u64(out, deadline.0);
            }
        }
        for text in [&self.trace, &self.key] {
            match text {
                None => out.push(0),
                Some(text) => {
                    out.push(1);
                    codec::put_str(out, text);
                }
            }
        }
        codec::put_u32(out, self.attempt);
        if let Some(asker) = self.asker.as_ref().filter(|_| self.kind == MessageKind::Call) {
            asker.encode(out);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(input: &mut Reader<'_>) -> Result<Message, codec::Error> {
        Self::decode_after(input, None)
    }

    /// The same behind `before`, whose names it shares where they are the same: most of a journal's messages are alike.
    pub fn decode_after(input: &mut Reader<'_>, before: Option<&Message>) -> Result<Message, codec::Error> {
        let mut id = [0; 16];
        id.copy_from_slice(input.take(16)?);
        let from = shared(input.str()?, before.map(|before| &before.from));
        let kind = input.case(4)?;
        let asked = kind == u16::from(ASKED);
        let kind = match kind {
            _ if asked => MessageKind::Call,
            0 => MessageKind::Call,
            1 => MessageKind::Cast,
            _ => MessageKind::Info,
        };
        let message_type = shared(input.str()?, before.map(|before| &before.message_type));
        let payload = input.bytes()?.into();
        let count = input.u32()? as usize;
        let mut headers = Vec::with_capacity(count.min(input.rest().len() / 8));
        for _ in 0..count {
            headers.push((input.str()?.to_owned(), input.str()?.to_owned()));
        }
        let deadline = match input.case(2)? {
            0 => None,
            _ => Some(NodeTime(input.u64()?)),
        };
        let mut texts = [None, None];
        for text in &mut texts {
            if input.case(2)? == 1 {
                *text = Some(Arc::from(input.str()?));
            }
        }
        let [trace, key] = texts;
        let attempt = input.u32()?;
        let asker = match asked {
            true => Some(Asker::decode(input)?),
            false => None,
        };
        Ok(Message {
            id: MessageId(u128::from_le_bytes(id)),
            from,
            kind,
            message_type,
            payload,
            headers,
            deadline,
            trace,
            key,
            attempt,
            asker,
        })
    }

    /// The digest that a repeat under the same idempotency key must have.
    pub fn fingerprint(&self) -> troupe_log::Digest {
        let mut bytes = Vec::with_capacity(self.payload.len() + self.message_type.len() + 16);
        codec::put_str(&mut bytes, &self.message_type);
        codec::put_bytes(&mut bytes, &self.payload);
        troupe_log::Digest::of(&bytes)
    }
}

/// The byte of a call that an actor waits for inside a turn.
const ASKED: u8 = 3;

fn shared(text: &str, known: Option<&Arc<str>>) -> Arc<str> {
    match known {
        Some(known) if **known == *text => known.clone(),
        _ => text.into(),
    }
}

/// What a caller gets instead of an answer. The message was not applied unless the variant says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The actor's own error.
    #[error("refused: {0}")]
    Refused(String),
    /// The actor faulted in the turn of this message, and the message was given up.
    #[error("the actor faulted: {cause}{}", if *.committed { " (part of the turn had been committed)" } else { "" })]
    Faulted {
        /// trap, out-of-fuel, deadline, exit, limit or kill, and in words what happened.
        cause: String,
        /// True if a step of the turn was committed.
        committed: bool,
    },
    /// The deadline passed first.
    #[error("timed out")]
    Timeout,
    /// The mailbox has no room.
    #[error("the mailbox of {actor} is full ({limit} messages)")]
    MailboxFull {
        /// Whose.
        actor: String,
        /// Its limit.
        limit: u32,
    },
    /// Nobody of that name.
    #[error("no actor {0}")]
    NotFound(String),
    /// Not a message that can be sent.
    #[error("invalid: {0}")]
    Invalid(String),
    /// The payload is over the receiver's limit.
    #[error("the message has {size} bytes, {actor} takes at most {limit}")]
    TooLarge {
        /// Whose limit.
        actor: String,
        /// Bytes sent.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A limit of the node or actor is reached: try later.
    #[error("{0}")]
    Exhausted(String),
    /// The actor cannot take messages now: stopped, quarantined, or its node is stopping.
    #[error("{0}")]
    Unavailable(String),
    /// The node is at fault.
    #[error("internal: {0}")]
    Internal(String),
}

/// What an answer waits for before it may leave the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Durable up to here.
    pub durable: Option<Position>,
    /// Written up to here.
    pub written: Option<Position>,
}

impl Gate {
    /// The later of both, part by part.
    pub fn and(self, other: Gate) -> Gate {
        Gate { durable: self.durable.max(other.durable), written: self.written.max(other.written) }
    }

    /// Waits until it is open.
    pub async fn open(self, store: &dyn troupe_log::Store) -> Result<(), troupe_log::Error> {
        if let Some(position) = self.written {
            store.flush(position)?;
        }
        match self.durable {
            Some(position) => store.sync(position).await,
            None => Ok(()),
        }
    }
}

/// An answer on its way out.
#[derive(Debug)]
pub struct Answer {
    /// The reply, or why there is none.
    pub result: Result<Vec<u8>, CallError>,
    /// When it may leave.
    pub gate: Gate,
}

/// Where the one answer of a call goes.
pub type ReplyTo = tokio::sync::oneshot::Sender<Answer>;

/// A message in a mailbox.
#[derive(Debug)]
pub struct Envelope {
    /// The message.
    pub message: Arc<Message>,
    /// Who waits for the answer, if anybody does in this process.
    pub reply: Option<ReplyTo>,
    /// Its number among the entries of its actor's inbox table; none if it is held in memory alone.
    pub arrival: Option<u64>,
    /// What its sender's step, and its acceptance, depend on.
    pub seen: Gate,
    /// What a client of the gateway has beside the message.
    pub client: Option<Box<Client>>,
}
