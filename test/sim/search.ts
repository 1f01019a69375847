/**
 * Searches the schedules of a case (machine.ts) for a fault.
 *
 * It searches only orders of atomic operations: in code without data races (race.ts), no other order makes a difference.
 */
import type { SimBuild } from "./build.ts";
import { Machine } from "./machine.ts";
import {
  CHANGE,
  DEATH,
  END,
  GUESS,
  LOAD,
  NOTIFY,
  PLAIN_LOAD,
  PLAIN_STORE,
  STORE,
  TIMEOUT,
  UNTIL_ZERO,
  WAIT,
  WAKE,
} from "./script.ts";
import type { Strategy } from "./machine.ts";
import type { Case, Observer, Run } from "./script.ts";

export interface Options {
  /**
   * "all": every order of operations that depend on each other, so every outcome (partial-order reduction).
   * preemptions: every schedule that preempts a running thread at most so many times, before an operation on bytes that
   * others use too. random: so many runs.
   */
  readonly mode?:
    "all" | { readonly preemptions: number } | { readonly random: number; readonly seed?: number } | Explorer;
  /** Stop after this many schedules, or milliseconds. */
  readonly schedules?: number;
  readonly milliseconds?: number;
  /** In the race variant: plain accesses whose order is searched too, by `function file:line:column`. */
  readonly stops?: RegExp;
  /** A module for the check: its exports are the run's `checker`. */
  readonly checker?: SimBuild;
  readonly observer?: (threads: number, memory: DataView) => Observer;
  /** Called after each run, with its fault. A fault then does not end the search. */
  readonly each?: (run: Run<unknown>, fault: string | undefined) => void;
}

export interface Explorer extends Strategy {
  /** Prepares the next run; false if there is none. */
  another(machine: Machine<never>): boolean;
}

export interface Outcome {
  /** Whether the search covered all schedules. */
  readonly complete: boolean;
  readonly schedules: number;
  /** Runs given up because another run leads to the same outcome. */
  readonly cut: number;
  /** The steps of all runs. */
  readonly steps: number;
  /** Schedules in which a thread died. */
  readonly deaths: number;
  readonly milliseconds: number;
  readonly fault?: { readonly message: string; readonly schedule: string; readonly trace: string };
}

/** Looks for a fault; stops at the first. */
export function search<C>(build: SimBuild, test: Case<C>, options: Options = {}): Outcome {
  const { mode = "all", schedules: limit = Infinity, milliseconds = Infinity } = options;
  const machine = machineOf(build, test, options);
  const explorer = explorerOf(mode, machine as never);
  const began = performance.now();
  let schedules = 0;
  let cut = 0;
  let deaths = 0;
  let complete = false;
  const outcome = () => ({ schedules, cut, deaths, steps: machine.total, milliseconds: performance.now() - began });
  // One schedule at least, also if the machine stalls just here.
  const isOver = () => schedules + cut > 0 && performance.now() - began >= milliseconds;
  while (!complete && schedules + cut < limit && !isOver()) {
    const { fault, whole } = machine.run(explorer);
    if (whole) schedules++;
    else cut++;
    if (whole && machine.deaths.length) deaths++;
    if (options.each) {
      if (whole) options.each(machine.outcome(), fault);
    } else if (fault !== undefined) {
      const schedule = machine.schedule();
      const { message, trace } = explain(machine, schedule);
      const again = message === fault ? "" : `\n(but when run again: ${message})`;
      return { ...outcome(), complete: false, fault: { message: fault + again, schedule, trace } };
    }
    complete = !explorer.another(machine as never);
  }
  return { ...outcome(), complete };
}

/** One run, as a fault's `schedule` says. */
export function replay<C>(
  build: SimBuild,
  test: Case<C>,
  schedule: string,
  options: Options = {},
): { message: string; trace: string } {
  return explain(machineOf(build, test, options), schedule);
}

