//! `troupe:journal/records`: what an actor may see of its own journal. Denied unless granted: `[grants] journal = true`.
//!
//! docs/adding-a-host-interface.md builds this file step by step. What it answers is derived from the journal, so it is recorded as
//! a range and a digest, and a journal never contains itself.

use wasmtime::component::{ComponentType, Lift, Lower};

use crate::boundary::{Boundary, Guest, Past};
use crate::recordable_record;

/// The most records that one call gives.
const MOST: u32 = 1000;

/// `record entry`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Entry {
    /// Its number.
    #[component(name = "seq")]
    pub seq: u64,
    /// The name of its kind.
    #[component(name = "kind")]
    pub kind: String,
    /// The head behind it.
    #[component(name = "head")]
    pub head: Vec<u8>,
}
recordable_record!(Entry { seq, kind, head });

/// Registers the interface.
pub fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary.interface("troupe:journal/records@0.1.0")?.func_derived(
        "newest",
        ("journal", |grants| grants.journal),
        newest,
    )?;
    Ok(())
}

fn newest(_: &mut Guest, (count,): &(u32,), past: &Past) -> wasmtime::Result<(Vec<Entry>,)> {
    let count = (*count).min(MOST) as usize;
    let shown = |record: troupe_log::Record<'_>| Entry {
        seq: record.seq.0,
        kind: record.kind.to_string(),
        head: record.head().0.to_vec(),
    };
    let mut entries: Vec<Entry> = past.records().rev().take(count).map(shown).collect();
    entries.reverse();
    Ok((entries,))
}
