//! Supervisors over real actors: "a transition is committed before it is acted on, the end of an actor's life and what its
//! supervisor decides are one batch, and a crash between the two loses neither". What a supervisor decides is tested beside its
//! code (`supervision/machine_tests.rs`); here it is carried out.

use std::time::Duration;

use troupe_log::{Kind, Position, SimDisk};
use troupe_runtime::Error;
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::application::{Application, Backoff, Child, Policy, Restart, Supervised};
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Mode, OnFault, Processes, Strategy};
use troupe_runtime::node::{ApplicationInfo, MemberInfo, Node, NodeOptions, Outgoing};

use crate::durations::Manual;
use crate::support::{ask, begun, id, node_on, options, power_cut, replay, spec, verified};

/// A supervisor that allows so many restarts, and hardly waits.
fn policy(strategy: Strategy, max_restarts: u32) -> Policy {
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(1) };
    Policy { strategy, max_restarts, window: Duration::from_secs(3600), backoff }
}

/// A counter that begins at 5 and whose first fault ends its life.
fn counter(name: &str) -> ActorSpec {
    let mut counter = spec(name, "counter-rust");
    counter.init = b"5".to_vec();
    counter.supervision.on_fault = OnFault::Stop;
    counter
}

fn child(name: &str, restart: Restart) -> Child {
    Child { restart, what: Supervised::actor(id(name)) }
}

fn supervisor(name: &str, policy: Policy, children: Vec<Child>) -> Child {
    Child { restart: Restart::Permanent, what: Supervised::Supervisor { name: name.to_owned(), policy, children } }
}

fn app(policy: Policy, children: Vec<Child>) -> Application {
    Application { name: "app".to_owned(), policy, children }
}

fn permanent(names: &[&str]) -> Vec<Child> {
    names.iter().map(|name| child(name, Restart::Permanent)).collect()
}

fn counters(names: &[&str]) -> Vec<ActorSpec> {
    names.iter().map(|name| counter(name)).collect()
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// A node with the application of three counters, started.
async fn started(strategy: Strategy, max_restarts: u32) -> (Node, SimDisk) {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let started = node
        .start_application(&app(policy(strategy, max_restarts), permanent(&NAMES)), counters(&NAMES), false)
        .await
        .unwrap();
    assert_eq!(started.len(), 3);
    (node, disk)
}

/// Ends a life by a fault.
async fn fault(node: &Node, actor: &str) {
    let error = ask(node, actor, "trap", "").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { .. }), "{error}");
}

fn member<'a>(info: &'a ApplicationInfo, name: &str) -> &'a MemberInfo {
    info.members.iter().find(|member| member.name.trim_start_matches("default/") == name).unwrap()
}

/// The application, once it has nothing to do, and `until` holds.
async fn once(node: &Node, until: impl Fn(&ApplicationInfo) -> bool) -> ApplicationInfo {
    loop {
        let info = node.application("app").await.unwrap();
        let busy = info.members.iter().any(|member| matches!(member.phase, "due" | "stopping"));
        if !busy && matches!(info.status, "running" | "stopped" | "failed") && until(&info) {
            return info;
        }
        tokio::task::yield_now().await;
    }
}

/// Once its supervisors have restarted that often.
async fn restarted(node: &Node, times: u64) -> ApplicationInfo {
    let restarts = |info: &ApplicationInfo| -> u64 {
        info.members.iter().filter(|member| member.strategy.is_some()).map(|member| member.restarts).sum()
    };
    once(node, |info| restarts(info) >= times).await
}

async fn incarnations(node: &Node, names: &[&str]) -> Vec<u32> {
    let mut all = Vec::new();
    for name in names {
        all.push(node.actor(&id(name)).await.unwrap().incarnation.0);
    }
    all
}

/// Every actor's present life is whole and replays to the same.
async fn replayed(node: &Node, names: &[&str]) {
    for name in names {
        verified(node, name).await;
        replay(node, name, "counter-rust").await.unwrap();
    }
}

