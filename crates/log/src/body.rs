//! The bodies of the records that the log itself must understand, typed.
//!
//! Everything a runtime adds (message bodies, settings, answers) is opaque bytes in here. `encode`
//! appends to a record being written; `decode` is bounded and refuses trailing bytes.

use crate::codec::{self, Error, Reader, put_bytes, put_option, put_str, put_u8, put_u32, put_u64};
use crate::ids::{ActorId, Digest, Head, Incarnation, NodeTime, Seq, WallTime};

fn put_digest(out: &mut Vec<u8>, d: &Digest) {
    out.extend_from_slice(&d.0);
}

fn digest(r: &mut Reader<'_>) -> Result<Digest, Error> {
    r.array().map(Digest)
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $v:ident = $n:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $v = $n,)* }
        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$v,)*];
            /// Its name, as the command prints it.
            pub fn name(self) -> &'static str { match self { $($name::$v => $text,)* } }
            fn read(r: &mut Reader<'_>) -> Result<Self, Error> {
                let at = r.at();
                match r.u8()? { $($n => Ok($name::$v),)* _ => Err(Error::Bad { at, what: stringify!($name) }) }
            }
        }
    };
}

numbered! {
    /// Why a turn runs.
    TurnKind {
        /// The component is instantiated.
        Instantiate = 0, "instantiate";
        /// The actor's init.
        Init = 1, "init";
        /// A message from the inbox.
        Message = 2, "message";
        /// A timer fired.
        Timer = 3, "timer";
        /// The guest saves its state.
        Save = 4, "save";
        /// The guest loads saved state.
        Load = 5, "load";
        /// The actor's last turn.
        Terminate = 6, "terminate";
        /// A hook of a contract.
        Hook = 7, "hook";
    }
}

numbered! {
    /// What ended a turn badly.
    FaultCause {
        /// The guest trapped, or a host call did.
        Trap = 0, "trap";
        /// The turn's fuel was used up.
        OutOfFuel = 1, "out-of-fuel";
        /// The turn's deadline passed.
        Deadline = 2, "deadline";
        /// The guest left by `exit`.
        Exit = 3, "exit";
        /// A limit of the actor ended the turn.
        Limit = 4, "limit";
        /// An operator ended the turn.
        Kill = 5, "kill";
    }
}

/// Body of [`Kind::Genesis`](crate::record::Kind::Genesis): who the actor is and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The actor.
    pub actor: ActorId,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The component's bytes.
    pub component: Digest,
    /// `name@version`, or a file's name; empty if none is known.
    pub component_name: String,
    /// Fingerprint of the runtime's format and engine settings.
    pub engine: String,
    /// Grants and limits, an encoded string the log does not read.
    pub config: Vec<u8>,
    /// What init is given.
    pub initial: Vec<u8>,
    /// Head of the previous incarnation, if there was one.
    pub previous: Option<Head>,
    /// When.
    pub wall: WallTime,
}

impl Genesis {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_str(out, self.actor.as_str());
        put_u32(out, self.incarnation.0);
        put_digest(out, &self.component);
        put_str(out, &self.component_name);
        put_str(out, &self.engine);
        put_bytes(out, &self.config);
        put_bytes(out, &self.initial);
        put_option(out, self.previous, |out, h| out.extend_from_slice(&h.0));
        put_u64(out, self.wall.0);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let genesis = Self {
            actor: actor_id(&mut r)?,
            incarnation: Incarnation(r.u32()?),
            component: digest(&mut r)?,
            component_name: r.str()?.to_owned(),
            engine: r.str()?.to_owned(),
            config: r.bytes()?.to_vec(),
            initial: r.bytes()?.to_vec(),
            previous: r.option(|r| r.array().map(Head))?,
            wall: WallTime(r.u64()?),
        };
        r.finish()?;
        Ok(genesis)
    }
}

pub(crate) fn actor_id(r: &mut Reader<'_>) -> Result<ActorId, Error> {
    let at = r.at();
    ActorId::reserved(r.str()?).map_err(|_| Error::Bad { at, what: "actor id" })
}

/// Body of [`Kind::TurnBegin`](crate::record::Kind::TurnBegin).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnBegin<'a> {
    /// Why the turn runs.
    pub kind: TurnKind,
    /// Node time at its start.
    pub node_time: NodeTime,
    /// Wall time at its start.
    pub wall_time: WallTime,
    /// The whole message, as the runtime encodes it.
    pub rest: &'a [u8],
}

