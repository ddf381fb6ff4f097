//! Heat that spreads over a plate. The plate is cut into strips, each an actor that knows its own rows; for every step a strip sends its
//! first and last row to its neighbours and goes on when it has theirs. Nobody conducts: the messages do.
//!
//! `init`: `INDEX STRIPS ROWS WIDTH`; the actors are `heat-INDEX`. The cast `go` N begins N steps. The call `result` is answered when they are done, with
//! the rows as floats of 8 bytes, little-endian, row by row. `step` tells how far it is.

use std::collections::BTreeMap;

use troupe_sdk::messaging::ReplyToken;
use troupe_sdk::prelude::*;

/// How much of a difference flows in one step.
const FLOW: f64 = 0.125;

type Row = Vec<f64>;

#[derive(Default)]
struct Strip {
    index: usize,
    strips: usize,
    rows: Vec<Row>,
    step: u32,
    steps: u32,
    /// Rows of the neighbours, by step: a neighbour may be one step ahead, not more.
    above: BTreeMap<u32, Row>,
    below: BTreeMap<u32, Row>,
    waiting: Vec<ReplyToken>,
}

actor!(Strip: Server, Events, Lifecycle);

impl Lifecycle for Strip {
    fn init(&mut self, initial_state: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(initial_state).map_err(|_| "init must be text")?;
        let numbers: Vec<usize> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| "init must be four numbers")?;
        let [index, strips, rows, width] = numbers[..] else { return Err("init must be four numbers".to_string()) };
        (self.index, self.strips) = (index, strips);
        let warmth = |row: usize, column: usize| ((row * 31 + column * 17) % 101) as f64;
        self.rows =
            (0..rows).map(|row| (0..width).map(|column| warmth(index * rows + row, column)).collect()).collect();
        Ok(())
    }
}

impl Events for Strip {
    fn event(&mut self, event: Message) -> Result<(), String> {
        match event.kind() {
            "go" => {
                self.steps += event.number::<u32>()?;
                self.show_borders()?;
            }
            "above" | "below" => {
                let (step, row) = decode(&event.payload, self.rows[0].len()).ok_or("no row of this plate")?;
                if step < self.step || step > self.step + 1 {
                    return Err(format!("a row of step {step}, in step {}", self.step));
                }
                let known = if event.kind() == "above" { &mut self.above } else { &mut self.below };
                known.insert(step, row);
            }
            _ => return event.unknown(),
        }
        self.advance()
    }
}

impl Server for Strip {
    fn request(&mut self, call: Message) -> Answer {
        match call.kind() {
            "result" if self.step == self.steps => Ok(self.bytes()),
            "result" => {
                self.waiting.push(messaging::defer()?);
                Ok(Vec::new())
            }
            "step" => text(self.step),
            _ => call.unknown(),
        }
    }
}

impl Strip {
    /// As many steps as there are rows of the neighbours for.
    fn advance(&mut self) -> Result<(), String> {
        while self.step < self.steps {
            let edge = vec![0.0; self.rows[0].len()];
            let above = if self.index == 0 { Some(edge.clone()) } else { self.above.get(&self.step).cloned() };
            let below = if self.index + 1 == self.strips { Some(edge) } else { self.below.get(&self.step).cloned() };
            let (Some(above), Some(below)) = (above, below) else { break };
            self.rows = (0..self.rows.len())
                .map(|at| {
                    let up = if at == 0 { &above } else { &self.rows[at - 1] };
                    let down = self.rows.get(at + 1).unwrap_or(&below);
                    next(&self.rows[at], up, down)
                })
                .collect();
            self.above.remove(&self.step);
            self.below.remove(&self.step);
            self.step += 1;
            if self.step < self.steps {
                self.show_borders()?;
            }
        }
        if self.step == self.steps {
            for token in std::mem::take(&mut self.waiting) {
                // Who has given up waiting needs no answer.
                let _ = token.answer(Ok(self.bytes()));
            }
        }
        Ok(())
    }

    fn show_borders(&self) -> Result<(), String> {
        if let (true, Some(first)) = (self.index > 0, self.rows.first()) {
            messaging::cast(&format!("heat-{}", self.index - 1), "below", encode(self.step, first))?;
        }
        if let (true, Some(last)) = (self.index + 1 < self.strips, self.rows.last()) {
            messaging::cast(&format!("heat-{}", self.index + 1), "above", encode(self.step, last))?;
        }
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        self.rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }
}

fn next(row: &Row, up: &Row, down: &Row) -> Row {
    let at = |column: Option<usize>| column.and_then(|column| row.get(column)).copied().unwrap_or(0.0);
    (0..row.len())
        .map(|column| {
            let around = up[column] + down[column] + at(column.checked_sub(1)) + at(Some(column + 1));
            row[column] + FLOW * (around - 4.0 * row[column])
        })
        .collect()
}

fn encode(step: u32, row: &Row) -> Vec<u8> {
    let values = row.iter().flat_map(|value| value.to_le_bytes());
    step.to_le_bytes().into_iter().chain(values).collect()
}

fn decode(bytes: &[u8], width: usize) -> Option<(u32, Row)> {
    let (step, values) = bytes.split_first_chunk::<4>()?;
    let (values, rest) = values.as_chunks::<8>();
    (rest.is_empty() && values.len() == width)
        .then(|| (u32::from_le_bytes(*step), values.iter().map(|value| f64::from_le_bytes(*value)).collect()))
}