function machineOf<C>(build: SimBuild, test: Case<C>, { checker, observer, stops }: Options): Machine<C> {
  const machine = new Machine(build, test, checker);
  machine.observer = observer?.(test.threads.length, machine.memory);
  if (stops) machine.stops = stops;
  return machine;
}

function explain<C>(machine: Machine<C>, schedule: string): { message: string; trace: string } {
  const replayed = new Replay(schedule);
  machine.trace = [];
  machine.traceFrom = Math.max(0, replayed.length - LINES);
  const { fault } = machine.run(replayed);
  return { message: fault ?? "no fault", trace: abridged(machine, machine.trace) };
}

/** The longest trace, in steps: its end. */
const LINES = 3000;

/** The lines of a trace, without operations on words that only one thread used, or that none wrote. */
function abridged<C>({ by, kinds, addresses, sizes, steps, traceFrom }: Machine<C>, lines: readonly string[]): string {
  const masks = new Map<number, number>();
  const wordsOf = (i: number): number[] => [addresses[i]! >> 2, (addresses[i]! + sizes[i]! - 1) >> 2];
  for (let i = 0; i < steps; i++) {
    const mask = (1 << by[i]!) | (WRITES[kinds[i]!]! << 31);
    for (const word of wordsOf(i)) masks.set(word, (masks.get(word) ?? 0) | mask);
  }
  const matter = lines.map((_, line) => {
    const i = traceFrom + line;
    return addresses[i]! < 0 || wordsOf(i).some((word) => isShared(masks.get(word)!));
  });
  return lines.flatMap((line, i) => (matter[i] ? line : matter[i - 1] === false ? [] : "     ...")).join("\n");
}

/** The message with which a test fails. Its schedule is valid for the variant that found the fault. */
export function report(name: string, { fault }: Outcome, variant = ""): string {
  if (!fault) return "";
  const schedule = [name, fault.schedule, ...(variant ? [variant] : [])].join(":");
  return `${name}: ${fault.message}\n\nSIM_SCHEDULE="${schedule}"\n${fault.trace}\n`;
}

function explorerOf(mode: NonNullable<Options["mode"]>, machine: Machine<never>): Explorer {
  if (mode === "all") return new Reduced(machine);
  if ("choose" in mode) return mode;
  return "preemptions" in mode ? new Bounded(machine, mode.preemptions) : new Random(mode.random, mode.seed ?? 1);
}

const lowest = (bits: number): number => 31 - Math.clz32(bits & -bits);

class Replay implements Strategy {
  readonly lateDeath = true;
  private readonly schedule: string;
  private readonly choices: number[] = [];

  constructor(schedule: string) {
    this.schedule = schedule;
    for (const [, who, times] of schedule.matchAll(/([a-z])(\d*)/g)) {
      for (let i = Number(times || 1); i > 0; i--) this.choices.push(who!.charCodeAt(0) - 97);
    }
  }

  get length(): number {
    return this.choices.length;
  }

