//! HTTP apart from WebAssembly: fields, bodies, messages, the client.
//!
//! What is here stands behind the resources of `wasi:http` and behind the gateway. Fields, requests and bodies that an actor makes
//! are values: they depend on nothing but the calls that made them, so that a replay makes them again. What they hold is bounded
//! by the actor's [`Budget`].

pub mod address;
pub mod body;
pub mod client;
pub mod fields;
pub mod messages;
pub mod parts;
pub mod streaming;
pub mod types;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::streaming::Going;
use crate::manifest::Limits;

/// Bytes that one actor's HTTP values may hold on the host, all together.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Used>);

#[derive(Debug)]
struct Used {
    bytes: AtomicU64,
    limit: AtomicU64,
}

impl Budget {
    /// So many bytes, none of them used.
    pub fn new(limit: u64) -> Budget {
        Budget(Arc::new(Used { bytes: AtomicU64::new(0), limit: AtomicU64::new(limit) }))
    }

    fn set(&self, limit: u64) {
        self.0.limit.store(limit, Relaxed);
    }

    /// A share of it, still empty.
    pub fn charge(&self) -> Charge {
        Charge { of: self.clone(), bytes: 0 }
    }
}

/// What one actor's HTTP may hold on the host.
#[derive(Debug)]
pub struct Bounds {
    /// Bytes of its values.
    pub values: Budget,
    /// Requests under way, each to the end of its response.
    pub exchanges: Budget,
    /// Streams that write to a body that is gathered, by the host's numbers.
    pub sinks: HashSet<u32>,
    /// What was spliced to one of them just now, to be noted.
    pub spliced: Option<Vec<u8>>,
    /// Streams of a body that its client still sends, by the host's numbers.
    pub sources: HashSet<u32>,
    /// The response of the turn in hand, if it leaves while it is written.
    pub going: Going,
}

impl Bounds {
    /// As much as its linear memory, and as many as it may ask of other actors.
    pub fn new(limits: &Limits) -> Bounds {
        Bounds {
            values: Budget::new(limits.memory.0),
            exchanges: Budget::new(limits.outstanding_calls.into()),
            sinks: HashSet::new(),
            spliced: None,
            sources: HashSet::new(),
            going: Going::default(),
        }
    }

    /// Other limits from now on.
    pub fn set(&self, limits: &Limits) {
        self.values.set(limits.memory.0);
        self.exchanges.set(limits.outstanding_calls.into());
    }
}

/// What one value holds; given back when it goes.
#[derive(Debug)]
pub struct Charge {
    of: Budget,
    bytes: u64,
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Charge {
    /// Takes so many bytes more.
    pub fn add(&mut self, bytes: u64) -> Result<(), Full> {
        let Used { bytes: used, limit } = &*self.of.0;
        let before = used.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > limit.load(Relaxed) {
            used.fetch_sub(bytes, Relaxed);
            return Err(Full);
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Gives so many back.
    pub fn sub(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.of.0.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Another empty share of the same budget.
    pub fn other(&self) -> Charge {
        self.of.charge()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.of.0.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_given_back_and_not_overdrawn() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.charge(), budget.charge());
        assert_eq!(one.add(6), Ok(()));
        assert_eq!(other.add(5), Err(Full));
        assert_eq!(other.add(4), Ok(()));
        drop(one);
        assert_eq!(other.add(6), Ok(()));
        assert_eq!(other.add(1), Err(Full));
        other.sub(3);
        assert_eq!(other.other().add(3), Ok(()));
    }
}
