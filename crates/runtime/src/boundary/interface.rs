//! The door itself: how a host function is registered, and what happens when a guest calls it.
//!
//! Registration is the only way to the linker, so a call cannot be linked without being recorded, compared in replay,
//! and treated as its effect class says. The two `cross` functions are the whole of what stands between guest and host.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use troupe_log::codec::Reader;
use troupe_log::{Kind, Mark, NodeTime, Table};
use wasmtime::component::{ComponentNamedList, Lift, Lower, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};

use super::Boundary;
use super::derived::{Derived, Past};
use super::effect::{Effect, Tag, function_name};
use super::error::{Divergence, Restrained};
use super::guest::Guest;
use super::recordable::{DecodeError, Recordable};
use super::recorder::Recalled;
use super::registry::{self, Entry};
use super::resources::Lost;
use crate::manifest::Grants;
use crate::node::phases::{During, Phase};
use crate::service::waits::{Completion, WaitId, Waited};

/// An `async` closure or function that lends the guest across its awaits.
pub trait AsyncHost<'a, P, R>: Send + Sync {
    /// What it returns.
    type Future: Future<Output = Result<R>> + Send + 'a;
    /// Calls it.
    fn call(&self, guest: &'a mut Guest, params: P) -> Self::Future;
}

impl<'a, P, R, F, Fut> AsyncHost<'a, P, R> for F
where
    F: Fn(&'a mut Guest, P) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R>> + Send + 'a,
{
    type Future = Fut;
    fn call(&self, guest: &'a mut Guest, params: P) -> Fut {
        self(guest, params)
    }
}

/// How a wait begins.
pub enum Begun<R> {
    /// There is nothing to wait for: this is the answer, and the step goes on.
    Now(R),
    /// What the wait needs is staged; the step is committed and the guest parked, at most until this node time.
    Parked(Option<NodeTime>),
}

/// The three parts of a wait; see [`Interface::wait`].
pub struct Wait<P, R> {
    /// Stages what the wait needs, or says that there is nothing to wait for.
    pub begin: fn(&mut Guest, &P, &WaitId) -> Result<Begun<R>>,
    /// After a restart, before it waits again under the same id: tells the service, where that does not know by itself.
    pub again: fn(&mut Guest, &P, &WaitId) -> Result<()>,
    /// Turns the completion, or its absence, into the answer. What it stages or does to tables is of the next step.
    pub end: fn(&mut Guest, &P, &WaitId, Waited) -> Result<R>,
}

impl<P, R> Clone for Wait<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P, R> Copy for Wait<P, R> {}

/// Parameters of a host function.
pub trait Params: ComponentNamedList + Lift + Recordable + Debug + Send + 'static {}
impl<T: ComponentNamedList + Lift + Recordable + Debug + Send + 'static> Params for T {}
/// Results of a host function.
pub trait Results: ComponentNamedList + Lower + Recordable + Debug + Send + 'static {}
impl<T: ComponentNamedList + Lower + Recordable + Debug + Send + 'static> Results for T {}

/// One interface in the making.
pub struct Interface<'b> {
    pub(super) boundary: &'b mut Boundary,
    pub(super) name: &'static str,
}

/// Makes one resource of a recorded call again; see [`Extra::renew`].
pub type Renew<P> = fn(&mut Guest, u32, &P) -> Result<Option<u32>>;

