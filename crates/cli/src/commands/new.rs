//! `troupe new`: a project that builds and runs as it is.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use troupe_build::Language;

use crate::context::Context;
use crate::failure::{Failure, Result};

/// Arguments.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  troupe new hello                 a counter in Rust in the new folder hello
  troupe new hello --lang python   or js, or c
  cd hello && troupe build && troupe run")]
pub struct Args {
    /// The actor's name; the folder's too, unless the name is a path: its last part is the actor's
    name: PathBuf,
    /// The language
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
}

/// Languages as they are written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lang {
    Rust,
    Python,
    Js,
    C,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Rust => Self::Rust,
            Lang::Python => Self::Python,
            Lang::Js => Self::JavaScript,
            Lang::C => Self::C,
        }
    }
}

/// Writes the project.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let folder = context.here.join(&args.name);
    let name = args
        .name
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| Failure::usage(format!("{} gives no name", args.name.display()), "troupe new NAME"))?;
    troupe_build::create(&folder, name, args.lang.into()).map_err(failure)?;
    if context.out.json {
        context.out.value(&json!({ "name": name, "folder": folder }));
    } else {
        context.out.line(format!("made {}", folder.display()));
        context.out.line(format!("next: cd {} && troupe build && troupe run", args.name.display()));
    }
    Ok(())
}

/// What was asked for wrongly is usage; the rest is what the machine lacks.
pub fn failure(e: troupe_build::Error) -> Failure {
    use troupe_build::Error as Build;
    match e {
        Build::NotAProject { .. }
        | Build::Ambiguous { .. }
        | Build::Manifest { .. }
        | Build::Name { .. }
        | Build::Exists { .. } => Failure::usage(e, ""),
        Build::Missing { .. }
        | Build::Command { .. }
        | Build::Io { .. }
        | Build::Wit { .. }
        | Build::Component { .. }
        | Build::Output { .. } => Failure::failed("build", e, ""),
    }
}
