//! Running a component against a journal, turn by turn.
//!
//! Promises what docs/semantics.md says under "Replay guarantee": the same calls with the same arguments and the same ends of
//! turns, or the first difference; nothing outside is touched; nothing runs past the records. An actor's own recovery uses the
//! same player.

mod ahead;
mod blobs;
mod fork;
mod nothing;
pub mod player;
pub(crate) mod shadow;
pub mod turns;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use troupe_log::body::{self, Genesis, TurnKind};
use troupe_log::{ActorId, Chain, Digest, Head, Incarnation, Kind, Position, Seq, Store, record};

use self::ahead::Ahead;
pub use self::blobs::blob_of;
pub use self::fork::{Edit, Fork, ForkedTurn};
use self::nothing::{Given, Nothing};
use self::player::{Player, describe_outcome};
use self::turns::{End, Item, PastTurn, Source, Turns};
pub use self::walk::{Break, Step, Walk};
use crate::actor::config::Config;
use crate::actor::cut::Cut;
use crate::actor::executor::describe;
use crate::actor::live::Fall;
use crate::boundary::derived;
use crate::boundary::{About, AtEnd, Boundary, Recorder, Recording, SecretKey};
pub use crate::boundary::{Departure, NOT_MADE};
use crate::component::{Cache, Code, Engines, inspect, prepare};
use crate::contract::Output;
use crate::error::{Error, Result};

/// A journal that can be read again and again.
#[derive(Clone)]
pub enum JournalSource {
    /// Of an actor in a store.
    Store {
        /// The store.
        store: Arc<dyn Store>,
        /// The actor.
        actor: ActorId,
        /// Its life.
        incarnation: Incarnation,
        /// Its newest batch.
        tail: Position,
    },
    /// In memory, from an exported file.
    Bytes {
        /// Whole records.
        records: Arc<[u8]>,
        /// What they name by digest.
        blobs: Arc<HashMap<Digest, Vec<u8>>>,
    },
}

impl JournalSource {
    /// From record `from` on. What is left of a part of the store may stand before it.
    fn turns(&self, from: Seq) -> Result<Turns> {
        if let JournalSource::Bytes { records, .. } = self
            && from > Seq(0)
        {
            return Ok(Turns::new(Source::Bytes(records[offset(records, from)..].into())));
        }
        Ok(Turns::new(match self {
            JournalSource::Store { store, actor, incarnation, tail } => {
                Source::Store(store.journal(actor, *incarnation, *tail, from)?)
            }
            JournalSource::Bytes { records, .. } => Source::Bytes(records.clone()),
        }))
    }

    /// The records `from..next`.
    pub fn between(&self, from: Seq, next: Seq) -> Result<Vec<u8>> {
        let bytes = match self {
            JournalSource::Store { store, actor, incarnation, tail } => {
                let mut journal = store.journal(actor, *incarnation, *tail, from)?;
                let mut bytes = Vec::new();
                while let Some((_, part)) = journal.next_part()? {
                    bytes.extend_from_slice(part);
                    let newest = record::records(part).map_while(std::result::Result::ok).last();
                    if newest.is_some_and(|newest| newest.seq.next() >= next) {
                        break;
                    }
                }
                bytes
            }
            JournalSource::Bytes { records, .. } => {
                let at = offset(records, from);
                let len = record::records(&records[at..]).map_while(std::result::Result::ok);
                let len: usize = len.take_while(|r| r.seq < next).map(|r| r.bytes.len()).sum();
                return Ok(records[at..at + len].to_vec());
            }
        };
        let (at, end) = (offset(&bytes, from), offset(&bytes, next));
        Ok(bytes[at..end.max(at)].to_vec())
    }

    /// The records before `next`; an error if they take more than `most` bytes.
    pub fn past(&self, next: Seq, most: usize) -> wasmtime::Result<Vec<u8>> {
        match self {
            JournalSource::Store { store, actor, incarnation, tail } => {
                derived::read(&mut store.journal(actor, *incarnation, *tail, Seq(0))?, next, most)
            }
            JournalSource::Bytes { records, .. } => {
                let before = record::records(records).map_while(std::result::Result::ok).take_while(|r| r.seq < next);
                let end: usize = before.map(|record| record.bytes.len()).sum();
                if end > most {
                    return Err(derived::too_long(most));
                }
                Ok(records[..end].to_vec())
            }
        }
    }

    fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        match self {
            JournalSource::Store { store, .. } => store.blob(digest).ok(),
            JournalSource::Bytes { blobs, .. } => blobs.get(digest).cloned(),
        }
    }
}

/// Where record `seq` begins, or the end.
fn offset(records: &[u8], seq: Seq) -> usize {
    record::records(records).map_while(std::result::Result::ok).take_while(|r| r.seq < seq).map(|r| r.bytes.len()).sum()
}

