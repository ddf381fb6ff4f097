//! What it costs to record a host call: none, 64 B and 4 KiB one way, in a loop of the guest.

use std::sync::Arc;

use troupe_runtime::manifest::Mode;
use troupe_runtime::node::{Node, NodeOptions};

use crate::measure::{Best, time};
use crate::raw::Raw;
use crate::report::Row;
use crate::setup::{Cheap, Setup, on_worker, one_core, outgoing};

/// Host calls of one message, as the guest has it.
const CALLS: u32 = 100;

/// Rows: name, message, what crosses, and how many ns more than unrecorded it may be.
const KINDS: [(&str, &str, &str, f64); 3] = [
    ("host-call-0", "now", "without payload", 100.0),
    ("host-call-64", "bytes-64", "with 64 B one way", 150.0),
    ("host-call-4096", "bytes-4096", "with 4 KiB one way", 1600.0),
];

/// One kind: the engine alone, journal off, and buffered on the real disk, in turns.
pub fn recorded(setup: &Setup, kind: usize) -> anyhow::Result<Row> {
    let (id, message, what, more) = KINDS[kind];
    let setup = setup.clone();
    let (raw, off, recorded) = on_worker(&one_core()?, async move { measure(&setup, message).await })?;
    let [raw, off, recorded] = [raw, off, recorded].map(|best| best.micros() * 1e3);
    let what = format!(
        "a host call {what}, recorded, with the end of its turn, buffered; at most the engine's plus {more} ns (peer: \
         with the journal off)"
    );
    Ok(Row::at_most(id, what, "ns", recorded, raw + more).raw(raw).peer(off))
}

async fn measure(setup: &Setup, message: &'static str) -> anyhow::Result<(Best, Best, Best)> {
    let data = setup.data()?;
    let options = NodeOptions { cache: Some(setup.cache()), entropy: Arc::new(Cheap), ..NodeOptions::at(data.path()) };
    let node = Node::open(options).await?;
    let off_id = setup.actor(&node, "off", Mode::Off).await?;
    let recorded_id = setup.actor(&node, "recorded", Mode::Buffered).await?;
    let (off_actor, recorded_actor) = (node.actor_ref(&off_id)?, node.actor_ref(&recorded_id)?);
    let mut instance = Raw::new(&setup.guest_bytes("bench")?)?.instance().await?;
    let message_of = outgoing(message);
    let (mut raw, mut off, mut recorded) = (Best::default(), Best::default(), Best::default());
    // The first rounds warm up.
    for round in 0..=20 * setup.rounds {
        if round == 2 {
            (raw, off, recorded) = Default::default();
        }
        for _ in 0..10 {
            if !setup.ours_only {
                time(&mut raw, CALLS, instance.call(message)).await?;
            }
            time(&mut off, CALLS, off_actor.call(message_of.clone())).await?;
            time(&mut recorded, CALLS, recorded_actor.call(message_of.clone())).await?;
        }
    }
    node.close().await?;
    Ok((raw, off, recorded))
}
