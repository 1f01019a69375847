/** One virtual thread of a machine. */
import type { Action, Exports } from "./script.ts";

export class Thread<C> {
  readonly number: number;
  readonly stack: number;
  core!: Exports;
  globals: WebAssembly.Global[] = [];
  saved: unknown[] = [];
  script!: Generator<Action, unknown, number>;
  action!: Action;
  running!: (...args: number[]) => number;
  view!: { context: C; notes: number[] };
  result: unknown;
  /** The thread is in a call, and its stack is unwound. */
  unwound = false;
  rewinding = false;
  asleep = false;
  timeouts = 0;
  /** Addresses and sizes of stores whose values are being computed. */
  readonly stores: number[] = [];
  /** The address and value of its last read, and how often it read that in a row. */
  readAt = -1;
  readValue = 0;
  reads = 0;
  /** Its operations since its last write. */
  idle = 0;
  /** What it waits for another thread to write: that word, or, after a long loop, anything. */
  spins: "" | "zero" | "word" | "any" | "change" = "";
  /** How often it may still go on although nothing has changed: it may not be waiting after all. */
  chances = 0;
  /** The number of all threads' writes when it began to wait. */
  writes = 0;

  constructor(number: number, stack: number) {
    this.number = number;
    this.stack = stack;
  }
}
