//! `wasi:keyvalue`, drafts 0.2.0-draft2 and 0.2.0-draft: stores of the actor's own, and shared ones.
//!
//! Which of the two an identifier names the grant says, not the guest: one that `shared` has is shared, else one that `own` has is the
//! actor's. Classes: looking is a read; what an actor sets in any store, and increments and swaps in its own stores, are node
//! effects; increments and swaps in shared stores are shared updates, decided in the commit. A bucket is made again after a
//! crash; a `cas` is dead then, and each function says so by the interface's error.

use std::str::FromStr;

use troupe_log::ActorId;
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use crate::boundary::{Begun, Boundary, Effect, Extra, Guest, Handle, Params, Results, Wait};
use crate::host::common;
use crate::manifest::covers;
use crate::service::keyvalue::{self, Delta, MAX_KEY, StoreId, Update, Updated};
use crate::service::waits::{WaitId, Waited};
use crate::{recordable_record, recordable_variant};

/// Bytes that one `get-many` answers with: it may name the same large value many times.
const MAX_ANSWER: usize = 16 << 20;

/// `resource bucket`.
pub struct Bucket {
    id: StoreId,
}

/// `resource cas`.
pub struct Cas {
    id: StoreId,
    key: String,
    version: u64,
}

/// `variant error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Error {
    /// No name of a store.
    #[component(name = "no-such-store")]
    NoSuchStore,
    /// Not granted.
    #[component(name = "access-denied")]
    AccessDenied,
    /// In words.
    #[component(name = "other")]
    Other(String),
}
recordable_variant!(Error { NoSuchStore, AccessDenied, Other(text) });

/// `variant cas-error`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum CasError {
    /// Nothing was swapped, for this reason.
    #[component(name = "store-error")]
    StoreError(Error),
    /// Somebody was first: a new handle.
    #[component(name = "cas-failed")]
    CasFailed(Resource<Cas>),
}
recordable_variant!(CasError [true] { StoreError(error), CasFailed(cas) });

/// `record key-response` of 0.2.0-draft2.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Keys {
    keys: Vec<String>,
    cursor: Option<String>,
}
recordable_record!(Keys { keys, cursor });

/// `record key-response` of 0.2.0-draft.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct NumberedKeys {
    keys: Vec<String>,
    cursor: Option<u64>,
}
recordable_record!(NumberedKeys { keys, cursor });

type Store = Resource<Bucket>;
type Answer<T> = (Result<T, Error>,);

/// Registers both drafts.
pub(super) fn link(boundary: &mut Boundary) -> wasmtime::Result<()> {
    const STORE: &str = "wasi:keyvalue/store@0.2.0-draft2";
    store(boundary, STORE)?;
    boundary.interface(STORE)?.func_with(
        "[method]bucket.list-keys",
        Effect::Read,
        lost(),
        |guest: &mut Guest, (bucket, cursor): (Store, Option<String>)| {
            let id = stored(guest, &bucket)?;
            let (keys, more) = keys(guest, &id, cursor.as_deref(), 0);
            let cursor = if more { keys.last().cloned() } else { None };
            Ok::<Answer<Keys>, _>((Ok(Keys { keys, cursor }),))
        },
    )?;
    const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft2";
    increment::<i64>(boundary, ATOMICS)?;
    compare_and_swap(boundary, ATOMICS)?;
    const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft2";
    many(boundary, BATCH, |key, value| (key, value))?;

    const OLD_STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
    store(boundary, OLD_STORE)?;
    boundary.interface(OLD_STORE)?.func_with(
        "[method]bucket.list-keys",
        Effect::Read,
        lost(),
        |guest: &mut Guest, (bucket, cursor): (Store, Option<u64>)| {
            let id = stored(guest, &bucket)?;
            let skip = cursor.unwrap_or(0);
            let (keys, more) = keys(guest, &id, None, usize::try_from(skip).unwrap_or(usize::MAX));
            let cursor = more.then(|| skip + keys.len() as u64);
            Ok::<Answer<NumberedKeys>, _>((Ok(NumberedKeys { keys, cursor }),))
        },
    )?;
    increment::<u64>(boundary, "wasi:keyvalue/atomics@0.2.0-draft")?;
    many(boundary, "wasi:keyvalue/batch@0.2.0-draft", |key, value| value.map(|value| (key, value)))
}

/// What is said of a bucket that is not granted any more after a restart.
fn lost<P, T>() -> Extra<P, Answer<T>> {
    Extra::default().lost(|_| Ok((Err(Error::AccessDenied),)))
}

// ---- store ----

