//! Applications of many actors (examples/): each checks its own answer against one that is computed here, without actors; each loses its node to a
//! power cut in the middle, goes on, and is replayed, actor by actor. `cargo xtask apps` runs these and shows what they print.

use std::time::{Duration, Instant};

use troupe_log::SimDisk;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Messaging, TupleSpaces};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, id, node_on, power_cut, replay, spec, verified};

/// An actor of an application, which may send to these.
fn member(name: &str, guest: &str, init: &str, to: &[&str]) -> ActorSpec {
    let mut spec = spec(name, guest);
    spec.init = init.as_bytes().to_vec();
    spec.grants.messaging = Some(Messaging { to: to.iter().map(|to| ActorPattern::parse(to).unwrap()).collect() });
    spec
}

async fn start(disk: &SimDisk, members: &[ActorSpec]) -> Node {
    let node = node_on(disk).await;
    for member in members {
        node.start(member.clone()).await.unwrap();
    }
    node
}

/// Waits until an actor has come so far.
async fn records(node: &Node, actor: &str, least: u64) {
    while node.actor(&id(actor)).await.unwrap().next.0 < least {
        tokio::task::yield_now().await;
    }
}

/// Every member's journal is whole and replays to the last record. How many records there are in all.
async fn all_replayed(node: &Node, guest: &str, members: &[ActorSpec]) -> u64 {
    let mut sum = 0;
    for member in members {
        let name = member.id.name();
        verified(node, name).await;
        let summary = replay(node, name, guest).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(summary.records, node.actor(&member.id).await.unwrap().next.0, "{name}");
        sum += summary.records;
    }
    sum
}

const STRIPS: usize = 6;
const ROWS: usize = 4;
const WIDTH: usize = 16;
const STEPS: usize = 60;

