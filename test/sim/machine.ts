/**
 * Virtual threads: instances of one module over one memory, in one real thread. Before each atomic operation a thread may
 * be stopped (Asyncify) and another taken up, as a strategy says. All that a thread does from one such point to the next
 * is one step; it begins with the operation that the thread was stopped at.
 */
import type { SimBuild } from "./build.ts";

/* What a step begins with. The first four are told by the module (assembly/atomics.ts). */
export const LOAD = 0;
export const STORE = 1;
export const CHANGE = 2;
/** A load of what may be anybody's by now. */
export const GUESS = 3;
/** About to sleep, if the word is as expected. */
export const WAIT = 4;
export const WAKE = 5;
export const TIMEOUT = 6;
export const NOTIFY = 7;
/** The thread is done. */
export const END = 8;
/** Of the thread in `fatal`: it does nothing from here on. */
export const DEATH = 9;
/* Plain ones, in the race variant: at the sites in `stops`, and before all stores of the thread that may die. */
export const PLAIN_STORE = 10;
export const PLAIN_LOAD = 11;
const NAMES = [
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

/** Of the module: a load in a loop that ends when it gives 0. Possible only then. */
export const UNTIL_ZERO = 12;

/** Addresses below 0 are not in memory: those of mailboxes, and -1 - thread for its end. */
const MAILBOXES = -100;

export type Exports = Readonly<Record<string, (...args: number[]) => number>>;

/** What a script asks for; `yield` gives a number back. */
export type Action =
  | { readonly what: "call"; readonly name: string; readonly args: readonly number[] }
  | { readonly what: "post"; readonly box: string; readonly value: number }
  | { readonly what: "take"; readonly box: string }
  | { readonly what: "gone"; readonly thread: number }
  | { readonly what: "look"; readonly address: number }
  | { readonly what: "changed"; readonly address: number; readonly value: number }
  | { readonly what: "end" };

/** Calls an export of this thread's instance: gives its result. */
export const call = (name: string, ...args: number[]): Action => ({ what: "call", name, args });
/** Publishes a value for `take`. */
export const post = (box: string, value: number): Action => ({ what: "post", box, value });
/** Waits until there is something in the box: gives it, and leaves it there. */
export const take = (box: string): Action => ({ what: "take", box });
/** Waits until the other thread is dead or done: gives 1 if dead. */
export const gone = (thread: number): Action => ({ what: "gone", thread });

/** Gives the word at an address. */
export const look = (address: number): Action => ({ what: "look", address });
/** Waits until the word is another: gives 1; or until all other threads are dead or done: gives 0. */
export const changed = (address: number, value: number): Action => ({ what: "changed", address, value });

export type Script<C> = (thread: ThreadView<C>) => Generator<Action, unknown, number>;

/** What a script sees of its thread. */
export interface ThreadView<C> {
  readonly context: C;
  /** New for each run: what the check is to know even if the thread dies. */
  readonly notes: number[];
}

export interface Case<C = unknown> {
  readonly name: string;
  /** Runs once, outside the search: each run begins with the memory and the instances as this leaves them. */
  readonly setup: (cores: readonly Exports[], memory: DataView) => C;
  readonly threads: readonly Script<C>[];
  /** The thread that may die, at any point; or those, each by itself. */
  readonly fatal?: number | readonly number[];
  /** How many sleeps of each thread may time out in a run; 1 by default. The others go on until somebody notifies. */
  readonly timeouts?: number;
  /** Wasm pages for the setup to use, from address 0; one by default. */
  readonly pages?: number;
  /** After each run. A text, or an error thrown, is a fault. The cores may be called. */
  readonly check?: (run: Run<C>) => string | void;
  /** Before each step. The cores must not be called. */
  readonly checkStep?: (run: Run<C>) => string | void;
  /** A name for an address, for traces. */
  readonly label?: (address: number, context: C) => string | undefined;
}

export interface Run<C> {
  readonly context: C;
  readonly cores: readonly Exports[];
  readonly memory: DataView;
  /** What each script returned; undefined for one that died. */
  readonly results: readonly unknown[];
  readonly notes: readonly (readonly number[])[];
  /** The thread that has died, or -1; the first of `deaths`. */
  readonly dead: number;
  readonly deaths: readonly number[];
  /** The exports of the second module, if there is one. */
  readonly checker: Exports | undefined;
}

/** Says who goes next. */
export interface Strategy {
  /** Whether a death after the end is to be a step: only partial-order reduction needs it. */
  readonly lateDeath: boolean;
  /** One of the set bits of `enabled`, or -1 to give this run up. `current` is the thread that has just run, or -1. */
  choose(machine: Machine<never>, enabled: number, current: number): number;
}

/** Sees what a run does. */
export interface Observer {
  begin(): void;
  event(thread: number, kind: number, address: number, bytes: number): void;
  access(thread: number, site: number, address: number, bytes: number): void;
  /** What was wrong, or undefined. */
  end(): string | undefined;
}

class Fault extends Error {}

class Thread<C> {
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
  /** In a call, and out of the module. */
  unwound = false;
  rewinding = false;
  asleep = false;
  timeouts = 0;
  /** Addresses and sizes of stores whose values are being computed. */
  readonly stores: number[] = [];
  /** The word it has read last, what was there, and how often in a row. */
  readAt = -1;
  readValue = 0;
  reads = 0;
  /** Its operations since it last wrote something. */
  idle = 0;
  /** Waits for another to write: that word, or, after a long loop, anything. */
  spins: "" | "zero" | "word" | "any" | "change" = "";
  /** How often it is let go on although nothing has changed: it may not be waiting after all. */
  chances = 0;
  /** The writes of all when it began to. */
  writes = 0;

  constructor(number: number, stack: number) {
    this.number = number;
    this.stack = stack;
  }
}

const WASM_PAGE = 65536;
const STACK = 8192;
/** A run with more steps than this does not end. */
const LIMIT = 10_000;
/** Who has read for so long without writing anything lets others go first. */
const IDLE = 2000;
/** And who has read one word so often, with nothing in between. */
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
  readonly by = new Int32Array(LIMIT);
  readonly kinds = new Int32Array(LIMIT);
  readonly addresses = new Int32Array(LIMIT);
  readonly sizes = new Int32Array(LIMIT);
  /** The steps of all runs. */
  total = 0;
  /** Who has died in this run, the first first. */
  deaths: number[] = [];
  observer: Observer | undefined;
  /** Plain loads and stores at which to stop too: those that match `function file:line:column`. */
  set stops(pattern: RegExp) {
    this.stopAt = this.sites.map(({ name: of, where, atomic }) => !atomic && pattern.test(`${of} ${where}`));
  }
  /** With a list here, a line is added for each step from `traceFrom` on. */
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
  /** Bits of the dead. */
  private dead = 0;
  private done = 0;
  private spinning = 0;
  private writes = 0;
  private readonly checker: Exports | undefined;
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

  /** One run. What was wrong with it, or undefined. */
  run(strategy: Strategy): { fault: string | undefined; whole: boolean } {
    this.reset(strategy);
    let fault: string | undefined;
    let whole = false;
    try {
      this.mode = "starting";
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

  /** The choices of the run, to be made again. */
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

  /** Chooses the next step. Whether it is one of the thread that asks, which then goes on at once. */
  private pick(current: number): boolean {
    if (this.mode !== "running") return this.mode === "inert";
    this.traced?.();
    while (true) {
      this.chosen = -1;
      if (this.spinning) this.release();
      if (!this.enabled) return false;
      const wrong = this.test.checkStep?.(this.outcome());
      if (wrong) throw new Fault(wrong);
      const next = this.strategy.choose(this as never, this.enabled, current);
      if (next < 0) return false;
      if (this.steps === LIMIT) throw new Fault(`more than ${LIMIT} steps`);
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

  /** Takes a thread up, with the step it was stopped at. */
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

  /** Goes on with the script until another thread is to run. */
  private advance(thread: Thread<C>, given: number): void {
    let value = given;
    while (true) {
      const { done, value: action } = thread.script.next(value);
      if (done) thread.result = action;
      thread.action = done ? { what: "end" } : action;
      if (thread.action.what === "call") {
        thread.running = thread.core[thread.action.name]!;
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
   * A thread that reads one word again and again, or reads on and on, is likely to wait for another thread: it goes on when
   * another has written that word, or anything; or when nobody else can, a limited number of times. This keeps loops that
   * wait for others finite. It leaves out schedules if the thread was not waiting. UNTIL_ZERO leaves out nothing.
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

  /** Lets those go on for whom something may have changed; and those that may not be waiting, if nobody else can. */
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
    const { args } = thread.action as Action & { what: "call" };
    thread.unwound = false;
    const value = thread.running(...args);
    if (thread.unwound) thread.core["asyncify_stop_unwind"]!();
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

  /** What a script's own step waits for and touches. */
  private announce(thread: Thread<C>, action: Action): void {
    if (action.what === "end") this.next(thread, END, -1 - thread.number, 1);
    else if (action.what === "post") this.next(thread, STORE, this.box(action.box), 1);
    else if (action.what === "take") this.next(thread, LOAD, this.box(action.box), 1, this.mail.has(action.box));
    else if (action.what === "gone") this.next(thread, LOAD, -1 - action.thread, 1, this.isGone(action.thread));
    else if (action.what === "look") this.next(thread, LOAD, action.address, 4);
    else if (action.what === "changed") {
      this.next(thread, LOAD, action.address, 4, false);
      thread.spins = "change";
      this.spinning |= 1 << thread.number;
    }
  }

  private perform({ action, number }: Thread<C>): number {
    if (action.what === "take") return this.mail.get(action.box)!;
    if (action.what === "gone") return Number(this.isDead(action.thread));
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

  /** Nobody can go on: it is a fault unless all have ended. */
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
    /** Before a plain access. False: the thread is to leave the module now. */
    const access = (site: number, address: number, bytes: number): boolean => {
      if (thread.rewinding) this.rewound(thread);
      else if (this.stopsAt(thread.number, site)) {
        this.next(thread, this.sites[site]!.store ? PLAIN_STORE : PLAIN_LOAD, address, bytes);
        if (!this.pick(thread.number)) return (this.unwind(thread), false);
      }
      this.observer?.access(thread.number, site, address, bytes);
      return true;
    };
    // A store's address is computed before its value; only then does it happen.
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

  /** Adds a line for the step, and what it made of the word once the step is over. */
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

/** The functions a thread is in, as far as they have not been inlined. */
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
