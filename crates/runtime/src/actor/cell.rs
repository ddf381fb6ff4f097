//! What the node knows of one actor, whether it has an instance or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use troupe_log::actor_file::MoveId;
use troupe_log::{ActorId, Chain, Position, Seq};

use super::config::{ActorEntry, Config};
use super::ending::EndCause;
use super::mailbox::Mailbox;
use super::message::{Answer, CallError, Gate};
use super::moving::Moved;
use super::upgrade::Upgraded;
use crate::boundary::About;
use crate::component::Code;

/// An actor's place on its node.
pub struct Cell {
    /// Who it is.
    pub id: ActorId,
    /// What waits for it.
    pub mailbox: Mailbox,
    /// Its present life.
    pub life: Mutex<Life>,
    /// The move by which it came to this node.
    pub arrived: Mutex<Option<MoveId>>,
    /// Turns ended in this process.
    pub turns: AtomicU64,
    /// Faults in this process.
    pub faults: AtomicU64,
    /// Whether the one who evicts has it on its list.
    pub listed: std::sync::atomic::AtomicBool,
    /// True since the idle instance was last looked at by the one who evicts.
    pub used: std::sync::atomic::AtomicBool,
}

/// One life of an actor.
pub struct Life {
    /// What guests and contracts see of it.
    pub about: Arc<About>,
    /// What it lives under.
    pub config: Arc<Config>,
    /// What it lived under at its newest base; none if it has none.
    pub base_config: Option<Arc<Config>>,
    /// What the actors table says.
    pub entry: ActorEntry,
    /// Its code, once loaded.
    pub code: Option<Arc<Code>>,
    /// What it ran before, if it was upgraded.
    pub upgraded: Option<Upgraded>,
    /// The move by which it has left.
    pub moved: Option<Arc<Moved>>,
    /// Where its journal ends.
    pub tip: Tip,
    /// How it is.
    pub status: Status,
    /// Its end is being committed.
    pub ending: bool,
    /// The life before it had not ended: what that had of services goes when this one begins.
    pub succeeds: bool,
    /// Why it ends, where a crash cut its last turn.
    pub ends: Option<EndCause>,
    /// The newest fault, in words.
    pub last_fault: Option<String>,
    /// Why the newest try to make a base came to nothing.
    pub no_base: Option<String>,
}

/// The end of a journal, and where recovery starts.
#[derive(Clone, Copy, Debug)]
pub struct Tip {
    /// Where the next record links to.
    pub chain: Chain,
    /// The batch with the newest records.
    pub tail: Option<Position>,
    /// The first record that recovery plays: the instantiation of the newest base, or 0.
    pub base: Seq,
    /// Bytes of the journal.
    pub bytes: u64,
}

impl Tip {
    /// Of an actor without records.
    pub const START: Tip = Tip { chain: Chain::START, tail: None, base: Seq(0), bytes: 0 };

    /// Behind so many more bytes.
    pub fn moved(&mut self, chain: Chain, tail: Option<Position>, bytes: u64) {
        (self.chain, self.tail) = (chain, tail);
        self.bytes += bytes;
    }
}

/// How an actor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It takes messages; whether it has an instance does not matter.
    Ready,
    /// It does not go on until an operator decides; inbox and journal are kept.
    Quarantined(String),
    /// It has left for another node; inbox and journal are kept, for the move to be taken back.
    Moved(String),
    /// Its life has ended.
    Stopped(String),
}

impl Cell {
    /// A new place.
    pub fn new(id: ActorId, life: Life) -> Cell {
        Cell {
            id,
            mailbox: Mailbox::new(life.config.limits.mailbox),
            life: Mutex::new(life),
            arrived: Mutex::default(),
            turns: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            listed: std::sync::atomic::AtomicBool::new(false),
            used: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Tells everybody who waits for an answer of this actor that none comes now: in the mailbox, for the first answer under a
    /// key, or for a promised one. The messages stay.
    pub fn hang_up(&self, answer: &CallError) {
        let about = self.life.lock().about.clone();
        let mut waiting = self.mailbox.hang_up();
        waiting.extend(about.promised.lock().values_mut().filter_map(|promise| promise.reply.take()));
        for reply in waiting {
            // A caller that has gone away does not want it any more.
            let _ = reply.send(Answer { result: Err(answer.clone()), gate: Gate::default() });
        }
        about.keys.lock().hang_up(answer);
    }

    /// One more turn.
    pub fn turned(&self) {
        // Turns do not overlap: nobody else writes it.
        self.turns.store(self.turns.load(Relaxed) + 1, Relaxed);
        self.used.store(true, Relaxed);
    }
}
