//! Tuples: written and taken again by one actor, 1,000 pairs a turn; beside it the lists of a Redis server, if one is installed.

use std::time::Instant;

use troupe_log::ActorId;
use troupe_runtime::manifest::{ActorPattern, ComponentRef, Mode, TupleSpaces};
use troupe_runtime::node::{Node, Outgoing};

use crate::measure::{Best, time};
use crate::redis::Redis;
use crate::report::Row;
use crate::setup::{Setup, on_worker, one_core, spec};

const PAIRS: u32 = 1000;
const TURNS: u32 = 20;

/// Journal off, and durable on the real disk, in turns.
pub fn both(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let setup = setup.clone();
    let (off, durable, redis) = on_worker(&one_core()?, async move { measure(&setup).await })?;
    let [lists, synced] = redis.map(|best| best.map(Best::per_second));
    Ok(vec![
        Row::at_least(
            "tuples-off",
            "tuples of two fields written and taken by their first, 1,000 pairs a turn, journal off, on one core; \
             peer: LPUSH and LPOP of Redis, 1,000 pairs a pipeline",
            "a second",
            off.per_second(),
            300_000.0,
        )
        .peer(lists),
        Row::at_least(
            "tuples-durable",
            "the same with a durable journal, each turn's answer waiting for a real sync; peer: with `appendfsync always`",
            "a second",
            durable.per_second(),
            50_000.0,
        )
        .peer(synced),
    ])
}

async fn measure(setup: &Setup) -> anyhow::Result<(Best, Best, [Option<Best>; 2])> {
    let folders = [setup.data()?, setup.data()?];
    let mut servers = [Redis::start(folders[0].path(), false)?, Redis::start(folders[1].path(), true)?];
    let mut redis = [Best::default(); 2];
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let component = ComponentRef::Digest(node.load(&setup.guest_bytes("tuples")?).await?.digest);
    let off_id = actor(&node, "tuples-off", &component, Mode::Off).await?;
    let durable_id = actor(&node, "tuples-durable", &component, Mode::Durable).await?;
    let (mut off, mut durable) = (Best::default(), Best::default());
    for round in 0..=10 * setup.rounds {
        if round == 1 {
            (off, durable, redis) = Default::default();
        }
        time(&mut off, PAIRS * TURNS, turns(&node, &off_id)).await?;
        time(&mut durable, PAIRS * TURNS, turns(&node, &durable_id)).await?;
        for (best, server) in redis.iter_mut().zip(&mut servers) {
            let Some(server) = server else { continue };
            let began = Instant::now();
            for _ in 0..TURNS {
                server.pairs(PAIRS)?;
            }
            best.round(began, PAIRS * TURNS);
        }
    }
    node.close().await?;
    let there = servers.map(|server| server.is_some());
    Ok((off, durable, [0, 1].map(|at| there[at].then_some(redis[at]))))
}

async fn actor(node: &Node, name: &str, component: &ComponentRef, mode: Mode) -> anyhow::Result<ActorId> {
    let mut spec = spec(name, component.clone(), mode)?;
    spec.limits.fuel = u64::MAX / 4;
    let spaces = ActorPattern::parse("*").map_err(anyhow::Error::msg)?;
    spec.grants.tuplespace = Some(TupleSpaces { spaces: vec![spaces], read: Vec::new() });
    let id = spec.id.clone();
    node.start(spec).await?;
    Ok(id)
}

async fn turns(node: &Node, id: &ActorId) -> anyhow::Result<()> {
    let pairs = PAIRS.to_string().into_bytes();
    for _ in 0..TURNS {
        std::hint::black_box(node.call(id, Outgoing::new("pairs", pairs.clone())).await?);
    }
    Ok(())
}