/// The section of the grants that a function needs, and whether it is there. Asked before anything is read.
pub type Grant = (&'static str, fn(&Grants) -> bool);

/// Makes a result from the journal before the call; see [`Interface::func_derived`].
pub type Derive<P, R> = fn(&mut Guest, &P, &Past) -> Result<R>;

/// What a registration says beyond name, class and handler.
pub struct Extra<P, R> {
    /// Applies what the call left in the turn when its answer comes from the journal.
    replayed: Option<fn(&mut Guest, &P, &R)>,
    /// The interface's own error for a resource that did not survive recovery.
    lost: Option<fn(&mut Guest) -> Result<R>>,
    /// The interface's own error for an effect whose outcome is unknown after a crash.
    unknown: Option<fn(&mut Guest, &P) -> Result<R>>,
    /// Makes what it returned again after a crash.
    renew: Option<Renew<P>>,
    /// Decides the class of one call where it depends on the arguments.
    class: Option<fn(&mut Guest, &P) -> Effect>,
    /// Its resources are values: the handler runs in replay too.
    value: bool,
    /// Notes what a resource that was handed out is made of.
    noted: Option<fn(&mut Guest, &R) -> Result<()>>,
    _types: PhantomData<fn(P) -> R>,
}

impl<P, R> Default for Extra<P, R> {
    fn default() -> Self {
        Extra {
            replayed: None,
            lost: None,
            unknown: None,
            renew: None,
            class: None,
            value: false,
            noted: None,
            _types: PhantomData,
        }
    }
}

impl<P, R> Extra<P, R> {
    /// In replay, applies what the call left in the turn.
    pub fn replayed(mut self, f: fn(&mut Guest, &P, &R)) -> Self {
        self.replayed = Some(f);
        self
    }
    /// The answer when a resource that is passed in did not survive recovery; without it, a trap.
    pub fn lost(mut self, f: fn(&mut Guest) -> Result<R>) -> Self {
        self.lost = Some(f);
        self
    }
    /// The answer when a crash hid the outcome; without it, a trap.
    pub fn unknown(mut self, f: fn(&mut Guest, &P) -> Result<R>) -> Self {
        self.unknown = Some(f);
        self
    }
    /// After recovery makes one resource of the result again when it is first used, given its logical number and the
    /// recorded parameters, which name resources logically too ([`Guest::real`] finds them): its index in the host's
    /// table, or none if it cannot be made. It must not do again what the call did outside.
    pub fn renew(mut self, f: Renew<P>) -> Self {
        self.renew = Some(f);
        self
    }
    /// Its resources are values, which the handler makes and changes with nothing but its parameters, the actor's settings and
    /// its other values: in replay it runs too, so that they are real after a crash. What it answers there is not used.
    pub fn value(mut self) -> Self {
        self.value = true;
        self
    }
    /// Once the call is recorded, notes ([`Guest::note`]) what the resources of its result are made of, which came from outside.
    /// Numbers are logical.
    pub fn noted(mut self, f: fn(&mut Guest, &R) -> Result<()>) -> Self {
        self.noted = Some(f);
        self
    }
    /// The class of a call by its arguments (which still name resources logically).
    pub fn class(mut self, f: fn(&mut Guest, &P) -> Effect) -> Self {
        self.class = Some(f);
        self
    }
}

struct Function<P, R> {
    entry: Arc<Entry>,
    extra: Extra<P, R>,
}

impl Interface<'_> {
    /// A function that answers at once and needs no await. Classes read, node and deferred only.
    pub fn func<P, R, F>(&mut self, name: &str, effect: Effect, handler: F) -> Result<&mut Self>
    where
        P: Params,
        R: Results,
        F: Fn(&mut Guest, P) -> Result<R> + Send + Sync + 'static,
    {
        self.func_with(name, effect, Extra::default(), handler)
    }

    /// [`func`](Self::func) with more to say.
    pub fn func_with<P, R, F>(
        &mut self,
        name: &str,
        effect: Effect,
        extra: Extra<P, R>,
        handler: F,
    ) -> Result<&mut Self>
    where
        P: Params,
        R: Results,
        F: Fn(&mut Guest, P) -> Result<R> + Send + Sync + 'static,
    {
        debug_assert!(matches!(effect, Effect::Read | Effect::Node | Effect::Deferred));
        let function = self.add::<P, R>(name, effect, extra);
        self.boundary.linker.instance(self.name)?.func_wrap(
            name,
            move |mut store: StoreContextMut<'_, Guest>, params: P| {
                cross(store.data_mut(), &function, params, &handler)
            },
        )?;
        Ok(self)
    }

    /// A function that may await. Any class.
    pub fn func_async<P, R, F>(&mut self, name: &str, effect: Effect, handler: F) -> Result<&mut Self>
    where
        P: Params,
        R: Results,
        F: for<'a> AsyncHost<'a, P, R> + Clone + 'static,
    {
        self.func_async_with(name, effect, Extra::default(), handler)
    }

    /// [`func_async`](Self::func_async) with more to say.
    pub fn func_async_with<P, R, F>(
        &mut self,
        name: &str,
        effect: Effect,
        extra: Extra<P, R>,
        handler: F,
    ) -> Result<&mut Self>
    where
        P: Params,
        R: Results,
        F: for<'a> AsyncHost<'a, P, R> + Clone + 'static,
    {
        let function = Arc::new(self.add::<P, R>(name, effect, extra));
        self.boundary.linker.instance(self.name)?.func_wrap_async(
            name,
            move |mut store: StoreContextMut<'_, Guest>, params: P| {
                let function = function.clone();
                let handler = handler.clone();
                Box::new(async move { cross_async(store.data_mut(), &function, params, handler).await })
            },
        )?;
        Ok(self)
    }

    /// A function whose result follows from the actor's own journal before the call, and from nothing else: it is recorded as the
    /// range of records and a digest, and made again in replay. Class read; results without resources. With no journal there is
    /// no past.
    pub fn func_derived<P, R>(&mut self, name: &str, grant: Grant, derive: Derive<P, R>) -> Result<&mut Self>
    where
        P: Params,
        R: Results,
    {
        debug_assert!(!R::RESOURCES);
        let function = self.add::<P, (Derived,)>(name, Effect::Read, Extra::default());
        self.boundary.linker.instance(self.name)?.func_wrap(
            name,
            move |mut store: StoreContextMut<'_, Guest>, params: P| {
                cross_derived(store.data_mut(), &function.entry, &params, grant, derive)
            },
        )?;
        Ok(self)
    }

    /// A function that waits for a completion which another party commits: see docs/semantics.md, "Turn, step, wait".
    pub fn wait<P, R>(&mut self, name: &str, wait: Wait<P, R>) -> Result<&mut Self>
    where
        P: Params + Sync,
        R: Results,
    {
        let function = Arc::new(self.add::<P, R>(name, Effect::Wait, Extra::default()));
        self.boundary.linker.instance(self.name)?.func_wrap_async(
            name,
            move |mut store: StoreContextMut<'_, Guest>, params: P| {
                let function = function.clone();
                Box::new(async move { cross_wait(store.data_mut(), &function.entry, params, wait).await })
            },
        )?;
        Ok(self)
    }

    /// What is noted of resources, as if it were a function of the interface: its parameter is the resource's logical number. See
    /// [`Guest::note`].
    pub fn note<T: Recordable + Debug + 'static>(&mut self, name: &str) -> &mut Self {
        let entry = Entry {
            tag: Tag::new(self.name, name),
            name: function_name(self.name, name),
            effect: Effect::Read,
            params: registry::describe::<(u32,)>,
            outcome: registry::describe::<T>,
            hands_out: None,
            renew: None,
        };
        self.boundary.register(Arc::new(entry));
        self
    }

    /// A resource type of the interface. Its end is a call like any other.
    pub fn resource<Q: 'static + Send>(
        &mut self,
        name: &str,
        drop: impl Fn(&mut Guest, Resource<Q>) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let function = self.add::<(Resource<Q>,), ()>(
            &format!("[resource-drop]{name}"),
            Effect::Read,
            Extra::default().lost(|_| Ok(())).value(),
        );
        self.boundary.linker.instance(self.name)?.resource(
            name,
            ResourceType::host::<Q>(),
            move |mut store: StoreContextMut<'_, Guest>, rep| {
                let guest = store.data_mut();
                guest.recorder.forget(rep);
                cross(guest, &function, (Resource::<Q>::new_own(rep),), &|guest: &mut Guest, (resource,)| {
                    drop(guest, resource)
                })
            },
        )?;
        Ok(self)
    }

    /// A resource type of which no function ever gives one: guests may name it, and have none whose end could be a call.
    pub fn resource_never_made<Q: 'static + Send>(&mut self, name: &str) -> Result<&mut Self> {
        let text = format!("nobody made a {name}");
        self.boundary
            .linker
            .instance(self.name)?
            .resource(name, ResourceType::host::<Q>(), move |_, _| Err(wasmtime::Error::msg(text.clone())))?;
        Ok(self)
    }

    /// A resource type whose end may await.
    pub fn resource_async<Q, F>(&mut self, name: &str, drop: F) -> Result<&mut Self>
    where
        Q: 'static + Send,
        F: for<'a> AsyncHost<'a, (Resource<Q>,), ()> + Clone + 'static,
    {
        let function = Arc::new(self.add::<(Resource<Q>,), ()>(
            &format!("[resource-drop]{name}"),
            Effect::Read,
            Extra::default().lost(|_| Ok(())).value(),
        ));
        self.boundary.linker.instance(self.name)?.resource_async(
            name,
            ResourceType::host::<Q>(),
            move |mut store: StoreContextMut<'_, Guest>, rep| {
                let function = function.clone();
                let drop = drop.clone();
                Box::new(async move {
                    let guest = store.data_mut();
                    guest.recorder.forget(rep);
                    cross_async(guest, &function, (Resource::<Q>::new_own(rep),), drop).await
                })
            },
        )?;
        Ok(self)
    }

    fn add<P, R>(&mut self, name: &str, effect: Effect, extra: Extra<P, R>) -> Function<P, R>
    where
        P: Recordable + Debug + 'static,
        R: Recordable + Debug,
    {
        let renew = extra.renew.map(|renew| -> registry::Renew {
            Arc::new(move |guest: &mut Guest, logical, params: &[u8]| {
                renew(guest, logical, &P::decode(&mut Reader::new(params))?)
            })
        });
        let entry = Arc::new(Entry {
            tag: Tag::new(self.name, name),
            name: function_name(self.name, name),
            effect,
            params: registry::describe::<P>,
            outcome: registry::describe::<R>,
            hands_out: R::RESOURCES.then_some(registry::owned::<R>),
            renew,
        });
        self.boundary.defined.insert(format!("{}#{name}", self.name));
        self.boundary.register(entry.clone());
        Function { entry, extra }
    }
}

