//! Runs a script of calls of `wasi:keyvalue` (both drafts), `wasi:logging` and `wasi:config`, one a line, and answers with what
//! each gave, one a line. The newest bucket and the newest `cas` are kept from turn to turn. What comes as a cast is run, too.

wit_bindgen::generate!({
    inline: "
        package guest:keyvalue;
        world keyvalue {
            import troupe:actor/host@0.1.0;
            import wasi:keyvalue/store@0.2.0-draft2;
            import wasi:keyvalue/atomics@0.2.0-draft2;
            import wasi:keyvalue/batch@0.2.0-draft2;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
            import wasi:keyvalue/batch@0.2.0-draft;
            import wasi:logging/logging@0.1.0-draft;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:config/store@0.2.0-draft;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: [
        "../../../wit/troupe-actor",
        "../../../wit/deps/keyvalue.wit",
        "../../../wit/deps/keyvalue-draft.wit",
        "../../../wit/deps/logging.wit",
        "../../../wit/deps/config.wit",
        "../../../wit/deps/config-draft.wit",
    ],
    world: "guest:keyvalue/keyvalue",
    generate_all,
});

use std::cell::RefCell;

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::host;
use wasi::keyvalue0_2_0_draft as old;
use wasi::keyvalue0_2_0_draft2::{atomics, batch, store};
use wasi::logging::logging;

thread_local! {
    static BUCKET: RefCell<Option<store::Bucket>> = const { RefCell::new(None) };
    static OLD: RefCell<Option<old::store::Bucket>> = const { RefCell::new(None) };
    static CAS: RefCell<Option<atomics::Cas>> = const { RefCell::new(None) };
}

struct KeyValue;
export!(KeyValue);

impl gen_server::Guest for KeyValue {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        match message_type.as_str() {
            "do" => {
                let lines: Vec<String> = payload.lines().map(line).collect();
                Ok(lines.join("\n").into_bytes())
            }
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for KeyValue {
    fn handle_event(_from: String, _message_type: String, payload: Vec<u8>) -> Result<(), String> {
        String::from_utf8_lossy(&payload).lines().for_each(|text| drop(line(text)));
        Ok(())
    }
}

fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let number = |at: usize| word(at).parse::<i64>().unwrap_or_default();
    match word(0) {
        "open" => match store::open(word(1)) {
            Ok(bucket) => {
                BUCKET.set(Some(bucket));
                "ok".to_owned()
            }
            Err(error) => failed(error),
        },
        "get" => with(|bucket| bucket.get(&key(word(1))).map(text_of)),
        "set" => with(|bucket| bucket.set(&key(word(1)), &bytes(word(2))).map(done)),
        "fill" => with(|bucket| {
            let value = vec![b'x'; number(2) as usize];
            let set = (0..number(1)).try_for_each(|n| bucket.set(&format!("k{n:04}"), &value));
            set.map(done)
        }),
        "rewrite" => with(|bucket| {
            let value = vec![b'x'; number(2) as usize];
            let set = (0..number(1)).try_for_each(|_| bucket.set("k", &value));
            set.map(done)
        }),
        "delete" => with(|bucket| bucket.delete(word(1)).map(done)),
        "exists" => with(|bucket| bucket.exists(word(1)).map(|there| there.to_string())),
        "keys" => with(|bucket| {
            let page = bucket.list_keys(words.get(1).copied())?;
            Ok(format!("{} then {}", ends(&page.keys), page.cursor.as_deref().unwrap_or("none")))
        }),
        "increment" => with(|bucket| atomics::increment(bucket, word(1), number(2)).map(|sum| sum.to_string())),
        "cas" => with(|bucket| {
            CAS.set(Some(atomics::Cas::new(bucket, word(1))?));
            Ok("ok".to_owned())
        }),
        "current" => CAS.with_borrow(|cas| match cas {
            Some(cas) => cas.current().map_or_else(failed, text_of),
            None => "no cas".to_owned(),
        }),
        "drop-cas" => CAS.take().map_or("no cas".to_owned(), |_| "dropped".to_owned()),
        "swap" => match CAS.take() {
            Some(cas) => match atomics::swap(cas, &bytes(word(1))) {
                Ok(()) => "swapped".to_owned(),
                Err(atomics::CasError::StoreError(error)) => failed(error),
                Err(atomics::CasError::CasFailed(again)) => {
                    CAS.set(Some(again));
                    "changed".to_owned()
                }
            },
            None => "no cas".to_owned(),
        },
        "get-many" => with(|bucket| {
            let keys: Vec<String> = words[1..].iter().map(ToString::to_string).collect();
            let found = batch::get_many(bucket, &keys)?;
            let shown: Vec<String> =
                found.into_iter().map(|(key, value)| format!("{key}={}", text_of(value))).collect();
            Ok(shown.join(" "))
        }),
        "get-same" => with(|bucket| {
            let keys = vec![word(1).to_owned(); number(2) as usize];
            batch::get_many(bucket, &keys).map(|found| found.len().to_string())
        }),
        "set-many" => with(|bucket| {
            let pairs: Vec<(String, Vec<u8>)> = words[1..]
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
                .collect();
            batch::set_many(bucket, &pairs).map(done)
        }),
        "delete-many" => with(|bucket| {
            let keys: Vec<String> = words[1..].iter().map(ToString::to_string).collect();
            batch::delete_many(bucket, &keys).map(done)
        }),
        "old" => old_line(&words[1..]),
        "log" => {
            let level = match word(1) {
                "trace" => logging::Level::Trace,
                "critical" => logging::Level::Critical,
                _ => logging::Level::Info,
            };
            logging::log(level, word(2), word(3));
            "logged".to_owned()
        }
        "config" => match wasi::config0_2_0_rc_1::store::get(word(1)) {
            Ok(value) => value.unwrap_or_else(|| "none".to_owned()),
            Err(error) => format!("err: {error:?}"),
        },
        "config-all" => match wasi::config0_2_0_rc_1::store::get_all() {
            Ok(all) => pairs(&all),
            Err(error) => format!("err: {error:?}"),
        },
        "old-config" => match wasi::config0_2_0_draft::store::get(word(1)) {
            Ok(value) => value.unwrap_or_else(|| "none".to_owned()),
            Err(error) => format!("err: {error:?}"),
        },
        "old-config-all" => match wasi::config0_2_0_draft::store::get_all() {
            Ok(all) => pairs(&all),
            Err(error) => format!("err: {error:?}"),
        },
        "sleep" => host::sleep_millis(number(1) as u64).map_or("err".to_owned(), done),
        "trap" => core::arch::wasm32::unreachable(),
        other => format!("unknown: {other}"),
    }
}

/// The same store by the draft before.
fn old_line(words: &[&str]) -> String {
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    if word(0) == "open" {
        return match old::store::open(word(1)) {
            Ok(bucket) => {
                OLD.set(Some(bucket));
                "ok".to_owned()
            }
            Err(error) => format!("err: {error:?}"),
        };
    }
    if word(0) == "drop" {
        return OLD.take().map_or("no bucket".to_owned(), |_| "dropped".to_owned());
    }
    OLD.with_borrow(|bucket| {
        let Some(bucket) = bucket else { return "no bucket".to_owned() };
        let result = match word(0) {
            "get" => bucket.get(word(1)).map(text_of),
            "set" => bucket.set(word(1), word(2).as_bytes()).map(done),
            "delete" => bucket.delete(word(1)).map(done),
            "exists" => bucket.exists(word(1)).map(|there| there.to_string()),
            "set-many" => {
                let pairs = [word(1), word(2)].map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (key.to_owned(), value.as_bytes().to_vec())
                });
                old::batch::set_many(bucket, &pairs).map(done)
            }
            "delete-many" => old::batch::delete_many(bucket, &[word(1).to_owned(), word(2).to_owned()]).map(done),
            "keys" => bucket.list_keys(word(1).parse().ok()).map(|page| {
                format!("{} then {}", ends(&page.keys), page.cursor.map_or("none".to_owned(), |at| at.to_string()))
            }),
            "increment" => {
                old::atomics::increment(bucket, word(1), word(2).parse().unwrap_or(0)).map(|sum| sum.to_string())
            }
            "get-many" => old::batch::get_many(bucket, &[word(1).to_owned(), word(2).to_owned()]).map(|found| {
                found
                    .into_iter()
                    .map(|pair| {
                        pair.map_or("none".to_owned(), |(key, value)| format!("{key}={}", text_of(Some(value))))
                    })
                    .collect::<Vec<_>>()
                    .join(" ")
            }),
            other => Ok(format!("unknown: {other}")),
        };
        result.unwrap_or_else(|error| format!("err: {error:?}"))
    })
}

