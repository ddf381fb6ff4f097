//! `/v1/applications`: list, show, stop, forget. They are started by `POST /v1/actors`, with their manifest.

use axum::Json as Out;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use troupe_runtime::node;

use crate::error::ApiError;
use crate::serve::Api;
use crate::wire::{Application, Ended, Member, Note};

/// `GET /v1/applications`
pub(crate) async fn list(State(api): State<Api>) -> Result<Out<Vec<Application>>, ApiError> {
    Ok(Out(api.node.applications().await?.into_iter().map(shown).collect()))
}

/// `GET /v1/applications/{name}`
pub(crate) async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Out<Application>, ApiError> {
    Ok(Out(shown(api.node.application(&name).await?)))
}

/// `POST /v1/applications/{name}/stop`: its actors in the reverse order of their starts.
pub(crate) async fn stop(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    api.node.stop_application(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/applications/{name}`: one that has stopped or failed is shown no more.
pub(crate) async fn remove(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    api.node.remove_application(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(application: node::ApplicationInfo) -> Application {
    let member = |member: node::MemberInfo| Member {
        name: member.name,
        depth: member.depth,
        restart: member.restart.as_str().to_owned(),
        strategy: member.strategy.map(|strategy| strategy.as_str().to_owned()),
        phase: member.phase.to_owned(),
        restarts: member.restarts,
        last: member.last.map(|(cause, why)| Ended { cause: cause.to_owned(), why }),
    };
    Application {
        name: application.name,
        status: application.status.to_owned(),
        reason: application.reason,
        members: application.members.into_iter().map(member).collect(),
        notes: application.notes.into_iter().map(|note| Note { at: note.at.0, text: note.text }).collect(),
    }
}
