//! Producer, consumer, publisher and subscriber in one: the payload of `do` is a script of host calls, a line each, all in one
//! turn. The answer has a line for each. `then-trap` runs the script and traps. What comes from topics is kept.

wit_bindgen::generate!({
    inline: "
        package guest:queues;
        world queues {
            import troupe:actor/channels@0.1.0;
            import troupe:actor/host@0.1.0;
            import troupe:actor/messaging@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:queues/queues",
    generate_all,
});

use std::cell::RefCell;

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::channels::{self, Delivery, OnNack, Outgoing, SendOptions};
use troupe::actor::types::Error;
use troupe::actor::{host, messaging};

thread_local! {
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Queues;
export!(Queues);

impl gen_server::Guest for Queues {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        match message_type.as_str() {
            "do" => Ok(script(&payload)?.into_bytes()),
            "then-trap" => {
                script(&payload)?;
                core::arch::wasm32::unreachable()
            }
            "kept" => Ok(KEPT.with_borrow(|kept| kept.join("\n")).into_bytes()),
            "produce" => produce(&payload),
            "consume" => consume(&payload),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Queues {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let line = match message_type.as_str() {
            "do" => script(&payload)?,
            "then-trap" => {
                script(&payload)?;
                core::arch::wasm32::unreachable()
            }
            _ => {
                let headers = messaging::current().map(|message| message.headers).unwrap_or_default();
                format!("{from} {message_type}{} {}", shown(&headers), hex(&payload))
            }
        };
        KEPT.with_borrow_mut(|kept| kept.push(line));
        Ok(())
    }
}

fn script(payload: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "the script is not text")?;
    let lines: Vec<String> = text.lines().map(|line| command(line).unwrap_or_else(|error| told(&error))).collect();
    Ok(lines.join("\n"))
}

fn command(line: &str) -> Result<String, Error> {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let a: Vec<&str> = rest.split(' ').collect();
    match name {
        "send" => channels::send_to_queue(a[0], a[1], &bytes(a[2])),
        "send-with" => channels::send_to_queue_with(a[0], a[1], &bytes(a[5]), &options(a[2], a[3], a[4])),
        "send-many" => {
            let messages: Vec<Outgoing> = (0..number(a[1])).map(|n| outgoing(&n.to_string())).collect();
            channels::send_many(a[0], &messages).map(|ids| ids.len().to_string())
        }
        "receive" => {
            Ok(channels::receive_from_queue(a[0], time(a[1]))?.map_or("none".to_owned(), |one| delivery(&one)))
        }
        "work" => match channels::receive_from_queue(a[0], time(a[1]))? {
            None => Ok("none".to_owned()),
            Some(one) => {
                channels::ack(a[0], &one.receipt)?;
                Ok(String::from_utf8_lossy(&one.payload).into_owned())
            }
        },
        "receive-many" => {
            let all = channels::receive_many(a[0], number(a[1]) as u32, time(a[2]))?;
            Ok(all.iter().map(delivery).collect::<Vec<_>>().join("; "))
        }
        "ack" => channels::ack(a[0], a[1]).map(done),
        "nack" => channels::nack(a[0], a[1], OnNack::Requeue).map(done),
        "bury" => channels::nack(a[0], a[1], OnNack::DeadLetter).map(done),
        "extend" => channels::extend(a[0], a[1], number(a[2])).map(done),
        "depth" => channels::queue_depth(a[0]).map(|depth| depth.to_string()),
        "publish" => channels::publish_to_topic(a[0], a[1], &bytes(a[2])),
        "subscribe" => channels::subscribe(a[0]).map(|id| id.to_string()),
        "unsubscribe" => channels::unsubscribe(number(a[0])).map(done),
        "sleep" => host::sleep_millis(number(a[0])).map(done),
        _ => Ok(format!("no command: {name}")),
    }
}

/// QUEUE N SIZE: sends N messages of SIZE bytes at once.
fn produce(payload: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(payload);
    let a: Vec<&str> = text.split(' ').collect();
    let messages: Vec<Outgoing> = (0..number(a[1])).map(|_| outgoing(&"x".repeat(number(a[2]) as usize))).collect();
    let ids = channels::send_many(a[0], &messages).map_err(|error| told(&error))?;
    Ok(ids.len().to_string().into_bytes())
}

/// QUEUE N [TIME]: takes and acknowledges N messages at most; waits so long for the first. How many there were.
fn consume(payload: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(payload);
    let a: Vec<&str> = text.split(' ').collect();
    let all = channels::receive_many(a[0], number(a[1]) as u32, Some(number(a.get(2).unwrap_or(&"0"))))
        .map_err(|error| told(&error))?;
    for one in &all {
        channels::ack(a[0], &one.receipt).map_err(|error| told(&error))?;
    }
    Ok(all.len().to_string().into_bytes())
}

fn outgoing(payload: &str) -> Outgoing {
    Outgoing { message_type: "many".to_owned(), payload: payload.into(), options: options("-", "-", "-") }
}

fn options(delay: &str, ttl: &str, headers: &str) -> SendOptions {
    let headers = headers.split(',').filter_map(|pair| pair.split_once('='));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    SendOptions { delay: time(delay), ttl: time(ttl), headers }
}

fn delivery(one: &Delivery) -> String {
    let Delivery { id, receipt, message_type, payload, headers, attempt } = one;
    format!("{id} {receipt} {attempt} {message_type}{} {}", shown(headers), hex(payload))
}

fn shown(headers: &[(String, String)]) -> String {
    headers.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}

/// `0x` and hexadecimal, or text as it stands.
fn bytes(text: &str) -> Vec<u8> {
    let Some(digits) = text.strip_prefix("0x") else { return text.into() };
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap_or(0)).collect()
}

/// Text where it is plain, else `0x` and hexadecimal.
fn hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => text.to_owned(),
        _ => format!("0x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

fn time(text: &str) -> Option<u64> {
    text.parse().ok()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn done((): ()) -> String {
    "done".to_owned()
}

fn told(error: &Error) -> String {
    match error {
        Error::NotPermitted(grant) => format!("err: not-permitted {grant}"),
        Error::NotFound(what) => format!("err: not-found {what}"),
        Error::Timeout => "err: timeout".to_owned(),
        Error::ResourceExhausted(limit) => format!("err: resource-exhausted {limit}"),
        Error::InvalidArgument(what) => format!("err: invalid-argument {what}"),
        Error::TooLarge(limit) => format!("err: too-large {limit}"),
        other => format!("err: {other:?}"),
    }
}
