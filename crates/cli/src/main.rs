//! The `troupe` command. A file a command under `commands/`; what they share lies beside this file.

mod commands;
mod context;
mod data;
mod evidence;
mod failure;
mod journals;
mod logs;
mod opening;
mod output;
mod payload;
mod phases;
mod source;
mod tool;

use std::process::ExitCode;

use clap::Parser;

use crate::context::{Context, Global};

/// Runs actors: WebAssembly components with a mailbox, limits, grants, and a journal that survives kill -9.
#[derive(Parser, Debug)]
#[command(name = "troupe", version, propagate_version = true, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: commands::Command,
}

const EXAMPLES: &str = "\
A first actor:
  troupe new hello && cd hello    a project in Rust (or --lang python, js, c)
  troupe build                    compiles it to a component
  troupe run                      starts a node with it; Ctrl-C stops it, `troupe run` goes on

From another terminal, in the same folder:
  troupe call hello greet world   asks, and prints the answer
  troupe call acct 'bank:ledger/account#deposit' '(42)'
                                  calls an exported function with WAVE arguments
  troupe ps                       what runs
  troupe journal show hello       what crossed the actor's boundary, record by record
  troupe replay hello             runs the journal again and compares every call

`troupe help COMMAND` says more about one command.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a replay differs.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let result = Context::new(&cli.global).and_then(|context| commands::run(&context, cli.command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// What errors and help tell people to run is there.
    #[test]
    fn every_command_that_is_named_anywhere_exists() {
        let there = Cli::command();
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let (mut folders, mut named) = (vec![crates.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                if path.extension().is_none_or(|end| end != "rs") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for (_, rest) in text.match_indices("`troupe ").map(|(at, found)| text.split_at(at + found.len())) {
                    let words: Vec<&str> = rest.split(['`', '\n']).next().unwrap_or("").split_whitespace().collect();
                    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
                    let Some(name) = words.first().filter(|word| is_word(word)) else { continue };
                    let command = there.find_subcommand(name);
                    assert!(command.is_some() || *name == "help", "{}: `troupe {name}`", path.display());
                    if let Some(second) = words.get(1).filter(|word| is_word(word))
                        && let Some(command) = command.filter(|command| command.has_subcommands())
                    {
                        assert!(
                            command.find_subcommand(second).is_some(),
                            "{}: `troupe {name} {second}`",
                            path.display()
                        );
                    }
                    named += 1;
                }
            }
        }
        assert!(named > 50, "only {named} were found");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("troupe"), "`troupe {}` has no examples", command.get_name());
        }
    }
}