  choose(machine: Machine<never>, enabled: number, current: number): number {
    const chosen = this.choices[machine.steps];
    if (chosen === undefined) return enabled & (1 << current) ? current : lowest(enabled);
    const who = chosen >= 23 ? machine.killer + chosen - 23 : chosen;
    if (enabled & (1 << who)) return who;
    throw new Error(`the schedule ${this.schedule} does not fit: step ${machine.steps + 1}`);
  }
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * All orders that matter.
 * ------------------------------------------------------------------------------------------------------------------ */

/** Whether the order of two kinds of operation on the same bytes matters. */
const MATTERS = new Uint8Array(256);
const matters = (one: number, two: number): void => void (MATTERS[one * 16 + two] = MATTERS[two * 16 + one] = 1);
const WRITES = new Uint8Array(16);
for (const write of [STORE, CHANGE, END, DEATH, PLAIN_STORE]) {
  WRITES[write] = 1;
  for (const any of [LOAD, GUESS, WAIT, STORE, CHANGE, END, DEATH, PLAIN_STORE, PLAIN_LOAD, UNTIL_ZERO])
    matters(write, any);
}
for (const sleeper of [WAIT, TIMEOUT, WAKE]) matters(NOTIFY, sleeper);

/** Kinds that conflict only with reads and writes. */
const COVERED = new Uint8Array(16);
for (const kind of [LOAD, STORE, CHANGE, GUESS, END, DEATH, PLAIN_STORE, PLAIN_LOAD, UNTIL_ZERO]) COVERED[kind] = 1;

/** Words beyond the memory, for addresses below 0. */
const ELSEWHERE = 256;

/**
 * Source-set partial-order reduction with sleep sets (Abdulla, Aronis, Jonsson, Sagonas: Optimal dynamic partial order
 * reduction, POPL 2014, algorithm 1). Two steps of different threads depend on each other if the operations they begin
 * with touch the same bytes and one of them writes, or if one is the death of the other's thread. Plain accesses in a step
 * do not count: the atomic ones order them, or race.ts reports them. If a report is exempt as harmless, `stops` makes its
 * accesses steps of their own, so that their order is searched too. A guess may read what a plain store wrote; the core uses
 * that value only if the compare-exchange after it succeeds, so its order matters no more than that of the compare-exchange.
 */
class Reduced implements Explorer {
  readonly lateDeath = true;
  private readonly machine: Machine<never>;
  /** The number of choices: the threads and their deaths. */
  private readonly width: number;
  private depth = 0;
  /** The run before had the same steps below this one. */
  private settled = 0;
  private readonly chosen = new Int32Array(10_001);
  private readonly enabled = new Int32Array(10_001);
  private readonly backtrack = new Int32Array(10_001);
  private readonly sleep = new Int32Array(10_001);
  private readonly done = new Int32Array(10_001);
  /** At step s, of thread t: its next operation at [s * width + t]. */
  private kind = new Int32Array(1 << 12);
  private address = new Int32Array(1 << 12);
  private bytes = new Int32Array(1 << 12);
  /** At [s * width + t]: one more than the last step of t that happens before step s. */
  private clock = new Int32Array(1 << 12);
  /** By word: the last step that touched it; by step: the step before it that touched its first word, or its second. */
  private readonly latest: Int32Array;
  private readonly before = [new Int32Array(10_001), new Int32Array(10_001)] as const;
  private readonly last: Int32Array;
  private readonly first: Int32Array;
  private readonly now: Int32Array;

  constructor(machine: Machine<never>) {
    this.machine = machine;
    this.width = machine.threads.length + machine.fatals.length;
    this.latest = new Int32Array((machine.memory.byteLength >> 2) + ELSEWHERE).fill(-1);
    this.last = new Int32Array(this.width).fill(-1);
    this.first = new Int32Array(this.width);
    this.now = new Int32Array(this.width);
  }

  choose(machine: Machine<never>, enabled: number, current: number): number {
    const at = machine.steps;
    if (at < this.depth) {
      const who = this.chosen[at]!;
      if (at >= this.settled) this.order(at, who);
      this.link(at, who);
      return who;
    }
    const { width } = this;
    if ((at + 1) * width > this.kind.length) this.grow();
    for (let t = 0; t < width; t++) {
      this.kind[at * width + t] = machine.kind[t]!;
      this.address[at * width + t] = machine.address[t]!;
      this.bytes[at * width + t] = machine.bytes[t]!;
    }
    const asleep = at === 0 ? 0 : this.stillAsleep(at - 1);
    const free = enabled & ~asleep;
    if (!free) return -1;
    const who = free & (1 << current) ? current : lowest(free);
    this.chosen[at] = who;
    this.enabled[at] = enabled;
    this.sleep[at] = asleep;
    this.done[at] = 0;
    this.backtrack[at] = 1 << who;
    this.depth = at + 1;
    this.order(at, who);
    this.link(at, who);
    return who;
  }

