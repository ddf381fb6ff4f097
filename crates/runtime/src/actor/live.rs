//! A running instance, and how a guest's computation is bounded.
//!
//! Owns the store of one instance. A trap, an exit or a killed call leaves it dead; the actor is then brought back by recovery.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use troupe_log::NodeTime;
use troupe_log::body::FaultCause;
use wasmtime::{Store, Trap};

use crate::actor::cut::Cut;
use crate::boundary::{CommitFailed, Divergence, Guest, LeftHere, LimitReached, exit_code};
use crate::component::Code;
use crate::contract::{Driver, Input, Output};
use crate::node::core::Core;
use crate::service::http::streaming::Going;

/// A live instance.
pub struct Live {
    /// Its store.
    pub store: Store<Guest>,
    driver: Box<Driver>,
    cut: Cut,
    going: Going,
    /// The state of a gen-fsm actor.
    pub state: String,
}

/// How a turn ended when it did not end in order.
#[derive(Debug)]
pub enum Fall {
    /// With a fault.
    Fault(FaultCause, String),
    /// The guest did something else than its journal.
    Differs(Divergence),
    /// A replayed turn that had been killed was compared to its last record.
    Left,
    /// The node is closing; the turn goes on at its next start.
    Closing,
    /// The log has stopped.
    Halted(String),
}

/// What bounds a turn from outside the guest.
pub(crate) struct Bounds<'a> {
    /// Fuel of the turn.
    pub fuel: u64,
    /// When it is killed.
    pub deadline: Option<NodeTime>,
    /// The node; none in a replay of a file, where no deadline counts.
    pub core: Option<&'a Core>,
    /// Whether somebody may end it before its time.
    pub cut: bool,
}

impl Live {
    /// Instantiates a component.
    pub(crate) async fn instantiate(
        code: &Code,
        guest: Guest,
        bounds: &Bounds<'_>,
    ) -> Result<Live, (Box<Guest>, Fall)> {
        let cut = guest.about.cut.clone();
        let going = guest.http.going.clone();
        let mut store = Store::new(code.pre.engine(), guest);
        store.limiter(|guest| &mut guest.limiter);
        store.epoch_deadline_async_yield_and_update(1);
        let made = match ready(&mut store, bounds.fuel) {
            Err(error) => Err(Fall::of(error)),
            Ok(()) => {
                let made = async {
                    let instance = code.pre.instantiate_async(&mut store).await?;
                    code.contract.bind(&mut store, &instance)
                };
                bounded(made, bounds, (&cut, &going)).await
            }
        };
        match made {
            Ok(driver) => Ok(Live { store, driver: Box::new(driver), cut, going, state: String::new() }),
            Err(fall) => Err((Box::new(store.into_data()), fall)),
        }
    }

    /// The guest's data.
    pub fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Runs one turn.
    pub(crate) async fn drive(&mut self, input: Input<'_>, bounds: &Bounds<'_>) -> Result<Output, Fall> {
        ready(&mut self.store, bounds.fuel).map_err(Fall::of)?;
        bounded(self.driver.turn(&mut self.store, input), bounds, (&self.cut, &self.going)).await
    }

    /// Fuel used since the turn began with `full`.
    pub fn fuel_used(&self, full: u64) -> u64 {
        full.saturating_sub(self.store.get_fuel().unwrap_or(0))
    }

    /// Whether the guest has an init.
    pub fn has_init(&self) -> bool {
        self.driver.has_init()
    }
}

fn ready(store: &mut Store<Guest>, fuel: u64) -> wasmtime::Result<()> {
    store.set_fuel(fuel)?;
    store.set_epoch_deadline(1);
    Ok(())
}

impl Fall {
    /// What an error of the engine means.
    pub fn of(error: wasmtime::Error) -> Fall {
        if let Some(divergence) = error.downcast_ref::<Divergence>() {
            return Fall::Differs(divergence.clone());
        }
        if error.is::<LeftHere>() {
            return Fall::Left;
        }
        if let Some(failed) = error.downcast_ref::<CommitFailed>() {
            return Fall::Halted(failed.0.to_string());
        }
        if let Some(limit) = error.downcast_ref::<LimitReached>() {
            return Fall::Fault(FaultCause::Limit, limit.0.clone());
        }
        if let Some(code) = exit_code(&error) {
            return Fall::Fault(FaultCause::Exit, format!("the guest exited with code {code}"));
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Fall::Fault(FaultCause::OutOfFuel, "all fuel of the turn is used up".to_owned()),
            Some(Trap::StackOverflow) => Fall::Fault(FaultCause::Limit, "call stack exhausted".to_owned()),
            Some(trap) => Fall::Fault(FaultCause::Trap, trap.to_string()),
            None => Fall::Fault(FaultCause::Trap, root(&error)),
        }
    }
}

/// The innermost message: what a host function said, without the guest's backtrace.
fn root(error: &wasmtime::Error) -> String {
    error.chain().last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Runs guest computation to its end or its deadline. The timer is made when the computation first parks or yields, so that a
/// short turn pays nothing for it.
///
/// No `async fn`: that would hold the computation three times over, in each live actor's task.
fn bounded<'a, F>(computation: F, bounds: &'a Bounds<'a>, (cut, going): (&'a Cut, &'a Going)) -> Bounded<'a, F> {
    Bounded { computation, bounds, cut, going, alarm: None }
}

struct Bounded<'a, F> {
    computation: F,
    bounds: &'a Bounds<'a>,
    cut: &'a Cut,
    going: &'a Going,
    alarm: Option<BoxFuture<'static, Fall>>,
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Bounded<'_, F> {
    type Output = Result<T, Fall>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `computation` is never moved out of the pinned struct, and nothing else of it is pinned.
        #[allow(unsafe_code)]
        let (computation, bounds, cut, going, alarm) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.computation), this.bounds, this.cut, this.going, &mut this.alarm)
        };
        let Some(core) = bounds.core else {
            return computation.poll(context).map_err(Fall::of);
        };
        core.ticker.touch();
        if alarm.is_some() && core.is_closing() {
            return Poll::Ready(Err(Fall::Closing));
        }
        if let Poll::Ready(result) = computation.poll(context) {
            return Poll::Ready(result.map_err(Fall::of));
        }
        // Who parks may park for long: what may leave of a response does.
        going.hand_over(None);
        let alarm = alarm.get_or_insert_with(|| core.alarm(bounds.deadline, bounds.cut.then(|| cut.clone())));
        alarm.as_mut().poll(context).map(Err)
    }
}
