//! `/v1/actors/{id}/call`, `/send` and `/typed`: messages from outside.
//!
//! With the header `troupe-type` the body is the payload, and so is the answer's; without it the body is JSON, and so is
//! the answer.

use axum::Json as Out;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use troupe_runtime::manifest::units::parse_duration;
use troupe_runtime::node::Outgoing;

use crate::error::ApiError;
use crate::extract::{Actor, Json, Whole, from_json, header};
use crate::serve::Api;
use crate::wire::{Accepted, DEADLINE, KEY, MessageRequest, Payload, TYPE, TypedReply, TypedRequest};

/// `POST /v1/actors/{id}/call`
pub(crate) async fn call(
    State(api): State<Api>,
    Actor(id): Actor,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    let (request, raw) = message(&headers, &body)?;
    let answer = api.node.call(&id, request).await?;
    Ok(if raw { answer.into_response() } else { Out(Payload::of(&answer)).into_response() })
}

/// `POST /v1/actors/{id}/send`
pub(crate) async fn send(
    State(api): State<Api>,
    Actor(id): Actor,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Out<Accepted>, ApiError> {
    let (request, _) = message(&headers, &body)?;
    if request.key.is_some() {
        return Err(ApiError::invalid(
            "an idempotency key is for calls; this message would be applied each time",
            "call it, or leave the key out",
        ));
    }
    let accepted = api.node.cast(&id, request).await?;
    Ok(Out(Accepted { id: accepted.to_string() }))
}

/// `POST /v1/actors/{id}/typed`
pub(crate) async fn typed(
    State(api): State<Api>,
    Actor(id): Actor,
    headers: HeaderMap,
    Json(request): Json<TypedRequest>,
) -> Result<Out<TypedReply>, ApiError> {
    let call = Outgoing::new(request.function, []);
    let call = about(call, &headers, request.deadline.as_deref(), request.key.as_deref())?;
    let result = api.node.call_typed_with(&id, call, &request.arguments).await?;
    Ok(Out(TypedReply { result }))
}

/// The message of a request, and whether its body was the payload itself.
fn message(headers: &HeaderMap, body: &[u8]) -> Result<(Outgoing, bool), ApiError> {
    let (request, payload, raw) = match header(headers, TYPE)? {
        Some(message_type) => {
            let text = |name| header(headers, name).map(|text| text.map(str::to_owned));
            let request = MessageRequest {
                message_type: message_type.to_owned(),
                payload: Payload::default(),
                deadline: text(DEADLINE)?,
                key: text(KEY)?,
            };
            (request, body.to_vec(), true)
        }
        None => {
            let request: MessageRequest = from_json(body)?;
            let payload = request.payload.bytes().map_err(|why| ApiError::invalid(why, "give one of the two"))?;
            (request, payload, false)
        }
    };
    let message = Outgoing::new(request.message_type, payload);
    Ok((about(message, headers, request.deadline.as_deref(), request.key.as_deref())?, raw))
}

/// A message with what stands beside its payload.
fn about(
    mut message: Outgoing,
    headers: &HeaderMap,
    deadline: Option<&str>,
    key: Option<&str>,
) -> Result<Outgoing, ApiError> {
    if let Some(text) = deadline {
        let deadline = parse_duration(text).filter(|d| !d.is_zero()).ok_or_else(|| {
            ApiError::invalid(format!("the deadline `{text}` is no duration"), "write it like 500ms, 5s or 1m")
        })?;
        message = message.timeout(deadline);
    }
    if let Some(key) = key {
        message = message.key(key);
    }
    if let Some(trace) = header(headers, "traceparent")? {
        if trace.len() > 128 || !trace.is_ascii() {
            return Err(ApiError::invalid("the header traceparent is too long", "send it as W3C Trace Context has it"));
        }
        message.trace = Some(trace.into());
        message.headers.push(("traceparent".to_owned(), trace.to_owned()));
    }
    Ok(message)
}
