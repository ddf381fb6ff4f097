//! Call and reply: one actor, and 4,000 in turn.

use troupe_runtime::manifest::Mode;
use troupe_runtime::node::Outgoing;
use troupe_runtime::node::actor_ref::ActorRef;

use crate::measure::{Best, time};
use crate::peer::Peer;
use crate::raw::{Instance, Raw};
use crate::report::Row;
use crate::setup::{Setup, node_runtime, on_worker, outgoing, spec};

/// What one row compares.
#[derive(Default)]
struct Three {
    ours: Best,
    raw: Best,
    peer: Best,
}

/// The caller is a task on the node's own runtime.
pub fn on_node(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let best = on_worker(&node_runtime()?, async move { one_actor(&setup, 20_000).await })?;
    let (raw, peer) = (best.raw.micros(), best.peer.micros());
    let what = "call and reply, 64 B, one host call inside, journal off, the caller a task on the node's runtime; \
                at most raw + ractor's native call";
    Ok(Row::at_most("call-on-node", what, "us", best.ours.micros(), raw + peer).raw(raw).peer(peer))
}

/// The caller is a thread that the runtime knows nothing of.
pub fn from_thread(setup: &Setup) -> anyhow::Result<Row> {
    let best = node_runtime()?.block_on(one_actor(setup, 3_000))?;
    let (raw, peer) = (best.raw.micros(), best.peer.micros());
    let what = "the same, the caller on a foreign thread; at most raw + ractor's native call there";
    Ok(Row::at_most("call-from-thread", what, "us", best.ours.micros(), raw + peer).raw(raw).peer(peer))
}

async fn one_actor(setup: &Setup, calls: u32) -> anyhow::Result<Three> {
    let node = setup.node().await?;
    let actor = node.actor_ref(&setup.actor(&node, "bench", Mode::Off).await?)?;
    let mut instance = Raw::new(&setup.guest_bytes("bench")?)?.instance().await?;
    let peer = Peer::spawn().await?;
    let tick = outgoing("tick");
    let mut best = Three::default();
    // The first round warms up.
    for round in 0..=20 * setup.rounds {
        let mut this = Three::default();
        if !setup.ours_only {
            time(&mut this.raw, calls, instance.calls("tick", calls)).await?;
            time(&mut this.peer, calls, peer.calls(calls)).await?;
        }
        time(&mut this.ours, calls, call(std::slice::from_ref(&actor), &tick, calls)).await?;
        if round > 0 {
            best.take(&this);
        }
    }
    drop(peer);
    node.close().await?;
    Ok(best)
}

/// So many calls to these actors, in turn.
async fn call(actors: &[ActorRef], message: &Outgoing, calls: u32) -> anyhow::Result<()> {
    for actor in actors.iter().cycle().take(calls as usize) {
        std::hint::black_box(actor.call(message.clone()).await?);
    }
    Ok(())
}

/// Actors that are live at the same time.
const MANY: u32 = 4000;

/// Calls in turn over many live actors.
pub fn many(setup: &Setup) -> anyhow::Result<Row> {
    let setup = setup.clone();
    let best = on_worker(&node_runtime()?, async move { many_actors(&setup).await })?;
    let raw = best.raw.micros();
    let what = "calls in turn over 4,000 live actors, 64 B, one host call inside, journal off; at most raw + 1.5 us";
    Ok(Row::at_most("call-4000-actors", what, "us", best.ours.micros(), raw + 1.5).raw(raw).peer(best.peer.micros()))
}

async fn many_actors(setup: &Setup) -> anyhow::Result<Three> {
    let raw = Raw::new(&setup.guest_bytes("bench")?)?;
    let node = setup.node().await?;
    let component = setup.component(&node).await?;
    let (mut instances, mut peers, mut actors) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..MANY {
        instances.push(raw.instance().await?);
        peers.push(Peer::spawn().await?);
        let spec = spec(&format!("many-{number}"), component.clone(), Mode::Off)?;
        let id = spec.id.clone();
        node.start(spec).await?;
        actors.push(node.actor_ref(&id)?);
    }
    let tick = outgoing("tick");
    let mut best = Three::default();
    for round in 0..=20 * setup.rounds {
        let mut this = Three::default();
        if !setup.ours_only {
            time(&mut this.raw, MANY, call_all(&mut instances)).await?;
            time(&mut this.peer, MANY, call_peers(&peers)).await?;
        }
        time(&mut this.ours, MANY, call(&actors, &tick, MANY)).await?;
        if round > 0 {
            best.take(&this);
        }
    }
    node.close().await?;
    Ok(best)
}

async fn call_peers(peers: &[Peer]) -> anyhow::Result<()> {
    for peer in peers {
        std::hint::black_box(peer.call().await?);
    }
    Ok(())
}

async fn call_all(instances: &mut [Instance]) -> anyhow::Result<()> {
    for instance in instances {
        std::hint::black_box(instance.call("tick").await?);
    }
    Ok(())
}

impl Three {
    fn take(&mut self, round: &Three) {
        self.ours.join(round.ours);
        self.raw.join(round.raw);
        self.peer.join(round.peer);
    }
}
