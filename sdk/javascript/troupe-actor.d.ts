// Types of the interfaces that an actor may import when its world names them. The contract in wit/deps/troupe-actor explains each.

declare namespace Troupe {
  type Headers = [string, string][];
  /** Milliseconds. */
  type Millis = bigint;
}

declare module "troupe:actor/host@0.1.0" {
  export function log(level: "trace" | "debug" | "info" | "warn" | "error", message: string): void;
  export function nowMillis(): bigint;
  export function sleepMillis(millis: Troupe.Millis): void;
}

declare module "troupe:actor/messaging@0.1.0" {
  export interface Current {
    id: string;
    from: string;
    kind: "call" | "cast" | "info";
    headers: Troupe.Headers;
    timeLeft?: Troupe.Millis;
    attempt: number;
  }
  export interface RequestOptions {
    timeout?: Troupe.Millis;
    headers: Troupe.Headers;
    idempotencyKey?: string;
  }
  export function selfId(): string;
  export function parentId(): string | undefined;
  export function current(): Current | undefined;
  export function sendMessage(to: string, messageType: string, payload: Uint8Array): string;
  export function sendWith(to: string, messageType: string, payload: Uint8Array, headers: Troupe.Headers): string;
  export function request(to: string, messageType: string, payload: Uint8Array, timeout?: Troupe.Millis): Uint8Array;
  export function requestWith(to: string, messageType: string, payload: Uint8Array, options: RequestOptions): Uint8Array;
  export function deferReply(): string;
  export function reply(token: string, answer: { tag: "ok"; val: Uint8Array } | { tag: "err"; val: string }): void;
  export function forward(to: string): void;
  export function sendAfter(delay: Troupe.Millis, to: string, messageType: string, payload: Uint8Array): bigint;
  export function sendEvery(period: Troupe.Millis, to: string, messageType: string, payload: Uint8Array): bigint;
  export function cancelTimer(timer: bigint): boolean;
}

declare module "troupe:actor/processes@0.1.0" {
  export interface SpawnOptions {
    id?: string;
    manifest?: string;
  }
  export function spawnActor(moduleRef: string, initialState: Uint8Array, options: SpawnOptions): string;
  export function stop(id: string, reason: string): void;
  export function link(id: string): void;
  export function unlink(id: string): void;
  export function monitor(id: string): bigint;
  export function demonitor(monitor: bigint): void;
}

declare module "troupe:actor/channels@0.1.0" {
  export interface SendOptions {
    delay?: Troupe.Millis;
    ttl?: Troupe.Millis;
    headers: Troupe.Headers;
  }
  export interface Outgoing {
    messageType: string;
    payload: Uint8Array;
    options: SendOptions;
  }
  export interface Delivery {
    id: string;
    receipt: string;
    messageType: string;
    payload: Uint8Array;
    headers: Troupe.Headers;
    attempt: number;
  }
  export function sendToQueue(queue: string, messageType: string, payload: Uint8Array): string;
  export function sendToQueueWith(queue: string, messageType: string, payload: Uint8Array, options: SendOptions): string;
  export function sendMany(queue: string, messages: Outgoing[]): string[];
  export function receiveFromQueue(queue: string, timeout?: Troupe.Millis): Delivery | undefined;
  export function receiveMany(queue: string, max: number, timeout?: Troupe.Millis): Delivery[];
  export function ack(queue: string, receipt: string): void;
  export function nack(queue: string, receipt: string, then: "requeue" | "dead-letter"): void;
  export function extend(queue: string, receipt: string, visibility: Troupe.Millis): void;
  export function queueDepth(queue: string): bigint;
  export function publishToTopic(topic: string, messageType: string, payload: Uint8Array): string;
  export function subscribe(pattern: string): bigint;
  export function unsubscribe(subscription: bigint): void;
}

declare module "troupe:actor/tuplespace@0.1.0" {
  export type Field =
    | { tag: "integer"; val: bigint }
    | { tag: "float"; val: number }
    | { tag: "text"; val: string }
    | { tag: "bytes"; val: Uint8Array }
    | { tag: "boolean"; val: boolean }
    | { tag: "null" };
  export type PatternField =
    | { tag: "exact"; val: Field }
    | { tag: "any" }
    | { tag: "typed"; val: "integer" | "float" | "text" | "bytes" | "boolean" | "null" }
    | { tag: "integer-range"; val: [bigint | undefined, bigint | undefined] }
    | { tag: "float-range"; val: [number | undefined, number | undefined] }
    | { tag: "prefix"; val: string };
  export interface Stored {
    id: bigint;
    value: Field[];
  }
  export function write(space: string, value: Field[], lease?: Troupe.Millis): bigint;
  export function renew(space: string, id: bigint, lease: Troupe.Millis): void;
  export function revoke(space: string, id: bigint): boolean;
  export function read(space: string, pattern: PatternField[]): Stored | undefined;
  export function take(space: string, pattern: PatternField[]): Stored | undefined;
  export function readBlocking(space: string, pattern: PatternField[], timeout?: Troupe.Millis): Stored | undefined;
  export function takeBlocking(space: string, pattern: PatternField[], timeout?: Troupe.Millis): Stored | undefined;
  export function takeEach(space: string, patterns: PatternField[][]): Stored[] | undefined;
  export function readAll(space: string, pattern: PatternField[], after: bigint | undefined, limit: number): Stored[];
  export function count(space: string, pattern: PatternField[]): bigint;
  export function compareAndSwap(space: string, expected: PatternField[], replacement: Field[]): Stored;
  export function subscribe(space: string, pattern: PatternField[]): bigint;
  export function unsubscribe(subscription: bigint): void;
}

declare module "troupe:actor/groups@0.1.0" {
  export function join(group: string): void;
  export function leave(group: string): void;
  export function members(group: string): string[];
  export function publish(group: string, messageType: string, payload: Uint8Array): number;
}

declare module "troupe:actor/locks@0.1.0" {
  export function acquire(name: string, lease: Troupe.Millis, timeout?: Troupe.Millis): bigint | undefined;
  export function renew(name: string, token: bigint, lease: Troupe.Millis): void;
  export function release(name: string, token: bigint): void;
}

declare module "troupe:actor/registry@0.1.0" {
  export interface Registration {
    name: string;
    actor: string;
    metadata: Troupe.Headers;
  }
  export function register(name: string, metadata: Troupe.Headers): void;
  export function unregister(name: string): void;
  export function lookup(name: string): Registration | undefined;
  export function discover(metadata: Troupe.Headers): Registration[];
}
