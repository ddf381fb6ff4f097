//! The management API of a node: JSON over HTTP on loopback, with a token that lies in the data folder.
//!
//! `wire` holds what is said, once for both sides; `client` finds the node of a data folder by itself; `serve` offers a
//! node, `routes/` has a file for each part of it.

pub mod client;
pub mod endpoint;
mod error;
pub mod export;
mod extract;
pub mod gateway;
pub mod jsonl;
pub mod records;
mod routes;
mod serve;
pub mod signed;
#[cfg(test)]
mod tests;
pub mod token;
pub mod wire;

pub use error::{ApiError, Error};
pub use gateway::{Gateway, GatewayOptions};
pub use serve::{GRACE, Place, Server, Sign};
