/** The options of calls that wait: the same for those that block and for those that do not. */
import { MempoolError } from "../core/errors.ts";
import type { Signal } from "../core/types.ts";
import { checkOptions, invalid, isSignal, milliseconds, show } from "../core/validate.ts";

/** What {@link Pool.allocWait}, {@link Pool.allocAsync}, {@link Pool.prefillWait} and {@link Pool.prefillAsync} take. */
export interface WaitOptions {
  /**
   * The longest wait in milliseconds, from 0. Of a call that does not block: only 0 and Infinity in a host without timers, an
   * AudioWorklet; and the timers that are there when the wait begins decide, a test's fake timers too.
   * @default Infinity
   */
  readonly timeout?: number;
  /**
   * Ends the wait when it aborts, also if a callback aborts it within the call: the call throws, or rejects with, the signal's
   * `reason`, as the platform's own do. Any number of calls may share a signal. A thread that blocks hears of no abort but one
   * by a callback of its own.
   * @default no signal
   */
  readonly signal?: Signal;
}

/** What {@link Pool.allocBulkWait} and {@link Pool.allocBulkAsync} take. */
export interface BulkWaitOptions extends WaitOptions {
  /**
   * The number of elements, from 0 to the length of `out`.
   * @default out.length
   */
  readonly count?: number;
}

export interface CheckedWaitOptions extends BulkWaitOptions {
  readonly timeout: number;
}

/**
 * Checks the options; `more` are the names of those beside `timeout` and `signal`.
 *
 * @throws `ERR_INVALID_ARGUMENT`; the reason of a signal that has aborted already.
 */
export function waitOptions<K extends keyof BulkWaitOptions = never>(
  apiName: string,
  options: BulkWaitOptions | undefined,
  more: readonly K[] = [],
): CheckedWaitOptions {
  const { timeout = Infinity, signal, ...rest } = checkOptions(apiName, options, ["timeout", "signal", ...more]);
  milliseconds(apiName, "timeout", timeout);
  if (signal !== undefined) {
    if (!isSignal(signal)) invalid(`${apiName}: signal must be an AbortSignal, got ${show(signal)}`);
    throwIfAborted(signal);
  }
  return { ...rest, timeout, ...(signal && { signal }) };
}

/** Throws the signal's reason if it has aborted, whatever that is. */
export function throwIfAborted(signal: Signal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}

/** Refuses a timeout of a call that does not block, where there are no timers. */
export function requireTimers(apiName: string, timeout: number): void {
  if (timeout > 0 && timeout < Infinity && typeof setTimeout === "undefined") {
    throw new MempoolError("ERR_WOULD_BLOCK", `${apiName}: there are no timers here, for a timeout of ${timeout} ms`);
  }
}
