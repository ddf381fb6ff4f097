//! `troupe run`: a node in the foreground with the actors of a manifest.
//!
//! Ends with 0 on Ctrl-C, SIGTERM and `troupe stop --node`, after everything is on disk; run again it goes on. A second
//! Ctrl-C does not wait.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use troupe_runtime::env::SystemEntropy;
use troupe_runtime::manifest::{ActorSpec, Manifest};
use troupe_runtime::node::{Node, NodeOptions, Started};
use troupe_server::{Gateway, GatewayOptions, Place, Server};

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::logs;
use crate::opening;
use crate::phases;
use crate::source::Source;
use crate::tool;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe run                       the troupe.toml of this folder
  troupe run counter.wasm          a component with the default limits and grants
  troupe run --data /var/lib/troupe --listen 127.0.0.1:7000 app/troupe.toml
  troupe run --http 0.0.0.0:8080   serves actors with a route over HTTP, too
  troupe run tool.wasm -- -v a.txt runs a command to its end, with these arguments
  troupe run --fresh               begins a new life of each actor of the manifest

Run again with the same manifest, every actor goes on where it was, kill -9 or not; with other limits, grants or policies it
goes on under those. With another component it stops and says so: --fresh forgets the state.")]
pub struct Args {
    /// A manifest, a folder with troupe.toml, or a component [default: this folder]
    source: Option<PathBuf>,
    /// Another id for the manifest's actor
    #[arg(long)]
    id: Option<String>,
    /// Begin a new incarnation of each actor of the manifest
    #[arg(long)]
    fresh: bool,
    /// Where the management API listens: a loopback address, port 0 for any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where actors with a route are served over HTTP: any address
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// The certificate chain of --http, a PEM file: it speaks TLS then
    #[arg(long, value_name = "FILE", requires = "http", requires = "http_key")]
    http_cert: Option<PathBuf>,
    /// The key of that certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "http_cert")]
    http_key: Option<PathBuf>,
    /// Certificates that servers which actors ask over TLS may be known by, besides those that browsers trust: a PEM file
    #[arg(long, value_name = "FILE")]
    http_roots: Option<PathBuf>,
    /// How much is logged: error, warn, info, debug, trace, or filters such as guest=debug
    #[arg(long, value_name = "LEVEL", env = "TROUPE_LOG", default_value = "info")]
    log: String,
    /// Actors that may be in memory at the same time; idle ones make room for others
    #[arg(long, value_name = "NUMBER")]
    live: Option<u32>,
    /// What a command is given behind its name
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
    /// Keep counts of what the node is in the middle of in this file, for crash tests
    #[arg(long, value_name = "FILE", hide = true)]
    phases: Option<PathBuf>,
}

/// Runs the node until it is told to stop.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let data = context.data_or_new();
    let manifest = manifest(context, args, &data)?;
    logs::start(&args.log, context.out.json)?;
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(super::no_runtime)?;
    runtime.block_on(serve(context, args, &data, manifest))
}

/// What to start. With no manifest here, a node whose data folder is there runs what is in it.
fn manifest(context: &Context, args: &Args, data: &Path) -> Result<Option<Manifest>> {
    match Source::find(args.source.as_deref(), &context.here) {
        Ok(source) => Ok(Some(source.read(args.id.as_deref())?)),
        Err(_) if args.source.is_none() && args.id.is_none() && data.is_dir() => Ok(None),
        Err(e) => Err(e),
    }
}

async fn serve(context: &Context, args: &Args, data: &Path, manifest: Option<Manifest>) -> Result<()> {
    let mut signals = Signals::new()?;
    // Before anything else: a node whose address is taken leaves no trace.
    let place = Place::take(args.listen).await.map_err(|e| Failure::failed("listen", e, ""))?;
    let watch = args.phases.as_deref().map(phases::write_to).transpose()?;
    let open = async || {
        let options = NodeOptions::at(data);
        let (live, watch) = (args.live.unwrap_or(options.live), watch.clone());
        Node::open(NodeOptions { live, watch, http_roots: args.http_roots.clone(), ..options }).await
    };
    let opening = opening::patiently(data, |waits| tracing::warn!("{waits}"), open);
    let node = tokio::select! {
        node = opening => node?,
        () = signals.next() => return Ok(()),
    };
    if let Some(tool) = tool(&node, manifest.as_ref()).await? {
        let ended = tokio::select! {
            ended = tool::run(context, &node, tool, &args.arguments) => ended,
            () = signals.next() => Err(Failure::failed("interrupted", "stopped before the command had ended", "")),
        };
        let closed = node.close().await;
        let code = ended?;
        closed.map_err(|e| Failure::failed("close", e, ""))?;
        if code != 0 {
            // Everything is on disk; the code is the command's own.
            std::process::exit(code);
        }
        return Ok(());
    }
    if !args.arguments.is_empty() {
        let help = "leave out what stands behind `--`, or name a component that exports wasi:cli/run";
        return Err(Failure::usage("arguments are for commands, and this is none", help));
    }
    let (mut server, mut gateway) = (None, None);
    let ended = tokio::select! {
        ended = work(context, args, place, &node, manifest, (&mut server, &mut gateway)) => ended,
        () = signals.next() => Ok(()),
    };
    let closing = async {
        if let Some(gateway) = gateway {
            gateway.close().await;
        }
        let sign = match server {
            Some(server) => {
                tracing::info!("stopping");
                Some(server.close().await)
            }
            None => None,
        };
        let closed = node.close().await;
        drop(sign);
        closed
    };
    let closed = tokio::select! {
        closed = closing => closed,
        () = signals.next() => {
            return Err(Failure::failed(
                "interrupted",
                "stopped before everything had ended",
                "nothing acknowledged is lost; `troupe run` goes on",
            ));
        }
    };
    ended?;
    closed.map_err(|e| Failure::failed("close", e, ""))
}

