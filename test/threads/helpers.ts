/** Real threads: workers that run functions of a test, on a bundle of src/ (test/setup/bundle.mjs). */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach } from "vitest";
import type * as Library from "../../src/index.ts";
import { mapHeap } from "../../src/inspect.ts";

interface Answer {
  readonly id: number;
  readonly value: unknown;
  readonly error: string | undefined;
}

/** A worker. It keeps values for later calls in globalThis. */
export class Thread {
  readonly worker: Worker;
  readonly #calls = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #last = 0;

  constructor(options: { withoutWaitAsync?: boolean; file?: string } = {}) {
    this.worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: options });
    this.worker.on("message", ({ id, value, error }: Answer) => {
      const call = this.#calls.get(id)!;
      this.#calls.delete(id);
      if (error === undefined) call.resolve(value as never);
      else call.reject(new Error(error));
    });
    this.worker.on("error", (error) => {
      for (const { reject } of this.#calls.values()) reject(error);
    });
    running.add(this);
  }

  /** The function's result in the worker; rejects with the code of its error. The function sees only its arguments. */
  run<Args extends unknown[], Result>(
    call: (library: typeof Library, ...args: Args) => Result,
    ...args: Args
  ): Promise<Awaited<Result>> {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, code: call.toString(), args });
    });
  }

  /** Lets the worker end by itself. */
  async end(): Promise<void> {
    const exit = once(this.worker, "exit");
    this.worker.postMessage({});
    await exit;
    running.delete(this);
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
    running.delete(this);
  }
}

const running = new Set<Thread>();
afterEach(async () => {
  await Promise.all([...running].map((thread) => thread.terminate()));
});

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Milliseconds within which whatever must happen has happened, also on a machine that is busy, and stalls for seconds. */
export const LATE = 60_000;

/** Waits until the condition holds. */
export async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + LATE; !isSo(); await sleep(5)) {
    if (performance.now() > end) throw new Error(`still not so after ${LATE} ms: ${isSo}`);
  }
}

/** Waits until so many calls, of all threads of a shared heap, wait for the pool's elements. */
export const untilWaiting = ({ heap, name }: Library.Pool, count: number): Promise<void> =>
  until(() => mapHeap(heap).pools.find((each) => each.name === name)!.waiting === count);
