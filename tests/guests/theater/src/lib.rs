//! An actor of the contract `theater:simple`. All that it knows is its state, which is text; a message is fields between `|`.
//!
//! Requests: `get` (the state, or `none`), `add` (number), `err` (text, after the state in hand was changed), `trap`, `clear`, `big` (bytes
//! of state), `ask` and `send` (to, message to the end), `later` puts its answer off, `release` (text) gives the oldest, `cancel` gives it up, `held`
//! lists them, `answer` (text) answers itself before it returns another. `log`, `shutdown`, `shutdown-then-trap` (data). `bytes`, `range`, `float`, `uuid`, `now`,
//! `sleep`, `deadline`, `var`, `vars`, `exists`: the host's functions. What is sent is noted in the state; `release`, `ask` and `trap` are done.
//!
//! Channels: `open` (to, message), `open-then-trap`, `say` (channel, message to the end), `close` (channel), `say-close`. What comes of them is noted. A channel is accepted,
//! but `reject` (why) and `err` (why) are not, `greet` (text) is with a first message, `nap-accept` (ms) after a sleep, `early` after it found that it is not open yet. On a channel
//! `echo` (text) is sent back, `bye` closes it, `trap` faults.

wit_bindgen::generate!({
    inline: "
        package guest:theater;
        world actor {
            import theater:simple/runtime;
            import theater:simple/environment;
            import theater:simple/random;
            import theater:simple/timing;
            import theater:simple/message-server-host;
            export theater:simple/actor;
            export theater:simple/message-server-client;
        }
    ",
    path: "../../../wit/theater-simple",
    world: "guest:theater/actor",
    generate_all,
});

use exports::theater::simple::message_server_client::ChannelAccept;
use exports::theater::simple::{actor, message_server_client};
use theater::simple::{environment, message_server_host as messages, random, runtime, timing};

type State = Option<Vec<u8>>;

/// What the state says.
#[derive(Default)]
struct Notes {
    total: i64,
    held: Vec<String>,
    notes: Vec<String>,
}

impl Notes {
    fn read(state: &State) -> Notes {
        let text = String::from_utf8_lossy(state.as_deref().unwrap_or_default()).into_owned();
        let mut lines = text.split('\n');
        let total = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
        let mut list = || match lines.next() {
            None | Some("") => Vec::new(),
            Some(line) => line.split(',').map(str::to_owned).collect(),
        };
        Notes { total, held: list(), notes: list() }
    }

    fn write(&self) -> State {
        Some(format!("{}\n{}\n{}", self.total, self.held.join(","), self.notes.join(",")).into_bytes())
    }
}

struct Actor;
export!(Actor);

impl actor::Guest for Actor {
    fn init(state: State) -> Result<(State,), String> {
        match state.as_deref() {
            Some(b"refuse") => Err("told to refuse".to_owned()),
            Some(bytes) if bytes.starts_with(b"total ") => {
                let mut notes = Notes::default();
                notes.total = number(&String::from_utf8_lossy(&bytes[6..]))? as i64;
                Ok((notes.write(),))
            }
            _ => Ok((state,)),
        }
    }
}

impl message_server_client::Guest for Actor {
    fn handle_send(state: State, (message,): (Vec<u8>,)) -> Result<(State,), String> {
        let text = String::from_utf8_lossy(&message).into_owned();
        match text.split('|').next().unwrap_or_default() {
            "release" | "ask" | "send" | "shutdown" | "trap" => Ok((done(state, "", &text)?.0,)),
            _ => {
                let mut notes = Notes::read(&state);
                notes.notes.push(text);
                Ok((notes.write(),))
            }
        }
    }

    fn handle_request(state: State, (id, message): (String, Vec<u8>)) -> Result<(State, (State,)), String> {
        let text = String::from_utf8_lossy(&message).into_owned();
        let (state, answer) = done(state, &id, &text)?;
        Ok((state, (answer,)))
    }

    fn handle_channel_open(state: State, (id, first): (String, Vec<u8>)) -> Result<(State, (ChannelAccept,)), String> {
        let text = String::from_utf8_lossy(&first).into_owned();
        let (what, rest) = text.split_once('|').unwrap_or((&text, ""));
        let (accepted, message) = match what {
            "reject" => (false, (!rest.is_empty()).then(|| rest.into())),
            "err" => return Err(rest.to_owned()),
            "greet" => (true, Some(rest.into())),
            "nap-accept" => {
                timing::sleep(number(rest)?)?;
                (true, None)
            }
            "early" => {
                assert!(messages::send_on_channel(&id, b"early").is_err(), "it is open when it is accepted");
                (true, None)
            }
            _ => (true, None),
        };
        Ok((noted(&state, format!("opened {id} {text}")), (ChannelAccept { accepted, message },)))
    }

