//! 200 SIGKILLs of a real node under load.
//!
//! The clients keep their own list of what was acknowledged. After the last kill every acknowledged call is applied exactly once,
//! and every call whose answer never came is repeated under its key and applied exactly once as well. The node keeps counts of
//! what it is in the middle of, so that the test can say what each kill fell into: none of these may be 0.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use troupe_server::client::{Client, ClientError, segment};
use troupe_server::wire::{ActorInfo, MessageRequest, Payload};

use crate::support::guest;

const KILLS: usize = 200;
/// What a kill is aimed at, in turn; `Idle` is none of them.
const AIMS: [Aim; 6] = [Aim::Idle, Aim::Turn, Aim::Wait, Aim::Commit, Aim::Base, Aim::Recovery];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    Turn = 0,
    Wait = 1,
    Commit = 2,
    Base = 3,
    Recovery = 4,
    Idle = 5,
}

/// The troupe binary that is tested.
pub fn troupe() -> PathBuf {
    let binary = std::env::var_os("TROUPE_BIN")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/troupe")), PathBuf::from);
    assert!(binary.is_file(), "no {}: run `cargo build --release --workspace --bins`", binary.display());
    binary
}

fn manifest(folder: &Path) -> PathBuf {
    let actor = |name: &str, component: &str, more: &str| {
        format!(
            "[[children]]\nname = \"{name}\"\ncomponent = \"{}\"\n{more}\n",
            guest(component).canonicalize().unwrap().display()
        )
    };
    let text = [
        actor("counter", "counter-rust", ""),
        actor("sleeper", "sleeper", ""),
        actor("saver", "saver", "[children.snapshots]\nmax-replay = 12\n"),
    ]
    .concat();
    let file = folder.join("troupe.toml");
    std::fs::write(&file, text).unwrap();
    file
}

struct Node {
    child: Child,
    output: PathBuf,
}

