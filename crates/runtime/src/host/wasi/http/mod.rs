//! `wasi:http`: fields, requests and responses as values, requests to the outside, and the resources of a request that comes in.
//!
//! Fields, requests, responses that are made, and written bodies are *values*: replay makes them again. What came in from outside
//! is noted behind the call that handed it out (`troupe:http/received`), so that heads and trailers are there after a crash; a
//! body in flight is dead then, and reading it fails. docs/http.md has the promises.

mod bodies;
mod fields;
mod futures;
mod outgoing;
mod requests;
mod responses;

pub(super) use bodies::{
    BodyIn, about_to_splice, gathers, is_sink, recorded_read, recorded_splice, recorded_write, sink_closed,
    source_closed, splice, spliced, wrote,
};

use wasmtime::component::Resource;

use crate::boundary::{Boundary, Guest, Handle, LimitReached};
use crate::service::http::Full;

const TYPES: &str = "wasi:http/types@0.2.12";

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    fields::link(boundary)?;
    requests::link(boundary)?;
    responses::link(boundary)?;
    bodies::link(boundary)?;
    futures::link(boundary)?;
    outgoing::link(boundary)
}

/// The fault of an actor whose values are larger than its memory may be.
fn full(guest: &Guest) -> wasmtime::Error {
    let limit = guest.about.limits.memory;
    LimitReached(format!("HTTP values hold more than limits.memory = {limit}, or one set of fields more than 128 KiB"))
        .into()
}

fn room<T>(guest: &Guest, made: Result<T, Full>) -> wasmtime::Result<T> {
    made.map_err(|Full| full(guest))
}

/// In replay: takes what stands behind a handle that the guest hands over, if something does.
fn take<T: Send + 'static>(guest: &mut Guest, handed: &Resource<T>) -> Option<T> {
    let real = guest.recorder.resources.to_real(Handle { rep: handed.rep(), owned: true }).ok()?;
    guest.table.delete(Resource::<T>::new_own(real)).ok()
}

/// In replay: puts a value behind the number that the journal has.
fn put<T: Send + 'static>(guest: &mut Guest, made: &Resource<T>, value: T) -> wasmtime::Result<()> {
    let real = guest.table.push(value)?.rep();
    guest.recorder.resources.renew(made.rep(), real);
    Ok(())
}

/// What stands behind a number of the guest's, in a turn that is recorded.
fn behind<T: Send + 'static>(guest: &mut Guest, resource: &Resource<T>) -> Option<Resource<T>> {
    guest.recorder.resources.get(resource.rep()).map(Resource::new_borrow)
}
