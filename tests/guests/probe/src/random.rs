//! wasi:random.

use crate::wasi::random::{insecure, insecure_seed, random};
use crate::{Probe, hex, number};

pub const PROBES: &[Probe] = &[
    ("random#get-random-bytes", |n| hex(&random::get_random_bytes(number(n, 8)))),
    ("random#get-random-u64", |_| random::get_random_u64().to_string()),
    ("insecure#get-insecure-random-bytes", |n| hex(&insecure::get_insecure_random_bytes(number(n, 8)))),
    ("insecure#get-insecure-random-u64", |_| insecure::get_insecure_random_u64().to_string()),
    ("insecure-seed#insecure-seed", |_| {
        let (high, low) = insecure_seed::insecure_seed();
        format!("{high} {low}")
    }),
];
