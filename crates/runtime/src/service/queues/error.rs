//! Why a queue or a topic refuses something.

use std::fmt::Display;

use crate::actor::message::CallError;

/// Why something was refused. Nothing of it happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// What is not there, or not any more.
    #[error("not found: {0}")]
    NotFound(String),
    /// A limit and its value.
    #[error("{0}")]
    Exhausted(String),
    /// What is wrong with the argument.
    #[error("{0}")]
    Invalid(String),
    /// More bytes than a message may have.
    #[error("the message has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Bytes given.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The node is closing, or its log has failed.
    #[error("{0}")]
    Unavailable(String),
    /// The node is at fault.
    #[error("internal: {0}")]
    Internal(String),
}

impl ChannelError {
    /// A limit is reached.
    pub fn exhausted(limit: &str, value: impl Display) -> ChannelError {
        ChannelError::Exhausted(format!("{limit} = {value}"))
    }
}

impl From<CallError> for ChannelError {
    fn from(error: CallError) -> ChannelError {
        match error {
            CallError::MailboxFull { .. } | CallError::Exhausted(_) => ChannelError::Exhausted(error.to_string()),
            CallError::TooLarge { size, limit, .. } => ChannelError::TooLarge { size, limit },
            CallError::NotFound(actor) => ChannelError::NotFound(actor),
            CallError::Invalid(what) => ChannelError::Invalid(what),
            CallError::Unavailable(why) => ChannelError::Unavailable(why),
            CallError::Internal(why) => ChannelError::Internal(why),
            CallError::Refused(_) | CallError::Faulted { .. } | CallError::Timeout => {
                ChannelError::Internal(error.to_string())
            }
        }
    }
}
