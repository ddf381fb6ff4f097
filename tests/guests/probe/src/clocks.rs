//! wasi:clocks, and the pollables of wasi:io.

use crate::wasi::clocks::{monotonic_clock, wall_clock};
use crate::wasi::io::poll;
use crate::{Probe, number};

pub const PROBES: &[Probe] = &[
    ("wall-clock#now", |_| {
        let now = wall_clock::now();
        assert!(now.nanoseconds < 1_000_000_000);
        format!("{}.{:09}", now.seconds, now.nanoseconds)
    }),
    ("wall-clock#resolution", |_| {
        let resolution = wall_clock::resolution();
        format!("{}.{:09}", resolution.seconds, resolution.nanoseconds)
    }),
    ("monotonic-clock#now", |_| {
        let (first, second) = (monotonic_clock::now(), monotonic_clock::now());
        assert!(second >= first);
        first.to_string()
    }),
    ("monotonic-clock#resolution", |_| monotonic_clock::resolution().to_string()),
    ("monotonic-clock#subscribe-duration", |millis| {
        let began = monotonic_clock::now();
        let wait = number(millis, 1) * 1_000_000;
        monotonic_clock::subscribe_duration(wait).block();
        assert!(monotonic_clock::now() - began >= wait);
        "waited".to_string()
    }),
    ("monotonic-clock#subscribe-instant", |millis| {
        let instant = monotonic_clock::now() + number(millis, 1) * 1_000_000;
        monotonic_clock::subscribe_instant(instant).block();
        assert!(monotonic_clock::now() >= instant);
        "waited".to_string()
    }),
    ("poll#pollable.ready", |_| {
        let past = monotonic_clock::subscribe_duration(0);
        past.block();
        let far = monotonic_clock::subscribe_duration(3_600_000_000_000);
        format!("past={} far={}", past.ready(), far.ready())
    }),
    // The second of three is the only one that can be ready.
    ("poll#poll", |_| {
        let far = monotonic_clock::subscribe_duration(3_600_000_000_000);
        let near = monotonic_clock::subscribe_duration(1_000_000);
        let farther = monotonic_clock::subscribe_duration(7_200_000_000_000);
        format!("{:?}", poll::poll(&[&far, &near, &farther]))
    }),
];
