//! The machine in a world of its own: actors that are there or not, and a clock.

use std::time::Duration;

use super::*;
use crate::manifest::application::{Application, Backoff, Child, Supervised};
use crate::supervision::rows::{decode_state, encode_state};
use troupe_log::ActorId;

const SECOND: u64 = 1_000_000;

fn policy(strategy: Strategy, max_restarts: u32) -> Policy {
    let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(8) };
    Policy { strategy, max_restarts, window: Duration::from_secs(60), backoff }
}

fn actor(name: &str, restart: Restart) -> Child {
    Child { restart, what: Supervised::actor(ActorId::parse(name).unwrap()) }
}

fn group(name: &str, restart: Restart, policy: Policy, children: Vec<Child>) -> Child {
    Child { restart, what: Supervised::Supervisor { name: name.to_owned(), policy, children } }
}

fn permanent(names: &[&str]) -> Vec<Child> {
    names.iter().map(|name| actor(name, Restart::Permanent)).collect()
}

fn machine(policy: Policy, children: Vec<Child>) -> Machine {
    Machine::new(Arc::new(Tree::of(&Application { name: "app".to_owned(), policy, children })))
}

struct World {
    machine: Machine,
    there: Vec<bool>,
    now: u64,
    done: Vec<String>,
}

impl World {
    /// Started, and nothing done so far.
    fn new(policy: Policy, children: Vec<Child>) -> World {
        let machine = machine(policy, children);
        let there = vec![false; machine.tree.members.len()];
        let mut world = World { machine, there, now: SECOND, done: Vec::new() };
        world.hear(Event::Start { there: Vec::new(), fresh: false });
        world.work();
        world.done.clear();
        world
    }

    fn moment(&self) -> Moment {
        Moment { now: NodeTime(self.now), wall: WallTime(self.now) }
    }

    fn hear(&mut self, event: Event) -> bool {
        self.machine.hear(&event, self.moment())
    }

    fn place(&self, name: &str) -> Place {
        (0..self.there.len()).find(|at| self.machine.tree.name_of(*at) == format!("default/{name}")).unwrap()
    }

    fn name(&self, place: Place) -> String {
        self.machine.tree.name_of(place).trim_start_matches("default/").to_owned()
    }

    fn end(&mut self, name: &str, cause: EndCause) {
        let place = self.place(name);
        self.there[place] = false;
        self.hear(Event::Ended { place, cause, why: "so".to_owned() });
    }

    fn fault(&mut self, name: &str) {
        self.end(name, EndCause::Fault);
    }

    /// One thing; false if there is none, now.
    fn step(&mut self) -> bool {
        match self.machine.next(NodeTime(self.now)) {
            Step::Stop(place, version) => {
                if std::mem::take(&mut self.there[place]) {
                    self.done.push(format!("-{}", self.name(place)));
                    self.hear(Event::Ended { place, cause: EndCause::Supervisor, why: String::new() });
                } else {
                    self.hear(Event::Gone { place, version });
                }
            }
            Step::Start(place, version) => {
                if !std::mem::replace(&mut self.there[place], true) {
                    self.done.push(format!("+{}", self.name(place)));
                }
                self.hear(Event::Started { place, version });
            }
            Step::Wait(_) | Step::Idle => return false,
        }
        true
    }

    /// All that is to be done now.
    fn work(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 1000, "it never ends: {:?}", self.done);
        }
    }

    /// All that is to be done, however long it takes.
    fn rest(&mut self) -> String {
        self.work();
        while let Step::Wait(until) = self.machine.next(NodeTime(self.now)) {
            self.now = until.0;
            self.work();
        }
        std::mem::take(&mut self.done).join(" ")
    }

    /// The process ends; what was committed is there again.
    fn crash(&mut self) {
        let tree = self.machine.tree.clone();
        let state = decode_state(&encode_state(&self.machine.state), &tree).unwrap();
        self.machine = Machine::with(tree, state);
        let there = self.there.clone();
        self.machine.look(|place| there[place], NodeTime(self.now));
    }
}

#[test]
fn children_start_in_order_and_stop_in_reverse() {
    let mut world = World::new(policy(Strategy::OneForOne, 5), permanent(&["a", "b", "c"]));
    assert_eq!(world.machine.state.status, Status::Running);
    world.hear(Event::Stop);
    assert_eq!(world.rest(), "-c -b -a");
    assert_eq!(world.machine.state.status, Status::Stopped);
    world.hear(Event::Start { there: Vec::new(), fresh: false });
    assert_eq!(world.rest(), "+a +b +c");
}

