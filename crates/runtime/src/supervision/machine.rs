//! What a tree of supervisors decides: events in, the next thing to do out. Pure: no clock, no disk, no actors.
//!
//! The state says of each actor whether it is wanted and whether it is there; what is to be done follows from it, so a crash between
//! deciding and doing changes nothing. Promises: stops come before starts, stops in reverse order, starts in order; a supervisor
//! that has restarted more than `max-restarts` times within its window stops its children and ends abnormally in its own.

use std::collections::VecDeque;
use std::sync::Arc;

use troupe_log::{NodeTime, WallTime};

use super::tree::{Kind, Place, Tree};
use crate::actor::ending::EndCause;
use crate::manifest::Strategy;
use crate::manifest::application::{Policy, Restart};

/// The newest so many notes are kept: an operator asks why, and each transition writes them.
pub const MAX_NOTES: usize = 32;
/// The most bytes of a reason that are kept; a guest may have a part in it.
pub const MAX_REASON: usize = 256;

/// A tree and how it is.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Who supervises whom.
    pub tree: Arc<Tree>,
    /// How all of them are.
    pub state: State,
    /// One more with each change of an actor's phase, so that who acted on the one before is told from who acts on this. In memory.
    versions: Vec<u64>,
}

/// How an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// All of it.
    pub status: Status,
    /// Each member, by place.
    pub members: Vec<MemberState>,
    /// What happened last, oldest first.
    pub notes: VecDeque<Note>,
}

/// How the application is as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its children are being started for the first time.
    Starting,
    /// Supervised.
    Running,
    /// An operator stops it.
    Stopping,
    /// An operator has stopped it.
    Stopped,
    /// It has failed, and its children are being stopped.
    Failing(String),
    /// It has failed.
    Failed(String),
}

/// How a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// An actor.
    Actor(ActorState),
    /// A supervisor.
    Supervisor(SupervisorState),
}

/// How an actor is to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorState {
    /// Whether it is wanted and there.
    pub phase: Phase,
    /// Whether it has begun with the settings that the application was started with.
    pub began: bool,
    /// Restarts since the application was started.
    pub restarts: u64,
    /// How its newest life ended.
    pub last: Option<(EndCause, String)>,
}

/// Whether an actor is wanted and there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Neither.
    Down,
    /// Wanted, and to be started at that node time.
    Due(NodeTime),
    /// Both.
    Up,
    /// It must go, and is to be started at that node time again, if any.
    Stopping(Option<NodeTime>),
}

/// How a supervisor is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupervisorState {
    /// When it restarted, within the window.
    pub history: VecDeque<NodeTime>,
    /// Why it gives up, while its children are being stopped.
    pub gives_up: Option<String>,
    /// Restarts that it made since the application was started.
    pub restarts: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: WallTime,
    /// In words.
    pub text: String,
}

/// What the machine hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// A life of an actor ended.
    Ended {
        /// Whose.
        place: Place,
        /// Who ended it.
        cause: EndCause,
        /// In words.
        why: String,
    },
    /// It was to be started, and that came to nothing. Holds only for this version of its phase.
    NotStarted {
        /// Which.
        place: Place,
        /// Of what phase.
        version: u64,
        /// In words.
        why: String,
    },
    /// It was to be started and is there. Holds only for this version of its phase.
    Started {
        /// Which.
        place: Place,
        /// Of what phase.
        version: u64,
    },
    /// There is no room for it now. Holds only for this version of its phase.
    Postponed {
        /// Which.
        place: Place,
        /// Of what phase.
        version: u64,
        /// Until when.
        until: NodeTime,
    },
    /// It was to be stopped, and is not there. Holds only for this version of its phase.
    Gone {
        /// Which.
        place: Place,
        /// Of what phase.
        version: u64,
    },
    /// Somebody else started it.
    Adopted {
        /// Which.
        place: Place,
    },
    /// An operator starts the application; the actors of these places are there already.
    Start {
        /// Which.
        there: Vec<Place>,
        /// Whether those that are there begin a new life, too.
        fresh: bool,
    },
    /// An operator stops it.
    Stop,
}

/// When an event happens.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Node time.
    pub now: NodeTime,
    /// Wall time.
    pub wall: WallTime,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stop this actor.
    Stop(Place, u64),
    /// Start this one.
    Start(Place, u64),
    /// Nothing before that node time.
    Wait(NodeTime),
    /// Nothing.
    Idle,
}

impl Machine {
    /// An application that was never started.
    pub fn new(tree: Arc<Tree>) -> Machine {
        let members = tree.members.iter().map(|member| match member.kind {
            Kind::Actor(..) => {
                MemberState::Actor(ActorState { phase: Phase::Down, began: false, restarts: 0, last: None })
            }
            Kind::Supervisor(..) => MemberState::Supervisor(SupervisorState::default()),
        });
        let state = State { status: Status::Stopped, members: members.collect(), notes: VecDeque::new() };
        Machine::with(tree, state)
    }

