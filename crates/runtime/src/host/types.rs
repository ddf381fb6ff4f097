//! `troupe:actor/types`: what every interface of the native contract shares.

use std::fmt;

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::actor::message::{CallError, MessageKind};
use crate::boundary::Boundary;
use crate::{recordable_enum, recordable_record, recordable_variant};

/// Makes the interface known: it has types only.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("troupe:actor/types@0.1.0")?;
    Ok(())
}

/// `variant error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Error {
    /// Names the grant that is missing.
    #[component(name = "not-permitted")]
    NotPermitted(String),
    /// Names what was not found.
    #[component(name = "not-found")]
    NotFound(String),
    /// It is there already.
    #[component(name = "already-exists")]
    AlreadyExists(String),
    /// The time has passed.
    #[component(name = "timeout")]
    Timeout,
    /// No room in the receiver's mailbox.
    #[component(name = "mailbox-full")]
    MailboxFull,
    /// Names the limit and its value.
    #[component(name = "resource-exhausted")]
    ResourceExhausted(String),
    /// What is wrong with the argument.
    #[component(name = "invalid-argument")]
    InvalidArgument(String),
    /// Bytes allowed.
    #[component(name = "too-large")]
    TooLarge(u64),
    /// Another was first.
    #[component(name = "conflict")]
    Conflict,
    /// A circle of actors that wait for each other.
    #[component(name = "cycle")]
    Cycle(Vec<String>),
    /// The other actor answered with this error.
    #[component(name = "refused")]
    Refused(String),
    /// The other actor faulted.
    #[component(name = "faulted")]
    Faulted(Fault),
    /// The other cannot be reached now.
    #[component(name = "unavailable")]
    Unavailable(String),
    /// The node is at fault.
    #[component(name = "internal")]
    Internal(String),
    /// What a later version adds.
    #[component(name = "other")]
    Other((String, String)),
}

recordable_variant!(Error {
    NotPermitted(a),
    NotFound(a),
    AlreadyExists(a),
    Timeout,
    MailboxFull,
    ResourceExhausted(a),
    InvalidArgument(a),
    TooLarge(a),
    Conflict,
    Cycle(a),
    Refused(a),
    Faulted(a),
    Unavailable(a),
    Internal(a),
    Other(a),
});

/// For people, and for functions whose error is a string.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotPermitted(grant) => write!(f, "not permitted: needs {grant}"),
            Error::NotFound(what) => write!(f, "not found: {what}"),
            Error::AlreadyExists(what) => write!(f, "already there: {what}"),
            Error::Timeout => f.write_str("timeout"),
            Error::MailboxFull => f.write_str("its mailbox is full"),
            Error::ResourceExhausted(limit) => write!(f, "at the limit {limit}"),
            Error::InvalidArgument(why) => write!(f, "invalid: {why}"),
            Error::TooLarge(limit) => write!(f, "larger than {limit} bytes"),
            Error::Conflict => f.write_str("conflict"),
            Error::Cycle(actors) => write!(f, "a circle of requests: {}", actors.join(", ")),
            Error::Refused(why) | Error::Unavailable(why) | Error::Internal(why) => f.write_str(why),
            Error::Faulted(fault) => write!(f, "it faulted: {}", fault.cause),
            Error::Other((code, words)) => write!(f, "{code}: {words}"),
        }
    }
}

/// `record fault`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Fault {
    /// What happened.
    pub cause: String,
    /// Whether part of the turn was committed.
    pub committed: bool,
}
recordable_record!(Fault { cause, committed });

/// `enum kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Kind {
    /// An answer is expected.
    #[component(name = "call")]
    Call,
    /// None is.
    #[component(name = "cast")]
    Cast,
    /// None is, and the runtime or a service sent it.
    #[component(name = "info")]
    Info,
}
recordable_enum!(Kind { Call, Cast, Info });

impl From<MessageKind> for Kind {
    fn from(kind: MessageKind) -> Kind {
        match kind {
            MessageKind::Call => Kind::Call,
            MessageKind::Cast => Kind::Cast,
            MessageKind::Info => Kind::Info,
        }
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Error {
        match error {
            CallError::Refused(text) => Error::Refused(text),
            CallError::Faulted { cause, committed } => Error::Faulted(Fault { cause, committed }),
            CallError::Timeout => Error::Timeout,
            CallError::MailboxFull { .. } => Error::MailboxFull,
            CallError::NotFound(actor) => Error::NotFound(actor),
            CallError::Invalid(text) => Error::InvalidArgument(text),
            CallError::TooLarge { limit, .. } => Error::TooLarge(limit),
            CallError::Exhausted(text) => Error::ResourceExhausted(text),
            CallError::Unavailable(text) => Error::Unavailable(text),
            CallError::Internal(text) => Error::Internal(text),
        }
    }
}
