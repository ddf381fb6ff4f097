//! A supervisor of `theater:simple`. Its state is what it has heard, a line each; a request is fields between `|`.
//!
//! Requests: `heard`; `spawn` and `resume` (manifest, state; without a second `|` no state), `spawn-then-trap`, `spawn-and-stop` (manifest), `spawn-many` (n, manifest), `list`, `stop`, `restart`, `state`,
//! `events` (child): types and how many bytes; `exit` (words). What is told of its children is heard as `error CHILD WHY`, `exit CHILD WORDS`, `exit CHILD` without words, `stopped CHILD`.
//! Told `restart` at its init, it restarts a child that an error ended.

wit_bindgen::generate!({
    inline: "
        package guest:theater-supervisor;
        world actor {
            import theater:simple/runtime;
            import theater:simple/supervisor;
            export theater:simple/actor;
            export theater:simple/message-server-client;
            export theater:simple/supervisor-handlers;
        }
    ",
    path: "../../../wit/theater-simple",
    world: "guest:theater-supervisor/actor",
    generate_all,
});

use exports::theater::simple::message_server_client::ChannelAccept;
use exports::theater::simple::supervisor_handlers::WitActorError;
use exports::theater::simple::{actor, message_server_client, supervisor_handlers};
use theater::simple::types::WitErrorType;
use theater::simple::{runtime, supervisor};

type State = Option<Vec<u8>>;

struct Actor;
export!(Actor);

fn shown(state: &State) -> String {
    String::from_utf8_lossy(state.as_deref().unwrap_or_default()).into_owned()
}

fn heard(state: &State, what: String) -> State {
    Some(format!("{}{what}\n", shown(state)).into_bytes())
}

impl actor::Guest for Actor {
    fn init(state: State) -> Result<(State,), String> {
        Ok((Some(shown(&state).lines().map(|line| format!("{line}\n")).collect::<String>().into_bytes()),))
    }
}

impl supervisor_handlers::Guest for Actor {
    fn handle_child_error(state: State, (child, error): (String, WitActorError)) -> Result<(State,), String> {
        assert_eq!(error.error_type, WitErrorType::Internal);
        if shown(&state).starts_with("restart\n") {
            supervisor::restart_child(&child)?;
        }
        Ok((heard(&state, format!("error {child} {}", shown(&error.data))),))
    }

    fn handle_child_exit(state: State, (child, words): (String, State)) -> Result<(State,), String> {
        let words = words.map(|words| format!(" {}", shown(&Some(words)))).unwrap_or_default();
        Ok((heard(&state, format!("exit {child}{words}")),))
    }

    fn handle_child_external_stop(state: State, (child,): (String,)) -> Result<(State,), String> {
        Ok((heard(&state, format!("stopped {child}")),))
    }
}

impl message_server_client::Guest for Actor {
    fn handle_send(state: State, _: (Vec<u8>,)) -> Result<(State,), String> {
        Ok((state,))
    }

    fn handle_request(state: State, (_, message): (String, Vec<u8>)) -> Result<(State, (State,)), String> {
        let text = String::from_utf8_lossy(&message).into_owned();
        let mut fields = text.splitn(3, '|');
        let what = fields.next().unwrap_or_default();
        let (first, second) = (fields.next().unwrap_or_default(), fields.next());
        let answer = match what {
            "heard" => shown(&state),
            "spawn" => supervisor::spawn(first, second.map(str::as_bytes))?,
            "resume" => supervisor::resume(first, second.map(str::as_bytes))?,
            "spawn-then-trap" => {
                supervisor::spawn(first, None)?;
                core::arch::wasm32::unreachable()
            }
            "spawn-and-stop" => {
                let child = supervisor::spawn(first, None)?;
                assert!(supervisor::list_children().contains(&child), "it is listed at once");
                supervisor::stop_child(&child)?;
                child
            }
            "spawn-many" => {
                let count: usize = first.parse().map_err(|_| "no number")?;
                for _ in 0..count {
                    supervisor::spawn(second.unwrap_or_default(), None)?;
                }
                "all".to_owned()
            }
            "list" => supervisor::list_children().join(","),
            "stop" => supervisor::stop_child(first).map(|()| "asked".to_owned())?,
            "restart" => supervisor::restart_child(first).map(|()| "asked".to_owned())?,
            "state" => supervisor::get_child_state(first)?
                .map_or("none".to_owned(), |state| String::from_utf8_lossy(&state).into_owned()),
            "exit" => runtime::shutdown(Some(first.as_bytes())).map(|()| "ends".to_owned())?,
            "events" => {
                let events = supervisor::get_child_events(first)?;
                for pair in events.windows(2) {
                    assert_eq!(
                        pair[1].parent_hash.as_ref(),
                        Some(&pair[0].hash),
                        "each has the hash of the one before"
                    );
                }
                let shown = events.iter().map(|event| format!("{} {}", event.event_type, event.data.len()));
                shown.collect::<Vec<_>>().join(",")
            }
            _ => return Err(format!("unknown: {what}")),
        };
        Ok((state, (Some(answer.into_bytes()),)))
    }

    fn handle_channel_open(state: State, _: (String, Vec<u8>)) -> Result<(State, (ChannelAccept,)), String> {
        Ok((state, (ChannelAccept { accepted: false, message: None },)))
    }

    fn handle_channel_message(state: State, _: (String, Vec<u8>)) -> Result<(State,), String> {
        Ok((state,))
    }

    fn handle_channel_close(state: State, _: (String,)) -> Result<(State,), String> {
        Ok((state,))
    }
}
