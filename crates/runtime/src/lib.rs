//! Actors in WebAssembly components: the runtime of Troupe as a library.
//!
//! A node loads components, runs actors of them, records everything that crosses their boundary, brings them back after a
//! crash, and replays them. [`Node`](node::Node) is the whole of it on one page.

pub mod actor;
pub mod boundary;
pub mod component;
pub mod contract;
pub mod env;
pub mod host;
pub mod manifest;
pub mod node;
pub mod replay;
pub mod service;

mod error;

pub use error::{Error, Result};

/// The example of docs/embedding.md, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
