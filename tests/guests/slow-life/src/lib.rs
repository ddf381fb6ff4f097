//! A life with a wait in its instantiation, in its init and in its last turn: each counts, sleeps, counts again. None of it may
//! be done twice, or left out, wherever the node was killed.

wit_bindgen::generate!({
    inline: "
        package guest:slow-life;
        world slow-life {
            import troupe:actor/host@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:slow-life/slow-life",
    generate_all,
});

use std::cell::Cell;

use exports::troupe::actor::{gen_server, lifecycle};
use troupe::actor::host::{self, Level};

const MILLIS: u64 = 20;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

struct SlowLife;
export!(SlowLife);

/// Called when the component is instantiated.
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    nap("instantiated");
}

impl lifecycle::Guest for SlowLife {
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        nap("initialized");
        match initial_state.as_slice() {
            b"refuse" => Err("told to refuse".to_string()),
            b"trap" => core::arch::wasm32::unreachable(),
            b"long" => host::sleep_millis(3_600_000).map_err(|error| format!("{error:?}")),
            _ => Ok(()),
        }
    }

    fn terminate(reason: String) {
        nap("terminated");
        if reason == "trap" {
            core::arch::wasm32::unreachable()
        }
    }
}

impl gen_server::Guest for SlowLife {
    fn handle_request(_from: String, message_type: String, _payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "steps" => Ok(STEPS.get().to_string().into_bytes()),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

fn nap(what: &str) {
    STEPS.set(STEPS.get() + 1);
    if host::sleep_millis(MILLIS).is_err() {
        core::arch::wasm32::unreachable()
    }
    STEPS.set(STEPS.get() + 1);
    host::log(Level::Info, &format!("{what}, steps {}", STEPS.get()));
}