    /// One as it was.
    pub fn with(tree: Arc<Tree>, state: State) -> Machine {
        let versions = vec![0; state.members.len()];
        Machine { tree, state, versions }
    }

    /// The same under other policies; the tree has the same shape.
    pub fn under(&mut self, tree: Arc<Tree>) {
        self.tree = tree;
    }

    /// What is to be done now.
    pub fn next(&self, now: NodeTime) -> Step {
        let phases = || self.tree.actors().map(|(place, _)| (place, self.phase(place)));
        if let Some((place, _)) = phases().filter(|(_, phase)| matches!(phase, Phase::Stopping(_))).last() {
            return Step::Stop(place, self.versions[place]);
        }
        let mut first: Option<NodeTime> = None;
        for (place, phase) in phases() {
            let Phase::Due(at) = phase else { continue };
            if at <= now {
                return Step::Start(place, self.versions[place]);
            }
            first = Some(first.map_or(at, |first| first.min(at)));
        }
        first.map_or(Step::Idle, Step::Wait)
    }

    /// Hears an event. False if it changes nothing.
    pub fn hear(&mut self, event: &Event, moment: Moment) -> bool {
        let before = self.state.clone();
        match event {
            Event::Ended { place, cause, why } => self.ended(*place, *cause, &cut(why), moment),
            Event::NotStarted { place, version, why } => {
                if self.versions[*place] == *version {
                    self.ended(*place, EndCause::Fault, &cut(why), moment);
                }
            }
            Event::Started { place, version } => {
                if self.versions[*place] == *version && matches!(self.phase(*place), Phase::Due(_)) {
                    self.set(*place, Phase::Up);
                    self.actor(*place).began = true;
                }
            }
            Event::Postponed { place, version, until } => {
                if self.versions[*place] == *version && matches!(self.phase(*place), Phase::Due(_)) {
                    self.set(*place, Phase::Due(*until));
                }
            }
            Event::Gone { place, version } => {
                if self.versions[*place] == *version
                    && let Phase::Stopping(then) = self.phase(*place)
                {
                    self.set(*place, then.map_or(Phase::Down, Phase::Due));
                }
            }
            Event::Adopted { place } => {
                if self.lives() && self.phase(*place) == Phase::Down {
                    self.set(*place, Phase::Up);
                    self.actor(*place).began = true;
                    self.note(moment, format!("{} was started again by hand", self.name(*place)));
                }
            }
            Event::Start { there, fresh } => self.start(there, *fresh, moment),
            Event::Stop => {
                if !matches!(self.state.status, Status::Stopped | Status::Failed(_)) {
                    self.state.status = Status::Stopping;
                    self.stop_below(0);
                    self.note(moment, "an operator stops it".to_owned());
                }
            }
        }
        self.settle(moment);
        self.state != before
    }

    /// What it finds at the start of the node: whether each actor is there. Nothing is counted.
    pub fn look(&mut self, is_there: impl Fn(Place) -> bool, now: NodeTime) {
        let places: Vec<Place> = self.tree.actors().map(|(place, _)| place).collect();
        for place in places {
            match (self.phase(place), is_there(place)) {
                // Its journal is off, and it ended with the process.
                (Phase::Up, false) => self.set(place, Phase::Due(now)),
                (Phase::Down, true) if self.lives() => self.set(place, Phase::Up),
                _ => {}
            }
        }
    }

    /// How an actor is.
    pub fn phase(&self, place: Place) -> Phase {
        match &self.state.members[place] {
            MemberState::Actor(actor) => actor.phase,
            MemberState::Supervisor(_) => Phase::Down,
        }
    }

    /// Whether an actor has begun with the settings that the application was started with.
    pub fn began(&self, place: Place) -> bool {
        matches!(&self.state.members[place], MemberState::Actor(actor) if actor.began)
    }

    /// Whether it is to be there: started, and neither stopped nor failed.
    pub fn lives(&self) -> bool {
        matches!(self.state.status, Status::Starting | Status::Running)
    }

    // ---- events ----

