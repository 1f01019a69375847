/** What a heap does, where developers look already: in the performance panel of a browser's tools, and in Node's channels. */
import type { HeapObserver } from "../core/context.ts";
import { now, report, startInterval } from "../core/timers.ts";
import { callback, checkOptions, integer } from "../core/validate.ts";
import { statsOf } from "../heap/stats.ts";
import type { Heap } from "../heap/heap.ts";
import type { PoolContext } from "../pool/context.ts";
import { contextOf } from "./subject.ts";

/** Something that has happened, between two moments. */
export interface TraceEvent {
  readonly kind: "growth" | "slabs" | "reserve" | "reclaim" | "failure" | "wait";
  /** The pool's name; undefined for a heap's growth. */
  readonly pool: string | undefined;
  /** How often; of a growth the bytes. */
  readonly count: number;
  /** By `performance.now()`. A wait is exact; all else happened between two looks. */
  readonly start: number;
  readonly end: number;
  /** How a wait ended: "served", "timeout", "abort" or "close". */
  readonly ending?: string;
}

/** What {@link trace} takes. */
export interface TraceOptions {
  /**
   * Milliseconds between two looks at the counters.
   * @default 100
   */
  readonly everyMs?: number;
  /**
   * Gets each event.
   * @default the performance timeline
   */
  readonly to?: (event: TraceEvent) => void;
}

const texts: Record<TraceEvent["kind"], (event: TraceEvent) => string> = {
  growth: ({ count }) => `grows by ${count / 1024} KiB`,
  slabs: ({ count }) => `${count} new slabs`,
  reserve: ({ count }) => `${count} from the reserve`,
  reclaim: ({ count }) => `${count} reclaims`,
  failure: ({ count }) => `${count} failures`,
  wait: ({ ending }) => `wait: ${ending}`,
};
const colors: Record<TraceEvent["kind"], string> = {
  growth: "primary",
  slabs: "primary-light",
  reserve: "secondary",
  reclaim: "secondary-dark",
  failure: "error",
  wait: "tertiary",
};
const figures = [
  ["slabs", "slabs"],
  ["reserve", "reserveHits"],
  ["reclaim", "reclaims"],
  ["failure", "failures"],
] as const;

interface Timeline {
  measure?(name: string, options: object): void;
  clearMeasures?(name: string): void;
}
interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

/** The track of a browser's tools. The timeline keeps nothing: a trace may run for days. */
function draw(event: TraceEvent): void {
  const { performance } = globalThis as { performance?: Timeline };
  if (!performance?.measure) return;
  const text = texts[event.kind](event);
  const track = event.pool ?? "heap";
  const devtools = {
    dataType: "track-entry",
    track,
    trackGroup: "wasm-mempool",
    color: colors[event.kind],
    tooltipText: text,
  };
  const { start, end } = event;
  performance.measure(text, { start, end, detail: { devtools, event } });
  performance.clearMeasures?.(text);
}

function read(pool: PoolContext): number[] {
  const stats = pool.stats();
  return figures.map(([, key]) => stats[key]);
}

function channel(): Channel | undefined {
  const host = globalThis as {
    process?: { getBuiltinModule?(name: string): { channel(name: string): Channel } | undefined };
  };
  return host.process?.getBuiltinModule?.("node:diagnostics_channel")?.channel("wasm-mempool");
}

/**
 * From now on, draws what this heap and this thread's pools do: each pool gets a track in the group "wasm-mempool" of the
 * performance panel in Chromium's tools, with its waits, allocations from the reserve, reclaims, failures and new slabs; the
 * heap one with its growth. In Node a PerformanceObserver gets them, and subscribers of the diagnostics channel "wasm-mempool".
 * Returns a function that stops this. Keeps no process alive. Alloc and free are as fast as before: waits are told by the
 * waits themselves, and all else is read from the counters at each look. Where there are no timers there are waits alone.
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * const stop = trace(heap);
 */
export function trace(heap: Heap, options?: TraceOptions): () => void {
  const apiName = "trace";
  const context = contextOf(apiName, heap);
  const { everyMs = 100, to = draw } = checkOptions(apiName, options, ["everyMs", "to"]);
  integer(apiName, "everyMs", everyMs, 1, 2 ** 31 - 1);
  callback(apiName, "to", to);
  const subscribers = channel();
  const emit = (event: TraceEvent): void => {
    try {
      to(event);
      if (subscribers?.hasSubscribers) subscribers.publish(event);
    } catch (error) {
      report(error);
    }
  };

  let { bytes } = statsOf(context);
  const seen = new WeakMap<PoolContext, readonly number[]>();
  const pools = (): Iterable<PoolContext> => context.pools as Iterable<unknown> as Iterable<PoolContext>;
  for (const pool of pools()) seen.set(pool, read(pool));
  let start = now();
  const look = (): void => {
    if (context.hasEnded) return stop();
    const end = now();
    const grown = statsOf(context).bytes;
    if (grown > bytes) emit({ kind: "growth", pool: undefined, count: grown - bytes, start, end });
    bytes = grown;
    for (const pool of Array.from(pools())) {
      const before = seen.get(pool);
      const after = read(pool);
      seen.set(pool, after);
      figures.forEach(([kind], i) => {
        const count = after[i]! - (before?.[i] ?? 0);
        if (count > 0) emit({ kind, pool: pool.name, count, start, end });
      });
    }
    start = end;
  };
  const stopLooking = startInterval(everyMs, false, look);
  const observer: HeapObserver = {
    waited(pool, milliseconds, ending) {
      const end = now();
      emit({ kind: "wait", pool, count: 1, start: Math.max(0, end - milliseconds), end, ending });
    },
  };
  (context.observers ??= new Set()).add(observer);
  const stop = (): void => {
    stopLooking?.();
    context.observers?.delete(observer);
  };
  return stop;
}
