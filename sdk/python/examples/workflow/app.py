"""An order as gen-fsm: `submit` PRICE, `pay` SUM, `ship`, `cancel`; `where` stays. A call is answered with the state after it.

start -submit-> submitted -pay-> paid -ship-> shipped; cancel: submitted -> cancelled, paid -> refunded.
"""

import troupe


@troupe.actor
class Order(troupe.Actor):
    price = 0

    def transition(self, state, message):
        match state, message.type:
            case _, "where":
                return None
            case "start", "submit":
                self.price = message.number()
                return "submitted"
            case "submitted", "pay":
                paid = message.number()
                if paid < self.price:
                    raise troupe.Err(f"{paid} is too little, the price is {self.price}")
                return "paid"
            case "submitted", "cancel":
                return "cancelled"
            case "paid", "ship":
                return "shipped"
            case "paid", "cancel":
                return "refunded"
            case _, other:
                raise troupe.Err(f"no {other} in state {state}")