#[test]
fn each_strategy_restarts_what_depends_on_the_child_that_ended() {
    let restarted = |strategy, child: &str| {
        let mut world = World::new(policy(strategy, 5), permanent(&["a", "b", "c", "d"]));
        world.fault(child);
        world.rest()
    };
    assert_eq!(restarted(Strategy::OneForOne, "b"), "+b");
    assert_eq!(restarted(Strategy::OneForAll, "b"), "-d -c -a +a +b +c +d");
    assert_eq!(restarted(Strategy::RestForOne, "b"), "-d -c +b +c +d");
    assert_eq!(restarted(Strategy::RestForOne, "d"), "+d");
}

#[test]
fn each_kind_of_child_is_started_again_as_it_says() {
    let mut seen = Vec::new();
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for cause in [EndCause::Normal, EndCause::Fault, EndCause::Operator] {
            let mut world = World::new(policy(Strategy::OneForOne, 5), vec![actor("a", restart)]);
            world.end("a", cause);
            if !world.rest().is_empty() {
                seen.push((restart, cause));
            }
        }
    }
    let again = [
        (Restart::Permanent, EndCause::Normal),
        (Restart::Permanent, EndCause::Fault),
        (Restart::Transient, EndCause::Fault),
    ];
    assert_eq!(seen, again);
}

#[test]
fn what_is_not_to_be_started_again_stays_down_when_its_siblings_restart() {
    let children = vec![
        actor("a", Restart::Permanent),
        actor("temporary", Restart::Temporary),
        actor("transient", Restart::Transient),
        actor("held", Restart::Permanent),
    ];
    let mut world = World::new(policy(Strategy::OneForAll, 5), children);
    world.end("transient", EndCause::Normal);
    world.end("held", EndCause::Operator);
    assert_eq!(world.rest(), "");
    world.fault("a");
    assert_eq!(world.rest(), "-temporary +a", "a temporary child is never started again");
    let held = world.place("held");
    world.there[held] = true;
    assert!(world.hear(Event::Adopted { place: held }));
    world.fault("a");
    assert_eq!(world.rest(), "-held +a +held", "whom an operator started again is a child as before");
}

#[test]
fn a_restart_waits_twice_as_long_each_time_up_to_the_most() {
    let mut world = World::new(policy(Strategy::OneForOne, 100), permanent(&["a"]));
    let mut waits = Vec::new();
    for _ in 0..6 {
        world.fault("a");
        let Step::Wait(until) = world.machine.next(NodeTime(world.now)) else { panic!("it waits") };
        waits.push((until.0 - world.now) / SECOND);
        assert_eq!(world.rest(), "+a");
    }
    assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    world.now += 61 * SECOND;
    world.fault("a");
    assert_eq!(world.machine.next(NodeTime(world.now)), Step::Wait(NodeTime(world.now + SECOND)), "none in the window");
    let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::MAX };
    assert_eq!(backoff.before(u32::MAX), Duration::from_secs(1) * u32::MAX, "no overflow");
}

#[test]
fn one_more_than_max_restarts_within_the_window_is_too_many() {
    for most in 0..4 {
        let mut world = World::new(policy(Strategy::OneForOne, most), permanent(&["a", "b"]));
        for _ in 0..most {
            world.fault("b");
            assert_eq!(world.rest(), "+b");
        }
        world.fault("b");
        assert_eq!(world.rest(), "-a");
        let Status::Failed(why) = &world.machine.state.status else { panic!("{:?}", world.machine.state.status) };
        assert!(why.contains("default/b") && why.contains("so"), "{why}");
    }
    let mut world = World::new(policy(Strategy::OneForOne, 1), permanent(&["a"]));
    for _ in 0..5 {
        world.fault("a");
        assert_eq!(world.rest(), "+a");
        world.now += 60 * SECOND + 1;
    }
}

fn two_levels(outer: Policy, inner: Policy) -> World {
    let inner = group("inner", Restart::Permanent, inner, permanent(&["b", "c"]));
    World::new(outer, vec![actor("a", Restart::Permanent), inner, actor("d", Restart::Permanent)])
}

