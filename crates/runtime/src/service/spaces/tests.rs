//! Spaces without a node: against a model, fairness, leases, bounds, how much is looked at.

use std::collections::BTreeMap;

use troupe_log::batch::{Entry as Row, entries};
use troupe_log::{Incarnation, Position, Seq};

use super::value::{Field, FieldType};
use super::*;
use crate::boundary::Committed;
use crate::env::{NodeClock, SystemClock};
use crate::service::timers::Timers;
use crate::service::waits::Waits;

/// The same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// A node that is nothing but services: rows, waits, timers.
struct Bench {
    spaces: Spaces,
    waits: Waits,
    timers: Timers,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    completions: BTreeMap<Vec<u8>, Vec<u8>>,
    position: u64,
    now: NodeTime,
}

/// What an actor has open.
#[derive(Default)]
struct Step {
    batch: Batch,
    staged: Vec<Box<dyn Staging>>,
}

fn id(name: &str) -> ActorId {
    ActorId::parse(name).unwrap()
}

fn wait_of(actor: &str, seq: u64) -> WaitId {
    WaitId { actor: id(actor), incarnation: Incarnation(1), seq: Seq(seq) }
}

impl Bench {
    fn new() -> Bench {
        Bench::of(Spaces::default())
    }

    fn of(spaces: Spaces) -> Bench {
        let clock = NodeClock::new(Arc::new(SystemClock::default()), NodeTime(0));
        Bench {
            spaces,
            waits: Waits::new(clock.clone()),
            timers: Timers::new(clock),
            rows: BTreeMap::new(),
            completions: BTreeMap::new(),
            position: 0,
            now: NodeTime(1000),
        }
    }

    fn commit(&mut self, mut step: Step) {
        for staged in &mut step.staged {
            staged.prepare(&mut step.batch);
        }
        self.position += 1;
        for row in entries(step.batch.bytes()) {
            let (table, key, value) = match row.unwrap() {
                Row::Put { table, key, value } => (table, key, Some(value)),
                Row::Delete { table, key } => (table, key, None),
                Row::Records { .. } => panic!("no records here"),
            };
            let rows = if table == Table::SPACES { &mut self.rows } else { &mut self.completions };
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
        }
        let gate = Gate { durable: Some(Position(self.position)), written: None };
        for staged in step.staged {
            staged.commit(&Committed { gate, waits: &self.waits, timers: &self.timers });
        }
    }

    fn sweep(&mut self) {
        while self.spaces.next_due().is_some_and(|at| at <= self.now) {
            let sweep = Sweep::new(self.spaces.common.clone(), self.now);
            self.commit(Step { staged: vec![Box::new(sweep)], ..Step::default() });
        }
    }

    /// What another process finds: rows, then completions.
    fn restart(&mut self) {
        self.spaces = Spaces::within(self.spaces.common.limits);
        for (key, value) in &self.rows {
            assert!(self.spaces.restore(key, value), "a row cannot be read");
        }
        for (key, value) in &self.completions {
            assert!(self.spaces.hold(&WaitId::from_key(key).unwrap(), value), "what was held is gone");
        }
    }

    fn write(&self, step: &mut Step, me: &str, value: Tuple, lease: Option<u64>) -> Result<u64, Refused> {
        let (me, space) = (id(me), id("s"));
        let request = Request { me: &me, space: &space, now: self.now };
        let (id, change) = self.spaces.write(request, value, lease.map(NodeTime), &mut step.batch)?;
        step.staged.push(Box::new(change));
        Ok(id)
    }

    fn take(&self, step: &mut Step, me: &str, pattern: &Pattern) -> Option<u64> {
        let (me, space) = (id(me), id("s"));
        let request = Request { me: &me, space: &space, now: self.now };
        let (taken, _) = self.spaces.take(request, pattern, &mut step.batch);
        let (stored, change) = taken?;
        step.staged.push(Box::new(change));
        Some(stored.id)
    }

    fn all(&self, me: &str, pattern: &Pattern) -> Vec<Stored> {
        let (me, space) = (id(me), id("s"));
        let request = Request { me: &me, space: &space, now: self.now };
        self.spaces.read_all(request, pattern, None, (usize::MAX, usize::MAX)).0
    }

