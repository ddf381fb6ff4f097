//! Bodies: one that an actor writes is gathered whole, one that it reads comes in parts.
//!
//! A written body is a value, bounded by its limit and the actor's budget; nothing of it leaves before it is finished. A read
//! one is at hand from the beginning (a request that is a message), comes from a connection, or is dead: of an earlier life.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::client::Sending;
use super::fields::Entries;
use super::streaming::ToClient;
use super::types::ErrorCode;
use super::{Charge, Full};

/// Whose body it is, which decides what its errors are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A request's.
    Request,
    /// A response's.
    Response,
    /// None's: what a command writes.
    Output,
}

impl Of {
    /// The error of a body that has the wrong size.
    pub fn wrong_size(self, size: u64) -> ErrorCode {
        match self {
            Of::Request => ErrorCode::HttpRequestBodySize(Some(size)),
            Of::Response => ErrorCode::HttpResponseBodySize(Some(size)),
            Of::Output => ErrorCode::internal(format!("the output would have {size} bytes, more than limits.payload")),
        }
    }
}

/// A body that is written, shared by its message, its resource and its stream.
pub type Written = Arc<Mutex<Writing>>;

/// How far a body is written.
#[derive(Debug)]
pub struct Writing {
    /// Whose it is.
    pub of: Of,
    bytes: Vec<u8>,
    /// Of a body that is longer than it may be kept: what stood before `bytes` and is gone.
    before: u64,
    /// Bytes from the beginning that have left.
    left: u64,
    to: Option<Arc<ToClient>>,
    /// It may be longer than its limit, which then bounds only what is kept.
    pub unbounded: bool,
    limit: u64,
    declared: Option<u64>,
    charge: Charge,
    /// Its stream was handed out.
    pub streamed: bool,
    end: Option<End>,
    /// The request that waits for its end.
    pub waiting: Option<Box<Sending>>,
}

#[derive(Debug)]
enum End {
    Finished(Option<Entries>),
    Aborted,
}

impl Writing {
    /// An empty one of at most `limit` bytes, of the length that was declared, if it was.
    pub fn new(of: Of, limit: u64, declared: Option<u64>, charge: Charge) -> Written {
        Arc::new(Mutex::new(Writing {
            of,
            bytes: Vec::new(),
            before: 0,
            left: 0,
            to: None,
            unbounded: false,
            limit,
            declared,
            charge,
            streamed: false,
            end: None,
            waiting: None,
        }))
    }

    /// Appends; an error if it gets larger than it may.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ErrorCode> {
        let size = self.size() + bytes.len() as u64;
        let too_long = size > self.limit && !self.unbounded;
        if too_long || self.declared.is_some_and(|declared| size > declared) {
            return Err(self.of.wrong_size(size));
        }
        if size > self.limit && self.to.is_none() {
            // Replayed: whoever took it is gone. Live it was refused before.
            (self.before, self.left) = (size, size);
            self.forget_kept();
            return Ok(());
        }
        self.charge.add(bytes.len() as u64).map_err(|Full| self.of.wrong_size(size))?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Its end, with these trailers. An error if that is not the length that was declared.
    pub fn finish(&mut self, trailers: Option<Entries>) -> Result<(), ErrorCode> {
        let size = self.size();
        if self.declared.is_some_and(|declared| declared != size) {
            self.end = Some(End::Aborted);
            return Err(self.of.wrong_size(size));
        }
        self.end = Some(End::Finished(trailers));
        Ok(())
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.before + self.bytes.len() as u64
    }

    /// The size of a body that was not kept, because it is longer than its limit.
    pub fn streamed_size(&self) -> Option<u64> {
        (self.unbounded && self.size() > self.limit).then(|| self.size())
    }

    /// From now on it leaves this way while it is written.
    pub fn leaves(&mut self, to: Arc<ToClient>) {
        self.to = Some(to);
    }

    /// Who took it in an earlier life is gone: nothing more can be written.
    pub fn cut(&mut self) {
        self.to = Some(Arc::new(ToClient::lost_already()));
    }

    /// The trailers of one that is finished, with none or some; none of one that was given up.
    pub fn trailers(&mut self) -> Option<Option<Entries>> {
        match &mut self.end {
            Some(End::Finished(trailers)) => Some(trailers.take()),
            _ => None,
        }
    }

    /// Where it leaves.
    pub fn to(&self) -> Option<&Arc<ToClient>> {
        self.to.as_ref()
    }

    /// Whether it is too long to be kept, and nobody takes it.
    pub fn nobody_takes(&self) -> bool {
        self.streamed_size().is_some() && self.to.as_ref().is_none_or(|to| to.gone())
    }

