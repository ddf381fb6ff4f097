//! `/v1/actors/{id}/snapshot` and `/upgrade`: a base now, and another component between two turns.

use axum::Json as Out;
use axum::extract::State;
use troupe_log::Digest;
use troupe_runtime::manifest::ComponentRef;
use troupe_runtime::node::How;

use crate::error::ApiError;
use crate::extract::{Actor, Json};
use crate::serve::Api;
use crate::wire::{Based, UpgradeRequest, Upgraded};

/// `POST /v1/actors/{id}/snapshot`
pub(crate) async fn snapshot(State(api): State<Api>, Actor(id): Actor) -> Result<Out<Based>, ApiError> {
    Ok(Out(Based { record: api.node.make_base(&id).await?.0 }))
}

/// `POST /v1/actors/{id}/upgrade`
pub(crate) async fn upgrade(
    State(api): State<Api>,
    Actor(id): Actor,
    Json(request): Json<UpgradeRequest>,
) -> Result<Out<Upgraded>, ApiError> {
    let to = match (&request.component, request.rollback) {
        (Some(text), false) => component(text)?,
        (None, true) => ComponentRef::Digest(api.node.before_upgrade(&id)?),
        _ => {
            let help = "give the digest or name@version of a component, or {\"rollback\": true}";
            return Err(ApiError::invalid("one of `component` and `rollback` is wanted, and only one", help));
        }
    };
    let done = if request.check {
        api.node.check_upgrade(&id, &to).await?
    } else {
        let how = if request.by_snapshot { How::Snapshot } else { How::Replay };
        api.node.upgrade(&id, &to, how).await?
    };
    Ok(Out(Upgraded {
        from: done.from.to_string(),
        to: done.to.to_string(),
        record: done.record.map(|record| record.0),
        records: done.replayed.records,
        turns: done.replayed.turns,
    }))
}

/// A component that the node has.
fn component(text: &str) -> Result<ComponentRef, ApiError> {
    if let Some((name, version)) = text.split_once('@') {
        return Ok(ComponentRef::Named { name: name.to_owned(), version: version.to_owned() });
    }
    text.parse::<Digest>().map(ComponentRef::Digest).map_err(|e| ApiError::invalid(e, "or name@version"))
}
