//! Where a journal comes from: a file, the node that runs, or the data folder when none runs.
//!
//! A journal file needs neither node nor data folder. A data folder is opened as the log's owner, so two commands on one
//! folder exclude each other, and a node that runs excludes both: that is why the node is asked first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use troupe_log::{ActorId, Chain, Incarnation, JournalReader, NodeKey, Opened, RealDisk, Seq, Store};
use troupe_runtime::env::{Entropy as _, SystemEntropy};
use troupe_server::client::{Client, ClientError, segment};
use troupe_server::{export, signed};

use crate::commands::key::no_key;
use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::opening;

/// What a command was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A journal file.
    File(PathBuf),
    /// An actor.
    Actor(ActorId),
}

impl Of {
    /// A file if there is one of that name, else an actor's id.
    pub fn parse(text: &str, here: &Path) -> Result<Self> {
        let path = here.join(text);
        if path.is_file() {
            return Ok(Self::File(path));
        }
        if text.ends_with(".journal") || text.ends_with(".jsonl") {
            return Err(Failure {
                exit: Exit::Failed,
                ..Failure::usage(
                    format!("there is no file {}", path.display()),
                    "`troupe journal export ACTOR` makes one",
                )
            });
        }
        ActorId::parse(text).map(Self::Actor).map_err(|e| {
            Failure::usage(
                format!("{text} is neither a file nor an actor: {e}"),
                "name a journal file, or an actor as `troupe ps` shows it",
            )
        })
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Actor(id) => id.to_string(),
        }
    }

    /// The bytes of a journal file, the component in it if it can be had.
    pub async fn bytes(&self, context: &Context) -> Result<Vec<u8>> {
        let id = match self {
            Self::File(path) => return std::fs::read(path).map_err(|e| Failure::read(path, &e)),
            Self::Actor(id) => id,
        };
        let mut bytes = Vec::new();
        match Reach::find(context, id).await? {
            Reach::Node(client) => {
                let mut stream = client.stream(&export_path(id, true)).await?;
                while let Some(part) = stream.next().await? {
                    bytes.extend_from_slice(&part);
                }
            }
            Reach::Folder(folder) => {
                let (journal, _) = folder.journal(id)?;
                export::export(journal, &*folder.opened.store, true, None, &mut bytes).map_err(unreadable)?;
            }
        }
        Ok(bytes)
    }
}

/// The route of an actor's journal file.
pub fn export_path(id: &ActorId, component: bool) -> String {
    format!("/v1/actors/{}/journal/export?component={component}", segment(id.as_str()))
}

/// The way to an actor's journal.
pub enum Reach {
    /// The node that runs.
    Node(Client),
    /// The data folder, with no node on it.
    Folder(Box<Folder>),
}

impl Reach {
    /// Asks for the node, and opens the folder if none answers.
    pub async fn find(context: &Context, id: &ActorId) -> Result<Self> {
        let data = context.data()?;
        let client = match Client::find(&data) {
            Ok(client) => client,
            Err(ClientError::NotRunning { .. }) => return Folder::open(context, &data).await,
            Err(e) => return Err(e.into()),
        };
        match client.get::<serde_json::Value>("/v1/node").await {
            Ok(_) => Ok(Self::Node(client)),
            Err(ClientError::NotRunning { .. }) => Folder::open(context, &data).await,
            Err(e) => Err(Failure { message: format!("{id}: {e}"), ..e.into() }),
        }
    }
}

/// A data folder that no node runs on.
pub struct Folder {
    opened: Opened,
    path: PathBuf,
}

impl Folder {
    async fn open(context: &Context, data: &Path) -> Result<Reach> {
        let mut random = [0; 32];
        SystemEntropy.fill(&mut random);
        let open = async || Ok(troupe_log::open(Arc::new(RealDisk::new(data)), &troupe_log::Options::new(random))?);
        let opened = opening::patiently(data, |waits| context.out.progress(waits), open).await?;
        Ok(Reach::Folder(Box::new(Self { opened, path: data.to_owned() })))
    }

    /// An actor's journal and the tip that the log has of it.
    pub fn journal(&self, id: &ActorId) -> Result<(JournalReader, Chain)> {
        let tail = self.opened.actors.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.opened.actors.keys().map(ActorId::as_str).take(20).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Failure::failed(
                "not-found",
                format!("there is no journal of {id} in {}", self.path.display()),
                format!("there are: {known}; name another data folder with --data"),
            )
        })?;
        let incarnation: Incarnation = tail.incarnation;
        let journal =
            self.opened.store.journal(id, incarnation, tail.tail, Seq(0)).map_err(|e| Failure::failed("log", e, ""))?;
        Ok((journal, Chain { next: tail.next, head: tail.head }))
    }

    /// Makes an actor's journal durable; a process that opens a folder knows of nothing that it is.
    pub fn sync(&self, id: &ActorId) -> Result<()> {
        let Some(tail) = self.opened.actors.get(id) else { return Ok(()) };
        self.opened.store.sync_blocking(tail.tail).map_err(|e| Failure::failed("log", e, ""))
    }

    /// The key that this folder's node signs with.
    pub fn key(&self) -> Result<NodeKey> {
        signed::key(&self.path, &SystemEntropy).map_err(no_key)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.opened.store
    }
}

/// A journal that cannot be read out.
pub fn unreadable(e: export::ExportError) -> Failure {
    Failure::failed("journal", e, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_a_file_and_anything_else_an_actor() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("counter"), "").unwrap();
        let of = |text: &str| Of::parse(text, dir.path());
        assert_eq!(of("counter").unwrap(), Of::File(dir.path().join("counter")));
        assert_eq!(of("other").unwrap(), Of::Actor(ActorId::parse("default/other").unwrap()));
        assert_eq!(of("x.journal").unwrap_err().exit, Exit::Failed);
        assert_eq!(of("No Such").unwrap_err().exit, Exit::Usage);
    }
}
