//! What actors of `theater:simple` have of each other: channels and children.
//!
//! Both are bonds: rows that survive a restart and end with either side. Owns the messages that say what becomes of them, whose types
//! nobody else may use. Promises: a channel that is accepted is there in the batch of the acceptance or never; its opener waits for it
//! inside a turn, and if it waits no more, who accepted is told that the channel is closed; an open channel tells its other side of
//! the end of the one; a child tells who supervises it of its end once.

use std::sync::Arc;

use troupe_log::Batch;
use troupe_log::codec::{self, Reader};

use super::bonds::{Bond, StoppedBy};
use super::waits::WaitId;
use super::{End, Ended, Info};
use crate::actor::message::{Gate, RUNTIME};
use crate::boundary::{Committed, Services, Staging};

/// A channel is to be opened: a call, whose answer is an [`Accept`].
pub const OPEN: &str = "troupe:channel-open";
/// What is sent on a channel.
pub const MESSAGE: &str = "troupe:channel-message";
/// A channel is closed.
pub const CLOSE: &str = "troupe:channel-close";
/// A child has ended by a fault; the payload says why.
pub const CHILD_ERROR: &str = "troupe:child-error";
/// A child has ended itself; the payload is its last words.
pub const CHILD_EXIT: &str = "troupe:child-exit";
/// A child was stopped.
pub const CHILD_STOPPED: &str = "troupe:child-stopped";
/// What state has a child? A call of who supervises it.
pub const STATE: &str = "troupe:child-state";

/// Names the channel.
pub const CHANNEL: &str = "troupe-channel";
/// Names the child.
pub const CHILD: &str = "troupe-child";
/// Says that a child ended without last words, which is not the same as empty ones.
const SILENT: &str = "troupe-silent";

/// The id of the channel that this wait is to open: nobody else ever has it.
pub fn channel_id(wait: &WaitId) -> String {
    format!("{}~{:x}.{:x}", wait.actor, wait.incarnation.0, wait.seq.0)
}

/// The initial state of an actor that goes on with a state, and is not initialized: this, and the state behind it.
const RESUMED: &[u8] = b"troupe:resumed\0";

/// The initial bytes of an actor that goes on with this state.
pub fn resume(state: Option<&[u8]>) -> Vec<u8> {
    let mut out = RESUMED.to_vec();
    codec::put_option(&mut out, state, codec::put_bytes);
    out
}

/// The encoded state to go on with, if these initial bytes have one.
pub fn resumed(initial: &[u8]) -> Option<&[u8]> {
    initial.strip_prefix(RESUMED)
}

/// The answer to [`OPEN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Whether the channel is open.
    pub accepted: bool,
    /// The first message on it, or why it is not.
    pub message: Option<Vec<u8>>,
}

impl Accept {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.accepted)];
        codec::put_option(&mut out, self.message.as_deref(), codec::put_bytes);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote. Who answers may be anybody.
    pub fn decode(bytes: &[u8]) -> Result<Accept, codec::Error> {
        let mut input = Reader::new(bytes);
        let accepted = input.bool()?;
        let message = input.option(|input| input.bytes().map(<[u8]>::to_vec))?;
        input.finish()?;
        Ok(Accept { accepted, message })
    }
}

fn told(message_type: &str, headers: &[(&str, &str)], payload: &[u8]) -> Info {
    Info {
        from: RUNTIME.into(),
        message_type: message_type.into(),
        payload: payload.into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        seen: Gate::default(),
    }
}

/// What a side of a channel hears when it is closed.
pub fn closed(id: &str) -> Info {
    told(CLOSE, &[(CHANNEL, id)], &[])
}

/// What who supervises a child hears of its end.
pub fn child_ended(end: &Ended<'_>, by: Option<&StoppedBy>) -> Info {
    let child = (CHILD, end.actor.as_str());
    match (end.how, by) {
        (End::Fault, _) => told(CHILD_ERROR, &[child], end.reason.as_bytes()),
        (_, Some(StoppedBy::Itself(Some(words)))) => told(CHILD_EXIT, &[child], words),
        (_, Some(StoppedBy::Itself(None))) => told(CHILD_EXIT, &[child, (SILENT, "true")], &[]),
        (_, Some(StoppedBy::Another) | None) => told(CHILD_STOPPED, &[child], end.reason.as_bytes()),
    }
}

