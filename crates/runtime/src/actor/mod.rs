//! One actor: its mailbox, its turns, its life.
//!
//! `cell` is its place on the node, `executor` runs its turns, `task` is what polls it, `live` is its instance, `beginning` begins
//! its life, `recovery` brings it back, `bases` makes bases, `change` changes what it lives under, `upgrade` changes its component, `moving`
//! makes it leave its node, `ending` ends it, `errands` are requests with an instance each, `asked` is what others ask of it between two turns, `cut` ends a turn before its time, `burial` sets messages aside.

pub mod asked;
mod bases;
mod beginning;
mod burial;
pub mod cell;
pub mod change;
pub mod config;
pub mod cut;
pub mod ending;
mod errands;
pub(crate) mod executor;
pub mod keys;
pub mod live;
pub mod mailbox;
pub mod message;
pub mod moving;
pub mod promise;
mod recovery;
pub mod task;
pub mod ticker;
mod turn;
pub mod upgrade;