/// One event a call, for who watches the node; costs a load and a branch when nobody does.
#[inline]
fn told(guest: &Guest, entry: &Entry) {
    tracing::trace!(actor = %guest.about.id, function = entry.name, replayed = guest.recorder.replaying(), "host call");
}

/// While a base is made nothing may be called that ends the step or reaches beyond the actor: a base is one batch, or was never
/// tried. `host` says itself that it does not sleep; what is deferred today is captured output, which is a log.
fn restrained(guest: &Guest, entry: &Entry, effect: Effect) -> Result<()> {
    if !guest.turn.restricted || matches!(effect, Effect::Read | Effect::Deferred) || entry.name.starts_with(HOST) {
        return Ok(());
    }
    Err(Restrained { function: entry.name.clone() }.into())
}

const HOST: &str = "troupe:actor/host@";

/// A call that is answered without an await.
fn cross<P: Params, R: Recordable>(
    guest: &mut Guest,
    function: &Function<P, R>,
    mut params: P,
    handler: &impl Fn(&mut Guest, P) -> Result<R>,
) -> Result<R> {
    told(guest, &function.entry);
    if !guest.recorder.recording() {
        return handler(guest, params);
    }
    if guest.recorder.replaying() {
        match guest.recorder.recall(&function.entry, &params)? {
            Recalled::Outcome(range) => {
                let mut result = recalled(guest, function, &params, range)?;
                if function.extra.value && to_real(guest, &mut params).is_ok() {
                    let made = handler(guest, params);
                    made_again(guest, made, &mut result)?;
                }
                return Ok(result);
            }
            Recalled::Live => {}
            Recalled::OpenIntent(_) | Recalled::OpenWait(..) => {
                return Err(wasmtime::Error::msg("the journal has an intent where none can be"));
            }
        }
    }
    restrained(guest, &function.entry, function.entry.effect)?;
    let mark = guest.recorder.open(Kind::Call, &function.entry, &params);
    let mut result = match to_real(guest, &mut params) {
        Ok(()) => handler(guest, params),
        Err(lost) => lost_answer(guest, &function.extra, lost),
    };
    close(guest, mark, &mut result)?;
    noted(guest, &function.extra, &result)?;
    result
}

