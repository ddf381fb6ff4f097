//! Every function that guests may import: its name, effect class, and how its records are read.
//!
//! Filled while the linker is filled, so a function that can be called is a function that can be shown. Functions that other
//! actors serve are added when a component that imports them is linked.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use troupe_log::codec::Reader;

use super::bind::Bound;
use super::effect::{Effect, Tag};
use super::guest::Guest;
use super::recordable::{DecodeError, Handle, Recordable};

/// Reads the parameters or the outcome of a record as text.
pub type Describe = fn(&[u8]) -> Result<String, DecodeError>;
/// Finds the logical numbers that an encoded result hands out.
pub(crate) type HandsOut = fn(&[u8]) -> Result<Vec<u32>, DecodeError>;
/// Makes one resource of a recorded constructor call again, given its logical number and the recorded parameters.
pub type Renew = Arc<dyn Fn(&mut Guest, u32, &[u8]) -> wasmtime::Result<Option<u32>> + Send + Sync>;

/// One function that guests may import.
pub struct Entry {
    /// Its name in records.
    pub tag: Tag,
    /// `package:name/interface@TRACK#function`.
    pub name: String,
    /// What it does to the world.
    pub effect: Effect,
    /// Its parameters as text.
    pub params: Describe,
    /// Its result as text.
    pub outcome: Describe,
    /// The logical numbers that its result hands out.
    pub(crate) hands_out: Option<HandsOut>,
    /// How what it hands out is made again after a crash; none if it cannot be.
    pub(crate) renew: Option<Renew>,
}

/// All of them, by tag.
#[derive(Default)]
pub struct Registry {
    entries: HashMap<Tag, Arc<Entry>>,
    bound: RwLock<HashMap<Tag, Arc<Bound>>>,
}

impl Registry {
    pub(crate) fn add(&mut self, entry: Arc<Entry>) {
        self.entries.insert(entry.tag, entry);
    }

    /// Two components may import one function with other types: the last is shown, and what does not fit it as bytes.
    pub(super) fn add_bound(&self, function: Arc<Bound>) {
        self.bound.write().insert(function.entry.tag, function);
    }

    /// The function of a tag.
    pub fn get(&self, tag: Tag) -> Option<&Arc<Entry>> {
        self.entries.get(&tag)
    }

    /// Every function, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The function's name, or its tag where it is not known.
    pub fn name(&self, tag: Tag) -> String {
        match self.get(tag) {
            Some(entry) => entry.name.clone(),
            None => self.bound.read().get(&tag).map_or_else(|| tag.to_string(), |bound| bound.entry.name.clone()),
        }
    }

    /// A call as text: `name(params)`.
    pub fn call(&self, tag: Tag, params: &[u8]) -> String {
        if let Some(entry) = self.get(tag) {
            return format!("{}{}", entry.name, shown((entry.params)(params), params));
        }
        match self.bound.read().get(&tag) {
            Some(bound) => format!("{}{}", bound.entry.name, shown(bound.params_text(params), params)),
            None => format!("{tag}({} bytes)", params.len()),
        }
    }

    /// A result as text.
    pub fn outcome(&self, tag: Tag, value: &[u8]) -> String {
        if let Some(entry) = self.get(tag) {
            return shown((entry.outcome)(value), value);
        }
        match self.bound.read().get(&tag) {
            Some(bound) => shown(bound.outcome_text(value), value),
            None => format!("{} bytes", value.len()),
        }
    }
}

fn shown<E: std::fmt::Display>(text: Result<String, E>, bytes: &[u8]) -> String {
    match text {
        Ok(text) => cut(text, bytes),
        Err(error) => format!("({} bytes that do not fit its type: {error})", bytes.len()),
    }
}

/// The text, if it is short; else its beginning.
fn cut(mut text: String, bytes: &[u8]) -> String {
    const MOST: usize = 512;
    if text.len() > MOST {
        let mut cut = MOST;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text.push_str(&format!(".. ({} bytes)", bytes.len()));
    }
    text
}

/// Text of a value of type `V`, cut where it is long.
pub(crate) fn describe<V: Recordable>(bytes: &[u8]) -> Result<String, DecodeError> {
    let mut input = Reader::new(bytes);
    let value = V::decode(&mut input)?;
    input.finish()?;
    let mut text = String::new();
    value.show(&mut text);
    Ok(cut(text, bytes))
}

/// The logical numbers of the owned handles in an encoded value.
pub(crate) fn owned<V: Recordable>(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let mut input = Reader::new(bytes);
    let mut value = V::decode(&mut input)?;
    let mut found = Vec::new();
    let seen = value.map_resources(&mut |handle: Handle| {
        if handle.owned {
            found.push(handle.rep);
        }
        Ok(handle.rep)
    });
    debug_assert!(seen.is_ok());
    Ok(found)
}