    fn start(&mut self, there: &[Place], fresh: bool, moment: Moment) {
        let anew = matches!(self.state.status, Status::Stopped | Status::Failed(_));
        let places: Vec<Place> = self.tree.actors().map(|(place, _)| place).collect();
        if anew {
            self.state.status = Status::Starting;
            for member in &mut self.state.members {
                match member {
                    MemberState::Supervisor(supervisor) => *supervisor = SupervisorState::default(),
                    MemberState::Actor(actor) => (actor.restarts, actor.last) = (0, None),
                }
            }
            self.note(moment, "an operator starts it".to_owned());
        }
        for place in places {
            match self.phase(place) {
                Phase::Down if anew && there.contains(&place) => {
                    self.set(place, Phase::Up);
                    self.actor(place).began = true;
                }
                Phase::Up if !fresh => {}
                Phase::Up | Phase::Down | Phase::Due(_) => {
                    self.set(place, Phase::Due(moment.now));
                    self.actor(place).began = false;
                }
                Phase::Stopping(Some(_)) => self.set(place, Phase::Stopping(Some(moment.now))),
                Phase::Stopping(None) => {}
            }
        }
    }

    fn ended(&mut self, place: Place, cause: EndCause, why: &str, moment: Moment) {
        let phase = self.phase(place);
        self.actor(place).last = Some((cause, why.to_owned()));
        let first = !self.began(place) && matches!(phase, Phase::Due(_));
        match phase {
            Phase::Down => {}
            Phase::Stopping(_) if cause == EndCause::Operator => self.stays_down(place, cause, why, moment),
            Phase::Stopping(then) => self.set(place, then.map_or(Phase::Down, Phase::Due)),
            Phase::Up | Phase::Due(_) if cause == EndCause::Operator || !self.lives() => {
                self.stays_down(place, cause, why, moment);
            }
            Phase::Due(_) if first && self.state.status == Status::Starting => {
                self.set(place, Phase::Down);
                self.give_up(0, format!("{} did not start: {why}", self.name(place)), moment);
            }
            Phase::Up | Phase::Due(_) => match (self.tree.members[place].restart, cause) {
                (Restart::Permanent, _) | (Restart::Transient, EndCause::Fault) => {
                    self.restart(self.tree.members[place].parent, place, why, moment);
                }
                (Restart::Transient | Restart::Temporary, _) => self.stays_down(place, cause, why, moment),
            },
        }
    }

    fn stays_down(&mut self, place: Place, cause: EndCause, why: &str, moment: Moment) {
        self.set(place, Phase::Down);
        self.note(moment, format!("{} ended ({}: {why}) and is not started again", self.name(place), cause.name()));
    }