/// A call whose result is made from the journal, live and in replay.
fn cross_derived<P: Params, R: Recordable>(
    guest: &mut Guest,
    entry: &Arc<Entry>,
    params: &P,
    (section, grant): Grant,
    derive: Derive<P, R>,
) -> Result<R> {
    told(guest, entry);
    let granted = grant(&guest.about.grants);
    if !guest.recorder.recording() {
        guest.require(granted, section)?;
        return derive(guest, params, &Past::default());
    }
    if guest.recorder.replaying() {
        match guest.recorder.recall(entry, params)? {
            Recalled::Outcome(range) => {
                let recorded: (Derived,) = guest.recorder.decode(range)?;
                if recorded.0.next != guest.recorder.crossed {
                    return Err(
                        otherwise(entry, &recorded.0, &Derived { next: guest.recorder.crossed, ..recorded.0 }).into()
                    );
                }
                let past = guest.past(recorded.0.next)?;
                let result = derive(guest, params, &past)?;
                let made = Derived::of(&past, &result);
                // What a fork derives from the journal as it is may be asked for with other arguments.
                return if made == recorded.0 || guest.recorder.forked() {
                    Ok(result)
                } else {
                    Err(otherwise(entry, &recorded.0, &made).into())
                };
            }
            Recalled::Live => {}
            Recalled::OpenIntent(_) | Recalled::OpenWait(..) => {
                return Err(wasmtime::Error::msg("the journal has an intent where none can be"));
            }
        }
    }
    restrained(guest, entry, entry.effect)?;
    let past = if granted { guest.past(guest.recorder.chain().next) } else { Ok(Past::default()) };
    let mark = guest.recorder.open(Kind::Call, entry, params);
    let allowed = guest.require(granted, section);
    let made = allowed.and(past).and_then(|past| Ok((derive(guest, params, &past)?, past)));
    let (result, mut recorded) = match made {
        Ok((result, past)) => {
            let derived = Derived::of(&past, &result);
            (Some(result), Ok((derived,)))
        }
        Err(error) => (None, Err(error)),
    };
    close(guest, mark, &mut recorded)?;
    match (recorded, result) {
        (Ok(_), Some(result)) => Ok(result),
        (Err(error), _) => Err(error),
        (Ok(_), None) => Err(wasmtime::Error::msg("a call without a result")),
    }
}

