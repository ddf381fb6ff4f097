//! Talks with other actors in every way of `messaging`. A call's payload is fields between `|`; what is asked is the message type.
//!
//! `ask` (to, type, payload), `ask-within` (milliseconds, to, type, payload), `ask-once` (key, to, type, payload): request, and answer
//! with the answer or the error; the payload goes to the end, so that it may be an `ask` itself. `ask-then-trap`. `echo`, `add` (a running total), `total`, `trap`, `nap` (milliseconds), `refuse`. `later` puts its
//! answer off, `release` (text) gives it, `release-then-trap`; `later-then` (`later`, or `pass` and to whom) does so and then what it may not, and answers with what it is told; `forget` shows a token that is nobody's. `pass` (to, text) hands itself on until it is where it is to go, or refuses; `pass-ask` (to, then as `ask`) asks there. `after`,
//! `every` (milliseconds, to, type, payload) arm a timer and answer with its number, `cancel` (number) disarms one; `cancel-at-once` and
//! `after-then-trap` do it in one step. `after-of` (bytes) arms one of that size. `now`: the time of its node. `send` (to, header), `send-many` (to, times, bytes),
//! `send-then-spin` (to), `after-many` (times, bytes). The cast `hop` (left|size) goes round a ring. Casts and infos are noted; `notes` (none, or `headers`) shows them. The cast `later` is told that nobody waits for its answer.

