//! `/v1/queues`: what is sent to queues and taken from them from outside.
//!
//! With the header `troupe-type` the body of a message is the payload itself; without it the body is JSON, with one message or
//! with several.

use std::time::Duration;

use axum::Json as Out;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use troupe_log::ActorId;
use troupe_runtime::manifest::units::parse_duration;
use troupe_runtime::node::channels::{self, ForChannel, Receiving};

use crate::error::ApiError;
use crate::extract::{Json, Whole, from_json, header};
use crate::serve::Api;
use crate::wire::{
    ChannelMessage, Delivery, ExtendRequest, NackRequest, Payload, QueueInfo, ReceiptRequest, SendRequest, Sent, TYPE,
};

/// A queue or a topic in the path; `name` is `default/name`, and a `/` is written `%2F`.
pub(crate) struct Channel(pub(crate) ActorId);

impl<S: Send + Sync> FromRequestParts<S> for Channel {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::invalid(why, "a queue or topic is `name` or `namespace%2Fname` in the path");
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| bad(e.to_string()))?;
        ActorId::parse(&name).map(Self).map_err(|e| bad(e.to_string()))
    }
}

/// `GET /v1/queues`
pub(crate) async fn list(State(api): State<Api>) -> Result<Out<Vec<QueueInfo>>, ApiError> {
    Ok(Out(api.node.queues().await?.iter().map(info).collect()))
}

/// `GET /v1/queues/{queue}`
pub(crate) async fn show(State(api): State<Api>, Channel(queue): Channel) -> Result<Out<QueueInfo>, ApiError> {
    Ok(Out(info(&api.node.queue(&queue).await?)))
}

fn info(info: &channels::QueueInfo) -> QueueInfo {
    QueueInfo {
        queue: info.queue.to_string(),
        depth: info.depth,
        available: info.available,
        delivered: info.delivered,
        bytes: info.bytes,
        waiting: info.waiting,
    }
}

/// `POST /v1/queues/{queue}/send`
pub(crate) async fn send(
    State(api): State<Api>,
    Channel(queue): Channel,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Out<Sent>, ApiError> {
    let messages = match header(&headers, TYPE)? {
        Some(message_type) => vec![ForChannel::new(message_type, body.to_vec())],
        None => {
            let request: SendRequest = from_json(&body)?;
            match request.messages {
                Some(messages) => messages.into_iter().map(message).collect::<Result<_, _>>()?,
                None => vec![message(request.message)?],
            }
        }
    };
    let ids = api.node.send_to_queue(&queue, messages).await?;
    Ok(Out(Sent { ids: ids.iter().map(ToString::to_string).collect() }))
}

/// A message as it came in JSON.
pub(crate) fn message(message: ChannelMessage) -> Result<ForChannel, ApiError> {
    let payload = message.payload.bytes().map_err(|why| ApiError::invalid(why, "give one of the two"))?;
    Ok(ForChannel {
        message_type: message.message_type,
        payload,
        headers: message.headers,
        delay: time(message.delay.as_deref())?.unwrap_or_default(),
        ttl: time(message.ttl.as_deref())?,
    })
}

fn time(text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    text.map(|text| {
        let none = || ApiError::invalid(format!("`{text}` is no duration"), "write it like 500ms, 5s or 1m");
        parse_duration(text).ok_or_else(none)
    })
    .transpose()
}

/// The query of a receive.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    max: Option<usize>,
    wait: Option<String>,
    visibility: Option<String>,
}

/// `POST /v1/queues/{queue}/receive?max=1&wait=5s&visibility=30s`
pub(crate) async fn receive(
    State(api): State<Api>,
    Channel(queue): Channel,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Out<Vec<Delivery>>, ApiError> {
    let Query(wanted) = wanted.map_err(|e| ApiError::invalid(e.body_text(), "it has max, wait and visibility"))?;
    let receiving = Receiving {
        max: wanted.max.unwrap_or(1),
        wait: Some(time(wanted.wait.as_deref())?.unwrap_or_default()),
        visibility: time(wanted.visibility.as_deref())?,
    };
    let deliveries = api.node.receive_from_queue(&queue, receiving).await?;
    Ok(Out(deliveries.iter().map(delivery).collect()))
}

fn delivery(delivery: &channels::Delivery) -> Delivery {
    let message = &delivery.message;
    Delivery {
        id: message.id.to_string(),
        receipt: delivery.receipt.to_string(),
        message_type: message.message_type.to_string(),
        attempt: delivery.attempt,
        from: message.from.to_string(),
        headers: message.headers.clone(),
        payload: Payload::of(&message.payload),
    }
}

/// `POST /v1/queues/{queue}/ack`
pub(crate) async fn ack(
    State(api): State<Api>,
    Channel(queue): Channel,
    Json(request): Json<ReceiptRequest>,
) -> Result<StatusCode, ApiError> {
    api.node.ack(&queue, &request.receipt).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/queues/{queue}/nack`
pub(crate) async fn nack(
    State(api): State<Api>,
    Channel(queue): Channel,
    Json(request): Json<NackRequest>,
) -> Result<StatusCode, ApiError> {
    api.node.nack(&queue, &request.receipt, request.dead).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/queues/{queue}/extend`
pub(crate) async fn extend(
    State(api): State<Api>,
    Channel(queue): Channel,
    Json(request): Json<ExtendRequest>,
) -> Result<StatusCode, ApiError> {
    let visibility = time(Some(&request.visibility))?.unwrap_or_default();
    api.node.extend(&queue, &request.receipt, visibility).await?;
    Ok(StatusCode::NO_CONTENT)
}
