//! Sends one request over a connection of its own, and hands back what comes.
//!
//! No redirect is followed and nothing is kept between two requests. Connected is only to an address that was checked itself
//! ([`super::address`]). Each phase has its time, in node time; the response's body is read no faster than the actor reads it,
//! and no further than its limit.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use troupe_log::NodeTime;

use super::Charge;
use super::address::is_public;
use super::body::{Part, Reading};
use super::fields::{self, Entries};
use super::parts::Arrived;
use super::streaming::{FromActor, Piece, What};
use super::types::{DnsErrorPayload, ErrorCode, Method};
use crate::actor::message::Gate;
use crate::boundary::Services;

/// Bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Look-ups of names at one time; each holds a thread to its end, also when nobody waits for it any more.
static LOOK_UPS: Semaphore = Semaphore::const_new(32);

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its method.
    pub method: Method,
    /// Over TLS.
    pub tls: bool,
    /// As it stands in the `host` field.
    pub authority: String,
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Names and values.
    pub headers: Entries,
    /// All of it; none if it has no body.
    pub body: Option<(Vec<u8>, Option<Entries>)>,
}

impl Prepared {
    /// Bytes that its head holds.
    pub fn size(&self) -> u64 {
        let texts = [self.authority.len(), self.host.len(), self.path.len(), self.method.as_str().len()];
        fields::size(&self.headers) + texts.iter().sum::<usize>() as u64
    }
}

/// How it may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Addresses of this machine and its networks too.
    pub private: bool,
    /// Bytes of the response's body.
    pub max_response: u64,
    /// To resolve and connect.
    pub connect: Duration,
    /// To the head of the response.
    pub first_byte: Duration,
    /// Between two parts of its body.
    pub between_bytes: Duration,
    /// It may be sent again after a crash.
    pub repeatable: bool,
    /// Its body leaves while it is written.
    pub streamed: bool,
}

/// What comes of it.
#[derive(Debug)]
pub enum Arrival {
    /// The response, or why there is none.
    Response(Box<Result<Arrived, ErrorCode>>),
    /// It was sent in an earlier life of the actor.
    Recalled(Box<Sending>),
}

/// A request on its way out.
#[derive(Debug)]
pub struct Sending {
    /// The request; its body comes when it is finished.
    pub request: Prepared,
    /// How.
    pub terms: Terms,
    /// One of the actor's exchanges, while it lasts. None in replay.
    pub place: Option<Charge>,
    /// What it takes of the actor's budget, until its exchange is over.
    pub held: Vec<Charge>,
    /// Where a body comes from that leaves while it is written.
    pub body: Option<FromActor>,
    reply: oneshot::Sender<Arrival>,
}

impl Sending {
    /// A request, and where its response comes.
    pub fn new(request: Prepared, terms: Terms) -> (Sending, oneshot::Receiver<Arrival>) {
        let (reply, coming) = oneshot::channel();
        (Sending { request, terms, place: None, held: Vec::new(), body: None, reply }, coming)
    }

    /// It is not sent.
    pub fn fail(self, error: ErrorCode) {
        let _ = self.reply.send(Arrival::Response(Box::new(Err(error))));
    }

    /// It was sent in an earlier life.
    pub fn recall(self) {
        let (reply, _) = oneshot::channel();
        let again =
            Sending { reply, place: None, held: self.held, body: None, request: self.request, terms: self.terms };
        let _ = self.reply.send(Arrival::Recalled(Box::new(again)));
    }

    /// The same request on a new way.
    pub fn again(self) -> (Sending, oneshot::Receiver<Arrival>) {
        let (mut sending, coming) = Sending::new(self.request, self.terms);
        sending.held = self.held;
        (sending, coming)
    }

    /// Sends it, once the gate is open. Ends early when nobody waits for the response any more.
    pub fn start(self, node: Arc<dyn Services>, gate: Gate) {
        let Sending { request, terms, place, held, body, mut reply } = self;
        tokio::spawn(async move {
            let exchanged = async {
                let opened = gate.open(&**node.store()).await;
                opened.map_err(|_| ErrorCode::internal("the log has stopped"))?;
                let (body, written) = match body {
                    None => (None, None),
                    Some(from) => {
                        let (parts, written) = written(node.clone(), from, terms.between_bytes);
                        (Some(parts), Some(written))
                    }
                };
                exchange(&*node, (request, body), written, terms).await
            };
            let exchanged = tokio::select! {
                exchanged = exchanged => exchanged,
                () = reply.closed() => return,
            };
            match exchanged {
                Ok((status, headers, body, connection)) => {
                    let (send, parts) = mpsc::channel(1);
                    let arrived = Arrived { status, headers, body: Reading::coming(parts) };
                    if reply.send(Arrival::Response(Box::new(Ok(arrived)))).is_ok() {
                        pump(&*node, terms, body, send).await;
                    }
                    drop(connection);
                }
                Err(error) => drop(reply.send(Arrival::Response(Box::new(Err(error))))),
            }
            drop((place, held));
        });
    }
}

