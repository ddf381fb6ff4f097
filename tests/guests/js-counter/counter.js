// The counter in JavaScript. The same behaviour as counter-rust, counter-python and counter-c: see ../README.md.

import { log, sleepMillis } from "troupe:actor/host@0.1.0";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

let total = 0n;
let adds = 0;
let lastDice = 0;

export const lifecycle = {
  init(initialState) {
    total = initialState.length === 0 ? 0n : number(initialState);
  },
  terminate(reason) {
    log("info", `terminated: ${reason}`);
  },
};

export const genServer = {
  handleRequest(_from, messageType, payload) {
    if (messageType === "echo") return payload;
    return encoder.encode(request(messageType, payload));
  },
};

export const genEvent = {
  handleEvent(_from, messageType, payload) {
    if (messageType !== "add") throw `unknown message type: ${messageType}`;
    add(payload);
  },
};

function request(messageType, payload) {
  switch (messageType) {
    case "add":
      return String(add(payload));
    case "get":
      return String(total);
    case "now":
      return String(Date.now());
    case "dice":
      lastDice = dice();
      return String(lastDice);
    case "state":
      return `total=${total} adds=${adds} last-dice=${lastDice}`;
    case "sleep": {
      const millis = number(payload);
      if (millis < 0n) throw `not a time: ${millis}`;
      try {
        sleepMillis(millis);
      } catch (error) {
        throw error.payload?.tag === "timeout" ? "sleep: timeout" : "sleep: error";
      }
      return "slept";
    }
    case "log":
      log("info", decoder.decode(payload));
      return "logged";
    case "trap":
      total += 1000n;
      // An error that is not the contract's own type is no answer but a fault.
      throw new Error("told to trap");
    case "loop":
      for (;;);
    default:
      throw `unknown message type: ${messageType}`;
  }
}

function add(payload) {
  const result = total + number(payload);
  if (!isI64(result)) throw "the total would overflow";
  total = result;
  adds += 1;
  return total;
}

function number(payload) {
  const text = decoder.decode(payload);
  if (/^[+-]?[0-9]+$/.test(text.trim())) {
    const digits = text.trim();
    const value = digits.startsWith("+") ? BigInt(digits.slice(1)) : BigInt(digits);
    if (isI64(value)) return value;
  }
  throw `not a number: ${text}`;
}

function isI64(value) {
  return BigInt.asIntN(64, value) === value;
}

function dice() {
  const bytes = new Uint32Array(1);
  crypto.getRandomValues(bytes);
  return (bytes[0] % 6) + 1;
}