impl Node {
    fn start(folder: &Path, round: usize) -> Node {
        let output = folder.join(format!("output-{round}"));
        let log = File::create(&output).unwrap();
        let child = Command::new(troupe())
            .args(["run", "--log", "warn", "--phases", "phases"])
            .arg("troupe.toml")
            .arg("--data")
            .arg(folder.join("data"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Node { child, output }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let said = self.said();
        assert!(!said.contains("panicked at"), "{said}");
        std::fs::remove_file(&self.output).unwrap();
    }
}

fn phases(folder: &Path) -> [u32; 5] {
    let mut bytes = [0; 20];
    if let Ok(mut file) = File::open(folder.join("phases")) {
        // Not there yet, or not whole: nothing has begun.
        let _ = file.read_exact(&mut bytes);
    }
    std::array::from_fn(|at| u32::from_le_bytes(bytes[4 * at..4 * at + 4].try_into().unwrap()))
}

fn message(message_type: &str, payload: &str, key: &str) -> MessageRequest {
    MessageRequest {
        message_type: message_type.to_owned(),
        payload: Payload { text: Some(payload.to_owned()), base64: None },
        deadline: None,
        key: Some(key.to_owned()),
    }
}

async fn call(client: &Client, actor: &str, request: &MessageRequest) -> Result<String, ClientError> {
    let path = format!("/v1/actors/{}/call", segment(&format!("default/{actor}")));
    let answer: Payload = client.post(&path, request).await?;
    Ok(answer.text.unwrap_or_default())
}

/// What the clients asked for, and which of it was answered.
#[derive(Default)]
struct List {
    next: usize,
    calls: BTreeMap<String, (&'static str, &'static str, &'static str, bool)>,
}

const LOAD: [(&str, &str, &str); 3] = [("counter", "add", "1"), ("sleeper", "nap", "15"), ("saver", "add", "1")];

async fn ask(client: &Client, list: &std::sync::Mutex<List>, worker: usize) -> Result<(), ClientError> {
    loop {
        let (actor, message_type, payload) = LOAD[worker % LOAD.len()];
        let key = {
            let mut list = list.lock().unwrap();
            list.next += 1;
            let key = format!("k{}", list.next);
            list.calls.insert(key.clone(), (actor, message_type, payload, false));
            key
        };
        call(client, actor, &message(message_type, payload, &key)).await?;
        list.lock().unwrap().calls.get_mut(&key).unwrap().3 = true;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_and_apply_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder);
    let list = std::sync::Mutex::new(List::default());
    let mut fell: BTreeMap<Aim, usize> = BTreeMap::new();
    for round in 0..KILLS {
        let aim = AIMS[round % AIMS.len()];
        let node = Node::start(folder, round);
        if aim != Aim::Recovery {
            let client = answering(folder, &node).await;
            if matches!(aim, Aim::Idle | Aim::Wait | Aim::Base) {
                // Three starts in a row that do not end a resumption are a quarantine, as they should be.
                let count = MessageRequest { key: None, ..message("count", "", "") };
                call(&client, "sleeper", &count).await.unwrap();
            }
            if aim != Aim::Idle {
                let clients = (0..6).map(|worker| ask(&client, &list, worker));
                let load = clients.collect::<Vec<_>>();
                let load = futures(load);
                tokio::select! {
                    ended = load => panic!("the load ended by itself: {ended:?}\n{}", node.said()),
                    () = until(folder, aim) => {}
                }
            }
        } else {
            let deadline = Instant::now() + Duration::from_millis(400);
            while phases(folder)[aim as usize] == 0 && Instant::now() < deadline {
                tokio::task::yield_now().await;
            }
        }
        node.kill();
        let counts = phases(folder);
        let mut idle = true;
        for phase in [Aim::Turn, Aim::Wait, Aim::Commit, Aim::Base, Aim::Recovery] {
            if counts[phase as usize] > 0 {
                *fell.entry(phase).or_default() += 1;
                idle = false;
            }
        }
        if idle {
            *fell.entry(Aim::Idle).or_default() += 1;
        }
        std::fs::remove_file(folder.join("phases")).unwrap();
    }
    println!("{KILLS} kills fell into {fell:?}");
    for aim in AIMS {
        assert!(fell.get(&aim).is_some_and(|count| *count > 0), "no kill fell into {aim:?}: {fell:?}");
    }

    let node = Node::start(folder, KILLS);
    let client = answering(folder, &node).await;
    let list = list.into_inner().unwrap();
    let acknowledged = list.calls.values().filter(|call| call.3).count();
    println!("{} calls, {acknowledged} acknowledged", list.calls.len());
    let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
    for (key, (actor, message_type, payload, _)) in &list.calls {
        // Acknowledged or not: the repeat gets the first answer, or is the first.
        call(&client, actor, &message(message_type, payload, key)).await.unwrap();
        *expected.entry(actor).or_default() += 1;
    }
    for (actor, question, per_call) in [("counter", "get", 1), ("saver", "get", 1), ("sleeper", "count", 2)] {
        let answer = call(&client, actor, &message(question, "", "the-end")).await.unwrap();
        let total: i64 = answer.parse().unwrap();
        assert_eq!(total, per_call * expected.get(actor).copied().unwrap_or(0), "{actor}");
    }
    node.kill();
}

/// All of the load, which never ends by itself.
async fn futures(load: Vec<impl Future<Output = Result<(), ClientError>>>) -> Result<(), ClientError> {
    let mut load: Vec<_> = load.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        for one in &mut load {
            if let std::task::Poll::Ready(ended) = one.as_mut().poll(context) {
                return std::task::Poll::Ready(ended);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Until the node is in that phase, or a while has passed.
async fn until(folder: &Path, aim: Aim) {
    let begun = Instant::now();
    // Let some load pass first, so that kills fall behind different amounts of it.
    while begun.elapsed() < Duration::from_millis(30)
        || (phases(folder)[aim as usize] == 0 && begun.elapsed() < Duration::from_secs(2))
    {
        tokio::task::yield_now().await;
    }
}

async fn answering(folder: &Path, node: &Node) -> Client {
    let begun = Instant::now();
    loop {
        if let Ok(client) = Client::find(&folder.join("data"))
            && client.get::<Vec<ActorInfo>>("/v1/actors").await.is_ok_and(|actors| actors.len() == 3)
        {
            return client;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the node does not answer: {}", node.said());
        tokio::task::yield_now().await;
    }
}
