//! Between actors: a request and its answer, a ring of a thousand, actors that spawn actors.

use std::sync::Arc;
use std::time::Instant;

use troupe_log::ActorId;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, ComponentRef, Messaging, Mode, Processes};
use troupe_runtime::node::{Node, Outgoing};

use crate::measure::{Best, time};
use crate::raw::Raw;
use crate::report::Row;
use crate::setup::{PAYLOAD, Setup, node_runtime, on_worker};

/// A client calls an actor, which asks another.
pub fn asked(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let (ours, raw) = on_worker(&node_runtime()?, async move { ask_one(&setup, 10_000).await })?;
    let (ours, two) = (ours.micros(), 2.0 * raw.micros());
    let what = "a call to an actor that asks another, 64 B, journal off, the caller a task on the node's runtime; at most \
                2.5x two calls of the engine alone";
    Ok(Row::at_most("request", what, "us", ours, 2.5 * two).raw(two))
}

/// The same, durable, by many at the same time.
pub fn asked_durably(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let rate = on_worker(&node_runtime()?, async move { ask_durably(&setup).await })?;
    let what = "calls to an actor that asks another, durable on the real disk, 64 pairs of actors with a caller each; at \
                least 10,000 a second";
    Ok(Row::at_least("request-durable", what, "a second", rate, 10_000.0))
}

fn partner(name: &str, component: &ComponentRef, mode: Mode) -> anyhow::Result<ActorSpec> {
    let mut spec = crate::setup::spec(name, component.clone(), mode)?;
    let all = || ActorPattern::parse("*").map_err(anyhow::Error::msg);
    spec.grants.messaging = Some(Messaging { to: vec![all()?] });
    spec.grants.processes =
        Some(Processes { spawn: vec!["*".to_owned()], control: vec![all()?], components: Default::default() });
    spec.limits.deadline = None;
    Ok(spec)
}

async fn loaded(setup: &Setup, node: &Node, guest: &str) -> anyhow::Result<ComponentRef> {
    Ok(ComponentRef::Digest(node.load(&setup.guest_bytes(guest)?).await?.digest))
}

fn ask(to: &str) -> Outgoing {
    let payload: Vec<u8> = [to.as_bytes(), b"|echo|", &PAYLOAD[..]].concat();
    Outgoing::new("ask", payload)
}

async fn ask_one(setup: &Setup, calls: u32) -> anyhow::Result<(Best, Best)> {
    let node = setup.node().await?;
    let component = loaded(setup, &node, "bench").await?;
    for name in ["a", "b"] {
        node.start(partner(name, &component, Mode::Off)?).await?;
    }
    let actor = node.actor_ref(&ActorId::parse("a")?)?;
    let mut instance = Raw::new(&setup.guest_bytes("bench")?)?.instance().await?;
    let message = Outgoing::new("ask", &PAYLOAD[..]);
    let (mut ours, mut raw) = (Best::default(), Best::default());
    for round in 0..=20 * setup.rounds {
        let (mut this, mut alone) = (Best::default(), Best::default());
        if !setup.ours_only {
            time(&mut alone, calls, instance.calls("echo", calls)).await?;
        }
        let asking = async {
            for _ in 0..calls {
                std::hint::black_box(actor.call(message.clone()).await?);
            }
            anyhow::Ok(())
        };
        time(&mut this, calls, asking).await?;
        if round > 0 {
            ours.join(this);
            raw.join(alone);
        }
    }
    node.close().await?;
    Ok((ours, raw))
}

async fn ask_durably(setup: &Setup) -> anyhow::Result<f64> {
    const PAIRS: usize = 64;
    const CALLS: usize = 200;
    let data = setup.data()?;
    let node = setup.node_at(data.path()).await?;
    let component = loaded(setup, &node, "partner").await?;
    for pair in 0..PAIRS {
        for side in ["a", "b"] {
            node.start(partner(&format!("{side}-{pair}"), &component, Mode::Durable)?).await?;
        }
    }
    let mut rate: f64 = 0.0;
    for _ in 0..3 {
        let began = Instant::now();
        let mut callers = Vec::new();
        for pair in 0..PAIRS {
            let actor = node.actor_ref(&ActorId::parse(&format!("a-{pair}"))?)?;
            let message = ask(&format!("b-{pair}"));
            callers.push(tokio::spawn(async move {
                for _ in 0..CALLS {
                    actor.call(message.clone()).await?;
                }
                anyhow::Ok(())
            }));
        }
        for caller in callers {
            caller.await??;
        }
        rate = rate.max((PAIRS * CALLS) as f64 / began.elapsed().as_secs_f64());
    }
    node.close().await?;
    Ok(rate)
}

