//! What can go wrong in a build. Each message says what, where, and what to do next.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a project was not made or not built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool is not there and cannot be installed from here.
    #[error("{what} is missing: {remedy}")]
    Missing {
        /// The tool.
        what: String,
        /// The command to run, or where to get it.
        remedy: String,
    },

    /// A tool ran and failed.
    #[error("`{command}` failed ({status}) in {}\n{output}", folder.display())]
    Command {
        /// The command line.
        command: String,
        /// Where it ran.
        folder: PathBuf,
        /// How it ended.
        status: String,
        /// The last lines that it wrote.
        output: String,
    },

    /// A file or folder could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done: `read`, `write`, `create`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The folder holds nothing that can be built.
    #[error(
        "{} is no actor project: it holds none of Cargo.toml (Rust), app.py (Python), package.json (JavaScript), *.c (C). \
         Name the project's folder, or make a new one with `troupe new NAME`",
        folder.display()
    )]
    NotAProject {
        /// The folder.
        folder: PathBuf,
    },

    /// The folder could be a project in more than one language.
    #[error("{} could be {found}: leave the files of only one language at its top", folder.display())]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// The languages, joined by "or".
        found: String,
    },

    /// `troupe.toml` does not say which file to build.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, and the line to add.
        why: String,
    },

    /// The WIT of the project cannot be used.
    #[error("the WIT in {} cannot be used: {why}", path.display())]
    Wit {
        /// The folder.
        path: PathBuf,
        /// What the parser said.
        why: String,
    },

    /// The compiled module could not be made into a component.
    #[error("{} is no module that can be made into a component: {why}", path.display())]
    Component {
        /// The module.
        path: PathBuf,
        /// What the encoder said.
        why: String,
    },

    /// The build made nothing, or more than one thing, where one component was expected.
    #[error("{}: {why}", folder.display())]
    Output {
        /// The project.
        folder: PathBuf,
        /// What was made instead, and what to change.
        why: String,
    },

    /// The name of a new project is not one that an actor can have.
    #[error(
        "`{name}` cannot be the name of an actor: one to 63 of a-z, 0-9, `.`, `_`, `-`, the first a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
    },

    /// The folder of a new project is in use.
    #[error("{} exists and is not empty: choose another name, or remove it first", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
}
