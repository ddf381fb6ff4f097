//! `theater:simple/store`: what actors of a namespace keep by its content, and labels on it.
//!
//! State: `service/keyvalue.rs`. Promises: content is never changed nor removed, so keeping it twice is keeping it once; a label names one
//! content, which is there. Classes: looking is a read; keeping and labelling are node effects, of which the later commit wins;
//! `remove-from-label` is a shared update, decided in the commit. Every size is checked before anything is kept.

use troupe_log::{ActorId, Digest};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::super::common::{self, Error};
use crate::boundary::{Begun, Boundary, Effect, Guest, Wait};
use crate::recordable_record;
use crate::service::keyvalue::{self, MAX_KEY, StoreId, Update, Updated};
use crate::service::waits::{WaitId, Waited};

/// Bytes of a label.
const MAX_LABEL: usize = 512;
/// Bytes that a list answers with.
const MAX_ANSWER: usize = 16 << 20;

/// `record content-ref`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct ContentRef {
    /// BLAKE3 of the content, 64 hexadecimal digits.
    #[component(name = "hash")]
    pub hash: String,
}
recordable_record!(ContentRef { hash });

type Answer<T> = (Result<T, String>,);
type Labelled = (String, String, ContentRef);
type Labelling = (String, String, Vec<u8>);

/// Registers the interface.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    boundary
        .interface("theater:simple/store")?
        .func("new", Effect::Node, |guest: &mut Guest, (): ()| Ok::<Answer<String>, _>((said(new(guest)),)))?
        .func("store", Effect::Node, |guest: &mut Guest, (id, content): (String, Vec<u8>)| {
            Ok::<Answer<ContentRef>, _>((said(keep(guest, &id, content)),))
        })?
        .func("get", Effect::Read, |guest: &mut Guest, (id, content): (String, ContentRef)| {
            Ok::<Answer<Vec<u8>>, _>((said(get(guest, &id, &content)),))
        })?
        .func("exists", Effect::Read, |guest: &mut Guest, (id, content): (String, ContentRef)| {
            let there = Store::open(guest, &id).map(|store| store.has(guest, &content));
            Ok::<Answer<bool>, _>((said(there),))
        })?
        .func("label", Effect::Node, |guest: &mut Guest, (id, label, content): Labelled| {
            Ok::<Answer<()>, _>((said(put_label(guest, &id, &label, &content)),))
        })?
        .func("get-by-label", Effect::Read, |guest: &mut Guest, (id, label): (String, String)| {
            Ok::<Answer<Option<ContentRef>>, _>((said(by_label(guest, &id, &label)),))
        })?
        .func("remove-label", Effect::Node, |guest: &mut Guest, (id, label): (String, String)| {
            Ok::<Answer<()>, _>((said(remove_label(guest, &id, &label)),))
        })?
        .wait("remove-from-label", Wait { begin: remove_from, again: |_, _, _| Ok(()), end: removed })?
        .func("store-at-label", Effect::Node, keep_at)?
        .func("replace-content-at-label", Effect::Node, keep_at)?
        .func("replace-at-label", Effect::Node, |guest: &mut Guest, (id, label, content): Labelled| {
            Ok::<Answer<()>, _>((said(put_label(guest, &id, &label, &content)),))
        })?
        .func("list-labels", Effect::Read, |guest: &mut Guest, (id,): (String,)| {
            let labels = Store::open(guest, &id).and_then(|store| store.list(guest, LABEL));
            Ok::<Answer<Vec<String>>, _>((said(labels),))
        })?
        .func("list-all-content", Effect::Read, |guest: &mut Guest, (id,): (String,)| {
            let all = Store::open(guest, &id).and_then(|store| store.list(guest, CONTENT));
            let all = all.map(|all| all.into_iter().map(|hash| ContentRef { hash }).collect());
            Ok::<Answer<Vec<ContentRef>>, _>((said(all),))
        })?
        .func("calculate-total-size", Effect::Read, |guest: &mut Guest, (id,): (String,)| {
            let size = Store::open(guest, &id).map(|store| store.size(guest));
            Ok::<Answer<u64>, _>((said(size),))
        })?;
    Ok(())
}