wit_bindgen::generate!({
    inline: "
        package guest:partner;
        world partner {
            import troupe:actor/host@0.1.0;
            import troupe:actor/messaging@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:partner/partner",
    generate_all,
});

use std::cell::{Cell, RefCell};

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::types::{Error, Fault, Kind};
use troupe::actor::{host, messaging};

thread_local! {
    static TOTAL: Cell<i64> = const { Cell::new(0) };
    static TOKENS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static NOTES: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

struct Partner;
export!(Partner);

impl gen_server::Guest for Partner {
    fn handle_request(from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        if message_type == "echo" {
            return Ok(payload);
        }
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        let fields: Vec<&str> = payload.split('|').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let number = |at: usize| field(at).parse::<u64>().map_err(|_| format!("no number: {}", field(at)));
        let text = match message_type.as_str() {
            "ask" => return ask(&payload, None, None),
            "ask-within" => return ask(rest(&payload), Some(number(0)?), None),
            "ask-once" => return ask(rest(&payload), None, Some(field(0))),
            "ask-then-trap" => {
                let _ = ask(&payload, None, None);
                core::arch::wasm32::unreachable()
            }
            "add" => {
                TOTAL.set(TOTAL.get() + field(0).parse::<i64>().map_err(|_| "no number")?);
                TOTAL.get().to_string()
            }
            "total" => TOTAL.get().to_string(),
            "trap" => core::arch::wasm32::unreachable(),
            "refuse" => return Err(payload),
            "nap" => {
                host::sleep_millis(number(0)?).map_err(words)?;
                "rested".to_string()
            }
            "nap-then-add" => {
                host::sleep_millis(number(0)?).map_err(words)?;
                TOTAL.set(TOTAL.get() + 1);
                TOTAL.get().to_string()
            }
            "later" => {
                let token = messaging::defer_reply().map_err(words)?;
                TOKENS.with_borrow_mut(|tokens| tokens.push(token));
                String::new()
            }
            "held" => TOKENS.with_borrow(Vec::len).to_string(),
            "release" => {
                let token = TOKENS.with_borrow_mut(|tokens| tokens.remove(0));
                messaging::reply(&token, Ok(payload.as_bytes())).map_err(words)?;
                String::new()
            }
            "release-then-trap" => {
                let token = TOKENS.with_borrow_mut(|tokens| tokens.remove(0));
                messaging::reply(&token, Ok(payload.as_bytes())).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "later-then" => {
                let token = messaging::defer_reply().map_err(words)?;
                let told = match field(0) {
                    "later" => messaging::defer_reply().map(drop),
                    _ => messaging::forward(field(1)),
                };
                let told = told.map_or_else(words, |()| "allowed".to_string());
                messaging::reply(&token, Ok(told.as_bytes())).map_err(words)?;
                String::new()
            }
            "forget" => {
                messaging::reply("00", Ok(&[])).map_err(words)?;
                String::new()
            }
            "pass-ask" if messaging::self_id().ends_with(field(0)) => return ask(rest(&payload), None, None),
            "pass-ask" => {
                messaging::forward(field(0)).map_err(words)?;
                "ignored".to_string()
            }
            "now" => host::now_millis().to_string(),
            "time-left" => messaging::current().and_then(|message| message.time_left).unwrap_or_default().to_string(),
            "send" => {
                let headers = [(field(1).to_string(), "x".to_string())];
                messaging::send_with(field(0), "t", &[], &headers).map_err(words)?;
                "sent".to_string()
            }
            "send-many" => {
                let payload = vec![b'x'; number(2)? as usize];
                for sent in 0..number(1)? {
                    messaging::send_message(field(0), "t", &payload)
                        .map_err(|error| format!("{sent}: {}", words(error)))?;
                }
                "sent".to_string()
            }
            "send-then-spin" => {
                messaging::send_message(field(0), "t", &[]).map_err(words)?;
                loop {
                    core::hint::black_box(());
                }
            }
            "after-many" => {
                let payload = vec![b'x'; number(1)? as usize];
                for armed in 0..number(0)? {
                    messaging::send_after(3_600_000, &messaging::self_id(), "t", &payload)
                        .map_err(|error| format!("{armed}: {}", words(error)))?;
                }
                "armed".to_string()
            }
            "after-of" => {
                let payload = vec![b'x'; number(0)? as usize];
                messaging::send_after(3_600_000, &messaging::self_id(), "t", &payload).map_err(words)?.to_string()
            }
            "pass" if messaging::self_id().ends_with(field(0)) => format!("{} for {from}", field(1)),
            "pass" => {
                messaging::forward(field(0)).map_err(words)?;
                "ignored".to_string()
            }
            "pass-then-trap" => {
                messaging::forward(field(0)).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "after" => {
                messaging::send_after(number(0)?, field(1), field(2), field(3).as_bytes()).map_err(words)?.to_string()
            }
            "every" => {
                messaging::send_every(number(0)?, field(1), field(2), field(3).as_bytes()).map_err(words)?.to_string()
            }
            "many" => {
                let mut armed = 0;
                while armed < number(0)? {
                    messaging::send_after(3_600_000, &messaging::self_id(), "t", &[])
                        .map_err(|error| format!("{armed}: {}", words(error)))?;
                    armed += 1;
                }
                armed.to_string()
            }
            "cancel" => messaging::cancel_timer(number(0)?).map_err(words)?.to_string(),
            "cancel-at-once" => {
                let timer = messaging::send_after(0, &messaging::self_id(), "t", &[]).map_err(words)?;
                messaging::cancel_timer(timer).map_err(words)?.to_string()
            }
            "cancel-then-trap" => {
                messaging::cancel_timer(number(0)?).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "after-then-trap" => {
                messaging::send_after(0, &messaging::self_id(), "t", &[]).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "notes" => NOTES.with_borrow(|notes| {
                let shown: Vec<String> = notes
                    .iter()
                    .map(
                        |(note, headers)| {
                            if field(0) == "headers" { format!("{note} {headers}") } else { note.clone() }
                        },
                    )
                    .collect();
                shown.join(", ")
            }),
            _ => return Err(format!("unknown message type: {message_type}")),
        };
        Ok(text.into_bytes())
    }
}

impl gen_event::Guest for Partner {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let payload = String::from_utf8_lossy(&payload).into_owned();
        if message_type == "pass" && !messaging::self_id().ends_with(payload.split('|').next().unwrap_or_default()) {
            return messaging::forward(payload.split('|').next().unwrap_or_default()).map_err(words);
        }
        if message_type == "later" {
            let told = messaging::defer_reply().map_or_else(words, |_| "promised".to_string());
            NOTES.with_borrow_mut(|notes| notes.push((told, String::new())));
            return Ok(());
        }
        if message_type == "hop" {
            return hop(&payload);
        }
        let message = messaging::current().ok_or("no message")?;
        let kind = match message.kind {
            Kind::Call => "call",
            Kind::Cast => "cast",
            Kind::Info => "info",
        };
        let headers: Vec<String> = message.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        NOTES.with_borrow_mut(|notes| {
            notes.push((format!("{kind} {message_type}({payload}) from {from}"), headers.join(";")));
        });
        Ok(())
    }
}

/// Sends `left|size` on round a ring of actors whose names end with their number; who gets the last one counts it.
fn hop(payload: &str) -> Result<(), String> {
    let (left, size) = payload.split_once('|').ok_or("no size")?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("no number: {text}"));
    let left = number(left)?;
    if left == 0 {
        TOTAL.set(TOTAL.get() + 1);
        // Who waits for the end of a round hears of it.
        return match TOKENS.with_borrow_mut(Vec::pop) {
            Some(token) => messaging::reply(&token, Ok(&[])).map_err(words),
            None => Ok(()),
        };
    }
    let own = messaging::self_id();
    let (name, place) = own.rsplit_once('-').ok_or("no number in its name")?;
    let next = format!("{name}-{}", (number(place)? + 1) % number(size)?);
    messaging::send_message(&next, "hop", format!("{}|{size}", left - 1).as_bytes()).map_err(words).map(drop)
}

fn rest(payload: &str) -> &str {
    payload.split_once('|').map_or("", |(_, rest)| rest)
}

fn ask(payload: &str, timeout: Option<u64>, key: Option<&str>) -> Result<Vec<u8>, String> {
    let mut fields = payload.splitn(3, '|');
    let mut field = || fields.next().unwrap_or_default();
    let (to, message_type, payload) = (field(), field(), field().as_bytes());
    let answer = match key {
        None => messaging::request(to, message_type, payload, timeout),
        Some(key) => {
            let headers = vec![("lang".to_string(), "rust".to_string())];
            let options = messaging::RequestOptions { timeout, headers, idempotency_key: Some(key.to_string()) };
            messaging::request_with(to, message_type, payload, &options)
        }
    };
    answer.map_err(words)
}

fn words(error: Error) -> String {
    match error {
        Error::Timeout => "timeout".to_string(),
        Error::MailboxFull => "mailbox-full".to_string(),
        Error::Conflict => "conflict".to_string(),
        Error::Cycle(actors) => format!("cycle: {}", actors.join(" ")),
        Error::Refused(text) => format!("refused: {text}"),
        Error::Faulted(Fault { cause, committed }) => format!("faulted: {cause}, committed: {committed}"),
        Error::NotPermitted(text) => format!("not-permitted: {text}"),
        Error::NotFound(text) => format!("not-found: {text}"),
        Error::InvalidArgument(text) => format!("invalid-argument: {text}"),
        Error::ResourceExhausted(text) => format!("resource-exhausted: {text}"),
        Error::TooLarge(most) => format!("too-large: {most}"),
        Error::Unavailable(text) => format!("unavailable: {text}"),
        other => format!("{other:?}"),
    }
}
