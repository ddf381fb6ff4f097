//! The server: listens on loopback, writes `api.json`, lets in whoever has the token, stops in order.
//!
//! Every request without the token is refused before its body is read. Stopping takes no new request, lets those in work
//! end for [`GRACE`], and then goes.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use troupe_runtime::env::Entropy;
use troupe_runtime::node::Node;

use crate::endpoint::{self, Endpoint};
use crate::error::{ApiError, Error};
use crate::routes;
use crate::token::Token;

/// How long requests in work may take once the server stops.
pub const GRACE: Duration = Duration::from_secs(5);

/// What routes know.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) node: Node,
    pub(crate) stop: watch::Sender<bool>,
}

/// A place to listen at, taken. Clients wait there until the server starts.
#[derive(Debug)]
pub struct Place {
    listener: TcpListener,
    address: SocketAddr,
}

impl Place {
    /// Takes a loopback address; port 0 is any free one.
    pub async fn take(address: SocketAddr) -> Result<Self, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback { address });
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => Error::InUse { address },
            _ => Error::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// A node's API, listening.
#[derive(Debug)]
pub struct Server {
    endpoint: Endpoint,
    data: Option<PathBuf>,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves a node, and says in `data` where.
    pub fn start(place: Place, node: Node, data: Option<&Path>, entropy: &dyn Entropy) -> Result<Self, Error> {
        let token = Token::new(entropy);
        let endpoint = Endpoint { address: place.address, token: token.as_str().to_owned(), pid: std::process::id() };
        let (stop, mut stopped) = watch::channel(false);
        let app = app(Api { node, stop: stop.clone() }, token);
        let listener = place.listener.tap_io(|io| {
            // Without this small answers wait for the acknowledgement of the one before.
            let _ = io.set_nodelay(true);
        });
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        if let Some(data) = data {
            let written = crate::signed::clear(data).and_then(|()| endpoint.write(data));
            written.map_err(|source| Error::Endpoint { path: endpoint::path(data), source })?;
        }
        let task = tokio::spawn(serve.into_future());
        Ok(Self { endpoint, data: data.map(Path::to_owned), stop, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// Ends when somebody has asked over the API that the node stop.
    pub async fn asked_to_stop(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Stops in order. The folder says where the node is until what this gives is dropped: keep it until all is closed.
    pub async fn close(mut self) -> Sign {
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        Sign { endpoint: self.endpoint, data: self.data }
    }
}

/// The file in the data folder that names a node. Removed when this is dropped.
#[derive(Debug)]
pub struct Sign {
    endpoint: Endpoint,
    data: Option<PathBuf>,
}

impl Drop for Sign {
    fn drop(&mut self) {
        if let Some(data) = &self.data {
            self.endpoint.remove(data);
        }
    }
}

/// The routes behind the token.
fn app(api: Api, token: Token) -> Router {
    routes::all()
        .fallback(async || {
            ApiError::new(StatusCode::NOT_FOUND, "no-route", "there is no such route", "docs/api.md lists them")
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "no-route",
                "this route has another method",
                "docs/api.md lists them",
            )
        })
        .with_state(api)
        .layer(from_fn_with_state(token, authorized))
}

async fn authorized(State(token): State<Token>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    if given.is_some_and(|value| token.authorizes(value.as_bytes())) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the request has no token, or a wrong one",
        "send `Authorization: Bearer TOKEN` with the token of api.json in the data folder",
    )
    .into_response()
}