    /// Bytes that may be written at once; none limits them if none is said.
    pub fn window(&self) -> Option<usize> {
        self.streamed_size().and(self.to.as_ref()).map(|to| to.room())
    }

    /// Bytes written that have not left.
    pub fn held_back(&self) -> u64 {
        self.size() - self.left
    }

    /// Takes what has not left of the first so many bytes.
    pub fn take_until(&mut self, until: u64) -> Bytes {
        let (from, until) = ((self.left - self.before) as usize, until.max(self.left));
        let bytes = Bytes::copy_from_slice(&self.bytes[from..(until - self.before) as usize]);
        self.left = until;
        if self.streamed_size().is_some() {
            let gone = (self.left - self.before) as usize;
            self.bytes.drain(..gone);
            self.before = self.left;
            self.charge.sub(gone as u64);
        }
        bytes
    }

    fn forget_kept(&mut self) {
        self.charge.sub(self.bytes.len() as u64);
        self.bytes = Vec::new();
    }

    /// Whether nothing more comes.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Its resource went without an end: who reads it must know that it is not whole.
    pub fn abandon(&mut self) {
        if self.end.is_none() {
            self.end = Some(End::Aborted);
            if let Some(sending) = self.waiting.take() {
                sending.fail(ErrorCode::HttpProtocolError);
            }
        }
    }

    /// What its bytes take of the budget, for whoever takes them.
    pub fn hand_on(&mut self) -> Charge {
        let empty = self.charge.other();
        std::mem::replace(&mut self.charge, empty)
    }

    /// Bytes and trailers, once it is finished.
    pub fn whole(&mut self) -> Result<(Vec<u8>, Option<Entries>), ErrorCode> {
        match &mut self.end {
            Some(End::Finished(trailers)) => {
                // One that was not kept is not told in part.
                let long = self.unbounded && self.before + self.bytes.len() as u64 > self.limit;
                let kept = if long { Vec::new() } else { std::mem::take(&mut self.bytes) };
                Ok((kept, trailers.take()))
            }
            _ => Err(ErrorCode::HttpProtocolError),
        }
    }
}

/// What a connection hands over.
#[derive(Debug)]
pub enum Part {
    /// Bytes.
    Data(Bytes),
    /// The end, with trailers or the reason.
    End(Result<Option<Entries>, ErrorCode>),
}

/// A body that is read, shared by its message, its stream and its trailers.
pub type Read = Arc<tokio::sync::Mutex<Reading>>;

/// How far a body is read.
#[derive(Debug)]
pub struct Reading {
    parts: Option<mpsc::Receiver<Part>>,
    at_hand: Bytes,
    end: Option<Result<Option<Entries>, ErrorCode>>,
}

/// What a read finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// These; nothing if there is nothing yet.
    Bytes(Bytes),
    /// The end.
    End,
    /// Why there is no more.
    Failed(ErrorCode),
}

impl Reading {
    /// One that is all there.
    pub fn whole(bytes: Vec<u8>, trailers: Option<Entries>) -> Read {
        Reading { parts: None, at_hand: bytes.into(), end: Some(Ok(trailers)) }.shared()
    }

    /// One that comes from a connection.
    pub fn coming(parts: mpsc::Receiver<Part>) -> Read {
        Reading { parts: Some(parts), at_hand: Bytes::new(), end: None }.shared()
    }

    /// One of an earlier life.
    pub fn dead() -> Read {
        let gone = ErrorCode::internal("the body did not survive the restart of its actor");
        Reading { parts: None, at_hand: Bytes::new(), end: Some(Err(gone)) }.shared()
    }

    fn shared(self) -> Read {
        Arc::new(tokio::sync::Mutex::new(self))
    }

    /// Waits until a read finds something.
    pub async fn ready(&mut self) {
        while self.at_hand.is_empty() && self.end.is_none() {
            let part = match &mut self.parts {
                Some(parts) => parts.recv().await,
                None => None,
            };
            self.took(part);
        }
    }

    fn took(&mut self, part: Option<Part>) {
        match part {
            Some(Part::Data(bytes)) => self.at_hand = bytes,
            Some(Part::End(end)) => self.end = Some(end),
            None => self.end = Some(Err(ErrorCode::ConnectionTerminated)),
        }
    }