/// A component compiled for replay.
#[derive(Clone)]
pub struct ReplayCode {
    boundary: Arc<Boundary>,
    code: Arc<Code>,
}

impl ReplayCode {
    /// Compiles it. Takes seconds for a large component.
    pub fn compile(bytes: &[u8]) -> Result<ReplayCode> {
        Self::compile_in(bytes, &Cache::new(None))
    }

    /// The same with a folder that keeps compiled code.
    pub fn compile_cached(bytes: &[u8], folder: &Path) -> Result<ReplayCode> {
        Self::compile_in(bytes, &Cache::new(Some(folder.to_owned())))
    }

    pub(crate) fn compile_in(bytes: &[u8], cache: &Cache) -> Result<ReplayCode> {
        let engine = Engines::replay_engine()?;
        let boundary = crate::node::linked(&engine)?;
        let inspection = inspect(bytes)?;
        let digest = inspection.digest;
        let code = prepare(&boundary, |engine| cache.load(engine, &digest, bytes), &engine, inspection)?;
        Ok(ReplayCode { boundary, code })
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.code.inspection.digest
    }

    /// What the functions in its records are called.
    pub fn boundary(&self) -> &Boundary {
        &self.boundary
    }
}

/// A turn that was replayed without difference.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Counted from 1.
    pub number: u64,
    /// The record that began it.
    pub began: Seq,
    /// Its last record.
    pub last: Seq,
    /// The head behind it.
    pub head: Head,
    /// Why it ran.
    pub kind: TurnKind,
    /// The message's type, in a message's turn.
    pub message_type: Option<Arc<str>>,
    /// How it ended.
    pub end: End,
}

impl Replayed {
    /// How it ended, in words.
    pub fn ended(&self) -> String {
        match &self.end {
            End::Ended { outcome, answer, .. } => describe_outcome(*outcome, answer),
            End::Faulted(fault) => format!("fault {}: {}", fault.cause.name(), fault.text),
            End::Open => "still open".to_owned(),
        }
    }

    /// True if it ended with a fault.
    pub fn faulted(&self) -> bool {
        matches!(self.end, End::Faulted(_))
    }
}

/// What a whole replay comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records passed.
    pub records: u64,
    /// Turns replayed.
    pub turns: u64,
}

/// The state of a replayed actor, as far as it can be seen from outside the guest.
#[derive(Clone, Debug)]
pub struct StateView {
    /// The state of a gen-fsm actor.
    pub fsm: String,
    /// What the guest's own `save` gives; none if it has none, or needs more than its records to answer.
    pub saved: Option<Vec<u8>>,
    /// Bytes of linear memory in use.
    pub memory: usize,
}

/// Where an instance can be brought up from.
#[derive(Clone)]
struct Start {
    /// The record that begins its instantiation, or 0.
    seq: Seq,
    /// What the actor lived under there.
    about: Arc<About>,
}

/// A replay, turn by turn.
pub struct Replay {
    /// What runs where it stands.
    code: ReplayCode,
    /// What may be in force; empty in a replay of one component over everything.
    in_force: Vec<ReplayCode>,
    source: JournalSource,
    turns: Ahead,
    genesis: Genesis,
    config: Config,
    given: Given,
    player: Player,
    summary: Summary,
    /// Turns run, also those that were run again.
    played: u64,
    /// The newest instantiation, and what it was made under.
    made: Start,
    /// The same of the newest base: where an instance is brought up from.
    base: Start,
    /// True once an instance stands behind the newest turn.
    standing: bool,
    ended: bool,
    /// Read, and not played yet.
    ahead: Option<Box<PastTurn>>,
    /// The first record that is played; what stands before it was passed.
    from: Seq,
}

impl Replay {
    /// A replay of `source` with the component that was in force at each record: the one of the genesis record, and from each upgrade on
    /// the one that it names. They are looked for in `codes`.
    pub fn in_force(codes: Vec<ReplayCode>, source: JournalSource) -> Result<Replay> {
        let Some(Item::Genesis(genesis)) = source.turns(Seq(0))?.next_item()? else {
            return Err(Error::Unreplayable { why: "it does not begin with a genesis record".to_owned() });
        };
        let first = of_digest(&codes, &genesis.component, Seq(0))?;
        Ok(Replay { in_force: codes, ..Replay::new(first, source)? })
    }

