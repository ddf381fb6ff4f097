//! Stopping an actor for good.
//!
//! A stop lets the turn in progress end, however it ends, within its deadline; `stop_now` cuts it: a fault of the cause `kill`,
//! undone, recorded, answered once, never tried again. Either way the last turn runs, and what waits goes to the dead letters.

use troupe_log::ActorId;

use super::Node;
use crate::actor::cell::Status;
use crate::actor::ending::EndCause;
use crate::actor::mailbox::Next;
use crate::error::{Error, Result};

impl Node {
    /// Stops an actor for good: the turn in progress ends, its last turn runs, what waits is dead-lettered.
    pub async fn stop(&self, id: &ActorId, reason: &str) -> Result<()> {
        self.end(id, EndCause::Operator, reason, false).await
    }

    /// The same, but the turn in progress is cut.
    pub async fn stop_now(&self, id: &ActorId, reason: &str) -> Result<()> {
        self.end(id, EndCause::Operator, reason, true).await
    }

    /// Ends its life for this cause; `now` cuts the turn in progress.
    pub(crate) async fn end(&self, id: &ActorId, cause: EndCause, reason: &str, now: bool) -> Result<()> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        match &cell.life.lock().status {
            Status::Ready | Status::Quarantined(_) => {}
            Status::Moved(why) => return Err(Error::Moved { actor: id.clone(), why: why.clone() }),
            Status::Stopped(_) => return Err(Error::NoActor(id.clone())),
        }
        // An executor that ends by itself, in quarantine, leaves the stop to another one.
        while !matches!(cell.life.lock().status, Status::Stopped(_)) {
            if self.core.is_closing() {
                return Err(Error::Closing);
            }
            if let Status::Moved(why) = &cell.life.lock().status {
                return Err(Error::Moved { actor: id.clone(), why: why.clone() });
            }
            let needed = if now {
                let about = cell.life.lock().about.clone();
                cell.mailbox.stop_now(cause, reason, &about.cut)
            } else {
                cell.mailbox.ask(Next::Stop(cause, reason.to_owned()))
            };
            if needed {
                self.core.schedule(cell.clone());
            }
            cell.mailbox.ended().await;
        }
        if let Some(why) = self.core.why_halted() {
            return Err(Error::Internal { what: why.to_owned() });
        }
        let tail = cell.life.lock().tip.tail;
        if let Some(tail) = tail {
            self.core.store.sync(tail).await?;
        }
        Ok(())
    }
}
