//! Messages to other actors, and answers. Where a message may go is the manifest's `[grants.messaging]`.

use std::time::Duration;

use crate::{Answer, Headers, Result, bindings, bindings::messaging as door};

pub use crate::bindings::messaging::{Message as Current, RequestOptions};

/// The actor's own id.
#[must_use]
pub fn self_id() -> String {
    door::self_id()
}

/// The actor that started this one.
#[must_use]
pub fn parent_id() -> Option<String> {
    door::parent_id()
}

/// More about the message of this turn; none in `init` and `terminate`.
#[must_use]
pub fn current() -> Option<Current> {
    door::current()
}

/// A cast: leaves when the step ends, and nobody waits. The message's id.
pub fn cast(to: &str, message_type: &str, payload: impl AsRef<[u8]>) -> Result<String> {
    door::send_message(to, message_type, payload.as_ref())
}

/// A cast with headers.
pub fn cast_with(to: &str, message_type: &str, payload: impl AsRef<[u8]>, headers: &Headers) -> Result<String> {
    door::send_with(to, message_type, payload.as_ref(), headers)
}

/// A call: waits for the answer. No time: what the turn has left. An answer that is an error is `Error::Refused`.
pub fn call(to: &str, message_type: &str, payload: impl AsRef<[u8]>, timeout: Option<Duration>) -> Result<Vec<u8>> {
    door::request(to, message_type, payload.as_ref(), timeout.map(crate::millis))
}

/// A call with headers and an idempotency key.
pub fn call_with(to: &str, message_type: &str, payload: impl AsRef<[u8]>, options: &RequestOptions) -> Result<Vec<u8>> {
    door::request_with(to, message_type, payload.as_ref(), options)
}

/// The right to answer a call in a later turn. Kept in the actor's state it survives crashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyToken(String);

impl ReplyToken {
    /// The token, for a snapshot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The token of a snapshot.
    #[must_use]
    pub fn from_saved(token: &str) -> Self {
        Self(token.to_string())
    }

    /// Answers the call. An error if the caller's time has passed.
    pub fn answer(self, answer: Answer) -> Result<()> {
        let answer: std::result::Result<&[u8], &str> = match &answer {
            Ok(bytes) => Ok(bytes),
            Err(words) => Err(words),
        };
        bindings::messaging::reply(&self.0, answer)
    }
}

/// Puts the answer of this call off: what the handler returns is ignored.
pub fn defer() -> Result<ReplyToken> {
    door::defer_reply().map(ReplyToken)
}

/// Hands the message of this turn on. Its sender stays the sender and gets the other's answer.
pub fn forward(to: &str) -> Result<()> {
    door::forward(to)
}
