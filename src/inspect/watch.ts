/** Leaks told when they matter: a pool that does not close, a thread that ended with elements, the end of the program. */
import type { HeapContext, HeapObserver } from "../core/context.ts";
import { report, startInterval } from "../core/timers.ts";
import { boolean, callback, checkOptions, integer } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import type { PoolContext } from "../pool/context.ts";
import { group, leakReport, walk } from "./holders.ts";
import { contextOf, subjectOf } from "./subject.ts";

/** What {@link watchLeaks} takes. */
export interface WatchLeaksOptions {
  /**
   * Milliseconds after its `exit` at which a pool with outstanding elements is reported; up to a quarter later.
   * @default 5000
   */
  readonly afterMs?: number;
  /**
   * Report what is outstanding when the process ends, or the page; in a worker, when the worker does.
   * @default false
   */
  readonly atExit?: boolean;
  /**
   * Gets each report.
   * @default console.warn
   */
  readonly to?: (text: string) => void;
}

/** Looks at a closed pool, from its close until it is reported. */
const LOOKS = 4;

interface Process {
  prependListener?(event: "exit", listener: () => void): void;
  off?(event: "exit", listener: () => void): void;
}
interface Page {
  readonly process?: Process;
  addEventListener?(event: "pagehide", listener: () => void): void;
  removeEventListener?(event: "pagehide", listener: () => void): void;
}

/**
 * From now on, reports leaks of this heap as text, by pool and thread, or by the place that allocated them in a debug heap: a
 * pool that was exited and has not closed after some time; what a thread had that is reaped, in the thread that reaps it; and,
 * on request, what is outstanding at the end of the program. Returns a function that stops this. Keeps no process alive; where
 * there are no timers, pools that do not close are not reported. Nothing is slower meanwhile.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * watchLeaks(heap, { afterMs: 2000, atExit: true });
 */
export function watchLeaks(heap: Heap, options?: WatchLeaksOptions): () => void {
  const apiName = "watchLeaks";
  const context = contextOf(apiName, heap);
  const {
    afterMs = 5000,
    atExit = false,
    to = (text: string) => (globalThis as { console?: Console }).console?.warn(text),
  } = checkOptions(apiName, options, ["afterMs", "atExit", "to"]);
  integer(apiName, "afterMs", afterMs, LOOKS, 2 ** 31 - 1);
  boolean(apiName, "atExit", atExit);
  callback(apiName, "to", to);
  // A heap that ends later has nothing to inspect.
  context.inspection.exports(apiName);

  const tell = (make: () => string): void => {
    try {
      to(make());
    } catch (error) {
      report(error);
    }
  };
  const looks = new WeakMap<object, number>();
  const look = (): void => {
    if (context.hasEnded) return stop();
    for (const pool of context.pools as Iterable<unknown> as Iterable<PoolContext>) {
      pool.syncState();
      if (!pool.isClosed || pool.isEnded) continue;
      const n = (looks.get(pool) ?? 0) + 1;
      looks.set(pool, n);
      if (n === LOOKS + 1)
        tell(() => textOf(`pool "${pool.name}" was exited ${afterMs} ms ago, and has not closed`, pool.front));
    }
  };
  const stopLooking = startInterval(Math.ceil(afterMs / LOOKS), false, look);

  const observer: HeapObserver = {
    reaped(thread, elements) {
      if (elements.length === 0) return;
      tell(() => `wasm-mempool: thread ${thread} has ended, and held:\n${held(context, thread, elements)}`);
    },
  };
  (context.observers ??= new Set()).add(observer);

  const end = (): void => {
    if (context.hasEnded) return;
    const all = leakReport(heap);
    if (all.count > 0) tell(() => `wasm-mempool: at the end of the program\n${all}`);
  };
  const host = globalThis as Page;
  const hasExit = typeof host.process?.prependListener === "function";
  if (atExit) {
    // Before a worker leaves its heaps.
    if (hasExit) host.process!.prependListener!("exit", end);
    else host.addEventListener?.("pagehide", end);
  }
  const stop = (): void => {
    stopLooking?.();
    context.observers?.delete(observer);
    if (!atExit) return;
    if (hasExit) host.process!.off?.("exit", end);
    else host.removeEventListener?.("pagehide", end);
  };
  return stop;
}

function textOf(what: string, pool: object): string {
  const subject = subjectOf("watchLeaks", pool);
  return `wasm-mempool: ${what}\n${group(walk(subject, subject.pool))}`;
}

/** What a thread had. Its elements no longer name it. */
function held(context: HeapContext, thread: number, elements: readonly { pool: string; address: number }[]): string {
  const { inspector, address: heap, at, views, recordOf } = subjectOf("watchLeaks", context.front);
  const of = ({ pool, address }: { pool: string; address: number }) => {
    inspector.mempool_owner(heap, address, at);
    const size = views.refresh().u32[(at >>> 2) + 2]!;
    const { site, sequence, heldMs } = recordOf?.(address) ?? {};
    return { pool, address, size, thread, site, sequence, heldMs };
  };
  return `${group(elements.map(of))}`;
}
