//! The guest of the benchmarks: `echo` gives the payload back; `tick` does the same with one host call inside; `ask` has the
//! actor `b` give it back; `now`, `bytes-64` and `bytes-4096` make 100 host calls, without payload and with so many bytes one
//! way.
//! Nothing is allocated beyond what the canonical ABI needs for the arguments.

wit_bindgen::generate!({
    inline: "
        package guest:bench;
        world bench {
            import troupe:actor/host@0.1.0;
            import troupe:actor/messaging@0.1.0;
            import wasi:random/random@0.2.12;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: ["../../../wit/deps/random.wit", "../../../wit/troupe-actor"],
    world: "guest:bench/bench",
    generate_all,
});

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::{host, messaging};
use wasi::random::random;

/// Host calls that one message makes.
const CALLS: u32 = 100;

struct Bench;
export!(Bench);

impl gen_server::Guest for Bench {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "echo" => Ok(payload),
            "tick" => {
                core::hint::black_box(host::now_millis());
                Ok(payload)
            }
            "now" => {
                for _ in 0..CALLS {
                    core::hint::black_box(host::now_millis());
                }
                Ok(payload)
            }
            "bytes-64" => Ok(bytes(64, payload)),
            "bytes-4096" => Ok(bytes(4096, payload)),
            "ask" => messaging::request("b", "echo", &payload, None).map_err(|error| format!("{error:?}")),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Bench {
    fn handle_event(_from: String, message_type: String, _payload: Vec<u8>) -> Result<(), String> {
        match message_type.as_str() {
            "echo" => Ok(()),
            "tick" => {
                core::hint::black_box(host::now_millis());
                Ok(())
            }
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

fn bytes(len: u64, payload: Vec<u8>) -> Vec<u8> {
    for _ in 0..CALLS {
        core::hint::black_box(random::get_random_bytes(len));
    }
    payload
}
