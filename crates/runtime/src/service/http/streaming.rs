//! A response that leaves while its handler still writes it, and requests whose bodies do.
//!
//! Three sides: the handler's body ([`Writing`](super::body::Writing)) holds what is written; [`Going`] decides what of it may
//! leave and hands it over; [`FromActor`] is where the gateway takes it. Promises: what is handed over was committed, and
//! carries the gate that it must wait for; whoever takes nothing holds [`WINDOW`] bytes at most beyond `limits.payload`; a
//! response that ends before anything had to leave goes whole, as the turn's answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use troupe_log::NodeTime;

use super::Charge;
use super::body::{Part, Written};
use super::fields::Entries;
use crate::actor::message::Gate;

/// Bytes handed over that nobody has taken yet, of a body that is longer than a message.
pub const WINDOW: usize = 256 << 10;
/// So much written is handed over without waiting for the end of the step.
const CHUNK: u64 = 64 << 10;
/// What was written so long after the last piece is handed over at once, in microseconds of node time.
const AGE: u64 = 10_000;

/// What a request brings along, besides its message, when its sender is there: gone after a crash.
#[derive(Debug)]
pub struct Client {
    /// Where the response may go while it is written.
    pub to: Option<Arc<ToClient>>,
    /// The request's body, if it is not in the message.
    pub body: Option<mpsc::Receiver<Part>>,
}

/// A part of a response that leaves.
#[derive(Debug)]
pub struct Piece {
    /// What must be durable before.
    pub gate: Gate,
    /// What it is.
    pub what: What,
}

/// The head comes once, first.
#[derive(Debug)]
pub enum What {
    /// Status and fields.
    Head(u16, Entries),
    /// Bytes of the body.
    Data(Bytes),
    /// The end of a request's body, with its trailers, and what its bytes take of the actor's budget until here.
    End(Option<Entries>, Charge),
}

#[derive(Debug, Default)]
struct Flow {
    untaken: AtomicUsize,
    taken: Notify,
}

/// Where pieces are handed over.
#[derive(Debug)]
pub struct ToClient {
    pieces: mpsc::UnboundedSender<Piece>,
    flow: Arc<Flow>,
    begun: AtomicBool,
}

/// Where they are taken; dropped, the client is gone.
#[derive(Debug)]
pub struct FromActor {
    pieces: mpsc::UnboundedReceiver<Piece>,
    flow: Arc<Flow>,
}

/// Both ends.
pub fn pair() -> (ToClient, FromActor) {
    // Bounded by who writes: a body waits for its window, or is no longer than a message.
    let (send, pieces) = mpsc::unbounded_channel();
    let flow = Arc::new(Flow::default());
    (ToClient { pieces: send, flow: flow.clone(), begun: AtomicBool::new(false) }, FromActor { pieces, flow })
}

impl ToClient {
    /// True once something was handed over to a client that is gone: nobody reads what is written.
    pub fn lost(&self) -> bool {
        self.begun() && self.gone()
    }

    /// To nobody any more.
    pub fn lost_already() -> ToClient {
        let (to, _) = pair();
        to.begun.store(true, SeqCst);
        to
    }

    /// Whether the client is gone.
    pub fn gone(&self) -> bool {
        self.pieces.is_closed()
    }

    /// Whether the response has begun to leave.
    pub fn begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Bytes that the window has room for.
    pub fn room(&self) -> usize {
        WINDOW.saturating_sub(self.flow.untaken.load(SeqCst))
    }

    /// Waits until there is room, or nobody any more who takes.
    pub async fn has_room(&self) {
        while self.room() == 0 && !self.gone() {
            self.flow.taken.notified().await;
        }
    }

    fn hand_over(&self, gate: Gate, what: What) {
        self.begun.store(true, SeqCst);
        if let What::Data(bytes) = &what {
            self.flow.untaken.fetch_add(bytes.len(), SeqCst);
        }
        // A client that has gone away does not want it any more.
        let _ = self.pieces.send(Piece { gate, what });
    }
}

impl FromActor {
    /// The next piece; none when no more come.
    pub async fn next(&mut self) -> Option<Piece> {
        let piece = self.pieces.recv().await;
        self.took(piece)
    }

    /// The same if it is there.
    pub fn next_now(&mut self) -> Option<Piece> {
        let piece = self.pieces.try_recv().ok();
        self.took(piece)
    }

    fn took(&mut self, piece: Option<Piece>) -> Option<Piece> {
        if let Some(Piece { what: What::Data(bytes), .. }) = &piece {
            self.flow.untaken.fetch_sub(bytes.len(), SeqCst);
            self.flow.taken.notify_one();
        }
        piece
    }
}

