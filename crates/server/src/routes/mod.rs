//! The routes, a file for each part of the path. To add one: its file, and a line here.
//!
//! Every answer shows state or says what happened, so each is an output in the sense of docs/semantics.md, Gate; the node's
//! functions that are called here return only when their gate is open.

mod actors;
mod applications;
mod calls;
mod components;
mod dead;
mod journal;
mod moving;
mod node;
mod queues;
mod topics;
mod upgrade;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;
use troupe_log::actor_file::MOST;

use crate::error::ApiError;
use crate::serve::{Api, GRACE};

/// The most that a body of JSON without a payload may have: a manifest, escaped.
const MAX_JSON: usize = 4 << 20;
/// The most that a message's body may have: the largest payload in base64, and a little.
const MAX_MESSAGE: usize = 360 << 20;
/// The most that a component may have.
const MAX_COMPONENT: usize = 256 << 20;

/// So much more than its limit is read of a body, and dropped, so that its sender hears why it was refused.
const DRAINED: usize = 16 << 20;

/// All routes.
pub(crate) fn all() -> Router<Api> {
    let small = Router::new()
        .route("/v1/node", get(node::show))
        .route("/v1/node/key", get(journal::public))
        .route("/v1/node/stop", post(node::stop))
        .route("/v1/actors", get(actors::list).post(actors::start))
        .route("/v1/actors/{id}", delete(actors::stop))
        .route("/v1/actors/{id}/snapshot", post(upgrade::snapshot))
        .route("/v1/actors/{id}/upgrade", post(upgrade::upgrade))
        .route("/v1/actors/{id}/export", post(moving::export))
        .route("/v1/actors/{id}/export/abort", post(moving::abort))
        .route("/v1/applications", get(applications::list))
        .route("/v1/applications/{name}", get(applications::show).delete(applications::remove))
        .route("/v1/applications/{name}/stop", post(applications::stop))
        .route("/v1/actors/{id}/typed", post(calls::typed))
        .route("/v1/dead-letters", get(dead::all))
        .route("/v1/actors/{id}/dead-letters", get(dead::of))
        .route("/v1/actors/{id}/dead-letters/{message}", get(dead::show).delete(dead::remove))
        .route("/v1/actors/{id}/dead-letters/{message}/resend", post(dead::resend))
        .route("/v1/queues", get(queues::list))
        .route("/v1/queues/{queue}", get(queues::show))
        .route("/v1/queues/{queue}/receive", post(queues::receive))
        .route("/v1/queues/{queue}/ack", post(queues::ack))
        .route("/v1/queues/{queue}/nack", post(queues::nack))
        .route("/v1/queues/{queue}/extend", post(queues::extend))
        .route("/v1/actors/{id}/journal", get(journal::show))
        .route("/v1/actors/{id}/journal/verify", get(journal::verify))
        .route("/v1/actors/{id}/journal/sign", post(journal::sign))
        .route("/v1/actors/{id}/journal/export", get(journal::file));
    let messages = Router::new()
        .route("/v1/actors/{id}/call", post(calls::call))
        .route("/v1/actors/{id}/send", post(calls::send))
        .route("/v1/queues/{queue}/send", post(queues::send))
        .route("/v1/topics/{topic}/publish", post(topics::publish));
    let components = Router::new().route("/v1/components", post(components::load));
    let actors = Router::new().route("/v1/import", post(moving::import));
    bounded(small, MAX_JSON)
        .merge(bounded(messages, MAX_MESSAGE))
        .merge(bounded(components, MAX_COMPONENT))
        .merge(bounded(actors, MOST as usize))
}

/// Routes whose bodies have a limit: one that announces more is refused at once, any other when it passes it.
fn bounded(routes: Router<Api>, most: usize) -> Router<Api> {
    routes.layer(DefaultBodyLimit::max(most)).layer(from_fn_with_state(most, announced))
}

async fn announced(State(most): State<usize>, request: Request, next: Next) -> Response {
    let length = request.body().size_hint().lower();
    if length <= most as u64 {
        return next.run(request).await;
    }
    if length <= (most + DRAINED) as u64 {
        // A client that is still writing when the connection is closed never reads the answer.
        let mut body = request.into_body();
        let _ = timeout(GRACE, async { while let Some(Ok(_)) = body.frame().await {} }).await;
    }
    ApiError::too_large(most).into_response()
}
