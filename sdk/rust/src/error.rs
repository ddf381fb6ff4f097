//! What can go wrong in a call to the runtime.

pub use crate::bindings::types::{Error, Fault};

/// The result of a call to the runtime. In a handler `?` turns its error into words.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Error> for String {
    fn from(error: Error) -> Self {
        match error {
            Error::NotPermitted(grant) => format!("not permitted: {grant}"),
            Error::NotFound(what) => format!("not found: {what}"),
            Error::AlreadyExists(what) => format!("already exists: {what}"),
            Error::Timeout => "timeout".to_string(),
            Error::MailboxFull => "mailbox full".to_string(),
            Error::ResourceExhausted(limit) => format!("limit reached: {limit}"),
            Error::InvalidArgument(why) => format!("invalid argument: {why}"),
            Error::TooLarge(allowed) => format!("too large: {allowed} bytes are allowed"),
            Error::Conflict => "conflict".to_string(),
            Error::Cycle(actors) => format!("a circle of requests: {}", actors.join(", ")),
            Error::Refused(why) => why,
            Error::Faulted(fault) => format!("the other actor faulted: {}", fault.cause),
            Error::Unavailable(why) => format!("unavailable: {why}"),
            Error::Internal(why) => format!("internal: {why}"),
            Error::Other((code, why)) => format!("{code}: {why}"),
        }
    }
}
