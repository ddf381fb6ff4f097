//! `theater:simple/runtime`: log, and the actor's own end.
//!
//! `shutdown` is staged: the turn goes on, and when it has ended the life ends, with what was said as its reason. A stop that is
//! committed happens, also after a crash.

use super::super::common::{self, denied};
use super::super::processes::stage_stop;
use crate::boundary::{Boundary, Effect, Guest, Level};
use crate::service::bonds::{Stop, StoppedBy};

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/runtime")?
        .func("log", Effect::Read, |guest: &mut Guest, (message,): (String,)| {
            guest.require(guest.about.grants.host, "host")?;
            guest.say(Level::INFO, &message);
            Ok(())
        })?
        .func("shutdown", Effect::Node, |guest: &mut Guest, (data,): (Option<Vec<u8>>,)| {
            Ok::<(Result<(), String>,), _>((shutdown(guest, data.as_deref()),))
        })?;
    Ok(())
}

fn shutdown(guest: &mut Guest, data: Option<&[u8]>) -> Result<(), String> {
    if !guest.about.grants.host {
        return Err(denied(guest, "host", "host = true".to_owned()).to_string());
    }
    let words = data.map(|data| guest.recorder.secrets.masked(data).to_vec());
    let data = data.unwrap_or_default();
    let most = guest.about.limits.payload.0;
    if data.len() as u64 > most {
        return Err(format!("{} bytes of data; the payload limit is {most}", data.len()));
    }
    // Text stays text for who reads the reason; other bytes stand there in hex.
    let reason = match std::str::from_utf8(data) {
        Ok(text) => guest.without_secrets(text),
        Err(_) => format!("0x{}", hex::encode(guest.recorder.secrets.masked(data))),
    };
    common::room(guest, reason.len()).map_err(|error| error.to_string())?;
    let by = StoppedBy::Itself(words);
    let id = guest.about.id.clone();
    stage_stop(guest, id, Stop { reason, by });
    Ok(())
}
