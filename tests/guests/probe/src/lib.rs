//! Calls host functions one at a time: the message type names the function, the answer is its result as text. What an interface
//! itself reports as an error comes as `err: CODE`, with everything else the call was accepted. `list` names them all.

wit_bindgen::generate!({
    inline: "
        package guest:probe;
        world probe {
            import troupe:actor/host@0.1.0;
            import troupe:actor/messaging@0.1.0;
            import wasi:cli/environment@0.2.12;
            import wasi:cli/stdin@0.2.12;
            import wasi:cli/stdout@0.2.12;
            import wasi:cli/stderr@0.2.12;
            import wasi:cli/terminal-stdin@0.2.12;
            import wasi:cli/terminal-stdout@0.2.12;
            import wasi:cli/terminal-stderr@0.2.12;
            import wasi:io/poll@0.2.12;
            import wasi:io/streams@0.2.12;
            import wasi:clocks/wall-clock@0.2.12;
            import wasi:clocks/monotonic-clock@0.2.12;
            import wasi:random/random@0.2.12;
            import wasi:random/insecure@0.2.12;
            import wasi:random/insecure-seed@0.2.12;
            import wasi:filesystem/preopens@0.2.12;
            import wasi:filesystem/types@0.2.12;
            import wasi:sockets/instance-network@0.2.12;
            import wasi:sockets/tcp-create-socket@0.2.12;
            import wasi:sockets/udp-create-socket@0.2.12;
            import wasi:sockets/ip-name-lookup@0.2.12;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/snapshot@0.1.0;
        }
    ",
    path: [
        "../../../wit/deps/io.wit",
        "../../../wit/deps/clocks.wit",
        "../../../wit/deps/random.wit",
        "../../../wit/deps/filesystem.wit",
        "../../../wit/deps/sockets.wit",
        "../../../wit/deps/cli.wit",
        "../../../wit/troupe-actor",
    ],
    world: "guest:probe/probe",
    generate_all,
});

mod actor;
mod cli;
mod clocks;
mod filesystem;
mod random;
mod sockets;

use std::cell::RefCell;

use exports::troupe::actor::{gen_server, snapshot};

/// A function that can be asked for, and what asks it. The payload is the argument.
type Probe = (&'static str, fn(&str) -> String);

const ALL: [&[Probe]; 6] =
    [actor::PROBES, cli::PROBES, clocks::PROBES, filesystem::PROBES, random::PROBES, sockets::PROBES];

struct Guest;
export!(Guest);

impl gen_server::Guest for Guest {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut probes = ALL.iter().copied().flatten();
        if message_type == "list" {
            return Ok(probes.map(|(name, _)| *name).collect::<Vec<_>>().join("\n").into_bytes());
        }
        let argument = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        match message_type.as_str() {
            "in-save" => {
                IN_SAVE.replace(argument);
                return Ok(Vec::new());
            }
            "in-load" => {
                IN_LOAD.replace(argument);
                return Ok(Vec::new());
            }
            "loaded" => return Ok(LOADED.take().into_bytes()),
            _ => {}
        }
        match probes.find(|(name, _)| *name == message_type) {
            Some((_, probe)) => Ok(probe(&argument).into_bytes()),
            None => Err(format!("unknown message type: {message_type}")),
        }
    }
}

thread_local! {
    /// The probes that save and load call, `FUNCTION ARGUMENT`, and what they said.
    static IN_SAVE: RefCell<String> = const { RefCell::new(String::new()) };
    static IN_LOAD: RefCell<String> = const { RefCell::new(String::new()) };
    static LOADED: RefCell<String> = const { RefCell::new(String::new()) };
}

impl snapshot::Guest for Guest {
    fn save() -> Result<Vec<u8>, String> {
        let said = asked(&IN_SAVE.take());
        Ok(format!("{}\n{said}", IN_LOAD.take()).into_bytes())
    }

    fn load(state: Vec<u8>, _saved_by: String) -> Result<(), String> {
        let state = String::from_utf8(state).map_err(|error| error.to_string())?;
        let (in_load, said) = state.split_once('\n').ok_or("nothing saved")?;
        LOADED.replace(format!("{said}{}", asked(in_load)));
        Ok(())
    }
}

fn asked(function: &str) -> String {
    let (name, argument) = function.split_once(' ').unwrap_or((function, ""));
    let mut probes = ALL.iter().copied().flatten();
    probes.find(|(known, _)| *known == name).map_or(String::new(), |(_, probe)| probe(argument))
}

/// The argument, or what to take in its place when it is empty or no number.
fn number(argument: &str, otherwise: u64) -> u64 {
    argument.trim().parse().unwrap_or(otherwise)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
