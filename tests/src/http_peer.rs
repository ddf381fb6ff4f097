//! A server that tests send requests to: it notes what it is asked, and answers by the path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub version: Version,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// The server.
pub struct Peer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    open: watch::Sender<bool>,
}

impl Peer {
    pub async fn start() -> Peer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (open, held) = watch::channel(false);
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (asked, held) = (asked.clone(), held.clone());
                    tokio::spawn(async move {
                        let answer = service_fn(move |request| answer(request, asked.clone(), held.clone()));
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    });
                }
            }
        });
        Peer { address, asked, open }
    }

    /// The same over TLS, for the name `localhost`; it speaks what of these its client chooses.
    pub async fn start_tls(protocols: &[&str]) -> Peer {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls");
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (open, held) = watch::channel(false);
        tokio::spawn({
            let asked = asked.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (asked, held, tls) = (asked.clone(), held.clone(), tls.clone());
                    tokio::spawn(async move {
                        let Ok(stream) = tls.accept(stream).await else { return };
                        let answer = service_fn(move |request| answer(request, asked.clone(), held.clone()));
                        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                        let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                    });
                }
            }
        });
        Peer { address, asked, open }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it was asked so often.
    pub async fn asked_times(&self, times: usize) {
        while self.asked().len() < times {
            tokio::task::yield_now().await;
        }
    }

    /// Lets go what it holds back, from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

async fn answer(request: Request<Incoming>, asked: Arc<Mutex<Vec<Asked>>>, mut held: watch::Receiver<bool>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or(String::new(), |path| path.to_string());
    if head.uri.path() == "/as-it-comes" {
        asked.lock().unwrap().push(Asked {
            method: head.method.to_string(),
            version: head.version,
            path: path.clone(),
            headers: head.headers.clone(),
            body: Vec::new(),
            trailers: None,
        });
        if path.ends_with("?held") {
            let _ = held.wait_for(|open| *open).await;
        }
        // One that is cut ends the answer in the middle, too.
        let parts = futures_util::stream::unfold(body, |mut body| async move {
            let frame = body.frame().await?;
            Some((Ok(frame.unwrap_or_else(|_| Frame::data(Bytes::from_static(b"(cut)")))), body))
        });
        return Ok(Response::new(BodyExt::boxed(StreamBody::new(parts))));
    }
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    let body = body.to_bytes();
    asked.lock().unwrap().push(Asked {
        method: head.method.to_string(),
        version: head.version,
        path: path.clone(),
        headers: head.headers.clone(),
        body: body.to_vec(),
        trailers: trailers.clone(),
    });
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let mut response = Response::builder().header("x-told", "yes");
    if head.version != Version::HTTP_2 {
        response = response.header("connection", "close");
    }
    let mut frames = vec![Frame::data(body.clone())];
    match path {
        "/hello" => frames = vec![Frame::data(Bytes::from_static(b"hello"))],
        "/held" => {
            let _ = held.wait_for(|open| *open).await;
            frames = vec![Frame::data(Bytes::from_static(b"hello"))];
        }
        "/large" => frames = vec![Frame::data(vec![b'x'; query.parse().unwrap()].into())],
        "/echo" => {
            if let Some(trailers) = trailers {
                response = response.header("trailer", "x-sum");
                frames.push(Frame::trailers(trailers));
            }
        }
        "/away" => response = response.status(302).header("location", "/hello"),
        "/in-two" => {
            // The second part comes when it is let go.
            let parts = futures_util::stream::unfold((0, held), |(part, mut held)| async move {
                match part {
                    0 => Some((Ok(Frame::data(Bytes::from_static(b"ab"))), (1, held))),
                    1 => {
                        let _ = held.wait_for(|open| *open).await;
                        Some((Ok(Frame::data(Bytes::from_static(b"cdef"))), (2, held)))
                    }
                    _ => None,
                }
            });
            return Ok(response.body(BodyExt::boxed(StreamBody::new(parts))).unwrap());
        }
        _ => response = response.status(404),
    }
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
    Ok(response.body(BodyExt::boxed(StreamBody::new(frames))).unwrap())
}
