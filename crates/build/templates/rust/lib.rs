//! The actor `{name}`: a counter. Its state is what lies in the struct; Troupe keeps it over crashes by recording every call
//! that crosses the actor's boundary, and replaying them.
//!
//! It is built for `wasm32-unknown-unknown`: the component imports what it calls through the SDK and nothing else. So
//! `std::time::SystemTime::now()` panics here (use `host::now()`), there are no files and no threads, and a `HashMap`
//! has a fixed seed.

use troupe_sdk::prelude::*;

#[derive(Default)]
struct Counter {
    total: i64,
}

actor!(Counter: Server, Events, Lifecycle);

impl Lifecycle for Counter {
    /// Once in the actor's life: the number to start from, or nothing.
    fn init(&mut self, initial_state: &[u8]) -> Result<(), String> {
        if !initial_state.is_empty() {
            let text = String::from_utf8_lossy(initial_state);
            self.total = text.trim().parse().map_err(|_| format!("not a number: {text}"))?;
        }
        Ok(())
    }

    fn terminate(&mut self, reason: &str) {
        host::info(format!("stopped at {}: {reason}", self.total));
    }
}

impl Server for Counter {
    /// Calls: whoever sent one waits for the answer.
    fn request(&mut self, call: Message) -> Answer {
        match call.kind() {
            "add" => self.add(&call)?,
            "get" => (),
            _ => return call.unknown(),
        }
        text(self.total)
    }
}

impl Events for Counter {
    /// Casts: nobody waits.
    fn event(&mut self, event: Message) -> Result<(), String> {
        match event.kind() {
            "add" => self.add(&event),
            _ => event.unknown(),
        }
    }
}

impl Counter {
    fn add(&mut self, message: &Message) -> Result<(), String> {
        self.total = self.total.checked_add(message.number()?).ok_or("the total would overflow")?;
        Ok(())
    }
}
