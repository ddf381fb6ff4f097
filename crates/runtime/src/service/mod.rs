//! What actors of one node share: waits, timers, and dead letters.

pub mod deadletters;
pub mod timers;
pub mod waits;
