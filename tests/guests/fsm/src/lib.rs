//! A state machine: start -begin-> running -finish-> done. The runtime keeps the state's name; this counts the transitions that
//! it was asked for. `where` makes no transition, `fail` is an error, `trap` a fault; both leave the state as it was.

wit_bindgen::generate!({
    inline: "
        package guest:fsm;
        world machine {
            import troupe:actor/host@0.1.0;
            export troupe:actor/gen-fsm@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:fsm/machine",
    generate_all,
});

use std::cell::Cell;

use exports::troupe::actor::gen_fsm;
use troupe::actor::host::{self, Level};

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

struct Machine;
export!(Machine);

impl gen_fsm::Guest for Machine {
    fn handle_transition(
        _from: String,
        state: String,
        message_type: String,
        _payload: Vec<u8>,
    ) -> Result<String, String> {
        ASKED.set(ASKED.get() + 1);
        host::log(Level::Info, &format!("{} {state} {message_type}", ASKED.get()));
        match (state.as_str(), message_type.as_str()) {
            ("start", "begin") => Ok("running".to_string()),
            ("running", "finish") => Ok("done".to_string()),
            (_, "where") => Ok(String::new()),
            (_, "trap") => core::arch::wasm32::unreachable(),
            _ => Err(format!("no transition from {state} by {message_type}")),
        }
    }
}
