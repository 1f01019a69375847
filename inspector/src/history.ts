/** What is known of the past: each element's changes of state, and each pool's numbers over time. */
import { RUN, RUN_WORDS, type HeapMap } from "../../src/inspect/heap-map.ts";
import { changedRuns, sameSlabs } from "../../src/inspector/protocol.ts";

/** Changes that are kept; and changes of one map, beyond which the rest is not looked for. */
const KEPT = 1 << 18;
const AT_ONCE = 1 << 14;

export interface Change {
  /** Milliseconds on this page's clock. */
  readonly time: number;
  readonly from: number;
  readonly to: number;
}

export class Changes {
  readonly #time = new Float64Array(KEPT);
  readonly #address = new Uint32Array(KEPT);
  readonly #from = new Uint8Array(KEPT);
  readonly #to = new Uint8Array(KEPT);
  #count = 0;

  clear(): void {
    this.#count = 0;
  }

  /** Notes what differs between two maps; `changed`: the runs whose states do, if that is known. */
  note(before: HeapMap, after: HeapMap, changed: Uint32Array | undefined, time: number): void {
    const { runs, states } = after;
    if (!sameSlabs(before.runs, runs)) return this.#noteMoved(before, after, time);
    let left = AT_ONCE;
    for (const run of changed ?? changedRuns(before, after)) {
      const offset = runs[run * RUN_WORDS + RUN.offset]!;
      const count = runs[run * RUN_WORDS + RUN.count]!;
      for (let i = 0; i < count && left > 0; i++) {
        const [from, to] = [before.states[offset + i]!, states[offset + i]!];
        if (from !== to) {
          this.#add(runs, run, i, from, to, time);
          left--;
        }
      }
    }
  }

  /** The maps have different slabs: compares those that both have. */
  #noteMoved(before: HeapMap, after: HeapMap, time: number): void {
    const [a, b] = [before.runs, after.runs];
    let left = AT_ONCE;
    for (let i = 0, j = 0; i < a.length && j < b.length;) {
      if (a[i]! < b[j]!) i += RUN_WORDS;
      else if (a[i]! > b[j]!) j += RUN_WORDS;
      else {
        const isSame = [RUN.first, RUN.count, RUN.owner].every((word) => a[i + word] === b[j + word]);
        const count = isSame ? b[j + RUN.count]! : 0;
        for (let k = 0; k < count && left > 0; k++) {
          const from = before.states[a[i + RUN.offset]! + k]!;
          const to = after.states[b[j + RUN.offset]! + k]!;
          if (from !== to) {
            this.#add(b, j / RUN_WORDS, k, from, to, time);
            left--;
          }
        }
        i += RUN_WORDS;
        j += RUN_WORDS;
      }
    }
  }

  #add(runs: Uint32Array, run: number, index: number, from: number, to: number, time: number): void {
    const at = this.#count++ % KEPT;
    this.#time[at] = time;
    this.#address[at] = runs[run * RUN_WORDS + RUN.first]! + index * runs[run * RUN_WORDS + RUN.stride]!;
    this.#from[at] = from;
    this.#to[at] = to;
  }

  /** The changes of an element, the newest first, at most `most`. */
  of(address: number, most: number): Change[] {
    const found: Change[] = [];
    const oldest = Math.max(0, this.#count - KEPT);
    for (let n = this.#count - 1; n >= oldest && found.length < most; n--) {
      const at = n % KEPT;
      if (this.#address[at] !== address) continue;
      found.push({ time: this.#time[at]!, from: this.#from[at]!, to: this.#to[at]! });
    }
    return found;
  }
}

/** Samples of a pool's numbers that are kept. */
export const SAMPLES = 240;

export interface Series {
  readonly currNr: Float64Array;
  readonly live: Float64Array;
  readonly waiting: Float64Array;
  count: number;
}

/** The numbers of each pool over time, by its serial number. */
export class Times {
  readonly #series = new Map<number, Series>();

  clear(): void {
    this.#series.clear();
  }

  note({ pools }: HeapMap): void {
    for (const { serial, currNr, outstanding, waiting } of pools) {
      let own = this.#series.get(serial);
      if (!own) {
        const samples = (): Float64Array => new Float64Array(SAMPLES);
        this.#series.set(serial, (own = { currNr: samples(), live: samples(), waiting: samples(), count: 0 }));
      }
      const at = own.count++ % SAMPLES;
      own.currNr[at] = currNr;
      own.live[at] = outstanding;
      own.waiting[at] = waiting;
    }
    const known = new Set(pools.map(({ serial }) => serial));
    for (const serial of this.#series.keys()) if (!known.has(serial)) this.#series.delete(serial);
  }

  of(serial: number): Series | undefined {
    return this.#series.get(serial);
  }
}