fn store(boundary: &mut Boundary, interface: &'static str) -> wasmtime::Result<()> {
    boundary
        .interface(interface)?
        .resource("bucket", |guest, bucket: Store| {
            guest.table.delete(bucket)?;
            Ok(())
        })?
        .func_with(
            "open",
            Effect::Read,
            Extra::default().renew(|guest, _, (identifier,): &(String,)| {
                Ok(open(guest, identifier)?.ok().map(|bucket| bucket.rep()))
            }),
            |guest: &mut Guest, (identifier,): (String,)| Ok((open(guest, &identifier)?,)),
        )?
        .func_with("[method]bucket.get", Effect::Read, lost(), |guest: &mut Guest, (bucket, key): (Store, String)| {
            let id = stored(guest, &bucket)?;
            Ok::<Answer<Option<Vec<u8>>>, _>((get(guest, &id, &key),))
        })?
        .func_with(
            "[method]bucket.exists",
            Effect::Read,
            lost(),
            |guest: &mut Guest, (bucket, key): (Store, String)| {
                let id = stored(guest, &bucket)?;
                Ok::<Answer<bool>, _>((version(guest, &id, &key).map(|version| version > 0),))
            },
        )?
        .func_with(
            "[method]bucket.set",
            Effect::Node,
            lost(),
            |guest: &mut Guest, (bucket, key, value): (Store, String, Vec<u8>)| {
                let id = stored(guest, &bucket)?;
                Ok::<Answer<()>, _>((set(guest, &id, &key, Some(value)),))
            },
        )?
        .func_with(
            "[method]bucket.delete",
            Effect::Node,
            lost(),
            |guest: &mut Guest, (bucket, key): (Store, String)| {
                let id = stored(guest, &bucket)?;
                Ok::<Answer<()>, _>((set(guest, &id, &key, None),))
            },
        )?;
    Ok(())
}

/// Which store an identifier names for this actor; the empty one is `default`.
fn identify(guest: &mut Guest, identifier: &str) -> Result<StoreId, Error> {
    let identifier = if identifier.is_empty() { "default" } else { identifier };
    let full: ActorId = common::name(guest, identifier).map_err(|_| Error::NoSuchStore)?;
    let own = guest.about.id.namespace();
    let granted = guest.about.grants.keyvalue.as_ref();
    if granted.is_some_and(|granted| covers(&granted.shared, own, &full)) {
        return Ok(StoreId::Shared(full));
    }
    if full.namespace() == own && granted.is_some_and(|granted| covers(&granted.own, own, &full)) {
        return Ok(StoreId::Own(guest.about.id.clone(), full.name().to_owned()));
    }
    guest.recorder.deny("keyvalue");
    Err(Error::AccessDenied)
}

fn open(guest: &mut Guest, identifier: &str) -> wasmtime::Result<Result<Store, Error>> {
    match identify(guest, identifier) {
        Ok(id) => Ok(Ok(guest.table.push(Bucket { id })?)),
        Err(error) => Ok(Err(error)),
    }
}

fn stored(guest: &Guest, bucket: &Store) -> wasmtime::Result<StoreId> {
    Ok(guest.table.get(bucket)?.id.clone())
}

fn check(key: &str) -> Result<(), Error> {
    match key.len() > MAX_KEY {
        true => Err(Error::Other(format!("a key has at most max-key = {MAX_KEY} bytes"))),
        false => Ok(()),
    }
}

fn check_value(guest: &Guest, size: usize) -> Result<(), Error> {
    let limit = guest.about.limits.payload;
    match size as u64 > limit.0 {
        true => Err(Error::Other(format!("a value has at most payload = {limit}"))),
        false => Ok(()),
    }
}

fn room(guest: &mut Guest, bytes: usize) -> Result<(), Error> {
    common::room(guest, bytes).map_err(|error| match error {
        common::Error::ResourceExhausted(limit) => Error::Other(limit),
        other => Error::Other(format!("{other:?}")),
    })
}

fn get(guest: &mut Guest, id: &StoreId, key: &str) -> Result<Option<Vec<u8>>, Error> {
    check(key)?;
    let (value, gate) = guest.node.shared().keyvalue.get(id, &guest.about.id, key);
    guest.saw(gate);
    Ok(value.map(|value| value.to_vec()))
}

fn version(guest: &mut Guest, id: &StoreId, key: &str) -> Result<u64, Error> {
    check(key)?;
    let (version, gate) = guest.node.shared().keyvalue.version(id, &guest.about.id, key);
    guest.saw(gate);
    Ok(version)
}

fn keys(guest: &mut Guest, id: &StoreId, after: Option<&str>, skip: usize) -> (Vec<String>, bool) {
    let (keys, more, gate) = guest.node.shared().keyvalue.keys(id, &guest.about.id, after, skip);
    guest.saw(gate);
    (keys, more)
}

