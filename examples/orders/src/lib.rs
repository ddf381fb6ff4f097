//! Orders with compensation. An order reserves goods, charges the customer and is shipped; what fails is made good in reverse. The steps are requests to
//! three other actors, and the journal makes the whole a saga with no more code than these calls: a desk that dies in the middle goes on
//! where it was, and no step is done twice.
//!
//! `init` says what an actor is. `desk`: `order` `ID CUSTOMER ITEM COUNT PRICE PLACE`, answered with what came of it; `outcome` ID; `orders`. `store ITEM=COUNT ...`: `take`
//! `ID ITEM COUNT`, `give-back` ID, `left` ITEM. `bank CUSTOMER=SUM ...`: `take` `ID CUSTOMER SUM`, `give-back` ID, `left` CUSTOMER. `carrier PLACE ...` ships to these places only: `ship`
//! `ID PLACE`, `shipped`.

use std::collections::{BTreeMap, BTreeSet};

use troupe_sdk::prelude::*;

enum Role {
    None,
    Desk { outcomes: BTreeMap<String, String> },
    Stock(Stock),
    Carrier { places: BTreeSet<String>, shipped: BTreeSet<String> },
}

/// Goods of a store or money of a bank: what is left, and what each order has taken.
#[derive(Default)]
struct Stock {
    left: BTreeMap<String, u64>,
    taken: BTreeMap<String, (String, u64)>,
}

struct Actor(Role);

impl Default for Actor {
    fn default() -> Self {
        Self(Role::None)
    }
}

actor!(Actor: Server, Lifecycle);

impl Lifecycle for Actor {
    fn init(&mut self, initial_state: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(initial_state).map_err(|_| "init must be text")?;
        let mut words = text.split_whitespace();
        self.0 = match words.next() {
            Some("desk") => Role::Desk { outcomes: BTreeMap::new() },
            Some("store" | "bank") => {
                let left = words
                    .map(|word| {
                        let (name, count) = word.split_once('=').ok_or(format!("{word} is no NAME=COUNT"))?;
                        let count = count.parse().map_err(|_| format!("{word} is no NAME=COUNT"))?;
                        Ok((name.to_string(), count))
                    })
                    .collect::<Result<_, String>>()?;
                Role::Stock(Stock { left, taken: BTreeMap::new() })
            }
            Some("carrier") => Role::Carrier { places: words.map(str::to_string).collect(), shipped: BTreeSet::new() },
            _ => return Err("init must begin with desk, store, bank or carrier".to_string()),
        };
        Ok(())
    }
}

impl Server for Actor {
    fn request(&mut self, call: Message) -> Answer {
        let words: Vec<&str> = call.text()?.split_whitespace().collect();
        match (&mut self.0, call.kind(), &words[..]) {
            (Role::Desk { outcomes }, "order", [id, customer, item, count, price, place]) => {
                let outcome = match order(id, customer, item, count, price, place) {
                    Ok(()) => "shipped".to_string(),
                    Err(why) => why,
                };
                outcomes.insert(id.to_string(), outcome.clone());
                text(outcome)
            }
            (Role::Desk { outcomes }, "outcome", [id]) => text(outcomes.get(*id).ok_or(format!("no order {id}"))?),
            (Role::Desk { outcomes }, "orders", []) => text(outcomes.len()),
            (Role::Stock(stock), "take", [id, name, count]) => {
                let count = count.parse().map_err(|_| format!("not a number: {count}"))?;
                stock.take(id, name, count)
            }
            (Role::Stock(stock), "give-back", [id]) => stock.give_back(id),
            (Role::Stock(stock), "left", [name]) => text(stock.left.get(*name).copied().unwrap_or(0)),
            (Role::Carrier { places, shipped }, "ship", [id, place]) => {
                if !places.contains(*place) {
                    return Err(format!("no road to {place}"));
                }
                shipped.insert(id.to_string());
                text("on its way")
            }
            (Role::Carrier { shipped, .. }, "shipped", []) => text(shipped.len()),
            _ => call.unknown(),
        }
    }
}

/// The saga. An error says what failed, after all that was done before it has been made good.
fn order(id: &str, customer: &str, item: &str, count: &str, price: &str, place: &str) -> Result<(), String> {
    ask("store", "take", format!("{id} {item} {count}"))?;
    // The store has to say yes before anyone is charged.
    if let Err(why) = ask("bank", "take", format!("{id} {customer} {price}")) {
        ask("store", "give-back", id.to_string())?;
        return Err(why);
    }
    if let Err(why) = ask("carrier", "ship", format!("{id} {place}")) {
        ask("bank", "give-back", id.to_string())?;
        ask("store", "give-back", id.to_string())?;
        return Err(why);
    }
    Ok(())
}

fn ask(who: &str, what: &str, about: String) -> Result<(), String> {
    messaging::call(who, what, about, None)?;
    Ok(())
}

impl Stock {
    fn take(&mut self, id: &str, name: &str, count: u64) -> Answer {
        let left = self.left.entry(name.to_string()).or_default();
        let rest = left.checked_sub(count).ok_or(format!("{name} has {left} and not {count}"))?;
        if self.taken.contains_key(id) {
            return Err(format!("{id} has taken already"));
        }
        *left = rest;
        self.taken.insert(id.to_string(), (name.to_string(), count));
        text(rest)
    }

    fn give_back(&mut self, id: &str) -> Answer {
        let (name, count) = self.taken.remove(id).ok_or(format!("{id} has taken nothing"))?;
        let left = self.left.entry(name).or_default();
        *left += count;
        text(*left)
    }
}
