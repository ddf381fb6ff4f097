//! Durations as people write them: `"100ms"`, `"5s"`, `"7d"`. (Bytes are `ByteCount`, which reads and writes itself.)
//!
//! Reading and writing are inverse to each other, and an amount is never rounded on reading.

use std::time::Duration;

/// The longest duration that a manifest may name: ten years.
pub const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);

const TIMES: [(&str, u64); 6] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1)];

/// Splits `100ms` into the number and the unit. Underscores between digits are allowed.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.starts_with('_') || digits.ends_with('_') {
        return None;
    }
    Some((digits.replace('_', "").parse().ok()?, unit.trim_start()))
}

/// Reads `5s`, `100ms`, `250us`, `1m`, `2h`, `7d`. `None` if it is not one of these or longer than [`MAX_DURATION`].
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit)?;
    let duration = Duration::from_micros(number.checked_mul(*factor)?);
    (duration <= MAX_DURATION).then_some(duration)
}

/// Writes a duration in the largest unit that loses nothing. Parts of a microsecond are dropped.
pub fn write_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let unit = TIMES.iter().find(|(_, factor)| micros >= *factor && micros.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", micros / factor),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(parse_duration("1m"), Some(Duration::from_secs(60)));
        assert_eq!(parse_duration("3650d"), Some(MAX_DURATION));
        for bad in ["3651d", "5", "s", "none", "1y", "5 minutes", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn writing_and_reading_are_inverse() {
        for n in [0, 1, 999, 1000, 1500, 60_000_000, 90_000_000, 86_400_000_000] {
            let text = write_duration(Duration::from_micros(n));
            assert_eq!(parse_duration(&text), Some(Duration::from_micros(n)), "{text}");
        }
        assert_eq!(write_duration(Duration::from_secs(90)), "90s");
    }
}
