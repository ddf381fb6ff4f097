//! `/v1/actors/{id}/journal`: the records of an actor, decoded one a line, or its journal as a file.

use std::io;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use troupe_log::{JournalReader, record};

use crate::error::ApiError;
use crate::export::{self, ExportError};
use crate::extract::Actor;
use crate::records::Teller;
use crate::serve::Api;
use crate::wire::Verified;

/// The parts of an answer that may be made before the client takes them.
const AHEAD: usize = 4;
/// Bytes of one part of a file.
const PART: usize = 64 << 10;

/// The query of a journal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Range {
    /// The first record.
    #[serde(default)]
    from: u64,
}

/// `GET /v1/actors/{id}/journal?from=N`: NDJSON.
pub(crate) async fn show(
    State(api): State<Api>,
    Actor(id): Actor,
    range: Result<Query<Range>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(range) = range.map_err(|e| ApiError::invalid(e, "the query is empty, or ?from=SEQ"))?;
    let journal = api.node.journal(&id).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || lines(journal, &api, range.from, &sender));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body(receiver)).into_response())
}

/// `GET /v1/actors/{id}/journal/verify`: checked against the tip that the node has of it.
pub(crate) async fn verify(State(api): State<Api>, Actor(id): Actor) -> Result<Json<Verified>, ApiError> {
    // Taken first: what is added meanwhile is behind this tip and is left out.
    let actor = api.node.actor(&id).await?;
    let journal = api.node.journal(&id).await?;
    let verified = tokio::task::spawn_blocking(move || -> Result<Verified, ExportError> {
        let bytes = journal.read_all()?;
        let before: usize = record::records(&bytes)
            .map_while(Result::ok)
            .take_while(|r| r.seq < actor.next)
            .map(|r| r.bytes.len())
            .sum();
        Ok(export::verify(actor.id.as_str(), &bytes[..before], actor.next, actor.head))
    });
    Ok(Json(verified.await.map_err(ApiError::internal)??))
}

/// The query of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct With {
    /// Whether the component goes along.
    #[serde(default)]
    component: bool,
}

/// `GET /v1/actors/{id}/journal/export?component=true`: a journal file.
pub(crate) async fn file(
    State(api): State<Api>,
    Actor(id): Actor,
    with: Result<Query<With>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(with) = with.map_err(|e| ApiError::invalid(e, "the query is empty, or ?component=true"))?;
    let journal = api.node.journal(&id).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let out = std::io::BufWriter::with_capacity(PART, Parts(sender.clone()));
        if let Err(e) = export::export(journal, &**api.node.store(), with.component, out) {
            let _ = sender.blocking_send(Err(e.to_string()));
        }
    });
    Ok(([(CONTENT_TYPE, "application/octet-stream")], body(receiver)).into_response())
}

/// Writes into an answer.
struct Parts(mpsc::Sender<Result<Bytes, String>>);

impl io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(part)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer that comes in parts.
fn body(receiver: mpsc::Receiver<Result<Bytes, String>>) -> Body {
    Body::from_stream(stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        receiver.recv().await.map(|part| (part, receiver))
    }))
}

/// Reads, decodes and hands over part by part, until the client has all or is gone. An error cuts the answer off, so that
/// nobody takes a part for the whole.
fn lines(mut journal: JournalReader, api: &Api, from: u64, sender: &mpsc::Sender<Result<Bytes, String>>) {
    let mut teller = Teller::new(api.node.registry());
    loop {
        let part = match journal.next_part() {
            Ok(Some((_, part))) => part,
            Ok(None) => return,
            Err(e) => {
                let _ = sender.blocking_send(Err(e.to_string()));
                return;
            }
        };
        let mut text = Vec::new();
        for record in record::records(part) {
            let record = match record {
                Ok(record) => record,
                Err(e) => {
                    let _ = sender.blocking_send(Err(e.to_string()));
                    return;
                }
            };
            let shown = teller.tell(&record);
            if shown.seq >= from && serde_json::to_writer(&mut text, &shown).is_ok() {
                text.push(b'\n');
            }
        }
        if !text.is_empty() && sender.blocking_send(Ok(text.into())).is_err() {
            return;
        }
    }
}