#[test]
fn a_supervisor_that_gives_up_is_a_child_that_ended() {
    let (outer, inner) = (policy(Strategy::RestForOne, 1), policy(Strategy::OneForOne, 1));
    let mut world = two_levels(outer.clone(), inner.clone());
    world.fault("c");
    assert_eq!(world.rest(), "+c");
    world.fault("c");
    assert_eq!(world.rest(), "-b -d +b +c +d", "its own children first, then those started after it");
    world.fault("b");
    assert_eq!(world.rest(), "+b", "it has begun anew: its restarts are forgotten");
    world.fault("b");
    assert_eq!(world.rest(), "-c -d -a", "the one above has restarted it once already");
    assert!(matches!(&world.machine.state.status, Status::Failed(_)));

    let temporary = group("inner", Restart::Temporary, policy(Strategy::OneForOne, 0), permanent(&["b", "c"]));
    let mut world = World::new(outer, vec![temporary, actor("d", Restart::Permanent)]);
    world.fault("b");
    assert_eq!(world.rest(), "-c", "and it is not started again");
    assert_eq!(world.machine.state.status, Status::Running);
}

#[test]
fn a_supervisor_that_begins_anew_starts_all_but_what_an_operator_stopped() {
    let children =
        vec![actor("b", Restart::Permanent), actor("temporary", Restart::Temporary), actor("held", Restart::Permanent)];
    let inner = group("inner", Restart::Permanent, policy(Strategy::OneForOne, 0), children);
    let mut world = World::new(policy(Strategy::OneForAll, 5), vec![actor("a", Restart::Permanent), inner]);
    world.fault("temporary");
    world.end("held", EndCause::Operator);
    assert_eq!(world.rest(), "");
    world.fault("b");
    assert_eq!(world.rest(), "-a +a +b +temporary");
}

#[test]
fn a_first_start_that_fails_takes_back_those_before_it() {
    let mut machine = machine(policy(Strategy::OneForOne, 5), permanent(&["a", "b", "c"]));
    let moment = Moment { now: NodeTime(1), wall: WallTime(1) };
    machine.hear(&Event::Start { there: Vec::new(), fresh: false }, moment);
    let mut world = World { machine, there: vec![false; 4], now: SECOND, done: Vec::new() };
    assert!(world.step());
    let Step::Start(place, version) = world.machine.next(NodeTime(world.now)) else { panic!("b is next") };
    world.hear(Event::NotStarted { place, version, why: "no".to_owned() });
    assert_eq!(world.rest(), "+a -a");
    assert_eq!(world.machine.state.status, Status::Failed("default/b did not start: no".to_owned()));
    // Of an application that runs it is an end like any other.
    let mut world = World::new(policy(Strategy::OneForOne, 1), permanent(&["a", "b"]));
    world.fault("b");
    world.now += 5 * SECOND;
    for _ in 0..2 {
        if let Step::Start(place, version) = world.machine.next(NodeTime(world.now)) {
            world.hear(Event::NotStarted { place, version, why: "no".to_owned() });
        }
    }
    assert_eq!(world.rest(), "-a");
}

#[test]
fn an_application_that_is_started_again_while_it_runs_starts_what_is_down_at_once() {
    let mut world = World::new(policy(Strategy::OneForOne, 5), permanent(&["a", "b", "c"]));
    world.end("a", EndCause::Operator);
    world.fault("b");
    world.hear(Event::Start { there: vec![3], fresh: false });
    world.work();
    assert_eq!(world.done, ["+a", "+b"]);
    assert_eq!(world.machine.state.status, Status::Running);
    // What was begun is carried out.
    let mut world = World::new(policy(Strategy::OneForAll, 5), permanent(&["a", "b"]));
    world.fault("b");
    world.hear(Event::Start { there: vec![1], fresh: false });
    world.work();
    assert_eq!(world.done, ["-a", "+a", "+b"]);
}

#[test]
fn an_answer_to_a_phase_that_is_over_changes_nothing() {
    let mut world = World::new(policy(Strategy::OneForOne, 5), permanent(&["a"]));
    world.fault("a");
    world.now += SECOND;
    let Step::Start(place, version) = world.machine.next(NodeTime(world.now)) else { panic!("it is due") };
    // It began and ended before anybody could say that it had begun.
    world.fault("a");
    let now = world.machine.state.clone();
    assert!(!world.hear(Event::Started { place, version }));
    assert!(!world.hear(Event::NotStarted { place, version, why: "no".to_owned() }));
    assert!(!world.hear(Event::Postponed { place, version, until: NodeTime(9) }));
    assert!(!world.hear(Event::Gone { place, version }));
    assert_eq!(world.machine.state, now);
    assert_eq!(world.rest(), "+a");
}

