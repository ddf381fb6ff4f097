//! What an executor is asked for between two turns, by somebody who waits for what it comes to.
//!
//! Each is dropped unused if the executor ends before it; who waits then looks how the actor is and asks again.

use tokio::sync::oneshot;
use troupe_log::Seq;

use super::change::Change;
use super::executor::Executor;
use super::message::Gate;
use super::moving::Leave;
use super::upgrade::Upgrade;
use crate::error::Result;

/// One of them.
#[derive(Debug)]
pub enum Asked {
    /// Live under other settings from now on.
    Change(Box<Change>),
    /// Make a base now; its record.
    Base(oneshot::Sender<Result<(Seq, Gate)>>),
    /// Go on with another component.
    Upgrade(Box<Upgrade>),
    /// Leave this node.
    Leave(Leave),
}

impl Executor {
    /// Between two turns. Whoever asked may have gone away; what was done holds all the same.
    pub(super) async fn asked(&mut self, asked: Asked) {
        match asked {
            Asked::Change(change) => self.change(*change),
            Asked::Base(done) => {
                let made = self.make_base().await;
                let _ = done.send(made.map(|record| (record, self.behind())));
            }
            Asked::Leave(Leave { components, done }) => {
                let _ = done.send(self.leave_node(components).await);
            }
            Asked::Upgrade(upgrade) => {
                let Upgrade { code, way, done } = *upgrade;
                let _ = done.send(self.upgrade(code, way).await);
            }
        }
    }

    /// What an answer that shows the actor's newest record waits for.
    fn behind(&self) -> Gate {
        Gate { durable: self.tip().tail, written: None }
    }
}
