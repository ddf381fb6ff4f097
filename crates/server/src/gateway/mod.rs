//! The gateway: HTTP from outside to the actors that are served on a route.
//!
//! A request becomes one message, its response is the message's answer ([`troupe_runtime::http`]), given out behind the gate
//! of the actor's mode, or, while the turn goes on, what of it is committed. HTTP/1.1, HTTP/2 with prior knowledge, both over TLS if there is a certificate. Whatever a client
//! does is bounded: the head, the body (by the actor's `payload`), all bodies together, connections, streams, and each phase
//! in time. It has no token and knows nothing of the management API. docs/http.md has the promises.

mod body;
mod watch;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, RETRY_AFTER, TRAILER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::http::{self, Budget, Entries, Exchanged, Gathered};
use troupe_runtime::node::{Node, Outgoing};

use self::body::{Coming, Outgoing as Body, Refusal, TOO_LARGE, Watched};
use self::watch::{Activity, UnderWay};
use crate::error::Error;
use crate::serve::GRACE;

/// How the gateway is opened.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// Where it listens; any address, port 0 for any that is free.
    pub address: SocketAddr,
    /// Certificate chain and key, as PEM files; without them it speaks no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Bytes of a request's head.
    pub max_head: usize,
    /// Connections at one time; more wait to be accepted.
    pub max_connections: usize,
    /// Requests of one HTTP/2 connection at one time.
    pub max_streams: u32,
    /// Bytes of all bodies together that have come and are not answered.
    pub max_bodies: u64,
    /// For a head to come, for a body to come, for a client that takes nothing of a response, and for one that asks nothing.
    pub patience: Duration,
    /// For the actor to answer, waiting in its mailbox included.
    pub timeout: Duration,
    /// For requests in work when it closes.
    pub grace: Duration,
}

impl GatewayOptions {
    /// At this address, with the usual limits.
    pub fn at(address: SocketAddr) -> GatewayOptions {
        GatewayOptions {
            address,
            tls: None,
            max_head: 64 << 10,
            max_connections: 1024,
            max_streams: 100,
            max_bodies: 256 << 20,
            patience: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            grace: GRACE,
        }
    }
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: Sender<Stop>,
    grace: Duration,
    task: JoinHandle<()>,
}

/// How far a gateway's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Stop {
    /// It serves.
    Not,
    /// What is in work ends.
    Closing,
    /// What is in work is given up.
    Now,
}

/// Fields of a head; more are a 431.
const MAX_FIELDS: usize = 128;

