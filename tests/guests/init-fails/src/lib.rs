//! `init` refuses to start, with the initial state as its reason; an empty one makes it trap instead.

wit_bindgen::generate!({
    inline: "
        package guest:init-fails;
        world init-fails {
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:init-fails/init-fails",
    generate_all,
});

use exports::troupe::actor::{gen_server, lifecycle};

struct InitFails;
export!(InitFails);

impl lifecycle::Guest for InitFails {
    fn init(initial_state: Vec<u8>) -> Result<(), String> {
        if initial_state.is_empty() {
            core::arch::wasm32::unreachable()
        }
        Err(String::from_utf8_lossy(&initial_state).into_owned())
    }

    fn terminate(_reason: String) {
        core::arch::wasm32::unreachable()
    }
}

impl gen_server::Guest for InitFails {
    fn handle_request(_from: String, _message_type: String, _payload: Vec<u8>) -> Result<Vec<u8>, String> {
        Err("an actor that did not start was called".to_string())
    }
}
