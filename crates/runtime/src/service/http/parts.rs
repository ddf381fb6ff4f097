//! What stands behind the resources of `wasi:http/types` besides fields and bodies.

use crate::actor::message::MessageId;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime_wasi::p2::Pollable;

use super::body::{Read, Written};
use super::client::{Arrival, Sending};
use super::fields::{Entries, Fields};
use super::types::{ErrorCode, Method, Scheme};

/// `resource outgoing-request`.
#[derive(Debug)]
pub struct OutgoingRequest {
    /// GET unless it is set.
    pub method: Method,
    /// HTTPS if there is none.
    pub scheme: Option<Scheme>,
    /// Host and port.
    pub authority: Option<String>,
    /// `/` if there is none.
    pub path: Option<String>,
    /// Frozen.
    pub headers: Fields,
    /// Its body, once it was asked for.
    pub body: Option<Written>,
}

/// `resource request-options`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOptions {
    /// To connect.
    pub connect: Option<Duration>,
    /// From the request's end to the response's head.
    pub first_byte: Option<Duration>,
    /// Between two parts of the body.
    pub between_bytes: Option<Duration>,
}

/// `resource incoming-request`.
#[derive(Debug)]
pub struct IncomingRequest {
    /// Its method.
    pub method: Method,
    /// Its scheme.
    pub scheme: Scheme,
    /// The host that it is for.
    pub authority: Option<String>,
    /// Path and query.
    pub path: Option<String>,
    /// Frozen.
    pub headers: Fields,
    /// Until it is consumed.
    pub body: Option<Read>,
}

/// `resource incoming-response`.
#[derive(Debug)]
pub struct IncomingResponse {
    /// Its status.
    pub status: u16,
    /// Frozen.
    pub headers: Fields,
    /// Until it is consumed.
    pub body: Option<Read>,
}

/// The head and the body of a response as they come from a connection.
#[derive(Debug)]
pub struct Arrived {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: Entries,
    /// Its body.
    pub body: Read,
}

/// `resource outgoing-response`.
#[derive(Debug)]
pub struct OutgoingResponse {
    /// 200 unless it is set.
    pub status: u16,
    /// Frozen.
    pub headers: Fields,
    /// Its body, once it was asked for.
    pub body: Option<Written>,
}

/// Where the response of a turn is put.
pub type Slot = Arc<Mutex<Option<Result<OutgoingResponse, ErrorCode>>>>;

/// `resource response-outparam`.
#[derive(Debug)]
pub struct ResponseOutparam {
    /// The message that it answers.
    pub message: Option<MessageId>,
    /// The place.
    pub slot: Slot,
    /// The response may be longer than a message.
    pub unbounded: bool,
}

/// `resource incoming-body`.
#[derive(Debug)]
pub struct IncomingBody {
    /// What comes.
    pub reading: Read,
    /// Its stream was handed out.
    pub streamed: bool,
    /// That of a request which is served.
    pub served: bool,
}

/// `resource outgoing-body`.
#[derive(Debug)]
pub struct OutgoingBody(pub Written);

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        self.0.lock().abandon();
    }
}

/// `resource future-trailers`.
#[derive(Debug)]
pub struct FutureTrailers {
    /// Whose.
    pub reading: Read,
    /// They were handed out.
    pub taken: bool,
}

/// `resource future-incoming-response`.
#[derive(Debug)]
pub enum FutureResponse {
    /// On its way.
    Coming(oneshot::Receiver<Arrival>),
    /// There.
    There(Box<Result<Arrived, ErrorCode>>),
    /// Handed out.
    Taken,
}

impl FutureResponse {
    /// Waits for it. A request of an earlier life was looked at before ([`recalled`](Self::recalled)).
    pub async fn arrived(&mut self) {
        while let FutureResponse::Coming(coming) = self {
            let arrived = coming.await;
            self.took(arrived.ok());
        }
    }

    /// The same without waiting.
    pub fn look(&mut self) {
        if let FutureResponse::Coming(coming) = self {
            match coming.try_recv() {
                Ok(arrived) => self.took(Some(arrived)),
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => self.took(None),
            }
        }
    }

    /// The request, if an earlier life had sent it: what becomes of it is for the caller to say, who takes it up again or not.
    /// Until then its outcome is unknown.
    pub fn recalled(&mut self) -> Option<Sending> {
        let FutureResponse::Coming(coming) = self else { return None };
        match coming.try_recv() {
            Ok(Arrival::Recalled(sending)) => {
                *self = FutureResponse::There(Box::new(Err(ErrorCode::unknown())));
                Some(*sending)
            }
            Ok(other) => {
                self.took(Some(other));
                None
            }
            Err(_) => None,
        }
    }

    fn took(&mut self, arrived: Option<Arrival>) {
        *self = match arrived {
            Some(Arrival::Response(response)) => FutureResponse::There(response),
            Some(Arrival::Recalled(_)) => FutureResponse::There(Box::new(Err(ErrorCode::unknown()))),
            None => FutureResponse::There(Box::new(Err(ErrorCode::ConnectionTerminated))),
        };
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for FutureResponse {
    async fn ready(&mut self) {
        self.arrived().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for FutureTrailers {
    async fn ready(&mut self) {
        if !self.taken {
            // What they are is asked for by `get`.
            let _ = self.reading.lock().await.trailers().await;
        }
    }
}