/// The journal does not give what it gave.
fn otherwise(entry: &Entry, recorded: &Derived, made: &Derived) -> Divergence {
    let shown = |derived: &Derived| {
        let mut text = String::new();
        derived.show(&mut text);
        text
    };
    let function = entry.name.clone();
    Divergence { seq: recorded.next, function, expected: shown(recorded), actual: shown(made) }
}

/// A call that may await, of any class.
async fn cross_async<P: Params, R: Outcome>(
    guest: &mut Guest,
    function: &Function<P, R>,
    mut params: P,
    handler: impl for<'a> AsyncHost<'a, P, R>,
) -> Result<R> {
    told(guest, &function.entry);
    if !guest.recorder.recording() {
        let effect = match function.extra.class {
            Some(class) => class(guest, &params),
            None => function.entry.effect,
        };
        restrained(guest, &function.entry, effect)?;
        // Without a journal there is no intent, but what the step has done is committed, and what it leads to outside waits for that.
        if matches!(effect, Effect::Repeatable | Effect::Once | Effect::Wait) {
            guest.commit_step()?;
        }
        if matches!(effect, Effect::Repeatable | Effect::Once) {
            guest.gate().await?;
        }
        let result = handler.call(guest, params).await;
        if function.entry.effect == Effect::SharedUpdate {
            guest.commit_step()?;
        }
        return result;
    }
    let effect = match function.extra.class {
        Some(class) => class(guest, &params),
        None => function.entry.effect,
    };
    let mut open = None;
    if guest.recorder.replaying() {
        match guest.recorder.recall(&function.entry, &params)? {
            Recalled::Outcome(range) => {
                let mut result = recalled(guest, function, &params, range)?;
                if function.extra.value && to_real(guest, &mut params).is_ok() {
                    let made = handler.call(guest, params).await;
                    made_again(guest, made, &mut result)?;
                }
                return Ok(result);
            }
            Recalled::Live => {}
            Recalled::OpenWait(seq, _) => {
                waits_again(guest)?;
                open = Some((Kind::Wake, seq));
            }
            Recalled::OpenIntent(seq) => {
                // Only what is surely repeatable now is done again, whatever it was then.
                if effect != Effect::Repeatable {
                    let mut result = match function.extra.unknown {
                        Some(unknown) => unknown(guest, &params),
                        None => Err(wasmtime::Error::msg("a crash hid the outcome of this call")),
                    };
                    guest.recorder.answer(Kind::Outcome, seq, &mut result);
                    return result;
                }
                open = Some((Kind::Outcome, seq));
            }
        }
    }
    restrained(guest, &function.entry, effect)?;
    let (wanted, begins) = match effect {
        Effect::Read | Effect::Node | Effect::Deferred | Effect::SharedUpdate => {
            let mark = guest.recorder.open(Kind::Call, &function.entry, &params);
            let mut result = match to_real(guest, &mut params) {
                Ok(()) => handler.call(guest, params).await,
                Err(lost) => lost_answer(guest, &function.extra, lost),
            };
            close(guest, mark, &mut result)?;
            noted(guest, &function.extra, &result)?;
            if effect == Effect::SharedUpdate {
                guest.commit_step()?;
            }
            return result;
        }
        Effect::Wait => (Kind::Wake, Kind::Wait),
        Effect::Repeatable | Effect::Once => (Kind::Outcome, Kind::Intent),
    };
    let seq = match open {
        Some((_, seq)) => seq,
        None => {
            let mark = guest.recorder.open(begins, &function.entry, &params);
            let seq = guest.recorder.seal(mark, None);
            guest.check_journal()?;
            guest.commit_step()?;
            seq
        }
    };
    if begins == Kind::Intent {
        guest.gate().await?;
    }
    guest.recorder.crossed = seq;
    let mut result = match to_real(guest, &mut params) {
        Ok(()) => handler.call(guest, params).await,
        Err(lost) => lost_answer(guest, &function.extra, lost),
    };
    guest.recorder.answer(wanted, seq, &mut result);
    guest.check_journal()?;
    result
}