/// Ends the connection's task with whoever holds it.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn within<T>(
    node: &dyn Services,
    time: Duration,
    late: ErrorCode,
    work: impl Future<Output = Result<T, ErrorCode>>,
) -> Result<T, ErrorCode> {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let until = NodeTime(node.node_time().0.saturating_add(micros));
    tokio::select! {
        biased;
        done = work => done,
        () = node.waits().sleep_until(until) => Err(late),
    }
}

type Exchanged = (u16, Entries, Incoming, Connection);

/// Whether a body that is written has been taken to its end.
type Over = oneshot::Receiver<Result<(), ErrorCode>>;

/// Hands on what an actor writes of a body, each part once what led to it is durable; and when it has ended.
fn written(node: Arc<dyn Services>, mut from: FromActor, most: Duration) -> (mpsc::Receiver<Part>, Over) {
    let (parts, body) = mpsc::channel(1);
    let (ended, written) = oneshot::channel();
    tokio::spawn(async move {
        while let Some(Piece { gate, what }) = from.next().await {
            let part = match (gate.open(&**node.store()).await, what) {
                (Err(_), _) => Part::End(Err(ErrorCode::internal("the log has stopped"))),
                (Ok(()), What::Data(bytes)) => Part::Data(bytes),
                (Ok(()), What::End(trailers, charge)) => {
                    // What waited here counted until now.
                    drop(charge);
                    Part::End(Ok(trailers))
                }
                (Ok(()), What::Head(..)) => continue,
            };
            let over = matches!(part, Part::End(_));
            let taken = async { parts.send(part).await.map_err(|_| ErrorCode::ConnectionTerminated) };
            match within(&*node, most, ErrorCode::ConnectionWriteTimeout, taken).await {
                Ok(()) if !over => {}
                Err(late @ ErrorCode::ConnectionWriteTimeout) => return drop(ended.send(Err(late))),
                // Its end, or the connection's, which says why itself.
                Ok(()) | Err(_) => break,
            }
        }
        let _ = ended.send(Ok(()));
    });
    (body, written)
}

async fn exchange(
    node: &dyn Services,
    (request, body): (Prepared, Option<mpsc::Receiver<Part>>),
    written: Option<Over>,
    terms: Terms,
) -> Result<Exchanged, ErrorCode> {
    let connecting = async {
        let stream = connect(node, &request, terms).await?;
        if !request.tls {
            return handshake(stream, false).await;
        }
        let name = ServerName::try_from(request.host.clone()).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
        let stream = TlsConnector::from(node.tls()).connect(name, stream).await.map_err(|error| tls(&error))?;
        let second = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        handshake(stream, second).await
    };
    let (sender, connection) = within(node, terms.connect, ErrorCode::ConnectionTimeout, connecting).await?;
    let request = to_hyper(request, body, matches!(sender, Sender::Two(_)))?;
    let asked = async {
        let asked = match sender {
            Sender::One(mut sender) => sender.send_request(request).await,
            Sender::Two(mut sender) => sender.send_request(request).await,
        };
        asked.map_err(|error| of_hyper(&error))
    };
    let mut asked = std::pin::pin!(asked);
    // The time of a server begins when it has all of the request.
    let early = match written {
        None => None,
        Some(written) => tokio::select! {
            biased;
            asked = &mut asked => Some(asked?),
            written = written => {
                written.unwrap_or(Ok(()))?;
                None
            }
        },
    };
    let response = match early {
        Some(response) => response,
        None => within(node, terms.first_byte, ErrorCode::HttpResponseTimeout, asked).await?,
    };
    let (head, body) = response.into_parts();
    let headers = fields::from_map(&head.headers);
    if fields::size(&headers) > fields::MAX_FIELDS {
        return Err(ErrorCode::HttpResponseHeaderSectionSize(None));
    }
    Ok((head.status.as_u16(), headers, body, connection))
}

