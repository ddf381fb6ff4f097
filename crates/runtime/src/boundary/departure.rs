//! A replayed turn that is allowed to leave its records: what a fork asks, and how it is answered.
//!
//! Promises: nothing is answered but from the turn's own records, and every place at which the guest did something else than they
//! say is noted. A call is answered by the record that is next if that is of the same function, else by the next one of the same
//! call, else by the next one of the same function; what is passed over was not made. A call that no record can answer ends it.

use std::sync::Arc;

use troupe_log::{Seq, record};

use super::error::Divergence;
use super::recorder::{Recorder, crossing, tag_and_params};
use super::registry::Entry;

/// So many differences of one turn are noted.
const MOST: usize = 1000;

/// Where a fork did something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The record.
    pub seq: Seq,
    /// What the journal has there.
    pub recorded: String,
    /// What the fork did.
    pub forked: String,
}

/// What the fork did where the journal has a call.
pub const NOT_MADE: &str = "not made";

impl Recorder {
    /// The turn may leave its records from here on.
    pub(crate) fn let_depart(&mut self) {
        self.departures = Some(Vec::new());
    }

    /// What was noted since.
    pub(crate) fn departed(&mut self) -> Vec<Departure> {
        self.departures.take().unwrap_or_default()
    }

    fn note(&mut self, seq: Seq, recorded: String, forked: String) {
        if let Some(noted) = &mut self.departures
            && noted.len() < MOST
        {
            noted.push(Departure { seq, recorded, forked });
        }
    }

    /// The guest calls something else than the record that is next: finds the one that answers it.
    pub(super) fn depart(&mut self, entry: &Arc<Entry>, params: &[u8]) -> Result<(), Divergence> {
        let actual = self.shown(entry.tag, params);
        let Some((bytes, from)) = self.left() else { return Ok(()) };
        let (mut passed, mut found) = (Vec::new(), None);
        let mut at = from;
        for record in record::records(&bytes[from..]).map_while(Result::ok) {
            let here = at;
            at += record.bytes.len();
            if !crossing(record.kind) {
                continue;
            }
            let (tag, recorded) = tag_and_params(record.body);
            let (same_function, same) = (tag == entry.tag, tag == entry.tag && recorded == params);
            if same || same_function && passed.is_empty() {
                found = Some((here, passed.len()));
                break;
            }
            if same_function && found.is_none() {
                found = Some((here, passed.len()));
            }
            passed.push((record.seq, self.shown(tag, recorded)));
        }
        let Some((to, not_made)) = found else {
            let (seq, recorded) = match passed.into_iter().next() {
                Some(next) => next,
                None => (Divergence::NO_FURTHER_RECORD, "no further call".to_owned()),
            };
            let function = entry.name.clone();
            return Err(Divergence { seq, function, expected: recorded, actual });
        };
        passed.truncate(not_made);
        for (seq, recorded) in passed {
            self.note(seq, recorded, NOT_MADE.to_owned());
        }
        if let Some(record) = record::records(&bytes[to..]).next().and_then(Result::ok) {
            let (tag, recorded) = tag_and_params(record.body);
            if recorded != params {
                let recorded = self.shown(tag, recorded);
                self.note(record.seq, recorded, actual);
            }
        }
        self.go_on_at(to);
        Ok(())
    }

    /// The turn has ended before its records: the calls that are left were not made.
    pub(super) fn leave_rest(&mut self) {
        let Some((bytes, from)) = self.left() else { return };
        for record in record::records(&bytes[from..]).map_while(Result::ok).filter(|r| crossing(r.kind)) {
            let (tag, params) = tag_and_params(record.body);
            let recorded = self.shown(tag, params);
            self.note(record.seq, recorded, NOT_MADE.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::Recording;
    use troupe_log::Chain;

    #[test]
    fn so_many_departures_are_told_and_no_more() {
        let mut recorder = Recorder::new(Recording::On, Chain::START, Arc::default());
        recorder.let_depart();
        for seq in 0..MOST as u64 + 5 {
            recorder.note(Seq(seq), String::new(), String::new());
        }
        let told = recorder.departed();
        assert_eq!((told.len(), told[MOST - 1].seq), (MOST, Seq(MOST as u64 - 1)));
        recorder.note(Seq(0), String::new(), String::new());
        assert!(recorder.departed().is_empty(), "only a fork has any");
    }
}
