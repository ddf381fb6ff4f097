// Types of troupe.js. Those of the interfaces that an actor may import are in troupe-actor.d.ts.

/** A message, as a handler gets it. */
export class Message {
  /** The sender: `namespace/name`, or a name with `@` that is no actor. */
  readonly from: string;
  readonly type: string;
  readonly payload: Uint8Array;
  /** The payload as text. */
  text(): string;
  /** The payload as a whole number of 64 bits, in decimal. */
  number(): bigint;
  /** Throws the error for a message type that the actor does not know. */
  unknown(): never;
}

/** Bytes as they are, nothing as nothing, all else as the text that it is. */
export type Answer = Uint8Array | string | number | bigint | boolean | null | undefined;

/** The behaviours of an actor: it has those that its world exports. */
export interface Behaviours {
  request?(call: Message): Answer;
  event?(event: Message): void;
  /** Gives the new state's name, or nothing to stay. The first state is `start`. */
  transition?(state: string, message: Message): string | undefined | void;
  message?(message: Message): Answer;
  init?(state: Uint8Array): void;
  terminate?(reason: string): void;
  save?(): Answer;
  load?(state: Uint8Array, savedBy: string): void;
}

/** The exports of an object: take those that the world names. */
export function actor(one: Behaviours): {
  genServer: object;
  genEvent: object;
  genFsm: object;
  handler: object;
  lifecycle: object;
  snapshot: object;
};

/** An answer that is an error in words. */
export class Refusal {
  readonly words: string;
}
/** The error to throw for an answer in words. */
export function fail(words: string): Refusal;
/** Bytes as a whole number of 64 bits, in decimal. */
export function number(payload: Uint8Array): bigint;
/** What goes into a message. */
export function payload(value: Answer): Uint8Array;
/** An error of the runtime in words; undefined if it is something else. */
export function explain(error: unknown): string | undefined;

/** What a call of the runtime throws: an Error whose `payload` this is. */
export type RuntimeError =
  | { tag: "not-permitted" | "not-found" | "already-exists" | "resource-exhausted" | "invalid-argument"; val: string }
  | { tag: "refused" | "unavailable" | "internal"; val: string }
  | { tag: "timeout" | "mailbox-full" | "conflict" }
  | { tag: "too-large"; val: bigint }
  | { tag: "cycle"; val: string[] }
  | { tag: "faulted"; val: { cause: string; committed: boolean } }
  | { tag: "other"; val: [string, string] };