    fn handle_channel_message(state: State, (id, message): (String, Vec<u8>)) -> Result<(State,), String> {
        let text = String::from_utf8_lossy(&message).into_owned();
        let (what, rest) = text.split_once('|').unwrap_or((&text, ""));
        match what {
            "echo" => messages::send_on_channel(&id, rest.as_bytes())?,
            "bye" => messages::close_channel(&id)?,
            "trap" => core::arch::wasm32::unreachable(),
            _ => {}
        }
        Ok((noted(&state, format!("on {id} {text}")),))
    }

    fn handle_channel_close(state: State, (id,): (String,)) -> Result<(State,), String> {
        Ok((noted(&state, format!("closed {id}")),))
    }
}

fn noted(state: &State, what: String) -> State {
    let mut notes = Notes::read(state);
    notes.notes.push(what);
    notes.write()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("not a number: {text}"))
}

fn done(state: State, id: &str, text: &str) -> Result<(State, Option<Vec<u8>>), String> {
    let (what, rest) = text.split_once('|').unwrap_or((text, ""));
    let (first, second) = rest.split_once('|').unwrap_or((rest, ""));
    let mut notes = Notes::read(&state);
    let answer = match what {
        "get" => return Ok((state.clone(), Some(state.unwrap_or_else(|| b"none".to_vec())))),
        "clear" => return Ok((None, Some(Vec::new()))),
        "big" => return Ok((Some(vec![b'x'; number(first)? as usize]), Some(Vec::new()))),
        "size" => state.as_ref().map_or("none".to_owned(), |state| state.len().to_string()),
        "add" => {
            notes.total += first.parse::<i64>().map_err(|_| "no number")?;
            let answer = notes.total.to_string();
            return Ok((notes.write(), Some(answer.into_bytes())));
        }
        "add-then-ask" => {
            notes.total += 1;
            let answer = messages::request(first, second.as_bytes())?;
            return Ok((notes.write(), Some(answer)));
        }
        "err" => {
            notes.total += 1000;
            let _ = notes.write();
            return Err(first.to_owned());
        }
        "trap" => core::arch::wasm32::unreachable(),
        "ask" => return Ok((state, Some(messages::request(first, second.as_bytes())?))),
        "send" => {
            messages::send(first, second.as_bytes())?;
            "sent".to_owned()
        }
        "later" => {
            notes.held.push(id.to_owned());
            return Ok((notes.write(), None));
        }
        "held" => {
            let held = messages::list_outstanding_requests();
            assert!(held.iter().any(|held| held == id), "this request is outstanding");
            held.iter().filter(|held| *held != id).cloned().collect::<Vec<_>>().join(",")
        }
        "release" => {
            let held = notes.held.remove(0);
            messages::respond_to_request(&held, rest.as_bytes())?;
            return Ok((notes.write(), Some(b"released".to_vec())));
        }
        "respond" => {
            messages::respond_to_request(first, second.as_bytes())?;
            "responded".to_owned()
        }
        "cancel" => {
            let held = notes.held.remove(0);
            messages::cancel_request(&held)?;
            return Ok((notes.write(), Some(b"cancelled".to_vec())));
        }
        "answer" => {
            messages::respond_to_request(id, rest.as_bytes())?;
            assert!(messages::respond_to_request(id, b"twice").is_err());
            "another".to_owned()
        }
        "open" => messages::open_channel(first, second.as_bytes())?,
        "open-then-trap" => {
            messages::open_channel(first, second.as_bytes())?;
            core::arch::wasm32::unreachable()
        }
        "say" => {
            messages::send_on_channel(first, second.as_bytes())?;
            "said".to_owned()
        }
        "say-close" => {
            messages::send_on_channel(first, second.as_bytes())?;
            messages::close_channel(first)?;
            assert!(messages::send_on_channel(first, b"late").is_err(), "it is closed");
            "said".to_owned()
        }
        "close" => {
            messages::close_channel(first)?;
            "closed".to_owned()
        }
        "log" => {
            runtime::log(rest);
            String::new()
        }
        "shutdown" => {
            runtime::shutdown((!rest.is_empty()).then_some(rest.as_bytes()))?;
            "ends".to_owned()
        }
        "shutdown-then-trap" => {
            runtime::shutdown(Some(rest.as_bytes()))?;
            core::arch::wasm32::unreachable()
        }
        "bytes" => random::random_bytes(number(first)? as u32)?.iter().map(|byte| format!("{byte:02x}")).collect(),
        "range" => random::random_range(number(first)?, number(second)?)?.to_string(),
        "float" => random::random_float()?.to_string(),
        "uuid" => random::generate_uuid()?,
        "now" => timing::now().to_string(),
        "sleep" => {
            timing::sleep(number(first)?)?;
            "slept".to_owned()
        }
        "deadline" => {
            timing::deadline(number(first)?)?;
            "there".to_owned()
        }
        "var" => environment::get_var(first).unwrap_or_else(|| "none".to_owned()),
        "vars" => environment::list_vars()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join(","),
        "exists" => environment::exists(first).to_string(),
        _ => return Err(format!("unknown: {what}")),
    };
    Ok((state, Some(answer.into_bytes())))
}
