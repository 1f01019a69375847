/** Helpers of the tests in this folder. */
import { vi } from "vitest";
import type { MempoolError } from "../../src/index.ts";

/** Runs every due job: of promises and, once, of the event loop. */
export const jobs = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The code that a promise is rejected with, or the name of an error without one; "fulfilled"; or "pending" once all jobs that are due have run. */
export async function outcome(promise: Promise<unknown>): Promise<string> {
  let found = "pending";
  promise.then(
    () => (found = "fulfilled"),
    // The code of an abort's reason is a number.
    ({ code, name }: MempoolError) => (found = typeof code === "string" ? code : name),
  );
  await jobs();
  return found;
}

/** Collects the errors that are reported as those of event listeners. */
export function reports(): unknown[] {
  const list: unknown[] = [];
  vi.stubGlobal("reportError", (error: unknown) => void list.push(error));
  return list;
}
