//! The log's own segments beside embedded engines, on the disk that the temporary folder is on.
//!
//! One *batch* is what a step of an actor commits: a journal record, one inbox entry put, one removed, about
//! 300 bytes in all. `cargo run --release` prints the table and writes results.md; with the word `durable` it
//! only prints how long one durable batch takes. `TMPDIR` chooses the disk. On a machine that does other work a
//! sync seems to take a scheduler's tick, 4 ms; then run it as `chrt -f 1`.

mod engines;
mod waiters;

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use engines::{Engine, Fjall, Item, Own, Redb, Sqlite};

/// Batches in the log when it is opened again.
const LOADED: u64 = 1_000_000;
/// How long a rate is measured.
const TIME: Duration = Duration::from_secs(3);

struct Row {
    name: &'static str,
    one_thread: f64,
    four_threads: f64,
    grouped: f64,
    single: (f64, f64),
    written: f64,
    size: f64,
    reopen: Duration,
}

fn written_by_us() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|l| l.strip_prefix("wchar: "));
    line.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn size(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        total += if meta.is_dir() { size(&entry.path()) } else { meta.blocks() * 512 };
    }
    total
}

/// Batches a second of `threads` threads, without a sync.
fn rate<E: Engine>(threads: u64) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = E::open(dir.path());
    let started = Instant::now();
    let done: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut n = 0;
                    let mut writer = engine.writer();
                    while started.elapsed() < TIME && n < LOADED {
                        for _ in 0..100 {
                            engine.apply(&mut writer, &Item::new(t << 40 | n));
                            n += 1;
                        }
                    }
                    n
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().expect("a worker")).sum()
    });
    done as f64 / started.elapsed().as_secs_f64()
}

/// Batches a second if each 1,000 of them share a sync.
fn grouped<E: Engine>() -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = E::open(dir.path());
    let mut writer = engine.writer();
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < TIME {
        for _ in 0..1000 {
            engine.apply(&mut writer, &Item::new(n));
            n += 1;
        }
        engine.sync(&mut writer);
    }
    n as f64 / started.elapsed().as_secs_f64()
}

fn median(mut micros: Vec<f64>) -> f64 {
    micros.sort_by(f64::total_cmp);
    micros[micros.len() / 2]
}

/// Microseconds until one batch is durable, and those of a bare write and fdatasync of as many bytes in a
/// file that has its length, turn by turn, so that both see the same moods of the disk.
fn single<E: Engine>() -> (f64, f64) {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().expect("a folder");
    let engine = E::open(dir.path());
    let mut writer = engine.writer();
    let file = tempfile::tempfile().expect("a file");
    file.write_all_at(&vec![0; 4 << 20], 0).expect("writes");
    file.sync_all().expect("syncs");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for n in 0..1000 {
        let started = Instant::now();
        engine.apply(&mut writer, &Item::new(n));
        engine.sync(&mut writer);
        ours.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        file.write_all_at(&[1; 400], n * 400).expect("writes");
        file.sync_data().expect("syncs");
        bare.push(started.elapsed().as_secs_f64() * 1e6);
    }
    (median(ours), median(bare))
}

fn measure<E: Engine>() -> Row {
    eprintln!("{}", E::NAME);
    let (one_thread, four_threads) = (rate::<E>(1), rate::<E>(4));
    let (grouped, single) = (grouped::<E>(), single::<E>());
    let dir = tempfile::tempdir().expect("a folder");
    let before = written_by_us();
    {
        let engine = E::open(dir.path());
        let mut writer = engine.writer();
        for n in 0..LOADED {
            engine.apply(&mut writer, &Item::new(n));
            if n % 10_000 == 0 {
                engine.sync(&mut writer);
            }
        }
        engine.sync(&mut writer);
    }
    let payload = (LOADED * Item::BYTES) as f64;
    let written = (written_by_us() - before) as f64 / payload;
    let size = size(dir.path()) as f64 / payload;
    let started = Instant::now();
    let rows = E::reopen(dir.path());
    let reopen = started.elapsed();
    assert_eq!(rows, Item::LIVE, "{}: rows after opening again", E::NAME);
    Row { name: E::NAME, one_thread, four_threads, grouped, single, written, size, reopen }
}

fn print_single<E: Engine>() {
    let (ours, bare) = single::<E>();
    println!("{}: {ours:.0} us, bare {bare:.0} us, {:.2} times", E::NAME, ours / bare);
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("durable") {
        print_single::<Own>();
        print_single::<Fjall>();
        print_single::<Redb>();
        print_single::<Sqlite>();
        println!("{}", waiters::own_figures());
        return;
    }
    let rows = [measure::<Own>(), measure::<Fjall>(), measure::<Redb>(), measure::<Sqlite>()];
    let mut out = String::from(
        "# The log's own segments beside embedded engines\n\n\
         Written by `cargo run --release` in bench/stores; two cores, one SSD with ext4. A batch is one journal record, one inbox entry \
         put and one removed, about 300 bytes, atomic. *grouped*: each 1,000 batches share a sync. *one durable*: median until a single \
         batch is synced, and beside it that of a bare write and fdatasync, turn by turn. *written*, *size*: bytes given to the operating system, and on the disk, per byte of payload, 1,000,000 batches with a \
         sync each 10,000. *open again*: until the tables are in memory.\n\n\
         | store | batches/s, 1 thread | 4 threads | grouped, batches/s | one durable / bare, us | written | size | open again, ms |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for r in &rows {
        let _ = writeln!(
            out,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} / {:.0} | {:.2} | {:.2} | {:.0} |",
            r.name,
            r.one_thread,
            r.four_threads,
            r.grouped,
            r.single.0,
            r.single.1,
            r.written,
            r.size,
            r.reopen.as_secs_f64() * 1e3
        );
    }
    let _ = writeln!(out, "\n{}", waiters::own_figures());
    print!("{out}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results.md");
    std::fs::write(path, out).expect("results.md");
}
