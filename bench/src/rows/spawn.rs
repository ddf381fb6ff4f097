//! From the wish for an actor to its first reply, the code compiled already.

use std::time::Instant;

use troupe_runtime::manifest::Mode;

use crate::measure::Best;
use crate::peer::Peer;
use crate::raw::Raw;
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, outgoing, spec};

/// Each is ended before the next, outside of what is measured.
pub fn to_reply(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let (ours, raw, peer) = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    let what = "spawn to first reply, 64 B, one host call inside, journal off, code cached; at most 2x raw \
                (instantiation and one call)";
    Ok(Row::at_most("spawn-to-reply", what, "us", ours.micros(), 2.0 * raw.micros())
        .raw(raw.micros())
        .peer(peer.micros()))
}

/// Actors in a round; their times are added up.
const ROUND: u32 = 200;

async fn measure(setup: &Setup) -> anyhow::Result<(Best, Best, Best)> {
    let node = setup.node().await?;
    let component = setup.component(&node).await?;
    let raw = Raw::new(&setup.guest_bytes("bench")?)?;
    let tick = outgoing("tick");
    let (mut ours, mut alone, mut peer) = (Best::default(), Best::default(), Best::default());
    let mut number = 0_u32;
    for round in 0..=20 * setup.rounds {
        if round == 1 {
            (ours, alone, peer) = Default::default();
        }
        let mut sums = [std::time::Duration::ZERO; 3];
        for _ in 0..ROUND {
            let began = Instant::now();
            let mut instance = raw.instance().await?;
            std::hint::black_box(instance.call("tick").await?);
            sums[0] += began.elapsed();
            drop(instance);

            let began = Instant::now();
            let actor = Peer::spawn().await?;
            std::hint::black_box(actor.call().await?);
            sums[1] += began.elapsed();
            drop(actor);

            number += 1;
            let spec = spec(&format!("spawn-{number}"), component.clone(), Mode::Off)?;
            let id = spec.id.clone();
            let began = Instant::now();
            node.start(spec).await?;
            std::hint::black_box(node.call(&id, tick.clone()).await?);
            sums[2] += began.elapsed();
            node.stop(&id, "measured").await?;
        }
        for (best, sum) in [&mut alone, &mut peer, &mut ours].into_iter().zip(sums) {
            best.add(sum / ROUND);
        }
    }
    node.close().await?;
    Ok((ours, alone, peer))
}
