//! Power cuts: at every batch, at torn bytes, at every operation of the disk, and out of order.
//!
//! "After a crash the store holds a prefix of the appended batches, with every durable one in it."

use std::sync::Arc;

use crate::batch::Batch;
use crate::conformance::{Journals, Model, Writer, check_journals, same};
use crate::disk::SimDisk;
use crate::ids::{ByteCount, Position};
use crate::segments::{Options, open};
use crate::store::Opened;

fn options() -> Options {
    Options { segment: ByteCount::kib(16), ..Options::simulated([9; 32]) }
}

/// Opens a disk after a cut and checks the promise; returns how many batches it holds.
fn check(disk: &SimDisk, states: &[Model], durable: usize, journals: &Journals, at: &str) -> usize {
    let opened = open(Arc::new(disk.clone()), &options()).unwrap_or_else(|e| panic!("{at}: {e}"));
    let held = states.iter().rposition(|s| same(&opened, s));
    let held = held.unwrap_or_else(|| panic!("{at}: holds no prefix of the batches"));
    assert!(held >= durable, "{at}: holds {held} batches, {durable} were durable");
    check_journals(&opened, journals);
    held
}

/// Goes on with a disk that was cut: what is appended then is there too.
fn goes_on(disk: &SimDisk) {
    let mut writer = Writer::new(77);
    let Opened { store, actors, tables, node_time, .. } = open(Arc::new(disk.clone()), &options()).unwrap();
    writer.model = Model { actors, tables, node_time };
    let mut batch = Batch::new();
    for i in 0..3u8 {
        writer.set(&mut batch, crate::Table(900), &[i], Some(&[i; 40]));
        let position = writer.append(&*store, &mut batch).unwrap();
        store.sync_blocking(position).unwrap();
    }
    drop(store);
    disk.crash();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    assert!(same(&opened, &writer.model));
    assert_eq!(opened.dropped_tail, None);
}

#[test]
fn cut_at_every_batch_and_inside_the_last_write() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut writer = Writer::new(2024);
    let mut batch = Batch::new();
    let mut states = vec![Model::default()];
    let mut durable = 0;
    let mut outcomes = [0; 3];
    for i in 0..300 {
        let largest = if i % 60 == 59 { 8000 } else { 150 };
        writer.random_batch(&mut batch, largest);
        let position = writer.append(&*opened.store, &mut batch).unwrap();
        states.push(writer.model.clone());
        match writer.random(5) {
            0 | 1 => opened.store.flush(position).unwrap(),
            2 => {
                opened.store.sync_blocking(position).unwrap();
                durable = states.len() - 1;
            }
            _ => (),
        }
        let mut variant = |name: &str, cut: &dyn Fn(&SimDisk)| {
            let fork = disk.fork();
            cut(&fork);
            let held = check(&fork, &states, durable, &writer.journals, &format!("batch {i}, {name}"));
            outcomes[usize::from(held > durable) + usize::from(held == states.len() - 1)] += 1;
            if i % 20 == 0 {
                goes_on(&fork);
            }
        };
        variant("nothing unsynced survives", &|d| d.crash());
        variant("all of it survives", &|d| d.crash_keeping(true, |w| 0..w.len));
        for part in [1, 3, 7] {
            let torn = |w: crate::disk::UnsyncedWrite<'_>| {
                if w.index + 1 == w.of { 0..w.len * part / 8 } else { 0..w.len }
            };
            variant("the last write is torn", &|d| d.crash_keeping(true, torn));
        }
        variant("the end of the last write only", &|d| {
            d.crash_keeping(true, |w| if w.index + 1 == w.of { w.len / 2..w.len } else { 0..w.len });
        });
        variant("the first unsynced write is lost", &|d| {
            d.crash_keeping(true, |w| if w.index == 0 { 0..0 } else { 0..w.len });
        });
        variant("every second write is lost", &|d| {
            d.crash_keeping(false, |w| if w.index % 2 == 0 { 0..w.len } else { 0..0 });
        });
    }
    assert!(outcomes.iter().all(|n| *n > 50), "every kind of loss was seen: {outcomes:?}");
}

