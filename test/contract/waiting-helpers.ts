/** Promises of waiters, for tests: their results, their errors and their order. */
import { expect, vi } from "vitest";
import { create, MempoolError, type Heap, type Pool } from "../../src/index.ts";
import { LATE } from "../threads/helpers.ts";
import { contextOf, drain, expectSound, freeAll } from "./helpers.ts";

/** The result of a promise, which must settle soon. */
export async function soon<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still waiting after ${LATE} ms`)), LATE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The MempoolError a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<MempoolError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof MempoolError) return error;
    throw new Error("expected a MempoolError", { cause: error });
  }
  throw new Error("expected a rejection, but the promise was fulfilled");
}

/** An abort rejects with a DOMException, whose code is a number. */
const codeOrName = ({ code, name }: Error & { code?: unknown }): string => (typeof code === "string" ? code : name);

export const rejectionCode = (promise: Promise<unknown>): Promise<string> => promise.then(() => "none", codeOrName);

/** The names of the settled promises, in the order in which they settled; a rejected one with its code. */
export class Order {
  readonly names: string[] = [];

  add<T>(name: string, promise: Promise<T>): Promise<T> {
    promise.then(
      () => this.names.push(name),
      (error: Error) => this.names.push(`${name} ${codeOrName(error)}`),
    );
    return promise;
  }

  /** Waits until every promise that can settle has settled. */
  async soon(): Promise<string[]> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.names;
  }
}

/** A pool of exactly `count` elements. */
export function poolOf(heap: Heap, count: number, options: { size?: number; zero?: boolean } = {}): Pool {
  return create({ heap, size: 64, minNr: count, maxNr: count, ...options });
}

/** Checks that no elements but these are outstanding, and that the pool is as fast and as strict as before. */
export function expectAllHome(heap: Heap, pool: Pool): void {
  expect(pool.outstanding).toBe(0);
  expect(pool.isSaturated).toBe(true);
  const slowly = vi.spyOn(contextOf(pool), "take");
  const all = drain(pool, 10_000);
  freeAll(pool, all);
  // No call takes the slow path any more.
  if (!heap.context.debug) expect(slowly.mock.calls.length).toBe(0);
  if (pool.maxNr < 10_000) expect(all.length).toBe(pool.maxNr);
  expect(pool.outstanding).toBe(0);
  expectSound(heap);
}
