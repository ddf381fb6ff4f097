//! Times: the best of many short rounds, and medians.
//!
//! Who is compared is measured in turns, round by round, so that a machine that is busy with something else slows all of them.
//! The best round is the one that was disturbed least; where each operation waits for the disk, the median stands instead.

use std::time::{Duration, Instant};

/// The best round so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Best(Option<Duration>);

impl Best {
    /// Adds a round of `operations` that began at `began` and ends now.
    pub fn round(&mut self, began: Instant, operations: u32) {
        self.add(began.elapsed() / operations);
    }

    /// Adds one operation's time.
    pub fn add(&mut self, time: Duration) {
        self.0 = Some(self.0.map_or(time, |best| best.min(time)));
    }

    /// Adds what another has seen.
    pub fn join(&mut self, other: Best) {
        if let Some(time) = other.0 {
            self.add(time);
        }
    }

    /// Microseconds an operation.
    pub fn micros(self) -> f64 {
        self.0.unwrap_or_default().as_secs_f64() * 1e6
    }

    /// Operations a second.
    pub fn per_second(self) -> f64 {
        1e6 / self.micros()
    }
}

/// Adds the time of one run of a future that does `operations`.
pub async fn time<T>(best: &mut Best, operations: u32, run: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let made = run.await;
    best.round(began, operations);
    made
}

/// The middle one, in microseconds.
pub fn median(times: Vec<Duration>) -> f64 {
    quantile(times, 0.5)
}

/// The time that this share of them does not pass, in microseconds.
pub fn quantile(mut times: Vec<Duration>, share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default().as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_round_counts_and_the_median_is_the_middle() {
        let mut best = Best::default();
        for micros in [30, 10, 20] {
            best.add(Duration::from_micros(micros));
        }
        assert!((best.micros() - 10.0).abs() < 1e-9);
        assert!((best.per_second() - 100_000.0).abs() < 1e-6);
        let times = [5, 1, 9].map(Duration::from_micros);
        assert!((median(times.to_vec()) - 5.0).abs() < 1e-9);
        assert!((quantile(times.to_vec(), 0.99) - 9.0).abs() < 1e-9);
    }
}
