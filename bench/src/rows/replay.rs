//! Replay against the live run that made the journal.

use std::time::Instant;

use troupe_runtime::manifest::Mode;
use troupe_runtime::replay::{Replay, ReplayCode};

use crate::measure::Best;
use crate::report::Row;
use crate::rows::casts;
use crate::setup::{Setup, node_runtime, on_worker, outgoing};

/// Casts with one host call each, as fast as they go with a buffered journal; then their journal, read from the log.
pub fn against_live(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let (live, replayed) = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    let what = format!(
        "replay of casts with one host call each, read from the log; at least 500,000 and as many as the live run \
         recorded a second with a buffered journal ({live:.0})"
    );
    Ok(Row::at_least("replay", what, "records/s", replayed, live.max(500_000.0)))
}

async fn measure(setup: &Setup) -> anyhow::Result<(f64, f64)> {
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let id = setup.actor(&node, "replayed", Mode::Buffered).await?;
    let tick = outgoing("tick");
    let mut live: f64 = 0.0;
    for _ in 0..4 * setup.rounds {
        let before = node.actor(&id).await?.next.0;
        let began = Instant::now();
        casts::casts(&node, &id, &tick).await?;
        let elapsed = began.elapsed().as_secs_f64();
        live = live.max((node.actor(&id).await?.next.0 - before) as f64 / elapsed);
    }
    let code = ReplayCode::compile_cached(&setup.guest_bytes("bench")?, &setup.cache())?;
    let source = node.journal_source(&id).await?;
    let mut best = Best::default();
    let mut records = 0;
    for _ in 0..5 * setup.rounds {
        let mut replay = Replay::new(code.clone(), source.clone())?;
        let began = Instant::now();
        while replay.next_turn().await?.is_some() {}
        best.add(began.elapsed());
        records = replay.summary().records;
    }
    anyhow::ensure!(
        records == node.actor(&id).await?.next.0,
        "the replay passed {records} records of {}",
        node.actor(&id).await?.next
    );
    node.close().await?;
    Ok((live, records as f64 * best.per_second()))
}
