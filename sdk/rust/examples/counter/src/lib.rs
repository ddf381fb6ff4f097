//! A counter as gen-server: calls `add` N and `get`, and the cast `add` N. It saves its total itself.

use troupe_sdk::prelude::*;

#[derive(Default)]
struct Counter {
    total: i64,
}

impl Counter {
    fn add(&mut self, message: &Message) -> Result<(), String> {
        self.total = self.total.checked_add(message.number()?).ok_or("the total would overflow")?;
        Ok(())
    }
}

impl Server for Counter {
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
    fn event(&mut self, event: Message) -> Result<(), String> {
        match event.kind() {
            "add" => self.add(&event),
            _ => event.unknown(),
        }
    }
}

impl Lifecycle for Counter {
    fn init(&mut self, initial_state: &[u8]) -> Result<(), String> {
        if !initial_state.is_empty() {
            let text = String::from_utf8_lossy(initial_state);
            self.total = text.parse().map_err(|_| format!("not a number: {text}"))?;
        }
        Ok(())
    }
}

impl Snapshot for Counter {
    fn save(&self) -> Result<Vec<u8>, String> {
        Ok(self.total.to_le_bytes().to_vec())
    }

    fn load(state: &[u8], _saved_by: &str) -> Result<Self, String> {
        let total = state.try_into().map_err(|_| "the state is 8 bytes")?;
        Ok(Self { total: i64::from_le_bytes(total) })
    }
}

actor!(Counter: Server, Events, Lifecycle, Snapshot);
