//! A node that is not there: what stands behind a replayed guest.
//!
//! Replay answers every call from the journal before it comes here, so each of these is a defect of the runtime and stops the
//! program. That is the proof that a replay touches nothing: tests run whole journals over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use troupe_log::{ActorId, NodeTime, Position, Seq, Store, WallTime};

use super::JournalSource;

use crate::actor::keys::Name;
use crate::actor::message::{Answer, Asker, CallError, Message, MessageId, ReplyTo};
use crate::boundary::{About, Claim, Level, Reserved, SecretKey, Secrets, Services, TimerChange};
use crate::manifest::Grants;
use crate::service::timers::Timers;
use crate::service::waits::Waits;
use crate::service::{Party, Shared};

/// Values of secrets, for a replay.
#[derive(Clone)]
pub(super) struct Given {
    /// Those that whoever replays has given; none looks for them where the grants say.
    pub(super) values: Option<BTreeMap<String, String>>,
    pub(super) key: Option<SecretKey>,
}

/// Nothing but the journal that is replayed, and secrets.
pub(super) struct Nothing {
    pub(super) journal: JournalSource,
    pub(super) given: Given,
}

macro_rules! touched {
    ($what:literal) => {
        panic!(concat!("a replay touched ", $what, ": a call was not answered from the journal"))
    };
}

impl Services for Nothing {
    fn node_time(&self) -> NodeTime {
        touched!("node time")
    }
    fn wall_time(&self) -> WallTime {
        touched!("the clock")
    }
    fn entropy(&self, _: &mut [u8]) {
        touched!("randomness")
    }
    fn secrets(&self, grants: &Grants) -> Arc<Secrets> {
        let Given { values, key } = &self.given;
        Arc::new(match values {
            Some(values) => Secrets::given(grants, values, *key),
            None => Secrets::of(grants, *key),
        })
    }
    fn store(&self) -> &Arc<dyn Store> {
        touched!("the store")
    }
    fn past(&self, _: &About, _: Option<Position>, next: Seq, most: usize) -> wasmtime::Result<Vec<u8>> {
        self.journal.past(next, most)
    }
    fn waits(&self) -> &Waits {
        touched!("waits")
    }
    fn timer(&self, _: TimerChange) {
        touched!("timers")
    }
    fn message_id(&self) -> MessageId {
        touched!("message ids")
    }
    fn party(&self) -> &dyn Party {
        touched!("a service")
    }
    fn shared(&self) -> &Shared {
        touched!("a service")
    }
    fn timers(&self) -> &Timers {
        touched!("timers")
    }
    fn claim_key(&self, _: &ActorId, _: &Message, _: ReplyTo) -> Result<Option<Claim>, CallError> {
        touched!("a mailbox")
    }
    fn follow(&self, _: Asker, _: oneshot::Receiver<Answer>) {
        touched!("a mailbox")
    }
    fn ask_again(&self, _: &ActorId, _: Option<Name>, _: Asker) {
        touched!("a mailbox")
    }
    fn reserve(&self, _: &ActorId, _: usize, _: bool) -> Result<Box<dyn Reserved>, CallError> {
        touched!("a mailbox")
    }
    fn log(&self, _: &ActorId, _: Level, _: &str) {
        touched!("the log")
    }
}
