// Actors for Troupe as a class and a few methods.
//
//   import { actor } from "./troupe.js";
//
//   class Counter {
//     total = 0n;
//     request(call) {
//       switch (call.type) {
//         case "add": this.total += call.number(); break;
//         case "get": break;
//         default: call.unknown();
//       }
//       return this.total;
//     }
//   }
//
//   export const { genServer } = actor(new Counter());
//
// What lies in the object is the actor's state: Troupe keeps it over crashes, with no file and no database. A method is a behaviour,
// and wit/world.wit exports it, as the module does:
//
//   request(call)               genServer   calls; gives the answer: a Uint8Array, or a value whose text it is; undefined is empty
//   event(event)                genEvent    casts and infos
//   transition(state, message)  genFsm      what has none of these two; gives the new state's name, or nothing to stay
//   message(message)            handler     what has none of these three; as request
//   init(state), terminate(reason)          lifecycle
//   save(), load(state, savedBy)            snapshot
//
// `throw fail("words")` answers with an error, an ordinary end of the turn; so does an error of the runtime that nobody caught. Any other
// exception is a fault and undoes the turn. The runtime's functions are imported by their interface's name:
// `import { requestWith } from "troupe:actor/messaging@0.1.0"`; troupe.d.ts has all of them. A time in milliseconds is a BigInt.

const decoder = new TextDecoder("utf-8", { fatal: true });
const lenient = new TextDecoder();
const encoder = new TextEncoder();

/** A message, as a handler gets it. More about it (headers, time left, attempt) is given by `current()` of messaging. */
export class Message {
  constructor(from, type, payload) {
    this.from = from;
    this.type = type;
    this.payload = payload;
  }

  /** The payload as text. */
  text() {
    try {
      return decoder.decode(this.payload);
    } catch {
      throw fail("the payload is not UTF-8");
    }
  }

  /** The payload as a whole number of 64 bits, in decimal; a BigInt. */
  number() {
    return number(this.payload);
  }

  /** Throws the error for a message type that the actor does not know. */
  unknown() {
    throw fail(`unknown message type: ${this.type}`);
  }
}

/** An answer that is an error in words. */
export class Refusal {
  constructor(words) {
    this.words = words;
  }
}

/** The error to throw for an answer in words. */
export function fail(words) {
  return new Refusal(words);
}

/** Bytes as a whole number of 64 bits, in decimal. */
export function number(payload) {
  const text = lenient.decode(payload);
  const digits = text.trim();
  if (/^[+-]?[0-9]+$/.test(digits)) {
    const value = BigInt(digits.startsWith("+") ? digits.slice(1) : digits);
    if (BigInt.asIntN(64, value) === value) return value;
  }
  throw fail(`not a number: ${text}`);
}

/** What goes into a message: bytes as they are, nothing as nothing, all else as the text that it is. */
export function payload(value) {
  if (value === undefined || value === null) return new Uint8Array();
  return value instanceof Uint8Array ? value : encoder.encode(String(value));
}

/** An error of the runtime, as a call of it throws it, in words; undefined if it is something else. */
export function explain(error) {
  const told = error?.payload ?? error;
  if (typeof told?.tag !== "string") return undefined;
  const { tag, val } = told;
  switch (tag) {
    case "refused":
      return val;
    case "faulted":
      return `the other actor faulted: ${val.cause}`;
    case "too-large":
      return `too large: ${val} bytes are allowed`;
    case "cycle":
      return `a circle of requests: ${val.join(", ")}`;
    case "other":
      return `${val[0]}: ${val[1]}`;
    case "resource-exhausted":
      return `limit reached: ${val}`;
  }
  const words = tag.replaceAll("-", " ");
  return val === undefined ? words : `${words}: ${val}`;
}

// The bindings take a string that is thrown as the contract's error; all else is a fault.
function run(handler) {
  try {
    return handler();
  } catch (error) {
    if (error instanceof Refusal) throw error.words;
    throw explain(error) ?? error;
  }
}

/** The exports of an object: take those that the world names. */
export function actor(one) {
  return {
    genServer: {
      handleRequest: (from, type, data) => run(() => payload(one.request(new Message(from, type, data)))),
    },
    genEvent: {
      handleEvent: (from, type, data) => run(() => void one.event(new Message(from, type, data))),
    },
    genFsm: {
      handleTransition: (from, state, type, data) =>
        run(() => one.transition(state, new Message(from, type, data)) ?? ""),
    },
    handler: {
      handleMessage: (from, type, data) => run(() => payload(one.message(new Message(from, type, data)))),
    },
    lifecycle: {
      init: (state) => run(() => void one.init?.(state)),
      terminate: (reason) => void one.terminate?.(reason),
    },
    snapshot: {
      save: () => run(() => payload(one.save())),
      load: (state, savedBy) => run(() => void one.load(state, savedBy)),
    },
  };
}
