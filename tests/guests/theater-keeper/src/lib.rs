//! An actor of the contract `theater:simple` that looks at its chain and keeps things in stores. A message is fields between `|`, and
//! its answer is text.
//!
//! `chain`: checks that each event names the one before it, and answers a line each: `HASH PARENT TYPE DATA` (in hex, the size of the
//! data at the end). `new`; `store`, `get`, `exists`, `label`, `get-by-label`, `remove-label`, `remove-from-label`, `store-at-label`,
//! `replace-content-at-label`, `replace-at-label`, `list-labels`, `list-all-content`, `calculate-total-size`: the functions of `store` with
//! their parameters. `big` (store, bytes, letter) stores so many of that letter. `then-trap` (and one of these) traps behind it; `then-sleep`
//! sleeps 200 ms. `range`, `sleep`, `deadline`: of `random` and `timing`. A cast does the same and drops the answer.

wit_bindgen::generate!({
    inline: "
        package guest:theater-keeper;
        world actor {
            import theater:simple/runtime;
            import theater:simple/random;
            import theater:simple/timing;
            import theater:simple/store;
            export theater:simple/actor;
            export theater:simple/message-server-client;
        }
    ",
    path: "../../../wit/theater-simple",
    world: "guest:theater-keeper/actor",
    generate_all,
});

use exports::theater::simple::message_server_client::ChannelAccept;
use exports::theater::simple::{actor, message_server_client};
use theater::simple::store::{self, ContentRef};
use theater::simple::{random, runtime, timing};

type State = Option<Vec<u8>>;

struct Actor;
export!(Actor);

impl actor::Guest for Actor {
    fn init(state: State) -> Result<(State,), String> {
        Ok((state,))
    }
}

impl message_server_client::Guest for Actor {
    fn handle_send(state: State, (message,): (Vec<u8>,)) -> Result<(State,), String> {
        done(&String::from_utf8_lossy(&message))?;
        Ok((state,))
    }

    fn handle_request(state: State, (_, message): (String, Vec<u8>)) -> Result<(State, (State,)), String> {
        let answer = done(&String::from_utf8_lossy(&message))?;
        Ok((state, (Some(answer.into_bytes()),)))
    }

    fn handle_channel_open(state: State, _: (String, Vec<u8>)) -> Result<(State, (ChannelAccept,)), String> {
        Ok((state, (ChannelAccept { accepted: false, message: None },)))
    }

    fn handle_channel_message(state: State, _: (String, Vec<u8>)) -> Result<(State,), String> {
        Ok((state,))
    }

    fn handle_channel_close(state: State, _: (String,)) -> Result<(State,), String> {
        Ok((state,))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn content(hash: &str) -> ContentRef {
    ContentRef { hash: hash.to_owned() }
}

fn ok(_: ()) -> String {
    "ok".to_owned()
}

fn done(text: &str) -> Result<String, String> {
    let (what, rest) = text.split_once('|').unwrap_or((text, ""));
    let mut fields = rest.splitn(3, '|');
    let (a, b, c) =
        (fields.next().unwrap_or_default(), fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    match what {
        "chain" => Ok(chain()),
        "new" => store::new(),
        "store" => store::store(a, b.as_bytes()).map(|content| content.hash),
        "big" => {
            let letter = *c.as_bytes().first().ok_or("no letter")?;
            store::store(a, &vec![letter; number(b)? as usize]).map(|content| content.hash)
        }
        "get" => store::get(a, &content(b)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "exists" => store::exists(a, &content(b)).map(|there| there.to_string()),
        "label" => store::label(a, b, &content(c)).map(ok),
        "get-by-label" => store::get_by_label(a, b).map(|found| found.map_or("none".to_owned(), |found| found.hash)),
        "remove-label" => store::remove_label(a, b).map(ok),
        "remove-from-label" => store::remove_from_label(a, b, &content(c)).map(ok),
        "store-at-label" => store::store_at_label(a, b, c.as_bytes()).map(|content| content.hash),
        "replace-content-at-label" => store::replace_content_at_label(a, b, c.as_bytes()).map(|content| content.hash),
        "replace-at-label" => store::replace_at_label(a, b, &content(c)).map(ok),
        "list-labels" => store::list_labels(a).map(|labels| labels.join(",")),
        "list-all-content" => {
            let all = store::list_all_content(a)?;
            Ok(all.into_iter().map(|content| content.hash).collect::<Vec<_>>().join(","))
        }
        "calculate-total-size" => store::calculate_total_size(a).map(|size| size.to_string()),
        "range" => random::random_range(number(a)?, number(b)?).map(|drawn| drawn.to_string()),
        "sleep" => timing::sleep(number(a)?).map(ok),
        "deadline" => timing::deadline(timing::now().saturating_add(number(a)?)).map(ok),
        "then-trap" => {
            let _ = done(rest)?;
            core::arch::wasm32::unreachable()
        }
        "then-sleep" => {
            let answer = done(rest)?;
            timing::sleep(200)?;
            Ok(answer)
        }
        _ => Err(format!("unknown: {what}")),
    }
}

fn chain() -> String {
    let mut before = None;
    let mut lines = Vec::new();
    for shown in runtime::get_chain().events {
        let event = shown.event;
        assert!(before.is_none() || event.parent == before, "each names the one before it");
        before = Some(shown.hash);
        let parent = event.parent.map_or("none".to_owned(), |parent| format!("{parent:016x}"));
        lines.push(format!("{:016x} {parent} {} {}", shown.hash, event.event_type, event.data.len()));
    }
    lines.join("\n")
}