/// The one actor of a manifest, if it is a command.
async fn tool(node: &Node, manifest: Option<&Manifest>) -> Result<Option<ActorSpec>> {
    let Some(Manifest { actors, application: None }) = manifest else { return Ok(None) };
    let [spec] = actors.as_slice() else { return Ok(None) };
    // What is wrong with it is said when it is started.
    let Ok(code) = node.component(&spec.component).await else { return Ok(None) };
    Ok(code.contract.is_command().then(|| spec.clone()))
}

/// From the first actor's start to the request to stop. Leaves the servers behind, to be closed in order.
async fn work(
    context: &Context,
    args: &Args,
    place: Place,
    node: &Node,
    manifest: Option<Manifest>,
    (server, gateway): (&mut Option<Server>, &mut Option<Gateway>),
) -> Result<()> {
    let listen = args.http.or_else(|| manifest.as_ref()?.actors.iter().find_map(|spec| spec.listen));
    let started = match manifest {
        Some(manifest) => node.start_manifest(manifest, args.fresh).await.map_err(Failure::from)?,
        None => Vec::new(),
    };
    let listening = Server::start(place, node.clone(), node.data(), &SystemEntropy);
    let server = server.insert(listening.map_err(|e| Failure::failed("listen", e, ""))?);
    if let Some(address) = listen {
        let tls = args.http_cert.clone().zip(args.http_key.clone());
        let opened = Gateway::start(GatewayOptions { tls, ..GatewayOptions::at(address) }, node.clone()).await;
        *gateway = Some(opened.map_err(|e| Failure::failed("listen", e, ""))?);
    }
    announce(context, node, (server, gateway.as_ref()), &started).await?;
    tokio::select! {
        () = server.asked_to_stop() => Ok(()),
        why = node.halted() => Err(Failure::failed(
            "halted",
            format!("the node stopped by itself: {why}"),
            "nothing acknowledged is lost; put right what is said, then `troupe run` goes on",
        )),
    }
}

async fn announce(
    context: &Context,
    node: &Node,
    (server, gateway): (&Server, Option<&Gateway>),
    started: &[Started],
) -> Result<()> {
    let all = node.list().await?;
    if context.out.json {
        let actors: Vec<_> = started
            .iter()
            .map(|s| {
                let (id, incarnation) = (s.id.as_str(), s.incarnation.0);
                json!({ "id": id, "incarnation": incarnation, "resumed": s.resumed, "changed": s.changed })
            })
            .collect();
        context.out.value(&json!({
            "node": node.id().to_string(), "address": server.address(), "data": node.data(), "pid": std::process::id(),
            "started": actors, "actors": all.len(), "http": gateway.map(Gateway::address),
        }));
        return Ok(());
    }
    let data = node.data().unwrap_or(Path::new("memory"));
    if let Some(gateway) = gateway {
        context.out.line(format!("actors with a route are served on {}", gateway.address()));
    }
    context.out.line(format!("node {} listens on {}, data in {}", node.id(), server.address(), data.display()));
    for actor in &all {
        let how = started
            .iter()
            .find(|s| s.id == actor.id)
            .map_or("there", |s| if s.resumed { "goes on" } else { "started" });
        context.out.line(format!("  {} {how} ({}, {} records)", actor.id, actor.status, actor.next));
    }
    for actor in started.iter().filter(|actor| !actor.changed.is_empty()) {
        context.out.line(format!("{} settings changed: {}", actor.id, actor.changed.join(", ")));
    }
    context.out.line("Ctrl-C stops it; `troupe run` goes on");
    Ok(())
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let of = |kind| signal(kind).map_err(super::no_runtime);
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
