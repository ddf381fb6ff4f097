//! Bodies at the gateway: what comes from a client, whole or as it comes, and what goes to it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::http::{self, Charge, Entries, ErrorCode, Frames, Gathered, Part};

use super::watch::UnderWay;

/// What a client is told instead.
pub type Refusal = (StatusCode, &'static str);

/// More than fits.
pub const TOO_LARGE: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
/// More than fits at this time.
const NO_ROOM: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "not now\n");

/// A body and its trailers, of at most `limit` bytes, as long as all at one time fit; `share` holds what it takes of that.
/// One that says at its head that it is too long is refused before it comes.
pub async fn gathered(
    mut body: Incoming,
    limit: usize,
    share: &mut Charge,
) -> Result<(Vec<u8>, Option<Entries>), Refusal> {
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        return Err(TOO_LARGE);
    }
    share.add(declared).map_err(|_| NO_ROOM)?;
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the body is broken\n"))?;
        match frame.into_data() {
            Ok(data) => {
                let before = bytes.len() as u64;
                let size = bytes.len() + data.len();
                if size > limit {
                    return Err(TOO_LARGE);
                }
                share.add((size as u64).max(declared) - before.max(declared)).map_err(|_| NO_ROOM)?;
                bytes.extend_from_slice(&data);
            }
            Err(frame) => trailers = frame.into_trailers().ok().map(|trailers| http::from_map(&trailers)),
        }
    }
    Ok((bytes, trailers))
}

/// Hands a body on while it comes, as fast as it is taken; ended by whoever drops this.
pub struct Coming(JoinHandle<()>);

impl Coming {
    /// Each part may take so long.
    pub fn begin(mut body: Incoming, patience: Duration) -> (Coming, mpsc::Receiver<Part>) {
        let (send, parts) = mpsc::channel(1);
        let handed = tokio::spawn(async move {
            loop {
                let part = match tokio::time::timeout(patience, body.frame()).await {
                    Err(_) => Part::End(Err(ErrorCode::ConnectionReadTimeout)),
                    Ok(None) => Part::End(Ok(None)),
                    Ok(Some(Err(_))) => Part::End(Err(ErrorCode::ConnectionTerminated)),
                    Ok(Some(Ok(frame))) => match frame.into_data() {
                        Ok(bytes) if bytes.is_empty() => continue,
                        Ok(bytes) => Part::Data(bytes),
                        Err(frame) => Part::End(Ok(frame.into_trailers().ok().map(|map| http::from_map(&map)))),
                    },
                };
                let over = matches!(part, Part::End(_));
                if send.send(part).await.is_err() || over {
                    return;
                }
            }
        });
        (Coming(handed), parts)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What goes to a client.
pub enum Outgoing {
    /// All there.
    Whole(Gathered),
    /// Comes while the actor writes it.
    Frames(Frames),
}

/// The same, watched: whoever takes nothing is found.
pub struct Watched {
    body: Outgoing,
    under_way: UnderWay,
    /// So many bytes at once. Few, where the connection takes a piece for all streams whether its client does or not.
    piece: usize,
    rest: Bytes,
    /// The request's body, which its handler may read as long as it answers.
    _coming: Option<Coming>,
}

/// Pieces for HTTP/2.
const PIECE: usize = 16 << 10;

impl Watched {
    /// In pieces, if the connection has streams.
    pub fn new(body: Outgoing, under_way: UnderWay, streams: bool, coming: Option<Coming>) -> Watched {
        under_way.offered();
        let piece = if streams { PIECE } else { usize::MAX };
        Watched { body, under_way, piece, rest: Bytes::new(), _coming: coming }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let frame = match &mut this.body {
                Outgoing::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
                Outgoing::Frames(frames) => frames.as_mut().poll_next(context),
            };
            let Poll::Ready(frame) = frame else {
                this.under_way.taken();
                return Poll::Pending;
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(bytes) => this.rest = bytes,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        this.under_way.offered();
        let piece = this.rest.split_to(this.piece.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && matches!(&self.body, Outgoing::Whole(whole) if whole.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        match &self.body {
            Outgoing::Whole(whole) => match whole.size_hint().exact() {
                Some(size) => SizeHint::with_exact(size + rest),
                None => SizeHint::default(),
            },
            Outgoing::Frames(_) => SizeHint::default(),
        }
    }
}
