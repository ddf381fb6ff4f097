//! `wasi:logging` 0.1.0-draft: lines for the node's log. Granted unless switched off.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::boundary::{self, Boundary, Effect, Guest};
use crate::recordable_enum;

/// `enum level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Finest.
    #[component(name = "trace")]
    Trace,
    /// For developers.
    #[component(name = "debug")]
    Debug,
    /// For operators.
    #[component(name = "info")]
    Info,
    /// Something is odd.
    #[component(name = "warn")]
    Warn,
    /// Something is wrong.
    #[component(name = "error")]
    Error,
    /// Nothing goes any more.
    #[component(name = "critical")]
    Critical,
}
recordable_enum!(Level { Trace, Debug, Info, Warn, Error, Critical });

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("wasi:logging/logging@0.1.0-draft")?.func(
        "log",
        Effect::Read,
        |guest: &mut Guest, (level, context, message): (Level, String, String)| {
            guest.require(guest.about.grants.logging, "logging")?;
            let line = if context.is_empty() { message } else { format!("{context}: {message}") };
            guest.say(shown(level), &line);
            Ok(())
        },
    )?;
    Ok(())
}

/// The node's log has no `critical`.
fn shown(level: Level) -> boundary::Level {
    match level {
        Level::Trace => boundary::Level::TRACE,
        Level::Debug => boundary::Level::DEBUG,
        Level::Info => boundary::Level::INFO,
        Level::Warn => boundary::Level::WARN,
        Level::Error | Level::Critical => boundary::Level::ERROR,
    }
}
