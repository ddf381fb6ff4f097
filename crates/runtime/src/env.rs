//! The node's own time and randomness, passed in.
//!
//! Nothing in this crate reads a clock or makes a random number except through these traits, so that a node can run in
//! a simulation, and a replay on a node whose clock panics when touched.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::BoxFuture;
use troupe_log::{NodeTime, WallTime};

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall time. May step.
    fn wall(&self) -> WallTime;
    /// Time since some fixed moment of this process. Never steps back.
    fn monotonic(&self) -> Duration;
    /// Ends at that moment of [`monotonic`](Self::monotonic), or a little later.
    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()>;
}

/// Where randomness comes from. What it gives must be fit for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The machine's clocks, on tokio's timer.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
    fn sleep_until(&self, monotonic: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(tokio::time::Instant::from_std(self.origin + monotonic)))
    }
}

/// The kernel's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            match rustix::rand::getrandom(&mut out[done..], rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                // The kernel's generator is there on every system that this builds for; without it nothing is safe.
                Err(error) => panic!("the kernel gives no randomness: {error}"),
            }
        }
    }
}

/// Node time: goes on from the last durable stamp, and runs only while the node does.
#[derive(Clone)]
pub struct NodeClock {
    clock: Arc<dyn Clock>,
    /// Node time at the clock's zero.
    base: u64,
}

impl NodeClock {
    /// Goes on from `last`.
    pub fn new(clock: Arc<dyn Clock>, last: NodeTime) -> NodeClock {
        let now = micros(clock.monotonic());
        NodeClock { base: last.0.saturating_add(1).saturating_sub(now), clock }
    }

    /// Node time now.
    pub fn now(&self) -> NodeTime {
        NodeTime(self.base + micros(self.clock.monotonic()))
    }

    /// Wall time now.
    pub fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    /// Ends at that node time.
    pub fn sleep_until(&self, at: NodeTime) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(Duration::from_micros(at.0.saturating_sub(self.base)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
