//! HTTP messages, for whoever sends requests to HTTP actors: the gateway, tests, other programs.

pub use crate::service::http::client::Gathered;
pub use crate::service::http::fields::{Entries, from_map, to_map};
pub use crate::service::http::messages::{Request, Response};