fn set(guest: &mut Guest, id: &StoreId, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
    check(key)?;
    let size = value.as_ref().map_or(0, Vec::len);
    check_value(guest, size)?;
    room(guest, MAX_KEY + size)?;
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    let change = node.shared().keyvalue.set(id, &me, key, value, guest.batch());
    if let Some(change) = change.map_err(|full| Error::Other(keyvalue::refusal(full)))? {
        guest.stage_service(change);
    }
    Ok(())
}

// ---- batch ----

fn many<T>(
    boundary: &mut Boundary,
    interface: &'static str,
    pair: fn(String, Option<Vec<u8>>) -> T,
) -> wasmtime::Result<()>
where
    (Result<Vec<T>, Error>,): Results,
    T: 'static,
{
    boundary
        .interface(interface)?
        .func_with("get-many", Effect::Read, lost(), move |guest: &mut Guest, params: (Store, Vec<String>)| {
            let (bucket, keys) = params;
            let id = stored(guest, &bucket)?;
            Ok((get_many(guest, &id, keys, pair),))
        })?
        .func_with(
            "set-many",
            Effect::Node,
            lost::<_, ()>(),
            |guest: &mut Guest, params: (Store, Vec<(String, Vec<u8>)>)| {
                let (bucket, pairs) = params;
                let id = stored(guest, &bucket)?;
                let mut pairs = pairs.into_iter();
                Ok::<Answer<()>, _>((pairs.try_for_each(|(key, value)| set(guest, &id, &key, Some(value))),))
            },
        )?
        .func_with(
            "delete-many",
            Effect::Node,
            lost::<_, ()>(),
            |guest: &mut Guest, params: (Store, Vec<String>)| {
                let (bucket, keys) = params;
                let id = stored(guest, &bucket)?;
                Ok::<Answer<()>, _>((keys.iter().try_for_each(|key| set(guest, &id, key, None)),))
            },
        )?;
    Ok(())
}

fn get_many<T>(
    guest: &mut Guest,
    id: &StoreId,
    keys: Vec<String>,
    pair: fn(String, Option<Vec<u8>>) -> T,
) -> Result<Vec<T>, Error> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for key in keys {
        let value = get(guest, id, &key)?;
        bytes += key.len() + value.as_ref().map_or(0, Vec::len) + keyvalue::OVERHEAD;
        if bytes > MAX_ANSWER {
            return Err(Error::Other(format!("get-many answers with at most max-answer = {MAX_ANSWER} bytes")));
        }
        found.push(pair(key, value));
    }
    Ok(found)
}

// ---- atomics ----

/// What a draft increments by.
trait Number: FromStr + Copy + Send + Sync + 'static {
    fn delta(self) -> Delta;
}
impl Number for i64 {
    fn delta(self) -> Delta {
        Delta::Signed(self)
    }
}
impl Number for u64 {
    fn delta(self) -> Delta {
        Delta::Unsigned(self)
    }
}