impl<'a> TurnBegin<'a> {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.kind as u8);
        put_u64(out, self.node_time.0);
        put_u64(out, self.wall_time.0);
        out.extend_from_slice(self.rest);
    }

    /// Reads a whole body.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        Ok(Self {
            kind: TurnKind::read(&mut r)?,
            node_time: NodeTime(r.u64()?),
            wall_time: WallTime(r.u64()?),
            rest: r.rest(),
        })
    }
}

/// Body of [`Kind::TurnEnd`](crate::record::Kind::TurnEnd).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnEnd<'a> {
    /// How it ended, as the runtime numbers it.
    pub outcome: u8,
    /// Fuel used by the turn.
    pub fuel: u64,
    /// What it answered, as the runtime encodes it.
    pub answer: &'a [u8],
}

impl<'a> TurnEnd<'a> {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.outcome);
        put_u64(out, self.fuel);
        out.extend_from_slice(self.answer);
    }

    /// Reads a whole body.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        Ok(Self { outcome: r.u8()?, fuel: r.u64()?, answer: r.rest() })
    }
}

/// Body of [`Kind::Fault`](crate::record::Kind::Fault).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What ended the turn.
    pub cause: FaultCause,
    /// In words.
    pub text: String,
    /// The first record that it undid.
    pub first_undone: Seq,
    /// What became of the message, as the runtime numbers it.
    pub disposition: u8,
}

impl Fault {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u8(out, self.cause as u8);
        put_str(out, &self.text);
        put_u64(out, self.first_undone.0);
        put_u8(out, self.disposition);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let fault = Self {
            cause: FaultCause::read(&mut r)?,
            text: r.str()?.to_owned(),
            first_undone: Seq(r.u64()?),
            disposition: r.u8()?,
        };
        r.finish()?;
        Ok(fault)
    }
}

/// Where the bytes of a base are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// In the record.
    Inline(Vec<u8>),
    /// Out of line: a blob of this digest and length.
    Blob(Digest, u64),
}

/// Body of [`Kind::Base`](crate::record::Kind::Base). The seq and the head of a base are those of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The component in force.
    pub component: Digest,
    /// Which kind of base, as the runtime numbers it.
    pub form: u8,
    /// Hash of the state that the base restores.
    pub state: Digest,
    /// The guest's image or saved bytes.
    pub image: Image,
    /// The runtime's own state of the actor, as it encodes it.
    pub rest: Vec<u8>,
}

impl Base {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_digest(out, &self.component);
        put_u8(out, self.form);
        put_digest(out, &self.state);
        match &self.image {
            Image::Inline(bytes) => {
                put_u8(out, 0);
                put_bytes(out, bytes);
            }
            Image::Blob(digest, len) => {
                put_u8(out, 1);
                put_digest(out, digest);
                put_u64(out, *len);
            }
        }
        put_bytes(out, &self.rest);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let base = Self {
            component: digest(&mut r)?,
            form: r.u8()?,
            state: digest(&mut r)?,
            image: match r.case(2)? {
                0 => Image::Inline(r.bytes()?.to_vec()),
                _ => Image::Blob(digest(&mut r)?, r.u64()?),
            },
            rest: r.bytes()?.to_vec(),
        };
        r.finish()?;
        Ok(base)
    }
}

/// Body of [`Kind::Checkpoint`](crate::record::Kind::Checkpoint): records before `first_kept` may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The first record that is kept.
    pub first_kept: Seq,
    /// The head before it.
    pub head_before: Head,
    /// The record of the base that recovery starts from.
    pub base: Seq,
}

impl Checkpoint {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.first_kept.0);
        out.extend_from_slice(&self.head_before.0);
        put_u64(out, self.base.0);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let checkpoint = Self { first_kept: Seq(r.u64()?), head_before: Head(r.array()?), base: Seq(r.u64()?) };
        r.finish()?;
        Ok(checkpoint)
    }
}

/// Body of [`Kind::Change`](crate::record::Kind::Change): what the actor lives under from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// When.
    pub wall: WallTime,
    /// All grants, limits and settings, encoded as in the genesis record.
    pub config: &'a [u8],
}

impl<'a> Change<'a> {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.wall.0);
        put_bytes(out, self.config);
    }

    /// Reads a whole body.
    pub fn decode(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let change = Self { wall: WallTime(r.u64()?), config: r.bytes()? };
        r.finish()?;
        Ok(change)
    }
}

/// How the state of an actor came to another component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Carried {
    /// The journal was played again under it, without difference.
    Replayed = 0,
    /// The component before saved it, this one loaded it.
    Saved = 1,
}

