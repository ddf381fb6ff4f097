//! `/v1/dead-letters`, `/v1/actors/{id}/dead-letters`: messages that found no good end, sent again or removed.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use troupe_log::ActorId;
use troupe_runtime::actor::message::{MessageId, MessageKind};
use troupe_runtime::node;
use troupe_runtime::service::queues::of_owner;

use crate::error::ApiError;
use crate::serve::Api;
use crate::wire::{Accepted, DeadLetter, Payload};

/// A dead letter in the path.
pub(crate) struct Letter(ActorId, MessageId);

impl<S: Send + Sync> FromRequestParts<S> for Letter {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::invalid(why, "the path is /v1/actors/ID/dead-letters/MESSAGE");
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((actor, message)) = path.map_err(|e| bad(e.to_string()))?;
        let actor = owner(&actor).map_err(bad)?;
        let digits = message.len() == 32 && message.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(&message, 16).ok().filter(|_| digits);
        let id = number.ok_or_else(|| bad(format!("`{message}` is no message id: 32 hexadecimal digits")))?;
        Ok(Letter(actor, MessageId(id)))
    }
}

/// Whose letters are in the path: an actor's, or those of a queue as `@queue.NAME`.
pub(crate) struct Owner(ActorId);

impl<S: Send + Sync> FromRequestParts<S> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let bad = |why: String| ApiError::invalid(why, "letters are those of an actor, or of a queue: `@queue.NAME`");
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|e| bad(e.to_string()))?;
        owner(&id).map(Owner).map_err(bad)
    }
}

fn owner(text: &str) -> Result<ActorId, String> {
    let queue = ActorId::reserved(text).ok().filter(|id| of_owner(id).is_some());
    match queue {
        Some(owner) => Ok(owner),
        None => ActorId::parse(text).map_err(|e| e.to_string()),
    }
}

/// `GET /v1/dead-letters`
pub(crate) async fn all(State(api): State<Api>) -> Result<Json<Vec<DeadLetter>>, ApiError> {
    Ok(Json(api.node.dead_letters().await?.iter().map(line).collect()))
}

/// `GET /v1/actors/{id}/dead-letters`
pub(crate) async fn of(State(api): State<Api>, Owner(id): Owner) -> Result<Json<Vec<DeadLetter>>, ApiError> {
    let letters = api.node.dead_letters_of(&id).await?;
    if letters.is_empty() && of_owner(&id).is_none() {
        // One that was never there is an error; one that has none is not.
        api.node.actor(&id).await?;
    }
    Ok(Json(letters.iter().map(line).collect()))
}

/// `GET /v1/actors/{id}/dead-letters/{message}`
pub(crate) async fn show(State(api): State<Api>, Letter(actor, message): Letter) -> Result<Json<DeadLetter>, ApiError> {
    let letter = api.node.dead_letter(&actor, message).await?;
    let payload = Some(Payload::of(&letter.message.payload));
    Ok(Json(DeadLetter { payload, headers: letter.message.headers.clone(), ..line(&letter) }))
}

/// `DELETE /v1/actors/{id}/dead-letters/{message}`
pub(crate) async fn remove(State(api): State<Api>, Letter(actor, message): Letter) -> Result<StatusCode, ApiError> {
    api.node.drop_dead_letter(&actor, message).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/actors/{id}/dead-letters/{message}/resend`
pub(crate) async fn resend(State(api): State<Api>, Letter(actor, message): Letter) -> Result<Json<Accepted>, ApiError> {
    api.node.dead_letter(&actor, message).await?;
    api.node.resend(&actor, message).await?;
    Ok(Json(Accepted { id: message.to_string() }))
}

/// Without what can be large.
fn line(letter: &node::DeadLetter) -> DeadLetter {
    let message = &letter.message;
    let kind = match message.kind {
        MessageKind::Call => "call",
        MessageKind::Cast => "cast",
        MessageKind::Info => "info",
    };
    DeadLetter {
        actor: letter.actor.to_string(),
        id: message.id.to_string(),
        why: letter.why.clone(),
        from: message.from.to_string(),
        kind: kind.to_owned(),
        message_type: message.message_type.to_string(),
        bytes: message.payload.len() as u64,
        attempt: message.attempt,
        key: message.key.as_deref().map(str::to_owned),
        headers: Vec::new(),
        payload: None,
    }
}
