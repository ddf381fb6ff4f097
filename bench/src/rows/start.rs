//! From the start of a process to the first reply of a Python actor that an earlier one left.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use troupe_runtime::manifest::ComponentRef;
use troupe_runtime::node::Outgoing;

use crate::measure::median;
use crate::report::Row;
use crate::setup::{Setup, node_runtime, python};

const STARTS: usize = 7;

/// The whole of it: process, node, recovery of the actor, its answer.
pub fn of_python(setup: &Setup) -> anyhow::Result<Row> {
    let data = setup.data()?;
    // Compiles, and makes the actor.
    ensure!(child(setup, data.path())? == "1", "the Python actor did not count");
    let mut times = Vec::new();
    for count in 0..STARTS * setup.rounds {
        let began = Instant::now();
        let answer = child(setup, data.path())?;
        times.push(began.elapsed());
        ensure!(answer == (count + 2).to_string(), "the Python actor forgot: {answer}");
    }
    let what = "start of a process with a node, its Python actor recovered, code cached, to the first durable reply";
    Ok(Row::at_most("start-python", what, "ms", median(times) / 1e3, 300.0))
}

/// Until the answer is read, not until the child has gone.
fn child(setup: &Setup, data: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--guests").arg(&setup.guests).arg("--work").arg(&setup.work).arg("--python-in").arg(data);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut answer = String::new();
    child.stdout.take().context("a child without output")?.read_to_string(&mut answer)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("the node with the Python actor ended with {status}");
    }
    Ok(answer.trim().to_owned())
}

/// In the child.
pub fn measure(setup: &Setup, data: &Path) -> anyhow::Result<()> {
    node_runtime()?.block_on(async {
        let node = setup.node_at(data).await?;
        let spec = python(ComponentRef::Path(setup.guest("counter-python")?))?;
        let id = spec.id.clone();
        node.start(spec).await?;
        let answer = node.call(&id, Outgoing::new("add", &b"1"[..])).await?;
        println!("{}", String::from_utf8_lossy(&answer));
        node.close().await?;
        Ok(())
    })
}
