//! What the runtime drives: the exports of a component, found by looking.
//!
//! A contract turns the runtime's turns (init, message, save, load, terminate) into calls of exports and their results back.
//! It keeps no state between turns but what [`Output`] hands out, so that what the runtime knows of an actor is in its
//! journal. A component may export several; typed functions are taken by name, everything else by the contract of Theater if it
//! exports that, else by the behaviors.

pub mod behaviors;
pub mod command;
pub mod http;
pub mod theater;
pub mod typed;

use troupe_log::Digest;
use wasmtime::Store;
use wasmtime::component::{Component, Instance};

use crate::actor::message::Message;
use crate::boundary::Guest;

/// One turn, as a contract sees it.
#[derive(Debug)]
pub enum Input<'a> {
    /// Once in a life, with the initial state.
    Init(&'a [u8]),
    /// A message. `state` is the fsm's current state.
    Message {
        /// The message.
        message: &'a Message,
        /// The state of a gen-fsm actor.
        state: &'a str,
    },
    /// The guest's own snapshot.
    Save,
    /// Back from it.
    Load {
        /// What save returned.
        state: &'a [u8],
        /// The component that saved it.
        saved_by: &'a str,
    },
    /// The last turn.
    Terminate(&'a str),
}

/// How a turn ended that did not fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// With this answer (empty where nobody waits for one).
    Answer(Vec<u8>),
    /// With an ordinary error: the answer to a call is `refused`.
    Refused(String),
    /// With a transition: the name of the new state, which also answers a call.
    State(String),
    /// No export takes such a message.
    NoTaker(String),
    /// With a state that the runtime keeps, and an answer, or, to a call, none yet.
    Kept {
        /// The answer; none puts it off.
        answer: Option<Vec<u8>>,
        /// The digest of the state behind the turn; zeros for none.
        state: Digest,
        /// Its bytes.
        size: u64,
    },
}

/// The exports of a component that the runtime knows.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    behaviors: behaviors::Exports,
    command: command::Exports,
    http: http::Exports,
    theater: Option<theater::Exports>,
    typed: typed::Exports,
}

/// The same, of one instance.
pub struct Driver {
    behaviors: behaviors::Functions,
    command: command::Functions,
    http: http::Functions,
    theater: Option<Box<theater::Functions>>,
    typed: typed::Functions,
}

impl Contract {
    /// Looks at what a component exports.
    pub fn of(component: &Component) -> wasmtime::Result<Contract> {
        Ok(Contract {
            behaviors: behaviors::Exports::of(component),
            command: command::Exports::of(component),
            http: http::Exports::of(component),
            theater: theater::Exports::of(component)?,
            typed: typed::Exports::of(component)?,
        })
    }

    /// The names of what was found, for people.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.behaviors.names();
        if self.command.is_there() {
            names.push("wasi:cli/run".to_owned());
        }
        if self.http.is_there() {
            names.push("wasi:http/incoming-handler".to_owned());
        }
        names.extend(self.theater.iter().flat_map(theater::Exports::names));
        names.extend(self.typed.interfaces());
        names
    }

    /// True if nothing of it can take a message.
    pub fn is_empty(&self) -> bool {
        !self.behaviors.takes_messages()
            && self.theater.is_none()
            && !self.command.is_there()
            && !self.http.is_there()
            && self.typed.is_empty()
    }

    /// True if it takes requests over HTTP.
    pub fn serves_http(&self) -> bool {
        self.http.is_there()
    }

    /// True if what it is of `theater:simple`, with a state that is kept for it.
    pub fn is_of_theater(&self) -> bool {
        self.theater.is_some()
    }

    /// True if it is a command, to be run, and nothing else.
    pub fn is_command(&self) -> bool {
        let other =
            self.behaviors.takes_messages() || self.theater.is_some() || self.http.is_there() || !self.typed.is_empty();
        self.command.is_there() && !other
    }

    /// True if the guest makes its own snapshots, or all that it knows is what the runtime keeps for it.
    pub fn saves(&self) -> bool {
        self.theater.is_some() || self.behaviors.saves()
    }

    /// Functions that can be called by name.
    pub fn typed(&self) -> &typed::Exports {
        &self.typed
    }

    /// Finds the exports in an instance.
    pub fn bind(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Driver> {
        let theater = match &self.theater {
            Some(exports) => Some(Box::new(exports.bind(store, instance)?)),
            None => None,
        };
        Ok(Driver {
            behaviors: self.behaviors.bind(store, instance)?,
            command: self.command.bind(store, instance)?,
            http: self.http.bind(store, instance)?,
            theater,
            typed: self.typed.bind(store, instance)?,
        })
    }
}

impl Driver {
    /// Runs one turn. An error is a fault, or the end of a replay.
    pub async fn turn(&self, store: &mut Store<Guest>, input: Input<'_>) -> wasmtime::Result<Output> {
        if let Input::Message { message, .. } = &input
            && let Some(function) = self.typed.get(&message.message_type)
        {
            return Box::pin(function.call(store, message)).await;
        }
        if let Input::Message { message, .. } = &input
            && self.http.takes(message)
        {
            return Box::pin(self.http.call(store, message)).await;
        }
        if let Input::Message { message, .. } = &input
            && self.command.takes(message)
        {
            return Box::pin(self.command.call(store, message)).await;
        }
        if let Input::Message { message, .. } = &input
            && self.theater.is_none()
            && let Some(why) = theater::callbacks::only(message)
        {
            return Ok(Output::NoTaker(why.to_owned()));
        }
        match &self.theater {
            Some(theater) => Box::pin(theater.turn(store, input)).await,
            None => self.behaviors.turn(store, input).await,
        }
    }

    /// True if `init` is there to be called.
    pub fn has_init(&self) -> bool {
        self.theater.is_some() || self.behaviors.has_init()
    }
}
