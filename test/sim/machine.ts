/**
 * Virtual threads: instances of one module over one memory, in one real thread. Before each atomic operation a strategy may
 * stop a thread (Asyncify) and resume another. A step is all that a thread does from one such point to the next; it begins
 * with the operation at which the thread stopped.
 */
import type { SimBuild } from "./build.ts";
import {
  LOAD,
  STORE,
  CHANGE,
  WAIT,
  WAKE,
  TIMEOUT,
  NOTIFY,
  END,
  DEATH,
  PLAIN_STORE,
  PLAIN_LOAD,
  NAMES,
  UNTIL_ZERO,
  MAILBOXES,
  type Exports,
  type Action,
  type Case,
  type Monitor,
  type Run,
  type Observer,
} from "./script.ts";
import { Thread } from "./thread.ts";

/** Chooses the next thread. */
export interface Strategy {
  /** Whether a death after the thread's end is a step: only partial-order reduction needs that. */
  readonly lateDeath: boolean;
  /** One of the set bits of `enabled`, or -1 to give this run up. `current` is the thread that has just run, or -1. */
  choose(machine: Machine<never>, enabled: number, current: number): number;
}

class Fault extends Error {}

const WASM_PAGE = 65536;
const STACK = 8192;
/** A run with more steps than this counts as endless. */
const LIMIT = 10_000;
/** The highest limit that a case may set. */
const MOST = 100_000;
/** A thread that has made this many operations without a write lets others go first. */
const IDLE = 2000;
/** As does a thread that has read one word so often in a row. */
const SAME = 16;
const CHANCES = 100;

export class Machine<C> {
  readonly test: Case<C>;
  readonly memory: DataView;
  readonly threads: Thread<C>[] = [];
  /** The number by which the death of the first of `fatals` is chosen; the next one for the second. */
  readonly killer: number;
  readonly fatals: readonly number[];
  /** Each thread's next operation. */
  readonly kind: Int32Array;
  readonly address: Int32Array;
  readonly bytes: Int32Array;
  /** The steps so far. */
  steps = 0;
  readonly by = new Int32Array(MOST);
  readonly kinds = new Int32Array(MOST);
  readonly addresses = new Int32Array(MOST);
  readonly sizes = new Int32Array(MOST);
  /** The steps of all runs. */
  total = 0;
  /** The threads that died in this run, in order. */
  deaths: number[] = [];
  observer: Observer | undefined;
  /** Also stop at plain loads and stores whose `function file:line:column` matches. */
  set stops(pattern: RegExp) {
    this.stopAt = this.sites.map(({ name: of, where, atomic }) => !atomic && pattern.test(`${of} ${where}`));
  }
  /** If set, gets a line for each step from `traceFrom` on. */
  trace: string[] | undefined;
  traceFrom = 0;

  private readonly sites: SimBuild["sites"];
  private stopAt: boolean[] = [];
  private readonly memoryBytes: Uint8Array;
  private readonly words: Int32Array;
  private snapshot: Uint8Array;
  private context!: C;
  private strategy!: Strategy;
  private mode: "inert" | "starting" | "running" = "inert";
  private enabled = 0;
  private chosen = -1;
  /** A bit for each dead thread. */
  private dead = 0;
  private done = 0;
  private spinning = 0;
  private writes = 0;
  private readonly checker: Exports | undefined;
  private monitor: Monitor | undefined;
  private readonly mail = new Map<string, number>();
  private readonly boxes: string[] = [];
  private traced: (() => void) | undefined;
  private stacks: string[] = [];

