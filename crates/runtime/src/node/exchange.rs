//! A call whose answer is a response that may leave while its turn goes on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use troupe_log::{ActorId, NodeTime};

use super::actor_ref::micros;
use super::core::Core;
use super::{Node, Outgoing};
use crate::actor::message::{Answer, CallError, MessageKind};
use crate::service::http::body::Part;
use crate::service::http::fields::{Entries, to_map};
use crate::service::http::messages::Response;
use crate::service::http::streaming::{Client, FromActor, Piece, What, pair};

/// What the client of an HTTP actor gets.
pub enum Exchanged {
    /// The answer, a response as [`Response`] encodes it: the turn is over.
    Whole(Vec<u8>),
    /// The head; what follows comes as it is written, and ends early if the turn does.
    Begun(u16, Entries, Frames),
}

/// What follows a head.
pub type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, CallError>> + Send>>;

/// Pieces come before the answer.
struct Coming {
    core: Arc<Core>,
    pieces: FromActor,
    answer: oneshot::Receiver<Answer>,
    taken: u64,
    rest: VecDeque<Result<Frame<Bytes>, CallError>>,
    over: bool,
}

/// What comes next from an actor.
enum Next {
    Piece(Piece),
    Answer(Result<Vec<u8>, CallError>),
}

impl Node {
    /// Sends a request to an HTTP actor. Its response may leave while it is written, if `streams`; `body` is what the client
    /// sends beside the message. The timeout is that of the head.
    pub async fn exchange(
        &self,
        to: &ActorId,
        outgoing: Outgoing,
        body: Option<mpsc::Receiver<Part>>,
        streams: bool,
    ) -> Result<Exchanged, CallError> {
        let actor = self.actor_ref(to)?;
        let core = actor.core.clone();
        let until = outgoing.timeout.map(|timeout| NodeTime(core.clock.now().0.saturating_add(micros(timeout))));
        let (reply, answer) = oneshot::channel();
        let (to, pieces) = pair();
        let client = Client { to: streams.then(|| Arc::new(to)), body };
        actor.accept(MessageKind::Call, outgoing, Some(reply), Some(Box::new(client)))?;
        let mut coming = Coming { core: core.clone(), pieces, answer, taken: 0, rest: VecDeque::new(), over: false };
        let first = match until {
            None => coming.first().await,
            Some(until) => {
                tokio::select! {
                    biased;
                    first = coming.first() => first,
                    () = core.clock.sleep_until(until) => return Err(CallError::Timeout),
                }
            }
        }?;
        Ok(match first {
            Next::Answer(answer) => {
                let answer = answer?;
                if Response::is_kept(&answer) {
                    Exchanged::Whole(answer)
                } else {
                    // A repeat of its turn wrote it, and has nobody who takes it.
                    return Err(CallError::Unavailable("the response was too long to be kept".to_owned()));
                }
            }
            Next::Piece(Piece { what: What::Head(status, headers), .. }) => {
                let frames = unfold(coming, |mut coming| async { Some((coming.frame().await?, coming)) });
                Exchanged::Begun(status, headers, Box::pin(frames))
            }
            Next::Piece(_) => return Err(CallError::Unavailable("a response without a head".to_owned())),
        })
    }
}

impl Coming {
    /// What comes first, its gate open.
    async fn first(&mut self) -> Result<Next, CallError> {
        let next = self.next().await;
        if let Next::Piece(piece) = &next {
            self.core.open(piece.gate).await?;
        }
        Ok(next)
    }

    async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            Some(piece) = self.pieces.next() => Next::Piece(piece),
            answer = &mut self.answer => Next::Answer(self.answered(answer.ok()).await),
        }
    }

    async fn answered(&mut self, answer: Option<Answer>) -> Result<Vec<u8>, CallError> {
        let Some(Answer { result, gate }) = answer else {
            return Err(CallError::Unavailable("the node ended before the actor answered".to_owned()));
        };
        self.core.open(gate).await?;
        result
    }

    /// The next of the body, or its trailers.
    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, CallError>> {
        if self.over {
            return self.rest.pop_front();
        }
        match self.next().await {
            Next::Piece(piece) => Some(self.data(piece).await),
            Next::Answer(answer) => {
                self.over = true;
                // Handed over before the answer was.
                while let Some(piece) = self.pieces.next_now() {
                    let data = self.data(piece).await;
                    self.rest.push_back(data);
                }
                self.end(answer);
                self.rest.pop_front()
            }
        }
    }

    async fn data(&mut self, piece: Piece) -> Result<Frame<Bytes>, CallError> {
        self.core.open(piece.gate).await?;
        let What::Data(bytes) = piece.what else { return Ok(Frame::data(Bytes::new())) };
        self.taken += bytes.len() as u64;
        Ok(Frame::data(bytes))
    }

    /// What only the answer has: what was not handed over, and trailers.
    fn end(&mut self, answer: Result<Vec<u8>, CallError>) {
        let broken = |_| CallError::Invalid("the answer is no response".to_owned());
        match answer.and_then(|bytes| Response::decode(&bytes).map_err(broken)) {
            Err(error) => self.rest.push_back(Err(error)),
            Ok(Response { body, trailers, .. }) => {
                let from = usize::try_from(self.taken).unwrap_or(usize::MAX);
                if body.len() > from {
                    self.rest.push_back(Ok(Frame::data(Bytes::from(body).slice(from..))));
                }
                if let Some(trailers) = trailers {
                    self.rest.push_back(Ok(Frame::trailers(to_map(&trailers))));
                }
            }
        }
    }
}
