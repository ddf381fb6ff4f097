//! wasi:random.

use crate::Behaviour;
use crate::wasi::random::{insecure, insecure_seed, random};

pub const BEHAVIOURS: &[Behaviour] = &[
    ("random-as-many-bytes-as-asked", || {
        for len in [0, 1, 31, 32, 33, 4096, 65_536] {
            assert_eq!(random::get_random_bytes(len).len() as u64, len);
            assert_eq!(insecure::get_insecure_random_bytes(len).len() as u64, len);
        }
    }),
    ("random-bytes-are-fresh-at-each-call", || {
        assert_ne!(random::get_random_bytes(32), random::get_random_bytes(32));
        assert_ne!(insecure::get_insecure_random_bytes(32), insecure::get_insecure_random_bytes(32));
    }),
    ("random-numbers-are-fresh-at-each-call", || {
        assert_ne!(random::get_random_u64(), random::get_random_u64());
        assert_ne!(insecure::get_insecure_random_u64(), insecure::get_insecure_random_u64());
    }),
    ("random-no-bit-stands-still", || {
        let (mut ones, mut zeroes) = (0, 0);
        for _ in 0..64 {
            let number = random::get_random_u64();
            ones |= number;
            zeroes |= !number;
        }
        assert_eq!((ones, zeroes), (u64::MAX, u64::MAX));
    }),
    ("random-a-seed-can-be-asked-for", || {
        let (high, low) = insecure_seed::insecure_seed();
        assert_ne!((high, low), (0, 0));
    }),
    ("random-more-than-fits-traps", || drop(random::get_random_bytes(1 << 40))),
    ("random-insecure-more-than-fits-traps", || drop(insecure::get_insecure_random_bytes(1 << 40))),
];
