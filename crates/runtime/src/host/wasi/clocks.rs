//! `wasi:clocks`: wall time is the node's, the monotonic clock is node time.
//!
//! Pollables of the clock are made again after a crash: one of an instant at the same instant, one of a duration when it would
//! have been over, in node time, which stands in the journal behind the call.

use std::sync::Arc;

use troupe_log::NodeTime;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::boundary::{Boundary, Effect, Extra, Guest, Services};

type Made = (Resource<DynPollable>,);

/// Registers the package.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("wasi:clocks/wall-clock@0.2.12")?
        .func("now", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            let now = guest.node.wall_time().0;
            Ok((Datetime { seconds: now / 1_000_000, nanoseconds: (now % 1_000_000) as u32 * 1000 },))
        })?
        .func("resolution", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            Ok((Datetime { seconds: 0, nanoseconds: 1000 },))
        })?;
    boundary
        .interface("wasi:clocks/monotonic-clock@0.2.12")?
        .func("now", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            Ok((guest.node.node_time().0.saturating_mul(1000),))
        })?
        .func("resolution", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            Ok((1000u64,))
        })?
        .func_with(
            "subscribe-instant",
            Effect::Read,
            Extra::default().renew(|guest, _, (when,): &(u64,)| Ok(Some(at_instant(guest, *when)?.0.rep()))),
            |guest: &mut Guest, (when,): (u64,)| {
                guest.require(guest.about.grants.clocks, "clocks")?;
                at_instant(guest, when)
            },
        )?
        .func_with(
            "subscribe-duration",
            Effect::Read,
            Extra::default().renew(|guest, logical, (nanos,): &(u64,)| {
                let at = guest.recorder.dues.of(logical).unwrap_or_else(|| over(guest, *nanos));
                Ok(Some(alarm(guest, at)?.0.rep()))
            }),
            |guest: &mut Guest, (nanos,): (u64,)| {
                guest.require(guest.about.grants.clocks, "clocks")?;
                let at = over(guest, nanos);
                guest.recorder.dues.begin(at);
                alarm(guest, at)
            },
        )?;
    Ok(())
}

fn at_instant(guest: &mut Guest, nanos: u64) -> wasmtime::Result<Made> {
    alarm(guest, NodeTime(nanos.div_ceil(1000)))
}

fn over(guest: &Guest, nanos: u64) -> NodeTime {
    let now = guest.node.node_time();
    NodeTime(now.0.saturating_add(nanos.div_ceil(1000)))
}

fn alarm(guest: &mut Guest, at: NodeTime) -> wasmtime::Result<Made> {
    let alarm = guest.table.push(Alarm { node: guest.node.clone(), at })?;
    Ok((subscribe(&mut guest.table, alarm)?,))
}

/// Ready from a node time on.
struct Alarm {
    node: Arc<dyn Services>,
    at: NodeTime,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        if self.node.node_time() < self.at {
            self.node.waits().sleep_until(self.at).await;
        }
    }
}
