//! Idempotency keys of one actor: a repeat of a call waits for, or gets, the first answer.
//!
//! An entry is committed with the inbox entry and again with the answer, so it outlives crashes. It is kept 24 hours after the
//! answer; at the limit new keys are refused, none is dropped early.

use std::collections::HashMap;
use std::sync::Arc;

use troupe_log::codec::{self, Reader};
use troupe_log::{ActorId, Digest, WallTime};

use super::message::{Answer, CallError, Gate, ReplyTo};

/// How long an answer is kept, in microseconds.
const KEPT: u64 = 24 * 60 * 60 * 1_000_000;

/// Whose key, and the key.
pub type Name = (Arc<str>, Arc<str>);

/// The keys of one actor.
#[derive(Debug, Default)]
pub struct Keys {
    entries: HashMap<Name, Entry>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Digest,
    state: State,
}

#[derive(Debug)]
enum State {
    Pending(Vec<ReplyTo>),
    Done { result: Result<Vec<u8>, CallError>, gate: Gate, until: WallTime },
}

/// What becomes of a call with a key.
#[derive(Debug)]
pub enum Looked {
    /// It is new, and now pending: accept the message.
    New(ReplyTo),
    /// It was seen: the answer comes, or came, through `reply`.
    Repeat,
}

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it is free.
    Unknown,
    /// A call whose answer is a fault.
    Faulted,
    /// A call that is in hand or has another answer.
    Used,
}

impl Keys {
    /// What a key stands for now.
    pub fn standing(&self, name: &Name, now: WallTime) -> Standing {
        match self.entries.get(name).map(|entry| &entry.state) {
            None => Standing::Unknown,
            Some(State::Done { until, .. }) if *until <= now => Standing::Unknown,
            Some(State::Done { result: Err(CallError::Faulted { .. }), .. }) => Standing::Faulted,
            Some(_) => Standing::Used,
        }
    }

    /// If the key is known, a call with the same fingerprint waits for, or gets, its answer; else its end is handed back.
    pub fn repeat(
        &mut self,
        name: &Name,
        fingerprint: Digest,
        reply: ReplyTo,
        now: WallTime,
    ) -> Result<Looked, CallError> {
        let Some(entry) = self.entries.get_mut(name) else { return Ok(Looked::New(reply)) };
        if matches!(&entry.state, State::Done { until, .. } if *until <= now) {
            return Ok(Looked::New(reply));
        }
        if entry.fingerprint != fingerprint {
            return Err(CallError::Invalid(format!("the idempotency key `{}` was used with another message", name.1)));
        }
        match &mut entry.state {
            State::Pending(waiting) => waiting.push(reply),
            State::Done { result, gate, .. } => {
                // The caller is there: it has just handed in its end.
                let _ = reply.send(Answer { result: result.clone(), gate: *gate });
            }
        }
        Ok(Looked::Repeat)
    }

    /// Looks a key up for a call with this fingerprint; a new one is pending from here on.
    pub fn look(
        &mut self,
        name: &Name,
        fingerprint: Digest,
        reply: ReplyTo,
        now: WallTime,
        limit: u32,
    ) -> Result<Looked, CallError> {
        let reply = match self.repeat(name, fingerprint, reply, now)? {
            Looked::New(reply) => reply,
            Looked::Repeat => return Ok(Looked::Repeat),
        };
        if self.entries.len() >= limit as usize {
            self.entries.retain(|_, entry| !matches!(&entry.state, State::Done { until, .. } if *until <= now));
            if self.entries.len() >= limit as usize {
                return Err(CallError::Exhausted(format!(
                    "max-keys = {limit} idempotency keys are remembered; try later"
                )));
            }
        }
        self.entries.insert(name.clone(), Entry { fingerprint, state: State::Pending(Vec::new()) });
        Ok(Looked::New(reply))
    }

