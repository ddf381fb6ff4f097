//! Commands: components that export `wasi:cli/run`, of any 0.2 version.
//!
//! A run is one turn, of a message of the type [`RUN`]: its payload holds the arguments and the standard input, its answer the
//! exit code and what was written to the two outputs. An instance runs once, so a life of the actor is one run: who runs it again
//! begins another life.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use super::Output;
use crate::actor::message::{Message, MessageKind};
use crate::boundary::{Guest, exit_code};
use crate::service::command::{Command, RUN, Running};

/// The interface, in any version of this track.
const INTERFACE: &str = "wasi:cli/run@0.2.";

/// Whether a component exports it.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    run: Option<ComponentExportIndex>,
}

/// The same in one instance.
pub struct Functions {
    run: Option<TypedFunc<(), (Result<(), ()>,)>>,
    spent: AtomicBool,
}

impl Exports {
    pub(super) fn of(component: &Component) -> Exports {
        let engine = component.engine();
        let ty = component.component_type();
        let name = ty.exports(engine).map(|(name, _)| name.to_owned()).find(|name| name.starts_with(INTERFACE));
        let run = name.and_then(|name| {
            let (_, at) = component.get_export(None, &name)?;
            component.get_export(Some(&at), "run").map(|(_, index)| index)
        });
        Exports { run }
    }

    pub(super) fn is_there(&self) -> bool {
        self.run.is_some()
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        let run = match &self.run {
            Some(index) => Some(instance.get_typed_func(&mut *store, index)?),
            None => None,
        };
        Ok(Functions { run, spent: AtomicBool::new(false) })
    }
}

impl Functions {
    /// True if the message is a run, and this is a command.
    pub(super) fn takes(&self, message: &Message) -> bool {
        self.run.is_some() && message.kind == MessageKind::Call && &*message.message_type == RUN
    }

    pub(super) async fn call(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Output> {
        let Some(run) = &self.run else { return Ok(Output::NoTaker("no run".to_owned())) };
        let command = match Command::decode(&message.payload) {
            Ok(command) => command,
            Err(error) => return Ok(Output::Refused(format!("the payload is no command: {error}"))),
        };
        if self.spent.swap(true, Relaxed) {
            return Ok(Output::Refused("the command has run; a fresh life runs it again".to_owned()));
        }
        let guest = store.data_mut();
        guest.command = Some(Running::new(command, guest.about.limits.payload.0, &guest.http.values));
        let code = match run.call_async(&mut *store, ()).await {
            Ok((result,)) => i32::from(result.is_err()),
            Err(error) => match exit_code(&error) {
                Some(code) => code,
                None => return Err(error),
            },
        };
        Ok(match store.data_mut().command.take() {
            Some(running) => Output::Answer(running.finish(code).encode()),
            None => Output::Refused("the command has lost its streams".to_owned()),
        })
    }
}
