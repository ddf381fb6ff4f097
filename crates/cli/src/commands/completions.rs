//! `troupe completions`: a script that completes commands and options in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::failure::Result;
use crate::output::Output;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe completions bash > ~/.local/share/bash-completion/completions/troupe
  troupe completions zsh  > ~/.zfunc/_troupe
  troupe completions fish > ~/.config/fish/completions/troupe.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "troupe", &mut script);
    Output { json: false }.bytes(&script);
    Ok(())
}
