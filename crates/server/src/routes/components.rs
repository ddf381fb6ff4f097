//! `/v1/components`: bytes in, digest out; with `?name=..&version=..` it goes by that name too.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;

use crate::error::ApiError;
use crate::extract::Whole;
use crate::serve::Api;
use crate::wire::ComponentInfo;

/// The query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    name: Option<String>,
    version: Option<String>,
}

/// `POST /v1/components`
pub(crate) async fn load(
    State(api): State<Api>,
    named: Result<Query<Named>, axum::extract::rejection::QueryRejection>,
    Whole(bytes): Whole,
) -> Result<Json<ComponentInfo>, ApiError> {
    let help = "the query is empty, or ?name=NAME&version=VERSION";
    let Query(named) = named.map_err(|e| ApiError::invalid(e, help))?;
    let info = match (&named.name, &named.version) {
        (Some(name), Some(version)) => api.node.load_as(name, version, &bytes).await?,
        (None, None) => api.node.load(&bytes).await?,
        _ => return Err(ApiError::invalid("a name and a version belong together", help)),
    };
    Ok(Json(ComponentInfo {
        digest: info.digest.to_string(),
        size: info.size,
        contracts: info.contracts(),
        imports: info.imports,
        exports: info.exports,
    }))
}
