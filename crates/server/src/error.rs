//! Errors of the API: the server's own, and how the runtime's become an answer (a status, a code, words, what to do).

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest;
use troupe_runtime::node::channels::ChannelError;

use crate::export::ExportError;
use crate::signed::KeyError;
use crate::wire::Failure;

/// Why the API could not be offered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program listens there.
    #[error(
        "{address} is in use by another program; choose another port with --listen, or 127.0.0.1:0 for any free one"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The API is for this machine alone.
    #[error("{address} is not a loopback address; the management API listens on 127.0.0.1 or [::1] only")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened at.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The gateway's certificate or its key.
    #[error("{}: {why}; name a PEM file with the certificate chain, and one with its key", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file that tells clients where the node is.
    #[error("cannot write {}: {source}; without it no command finds the node", path.display())]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// An answer that is not 2xx.
#[derive(Debug)]
pub struct ApiError {
    /// Its HTTP status.
    pub status: StatusCode,
    /// Its body.
    pub failure: Failure,
}

impl ApiError {
    /// An answer from its parts.
    pub fn new(status: StatusCode, code: &str, message: impl ToString, help: &str) -> Self {
        let failure =
            Failure { code: code.to_owned(), message: message.to_string(), help: help.to_owned(), committed: None };
        Self { status, failure }
    }

    /// The body is over the route's limit.
    pub fn too_large(most: usize) -> Self {
        let message = format!("the body is over this route's limit of {most} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message, "send less")
    }

    /// The server is at fault.
    pub fn internal(e: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e, "")
    }

    /// The request itself is wrong.
    pub fn invalid(message: impl ToString, help: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-argument", message, help)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.failure)).into_response()
    }
}

impl From<manifest::Error> for ApiError {
    fn from(e: manifest::Error) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "manifest", e, "")
    }
}

impl From<ExportError> for ApiError {
    fn from(e: ExportError) -> Self {
        match e {
            ExportError::Log(e) => troupe_runtime::Error::from(e).into(),
            other => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "journal", other, ""),
        }
    }
}

impl From<KeyError> for ApiError {
    fn from(e: KeyError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "key", e, "the key's file is `node.key` in the data folder")
    }
}

impl From<CallError> for ApiError {
    fn from(e: CallError) -> Self {
        let (status, code, help) = match &e {
            CallError::Refused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "refused", ""),
            CallError::Faulted { .. } => (
                StatusCode::BAD_GATEWAY,
                "faulted",
                "`troupe journal show ACTOR` has the turn and its fault; the actor goes on as its supervision says",
            ),
            CallError::Timeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "the message may yet be handled; give it more time with --deadline",
            ),
            CallError::MailboxFull { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "mailbox-full", "try again later, or raise `mailbox` in [limits]")
            }
            CallError::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "`troupe ps` lists the actors"),
            CallError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-argument", ""),
            CallError::TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "send less, or raise `payload` in [limits]")
            }
            CallError::Exhausted(_) => (StatusCode::TOO_MANY_REQUESTS, "resource-exhausted", "try again later"),
            CallError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "`troupe ps` shows its status")
            }
            CallError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", ""),
        };
        let mut answer = Self::new(status, code, &e, help);
        if let CallError::Faulted { committed, .. } = e {
            answer.failure.committed = Some(committed);
        }
        answer
    }
}

impl From<ChannelError> for ApiError {
    fn from(e: ChannelError) -> Self {
        let (status, code, help) = match &e {
            ChannelError::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "not-found",
                "a receipt is of one delivery and has an end: receive the message again",
            ),
            ChannelError::Exhausted(_) => (StatusCode::TOO_MANY_REQUESTS, "resource-exhausted", "try again later"),
            ChannelError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid-argument", ""),
            ChannelError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "send less"),
            ChannelError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", ""),
            ChannelError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", ""),
        };
        Self::new(status, code, &e, help)
    }
}

impl From<troupe_runtime::Error> for ApiError {
    fn from(e: troupe_runtime::Error) -> Self {
        let (status, code) = kind(&e);
        Self::new(status, code, &e, help(&e))
    }
}

/// Most errors of the runtime say themselves what to do.
fn help(e: &troupe_runtime::Error) -> &'static str {
    match e {
        troupe_runtime::Error::InitFailed { why, .. } if why.contains("exceeds memory limits") => {
            "the component starts with more memory than the limit: raise `memory` in [limits], as in memory = \"64MiB\""
        }
        troupe_runtime::Error::UpgradeDiffers { .. } => {
            "put the component right, or, where both components have snapshot, carry the state over with --by-snapshot; `troupe upgrade --check` only looks"
        }
        troupe_runtime::Error::InFile { error, .. } => help(error),
        _ => "",
    }
}

/// The status and the code of an error.
fn kind(e: &troupe_runtime::Error) -> (StatusCode, &'static str) {
    use troupe_runtime::Error as E;
    match e {
        E::InFile { error, .. } => kind(error),
        E::Log(troupe_log::Error::DiskFull { .. }) => (StatusCode::INSUFFICIENT_STORAGE, "disk-full"),
        E::Log(_) => (StatusCode::INTERNAL_SERVER_ERROR, "log"),
        E::NotAComponent { .. } => (StatusCode::BAD_REQUEST, "not-a-component"),
        E::MissingImport { .. } | E::Unbound { .. } => (StatusCode::BAD_REQUEST, "missing-import"),
        E::NoComponent { .. } => (StatusCode::NOT_FOUND, "no-component"),
        E::NoActor(_) | E::NoApplication { .. } | E::NoDeadLetter { .. } => (StatusCode::NOT_FOUND, "not-found"),
        E::NameTaken { .. } => (StatusCode::CONFLICT, "already-exists"),
        E::OtherComponent { .. } => (StatusCode::CONFLICT, "other-component"),
        E::Moved { .. } => (StatusCode::SERVICE_UNAVAILABLE, "moved"),
        E::NoMove { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "no-move"),
        E::NoImport { .. } => (StatusCode::CONFLICT, "no-import"),
        E::NotAnActorFile { .. } => (StatusCode::BAD_REQUEST, "not-an-actor-file"),
        E::NoBase { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "no-base"),
        E::NoUpgrade { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "no-upgrade"),
        E::OtherSettings { .. } => (StatusCode::CONFLICT, "other-settings"),
        E::InitFailed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "init-failed"),
        E::Quarantined { .. } => (StatusCode::SERVICE_UNAVAILABLE, "quarantined"),
        E::Closing => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        E::AllBusy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "all-busy"),
        E::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid-argument"),
        E::Differs(_) | E::UpgradeDiffers { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "differs"),
        E::Unreplayable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unreplayable"),
        E::Engine { .. } | E::File { .. } | E::Roots { .. } | E::Internal { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}
