//! The repository's own tasks: `cargo xtask COMMAND`. A command is a file; this one only lists them.

mod apps;
mod bench;
mod coverage;
mod demo;
mod guests;
mod repo;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The repository's own tasks", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the applications in examples/: each checks its own answer, survives a power cut, is replayed.
    Apps,
    /// Measure: one table with what each figure is held to, and bench/results/latest.json.
    Bench(bench::Args),
    /// Say which test of a real guest covers each host function, live, after a kill and in replay; fails where one is missing.
    Coverage(coverage::Args),
    /// Show it: a node, a load, a SIGKILL, and what the journal says.
    Demo(demo::Args),
    /// Build the guests that the tests, the demo and the benchmarks run, and the tools that they need.
    Guests(guests::Args),
    /// Build the guests, then run every test and doc test.
    Test(test::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Apps => apps::run(),
        Command::Bench(args) => bench::run(&args),
        Command::Coverage(args) => coverage::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Guests(args) => guests::run(&args),
        Command::Test(args) => test::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
