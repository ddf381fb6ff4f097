//! Fuzzing of what comes from outside: manifests, journals, API bodies, components.
//!
//! Each target starts from valid seeds and changes them: bits, bytes, lengths, pieces cut, doubled and swapped. Nothing may panic,
//! hang or answer with a server's error, and each target must see accepted and rejected inputs. Deterministic from
//! `FUZZ_SEED`; runs `FUZZ_SECONDS` each (2 by default; `FUZZ_SECONDS=600 cargo nextest run --release -p troupe-tests fuzz`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use troupe_log::{SimDisk, export};
use troupe_runtime::env::SystemEntropy;
use troupe_runtime::manifest::Manifest;
use troupe_runtime::node::Outgoing;
use troupe_runtime::replay::{JournalSource, Replay, ReplayCode};
use troupe_server::client::{Client, ClientError};
use troupe_server::{Place, Server};

use crate::support::{ask, cache, guest, id, node_on, spec};

/// A small generator, xorshift64*: the same inputs for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = std::env::var("FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5eed);
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() % limit as u64) as usize }
    }
}

/// One changed copy of a seed; one in sixteen is the seed itself.
fn changed(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    if random.below(16) == 0 {
        return bytes;
    }
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n', b'-'][random.below(8)],
            2 => bytes.truncate(at),
            3 => {
                let end = at + random.below((bytes.len() - at).min(64));
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            4 => {
                let end = at + random.below((bytes.len() - at).min(64));
                bytes.drain(at..end);
            }
            5 if bytes.len() >= at + 4 => {
                let value = [0u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX][random.below(5)];
                bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let end = from + random.below((other.len() - from).min(256));
                let to = at.min(bytes.len());
                bytes.splice(to..to, other[from..end].to_vec());
            }
            _ => bytes.insert(at, random.next() as u8),
        }
    }
    bytes
}

#[derive(Debug, Default)]
struct Seen {
    accepted: u64,
    rejected: u64,
}

impl Seen {
    fn saw(&mut self, accepted: bool) {
        *(if accepted { &mut self.accepted } else { &mut self.rejected }) += 1;
    }

    fn both(&self, target: &str) {
        println!("{target}: {} accepted, {} rejected", self.accepted, self.rejected);
        assert!(self.accepted > 0 && self.rejected > 0, "{target}: {self:?}");
    }
}

/// True until the time of a target is over.
fn clock() -> impl Fn() -> bool {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let until = Instant::now() + Duration::from_secs(seconds);
    move || Instant::now() < until
}

