//! What routes take from a request, with errors in the API's own form.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use troupe_log::ActorId;

use crate::error::ApiError;

/// The whole body, up to the route's limit.
pub struct Whole(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|e| {
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(e.status(), "too-large", "the body is over this route's limit", "send less")
            } else {
                ApiError::invalid(format!("the body was cut short: {e}"), "send it again")
            }
        })
    }
}

/// A body of JSON, whatever its content type says.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Whole(bytes) = Whole::from_request(request, state).await?;
        from_json(&bytes).map(Self)
    }
}

/// Reads JSON.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| {
        ApiError::invalid(format!("the body is not the JSON of this route: {e}"), "docs/api.md has its form")
    })
}

/// The actor in the path; `name` is `default/name`, and a `/` is written `%2F`.
pub struct Actor(pub ActorId);

impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::invalid(why, "an actor is `name` or `namespace%2Fname` in the path");
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| bad(e.to_string()))?;
        ActorId::parse(&id).map(Self).map_err(|e| bad(e.to_string()))
    }
}

/// The text of a header, if it is there.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    match headers.get(name) {
        None => Ok(None),
        Some(value) => std::str::from_utf8(value.as_bytes())
            .map(Some)
            .map_err(|_| ApiError::invalid(format!("the header {name} is not UTF-8"), "send text")),
    }
}
