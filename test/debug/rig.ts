/** What plants a fault in a heap, step by step, and notes what is said, at which step, and the lines that it names. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { DamageReport, Heap, Pool, SharedHeap } from "../../src/index.ts";
import { cellOf } from "./table.ts";

export interface Build {
  readonly name: string;
  readonly isDebug?: true;
  heap(onDamage: (report: DamageReport) => void): Heap;
}

/** What a worker answers: the place of the step, as "file:line"; and the error, if there was one. */
interface Answer {
  readonly place: string;
  readonly error?: { readonly code: string; readonly stack: string };
}

/** Rounds of a race in a build that must see each of them, and the most in one that may miss some. */
const ROUNDS = 300;
const MOST_ROUNDS = 200_000;

/** The place of a step's caller, as "file:line". */
const placeOfCaller = (): string => /([\w.]+:\d+):\d+\)?$/.exec(new Error("here").stack!.split("\n")[3]!)![1]!;

export class Rig {
  readonly heap: Heap;
  readonly #build: Build;
  readonly #reports: DamageReport[] = [];
  /** The place of each step. */
  readonly #places = new Map<string, string>();
  #said: { kind: string; step: string; text: string } | undefined;
  #worker: Worker | undefined;
  readonly #reaped: Promise<void>;
  #onReap: () => void = () => {};

  constructor(build: Build) {
    this.#build = build;
    this.heap = build.heap((report) => void this.#reports.push(report));
    this.#reaped = new Promise((resolve) => (this.#onReap = resolve));
  }

  pool(size: number): Pool {
    return this.heap.create({ size, minNr: 0, name: "nodes" }) as Pool;
  }

  /** Runs a part of the plant. Its line, which the caller's must be, is known by the step's name. */
  step<T>(name: string, run: () => T): T {
    this.#places.set(name, placeOfCaller());
    let result: T;
    try {
      result = run();
    } catch (error) {
      const { code, stack } = error as { code?: string; stack: string };
      if (code === undefined) throw error;
      this.tell(name, code, stack);
    }
    for (const { kind, message } of this.#reports.splice(0)) this.tell(name, kind, message);
    return result!;
  }

  /** Something is said. The first counts. */
  tell(step: string, kind: string, text: string): void {
    this.#said ??= { kind, step, text };
  }

  #attach(): Worker {
    const worker = new Worker(new URL("worker.mjs", import.meta.url));
    (this.heap as SharedHeap).watch(worker, { onReap: () => this.#onReap() });
    return (this.#worker = worker);
  }

  /** A step in a worker. */
  async inWorker(step: string, task: "alloc" | "free", pool: Pool, element?: number): Promise<void> {
    const worker = this.#attach();
    worker.postMessage({ shared: (pool as ReturnType<SharedHeap["create"]>).share(worker), task, element });
    const [{ place, error }] = (await once(worker, "message")) as [Answer];
    this.#places.set(step, place);
    if (error) this.tell(step, error.code, error.stack);
  }

  /** Ends the worker and waits until what it had is known. */
  async endWorker(): Promise<void> {
    await this.#worker!.terminate();
    await this.#reaped;
  }

  /**
   * This thread and a worker free an element at the same instant, again and again. What is said is what the second free
   * throws; nothing if both frees of a round are done.
   */
  async race(step: string, pool: Pool): Promise<void> {
    const worker = this.#attach();
    const words = new Int32Array(new SharedArrayBuffer(16));
    const ready = once(worker, "message");
    worker.postMessage({ shared: (pool as ReturnType<SharedHeap["create"]>).share(worker), task: "race", words });
    await ready;
    let isMissed = false;
    let refusal = { code: "", message: "" };
    const most = this.#build.name === "release" ? MOST_ROUNDS : ROUNDS;
    for (let round = 1; round <= most && !isMissed; round++) {
      const element = this.step("alloc", () => pool.alloc());
      Atomics.store(words, 1, element);
      Atomics.store(words, 0, round);
      while (Atomics.load(words, 2) !== round);
      Atomics.store(words, 0, -round);
      // The worker needs some time to see that.
      for (let i = round % 100; i > 0; i--) Atomics.load(words, 3);
      let refused = 0;
      try {
        pool.free(element);
      } catch (error) {
        refused++;
        refusal = error as typeof refusal;
      }
      while (Atomics.load(words, 2) !== -round);
      refused += Atomics.load(words, 3);
      if (refused > 1) throw new Error("both frees are refused");
      isMissed = refused === 0;
    }
    Atomics.store(words, 0, 2 ** 31 - 1);
    if (!isMissed) this.tell(step, refusal.code, refusal.message);
  }

  /** The cell of the table, once everything is planted. */
  async end(): Promise<string> {
    const problems = this.step("check", () => this.heap.check());
    if (!this.#build.isDebug && problems.length > 0) this.tell("", "heap.check", problems.join("\n"));
    await this.#worker?.terminate();
    if (!this.#said) return cellOf(undefined);
    const { kind, step, text } = this.#said;
    const lines = [...this.#places].filter(([, place]) => text.includes(`${place}:`)).map(([name]) => name);
    return cellOf(kind, step, lines);
  }
}
