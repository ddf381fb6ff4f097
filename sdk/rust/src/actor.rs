//! The behaviours as traits, and the macro that makes a component of a type that has some of them.

use std::fmt::Display;
use std::str::FromStr;

use crate::bindings;

/// What a handler answers: the reply's bytes, or an error in words. An error is an ordinary end of the turn and undoes nothing.
pub type Answer = Result<Vec<u8>, String>;

/// A message, as a handler gets it. More about it (headers, time left, attempt) is in [`crate::messaging::current`].
#[derive(Debug, Clone)]
pub struct Message {
    /// The sender: `namespace/name`, or a name with `@` that is no actor (`@client`, `@timer/OWNER`, `@topic/NAME`).
    pub from: String,
    /// The sender's own word for what it wants.
    pub message_type: String,
    /// The bytes, as they were sent.
    pub payload: Vec<u8>,
}

impl Message {
    /// The message type, for a `match`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.message_type
    }

    /// The payload as text; an error if it is not UTF-8.
    pub fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.payload).map_err(|_| "the payload is not UTF-8".to_string())
    }

    /// The payload as a number in decimal.
    pub fn number<T: FromStr>(&self) -> Result<T, String> {
        let text = self.text()?;
        text.trim().parse().map_err(|_| format!("not a number: {text}"))
    }

    /// The error for a message type that the actor does not know.
    pub fn unknown<T>(&self) -> Result<T, String> {
        Err(format!("unknown message type: {}", self.message_type))
    }
}

/// An answer in words: `text(self.total)`.
pub fn text(words: impl Display) -> Answer {
    Ok(words.to_string().into_bytes())
}

/// Where a state machine goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It stays where it is.
    Stay,
    /// To the state of this name, which must not be empty.
    To(String),
}

impl Next {
    /// To this state.
    #[must_use]
    pub fn to(state: &str) -> Self {
        Self::To(state.to_string())
    }
}

/// Takes calls: gen-server.
pub trait Server {
    /// The answer goes to the caller, unless it was put off or the call was forwarded.
    fn request(&mut self, call: Message) -> Answer;
}

/// Takes casts and infos: gen-event.
pub trait Events {
    /// Nobody waits; an error is recorded and logged.
    fn event(&mut self, event: Message) -> Result<(), String>;
}

/// A state machine: gen-fsm. Takes what the actor has no [`Server`] and no [`Events`] for. The first state is `start`.
pub trait Machine {
    /// A call is answered with the name of the state after the turn. An error keeps the state.
    fn transition(&mut self, state: &str, message: Message) -> Result<Next, String>;
}

/// Takes what nothing else takes.
pub trait Handler {
    /// The answer counts if the message is a call.
    fn message(&mut self, message: Message) -> Answer;
}

/// The beginning and the end of a life.
pub trait Lifecycle {
    /// Once in a life, with what the manifest says under `init`. An error keeps the actor from starting. Never on recovery.
    fn init(&mut self, initial_state: &[u8]) -> Result<(), String>;
    /// When the actor is stopped for good, not when its node ends.
    fn terminate(&mut self, _reason: &str) {}
}

/// The actor's own snapshot, in place of the transparent one, and for an upgrade to other code. Both may only log.
pub trait Snapshot: Sized {
    /// The whole state.
    fn save(&self) -> Result<Vec<u8>, String>;
    /// The state that `save` gave, perhaps of an older component, whose digest is `saved_by`.
    fn load(state: &[u8], saved_by: &str) -> Result<Self, String>;
}

/// The one value of an actor's component. Made by [`crate::actor!`].
#[doc(hidden)]
pub trait Actor {
    type State;
    fn with<R>(run: impl FnOnce(&mut Self::State) -> R) -> R;
}

impl<A: Actor> bindings::server::Guest for A
where
    A::State: Server,
{
    fn handle_request(from: String, message_type: String, payload: Vec<u8>) -> Answer {
        A::with(|state| state.request(Message { from, message_type, payload }))
    }
}

impl<A: Actor> bindings::events::Guest for A
where
    A::State: Events,
{
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        A::with(|state| state.event(Message { from, message_type, payload }))
    }
}

impl<A: Actor> bindings::machine::Guest for A
where
    A::State: Machine,
{
    fn handle_transition(from: String, now: String, message_type: String, payload: Vec<u8>) -> Result<String, String> {
        match A::with(|state| state.transition(&now, Message { from, message_type, payload }))? {
            Next::Stay => Ok(String::new()),
            Next::To(next) => Ok(next),
        }
    }
}

impl<A: Actor> bindings::handler::Guest for A
where
    A::State: Handler,
{
    fn handle_message(from: String, message_type: String, payload: Vec<u8>) -> Answer {
        A::with(|state| state.message(Message { from, message_type, payload }))
    }
}

impl<A: Actor> bindings::lifecycle::Guest for A
where
    A::State: Lifecycle,
{
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        A::with(|state| state.init(&initial_state))
    }

    fn terminate(reason: String) {
        A::with(|state| state.terminate(&reason));
    }
}

impl<A: Actor> bindings::snapshot::Guest for A
where
    A::State: Snapshot,
{
    fn save() -> Answer {
        A::with(|state| state.save())
    }

    fn load(saved: Vec<u8>, saved_by: String) -> Result<(), String> {
        let loaded = A::State::load(&saved, &saved_by)?;
        A::with(|state| *state = loaded);
        Ok(())
    }
}

/// Makes a component of a type: `actor!(Counter: Server, Lifecycle);` once in a crate, whose type is `cdylib`.
///
/// The type implements [`Default`], which is its state before `init`, and each behaviour that is named: [`Server`], [`Events`],
/// [`Machine`], [`Handler`], [`Lifecycle`], [`Snapshot`]. A behaviour that is not named is not exported.
#[macro_export]
macro_rules! actor {
    ($state:ty : $($behaviour:ident),+ $(,)?) => {
        #[doc(hidden)]
        struct TroupeActor;

        impl $crate::Actor for TroupeActor {
            type State = $state;

            fn with<R>(run: impl FnOnce(&mut $state) -> R) -> R {
                ::std::thread_local! {
                    static STATE: ::std::cell::RefCell<$state> = ::std::cell::RefCell::default();
                }
                STATE.with_borrow_mut(run)
            }
        }

        $($crate::__export!(TroupeActor: $behaviour);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($actor:ident: Server) => { $crate::bindings::server::export!($actor with_types_in $crate::bindings::server); };
    ($actor:ident: Events) => { $crate::bindings::events::export!($actor with_types_in $crate::bindings::events); };
    ($actor:ident: Machine) => { $crate::bindings::machine::export!($actor with_types_in $crate::bindings::machine); };
    ($actor:ident: Handler) => { $crate::bindings::handler::export!($actor with_types_in $crate::bindings::handler); };
    ($actor:ident: Lifecycle) => { $crate::bindings::lifecycle::export!($actor with_types_in $crate::bindings::lifecycle); };
    ($actor:ident: Snapshot) => { $crate::bindings::snapshot::export!($actor with_types_in $crate::bindings::snapshot); };
}
