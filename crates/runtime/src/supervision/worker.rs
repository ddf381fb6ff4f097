//! Carries out what supervisors decide: one task for each application that has something to do.
//!
//! It does one thing at a time, and says what came of it before it asks for the next. It ends when there is nothing to do; an end or an operator
//! begins another. Cancellation: it ends with the node, between two things, and goes on at the node's next start.

use std::sync::Arc;
use std::time::Duration;

use troupe_log::{ActorId, Batch, NodeTime};

use super::machine::{Event, Machine, Moment, Step};
use super::tree::{Kind, Place};
use crate::actor::cell::Status;
use crate::actor::ending::EndCause;
use crate::error::Error;
use crate::manifest::ActorSpec;
use crate::node::Node;
use crate::node::core::Core;
use crate::service::Party;

/// How long a start waits that found all live actors busy. Not a fault of the actor: it is not counted.
const ROOM: Duration = Duration::from_secs(1);

/// Gives each application that has something to do a worker, until the node closes.
pub(crate) async fn run(core: Arc<Core>) {
    let applications = core.shared.applications.clone();
    loop {
        let idle = tokio::select! {
            idle = applications.idle() => idle,
            () = core.closed() => return,
        };
        for name in idle {
            core.runtime.spawn(Worker { core: core.clone(), node: Node::of(core.clone()), name }.run());
        }
    }
}

struct Worker {
    core: Arc<Core>,
    node: Node,
    name: String,
}

impl Worker {
    async fn run(self) {
        let applications = self.core.shared.applications.clone();
        while let Some((step, stirred)) = applications.next(&self.name, self.core.clock.now()) {
            if self.core.is_closing() {
                return;
            }
            match step {
                Step::Idle => {}
                Step::Stop(place, version) => self.stop(place, version).await,
                Step::Start(place, version) => Box::pin(self.start(place, version)).await,
                Step::Wait(until) => {
                    tokio::select! {
                        () = self.core.clock.sleep_until(until) => {}
                        () = stirred.notified() => {}
                        () = self.core.closed() => return,
                    }
                }
            }
        }
    }

    fn machine(&self) -> Option<Machine> {
        self.core.shared.applications.get(&self.name)
    }

    /// Tells the application what came of it. A log that has failed stops the node.
    fn say(&self, event: Event) {
        if self.core.is_closing() {
            return;
        }
        let moment = Moment { now: self.core.now(), wall: self.core.wall() };
        let change = self.core.shared.applications.change(&self.name, event, moment);
        if let Err(error) = self.core.commit(Batch::new(), vec![change]) {
            self.core.halt(&error.to_string());
        }
    }

    // ---- stops ----

    async fn stop(&self, place: Place, version: u64) {
        let Some(machine) = self.machine() else { return };
        let Kind::Actor(id, shutdown) = &machine.tree.members[place].kind else { return };
        if self.lives(id) {
            let reason = format!("its supervisor, {}, stops it", machine.tree.path(place));
            let stopped = tokio::select! {
                stopped = self.node.end(id, EndCause::Supervisor, &reason, false) => Some(stopped),
                () = self.core.clock.sleep_until(after(self.core.clock.now(), *shutdown)) => None,
                () = self.core.closed() => return,
            };
            let stopped = match stopped {
                Some(stopped) => stopped,
                None => self.node.end(id, EndCause::Supervisor, &reason, true).await,
            };
            match stopped {
                Ok(()) | Err(Error::NoActor(_)) => {}
                // The log has failed, or the node closes: neither is the actor's.
                Err(_) if self.core.is_closing() => return,
                // It has left, by an operator's decision.
                Err(error @ Error::Moved { .. }) => {
                    self.say(Event::Ended { place, cause: EndCause::Operator, why: error.to_string() });
                    return;
                }
                Err(error) => {
                    self.core.halt(&error.to_string());
                    return;
                }
            }
        }
        // Its end has said so already, if it had one.
        if !self.lives(id) {
            self.say(Event::Gone { place, version });
        }
    }

    fn lives(&self, id: &ActorId) -> bool {
        self.core.cell(id).is_some_and(|cell| !matches!(cell.life.lock().status, Status::Stopped(_)))
    }

    // ---- starts ----

    async fn start(&self, place: Place, version: u64) {
        let applications = &self.core.shared.applications;
        let Some(machine) = self.machine() else { return };
        let Some(id) = machine.tree.actor(place) else { return };
        let given = applications.starting(&self.name, |starting| starting.specs.get(&place).cloned()).flatten();
        let ready = self.core.cell(id).is_some_and(|cell| cell.life.lock().status == Status::Ready);
        let fresh = given.as_ref().is_some_and(|(_, fresh)| *fresh);
        let began = if ready && !fresh {
            // An operator was quicker, or a crash came between the start and this.
            self.node.there(id)
        } else {
            let spec = match given {
                Some((spec, _)) => Ok(spec),
                None => self.settings(&machine, place, id),
            };
            match spec {
                Ok(spec) => self.node.begin(spec, fresh).await,
                Err(error) => Err(error),
            }
        };
        if self.core.is_closing() {
            return;
        }
        if !matches!(began, Err(Error::AllBusy { .. })) {
            // Tried again, it is started as it was asked to be.
            applications.starting(&self.name, |starting| starting.specs.remove(&place));
        }
        match began {
            Ok(started) => {
                applications.starting(&self.name, |starting| starting.started.insert(place, started));
                self.say(Event::Started { place, version });
            }
            Err(Error::Closing) => {}
            Err(Error::AllBusy { .. }) => {
                self.say(Event::Postponed { place, version, until: after(self.core.clock.now(), ROOM) });
            }
            Err(error) => {
                let why = error.to_string();
                applications.starting(&self.name, |starting| starting.failed.get_or_insert(error).to_string());
                self.say(Event::NotStarted { place, version, why });
            }
        }
    }

    /// What an actor is started with again: what its last life had, or else what the application was started with.
    fn settings(&self, machine: &Machine, place: Place, id: &ActorId) -> Result<ActorSpec, Error> {
        let invalid = |what: String| Error::Internal { what: format!("the settings of {id}: {what}") };
        let last = self.core.cell(id).filter(|_| machine.began(place)).map(|cell| cell.life.lock().entry.clone());
        let start = match last {
            Some(entry) => {
                super::rows::Start { component: entry.component, initial: entry.initial, config: entry.config }
            }
            None => {
                let row = self.core.shared.applications.start_of(&self.name, place);
                row.ok_or_else(|| invalid("they are gone".to_owned()))?
            }
        };
        start.spec(id).map_err(invalid)
    }
}

fn after(now: NodeTime, time: Duration) -> NodeTime {
    NodeTime(now.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
}