/// Body of [`Kind::Upgrade`](crate::record::Kind::Upgrade): another component from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upgrade {
    /// When.
    pub wall: WallTime,
    /// The component before.
    pub from: Digest,
    /// The component of what follows.
    pub to: Digest,
    /// How the state came to it.
    pub carried: Carried,
}

impl Upgrade {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.wall.0);
        out.extend_from_slice(&self.from.0);
        out.extend_from_slice(&self.to.0);
        put_u8(out, self.carried as u8);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let (wall, from, to) = (WallTime(r.u64()?), Digest(r.array()?), Digest(r.array()?));
        let carried = if r.case(2)? == 0 { Carried::Replayed } else { Carried::Saved };
        r.finish()?;
        Ok(Self { wall, from, to, carried })
    }
}

/// Body of [`Kind::Due`](crate::record::Kind::Due): a call began a duration, which goes on through a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The record of the call.
    pub of: Seq,
    /// When the duration is over.
    pub at: NodeTime,
}

impl Due {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.of.0);
        put_u64(out, self.at.0);
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let due = Self { of: Seq(r.u64()?), at: NodeTime(r.u64()?) };
        r.finish()?;
        Ok(due)
    }
}

/// Body of [`Kind::Redaction`](crate::record::Kind::Redaction): bytes that a record has left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// The record: the one before this one and what stands between, or, of the end of a turn, the next.
    pub of: Seq,
    /// What tells the key of the digests from others.
    pub key: [u8; 8],
    /// What was left out, by its place.
    pub hidden: Vec<Hidden>,
}

/// One value that was left out; as many `*` stand in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Where it begins in the record's body.
    pub at: u32,
    /// Its bytes.
    pub len: u32,
    /// Whose value it is.
    pub name: String,
    /// The value's BLAKE3 under the node's key.
    pub digest: Digest,
}

impl Redaction {
    /// Fewest bytes of one value.
    const LEAST: usize = 4 + 4 + 4 + 32;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.of.0);
        out.extend_from_slice(&self.key);
        put_u32(out, self.hidden.len() as u32);
        for hidden in &self.hidden {
            put_u32(out, hidden.at);
            put_u32(out, hidden.len);
            put_str(out, &hidden.name);
            out.extend_from_slice(&hidden.digest.0);
        }
    }

    /// Reads a whole body.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let (of, key, count) = (Seq(r.u64()?), r.array()?, r.u32()? as usize);
        let mut hidden = Vec::with_capacity(count.min(r.rest().len() / Self::LEAST));
        for _ in 0..count {
            hidden.push(Hidden { at: r.u32()?, len: r.u32()?, name: r.str()?.to_owned(), digest: Digest(r.array()?) });
        }
        r.finish()?;
        Ok(Self { of, key, hidden })
    }
}

/// How a host call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The encoded results, up to the end of what is read.
    Value(&'a [u8]),
    /// A trap and its text.
    Trap(&'a str),
    /// The guest left with this code.
    Exit(i32),
    /// The call was dropped before it ended.
    Cancelled,
}

impl<'a> Outcome<'a> {
    /// Appends kind and contents.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Outcome::Value(bytes) => {
                put_u8(out, 0);
                out.extend_from_slice(bytes);
            }
            Outcome::Trap(text) => {
                put_u8(out, 1);
                put_str(out, text);
            }
            Outcome::Exit(code) => {
                put_u8(out, 2);
                codec::put_s32(out, *code);
            }
            Outcome::Cancelled => put_u8(out, 3),
        }
    }

    /// Reads kind and contents. Only the type of the results says where a value ends, so it takes all
    /// the bytes; of the others, what follows stays in the reader.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, Error> {
        match r.case(4)? {
            0 => Ok(Outcome::Value(r.take(r.rest().len())?)),
            1 => Ok(Outcome::Trap(r.str()?)),
            2 => Ok(Outcome::Exit(r.s32()?)),
            _ => Ok(Outcome::Cancelled),
        }
    }
}

/// The common start of call, intent, wait and denial: `tag u64 | params_len u32 | params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallHead<'a> {
    /// The function's tag.
    pub tag: u64,
    /// The encoded arguments.
    pub params: &'a [u8],
}

