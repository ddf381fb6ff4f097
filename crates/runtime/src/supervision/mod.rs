//! Supervision: trees of supervisors over actors, their decisions durable.
//!
//! `tree` is what supervises what, `machine` decides, `rows` are the bytes of both, `applications` has all trees of a node and commits each
//! decision in the batch of what it answers to, `worker` carries decisions out. Promises: a transition is committed before it is
//! acted on, the end of an actor's life and what its supervisor decides are one batch, and a crash between the two loses neither.

pub mod applications;
pub mod machine;
pub mod rows;
pub mod tree;
pub(crate) mod worker;
