//! The log of a running node on standard error: a line each, guests' lines under their actor's name.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::failure::{Failure, Result};
use crate::output::plain;

/// The target of what guests say.
const GUEST: &str = "guest";

/// Begins to log. `level` is one level for the node and its guests, or filters as tracing writes them.
pub fn start(level: &str, json: bool) -> Result<()> {
    let plain_level = ["error", "warn", "info", "debug", "trace", "off"].contains(&level);
    let filters = match plain_level {
        true => format!(
            "warn,troupe={level},troupe_runtime={level},troupe_server={level},troupe_log={level},{GUEST}={level}"
        ),
        false => level.to_owned(),
    };
    let filter = EnvFilter::try_new(filters).map_err(|e| {
        Failure::usage(
            format!("--log {level}: {e}"),
            "write error, warn, info, debug or trace, or a filter such as warn,guest=debug",
        )
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written must not end the node.
        .log_internal_errors(false);
    let set = if json { builder.json().try_init() } else { builder.event_format(Lines).try_init() };
    set.map_err(|e| Failure::failed("log", e, ""))
}

/// `TIME LEVEL actor: message key=value`
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        SystemTime.format_time(&mut out)?;
        let meta = event.metadata();
        let who = words.actor.as_deref().unwrap_or(if meta.target() == GUEST { GUEST } else { "node" });
        let who = who.strip_prefix("default/").unwrap_or(who);
        writeln!(out, " {:>5} {who}: {}{}", meta.level(), plain(&words.message).replace('\n', "\n    "), words.rest)
    }
}

#[derive(Default)]
struct Words {
    actor: Option<String>,
    message: String,
    rest: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "actor" => self.actor = Some(value.to_owned()),
            "message" => self.message = value.to_owned(),
            name => self.add(name, &format!("{value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "actor" => self.actor = Some(text),
            "message" => self.message = text,
            name => self.add(name, &text),
        }
    }
}

impl Words {
    fn add(&mut self, name: &str, text: &str) {
        self.rest.push_str(&format!(" {name}={}", plain(text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Held(Arc<Mutex<Vec<u8>>>);
    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_guests_line_stands_under_its_actors_name() {
        let held = Held::default();
        let writer = held.clone();
        let subscriber = tracing_subscriber::fmt().event_format(Lines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let actor = "default/counter";
            let message = "one\ntwo\x1b[2J";
            tracing::info!(target: "guest", actor, "{message}");
            tracing::warn!(actor = "bank/a", text = "odd", "fault");
            tracing::info!("stopping");
        });
        let text = String::from_utf8(held.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(|l| l.split_once('Z').map_or(l, |(_, rest)| rest)).collect();
        assert_eq!(
            lines,
            ["  INFO counter: one", "    two\u{fffd}[2J", "  WARN bank/a: fault text=\"odd\"", "  INFO node: stopping",]
        );
    }
}