/// A call that waits for a completion.
pub(super) async fn cross_wait<P: Recordable, R: Outcome>(
    guest: &mut Guest,
    entry: &Arc<Entry>,
    params: P,
    wait: Wait<P, R>,
) -> Result<R> {
    told(guest, entry);
    let recording = guest.recorder.recording();
    let mut open = None;
    if guest.recorder.replaying() {
        match guest.recorder.recall(entry, &params)? {
            Recalled::Outcome(range) => return guest.recorder.decode(range),
            Recalled::Live => {}
            Recalled::OpenWait(seq, due) => {
                waits_again(guest)?;
                open = Some((seq, due));
            }
            Recalled::OpenIntent(_) => {
                return Err(wasmtime::Error::msg("the journal has an intent where a wait must be"));
            }
        }
    }
    let (id, due) = match open {
        Some((seq, due)) => {
            let id = WaitId { actor: guest.about.id.clone(), incarnation: guest.about.incarnation, seq };
            (wait.again)(guest, &params, &id)?;
            guest.node.shared().resumed(&id.actor);
            (id, due)
        }
        None => {
            restrained(guest, entry, Effect::Wait)?;
            let id = guest.wait_id();
            let mark = recording.then(|| guest.recorder.open(Kind::Call, entry, &params));
            let due = match (wait.begin)(guest, &params, &id) {
                Ok(Begun::Parked(due)) => {
                    if let Some(mark) = mark {
                        guest.recorder.park(mark, due);
                    }
                    due
                }
                Ok(Begun::Now(value)) => return at_once(guest, mark, Ok(value)),
                Err(error) => return at_once(guest, mark, Err(error)),
            };
            guest.turn.wait = Some(id.clone());
            guest.check_journal()?;
            guest.commit_step()?;
            (id, due)
        }
    };
    guest.turn.wait = Some(id.clone());
    let waited = waited(guest, &id, due).await;
    if recording {
        guest.delete(Table::COMPLETIONS, &id.key());
    }
    let mut result = (wait.end)(guest, &params, &id, waited);
    if recording {
        guest.recorder.answer(Kind::Wake, id.seq, &mut result);
        guest.check_journal()?;
    }
    result
}

