//! Builds actors: from a project folder in Rust, Python, JavaScript or C to one component file.
//!
//! The command's `troupe new` and `troupe build` and the repository's own tasks are its users. A language is a file (`rust.rs`,
//! `python.rs`, `js.rs`, `c.rs`) with the same inner order: the tools it needs, found or installed; then the build. Tools
//! that must be installed go into one folder ([`Tools`]); nothing is expected of the home folder or the environment but a PATH.
//!
//! ```no_run
//! use std::path::Path;
//! use troupe_build::{Language, build, create};
//!
//! let project = Path::new("hello");
//! create(project, "hello", Language::Rust)?;
//! let built = build(project, &|line| eprintln!("{line}"))?;
//! println!("{}", built.component.display());
//! # Ok::<(), troupe_build::Error>(())
//! ```

#[cfg(test)]
mod acceptance;
pub mod c;
mod command;
mod error;
pub mod files;
pub mod js;
mod new;
mod project;
pub mod python;
pub mod rust;
mod tools;
pub mod wit;

pub use error::{Error, Result};
pub use new::create;
pub use project::{Built, Language, build, build_with};
pub use tools::Tools;

/// Told, in one line without a line break, what is being done; from any thread.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);
