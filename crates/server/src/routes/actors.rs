//! `/v1/actors`: list, start from a manifest, stop.

use axum::Json as Out;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use troupe_log::{ActorId, Digest};
use troupe_runtime::manifest::{ComponentRef, Manifest};

use crate::error::ApiError;
use crate::extract::{Actor, Json};
use crate::serve::Api;
use crate::wire::{ActorInfo, StartReply, StartRequest, Started};

/// `GET /v1/actors`
pub(crate) async fn list(State(api): State<Api>) -> Result<Out<Vec<ActorInfo>>, ApiError> {
    let shown = |actor: troupe_runtime::node::ActorInfo| ActorInfo {
        id: actor.id.to_string(),
        incarnation: actor.incarnation.0,
        component: actor.component.to_string(),
        status: actor.status.to_owned(),
        reason: actor.reason,
        mode: actor.mode.to_string(),
        mailbox: actor.mailbox as u64,
        records: actor.next.0,
        head: actor.head.to_string(),
        base: actor.base.map(|base| base.0),
        no_base: actor.no_base,
        turns: actor.turns,
        faults: actor.faults,
        supervisor: actor.supervisor,
        last_fault: actor.last_fault,
    };
    Ok(Out(api.node.list().await?.into_iter().map(shown).collect()))
}

/// `POST /v1/actors`: all actors of the manifest, in its order; the first that does not start ends it.
pub(crate) async fn start(
    State(api): State<Api>,
    Json(request): Json<StartRequest>,
) -> Result<Out<StartReply>, ApiError> {
    let manifest = read(request.clone()).await?;
    let started = api.node.start_manifest(manifest, request.fresh).await?.into_iter().map(|started| Started {
        id: started.id.to_string(),
        incarnation: started.incarnation.0,
        resumed: started.resumed,
        changed: started.changed,
    });
    Ok(Out(StartReply { actors: started.collect() }))
}

/// Reads the manifest, away from the threads that run actors: it looks at files.
async fn read(request: StartRequest) -> Result<Manifest, ApiError> {
    let parsed = tokio::task::spawn_blocking(move || {
        let name = request.name.as_deref().unwrap_or("the manifest");
        let folder = request.folder.as_deref().filter(|folder| folder.is_absolute());
        let mut manifest = Manifest::parse(&request.manifest, name, folder)?;
        if request.id.is_none() && request.component.is_none() {
            return Ok(manifest);
        }
        let actors = manifest.actors.len();
        let (None, [actor]) = (&manifest.application, manifest.actors.as_mut_slice()) else {
            return Err(ApiError::invalid(
                format!("the manifest has {actors} actors, so `id` and `component` cannot speak of one"),
                "leave them out",
            ));
        };
        if let Some(id) = &request.id {
            actor.id = ActorId::parse(id).map_err(|e| ApiError::invalid(e, ""))?;
        }
        if let Some(component) = &request.component {
            let digest = component.parse::<Digest>().map_err(|e| ApiError::invalid(e, ""))?;
            actor.component = ComponentRef::Digest(digest);
        }
        Ok(manifest)
    });
    parsed.await.map_err(ApiError::internal)?
}

/// The query of a stop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    /// Cuts the turn in progress instead of waiting for its end.
    #[serde(default)]
    now: bool,
}

/// `DELETE /v1/actors/{id}?now=true`
pub(crate) async fn stop(
    State(api): State<Api>,
    Actor(id): Actor,
    how: Result<Query<How>, axum::extract::rejection::QueryRejection>,
) -> Result<StatusCode, ApiError> {
    let Query(how) = how.map_err(|e| ApiError::invalid(e, "the query is empty, or ?now=true"))?;
    if how.now {
        api.node.stop_now(&id, "stopped over the API, now").await?;
    } else {
        api.node.stop(&id, "stopped over the API").await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
