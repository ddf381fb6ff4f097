//! Components: their bytes, what they are, their compiled code.
//!
//! A component is named by the BLAKE3 digest of its bytes and, through an index, by `name@version`. Bytes lie in the node's
//! store, compiled code in a cache folder beside it, keyed by everything that it depends on.

mod cache;
mod engine;
mod inspect;
mod rewrite;
mod store;

pub(crate) use cache::Cache;
pub(crate) use engine::MOST_MEMORY;
pub use engine::{Engines, Settings};
pub use inspect::{Inspection, Missing, inspect, missing};
pub use rewrite::REWRITE_VERSION;
pub(crate) use store::prepare;
pub use store::{Code, Components};