/// Where the first record of a kind in an actor's present life stands in the log.
async fn position(node: &Node, actor: &str, kind: Kind) -> Position {
    let mut journal = node.journal(&id(actor)).await.unwrap();
    while let Some((position, part)) = journal.next_part().unwrap() {
        if troupe_log::record::records(part).any(|record| record.unwrap().kind == kind) {
            return position;
        }
    }
    panic!("{actor} has no record of the kind {}", kind.name());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_start_in_order_and_stop_in_reverse() {
    let (node, disk) = started(Strategy::OneForOne, 5).await;
    let info = node.actor(&id("b")).await.unwrap();
    assert_eq!(info.supervisor.as_deref(), Some("app"));
    assert_eq!(ask(&node, "b", "add", "1").await.unwrap(), "6");
    let begun = [position(&node, "a", Kind::Genesis).await, position(&node, "b", Kind::Genesis).await];
    assert!(begun.is_sorted() && begun[1] < position(&node, "c", Kind::Genesis).await);
    node.stop_application("app").await.unwrap();
    let mut ended = Vec::new();
    for name in ["c", "b", "a"] {
        assert_eq!(node.actor(&id(name)).await.unwrap().status, "stopped");
        ended.push(position(&node, name, Kind::Stop).await);
    }
    assert!(ended.is_sorted(), "{ended:?}");
    replayed(&node, &NAMES).await;
    let error = node.stop_application("app").await.unwrap_err();
    assert!(matches!(&error, Error::Invalid { what } if what.contains("does not run")), "{error}");

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(once(&node, |_| true).await.status, "stopped", "it stays so");
    assert_eq!(node.actor(&id("a")).await.unwrap().status, "stopped");
    node.start_application(&app(policy(Strategy::OneForOne, 5), permanent(&NAMES)), counters(&NAMES), false)
        .await
        .unwrap();
    assert_eq!(incarnations(&node, &NAMES).await, [1, 1, 1]);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_strategy_begins_new_lives_of_what_depends_on_the_one_that_ended() {
    let cases = [(Strategy::OneForOne, [0, 1, 0]), (Strategy::OneForAll, [1, 1, 1]), (Strategy::RestForOne, [0, 1, 1])];
    for (strategy, lives) in cases {
        let (node, disk) = started(strategy, 5).await;
        for name in NAMES {
            ask(&node, name, "add", "1").await.unwrap();
        }
        let keyed = Outgoing::new("add", &b"1"[..]).key("k");
        assert_eq!(node.call(&id("b"), keyed.clone()).await.unwrap(), b"7");
        fault(&node, "b").await;
        let info = restarted(&node, 1).await;
        assert_eq!(member(&info, "b").last.as_ref().unwrap().0, "fault");
        assert_eq!(incarnations(&node, &NAMES).await, lives, "{strategy:?}");
        for (name, life) in NAMES.iter().zip(lives) {
            let total = ask(&node, name, "get", "").await.unwrap();
            assert_eq!(total, if life == 0 { "6" } else { "5" }, "{strategy:?}: {name} begins as it did first");
        }
        assert_eq!(node.call(&id("b"), keyed.clone()).await.unwrap(), b"7", "keys are kept: the first answer");
        replayed(&node, &NAMES).await;
        let node = node_on(&power_cut(node, &disk)).await;
        assert_eq!(once(&node, |_| true).await.status, "running");
        assert_eq!(incarnations(&node, &NAMES).await, lives);
        assert_eq!(node.call(&id("b"), keyed).await.unwrap(), b"7");
        replayed(&node, &NAMES).await;
        node.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_child_is_started_again_as_it_says_and_never_after_an_operators_stop() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let children = vec![
        child("a", Restart::Permanent),
        child("b", Restart::Transient),
        child("c", Restart::Temporary),
        child("d", Restart::Permanent),
    ];
    let names = ["a", "b", "c", "d"];
    node.start_application(&app(policy(Strategy::OneForOne, 5), children), counters(&names), false).await.unwrap();
    for name in NAMES {
        fault(&node, name).await;
    }
    node.stop(&id("d"), "enough").await.unwrap();
    let info = restarted(&node, 2).await;
    let phases: Vec<_> = names.iter().map(|name| member(&info, name).phase).collect();
    assert_eq!(phases, ["up", "up", "down", "down"]);
    assert_eq!(member(&info, "d").last, Some(("operator", "enough".to_owned())));
    let node = node_on(&power_cut(node, &disk)).await;
    let info = once(&node, |_| true).await;
    assert_eq!(
        (member(&info, "c").phase, member(&info, "d").phase),
        ("down", "down"),
        "a start of the node changes nothing"
    );
    assert_eq!(info.status, "running");

    // Whom an operator starts again is a child as before.
    node.start(counter("d")).await.unwrap();
    assert_eq!(member(&node.application("app").await.unwrap(), "d").phase, "up");
    fault(&node, "d").await;
    restarted(&node, 3).await;
    assert_eq!(node.actor(&id("d")).await.unwrap().incarnation.0, 2);
    replayed(&node, &["a", "b", "d"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_restart_too_many_fails_the_application_which_stays_so_until_it_is_started_again() {
    let (node, disk) = started(Strategy::OneForOne, 1).await;
    fault(&node, "b").await;
    restarted(&node, 1).await;
    // The count goes on behind a power cut.
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    fault(&node, "b").await;
    let info = once(&node, |info| info.status == "failed").await;
    let reason = info.reason.unwrap();
    assert!(reason.contains("2 restarts within 3600s, the last of default/b: fault: trap"), "{reason}");
    for name in NAMES {
        assert_eq!(node.actor(&id(name)).await.unwrap().status, "stopped", "{name}");
    }
    let [a, c] = [position(&node, "a", Kind::Stop).await, position(&node, "c", Kind::Stop).await];
    assert!(c < a, "in reverse order");
    assert!(info.notes.iter().any(|note| note.text.contains("application app gives up")), "{:?}", info.notes);
    replayed(&node, &NAMES).await;
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.application("app").await.unwrap().status, "failed");
    node.start_application(&app(policy(Strategy::OneForOne, 1), permanent(&NAMES)), counters(&NAMES), false)
        .await
        .unwrap();
    fault(&node, "b").await;
    assert_eq!(restarted(&node, 1).await.status, "running", "its restarts were forgotten");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_waits_its_time_also_through_a_power_cut() {
    let (disk, clock) = (SimDisk::new(), Manual::new());
    let open = async |disk: &SimDisk| Node::open(NodeOptions { clock: clock.clone(), ..options(disk) }).await.unwrap();
    let node = open(&disk).await;
    let second = Duration::from_secs(1);
    let backoff = Backoff { initial: second, max: 60 * second };
    let policy = Policy { backoff, ..policy(Strategy::OneForOne, 100) };
    node.start_application(&app(policy, permanent(&["a", "b"])), counters(&["a", "b"]), false).await.unwrap();
    let due = async |node: &Node| {
        loop {
            let info = node.application("app").await.unwrap();
            if let Some(due) = member(&info, "b").due {
                return due.0;
            }
            tokio::task::yield_now().await;
        }
    };
    fault(&node, "b").await;
    let first = due(&node).await;
    assert_eq!(ask(&node, "b", "get", "").await.unwrap_err(), CallError::NotFound("default/b".to_owned()));
    clock.advance(second - Duration::from_millis(1));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(due(&node).await, first, "not before its time");
    clock.advance(Duration::from_millis(1));
    restarted(&node, 1).await;
    assert_eq!(ask(&node, "b", "get", "").await.unwrap(), "5");

    fault(&node, "b").await;
    let second_due = due(&node).await;
    assert!(second_due - first >= 2_000_000, "twice as long: {}", second_due - first);
    let node = open(&power_cut(node, &disk)).await;
    assert_eq!(due(&node).await, second_due, "at its time");
    assert_eq!(node.actor(&id("b")).await.unwrap().status, "stopped");
    clock.advance(2 * second);
    once(&node, |_| true).await;
    assert_eq!(incarnations(&node, &["a", "b"]).await, [0, 2]);
    replayed(&node, &["a", "b"]).await;
    // An operator who stops it does not wait.
    fault(&node, "b").await;
    due(&node).await;
    node.stop_application("app").await.unwrap();
    assert_eq!(node.actor(&id("b")).await.unwrap().incarnation.0, 2);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_gives_up_is_restarted_by_the_one_above_until_that_gives_up_too() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let names = ["a", "b", "c", "d"];
    let inner = supervisor("inner", policy(Strategy::OneForOne, 1), permanent(&["b", "c"]));
    let children = vec![child("a", Restart::Permanent), inner, child("d", Restart::Permanent)];
    node.start_application(&app(policy(Strategy::RestForOne, 1), children), counters(&names), false).await.unwrap();
    assert_eq!(node.actor(&id("c")).await.unwrap().supervisor.as_deref(), Some("app/inner"));
    fault(&node, "c").await;
    restarted(&node, 1).await;
    assert_eq!(incarnations(&node, &names).await, [0, 0, 1, 0]);
    fault(&node, "c").await;
    restarted(&node, 2).await;
    assert_eq!(incarnations(&node, &names).await, [0, 1, 2, 1], "inner began anew, and with it what follows it");
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    fault(&node, "c").await;
    restarted(&node, 3).await;
    fault(&node, "c").await;
    let info = once(&node, |info| info.status == "failed").await;
    assert!(info.reason.unwrap().contains("2 restarts within 3600s, the last of supervisor inner"));
    assert_eq!(incarnations(&node, &names).await, [0, 1, 3, 1]);
    replayed(&node, &names).await;
    node.close().await.unwrap();
}

/// Whenever the node goes in the middle of a one-for-all, by a power cut or by a kill: all of them are in one life in the end, nobody
/// tells the next start what they are, and every journal replays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_a_one_for_all_is_completed_or_never_began() {
    let (node, disk) = started(Strategy::OneForAll, 5).await;
    ask(&node, "a", "add", "1").await.unwrap();
    let ready = power_cut(node, &disk);
    let (mut before, mut after, mut half) = (0, 0, 0);
    for stop in 0.. {
        assert!(stop < 600, "it never ends");
        let (operations, killed) = (stop / 2, stop % 2 == 1);
        let disk = ready.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations);
        let faulting = ask(&node, "b", "trap", "").await;
        let done = async {
            if faulting.is_ok() || matches!(faulting, Err(CallError::Faulted { .. })) {
                while let Ok(info) = node.application("app").await {
                    let up = |member: &&MemberInfo| member.strategy.is_none() && member.phase == "up";
                    let restarts = info.members[0].restarts;
                    if restarts == 1 && info.members.iter().filter(up).count() == 3 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = done => {}
            _ = node.halted() => {}
        }
        let whole = !disk.is_cut();
        drop(node);
        crate::coverage::cut();
        match killed {
            true => disk.crash_keeping(true, |write| 0..write.len),
            false => disk.crash(),
        }
        let node = node_on(&disk).await;
        half += usize::from(node.application("app").await.unwrap().members.iter().any(|member| member.phase != "up"));
        let info = once(&node, |_| true).await;
        assert_eq!(info.status, "running");
        assert!(info.members.iter().all(|member| member.phase == "up"), "after {operations}: {info:?}");
        let lives = incarnations(&node, &NAMES).await;
        match lives[..] {
            [0, 0, 0] => before += 1,
            [1, 1, 1] => after += 1,
            _ => panic!("after {operations}, killed: {killed}: {lives:?}"),
        }
        assert_eq!(info.members[0].restarts, u64::from(lives[0]), "after {operations}");
        assert_eq!(ask(&node, "a", "get", "").await.unwrap(), if lives[0] == 0 { "6" } else { "5" });
        replayed(&node, &NAMES).await;
        node.close().await.unwrap();
        if whole && killed {
            break;
        }
    }
    assert!(before > 0 && after > 0 && half > 0, "{before} before, {after} after, {half} in the middle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_does_not_start_fails_an_application_that_begins() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let shop = app(policy(Strategy::OneForOne, 5), permanent(&["a", "bad", "c"]));
    let actors = vec![counter("a"), spec("bad", "init-fails"), counter("c")];
    let error = node.start_application(&shop, actors, false).await.unwrap_err();
    assert!(matches!(&error, Error::InitFailed { actor, .. } if *actor == id("bad")), "{error}");
    let info = once(&node, |_| true).await;
    assert_eq!(info.status, "failed");
    assert!(info.reason.unwrap().contains("default/bad did not start"));
    assert_eq!(node.actor(&id("a")).await.unwrap().status, "stopped", "what had begun is taken back");
    assert!(matches!(node.actor(&id("c")).await, Err(Error::NoActor(_))), "nobody behind it has begun");
    node.remove_application("app").await.unwrap();
    assert!(matches!(node.application("app").await, Err(Error::NoApplication { .. })));
    let node = node_on(&power_cut(node, &disk)).await;
    assert!(node.applications().await.unwrap().is_empty());
    // Its actors are anybody's.
    node.start_application(&app(policy(Strategy::OneForOne, 5), permanent(&["a"])), counters(&["a"]), false)
        .await
        .unwrap();
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_whose_child_takes_long_to_begin_holds_no_other_up() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut late = spec("late", "slow-life");
    late.init = b"long".to_vec();
    let one = app(policy(Strategy::OneForOne, 5), permanent(&["late"]));
    let other = Application { name: "other".to_owned(), ..app(policy(Strategy::OneForOne, 5), permanent(&["a"])) };
    let starting = begun(node.start_application(&one, vec![late], false)).await;
    node.start_application(&other, counters(&["a"]), false).await.unwrap();
    node.stop_application("other").await.unwrap();
    node.remove_application("other").await.unwrap();
    drop(starting);
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn started_again_it_goes_on_and_takes_new_settings_but_no_other_children() {
    let (node, _) = started(Strategy::OneForOne, 5).await;
    ask(&node, "a", "add", "1").await.unwrap();
    node.stop(&id("b"), "enough").await.unwrap();
    let mut actors = counters(&NAMES);
    actors[0].limits.mailbox = std::num::NonZeroU32::MIN;
    let again =
        node.start_application(&app(policy(Strategy::OneForAll, 7), permanent(&NAMES)), actors, false).await.unwrap();
    let resumed: Vec<bool> = again.iter().map(|started| started.resumed).collect();
    assert_eq!(resumed, [true, false, true], "what an operator stopped is started by an operator");
    assert_eq!(again[0].changed, ["limits.mailbox 1024 -> 1"]);
    assert_eq!(node.application("app").await.unwrap().members[0].strategy, Some(Strategy::OneForAll));
    assert_eq!(ask(&node, "a", "get", "").await.unwrap(), "6");

    let other = app(policy(Strategy::OneForOne, 5), permanent(&["a", "b"]));
    let error = node.start_application(&other, counters(&["a", "b"]), false).await.unwrap_err();
    assert!(error.to_string().contains("runs with other children"), "{error}");
    let thief = Application { name: "thief".to_owned(), ..app(policy(Strategy::OneForOne, 5), permanent(&["c"])) };
    let error = node.start_application(&thief, counters(&["c"]), false).await.unwrap_err();
    assert!(error.to_string().contains("default/c is a child of the application app"), "{error}");
    assert!(node.remove_application("app").await.unwrap_err().to_string().contains("runs"));
    // Another component is refused before anything is changed.
    let mut actors = counters(&NAMES);
    actors[2] = spec("c", "counter-c");
    let error = node.start_application(&app(policy(Strategy::OneForOne, 5), permanent(&NAMES)), actors, false).await;
    assert!(matches!(error, Err(Error::OtherComponent { .. })));
    assert_eq!(node.application("app").await.unwrap().members[0].strategy, Some(Strategy::OneForAll));

    let fresh = app(policy(Strategy::OneForOne, 5), permanent(&NAMES));
    node.start_application(&fresh, counters(&NAMES), true).await.unwrap();
    assert_eq!(incarnations(&node, &NAMES).await, [1, 2, 1]);
    assert_eq!(ask(&node, "a", "get", "").await.unwrap(), "5");
    replayed(&node, &NAMES).await;
    node.close().await.unwrap();
}

/// "No journal, no resume": after a start of the node its supervisor begins it anew, and counts nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_without_a_journal_is_begun_again_with_the_node() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let off = |name: &str| ActorSpec { journal: Mode::Off, ..counter(name) };
    let actors = vec![counter("a"), off("b")];
    node.start_application(&app(policy(Strategy::OneForOne, 1), permanent(&["a", "b"])), actors, false).await.unwrap();
    ask(&node, "b", "add", "1").await.unwrap();
    fault(&node, "b").await;
    restarted(&node, 1).await;
    assert_eq!(ask(&node, "b", "get", "").await.unwrap(), "5");
    for _ in 0..3 {
        let disk = power_cut(node.clone(), &disk);
        let node = node_on(&disk).await;
        assert_eq!(once(&node, |_| true).await.members[0].restarts, 1);
        assert_eq!(ask(&node, "b", "add", "1").await.unwrap(), "6");
        node.close().await.unwrap();
    }
}

/// A poison message is given up by its actor's own policy: attempts, then the dead letters. Its supervisor hears nothing of it, unless
/// the actor ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_message_is_a_dead_letter_within_the_tree() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut patient = counter("a");
    patient.supervision.on_fault = OnFault::Restore;
    let actors = vec![patient, counter("b")];
    node.start_application(&app(policy(Strategy::OneForAll, 5), permanent(&["a", "b"])), actors, false).await.unwrap();
    fault(&node, "a").await;
    let [letter] = &node.dead_letters_of(&id("a")).await.unwrap()[..] else { panic!("one") };
    assert_eq!(letter.message.attempt, 3);
    assert_eq!(node.application("app").await.unwrap().members[0].restarts, 0);
    fault(&node, "b").await;
    restarted(&node, 1).await;
    let node = node_on(&power_cut(node, &disk)).await;
    once(&node, |_| true).await;
    let [letter] = &node.dead_letters_of(&id("b")).await.unwrap()[..] else { panic!("one") };
    assert_eq!(incarnations(&node, &["a", "b"]).await, [1, 1]);
    // Sent again, it ends the next life too.
    node.resend(&id("b"), letter.message.id).await.unwrap();
    restarted(&node, 2).await;
    assert_eq!(node.dead_letters_of(&id("b")).await.unwrap().len(), 1);
    let letter = node.dead_letters_of(&id("b")).await.unwrap()[0].message.id;
    node.drop_dead_letter(&id("b"), letter).await.unwrap();
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

/// "How long a turn in progress may go on when its supervisor stops it; then it is cut."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_goes_on_too_long_is_cut_when_its_supervisor_stops_it() {
    let node = node_on(&SimDisk::new()).await;
    let mut sleeper = spec("sleeper", "sleeper");
    sleeper.limits.deadline = None;
    let shutdown = Duration::from_millis(20);
    let children = vec![
        child("a", Restart::Permanent),
        Child { restart: Restart::Permanent, what: Supervised::Actor { id: id("sleeper"), shutdown } },
    ];
    let actors = vec![counter("a"), sleeper];
    node.start_application(&app(policy(Strategy::OneForAll, 5), children), actors, false).await.unwrap();
    let napping = crate::support::begun(ask(&node, "sleeper", "nap", "3600000")).await;
    crate::support::sleeping(&node, 1).await;
    fault(&node, "a").await;
    let error = napping.await.unwrap_err();
    assert!(
        matches!(&error, CallError::Faulted { cause, .. } if cause.contains("its supervisor, app, stops it")),
        "{error}"
    );
    restarted(&node, 1).await;
    assert_eq!(ask(&node, "sleeper", "count", "").await.unwrap(), "0");
    replay(&node, "sleeper", "sleeper").await.unwrap();
    node.close().await.unwrap();
}

/// An actor that ends itself, or is ended by one that may, ends in order: a permanent child is started again, a transient one is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_ends_itself_in_order_is_started_again_if_it_is_permanent() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let parent = |name: &str| {
        let mut parent = spec(name, "parent");
        parent.grants.processes = Some(Processes {
            spawn: Vec::new(),
            control: vec![ActorPattern::parse("*").unwrap()],
            components: Default::default(),
        });
        parent
    };
    let children = vec![child("a", Restart::Permanent), child("b", Restart::Transient)];
    let actors = vec![parent("a"), parent("b")];
    node.start_application(&app(policy(Strategy::OneForOne, 5), children), actors, false).await.unwrap();
    for name in ["a", "b"] {
        ask(&node, name, "stop", &format!("default/{name}|done")).await.unwrap();
    }
    let ended = |info: &ApplicationInfo| member(info, "b").phase == "down" && info.members[0].restarts == 1;
    let info = once(&node, ended).await;
    assert_eq!(member(&info, "a").phase, "up");
    assert_eq!(member(&info, "b").last, Some(("normal", "done".to_owned())));
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(member(&once(&node, ended).await, "b").phase, "down");
    assert_eq!(node.actor(&id("a")).await.unwrap().incarnation.0, 1);
    replay(&node, "a", "parent").await.unwrap();
    node.close().await.unwrap();
}