/// The value of a header.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Whether a child ended without last words.
pub fn silent(headers: &[(String, String)]) -> bool {
    header(headers, SILENT).is_some()
}

/// A channel that a step accepts.
pub struct Accepting {
    node: Arc<dyn Services>,
    bond: Bond,
    wait: WaitId,
    /// The first message on it.
    first: Option<Vec<u8>>,
    /// What goes out with it: the first message, or that it is closed.
    said: Vec<Box<dyn Staging>>,
    /// It is not there, or not yet.
    open: bool,
}

impl Accepting {
    /// The channel for which `wait` waits, accepted by the other side of `bond`. Its row is to be in the step's batch.
    pub fn new(node: Arc<dyn Services>, bond: Bond, wait: WaitId, first: Option<Vec<u8>>) -> Accepting {
        node.shared().bonds.add(bond.clone());
        Accepting { node, bond, wait, first, said: Vec::new(), open: true }
    }
}

impl Staging for Accepting {
    fn prepare(&mut self, batch: &mut Batch) {
        let Bond::Channel(id, opener, acceptor) = &self.bond else { return };
        let (shared, party) = (self.node.shared(), self.node.party());
        let wanted = shared.asks.wants(&self.wait) || shared.resuming(opener);
        let mut stays = wanted && party.alive(opener) && party.alive(acceptor);
        if let Some(first) = self.first.take().filter(|_| stays) {
            let message = Info { from: acceptor.shared(), ..told(MESSAGE, &[(CHANNEL, id)], &first) };
            match party.info(batch, opener, message) {
                Ok(delivery) => self.said.push(delivery),
                Err(_) => stays = false,
            }
        }
        if stays {
            self.open = false;
        } else {
            self.bond.delete(batch);
            self.said.extend(party.info(batch, acceptor, closed(id)));
        }
    }

    fn commit(mut self: Box<Self>, committed: &Committed<'_>) {
        if !self.open {
            self.node.shared().bonds.there(&self.bond);
        }
        for said in std::mem::take(&mut self.said) {
            said.commit(committed);
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        if self.open {
            self.node.shared().bonds.remove(&self.bond);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::id;

    #[test]
    fn an_answer_to_who_opens_a_channel_reads_back() {
        for message in [None, Some(Vec::new()), Some(vec![0, 255])] {
            for accepted in [true, false] {
                let accept = Accept { accepted, message: message.clone() };
                assert_eq!(Accept::decode(&accept.encode()), Ok(accept));
            }
        }
        for bad in [&b""[..], b"yes", &[2, 0], &[1, 1, 255, 255, 255, 255]] {
            assert!(Accept::decode(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_end_of_a_child_is_told_by_how_it_came() {
        let child = id("ns/a");
        let end = |how| Ended { actor: &child, how, reason: "why" };
        let by = |words: Option<&[u8]>| StoppedBy::Itself(words.map(<[u8]>::to_vec));
        let cases = [
            (child_ended(&end(End::Fault), Some(&by(None))), CHILD_ERROR, &b"why"[..], false),
            (child_ended(&end(End::Stopped), Some(&by(Some(b"bye")))), CHILD_EXIT, b"bye", false),
            (child_ended(&end(End::Stopped), Some(&by(Some(b"")))), CHILD_EXIT, b"", false),
            (child_ended(&end(End::Stopped), Some(&by(None))), CHILD_EXIT, b"", true),
            (child_ended(&end(End::Stopped), Some(&StoppedBy::Another)), CHILD_STOPPED, b"why", false),
            (child_ended(&end(End::Stopped), None), CHILD_STOPPED, b"why", false),
        ];
        for (info, message_type, payload, without) in cases {
            assert_eq!((&*info.message_type, &*info.payload), (message_type, payload));
            assert_eq!((header(&info.headers, CHILD), silent(&info.headers)), (Some("ns/a"), without));
        }
    }
}