  another(): boolean {
    this.unlink();
    for (let at = this.depth - 1; at >= 0; at--) {
      this.done[at]! |= 1 << this.chosen[at]!;
      const left = this.backtrack[at]! & ~this.done[at]! & ~this.sleep[at]! & this.enabled[at]!;
      if (!left) continue;
      this.chosen[at] = lowest(left);
      this.depth = at + 1;
      this.settled = at;
      return true;
    }
    return false;
  }

  /** The sleeping threads that step `at` does not concern: the search tried them before it, so they need not run after it. */
  private stillAsleep(at: number): number {
    const who = this.chosen[at]!;
    let asleep = 0;
    for (let left = this.sleep[at]! | this.done[at]!; left; left &= left - 1) {
      const other = lowest(left);
      if (other !== who && !this.dependent(at, who, at, other)) asleep |= 1 << other;
    }
    return asleep;
  }

  /** Whether the operation of thread t before step s depends on that of u before step r. */
  private dependent(s: number, t: number, r: number, u: number): boolean {
    const one = s * this.width + t;
    const two = r * this.width + u;
    const { killer, fatals } = this.machine;
    if (t >= killer ? u === fatals[t - killer] : u >= killer && t === fatals[u - killer]) return true;
    if (!MATTERS[this.kind[one]! * 16 + this.kind[two]!]) return false;
    const a = this.address[one]!;
    const b = this.address[two]!;
    return a < b + this.bytes[two]! && b < a + this.bytes[one]!;
  }

  /** Computes which steps happen before the new one, and requests the reverse of each order that only the schedule caused. */
  private order(at: number, who: number): void {
    const { width, clock, now } = this;
    const own = this.last[who]!;
    for (let t = 0; t < width; t++) now[t] = own < 0 ? 0 : clock[own * width + t]!;
    const { killer, fatals } = this.machine;
    if (who >= killer) this.after(this.last[fatals[who - killer]!]!, at, who);
    const mine = at * width + who;
    const first = this.word(this.address[mine]!);
    const second = this.word(this.address[mine]! + this.bytes[mine]! - 1);
    let one = this.latest[first]!;
    let two = second === first ? -1 : this.latest[second]!;
    // From the last to the first: a step that happens before a later one is not reversed by itself.
    while (one >= 0 || two >= 0) {
      const i = Math.max(one, two);
      const done = this.after(i, at, who);
      if (i === one) one = done ? -1 : this.previous(one, first);
      if (i === two) two = done ? -1 : this.previous(two, second);
    }
    now[who] = at + 1;
    clock.set(now, at * width);
  }

  /** Puts step `at` after step i if it depends on that. True if it is then also after all earlier steps on the same word. */
  private after(i: number, at: number, who: number): boolean {
    if (i < 0) return true;
    const { width, clock, now } = this;
    const other = this.chosen[i]!;
    if (other !== who && now[other]! <= i) {
      if (!this.dependent(i, other, at, who)) return false;
      this.reverse(i, at, who);
      for (let t = 0; t < width; t++) now[t] = Math.max(now[t]!, clock[i * width + t]!);
    }
    const mine = at * width + who;
    const theirs = i * width + other;
    if (!WRITES[this.kind[theirs]!] || !COVERED[this.kind[mine]!]) return false;
    const end = this.address[mine]! + this.bytes[mine]!;
    return this.address[theirs]! <= this.address[mine]! && this.address[theirs]! + this.bytes[theirs]! >= end;
  }

  private word(address: number): number {
    const words = this.machine.memory.byteLength >> 2;
    return address < 0 ? words + Math.min(-address, ELSEWHERE - 1) : Math.min(address >> 2, words);
  }

  private previous(i: number, word: number): number {
    const isFirst = this.word(this.address[i * this.width + this.chosen[i]!]!) === word;
    return this.before[isFirst ? 0 : 1]![i]!;
  }

