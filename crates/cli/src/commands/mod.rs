//! The commands: one file each, with its arguments and what it does. To add one: a file, a line in each list here.

mod app;
mod build;
mod call;
mod completions;
mod dead;
mod export_actor;
mod import_actor;
mod inspect;
mod journal;
pub mod key;
mod new;
mod profile;
mod ps;
mod queue;
mod replay;
mod run;
mod send;
mod snapshot;
mod start;
mod stop;
mod topic;
mod upgrade;

use clap::Subcommand;
use tokio::runtime::Builder;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// What `troupe` can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a project for an actor
    New(new::Args),
    /// Compile a project to a component
    Build(build::Args),
    /// Start a node with the actors of a manifest
    Run(run::Args),
    /// Start actors in the running node
    Start(start::Args),
    /// Ask an actor and print its answer
    Call(call::Args),
    /// Send an actor a message without waiting for an answer
    Send(send::Args),
    /// Show the actors of the running node
    Ps(ps::Args),
    /// Show and stop applications
    App(app::Args),
    /// Show, re-send and drop messages that found no good end
    Dead(dead::Args),
    /// Send to queues, take from them, show what they have
    Queue(queue::Args),
    /// Publish items to topics
    Topic(topic::Args),
    /// Stop an actor, or the node
    Stop(stop::Args),
    /// Make a base of an actor, from which recovery starts
    Snapshot(snapshot::Args),
    /// Have an actor leave this node, as a file
    ExportActor(export_actor::Args),
    /// Take an actor in that another node exported
    ImportActor(import_actor::Args),
    /// Give an actor another component and keep its state
    Upgrade(upgrade::Args),
    /// Run a journal again and compare every call
    Replay(replay::Args),
    /// Say what a component file is
    Inspect(inspect::Args),
    /// Show, check, export and compare journals
    Journal(journal::Args),
    /// Show the key that this node signs with
    Key(key::Args),
    /// Show what a profile of grants stands for
    Profile(profile::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Runs a command.
pub fn run(context: &Context, command: Command) -> Result<()> {
    match command {
        Command::New(args) => new::run(context, &args),
        Command::Build(args) => build::run(context, &args),
        Command::Completions(args) => completions::run(&args),
        Command::Run(args) => run::run(context, &args),
        Command::Profile(args) => profile::run(context, &args),
        Command::Key(args) => key::run(context, &args),
        Command::Inspect(args) => inspect::run(context, &args),
        Command::Journal(args) => host(journal::run(context, &args)),
        Command::Replay(args) => host(replay::run(context, &args)),
        Command::Start(args) => ask(start::run(context, &args)),
        Command::Call(args) => ask(call::run(context, &args)),
        Command::Send(args) => ask(send::run(context, &args)),
        Command::Ps(args) => ask(ps::run(context, &args)),
        Command::App(args) => ask(app::run(context, &args)),
        Command::Dead(args) => ask(dead::run(context, &args)),
        Command::Queue(args) => ask(queue::run(context, &args)),
        Command::Topic(args) => ask(topic::run(context, &args)),
        Command::Stop(args) => ask(stop::run(context, &args)),
        Command::Snapshot(args) => ask(snapshot::run(context, &args)),
        Command::ExportActor(args) => ask(export_actor::run(context, &args)),
        Command::ImportActor(args) => ask(import_actor::run(context, &args)),
        Command::Upgrade(args) => ask(upgrade::run(context, &args)),
    }
}

/// Runs a command that asks a node: one thread is enough.
fn ask<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_current_thread().enable_all().build().map_err(no_runtime)?.block_on(command)
}

/// Runs a command that needs a runtime of its own kind: records are read by a node in memory.
fn host<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(no_runtime)?.block_on(command)
}

fn no_runtime(e: std::io::Error) -> Failure {
    Failure::failed(
        "io",
        format!("the system gives no event queue: {e}"),
        "check the limit of open files (`ulimit -n`)",
    )
}
