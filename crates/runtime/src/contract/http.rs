//! HTTP actors: components that export `wasi:http/incoming-handler`, of any 0.2 version.
//!
//! A request is a message of kind call: its type the method and path, its payload the request, its answer the response, both
//! whole ([`messages`](crate::service::http::messages)). The gateway sends such messages; so may any actor. The resources of the
//! request are values: made from the message in every run of the turn, live or replayed.

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, Resource, TypedFunc};

use super::Output;
use crate::actor::message::{Message, MessageKind};
use crate::boundary::{Guest, LimitReached};
use crate::service::http::Full;
use crate::service::http::body::Reading;
use crate::service::http::fields::Fields;
use crate::service::http::messages::{Request, Response};
use crate::service::http::parts::{IncomingRequest, OutgoingResponse, ResponseOutparam, Slot};
use crate::service::http::types::{Method, Scheme};

/// The interface, in any version of this track.
const INTERFACE: &str = "wasi:http/incoming-handler@0.2.";

/// Whether a component exports it.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    handle: Option<ComponentExportIndex>,
}

/// The same in one instance.
pub struct Functions {
    handle: Option<Handle>,
}

type Handle = TypedFunc<(Resource<IncomingRequest>, Resource<ResponseOutparam>), ()>;

impl Exports {
    pub(super) fn of(component: &Component) -> Exports {
        let engine = component.engine();
        let ty = component.component_type();
        let name = ty.exports(engine).map(|(name, _)| name.to_owned()).find(|name| name.starts_with(INTERFACE));
        let handle = name.and_then(|name| {
            let (_, at) = component.get_export(None, &name)?;
            component.get_export(Some(&at), "handle").map(|(_, index)| index)
        });
        Exports { handle }
    }

    pub(super) fn is_there(&self) -> bool {
        self.handle.is_some()
    }

    pub(super) fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Functions> {
        let handle = match &self.handle {
            Some(index) => Some(instance.get_typed_func(&mut *store, index)?),
            None => None,
        };
        Ok(Functions { handle })
    }
}

/// Whether a message of that type is a request: a method, a space, a path.
fn is_request(message: &Message) -> bool {
    let method_and_path = message.message_type.split_once(' ');
    message.kind == MessageKind::Call && method_and_path.is_some_and(|(_, path)| path.starts_with('/') || path == "*")
}

impl Functions {
    /// True if the message is a request that an export takes.
    pub(super) fn takes(&self, message: &Message) -> bool {
        self.handle.is_some() && is_request(message)
    }

    pub(super) async fn call(&self, store: &mut Store<Guest>, message: &Message) -> wasmtime::Result<Output> {
        let Some(handle) = &self.handle else { return Ok(Output::NoTaker("no incoming-handler".to_owned())) };
        let request = match Request::decode(&message.payload) {
            Ok(request) => request,
            Err(error) => return Ok(Output::Refused(format!("the payload is no request: {error}"))),
        };
        let slot = Slot::default();
        let arguments = arguments(store.data_mut(), request, slot.clone())?;
        handle.call_async(&mut *store, arguments).await?;
        let answered = slot.lock().take();
        Ok(match answered {
            Some(Ok(response)) => whole(response),
            Some(Err(error)) => Output::Refused(error.to_string()),
            None => Output::Refused("the handler ended without a response".to_owned()),
        })
    }
}

/// The request and the place for its response, by the guest's numbers.
fn arguments(
    guest: &mut Guest,
    request: Request,
    slot: Slot,
) -> wasmtime::Result<(Resource<IncomingRequest>, Resource<ResponseOutparam>)> {
    let Request { method, scheme, authority, path, headers, body, trailers, streamed } = request;
    let body = match guest.turn.client.as_mut().and_then(|client| client.body.take()) {
        Some(parts) if streamed => Reading::coming(parts),
        // Nothing brings back what a client sent beside its message.
        _ if streamed => Reading::dead(),
        _ => Reading::whole(body, trailers),
    };
    let message = guest.turn.message.as_ref().map(|message| message.id);
    let headers = Fields::received(headers, guest.http.values.charge())
        .map_err(|Full| LimitReached("the fields of the request are larger than limits.memory".to_owned()))?;
    let request = guest.table.push(IncomingRequest {
        method: Method::of(&method),
        scheme: Scheme::of(&scheme),
        authority,
        path: Some(path),
        headers,
        body: Some(body),
    })?;
    let outparam = guest.table.push(ResponseOutparam { message, slot, unbounded: streamed })?;
    let (mut request, mut outparam) = (request.rep(), outparam.rep());
    if guest.recorder.recording() {
        // The same numbers in every run: they are counted from the calls before.
        request = guest.recorder.resources.to_logical(request);
        outparam = guest.recorder.resources.to_logical(outparam);
    }
    Ok((Resource::new_own(request), Resource::new_own(outparam)))
}

fn whole(response: OutgoingResponse) -> Output {
    let OutgoingResponse { status, headers, body } = response;
    let (written, streamed) = match body {
        None => (Ok((Vec::new(), None)), None),
        Some(body) => {
            let mut body = body.lock();
            (body.whole(), body.streamed_size())
        }
    };
    match written {
        Ok((body, trailers)) => {
            let headers = headers.entries().clone();
            Output::Answer(Response { status, headers, body, trailers, streamed }.encode())
        }
        Err(_) => Output::Refused("the body of the response was not finished".to_owned()),
    }
}
