//! `/v1/topics/{topic}/publish`: an item for everybody who has subscribed.

use axum::Json as Out;
use axum::extract::State;
use axum::http::HeaderMap;
use troupe_runtime::node::channels::ForChannel;

use super::queues::{Channel, message};
use crate::error::ApiError;
use crate::extract::{Whole, from_json, header};
use crate::serve::Api;
use crate::wire::{Published, TYPE};

/// `POST /v1/topics/{topic}/publish`
pub(crate) async fn publish(
    State(api): State<Api>,
    Channel(topic): Channel,
    headers: HeaderMap,
    Whole(body): Whole,
) -> Result<Out<Published>, ApiError> {
    let item = match header(&headers, TYPE)? {
        Some(message_type) => ForChannel::new(message_type, body.to_vec()),
        None => message(from_json(&body)?)?,
    };
    if !item.headers.is_empty() || !item.delay.is_zero() || item.ttl.is_some() {
        return Err(ApiError::invalid(
            "an item of a topic has no headers, no delay and no time to live",
            "leave them out, or send to a queue",
        ));
    }
    let (id, subscribers) = api.node.publish(&topic, item).await?;
    Ok(Out(Published { id: id.to_string(), subscribers: subscribers as u64 }))
}
