//! `wasi:clocks`: wall time is the node's, the monotonic clock is node time; the grant may move, stop or speed them up.
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
            let now = wall(guest);
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
            Ok((monotonic(guest),))
        })?
        .func("resolution", Effect::Read, |guest: &mut Guest, (): ()| {
            guest.require(guest.about.grants.clocks, "clocks")?;
            Ok((1000u64,))
        })?
        .func_with(
            "subscribe-instant",
            Effect::Read,
            Extra::default().renew(|guest, _, (when,): &(u64,)| Ok(Some(alarm(guest, instant(guest, *when))?.0.rep()))),
            |guest: &mut Guest, (when,): (u64,)| {
                guest.require(guest.about.grants.clocks, "clocks")?;
                alarm(guest, instant(guest, when))
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

/// Microseconds since 1970. A scaled clock was right when the node was new, and its node time 0.
fn wall(guest: &Guest) -> u64 {
    let time = &guest.about.grants.time;
    let now = match time.frozen {
        Some(frozen) => frozen.0,
        None => {
            let ahead = match time.scale.get() {
                1 => 0,
                scale => guest.node.node_time().0.saturating_mul(u64::from(scale - 1)),
            };
            guest.node.wall_time().0.saturating_add(ahead)
        }
    };
    now.saturating_add_signed(time.offset)
}

/// Nanoseconds.
fn monotonic(guest: &Guest) -> u64 {
    guest.node.node_time().0.saturating_mul(scale(guest))
}

/// Nanoseconds of the guest's clock in a microsecond of node time.
fn scale(guest: &Guest) -> u64 {
    1000 * u64::from(guest.about.grants.time.scale.get())
}

/// The node time at which the guest's clock is there.
fn instant(guest: &Guest, nanos: u64) -> NodeTime {
    NodeTime(nanos.div_ceil(scale(guest)))
}

fn over(guest: &Guest, nanos: u64) -> NodeTime {
    let now = guest.node.node_time();
    NodeTime(now.0.saturating_add(nanos.div_ceil(scale(guest))))
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
