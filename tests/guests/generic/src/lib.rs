//! Takes any kind of message: a call is answered with what was seen of it, by the parameters and by `messaging.current`. What
//! came as cast or info is remembered; `seen` gives it, one line each.

wit_bindgen::generate!({
    inline: "
        package guest:generic;
        world generic {
            import troupe:actor/messaging@0.1.0;
            export troupe:actor/handler@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:generic/generic",
    generate_all,
});

use std::cell::RefCell;

use exports::troupe::actor::{handler, lifecycle};
use troupe::actor::messaging;
use troupe::actor::types::Kind;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Generic;
export!(Generic);

impl lifecycle::Guest for Generic {
    fn init(_initial_state: Vec<u8>) -> Result<(), String> {
        assert!(messaging::current().is_none(), "init is no message's turn");
        Ok(())
    }

    fn terminate(_reason: String) {
        assert!(messaging::current().is_none(), "terminate is no message's turn");
    }
}

impl handler::Guest for Generic {
    fn handle_message(from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let message = messaging::current().ok_or("a message's turn has a message")?;
        assert_eq!(message.from, from);
        let kind = match message.kind {
            Kind::Call => "call",
            Kind::Cast => "cast",
            Kind::Info => "info",
        };
        if message_type == "seen" && message.kind == Kind::Call {
            return Ok(SEEN.with_borrow(|seen| seen.join("\n")).into_bytes());
        }
        let mut line =
            format!("kind={kind} type={message_type} from={from} payload={}", String::from_utf8_lossy(&payload));
        for (name, value) in &message.headers {
            line.push_str(&format!(" {name}={value}"));
        }
        if message.kind == Kind::Call {
            return Ok(line.into_bytes());
        }
        SEEN.with_borrow_mut(|seen| seen.push(line));
        Ok(Vec::new())
    }
}