/// The same plate in one piece. The order of the additions is that of a strip, so every bit must agree.
fn plate() -> Vec<u8> {
    let height = STRIPS * ROWS;
    let mut now: Vec<Vec<f64>> =
        (0..height).map(|row| (0..WIDTH).map(|column| ((row * 31 + column * 17) % 101) as f64).collect()).collect();
    let at = |plate: &Vec<Vec<f64>>, row: Option<usize>, column: Option<usize>| {
        row.zip(column).and_then(|(row, column)| plate.get(row)?.get(column).copied()).unwrap_or(0.0)
    };
    for _ in 0..STEPS {
        now = (0..height)
            .map(|row| {
                (0..WIDTH)
                    .map(|column| {
                        let here = now[row][column];
                        let around = at(&now, row.checked_sub(1), Some(column))
                            + at(&now, Some(row + 1), Some(column))
                            + at(&now, Some(row), column.checked_sub(1))
                            + at(&now, Some(row), Some(column + 1));
                        here + 0.125 * (around - 4.0 * here)
                    })
                    .collect()
            })
            .collect();
    }
    now.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heat_spreads_over_strips_as_it_does_over_one_plate_also_after_a_power_cut() {
    let began = Instant::now();
    let strips: Vec<ActorSpec> = (0..STRIPS)
        .map(|index| member(&format!("heat-{index}"), "heat", &format!("{index} {STRIPS} {ROWS} {WIDTH}"), &["heat-*"]))
        .collect();
    let disk = SimDisk::new();
    let node = start(&disk, &strips).await;
    let go = || Outgoing::new("go", STEPS.to_string().into_bytes());
    // All but the last: each gets one step less far than the one above it, and waits.
    for strip in &strips[..STRIPS - 1] {
        node.cast(&strip.id, go()).await.unwrap();
    }
    while ask(&node, "heat-0", "step", "").await.unwrap() != (STRIPS - 2).to_string() {}
    let disk = power_cut(node, &disk);
    let node = start(&disk, &strips).await;
    assert_eq!(ask(&node, "heat-0", "step", "").await.unwrap(), (STRIPS - 2).to_string());
    node.cast(&strips[STRIPS - 1].id, go()).await.unwrap();
    // Five records a step: somewhere in the middle.
    records(&node, "heat-2", STEPS as u64 * 5 / 2).await;
    let node = start(&power_cut(node, &disk), &strips).await;

    let mut warmth = Vec::new();
    for strip in &strips {
        warmth.extend(node.call(&strip.id, Outgoing::new("result", [])).await.unwrap());
    }
    assert!(warmth == plate(), "the strips and the plate differ");
    let replayed = all_replayed(&node, "heat", &strips).await;
    println!(
        "heat: {STRIPS} strips of {ROWS} x {WIDTH}, {STEPS} steps, two power cuts: every bit as in one piece; \
         {replayed} records replayed; {:.1} s",
        began.elapsed().as_secs_f32()
    );
    node.close().await.unwrap();
}

/// Order, customer, item, count, price, place; and what must come of it, worked out by hand from the stock below.
const ORDERS: [(&str, &str); 8] = [
    ("o1 ann apples 4 40 oslo", "shipped"),
    ("o2 ann apples 4 40 rome", "shipped"),
    ("o3 bob apples 1 30 oslo", "bob has 20 and not 30"),
    ("o4 bob apples 1 10 atlantis", "no road to atlantis"),
    ("o5 ann pears 9 10 oslo", "pears has 5 and not 9"),
    ("o6 ann apples 2 20 oslo", "shipped"),
    ("o7 bob apples 1 10 oslo", "apples has 0 and not 1"),
    ("o8 bob pears 5 20 rome", "shipped"),
];

/// Each with its key, in order, until the node is gone. Who did not hear an answer sends again and hears the first one.
async fn send_orders(node: &Node) -> Result<(), CallError> {
    for (order, _) in ORDERS {
        let order = Outgoing::new("order", order.as_bytes()).key(&order[..2]);
        node.call(&id("desk"), order).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_shipped_or_made_good_wherever_the_power_is_cut() {
    let began = Instant::now();
    let members = [
        member("desk", "orders", "desk", &["store", "bank", "carrier"]),
        member("store", "orders", "store apples=10 pears=5", &[]),
        member("bank", "orders", "bank ann=100 bob=20", &[]),
        member("carrier", "orders", "carrier oslo rome", &[]),
    ];
    let disk = SimDisk::new();
    start(&disk, &members).await.close().await.unwrap();
    let (mut replayed, mut cuts) = (0, 0);
    // The power goes after so many operations of the disk: between sagas, in the middle of one, in the middle of making one good.
    for operations in 0.. {
        let disk = disk.fork();
        let node = start(&disk, &members).await;
        disk.cut_after(operations);
        let sent = send_orders(&node).await.is_ok();
        let whole = sent && ask(&node, "desk", "orders", "").await.is_ok() && !disk.is_cut();
        let node = start(&power_cut(node, &disk), &members).await;
        cuts += 1;
        // Who sent them does not know which were handled, and sends all again: the keys tell.
        send_orders(&node).await.unwrap_or_else(|error| panic!("cut after {operations}: {error}"));
        assert_eq!(ask(&node, "desk", "orders", "").await.unwrap(), ORDERS.len().to_string(), "cut after {operations}");
        for (order, outcome) in ORDERS {
            let answer = ask(&node, "desk", "outcome", &order[..2]).await.unwrap();
            assert_eq!(answer, outcome, "cut after {operations}: {order}");
        }
        // What is gone is what was shipped and paid for, and nothing else.
        for (who, what, left) in
            [("store", "apples", "0"), ("store", "pears", "0"), ("bank", "ann", "0"), ("bank", "bob", "0")]
        {
            assert_eq!(ask(&node, who, "left", what).await.unwrap(), left, "cut after {operations}: {who} {what}");
        }
        assert_eq!(ask(&node, "carrier", "shipped", "").await.unwrap(), "4", "cut after {operations}");
        replayed += all_replayed(&node, "orders", &members).await;
        node.close().await.unwrap();
        if whole {
            break;
        }
    }
    assert!(cuts > 12, "{cuts} cuts");
    println!(
        "orders: {} orders, 4 shipped, 2 made good, {cuts} power cuts: goods and money add up each time; \
         {replayed} records replayed; {:.1} s",
        ORDERS.len(),
        began.elapsed().as_secs_f32()
    );
}

const SIZE: i64 = 12;

/// The same product without actors.
fn product() -> Vec<u8> {
    let first = |row: i64, column: i64| (row * 7 + column * 3) % 11 - 5;
    let second = |row: i64, column: i64| (row * 5 + column * 13) % 17 - 8;
    (0..SIZE * SIZE)
        .map(|at| (0..SIZE).map(|inner| first(at / SIZE, inner) * second(inner, at % SIZE)).sum::<i64>())
        .flat_map(i64::to_le_bytes)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_multiply_matrices_over_the_tuple_space_also_after_a_power_cut() {
    let began = Instant::now();
    let members = ["master", "worker-0", "worker-1", "worker-2"].map(|name| {
        let mut spec = member(name, "matrix", "", &[]);
        let spaces = vec![ActorPattern::parse("matrix").unwrap()];
        spec.grants.tuplespace = Some(TupleSpaces { spaces, read: Vec::new() });
        spec.limits.deadline = Some(Duration::from_secs(300));
        spec
    });
    let disk = SimDisk::new();
    let node = start(&disk, &members).await;
    let working: Vec<_> = members[1..]
        .iter()
        .map(|worker| {
            let (node, worker) = (node.clone(), worker.id.clone());
            tokio::spawn(async move { node.call(&worker, Outgoing::new("work", []).key("work")).await })
        })
        .collect();
    node.call(&id("master"), Outgoing::new("begin", SIZE.to_string().into_bytes())).await.unwrap();
    // Somewhere in the middle: a row is some eight records.
    let mut written = 0;
    while written < SIZE as u64 * 4 {
        tokio::task::yield_now().await;
        written = 0;
        for worker in &members[1..] {
            written += node.actor(&worker.id).await.unwrap().next.0;
        }
    }
    node.sync().await.unwrap();
    for worker in working {
        worker.abort();
    }
    let node = start(&power_cut(node, &disk), &members).await;

    let answer = node.call(&id("master"), Outgoing::new("collect", SIZE.to_string().into_bytes())).await.unwrap();
    assert!(answer == product(), "the workers' product is another");
    let mut done = Vec::new();
    for worker in &members[1..] {
        // The turn that was cut has gone on; its caller asks again, by its key.
        let answer = node.call(&worker.id, Outgoing::new("work", []).key("work")).await.unwrap();
        done.push(String::from_utf8(answer).unwrap().parse::<i64>().unwrap());
    }
    assert_eq!(done.iter().sum::<i64>(), SIZE, "each task is done once: {done:?}");
    let replayed = all_replayed(&node, "matrix", &members).await;
    println!(
        "matrix: {SIZE} x {SIZE} by 3 workers ({done:?} rows), one power cut: the product is right, each row was computed once; \
         {replayed} records replayed; {:.1} s",
        began.elapsed().as_secs_f32()
    );
    node.close().await.unwrap();
}
