// A counter as gen-server: calls `add` N and `get`, and the cast `add` N.

import { fail } from "./troupe.js";

export class Counter {
  total = 0n;

  request(call) {
    switch (call.type) {
      case "add":
        this.add(call);
        break;
      case "get":
        break;
      default:
        call.unknown();
    }
    return this.total;
  }

  event(event) {
    if (event.type !== "add") event.unknown();
    this.add(event);
  }

  add(message) {
    const total = this.total + message.number();
    if (BigInt.asIntN(64, total) !== total) throw fail("the total would overflow");
    this.total = total;
  }
}