#[test]
fn what_is_kept_of_the_past_is_bounded() {
    let mut world = World::new(policy(Strategy::OneForOne, 1000), permanent(&["a"]));
    for _ in 0..200 {
        let place = world.place("a");
        world.there[place] = false;
        world.hear(Event::Ended { place, cause: EndCause::Fault, why: "\u{e9}".repeat(5000) });
        world.rest();
    }
    assert_eq!(world.machine.state.notes.len(), MAX_NOTES);
    assert!(encode_state(&world.machine.state).len() < MAX_NOTES * (MAX_REASON + 100) + 4000);
}

/// Every sequence of a few ends, with a step or a crash between any two: whatever happens, each actor is there if it is wanted, none
/// is there that is not, and a crash changes nothing of what is done.
#[test]
fn every_short_history_ends_with_those_there_who_are_wanted() {
    let trees = |strategy| {
        [
            vec![actor("a", Restart::Permanent), actor("b", Restart::Transient), actor("c", Restart::Temporary)],
            vec![
                actor("a", Restart::Permanent),
                group("inner", Restart::Permanent, policy(strategy, 0), permanent(&["b", "c"])),
                actor("d", Restart::Transient),
            ],
            vec![group(
                "one",
                Restart::Transient,
                policy(Strategy::OneForAll, 1),
                vec![
                    group("two", Restart::Permanent, policy(strategy, 1), permanent(&["a", "b"])),
                    actor("c", Restart::Temporary),
                ],
            )],
        ]
    };
    let mut histories = 0;
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for (most, children) in trees(strategy).into_iter().flat_map(|tree| [(1, tree.clone()), (2, tree)]) {
            let actors: Vec<Place> =
                machine(policy(strategy, most), children.clone()).tree.actors().map(|(place, _)| place).collect();
            let causes = [EndCause::Normal, EndCause::Fault, EndCause::Operator];
            let ends: Vec<_> = actors.iter().flat_map(|place| causes.map(|cause| (*place, cause))).collect();
            // Between two ends: so many steps.
            let pauses = [0, 1, 3, 100];
            let mut all = Vec::new();
            for one in &ends {
                for two in &ends {
                    all.extend(ends.iter().map(|three| [*one, *two, *three]));
                }
            }
            for (number, history) in all.into_iter().enumerate() {
                let (first, second) = (pauses[number % 4], pauses[number / 4 % 4]);
                let run = |crashes: bool| {
                    let mut world = World::new(policy(strategy, most), children.clone());
                    for ((place, cause), pause) in history.iter().zip([first, second, 100]) {
                        if std::mem::take(&mut world.there[*place]) {
                            world.hear(Event::Ended { place: *place, cause: *cause, why: "so".to_owned() });
                        }
                        for _ in 0..pause {
                            if crashes {
                                world.crash();
                            }
                            if !world.step() {
                                let Step::Wait(until) = world.machine.next(NodeTime(world.now)) else { break };
                                world.now = until.0;
                            }
                        }
                    }
                    world.rest();
                    assert_eq!(world.machine.next(NodeTime(world.now)), Step::Idle);
                    for place in &actors {
                        let wanted = world.machine.phase(*place) == Phase::Up;
                        assert_eq!(world.there[*place], wanted, "{history:?}: {:?}", world.machine.state);
                        assert!(!wanted || world.machine.lives(), "{history:?}: {:?}", world.machine.state);
                    }
                    world.machine.state
                };
                assert_eq!(run(false), run(true), "{history:?}");
                histories += 1;
            }
        }
    }
    assert!(histories > 10_000, "{histories}");
}

