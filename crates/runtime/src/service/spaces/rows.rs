//! The rows of the table `spaces`, and completions: bytes of docs/journal-format.md, "Tuple spaces".

use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Incarnation, NodeTime, Seq};

use super::value::{Field, Pattern, Tuple};
use crate::boundary::Recordable;
use crate::service::Which;
use crate::service::waits::WaitId;

const VERSION: u8 = 1;
const ENTRY: u8 = b'e';
const SUBSCRIPTION: u8 = b's';
const WAITER: u8 = b'w';
const MARK: u8 = b'n';

const TAKEN: u8 = 1;
const READ: u8 = 2;

/// A row, read back.
#[derive(Debug, PartialEq)]
pub enum Row {
    /// A tuple in a space.
    Entry { space: ActorId, id: u64, lease: Option<NodeTime>, value: Tuple },
    /// Who is told of what is written.
    Subscription { id: u64, space: ActorId, actor: ActorId, pattern: Pattern },
    /// When an actor that may still wait came.
    Waiter { wait: WaitId, arrival: u64 },
    /// Ids below this one may have been given.
    Mark(u64),
}

/// Appends the key of a tuple.
pub fn put_entry_key(out: &mut Vec<u8>, space: &ActorId, id: u64) {
    out.push(ENTRY);
    out.extend_from_slice(space.as_str().as_bytes());
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Appends the value of a tuple.
pub fn put_entry(out: &mut Vec<u8>, lease: Option<NodeTime>, value: &[Field]) {
    out.push(VERSION);
    codec::put_option(out, lease, |out, lease| codec::put_u64(out, lease.0));
    codec::put_u32(out, value.len() as u32);
    Field::encode_slice(value, out);
}

/// The key of a subscription.
pub fn subscription_key(id: u64) -> Vec<u8> {
    [&[SUBSCRIPTION][..], &id.to_be_bytes()].concat()
}

/// The value of a subscription.
pub fn subscription(space: &ActorId, actor: &ActorId, pattern: &Pattern) -> Vec<u8> {
    let mut out = vec![VERSION];
    codec::put_str(&mut out, space.as_str());
    codec::put_str(&mut out, actor.as_str());
    pattern.encode(&mut out);
    out
}

/// The key of the one wait that an actor may be in.
pub fn waiter_key(actor: &ActorId) -> Vec<u8> {
    [&[WAITER], actor.as_str().as_bytes()].concat()
}

/// The value of a wait.
pub fn waiter(wait: &WaitId, arrival: u64) -> Vec<u8> {
    let mut out = vec![VERSION];
    codec::put_u32(&mut out, wait.incarnation.0);
    codec::put_u64(&mut out, wait.seq.0);
    codec::put_u64(&mut out, arrival);
    out
}

/// The key of the mark.
pub fn mark_key() -> Vec<u8> {
    vec![MARK]
}

/// The value of the mark.
pub fn mark(below: u64) -> Vec<u8> {
    let mut out = vec![VERSION];
    codec::put_u64(&mut out, below);
    out
}

/// Reads a row.
pub fn read(key: &[u8], value: &[u8]) -> Option<Row> {
    let (kind, key) = key.split_first()?;
    let mut input = Reader::new(value);
    if input.u8().ok()? != VERSION {
        return None;
    }
    let row = match *kind {
        ENTRY => {
            let (rest, id) = key.split_last_chunk::<8>()?;
            let space = actor(std::str::from_utf8(rest.strip_suffix(&[0])?).ok()?)?;
            let lease = input.option(|input| input.u64()).ok()?.map(NodeTime);
            Row::Entry { space, id: u64::from_be_bytes(*id), lease, value: Tuple::decode(&mut input).ok()? }
        }
        SUBSCRIPTION => Row::Subscription {
            id: u64::from_be_bytes(*key.first_chunk::<8>()?),
            space: actor(input.str().ok()?)?,
            actor: actor(input.str().ok()?)?,
            pattern: Pattern::decode(&mut input).ok()?,
        },
        WAITER => {
            let actor = actor(std::str::from_utf8(key).ok()?)?;
            let (incarnation, seq) = (Incarnation(input.u32().ok()?), Seq(input.u64().ok()?));
            Row::Waiter { wait: WaitId { actor, incarnation, seq }, arrival: input.u64().ok()? }
        }
        MARK => Row::Mark(input.u64().ok()?),
        _ => return None,
    };
    input.finish().ok()?;
    Some(row)
}

fn actor(text: &str) -> Option<ActorId> {
    ActorId::reserved(text).ok()
}

/// What a waiter is given.
#[derive(Debug, PartialEq)]
pub enum Given {
    /// This entry is held for it.
    Taken { space: ActorId, id: u64 },
    /// This is what it reads.
    Read { id: u64, value: Tuple },
}

/// The completion of a wait that takes: it names what is held for it.
pub fn taken(space: &ActorId, id: u64) -> Vec<u8> {
    let mut out = vec![Which::Spaces as u8, TAKEN];
    codec::put_str(&mut out, space.as_str());
    codec::put_u64(&mut out, id);
    out
}

/// The completion of a wait that reads: the entry may be gone when it is read.
pub fn seen(id: u64, value: &Tuple) -> Vec<u8> {
    let mut out = vec![Which::Spaces as u8, READ];
    codec::put_u64(&mut out, id);
    value.encode(&mut out);
    out
}

/// Reads a completion.
pub fn given(completion: &[u8]) -> Option<Given> {
    let mut input = Reader::new(completion.strip_prefix(&[Which::Spaces as u8])?);
    let given = match input.u8().ok()? {
        TAKEN => Given::Taken { space: actor(input.str().ok()?)?, id: input.u64().ok()? },
        READ => Given::Read { id: input.u64().ok()?, value: Tuple::decode(&mut input).ok()? },
        _ => return None,
    };
    input.finish().ok()?;
    Some(given)
}

#[cfg(test)]
mod tests {
    use super::super::value::PatternField;
    use super::*;

    #[test]
    fn rows_and_completions_read_back() {
        let (space, actor) = (ActorId::parse("ns/s").unwrap(), ActorId::parse("a").unwrap());
        let mut key = Vec::new();
        put_entry_key(&mut key, &space, 7);
        let value = vec![Field::Text("job".into()), Field::Integer(-1)];
        let mut out = Vec::new();
        put_entry(&mut out, Some(NodeTime(9)), &value);
        let entry = Row::Entry { space: space.clone(), id: 7, lease: Some(NodeTime(9)), value: value.clone() };
        assert_eq!(read(&key, &out), Some(entry));
        assert_eq!(read(&key, &out[..out.len() - 1]), None);
        out[0] = 2;
        assert_eq!(read(&key, &out), None, "a later version");
        let pattern = vec![PatternField::Any, PatternField::Prefix("x".into())];
        assert_eq!(
            read(&subscription_key(8), &subscription(&space, &actor, &pattern)),
            Some(Row::Subscription { id: 8, space: space.clone(), actor: actor.clone(), pattern })
        );
        let wait = WaitId { actor: actor.clone(), incarnation: Incarnation(2), seq: Seq(3) };
        assert_eq!(read(&waiter_key(&actor), &waiter(&wait, 4)), Some(Row::Waiter { wait, arrival: 4 }));
        assert_eq!(read(&mark_key(), &mark(5)), Some(Row::Mark(5)));
        assert_eq!(read(b"", &mark(5)), None);
        assert_eq!(given(&taken(&space, 7)), Some(Given::Taken { space, id: 7 }));
        assert_eq!(given(&seen(7, &value)), Some(Given::Read { id: 7, value }));
        assert_eq!(given(&[Which::Spaces as u8]), None);
        assert_eq!(given(&[]), None);
    }
}
