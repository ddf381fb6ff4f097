//! What is measured: a file for each kind of work.

pub mod calls;
pub mod casts;
pub mod durable;
pub mod host_calls;
pub mod http;
pub mod memory;
pub mod moves;
pub mod queues;
pub mod replay;
pub mod requests;
pub mod spawn;
pub mod start;
pub mod tuples;
