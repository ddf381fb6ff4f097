// An order as gen-fsm: `submit` PRICE, `pay` SUM, `ship`, `cancel`; `where` stays. A call is answered with the state after it.
//
// start -submit-> submitted -pay-> paid -ship-> shipped; cancel: submitted -> cancelled, paid -> refunded.

import { actor, fail } from "./troupe.js";

class Order {
  price = 0n;

  transition(state, message) {
    if (message.type === "where") return;
    switch (`${state} ${message.type}`) {
      case "start submit":
        this.price = message.number();
        return "submitted";
      case "submitted pay": {
        const paid = message.number();
        if (paid < this.price) throw fail(`${paid} is too little, the price is ${this.price}`);
        return "paid";
      }
      case "submitted cancel":
        return "cancelled";
      case "paid ship":
        return "shipped";
      case "paid cancel":
        return "refunded";
      default:
        throw fail(`no ${message.type} in state ${state}`);
    }
  }
}

export const { genFsm } = actor(new Order());