fn increment<N: Number>(boundary: &mut Boundary, interface: &'static str) -> wasmtime::Result<()>
where
    (Store, String, N): Params + Sync,
    (Result<N, Error>,): Results,
{
    boundary.interface(interface)?.wait(
        "increment",
        Wait {
            begin: |guest: &mut Guest, (bucket, key, delta): &(Store, String, N), wait: &WaitId| {
                let update = Update::Add(delta.delta());
                let id = match waiting(guest, bucket)?.and_then(|id| check(key).map(|()| id)) {
                    Ok(id) => id,
                    Err(error) => return Ok(Begun::Now((Err(error),))),
                };
                Ok(match ask(guest, &id, key, update, wait) {
                    Some(updated) => Begun::Now((number(updated),)),
                    None => Begun::Parked(None),
                })
            },
            again: |_, _, _| Ok(()),
            end: |_, _, _, waited| Ok((decided(waited).and_then(|(_, _, updated)| number(updated)),)),
        },
    )?;
    Ok(())
}

fn number<N: Number>(updated: Updated) -> Result<N, Error> {
    match updated {
        Updated::Number(text) => text.parse().map_err(|_| Error::Other(format!("{text} is out of range"))),
        Updated::Refused(why) => Err(Error::Other(why)),
        Updated::Swapped | Updated::Changed => Err(Error::Other("not a number's answer".to_owned())),
    }
}

fn compare_and_swap(boundary: &mut Boundary, interface: &'static str) -> wasmtime::Result<()> {
    boundary
        .interface(interface)?
        .resource("cas", |guest, cas: Resource<Cas>| {
            guest.table.delete(cas)?;
            Ok(())
        })?
        .func_with("[static]cas.new", Effect::Read, lost(), |guest: &mut Guest, (bucket, key): (Store, String)| {
            let id = stored(guest, &bucket)?;
            let version = match version(guest, &id, &key) {
                Ok(version) => version,
                Err(error) => return Ok((Err(error),)),
            };
            Ok::<Answer<Resource<Cas>>, _>((Ok(guest.table.push(Cas { id, key, version })?),))
        })?
        .func_with(
            "[method]cas.current",
            Effect::Read,
            Extra::default().lost(|_| Ok((Err(dead()),))),
            |guest: &mut Guest, (cas,): (Resource<Cas>,)| {
                let Cas { id, key, .. } = guest.table.get(&cas)?;
                let (id, key) = (id.clone(), key.clone());
                Ok::<Answer<Option<Vec<u8>>>, _>((get(guest, &id, &key),))
            },
        )?
        .wait("swap", Wait { begin: swap_begin, again: |_, _, _| Ok(()), end: swap_end })?;
    Ok(())
}

type Swap = (Resource<Cas>, Vec<u8>);
type Swapped = (Result<(), CasError>,);

fn dead() -> Error {
    Error::Other("this cas did not survive a restart: make a new one".to_owned())
}

fn swap_begin(guest: &mut Guest, (cas, value): &Swap, wait: &WaitId) -> wasmtime::Result<Begun<Swapped>> {
    let refused = |error| Ok(Begun::Now((Err(CasError::StoreError(error)),)));
    let real = match guest.recorder.recording() {
        true => guest.recorder.resources.to_real(Handle { rep: cas.rep(), owned: true }).ok(),
        false => Some(cas.rep()),
    };
    let Some(real) = real else { return refused(dead()) };
    let Cas { id, key, version } = guest.table.delete(Resource::<Cas>::new_own(real))?;
    let room = check_value(guest, value.len()).and_then(|()| room(guest, MAX_KEY + value.len()));
    if let Err(error) = room {
        return refused(error);
    }
    let update = Update::Swap { version, value: value.as_slice().into() };
    match ask(guest, &id, &key, update, wait) {
        None => Ok(Begun::Parked(None)),
        Some(updated) => Ok(Begun::Now(swapped(guest, id, key, updated)?)),
    }
}

fn swap_end(guest: &mut Guest, _: &Swap, _: &WaitId, waited: Waited) -> wasmtime::Result<Swapped> {
    match decided(waited) {
        Ok((id, key, updated)) => swapped(guest, id, key, updated),
        Err(error) => Ok((Err(CasError::StoreError(error)),)),
    }
}

fn swapped(guest: &mut Guest, id: StoreId, key: String, updated: Updated) -> wasmtime::Result<Swapped> {
    Ok((match updated {
        Updated::Swapped => Ok(()),
        Updated::Changed => Err(match version(guest, &id, &key) {
            Ok(version) => CasError::CasFailed(guest.table.push(Cas { id, key, version })?),
            Err(error) => CasError::StoreError(error),
        }),
        Updated::Refused(why) => Err(CasError::StoreError(Error::Other(why))),
        Updated::Number(_) => Err(CasError::StoreError(Error::Other("not a swap's answer".to_owned()))),
    },))
}

/// The store behind a bucket in the parameters of a wait, which are the guest's.
fn waiting(guest: &mut Guest, bucket: &Store) -> wasmtime::Result<Result<StoreId, Error>> {
    let real = match guest.recorder.recording() {
        true => guest.real(bucket.rep())?,
        false => Some(bucket.rep()),
    };
    match real {
        Some(real) => Ok(Ok(stored(guest, &Resource::new_borrow(real))?)),
        None => Ok(Err(Error::AccessDenied)),
    }
}

/// Updates an own store at once; a shared one when the step commits, which is none.
fn ask(guest: &mut Guest, id: &StoreId, key: &str, update: Update, wait: &WaitId) -> Option<Updated> {
    let (node, me) = (guest.node.clone(), guest.about.id.clone());
    let service = &node.shared().keyvalue;
    match id {
        StoreId::Own(..) => {
            if let Err(Error::Other(why)) = room(guest, MAX_KEY) {
                return Some(Updated::Refused(why));
            }
            let (updated, change) = service.update(id, &me, key, &update, guest.batch());
            if let Some(change) = change {
                guest.stage_service(change);
            }
            Some(updated)
        }
        StoreId::Shared(_) | StoreId::Content(_) => {
            let durable = guest.recorder.recording();
            guest.stage_service(service.ask(id, key, update, wait, durable));
            None
        }
    }
}

fn decided(waited: Waited) -> Result<(StoreId, String, Updated), Error> {
    match waited {
        Waited::Completed(bytes) => {
            keyvalue::updated(&bytes).ok_or_else(|| Error::Other("a completion that cannot be read".to_owned()))
        }
        // It is completed in the commit in which it began to wait.
        Waited::TimedOut | Waited::DeadlineNear => Err(Error::Other("the deadline of the turn is near".to_owned())),
    }
}
