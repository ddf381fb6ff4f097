//! HTTP messages, for whoever sends requests to HTTP actors: the gateway, tests, other programs.

pub use crate::node::exchange::{Exchanged, Frames};
pub use crate::service::http::body::Part;
pub use crate::service::http::client::Gathered;
pub use crate::service::http::fields::{Entries, from_map, to_map};
pub use crate::service::http::messages::{Request, Response};
pub use crate::service::http::types::ErrorCode;
pub use crate::service::http::{Budget, Charge};