  /** Makes step `at` the last one of its thread, and of its words. */
  private link(at: number, who: number): void {
    this.last[who] = at;
    const mine = at * this.width + who;
    const first = this.word(this.address[mine]!);
    const second = this.word(this.address[mine]! + this.bytes[mine]! - 1);
    this.before[0][at] = this.latest[first]!;
    this.latest[first] = at;
    if (second === first) return;
    this.before[1][at] = this.latest[second]!;
    this.latest[second] = at;
  }

  /** Forgets the steps of a run. */
  private unlink(): void {
    this.last.fill(-1);
    for (let at = this.depth - 1; at >= 0; at--) {
      const mine = at * this.width + this.chosen[at]!;
      this.latest[this.word(this.address[mine]!)] = -1;
      this.latest[this.word(this.address[mine]! + this.bytes[mine]! - 1)] = -1;
    }
  }

  /** Requests step `at` before step i: adds a thread with which such a run may begin to the choices at step i. */
  private reverse(i: number, at: number, who: number): void {
    const { width, clock, first } = this;
    let seen = 0;
    let initials = 0;
    for (let k = i + 1; k <= at; k++) {
      const t = k === at ? who : this.chosen[k]!;
      if (seen & (1 << t) || (k < at && clock[k * width + this.chosen[i]!]! > i)) continue;
      let begins = true;
      for (let left = seen; left && begins; left &= left - 1) {
        const u = lowest(left);
        begins = (k === at ? this.now[u]! : clock[k * width + u]!) <= first[u]!;
      }
      if (begins) initials |= 1 << t;
      seen |= 1 << t;
      first[t] = k;
    }
    if (initials & this.backtrack[i]!) return;
    // A step that step i enabled cannot come before it.
    initials &= this.enabled[i]!;
    if (initials) this.backtrack[i]! |= initials & (1 << who) || initials & -initials;
  }

  private grow(): void {
    for (const field of ["kind", "address", "bytes", "clock"] as const) {
      const larger = new Int32Array(this[field].length * 2);
      larger.set(this[field]);
      this[field] = larger;
    }
  }
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * All schedules with few preemptions.
 * ------------------------------------------------------------------------------------------------------------------ */

/**
 * The search preempts a thread only before an operation on bytes that, in some run, another thread uses too and a thread
 * writes: a preemption before any other operation leads to the same outcome as one after it. The search learns such bytes on
 * the way, and starts again when it has learned more, so in the end it misses no schedule within the bound.
 */
class Bounded implements Explorer {
  readonly lateDeath = false;
  private readonly bound: number;
  private readonly death: number;
  private depth = 0;
  private readonly chosen = new Int32Array(10_001);
  private readonly current = new Int32Array(10_001);
  private readonly preemptions = new Int32Array(10_001);
  /** The other threads still to choose at each step. */
  private readonly left = new Int32Array(10_001);
  /** By word: a bit for each thread that uses it; bit 31 if one writes it. */
  private readonly touched: Int32Array;
  private again = false;

  constructor(machine: Machine<never>, bound: number) {
    this.bound = bound;
    this.death = ((1 << machine.fatals.length) - 1) << machine.killer;
    this.touched = new Int32Array(machine.memory.byteLength >> 2);
  }

  choose(machine: Machine<never>, enabled: number, current: number): number {
    const at = machine.steps;
    if (at > 0) this.learn(machine, at - 1);
    if (at >= this.depth) {
      const goesOn = (enabled >> current) & 1 && current >= 0;
      const living = enabled & ~this.death || enabled;
      const who = goesOn ? current : lowest(living);
      let others = enabled & ~(1 << who);
      if (goesOn && !this.shared(machine, current)) others &= this.death;
      const spent = at === 0 ? 0 : this.preemptions[at - 1]!;
      if (goesOn && spent >= this.bound) others &= this.death;
      this.chosen[at] = who;
      this.current[at] = goesOn ? current : -1;
      this.left[at] = others;
      this.preemptions[at] = spent;
      this.depth = at + 1;
    }
    return this.chosen[at]!;
  }

