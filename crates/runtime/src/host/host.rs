//! `troupe:actor/host`: log, time, sleep. Needs no grant, but can be switched off.

use std::time::Duration;

use troupe_log::Table;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::types::Error;
use crate::boundary::{self, Begun, Boundary, Effect, Guest, Staged, TimerChange, Wait};
use crate::recordable_enum;
use crate::service::timers::{Name, Timer, due_after};
use crate::service::waits::{WaitId, Waited};

/// `enum level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Finest.
    #[component(name = "trace")]
    Trace,
    /// For developers.
    #[component(name = "debug")]
    Debug,
    /// For operators.
    #[component(name = "info")]
    Info,
    /// Something is odd.
    #[component(name = "warn")]
    Warn,
    /// Something is wrong.
    #[component(name = "error")]
    Error,
}
recordable_enum!(Level { Trace, Debug, Info, Warn, Error });

impl From<Level> for boundary::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}

type SleepResult = (Result<(), Error>,);

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/host@0.1.0")?
        .func("log", Effect::Read, |guest: &mut Guest, (level, message): (Level, String)| {
            guest.require(guest.about.grants.host, "host")?;
            guest.say(level.into(), &message);
            Ok(())
        })?
        .func("now-millis", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.host, "host")?;
            Ok((guest.node.wall_time().0 / 1000,))
        })?
        .wait("sleep-millis", Wait { begin: sleep_begin, again: |_, _, _| Ok(()), end: sleep_end })?;
    Ok(())
}

fn sleep_begin(guest: &mut Guest, (millis,): &(u64,), id: &WaitId) -> wasmtime::Result<Begun<SleepResult>> {
    if !guest.about.grants.host {
        guest.recorder.deny("host");
        return Ok(Begun::Now((Err(Error::NotPermitted("host".to_owned())),)));
    }
    if guest.turn.restricted {
        return Ok(Begun::Now((Err(Error::Unavailable("no waiting in save and load".to_owned())),)));
    }
    fall_asleep(guest, *millis, id);
    Ok(Begun::Parked(None))
}

fn sleep_end(guest: &mut Guest, _: &(u64,), id: &WaitId, waited: Waited) -> wasmtime::Result<SleepResult> {
    Ok((awake(guest, id, waited),))
}

/// Arms the timer that completes this wait after so many milliseconds.
pub(super) fn fall_asleep(guest: &mut Guest, millis: u64, id: &WaitId) {
    let due = due_after(guest.node.wall_time(), Duration::from_millis(millis));
    let timer = Timer::completing(id.clone(), due, guest.recorder.recording());
    if timer.durable {
        guest.put(Table::TIMERS, &timer.name.key(), &timer.encode());
    }
    guest.stage(Staged::Timer(TimerChange::Arm(timer)));
}

/// The end of that wait.
pub(super) fn awake(guest: &mut Guest, id: &WaitId, waited: Waited) -> Result<(), Error> {
    let durable = guest.recorder.recording();
    match waited {
        Waited::Completed(_) => Ok(()),
        Waited::TimedOut | Waited::DeadlineNear => {
            if durable {
                guest.delete(Table::TIMERS, &Name::Wait(id.clone()).key());
            }
            guest.stage(Staged::Timer(TimerChange::Cancel(id.clone())));
            Err(Error::Timeout)
        }
    }
}
