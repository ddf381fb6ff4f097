//! The edges of limits: the least and the most that each may be, and why.
//!
//! One list for manifests, canonical texts and settings built in Rust, so that no way in is laxer than another.

use std::time::Duration;

use troupe_log::ByteCount;

use super::types::{Keep, Limits, Snapshots, Supervision};
use super::units::{MAX_DURATION, write_duration};

/// A page of linear memory; an instance with less has none.
pub const MIN_MEMORY: ByteCount = ByteCount(64 << 10);
/// What a 32-bit memory can hold.
pub const MAX_MEMORY: ByteCount = ByteCount(4 << 30);
/// Elements, 8 bytes each on the host.
pub const MAX_TABLES: u32 = 10_000_000;
/// The largest number that every TOML reader keeps.
pub const MAX_FUEL: u64 = i64::MAX as u64;
/// Entries are kept in memory and in the log's tables.
pub const MAX_MAILBOX: u32 = 1_000_000;
/// Each holds a place in the log's tables.
pub const MAX_OUTSTANDING_CALLS: u32 = 1_000_000;
/// A payload is copied into the guest and into one batch.
pub const MAX_PAYLOAD: ByteCount = ByteCount(256 << 20);
/// A turn's records are held in memory until they are committed.
pub const MAX_TURN_JOURNAL: ByteCount = ByteCount(1 << 30);
/// Keys are kept in memory and in the log's tables.
pub const MAX_KEYS: u32 = 10_000_000;
/// Each holds a place in memory and in the log's tables.
pub const MAX_TIMERS: u32 = 1_000_000;
/// More attempts at one message than this are a loop.
pub const MAX_ATTEMPTS: u32 = 1000;
/// A deadline below the clock's grain would end every turn.
pub const MIN_DEADLINE: Duration = Duration::from_millis(1);

/// A setting outside its edges.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {why}; {help}")]
pub struct OutOfRange {
    /// The manifest's key.
    pub key: &'static str,
    /// What it is.
    pub why: String,
    /// What it may be.
    pub help: String,
}

fn edge<T: PartialOrd>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
    show: impl Fn(T) -> String,
) -> Result<(), OutOfRange> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(OutOfRange {
        key,
        why: format!("is {}", show(value)),
        help: format!("at least {}, at most {}", show(least), show(most)),
    })
}

/// Checks every limit.
pub fn limits(l: &Limits) -> Result<(), OutOfRange> {
    let bytes = |n: u64| ByteCount(n).to_string();
    let count = |n: u32| n.to_string();
    edge("memory", l.memory.0, MIN_MEMORY.0, MAX_MEMORY.0, bytes)?;
    edge("tables", l.tables, 0, MAX_TABLES, count)?;
    edge("fuel", l.fuel, 1, MAX_FUEL, |n| n.to_string())?;
    if let Some(deadline) = l.deadline {
        edge("deadline", deadline, MIN_DEADLINE, MAX_DURATION, write_duration)
            .map_err(|e| OutOfRange { help: format!("{}, or \"none\"", e.help), ..e })?;
    }
    edge("mailbox", l.mailbox.get(), 1, MAX_MAILBOX, count)?;
    edge("outstanding-calls", l.outstanding_calls, 0, MAX_OUTSTANDING_CALLS, count)?;
    edge("payload", l.payload.0, 1, MAX_PAYLOAD.0, bytes)?;
    if l.max_turn_journal < l.payload {
        return Err(OutOfRange {
            key: "max-turn-journal",
            why: format!("is {}", bytes(l.max_turn_journal.0)),
            help: format!(
                "at least `payload`, here {}, since a turn's first record holds its message",
                bytes(l.payload.0)
            ),
        });
    }
    edge("max-turn-journal", l.max_turn_journal.0, 1, MAX_TURN_JOURNAL.0, bytes)?;
    if let Some(max) = l.max_journal.filter(|max| *max < l.max_turn_journal) {
        return Err(OutOfRange {
            key: "max-journal",
            why: format!("is {}", bytes(max.0)),
            help: format!("at least `max-turn-journal`, here {}, or \"none\"", bytes(l.max_turn_journal.0)),
        });
    }
    edge("max-keys", l.max_keys, 0, MAX_KEYS, count)?;
    edge("max-timers", l.max_timers, 0, MAX_TIMERS, count)
}

/// Checks the policy after faults.
pub fn supervision(s: &Supervision) -> Result<(), OutOfRange> {
    edge("attempts", s.attempts.get(), 1, MAX_ATTEMPTS, |n| n.to_string())?;
    edge("window", s.window, MIN_DEADLINE, MAX_DURATION, write_duration)
}

/// Checks what is kept.
pub fn snapshots(s: &Snapshots) -> Result<(), OutOfRange> {
    if let Keep::For(time) = s.keep {
        edge("keep", time, Duration::from_secs(1), MAX_DURATION, write_duration)?;
    }
    edge("max-replay", s.max_replay, 1, i64::MAX as u64, |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_inside() {
        assert_eq!(limits(&Limits::default()), Ok(()));
        assert_eq!(supervision(&Supervision::default()), Ok(()));
        assert_eq!(snapshots(&Snapshots::default()), Ok(()));
    }

    #[test]
    fn every_edge_holds_on_both_sides() {
        type Set = fn(&mut Limits, u64);
        let cases: [(&str, Set, u64, u64); 7] = [
            ("memory", |l, n| l.memory = ByteCount(n), 64 << 10, 4 << 30),
            ("tables", |l, n| l.tables = n as u32, 0, 10_000_000),
            ("fuel", |l, n| l.fuel = n, 1, i64::MAX as u64),
            ("outstanding-calls", |l, n| l.outstanding_calls = n as u32, 0, 1_000_000),
            ("max-keys", |l, n| l.max_keys = n as u32, 0, 10_000_000),
            ("max-timers", |l, n| l.max_timers = n as u32, 0, 1_000_000),
            ("max-turn-journal", |l, n| l.max_turn_journal = ByteCount(n), 1 << 20, 1 << 30),
        ];
        for (key, set, least, most) in cases {
            let at = |n: u64| {
                let mut l = Limits::default();
                set(&mut l, n);
                limits(&l).map_err(|e| e.key)
            };
            assert_eq!(at(least), Ok(()), "{key}");
            assert_eq!(at(most), Ok(()), "{key}");
            assert_eq!(at(most + 1), Err(key));
            if let Some(under) = least.checked_sub(1) {
                assert_eq!(at(under), Err(key));
            }
        }
    }

    #[test]
    fn limits_that_depend_on_each_other() {
        let l = Limits { max_journal: Some(ByteCount((64 << 20) - 1)), ..Limits::default() };
        assert_eq!(limits(&l).unwrap_err().key, "max-journal");
        let l = Limits { payload: ByteCount(65 << 20), ..Limits::default() };
        assert_eq!(limits(&l).unwrap_err().key, "max-turn-journal");
    }
}