  another(): boolean {
    for (let at = this.depth - 1; at >= 0; at--) {
      const left = this.left[at]!;
      if (!left) continue;
      const who = lowest(left);
      this.left[at] = left & (left - 1);
      this.chosen[at] = who;
      const before = at === 0 ? 0 : this.preemptions[at - 1]!;
      const stopped = this.current[at]! >= 0 && who !== this.current[at]! && !((1 << who) & this.death);
      this.preemptions[at] = before + Number(stopped);
      this.depth = at + 1;
      return true;
    }
    this.depth = 0;
    const { again } = this;
    this.again = false;
    return again;
  }

  private learn({ by, kinds, addresses, sizes, killer }: Machine<never>, at: number): void {
    const address = addresses[at]!;
    if (address < 0 || by[at]! >= killer) return;
    const writes =
      kinds[at] === STORE || kinds[at] === CHANGE || kinds[at] === NOTIFY || kinds[at] === PLAIN_STORE ? 1 << 31 : 0;
    const last = (address + sizes[at]! - 1) >> 2;
    for (let word = address >> 2; word <= last; word++) {
      const old = this.touched[word]!;
      const now = old | (1 << by[at]!) | writes;
      if (old === now) continue;
      this.touched[word] = now;
      if (isShared(now) && !isShared(old)) this.again = true;
    }
  }

  private shared({ address, bytes }: Machine<never>, thread: number): boolean {
    const from = address[thread]!;
    if (from < 0) return true;
    for (let word = from >> 2; word <= (from + bytes[thread]! - 1) >> 2; word++) {
      if (isShared(this.touched[word]!)) return true;
    }
    return false;
  }
}

/** Whether two or more threads use a word, and one writes it. */
function isShared(mask: number): boolean {
  const threads = mask & 0x7fffffff;
  return mask < 0 && (threads & (threads - 1)) !== 0;
}

/* ------------------------------------------------------------------------------------------------------------------ *
 * Some schedules.
 * ------------------------------------------------------------------------------------------------------------------ */

/**
 * Takes turns: a random thread at each step; the same thread for a while; and fixed priorities that change at a few steps
 * (Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized scheduler with probabilistic guarantees of finding bugs,
 * ASPLOS 2010).
 */
class Random implements Explorer {
  readonly lateDeath = false;
  private readonly runs: number;
  private run = 0;
  private state: number;
  private length = 20;
  private readonly priority = new Int32Array(32);
  private changes: number[] = [];

  constructor(runs: number, seed: number) {
    this.runs = runs;
    this.state = (seed * 0x9e3779b9) | 1;
  }

  choose(machine: Machine<never>, enabled: number, current: number): number {
    const at = machine.steps;
    if (at === 0) this.prepare();
    this.length = Math.max(this.length, at);
    const goesOn = current >= 0 && (enabled >> current) & 1;
    const manner = this.run % 3;
    if (manner === 0 || (manner === 1 && (!goesOn || this.below(8) === 0))) {
      let left = enabled;
      for (let skip = this.below(bitCount(enabled)); skip > 0; skip--) left &= left - 1;
      return lowest(left);
    }
    if (manner === 1) return current;
    let best = lowest(enabled);
    for (let left = enabled & (enabled - 1); left; left &= left - 1) {
      if (this.priority[lowest(left)]! > this.priority[best]!) best = lowest(left);
    }
    if (this.changes.includes(at)) this.priority[best] = -at;
    return best;
  }

  another(): boolean {
    return ++this.run < this.runs;
  }

  private prepare(): void {
    for (let t = 0; t < 32; t++) this.priority[t] = this.below(1 << 20);
    this.changes = [this.below(this.length), this.below(this.length), this.below(this.length)];
  }

  private below(n: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % n;
  }
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits; left; left &= left - 1) count++;
  return count;
}
