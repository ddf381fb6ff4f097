//! What WASI 0.2 says of its packages, a behaviour a message. Each asserts by itself and is answered `ok`; a failed assertion is
//! a trap. `list` names them all.

wit_bindgen::generate!({
    inline: "
        package guest:wasi;
        world wasi {
            import wasi:cli/environment@0.2.12;
            import wasi:cli/exit@0.2.12;
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
            export troupe:actor/gen-server@0.1.0;
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
    world: "guest:wasi/wasi",
    generate_all,
});

mod cli;
mod clocks;
mod filesystem;
mod io;
mod random;

use exports::troupe::actor::gen_server;

/// A behaviour, and what asserts it.
type Behaviour = (&'static str, fn());

const ALL: [&[Behaviour]; 5] =
    [random::BEHAVIOURS, clocks::BEHAVIOURS, io::BEHAVIOURS, cli::BEHAVIOURS, filesystem::BEHAVIOURS];

struct Guest;
export!(Guest);

impl gen_server::Guest for Guest {
    fn handle_request(_from: String, message_type: String, _payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut all = ALL.iter().copied().flatten();
        if message_type == "list" {
            return Ok(all.map(|(name, _)| *name).collect::<Vec<_>>().join("\n").into_bytes());
        }
        match all.find(|(name, _)| *name == message_type) {
            Some((_, assert)) => {
                assert();
                Ok(b"ok".to_vec())
            }
            None => Err(format!("unknown message type: {message_type}")),
        }
    }
}
