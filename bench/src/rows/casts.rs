//! Casts to one actor, on one core.

use troupe_log::ActorId;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::Mode;
use troupe_runtime::node::{Accepted, Node, Outgoing};

use crate::measure::{Best, time};
use crate::peer::Peer;
use crate::raw::Raw;
use crate::report::Row;
use crate::setup::{Setup, on_worker, one_core, outgoing};

const CASTS: u32 = 50_000;
/// Casts after which the sender lets the actor run.
const BURST: u32 = 512;

/// Journal off, and buffered on the real disk, in turns.
pub fn both(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let setup = setup.clone();
    let (off, buffered, raw, peer) = on_worker(&one_core()?, async move { measure(&setup).await })?;
    let off_a_second = off.per_second();
    Ok(vec![
        Row::at_least(
            "cast-off",
            "casts to one actor, 64 B, journal off, all on one core",
            "a second",
            off_a_second,
            1e6,
        )
        .raw(raw.per_second())
        .peer(peer.per_second()),
        Row::at_least(
            "cast-buffered",
            "the same with a buffered journal, until all are handled and written; at most 2x the time of journal off",
            "a second",
            buffered.per_second(),
            off_a_second / 2.0,
        ),
    ])
}

async fn measure(setup: &Setup) -> anyhow::Result<(Best, Best, Best, Best)> {
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let off_id = setup.actor(&node, "off", Mode::Off).await?;
    let buffered_id = setup.actor(&node, "buffered", Mode::Buffered).await?;
    let mut instance = Raw::new(&setup.guest_bytes("bench")?)?.instance().await?;
    let peer_actor = Peer::spawn().await?;
    let echo = outgoing("echo");
    let (mut off, mut buffered, mut raw, mut peer) =
        (Best::default(), Best::default(), Best::default(), Best::default());
    for round in 0..=10 * setup.rounds {
        if round == 1 {
            (off, buffered, raw, peer) = Default::default();
        }
        if !setup.ours_only {
            time(&mut raw, CASTS, instance.casts("echo", CASTS)).await?;
            time(&mut peer, CASTS, peer_actor.casts(CASTS, BURST)).await?;
        }
        time(&mut off, CASTS, casts(&node, &off_id, &echo)).await?;
        time(&mut buffered, CASTS, casts(&node, &buffered_id, &echo)).await?;
    }
    drop(peer_actor);
    node.close().await?;
    Ok((off, buffered, raw, peer))
}

/// Sends the casts, then waits until the last is handled, and what was accepted is written where the mode says so.
pub async fn casts(node: &Node, id: &ActorId, message: &Outgoing) -> anyhow::Result<()> {
    let actor = node.actor_ref(id)?;
    let mut last: Option<Accepted> = None;
    let mut sent = 0;
    while sent < CASTS {
        match actor.offer(message.clone()) {
            Ok(accepted) => last = Some(accepted),
            Err(CallError::MailboxFull { .. }) => {
                tokio::task::yield_now().await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        sent += 1;
        if sent.is_multiple_of(BURST) {
            tokio::task::yield_now().await;
        }
    }
    if let Some(last) = last {
        last.durable().await?;
    }
    actor.call(message.clone()).await?;
    Ok(())
}
