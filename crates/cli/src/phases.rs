//! `troupe run --phases FILE`: counts of what the node is in the middle of, where a SIGKILL leaves them.
//!
//! Five little-endian `u32`: turns, waits, answers waiting for the disk, bases, recoveries. For crash tests: each change is a
//! write.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use troupe_runtime::node::phases::{Phase, Watch};

use crate::failure::{Failure, Result};

struct Counts {
    file: File,
    counts: Mutex<[u32; Phase::ALL.len()]>,
}

/// Keeps counts in `file`.
pub fn write_to(file: &Path) -> Result<Arc<dyn Watch>> {
    let made = File::create(file).and_then(|made| made.write_all_at(&[0; 4 * Phase::ALL.len()], 0).map(|()| made));
    match made {
        Ok(made) => Ok(Arc::new(Counts { file: made, counts: Mutex::default() })),
        Err(error) => {
            Err(Failure::failed("io", format!("cannot write {}: {error}", file.display()), "name another file"))
        }
    }
}

impl Watch for Counts {
    fn change(&self, phase: Phase, begins: bool) {
        let Ok(mut counts) = self.counts.lock() else { return };
        let at = phase as usize;
        counts[at] = if begins { counts[at] + 1 } else { counts[at].saturating_sub(1) };
        // A test that finds a wrong count fails by itself.
        let _ = self.file.write_all_at(&counts[at].to_le_bytes(), 4 * at as u64);
    }
}
