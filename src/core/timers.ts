/**
 * The host's clock and timers, and its way to report an error that no caller gets. Each is looked up when it is needed,
 * together with its counterpart: a test's fake timers may come and go.
 *
 * A timer decides when a time limit is over, not a clock: fake timers and fake clocks do not always come together.
 */

/** The longest delay of setTimeout. */
const MAX_DELAY = 2 ** 31 - 1;

/** Milliseconds since a fixed moment, for statistics only. An AudioWorklet has nothing but Date. */
export const now = (): number => (globalThis.performance ?? Date).now();

interface NodeTimer {
  unref?(): void;
}

/** Calls `listener` at an interval; returns a function that stops this. Undefined in a host without timers. */
export function startInterval(
  milliseconds: number,
  keepsAlive: boolean,
  listener: () => void,
): (() => void) | undefined {
  const { setInterval, clearInterval } = globalThis;
  if (typeof setInterval === "undefined") return undefined;
  let isStopped = false;
  const stop = () => clearInterval(timer as number);
  const timer: unknown = setInterval(() => (isStopped ? stop() : listener()), milliseconds);
  // Only Node's timers keep a process alive.
  const release = () => (timer as NodeTimer).unref?.();
  if (!keepsAlive) release();
  return () => {
    isStopped = true;
    // A timer of fakes that were reset must not be cleared: node:test's fakes would lose another one. It stops itself.
    if (globalThis.setInterval === setInterval) stop();
    else release();
  };
}

/**
 * Calls `listener` once, after any number of milliseconds. Returns a function that stops this, unless the host's timers have
 * been replaced since: so a late call of `listener` must do no harm.
 */
export function startTimeout(milliseconds: number, listener: () => void): () => void {
  const { setTimeout, clearTimeout } = globalThis;
  let timer: unknown;
  const start = (left: number): void => {
    const delay = Math.min(Math.ceil(left), MAX_DELAY);
    timer = setTimeout(() => (left > delay ? start(left - delay) : listener()), delay);
  };
  start(milliseconds);
  return () => {
    if (globalThis.setTimeout === setTimeout) clearTimeout(timer as number);
    else (timer as NodeTimer).unref?.();
  };
}

export const delay = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An interval that can be started again, by the timers that are there then. */
export class Ticker {
  #stop: (() => void) | undefined;
  #startedBy: unknown;

  /** A second start has no effect, unless the host has other timers now. */
  start(milliseconds: number, keepsAlive: boolean, listener: () => void): void {
    const by = globalThis.setInterval;
    if (this.#stop && this.#startedBy === by) return;
    this.stop();
    this.#startedBy = by;
    this.#stop = startInterval(milliseconds, keepsAlive, listener);
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}

/**
 * Reports an error of a user's callback that no call of the user's can throw: it becomes an uncaught error of the program,
 * like the error of an event listener. Returns at once.
 */
export function report(error: unknown): void {
  const host = globalThis as { reportError?(error: unknown): void; queueMicrotask?(job: () => void): void };
  if (typeof host.reportError === "function") host.reportError(error);
  else if (typeof host.queueMicrotask === "function") {
    host.queueMicrotask(() => {
      throw error;
    });
  }
  // An AudioWorklet has neither.
  else void Promise.reject(error);
}