impl Drop for FromActor {
    fn drop(&mut self) {
        self.pieces.close();
        self.flow.taken.notify_one();
    }
}

/// The response of the turn in hand, if it may leave before the turn ends, and requests whose bodies are still written. Shared by the guest and by whoever sees it park.
#[derive(Clone, Debug, Default)]
pub struct Going(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    there: AtomicBool,
    response: Mutex<Option<Leaving>>,
    /// How many requests leave while they are written.
    asking: AtomicUsize,
    requests: Mutex<Vec<Leaving>>,
}

#[derive(Debug)]
struct Leaving {
    to: Arc<ToClient>,
    head: Option<(u16, Entries)>,
    body: Written,
    /// How much of the body may leave, behind this.
    free: (u64, Gate),
    /// The end of a request may leave too.
    end: Option<Option<Entries>>,
    last: NodeTime,
}

impl Going {
    /// The handler has handed its response out.
    pub fn begin(&self, to: Arc<ToClient>, head: (u16, Entries), body: Written, now: NodeTime) {
        body.lock().leaves(to.clone());
        let leaving = Leaving { to, head: Some(head), body, free: (0, Gate::default()), end: None, last: now };
        *self.0.response.lock() = Some(leaving);
        self.0.there.store(true, SeqCst);
    }

    /// A request has begun to leave; its body follows while it is written, also in later turns.
    pub fn asks(&self, to: Arc<ToClient>, body: Written, now: NodeTime) {
        body.lock().leaves(to.clone());
        let leaving = Leaving { to, head: None, body, free: (0, Gate::default()), end: None, last: now };
        let mut requests = self.0.requests.lock();
        requests.push(leaving);
        self.0.asking.store(requests.len(), SeqCst);
    }

    /// The turn is over.
    pub fn end(&self) {
        if self.0.there.swap(false, SeqCst) {
            *self.0.response.lock() = None;
        }
    }

    /// The turn has ended in order, and its last step is committed. What the answer holds is left to the answer.
    pub fn finish(&self) {
        self.hand_over_requests(None);
        if !self.answers() {
            return;
        }
        let long = self.0.response.lock().as_ref().is_some_and(|one| one.body.lock().streamed_size().is_some());
        if long {
            self.hand_over(None);
        }
        self.end();
    }

    /// Whether something may leave.
    pub fn is_there(&self) -> bool {
        self.answers() || self.0.asking.load(SeqCst) > 0
    }

    fn answers(&self) -> bool {
        self.0.there.load(SeqCst)
    }

    /// Whether something of it has left.
    pub fn begun(&self) -> bool {
        self.answers() && self.0.response.lock().as_ref().is_some_and(|leaving| leaving.to.begun())
    }

    /// What was written until now may leave, behind this gate.
    pub fn free(&self, gate: Gate) {
        if !self.is_there() {
            return;
        }
        if let Some(leaving) = &mut *self.0.response.lock() {
            leaving.free = (leaving.body.lock().size(), gate);
        }
        let mut requests = self.0.requests.lock();
        requests.retain_mut(|leaving| {
            let mut body = leaving.body.lock();
            leaving.free = (body.size(), gate);
            if body.is_over() && leaving.end.is_none() {
                leaving.end = body.trailers();
                if leaving.end.is_none() {
                    // It was given up: who reads it is told by an end that does not come.
                    body.cut();
                    return false;
                }
            }
            true
        });
        self.0.asking.store(requests.len(), SeqCst);
    }

    /// Whether what was written should not wait any longer.
    pub fn is_due(&self, now: NodeTime) -> bool {
        let due = |leaving: &Leaving| {
            let held = leaving.body.lock().held_back();
            held >= CHUNK || (held > 0 && now.0.saturating_sub(leaving.last.0) >= AGE)
        };
        self.is_there() && (self.0.response.lock().as_ref().is_some_and(due) || self.0.requests.lock().iter().any(due))
    }

    /// Hands over what may leave.
    pub fn hand_over(&self, now: Option<NodeTime>) {
        if !self.is_there() {
            return;
        }
        self.hand_over_requests(now);
        let mut response = self.0.response.lock();
        let Some(leaving) = &mut *response else { return };
        let (until, gate) = leaving.free;
        let bytes = leaving.body.lock().take_until(until);
        if bytes.is_empty() {
            return;
        }
        if let Some((status, headers)) = leaving.head.take() {
            leaving.to.hand_over(gate, What::Head(status, headers));
        }
        leaving.to.hand_over(gate, What::Data(bytes));
        leaving.last = now.unwrap_or(leaving.last);
    }

