//! Every way for a turn to go wrong, one message type each. State: calls since init, which a fault must undo.

wit_bindgen::generate!({
    inline: "
        package guest:faulty;
        world faulty {
            import troupe:actor/host@0.1.0;
            import wasi:cli/exit@0.2.12;
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
    world: "guest:faulty/faulty",
    generate_all,
});

use std::cell::Cell;

use core::arch::wasm32::{memory_grow, unreachable};
use exports::troupe::actor::gen_server;
use troupe::actor::host::{self, Level};
use wasi::cli::exit;

const PAGE: usize = 65_536;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Faulty;
export!(Faulty);

impl gen_server::Guest for Faulty {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        CALLS.set(CALLS.get() + 1);
        match message_type.as_str() {
            "count" => Ok(CALLS.get().to_string().into_bytes()),
            "trap" => unreachable(),
            "add-then-trap" => {
                CALLS.set(CALLS.get() + 1000);
                unreachable()
            }
            "loop" => loop {
                core::hint::black_box(&CALLS);
            },
            "spin-sleep" => loop {
                let _ = host::sleep_millis(1);
            },
            "recurse" => Ok(deep(number(&payload).unwrap_or(u64::MAX)).to_string().into_bytes()),
            "alloc" => Ok(alloc(number(&payload)? as usize).as_bytes().to_vec()),
            "big-reply" => Ok(vec![b'x'; number(&payload)? as usize]),
            "log-flood" => {
                for line in 0..number(&payload)? {
                    host::log(Level::Info, &format!("line {line}"));
                }
                Ok(b"logged".to_vec())
            }
            "err" => Err(String::from_utf8_lossy(&payload).into_owned()),
            "exit" => {
                exit::exit(if payload == b"err" { Err(()) } else { Ok(()) });
                unreachable()
            }
            _ => Err(format!("unknown message type: {message_type}")),
        }
    }
}

/// Grows the memory itself, past the allocator, so that the answer is the engine's own; touches the last byte of what it got.
fn alloc(bytes: usize) -> &'static str {
    let before = memory_grow(0, bytes.div_ceil(PAGE));
    if before == usize::MAX {
        return "refused";
    }
    let last = (before * PAGE + bytes.max(1) - 1) as *mut u8;
    if bytes > 0 {
        // SAFETY: the growth succeeded, so the byte lies in memory that nobody else uses.
        unsafe { last.write_volatile(1) };
    }
    "ok"
}

/// Not a tail call and no loop: each level needs a frame of its own.
#[inline(never)]
fn deep(levels: u64) -> u64 {
    if levels == 0 { 1 } else { deep(levels - 1).wrapping_mul(31) ^ levels }
}

fn number(payload: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(payload);
    text.trim().parse().map_err(|_| format!("not a number: {text}"))
}
