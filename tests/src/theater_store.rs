//! `theater:simple/store`: content by its hash, labels on it, of all actors of a namespace that are granted it; live, after a power
//! cut, in replay; and the keys of a `manifest.toml` that narrow `random` and `timing`.

use troupe_log::{ByteCount, Kind, SimDisk};
use troupe_runtime::actor::message::CallError;
use troupe_runtime::manifest::{ActorPattern, ActorSpec, Manifest};
use troupe_runtime::node::{Node, Outgoing};

use crate::support::{ask, begun, count, guest, id, node_on, power_cut, replay, sleeping, spec, verified};

const GUEST: &str = "theater-keeper";

fn keeper(name: &str) -> ActorSpec {
    let mut spec = spec(name, GUEST);
    spec.grants.store = Some(vec![ActorPattern::all()]);
    spec
}

async fn said(node: &Node, actor: &str, text: &str) -> String {
    ask(node, actor, "any", text).await.unwrap_or_else(|error| panic!("{text}: {error}"))
}

async fn refused(node: &Node, actor: &str, text: &str) -> String {
    match ask(node, actor, "any", text).await {
        Err(CallError::Refused(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

fn hash(content: &str) -> String {
    troupe_log::Digest::of(content.as_bytes()).to_string().trim_start_matches("blake3:").to_owned()
}

async fn replayed(node: &Node, actor: &str) {
    replay(node, actor, GUEST).await.unwrap_or_else(|error| panic!("{actor}: {error}"));
    verified(node, actor).await;
}

/// "Content is never changed nor removed, so keeping it twice is keeping it once; a label names one content, which is there."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_and_labels_are_kept_over_a_power_cut_and_replay_without_their_store() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(keeper("k")).await.unwrap();
    let store = said(&node, "k", "new").await;
    assert!(store.starts_with("default/store-"), "{store}");
    let say = async |node: &Node, what: &str, rest: &str| said(node, "k", &format!("{what}|{store}{rest}")).await;
    let (a, b) = (hash("a|a"), hash("b"));

    assert_eq!(say(&node, "store", "|a|a").await, hash("a"), "the second field only");
    assert_eq!(say(&node, "store-at-label", "|first|a|a").await, a);
    assert_eq!(say(&node, "store", "|b").await, b);
    assert_eq!(say(&node, "store", "|b").await, b, "twice is once");
    assert_eq!(say(&node, "get", &format!("|{a}")).await, "a|a");
    assert_eq!(say(&node, "exists", &format!("|{b}")).await, "true");
    for nothing in [hash("c"), "short".to_owned(), b.to_uppercase(), format!("{b}x")] {
        assert_eq!(say(&node, "exists", &format!("|{nothing}")).await, "false");
        let asked = format!("get|{store}|{nothing}");
        assert!(refused(&node, "k", &asked).await.starts_with("not found: content "), "{asked}");
        for labelling in ["label", "replace-at-label"] {
            let why = refused(&node, "k", &format!("{labelling}|{store}|x|{nothing}")).await;
            assert!(why.starts_with("not found: content "), "{why}");
        }
    }
    assert_eq!(say(&node, "get-by-label", "|first").await, a);
    assert_eq!(say(&node, "get-by-label", "|nothing").await, "none");
    assert_eq!(say(&node, "label", &format!("|second|{b}")).await, "ok");
    assert_eq!(say(&node, "replace-at-label", &format!("|first|{b}")).await, "ok");
    assert_eq!(say(&node, "get-by-label", "|first").await, b, "a label is on one content");
    assert_eq!(say(&node, "replace-content-at-label", "|third|new").await, hash("new"));
    assert_eq!(say(&node, "remove-from-label", &format!("|second|{a}")).await, "ok");
    assert_eq!(say(&node, "list-labels", "").await, "first,second,third", "it was on something else");
    assert_eq!(say(&node, "remove-from-label", &format!("|second|{b}")).await, "ok");
    assert_eq!(say(&node, "remove-label", "|third").await, "ok");
    assert_eq!(say(&node, "remove-label", "|third").await, "ok", "what is not there is gone");
    let mut all = [a.clone(), b.clone(), hash("a"), hash("new")];
    all.sort();
    let (labels, all) = ("first".to_owned(), all.join(","));
    let state = async |node: &Node| {
        let labels = say(node, "list-labels", "").await;
        (labels, say(node, "list-all-content", "").await, say(node, "calculate-total-size", "").await)
    };
    assert_eq!(state(&node).await, (labels.clone(), all.clone(), "8".to_owned()));
    replayed(&node, "k").await;
    node.sync().await.unwrap();

    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(state(&node).await, (labels, all, "8".to_owned()), "all of it is there");
    assert_eq!(say(&node, "get", &format!("|{a}")).await, "a|a");
    replayed(&node, "k").await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_takes_back_what_was_kept_and_a_cut_step_is_done_once() {
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(keeper("k")).await.unwrap();
    let store = said(&node, "k", "new").await;
    let kept = said(&node, "k", &format!("store-at-label|{store}|now|one")).await;
    let fault = ask(&node, "k", "any", &format!("then-trap|store-at-label|{store}|now|two")).await.unwrap_err();
    assert!(matches!(fault, CallError::Faulted { .. }), "{fault}");
    assert_eq!(said(&node, "k", &format!("get-by-label|{store}|now")).await, kept);
    assert_eq!(said(&node, "k", &format!("list-all-content|{store}")).await, kept);

    // The label is removed in a turn that sleeps behind it; the power goes then, and somebody else has labelled again.
    let k = id("k");
    let text = format!("then-sleep|remove-from-label|{store}|now|{kept}");
    let cut = Outgoing::new("any", text.into_bytes()).key("cut");
    let asleep = begun(node.call(&k, cut.clone())).await;
    sleeping(&node, 1).await;
    node.start(keeper("other")).await.unwrap();
    assert_eq!(said(&node, "other", &format!("list-labels|{store}")).await, "", "removed for everybody");
    said(&node, "other", &format!("label|{store}|now|{kept}")).await;
    node.sync().await.unwrap();
    drop(asleep);
    let node = node_on(&power_cut(node, &disk)).await;
    assert_eq!(node.call(&id("k"), cut).await.unwrap(), b"ok");
    assert_eq!(said(&node, "k", &format!("list-labels|{store}")).await, "now", "it is not removed a second time");
    for actor in ["k", "other"] {
        replayed(&node, actor).await;
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_its_namespaces_and_needs_the_grant() {
    let node = node_on(&SimDisk::new()).await;
    node.start(keeper("k")).await.unwrap();
    node.start(keeper("friend")).await.unwrap();
    node.start(keeper("elsewhere/stranger")).await.unwrap();
    node.start(spec("poor", GUEST)).await.unwrap();
    let store = said(&node, "k", "new").await;
    let kept = said(&node, "k", &format!("store-at-label|{store}|l|mine")).await;
    let short = store.strip_prefix("default/").unwrap();
    for name in [store.as_str(), short] {
        assert_eq!(said(&node, "friend", &format!("get|{name}|{kept}")).await, "mine");
    }
    assert_eq!(
        refused(&node, "elsewhere/stranger", &format!("get|{short}|{kept}")).await,
        format!("not found: store elsewhere/{short}")
    );
    let calls: Vec<String> = [
        "new".to_owned(),
        format!("store|{store}|x"),
        format!("get|{store}|{kept}"),
        format!("exists|{store}|{kept}"),
        format!("label|{store}|l|{kept}"),
        format!("get-by-label|{store}|l"),
        format!("remove-label|{store}|l"),
        format!("remove-from-label|{store}|l|{kept}"),
        format!("store-at-label|{store}|l|x"),
        format!("replace-content-at-label|{store}|l|x"),
        format!("replace-at-label|{store}|l|{kept}"),
        format!("list-labels|{store}"),
        format!("list-all-content|{store}"),
        format!("calculate-total-size|{store}"),
    ]
    .into();
    for (n, call) in calls.iter().enumerate() {
        for actor in ["poor", "elsewhere/stranger"] {
            if n == 0 && actor != "poor" {
                continue;
            }
            let why = refused(&node, actor, call).await;
            assert!(why.starts_with("not permitted: needs [grants.store] names = ["), "{actor} {call}: {why}");
        }
    }
    assert_eq!(count(&node, "poor", Kind::Denial).await, 14);
    assert_eq!(count(&node, "elsewhere/stranger", Kind::Denial).await, 13);
    assert_eq!(said(&node, "k", &format!("get-by-label|{store}|l")).await, kept);
    assert_eq!(refused(&node, "k", "list-labels|store-0").await, "not found: store default/store-0");
    for actor in ["k", "friend", "poor", "elsewhere/stranger"] {
        replayed(&node, actor).await;
    }
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_labels_and_stores_have_their_limits() {
    let node = node_on(&SimDisk::new()).await;
    let mut small = keeper("k");
    small.limits.payload = ByteCount(4096);
    node.start(small).await.unwrap();
    let store = said(&node, "k", "new").await;
    assert_eq!(said(&node, "k", &format!("big|{store}|4096|x")).await, hash(&"x".repeat(4096)));
    let why = refused(&node, "k", &format!("big|{store}|4097|x")).await;
    assert_eq!(why, "larger than 4096 bytes");
    let (fits, long) = ("l".repeat(512), "l".repeat(513));
    said(&node, "k", &format!("store-at-label|{store}|{fits}|x")).await;
    for label in [long.as_str(), ""] {
        for call in ["get-by-label", "remove-label"] {
            let why = refused(&node, "k", &format!("{call}|{store}|{label}")).await;
            assert!(why.contains("max-label = 512"), "{why}");
        }
        for call in ["store-at-label", "replace-at-label", "remove-from-label"] {
            let why = refused(&node, "k", &format!("{call}|{store}|{label}|{}", hash("x"))).await;
            assert!(why.contains("max-label = 512"), "{why}");
        }
    }
    assert_eq!(said(&node, "k", &format!("list-labels|{store}")).await, fits);
    replayed(&node, "k").await;

    // All stores of a namespace together.
    let mut large = keeper("large");
    large.limits.payload = ByteCount::mib(8);
    node.start(large).await.unwrap();
    let another = said(&node, "large", "new").await;
    let mut full = String::new();
    for letter in "abcdefghi".chars() {
        match ask(&node, "large", "any", &format!("big|{another}|8380000|{letter}")).await {
            Ok(_) => {}
            Err(CallError::Refused(why)) => full = format!("{letter}: {why}"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(full, "i: at the limit max-store = 67108864 bytes");
    assert_eq!(said(&node, "large", &format!("calculate-total-size|{another}")).await, (8 * 8_380_000).to_string());
    node.close().await.unwrap();
}

/// The handlers `store`, `random` and `timing` of a `manifest.toml`, with the keys that narrow them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handlers_of_theaters_manifest_grant_the_store_and_bound_ranges_and_sleeps() {
    let read = |handlers: &str| {
        let text = format!("name = \"k\"\ncomponent = {:?}\n{handlers}", guest(GUEST));
        Manifest::parse(&text, "manifest.toml", None).unwrap().actors.remove(0)
    };
    let narrow = "[[handler]]\ntype = \"store\"\n[[handler]]\ntype = \"random\"\nmax_int = 10\n\
                  [[handler]]\ntype = \"timing\"\nmin_sleep_duration = 2\nmax_sleep_duration = 50\n";
    let disk = SimDisk::new();
    let node = node_on(&disk).await;
    node.start(read(narrow)).await.unwrap();
    let store = said(&node, "k", "new").await;
    let kept = said(&node, "k", &format!("store|{store}|x")).await;
    let narrowed = async |node: &Node| {
        let drawn: u64 = said(node, "k", "range|100|110").await.parse().unwrap();
        assert!((100..110).contains(&drawn), "{drawn}");
        assert_eq!(refused(node, "k", "range|100|111").await, "a range of 11 numbers was asked for; max-int is 10");
        assert_eq!(said(node, "k", "sleep|2").await, "ok");
        assert_eq!(refused(node, "k", "sleep|1").await, "a sleep of 1 ms was asked for; min-sleep is 2 ms");
        assert_eq!(refused(node, "k", "sleep|51").await, "a sleep of 51 ms was asked for; max-sleep is 50 ms");
        assert!(refused(node, "k", "deadline|60000").await.ends_with("max-sleep is 50 ms"));
        assert_eq!(said(node, "k", "deadline|0").await, "ok", "a moment that is past is no sleep");
        assert_eq!(said(node, "k", &format!("get|{store}|{kept}")).await, "x");
    };
    narrowed(&node).await;
    node.sync().await.unwrap();
    let node = node_on(&power_cut(node, &disk)).await;
    narrowed(&node).await;
    replayed(&node, "k").await;
    let bare = ActorSpec { id: id("bare"), ..read("[[handler]]\ntype = \"random\"\n[[handler]]\ntype = \"timing\"\n") };
    node.start(bare).await.unwrap();
    said(&node, "bare", "range|0|1000").await;
    said(&node, "bare", "sleep|1").await;
    assert!(refused(&node, "bare", "new").await.starts_with("not permitted: needs [grants.store]"));
    node.close().await.unwrap();
}
