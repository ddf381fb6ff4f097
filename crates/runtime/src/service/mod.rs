//! What actors of one node share: waits and timers.

pub mod timers;
pub mod waits;