    /// A replay of `source` on `code`, whatever was in force.
    pub fn new(code: ReplayCode, source: JournalSource) -> Result<Replay> {
        let mut turns = source.turns(Seq(0))?;
        let Some(Item::Genesis(genesis)) = turns.next_item()? else {
            return Err(Error::Unreplayable { why: "it does not begin with a genesis record".to_owned() });
        };
        let config = Config::decode(&genesis.config)
            .map_err(|why| Error::Unreplayable { why: format!("the settings in its genesis record: {why}") })?;
        let about = Arc::new(alone(&genesis.actor, genesis.incarnation, &config));
        let summary = Summary { records: 1, turns: 0 };
        let given = Given { values: Some(BTreeMap::new()), key: None };
        let player = new_player(&code, &source, &about, &config, &given);
        let (standing, ended) = (false, false);
        let start = Start { seq: Seq(0), about: about.clone() };
        Ok(Replay {
            code,
            in_force: Vec::new(),
            source,
            turns: Ahead::new(turns)?,
            genesis: *genesis,
            config,
            given,
            player,
            summary,
            played: 0,
            made: start.clone(),
            base: start,
            standing,
            ended,
            ahead: None,
            from: Seq(0),
        })
    }

    /// The values of secrets, by name, that the journal has left out; with the key of the node that wrote it they are checked. To be
    /// called before the first turn.
    pub fn with_secrets(mut self, given: BTreeMap<String, String>, key: Option<SecretKey>) -> Replay {
        self.given = Given { values: Some(given), key };
        self.player = new_player(&self.code, &self.source, self.player.about(), &self.config, &self.given);
        self
    }

    /// Who the actor is and what it was started with.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// True if the code is what the journal was made with.
    pub fn same_component(&self) -> bool {
        !self.in_force.is_empty() || self.genesis.component == self.code.digest()
    }

    /// Turns run so far: more than were replayed, since behind a fault those after the newest base are run again.
    pub fn played(&self) -> u64 {
        self.played
    }

    /// What was replayed so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The next turn. None at the end; [`Error::Differs`] at the first difference, which ends the replay.
    pub async fn next_turn(&mut self) -> Result<Option<Replayed>> {
        if self.ended {
            return Ok(None);
        }
        let next = self.step().await;
        if !matches!(next, Ok(Some(_))) {
            self.ended = true;
        }
        next
    }

