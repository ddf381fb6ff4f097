//! Calls whose answer was put off: reply tokens.
//!
//! A promise stands in the tokens table from the step that made it until the step that keeps it, so it survives crashes.

use std::sync::Arc;

use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, NodeTime};

use super::message::{Asker, Message, MessageId, ReplyTo};

/// A call whose answer was put off.
#[derive(Debug)]
pub struct Promise {
    /// The call.
    pub message: MessageId,
    /// Its sender.
    pub from: Arc<str>,
    /// Its idempotency key.
    pub key: Option<Arc<str>>,
    /// After this nobody wants it.
    pub deadline: Option<NodeTime>,
    /// The actor that waits for the answer inside a turn.
    pub asker: Option<Asker>,
    /// The caller in this process, if it is still there.
    pub reply: Option<ReplyTo>,
}

impl Promise {
    /// To answer this call.
    pub fn of(message: &Message) -> Promise {
        Promise {
            message: message.id,
            from: message.from.clone(),
            key: message.key.clone(),
            deadline: message.deadline,
            asker: message.asker.clone(),
            reply: None,
        }
    }

    /// Its value in the tokens table.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&self.message.0.to_le_bytes());
        codec::put_str(&mut out, &self.from);
        codec::put_option(&mut out, self.key.as_deref(), codec::put_str);
        codec::put_option(&mut out, self.deadline.map(|deadline| deadline.0), codec::put_u64);
        if let Some(asker) = &self.asker {
            asker.encode(&mut out);
        }
        out
    }

    /// Reads an entry of the tokens table.
    pub fn decode(value: &[u8]) -> Result<Promise, codec::Error> {
        let mut input = Reader::new(value);
        Ok(Promise {
            message: MessageId(u128::from_le_bytes(input.array()?)),
            from: input.str()?.into(),
            key: input.option(|input| input.str().map(Arc::from))?,
            deadline: input.option(Reader::u64)?.map(NodeTime),
            asker: match input.rest() {
                [] => None,
                _ => Some(Asker::decode(&mut input)?),
            },
            reply: None,
        })
    }
}

/// The key of a token in its table.
pub fn key(actor: &ActorId, token: &str) -> Vec<u8> {
    let mut key = actor.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(token.as_bytes());
    key
}

/// The actor and the token of a key.
pub fn from_key(key: &[u8]) -> Option<(ActorId, String)> {
    let (actor, token) = std::str::from_utf8(key).ok()?.split_once('\0')?;
    Some((ActorId::reserved(actor).ok()?, token.to_owned()))
}
