//! What can go wrong at the runtime's own surface, each with what, where, and what to do.

use std::path::{Path, PathBuf};

use troupe_log::{ActorId, Digest};

use crate::actor::message::MessageId;
use crate::boundary::Divergence;

/// An error of the runtime.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log's own error.
    #[error(transparent)]
    Log(#[from] troupe_log::Error),
    /// Bytes that are no component.
    #[error("not a component: {why}")]
    NotAComponent {
        /// What is wrong.
        why: String,
    },
    /// A file that is no component.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// A component imports what this version does not have.
    #[error("nobody provides the import {import}; `troupe inspect` lists what a component needs")]
    MissingImport {
        /// The import.
        import: String,
    },
    /// A component imports what an actor could serve, and its manifest names none.
    #[error(
        "nobody provides the import {import}; if an actor does, name it in the manifest: [bind] \"{import}\" = \"ACTOR\"; `troupe inspect` lists what a component needs"
    )]
    Unbound {
        /// The import.
        import: String,
    },
    /// No such component.
    #[error("no component {reference}; load it first, or give a file")]
    NoComponent {
        /// What was asked for.
        reference: String,
    },
    /// A name has other bytes.
    #[error("{name} is {there} already, not {offered}; use another version")]
    NameTaken {
        /// name@version.
        name: String,
        /// Its digest.
        there: Digest,
        /// The digest offered.
        offered: Digest,
    },
    /// The engine could not be made.
    #[error("the engine cannot be made for {live} live actors: {what}; allow fewer, or raise vm.max_map_count")]
    Engine {
        /// Why.
        what: String,
        /// Live instances asked for.
        live: u32,
    },
    /// No such actor.
    #[error("no actor {0}; `troupe ps` lists them")]
    NoActor(ActorId),
    /// The actor is there with other code.
    #[error(
        "{actor} runs {there}, the manifest says {offered}; `troupe upgrade {actor} {offered}` goes on with it, `--fresh` begins a new life, the old component goes on with the old one"
    )]
    OtherComponent {
        /// The actor.
        actor: ActorId,
        /// What it runs.
        there: Digest,
        /// What was offered.
        offered: Digest,
    },
    /// The actor is there with other settings that cannot change while it lives.
    #[error("{actor} lives with {what}; `--fresh` begins a new life")]
    OtherSettings {
        /// The actor.
        actor: ActorId,
        /// Which.
        what: String,
    },
    /// No base could be made.
    #[error("{actor} made no base: {why}")]
    NoBase {
        /// The actor.
        actor: ActorId,
        /// Why.
        why: String,
    },
    /// Its journal does not replay under the component that it was to go on with.
    #[error("{actor} goes on as it was: under {to} its {divergence}")]
    UpgradeDiffers {
        /// The actor.
        actor: ActorId,
        /// The component.
        to: Digest,
        /// The first difference.
        divergence: Box<Divergence>,
    },
    /// An actor that cannot go on with another component.
    #[error("{actor} cannot be upgraded: {why}")]
    NoUpgrade {
        /// The actor.
        actor: ActorId,
        /// Why.
        why: String,
    },
    /// The actor has left this node.
    #[error(
        "{actor} is not here: {why}; `troupe import-actor --abort {actor}` takes it back if it was imported nowhere"
    )]
    Moved {
        /// The actor.
        actor: ActorId,
        /// Where it is.
        why: String,
    },
    /// An actor that cannot leave.
    #[error("{actor} cannot be exported: {why}")]
    NoMove {
        /// The actor.
        actor: ActorId,
        /// Why.
        why: String,
    },
    /// An actor that cannot come here.
    #[error("{actor} cannot be imported: {why}")]
    NoImport {
        /// The actor.
        actor: ActorId,
        /// Why.
        why: String,
    },
    /// A file that brings no actor.
    #[error("not an actor file: {why}")]
    NotAnActorFile {
        /// What is wrong.
        why: String,
    },
    /// No such application.
    #[error("no application {name}; `troupe app list` shows them")]
    NoApplication {
        /// Its name.
        name: String,
    },
    /// No such dead letter.
    #[error("{actor} has no dead letter {message}; `troupe dead list` has them")]
    NoDeadLetter {
        /// The actor.
        actor: ActorId,
        /// The message.
        message: MessageId,
    },
    /// Init did not let the actor begin.
    #[error("{actor} did not start: {why}")]
    InitFailed {
        /// The actor.
        actor: ActorId,
        /// Its own words, or the fault.
        why: String,
    },
    /// The actor cannot go on.
    #[error("{actor} is quarantined: {why}; its journal and inbox are kept, look with `troupe journal show`")]
    Quarantined {
        /// The actor.
        actor: ActorId,
        /// Why.
        why: String,
    },
    /// The node is closing; what was begun goes on at its next start.
    #[error("the node is closing")]
    Closing,
    /// Every live actor is busy.
    #[error("all {live} live actors are busy; try again later, or allow more")]
    AllBusy {
        /// The limit.
        live: u32,
    },
    /// A limit of a manifest that this node cannot give.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would do.
        what: String,
    },
    /// A file.
    #[error("cannot {op} {}: {source}", path.display())]
    File {
        /// What was tried.
        op: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file that servers are to be known by.
    #[error("{}: no certificates to trust: {why}", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Replay found a difference.
    #[error(transparent)]
    Differs(#[from] Divergence),
    /// A journal that cannot be replayed.
    #[error("this journal cannot be replayed: {why}")]
    Unreplayable {
        /// Why.
        why: String,
    },
    /// The runtime is at fault.
    #[error("internal: {what}")]
    Internal {
        /// What happened.
        what: String,
    },
}

impl Error {
    /// The same, of a file.
    pub fn of_file(self, path: &Path) -> Error {
        Error::InFile { path: path.to_owned(), error: Box::new(self) }
    }
}

/// A result of the runtime.
pub type Result<T, E = Error> = std::result::Result<T, E>;
