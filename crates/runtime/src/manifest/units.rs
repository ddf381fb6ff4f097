//! Durations as people write them: `"100ms"`, `"5s"`, `"7d"`. (Bytes are `ByteCount`, which reads and writes itself.)
//!
//! Reading and writing are inverse to each other, and an amount is never rounded on reading.

use std::time::Duration;

use troupe_log::WallTime;

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

/// Reads a moment in UTC, `2026-01-31T12:00:00Z`, to the second. `None` if it is not one, or before 1970.
pub fn parse_moment(text: &str) -> Option<WallTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let three = |text: &str, by: char, lengths: [usize; 3]| -> Option<[u64; 3]> {
        let mut parts = text.split(by);
        let mut found = [0; 3];
        for (place, length) in found.iter_mut().zip(lengths) {
            let part = parts.next().filter(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))?;
            *place = part.parse().ok()?;
        }
        parts.next().is_none().then_some(found)
    };
    let [year, month, day] = three(date, '-', [4, 2, 2])?;
    let [hours, minutes, seconds] = three(time, ':', [2, 2, 2])?;
    let there = year >= 1970 && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !there || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let days: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>()
        + (1..month).map(|month| days_of(year, month)).sum::<u64>()
        + day
        - 1;
    Some(WallTime((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000))
}

/// Writes a moment in UTC, to the second.
pub fn write_moment(moment: WallTime) -> String {
    let seconds = moment.0 / 1_000_000;
    let (mut days, mut year, mut month) = (seconds / 86_400, 1970, 1);
    while days >= if leap(year) { 366 } else { 365 } {
        days -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    while days >= days_of(year, month) {
        days -= days_of(year, month);
        month += 1;
    }
    let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{:02}T{hours:02}:{minutes:02}:{seconds:02}Z", days + 1)
}

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
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
    fn moments_are_read_and_written_to_the_second() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2026-01-31T12:00:01Z", 1_769_860_801),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse_moment(text), Some(WallTime(seconds * 1_000_000)), "{text}");
            assert_eq!(write_moment(WallTime(seconds * 1_000_000)), text);
        }
        for bad in [
            "",
            "2026-01-31",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-1-31T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00",
            "+026-01-31T12:00:00Z",
            "2026-01-31T12:00:00:00Z",
        ] {
            assert_eq!(parse_moment(bad), None, "{bad}");
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
