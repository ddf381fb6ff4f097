//! Logical names for host resources.
//!
//! A guest and its journal see dense numbers that depend on the run alone; the host's table indices stay on this side.
//! So a number from a replayed prefix can never name a different resource that was made after recovery.

use std::collections::HashMap;

use super::recordable::Handle;

/// The map from the numbers that the guest holds to the host's table.
#[derive(Debug, Default)]
pub struct Resources {
    next: u32,
    real: HashMap<u32, u32>,
    /// Nothing is recorded: the guest holds the host's own numbers.
    plain: bool,
}

/// A resource of an earlier life of the actor that nothing stands behind any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost(
    /// Its logical number.
    pub u32,
);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "resource #{} did not survive recovery", self.0)
    }
}
impl std::error::Error for Lost {}

impl Resources {
    /// The host's number for a handle that the guest passes in; one that is handed over is forgotten here.
    pub fn to_real(&mut self, handle: Handle) -> Result<u32, Lost> {
        let found = if handle.owned { self.real.remove(&handle.rep) } else { self.real.get(&handle.rep).copied() };
        found.ok_or(Lost(handle.rep))
    }

    /// Of a guest of which nothing is recorded: it holds the host's own numbers.
    pub fn plain() -> Resources {
        Resources { plain: true, ..Resources::default() }
    }

    /// The host's number behind a logical one, if there is something.
    pub fn get(&self, logical: u32) -> Option<u32> {
        if self.plain { Some(logical) } else { self.real.get(&logical).copied() }
    }

    /// A new logical number for a resource that the host hands out.
    pub fn to_logical(&mut self, real: u32) -> u32 {
        // A journal may have any number in it.
        while self.real.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let logical = self.next;
        self.next = self.next.wrapping_add(1);
        self.real.insert(logical, real);
        logical
    }

    /// A replayed call handed out this number: later ones count on from it.
    pub fn observe(&mut self, logical: u32) {
        self.next = self.next.max(logical.saturating_add(1));
    }

    /// Puts a remade resource behind a number of the replayed part.
    pub fn renew(&mut self, logical: u32, real: u32) {
        self.observe(logical);
        self.real.insert(logical, real);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_largest_number_that_a_journal_can_name_free_ones_are_given() {
        let mut map = Resources::default();
        let first = map.to_logical(1);
        map.observe(u32::MAX);
        let all = [first, map.to_logical(2), map.to_logical(3), map.to_logical(4)];
        assert_eq!(all, [0, u32::MAX, 1, 2]);
    }

    #[test]
    fn a_replayed_number_is_never_given_again() {
        let mut map = Resources::default();
        map.observe(4);
        assert_eq!(map.to_logical(0), 5);
        assert_eq!(map.to_real(Handle { rep: 4, owned: false }), Err(Lost(4)));
        assert_eq!(map.to_real(Handle { rep: 5, owned: true }), Ok(0));
        assert_eq!(map.to_real(Handle { rep: 5, owned: false }), Err(Lost(5)));
    }
}