    /// A child ended and is to be started again, with those that depend on it.
    fn restart(&mut self, supervisor: Place, child: Place, why: &str, moment: Moment) {
        let policy = self.policy(supervisor).clone();
        let window = u64::try_from(policy.window.as_micros()).unwrap_or(u64::MAX);
        let now = moment.now;
        let own = self.supervisor(supervisor);
        own.history.push_back(now);
        own.history.retain(|at| now.0.saturating_sub(at.0) <= window);
        let within = u32::try_from(own.history.len()).unwrap_or(u32::MAX);
        if within > policy.max_restarts {
            let why = format!("{within} restarts within {:?}, the last of {}: {why}", policy.window, self.name(child));
            self.give_up(supervisor, cut(&why), moment);
            return;
        }
        own.restarts += 1;
        let wait = policy.backoff.before(within);
        let mut at = NodeTime(now.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)));
        let affected: Vec<Place> = self
            .tree
            .children(supervisor)
            .filter(|place| match policy.strategy {
                Strategy::OneForOne => *place == child,
                Strategy::OneForAll => true,
                Strategy::RestForOne => *place >= child,
            })
            .collect();
        // All at one time, so that they are started in their order.
        for place in affected.iter().flat_map(|place| *place..self.tree.members[*place].end) {
            if let Phase::Due(other) | Phase::Stopping(Some(other)) = self.phase(place)
                && other > at
                && place != child
            {
                at = other;
            }
        }
        self.note(moment, format!("{} is started again in {wait:?}: {why}", self.name(child)));
        for place in affected {
            self.again(place, at, place == child);
        }
    }

    /// A child of a supervisor that restarts it: an actor, or a supervisor with all below it.
    fn again(&mut self, place: Place, at: NodeTime, failed: bool) {
        let anew = matches!(self.state.members[place], MemberState::Supervisor(_));
        for below in place..self.tree.members[place].end {
            if let MemberState::Supervisor(supervisor) = &mut self.state.members[below] {
                supervisor.history.clear();
                supervisor.gives_up = None;
                continue;
            }
            let held = matches!(&self.actor(below).last, Some((EndCause::Operator, _)));
            let then = (anew || self.tree.members[below].restart != Restart::Temporary).then_some(at);
            match self.phase(below) {
                Phase::Up if failed && !anew => self.set_again(below, Phase::Due(at)),
                Phase::Up | Phase::Stopping(_) => self.set_again(below, Phase::Stopping(then)),
                Phase::Due(_) => self.set_again(below, Phase::Due(at)),
                // A supervisor that is started begins as it did first; but what an operator stopped stays so.
                Phase::Down if anew && !held => self.set_again(below, Phase::Due(at)),
                Phase::Down => {}
            }
        }
    }

    fn set_again(&mut self, place: Place, phase: Phase) {
        if !matches!(self.phase(place), Phase::Due(_) | Phase::Stopping(Some(_))) && phase != Phase::Stopping(None) {
            self.actor(place).restarts += 1;
        }
        self.set(place, phase);
    }

    /// A supervisor stops its children; when they are gone it ends abnormally.
    fn give_up(&mut self, supervisor: Place, why: String, moment: Moment) {
        self.note(moment, format!("{} gives up: {why}", self.name(supervisor)));
        if supervisor == 0 {
            self.state.status = Status::Failing(why.clone());
        }
        self.stop_below(supervisor);
        self.supervisor(supervisor).gives_up = Some(why);
    }

    fn stop_below(&mut self, supervisor: Place) {
        for place in supervisor..self.tree.members[supervisor].end {
            match &mut self.state.members[place] {
                MemberState::Supervisor(own) => {
                    own.history.clear();
                    own.gives_up = None;
                }
                // One that is due may be starting right now.
                MemberState::Actor(actor) if actor.phase != Phase::Down => self.set(place, Phase::Stopping(None)),
                MemberState::Actor(_) => {}
            }
        }
    }

    /// What follows once nobody is to be stopped any more.
    fn settle(&mut self, moment: Moment) {
        // The deepest first: its end may be the end of the one above.
        while let Some((place, why)) = self.gave_up() {
            self.supervisor(place).gives_up = None;
            if place == 0 {
                break;
            }
            let parent = self.tree.members[place].parent;
            match self.tree.members[place].restart {
                Restart::Permanent | Restart::Transient => self.restart(parent, place, &why, moment),
                Restart::Temporary => {
                    self.note(moment, format!("{} ended and is not started again", self.name(place)));
                }
            }
        }
        let waits = |phase: Phase| matches!(phase, Phase::Stopping(_));
        if self.tree.actors().any(|(place, _)| waits(self.phase(place))) {
            return;
        }
        match &self.state.status {
            Status::Stopping => {
                self.state.status = Status::Stopped;
                self.note(moment, "it has stopped".to_owned());
            }
            Status::Failing(why) => {
                self.state.status = Status::Failed(why.clone());
                self.note(moment, "it has failed".to_owned());
            }
            Status::Starting if !self.tree.actors().any(|(place, _)| matches!(self.phase(place), Phase::Due(_))) => {
                self.state.status = Status::Running;
            }
            Status::Starting | Status::Running | Status::Stopped | Status::Failed(_) => {}
        }
    }

    /// The deepest supervisor that gave up and whose children are gone.
    fn gave_up(&self) -> Option<(Place, String)> {
        (0..self.tree.members.len()).rev().find_map(|place| {
            let MemberState::Supervisor(SupervisorState { gives_up: Some(why), .. }) = &self.state.members[place]
            else {
                return None;
            };
            let mut below = place..self.tree.members[place].end;
            let gone = !below.any(|below| matches!(self.phase(below), Phase::Stopping(_)));
            gone.then(|| (place, why.clone()))
        })
    }

    // ---- places ----

    fn name(&self, place: Place) -> String {
        let name = self.tree.name_of(place);
        match (&self.tree.members[place].kind, place) {
            (_, 0) => format!("application {name}"),
            (Kind::Supervisor(..), _) => format!("supervisor {name}"),
            (Kind::Actor(..), _) => name.to_owned(),
        }
    }

    fn set(&mut self, place: Place, phase: Phase) {
        self.versions[place] += 1;
        self.actor(place).phase = phase;
    }

    fn actor(&mut self, place: Place) -> &mut ActorState {
        match &mut self.state.members[place] {
            MemberState::Actor(actor) => actor,
            MemberState::Supervisor(_) => panic!("place {place} is a supervisor's"),
        }
    }

    fn supervisor(&mut self, place: Place) -> &mut SupervisorState {
        match &mut self.state.members[place] {
            MemberState::Supervisor(supervisor) => supervisor,
            MemberState::Actor(_) => panic!("place {place} is an actor's"),
        }
    }

    fn policy(&self, place: Place) -> &Policy {
        match &self.tree.members[place].kind {
            Kind::Supervisor(_, policy) => policy,
            Kind::Actor(..) => panic!("place {place} is an actor's"),
        }
    }

    fn note(&mut self, moment: Moment, text: String) {
        if self.state.notes.len() == MAX_NOTES {
            self.state.notes.pop_front();
        }
        self.state.notes.push_back(Note { at: moment.wall, text });
    }
}

/// At most [`MAX_REASON`] bytes of it.
fn cut(why: &str) -> String {
    let mut end = why.len().min(MAX_REASON);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
