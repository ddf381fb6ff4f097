//! troupe:actor: host and messaging.

use crate::troupe::actor::host::{self, Level};
use crate::troupe::actor::messaging;
use crate::troupe::actor::types::{Error, Kind};
use crate::{Probe, number};

pub const PROBES: &[Probe] = &[
    ("host#log", |text| {
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error] {
            host::log(level, text);
        }
        "logged".to_string()
    }),
    ("host#now-millis", |_| host::now_millis().to_string()),
    ("host#sleep-millis", |millis| said(host::sleep_millis(number(millis, 1)).map(|()| "slept".to_string()))),
    ("messaging#self-id", |_| messaging::self_id()),
    ("messaging#parent-id", |_| messaging::parent_id().unwrap_or_else(|| "none".to_string())),
    ("messaging#current", |_| match messaging::current() {
        None => "none".to_string(),
        Some(message) => format!(
            "from={} kind={} attempt={} headers={:?} time-left={} id={}",
            message.from,
            kind(message.kind),
            message.attempt,
            message.headers,
            message.time_left.is_some(),
            !message.id.is_empty(),
        ),
    }),
    // The argument: to|type|payload
    ("messaging#send-message", |argument| {
        let [to, kind, payload] = parts(argument);
        said(messaging::send_message(to, kind, payload.as_bytes()))
    }),
    // The argument: to|type|payload; then it waits for an hour, as WASI has it.
    ("messaging#send-then-block", |argument| {
        let [to, kind, payload] = parts(argument);
        let sent = said(messaging::send_message(to, kind, payload.as_bytes()));
        crate::wasi::clocks::monotonic_clock::subscribe_duration(3_600_000_000_000).block();
        sent
    }),
    // The argument: to|type|payload; with two headers of one name.
    ("messaging#send-with", |argument| {
        let [to, kind, payload] = parts(argument);
        let headers = [("probe", "one"), ("probe", "two")].map(|(name, value)| (name.to_string(), value.to_string()));
        said(messaging::send_with(to, kind, payload.as_bytes(), &headers))
    }),
    ("messaging#defer-reply", |argument| {
        let token = messaging::defer_reply();
        let answer = match &token {
            Ok(token) => said(messaging::reply(token, Ok(argument.as_bytes())).map(|()| "replied".to_string())),
            Err(_) => said(token),
        };
        format!("ignored: {answer}")
    }),
    ("messaging#defer-reply-twice", |argument| {
        let first = messaging::defer_reply();
        let second = said(messaging::defer_reply());
        if let Ok(token) = first {
            let _ = messaging::reply(&token, Err(&format!("{argument}{second}")));
        }
        "ignored".to_string()
    }),
    ("messaging#reply", |token| said(messaging::reply(token, Ok(b"late")).map(|()| "replied".to_string()))),
];

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "call",
        Kind::Cast => "cast",
        Kind::Info => "info",
    }
}

fn parts(argument: &str) -> [&str; 3] {
    let mut parts = argument.splitn(3, '|');
    [(); 3].map(|()| parts.next().unwrap_or_default())
}

fn said(result: Result<String, Error>) -> String {
    match result {
        Ok(text) => text,
        Err(error) => format!("err: {error:?}"),
    }
}
