//! The pass between load and compile.
//!
//! Version 0 of it changes nothing. It is a step of its own, with a version in the cache key and in genesis records, so that the
//! instrumentation for transparent snapshots becomes version 1 without touching what calls it.

use std::borrow::Cow;

/// The version of the pass; part of the cache key and of the engine fingerprint.
pub const REWRITE_VERSION: u32 = 0;

/// The bytes that are compiled for these bytes.
pub(super) fn rewrite(bytes: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(bytes)
}
