//! `theater:simple/timing`: wall time in milliseconds, and sleeping for or until so many of them.
//!
//! A sleep is a wait as `troupe:actor/host` has it: it goes on after a crash, and ends early with an error where the turn must get on.

use std::time::Duration;

use super::super::common::denied;
use super::super::host::{awake, fall_asleep};
use crate::boundary::{Begun, Boundary, Effect, Guest, Wait};
use crate::service::waits::{WaitId, Waited};

type Slept = (Result<(), String>,);

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/timing")?
        .func("now", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            Ok((now(guest),))
        })?
        .wait(
            "sleep",
            Wait {
                begin: |guest, (millis,), id| match bounded(guest, *millis) {
                    Ok(()) => Ok(sleep(guest, *millis, id)),
                    Err(why) => Ok(Begun::Now((Err(why),))),
                },
                again: |_, _, _| Ok(()),
                end,
            },
        )?
        .wait(
            "deadline",
            Wait {
                begin: |guest, (moment,): &(u64,), id| {
                    let left = moment.saturating_sub(now(guest));
                    // A moment that is past is no sleep.
                    if left > 0
                        && let Err(why) = bounded(guest, left)
                    {
                        return Ok(Begun::Now((Err(why),)));
                    }
                    Ok(sleep(guest, left, id))
                },
                again: |_, _, _| Ok(()),
                end,
            },
        )?;
    Ok(())
}

fn now(guest: &Guest) -> u64 {
    guest.node.wall_time().0 / 1000
}

/// An error if a sleep is shorter or longer than the grant lets it be.
fn bounded(guest: &Guest, millis: u64) -> Result<(), String> {
    let time = &guest.about.grants.time;
    let asked = Duration::from_millis(millis);
    let words = |key: &str, bound: Duration| {
        Err(format!("a sleep of {millis} ms was asked for; {key} is {} ms", bound.as_millis()))
    };
    match (time.min_sleep, time.max_sleep) {
        (Some(least), _) if asked < least => words("min-sleep", least),
        (_, Some(most)) if asked > most => words("max-sleep", most),
        _ => Ok(()),
    }
}

fn sleep(guest: &mut Guest, millis: u64, id: &WaitId) -> Begun<Slept> {
    if !guest.about.grants.clocks {
        return Begun::Now((Err(denied(guest, "clocks", "clocks = true".to_owned()).to_string()),));
    }
    fall_asleep(guest, millis, id);
    Begun::Parked(None)
}

fn end(guest: &mut Guest, _: &(u64,), id: &WaitId, waited: Waited) -> wasmtime::Result<Slept> {
    Ok((awake(guest, id, waited).map_err(|error| error.to_string()),))
}
