//! The rows, the table, the file.
//!
//! Promises: every row of [`ROWS`] is there, once, or the run fails. The file is replaced as a whole.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::facts::Facts;

/// The rows that a run must have, in the order of the table.
pub const ROWS: &[&str] = &[
    "call-on-node",
    "call-from-thread",
    "cast-off",
    "cast-buffered",
    "durable-1000-callers",
    "durable-1-caller",
    "queue-durable",
    "queue-off",
    "spawn-to-reply",
    "call-4000-actors",
    "memory-idle-actor",
    "move-actor",
    "replay",
    "start-python",
    "request",
    "request-durable",
    "ring-off",
    "ring-buffered",
    "spawn-by-actor",
    "tuples-off",
    "tuples-durable",
    "host-call-0",
    "host-call-64",
    "host-call-4096",
    "http-off",
    "http-off-p99",
    "http-each",
    "http-buffered",
    "http-buffered-p99",
];

/// On which side of its target a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Bound {
    /// Not above it.
    #[serde(rename = "at most")]
    AtMost,
    /// Not below it.
    #[serde(rename = "at least")]
    AtLeast,
}

/// One measure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name, one of [`ROWS`].
    pub id: &'static str,
    /// What was measured, in words.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
    /// The same without Troupe: the engine alone, or the disk alone.
    pub raw: Option<f64>,
    /// The same with the peer: actors of ractor, lists of Redis.
    pub peer: Option<f64>,
    /// The bound that the value is held to.
    pub target: f64,
    /// Its side.
    pub bound: Bound,
    /// Whether it is kept.
    pub met: bool,
}

impl Row {
    /// A row whose value may not be above `target`.
    pub fn at_most(id: &'static str, what: impl Into<String>, unit: &'static str, value: f64, target: f64) -> Row {
        let met = value <= target;
        Row { id, what: what.into(), value, unit, raw: None, peer: None, target, bound: Bound::AtMost, met }
    }

    /// A row whose value may not be below `target`.
    pub fn at_least(id: &'static str, what: impl Into<String>, unit: &'static str, value: f64, target: f64) -> Row {
        let met = value >= target;
        Row { id, what: what.into(), value, unit, raw: None, peer: None, target, bound: Bound::AtLeast, met }
    }

    /// With what the engine, or the disk, alone takes.
    pub fn raw(mut self, raw: f64) -> Row {
        self.raw = Some(raw);
        self
    }

    /// With what the peer takes, if it is there.
    pub fn peer(mut self, peer: impl Into<Option<f64>>) -> Row {
        self.peer = peer.into();
        self
    }

    /// Value over target so that 1 or less is kept, whatever the side.
    fn ratio(&self) -> f64 {
        match self.bound {
            Bound::AtMost => self.value / self.target,
            Bound::AtLeast => self.target / self.value,
        }
    }
}

/// A run.
#[derive(Serialize)]
pub struct Report {
    #[serde(flatten)]
    facts: Facts,
    measures: Vec<Row>,
}

impl Report {
    /// Of these rows.
    pub fn new(facts: Facts, measures: Vec<Row>) -> Report {
        Report { facts, measures }
    }

    /// An error that names what is missing, twice there, or not a number.
    pub fn check(&self) -> anyhow::Result<()> {
        let count = |id: &str| self.measures.iter().filter(|row| row.id == id).count();
        let missing: Vec<&str> = ROWS.iter().copied().filter(|id| count(id) != 1).collect();
        if !missing.is_empty() {
            bail!("rows missing (or twice there): {}", missing.join(", "));
        }
        let bad = self.measures.iter().find(|row| {
            [Some(row.value), Some(row.target), row.raw, row.peer].iter().flatten().any(|n| !n.is_finite() || *n <= 0.0)
        });
        match bad {
            Some(row) => bail!("the row {} has a figure that is no measurement: {row:?}", row.id),
            None => Ok(()),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<21}{:>13} {:<9}{:>11}{:>11}  {:<22}{:>7}  ",
            "measure", "value", "", "raw", "peer", "target", "ratio"
        );
        for row in &self.measures {
            let side = if row.bound == Bound::AtMost { "<=" } else { ">=" };
            let optional = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), number);
            let _ = writeln!(
                out,
                "{:<21}{:>13} {:<9}{:>11}{:>11}  {:<22}{:>7.2}  {}",
                row.id,
                number(row.value),
                row.unit,
                optional(row.raw),
                optional(row.peer),
                format!("{side} {} {}", number(row.target), row.unit),
                row.ratio(),
                if row.met { "met" } else { "MISSED" },
            );
        }
        let met = self.measures.iter().filter(|row| row.met).count();
        let _ = writeln!(out, "\n{met} of {} targets met; ratio: 1 or less is kept", self.measures.len());
        out
    }

    /// Writes the file beside its place, then moves it there.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().context("the file of the results has no folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let temporary = file.with_extension("json.tmp");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(&temporary, text).with_context(|| format!("cannot write {}", temporary.display()))?;
        std::fs::rename(&temporary, file).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// Three digits that count, with the thousands parted.
fn number(figure: f64) -> String {
    if figure < 100.0 {
        return format!("{figure:.2}");
    }
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Row> {
        ROWS.iter().map(|id| Row::at_most(id, "", "us", 1.0, 2.0)).collect()
    }

    #[test]
    fn a_missing_row_and_one_that_is_no_number_fail() {
        let report = |rows| Report::new(Facts::default(), rows);
        assert!(report(all()).check().is_ok());
        let mut short = all();
        short.remove(3);
        assert!(report(short).check().unwrap_err().to_string().contains(ROWS[3]));
        let mut twice = all();
        twice.push(twice[0].clone());
        assert!(report(twice).check().is_err());
        let mut bad = all();
        bad[2].value = f64::NAN;
        assert!(report(bad).check().unwrap_err().to_string().contains(ROWS[2]));
    }

    #[test]
    fn a_target_is_kept_on_its_side_only() {
        assert!(Row::at_most("a", "", "us", 2.0, 2.0).met);
        assert!(!Row::at_most("a", "", "us", 2.1, 2.0).met);
        let row = Row::at_least("a", "", "a second", 50.0, 100.0);
        assert!(!row.met && (row.ratio() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(0.604), "0.60");
        assert_eq!(number(123.0), "123");
    }
}
