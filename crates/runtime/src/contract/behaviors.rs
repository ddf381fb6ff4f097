//! The native contract: gen-server, gen-event, gen-fsm, handler, lifecycle, snapshot of `troupe:actor@0.1`.
//!
//! Routing: a call goes to gen-server, else gen-fsm, else handler; a cast or info to gen-event, else gen-fsm, else handler.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use super::{Input, Output};
use crate::actor::message::MessageKind;
use crate::boundary::Guest;

type Reply = (Result<Vec<u8>, String>,);
type Done = (Result<(), String>,);
type Handle = TypedFunc<(Arc<str>, Arc<str>, Arc<[u8]>), Reply>;
type HandleEvent = TypedFunc<(Arc<str>, Arc<str>, Arc<[u8]>), Done>;
type HandleTransition = TypedFunc<(Arc<str>, String, Arc<str>, Arc<[u8]>), (Result<String, String>,)>;

/// Which of the contract's functions a component exports.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    server: Option<ComponentExportIndex>,
    event: Option<ComponentExportIndex>,
    fsm: Option<ComponentExportIndex>,
    handler: Option<ComponentExportIndex>,
    init: Option<ComponentExportIndex>,
    terminate: Option<ComponentExportIndex>,
    save: Option<ComponentExportIndex>,
    load: Option<ComponentExportIndex>,
}

/// The same in one instance.
pub struct Functions {
    server: Option<Handle>,
    event: Option<HandleEvent>,
    fsm: Option<HandleTransition>,
    handler: Option<Handle>,
    init: Option<TypedFunc<(Vec<u8>,), Done>>,
    terminate: Option<TypedFunc<(String,), ()>>,
    save: Option<TypedFunc<(), Reply>>,
    load: Option<TypedFunc<(Vec<u8>, String), Done>>,
}

impl Exports {
    pub(super) fn of(component: &Component) -> Exports {
        let find = |interface: &str, function: &str| {
            let (_, instance) = component.get_export(None, format!("troupe:actor/{interface}@0.1.0"))?;
            component.get_export(Some(&instance), function).map(|(_, index)| index)
        };
        Exports {
            server: find("gen-server", "handle-request"),
            event: find("gen-event", "handle-event"),
            fsm: find("gen-fsm", "handle-transition"),
            handler: find("handler", "handle-message"),
            init: find("lifecycle", "init"),
            terminate: find("lifecycle", "terminate"),
            save: find("snapshot", "save"),
            load: find("snapshot", "load"),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        let found = [
            ("gen-server", self.server.is_some()),
            ("gen-event", self.event.is_some()),
            ("gen-fsm", self.fsm.is_some()),
            ("handler", self.handler.is_some()),
            ("lifecycle", self.init.is_some()),
            ("snapshot", self.saves()),
        ];
        found.iter().filter(|(_, there)| *there).map(|(name, _)| format!("troupe:actor/{name}")).collect()
    }

    pub(super) fn takes_messages(&self) -> bool {
        self.server.is_some() || self.event.is_some() || self.fsm.is_some() || self.handler.is_some()
    }

    pub(super) fn saves(&self) -> bool {
        self.save.is_some() && self.load.is_some()
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        macro_rules! get {
            ($index:expr) => {
                match &$index {
                    Some(index) => Some(instance.get_typed_func(&mut *store, index)?),
                    None => None,
                }
            };
        }
        Ok(Functions {
            server: get!(self.server),
            event: get!(self.event),
            fsm: get!(self.fsm),
            handler: get!(self.handler),
            init: get!(self.init),
            terminate: get!(self.terminate),
            save: get!(self.save),
            load: get!(self.load),
        })
    }
}

impl Functions {
    pub(super) fn has_init(&self) -> bool {
        self.init.is_some()
    }

    pub(super) async fn turn(&self, store: &mut Store<Guest>, input: Input<'_>) -> wasmtime::Result<Output> {
        let (message, state) = match input {
            Input::Message { message, state } => (message, state),
            // Rare: kept out of the future that each message's turn makes and moves.
            hook => return Box::pin(self.hook(store, hook)).await,
        };
        let args = || (message.from.clone(), message.message_type.clone(), message.payload.clone());
        let first = match message.kind {
            MessageKind::Call => {
                if let Some(server) = &self.server {
                    let (result,) = server.call_async(store, args()).await?;
                    return Ok(reply(result));
                }
                "gen-server"
            }
            MessageKind::Cast | MessageKind::Info => {
                if let Some(event) = &self.event {
                    let (result,) = event.call_async(store, args()).await?;
                    return Ok(done(result));
                }
                "gen-event"
            }
        };
        if let Some(fsm) = &self.fsm {
            let (from, message_type, payload) = args();
            let (result,) = fsm.call_async(store, (from, state.to_owned(), message_type, payload)).await?;
            return Ok(match result {
                Ok(next) if next.is_empty() => Output::State(state.to_owned()),
                Ok(next) => Output::State(next),
                Err(error) => Output::Refused(error),
            });
        }
        if let Some(handler) = &self.handler {
            let (result,) = handler.call_async(store, args()).await?;
            return Ok(reply(result));
        }
        Ok(no_taker(first))
    }

    async fn hook(&self, store: &mut Store<Guest>, input: Input<'_>) -> wasmtime::Result<Output> {
        match input {
            Input::Init(initial) => {
                let Some(init) = &self.init else { return Ok(Output::Answer(Vec::new())) };
                let (result,) = init.call_async(store, (initial.to_vec(),)).await?;
                Ok(done(result))
            }
            Input::Terminate(reason) => {
                let Some(terminate) = &self.terminate else { return Ok(Output::Answer(Vec::new())) };
                terminate.call_async(store, (reason.to_owned(),)).await?;
                Ok(Output::Answer(Vec::new()))
            }
            Input::Save => {
                let Some(save) = &self.save else { return Ok(no_taker("save")) };
                let (result,) = save.call_async(store, ()).await?;
                Ok(reply(result))
            }
            Input::Load { state, saved_by } => {
                let Some(load) = &self.load else { return Ok(no_taker("load")) };
                let (result,) = load.call_async(store, (state.to_vec(), saved_by.to_owned())).await?;
                Ok(done(result))
            }
            Input::Message { .. } => Err(wasmtime::Error::msg("a message is no hook")),
        }
    }
}

fn reply(result: Result<Vec<u8>, String>) -> Output {
    match result {
        Ok(answer) => Output::Answer(answer),
        Err(error) => Output::Refused(error),
    }
}

fn done(result: Result<(), String>) -> Output {
    reply(result.map(|()| Vec::new()))
}

fn no_taker(export: &str) -> Output {
    Output::NoTaker(format!("the component exports neither {export} nor gen-fsm nor handler"))
}
