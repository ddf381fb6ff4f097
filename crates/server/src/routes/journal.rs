//! `/v1/actors/{id}/journal`: the records of an actor, decoded one a line, or its journal as a file; its head, signed.

use std::io;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use troupe_log::{Chain, JournalReader, NodeKey, record};

use crate::error::ApiError;
use crate::export::{self, ExportError};
use crate::extract::Actor;
use crate::jsonl;
use crate::records::Teller;
use crate::serve::Api;
use crate::signed::{self, SignedText};
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
    /// Whether the node signs the head.
    #[serde(default)]
    sign: bool,
    /// The journal file, or lines of JSON.
    #[serde(default)]
    format: Format,
}

/// In which form a journal is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// The journal file.
    #[default]
    Journal,
    /// Lines of JSON.
    Jsonl,
}

/// The node's key, which is made when it is first asked for.
async fn key(api: &Api) -> Result<NodeKey, ApiError> {
    let node = api.node.clone();
    let Some(data) = node.data().map(ToOwned::to_owned) else {
        let help = "run it with a data folder: `troupe run --data FOLDER`";
        return Err(ApiError::new(StatusCode::CONFLICT, "no-key", "a node in memory has no key to sign with", help));
    };
    let key = tokio::task::spawn_blocking(move || signed::key(&data, node.entropy()));
    Ok(key.await.map_err(ApiError::internal)??)
}

/// `GET /v1/node/key`: what the node's signatures are checked with.
pub(crate) async fn public(State(api): State<Api>) -> Result<Json<serde_json::Value>, ApiError> {
    let key = key(&api).await?.public().to_string();
    Ok(Json(serde_json::json!({ "key": key })))
}

/// `POST /v1/actors/{id}/journal/sign`: the head that is durable now, signed, once the whole journal was checked.
pub(crate) async fn sign(State(api): State<Api>, Actor(id): Actor) -> Result<Json<SignedText>, ApiError> {
    let key = key(&api).await?;
    let actor = api.node.actor(&id).await?;
    // Waits until all of it is durable.
    let journal = api.node.journal(&id).await?;
    let time = api.node.wall_time();
    let signed = tokio::task::spawn_blocking(move || {
        let tip = Chain { next: actor.next, head: actor.head };
        export::sign(journal, tip, export::Signing { key: &key, time })
    });
    Ok(Json(signed.await.map_err(ApiError::internal)??.into()))
}

/// `GET /v1/actors/{id}/journal/export?component=true&sign=true&format=jsonl`: a journal file, or lines.
pub(crate) async fn file(
    State(api): State<Api>,
    Actor(id): Actor,
    with: Result<Query<With>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(with) = with.map_err(|e| {
        ApiError::invalid(e, "the query is empty, or of component=true, sign=true, format=journal|jsonl")
    })?;
    let key = if with.sign { Some(key(&api).await?) } else { None };
    let journal = api.node.journal(&id).await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let out = std::io::BufWriter::with_capacity(PART, Parts(sender.clone()));
        let signing = key.as_ref().map(|key| export::Signing { key, time: api.node.wall_time() });
        let done = match with.format {
            Format::Journal => export::export(journal, &**api.node.store(), with.component, signing, out),
            Format::Jsonl => jsonl::export(journal, api.node.registry(), signing, out),
        };
        if let Err(e) = done {
            let _ = sender.blocking_send(Err(e.to_string()));
        }
    });
    let kind = match with.format {
        Format::Journal => "application/octet-stream",
        Format::Jsonl => "application/x-ndjson",
    };
    Ok(([(CONTENT_TYPE, kind)], body(receiver)).into_response())
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
