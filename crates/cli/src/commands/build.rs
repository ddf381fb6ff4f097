//! `troupe build`: a project's source to the component that its manifest names.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::new::failure;
use crate::context::Context;
use crate::failure::Result;

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe build               the project in this folder
  troupe build ../hello

Rust needs a Rust toolchain with the target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`);
Python needs Python 3 with venv. What else is needed is installed into a folder of its own at the first build.")]
pub struct Args {
    /// The project's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// Builds, and says what came out.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let folder = context.here.join(&args.folder);
    let progress = Progress::new(context.out.json);
    let built = troupe_build::build(&folder, &|line| progress.say(line));
    progress.done();
    let built = built.map_err(failure)?;
    if context.out.json {
        context.out.value(&json!({
            "component": built.component, "size": built.size, "language": built.language.name(),
        }));
    } else {
        let kib = built.size.div_ceil(1024);
        context.out.line(format!("built {} ({kib} KiB)", built.component.display()));
    }
    Ok(())
}

/// One line that moves on a terminal; lines elsewhere; nothing beside JSON.
enum Progress {
    Moving(ProgressBar),
    Lines,
    Silent,
}

impl Progress {
    fn new(json: bool) -> Self {
        match (json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Silent,
            (false, false) => Self::Lines,
            (false, true) => {
                let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
                let bar =
                    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.enable_steady_tick(Duration::from_millis(120));
                Self::Moving(bar)
            }
        }
    }

    fn say(&self, line: &str) {
        match self {
            Self::Moving(bar) => bar.set_message(line.to_owned()),
            Self::Lines => eprintln!("{line}"),
            Self::Silent => {}
        }
    }

    fn done(&self) {
        if let Self::Moving(bar) = self {
            bar.finish_and_clear();
        }
    }
}
