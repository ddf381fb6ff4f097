//! What only the own store can be asked: the cost of an append, and 1,000 tasks that each wait for
//! their own batches.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use troupe_log::{Incarnation, Seq};

use crate::engines::{Engine, Item, Own, OwnWriter};

struct Ready {
    queue: Mutex<Vec<usize>>,
    thread: Thread,
}

struct TaskWaker {
    task: usize,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut queue = self.ready.queue.lock().expect("a queue");
        queue.push(self.task);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.ready.thread.unpark();
        }
    }
}

/// Durable batches a second of `tasks` tasks on this thread, each waiting for its batch before the next.
fn waiting(tasks: usize) -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let own = Own::open(dir.path());
    let ready = Arc::new(Ready { queue: Mutex::new((0..tasks).collect()), thread: std::thread::current() });
    let mut writers: Vec<_> = (0..tasks).map(|t| OwnWriter::new(&format!("task-{t}"))).collect();
    let mut syncs: Vec<Option<troupe_log::SyncFuture>> = (0..tasks).map(|_| None).collect();
    let wakers: Vec<Waker> =
        (0..tasks).map(|task| Waker::from(Arc::new(TaskWaker { task, ready: ready.clone() }))).collect();
    let started = Instant::now();
    let mut done = 0u64;
    while started.elapsed() < Duration::from_secs(3) {
        let woken = std::mem::take(&mut *ready.queue.lock().expect("a queue"));
        if woken.is_empty() {
            std::thread::park_timeout(Duration::from_secs(1));
        }
        for task in woken {
            loop {
                if let Some(sync) = syncs[task].as_mut() {
                    match Pin::new(sync).poll(&mut Context::from_waker(&wakers[task])) {
                        Poll::Pending => break,
                        Poll::Ready(result) => {
                            result.expect("syncs");
                            done += 1;
                        }
                    }
                }
                own.apply(&mut writers[task], &Item::new(done));
                syncs[task] = writers[task].last.map(|p| own.0.sync(p));
            }
        }
    }
    done as f64 / started.elapsed().as_secs_f64()
}

fn nanos(n: u64, mut f: impl FnMut(u64)) -> f64 {
    let mut best = f64::MAX;
    for round in 0..5 {
        let started = Instant::now();
        for i in 0..n {
            f(round * n + i);
        }
        best = best.min(started.elapsed().as_nanos() as f64 / n as f64);
    }
    best
}

/// Records a second of a journal read from its first to its last record.
fn reading() -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let own = Own::open(dir.path());
    let mut writer = OwnWriter::new("reader");
    for n in 0..500_000 {
        own.apply(&mut writer, &Item::new(n));
    }
    let tail = writer.last.expect("a batch");
    let started = Instant::now();
    let reader = own.0.journal(&writer.actor, Incarnation(0), tail, Seq(0)).expect("a journal");
    let bytes = reader.read_all().expect("its records");
    assert_eq!(bytes.len() % 245, 0);
    (bytes.len() / 245) as f64 / started.elapsed().as_secs_f64()
}

/// Figures in words.
pub fn own_figures() -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let own = Own::open(dir.path());
    let mut writer = own.writer();
    let item = Item::new(5);
    let fill = nanos(10_000, |_| writer.fill(&item));
    // Few enough that none of them has to write.
    let mut best = f64::MAX;
    for _ in 0..20 {
        let each = nanos(1_000, |_| {
            own.0.append(&writer.batch).expect("appends");
        });
        best = best.min(each);
        let last = own.0.append(&writer.batch).expect("appends");
        own.0.flush(last).expect("writes");
    }
    let flushed = nanos(10_000, |_| {
        let position = own.0.append(&writer.batch).expect("appends");
        own.0.flush(position).expect("writes");
    });
    let (many, one, read) = (waiting(1000), waiting(1), reading());
    format!(
        "Own segments: sealing a record of 245 bytes and filling a batch {fill:.0} ns; appending a batch {best:.0} ns; appending and \
         writing each {flushed:.0} ns; 1,000 tasks that each wait for their batch on the sync thread: {many:.0} durable batches/s; one \
         such task: {:.0} us each; reading a journal, a record a batch: {read:.0} records/s.",
        1e6 / one
    )
}
