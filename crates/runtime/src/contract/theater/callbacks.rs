//! What an actor of `theater:simple` hears of its channels and children: exports that it need not have.
//!
//! Promises: who has no callback for what happened hears nothing, and its state stays as it is; to who opens a channel that is an
//! error. The state goes in and out as in every export.

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, ComponentType, Instance, Lift, Lower, TypedFunc};

use super::{Bytes, CLIENT, Output, Payload, State, Stated, no_taker, stated};
use crate::actor::message::{Message, MessageKind};
use crate::boundary::Guest;
use crate::service::theater::{self, Accept};

/// What who supervises hears of its children.
pub(super) const HANDLERS: &str = "theater:simple/supervisor-handlers";

/// `record channel-accept`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct ChannelAccept {
    accepted: bool,
    message: Option<Vec<u8>>,
}

/// `enum wit-error-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "the shape of the enum is the component's; an end is one of them")]
pub enum ErrorType {
    #[component(name = "operation-timeout")]
    OperationTimeout,
    #[component(name = "channel-closed")]
    ChannelClosed,
    #[component(name = "shutting-down")]
    ShuttingDown,
    #[component(name = "function-not-found")]
    FunctionNotFound,
    #[component(name = "type-mismatch")]
    TypeMismatch,
    #[component(name = "internal")]
    Internal,
    #[component(name = "serialization-error")]
    SerializationError,
    #[component(name = "update-component-error")]
    UpdateComponentError,
    #[component(name = "paused")]
    Paused,
}

/// `record wit-actor-error`.
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
pub struct ActorError {
    #[component(name = "error-type")]
    error_type: ErrorType,
    data: Option<Payload>,
}

type Accepted = (Result<(Bytes, (ChannelAccept,)), String>,);
type Open = TypedFunc<(State, (String, Payload)), Accepted>;
type Callback<P> = TypedFunc<(State, P), Stated>;

/// Which there are.
#[derive(Clone, Debug)]
pub(super) struct Exports {
    open: Option<ComponentExportIndex>,
    message: Option<ComponentExportIndex>,
    close: Option<ComponentExportIndex>,
    error: Option<ComponentExportIndex>,
    exit: Option<ComponentExportIndex>,
    stopped: Option<ComponentExportIndex>,
}

/// The same in one instance.
pub(super) struct Functions {
    open: Option<Open>,
    message: Option<Callback<(String, Payload)>>,
    close: Option<Callback<(String,)>>,
    error: Option<Callback<(String, ActorError)>>,
    exit: Option<Callback<(String, Option<Payload>)>>,
    stopped: Option<Callback<(String,)>>,
}

impl Exports {
    pub(super) fn of(find: impl Fn(&str, &str) -> Option<ComponentExportIndex>) -> Exports {
        Exports {
            open: find(CLIENT, "handle-channel-open"),
            message: find(CLIENT, "handle-channel-message"),
            close: find(CLIENT, "handle-channel-close"),
            error: find(HANDLERS, "handle-child-error"),
            exit: find(HANDLERS, "handle-child-exit"),
            stopped: find(HANDLERS, "handle-child-external-stop"),
        }
    }

    pub(super) fn has_channels(&self) -> bool {
        self.open.is_some() || self.message.is_some() || self.close.is_some()
    }

    pub(super) fn supervises(&self) -> bool {
        self.error.is_some() || self.exit.is_some() || self.stopped.is_some()
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        Ok(Functions {
            open: self.open.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
            message: self.message.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
            close: self.close.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
            error: self.error.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
            exit: self.exit.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
            stopped: self.stopped.map(|index| instance.get_typed_func(&mut *store, index)).transpose()?,
        })
    }
}

/// Why a component of another contract does not take this message, if it is one of this contract's alone.
pub(crate) fn only(message: &Message) -> Option<&'static str> {
    match &*message.message_type {
        theater::OPEN => Some("it takes no channels: it is no component of theater:simple"),
        theater::STATE => Some("it is no component of theater:simple: nobody keeps a state for it"),
        _ => None,
    }
}

impl Functions {
    /// None for a message that is none of these.
    pub(super) async fn call(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Option<Output>> {
        let named = |name: &str| theater::header(&message.headers, name).unwrap_or_default().to_owned();
        let payload = message.payload.clone();
        Ok(Some(match &*message.message_type {
            theater::OPEN if message.kind == MessageKind::Call => self.open(store, message).await?,
            theater::STATE if message.kind == MessageKind::Call => {
                let kept = &store.data().kept;
                kept.output(Some(kept.encode()))
            }
            theater::MESSAGE => heard(store, &self.message, (named(theater::CHANNEL), payload)).await?,
            theater::CLOSE => heard(store, &self.close, (named(theater::CHANNEL),)).await?,
            theater::CHILD_ERROR => {
                let error = ActorError { error_type: ErrorType::Internal, data: Some(payload) };
                heard(store, &self.error, (named(theater::CHILD), error)).await?
            }
            theater::CHILD_EXIT => {
                let words = (!theater::silent(&message.headers)).then_some(payload);
                heard(store, &self.exit, (named(theater::CHILD), words)).await?
            }
            theater::CHILD_STOPPED => heard(store, &self.stopped, (named(theater::CHILD),)).await?,
            _ => return Ok(None),
        }))
    }

    async fn open(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Output> {
        let Some(open) = &self.open else { return Ok(no_taker("handle-channel-open")) };
        let Some(asker) = &message.asker else {
            return Ok(Output::Refused("a channel is opened by an actor".to_owned()));
        };
        let (state, id) = (store.data().kept.bytes.clone(), theater::channel_id(&asker.wait));
        let (result,) = open.call_async(&mut *store, (state, (id, message.payload.clone()))).await?;
        Ok(match result {
            Ok((state, (ChannelAccept { accepted, message },))) => {
                let kept = &mut store.data_mut().kept;
                kept.set(state);
                kept.output(Some(Accept { accepted, message }.encode()))
            }
            Err(error) => Output::Refused(error),
        })
    }
}

/// Calls it, where it is there.
async fn heard<P>(store: &mut Store<Guest>, callback: &Option<Callback<P>>, params: P) -> wasmtime::Result<Output>
where
    (State, P): ComponentNamedList + Lower + Send + Sync,
    P: Lower + Send + Sync,
{
    let Some(callback) = callback else { return Ok(store.data().kept.output(Some(Vec::new()))) };
    let state = store.data().kept.bytes.clone();
    let (result,) = callback.call_async(&mut *store, (state, params)).await?;
    Ok(stated(store, result))
}
