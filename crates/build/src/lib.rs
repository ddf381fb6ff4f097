//! Builds actors: from a project folder in Rust, Python, JavaScript or C to one component file.

mod command;
mod error;
pub mod files;
pub mod rust;

pub use error::{Error, Result};

/// Told, in one line without a line break, what is being done; from any thread.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);
