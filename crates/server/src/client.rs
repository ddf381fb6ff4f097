//! The client of the management API: finds the node of a data folder by itself.
//!
//! Keeps connections open between requests and is cheap to clone. Nothing is sent twice: a request goes out again on a new
//! connection only when it is known not to have left.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::endpoint::{self, Endpoint};
use crate::wire::Failure;

/// The most that an answer which is not a stream may have.
const MAX_ANSWER: usize = 1 << 30;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The data folder has no node that answers.
    #[error("no node runs on {}", .data.display())]
    NotRunning {
        /// The data folder.
        data: PathBuf,
    },
    /// The file that says where the node is cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Endpoint {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The node said no.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The connection broke before the answer was whole: what was asked may or may not have happened.
    #[error("the connection to the node broke: {0}")]
    Broken(String),
    /// What answered is no node, or one of another version.
    #[error("what answers at the node's address does not speak its language: {0}")]
    NotANode(String),
}

type Sender = SendRequest<Full<Bytes>>;

/// A connection to one node.
#[derive(Clone, Debug)]
pub struct Client {
    data: PathBuf,
    endpoint: Endpoint,
    idle: Arc<Mutex<Vec<Sender>>>,
}

impl Client {
    /// The node of a data folder, as its `api.json` names it. Does not connect yet.
    pub fn find(data: &Path) -> Result<Self, ClientError> {
        let read =
            Endpoint::read(data).map_err(|source| ClientError::Endpoint { path: endpoint::path(data), source })?;
        match read {
            Some(endpoint) => Ok(Self { data: data.to_owned(), endpoint, idle: Arc::default() }),
            None => Err(ClientError::NotRunning { data: data.to_owned() }),
        }
    }

    /// Where the node listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let response = self.send(Method::GET, path, &[], Bytes::new()).await?;
        from_json(&response)
    }

    /// Sends JSON, asks for JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::NotANode(e.to_string()))?;
        let json = [(CONTENT_TYPE.as_str(), "application/json")];
        let response = self.send(Method::POST, path, &json, body.into()).await?;
        from_json(&response)
    }

    /// Sends bytes, asks for bytes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let (sender, response) = self.request(method, path, headers, body).await?;
        let bytes = collect(response).await?;
        self.idle.lock().push(sender);
        Ok(bytes)
    }

    /// Asks for a stream, such as a journal.
    pub async fn stream(&self, path: &str) -> Result<Stream, ClientError> {
        let (sender, response) = self.request(Method::GET, path, &[], Bytes::new()).await?;
        Ok(Stream { body: response.into_body(), _sender: sender })
    }

    /// Sends a request; an answer that is not 2xx is an error.
    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(Sender, Response<Incoming>), ClientError> {
        // Asking twice for something that is only read does no harm.
        let repeatable = method == Method::GET;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.endpoint.address.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.endpoint.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body)).map_err(|e| {
            ClientError::Refused(Failure {
                code: "invalid-argument".to_owned(),
                message: format!("this cannot be sent: {e}"),
                help: "types and keys are one line of text".to_owned(),
                committed: None,
            })
        })?;
        loop {
            let pooled = self.idle.lock().pop();
            let fresh = pooled.is_none();
            let mut sender = match pooled {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            if sender.ready().await.is_err() && !fresh {
                continue;
            }
            let copy = (repeatable && !fresh).then(|| request.clone());
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, accepted(response).await?)),
                Err(mut e) => match (e.take_message(), copy) {
                    // It never left. A kept connection may have been closed meanwhile; a new one has no such excuse.
                    (Some(unsent), _) if !fresh => request = unsent,
                    (None, Some(copy)) => request = copy,
                    _ => return Err(ClientError::Broken(e.into_error().to_string())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Sender, ClientError> {
        let stream = TcpStream::connect(self.endpoint.address)
            .await
            .map_err(|_| ClientError::NotRunning { data: self.data.clone() })?;
        // Without this small requests wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|e| ClientError::NotANode(e.to_string()))?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A body that comes in pieces.
#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    _sender: Sender,
}

impl Stream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(ClientError::Broken(e.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes = collect(response).await?;
    match serde_json::from_slice::<Failure>(&bytes) {
        Ok(failure) => Err(ClientError::Refused(failure)),
        Err(_) => Err(ClientError::NotANode(format!("{status} without a reason"))),
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    let whole = body.collect().await.map_err(|e| ClientError::Broken(e.to_string()))?;
    Ok(whole.to_bytes())
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|e| ClientError::NotANode(e.to_string()))
}

/// An actor's id as one part of a path.
pub fn segment(id: &str) -> String {
    let mut out = String::with_capacity(id.len() + 2);
    for b in id.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_part_of_a_path() {
        assert_eq!(segment("default/counter-1"), "default%2Fcounter-1");
        assert_eq!(segment("a?b#c d%"), "a%3Fb%23c%20d%25");
    }

    #[tokio::test]
    async fn a_folder_without_a_node_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let e = Client::find(dir.path()).unwrap_err();
        assert!(matches!(e, ClientError::NotRunning { .. }), "{e}");
        // A port that nobody listens on: bound, then let go.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Endpoint { address, token: "t".into(), pid: 1 }.write(dir.path()).unwrap();
        let e = Client::find(dir.path()).unwrap().get::<u8>("/v1/node").await.unwrap_err();
        assert!(matches!(e, ClientError::NotRunning { .. }), "{e}");
    }
}
