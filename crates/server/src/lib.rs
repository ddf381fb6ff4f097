//! The management API of a node: JSON over HTTP on loopback, with a token that lies in the data folder.
//!
//! `wire` holds what is said, once for both sides; `client` finds the node of a data folder by itself.

pub mod client;
pub mod endpoint;
pub mod token;
pub mod wire;