fn with(f: impl FnOnce(&store::Bucket) -> Result<String, store::Error>) -> String {
    BUCKET.with_borrow(|bucket| match bucket {
        Some(bucket) => f(bucket).unwrap_or_else(failed),
        None => "no bucket".to_owned(),
    })
}

fn failed(error: store::Error) -> String {
    match error {
        store::Error::NoSuchStore => "err: no-such-store".to_owned(),
        store::Error::AccessDenied => "err: access-denied".to_owned(),
        store::Error::Other(why) => format!("err: {why}"),
    }
}

/// `*N` is N bytes.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix('*').and_then(|count| count.parse().ok()) {
        Some(count) => vec![b'x'; count],
        None => text.as_bytes().to_vec(),
    }
}

fn key(text: &str) -> String {
    String::from_utf8(bytes(text)).unwrap_or_default()
}

fn pairs(all: &[(String, String)]) -> String {
    all.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn done(_: ()) -> String {
    "ok".to_owned()
}

fn text_of(value: Option<Vec<u8>>) -> String {
    match value {
        Some(value) if value.len() > 40 => format!("{} bytes", value.len()),
        Some(value) => String::from_utf8_lossy(&value).into_owned(),
        None => "none".to_owned(),
    }
}

/// A few keys, or the first and the last and how many.
fn ends(keys: &[String]) -> String {
    match keys {
        [first, .., last] if keys.len() > 5 => format!("{first}..{last} ({})", keys.len()),
        _ => keys.join(" "),
    }
}
