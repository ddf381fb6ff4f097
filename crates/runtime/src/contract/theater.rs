//! The contract of Theater, `theater:simple/actor`: every export takes the actor's state and returns it, and the runtime keeps it.
//!
//! Promises: an export sees the state that the last turn which ended well left, whatever faulted or failed since; its digest stands
//! in each turn's end, so that a replay compares it; a base is the state and nothing else. A call goes to `handle-request`, a cast
//! or info to `handle-send`, what the runtime says of channels and children to their callbacks (`theater/callbacks.rs`). Request ids
//! are those of the messages.

pub(super) mod callbacks;

use std::sync::Arc;

use troupe_log::Digest;
use troupe_log::codec::{self, Reader};
use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use super::{Input, Output};
use crate::actor::message::{Message, MessageKind};
use crate::boundary::Guest;
use crate::service::theater;

/// The export that makes a component one of this contract.
pub const ACTOR: &str = "theater:simple/actor";
const CLIENT: &str = "theater:simple/message-server-client";

type Bytes = Option<Vec<u8>>;
type State = Option<Arc<[u8]>>;
type Stated = (Result<(Bytes,), String>,);
type Answered = (Result<(Bytes, (Bytes,)), String>,);
type Payload = Arc<[u8]>;
type Init = TypedFunc<(State,), Stated>;
type InitWithId = TypedFunc<(State, (String,)), Stated>;
type HandleSend = TypedFunc<(State, (Payload,)), Stated>;
type HandleRequest = TypedFunc<(State, (String, Payload)), Answered>;

/// The state of an actor, as the runtime keeps it from turn to turn.
#[derive(Clone, Debug)]
pub struct ActorState {
    bytes: State,
    digest: Digest,
}

/// Which of the two forms of `init` there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `init(state)`.
    State,
    /// `init(state, params: tuple<string>)`, with the actor's id.
    StateAndId,
}

/// Which of the contract's functions a component exports.
#[derive(Clone, Debug)]
pub struct Exports {
    init: ComponentExportIndex,
    form: Form,
    send: Option<ComponentExportIndex>,
    request: Option<ComponentExportIndex>,
    callbacks: callbacks::Exports,
}

enum AnyInit {
    State(Init),
    StateAndId(InitWithId),
}

/// The same in one instance.
pub struct Functions {
    init: AnyInit,
    send: Option<HandleSend>,
    request: Option<HandleRequest>,
    callbacks: callbacks::Functions,
}

impl Default for ActorState {
    fn default() -> ActorState {
        ActorState { bytes: None, digest: NOTHING }
    }
}

/// Stands for no state, which is not the same as an empty one.
const NOTHING: Digest = Digest([0; 32]);

impl ActorState {
    fn set(&mut self, bytes: Bytes) {
        if self.bytes.as_deref() == bytes.as_deref() {
            return;
        }
        self.digest = bytes.as_deref().map_or(NOTHING, Digest::of);
        self.bytes = bytes.map(Arc::from);
    }

    fn output(&self, answer: Option<Vec<u8>>) -> Output {
        let size = self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Output::Kept { answer, state: self.digest, size }
    }

    /// As it stands in a base.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.as_ref().map_or(0, |bytes| bytes.len()) + 8);
        codec::put_option(&mut out, self.bytes.as_deref(), codec::put_bytes);
        out
    }

    /// The state of a base.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Bytes, codec::Error> {
        let mut input = Reader::new(bytes);
        let state = input.option(|input| input.bytes().map(<[u8]>::to_vec))?;
        input.finish()?;
        Ok(state)
    }
}

impl Exports {
    /// None if it is a component of another contract.
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Exports>> {
        let Some((_, actor)) = component.get_export(None, ACTOR) else { return Ok(None) };
        let Some((ComponentItem::ComponentFunc(ty), init)) = component.get_export(Some(&actor), "init") else {
            return Err(wasmtime::Error::msg(format!("it exports {ACTOR} without `init`")));
        };
        let form = match ty.params().len() {
            1 => Form::State,
            2 => Form::StateAndId,
            other => {
                return Err(wasmtime::Error::msg(format!(
                    "{ACTOR}#init takes {other} parameters: the state, or it and the id"
                )));
            }
        };
        let find = |interface: &str, function: &str| {
            let (_, instance) = component.get_export(None, interface)?;
            component.get_export(Some(&instance), function).map(|(_, index)| index)
        };
        let (send, request) = (find(CLIENT, "handle-send"), find(CLIENT, "handle-request"));
        Ok(Some(Exports { init, form, send, request, callbacks: callbacks::Exports::of(find) }))
    }

