//! wasi:clocks.

use crate::Behaviour;
use crate::wasi::clocks::{monotonic_clock, wall_clock};

const HOUR: u64 = 3_600_000_000_000;

pub const BEHAVIOURS: &[Behaviour] = &[
    ("clocks-monotonic-never-steps-back", || {
        let mut last = monotonic_clock::now();
        for _ in 0..1000 {
            let now = monotonic_clock::now();
            assert!(now >= last);
            last = now;
        }
    }),
    ("clocks-a-resolution-is-not-zero", || {
        assert!(monotonic_clock::resolution() > 0);
        let wall = wall_clock::resolution();
        assert!(wall.seconds > 0 || wall.nanoseconds > 0);
        assert!(wall.nanoseconds < 1_000_000_000);
    }),
    ("clocks-wall-has-a-date-of-this-century", || {
        let now = wall_clock::now();
        assert!(now.nanoseconds < 1_000_000_000);
        assert!((1_700_000_000..4_000_000_000).contains(&now.seconds));
    }),
    ("clocks-a-duration-of-zero-is-over", || assert!(monotonic_clock::subscribe_duration(0).ready())),
    ("clocks-an-instant-that-was-is-over", || {
        assert!(monotonic_clock::subscribe_instant(0).ready());
        assert!(monotonic_clock::subscribe_instant(monotonic_clock::now()).ready());
    }),
    ("clocks-what-is-far-is-not-over", || {
        assert!(!monotonic_clock::subscribe_duration(HOUR).ready());
        assert!(!monotonic_clock::subscribe_duration(u64::MAX).ready());
        assert!(!monotonic_clock::subscribe_instant(u64::MAX).ready());
    }),
    ("clocks-a-duration-lasts-at-least-as-long", || {
        let began = monotonic_clock::now();
        let over = monotonic_clock::subscribe_duration(3_000_000);
        over.block();
        assert!(monotonic_clock::now() - began >= 3_000_000);
        assert!(over.ready(), "what is over stays over");
        over.block();
    }),
    ("clocks-an-instant-is-not-over-before", || {
        let instant = monotonic_clock::now() + 3_000_000;
        monotonic_clock::subscribe_instant(instant).block();
        assert!(monotonic_clock::now() >= instant);
    }),
];
