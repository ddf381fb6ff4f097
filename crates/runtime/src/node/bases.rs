//! Bases that somebody asks for.

use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::{ActorId, Seq};

use super::Node;
use crate::actor::asked::Asked;
use crate::actor::cell::{Cell, Status};
use crate::actor::mailbox::Next;
use crate::error::{Error, Result};

impl Node {
    /// Makes a base of an actor between two of its turns, and waits until it is durable: its record. [`Error::NoBase`] says why there
    /// is none; the actor then goes on as it was.
    pub async fn make_base(&self, id: &ActorId) -> Result<Seq> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let (record, gate) = self.asked(&cell, Asked::Base).await?;
        gate.open(&*self.core.store).await?;
        Ok(record)
    }

    /// Asks an actor that lives for something between two turns, and hears what it came to.
    pub(super) async fn asked<T>(
        &self,
        cell: &Arc<Cell>,
        ask: impl Fn(oneshot::Sender<Result<T>>) -> Asked,
    ) -> Result<T> {
        loop {
            match &cell.life.lock().status {
                Status::Ready => {}
                Status::Moved(why) => return Err(Error::Moved { actor: cell.id.clone(), why: why.clone() }),
                Status::Stopped(_) => return Err(Error::NoActor(cell.id.clone())),
                Status::Quarantined(why) => {
                    return Err(Error::Quarantined { actor: cell.id.clone(), why: why.clone() });
                }
            }
            if let Some(why) = self.core.why_halted() {
                return Err(Error::Internal { what: why.to_owned() });
            }
            if self.core.is_closing() {
                return Err(Error::Closing);
            }
            let (done, heard) = oneshot::channel();
            if cell.mailbox.ask(Next::Asked(ask(done))) {
                self.core.schedule(cell.clone());
            }
            match heard.await {
                Ok(heard) => return heard,
                // Its executor ended for another reason: how it is now decides.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}
