//! A journal as Theater has it: its records as events, each with the hash of the one before it.
//!
//! Promises: what an event is follows from the record and the host's own functions, and from nothing else, so that a replay makes it
//! again to the byte; no more is made than the memory of the actor that asks.

use troupe_log::body::{Change, Genesis, TurnBegin, Upgrade};
use troupe_log::{Kind, Record, WallTime};
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::boundary::{Boundary, Guest, LimitReached, Past, Tag, tag_and_params};
use crate::recordable_record;

/// `record event`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Event {
    /// The function of a call, else the kind of the record.
    #[component(name = "event-type")]
    pub event_type: String,
    /// The hash of the event before it.
    #[component(name = "parent")]
    pub parent: Option<u64>,
    /// The body of the record.
    #[component(name = "data")]
    pub data: Vec<u8>,
}
recordable_record!(Event { event_type, parent, data });

/// `record meta-event`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct MetaEvent {
    /// The first eight bytes of the record's hash, little-endian.
    #[component(name = "hash")]
    pub hash: u64,
    /// What happened.
    #[component(name = "event")]
    pub event: Event,
}
recordable_record!(MetaEvent { hash, event });

/// `record chain`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Chain {
    /// In order.
    #[component(name = "events")]
    pub events: Vec<MetaEvent>,
}
recordable_record!(Chain { events });

/// `record chain-event`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct ChainEvent {
    /// The hash of the record.
    #[component(name = "hash")]
    pub hash: Vec<u8>,
    /// The hash of the one before it.
    #[component(name = "parent-hash")]
    pub parent_hash: Option<Vec<u8>>,
    /// The function of a call, else the kind of the record.
    #[component(name = "event-type")]
    pub event_type: String,
    /// The body of the record.
    #[component(name = "data")]
    pub data: Vec<u8>,
    /// Milliseconds since 1970: of the turn that the record is part of.
    #[component(name = "timestamp")]
    pub timestamp: u64,
    /// Its kind and number.
    #[component(name = "description")]
    pub description: Option<String>,
}
recordable_record!(ChainEvent { hash, parent_hash, event_type, data, timestamp, description });

/// Registers `get-chain`.
pub(super) fn link(boundary: &mut Boundary) -> Result<()> {
    boundary.interface("theater:simple/runtime")?.func_derived(
        "get-chain",
        ("host", |grants| grants.host),
        |guest: &mut Guest, (): &(), past: &Past| {
            let mut room = Room::of(guest);
            let events = past.records().map(|record| {
                room.take(&record)?;
                Ok(meta_event(guest, &record))
            });
            Ok((Chain { events: events.collect::<Result<_>>()? },))
        },
    )?;
    Ok(())
}

/// Records, in order and with nothing left out between them, in the form of `get-child-events`.
pub fn chain_events<'a>(guest: &Guest, records: impl Iterator<Item = Record<'a>>) -> Result<Vec<ChainEvent>> {
    let (mut room, mut at) = (Room::of(guest), WallTime(0));
    let events = records.map(|record| {
        room.take(&record)?;
        at = wall_time(&record).unwrap_or(at);
        let parent = (record.seq.0 > 0).then(|| record.prev.0.to_vec());
        Ok(ChainEvent {
            hash: record.head().0.to_vec(),
            parent_hash: parent,
            event_type: event_type(guest, &record),
            data: record.body.to_vec(),
            timestamp: at.0 / 1000,
            description: Some(format!("{} {}", record.kind, record.seq)),
        })
    });
    events.collect()
}

fn meta_event(guest: &Guest, record: &Record<'_>) -> MetaEvent {
    let parent = (record.seq.0 > 0).then(|| short(&record.prev.0));
    let event = Event { event_type: event_type(guest, record), parent, data: record.body.to_vec() };
    MetaEvent { hash: short(&record.head().0), event }
}

fn short(hash: &[u8; 32]) -> u64 {
    hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// Of the host's functions only: what other actors serve has its name from components that may not be loaded in replay.
fn event_type(guest: &Guest, record: &Record<'_>) -> String {
    let kind = record.kind.known();
    let called = matches!(kind, Some(Kind::Call | Kind::Intent | Kind::Wait | Kind::Denial));
    let tag = called.then(|| tag_and_params(record.body).0);
    match tag {
        Some(tag) => guest.recorder.name_of(tag).unwrap_or_else(|| Tag::to_string(&tag)),
        None => record.kind.to_string(),
    }
}

fn wall_time(record: &Record<'_>) -> Option<WallTime> {
    match record.kind.known()? {
        Kind::Genesis => Genesis::decode(record.body).ok().map(|genesis| genesis.wall),
        Kind::TurnBegin => TurnBegin::decode(record.body).ok().map(|begin| begin.wall_time),
        Kind::Change => Change::decode(record.body).ok().map(|change| change.wall),
        Kind::Upgrade => Upgrade::decode(record.body).ok().map(|upgrade| upgrade.wall),
        _ => None,
    }
}

/// What may be made of events for one call: as much as the actor may have memory.
struct Room {
    most: u64,
    left: u64,
}

/// What an event takes beside the record's body: hashes, lengths, the type's name.
const OVERHEAD: u64 = 128;

impl Room {
    fn of(guest: &Guest) -> Room {
        let most = guest.about.limits.memory.0;
        Room { most, left: most }
    }

    fn take(&mut self, record: &Record<'_>) -> Result<()> {
        let takes = record.body.len() as u64 + OVERHEAD;
        self.left = self.left.checked_sub(takes).ok_or_else(|| {
            let most = self.most;
            LimitReached(format!(
                "the events of the journal take more than the {most} bytes of memory that the actor may have"
            ))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use troupe_log::{Chain as Tip, Step, record};

    #[test]
    fn a_record_of_time_gives_its_time_to_those_behind_it() {
        let mut step = Step::new(Tip::START);
        step.record(Kind::Change, |out| Change { wall: WallTime(5_000), config: b"" }.encode(out));
        step.record(Kind::Denial, |out| out.push(1));
        let times: Vec<_> = record::records(step.bytes()).map(|record| wall_time(&record.unwrap())).collect();
        assert_eq!(times, [Some(WallTime(5_000)), None]);
    }

    #[test]
    fn no_more_is_made_than_may_be() {
        let mut step = Step::new(Tip::START);
        step.record(Kind::Call, |out| out.extend_from_slice(&[0; 100]));
        let record = record::records(step.bytes()).next().unwrap().unwrap();
        let mut room = Room { most: 456, left: 2 * (100 + OVERHEAD) };
        assert!(room.take(&record).is_ok());
        assert!(room.take(&record).is_ok(), "all of it");
        assert!(room.take(&record).unwrap_err().to_string().contains("456 bytes of memory"));
    }

    #[test]
    fn the_short_hash_is_the_beginning_of_the_long_one() {
        let mut hash = [0; 32];
        hash[..9].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 2, 9]);
        assert_eq!(short(&hash), 0x0200_0000_0000_0001);
    }
}