#[test]
fn an_application_has_stopped_or_failed_when_the_last_of_it_is_gone() {
    let mut world = World::new(policy(Strategy::OneForOne, 0), permanent(&["a", "b"]));
    world.hear(Event::Stop);
    assert_eq!(world.machine.state.status, Status::Stopping);
    world.step();
    assert_eq!((world.machine.state.status.clone(), world.done.join(" ")), (Status::Stopping, "-b".to_owned()));
    world.rest();
    assert_eq!(world.machine.state.status, Status::Stopped);
    world.hear(Event::Start { there: Vec::new(), fresh: false });
    world.rest();
    world.fault("b");
    assert!(matches!(world.machine.state.status, Status::Failing(_)));
    world.rest();
    assert!(matches!(world.machine.state.status, Status::Failed(_)));
}

#[test]
fn an_application_that_is_started_anew_has_forgotten_what_was() {
    let inner = group("inner", Restart::Permanent, policy(Strategy::OneForOne, 5), permanent(&["b"]));
    let children = vec![actor("a", Restart::Permanent), inner];
    let mut world = World::new(policy(Strategy::OneForOne, 1), children);
    let new = world.machine.state.members.clone();
    world.fault("b");
    world.rest();
    for _ in 0..2 {
        world.fault("a");
        world.rest();
    }
    assert!(matches!(world.machine.state.status, Status::Failed(_)));
    world.hear(Event::Start { there: Vec::new(), fresh: false });
    assert_eq!(world.rest(), "+a +b");
    assert_eq!(world.machine.state.members, new, "restarts, ends, and who gave up");
}

#[test]
fn a_supervisor_that_begins_anew_counts_anew() {
    let inner = group("inner", Restart::Permanent, policy(Strategy::OneForOne, 1), permanent(&["b"]));
    let children = vec![actor("a", Restart::Permanent), inner];
    let mut world = World::new(policy(Strategy::OneForAll, 5), children);
    world.fault("b");
    assert_eq!(world.rest(), "+b");
    world.fault("a");
    assert_eq!(world.rest(), "-b +a +b", "inner, too");
    world.fault("b");
    assert_eq!(world.rest(), "+b", "its first");
    world.fault("b");
    assert_eq!(world.rest(), "-a +a +b", "one too many");
}

#[test]
fn who_waits_longer_than_those_it_is_restarted_with_has_all_of_them_wait() {
    let slow = Backoff { initial: Duration::from_secs(8), max: Duration::from_secs(8) };
    let slow = Policy { backoff: slow, ..policy(Strategy::OneForOne, 5) };
    let inner = group("inner", Restart::Permanent, slow, permanent(&["b"]));
    let children = vec![actor("a", Restart::Permanent), inner];
    let mut world = World::new(policy(Strategy::OneForAll, 5), children);
    world.fault("b");
    world.fault("a");
    assert_eq!(world.machine.next(NodeTime(world.now)), Step::Wait(NodeTime(world.now + 8 * SECOND)));
    assert_eq!(world.rest(), "+a +b", "in their order");
}

#[test]
fn an_operator_who_is_quicker_than_the_supervisor_has_the_last_word() {
    let mut world = World::new(policy(Strategy::OneForAll, 5), permanent(&["a", "b", "c"]));
    world.fault("a");
    assert!(matches!(world.machine.phase(world.place("b")), Phase::Stopping(Some(_))));
    world.end("b", EndCause::Operator);
    assert_eq!(world.rest(), "-c +a +c", "b stays down");
    // Whoever is there at a start of the node is its supervisor's again, unless the application has stopped.
    let b = world.place("b");
    world.there[b] = true;
    world.crash();
    assert_eq!(world.machine.phase(b), Phase::Up);
    world.hear(Event::Stop);
    assert_eq!(world.rest(), "-c -b -a");
    world.there[b] = true;
    world.crash();
    assert_eq!((world.machine.phase(b), world.rest()), (Phase::Down, String::new()));
}

#[test]
fn what_is_said_of_an_actor_holds_for_what_was_to_be_done_then() {
    let mut world = World::new(policy(Strategy::OneForAll, 5), permanent(&["a", "b"]));
    world.fault("b");
    let Step::Stop(place, version) = world.machine.next(NodeTime(world.now)) else { panic!("a is to stop") };
    world.rest();
    world.fault("b");
    let again = world.machine.phase(place);
    assert!(matches!(again, Phase::Stopping(Some(_))), "{again:?}");
    assert!(!world.hear(Event::Gone { place, version }));
    assert_eq!(world.machine.phase(place), again, "of the stop before");
    assert_eq!(world.rest(), "-a +a +b");
}
