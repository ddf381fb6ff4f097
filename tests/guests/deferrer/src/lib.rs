//! Answers later: `later` keeps the reply token, `release` (call or cast) answers the oldest one with its payload, `refuse` with
//! an error. `later-then-trap` defers and faults; `held` counts the tokens.

wit_bindgen::generate!({
    inline: "
        package guest:deferrer;
        world deferrer {
            import troupe:actor/messaging@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:deferrer/deferrer",
    generate_all,
});

use std::cell::RefCell;
use std::collections::VecDeque;

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::messaging;
use troupe::actor::types::Error;

thread_local! {
    static TOKENS: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

struct Deferrer;
export!(Deferrer);

impl gen_server::Guest for Deferrer {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "later" => {
                defer()?;
                Ok(b"ignored".to_vec())
            }
            "later-then-trap" => {
                defer()?;
                core::arch::wasm32::unreachable()
            }
            "release" => answer(Ok(&payload)),
            "refuse" => answer(Err(&String::from_utf8_lossy(&payload))),
            "held" => Ok(TOKENS.with_borrow(VecDeque::len).to_string().into_bytes()),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Deferrer {
    fn handle_event(_from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        match message_type.as_str() {
            "release" => answer(Ok(&payload)).map(drop),
            // Nobody waits for the answer to a cast, so there is nothing to defer.
            "later" => match messaging::defer_reply() {
                Err(Error::InvalidArgument(_)) => Ok(()),
                other => Err(format!("a reply to a cast was deferred: {other:?}")),
            },
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

fn defer() -> Result<(), String> {
    let token = messaging::defer_reply().map_err(|error| format!("{error:?}"))?;
    TOKENS.with_borrow_mut(|tokens| tokens.push_back(token));
    Ok(())
}

fn answer(answer: Result<&[u8], &str>) -> Result<Vec<u8>, String> {
    let token = TOKENS.with_borrow_mut(VecDeque::pop_front).ok_or("nobody waits")?;
    messaging::reply(&token, answer).map_err(|error| format!("{error:?}"))?;
    Ok(b"answered".to_vec())
}