/// Messages that go round a ring of a thousand actors.
pub fn ring(setup: &Setup) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (id, mode, target) in [("ring-off", Mode::Off, 500_000.0), ("ring-buffered", Mode::Buffered, 250_000.0)] {
        let setup = setup.clone();
        let rate = on_worker(&node_runtime()?, async move { hops(&setup, mode).await })?;
        let what = format!(
            "hops of 16 messages round a ring of 1,000 actors, journal {mode}; at least half of what one actor takes from outside \
             ({target} a second)"
        );
        rows.push(Row::at_least(id, what, "hops/s", rate, target));
    }
    Ok(rows)
}

async fn hops(setup: &Setup, mode: Mode) -> anyhow::Result<f64> {
    const ACTORS: usize = 1000;
    const MESSAGES: usize = 16;
    const HOPS: usize = 10_000;
    let node = Arc::new(setup.node().await?);
    let component = loaded(setup, &node, "partner").await?;
    for number in 0..ACTORS {
        node.start(partner(&format!("ring-{number}"), &component, mode)?).await?;
    }
    let mut rate: f64 = 0.0;
    for _ in 0..3 {
        // Each message's last actor answers a call when it comes.
        let mut ends = Vec::new();
        for message in 0..MESSAGES {
            let last = ActorId::parse(&format!("ring-{}", (message * ACTORS / MESSAGES + HOPS) % ACTORS))?;
            let node_ = node.clone();
            let to = last.clone();
            ends.push(tokio::spawn(async move { node_.call(&to, Outgoing::new("later", &b""[..])).await }));
            while node.call(&last, Outgoing::new("held", &b""[..])).await? != b"1" {
                tokio::task::yield_now().await;
            }
        }
        let began = Instant::now();
        for message in 0..MESSAGES {
            let to = ActorId::parse(&format!("ring-{}", message * ACTORS / MESSAGES))?;
            node.cast(&to, Outgoing::new("hop", format!("{HOPS}|{ACTORS}").into_bytes())).await?;
        }
        for end in ends {
            end.await??;
        }
        rate = rate.max((MESSAGES * HOPS) as f64 / began.elapsed().as_secs_f64());
    }
    if let Some(node) = Arc::into_inner(node) {
        node.close().await?;
    }
    Ok(rate)
}

/// An actor spawns others, and each of them answers.
pub fn spawned(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let (ours, raw) = on_worker(&node_runtime()?, async move { spawn(&setup).await })?;
    let (ours, raw) = (ours.micros(), raw.micros());
    let what = "an actor spawned by an actor, to its first reply, journal off, 200 in one turn; at most 3x raw \
                (instantiation and one call)";
    Ok(Row::at_most("spawn-by-actor", what, "us", ours, 3.0 * raw).raw(raw))
}

async fn spawn(setup: &Setup) -> anyhow::Result<(Best, Best)> {
    const ROUND: u32 = 200;
    let node = setup.node().await?;
    let bytes = setup.guest_bytes("parent")?;
    node.load_as("parent", "1.0.0", &bytes).await?;
    let alone = Raw::new(&setup.guest_bytes("bench")?)?;
    let component = loaded(setup, &node, "parent").await?;
    let (mut ours, mut raw) = (Best::default(), Best::default());
    for round in 0..=20 * setup.rounds {
        let name = format!("parent-{round}");
        node.start(partner(&name, &component, Mode::Off)?).await?;
        let began = Instant::now();
        for _ in 0..ROUND {
            std::hint::black_box(alone.instance().await?.call("echo").await?);
        }
        let instances = began.elapsed();
        let began = Instant::now();
        let spawned = Outgoing::new("spawn-many", format!("parent@1.0.0|{ROUND}").into_bytes());
        let children = String::from_utf8(node.call(&ActorId::parse(&name)?, spawned).await?)?;
        for child in children.split(' ') {
            std::hint::black_box(node.call(&ActorId::parse(child)?, Outgoing::new("echo", &PAYLOAD[..])).await?);
        }
        let children_done = began.elapsed();
        for child in children.split(' ').chain([name.as_str()]) {
            node.stop(&ActorId::parse(child)?, "measured").await?;
        }
        if round > 0 {
            ours.add(children_done / ROUND);
            raw.add(instances / ROUND);
        }
    }
    node.close().await?;
    Ok((ours, raw))
}
