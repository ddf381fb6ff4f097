//! `troupe:actor/locks`: acquire, renew, release. All are shared updates: they commit the step, and cannot be undone.
//!
//! An acquire is a wait even if the lock is free, so that who gets it is decided in the commit and in one order for all.

use troupe_log::ActorId;

use super::common::{after, name, permit};
use super::types::Error;
use crate::boundary::{Begun, Boundary, Effect, Guest, Wait};
use crate::service::Which;
use crate::service::locks::{self, Lost, MAX_LOCKS, Refused, Waiter};
use crate::service::waits::{WaitId, Waited};

type Acquire = (String, u64, Option<u64>);
type Acquired = (Result<Option<u64>, Error>,);
type Done = (Result<(), Error>,);

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("troupe:actor/locks@0.1.0")?
        .wait("acquire", Wait { begin, again, end })?
        .func_async("renew", Effect::SharedUpdate, renew)?
        .func_async("release", Effect::SharedUpdate, release)?;
    Ok(())
}

fn granted(guest: &mut Guest, lock: &str) -> Result<ActorId, Error> {
    let lock = name(guest, lock)?;
    permit(guest, &lock, ("locks", "names"), |grants| grants.locks.as_deref())?;
    Ok(lock)
}

fn waiter(guest: &Guest, lease: u64, wait: &WaitId) -> Waiter {
    Waiter { wait: wait.clone(), lease: lease.saturating_mul(1000), durable: guest.recorder.recording() }
}

fn may_ask(guest: &mut Guest, lock: &str, lease: u64) -> Result<ActorId, Error> {
    let lock = granted(guest, lock)?;
    if lease == 0 {
        return Err(Error::InvalidArgument("a lease of 0 ms is over at once".to_owned()));
    }
    let (node, me) = (guest.node.clone(), &guest.about.id);
    match node.shared().locks.may_ask(&lock, me, node.node_time()) {
        Ok(()) => Ok(lock),
        Err(Refused::Held) => Err(Error::Conflict),
        Err(Refused::Full) => Err(Error::ResourceExhausted(format!("max-locks = {MAX_LOCKS}"))),
    }
}

fn begin(guest: &mut Guest, (lock, lease, timeout): &Acquire, id: &WaitId) -> wasmtime::Result<Begun<Acquired>> {
    let lock = match may_ask(guest, lock, *lease) {
        Ok(lock) => lock,
        Err(error) => return Ok(Begun::Now((Err(error),))),
    };
    let node = guest.node.clone();
    let change = node.shared().locks.ask(&lock, waiter(guest, *lease, id), node.node_time());
    guest.stage_service(change);
    Ok(Begun::Parked(timeout.map(|timeout| after(guest, timeout))))
}

fn again(guest: &mut Guest, (lock, lease, _): &Acquire, id: &WaitId) -> wasmtime::Result<()> {
    let Ok(lock) = name(guest, lock) else { return Ok(()) };
    let node = guest.node.clone();
    if let Some(at) = node.shared().locks.ask_again(&lock, waiter(guest, *lease, id)) {
        node.timers().wake(Which::Locks, at);
    }
    Ok(())
}

fn end(guest: &mut Guest, _: &Acquire, _: &WaitId, waited: Waited) -> wasmtime::Result<Acquired> {
    let result = match waited {
        Waited::Completed(completion) => match locks::token(&completion) {
            Some(token) => Ok(Some(token)),
            None => Err(Error::Internal("a lock's completion cannot be read".to_owned())),
        },
        Waited::TimedOut => {
            let gate = guest.node.shared().locks.gate();
            guest.saw(gate);
            Ok(None)
        }
        Waited::DeadlineNear => Err(Error::Timeout),
    };
    Ok((result,))
}

async fn renew(guest: &mut Guest, (lock, token, lease): (String, u64, u64)) -> wasmtime::Result<Done> {
    let renewed = granted(guest, &lock).and_then(|lock| {
        if lease == 0 {
            return Err(Error::InvalidArgument("a lease of 0 ms is over at once".to_owned()));
        }
        let (node, me, until) = (guest.node.clone(), guest.about.id.clone(), after(guest, lease));
        let change = node.shared().locks.renew(&lock, &me, token, until, node.node_time());
        let change = change.map_err(|lost| lost_error(guest, lost, &lock, token))?;
        guest.stage_service(change);
        Ok(())
    });
    Ok((renewed,))
}

async fn release(guest: &mut Guest, (lock, token): (String, u64)) -> wasmtime::Result<Done> {
    let released = granted(guest, &lock).and_then(|lock| {
        let (node, me) = (guest.node.clone(), guest.about.id.clone());
        let change = node.shared().locks.release(&lock, &me, token, node.node_time());
        let change = change.map_err(|lost| lost_error(guest, lost, &lock, token))?;
        guest.stage_service(change);
        Ok(())
    });
    Ok((released,))
}

fn lost_error(guest: &mut Guest, lost: Lost, lock: &ActorId, token: u64) -> Error {
    let gate = guest.node.shared().locks.gate();
    guest.saw(gate);
    match lost {
        Lost::Stale => Error::Conflict,
        Lost::Unknown => Error::NotFound(format!("token {token} of the lock {lock}")),
    }
}
