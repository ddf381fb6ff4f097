//! What a node shows of its actors.
//!
//! Shown state is an output: "any API answer that shows state or records". So each function here takes what is in memory and
//! then waits until all that was committed by then is durable, which is more than a buffered actor asks for.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use troupe_log::{ActorId, Digest, Head, Incarnation, Position, Seq};

use super::Node;
use crate::actor::cell::{Cell, Status};
use crate::error::{Error, Result};
use crate::manifest::Mode;

/// Why a component without it makes no base.
pub(crate) const NO_SNAPSHOT: &str = "it has no snapshot export";

/// How an actor is, for people and programs.
#[derive(Clone, Debug)]
pub struct ActorInfo {
    /// The actor.
    pub id: ActorId,
    /// Its life.
    pub incarnation: Incarnation,
    /// What it runs.
    pub component: Digest,
    /// live, idle, quarantined, moved or stopped.
    pub status: &'static str,
    /// Why it is quarantined, moved or stopped.
    pub reason: Option<String>,
    /// How its journal is kept.
    pub mode: Mode,
    /// Messages waiting.
    pub mailbox: usize,
    /// The number of its next record.
    pub next: Seq,
    /// The head of its journal.
    pub head: Head,
    /// The first record that recovery plays, if it has a base; without one it plays all.
    pub base: Option<Seq>,
    /// Why it cannot make a base, so that its journal is played from the newest one, or from genesis, however long it gets.
    pub no_base: Option<String>,
    /// The supervisors above it, from the application down, if it has any.
    pub supervisor: Option<String>,
    /// Turns in this process.
    pub turns: u64,
    /// Faults in this process.
    pub faults: u64,
    /// The newest fault, in words.
    pub last_fault: Option<String>,
}

impl Node {
    /// All actors, by id.
    pub async fn list(&self) -> Result<Vec<ActorInfo>> {
        let cells: Vec<Arc<Cell>> = self.core.actors.read().values().cloned().collect();
        let mut all = Vec::with_capacity(cells.len());
        for cell in cells {
            all.push(self.info(&cell).await);
        }
        all.sort_by(|one, other| one.id.cmp(&other.id));
        self.settled().await?;
        Ok(all)
    }

    /// One actor.
    pub async fn actor(&self, id: &ActorId) -> Result<ActorInfo> {
        let cell = self.core.cell(id).ok_or_else(|| Error::NoActor(id.clone()))?;
        let info = self.info(&cell).await;
        self.settled().await?;
        Ok(info)
    }

    /// Waits until all that is committed now is durable.
    pub(super) async fn settled(&self) -> Result<()> {
        let store = &self.core.store;
        let end = store.appended();
        if end <= store.durable() {
            return Ok(());
        }
        let synced = store.sync(Position(end.0 - 1)).await;
        if let Err(error) = &synced
            && !self.core.is_closing()
        {
            self.core.halt(&error.to_string());
        }
        Ok(synced?)
    }

    async fn info(&self, cell: &Cell) -> ActorInfo {
        let (mut info, known) = {
            let life = cell.life.lock();
            (info(cell, &life), life.code.as_ref().map(|code| code.contract.saves()))
        };
        info.supervisor = self.core.shared.applications.path(&cell.id);
        if info.no_base.is_none() && info.mode != Mode::Off {
            let saves = match known {
                Some(saves) => saves,
                // A component that cannot be read is told of by whoever needs it.
                None => self.core.components.saves(info.component).await.unwrap_or(true),
            };
            info.no_base = (!saves).then(|| NO_SNAPSHOT.to_owned());
        }
        info
    }
}

fn info(cell: &Cell, life: &crate::actor::cell::Life) -> ActorInfo {
    let (status, reason) = match &life.status {
        Status::Ready if cell.mailbox.running() => ("live", None),
        Status::Ready => ("idle", None),
        Status::Quarantined(why) => ("quarantined", Some(why.clone())),
        Status::Moved(why) => ("moved", Some(why.clone())),
        Status::Stopped(why) => ("stopped", Some(why.clone())),
    };
    ActorInfo {
        id: cell.id.clone(),
        incarnation: life.about.incarnation,
        component: life.entry.component,
        status,
        reason,
        mode: life.about.mode,
        mailbox: cell.mailbox.len(),
        next: life.tip.chain.next,
        head: life.tip.chain.head,
        base: Some(life.tip.base).filter(|base| base.0 > 0),
        no_base: life.no_base.clone(),
        supervisor: None,
        turns: cell.turns.load(Relaxed),
        faults: cell.faults.load(Relaxed),
        last_fault: life.last_fault.clone(),
    }
}