fn said<T>(result: Result<T, Error>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// What follows a store's name in a key: content by its hash, or a label. The name alone is the store itself.
const CONTENT: char = 'c';
const LABEL: char = 'l';

/// A store that is there, and granted.
struct Store {
    id: StoreId,
    name: String,
}

impl Store {
    /// An error if it is not granted, else if nobody has made it.
    fn open(guest: &mut Guest, id: &str) -> Result<Store, Error> {
        let full = common::name(guest, id)?;
        common::permit(guest, &full, ("store", "names"), |grants| grants.store.as_deref())?;
        let store = Store::of(&full);
        match store.found(guest, &store.name.clone()) {
            true => Ok(store),
            false => Err(Error::NotFound(format!("store {full}"))),
        }
    }

    fn of(full: &ActorId) -> Store {
        Store { id: StoreId::Content(full.namespace().to_owned()), name: format!("{}\0", full.name()) }
    }

    fn key(&self, what: char, name: &str) -> String {
        format!("{}{what}{name}", self.name)
    }

    fn found(&self, guest: &mut Guest, key: &str) -> bool {
        let (version, gate) = guest.node.shared().keyvalue.version(&self.id, &guest.about.id, key);
        guest.saw(gate);
        version > 0
    }

    fn has(&self, guest: &mut Guest, content: &ContentRef) -> bool {
        is_hash(&content.hash) && self.found(guest, &self.key(CONTENT, &content.hash))
    }

    fn value(&self, guest: &mut Guest, key: &str) -> Option<std::sync::Arc<[u8]>> {
        let (value, gate) = guest.node.shared().keyvalue.get(&self.id, &guest.about.id, key);
        guest.saw(gate);
        value
    }

    fn set(&self, guest: &mut Guest, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        common::room(guest, MAX_KEY + value.as_ref().map_or(0, Vec::len))?;
        let (node, me) = (guest.node.clone(), guest.about.id.clone());
        let change = node.shared().keyvalue.set(&self.id, &me, key, value, guest.batch());
        if let Some(change) = change.map_err(|full| Error::ResourceExhausted(keyvalue::refusal(full)))? {
            guest.stage_service(change);
        }
        Ok(())
    }

    /// What stands behind the kind in every key of it, in order.
    fn list(&self, guest: &mut Guest, what: char) -> Result<Vec<String>, Error> {
        let prefix = self.key(what, "");
        let (mut names, mut bytes) = (Vec::new(), 0);
        let node = guest.node.clone();
        let gate = node.shared().keyvalue.each(&self.id, &guest.about.id, &prefix, |key, _| {
            bytes += key.len();
            let fits = bytes <= MAX_ANSWER;
            if fits {
                names.push(key[prefix.len()..].to_owned());
            }
            fits
        });
        guest.saw(gate);
        match bytes > MAX_ANSWER {
            true => Err(Error::ResourceExhausted(format!("max-answer = {MAX_ANSWER} bytes"))),
            false => Ok(names),
        }
    }

    fn size(&self, guest: &mut Guest) -> u64 {
        let mut all = 0;
        let node = guest.node.clone();
        let gate = node.shared().keyvalue.each(&self.id, &guest.about.id, &self.key(CONTENT, ""), |_, size| {
            all += size as u64;
            true
        });
        guest.saw(gate);
        all
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn check_label(label: &str) -> Result<(), Error> {
    match label.len() {
        1..=MAX_LABEL => Ok(()),
        size => Err(Error::InvalidArgument(format!("a label of {size} bytes: it has 1 to max-label = {MAX_LABEL}"))),
    }
}

fn new(guest: &mut Guest) -> Result<String, Error> {
    let mut random = [0; 16];
    guest.node.entropy(&mut random);
    let full = common::name(guest, &format!("store-{}", hex::encode(random)))?;
    common::permit(guest, &full, ("store", "names"), |grants| grants.store.as_deref())?;
    let store = Store::of(&full);
    store.set(guest, &store.name, Some(Vec::new()))?;
    Ok(full.to_string())
}

fn keep(guest: &mut Guest, id: &str, content: Vec<u8>) -> Result<ContentRef, Error> {
    let store = Store::open(guest, id)?;
    keep_in(guest, &store, content)
}

fn keep_in(guest: &mut Guest, store: &Store, content: Vec<u8>) -> Result<ContentRef, Error> {
    let most = guest.about.limits.payload;
    if content.len() as u64 > most.0 {
        return Err(Error::TooLarge(most.0));
    }
    let found = ContentRef { hash: hex::encode(Digest::of(&content).0) };
    if !store.has(guest, &found) {
        store.set(guest, &store.key(CONTENT, &found.hash), Some(content))?;
    }
    Ok(found)
}

fn get(guest: &mut Guest, id: &str, content: &ContentRef) -> Result<Vec<u8>, Error> {
    let store = Store::open(guest, id)?;
    let found = match is_hash(&content.hash) {
        true => store.value(guest, &store.key(CONTENT, &content.hash)),
        false => None,
    };
    found.map(|bytes| bytes.to_vec()).ok_or_else(|| missing(content))
}

fn missing(content: &ContentRef) -> Error {
    let shown: String = content.hash.chars().take(64).collect();
    Error::NotFound(format!("content {shown}"))
}

fn put_label(guest: &mut Guest, id: &str, label: &str, content: &ContentRef) -> Result<(), Error> {
    let store = Store::open(guest, id)?;
    check_label(label)?;
    match store.has(guest, content) {
        true => store.set(guest, &store.key(LABEL, label), Some(content.hash.clone().into_bytes())),
        false => Err(missing(content)),
    }
}

fn by_label(guest: &mut Guest, id: &str, label: &str) -> Result<Option<ContentRef>, Error> {
    let store = Store::open(guest, id)?;
    check_label(label)?;
    let found = store.value(guest, &store.key(LABEL, label));
    Ok(found.map(|hash| ContentRef { hash: String::from_utf8_lossy(&hash).into_owned() }))
}

fn remove_label(guest: &mut Guest, id: &str, label: &str) -> Result<(), Error> {
    let store = Store::open(guest, id)?;
    check_label(label)?;
    store.set(guest, &store.key(LABEL, label), None)
}

/// Keeps content, and labels it; both functions of Theater do the same, whether the label was there or not.
fn keep_at(guest: &mut Guest, (id, label, content): Labelling) -> wasmtime::Result<Answer<ContentRef>> {
    let kept = Store::open(guest, &id).and_then(|store| {
        check_label(&label)?;
        let content = keep_in(guest, &store, content)?;
        store.set(guest, &store.key(LABEL, &label), Some(content.hash.clone().into_bytes()))?;
        Ok(content)
    });
    Ok((said(kept),))
}

/// Removes a label if it is on this content when the step commits.
fn remove_from(
    guest: &mut Guest,
    (id, label, content): &Labelled,
    wait: &WaitId,
) -> wasmtime::Result<Begun<Answer<()>>> {
    let asked = Store::open(guest, id).and_then(|store| {
        check_label(label)?;
        common::room(guest, 2 * MAX_KEY)?;
        Ok(store)
    });
    let store = match asked {
        Ok(store) => store,
        Err(error) => return Ok(Begun::Now((Err(error.to_string()),))),
    };
    // A label is on nothing else.
    if !is_hash(&content.hash) {
        return Ok(Begun::Now((Ok(()),)));
    }
    let update = Update::Remove(content.hash.as_bytes().into());
    let (node, durable) = (guest.node.clone(), guest.recorder.recording());
    let key = store.key(LABEL, label);
    guest.stage_service(node.shared().keyvalue.ask(&store.id, &key, update, wait, durable));
    Ok(Begun::Parked(None))
}

fn removed(_: &mut Guest, _: &Labelled, _: &WaitId, waited: Waited) -> wasmtime::Result<Answer<()>> {
    let updated = match waited {
        Waited::Completed(bytes) => keyvalue::updated(&bytes).map(|(_, _, updated)| updated),
        // It is completed in the commit in which it began to wait.
        Waited::TimedOut | Waited::DeadlineNear => None,
    };
    Ok((match updated {
        Some(Updated::Swapped | Updated::Changed) => Ok(()),
        Some(Updated::Refused(why)) => Err(why),
        Some(Updated::Number(_)) | None => Err("no answer of the store".to_owned()),
    },))
}