/// The completion of a wait, at most until `due`, or until the turn must get on. One that is committed wins over the time.
async fn waited(guest: &mut Guest, id: &WaitId, due: Option<NodeTime>) -> Waited {
    let node = guest.node.clone();
    let until = [due, guest.turn.patience].into_iter().flatten().min();
    let mut completion = {
        let _wait = During::new(node.watch(), Phase::Wait);
        node.waits().wait(id, until).await
    };
    if completion.is_none() {
        completion = node.shared().give_up(node.waits(), id);
    }
    match completion {
        Some(Completion { bytes, gate }) => {
            guest.saw(gate);
            Waited::Completed(bytes)
        }
        None if due.is_some() && due == until => Waited::TimedOut,
        None => Waited::DeadlineNear,
    }
}

/// The resumption of an open turn has come to where it had waited: a later start does not count it as failed.
fn waits_again(guest: &mut Guest) -> Result<()> {
    guest.note_resumption(true);
    guest.commit_step()?;
    Ok(())
}

/// A wait that was over before it began is an ordinary call.
fn at_once<R: Recordable>(guest: &mut Guest, mark: Option<Mark>, mut result: Result<R>) -> Result<R> {
    if let Some(mark) = mark {
        close(guest, mark, &mut result)?;
    }
    result
}

/// A value that is encoded already.
pub struct Bytes(pub Vec<u8>);

impl Recordable for Bytes {
    const MIN_BYTES: usize = 0;
    fn show(&self, out: &mut String) {
        super::show::bytes(&self.0, out);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(input: &mut Reader<'_>) -> std::result::Result<Self, DecodeError> {
        let rest = input.rest();
        Ok(Bytes(input.take(rest.len())?.to_vec()))
    }
}

/// Results, without the need to be lowered.
pub(super) trait Outcome: Recordable + Send + 'static {}
impl<T: Recordable + Send + 'static> Outcome for T {}

fn recalled<P, R: Recordable>(
    guest: &mut Guest,
    function: &Function<P, R>,
    params: &P,
    range: std::ops::Range<usize>,
) -> Result<R> {
    let result = guest.recorder.decode(range)?;
    if let Some(replayed) = function.extra.replayed {
        replayed(guest, params, &result);
    }
    Ok(result)
}

/// Puts what the handler of a replayed call made behind the numbers that the journal has.
fn made_again<R: Recordable>(guest: &mut Guest, made: Result<R>, recorded: &mut R) -> Result<()> {
    fn owned<R: Recordable>(value: &mut R) -> Result<Vec<u32>> {
        let mut all = Vec::new();
        value.map_resources(&mut |handle| {
            if handle.owned {
                all.push(handle.rep);
            }
            Ok(handle.rep)
        })?;
        Ok(all)
    }
    let Ok(mut made) = made else { return Ok(()) };
    if R::RESOURCES {
        for (logical, real) in owned(recorded)?.into_iter().zip(owned(&mut made)?) {
            guest.recorder.resources.renew(logical, real);
        }
    }
    Ok(())
}

fn noted<P, R>(guest: &mut Guest, extra: &Extra<P, R>, result: &Result<R>) -> Result<()> {
    match (extra.noted, result) {
        (Some(note), Ok(value)) => {
            note(guest, value)?;
            guest.check_journal()
        }
        _ => Ok(()),
    }
}

fn close<R: Recordable>(guest: &mut Guest, mark: Mark, result: &mut Result<R>) -> Result<()> {
    guest.recorder.close(mark, result);
    guest.check_journal()
}

fn to_real<P: Recordable>(guest: &mut Guest, params: &mut P) -> Result<(), wasmtime::Error> {
    if !P::RESOURCES {
        return Ok(());
    }
    if guest.recorder.has_renewals() {
        let mut named = Vec::new();
        params.map_resources(&mut |handle| {
            named.push(handle.rep);
            Ok(handle.rep)
        })?;
        for logical in named {
            guest.real(logical)?;
        }
    }
    let resources = &mut guest.recorder.resources;
    params.map_resources(&mut |handle| Ok(resources.to_real(handle)?))
}

fn lost_answer<P, R>(guest: &mut Guest, extra: &Extra<P, R>, error: wasmtime::Error) -> Result<R> {
    match extra.lost {
        Some(answer) if error.is::<Lost>() => answer(guest),
        _ => Err(error),
    }
}