    pub(super) fn names(&self) -> Vec<String> {
        let client = self.send.is_some() || self.request.is_some() || self.callbacks.has_channels();
        [(ACTOR, true), (CLIENT, client), (callbacks::HANDLERS, self.callbacks.supervises())]
            .iter()
            .filter(|(_, there)| *there)
            .map(|(name, _)| (*name).to_owned())
            .collect()
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        let init = match self.form {
            Form::State => AnyInit::State(instance.get_typed_func(&mut *store, self.init)?),
            Form::StateAndId => AnyInit::StateAndId(instance.get_typed_func(&mut *store, self.init)?),
        };
        let send = self.send.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?;
        let request = self.request.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?;
        Ok(Functions { init, send, request, callbacks: self.callbacks.bind(store, instance)? })
    }
}

impl Functions {
    pub(super) async fn turn(&self, store: &mut Store<Guest>, input: Input<'_>) -> wasmtime::Result<Output> {
        match input {
            Input::Message { message, .. } => self.message(store, message).await,
            Input::Init(initial) if let Some(state) = theater::resumed(initial) => match ActorState::decode(state) {
                Ok(state) => Ok(stated(store, Ok((state,)))),
                Err(error) => Ok(Output::Refused(format!("the state to go on with: {error}"))),
            },
            Input::Init(initial) => {
                let state = (!initial.is_empty()).then(|| Arc::from(initial));
                let (result,) = match &self.init {
                    AnyInit::State(init) => init.call_async(&mut *store, (state,)).await?,
                    AnyInit::StateAndId(init) => {
                        let id = store.data().about.id.to_string();
                        init.call_async(&mut *store, (state, (id,))).await?
                    }
                };
                Ok(stated(store, result))
            }
            // Nothing of the contract is called at the end.
            Input::Terminate(_) => Ok(Output::Answer(Vec::new())),
            Input::Save => Ok(Output::Answer(store.data().kept.encode())),
            Input::Load { state, .. } => match ActorState::decode(state) {
                Ok(bytes) => {
                    store.data_mut().kept.set(bytes);
                    Ok(Output::Answer(Vec::new()))
                }
                Err(error) => Ok(Output::Refused(format!("it was saved by a component of another contract: {error}"))),
            },
        }
    }

    async fn message(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Output> {
        if message.message_type.starts_with("troupe:")
            && let Some(output) = self.callbacks.call(store, message).await?
        {
            return Ok(output);
        }
        let (state, payload) = (store.data().kept.bytes.clone(), message.payload.clone());
        if message.kind != MessageKind::Call {
            let Some(send) = &self.send else { return Ok(no_taker("handle-send")) };
            let (result,) = send.call_async(&mut *store, (state, (payload,))).await?;
            return Ok(stated(store, result));
        }
        let Some(request) = &self.request else { return Ok(no_taker("handle-request")) };
        let (result,) = request.call_async(&mut *store, (state, (message.id.to_string(), payload))).await?;
        Ok(match result {
            Ok((state, (answer,))) => {
                let kept = &mut store.data_mut().kept;
                kept.set(state);
                kept.output(answer)
            }
            Err(error) => Output::Refused(error),
        })
    }
}

fn stated(store: &mut Store<Guest>, result: Result<(Bytes,), String>) -> Output {
    match result {
        Ok((state,)) => {
            let kept = &mut store.data_mut().kept;
            kept.set(state);
            kept.output(Some(Vec::new()))
        }
        Err(error) => Output::Refused(error),
    }
}

fn no_taker(export: &str) -> Output {
    Output::NoTaker(format!("the component does not export {export}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_and_an_empty_one_are_told_apart() {
        let mut kept = ActorState::default();
        assert_eq!(ActorState::decode(&kept.encode()).unwrap(), None);
        let Output::Kept { state: nothing, .. } = kept.output(None) else { unreachable!() };
        kept.set(Some(Vec::new()));
        assert_eq!(ActorState::decode(&kept.encode()).unwrap(), Some(Vec::new()));
        let Output::Kept { state: empty, size, .. } = kept.output(None) else { unreachable!() };
        assert_ne!(nothing, empty);
        assert_eq!(size, 0);
        kept.set(None);
        assert_eq!(kept.digest, NOTHING);
        assert!(ActorState::decode(&[1, 200]).is_err());
    }
}
