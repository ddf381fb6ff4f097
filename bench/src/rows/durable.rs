//! Calls whose answers wait for the disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use tokio::task::JoinSet;
use troupe_log::ActorId;
use troupe_runtime::manifest::Mode;
use troupe_runtime::node::Node;

use crate::measure::{Best, median, time};
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, outgoing};

const CALLERS: u32 = 1000;
const CALLS: u32 = 60;
/// Actors that the callers spread over.
const ACTORS: u32 = 8;
const SINGLE: usize = 200;

/// 1,000 callers, and one.
pub fn both(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let setup = setup.clone();
    let (many, one, disk) = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    Ok(vec![
        Row::at_least(
            "durable-1000-callers",
            "durable calls with real syncs, 64 B, one host call inside, 1,000 callers in the process, 8 actors",
            "a second",
            many.per_second(),
            50_000.0,
        ),
        Row::at_most(
            "durable-1-caller",
            "the same with one caller; at most 2x one bare write of 1 KiB and fdatasync of this disk (raw)",
            "us",
            one,
            2.0 * disk,
        )
        .raw(disk),
    ])
}

async fn measure(setup: &Setup) -> anyhow::Result<(Best, f64, f64)> {
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let mut ids = Vec::new();
    for number in 0..ACTORS {
        ids.push(setup.actor(&node, &format!("durable-{number}"), Mode::Durable).await?);
    }
    let mut many = Best::default();
    for round in 0..=5 * setup.rounds {
        if round == 1 {
            many = Best::default();
        }
        time(&mut many, CALLERS * CALLS, crowd(&node, &ids)).await?;
    }
    // What the crowd left to do for the disk is not the single caller's.
    node.sync().await?;
    let bare = Bare::new(data.path())?;
    let (mut calls, mut syncs) = (Vec::new(), Vec::new());
    let tick = outgoing("tick");
    for number in 0..SINGLE * setup.rounds {
        let began = Instant::now();
        node.call(&ids[0], tick.clone()).await?;
        calls.push(began.elapsed());
        let began = Instant::now();
        bare.write_and_sync(number)?;
        syncs.push(began.elapsed());
    }
    node.close().await?;
    Ok((many, median(calls), median(syncs)))
}

/// All callers at once, each with its calls one after another.
async fn crowd(node: &Node, ids: &[ActorId]) -> anyhow::Result<()> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (node, id) = (node.clone(), ids[(caller % ACTORS) as usize].clone());
        callers.spawn(async move {
            let tick = outgoing("tick");
            for _ in 0..CALLS {
                node.call(&id, tick.clone()).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

/// The disk alone: a file that is there in full, so that a sync writes data and no sizes.
struct Bare(File);

impl Bare {
    const LEN: usize = 4 << 20;
    const WRITE: usize = 1 << 10;

    fn new(folder: &Path) -> anyhow::Result<Bare> {
        let file = folder.join("bare");
        let open = || {
            let file = OpenOptions::new().create(true).truncate(true).write(true).open(&file)?;
            file.write_all_at(&vec![0; Self::LEN], 0)?;
            file.sync_all()?;
            Ok::<_, std::io::Error>(file)
        };
        Ok(Bare(open().with_context(|| format!("cannot write {}", file.display()))?))
    }

    fn write_and_sync(&self, number: usize) -> anyhow::Result<()> {
        let at = (number * Self::WRITE) % Self::LEN;
        self.0.write_all_at(&[1; Self::WRITE], at as u64)?;
        Ok(self.0.sync_data()?)
    }
}