/// Connects to the first address that is allowed and answers.
async fn connect(node: &dyn Services, request: &Prepared, terms: Terms) -> Result<TcpStream, ErrorCode> {
    let addresses: Vec<SocketAddr> = match request.host.parse::<IpAddr>() {
        Ok(address) => vec![(address, request.port).into()],
        Err(_) => look_up(request.host.clone(), request.port).await?,
    };
    let mut failed = ErrorCode::DestinationNotFound;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        // One that does not answer leaves time for those behind it.
        let time = terms.connect / left.max(1);
        left = left.saturating_sub(1);
        if !terms.private && !is_public(address.ip()) {
            failed = ErrorCode::DestinationIpProhibited;
            continue;
        }
        let connecting = async { TcpStream::connect(address).await.map_err(|error| of_io(&error)) };
        match within(node, time, ErrorCode::ConnectionTimeout, connecting).await {
            Ok(stream) => {
                // Under its own public address this machine is as closed as under the others.
                let own = |address: SocketAddr| stream.local_addr().is_ok_and(|own| own.ip() == address.ip());
                if !terms.private && own(address) {
                    failed = ErrorCode::DestinationIpProhibited;
                    continue;
                }
                // Without it a small request waits for the acknowledgment of the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The first addresses of a name. Waits while too many look-ups are under way.
async fn look_up(host: String, port: u16) -> Result<Vec<SocketAddr>, ErrorCode> {
    let unknown = |text: String| ErrorCode::DnsError(DnsErrorPayload { rcode: Some(text), info_code: None });
    let place = LOOK_UPS.acquire().await.map_err(|error| unknown(error.to_string()))?;
    let found = tokio::task::spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect());
        drop(place);
        found
    });
    let found: std::io::Result<Vec<SocketAddr>> = found.await.map_err(|error| unknown(error.to_string()))?;
    found.map_err(|error| unknown(error.to_string()))
}

/// What the connection speaks.
enum Sender {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

/// As TLS names it.
const HTTP_2: &[u8] = b"h2";

async fn handshake<S>(stream: S, second: bool) -> Result<(Sender, Connection), ErrorCode>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if second {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(MAX_HEAD as u32);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| of_hyper(&error))?;
        let driven = tokio::spawn(async move { drop(connection.await) });
        return Ok((Sender::Two(sender), Connection(driven)));
    }
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| of_hyper(&error))?;
    // What goes wrong in it is said to whoever sends or reads.
    let driven = tokio::spawn(async move { drop(connection.await) });
    Ok((Sender::One(sender), Connection(driven)))
}

fn to_hyper(
    request: Prepared,
    parts: Option<mpsc::Receiver<Part>>,
    second: bool,
) -> Result<http::Request<Sent>, ErrorCode> {
    let Prepared { method, authority, path, headers, body, .. } = request;
    // The second version names the host in the address, and knows nothing of connections.
    let path = if second { format!("https://{authority}{path}") } else { path };
    let method = http::Method::from_bytes(method.as_str().as_bytes());
    let method = method.map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let changes = matches!(method, http::Method::POST | http::Method::PUT | http::Method::PATCH);
    let length = body.as_ref().map(|(bytes, _)| bytes.len()).or(changes.then_some(0));
    let mut made = http::Request::builder().method(method).uri(path);
    if let Some(all) = made.headers_mut() {
        *all = fields::to_map(&headers);
        if !second {
            let host = HeaderValue::from_str(&authority).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
            all.insert(header::HOST, host);
            all.insert(header::CONNECTION, HeaderValue::from_static("close, te"));
        }
        all.insert(header::TE, HeaderValue::from_static("trailers"));
        // The length is that of the body which is there; of one that is still written it is what was declared, if it was.
        if parts.is_none() {
            all.remove(header::CONTENT_LENGTH);
        }
        if parts.is_some() {
        } else if let Some((_, Some(trailers))) = &body {
            // It is sent in chunks, and only what is announced is sent.
            let names: Vec<&str> = trailers.iter().map(|(name, _)| name.as_str()).collect();
            if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
                all.insert(header::TRAILER, names);
            }
        } else if let Some(length) = length.filter(|length| changes || *length > 0) {
            all.insert(header::CONTENT_LENGTH, length.into());
        }
    }
    let body = match parts {
        None => Sent::Whole(Gathered::new(body)),
        Some(parts) => Sent::Parts(parts),
    };
    made.body(body).map_err(|_| ErrorCode::HttpRequestUriInvalid)
}

