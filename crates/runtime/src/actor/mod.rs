//! One actor: its mailbox, its turns, its life.

pub mod keys;
pub mod message;
pub mod promise;
