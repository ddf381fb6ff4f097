//! Memory of a live actor that has nothing to do: what the process grows by, in a process of its own for each.

use std::process::Command;

use anyhow::{Context, bail};
use clap::ValueEnum;
use troupe_runtime::manifest::Mode;

use crate::peer::Peer;
use crate::raw::Raw;
use crate::report::Row;
use crate::setup::{Setup, node_runtime, outgoing, spec};

const ACTORS: u32 = 2000;

/// Whose memory is looked at.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Of {
    /// Actors of a node.
    Troupe,
    /// Instances.
    Raw,
    /// Actors of ractor.
    Ractor,
}

/// Each kind in its own process.
pub fn idle(setup: &Setup) -> anyhow::Result<Row> {
    let (ours, raw, peer) = (child(setup, Of::Troupe)?, child(setup, Of::Raw)?, child(setup, Of::Ractor)?);
    let what = "resident memory of a live idle actor (Rust guest) that has answered a call, the mean of 2,000";
    Ok(Row::at_most("memory-idle-actor", what, "KiB", ours, 48.0).raw(raw).peer(peer))
}

fn child(setup: &Setup, of: Of) -> anyhow::Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--guests").arg(&setup.guests).arg("--work").arg(&setup.work);
    command.arg("--memory-of").arg(of.to_possible_value().context("a kind without name")?.get_name());
    let output = command.output()?;
    if !output.status.success() {
        bail!("measuring memory ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().context("measuring memory printed no number")
}

/// In the child: KiB for each.
pub fn measure(setup: &Setup, of: Of) -> anyhow::Result<f64> {
    node_runtime()?.block_on(async {
        let (before, after) = match of {
            Of::Troupe => actors(setup).await?,
            Of::Raw => instances(setup).await?,
            Of::Ractor => peers().await?,
        };
        Ok(after.saturating_sub(before) as f64 / 1024.0 / f64::from(ACTORS))
    })
}

async fn actors(setup: &Setup) -> anyhow::Result<(u64, u64)> {
    let node = setup.node().await?;
    setup.actor(&node, "first", Mode::Off).await?;
    let component = setup.component(&node).await?;
    let before = resident()?;
    for number in 0..ACTORS {
        let spec = spec(&format!("idle-{number}"), component.clone(), Mode::Off)?;
        let id = spec.id.clone();
        node.start(spec).await?;
        node.call(&id, outgoing("tick")).await?;
    }
    Ok((before, resident()?))
}

async fn instances(setup: &Setup) -> anyhow::Result<(u64, u64)> {
    let raw = Raw::new(&setup.guest_bytes("bench")?)?;
    let mut all = Vec::with_capacity(ACTORS as usize + 1);
    let mut before = 0;
    for number in 0..=ACTORS {
        let mut instance = raw.instance().await?;
        instance.call("tick").await?;
        all.push(instance);
        if number == 0 {
            before = resident()?;
        }
    }
    Ok((before, resident()?))
}

async fn peers() -> anyhow::Result<(u64, u64)> {
    let mut all = Vec::with_capacity(ACTORS as usize + 1);
    let mut before = 0;
    for number in 0..=ACTORS {
        let peer = Peer::spawn().await?;
        peer.call().await?;
        all.push(peer);
        if number == 0 {
            before = resident()?;
        }
    }
    Ok((before, resident()?))
}

/// Bytes of this process that are in memory.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