impl<'a> CallHead<'a> {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.tag);
        put_bytes(out, self.params);
    }

    /// Reads it; what follows stays in the reader.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { tag: r.u64()?, params: r.bytes()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_everywhere<T: std::fmt::Debug>(body: &[u8], decode: impl Fn(&[u8]) -> Result<T, Error>) {
        for cut in 0..body.len() {
            assert!(decode(&body[..cut]).is_err(), "read from {cut} of {} bytes", body.len());
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(decode(&longer).is_err(), "trailing byte accepted");
    }

    #[test]
    fn genesis_base_checkpoint_change_and_fault_read_back_and_refuse_cut_bytes() {
        let genesis = Genesis {
            actor: ActorId::parse("bank/acct-1").unwrap(),
            incarnation: Incarnation(3),
            component: Digest::of(b"c"),
            component_name: "acct@1.0.0".into(),
            engine: "e".into(),
            config: b"memory = \"16MiB\"".to_vec(),
            initial: vec![1, 2],
            previous: Some(Head([7; 32])),
            wall: WallTime(5),
        };
        let mut body = Vec::new();
        genesis.encode(&mut body);
        assert_eq!(Genesis::decode(&body), Ok(genesis));
        cut_everywhere(&body, Genesis::decode);

        for image in [Image::Inline(vec![9; 10]), Image::Blob(Digest::of(b"i"), 77)] {
            let component = Digest::of(b"c");
            let base = Base { component, form: 1, state: Digest::of(b"s"), image, rest: vec![4] };
            let mut body = Vec::new();
            base.encode(&mut body);
            assert_eq!(Base::decode(&body), Ok(base));
            cut_everywhere(&body, Base::decode);
        }

        let checkpoint = Checkpoint { first_kept: Seq(9), head_before: Head([1; 32]), base: Seq(10) };
        let mut body = Vec::new();
        checkpoint.encode(&mut body);
        assert_eq!(Checkpoint::decode(&body), Ok(checkpoint));
        cut_everywhere(&body, Checkpoint::decode);

        let mut body = Vec::new();
        Change { wall: WallTime(7), config: b"settings" }.encode(&mut body);
        assert_eq!(Change::decode(&body), Ok(Change { wall: WallTime(7), config: b"settings" }));
        cut_everywhere(&body, |body| Change::decode(body).map(drop));

        for carried in [Carried::Replayed, Carried::Saved] {
            let upgrade = Upgrade { wall: WallTime(8), from: Digest::of(b"a"), to: Digest::of(b"b"), carried };
            let mut body = Vec::new();
            upgrade.encode(&mut body);
            assert_eq!(Upgrade::decode(&body), Ok(upgrade));
            cut_everywhere(&body, Upgrade::decode);
        }

        let mut body = Vec::new();
        Due { of: Seq(7), at: NodeTime(9) }.encode(&mut body);
        assert_eq!(Due::decode(&body), Ok(Due { of: Seq(7), at: NodeTime(9) }));
        cut_everywhere(&body, Due::decode);

        let fault =
            Fault { cause: FaultCause::OutOfFuel, text: "used up".into(), first_undone: Seq(4), disposition: 2 };
        let mut body = Vec::new();
        fault.encode(&mut body);
        assert_eq!(Fault::decode(&body), Ok(fault));
        cut_everywhere(&body, Fault::decode);
    }

    #[test]
    fn a_turn_and_the_outcomes_of_calls_read_back() {
        let begin =
            TurnBegin { kind: TurnKind::Timer, node_time: NodeTime(1), wall_time: WallTime(2), rest: b"message" };
        let mut body = Vec::new();
        begin.encode(&mut body);
        assert_eq!(TurnBegin::decode(&body), Ok(begin));
        let end = TurnEnd { outcome: 1, fuel: 99, answer: b"ok" };
        let mut body = Vec::new();
        end.encode(&mut body);
        assert_eq!(TurnEnd::decode(&body), Ok(end));
        for outcome in [Outcome::Value(b"v"), Outcome::Trap("t"), Outcome::Exit(-1), Outcome::Cancelled] {
            let head = CallHead { tag: 5, params: b"pp" };
            let mut body = Vec::new();
            head.encode(&mut body);
            outcome.encode(&mut body);
            let mut r = Reader::new(&body);
            assert_eq!(CallHead::decode(&mut r), Ok(head));
            assert_eq!(Outcome::decode(&mut r), Ok(outcome));
            assert_eq!(r.finish(), Ok(()));
        }
        assert!(Outcome::decode(&mut Reader::new(&[1, 2, 0, 0, 0, b'x'])).is_err());
        assert!(Outcome::decode(&mut Reader::new(&[4])).is_err());
    }
}
