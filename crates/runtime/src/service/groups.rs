//! Groups: named sets of actors.
//!
//! Owns who is in which group. A membership is a row from the batch of the step that joined to that of the step that left or
//! ended the actor. Members have the order of their ids.

use troupe_log::{ActorId, Batch, Table};

use super::holdings::Holdings;
use super::waits::WaitId;
use super::{Ended, Party, Service};
use crate::actor::message::Gate;
use crate::boundary::Staging;

/// Groups that one actor may be in: what it leaves with its end is one batch.
pub const MAX_MEMBERSHIPS: usize = 256;
/// Members that one group may have: a list of them is one answer, and so many messages are sent at once.
pub const MAX_MEMBERS: usize = 4096;

const VERSION: u8 = 1;

/// Why an actor cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// It is in [`MAX_MEMBERSHIPS`] groups.
    Memberships,
    /// The group has [`MAX_MEMBERS`] members.
    Members,
}

/// The groups of a node, by the keys of the rows.
#[derive(Default)]
pub struct Groups(Holdings<ActorId>);

fn prefix(group: &ActorId) -> String {
    format!("{group}\0")
}

fn key(group: &ActorId, member: &ActorId) -> String {
    format!("{group}\0{member}")
}

impl Groups {
    /// Stages that an actor is a member; none if it is one already.
    pub fn join(&self, group: &ActorId, me: &ActorId, batch: &mut Batch) -> Result<Option<impl Staging + use<>>, Full> {
        let key = key(group, me);
        let mut state = self.0.lock();
        if state.all.get(&key, me).is_some() {
            return Ok(None);
        }
        if state.others_of(me, &key) >= MAX_MEMBERSHIPS {
            return Err(Full::Memberships);
        }
        let prefix = prefix(group);
        // Those who are joining count too, or two steps at once would pass the bound.
        if state.all.keys_from(&prefix).take_while(|key| key.starts_with(&prefix)).count() >= MAX_MEMBERS {
            return Err(Full::Members);
        }
        batch.put(Table::GROUPS, key.as_bytes(), &[VERSION]);
        state.stage(&key, me, Some(me.clone()));
        Ok(Some(self.0.change(vec![key], me)))
    }

    /// Stages that an actor is no member any more; none if it is not one.
    pub fn leave(&self, group: &ActorId, me: &ActorId, batch: &mut Batch) -> Option<impl Staging + use<>> {
        let key = key(group, me);
        let mut state = self.0.lock();
        state.all.get(&key, me)?;
        batch.delete(Table::GROUPS, key.as_bytes());
        state.stage(&key, me, None);
        Some(self.0.change(vec![key], me))
    }

    /// The members as this actor sees them, and what that depends on.
    pub fn members(&self, group: &ActorId, me: &ActorId) -> (Vec<ActorId>, Gate) {
        let prefix = prefix(group);
        let state = self.0.lock();
        let members = state.all.from(&prefix, me).take_while(|(key, _)| key.starts_with(&prefix));
        (members.map(|(_, member)| member.clone()).collect(), state.gate)
    }
}

impl Service for Groups {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let (Ok(key), [VERSION]) = (std::str::from_utf8(key), value) else { return false };
        let Some((group, member)) = key.split_once('\0') else { return false };
        let (Ok(_), Ok(member)) = (ActorId::parse(group), ActorId::reserved(member)) else { return false };
        self.0.restore(key.to_owned(), member);
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn ended(&self, _: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        self.0.ended(Table::GROUPS, end, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::{commit, id};

    #[test]
    fn a_join_is_seen_by_others_when_it_is_committed_and_the_last_place_is_kept_for_it() {
        let (groups, group, mut batch) = (Groups::default(), id("team"), Batch::new());
        for n in 1..MAX_MEMBERS {
            assert!(groups.restore(key(&group, &id(&format!("m{n}"))).as_bytes(), &[VERSION]));
        }
        let joins = groups.join(&group, &id("a"), &mut batch).unwrap().unwrap();
        assert_eq!(groups.members(&group, &id("a")).0.len(), MAX_MEMBERS);
        assert_eq!(groups.members(&group, &id("b")).0.len(), MAX_MEMBERS - 1);
        assert_eq!(groups.join(&group, &id("b"), &mut batch).err(), Some(Full::Members));
        drop(joins);
        let joins = groups.join(&group, &id("b"), &mut batch).unwrap().unwrap();
        assert_eq!(groups.join(&group, &id("a"), &mut batch).err(), Some(Full::Members));
        commit(vec![Box::new(joins)]);
        let (members, _) = groups.members(&group, &id("a"));
        assert!(members.contains(&id("b")) && !members.contains(&id("a")));
        assert!(members.is_sorted());
    }
}