    async fn step(&mut self) -> Result<Option<Replayed>> {
        match self.look()? {
            Some(turn) => self.play(*turn).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads up to the next turn and takes it.
    fn look(&mut self) -> Result<Option<Box<PastTurn>>> {
        if let Some(turn) = self.ahead.take() {
            return Ok(Some(turn));
        }
        while let Some(item) = self.turns.next_item()? {
            match item {
                // What is left of the part before.
                Item::Turn(turn) if turn.began < self.from => {}
                Item::Other { seq, .. } if seq < self.from => {}
                Item::Genesis(_) if self.from > Seq(0) => {}
                Item::Turn(turn) => return Ok(Some(turn)),
                Item::Genesis(genesis) => {
                    return Err(Error::Unreplayable { why: format!("a second genesis record of {}", genesis.actor) });
                }
                Item::Other { seq, kind, body } => {
                    self.summary.records += 1;
                    if kind == Some(Kind::Base) {
                        self.base = self.made.clone();
                        if let Some(live) = self.player.live() {
                            live.state = player::base_state(seq, &body)?;
                        }
                    }
                    if kind == Some(Kind::Change) {
                        self.player.change(seq, &body)?;
                    }
                    if kind == Some(Kind::Upgrade) && !self.in_force.is_empty() {
                        self.upgrade(seq, &body)?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// What follows runs the component that this record names.
    fn upgrade(&mut self, seq: Seq, body: &[u8]) -> Result<()> {
        let unreadable =
            |error: troupe_log::codec::Error| Error::Unreplayable { why: format!("record {seq}: {error}") };
        let upgrade = body::Upgrade::decode(body).map_err(unreadable)?;
        self.code = of_digest(&self.in_force, &upgrade.to, seq)?;
        self.player.upgrade(self.code.code.clone());
        if upgrade.carried == body::Carried::Replayed {
            // All since the newest base replays under it too: that brings an instance of it here.
            self.standing = false;
        }
        Ok(())
    }

    async fn play(&mut self, turn: PastTurn) -> Result<Replayed> {
        if !self.standing && self.summary.turns > 0 && turn.kind != TurnKind::Instantiate {
            self.stand_before(turn.began).await?;
        }
        let source = &self.source;
        let blobs = |digest: &Digest| source.blob(digest);
        if turn.kind == TurnKind::Instantiate {
            self.made = Start { seq: turn.began, about: self.player.about().clone() };
        }
        let player = &mut self.player;
        self.played += 1;
        player.play(&turn, &blobs).await.map_err(failed)?;
        self.standing = player.live().is_some();
        self.summary.turns += 1;
        let number = self.summary.turns;
        self.summary.records += turn.last.0 - turn.began.0 + 1;
        Ok(Replayed {
            number,
            began: turn.began,
            last: turn.last,
            head: turn.head,
            kind: turn.kind,
            message_type: turn.message.map(|message| message.message_type.clone()),
            end: turn.end,
        })
    }

    /// After a fault the instance is dead: another is brought to before `seq` by playing the turns that ended in order, from the newest
    /// base on.
    async fn stand_before(&mut self, seq: Seq) -> Result<()> {
        let source = self.source.clone();
        let blobs = move |digest: &Digest| source.blob(digest);
        let Start { seq: from, about } = self.base.clone();
        let mut turns = self.source.turns(from)?;
        let mut player = new_player(&self.code, &self.source, &about, &self.config, &self.given);
        while let Some(item) = turns.next_item()? {
            match item {
                Item::Turn(turn) if turn.began < from => {}
                Item::Other { seq, .. } if seq < from => {}
                Item::Turn(turn) if turn.began >= seq => break,
                Item::Turn(turn) => {
                    if matches!(turn.end, End::Ended { .. }) {
                        self.played += 1;
                        player.play(&turn, &blobs).await.map_err(failed)?;
                    }
                }
                Item::Other { seq, kind: Some(Kind::Base), body } => {
                    if let Some(live) = player.live() {
                        live.state = player::base_state(seq, &body)?;
                    }
                }
                Item::Other { seq, kind: Some(Kind::Change), body } => player.change(seq, &body)?,
                _ => {}
            }
        }
        self.player = player;
        Ok(())
    }

    /// Replays the turns that end at or before record `until`, and tells of each.
    pub async fn until(&mut self, until: Seq, mut told: impl FnMut(&Replayed)) -> Result<Summary> {
        while let Some(turn) = self.look().inspect_err(|_| self.ended = true)? {
            let beyond = turn.last > until;
            self.ahead = Some(turn);
            if beyond {
                break;
            }
            if let Some(turn) = self.next_turn().await? {
                told(&turn);
            }
        }
        Ok(self.summary)
    }

    /// The state behind the newest turn.
    pub async fn state(&mut self) -> Result<StateView> {
        if !self.standing {
            self.stand_before(Seq(self.summary.records)).await?;
        }
        let saves = self.code.code.contract.saves();
        let player = &mut self.player;
        let Some(live) = player.live() else {
            return Err(Error::Unreplayable { why: "there is no instance behind its last turn".to_owned() });
        };
        let (fsm, memory) = (live.state.clone(), live.guest().limiter.memory());
        let saved = if saves { save(player).await } else { None };
        // Save may have changed the guest: what follows is played into another instance.
        self.standing = false;
        Ok(StateView { fsm, saved, memory })
    }
}

fn of_digest(codes: &[ReplayCode], digest: &Digest, seq: Seq) -> Result<ReplayCode> {
    let found = codes.iter().find(|code| code.digest() == *digest).cloned();
    found.ok_or_else(|| Error::Unreplayable {
        why: format!("from record {seq} on it needs the component {digest}, which is not there"),
    })
}

/// An actor with these settings, on no node.
fn alone(id: &ActorId, incarnation: Incarnation, config: &Config) -> About {
    About {
        id: id.clone(),
        incarnation,
        mode: config.mode,
        grants: config.grants.clone(),
        limits: config.limits.clone(),
        bind: config.bind.clone(),
        parent: None,
        promised: Arc::default(),
        keys: Arc::default(),
        seen: Arc::default(),
        cut: Cut::default(),
        held: Arc::default(),
    }
}

fn new_player(code: &ReplayCode, source: &JournalSource, about: &Arc<About>, config: &Config, given: &Given) -> Player {
    let recorder = Recorder::new(Recording::On, Chain::START, code.boundary.registry().clone());
    let nothing = Arc::new(Nothing { journal: source.clone(), given: given.clone() });
    Player::new(code.code.clone(), about.clone(), nothing, &config.first_state, recorder, None, None)
}

async fn save(player: &mut Player) -> Option<Vec<u8>> {
    let turn = PastTurn {
        began: Seq(0),
        kind: TurnKind::Save,
        node_time: troupe_log::NodeTime(0),
        message: None,
        about: Vec::new(),
        records: Arc::default(),
        end: End::Open,
        last: Seq(0),
        head: Head::ZERO,
    };
    let fuel = player.about().limits.fuel.saturating_mul(10);
    match player.run(&turn, AtEnd::Ended, fuel, &|_| None).await {
        Ok(Output::Answer(bytes)) => Some(bytes),
        _ => None,
    }
}

fn failed(fall: Fall) -> Error {
    match fall {
        Fall::Differs(divergence) => Error::Differs(divergence),
        fall => Error::Unreplayable { why: describe(&fall) },
    }
}