    /// If the key is known, its answer comes, or came, through `reply`. False if it is free.
    pub fn attach(&mut self, name: &Name, reply: ReplyTo) -> bool {
        match self.entries.get_mut(name).map(|entry| &mut entry.state) {
            None => false,
            Some(State::Pending(waiting)) => {
                waiting.push(reply);
                true
            }
            Some(State::Done { result, gate, .. }) => {
                // The caller is there: it has just handed in its end.
                let _ = reply.send(Answer { result: result.clone(), gate: *gate });
                true
            }
        }
    }

    /// The fingerprint of a pending key.
    pub fn pending(&self, name: &Name) -> Option<Digest> {
        self.entries.get(name).filter(|entry| matches!(entry.state, State::Pending(_))).map(|entry| entry.fingerprint)
    }

    /// The answer was committed.
    pub fn done(&mut self, name: &Name, result: &Result<Vec<u8>, CallError>, gate: Gate, until: WallTime) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        if !matches!(entry.state, State::Pending(_)) {
            // The first answer stands.
            return;
        }
        let done = State::Done { result: result.clone(), gate, until };
        if let State::Pending(waiting) = std::mem::replace(&mut entry.state, done) {
            for reply in waiting {
                // A caller that has gone away does not want it any more.
                let _ = reply.send(Answer { result: result.clone(), gate });
            }
        }
    }

    /// The message was withdrawn before its turn: the key is free again. Who waited for the first answer gets this one.
    pub fn free(&mut self, name: &Name, answer: &CallError, gate: Gate) {
        if let Some(Entry { state: State::Pending(waiting), .. }) = self.entries.remove(name) {
            for reply in waiting {
                // A caller that has gone away does not want it any more.
                let _ = reply.send(Answer { result: Err(answer.clone()), gate });
            }
        }
    }

    /// The answers come later than anybody here can wait; the keys stay.
    pub fn hang_up(&mut self, answer: &CallError) {
        for entry in self.entries.values_mut() {
            let State::Pending(waiting) = &mut entry.state else { continue };
            for reply in waiting.drain(..) {
                // A caller that has gone away does not want it any more.
                let _ = reply.send(Answer { result: Err(answer.clone()), gate: Gate::default() });
            }
        }
    }

    /// Every key and its value in the table.
    pub fn rows(&self) -> Vec<(Name, Vec<u8>)> {
        let value = |entry: &Entry| match &entry.state {
            State::Pending(_) => pending_value(&entry.fingerprint),
            State::Done { result, until, .. } => kept_value(&entry.fingerprint, result, *until),
        };
        self.entries.iter().map(|(name, entry)| (name.clone(), value(entry))).collect()
    }

    /// Takes an entry of the keys table up again.
    pub fn restore(&mut self, name: Name, value: &[u8]) -> Result<(), codec::Error> {
        let mut input = Reader::new(value);
        let fingerprint = Digest(input.array()?);
        let state = match input.case(2)? {
            0 => State::Pending(Vec::new()),
            _ => {
                let until = WallTime(input.u64()?);
                State::Done { until, result: decode_result(&mut input)?, gate: Gate::default() }
            }
        };
        input.finish()?;
        self.entries.insert(name, Entry { fingerprint, state });
        Ok(())
    }
}

/// The key of an entry in its table.
pub fn table_key(actor: &ActorId, name: &Name) -> Vec<u8> {
    let mut key = Vec::new();
    codec::put_str(&mut key, actor.as_str());
    codec::put_str(&mut key, &name.0);
    codec::put_str(&mut key, &name.1);
    key
}

/// The actor and the name of a table's key.
pub fn from_table_key(key: &[u8]) -> Option<(ActorId, Name)> {
    let mut input = Reader::new(key);
    let actor = ActorId::reserved(input.str().ok()?).ok()?;
    let name = (input.str().ok()?.into(), input.str().ok()?.into());
    input.finish().ok()?;
    Some((actor, name))
}

/// The value of a key without an answer.
pub fn pending_value(fingerprint: &Digest) -> Vec<u8> {
    let mut value = fingerprint.0.to_vec();
    value.push(0);
    value
}