/// Every byte of the last write, once.
#[test]
fn torn_at_every_byte() {
    let disk = SimDisk::new();
    let opened = open(Arc::new(disk.clone()), &options()).unwrap();
    let mut writer = Writer::new(5);
    let mut batch = Batch::new();
    let mut states = vec![Model::default()];
    let mut position = Position(0);
    for i in 0..3 {
        writer.random_batch(&mut batch, 40);
        position = writer.append(&*opened.store, &mut batch).unwrap();
        states.push(writer.model.clone());
        if i == 0 {
            opened.store.sync_blocking(position).unwrap();
        }
    }
    opened.store.flush(position).unwrap();
    let mut len = 0;
    disk.fork().crash_keeping(true, |w| {
        len = w.len;
        0..0
    });
    assert!(len > 200);
    let mut held = Vec::new();
    for byte in 0..=len {
        let fork = disk.fork();
        fork.crash_keeping(true, |_| 0..byte);
        held.push(check(&fork, &states, 1, &writer.journals, &format!("byte {byte}")));
    }
    assert!(held.is_sorted() && held[0] == 1 && held[len] == 3);
    assert_eq!(held[len - 1], 2, "one byte short is not the whole batch");
}

/// What a process did until its disk failed.
struct Run {
    finished: bool,
    states: Vec<Model>,
    durable: usize,
    journals: Journals,
}

/// Opens, appends over several segments, closes, a few times.
fn run(disk: &SimDisk, rounds: usize) -> Run {
    let mut writer = Writer::new(31);
    let mut states = vec![Model::default()];
    let mut durable = 0;
    let mut batch = Batch::new();
    let mut go = || -> Result<(), crate::Error> {
        for round in 0..rounds {
            let Opened { store, .. } = open(Arc::new(disk.clone()), &options())?;
            // Opening has synced what was there.
            durable = states.len() - 1;
            for i in 0..25 {
                writer.random_batch(&mut batch, if i == 13 { 9000 } else { 1500 });
                // An append may fail after the batch was counted in: it is then an extra state.
                states.push(writer.model.clone());
                let position = writer.append(&*store, &mut batch)?;
                *states.last_mut().unwrap() = writer.model.clone();
                match i % 3 {
                    0 => {
                        store.sync_blocking(position)?;
                        durable = states.len() - 1;
                    }
                    1 => store.flush(position)?,
                    _ => (),
                }
            }
            if round > 0 {
                store.close()?;
                durable = states.len() - 1;
            }
        }
        Ok(())
    };
    let finished = go().is_ok();
    Run { finished, states, durable, journals: writer.journals }
}

/// The power goes at every single operation of the disk: opening, rolling over, checkpoints, closing.
#[test]
fn cut_at_every_operation_of_the_disk() {
    let whole = SimDisk::new();
    assert!(run(&whole, 3).finished);
    let operations = whole.operations();
    assert!(operations > 150, "{operations} operations");
    for n in 0..operations {
        let disk = SimDisk::new();
        disk.cut_after(n);
        let Run { finished, states, durable, journals } = run(&disk, 3);
        assert!(!finished, "cut after {n} of {operations}");
        for (name, names) in [("names lost", false), ("names kept", true)] {
            let fork = disk.fork();
            fork.crash_keeping(names, |w| if names { 0..w.len / 2 } else { 0..0 });
            check(&fork, &states, durable, &journals, &format!("operation {n}, {name}"));
            if n % 10 == 0 {
                goes_on(&fork);
            }
        }
    }
}

/// A process is killed at every operation, which leaves unsynced writes; the power goes at every
/// operation of the next process's opening; of the unsynced writes only the newest survive, or all but
/// the oldest. "A new process treats nothing as durable before its own first sync."
#[test]
fn killed_at_every_operation_then_cut_while_opening() {
    let whole = SimDisk::new();
    assert!(run(&whole, 1).finished);
    let mut openings = 0;
    for n in 0..whole.operations() {
        let disk = SimDisk::new();
        disk.cut_after(n);
        let Run { states, durable, journals, .. } = run(&disk, 1);
        let killed = disk.fork();
        for m in 0.. {
            let again = killed.fork();
            again.cut_after(m);
            let opened = open(Arc::new(again.clone()), &options());
            let done = opened.is_ok() && !again.is_cut();
            for (name, lost) in [("only the newest write of a file survives", 1), ("all but the oldest", 0)] {
                let cut = again.fork();
                cut.crash_keeping(true, |w| {
                    let survives = if lost == 1 { w.index + 1 == w.of } else { w.index > 0 };
                    if survives { 0..w.len } else { 0..0 }
                });
                check(&cut, &states, durable, &journals, &format!("killed at {n}, cut at {m}, {name}"));
                openings += 1;
            }
            if done {
                break;
            }
        }
    }
    assert!(openings > 1000, "{openings} openings");
}
