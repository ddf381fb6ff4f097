//! An actor from one node to another, its code cached there.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::ensure;
use troupe_log::ActorId;
use troupe_runtime::manifest::{ComponentRef, Mode};
use troupe_runtime::node::Outgoing;

use crate::measure::median;
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, spec};

/// Bytes of saved state.
const STATE: usize = 1 << 20;

/// From the wish to leave to the first answer on the other node, both on this disk.
pub fn to_first_answer(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let (ours, raw) = on_worker(&node_runtime()?, async move { measure(&setup).await })?;
    let what = "a durable actor with 1 MiB of state moves to another node on the same disk: export (its base, the file durable \
                in neither), import, first answer; code cached; 10 ms is what a reference claims. Raw: its state written \
                to two new files, each with fdatasync";
    Ok(Row::at_most("move-actor", what, "us", ours, 10_000.0).raw(raw))
}

async fn measure(setup: &Setup) -> anyhow::Result<(f64, f64)> {
    let (from, to) = (setup.data()?, setup.data()?);
    let (here, there) = (setup.node_at(from.path()).await?, setup.node_at(to.path()).await?);
    let saver = here.load(&setup.guest_bytes("saver")?).await?.digest;
    there.load(&setup.guest_bytes("saver")?).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..20 * setup.rounds {
        let id = ActorId::parse(&format!("mover-{round}"))?;
        let mut mover = spec(id.name(), ComponentRef::Digest(saver), Mode::Durable)?;
        // Each has other bytes, so that none is stored already.
        mover.init = round.to_string().into_bytes();
        here.start(mover).await?;
        here.call(&id, Outgoing::new("pad", STATE.to_string().into_bytes())).await?;

        let began = Instant::now();
        let file = here.export_actor(&id, false).await?;
        there.import_actor(file).await?;
        let answer = there.call(&id, Outgoing::new("get", &b""[..])).await?;
        let took = began.elapsed();
        ensure!(answer == round.to_string().into_bytes(), "the actor that came is another");

        let state = vec![round as u8; STATE];
        let began = Instant::now();
        for copy in 0..2 {
            let file = OpenOptions::new()
                .create_new(true)
                .write(true)
                .open(from.path().join(format!("raw-{round}-{copy}")))?;
            file.write_all_at(&state, 0)?;
            file.sync_data()?;
        }
        push(&mut raw, round, began.elapsed());
        push(&mut ours, round, took);
    }
    here.close().await?;
    there.close().await?;
    Ok((median(ours), median(raw)))
}

/// The first round warms up.
fn push(times: &mut Vec<Duration>, round: usize, time: Duration) {
    if round > 0 {
        times.push(time);
    }
}
