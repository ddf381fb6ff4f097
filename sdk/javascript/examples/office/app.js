// Three actors in one component, since a component in JavaScript holds the whole engine. `init` says which one this is:
// `counter`, `collector` or `worker`. Each class could be the whole of an app.js, exported with `actor(new ...)`.

import { Collector } from "./collector.js";
import { Counter } from "./counter.js";
import { actor, fail } from "./troupe.js";
import { Worker } from "./worker.js";

const roles = { counter: Counter, collector: Collector, worker: Worker };

class Office {
  init(state) {
    const role = new TextDecoder().decode(state);
    if (!Object.hasOwn(roles, role)) throw fail(`no such role: ${role}`);
    this.role = new roles[role]();
  }

  request(call) {
    return this.role.request(call);
  }

  event(event) {
    if (!this.role.event) event.unknown();
    this.role.event(event);
  }
}

export const { genServer, genEvent, lifecycle } = actor(new Office());
