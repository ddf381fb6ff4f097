//! Compiled code on disk, memory-mapped on load.
//!
//! A file's name is a digest over everything that the code depends on: component, engine version and settings, rewriting pass.
//! Beside it lies the digest of its own bytes: a damaged file is compiled again, never loaded.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use troupe_log::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::rewrite::{self, REWRITE_VERSION};

/// A folder of compiled components; none keeps them in memory alone.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    compiled: Arc<AtomicU64>,
}

impl Cache {
    pub(crate) fn new(folder: Option<PathBuf>) -> Cache {
        Cache { folder, compiled: Arc::default() }
    }

    /// How often something was compiled, because it was not in the folder or damaged there.
    pub(crate) fn compiled(&self) -> u64 {
        self.compiled.load(Relaxed)
    }

    /// The compiled component: from the folder, or compiled now and put there.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else {
            self.compiled.fetch_add(1, Relaxed);
            return Component::new(engine, rewrite::rewrite(bytes));
        };
        let name = key(engine, digest);
        let code = folder.join(format!("{name}.cwasm"));
        let sum = folder.join(format!("{name}.b3"));
        if let Some(component) = open(engine, &code, &sum) {
            return Ok(component);
        }
        self.compiled.fetch_add(1, Relaxed);
        let serialized = engine.precompile_component(&rewrite::rewrite(bytes))?;
        // A cache that cannot be written costs time, not correctness.
        if let Err(error) = write(folder, &code, &sum, &serialized) {
            tracing::warn!(folder = %folder.display(), %error, "compiled code is not cached");
        }
        // SAFETY: the bytes come from this very engine, a moment ago.
        #[allow(unsafe_code)]
        unsafe {
            Component::deserialize(engine, &serialized)
        }
    }
}

/// Feeds what engines hash into BLAKE3.
struct Fingerprint(blake3::Hasher);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

fn key(engine: &Engine, digest: &Digest) -> String {
    let mut hasher = Fingerprint(blake3::Hasher::new());
    hasher.write(&digest.0);
    hasher.write(&REWRITE_VERSION.to_le_bytes());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex()[..40].to_owned()
}

fn open(engine: &Engine, code: &Path, sum: &Path) -> Option<Component> {
    let expected = std::fs::read_to_string(sum).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(code).ok()?;
    if hasher.finalize().to_hex().as_str() != expected {
        tracing::warn!(file = %code.display(), "cached code is damaged and is compiled again");
        return None;
    }
    // SAFETY: the file's bytes are those that an engine with the same version and settings wrote: name and sum say so, and
    // the folder belongs to the node.
    #[allow(unsafe_code)]
    unsafe { Component::deserialize_file(engine, code) }.ok()
}

fn write(folder: &Path, code: &Path, sum: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let temporary = folder.join(format!("{}.{}.tmp", std::process::id(), blake3::hash(bytes).to_hex()));
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, code)?;
    std::fs::write(&temporary, blake3::hash(bytes).to_hex().as_str())?;
    std::fs::rename(&temporary, sum)
}