    /// At most `most` bytes, without waiting.
    pub fn read(&mut self, most: usize) -> Found {
        if self.at_hand.is_empty()
            && self.end.is_none()
            && let Some(parts) = &mut self.parts
        {
            match parts.try_recv() {
                Ok(part) => self.took(Some(part)),
                Err(mpsc::error::TryRecvError::Empty) => {}
                Err(mpsc::error::TryRecvError::Disconnected) => self.took(None),
            }
        }
        if !self.at_hand.is_empty() {
            return Found::Bytes(self.at_hand.split_to(most.min(self.at_hand.len())));
        }
        match &self.end {
            None => Found::Bytes(Bytes::new()),
            Some(Ok(_)) => Found::End,
            Some(Err(error)) => Found::Failed(error.clone()),
        }
    }

    /// In replay: so many bytes were read.
    pub fn skip(&mut self, bytes: u64) {
        let skipped = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.at_hand.len());
        drop(self.at_hand.split_to(skipped));
    }

    /// Reads over what is left, to the trailers.
    pub async fn trailers(&mut self) -> Result<Option<Entries>, ErrorCode> {
        loop {
            self.at_hand.clear();
            if let Some(end) = &self.end {
                return end.clone();
            }
            self.ready().await;
        }
    }

    /// The end, if it is known without waiting and nothing lies before it.
    pub fn at_end(&mut self) -> Option<Result<Option<Entries>, ErrorCode>> {
        self.at_hand.clear();
        while self.end.is_none() {
            match self.read(usize::MAX) {
                Found::Bytes(bytes) if bytes.is_empty() => return None,
                _ => {}
            }
        }
        self.end.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::http::Budget;

    #[test]
    fn a_body_has_the_length_that_it_declared_and_no_more_than_its_limit() {
        let budget = Budget::new(100);
        let body = Writing::new(Of::Request, 10, Some(4), budget.charge());
        let mut body = body.lock();
        assert_eq!(body.write(b"123"), Ok(()));
        assert_eq!(body.write(b"45"), Err(ErrorCode::HttpRequestBodySize(Some(5))));
        assert_eq!(body.finish(None), Err(ErrorCode::HttpRequestBodySize(Some(3))));
        assert_eq!(body.whole(), Err(ErrorCode::HttpProtocolError));
        drop(body);
        let body = Writing::new(Of::Response, 10, None, budget.charge());
        let mut body = body.lock();
        assert_eq!(body.write(b"0123456789"), Ok(()));
        assert_eq!(body.write(b"x"), Err(ErrorCode::HttpResponseBodySize(Some(11))));
        assert_eq!(body.finish(None), Ok(()));
        assert_eq!(body.whole(), Ok((b"0123456789".to_vec(), None)));
    }

    #[test]
    fn the_budget_bounds_all_bodies_together() {
        let budget = Budget::new(10);
        let one = Writing::new(Of::Request, 100, None, budget.charge());
        assert_eq!(one.lock().write(&[0; 8]), Ok(()));
        let other = Writing::new(Of::Request, 100, None, budget.charge());
        assert_eq!(other.lock().write(&[0; 3]), Err(ErrorCode::HttpRequestBodySize(Some(3))));
        // What is handed on to who sends it is given back with that.
        let handed = one.lock().hand_on();
        drop(one);
        assert_eq!(other.lock().write(&[0; 3]), Err(ErrorCode::HttpRequestBodySize(Some(3))));
        drop(handed);
        assert_eq!(other.lock().write(&[0; 3]), Ok(()));
    }

    #[tokio::test]
    async fn a_body_is_read_in_parts_to_its_trailers() {
        let (send, parts) = mpsc::channel(4);
        let body = Reading::coming(parts);
        let mut body = body.lock().await;
        assert_eq!(body.read(10), Found::Bytes(Bytes::new()));
        send.send(Part::Data(Bytes::from_static(b"hello"))).await.unwrap();
        body.ready().await;
        assert_eq!(body.read(3), Found::Bytes(Bytes::from_static(b"hel")));
        assert_eq!(body.read(3), Found::Bytes(Bytes::from_static(b"lo")));
        let trailers = vec![("a".to_owned(), b"b".to_vec())];
        send.send(Part::Data(Bytes::from_static(b"more"))).await.unwrap();
        send.send(Part::End(Ok(Some(trailers.clone())))).await.unwrap();
        assert_eq!(body.trailers().await, Ok(Some(trailers)));
        assert_eq!(body.read(3), Found::End);
    }

    #[tokio::test]
    async fn a_connection_that_goes_away_is_an_error_and_not_an_end() {
        let (send, parts) = mpsc::channel::<Part>(1);
        drop(send);
        let body = Reading::coming(parts);
        assert_eq!(body.lock().await.read(1), Found::Failed(ErrorCode::ConnectionTerminated));
        assert!(matches!(Reading::dead().lock().await.read(1), Found::Failed(ErrorCode::InternalError(_))));
    }
}
