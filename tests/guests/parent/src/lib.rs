//! Begins, ends and watches other actors. A call's payload is fields between `|`; what is called is the message type.
//!
//! `spawn` (module, id or nothing, initial state), `spawn-under` (module, id, manifest), `spawn-and-send` (module, id, text): in one step,
//! `spawn-then-trap`, `spawn-many` (module, number). `stop` (id, reason), `link`, `unlink`, `monitor`, `demonitor`, `bond-then-trap`,
//! `unlink-then-trap` (id), `undo-twice` (id, number of a monitor). `monitor-many` (id, times), `stop-of` (id, bytes of the reason), `spawn-of` (module, bytes
//! of its state).
//! `echo`, `total`, `trap`. The cast `stop` is what the call is. Infos are noted; `notes` shows them. `init` notes its bytes, fails if they are `refuse`, and links as `link ID` says;
//! told `link-at-end ID`, terminate does.

wit_bindgen::generate!({
    inline: "
        package guest:parent;
        world parent {
            import troupe:actor/messaging@0.1.0;
            import troupe:actor/processes@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
            export troupe:actor/lifecycle@0.1.0;
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:parent/parent",
    generate_all,
});

use std::cell::RefCell;

use exports::troupe::actor::{gen_event, gen_server, lifecycle};
use troupe::actor::messaging;
use troupe::actor::processes::{self, SpawnOptions};
use troupe::actor::types::Error;

thread_local! {
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static AT_END: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn note(text: String) {
    NOTES.with_borrow_mut(|notes| notes.push(text));
}

struct Parent;
export!(Parent);

impl lifecycle::Guest for Parent {
    fn init(initial: Vec<u8>) -> Result<(), String> {
        let initial = String::from_utf8_lossy(&initial).into_owned();
        if initial == "refuse" {
            return Err("told to".to_string());
        }
        if let Some(id) = initial.strip_prefix("link ") {
            return processes::link(id).map_err(words);
        }
        if let Some(id) = initial.strip_prefix("link-at-end ") {
            AT_END.set(Some(id.to_string()));
            return Ok(());
        }
        if !initial.is_empty() {
            note(format!("init {initial} of {}", messaging::parent_id().unwrap_or_default()));
        }
        Ok(())
    }

    fn terminate(_reason: String) {
        if let Some(id) = AT_END.take() {
            let _ = processes::link(&id);
        }
    }
}

impl gen_server::Guest for Parent {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let payload = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        let fields: Vec<&str> = payload.split('|').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let spawn = |module: &str, id: &str, initial: &str, manifest: Option<&str>| {
            let id = (!id.is_empty()).then(|| id.to_string());
            let options = SpawnOptions { id, manifest: manifest.map(str::to_string) };
            processes::spawn_actor(module, initial.as_bytes(), &options).map_err(words)
        };
        let done = |result: Result<(), Error>| result.map(|()| "done".to_string()).map_err(words);
        let text = match message_type.as_str() {
            "spawn" => spawn(field(0), field(1), field(2), None)?,
            "spawn-under" => spawn(field(0), field(1), "", Some(field(2)))?,
            "spawn-and-send" => {
                let id = spawn(field(0), field(1), "first", None)?;
                messaging::send_message(&id, "hello", field(2).as_bytes()).map_err(words)?;
                id
            }
            "spawn-then-trap" => {
                spawn(field(0), field(1), "", None)?;
                core::arch::wasm32::unreachable()
            }
            "spawn-many" => {
                let mut children = Vec::new();
                for _ in 0..field(1).parse::<u32>().map_err(|_| "no number")? {
                    children.push(spawn(field(0), "", "", None)?);
                }
                children.join(" ")
            }
            "spawn-and-link" => {
                let id = spawn(field(0), field(1), field(2), None)?;
                done(processes::link(&id))?
            }
            "stop" => done(processes::stop(field(0), field(1)))?,
            "stop-then-trap" => {
                done(processes::stop(field(0), field(1)))?;
                core::arch::wasm32::unreachable()
            }
            "link" => done(processes::link(field(0)))?,
            "unlink" => done(processes::unlink(field(0)))?,
            "monitor" => processes::monitor(field(0)).map_err(words)?.to_string(),
            "demonitor" => done(processes::demonitor(field(0).parse().map_err(|_| "no number")?))?,
            "bond-then-trap" => {
                processes::link(field(0)).map_err(words)?;
                processes::monitor(field(0)).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "unlink-then-trap" => {
                processes::unlink(field(0)).map_err(words)?;
                core::arch::wasm32::unreachable()
            }
            "undo-twice" => {
                let number = field(1).parse().map_err(|_| "no number")?;
                processes::unlink(field(0)).map_err(words)?;
                processes::demonitor(number).map_err(words)?;
                let again = [processes::unlink(field(0)), processes::demonitor(number)];
                again.map(|again| done(again).unwrap_or_else(|error| error)).join("; ")
            }
            "monitor-many" => {
                for n in 0..field(1).parse::<u32>().map_err(|_| "no number")? {
                    processes::monitor(field(0)).map_err(|error| format!("{n}: {}", words(error)))?;
                }
                "done".to_string()
            }
            "stop-of" => {
                let reason = "x".repeat(field(1).parse().map_err(|_| "no number")?);
                done(processes::stop(field(0), &reason))?
            }
            "spawn-of" => {
                let state = vec![b'x'; field(1).parse().map_err(|_| "no number")?];
                let options = SpawnOptions { id: None, manifest: None };
                processes::spawn_actor(field(0), &state, &options).map_err(words)?
            }
            "echo" => payload,
            "trap" => core::arch::wasm32::unreachable(),
            "notes" => NOTES.with_borrow(|notes| notes.join("; ")),
            _ => return Err(format!("unknown message type: {message_type}")),
        };
        Ok(text.into_bytes())
    }
}

impl gen_event::Guest for Parent {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        let payload = String::from_utf8_lossy(&payload);
        if let ("stop", Some((id, reason))) = (message_type.as_str(), payload.split_once('|')) {
            return processes::stop(id, reason).map_err(words);
        }
        note(format!("{message_type} {payload} from {from}"));
        Ok(())
    }
}

fn words(error: Error) -> String {
    match error {
        Error::AlreadyExists(text) => format!("already-exists: {text}"),
        Error::NotPermitted(text) => format!("not-permitted: {text}"),
        Error::NotFound(text) => format!("not-found: {text}"),
        Error::InvalidArgument(text) => format!("invalid-argument: {text}"),
        Error::ResourceExhausted(text) => format!("resource-exhausted: {text}"),
        Error::TooLarge(most) => format!("too-large: {most}"),
        other => format!("{other:?}"),
    }
}
