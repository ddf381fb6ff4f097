//! A turn with a wait in its middle: `nap` counts, sleeps, counts again. State made before the wait must be there after it,
//! and none of it twice, wherever the node was killed.

wit_bindgen::generate!({
    inline: "
        package guest:sleeper;
        world sleeper {
            import troupe:actor/host@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:sleeper/sleeper",
    generate_all,
});

use std::cell::Cell;

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::host;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

struct Sleeper;
export!(Sleeper);

impl gen_server::Guest for Sleeper {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "nap" => nap(&payload).map(|(before, after)| format!("before={before} after={after}").into_bytes()),
            "nap-then-trap" => {
                nap(&payload)?;
                core::arch::wasm32::unreachable()
            }
            "count" => Ok(STEPS.get().to_string().into_bytes()),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Sleeper {
    fn handle_event(_from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        match message_type.as_str() {
            "nap" => nap(&payload).map(drop),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

/// The counts before and after the sleep. The count before it stays if the sleep ends with an error.
fn nap(payload: &[u8]) -> Result<(u64, u64), String> {
    let text = String::from_utf8_lossy(payload);
    let millis = text.trim().parse().map_err(|_| format!("not a time: {text}"))?;
    let before = step();
    host::sleep_millis(millis).map_err(|_| "sleep: error")?;
    Ok((before, step()))
}

fn step() -> u64 {
    STEPS.set(STEPS.get() + 1);
    STEPS.get()
}