    /// Begins to take; false if there was something.
    fn begin(&self, step: &mut Step, wait: &WaitId, pattern: &Pattern) -> bool {
        let space = id("s");
        let request = Request { me: &wait.actor, space: &space, now: self.now };
        match self.spaces.wait(request, pattern, true, (wait, true), &mut step.batch).unwrap().0 {
            Wanted::Found(_, change) => {
                step.staged.extend(change.map(|change| Box::new(change) as Box<dyn Staging>));
                false
            }
            Wanted::Begins(change) => {
                step.staged.push(Box::new(change));
                true
            }
        }
    }

    /// Consumes what a wait was given.
    fn end(&self, step: &mut Step, wait: &WaitId) -> Option<u64> {
        let completion = self.waits.take(wait)?;
        step.batch.delete(Table::COMPLETIONS, &wait.key());
        self.spaces.left(wait, &mut step.batch);
        let (stored, change) = self.spaces.waited(&wait.actor, wait, &completion.bytes, &mut step.batch)?;
        step.staged.extend(change.map(|change| Box::new(change) as Box<dyn Staging>));
        Some(stored.id)
    }
}

fn tuple(first: i64, second: i64) -> Tuple {
    vec![Field::Integer(first), Field::Integer(second)]
}

fn exact(first: i64) -> Pattern {
    vec![PatternField::Exact(Field::Integer(first)), PatternField::Any]
}

fn any() -> Pattern {
    vec![PatternField::Any, PatternField::Any]
}

#[test]
fn a_take_by_first_field_out_of_a_million_looks_at_one_tuple() {
    let mut bench = Bench::new();
    // As if restored: a million writes would only take longer.
    let ids: Vec<u64> = {
        let place = bench.spaces.place(&id("s")).unwrap();
        let mut state = place.space.lock();
        let ids = (0..1_000_000).map(|first| {
            let id = bench.spaces.common.id();
            state.bytes += cost(&tuple(first, 7));
            state.slots.insert(id, Slot::restored(tuple(first, 7), None));
            state.show(id);
            id
        });
        let ids = ids.collect();
        bench.spaces.common.bytes.store(state.bytes, Relaxed);
        ids
    };
    let visited = |bench: &Bench| bench.spaces.there(&id("s")).unwrap().space.lock().visited;
    let before = visited(&bench);
    let mut step = Step::default();
    for first in [0, 499_999, 999_999] {
        assert_eq!(bench.take(&mut step, "t", &exact(first)), Some(ids[first as usize]));
    }
    assert_eq!(bench.take(&mut step, "t", &exact(1_000_000)), None);
    assert_eq!(visited(&bench) - before, 3);
    // The first in order of what is left, without looking at what is taken.
    assert_eq!(bench.take(&mut step, "t", &any()), Some(ids[1]));
    assert_eq!(visited(&bench) - before, 4);
    drop(step);
    let mut step = Step::default();
    assert_eq!(bench.take(&mut step, "t", &any()), Some(ids[0]), "undone");
    bench.commit(step);
    let step = &mut Step::default();
    assert_eq!(bench.take(step, "t", &any()), Some(ids[1]));
    assert_eq!(visited(&bench) - before, 6);
}

