/** How this thread can wait for other threads, and calls that wait for them for a moment. */
import { BUSY, type Core } from "./abi.ts";
import { MempoolError } from "./errors.ts";

/** How often such a call is tried, and the longest sleep in between in milliseconds: a second in all. */
const TRIES = 32;
const LONGEST = 32;
/** The tries of a thread that may not sleep: each waits some ten milliseconds for the lock by itself. */
const TRIES_AWAKE = 16;

/** Not in TypeScript's library yet, nor in every engine. */
export const waitAsync:
  ((array: Int32Array, index: number, value: number, timeout?: number) => { value: unknown }) | undefined = (
  Atomics as { waitAsync?: never }
).waitAsync;

let word: Int32Array | undefined;

/** Sleeps for a number of milliseconds. */
export function sleep(milliseconds: number): void {
  word ??= new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(word, 0, 0, milliseconds);
}

let blocks: boolean | undefined;

/** Whether this thread may block: a window and an AudioWorklet may not. */
export function mayBlock(): boolean {
  if (blocks === undefined) {
    try {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
      // Firefox would let an AudioWorklet block the audio.
      blocks = !("AudioWorkletGlobalScope" in globalThis);
    } catch {
      blocks = false;
    }
  }
  return blocks;
}

/**
 * Calls `attempt` until it gives a number but 0, or fails for another reason than BUSY; at most for a second.
 *
 * @throws `ERR_WOULD_BLOCK` after that second.
 */
export function retryWhileBusy(apiName: string, core: Core, attempt: () => number): number {
  let most = TRIES;
  for (let tries = 1; ; tries++) {
    const got = attempt() >>> 0;
    if (got !== 0 || core.heap_error() !== BUSY) return got;
    if (tries >= most) throw stillBusy(apiName);
    try {
      sleep(Math.min(2 ** (tries - 1), LONGEST));
    } catch {
      most = TRIES_AWAKE;
    }
  }
}

function stillBusy(apiName: string): MempoolError {
  return new MempoolError(
    "ERR_WOULD_BLOCK",
    `${apiName}: another thread has the lock of the heap's lists, or is giving memory back, and does not finish: ` +
      "try again, or reap that thread if it has ended",
  );
}
