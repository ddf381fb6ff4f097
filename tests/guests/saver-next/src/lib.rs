//! The next version of `saver`: it saves and loads the same state and answers `add` and `get` alike, but words `calls` otherwise and
//! does not crash where it was told to. It does not load 13.

wit_bindgen::generate!({
    inline: "
        package guest:saver-next;
        world saver {
            import troupe:actor/host@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
            export troupe:actor/snapshot@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:saver-next/saver",
    generate_all,
});

use std::cell::{Cell, RefCell};

use exports::troupe::actor::{gen_server, lifecycle, snapshot};
use troupe::actor::host::{self, Level};

thread_local! {
    static TOTAL: Cell<i64> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static PAD: Cell<usize> = const { Cell::new(0) };
    static SAVED_BY: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Saver;
export!(Saver);

impl lifecycle::Guest for Saver {
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        TOTAL.set(if initial_state.is_empty() { 0 } else { number(&initial_state)? });
        Ok(())
    }

    fn terminate(reason: String) {
        host::log(Level::Info, &format!("terminated: {reason}"));
    }
}

impl snapshot::Guest for Saver {
    fn save() -> Result<Vec<u8>, String> {
        let total = TOTAL.get().to_string();
        let mut state = total.into_bytes();
        state.resize(state.len().max(PAD.get()), b' ');
        Ok(state)
    }

    fn load(state: Vec<u8>, saved_by: String) -> Result<(), String> {
        // What it is padded with is not looked at.
        let total = state.split(|byte| *byte == b' ').next().unwrap_or_default();
        if number(total)? == 13 {
            return Err("13 is bad luck".to_string());
        }
        TOTAL.set(number(total)?);
        SAVED_BY.set(saved_by);
        Ok(())
    }
}

impl gen_server::Guest for Saver {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        CALLS.set(CALLS.get() + 1);
        let text = match message_type.as_str() {
            "add" => {
                TOTAL.set(TOTAL.get().wrapping_add(number(&payload)?));
                TOTAL.get().to_string()
            }
            "get" => TOTAL.get().to_string(),
            "calls" => format!("calls: {}", CALLS.get()),
            "saved-by" => SAVED_BY.with_borrow(String::clone),
            "pad" => {
                PAD.set(usize::try_from(number(&payload)?).map_err(|error| error.to_string())?);
                "padded".to_string()
            }
            "crash" => "mended".to_string(),
            "sleep" => {
                let millis = u64::try_from(number(&payload)?).map_err(|error| error.to_string())?;
                host::sleep_millis(millis).map_err(|_| "sleep: error")?;
                "slept".to_string()
            }
            _ => return Err(format!("unknown message type: {message_type}")),
        };
        Ok(text.into_bytes())
    }
}

fn number(payload: &[u8]) -> Result<i64, String> {
    let text = String::from_utf8_lossy(payload);
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}
