//! Standard output: lines for people or JSON for programs. A reader that goes away ends the command without noise.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// How a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON, one value a line.
    pub json: bool,
}

impl Output {
    /// One line for people.
    pub fn line(self, text: impl std::fmt::Display) {
        put(format!("{text}\n").as_bytes());
    }

    /// A line on standard error for people who wait; programs are told nothing. Where it is closed, nobody is.
    pub fn progress(self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", plain(text));
        }
    }

    /// One JSON value in one line.
    pub fn value(self, value: &impl Serialize) {
        // The types printed have string keys and no fallible parts.
        let mut bytes = serde_json::to_vec(value).unwrap_or_default();
        bytes.push(b'\n');
        put(&bytes);
    }

    /// Bytes as they are; on a terminal with the line ended.
    pub fn bytes(self, bytes: &[u8]) {
        put(bytes);
        if io::stdout().is_terminal() && bytes.last().is_some_and(|b| *b != b'\n') {
            put(b"\n");
        }
    }

    /// A table: a head, and rows of the same width. Columns are as wide as they need.
    pub fn table(self, head: &[&str], rows: &[Vec<String>]) {
        let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: Vec<&str>| {
            let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
            self.line(padded.join("  ").trim_end());
        };
        line(head.to_vec());
        for row in rows {
            line(row.iter().map(String::as_str).collect());
        }
    }
}

/// Writes and flushes. A closed pipe is a reader that has seen enough; any other error cannot be told anywhere.
fn put(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(e) = out.write_all(bytes).and_then(|()| out.flush()) {
        let code = if e.kind() == io::ErrorKind::BrokenPipe { 0 } else { 1 };
        std::process::exit(code);
    }
}

/// Text of a guest's or a client's on a terminal: no control characters but line breaks and tabs.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}
