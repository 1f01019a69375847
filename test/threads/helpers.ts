/** Real threads: workers that run functions a test gives them, on the built package. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach } from "vitest";
import type * as Library from "../../src/index.ts";

interface Answer {
  readonly id: number;
  readonly value: unknown;
  readonly error: string | undefined;
}

/** A worker. What it keeps for later calls, it keeps in globalThis. */
export class Thread {
  readonly worker: Worker;
  readonly #calls = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #last = 0;

  constructor(options: { withoutWaitAsync?: boolean } = {}) {
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

  /** What the function returns there; rejects with the code of what it throws. It sees nothing but its arguments. */
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

  /** Lets it end by itself. */
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

/** Looks until it is so; fails after 5 s. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; !isSo(); i++) {
    if (i === 500) throw new Error(`still not so after 5 s: ${isSo}`);
    await sleep(10);
  }
}
