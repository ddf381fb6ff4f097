//! `/v1/node`: what runs here, and its end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::error::ApiError;
use crate::serve::Api;
use crate::wire::NodeInfo;

/// `GET /v1/node`
pub(crate) async fn show(State(api): State<Api>) -> Result<Json<NodeInfo>, ApiError> {
    Ok(Json(NodeInfo {
        id: api.node.id().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        data: api.node.data().map(std::path::Path::to_owned),
        actors: api.node.list().await?.len(),
    }))
}

/// `POST /v1/node/stop`: the node stops when this answer is out.
pub(crate) async fn stop(State(api): State<Api>) -> StatusCode {
    api.stop.send_replace(true);
    StatusCode::ACCEPTED
}
