//! `/v1/actors/{id}/export` and `/v1/import`: an actor leaves this node, or comes to it, as a file.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::error::ApiError;
use crate::extract::{Actor, Whole};
use crate::serve::Api;
use crate::wire::Imported;

/// The query of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct With {
    /// Whether the components go along.
    #[serde(default)]
    component: bool,
}

/// `POST /v1/actors/{id}/export?component=true`: an actor file. Asked again, the same one.
pub(crate) async fn export(
    State(api): State<Api>,
    Actor(id): Actor,
    with: Result<Query<With>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(with) = with.map_err(|e| ApiError::invalid(e, "the query is empty, or ?component=true"))?;
    let file = api.node.export_actor(&id, with.component).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], file).into_response())
}

/// `POST /v1/actors/{id}/export/abort`: it goes on here.
pub(crate) async fn abort(State(api): State<Api>, Actor(id): Actor) -> Result<StatusCode, ApiError> {
    api.node.abort_move(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/import`: an actor file.
pub(crate) async fn import(State(api): State<Api>, Whole(file): Whole) -> Result<Json<Imported>, ApiError> {
    let came = api.node.import_actor(file.into()).await?;
    Ok(Json(Imported {
        id: came.id.to_string(),
        incarnation: came.incarnation.0,
        records: came.next.0,
        mailbox: came.waiting as u64,
    }))
}