/// What a client of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Gateway {
    /// Listens and serves the actors of a node.
    pub async fn start(options: GatewayOptions, node: Node) -> Result<Gateway, Error> {
        let address = options.address;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::InUse { address },
            _ => Error::Listen { address, source },
        };
        let tls = match &options.tls {
            Some((certificate, key)) => Some(acceptor(certificate, key)?),
            None => None,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = channel(Stop::Not);
        let (grace, bodies) = (options.grace, Budget::new(options.max_bodies));
        let door = Door { options, tls, node, bodies, stopped: stopped.clone() };
        let task = tokio::spawn(accept(listener, Arc::new(door), stopped));
        Ok(Gateway { address, stop, grace, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new request, lets those in work end for a while, gives up the others, and goes.
    pub async fn close(mut self) {
        self.stop.send_replace(Stop::Closing);
        if tokio::time::timeout(self.grace, &mut self.task).await.is_ok() {
            return;
        }
        self.stop.send_replace(Stop::Now);
        self.task.abort();
        // Its connections end with it, and the streams of theirs hear of it by themselves.
        let _ = self.task.await;
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let bad = |path: &Path, why: String| Error::Certificate { path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| bad(certificate, error.to_string()))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| bad(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(certificate, "no certificate found".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret);
    let mut config = config.map_err(|error| bad(certificate, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

struct Door {
    options: GatewayOptions,
    tls: Option<TlsAcceptor>,
    node: Node,
    bodies: Budget,
    stopped: Receiver<Stop>,
}

async fn accept(listener: TcpListener, door: Arc<Door>, mut stopped: Receiver<Stop>) {
    let most = door.options.max_connections;
    let places = Arc::new(Semaphore::new(most));
    // Whoever aborts this task ends them, too.
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = stop_of(&mut stopped) => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop_of(&mut stopped) => break,
        };
        let Ok((stream, _)) = stream else {
            // Out of files, most likely: others end meanwhile.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it small answers wait for the acknowledgment of the one before.
        let _ = stream.set_nodelay(true);
        let (door, stopped) = (door.clone(), stopped.clone());
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            match &door.tls {
                None => connection(stream, &door, stopped).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(door.options.patience, tls.accept(stream)).await {
                        connection(stream, &door, stopped).await;
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stop_of(stopped: &mut Receiver<Stop>) {
    let _ = stopped.wait_for(|stop| *stop >= Stop::Closing).await;
}

async fn connection<S>(stream: S, door: &Arc<Door>, mut stopped: Receiver<Stop>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let options = &door.options;
    let stream = Patient::new(stream, options.patience);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.patience)
        .max_buf_size(options.max_head.max(8 << 10))
        .max_headers(MAX_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(u32::try_from(options.max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(options.patience)
        .keep_alive_timeout(options.patience);
    let (door, activity) = (door.clone(), Activity::new());
    let patience = options.patience;
    let answer = service_fn({
        let activity = activity.clone();
        move |request| {
            let (door, under_way) = (door.clone(), activity.request());
            async move { Ok::<_, Infallible>(door.answer(request, under_way).await) }
        }
    });
    let served = builder.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(served);
    // What goes wrong with a connection is its client's affair.
    tokio::select! {
        _ = served.as_mut() => return,
        // The client that takes nothing loses what it has not taken.
        () = activity.stalled(patience) => return,
        () = activity.idle(patience) => {}
        () = stop_of(&mut stopped) => {}
    }
    served.as_mut().graceful_shutdown();
    tokio::select! {
        _ = served.as_mut() => {}
        () = activity.stalled(patience) => {}
        // What it has been given at last it has not taken.
        () = activity.idle(patience) => {}
    }
}

impl Door {
    async fn answer(&self, request: Request<Incoming>, under_way: UnderWay) -> Response<Watched> {
        let head = request.method() == Method::HEAD;
        let streams = request.version() == Version::HTTP_2;
        let mut stopped = self.stopped.clone();
        let asked = tokio::select! {
            asked = self.ask(request) => asked,
            _ = stopped.wait_for(|stop| *stop == Stop::Now) => Err((StatusCode::SERVICE_UNAVAILABLE, "not now\n")),
        };
        let (response, coming) = match asked {
            Ok((answer, coming)) => (of_actor(answer, head), coming),
            Err((status, words)) => {
                let text = http::Response::text(status.as_u16(), words);
                let mut response = of_actor(Answer::Whole(text), head);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                }
                (response, None)
            }
        };
        response.map(|body| Watched::new(body, under_way, streams, coming))
    }

    async fn ask(&self, request: Request<Incoming>) -> Result<(Answer, Option<Coming>), Refusal> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        if !path.starts_with('/') && path != "*" {
            return Err((StatusCode::BAD_REQUEST, "not a request for a path\n"));
        }
        if head.headers.len() > MAX_FIELDS {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too many fields\n"));
        }
        let hosts = head.headers.get_all(HOST).iter().count();
        if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
            return Err((StatusCode::BAD_REQUEST, "not one host\n"));
        }
        if let Some(authority) = head.uri.authority() {
            // Where both are there, the field says nothing (RFC 9112, 3.2.2).
            let host = HeaderValue::from_str(authority.as_str());
            head.headers.insert(HOST, host.map_err(|_| (StatusCode::BAD_REQUEST, "not a host\n"))?);
        }
        let routed = self.node.route(head.uri.path()).ok_or((StatusCode::NOT_FOUND, "nothing is served here\n"))?;
        let limit = usize::try_from(routed.payload.0).unwrap_or(usize::MAX);
        let mut share = self.bodies.charge();
        // A body that is there already needs no way of its own.
        let streamed = routed.streamed && head.method != Method::HEAD;
        let (mut bytes, mut trailers, mut coming, mut parts) = (Vec::new(), None, None, None);
        if streamed {
            let (handing, beside) = Coming::begin(body, self.options.patience);
            (coming, parts) = (Some(handing), Some(beside));
        } else if !body.is_end_stream() {
            let gathered = body::gathered(body, limit, &mut share);
            let Ok(gathered) = tokio::time::timeout(self.options.patience, gathered).await else {
                return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"));
            };
            (bytes, trailers) = gathered?;
        }
        let host = || head.headers.get("host").and_then(|host| host.to_str().ok()).map(str::to_owned);
        let request = http::Request {
            method: head.method.as_str().to_owned(),
            scheme: if self.tls.is_some() { "https" } else { "http" }.to_owned(),
            authority: head.uri.authority().map(|authority| authority.as_str().to_owned()).or_else(host),
            path: path.to_owned(),
            headers: http::from_map(&head.headers),
            trailers,
            body: bytes,
            streamed,
        };
        let message = Outgoing::new(request.message_type(), request.encode()).timeout(self.options.timeout);
        drop(request);
        let actor = &routed.actor;
        let exchanged = self.node.exchange(actor, message, parts, head.method != Method::HEAD).await;
        let answer = exchanged.map_err(|error| {
            tracing::debug!(%actor, %error, "a request was not answered");
            of_error(&error)
        })?;
        let answer = match answer {
            Exchanged::Begun(status, headers, frames) => Some(Answer::Begun(status, headers, frames)),
            Exchanged::Whole(bytes) => http::Response::decode(&bytes).ok().map(Answer::Whole),
        };
        let answer = answer.filter(|answer| (200..600).contains(&answer.status()));
        let answer = answer.ok_or((StatusCode::BAD_GATEWAY, "the actor's answer is no response\n"))?;
        Ok((answer, coming))
    }
}

/// What came of a request.
enum Answer {
    Whole(http::Response),
    Begun(u16, Entries, http::Frames),
}

impl Answer {
    fn status(&self) -> u16 {
        match self {
            Answer::Whole(response) => response.status,
            Answer::Begun(status, ..) => *status,
        }
    }
}

/// What a client is told; the reasons are for the node's log.
fn of_error(error: &CallError) -> Refusal {
    match error {
        CallError::NotFound(_) => (StatusCode::NOT_FOUND, "nothing is served here\n"),
        CallError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "the actor did not answer in time\n"),
        CallError::TooLarge { .. } => TOO_LARGE,
        CallError::Refused(_) | CallError::Faulted { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the actor could not answer\n")
        }
        CallError::Invalid(_) => (StatusCode::BAD_GATEWAY, "the actor takes no such request\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not now\n"),
    }
}

fn of_actor(answer: Answer, head: bool) -> Response<Body> {
    let response = match answer {
        Answer::Whole(response) => response,
        Answer::Begun(status, headers, frames) if !bodiless(status) => {
            let mut made = Response::new(Body::Frames(frames));
            *made.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            *made.headers_mut() = http::to_map(&headers);
            // How long it gets is not known.
            made.headers_mut().remove(CONTENT_LENGTH);
            return made;
        }
        Answer::Begun(status, headers, _) => http::Response { status, headers, ..Default::default() },
    };
    let http::Response { status, headers, mut body, mut trailers, .. } = response;
    let length = body.len();
    if head || bodiless(status) {
        (body, trailers) = (Vec::new(), None);
    }
    let names = trailers.as_ref().map(|trailers| {
        let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    });
    let mut made = Response::new(Body::Whole(Gathered::new(Some((body, trailers)))));
    *made.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *made.headers_mut() = http::to_map(&headers);
    // The length is that of the body that is there; only the answer to HEAD may speak of another.
    if !head {
        made.headers_mut().remove(CONTENT_LENGTH);
    } else if length > 0 && !made.headers().contains_key(CONTENT_LENGTH) {
        made.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    // Only what is announced is sent.
    if let Some(names) = names
        && let Ok(names) = HeaderValue::from_str(&names)
    {
        made.headers_mut().insert(TRAILER, names);
    }
    made
}

/// No version of HTTP has a body behind these.
fn bodiless(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

/// A connection whose client must say something, and take what is written, or it ends.
struct Patient<S> {
    stream: S,
    patience: Duration,
    waits: Pin<Box<Sleep>>,
    waiting: bool,
    /// Bytes of the preface that came, until it is whole or something else came.
    begun: Option<usize>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Patient<S> {
        Patient { stream, patience, waits: Box::pin(tokio::time::sleep(patience)), waiting: false, begun: Some(0) }
    }

    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.waits.as_mut().reset(Instant::now() + self.patience);
        }
        match self.waits.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let Some(begun) = self.begun else { return read };
        // Until it is clear which HTTP it is nobody else counts the time; nothing is written before that.
        if read.is_ready() {
            let (came, rest) = (&into.filled()[before..], &PREFACE[begun..]);
            let begins = !came.is_empty() && came.len() < rest.len() && rest.starts_with(came);
            self.begun = begins.then_some(begun + came.len());
            return read;
        }
        self.waits.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bounded(context, flushed)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bounded(context, shut)
    }
}
