//! End-to-end tests of Troupe.
