//! A product of two matrices, made by workers who meet their master in the tuple space `matrix`. A task is a row of the first matrix; the
//! second lies there for all to read. Who is free takes the next task; nobody is told what to do.
//!
//! The call `multiply` N is the master's: its answer is the product of two N by N matrices, integers of 8 bytes, little-endian, row by row. The call
//! `work` is a worker's: it does tasks until it takes the one that says that there are no more, and is answered with how many it did. `begin` N
//! only puts the tasks there, for workers who are to be watched; `collect` N fetches what they made.

use troupe_sdk::prelude::*;
use troupe_sdk::space::{ANY, Space, pattern, tuple};

/// Ends a worker, as the number of a row.
const NO_MORE: i64 = -1;

#[derive(Default)]
struct Actor {
    done: u64,
}

actor!(Actor: Server);

impl Server for Actor {
    fn request(&mut self, call: Message) -> Answer {
        let space = Space::named("matrix");
        match call.kind() {
            "multiply" => {
                begin(&space, call.number()?)?;
                collect(&space, call.number()?)
            }
            "begin" => begin(&space, call.number()?).map(|()| Vec::new()),
            "collect" => collect(&space, call.number()?),
            "work" => {
                while self.task(&space)? {}
                text(self.done)
            }
            "done" => text(self.done),
            _ => call.unknown(),
        }
    }
}

impl Actor {
    /// Takes a task and does it; false if there are no more.
    fn task(&mut self, space: &Space) -> Result<bool, String> {
        let task = space.take_wait(pattern!["task", ANY, ANY], None)?.ok_or("no task came")?;
        let (Some(number), Some(row)) = (task.value[1].integer(), task.value[2].bytes()) else {
            return Err("a task has a number and a row".to_string());
        };
        if number == NO_MORE {
            // For the next who asks.
            space.write(task.value)?;
            return Ok(false);
        }
        let second = space.read_wait(pattern!["second", ANY], None)?.ok_or("there is no second matrix")?;
        let second = numbers(second.value[1].bytes().ok_or("the second matrix is bytes")?);
        let row = numbers(row);
        let product: Vec<i64> = (0..row.len())
            .map(|column| row.iter().zip(second.chunks(row.len())).map(|(value, other)| value * other[column]).sum())
            .collect();
        space.write(tuple!["row", number, bytes(&product)])?;
        self.done += 1;
        Ok(true)
    }
}

fn begin(space: &Space, size: i64) -> Result<(), String> {
    if !(1..=64).contains(&size) {
        return Err("a size is 1 to 64".to_string());
    }
    let first = |row: i64, column: i64| (row * 7 + column * 3) % 11 - 5;
    let second = |row: i64, column: i64| (row * 5 + column * 13) % 17 - 8;
    let all: Vec<i64> = (0..size * size).map(|at| second(at / size, at % size)).collect();
    space.write(tuple!["second", bytes(&all)])?;
    for row in 0..size {
        let values: Vec<i64> = (0..size).map(|column| first(row, column)).collect();
        space.write(tuple!["task", row, bytes(&values)])?;
    }
    space.write(tuple!["task", NO_MORE, Vec::<u8>::new()])?;
    Ok(())
}

fn collect(space: &Space, size: i64) -> Answer {
    let mut product = Vec::new();
    for row in 0..size {
        let row = space.take_wait(pattern!["row", row, ANY], None)?.ok_or("a row did not come")?;
        product.extend_from_slice(row.value[2].bytes().ok_or("a row is bytes")?);
    }
    space.take(pattern!["second", ANY])?;
    Ok(product)
}

fn bytes(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<i64> {
    bytes.as_chunks::<8>().0.iter().map(|value| i64::from_le_bytes(*value)).collect()
}
