//! The peer: the same conversations with actors of ractor, in native code, which sends back what it was sent.

use std::sync::Arc;

use anyhow::anyhow;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::setup::PAYLOAD;

type Bytes = Arc<[u8]>;

struct Echo;

/// What the actor takes.
pub enum Said {
    /// Answered with the same bytes.
    Call(Bytes, RpcReplyPort<Bytes>),
    /// Not answered.
    Cast(Bytes),
}

impl Actor for Echo {
    type Msg = Said;
    type State = usize;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Said>, (): ()) -> Result<usize, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Said>, said: Said, seen: &mut usize) -> Result<(), ActorProcessingErr> {
        match said {
            Said::Call(bytes, reply) => {
                *seen += bytes.len();
                reply.send(bytes)?;
            }
            Said::Cast(bytes) => *seen += bytes.len(),
        }
        Ok(())
    }
}

/// An actor that runs.
pub struct Peer {
    actor: ActorRef<Said>,
    payload: Bytes,
}

impl Peer {
    /// Starts one.
    pub async fn spawn() -> anyhow::Result<Peer> {
        let (actor, _) = Actor::spawn(None, Echo, ()).await.map_err(|error| anyhow!("ractor: {error}"))?;
        Ok(Peer { actor, payload: PAYLOAD.into() })
    }

    /// A call with its answer.
    pub async fn call(&self) -> anyhow::Result<Bytes> {
        let payload = self.payload.clone();
        match self.actor.call(|reply| Said::Call(payload, reply), None).await {
            Ok(CallResult::Success(bytes)) => Ok(bytes),
            _ => Err(anyhow!("ractor did not answer")),
        }
    }

    /// The same, so many times.
    pub async fn calls(&self, count: u32) -> anyhow::Result<()> {
        for _ in 0..count {
            std::hint::black_box(self.call().await?);
        }
        Ok(())
    }

    /// So many casts, each `burst` of them followed by room for the actor to run, until all are handled.
    pub async fn casts(&self, count: u32, burst: u32) -> anyhow::Result<()> {
        for sent in 1..=count {
            self.actor.cast(Said::Cast(self.payload.clone())).map_err(|_| anyhow!("ractor took no cast"))?;
            if sent.is_multiple_of(burst) {
                tokio::task::yield_now().await;
            }
        }
        self.call().await?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.actor.stop(None);
    }
}
