//! Messages that found no good end: their turn faulted and was given up, or their actor was stopped before it.
//!
//! What stands here stands in the log's table too, from the batch that ended the message. Of one actor so many are kept as its
//! mailbox holds, at least [`LEAST_KEPT`]; then the oldest goes for each new one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use troupe_log::ActorId;
use troupe_log::codec::{Reader, put_str};

use crate::actor::message::{Message, MessageId};

/// So many dead letters of one actor are kept however small its mailbox is.
pub const LEAST_KEPT: usize = 1000;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Whose message it was.
    pub actor: ActorId,
    /// The message, as it came to its last attempt.
    pub message: Arc<Message>,
    /// What became of it.
    pub why: String,
}

impl DeadLetter {
    /// Its key in the table of dead letters.
    pub fn key(&self) -> Vec<u8> {
        format!("{}\0{}", self.actor, self.message.id).into_bytes()
    }

    /// Its value there.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(128 + self.why.len() + self.message.payload.len());
        put_str(&mut value, &self.why);
        self.message.encode(&mut value);
        value
    }

    /// Reads an entry of the table.
    pub fn decode(key: &[u8], value: &[u8]) -> Option<DeadLetter> {
        let (actor, _) = std::str::from_utf8(key).ok()?.split_once('\0')?;
        let mut input = Reader::new(value);
        let why = input.str().ok()?.to_owned();
        let message = Message::decode(&mut input).ok()?;
        input.finish().ok()?;
        let letter = DeadLetter { actor: ActorId::reserved(actor).ok()?, message: Arc::new(message), why };
        (letter.key() == key).then_some(letter)
    }
}

/// All of a node, the oldest of each actor first; those of earlier processes come before all others.
#[derive(Debug, Default)]
pub struct DeadLetters {
    letters: Mutex<BTreeMap<ActorId, Mine>>,
}

/// Those of one actor.
#[derive(Debug, Default)]
struct Mine {
    added: u64,
    by_age: BTreeMap<u64, DeadLetter>,
    ages: HashMap<MessageId, u64>,
}

impl DeadLetters {
    /// One was committed. The same message's earlier one is replaced.
    pub fn add(&self, letter: DeadLetter) {
        let mut letters = self.letters.lock();
        let mine = letters.entry(letter.actor.clone()).or_default();
        mine.added += 1;
        if let Some(before) = mine.ages.insert(letter.message.id, mine.added) {
            mine.by_age.remove(&before);
        }
        mine.by_age.insert(mine.added, letter);
    }

    /// The oldest of an actor that must go for `more` new ones, if its mailbox holds `mailbox` messages. They stay until
    /// [`take`](Self::take)n.
    pub fn surplus(&self, actor: &ActorId, more: usize, mailbox: u32) -> Vec<DeadLetter> {
        let most = LEAST_KEPT.max(mailbox as usize);
        let letters = self.letters.lock();
        let Some(mine) = letters.get(actor) else { return Vec::new() };
        let surplus = (mine.by_age.len() + more).saturating_sub(most);
        mine.by_age.values().take(surplus).cloned().collect()
    }

    /// All, by actor.
    pub fn list(&self) -> Vec<DeadLetter> {
        self.letters.lock().values().flat_map(|mine| mine.by_age.values()).cloned().collect()
    }

    /// Those of one actor.
    pub fn of(&self, actor: &ActorId) -> Vec<DeadLetter> {
        self.letters.lock().get(actor).map(|mine| mine.by_age.values().cloned().collect()).unwrap_or_default()
    }

    /// Takes one out: nobody else finds it from here on.
    pub fn take(&self, actor: &ActorId, message: MessageId) -> Option<DeadLetter> {
        let mut letters = self.letters.lock();
        let mine = letters.get_mut(actor)?;
        let age = mine.ages.remove(&message)?;
        let letter = mine.by_age.remove(&age);
        if mine.by_age.is_empty() {
            letters.remove(actor);
        }
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::message::MessageKind;

    fn letter(id: u128) -> DeadLetter {
        let message = Message {
            id: MessageId(id),
            from: "@client".into(),
            kind: MessageKind::Call,
            message_type: "t".into(),
            payload: vec![1, 2].into(),
            headers: Vec::new(),
            deadline: None,
            trace: None,
            key: None,
            attempt: 3,
            asker: None,
        };
        DeadLetter { actor: ActorId::parse("a").unwrap(), message: Arc::new(message), why: "trap: x".to_owned() }
    }

    #[test]
    fn an_entry_reads_back_and_another_key_or_cut_bytes_do_not() {
        let one = letter(7);
        let (key, value) = (one.key(), one.encode());
        assert_eq!(DeadLetter::decode(&key, &value), Some(one));
        assert_eq!(DeadLetter::decode(&letter(8).key(), &value), None);
        assert_eq!(DeadLetter::decode(b"a", &value), None);
        for cut in 0..value.len() {
            assert_eq!(DeadLetter::decode(&key, &value[..cut]), None);
        }
    }

    #[test]
    fn at_the_limit_the_oldest_goes_for_each_new_one() {
        let (dead, actor) = (DeadLetters::default(), letter(0).actor);
        for id in 0..LEAST_KEPT as u128 {
            assert!(dead.surplus(&actor, 1, 5).is_empty());
            dead.add(letter(id));
        }
        assert_eq!(dead.surplus(&actor, 1, 5), [letter(0)]);
        assert!(dead.surplus(&actor, 1, LEAST_KEPT as u32 + 1).is_empty(), "a larger mailbox");
        assert_eq!(dead.surplus(&actor, 2 * LEAST_KEPT, 5).len(), LEAST_KEPT);
        // Dead again, it is the newest.
        dead.add(letter(0));
        assert_eq!(dead.surplus(&actor, 1, 5), [letter(1)]);
        assert_eq!(dead.take(&actor, MessageId(0)), Some(letter(0)));
        assert_eq!(dead.take(&actor, MessageId(0)), None);
        assert_eq!(dead.list().len(), LEAST_KEPT - 1);
    }
}
