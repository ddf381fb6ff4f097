//! The registry: names that actors are found by, with what they say about themselves.
//!
//! Owns who has which name. A registration is a row from the batch of the step that made it to that of the step that gave it up
//! or ended the actor. A name has one owner: from the moment at which a step takes it, whether that is committed or not yet.

use troupe_log::codec::{Reader, put_str, put_u8, put_u32};
use troupe_log::{ActorId, Batch, Table};

use super::holdings::{Held, Holdings};
use super::waits::WaitId;
use super::{Ended, Party, Service};
use crate::actor::message::Gate;
use crate::boundary::Staging;

/// Names that one actor may have: what it gives up with its end is one batch.
pub const MAX_NAMES: usize = 256;
/// Bytes of one registration's metadata: every discovery looks at all of it.
pub const MAX_METADATA: usize = 4 << 10;
/// Registrations that one discovery may find: they are one answer.
pub const MAX_FOUND: usize = 1000;

const VERSION: u8 = 1;

/// Names and values.
pub type Metadata = Vec<(String, String)>;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who has it.
    pub actor: ActorId,
    /// What it says about itself.
    pub metadata: Metadata,
}

/// Why a name cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Another has it, or is taking it.
    Taken,
    /// The actor has [`MAX_NAMES`] names.
    Full,
}

impl Held for Registration {
    fn holder(&self) -> &ActorId {
        &self.actor
    }
}

/// The registry of a node, by names.
#[derive(Default)]
pub struct Registry(Holdings<Registration>);

impl Registry {
    /// Stages that the name is this actor's, with this metadata.
    pub fn register(
        &self,
        name: &ActorId,
        me: &ActorId,
        metadata: Metadata,
        batch: &mut Batch,
    ) -> Result<impl Staging + use<>, Refused> {
        let name = name.as_str();
        let mut state = self.0.lock();
        let owned = state.all.committed(name);
        if owned.is_some_and(|owned| owned.actor != *me) || state.all.staged_by_others(name, me) {
            return Err(Refused::Taken);
        }
        if owned.is_none() && state.others_of(me, name) >= MAX_NAMES {
            return Err(Refused::Full);
        }
        let registration = Registration { actor: me.clone(), metadata };
        batch.put(Table::REGISTRY, name.as_bytes(), &encode(&registration));
        state.stage(name, me, Some(registration));
        Ok(self.0.change(vec![name.to_owned()], me))
    }

    /// Stages that the name is nobody's; none if it is not this actor's.
    pub fn unregister(&self, name: &ActorId, me: &ActorId, batch: &mut Batch) -> Option<impl Staging + use<>> {
        let name = name.as_str();
        let mut state = self.0.lock();
        state.all.get(name, me).filter(|registration| registration.actor == *me)?;
        batch.delete(Table::REGISTRY, name.as_bytes());
        state.stage(name, me, None);
        Some(self.0.change(vec![name.to_owned()], me))
    }

    /// Who has the name, as this actor sees it, and what that depends on.
    pub fn lookup(&self, name: &ActorId, me: &ActorId) -> (Option<Registration>, Gate) {
        let state = self.0.lock();
        (state.all.get(name.as_str(), me).cloned(), state.gate)
    }

    /// All whose metadata has each of these pairs, by name, of those names that `may` be seen; an error beyond [`MAX_FOUND`].
    #[allow(clippy::type_complexity)]
    pub fn discover(
        &self,
        wanted: &[(String, String)],
        me: &ActorId,
        may: impl Fn(&ActorId) -> bool,
    ) -> Result<(Vec<(ActorId, Registration)>, Gate), TooMany> {
        let state = self.0.lock();
        let mut found = Vec::new();
        for (name, registration) in state.all.from("", me) {
            if !wanted.iter().all(|pair| registration.metadata.contains(pair)) {
                continue;
            }
            let Ok(name) = ActorId::parse(name) else { continue };
            if !may(&name) {
                continue;
            }
            if found.len() == MAX_FOUND {
                return Err(TooMany);
            }
            found.push((name, registration.clone()));
        }
        Ok((found, state.gate))
    }
}

/// A discovery found more than [`MAX_FOUND`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// What the metadata takes.
pub fn size(metadata: &[(String, String)]) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len() + 8).sum()
}

fn encode(registration: &Registration) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + size(&registration.metadata));
    put_u8(&mut out, VERSION);
    put_str(&mut out, registration.actor.as_str());
    put_u32(&mut out, registration.metadata.len() as u32);
    for (name, value) in &registration.metadata {
        put_str(&mut out, name);
        put_str(&mut out, value);
    }
    out
}

fn decode(value: &[u8]) -> Option<Registration> {
    let mut input = Reader::new(value);
    if input.u8().ok()? != VERSION {
        return None;
    }
    let actor = ActorId::reserved(input.str().ok()?).ok()?;
    let count = input.len(8).ok()?;
    let mut metadata = Vec::with_capacity(count);
    for _ in 0..count {
        metadata.push((input.str().ok()?.to_owned(), input.str().ok()?.to_owned()));
    }
    input.finish().ok()?;
    Some(Registration { actor, metadata })
}

impl Service for Registry {
    fn restore(&self, key: &[u8], value: &[u8]) -> bool {
        let Some(name) = std::str::from_utf8(key).ok().and_then(|name| ActorId::parse(name).ok()) else { return false };
        let Some(registration) = decode(value) else { return false };
        self.0.restore(name.to_string(), registration);
        true
    }

    fn withdraw(&self, _: &WaitId) {}

    fn ended(&self, _: &dyn Party, end: &Ended<'_>, batch: &mut Batch) -> Vec<Box<dyn Staging>> {
        self.0.ended(Table::REGISTRY, end, batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::{commit, id};

    #[test]
    fn a_row_reads_back_and_cut_bytes_do_not() {
        let actor = ActorId::parse("ns/a").unwrap();
        let one = Registration { actor, metadata: vec![("kind".to_owned(), "printer".to_owned())] };
        let value = encode(&one);
        assert_eq!(decode(&value), Some(one));
        for cut in 0..value.len() {
            assert_eq!(decode(&value[..cut]), None);
        }
    }

    #[test]
    fn a_name_has_one_owner_from_the_moment_at_which_a_step_takes_it() {
        let (registry, mut batch) = (Registry::default(), Batch::new());
        let (a, b, name) = (id("a"), id("b"), id("printer"));
        let taken = registry.register(&name, &a, Vec::new(), &mut batch).unwrap();
        assert_eq!(registry.lookup(&name, &b).0, None, "not committed");
        assert_eq!(registry.lookup(&name, &a).0.unwrap().actor, a);
        assert_eq!(registry.register(&name, &b, Vec::new(), &mut batch).err(), Some(Refused::Taken));
        drop(taken);
        let taken = registry.register(&name, &b, Vec::new(), &mut batch).unwrap();
        commit(vec![Box::new(taken)]);
        assert_eq!(registry.lookup(&name, &a).0.unwrap().actor, b);
        // Given up and not committed, it is its owner's still.
        let given_up = registry.unregister(&name, &b, &mut batch).unwrap();
        assert_eq!(registry.lookup(&name, &b).0, None);
        assert_eq!(registry.register(&name, &a, Vec::new(), &mut batch).err(), Some(Refused::Taken));
        commit(vec![Box::new(given_up)]);
        assert!(registry.register(&name, &a, Vec::new(), &mut batch).is_ok());
    }
}
