//! `wasi:keyvalue` in both drafts, `wasi:logging` and `wasi:config`.

use troupe_log::{Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, KeyValue, Mode, OnFault};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, count, id, node_on, power_cut, replay, spec, verified};

/// An actor that has stores of its own, and shares those whose names begin with `shared`.
fn actor(name: &str) -> ActorSpec {
    let mut one = spec(name, "keyvalue");
    let pattern = |text: &str| vec![ActorPattern::parse(text).unwrap()];
    one.grants.keyvalue = Some(KeyValue { own: pattern("*"), shared: pattern("shared*") });
    one.supervision.on_fault = OnFault::Skip;
    one.supervision.max_restarts = 1000;
    one
}

async fn node_of(disk: &SimDisk, actors: &[&str]) -> Node {
    let node = node_on(disk).await;
    for name in actors {
        node.start(actor(name)).await.unwrap();
    }
    node
}

async fn run(node: &Node, actor: &str, lines: &str) -> String {
    ask(node, actor, "do", lines).await.unwrap()
}

/// The same, with spaces between the answers.
async fn row(node: &Node, actor: &str, lines: &str) -> String {
    run(node, actor, lines).await.replace('\n', " ")
}

async fn replayed(node: &Node, actors: &[&str]) {
    for actor in actors {
        verified(node, actor).await;
        replay(node, actor, "keyvalue").await.unwrap_or_else(|error| panic!("{actor}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_of_both_drafts_works_and_the_pairs_survive_a_power_cut() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b"]).await;
    let cases = [
        ("get k", "no bucket"),
        ("open", "ok"),
        ("get k", "none"),
        ("set k one\nget k\nexists k\nexists l", "ok one true false"),
        ("set k two\ndelete l\nget k", "ok ok two"),
        ("delete k\nget k\nexists k", "ok none false"),
        ("increment n 5\nincrement n -7\nget n", "5 -2 -2"),
        ("set n 9223372036854775807\nincrement n 1", "ok err: 9223372036854775807 and Signed(1) overflow"),
        ("set n word\nincrement n 1\nget n", "ok err: the value is not a decimal number of 64 bits word"),
        ("cas c\ncurrent\nswap first\nget c\nswap again", "ok none swapped first no cas"),
        ("cas c\nset c other\nswap mine\ncurrent\nswap mine\nget c", "ok ok changed other swapped mine"),
        ("cas c\ndelete c\nswap mine\nswap mine\nget c", "ok ok changed swapped mine"),
        ("set-many x=1 y=2 z=3\nget-many x w z", "ok x=1 w=none z=3"),
        ("delete-many x w y\nkeys", "ok c n z then none"),
        ("old open\nold get z\nold get-many z w\nold keys", "ok 3 z=3 none c n z then none"),
        (
            "old set u 18446744073709551614\nold increment u 1\nold increment u 1",
            "ok 18446744073709551615 err: Error::Other(\"18446744073709551615 and Unsigned(1) overflow\")",
        ),
        (
            "fill 1500 1\nkeys\nkeys k0999\nkeys k1499\nold keys 1000",
            "ok c..k0998 (1000) then k0998 k1000..z (503) then none n u z then none k0999..z (504) then none",
        ),
        (
            "old set-many p=1 q=2\nold exists p\nold delete p\nold exists p\nget q\nold delete-many q u\nold get q\nget u",
            "ok true ok false 2 ok none none",
        ),
        ("cas c\ndrop-cas\ndrop-cas\nset c third\nget c", "ok dropped no cas ok third"),
        ("old drop\nold get z\nold open\nold get z", "dropped no bucket ok 3"),
        ("open Bad\nopen far/x\nget z", "err: no-such-store err: access-denied 3"),
        ("log info part said\nconfig k\nconfig-all\nold-config k\nold-config-all", "logged none  none "),
    ];
    for (script, says) in cases {
        assert_eq!(row(&node, "a", script).await, says, "{script}");
    }
    // Another actor's store of that name is another, and so is another name.
    assert_eq!(row(&node, "b", "open\nget z\nkeys").await, "ok none  then none");
    assert_eq!(row(&node, "a", "open other\nget z\nopen default\nget z").await, "ok none ok 3");

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(row(&node, "a", "get z\nget c\nold get z").await, "3 third 3", "the buckets were made again");
    assert_eq!(count(&node, "a", Kind::Denial).await, 1, "far/x");
    replayed(&node, &["a", "b"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_stores_are_shared_by_whom_they_are_granted() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b", "far/a"]).await;
    let mut reaching = actor("far/b");
    reaching.grants.keyvalue.as_mut().unwrap().shared = vec![ActorPattern::parse("default/shared").unwrap()];
    node.start(reaching).await.unwrap();
    assert_eq!(row(&node, "a", "open shared\nset k one\nget k").await, "ok ok one");
    assert_eq!(row(&node, "b", "open shared\nget k\nset k two").await, "ok one ok");
    assert_eq!(row(&node, "a", "get k").await, "two");
    assert_eq!(row(&node, "far/a", "open shared\nget k\nopen default/shared").await, "ok none err: access-denied");
    assert_eq!(row(&node, "far/b", "open default/shared\nget k\nopen shared\nget k").await, "ok two ok none");

    // Blind writes are seen when their step commits, and never were if it faults.
    ask(&node, "a", "do", "set k never\ntrap").await.unwrap_err();
    assert_eq!(row(&node, "b", "get k").await, "two");
    // A shared update commits the step with it.
    let error = ask(&node, "a", "do", "set k three\nincrement n 4\nset k four\ntrap").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: true, .. }), "{error}");
    assert_eq!(row(&node, "b", "get k\nget n").await, "three 4");
    // In an own store it does not.
    let error = ask(&node, "a", "do", "open\nincrement n 4\ncas c\nswap x\ntrap").await.unwrap_err();
    assert!(matches!(error, CallError::Faulted { committed: false, .. }), "{error}");
    assert_eq!(row(&node, "a", "open\nget n\nget c").await, "ok none none");

    assert_eq!(row(&node, "a", "open shared\ncas k").await, "ok ok");
    assert_eq!(row(&node, "b", "set k five").await, "ok");
    assert_eq!(row(&node, "a", "swap six\ncurrent\nswap six\nget k").await, "changed five swapped six");
    assert_eq!(row(&node, "a", "cas k\nset k seven\nswap eight").await, "ok ok changed", "its own write is one too");

    // A bucket is made again after a crash, a cas is not, and says so.
    let disk = power_cut(node, &disk);
    let node = node_on(&disk).await;
    let dead = "err: this cas did not survive a restart: make a new one";
    assert_eq!(row(&node, "a", "get k\ncurrent\nswap nine").await, format!("seven {dead} {dead}"));
    assert_eq!(row(&node, "b", "get k\nget n\nincrement n 1").await, "seven 4 5");
    replayed(&node, &["a", "b", "far/a", "far/b"]).await;

    // An actor's own stores end with it; shared ones do not.
    assert_eq!(row(&node, "a", "open\nset mine 1\nopen shared\nset k last").await, "ok ok ok ok");
    node.stop(&id("a"), "enough").await.unwrap();
    node.start(actor("a")).await.unwrap();
    assert_eq!(row(&node, "a", "open\nget mine\nopen shared\nget k").await, "ok none ok last");
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(row(&node, "a", "open\nget mine\nopen shared\nget k").await, "ok none ok last");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn increments_and_swaps_of_many_actors_at_once_lose_nothing() {
    let node = node_of(&SimDisk::new(), &["a", "b", "c", "d"]).await;
    let works: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .map(|actor| {
            let node = node.clone();
            tokio::spawn(async move {
                run(&node, actor, "open shared").await;
                let (mut numbers, mut swaps) = (Vec::new(), 0);
                for _ in 0..25 {
                    numbers.push(run(&node, actor, "increment n 1").await.parse::<i64>().unwrap());
                    run(&node, actor, "cas list").await;
                    while row(&node, actor, &format!("current\nswap {actor}{swaps}")).await.ends_with("changed") {}
                    swaps += 1;
                }
                (numbers, swaps)
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for work in works {
        let (mine, swaps) = work.await.unwrap();
        assert!(mine.is_sorted() && swaps == 25, "{mine:?}");
        numbers.extend(mine);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>(), "each number once");
    replayed(&node, &["a", "b", "c", "d"]).await;
    node.close().await.unwrap();
}

/// "One atomic batch": whenever the power goes, an update is done once, with the step that it commits, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_operation_an_update_of_a_shared_store_is_done_once() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a", "b"]).await;
    assert_eq!(row(&node, "b", "open shared\nset n 10").await, "ok ok");
    let ready = power_cut(node, &disk);
    let (mut found, mut resumed) = (std::collections::BTreeSet::new(), 0);
    // A turn's batches are written at once: a write that is torn anywhere ends between two of them.
    const PARTS: usize = 32;
    for stop in 0.. {
        assert!(stop < 2000, "the call never ends");
        let (operations, kept) = (stop / (PARTS + 1), stop % (PARTS + 1));
        let disk = ready.fork();
        let node = node_on(&disk).await;
        disk.cut_after(operations as u64);
        let script = "open shared\nset k one\nincrement n 1\ncas k\nset own x\nswap two\nget k";
        let call = Outgoing::new("do", script.as_bytes()).key("once");
        let acknowledged = node.call(&id("a"), call.clone()).await.is_ok();
        let whole = !disk.is_cut();
        drop(node);
        disk.crash_keeping(true, |write| 0..write.len * kept / PARTS);
        crate::coverage::cut();

        let node = node_on(&disk).await;
        let answer = node
            .call(&id("a"), call)
            .await
            .unwrap_or_else(|error| panic!("after {operations}, {kept} of {PARTS} kept: {error}"));
        let answer = String::from_utf8(answer).unwrap().replace('\n', " ");
        let dead = "err: this cas did not survive a restart: make a new one";
        assert!(
            answer == "ok ok 11 ok ok swapped two" || answer == format!("ok ok 11 ok ok {dead} one"),
            "after {operations}, {kept} of {PARTS} kept: {answer}"
        );
        let there = row(&node, "b", "get n\nget own").await;
        assert_eq!(there, "11 x", "after {operations}, {kept} of {PARTS} kept");
        resumed += count(&node, "a", Kind::Resume).await;
        found.insert(answer);
        replayed(&node, &["a", "b"]).await;
        node.close().await.unwrap();
        if whole && acknowledged {
            break;
        }
    }
    assert!(resumed > 0, "no stop was inside of the turn");
    assert!(found.contains("ok ok 11 ok ok swapped two"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_values_stores_answers_and_steps_have_their_limits() {
    let disk = SimDisk::new();
    let node = node_of(&disk, &["a"]).await;
    let long = "err: a key has at most max-key = 1024 bytes";
    assert_eq!(
        row(&node, "a", "open\nset *1024 x\nget *1024\nset *1025 x\nget *1025").await,
        format!("ok ok x {long} {long}")
    );
    let large = run(&node, "a", "set v *1048576\nset v *1048577").await;
    assert_eq!(large, "ok\nerr: a value has at most payload = 1MiB");
    let answer = "err: get-many answers with at most max-answer = 16777216 bytes";
    assert_eq!(row(&node, "a", "get-same v 15\nget-same v 16").await, format!("15 {answer}"));

    // Eight stores: `default` is one of them.
    for store in 1..8 {
        assert_eq!(row(&node, "a", &format!("open s{store}\nset k v")).await, "ok ok");
    }
    assert_eq!(row(&node, "a", "open s8\nset k v").await, "ok err: max-stores = 8");
    assert_eq!(row(&node, "a", "open s3\ndelete k").await, "ok ok", "an empty store is none");
    assert_eq!(row(&node, "a", "open s8\nset k v").await, "ok ok");

    // 64 values of 1 MiB less what their keys and the store's overhead take.
    let mut off = actor("off");
    off.journal = Mode::Off;
    node.start(off).await.unwrap();
    assert_eq!(
        row(&node, "off", "open\nfill 63 1048576\nset more *1048000").await,
        "ok ok err: max-store = 67108864 bytes"
    );
    assert_eq!(row(&node, "off", "set more *1000000\nset k0000 *5").await, "ok ok");
    // The same key over and over grows the step and not the store; without a journal nothing else bounds it.
    assert_eq!(row(&node, "off", "rewrite 200 1048576").await, "err: max-step = 134217728 bytes");
    assert_eq!(row(&node, "off", "exists k\nset k *1048576").await, "true ok");
    replayed(&node, &["a"]).await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_grant_stores_are_denied_and_config_is_what_the_grant_says() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    let mut bare = spec("bare", "keyvalue");
    bare.grants.config = [("colour", "blue"), ("size", "9")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    node.start(bare.clone()).await.unwrap();
    assert_eq!(
        row(&node, "bare", "open x\nopen\nold open").await,
        "err: access-denied err: access-denied err: Error::AccessDenied"
    );
    assert_eq!(count(&node, "bare", Kind::Denial).await, 3);
    assert_eq!(
        run(
            &node,
            "bare",
            "config colour\nconfig PATH\nconfig-all\nold-config colour\nold-config PATH\nold-config-all"
        )
        .await,
        "blue\nnone\ncolour=blue size=9\nblue\nnone\ncolour=blue size=9"
    );

    assert_eq!(run(&node, "bare", "log critical a b").await, "logged");

    bare.id = id("quiet");
    bare.grants.logging = false;
    bare.supervision.on_fault = OnFault::Skip;
    node.start(bare).await.unwrap();
    let error = ask(&node, "quiet", "do", "log info a b").await.unwrap_err();
    assert!(error.to_string().contains("no [grants.logging]"), "{error}");
    assert_eq!(count(&node, "quiet", Kind::Denial).await, 1);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(run(&node, "bare", "config size").await, "9");
    replayed(&node, &["bare", "quiet"]).await;
    node.close().await.unwrap();
}