/// Whether a value is that of a key without an answer.
pub fn is_pending(value: &[u8]) -> bool {
    value.get(32) == Some(&0)
}

/// The value of a key with its answer, and until when it is kept.
pub fn done_value(fingerprint: &Digest, result: &Result<Vec<u8>, CallError>, now: WallTime) -> (Vec<u8>, WallTime) {
    let until = WallTime(now.0.saturating_add(KEPT));
    (kept_value(fingerprint, result, until), until)
}

fn kept_value(fingerprint: &Digest, result: &Result<Vec<u8>, CallError>, until: WallTime) -> Vec<u8> {
    let mut value = fingerprint.0.to_vec();
    value.push(1);
    codec::put_u64(&mut value, until.0);
    encode_result(result, &mut value);
    value
}

/// Appends an answer in the value codec.
pub fn encode_result(result: &Result<Vec<u8>, CallError>, out: &mut Vec<u8>) {
    let (case, text) = match result {
        Ok(bytes) => {
            out.push(0);
            codec::put_bytes(out, bytes);
            return;
        }
        Err(CallError::Refused(text)) => (1, text.clone()),
        Err(CallError::Faulted { cause, committed }) => (if *committed { 3 } else { 2 }, cause.clone()),
        Err(CallError::Timeout) => (4, String::new()),
        Err(CallError::NotFound(actor)) => (6, actor.clone()),
        Err(CallError::Invalid(text)) => (7, text.clone()),
        Err(other) => (5, other.to_string()),
    };
    out.push(case);
    codec::put_str(out, &text);
}

/// Reads what [`encode_result`] wrote.
pub fn decode_result(input: &mut Reader<'_>) -> Result<Result<Vec<u8>, CallError>, codec::Error> {
    let case = input.case(8)?;
    if case == 0 {
        return Ok(Ok(input.bytes()?.to_vec()));
    }
    let text = input.str()?.to_owned();
    Ok(Err(match case {
        1 => CallError::Refused(text),
        2 | 3 => CallError::Faulted { cause: text, committed: case == 3 },
        4 => CallError::Timeout,
        6 => CallError::NotFound(text),
        7 => CallError::Invalid(text),
        _ => CallError::Unavailable(text),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[test]
    fn a_repeat_gets_the_first_answer_and_other_bytes_are_refused() {
        let mut keys = Keys::default();
        let name: Name = ("@client".into(), "k".into());
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let now = WallTime(10);
        let look = |keys: &mut Keys, digest, now, limit| {
            let (reply, answer) = oneshot::channel();
            (keys.look(&name, digest, reply, now, limit), answer)
        };
        assert!(matches!(look(&mut keys, one, now, 1).0, Ok(Looked::New(_))));
        let (looked, mut waits) = look(&mut keys, one, now, 1);
        assert!(matches!(looked, Ok(Looked::Repeat)));
        assert!(matches!(look(&mut keys, two, now, 1).0, Err(CallError::Invalid(_))));
        let (value, until) = done_value(&one, &Ok(vec![7]), now);
        keys.done(&name, &Ok(vec![7]), Gate::default(), until);
        assert_eq!(waits.try_recv().unwrap().result, Ok(vec![7]));
        let mut restored = Keys::default();
        restored.restore(name.clone(), &value).unwrap();
        assert_eq!(look(&mut restored, one, now, 1).1.try_recv().unwrap().result, Ok(vec![7]));
        let other: Name = ("@client".into(), "other".into());
        let (reply, _keep) = oneshot::channel();
        assert!(matches!(restored.look(&other, one, reply, now, 1), Err(CallError::Exhausted(_))));
        assert!(matches!(look(&mut restored, two, WallTime(10 + KEPT), 1).0, Ok(Looked::New(_))));
        assert_eq!(from_table_key(&table_key(&ActorId::parse("a").unwrap(), &name)).unwrap().1, name);
    }
}
