/** The types of scripts, cases and runs. */

/* The operation that a step begins with. The module reports the first four (assembly/base/atomics.ts). */
export const LOAD = 0;
export const STORE = 1;
export const CHANGE = 2;
/** A load of memory that may have another use by now. */
export const GUESS = 3;
/** The thread sleeps if the word has the expected value. */
export const WAIT = 4;
export const WAKE = 5;
export const TIMEOUT = 6;
export const NOTIFY = 7;
/** The thread ends. */
export const END = 8;
/** The thread in `fatal` dies: it does nothing from here on. */
export const DEATH = 9;
/* Plain accesses, in the race variant: at the sites in `stops`, and before all stores of the thread that may die. */
export const PLAIN_STORE = 10;
export const PLAIN_LOAD = 11;
/** Their names in a trace. */
export const NAMES = [
  "load",
  "store",
  "change",
  "guess",
  "wait",
  "wake",
  "timeout",
  "notify",
  "end",
  "death",
  "plain store",
  "plain load",
  "until 0",
] as const;

/** A load in a loop that ends at 0; enabled only while the word is 0. The module reports it. */
export const UNTIL_ZERO = 12;

/** Addresses below 0 are not in memory: mailboxes, and -1 - thread for the thread's end. */
export const MAILBOXES = -100;

export type Exports = Readonly<Record<string, (...args: number[]) => number>>;

/** A script's request; `yield` returns a number. */
export type Action =
  | { readonly what: "call"; readonly name: string; readonly args: readonly number[] }
  | { readonly what: "post"; readonly box: string; readonly value: number }
  | { readonly what: "take"; readonly box: string }
  | { readonly what: "gone"; readonly thread: number }
  | { readonly what: "look"; readonly address: number }
  | { readonly what: "poke"; readonly address: number; readonly values: readonly number[] }
  | { readonly what: "changed"; readonly address: number; readonly value: number }
  | { readonly what: "end" };

/** Calls an export of this thread's instance, and returns its result. */
export const call = (name: string, ...args: number[]): Action => ({ what: "call", name, args });
/** Publishes a value for `take`. */
export const post = (box: string, value: number): Action => ({ what: "post", box, value });
/** Waits until the box has a value, and returns it; the value stays in the box. */
export const take = (box: string): Action => ({ what: "take", box });
/** Waits until the other thread has died or ended; returns 1 if it died. */
export const gone = (thread: number): Action => ({ what: "gone", thread });

/** Returns the word at an address. */
export const look = (address: number): Action => ({ what: "look", address });
/** Writes words that no other thread uses. */
export const poke = (address: number, values: readonly number[]): Action => ({ what: "poke", address, values });
/** Waits until the word changes, and returns 1; or until all other threads have died or ended, and returns 0. */
export const changed = (address: number, value: number): Action => ({ what: "changed", address, value });

export type Script<C> = (thread: ThreadView<C>) => Generator<Action, unknown, number>;

/** A script's view of its thread. */
export interface ThreadView<C> {
  readonly context: C;
  /** New for each run: what the check needs to know even if the thread dies. */
  readonly notes: number[];
}

export interface Case<C = unknown> {
  readonly name: string;
  /** Runs once, outside the search; each run begins with the memory and the instances that this leaves. */
  readonly setup: (cores: readonly Exports[], memory: DataView) => C;
  readonly threads: readonly Script<C>[];
  /** The thread that may die at any point; or several such threads. */
  readonly fatal?: number | readonly number[];
  /** How many sleeps of each thread may time out in a run; 1 by default. Other sleeps last until a notify. */
  readonly timeouts?: number;
  /** Wasm pages that the setup may use, from address 0; one by default. */
  readonly pages?: number;
  /** The most steps of a run; 10,000 by default, 100,000 at most. */
  readonly limit?: number;
  /** Runs after each run, and may call the cores. A returned text or a thrown error is a fault. */
  readonly check?: (run: Run<C>) => string | void;
  /** Makes a monitor for each run, which sees every call of an export, and the memory before each step. */
  readonly monitor?: (context: C, memory: DataView) => Monitor;
  /** A name for an address, for traces. */
  readonly label?: (address: number, context: C) => string | undefined;
}

/** Checks promises during a schedule. A returned text is a fault. */
export interface Monitor {
  begin(thread: number, name: string): void;
  step(): void;
  end(thread: number, name: string, result: number): string | undefined;
}

export interface Run<C> {
  readonly context: C;
  readonly cores: readonly Exports[];
  readonly memory: DataView;
  /** What each script returned; undefined if its thread died. */
  readonly results: readonly unknown[];
  readonly notes: readonly (readonly number[])[];
  /** The first thread that died, or -1. */
  readonly dead: number;
  readonly deaths: readonly number[];
  /** The exports of the second module, if there is one. */
  readonly checker: Exports | undefined;
}

/** Observes a run. */
export interface Observer {
  begin(): void;
  event(thread: number, kind: number, address: number, bytes: number): void;
  access(thread: number, site: number, address: number, bytes: number): void;
  /** The fault, or undefined. */
  end(): string | undefined;
}
