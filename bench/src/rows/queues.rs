//! Messages through a queue: sent, received and acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::task::JoinSet;
use troupe_log::{ActorId, ByteCount};
use troupe_runtime::manifest::{ActorPattern, Channels, ComponentRef, Mode};
use troupe_runtime::node::{Node, Outgoing};

use crate::measure::{Best, time};
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, spec};

/// Messages of one `send-many`, and of one `receive-many`.
const MANY: u32 = 500;
const BATCHES: u32 = 60;
/// Producers, and consumers.
const ACTORS: u32 = 2;

/// With durable actors and with actors without a journal; the queue is durable with both.
pub fn both(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let setup = setup.clone();
    let (durable, off) = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    Ok(vec![
        Row::at_least(
            "queue-durable",
            "messages of 64 B through a queue, sent, received and acknowledged with real syncs; send-many and receive-many of 500, 2 producers, 2 consumers",
            "a second",
            durable.per_second(),
            100_000.0,
        ),
        Row::at_least(
            "queue-off",
            "the same, all four actors without a journal",
            "a second",
            off.per_second(),
            100_000.0,
        ),
    ])
}

async fn measure(setup: &Setup) -> anyhow::Result<(Best, Best)> {
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let component = ComponentRef::Digest(node.load(&setup.guest_bytes("queues")?).await?.digest);
    let durable = actors(&node, "durable", &component, Mode::Durable).await?;
    let off = actors(&node, "off", &component, Mode::Off).await?;
    let (mut durable_best, mut off_best) = (Best::default(), Best::default());
    for round in 0..=5 * setup.rounds {
        if round == 1 {
            (durable_best, off_best) = Default::default();
        }
        time(&mut durable_best, BATCHES * MANY, through(&node, &durable)).await?;
        time(&mut off_best, BATCHES * MANY, through(&node, &off)).await?;
    }
    node.close().await?;
    Ok((durable_best, off_best))
}

/// Producers, then consumers.
async fn actors(node: &Node, name: &str, component: &ComponentRef, mode: Mode) -> anyhow::Result<Vec<ActorId>> {
    let mut ids = Vec::new();
    for number in 0..2 * ACTORS {
        let mut spec = spec(&format!("{name}-{number}"), component.clone(), mode)?;
        let all = || ActorPattern::parse("*").map(|all| vec![all]).map_err(anyhow::Error::msg);
        spec.grants.channels = Some(Channels { send: all()?, receive: all()?, ..Channels::default() });
        spec.limits.fuel = 10_000_000_000;
        spec.limits.memory = ByteCount::mib(64);
        ids.push(spec.id.clone());
        node.start(spec).await?;
    }
    Ok(ids)
}

/// All at once, until the last message is acknowledged, and that is durable.
async fn through(node: &Node, actors: &[ActorId]) -> anyhow::Result<()> {
    let mut work = JoinSet::new();
    let left = Arc::new(AtomicU32::new(BATCHES * MANY));
    let (producers, consumers) = actors.split_at(ACTORS as usize);
    for id in producers {
        let (node, id) = (node.clone(), id.clone());
        work.spawn(async move {
            let produce = Outgoing::new("produce", format!("jobs {MANY} 64").into_bytes());
            for _ in 0..BATCHES / ACTORS {
                node.call(&id, produce.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    for id in consumers {
        let (node, id, left) = (node.clone(), id.clone(), left.clone());
        work.spawn(async move {
            let consume = Outgoing::new("consume", format!("jobs {MANY} 20").into_bytes());
            while left.load(Relaxed) > 0 {
                let done = node.call(&id, consume.clone()).await?;
                let done: u32 = String::from_utf8(done)?.parse()?;
                left.fetch_sub(done, Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = work.join_next().await {
        ended??;
    }
    node.sync().await?;
    Ok(())
}
