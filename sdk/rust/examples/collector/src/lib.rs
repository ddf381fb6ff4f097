//! An event collector as gen-event: keeps the last hundred casts and infos, whatever they are. Calls: `count`, `list`, `clear`.

use std::collections::VecDeque;

use troupe_sdk::prelude::*;

/// How many are kept.
const KEPT: usize = 100;

#[derive(Default)]
struct Collector {
    lines: VecDeque<String>,
}

impl Events for Collector {
    fn event(&mut self, event: Message) -> Result<(), String> {
        let line = format!("{}: {}", event.kind(), event.text()?);
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        Ok(())
    }
}

impl Server for Collector {
    fn request(&mut self, call: Message) -> Answer {
        match call.kind() {
            "count" => text(self.lines.len()),
            "list" => text(self.lines.iter().map(|line| format!("{line}\n")).collect::<String>()),
            "clear" => text(self.lines.drain(..).count()),
            _ => call.unknown(),
        }
    }
}

actor!(Collector: Server, Events);