#[test]
fn manifests() {
    let seeds = [
        "[actor]\nname = \"a\"\ncomponent = \"x@1.0\"\njournal = \"buffered\"\ninit = { text = \"5\" }\n\n[limits]\nmemory = \"16MiB\"\n\
         fuel = 1_000\ndeadline = \"5s\"\nmailbox = 4\npayload = \"1KiB\"\n\n[grants.random]\nseed = 7\n\n[grants.messaging]\n\
         to = [\"w-*\"]\n\n[supervision]\non-fault = \"skip\"\nattempts = 2\nmax-restarts = 1\nwindow = \"1m\"\n\n[snapshots]\n\
         keep = \"all\"\nmax-replay = 10\n\n[bind]\n\"bank:ledger/account\" = \"acct\"\n",
        "[application]\nname = \"s\"\nstrategy = \"one-for-one\"\nbackoff = { initial = \"1s\" }\n[[children]]\nname = \"a\"\ncomponent = \"x@1\"\n[[children]]\nname = \"b\"\ncomponent = \"y@2\"\n",
        "name = \"t\"\nversion = \"1\"\ncomponent = \"t.wasm\"\n[[handler]]\ntype = \"random\"\nseed = 3\n",
    ];
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let (mut random, mut seen, more) = (Random::new(), Seen::default(), clock());
    while more() {
        let bytes = changed(&mut random, &seeds);
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let parsed = Manifest::parse(text, "fuzz", None);
        if let Err(error) = &parsed {
            assert!(!error.to_string().is_empty());
        }
        seen.saw(parsed.is_ok());
    }
    seen.both("manifest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journals() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("counter", "counter-rust")).await.unwrap();
    for (message_type, payload) in [("add", "5"), ("dice", ""), ("now", ""), ("sleep", "1"), ("log", "x"), ("add", "y")]
    {
        let _ = ask(&node, "counter", message_type, payload).await;
    }
    ask(&node, "counter", "trap", "").await.unwrap_err();
    let records = node.journal(&id("counter")).await.unwrap().read_all().unwrap();
    let info = node.actor(&id("counter")).await.unwrap();
    let about = export::About {
        actor: id("counter"),
        incarnation: info.incarnation,
        component: info.component,
        start: troupe_log::Chain::START,
    };
    let mut writer = export::Exporter::new(Vec::new(), &about).unwrap();
    writer.records(&records).unwrap();
    writer.blob(b"a blob").unwrap();
    let file = writer.finish().unwrap();
    let component = std::fs::read(guest("counter-rust")).unwrap();
    let code = ReplayCode::compile_cached(&component, &cache()).unwrap();
    let (mut random, more) = (Random::new(), clock());
    let (mut files, mut replays) = (Seen::default(), Seen::default());
    let (file_seeds, record_seeds) = ([file], [records]);
    while more() {
        let bytes = changed(&mut random, &file_seeds);
        let good = export::read(&bytes).is_ok();
        assert_eq!(good, export::verify_file(&bytes).is_ok_and(|report| report.is_good()), "read and verify agree");
        files.saw(good);
        // Records behind a good hash can still say anything: here none is checked.
        let records: Arc<[u8]> = changed(&mut random, &record_seeds).into();
        let source = JournalSource::Bytes { records, blobs: Arc::default() };
        let played = match Replay::new(code.clone(), source) {
            Ok(mut replay) => loop {
                match replay.next_turn().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            },
            Err(_) => false,
        };
        replays.saw(played);
    }
    files.both("journal file");
    replays.both("replay");
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actor_files() {
    let node = node_on(&SimDisk::new()).await;
    node.start(spec("deferrer", "deferrer")).await.unwrap();
    let later = Outgoing::new("later", &b"x"[..]).key("k").timeout(Duration::from_millis(1));
    node.call(&id("deferrer"), later).await.unwrap_err();
    node.offer(&id("deferrer"), Outgoing::new("release", &b"y"[..])).unwrap();
    let file = node.export_actor(&id("deferrer"), false).await.unwrap();
    node.close().await.unwrap();
    let component = std::fs::read(guest("deferrer")).unwrap();
    let other = async || {
        let node = node_on(&SimDisk::new()).await;
        node.load(&component).await.unwrap();
        node
    };
    let (mut random, more) = (Random::new(), clock());
    let (mut files, mut sealed) = (Seen::default(), Seen::default());
    let (whole, body) = ([file.clone()], [file[..file.len() - 32].to_vec()]);
    let mut there = other().await;
    while more() {
        files.saw(troupe_log::actor_file::read(&changed(&mut random, &whole)).is_ok());
        // Behind a good hash a file can still say anything.
        let mut bytes = changed(&mut random, &body);
        let hash = troupe_log::Digest::of(&bytes).0;
        bytes.extend_from_slice(&hash);
        let came = there.import_actor(bytes).await;
        if let Err(error) = &came {
            assert!(!matches!(error, troupe_runtime::Error::Internal { .. }), "{error}");
        }
        sealed.saw(came.is_ok());
        if came.is_ok() {
            // Whatever it brought, it answers or says why it does not.
            let _ = ask(&there, "deferrer", "held", "").await;
            there.close().await.unwrap();
            there = other().await;
        }
    }
    files.both("actor file");
    sealed.both("actor file behind a good hash");
    there.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_bodies() {
    let node = node_on(&SimDisk::new()).await;
    let mut counter = spec("counter", "counter-rust");
    counter.supervision.max_restarts = u32::MAX;
    node.start(counter).await.unwrap();
    node.start(spec("acct", "typed")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::take("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let server = Server::start(place, node.clone(), Some(folder.path()), &SystemEntropy).unwrap();
    let client = Client::find(folder.path()).unwrap();
    let start = "{\"manifest\":\"[actor]\\nname = \\\"counter\\\"\\ncomponent = \\\"x@1\\\"\\n\",\"name\":\"m\",\"fresh\":false}";
    let paths: [(&str, &[&str]); 4] = [
        (
            "/v1/actors/default%2Fcounter/call",
            &[
                "{\"type\":\"add\",\"text\":\"5\",\"key\":\"k\",\"deadline\":\"5s\"}",
                "{\"type\":\"echo\",\"base64\":\"AAEC\"}",
            ],
        ),
        ("/v1/actors/default%2Fcounter/send", &["{\"type\":\"add\",\"text\":\"5\"}"]),
        ("/v1/actors/default%2Facct/typed", &["{\"function\":\"bank:ledger/account#deposit\",\"arguments\":\"(42)\"}"]),
        ("/v1/actors", &[start]),
    ];
    let (mut random, more) = (Random::new(), clock());
    let mut seen = Seen::default();
    let mut turn = 0;
    while more() {
        let (path, seeds) = &paths[turn % paths.len()];
        turn += 1;
        let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
        let body = changed(&mut random, &seeds);
        // A changed text may ask for a trap, a loop or a long sleep: that is the guest's business, here only JSON counts.
        if body.windows(4).any(|four| matches!(four, b"trap" | b"loop" | b"slee")) {
            continue;
        }
        let json = [("content-type", "application/json")];
        match client.send(Method::POST, path, &json, body.clone().into()).await {
            Ok(_) => seen.saw(true),
            Err(ClientError::Refused(failure)) => {
                assert_ne!(failure.code, "internal", "{path} {}: {failure:?}", String::from_utf8_lossy(&body));
                assert!(!failure.message.is_empty());
                seen.saw(false);
            }
            Err(error) => panic!("{path} {}: {error}", String::from_utf8_lossy(&body)),
        }
    }
    seen.both("api bodies");
    server.close().await;
    node.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components() {
    let seeds: Vec<Vec<u8>> =
        ["bench", "counter-c", "typed"].iter().map(|name| std::fs::read(guest(name)).unwrap()).collect();
    let (mut random, mut seen, more) = (Random::new(), Seen::default(), clock());
    let node = node_on(&SimDisk::new()).await;
    while more() {
        let bytes = changed(&mut random, &seeds);
        let loaded = node.load(&bytes).await;
        if let Err(error) = &loaded {
            assert!(!matches!(error, troupe_runtime::Error::Internal { .. }), "{error}");
        }
        seen.saw(loaded.is_ok());
    }
    seen.both("components");
    node.close().await.unwrap();
}
