//! Epoch ticks, so that an endless loop never blocks another actor.
//!
//! One thread advances the engine's epoch every [`TICK`] while turns are being polled, and sleeps when none is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How long a guest computes before others get their turn.
pub const TICK: Duration = Duration::from_millis(5);
/// Ticks without a poll before the thread sleeps.
const QUIET: u32 = 20;

/// The ticking thread.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    busy: AtomicBool,
    parked: AtomicBool,
    stopped: AtomicBool,
}

impl Ticker {
    /// Starts the thread.
    pub fn start(engine: Engine) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let mine = shared.clone();
        let handle = thread::Builder::new().name("troupe-ticker".to_owned()).spawn(move || mine.tick(&engine))?;
        Ok(Ticker { shared, thread: handle.thread().clone() })
    }

    /// A turn is being polled.
    #[inline]
    pub fn touch(&self) {
        if self.shared.busy.load(Relaxed) {
            return;
        }
        self.shared.busy.store(true, SeqCst);
        if self.shared.parked.load(SeqCst) {
            self.thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut quiet = 0;
        while !self.stopped.load(SeqCst) {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            quiet = if self.busy.swap(false, SeqCst) { 0 } else { quiet + 1 };
            if quiet < QUIET {
                continue;
            }
            self.parked.store(true, SeqCst);
            while !self.busy.load(SeqCst) && !self.stopped.load(SeqCst) {
                thread::park();
            }
            self.parked.store(false, SeqCst);
            quiet = 0;
        }
    }
}