    fn hand_over_requests(&self, now: Option<NodeTime>) {
        if self.0.asking.load(SeqCst) == 0 {
            return;
        }
        let mut requests = self.0.requests.lock();
        requests.retain_mut(|leaving| {
            let (until, gate) = leaving.free;
            let bytes = leaving.body.lock().take_until(until);
            if !bytes.is_empty() {
                leaving.to.hand_over(gate, What::Data(bytes));
                leaving.last = now.unwrap_or(leaving.last);
            }
            if let Some(trailers) = leaving.end.take() {
                let charge = leaving.body.lock().hand_on();
                leaving.to.hand_over(gate, What::End(trailers, charge));
                leaving.body.lock().cut();
                return false;
            }
            !leaving.to.gone()
        });
        self.0.asking.store(requests.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::http::Budget;
    use crate::service::http::body::{Of, Writing};

    fn written() -> Written {
        Writing::new(Of::Response, 100, None, Budget::new(1 << 20).charge())
    }

    #[tokio::test]
    async fn only_what_is_free_leaves_and_the_head_goes_first() {
        let ((to, mut from), going, body) = (pair(), Going::default(), written());
        going.begin(Arc::new(to), (200, Vec::new()), body.clone(), NodeTime(0));
        body.lock().write(b"one").unwrap();
        going.hand_over(None);
        assert!(from.next_now().is_none() && !going.begun(), "nothing was committed");
        going.free(Gate::default());
        body.lock().write(b"two").unwrap();
        going.hand_over(None);
        assert!(matches!(from.next_now().unwrap().what, What::Head(200, _)));
        assert!(matches!(from.next().await.unwrap().what, What::Data(bytes) if bytes == "one"));
        assert!(going.is_due(NodeTime(AGE)) && !going.is_due(NodeTime(AGE - 1)));
        going.free(Gate::default());
        going.hand_over(None);
        assert!(matches!(from.next().await.unwrap().what, What::Data(bytes) if bytes == "two"));
        assert_eq!(body.lock().finish(None), Ok(()));
        assert_eq!(body.lock().whole(), Ok((b"onetwo".to_vec(), None)), "the answer is whole all the same");
    }

    #[tokio::test]
    async fn the_body_of_a_request_follows_over_turns_and_its_end_comes_once_it_is_free() {
        let ((to, mut from), going, body) = (pair(), Going::default(), written());
        going.asks(Arc::new(to), body.clone(), NodeTime(0));
        body.lock().write(b"one").unwrap();
        going.hand_over(None);
        assert!(from.next_now().is_none(), "nothing was committed");
        going.free(Gate::default());
        going.finish();
        going.end();
        assert!(matches!(from.next().await.unwrap().what, What::Data(bytes) if bytes == "one"));
        body.lock().write(b"two").unwrap();
        assert_eq!(body.lock().finish(Some(vec![("x".to_owned(), b"y".to_vec())])), Ok(()));
        going.hand_over(None);
        assert!(from.next_now().is_none() && going.is_there());
        going.free(Gate::default());
        going.hand_over(None);
        assert!(matches!(from.next().await.unwrap().what, What::Data(bytes) if bytes == "two"));
        assert!(matches!(from.next().await.unwrap().what, What::End(Some(trailers), _) if trailers.len() == 1));
        assert!(from.next().await.is_none() && !going.is_there());

        let ((to, mut from), given_up) = (pair(), written());
        going.asks(Arc::new(to), given_up.clone(), NodeTime(0));
        given_up.lock().abandon();
        going.free(Gate::default());
        assert!(from.next().await.is_none(), "no end");
    }

    #[tokio::test]
    async fn a_body_longer_than_a_message_is_not_kept_and_waits_for_its_window() {
        let ((to, mut from), going, body) = (pair(), Going::default(), written());
        let to = Arc::new(to);
        body.lock().unbounded = true;
        going.begin(to.clone(), (200, Vec::new()), body.clone(), NodeTime(0));
        let mut written = 0;
        while to.room() > 0 {
            body.lock().write(&[7; 4096]).unwrap();
            written += 4096;
            going.free(Gate::default());
            going.hand_over(None);
        }
        assert_eq!((written, to.room()), (WINDOW as u64, 0));
        assert!(matches!(from.next_now().unwrap().what, What::Head(..)));
        from.next_now().unwrap();
        assert_eq!(to.room(), 4096);
        assert_eq!(body.lock().finish(None), Ok(()));
        assert_eq!(body.lock().whole(), Ok((Vec::new(), None)));
        assert_eq!(body.lock().streamed_size(), Some(written));
        drop(from);
        assert!(to.lost());
        to.has_room().await;
    }
}
