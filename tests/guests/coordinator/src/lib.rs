//! Runs a script of calls of groups, locks and registry, one a line, and answers with what each gave, one a line. `$` is the
//! token of the newest lock. What comes as a cast is kept: `heard` tells.

wit_bindgen::generate!({
    inline: "
        package guest:coordinator;
        world coordinator {
            import troupe:actor/host@0.1.0;
            import troupe:actor/groups@0.1.0;
            import troupe:actor/locks@0.1.0;
            import troupe:actor/registry@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:coordinator/coordinator",
    generate_all,
});

use std::cell::{Cell, RefCell};

use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::types::Error;
use troupe::actor::{groups, host, locks, registry};

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static TOKEN: Cell<u64> = const { Cell::new(0) };
}

struct Coordinator;
export!(Coordinator);

impl gen_server::Guest for Coordinator {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        match message_type.as_str() {
            "do" => {
                let lines: Vec<String> = payload.lines().map(line).collect();
                Ok(lines.join("\n").into_bytes())
            }
            "heard" => Ok(HEARD.with_borrow(|heard| heard.join("\n")).into_bytes()),
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

impl gen_event::Guest for Coordinator {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let payload = String::from_utf8_lossy(&payload);
        match message_type.as_str() {
            "do" => payload.lines().for_each(|text| drop(line(text))),
            _ => HEARD.with_borrow_mut(|heard| heard.push(format!("{from} {message_type} {payload}"))),
        }
        Ok(())
    }
}

fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let number = |at: usize| match word(at) {
        "$" => TOKEN.get(),
        text => text.parse().unwrap_or_default(),
    };
    match word(0) {
        "join" => said(groups::join(word(1))),
        "leave" => said(groups::leave(word(1))),
        "members" => shown(groups::members(word(1)).map(|members| members.join(" "))),
        "publish" => shown(groups::publish(word(1), word(2), &bytes(word(3))).map(|took| took.to_string())),
        "join-many" => {
            let joined = (0..number(1)).try_for_each(|n| groups::join(&format!("g{n}")));
            said(joined)
        }
        "acquire" => {
            let timeout = word(3).parse().ok();
            shown(locks::acquire(word(1), number(2), timeout).map(|token| match token {
                Some(token) => {
                    TOKEN.set(token);
                    token.to_string()
                }
                None => "none".to_owned(),
            }))
        }
        "acquire-many" => {
            let acquired = (0..number(1)).try_for_each(|n| locks::acquire(&format!("l{n}"), 60_000, Some(0)).map(drop));
            said(acquired)
        }
        "renew" => said(locks::renew(word(1), number(2), number(3))),
        "release" => said(locks::release(word(1), number(2))),
        "register" => said(registry::register(word(1), &pairs(&words[2..]))),
        "register-many" => {
            let registered = (0..number(1)).try_for_each(|n| registry::register(&format!("n{n}"), &[]));
            said(registered)
        }
        "unregister" => said(registry::unregister(word(1))),
        "lookup" => shown(registry::lookup(word(1)).map(|found| found.map_or("none".to_owned(), entry))),
        "discover" => shown(registry::discover(&pairs(&words[1..])).map(|found| {
            let found: Vec<String> = found.into_iter().map(entry).collect();
            found.join(", ")
        })),
        "sleep" => said(host::sleep_millis(number(1))),
        "trap" => core::arch::wasm32::unreachable(),
        other => format!("unknown: {other}"),
    }
}

/// `*N` is N bytes.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix('*').and_then(|count| count.parse().ok()) {
        Some(count) => vec![b'x'; count],
        None => text.as_bytes().to_vec(),
    }
}

fn pairs(words: &[&str]) -> Vec<(String, String)> {
    words.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value_of(value))).collect()
}

fn value_of(text: &str) -> String {
    String::from_utf8(bytes(text)).unwrap_or_default()
}

fn entry(found: registry::Registration) -> String {
    let metadata: Vec<String> = found.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {} {}", found.name, found.actor, metadata.join(" ")).trim_end().to_owned()
}

fn said(result: Result<(), Error>) -> String {
    shown(result.map(|()| "ok".to_owned()))
}

fn shown(result: Result<String, Error>) -> String {
    match result {
        Ok(text) => text,
        Err(Error::NotPermitted(text)) => format!("err: not-permitted {text}"),
        Err(Error::NotFound(text)) => format!("err: not-found {text}"),
        Err(Error::AlreadyExists(text)) => format!("err: already-exists {text}"),
        Err(Error::ResourceExhausted(text)) => format!("err: resource-exhausted {text}"),
        Err(Error::InvalidArgument(text)) => format!("err: invalid-argument {text}"),
        Err(Error::TooLarge(limit)) => format!("err: too-large {limit}"),
        Err(Error::Timeout) => "err: timeout".to_owned(),
        Err(Error::Conflict) => "err: conflict".to_owned(),
        Err(other) => format!("err: {other:?}"),
    }
}