/// Three actors write, take, renew, swap, revoke, commit, undo, and now and then the node restarts; a list does the same.
#[test]
fn spaces_do_what_a_list_does() {
    #[derive(Clone, Debug)]
    struct Item {
        id: u64,
        value: Tuple,
        /// Whose open step has it, and what becomes of it.
        open: Option<(usize, Open)>,
    }
    #[derive(Clone, Debug, PartialEq)]
    enum Open {
        Written,
        Taken { written: bool },
    }
    const ACTORS: [&str; 3] = ["a", "b", "c"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..60 {
        let mut bench = Bench::new();
        let mut model: Vec<Item> = Vec::new();
        let mut steps: [Step; 3] = Default::default();
        for _ in 0..400 {
            let who = random.next(3) as usize;
            let me = ACTORS[who];
            let seen = |item: &Item| match &item.open {
                None => true,
                Some((owner, open)) => *owner == who && *open == Open::Written,
            };
            let pattern = match random.next(4) {
                0 => any(),
                1 => vec![PatternField::IntegerRange((Some(1), Some(2))), PatternField::Typed(FieldType::Integer)],
                _ => exact(random.next(4) as i64),
            };
            match random.next(12) {
                0..4 => {
                    let value = tuple(random.next(4) as i64, random.next(1000) as i64);
                    let id = bench.write(&mut steps[who], me, value.clone(), None).unwrap();
                    model.push(Item { id, value, open: Some((who, Open::Written)) });
                }
                4..7 => {
                    let expected = model.iter_mut().find(|item| seen(item) && value::matches(&pattern, &item.value));
                    let taken = bench.take(&mut steps[who], me, &pattern);
                    assert_eq!(taken, expected.as_ref().map(|item| item.id));
                    if let Some(item) = expected {
                        let written = item.open.is_some();
                        item.open = Some((who, Open::Taken { written }));
                    }
                }
                7 => {
                    let patterns = [pattern.clone(), any()];
                    let (me, space) = (id(me), id("s"));
                    let request = Request { me: &me, space: &space, now: bench.now };
                    let (taken, _) = bench.spaces.take_each(request, &patterns, &mut steps[who].batch);
                    let matching = model.iter().filter(|item| seen(item) && value::matches(&pattern, &item.value));
                    let possible = matching.count() > 0 && model.iter().filter(|item| seen(item)).count() > 1;
                    assert_eq!(taken.is_some(), possible);
                    for (at, (stored, change)) in taken.into_iter().flatten().enumerate() {
                        assert!(value::matches(&patterns[at], &stored.value));
                        let item = model.iter_mut().find(|item| item.id == stored.id).unwrap();
                        assert!(seen(item));
                        item.open = Some((who, Open::Taken { written: item.open.is_some() }));
                        steps[who].staged.push(Box::new(change));
                    }
                }
                8 => {
                    let (name, space) = (id(me), id("s"));
                    let request = Request { me: &name, space: &space, now: bench.now };
                    let value = tuple(random.next(4) as i64, -1);
                    let expected = model
                        .iter_mut()
                        .find(|item| item.open.is_none() && seen(item) && value::matches(&pattern, &item.value));
                    // A swap commits its step with it.
                    if !steps[who].staged.is_empty() {
                        continue;
                    }
                    match bench.spaces.swap(request, &pattern, value.clone()) {
                        Ok(((stored, change), _)) => {
                            let item = expected.unwrap();
                            assert_eq!((stored.id, &stored.value), (item.id, &item.value));
                            item.value = value;
                            steps[who].staged.push(Box::new(change));
                            bench.commit(std::mem::take(&mut steps[who]));
                        }
                        Err(refused) => assert_eq!((refused, expected.is_none()), (Refused::Conflict, true)),
                    }
                }
                9 => {
                    bench.commit(std::mem::take(&mut steps[who]));
                    model.retain(|item| !matches!(item.open, Some((owner, Open::Taken { .. })) if owner == who));
                    for item in model.iter_mut().filter(|item| matches!(item.open, Some((owner, _)) if owner == who)) {
                        item.open = None;
                    }
                }
                10 => {
                    steps[who] = Step::default();
                    model.retain(|item| {
                        !matches!(item.open, Some((owner, Open::Written | Open::Taken { written: true })) if owner == who)
                    });
                    for item in model.iter_mut().filter(|item| matches!(item.open, Some((owner, _)) if owner == who)) {
                        item.open = None;
                    }
                }
                _ if random.next(20) == 0 => {
                    steps = Default::default();
                    model.retain(|item| !matches!(item.open, Some((_, Open::Written | Open::Taken { written: true }))));
                    model.iter_mut().for_each(|item| item.open = None);
                    bench.restart();
                }
                _ => {
                    let expected: Vec<_> =
                        model.iter().filter(|item| seen(item) && value::matches(&pattern, &item.value)).collect();
                    let found = bench.all(me, &pattern);
                    assert_eq!(
                        found.iter().map(|stored| (stored.id, &stored.value)).collect::<Vec<_>>(),
                        expected.iter().map(|item| (item.id, &item.value)).collect::<Vec<_>>()
                    );
                }
            }
        }
        drop(steps);
        let committed: u64 = bench.all("d", &any()).iter().map(|stored| cost(&stored.value)).sum();
        assert_eq!(bench.spaces.common.bytes.load(Relaxed), committed, "what is undone or taken is not counted");
    }
}

#[test]
fn who_waits_is_served_in_order_also_with_what_comes_back_and_after_a_restart() {
    let mut bench = Bench::new();
    let waits: Vec<WaitId> = ["a", "b", "c"].iter().map(|name| wait_of(name, 5)).collect();
    // Taken, so that there is nothing; then three begin to wait.
    let mut writing = Step::default();
    let first = bench.write(&mut writing, "w", tuple(1, 0), None).unwrap();
    bench.commit(writing);
    let mut taking = Step::default();
    assert_eq!(bench.take(&mut taking, "w", &any()), Some(first));
    for wait in &waits {
        let mut step = Step::default();
        assert!(bench.begin(&mut step, wait, &any()));
        bench.commit(step);
    }
    // It goes back: the first in line gets it, nobody else sees it.
    drop(taking);
    assert_eq!(bench.take(&mut Step::default(), "w", &any()), None);
    bench.sweep();
    let mut step = Step::default();
    assert_eq!(bench.end(&mut step, &waits[0]), Some(first));
    // Undone by a fault, whose batch takes the completion away: it goes to the next.
    drop(step);
    bench.spaces.withdraw(&waits[0]);
    let mut fault = Step::default();
    fault.batch.delete(Table::COMPLETIONS, &waits[0].key());
    bench.commit(fault);
    bench.sweep();
    let mut step = Step::default();
    assert_eq!(bench.end(&mut step, &waits[1]), Some(first));
    bench.commit(step);

    // Two are left with rows, b's is consumed. A restart: they come back in another order, and are served in the old one.
    let mut step = Step::default();
    assert!(bench.begin(&mut step, &wait_of("b", 9), &any()));
    bench.commit(step);
    bench.restart();
    let space = id("s");
    for wait in [wait_of("b", 9), waits[2].clone()] {
        let request = Request { me: &wait.actor, space: &space, now: bench.now };
        bench.spaces.wait_again(request, &any(), true, &wait).unwrap();
    }
    let mut writing = Step::default();
    let second = bench.write(&mut writing, "w", tuple(2, 0), None).unwrap();
    let third = bench.write(&mut writing, "w", tuple(3, 0), None).unwrap();
    assert!(second > first, "ids go on");
    bench.commit(writing);
    // A completion that was not consumed is held through another restart.
    bench.restart();
    assert_eq!(bench.all("w", &any()), []);
    bench.waits.forget_one(&waits[2]);
    let completion = bench.completions[&waits[2].key()].clone();
    let mut step = Step::default();
    let given = bench.spaces.waited(&id("c"), &waits[2], &completion, &mut step.batch).unwrap();
    assert_eq!(given.0.id, second);
    drop((given, step));
    bench.spaces.withdraw(&wait_of("b", 9));
    assert_eq!(bench.all("w", &any()).iter().map(|stored| stored.id).collect::<Vec<_>>(), [second, third]);
}

#[test]
fn one_who_comes_back_to_find_something_takes_it() {
    let mut bench = Bench::new();
    let mut step = Step::default();
    let written = bench.write(&mut step, "w", tuple(1, 1), None).unwrap();
    bench.commit(step);
    let (space, wait) = (id("s"), wait_of("a", 3));
    let request = Request { me: &wait.actor, space: &space, now: bench.now };
    bench.spaces.wait_again(request, &any(), true, &wait).unwrap();
    bench.sweep();
    assert_eq!(bench.end(&mut Step::default(), &wait), Some(written));
    assert_eq!(bench.all("w", &any()).len(), 1, "undone");

    // One that began while another's write was not committed yet gets it as it is.
    let (mut writing, mut waiting, wait) = (Step::default(), Step::default(), wait_of("b", 4));
    let pattern = exact(9);
    let written = bench.write(&mut writing, "w", tuple(9, 9), None).unwrap();
    assert!(bench.begin(&mut waiting, &wait, &pattern));
    bench.commit(writing);
    bench.commit(waiting);
    let mut step = Step::default();
    assert_eq!(bench.end(&mut step, &wait), Some(written));
    bench.commit(step);
    assert!(!bench.completions.contains_key(&wait.key()));
}

#[test]
fn a_lease_ends_what_nobody_has_and_waits_for_what_somebody_has() {
    let mut bench = Bench::new();
    let mut step = Step::default();
    let [short, taken, renewed] =
        [1, 2, 3].map(|first| bench.write(&mut step, "w", tuple(first, 0), Some(2000)).unwrap());
    bench.commit(step);
    let (mut taking, mut renewing) = (Step::default(), Step::default());
    assert_eq!(bench.take(&mut taking, "t", &exact(2)), Some(taken));
    let (me, space) = (id("r"), id("s"));
    let request = Request { me: &me, space: &space, now: bench.now };
    renewing.staged.push(Box::new(bench.spaces.renew(request, renewed, NodeTime(5000)).unwrap().0));
    bench.now = NodeTime(2000);
    let ids = |bench: &Bench| bench.all("x", &any()).iter().map(|stored| stored.id).collect::<Vec<_>>();
    assert_eq!(ids(&bench), [renewed], "over as soon as it is over; not what is being renewed");
    bench.sweep();
    assert_eq!(bench.rows.len(), 3, "two tuples and the mark of ids: {short} is gone");
    drop(taking);
    bench.sweep();
    assert_eq!(ids(&bench), [renewed]);
    bench.commit(renewing);
    bench.restart();
    assert_eq!(ids(&bench), [renewed]);
    bench.now = NodeTime(5000);
    bench.sweep();
    assert!(ids(&bench).is_empty());
    assert_eq!(bench.rows.len(), 1);
    assert_eq!(bench.spaces.common.bytes.load(Relaxed), 0);
    assert!(bench.spaces.common.leases.lock().is_empty());
}

#[test]
fn a_tuple_that_comes_back_behind_its_lease_is_gone_also_where_somebody_waits_for_it() {
    let mut bench = Bench::new();
    let mut step = Step::default();
    let written = bench.write(&mut step, "w", tuple(1, 0), Some(2000)).unwrap();
    bench.commit(step);
    let mut taking = Step::default();
    assert_eq!(bench.take(&mut taking, "t", &exact(1)), Some(written));
    let (mut waiting, wait) = (Step::default(), wait_of("b", 4));
    assert!(bench.begin(&mut waiting, &wait, &exact(1)));
    bench.commit(waiting);
    bench.now = NodeTime(2000);
    drop(taking);
    bench.sweep();
    bench.sweep();
    assert!(!bench.completions.contains_key(&wait.key()), "nobody is given what is over");
    assert_eq!(bench.rows.len(), 2, "the mark of ids, and who waits");
    assert_eq!(bench.spaces.common.bytes.load(Relaxed), 0);
    assert!(bench.spaces.common.leases.lock().is_empty());
}

/// Whoever renews what another takes or swaps meanwhile does not bring it back, nor make public what is not committed.
#[test]
fn a_renewal_meets_the_steps_of_others() {
    let mut bench = Bench::new();
    let mut step = Step::default();
    let [one, two, three] = [1, 2, 3].map(|first| bench.write(&mut step, "w", tuple(first, 0), None).unwrap());
    bench.commit(step);
    let (me, other, space) = (id("r"), id("o"), id("s"));
    let request = Request { me: &me, space: &space, now: bench.now };
    let mut renewing = Step::default();
    for id in [one, two, three] {
        renewing.staged.push(Box::new(bench.spaces.renew(request, id, NodeTime(9000)).unwrap().0));
    }
    let (mut taking, mut swapping) = (Step::default(), Step::default());
    assert_eq!(bench.take(&mut taking, "t", &exact(1)), Some(one));
    let request = Request { me: &other, space: &space, now: bench.now };
    let ((_, swap), _) = bench.spaces.swap(request, &exact(2), tuple(20, 0)).unwrap();
    swapping.staged.push(Box::new(swap));
    bench.commit(taking);
    bench.commit(renewing);
    drop(swapping);
    bench.restart();
    let found = bench.all("x", &any());
    assert_eq!(found, [Stored { id: two, value: tuple(2, 0) }, Stored { id: three, value: tuple(3, 0) }]);
    bench.now = NodeTime(9000);
    bench.sweep();
    assert_eq!(bench.all("x", &any()), []);
}

#[test]
fn bounds_hold_at_their_edges_and_what_goes_makes_room() {
    let one = cost(&tuple(0, 0));
    let limits = SpaceLimits { spaces: 2, entries: 3, bytes: one * 3, all_bytes: one * 4, subscriptions: 1 };
    let mut bench = Bench::of(Spaces::within(limits));
    let mut step = Step::default();
    for number in 0..3 {
        bench.write(&mut step, "w", tuple(number, 0), None).unwrap();
    }
    let full = bench.write(&mut step, "w", tuple(9, 0), None).unwrap_err();
    assert_eq!(full, Refused::Exhausted("max-space-entries = 3".to_owned()));
    drop(step);
    let mut step = Step::default();
    let long = vec![Field::Bytes(vec![0; one as usize * 2 - 128 - 9])];
    bench.write(&mut step, "w", long.clone(), None).unwrap();
    bench.write(&mut step, "w", tuple(9, 0), None).unwrap();
    let full = bench.write(&mut step, "w", tuple(9, 0), None).unwrap_err();
    assert_eq!(full, Refused::Exhausted(format!("max-space-bytes = {}", one * 3)));
    bench.commit(step);
    let (me, other, third) = (id("w"), id("other"), id("third"));
    let request = |space| Request { me: &me, space, now: NodeTime(0) };
    let mut step = Step::default();
    let (_, change) = bench.spaces.write(request(&other), tuple(0, 0), None, &mut step.batch).unwrap();
    step.staged.push(Box::new(change));
    let full = bench.spaces.write(request(&other), tuple(0, 0), None, &mut step.batch).err().unwrap();
    assert_eq!(full, Refused::Exhausted(format!("max-spaces-bytes = {}", one * 4)));
    let full = bench.spaces.write(request(&third), tuple(0, 0), None, &mut step.batch).err().unwrap();
    assert_eq!(full, Refused::Exhausted("max-spaces = 2".to_owned()));
    drop(step);
    let mut step = Step::default();
    bench.spaces.subscribe(request(&third), any(), true, &mut step.batch).unwrap();
    assert!(bench.spaces.there(&other).is_none(), "one that is empty makes room");
    let (_, change) = bench.spaces.subscribe(request(&third), any(), true, &mut step.batch).unwrap();
    let full = bench.spaces.subscribe(request(&third), any(), true, &mut step.batch).err().unwrap();
    assert_eq!(full, Refused::Exhausted("max-subscriptions = 1".to_owned()));
    drop(change);
    assert!(bench.spaces.common.subscribers.lock().is_empty());
}

#[test]
fn each_pattern_gets_its_own_and_greed_does_not_fail_it() {
    let each = |candidates: &[&[u64]]| each_its_own(&candidates.iter().map(|ids| ids.to_vec()).collect::<Vec<_>>());
    assert_eq!(each(&[&[1, 2], &[1, 2]]), Some(vec![1, 2]));
    assert_eq!(each(&[&[1, 2], &[1]]), Some(vec![2, 1]));
    assert_eq!(each(&[&[1, 2], &[2, 3], &[1]]), Some(vec![2, 3, 1]));
    assert_eq!(each(&[&[1, 2], &[1, 2], &[1, 2]]), None);
    assert_eq!(each(&[&[]]), None);
    assert_eq!(each(&[]), Some(vec![]));
}
