//! `resource fields`.

use wasmtime::component::Resource;

use super::{TYPES, full, room};
use crate::boundary::{Boundary, Effect, Extra, Guest};
use crate::service::http::fields::{Entries, Fields, Refused};
use crate::service::http::types::HeaderError;

pub(super) type Set = Resource<Fields>;
type Changed = (Result<(), HeaderError>,);

/// Registers it.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface(TYPES)?
        .resource("fields", |guest, fields: Set| {
            guest.table.delete(fields)?;
            Ok(())
        })?
        .func_with("[constructor]fields", Effect::Read, Extra::default().value(), |guest: &mut Guest, (): ()| {
            let fields = Fields::new(guest.http.values.charge());
            Ok((guest.table.push(fields)?,))
        })?
        .func_with(
            "[static]fields.from-list",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (entries,): (Entries,)| {
                let made = Fields::from_list(entries, guest.http.values.charge());
                Ok((match refused(guest, made)? {
                    Ok(fields) => Ok(guest.table.push(fields)?),
                    Err(error) => Err(error),
                },))
            },
        )?
        .func("[method]fields.get", Effect::Read, |guest: &mut Guest, (fields, name): (Set, String)| {
            Ok((guest.table.get(&fields)?.get(&name),))
        })?
        .func("[method]fields.has", Effect::Read, |guest: &mut Guest, (fields, name): (Set, String)| {
            Ok((guest.table.get(&fields)?.has(&name),))
        })?
        .func("[method]fields.entries", Effect::Read, |guest: &mut Guest, (fields,): (Set,)| {
            Ok((guest.table.get(&fields)?.entries().clone(),))
        })?
        .func_with(
            "[method]fields.set",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (fields, name, values): (Set, String, Vec<Vec<u8>>)| -> wasmtime::Result<Changed> {
                let changed = guest.table.get_mut(&fields)?.set(&name, values);
                Ok((refused(guest, changed)?,))
            },
        )?
        .func_with(
            "[method]fields.delete",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (fields, name): (Set, String)| -> wasmtime::Result<Changed> {
                let changed = guest.table.get_mut(&fields)?.delete(&name);
                Ok((refused(guest, changed)?,))
            },
        )?
        .func_with(
            "[method]fields.append",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (fields, name, value): (Set, String, Vec<u8>)| -> wasmtime::Result<Changed> {
                let changed = guest.table.get_mut(&fields)?.append(name, value);
                Ok((refused(guest, changed)?,))
            },
        )?
        .func_with(
            "[method]fields.clone",
            Effect::Read,
            Extra::default().value(),
            |guest: &mut Guest, (fields,): (Set,)| {
                let copy = guest.table.get(&fields)?.copy(false);
                let copy = room(guest, copy)?;
                Ok((guest.table.push(copy)?,))
            },
        )?;
    Ok(())
}

/// The guest's error, or the fault of a limit.
fn refused<T>(guest: &Guest, result: Result<T, Refused>) -> wasmtime::Result<Result<T, HeaderError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Refused::Error(error)) => Ok(Err(error)),
        Err(Refused::Full) => Err(full(guest)),
    }
}
