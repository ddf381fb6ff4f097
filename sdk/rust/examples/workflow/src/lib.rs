//! An order as gen-fsm: `submit` PRICE, `pay` SUM, `ship`, `cancel`; `where` stays. A call is answered with the state after it.
//!
//! start -submit-> submitted -pay-> paid -ship-> shipped; cancel: submitted -> cancelled, paid -> refunded.

use troupe_sdk::prelude::*;

#[derive(Default)]
struct Order {
    price: i64,
}

impl Machine for Order {
    fn transition(&mut self, state: &str, message: Message) -> Result<Next, String> {
        match (state, message.kind()) {
            (_, "where") => Ok(Next::Stay),
            ("start", "submit") => {
                self.price = message.number()?;
                Ok(Next::to("submitted"))
            }
            ("submitted", "pay") => {
                let sum = message.number::<i64>()?;
                if sum < self.price {
                    return Err(format!("{sum} is too little, the price is {}", self.price));
                }
                Ok(Next::to("paid"))
            }
            ("submitted", "cancel") => Ok(Next::to("cancelled")),
            ("paid", "ship") => Ok(Next::to("shipped")),
            ("paid", "cancel") => Ok(Next::to("refunded")),
            (state, other) => Err(format!("no {other} in state {state}")),
        }
    }
}

actor!(Order: Machine);
