//! Sends on: `relay` with the payload `to|type|payload` casts to another actor and answers with the message's id; `relay-then-trap`
//! faults after it, so that the message must never arrive; `flood` sends `to|n` numbered messages and stops at the first error.

wit_bindgen::generate!({
    inline: "
        package guest:sender;
        world sender {
            import troupe:actor/messaging@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:sender/sender",
    generate_all,
});

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::messaging;

struct Sender;
export!(Sender);

impl gen_server::Guest for Sender {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        match message_type.as_str() {
            "relay" => relay(&payload).map(String::into_bytes),
            "relay-then-trap" => {
                relay(&payload)?;
                core::arch::wasm32::unreachable()
            }
            "flood" => flood(&payload).map(String::into_bytes),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Sender {
    fn handle_event(_from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        match message_type.as_str() {
            "relay" => relay(&payload).map(drop),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

fn relay(argument: &str) -> Result<String, String> {
    let mut parts = argument.splitn(3, '|');
    let (Some(to), Some(message_type), Some(payload)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("the payload must be to|type|payload".to_string());
    };
    messaging::send_message(to, message_type, payload.as_bytes()).map_err(|error| format!("{error:?}"))
}

fn flood(argument: &str) -> Result<String, String> {
    let (to, count) = argument.split_once('|').ok_or("the payload must be to|n")?;
    let count: u64 = count.parse().map_err(|_| "n must be a number")?;
    for sent in 0..count {
        if let Err(error) = messaging::send_message(to, "add", sent.to_string().as_bytes()) {
            return Ok(format!("{sent} sent, then {error:?}"));
        }
    }
    Ok(format!("{count} sent"))
}
