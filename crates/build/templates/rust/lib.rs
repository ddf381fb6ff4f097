//! The actor `{name}`: a counter. Its state is what lies in memory; Troupe keeps it over crashes by recording every call
//! that crosses the actor's boundary, and replaying them.
//!
//! It is built for `wasm32-unknown-unknown`: the component imports what `wit/world.wit` names and nothing else. So
//! `std::time::SystemTime::now()` panics here (use `host::now_millis()`), there are no files and no threads, and a `HashMap`
//! has a fixed seed. An actor that needs more imports it in its world, and its manifest grants it.

wit_bindgen::generate!({ path: "wit", world: "{wit}", generate_all });

use std::cell::Cell;

use exports::troupe::actor::{gen_event, gen_server, lifecycle};
use troupe::actor::host::{self, Level};

thread_local! {
    static TOTAL: Cell<i64> = const { Cell::new(0) };
}

struct Actor;
export!(Actor);

impl lifecycle::Guest for Actor {
    /// Once in the actor's life: the number to start from, or nothing.
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        TOTAL.set(if initial_state.is_empty() { 0 } else { number(&initial_state)? });
        Ok(())
    }

    fn terminate(reason: String) {
        host::log(Level::Info, &format!("stopped at {}: {reason}", TOTAL.get()));
    }
}

impl gen_server::Guest for Actor {
    /// Calls: whoever sent one waits for the answer.
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "add" => Ok(add(&payload)?.to_string().into_bytes()),
            "get" => Ok(TOTAL.get().to_string().into_bytes()),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Actor {
    /// Casts: nobody waits.
    fn handle_event(_from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        match message_type.as_str() {
            "add" => add(&payload).map(drop),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

fn add(payload: &[u8]) -> Result<i64, String> {
    let total = TOTAL.get().checked_add(number(payload)?).ok_or("the total would overflow")?;
    TOTAL.set(total);
    Ok(total)
}

fn number(payload: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(payload);
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}
