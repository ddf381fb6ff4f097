//! Imports an interface that another actor serves, `bank:ledger/account@0.1.0` of the guest `typed`, and calls it as its messages
//! say. It counts what went well, so that its own state can be seen to be as old as the other's.

wit_bindgen::generate!({
    inline: "
        package guest:teller;
        world teller {
            import bank:ledger/account@0.1.0;
            import troupe:actor/host@0.1.0;
            export troupe:actor/gen-server@0.1.0;
            export troupe:actor/gen-event@0.1.0;
        }
        package bank:ledger@0.1.0 {
            interface account {
                enum tier { basic, gold }
                flags rights { deposit, withdraw, close }
                variant contact { none, mail(string), phone(tuple<u16, u64>) }
                record entry { amount: s64, note: option<string> }
                record account-info {
                    owner: string,
                    initial: char,
                    tier: tier,
                    rights: rights,
                    contact: contact,
                    history: list<entry>,
                    limits: tuple<u8, s8, u16, s16, u32, s32>,
                    rate: f64,
                    factor: f32,
                    closed: bool,
                    last: option<result<u64, string>>,
                }

                /// The new balance; refused when it would not fit.
                deposit: func(amount: u64) -> result<u64, string>;
                /// The new balance; refused when there is not enough.
                withdraw: func(amount: u64) -> result<u64, string>;
                balance: func() -> u64;
                describe: func() -> account-info;
                echo: func(info: account-info, bytes: list<u8>) -> tuple<account-info, list<u8>>;
                /// No error case: traps.
                close: func();
            }
        }
    ",
    path: "../../../wit/troupe-actor",
    world: "guest:teller/teller",
    generate_all,
});

use std::cell::Cell;

use bank::ledger::account;
use exports::troupe::actor::{gen_event, gen_server};
use troupe::actor::host;

thread_local! {
    static DONE: Cell<u64> = const { Cell::new(0) };
}

struct Teller;
export!(Teller);

fn done<T>(value: T) -> T {
    DONE.set(DONE.get() + 1);
    value
}

impl gen_server::Guest for Teller {
    fn handle_request(_from: String, message_type: String, payload: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(payload).map_err(|_| "the payload must be text")?;
        let number = || text.parse::<u64>().map_err(|_| format!("not a number: {text}"));
        let answer = match message_type.as_str() {
            "deposit" => account::deposit(number()?).map(done)?.to_string(),
            "withdraw" => account::withdraw(number()?).map(done)?.to_string(),
            "balance" => done(account::balance()).to_string(),
            // A step of its own between two calls.
            "twice" => {
                let amount = number()?;
                let first = account::deposit(amount).map(done)?;
                host::sleep_millis(3).map_err(|_| "sleep")?;
                format!("{first} {}", account::deposit(amount).map(done)?)
            }
            "mirror" => {
                let info = account::describe();
                let (same, bytes) = account::echo(&info, text.as_bytes());
                if format!("{info:?}") != format!("{same:?}") || bytes != text.as_bytes() {
                    return Err("it came back changed".to_string());
                }
                done(format!("{} {}", same.owner, same.history.len()))
            }
            "pad" => {
                let info = account::describe();
                let bytes = vec![7; usize::try_from(number()?).map_err(|_| "too many")?];
                account::echo(&info, &bytes).1.len().to_string()
            }
            "close" => {
                account::close();
                "closed".to_string()
            }
            "done" => DONE.get().to_string(),
            other => return Err(format!("unknown message type: {other}")),
        };
        Ok(answer.into_bytes())
    }
}

impl gen_event::Guest for Teller {
    fn handle_event(from: String, message_type: String, payload: Vec<u8>) -> Result<(), String> {
        <Teller as gen_server::Guest>::handle_request(from, message_type, payload).map(drop)
    }
}
