//! Setting messages aside: what a step stages for its dead letters, and what the node knows of them once it is committed.

use std::sync::Arc;

use troupe_log::{ActorId, Table};

use super::message::Message;
use crate::boundary::Guest;
use crate::service::deadletters::{DeadLetter, DeadLetters};

/// Dead letters of a step that is not committed yet.
#[derive(Default)]
#[must_use]
pub(super) struct Burial {
    letters: Vec<DeadLetter>,
    /// Older ones that go for them.
    surplus: Vec<DeadLetter>,
}

/// Stages that these messages of an actor are dead letters, and why.
pub(super) fn bury(
    dead: &DeadLetters,
    actor: &ActorId,
    guest: &mut Guest,
    messages: impl IntoIterator<Item = (Arc<Message>, String)>,
) -> Burial {
    let letter = |(message, why)| DeadLetter { actor: actor.clone(), message, why };
    let letters: Vec<DeadLetter> = messages.into_iter().map(letter).collect();
    let surplus = dead.surplus(actor, letters.len(), guest.about.limits.mailbox.get());
    for letter in &surplus {
        guest.delete(Table::DEADLETTERS, &letter.key());
    }
    for letter in &letters {
        guest.put(Table::DEADLETTERS, &letter.key(), &letter.encode());
    }
    Burial { letters, surplus }
}

impl Burial {
    /// The step is committed.
    pub(super) fn done(self, dead: &DeadLetters) {
        for letter in self.surplus {
            tracing::warn!(actor = %letter.actor, message = %letter.message.id, "the oldest dead letter is removed");
            dead.take(&letter.actor, letter.message.id);
        }
        for letter in self.letters {
            dead.add(letter);
        }
    }
}
