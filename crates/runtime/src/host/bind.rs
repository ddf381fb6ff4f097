//! Calls of a bound import: requests of the actor that `[bind]` names.
//!
//! The entry in the manifest is the grant. A call that fails is the function's own error, if its result has one of type
//! string; else it faults the caller.

use troupe_log::ActorId;
use troupe_log::NodeTime;

use super::messaging::request::{Ask, ask_of, end, wait_again};
use super::types::Error;
use crate::boundary::{Begun, BoundCall, Boundary, Bytes, Guest, Wait, bound_to};
use crate::service::waits::WaitId;

/// Registers how such calls are served.
pub fn link(boundary: &mut Boundary) {
    boundary.serve_bound(Wait {
        begin: |guest, call, id| match begin(guest, call, id) {
            Ok(due) => Ok(Begun::Parked(due)),
            Err(error) => Ok(Begun::Now(failed(guest, call, &error.to_string())?)),
        },
        again: |guest, call, id| {
            if let Some(to) = served_by(guest, call) {
                wait_again(guest, &to, None, id);
            }
            Ok(())
        },
        end: |guest, call, id, waited| match end(guest, id, waited) {
            // Values take far more room than their bytes: no more of them are made than the caller takes in a message.
            Ok(answer) if answer.len() as u64 > guest.about.limits.payload.0 => {
                let most = guest.about.limits.payload.0;
                failed(guest, call, &format!("its answer is larger than {most} bytes"))
            }
            Ok(answer) => match call.function.check(&answer) {
                Ok(()) => Ok(Bytes(answer)),
                Err(why) => failed(guest, call, &why),
            },
            Err(error) => failed(guest, call, &error.to_string()),
        },
    });
}

fn served_by(guest: &Guest, call: &BoundCall) -> Option<ActorId> {
    ActorId::parse(bound_to(&guest.about.bind, &call.function.interface)?).ok()
}

fn begin(guest: &mut Guest, call: &BoundCall, id: &WaitId) -> Result<Option<NodeTime>, Error> {
    let to = served_by(guest, call)
        .ok_or_else(|| Error::NotPermitted(format!("[bind] \"{}\" = \"ACTOR\"", call.function.interface)))?;
    let message_type = &call.function.message_type;
    let ask = Ask { to: to.as_str(), message_type, payload: &call.arguments, headers: &[], timeout: None, key: None };
    ask_of(guest, &ask, &to, id)
}

/// The function's own error, or a fault.
fn failed(guest: &Guest, call: &BoundCall, words: &str) -> wasmtime::Result<Bytes> {
    let to = bound_to(&guest.about.bind, &call.function.interface).unwrap_or("nobody");
    let words = format!("{} of {to}: {words}", call.function.message_type);
    match call.function.refusal(&words) {
        Some(bytes) => Ok(Bytes(bytes)),
        None => Err(wasmtime::Error::msg(words)),
    }
}
