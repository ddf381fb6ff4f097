//! An interface of its own and no behavior of the contract: everything it offers is a typed call. `echo` takes and gives a value
//! of every kind of type that WIT has, but resources.

wit_bindgen::generate!({
    inline: "
        package bank:ledger@0.1.0;

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

        world typed { export account; }
    ",
    world: "bank:ledger/typed@0.1.0",
});

use std::cell::RefCell;

use exports::bank::ledger::account::{AccountInfo, Contact, Entry, Guest, Rights, Tier};

thread_local! {
    static HISTORY: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

struct Account;
export!(Account);

impl Guest for Account {
    fn deposit(amount: u64) -> Result<u64, String> {
        let change = i64::try_from(amount).ok().filter(|change| change.checked_add_unsigned(Self::balance()).is_some());
        let change = change.ok_or_else(|| format!("{amount} is too much"))?;
        remember(Entry { amount: change, note: Some("deposit".to_string()) });
        Ok(Self::balance())
    }

    fn withdraw(amount: u64) -> Result<u64, String> {
        let balance = Self::balance();
        if amount > balance {
            return Err(format!("insufficient funds: {balance} < {amount}"));
        }
        remember(Entry { amount: -amount.cast_signed(), note: None });
        Ok(Self::balance())
    }

    fn balance() -> u64 {
        HISTORY.with_borrow(|history| history.iter().map(|entry| entry.amount).sum::<i64>()).cast_unsigned()
    }

    fn describe() -> AccountInfo {
        let history = HISTORY.with_borrow(Clone::clone);
        AccountInfo {
            owner: "Zoë".to_string(),
            initial: 'Ω',
            tier: if Self::balance() >= 1000 { Tier::Gold } else { Tier::Basic },
            rights: Rights::DEPOSIT | Rights::CLOSE,
            contact: Contact::Phone((49, 301_234_567)),
            last: history.last().map(|entry| u64::try_from(entry.amount).map_err(|_| "withdrawn".to_string())),
            history,
            limits: (u8::MAX, i8::MIN, u16::MAX, i16::MIN, u32::MAX, i32::MIN),
            rate: -0.125,
            factor: 1.5,
            closed: false,
        }
    }

    fn echo(info: AccountInfo, bytes: Vec<u8>) -> (AccountInfo, Vec<u8>) {
        (info, bytes)
    }

    fn close() {
        core::arch::wasm32::unreachable()
    }
}

fn remember(entry: Entry) {
    HISTORY.with_borrow_mut(|history| history.push(entry));
}
