//! `cargo xtask bench`: one run, one table, one file.
//!
//! Each row is measured beside what it is held to: the engine alone (`raw`), the disk alone, or
//! actors of ractor, in the same run. A row that cannot be measured fails the run; a target that is missed is told.

mod facts;
mod measure;
mod peer;
mod plain_http;
mod raw;
mod redis;
mod report;
mod rows;
mod setup;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use crate::facts::Facts;
use crate::report::{Report, Row};
use crate::rows::{
    calls, casts, durable, host_calls, http, memory, moves, queues, replay, requests, spawn, start, tuples,
};
use crate::setup::Setup;

/// The benchmarks of Troupe. `cargo xtask bench` builds the guests and runs this.
#[derive(Parser)]
struct Args {
    /// The built guests.
    #[arg(long, env = "TROUPE_GUESTS")]
    guests: Option<PathBuf>,
    /// Where data folders and compiled code go: on the disk that is measured.
    #[arg(long)]
    work: Option<PathBuf>,
    /// Where the results go.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only the measures with these words in their names; writes no file.
    #[arg(long)]
    only: Vec<String>,
    /// So many times the usual rounds, for a profiler.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Leave out what is compared with where that can be; with `--only`, for a profiler.
    #[arg(long, requires = "only")]
    ours: bool,
    #[arg(long, hide = true)]
    memory_of: Option<memory::Of>,
    #[arg(long, hide = true)]
    python_in: Option<PathBuf>,
}

type Measure = fn(&Setup) -> anyhow::Result<Vec<Row>>;

/// What is measured, under the names that `--only` looks at.
const MEASURES: &[(&str, Measure)] = &[
    ("call-on-node", |setup| Ok(vec![calls::on_node(setup)?])),
    ("call-from-thread", |setup| Ok(vec![calls::from_thread(setup)?])),
    ("cast-off cast-buffered", casts::both),
    ("durable-1000-callers durable-1-caller", durable::both),
    ("queue-durable queue-off", queues::both),
    ("spawn-to-reply", |setup| Ok(vec![spawn::to_reply(setup)?])),
    ("call-4000-actors", |setup| Ok(vec![calls::many(setup)?])),
    ("memory-idle-actor", |setup| Ok(vec![memory::idle(setup)?])),
    ("move-actor", |setup| Ok(vec![moves::to_first_answer(setup)?])),
    ("replay", |setup| Ok(vec![replay::against_live(setup)?])),
    ("start-python", |setup| Ok(vec![start::of_python(setup)?])),
    ("request", |setup| Ok(vec![requests::asked(setup)?, requests::asked_durably(setup)?])),
    ("ring-off ring-buffered", requests::ring),
    ("spawn-by-actor", |setup| Ok(vec![requests::spawned(setup)?])),
    ("tuples-off tuples-durable", tuples::both),
    ("host-call-0", |setup| Ok(vec![host_calls::recorded(setup, 0)?])),
    ("host-call-64", |setup| Ok(vec![host_calls::recorded(setup, 1)?])),
    ("host-call-4096", |setup| Ok(vec![host_calls::recorded(setup, 2)?])),
    ("http-off http-off-p99 http-each http-buffered http-buffered-p99", http::all),
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this package is not in a repository")?;
    let guests = args.guests.clone().unwrap_or_else(|| repository.join("target/guests"));
    let work = args.work.clone().unwrap_or_else(|| repository.join("target/bench"));
    std::fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let setup = Setup { guests, work, rounds: args.rounds.max(1), ours_only: args.ours };
    if let Some(of) = args.memory_of {
        println!("{}", memory::measure(&setup, of)?);
        return Ok(());
    }
    if let Some(data) = &args.python_in {
        return start::measure(&setup, data);
    }
    let began = Instant::now();
    let mut rows = Vec::new();
    for &(names, measure) in MEASURES {
        if !args.only.is_empty() && !args.only.iter().any(|word| names.contains(word.as_str())) {
            continue;
        }
        eprintln!("bench: {names}");
        match measure(&setup) {
            Ok(measured) => rows.extend(measured),
            Err(error) => eprintln!("bench: {names}: {error:#}"),
        }
    }
    let report = Report::new(Facts::find(repository), rows);
    println!("{}", report.table());
    eprintln!("bench: {:.0} s", began.elapsed().as_secs_f32());
    if !args.only.is_empty() {
        return Ok(());
    }
    report.check()?;
    let out = args.out.clone().unwrap_or_else(|| repository.join("bench/results/latest.json"));
    report.write(&out)?;
    eprintln!("bench: written to {}", out.display());
    Ok(())
}
