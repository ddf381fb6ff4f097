//! Actors that other actors spawn: a name that is taken for a step, a life that begins when the step is committed.
//!
//! Promises: nobody but who spawned it sees an actor before the step is committed; an actor whose spawning was committed begins,
//! also after a crash; one that cannot begin ends, and whoever watches it is told.

use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::{ActorId, Table};

use super::core::Core;
use crate::actor::cell::{Cell, Status, Tip};
use crate::actor::config::{ActorEntry, Config};
use crate::boundary::{Committed, Services, Staging};
use crate::component::Code;
use crate::manifest::Mode;

/// Why an actor is not spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBorn {
    /// Its name is taken.
    Taken,
    /// Its parent has so many children.
    TooMany(u32),
    /// The node is closing.
    Closing,
}

/// An actor that a step spawns: dropped before the step is committed, it never was.
pub struct Birth {
    core: Arc<Core>,
    cell: Arc<Cell>,
    open: bool,
}

impl Birth {
    /// Takes the name; whoever spawns it may have `most` children.
    pub fn new(
        node: &dyn Services,
        id: &ActorId,
        entry: ActorEntry,
        config: Config,
        code: Arc<Code>,
        most: u32,
    ) -> Result<Birth, NotBorn> {
        let core = node.core().ok_or(NotBorn::Closing)?;
        let cell = core.conceive(id, entry, config, code, most)?;
        Ok(Birth { core, cell, open: true })
    }

    /// Its place.
    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }
}

impl Staging for Birth {
    fn commit(mut self: Box<Self>, _: &Committed<'_>) {
        self.open = false;
        self.core.born(self.cell.clone());
    }
}

impl Drop for Birth {
    fn drop(&mut self) {
        if self.open {
            self.core.miscarried(&self.cell);
        }
    }
}

impl Core {
    /// Takes a name for an actor that is being spawned, in place of one of that name that has ended. Its parent has fewer than
    /// `most` children.
    pub(crate) fn conceive(
        &self,
        id: &ActorId,
        mut entry: ActorEntry,
        config: Config,
        code: Arc<Code>,
        most: u32,
    ) -> Result<Arc<Cell>, NotBorn> {
        let mut unborn = self.unborn.lock();
        let there = self.cell(id);
        if let Some(cell) = &there {
            let life = cell.life.lock();
            if !matches!(life.status, Status::Stopped(_)) || cell.mailbox.running() {
                return Err(NotBorn::Taken);
            }
            entry.incarnation = troupe_log::Incarnation(life.about.incarnation.0 + 1);
        }
        if let Some(parent) = &entry.parent
            && self.children.lock().get(parent).copied().unwrap_or(0) >= most
        {
            return Err(NotBorn::TooMany(most));
        }
        if !unborn.insert(id.clone()) {
            return Err(NotBorn::Taken);
        }
        self.count_child(entry.parent.as_ref(), true);
        let mut life = super::life(id, entry, config, Tip::START);
        life.code = Some(code);
        let cell = Arc::new(Cell::new(id.clone(), life));
        // Until it begins nobody else gives it an executor.
        cell.mailbox.claim();
        Ok(cell)
    }

    /// The step that spawned it was undone.
    pub(crate) fn miscarried(&self, cell: &Cell) {
        self.unborn.lock().remove(&cell.id);
        self.count_child(cell.life.lock().entry.parent.as_ref(), false);
    }

    /// The step that spawned it is committed.
    pub(crate) fn born(&self, cell: Arc<Cell>) {
        let mut unborn = self.unborn.lock();
        if let Some(before) = self.actors.write().insert(cell.id.clone(), cell.clone()) {
            super::inherit(&cell.life.lock().about, &before.life.lock().about);
        }
        unborn.remove(&cell.id);
        drop(unborn);
        self.schedule_birth(cell);
    }

    /// Begins a life that is committed already.
    pub(crate) fn schedule_birth(&self, cell: Arc<Cell>) {
        self.schedule_begin(cell, oneshot::channel().0, true);
    }

    /// One child more, or fewer.
    pub(crate) fn count_child(&self, parent: Option<&ActorId>, more: bool) {
        let Some(parent) = parent else { return };
        let mut children = self.children.lock();
        let count = children.entry(parent.clone()).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            children.remove(parent);
        }
    }

    /// Whether `id` was spawned by `ancestor`, or by who was.
    pub(crate) fn descends(&self, id: &ActorId, ancestor: &ActorId) -> bool {
        let mut at = self.cell(id).and_then(|cell| cell.life.lock().entry.parent.clone());
        // A name that was used again could make a circle.
        for _ in 0..64 {
            match at {
                None => return false,
                Some(parent) if parent == *ancestor => return true,
                Some(parent) => at = self.cell(&parent).and_then(|cell| cell.life.lock().entry.parent.clone()),
            }
        }
        false
    }
}

/// The row by which a spawned actor is known before its journal begins.
pub(crate) fn row(cell: &Cell) -> Option<(Table, Vec<u8>, Vec<u8>)> {
    let life = cell.life.lock();
    (life.config.mode != Mode::Off).then(|| (Table::ACTORS, cell.id.as_str().as_bytes().to_vec(), life.entry.encode()))
}
