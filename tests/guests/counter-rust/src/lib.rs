//! The counter in Rust. The same behaviour as counter-python, counter-js and counter-c: see ../../README.md.

wit_bindgen::generate!({
    inline: "
        package guest:counter;
        world counter {
            import troupe:actor/host@0.1.0;
            import wasi:clocks/wall-clock@0.2.12;
            import wasi:random/random@0.2.12;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
        }
    ",
    path: ["../../../wit/deps/io.wit", "../../../wit/deps/clocks.wit", "../../../wit/deps/random.wit", "../../../wit/troupe-actor"],
    world: "guest:counter/counter",
    generate_all,
});

use std::cell::Cell;

use exports::troupe::actor::{gen_event, gen_server, lifecycle};
use troupe::actor::host::{self, Level};
use troupe::actor::types::Error;
use wasi::clocks::wall_clock;
use wasi::random::random;

thread_local! {
    static TOTAL: Cell<i64> = const { Cell::new(0) };
    static ADDS: Cell<u64> = const { Cell::new(0) };
    static LAST_DICE: Cell<u64> = const { Cell::new(0) };
}

struct Counter;
export!(Counter);

impl lifecycle::Guest for Counter {
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        let start = if initial_state.is_empty() { 0 } else { number(&initial_state)? };
        TOTAL.set(start);
        Ok(())
    }

    fn terminate(reason: String) {
        host::log(Level::Info, &format!("terminated: {reason}"));
    }
}

impl gen_server::Guest for Counter {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = match message_type.as_str() {
            "add" => add(&payload)?.to_string(),
            "get" => TOTAL.get().to_string(),
            "now" => {
                let now = wall_clock::now();
                (now.seconds * 1000 + u64::from(now.nanoseconds / 1_000_000)).to_string()
            }
            "dice" => {
                LAST_DICE.set(random::get_random_u64() % 6 + 1);
                LAST_DICE.get().to_string()
            }
            "state" => format!("total={} adds={} last-dice={}", TOTAL.get(), ADDS.get(), LAST_DICE.get()),
            "sleep" => {
                let millis = number(&payload)?;
                let millis = u64::try_from(millis).map_err(|_| format!("not a time: {millis}"))?;
                host::sleep_millis(millis).map_err(|error| match error {
                    Error::Timeout => "sleep: timeout",
                    _ => "sleep: error",
                })?;
                "slept".to_string()
            }
            "log" => {
                host::log(Level::Info, &String::from_utf8_lossy(&payload));
                "logged".to_string()
            }
            "trap" => {
                TOTAL.set(TOTAL.get().wrapping_add(1000));
                core::arch::wasm32::unreachable()
            }
            "loop" => loop {
                core::hint::black_box(&TOTAL);
            },
            "echo" => return Ok(payload),
            _ => return Err(format!("unknown message type: {message_type}")),
        };
        Ok(text.into_bytes())
    }
}

impl gen_event::Guest for Counter {
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
    ADDS.set(ADDS.get() + 1);
    Ok(total)
}

fn number(payload: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(payload);
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}
