//! The rows of an application: its tree, its state, and what each of its actors is started with.
//!
//! Their bytes are in docs/journal-format.md. The tree and the actors' settings are written when an operator starts the application, the
//! state with each transition.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use troupe_log::codec::{
    self, Error, Reader, put_bool, put_bytes, put_len, put_option, put_str, put_u8, put_u32, put_u64,
};
use troupe_log::{ActorId, Digest, NodeTime, WallTime};

use super::machine::{ActorState, MAX_NOTES, MemberState, Note, Phase, State, Status, SupervisorState};
use super::tree::{Kind, Member, Place, Tree};
use crate::actor::config::Config;
use crate::actor::ending::EndCause;
use crate::manifest::application::{Backoff, MAX_CHILDREN, MAX_RESTARTS, Policy, Restart};
use crate::manifest::{ActorSpec, ComponentRef, Strategy};

const VERSION: u8 = 1;

/// What a row of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The tree.
    Tree,
    /// How it is.
    State,
    /// What the actor in this place is started with.
    Actor(Place),
}

/// The key of a row.
pub fn key(application: &str, row: Row) -> Vec<u8> {
    let mut key = application.as_bytes().to_vec();
    key.push(0);
    match row {
        Row::Tree => key.push(b't'),
        Row::State => key.push(b's'),
        Row::Actor(place) => {
            key.push(b'a');
            key.extend_from_slice(&u32::try_from(place).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    key
}

/// Whose row it is, and which.
pub fn read_key(key: &[u8]) -> Option<(&str, Row)> {
    let end = key.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&key[..end]).ok()?;
    let row = match &key[end + 1..] {
        [b't'] => Row::Tree,
        [b's'] => Row::State,
        [b'a', place @ ..] => Row::Actor(u32::from_be_bytes(place.try_into().ok()?) as usize),
        _ => return None,
    };
    Some((name, row))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn version(input: &mut Reader<'_>) -> Result<(), Error> {
    let at = input.at();
    if input.u8()? == VERSION { Ok(()) } else { Err(Error::Bad { at, what: "version of an application's row" }) }
}

/// The bytes of a tree.
pub fn encode_tree(tree: &Tree) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_len(&mut out, tree.members.len());
    for member in &tree.members {
        put_u32(&mut out, member.parent as u32);
        put_u8(
            &mut out,
            match member.restart {
                Restart::Permanent => 0,
                Restart::Transient => 1,
                Restart::Temporary => 2,
            },
        );
        match &member.kind {
            Kind::Actor(id, shutdown) => {
                put_u8(&mut out, 0);
                put_str(&mut out, id.as_str());
                put_u64(&mut out, micros(*shutdown));
            }
            Kind::Supervisor(name, policy) => {
                put_u8(&mut out, 1);
                put_str(&mut out, name);
                put_u8(
                    &mut out,
                    match policy.strategy {
                        Strategy::OneForOne => 0,
                        Strategy::OneForAll => 1,
                        Strategy::RestForOne => 2,
                    },
                );
                put_u32(&mut out, policy.max_restarts);
                put_u64(&mut out, micros(policy.window));
                put_u64(&mut out, micros(policy.backoff.initial));
                put_u64(&mut out, micros(policy.backoff.max));
            }
        }
    }
    out
}

/// Reads what [`encode_tree`] wrote.
pub fn decode_tree(bytes: &[u8]) -> Result<Tree, Error> {
    let mut input = Reader::new(bytes);
    version(&mut input)?;
    let at = input.at();
    let bad = Error::Bad { at, what: "tree of an application" };
    let count = input.len(14)?;
    if count == 0 || count > MAX_CHILDREN + 1 {
        return Err(bad);
    }
    let mut members: Vec<Member> = Vec::with_capacity(count);
    for place in 0..count {
        let parent = input.u32()? as usize;
        let restart = match input.case(3)? {
            0 => Restart::Permanent,
            1 => Restart::Transient,
            _ => Restart::Temporary,
        };
        let kind = if input.case(2)? == 0 {
            Kind::Actor(actor_id(&mut input)?, Duration::from_micros(input.u64()?))
        } else {
            let name = input.str()?.to_owned();
            let strategy = match input.case(3)? {
                0 => Strategy::OneForOne,
                1 => Strategy::OneForAll,
                _ => Strategy::RestForOne,
            };
            let max_restarts = input.u32()?;
            let window = Duration::from_micros(input.u64()?);
            let (initial, max) = (Duration::from_micros(input.u64()?), Duration::from_micros(input.u64()?));
            Kind::Supervisor(name, Policy { strategy, max_restarts, window, backoff: Backoff { initial, max } })
        };
        // Each stands below a supervisor before it, all of whose members stand together.
        let fits = match (place, members.get(parent)) {
            (0, None) => parent == 0 && matches!(kind, Kind::Supervisor(..)),
            (_, Some(above)) => above.end == place && matches!(above.kind, Kind::Supervisor(..)),
            (_, None) => false,
        };
        if !fits {
            return Err(bad);
        }
        members.push(Member { parent, end: place + 1, restart, kind });
        let mut above = parent;
        while above != place {
            members[above].end = place + 1;
            if above == 0 {
                break;
            }
            above = members[above].parent;
        }
    }
    input.finish()?;
    Ok(Tree { members })
}

fn actor_id(input: &mut Reader<'_>) -> Result<ActorId, Error> {
    let at = input.at();
    ActorId::reserved(input.str()?).map_err(|_| Error::Bad { at, what: "actor id" })
}

/// The bytes of a state.
pub fn encode_state(state: &State) -> Vec<u8> {
    let mut out = vec![VERSION];
    let (status, why) = match &state.status {
        Status::Starting => (0, ""),
        Status::Running => (1, ""),
        Status::Stopping => (2, ""),
        Status::Stopped => (3, ""),
        Status::Failing(why) => (4, why.as_str()),
        Status::Failed(why) => (5, why.as_str()),
    };
    put_u8(&mut out, status);
    put_str(&mut out, why);
    put_len(&mut out, state.members.len());
    for member in &state.members {
        match member {
            MemberState::Actor(actor) => {
                put_u8(&mut out, 0);
                match actor.phase {
                    Phase::Down => put_u8(&mut out, 0),
                    Phase::Due(at) => {
                        put_u8(&mut out, 1);
                        put_u64(&mut out, at.0);
                    }
                    Phase::Up => put_u8(&mut out, 2),
                    Phase::Stopping(then) => {
                        put_u8(&mut out, 3);
                        put_option(&mut out, then, |out, at| put_u64(out, at.0));
                    }
                }
                put_bool(&mut out, actor.began);
                put_u64(&mut out, actor.restarts);
                put_option(&mut out, actor.last.as_ref(), |out, (cause, why)| {
                    put_u8(out, *cause as u8);
                    put_str(out, why);
                });
            }
            MemberState::Supervisor(own) => {
                put_u8(&mut out, 1);
                put_len(&mut out, own.history.len());
                own.history.iter().for_each(|at| put_u64(&mut out, at.0));
                put_option(&mut out, own.gives_up.as_deref(), put_str);
                put_u64(&mut out, own.restarts);
            }
        }
    }
    put_len(&mut out, state.notes.len());
    for note in &state.notes {
        put_u64(&mut out, note.at.0);
        put_str(&mut out, &note.text);
    }
    out
}

/// Reads what [`encode_state`] wrote, for this tree.
pub fn decode_state(bytes: &[u8], tree: &Tree) -> Result<State, Error> {
    let mut input = Reader::new(bytes);
    version(&mut input)?;
    let bad = Error::Bad { at: input.at(), what: "state of an application" };
    let number = input.case(6)?;
    let why = input.str()?.to_owned();
    let status = match number {
        0 => Status::Starting,
        1 => Status::Running,
        2 => Status::Stopping,
        3 => Status::Stopped,
        4 => Status::Failing(why),
        _ => Status::Failed(why),
    };
    if input.len(2)? != tree.members.len() {
        return Err(bad);
    }
    let mut members = Vec::with_capacity(tree.members.len());
    for member in &tree.members {
        let state = match (input.case(2)?, &member.kind) {
            (0, Kind::Actor(..)) => {
                let phase = match input.case(4)? {
                    0 => Phase::Down,
                    1 => Phase::Due(NodeTime(input.u64()?)),
                    2 => Phase::Up,
                    _ => Phase::Stopping(input.option(|input| Ok(NodeTime(input.u64()?)))?),
                };
                let (began, restarts) = (input.bool()?, input.u64()?);
                let last = input.option(|input| {
                    let cause = EndCause::numbered(input.u8()?).ok_or(bad)?;
                    Ok((cause, input.str()?.to_owned()))
                })?;
                MemberState::Actor(ActorState { phase, began, restarts, last })
            }
            (1, Kind::Supervisor(..)) => {
                let count = input.len(8)?;
                if count > MAX_RESTARTS as usize + 1 {
                    return Err(bad);
                }
                let history = (0..count).map(|_| Ok(NodeTime(input.u64()?))).collect::<Result<VecDeque<_>, Error>>()?;
                let gives_up = input.option(|input| Ok(input.str()?.to_owned()))?;
                MemberState::Supervisor(SupervisorState { history, gives_up, restarts: input.u64()? })
            }
            _ => return Err(bad),
        };
        members.push(state);
    }
    let count = input.len(12)?;
    if count > MAX_NOTES {
        return Err(bad);
    }
    let notes = (0..count)
        .map(|_| Ok(Note { at: WallTime(input.u64()?), text: input.str()?.to_owned() }))
        .collect::<Result<VecDeque<_>, Error>>()?;
    input.finish()?;
    Ok(State { status, members, notes })
}

/// What an actor is started with: its component, what its init is given, its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The component.
    pub component: Digest,
    /// The bytes handed to its init.
    pub initial: Vec<u8>,
    /// Its settings, as in its genesis record.
    pub config: Vec<u8>,
}

impl Start {
    /// The bytes of the row.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.initial.len() + self.config.len() + 64);
        put_u8(&mut out, VERSION);
        out.extend_from_slice(&self.component.0);
        put_bytes(&mut out, &self.initial);
        put_bytes(&mut out, &self.config);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Start, codec::Error> {
        let mut input = Reader::new(bytes);
        version(&mut input)?;
        let start = Start {
            component: Digest(input.array()?),
            initial: input.bytes()?.to_vec(),
            config: input.bytes()?.to_vec(),
        };
        input.finish()?;
        Ok(start)
    }

    /// The same as a manifest would say it; the error says why the settings cannot be read.
    pub fn spec(self, id: &ActorId) -> Result<ActorSpec, String> {
        let config = Config::decode(&self.config)?;
        Ok(ActorSpec {
            id: id.clone(),
            component: ComponentRef::Digest(self.component),
            journal: config.mode,
            init: self.initial,
            limits: config.limits,
            grants: config.grants,
            supervision: config.supervision,
            snapshots: config.snapshots,
            bind: config.bind,
            // Its grants have their digests.
            components: BTreeMap::new(),
            initial_fsm_state: config.first_state,
            listen: None,
            http: config.http,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::manifest::application::{Application, Child, Supervised};
    use crate::supervision::machine::{Event, Machine, Moment};

    fn tree() -> Tree {
        let actor = |name: &str, restart| Child { restart, what: Supervised::actor(ActorId::parse(name).unwrap()) };
        let inner = Supervised::Supervisor {
            name: "inner".to_owned(),
            policy: Policy { strategy: Strategy::RestForOne, ..Policy::default() },
            children: vec![actor("b", Restart::Transient), actor("ns/c", Restart::Temporary)],
        };
        Tree::of(&Application {
            name: "shop".to_owned(),
            policy: Policy::default(),
            children: vec![
                actor("a", Restart::Permanent),
                Child { restart: Restart::Transient, what: inner },
                actor("d", Restart::Permanent),
            ],
        })
    }

    #[test]
    fn rows_read_back() {
        let tree = tree();
        assert_eq!(decode_tree(&encode_tree(&tree)), Ok(tree.clone()));
        let mut machine = Machine::new(Arc::new(tree.clone()));
        let moment = Moment { now: NodeTime(7), wall: WallTime(8) };
        machine.hear(&Event::Start { there: vec![1, 3, 4], fresh: false }, moment);
        for (place, cause) in [(1, EndCause::Fault), (3, EndCause::Operator)] {
            machine.hear(&Event::Ended { place, cause, why: "so".to_owned() }, moment);
        }
        assert_eq!(decode_state(&encode_state(&machine.state), &tree), Ok(machine.state));
        for row in [Row::Tree, Row::State, Row::Actor(3)] {
            assert_eq!(read_key(&key("shop", row)), Some(("shop", row)));
        }
        let start = Start { component: Digest::of(b"x"), initial: vec![1, 2], config: vec![3] };
        assert_eq!(Start::decode(&start.encode()), Ok(start));
    }

    #[test]
    fn no_bytes_panic() {
        let tree = tree();
        let state = Machine::new(Arc::new(tree.clone())).state;
        let (trees, states) = (encode_tree(&tree), encode_state(&state));
        for at in 0..trees.len() {
            assert!(decode_tree(&trees[..at]).is_err());
            for value in [0, 1, 7, 255] {
                let mut changed = trees.clone();
                changed[at] = value;
                if let Ok(tree) = decode_tree(&changed) {
                    Machine::new(Arc::new(tree)).next(NodeTime(0));
                }
            }
        }
        for at in 0..states.len() {
            assert!(decode_state(&states[..at], &tree).is_err());
        }
    }
}