  /** `checker`: a second module over the same memory, for the check. */
  constructor({ module, sites }: SimBuild, test: Case<C>, checker?: SimBuild) {
    this.test = test;
    this.sites = sites;
    const count = test.threads.length;
    const pages = test.pages ?? 1;
    const above = Math.ceil((count * STACK) / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages + above, maximum: pages + above });
    this.memory = new DataView(memory.buffer);
    this.memoryBytes = new Uint8Array(memory.buffer, 0, pages * WASM_PAGE);
    this.words = new Int32Array(memory.buffer);
    this.killer = count;
    this.fatals = [test.fatal ?? []].flat();
    const choices = count + this.fatals.length;
    this.kind = new Int32Array(choices);
    this.address = new Int32Array(choices);
    this.bytes = new Int32Array(choices).fill(1);
    for (let number = 0; number < count; number++) {
      const thread = new Thread<C>(number, pages * WASM_PAGE + number * STACK);
      thread.core = new WebAssembly.Instance(module, { env: this.imports(thread, memory) }).exports as never;
      const globals = Object.entries(thread.core).filter(([name]) => name.startsWith("global:"));
      thread.globals = globals.map(([, global]) => global as unknown as WebAssembly.Global);
      this.threads.push(thread);
    }
    if (checker) {
      const env = this.imports(new Thread<C>(count, 0), memory);
      this.checker = new WebAssembly.Instance(checker.module, { env }).exports as never;
    }
    this.context = test.setup(
      this.threads.map(({ core }) => core),
      this.memory,
    );
    this.snapshot = this.memoryBytes.slice();
    for (const thread of this.threads) thread.saved = thread.globals.map(({ value }) => value as unknown);
  }

  /** Makes one run; returns its fault, if any, and whether it ran to the end. */
  run(strategy: Strategy): { fault: string | undefined; whole: boolean } {
    this.reset(strategy);
    let fault: string | undefined;
    let whole = false;
    try {
      this.mode = "starting";
      this.monitor = this.test.monitor?.(this.context, this.memory);
      this.observer?.begin();
      for (const thread of this.threads) this.advance(thread, 0);
      this.mode = "running";
      this.pick(-1);
      while (this.chosen >= 0) this.resume(this.threads[this.chosen]!);
      this.traced?.();
      whole = this.enabled === 0;
      this.mode = "inert";
      if (whole) fault = this.stuck() ?? this.observer?.end() ?? this.test.check?.(this.outcome()) ?? undefined;
    } catch (error) {
      fault = error instanceof Fault ? error.message : [String(error), ...framesOf(error)].join(" < ");
    }
    this.mode = "inert";
    this.total += this.steps;
    return { fault, whole };
  }

  /** The choices of the run, for a replay. */
  schedule(): string {
    let text = "";
    for (let i = 0; i < this.steps;) {
      const who = this.by[i]!;
      let times = 1;
      while (i + times < this.steps && this.by[i + times] === who) times++;
      text += who >= this.killer ? "xyz"[who - this.killer]! : name(who);
      if (times > 1) text += times;
      i += times;
    }
    return text;
  }

  outcome(): Run<C> {
    return {
      context: this.context,
      cores: this.threads.map(({ core }) => core),
      memory: this.memory,
      results: this.threads.map(({ result }) => result),
      notes: this.threads.map(({ view }) => view.notes),
      dead: this.deaths[0] ?? -1,
      deaths: this.deaths,
      checker: this.checker,
    };
  }

  label(address: number): string {
    if (address <= MAILBOXES) return `"${this.boxes[MAILBOXES - address]}"`;
    if (address < 0) return `thread ${name(-1 - address)}`;
    return this.test.label?.(address, this.context) ?? `0x${address.toString(16)}`;
  }

  private reset(strategy: Strategy): void {
    this.strategy = strategy;
    this.memoryBytes.set(this.snapshot);
    this.steps = 0;
    this.enabled = 0;
    this.chosen = -1;
    this.dead = 0;
    this.deaths = [];
    this.done = 0;
    this.spinning = 0;
    this.writes = 0;
    this.mail.clear();
    this.traced = undefined;
    for (const thread of this.threads) {
      for (let i = 0; i < thread.globals.length; i++) {
        if (thread.globals[i]!.value !== thread.saved[i]) thread.globals[i]!.value = thread.saved[i];
      }
      thread.unwound = thread.rewinding = thread.asleep = false;
      thread.stores.length = 0;
      thread.timeouts = this.test.timeouts ?? 1;
      thread.readAt = -1;
      thread.idle = 0;
      thread.chances = CHANCES;
      thread.spins = "";
      thread.result = undefined;
      thread.view = { context: this.context, notes: [] };
      thread.script = this.test.threads[thread.number]!(thread.view);
    }
    for (const [i, fatal] of this.fatals.entries()) {
      this.kind[this.killer + i] = DEATH;
      this.address[this.killer + i] = -1 - fatal;
      this.enabled |= 1 << (this.killer + i);
    }
  }

  /** Chooses the next step. True if it is the asking thread's, which then goes on at once. */
  private pick(current: number): boolean {
    if (this.mode !== "running") return this.mode === "inert";
    this.traced?.();
    while (true) {
      this.chosen = -1;
      if (this.spinning) this.release();
      if (!this.enabled) return false;
      this.monitor?.step();
      const next = this.strategy.choose(this as never, this.enabled, current);
      if (next < 0) return false;
      if (this.steps === (this.test.limit ?? LIMIT)) throw new Fault(`more than ${this.steps} steps`);
      const kind = this.kind[next]!;
      const address = this.address[next]!;
      this.by[this.steps] = next;
      this.kinds[this.steps] = kind;
      this.addresses[this.steps] = address;
      this.sizes[this.steps] = this.bytes[next]!;
      this.steps++;
      if (kind === STORE || kind === CHANGE || kind === PLAIN_STORE) this.writes++;
      if (this.observer) this.observer.event(next, kind, address, this.bytes[next]!);
      if (this.trace && this.steps > this.traceFrom) this.describe(next);
      if (next < this.killer) {
        this.chosen = next;
        return next === current;
      }
      this.enabled &= ~(1 << next);
      const victim = this.fatals[next - this.killer]!;
      if (this.done & (1 << victim)) continue;
      this.dead |= 1 << victim;
      this.deaths.push(victim);
      this.enabled &= ~(1 << victim);
      this.wakeScripts();
    }
  }

  /** Resumes a thread at the operation at which it stopped. */
  private resume(thread: Thread<C>): void {
    let value: number;
    if (thread.unwound) {
      thread.rewinding = true;
      thread.core["asyncify_start_rewind"]!(thread.stack);
      value = this.enter(thread);
      if (thread.unwound) return;
    } else {
      value = this.perform(thread);
      if (this.done & (1 << thread.number)) return void this.pick(thread.number);
    }
    this.advance(thread, value);
  }

  /** Runs the script until another thread's turn. */
  private advance(thread: Thread<C>, given: number): void {
    let value = given;
    while (true) {
      const { done, value: action } = thread.script.next(value);
      if (done) thread.result = action;
      thread.action = done ? { what: "end" } : action;
      if (thread.action.what === "call") {
        thread.running = thread.core[thread.action.name]!;
        this.monitor?.begin(thread.number, thread.action.name);
        value = this.enter(thread);
        if (thread.unwound) return;
        continue;
      }
      this.announce(thread, thread.action);
      if (!this.pick(thread.number)) return;
      value = this.perform(thread);
      if (this.done & (1 << thread.number)) return void this.pick(thread.number);
    }
  }

  /**
   * A thread that reads one word again and again, or never writes, probably waits for another thread. It goes on when another
   * thread has written that word, or anything; or, a limited number of times, when no other thread can go on. So loops that
   * wait for others stay finite. If the thread was not waiting, schedules are missed. UNTIL_ZERO misses none.
   */
  private look(thread: Thread<C>, kind: number, address: number): boolean {
    const value = this.words[address >> 2]!;
    if (kind === STORE || kind === CHANGE) thread.idle = 0;
    if (thread.readAt === address && thread.readValue === value) thread.reads += Number(kind === LOAD);
    else {
      thread.reads = 0;
      thread.readAt = address;
      thread.readValue = value;
    }
    if (kind === UNTIL_ZERO) {
      if (value === 0) return true;
      thread.spins = "zero";
    } else if (thread.reads >= SAME) thread.spins = "word";
    else if (++thread.idle >= IDLE) thread.spins = "any";
    else return true;
    thread.reads = 0;
    thread.idle = 0;
    thread.writes = this.writes;
    this.spinning |= 1 << thread.number;
    return false;
  }

  /** Enables spinning threads whose word may have changed; and, if no thread can go on, those that may not be waiting. */
  private release(): void {
    const last = (this.enabled & ((1 << this.killer) - 1)) === 0;
    for (let left = this.spinning; left; left &= left - 1) {
      const thread = this.threads[31 - Math.clz32(left & -left)]!;
      const { number, spins } = thread;
      if (spins === "change") {
        const { value } = thread.action as Action & { what: "changed" };
        const alone = this.threads.every((other) => other === thread || this.isGone(other.number));
        if (!alone && this.words[this.address[number]! >> 2] === value) continue;
        thread.spins = "";
        this.spinning &= ~(1 << number);
        if (!this.isDead(number)) this.enabled |= 1 << number;
        continue;
      }
      const value = this.words[thread.readAt >> 2];
      const waits =
        spins === "any" ? this.writes === thread.writes : spins === "word" ? value === thread.readValue : value;
      if (waits) {
        if (!last || spins === "zero" || thread.chances === 0) continue;
        thread.chances--;
      }
      thread.spins = "";
      this.spinning &= ~(1 << number);
      if (!this.isDead(number)) this.enabled |= 1 << number;
    }
  }

  private enter(thread: Thread<C>): number {
    const { args, name: called } = thread.action as Action & { what: "call" };
    thread.unwound = false;
    const value = thread.running(...args);
    if (thread.unwound) thread.core["asyncify_stop_unwind"]!();
    else {
      const wrong = this.monitor?.end(thread.number, called, value);
      if (wrong) throw new Fault(wrong);
    }
    return value;
  }

  private unwind(thread: Thread<C>): void {
    thread.unwound = true;
    this.words[thread.stack >> 2] = thread.stack + 8;
    this.words[(thread.stack >> 2) + 1] = thread.stack + STACK;
    thread.core["asyncify_start_unwind"]!(thread.stack);
  }

  private rewound(thread: Thread<C>): void {
    thread.rewinding = false;
    thread.core["asyncify_stop_rewind"]!();
  }

  private next(thread: Thread<C>, kind: number, address: number, bytes: number, enabled = true): void {
    const { number } = thread;
    this.kind[number] = kind;
    this.address[number] = address;
    this.bytes[number] = bytes;
    if (enabled) this.enabled |= 1 << number;
    else this.enabled &= ~(1 << number);
    if (this.trace && this.steps + 50 >= this.traceFrom) this.stacks[number] = stackOf(thread.action);
  }

  /** Announces what a script's own step waits for and touches. */
  private announce(thread: Thread<C>, action: Action): void {
    if (action.what === "end") this.next(thread, END, -1 - thread.number, 1);
    else if (action.what === "post") this.next(thread, STORE, this.box(action.box), 1);
    else if (action.what === "take") this.next(thread, LOAD, this.box(action.box), 1, this.mail.has(action.box));
    else if (action.what === "gone") this.next(thread, LOAD, -1 - action.thread, 1, this.isGone(action.thread));
    else if (action.what === "look") this.next(thread, LOAD, action.address, 4);
    else if (action.what === "poke") this.next(thread, STORE, action.address, 4);
    else if (action.what === "changed") {
      this.next(thread, LOAD, action.address, 4, false);
      thread.spins = "change";
      this.spinning |= 1 << thread.number;
    }
  }

  private perform({ action, number }: Thread<C>): number {
    if (action.what === "take") return this.mail.get(action.box)!;
    if (action.what === "gone") return Number(this.isDead(action.thread));
    if (action.what === "poke") this.words.set(action.values, action.address >> 2);
    if (action.what === "look") return this.words[action.address >> 2]!;
    if (action.what === "changed") return Number(this.words[action.address >> 2] !== action.value);
    if (action.what === "post") this.mail.set(action.box, action.value);
    if (action.what === "end") {
      this.done |= 1 << number;
      this.enabled &= ~(1 << number);
      const fatal = this.fatals.indexOf(number);
      if (fatal >= 0 && !this.strategy.lateDeath) this.enabled &= ~(1 << (this.killer + fatal));
    }
    this.wakeScripts();
    return 0;
  }

  private wakeScripts(): void {
    for (const { action, number, unwound } of this.threads) {
      if (unwound || this.isDead(number) || this.done & (1 << number)) continue;
      if (action.what === "take" && this.mail.has(action.box)) this.enabled |= 1 << number;
      if (action.what === "gone" && this.isGone(action.thread)) this.enabled |= 1 << number;
    }
  }

  private isGone(thread: number): boolean {
    return ((this.dead | this.done) & (1 << thread)) !== 0;
  }

  private isDead(thread: number): boolean {
    return (this.dead & (1 << thread)) !== 0;
  }

  private box(box: string): number {
    let index = this.boxes.indexOf(box);
    if (index < 0) index = this.boxes.push(box) - 1;
    return MAILBOXES - index;
  }

  /** No thread can go on: a fault unless all have ended. */
  private stuck(): string | undefined {
    const left = this.threads.filter(({ number }) => !this.isGone(number));
    if (!left.length) return undefined;
    const what = left.map(
      ({ number, asleep, spins }) =>
        `${name(number)} ${asleep ? "sleeps at" : spins ? "spins at" : "waits for"} ${this.label(this.address[number]!)}`,
    );
    return `deadlock: ${what.join(", ")}`;
  }

  private stopsAt(thread: number, site: number): boolean {
    if (this.stopAt[site]) return true;
    const { atomic, store } = this.sites[site]!;
    return store && !atomic && this.fatals.includes(thread);
  }

  private imports(thread: Thread<C>, memory: WebAssembly.Memory): WebAssembly.ModuleImports {
    /** Called before a plain access. False: the thread must leave the module now. */
    const access = (site: number, address: number, bytes: number): boolean => {
      if (thread.rewinding) this.rewound(thread);
      else if (this.stopsAt(thread.number, site)) {
        this.next(thread, this.sites[site]!.store ? PLAIN_STORE : PLAIN_LOAD, address, bytes);
        if (!this.pick(thread.number)) return (this.unwind(thread), false);
      }
      this.observer?.access(thread.number, site, address, bytes);
      return true;
    };
    // A store computes its address, then its value, and then happens.
    const { stores } = thread;
    const storing = <T>(site: number, value: T): T => {
      if (this.mode !== "inert" && access(site, stores.at(-2)!, stores.at(-1)!)) stores.length -= 2;
      return value;
    };
    return {
      memory,
      sched: (kind: number, address: number, bytes: number): void => {
        if (this.mode === "inert") return;
        if (thread.rewinding) return this.rewound(thread);
        this.next(thread, kind, address, bytes, this.look(thread, kind, address));
        if (!this.pick(thread.number)) this.unwind(thread);
      },
      sim_wait: (address: number, expected: number, milliseconds: number): number => {
        if (this.mode === "inert") return this.words[address >> 2] === expected ? 2 : 1;
        if (thread.rewinding) this.rewound(thread);
        else {
          this.next(thread, WAIT, address, 4);
          if (!this.pick(thread.number)) return (this.unwind(thread), 0);
        }
        if (!thread.asleep) {
          if (this.words[address >> 2] !== expected) return 1;
          thread.asleep = true;
          this.next(thread, TIMEOUT, address, 4, Number.isFinite(milliseconds) && thread.timeouts > 0);
          if (!this.pick(thread.number)) return (this.unwind(thread), 0);
        }
        thread.asleep = false;
        if (this.kind[thread.number] === WAKE) return 0;
        thread.timeouts--;
        return 2;
      },
      sim_notify: (address: number): void => {
        if (this.mode === "inert") return;
        if (thread.rewinding) this.rewound(thread);
        else {
          this.next(thread, NOTIFY, address, 4);
          if (!this.pick(thread.number)) return this.unwind(thread);
        }
        for (const other of this.threads) {
          if (!other.asleep || this.isDead(other.number) || this.address[other.number] !== address) continue;
          this.kind[other.number] = WAKE;
          this.enabled |= 1 << other.number;
        }
      },
      load_ptr: (site: number, bytes: number, offset: number, address: number): number => {
        if (this.mode !== "inert") access(site, address + offset, bytes);
        return address;
      },
      store_ptr: (_: number, bytes: number, offset: number, address: number): number => {
        if (this.mode !== "inert") stores.push(address + offset, bytes);
        return address;
      },
      load_val_i32: same,
      load_val_i64: same,
      load_val_f32: same,
      load_val_f64: same,
      store_val_i32: storing,
      store_val_i64: storing,
      store_val_f32: storing,
      store_val_f64: storing,
      memory_grow_pre: same,
      memory_grow_post: same,
    };
  }

  /** Adds a line for the step, with the word before and after it. */
  private describe(next: number): void {
    const kind = this.kind[next]!;
    const address = this.address[next]!;
    const bytes = this.bytes[next]!;
    const value = (): string => (address < 0 ? "" : valueAt(this.memory, address, bytes));
    const before = value();
    const who = name(this.fatals[next - this.killer] ?? next);
    const line = `${String(this.steps).padStart(4)} ${who} ${NAMES[kind]!.padEnd(7)} ${this.label(address)}`;
    const where = next >= this.killer ? "" : (this.stacks[next] ?? "");
    this.traced = () => {
      const after = value();
      const change = before === after ? before : `${before} -> ${after}`;
      this.trace!.push(`${line}${bytes > 1 ? `/${bytes}` : ""} ${change}  ${where}`.trimEnd());
      this.traced = undefined;
    };
  }
}

const same = (_: number, value: number): number => value;
const name = (thread: number): string => String.fromCharCode(97 + thread);

function valueAt(memory: DataView, address: number, bytes: number): string {
  if (address + bytes > memory.byteLength) return "outside";
  if (bytes === 1) return memory.getUint8(address).toString(16);
  if (bytes === 2) return memory.getUint16(address, true).toString(16);
  if (bytes === 4) return memory.getUint32(address, true).toString(16);
  return memory.getBigUint64(address, true).toString(16);
}

/** The thread's stack of functions, without inlined ones. */
function stackOf(action: Action): string {
  if (action.what !== "call") return action.what;
  return [`${action.name}(${action.args.join(", ")})`, ...framesOf(new Error("here")).toReversed().slice(1)].join(
    " > ",
  );
}

function framesOf(error: unknown): string[] {
  const lines = error instanceof Error ? String(error.stack).split("\n") : [];
  const wasm = lines.filter((line) => line.includes("wasm://"));
  return wasm.map((line) => /at (?:\S+\/)?(\S+) \(/.exec(line)?.[1] ?? "?");
}
