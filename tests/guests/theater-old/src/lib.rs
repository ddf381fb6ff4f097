//! An actor of the older form of `theater:simple`: `init` is also told the actor's id, which it keeps in its state. It takes requests
//! only, each answered with the state, and imports nothing.

wit_bindgen::generate!({
    inline: "
        package theater:simple;
        interface actor {
            init: func(state: option<list<u8>>, params: tuple<string>) -> result<tuple<option<list<u8>>>, string>;
        }
        interface message-server-client {
            handle-request: func(state: option<list<u8>>, params: tuple<string, list<u8>>) -> result<tuple<option<list<u8>>, tuple<option<list<u8>>>>, string>;
        }
        world old {
            export actor;
            export message-server-client;
        }
    ",
    world: "theater:simple/old",
});

use exports::theater::simple::{actor, message_server_client};

type State = Option<Vec<u8>>;

struct Actor;
export!(Actor);

impl actor::Guest for Actor {
    fn init(state: State, (id,): (String,)) -> Result<(State,), String> {
        let given = String::from_utf8_lossy(state.as_deref().unwrap_or(b"none")).into_owned();
        Ok((Some(format!("{id} from {given}").into_bytes()),))
    }
}

impl message_server_client::Guest for Actor {
    fn handle_request(state: State, _: (String, Vec<u8>)) -> Result<(State, (State,)), String> {
        Ok((state.clone(), (state,)))
    }
}