/// Hands the body's parts on, as fast as they are taken.
async fn pump(node: &dyn Services, terms: Terms, mut body: Incoming, parts: mpsc::Sender<Part>) {
    let mut left = terms.max_response;
    loop {
        let next = async { Ok(body.frame().await) };
        let next = tokio::select! {
            next = within(node, terms.between_bytes, ErrorCode::ConnectionReadTimeout, next) => next,
            () = parts.closed() => return,
        };
        let part = match next {
            Ok(None) => Part::End(Ok(None)),
            Ok(Some(Err(error))) => Part::End(Err(of_hyper(&error))),
            Err(late) => Part::End(Err(late)),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) if bytes.len() as u64 > left => {
                    Part::End(Err(ErrorCode::HttpResponseBodySize(Some(terms.max_response.saturating_add(1)))))
                }
                Ok(bytes) => {
                    left -= bytes.len() as u64;
                    Part::Data(bytes)
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().map(|map| fields::from_map(&map)).unwrap_or_default();
                    match fields::size(&trailers) > fields::MAX_FIELDS {
                        true => Part::End(Err(ErrorCode::HttpResponseTrailerSectionSize(None))),
                        false => Part::End(Ok(Some(trailers))),
                    }
                }
            },
        };
        let ended = matches!(part, Part::End(_));
        if parts.send(part).await.is_err() || ended {
            return;
        }
    }
}

/// The body of a request.
enum Sent {
    /// All of it.
    Whole(Gathered),
    /// As it is written.
    Parts(mpsc::Receiver<Part>),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        match &mut *self {
            Sent::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Sent::Parts(parts) => parts.poll_recv(context).map(|part| match part {
                Some(Part::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Part::End(end)) => {
                    let end = end.map(|trailers| trailers.map(|trailers| Frame::trailers(fields::to_map(&trailers))));
                    // Nothing comes behind it.
                    *self = Sent::Whole(Gathered::new(None));
                    end.transpose()
                }
                // Whoever wrote it went away.
                None => Some(Err(ErrorCode::HttpProtocolError)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sent::Whole(body) if body.is_end_stream())
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Sent::Whole(body) => body.size_hint(),
            Sent::Parts(_) => http_body::SizeHint::default(),
        }
    }
}

/// A body that is at hand, with its trailers.
pub struct Gathered {
    bytes: Option<Bytes>,
    trailers: Option<http::HeaderMap>,
}

impl Gathered {
    /// None is no body.
    pub fn new(body: Option<(Vec<u8>, Option<Entries>)>) -> Gathered {
        let (bytes, trailers) = body.unwrap_or_default();
        Gathered {
            bytes: (!bytes.is_empty()).then(|| bytes.into()),
            trailers: trailers.map(|trailers| fields::to_map(&trailers)),
        }
    }
}

impl Body for Gathered {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match self.bytes.take() {
            Some(bytes) => Some(Frame::data(bytes)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self.trailers {
            // Trailers come behind chunks, and those have no length.
            Some(_) => http_body::SizeHint::default(),
            None => http_body::SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// The roots that browsers trust.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| trusting(browsers()));

fn browsers() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// What servers are known by.
#[derive(Clone)]
pub struct Trust(Option<Arc<ClientConfig>>);

impl Trust {
    /// The roots that browsers trust.
    pub const BROWSERS: Trust = Trust(None);

    /// Those, and the certificates of this file (PEM). An error says what is wrong with it.
    pub fn with(file: &Path) -> Result<Trust, String> {
        let mut roots = browsers();
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())? {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.len() == before {
            return Err("no certificate found".to_owned());
        }
        Ok(Trust(Some(trusting(roots))))
    }

    /// As the client takes it.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.clone().unwrap_or_else(|| TLS.clone())
    }
}

fn tls(error: &std::io::Error) -> ErrorCode {
    use tokio_rustls::rustls::Error;
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => ErrorCode::TlsCertificateError,
        Some(_) => ErrorCode::TlsProtocolError,
        None => of_io(error),
    }
}

fn of_io(error: &std::io::Error) -> ErrorCode {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ErrorCode::DestinationIpUnroutable,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof => {
            ErrorCode::ConnectionTerminated
        }
        _ => ErrorCode::DestinationUnavailable,
    }
}

fn of_hyper(error: &hyper::Error) -> ErrorCode {
    if error.is_parse_too_large() {
        ErrorCode::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() {
        ErrorCode::HttpProtocolError
    } else if error.is_incomplete_message() || is_cut_short(error) {
        ErrorCode::HttpResponseIncomplete
    } else {
        ErrorCode::ConnectionTerminated
    }
}

/// The body ended before the length that was said.
fn is_cut_short(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::UnexpectedEof)
}
