/** Watermarks: being told that something runs low, between other things and never inside alloc. */
import { invalid, show } from "./options.ts";
import { every } from "./waiting.ts";

/** Milliseconds between two looks. */
const LOOK = 20;

/**
 * Calls `call` with what is left when that has been below `mark`; again when it has been back above in between. Returns
 * what stops it. Keeps no process alive. Without timers, in an AudioWorklet, nothing is ever told.
 */
export function watermark(what: string, mark: number, left: () => number, call: (left: number) => void): () => void {
  if (typeof call !== "function") invalid(`${what}: call must be a function, got ${show(call)}`);
  let isLow = false;
  const stop = every(LOOK, false, () => {
    const now = left();
    if (now < mark && !isLow) call(now);
    isLow = now < mark;
  });
  return () => stop?.();
}
