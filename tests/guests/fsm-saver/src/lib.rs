//! A light that saves itself: red -turn-> green -turn-> red; `where` makes no transition. What it saves is how often it turned, never
//! the state's name: that is the runtime's to keep.

wit_bindgen::generate!({
    inline: "
        package guest:fsm-saver;
        world light {
            export troupe:actor/gen-fsm@0.1.0;
            export troupe:actor/snapshot@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:fsm-saver/light",
    generate_all,
});

use std::cell::Cell;

use exports::troupe::actor::{gen_fsm, snapshot};

thread_local! {
    static TURNED: Cell<u64> = const { Cell::new(0) };
}

struct Light;
export!(Light);

impl gen_fsm::Guest for Light {
    fn handle_transition(
        _from: String,
        state: String,
        message_type: String,
        _payload: Vec<u8>,
    ) -> Result<String, String> {
        match (state.as_str(), message_type.as_str()) {
            ("start" | "red", "turn") => {
                TURNED.set(TURNED.get() + 1);
                Ok("green".to_string())
            }
            ("green", "turn") => Ok("red".to_string()),
            (_, "where") => Ok(String::new()),
            _ => Err(format!("no transition from {state} by {message_type}")),
        }
    }
}

impl snapshot::Guest for Light {
    fn save() -> Result<Vec<u8>, String> {
        Ok(TURNED.get().to_string().into_bytes())
    }

    fn load(state: Vec<u8>, _saved_by: String) -> Result<(), String> {
        TURNED.set(String::from_utf8_lossy(&state).parse().map_err(|_| "no number")?);
        Ok(())
    }
}
