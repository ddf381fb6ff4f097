//! `wasi:cli`: granted environment and arguments, an empty standard input, captured output, no terminal, exit.
//!
//! The standard streams are made again after a crash. A command that is run has the arguments and streams of its run.

use wasmtime::component::Resource;
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;
use wasmtime_wasi::p2::bindings::cli::terminal_input::TerminalInput;
use wasmtime_wasi::p2::bindings::cli::terminal_output::TerminalOutput;
use wasmtime_wasi::p2::pipe::ClosedInputStream;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};

use super::http::{BodyIn, gathers};
use super::lines::LineStream;
use crate::boundary::{Boundary, Effect, Exit, Extra, Guest};

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:cli/environment@0.2.12")?
        .func("get-environment", Effect::Read, |guest: &mut Guest, (): ()| Ok((guest.cli().get_environment()?,)))?
        .func("get-arguments", Effect::Read, |guest: &mut Guest, (): ()| {
            Ok((match &guest.command {
                Some(command) => command.arguments.clone(),
                None => guest.cli().get_arguments()?,
            },))
        })?
        .func("initial-cwd", Effect::Read, |guest: &mut Guest, (): ()| Ok((guest.cli().initial_cwd()?,)))?;
    boundary
        .interface("wasi:cli/exit@0.2.12")?
        .func("exit", Effect::Read, |_: &mut Guest, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
            Err(Exit { code: i32::from(status.is_err()) }.into())
        })?
        .func("exit-with-code", Effect::Read, |_: &mut Guest, (code,): (u8,)| -> wasmtime::Result<()> {
            Err(Exit { code: code.into() }.into())
        })?;
    streams(boundary)?;
    terminals(boundary)
}

fn streams(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("wasi:cli/stdin@0.2.12")?.func_with(
        "get-stdin",
        Effect::Read,
        Extra::default()
            .renew(|guest, _, (): &()| Ok(Some(stdin(guest)?.0.rep())))
            .replayed(|guest, (): &(), (made,)| replayed(guest, made, stdin)),
        |guest: &mut Guest, (): ()| granted(guest, stdin),
    )?;
    boundary.interface("wasi:cli/stdout@0.2.12")?.func_with(
        "get-stdout",
        Effect::Read,
        Extra::default()
            .renew(|guest, _, (): &()| Ok(Some(stdout(guest)?.0.rep())))
            .replayed(|guest, (): &(), (made,)| replayed(guest, made, stdout)),
        |guest: &mut Guest, (): ()| granted(guest, stdout),
    )?;
    boundary.interface("wasi:cli/stderr@0.2.12")?.func_with(
        "get-stderr",
        Effect::Read,
        Extra::default()
            .renew(|guest, _, (): &()| Ok(Some(stderr(guest)?.0.rep())))
            .replayed(|guest, (): &(), (made,)| replayed(guest, made, stderr)),
        |guest: &mut Guest, (): ()| granted(guest, stderr),
    )?;
    Ok(())
}

fn granted<T>(guest: &mut Guest, make: fn(&mut Guest) -> wasmtime::Result<T>) -> wasmtime::Result<T> {
    guest.require(guest.about.grants.stdio, "stdio")?;
    make(guest)
}

/// The streams of a command are values, which its answer is made of: they are there in replay too.
fn replayed<T: Send + 'static>(
    guest: &mut Guest,
    made: &Resource<T>,
    make: fn(&mut Guest) -> wasmtime::Result<(Resource<T>,)>,
) {
    if guest.command.is_some()
        && let Ok((real,)) = make(guest)
    {
        guest.recorder.resources.renew(made.rep(), real.rep());
    }
}

fn stdin(guest: &mut Guest) -> wasmtime::Result<(Resource<DynInputStream>,)> {
    let stream: DynInputStream = match &guest.command {
        Some(command) => Box::new(BodyIn(command.input.clone())),
        None => Box::new(ClosedInputStream),
    };
    Ok((guest.table.push(stream)?,))
}

fn stdout(guest: &mut Guest) -> wasmtime::Result<(Resource<DynOutputStream>,)> {
    if let Some(command) = &guest.command {
        let written = command.output.clone();
        return Ok((gathers(guest, written)?,));
    }
    let stream: DynOutputStream = Box::new(LineStream(super::wasi(guest).stdout.clone()));
    Ok((guest.table.push(stream)?,))
}

fn stderr(guest: &mut Guest) -> wasmtime::Result<(Resource<DynOutputStream>,)> {
    if let Some(command) = &guest.command {
        let written = command.errors.clone();
        return Ok((gathers(guest, written)?,));
    }
    let stream: DynOutputStream = Box::new(LineStream(super::wasi(guest).stderr.clone()));
    Ok((guest.table.push(stream)?,))
}

fn terminals(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("wasi:cli/terminal-input@0.2.12")?.resource_never_made::<TerminalInput>("terminal-input")?;
    boundary.interface("wasi:cli/terminal-output@0.2.12")?.resource_never_made::<TerminalOutput>("terminal-output")?;
    boundary.interface("wasi:cli/terminal-stdin@0.2.12")?.func(
        "get-terminal-stdin",
        Effect::Read,
        |_: &mut Guest, (): ()| Ok((None::<Resource<TerminalInput>>,)),
    )?;
    boundary.interface("wasi:cli/terminal-stdout@0.2.12")?.func(
        "get-terminal-stdout",
        Effect::Read,
        |_: &mut Guest, (): ()| Ok((None::<Resource<TerminalOutput>>,)),
    )?;
    boundary.interface("wasi:cli/terminal-stderr@0.2.12")?.func(
        "get-terminal-stderr",
        Effect::Read,
        |_: &mut Guest, (): ()| Ok((None::<Resource<TerminalOutput>>,)),
    )?;
    Ok(())
}
