/**
 * What a program and a picture of its heap say to each other, over a channel: messages that can be posted.
 *
 *   picture   look, every second while it is visible; ask, about an element
 *   program   map, while a picture looks; element, an answer; gone
 *
 * A map goes as its difference from the one before: the runs if they have changed, and the states of the slabs that have. `full`
 * says that it is whole. A picture that has missed one looks with `since` 0, and gets a whole map.
 */
import { RUN, RUN_WORDS, type HeapMap } from "../inspect/heap-map.ts";

/** The first word of each message, so that a channel can have others. */
export const TAG = "wasm-mempool";

export interface Look {
  readonly tag: typeof TAG;
  readonly type: "look";
  /** The number of the last map that the picture got; 0: none. */
  readonly since: number;
}

export interface Ask {
  readonly tag: typeof TAG;
  readonly type: "ask";
  readonly program: string;
  readonly address: number;
}

export interface MapMessage {
  readonly tag: typeof TAG;
  readonly type: "map";
  /** Which heap, of those on the channel; and its name for people. */
  readonly program: string;
  readonly name: string;
  /** Each map's number is one more than that of the map before. */
  readonly number: number;
  readonly full: boolean;
  /** The map, with its runs if they have changed, and no states. */
  readonly map: Omit<HeapMap, "runs" | "states"> & { readonly runs: Uint32Array | undefined };
  /** The indices of runs whose states follow, in that order; undefined if all do. */
  readonly changed: Uint32Array | undefined;
  readonly states: Uint8Array;
}

export interface ElementMessage {
  readonly tag: typeof TAG;
  readonly type: "element";
  readonly program: string;
  readonly address: number;
  /** What a debug heap knows: the line that allocated the element, and milliseconds since then. */
  readonly site: string | undefined;
  readonly heldMs: number | undefined;
}

export interface Gone {
  readonly tag: typeof TAG;
  readonly type: "gone";
  readonly program: string;
}

export type Message = Look | Ask | MapMessage | ElementMessage | Gone;

/** A message of this protocol; undefined for anything else. */
export function messageIn(data: unknown): Message | undefined {
  return (data as Message | null | undefined)?.tag === TAG ? (data as Message) : undefined;
}

function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function sameBytes(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether two maps have the same slabs at the same places, so that their states can be compared. */
export function sameSlabs(a: Uint32Array, b: Uint32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += RUN_WORDS) {
    if (
      a[i + RUN.offset] !== b[i + RUN.offset] ||
      a[i + RUN.count] !== b[i + RUN.count] ||
      a[i + RUN.first] !== b[i + RUN.first] ||
      a[i + RUN.owner] !== b[i + RUN.owner]
    )
      return false;
  }
  return true;
}

/** The indices of the runs whose states differ, in two maps with the same slabs. */
export function changedRuns(before: HeapMap, after: HeapMap): Uint32Array {
  const found: number[] = [];
  const { runs, states } = after;
  for (let i = 0, run = 0; i < runs.length; i += RUN_WORDS, run++) {
    const offset = runs[i + RUN.offset]!;
    if (!sameBytes(before.states, states, offset, offset + runs[i + RUN.count]!)) found.push(run);
  }
  return Uint32Array.from(found);
}

/** Makes messages of one heap's maps. */
export class Sender {
  readonly #program: string;
  readonly #name: string;
  #before: HeapMap | undefined;
  #number = 0;

  constructor(program: string, name: string) {
    this.#program = program;
    this.#name = name;
  }

  /** The message for a map; `full`: not as a difference. The map before must still hold. */
  message(map: HeapMap, full: boolean): MapMessage {
    const before = this.#before;
    this.#before = map;
    const head = { tag: TAG, type: "map", program: this.#program, name: this.#name, number: ++this.#number } as const;
    const { runs, states, ...rest } = map;
    if (full || !before || !sameSlabs(before.runs, runs)) {
      return { ...head, full: true, map: { ...rest, runs: runs.slice() }, changed: undefined, states: states.slice() };
    }
    const changed = changedRuns(before, map);
    let length = 0;
    for (const run of changed) length += runs[run * RUN_WORDS + RUN.count]!;
    const some = new Uint8Array(length);
    let at = 0;
    for (const run of changed) {
      const offset = runs[run * RUN_WORDS + RUN.offset]!;
      const count = runs[run * RUN_WORDS + RUN.count]!;
      some.set(states.subarray(offset, offset + count), at);
      at += count;
    }
    const newRuns = sameWords(before.runs, runs) ? undefined : runs.slice();
    return { ...head, full: false, map: { ...rest, runs: newRuns }, changed, states: some };
  }
}

/** Makes maps of one heap's messages. */
export class Receiver {
  map: HeapMap | undefined;
  /** The number of the last map; 0: none, or a message is missing since. */
  number = 0;

  /** The map that a message tells, and the runs that changed (undefined: all); undefined if one before it is missing. */
  take(message: MapMessage): { readonly map: HeapMap; readonly changed: Uint32Array | undefined } | undefined {
    const { map: before } = this;
    const { changed, states, map, full, number } = message;
    if (full) {
      this.number = number;
      return { map: (this.map = { ...map, runs: map.runs!, states }), changed: undefined };
    }
    if (!before || !changed || number !== this.number + 1) {
      this.number = 0;
      return undefined;
    }
    this.number = number;
    const runs = map.runs ?? before.runs;
    // A copy: who holds the map before may compare the two.
    const all = before.states.slice();
    let at = 0;
    for (const run of changed) {
      const count = runs[run * RUN_WORDS + RUN.count]!;
      all.set(states.subarray(at, at + count), runs[run * RUN_WORDS + RUN.offset]!);
      at += count;
    }
    return { map: (this.map = { ...map, runs, states: all }), changed };
  }
}
