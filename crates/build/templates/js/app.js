// The actor `{name}`: a counter. Its state is what lies in the object; Troupe keeps it over crashes by recording every call that
// crosses the actor's boundary, and replaying them.
//
// `wit/world.wit` exports the behaviours and imports what is used. An error is thrown as `fail("text")`; any other exception is a
// fault, and undoes the turn. Time and random numbers come from the usual objects.

import { log } from "troupe:actor/host@0.1.0";

import { actor, number } from "./troupe.js";

class Counter {
  total = 0n;

  /** Once in the actor's life: the number to start from, or nothing. */
  init(state) {
    if (state.length > 0) this.total = number(state);
  }

  terminate(reason) {
    log("info", `stopped at ${this.total}: ${reason}`);
  }

  /** Calls: whoever sent one waits for the answer. */
  request(call) {
    switch (call.type) {
      case "add":
        this.total += call.number();
        break;
      case "get":
        break;
      default:
        call.unknown();
    }
    return this.total;
  }

  /** Casts: nobody waits. */
  event(event) {
    if (event.type !== "add") event.unknown();
    this.total += event.number();
  }
}

export const { genServer, genEvent, lifecycle } = actor(new Counter());
