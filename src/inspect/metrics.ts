/** The statistics as OpenMetrics text, for Prometheus and others: https://openmetrics.io. */
import { invalid, show } from "../core/validate.ts";
import { statsOf, type HeapStats } from "../heap/stats.ts";
import type { Heap } from "../heap/heap.ts";
import type { PoolContext } from "../pool/context.ts";
import type { PoolStats } from "../pool/stats.ts";
import { contextOf } from "./subject.ts";

type Sample = readonly [labels: string, value: number, suffix?: string];
type Family<Stats> = readonly [
  name: string,
  type: "gauge" | "counter" | "histogram",
  unit: string,
  help: string,
  values: (stats: Stats) => readonly Sample[],
];

const one =
  <Stats>(key: keyof Stats) =>
  (stats: Stats): Sample[] => [["", stats[key] as number]];

const heapFamilies: readonly Family<HeapStats>[] = [
  ["heap_bytes", "gauge", "bytes", "Memory of the heap.", one("bytes")],
  ["heap_maximum_bytes", "gauge", "bytes", "The most memory that the heap may have.", one("maximum")],
  ["heap_used_bytes", "gauge", "bytes", "Memory in slabs, arenas and the heap's own structures.", one("used")],
  ["heap_largest_free_bytes", "gauge", "bytes", "The longest free run.", one("largestFree")],
  ["heap_grows", "counter", "", "Times that the heap has grown the memory.", one("grows")],
];

const poolFamilies: readonly Family<PoolStats>[] = [
  ["pool_outstanding", "gauge", "", "Elements allocated and not yet freed.", one("outstanding")],
  ["pool_peak_outstanding", "gauge", "", "The most elements ever outstanding.", one("peakOutstanding")],
  ["pool_reserve", "gauge", "", "Elements in the reserve.", one("currNr")],
  ["pool_reserve_lowest", "gauge", "", "The fewest elements ever in the reserve.", one("lowestCurrNr")],
  ["pool_min_nr", "gauge", "", "Elements that the reserve shall have.", one("minNr")],
  ["pool_max_nr", "gauge", "", "The most elements in reserve and outstanding.", one("maxNr")],
  ["pool_element_bytes", "gauge", "bytes", "Bytes in an element.", one("elementSize")],
  ["pool_slab_bytes", "gauge", "bytes", "Memory in the pool's slabs.", one("slabBytes")],
  [
    "pool_allocs",
    "counter",
    "",
    "Successful allocations, by what served them.",
    ({ slabHits, reserveHits, preallocated }) => [
      ['from="slab"', slabHits],
      ['from="reserve"', reserveHits],
      ['from="request"', preallocated],
    ],
  ],
  ["pool_frees", "counter", "", "Elements freed.", one("frees")],
  ["pool_failures", "counter", "", "Allocations that got nothing.", one("failures")],
  ["pool_reclaims", "counter", "", "Allocations that took back unused memory.", one("reclaims")],
  ["pool_wait_timeouts", "counter", "", "Waits of this thread that took too long.", one("timeouts")],
  ["pool_wait_aborts", "counter", "", "Waits of this thread that were aborted.", one("aborts")],
  ["pool_wait_seconds", "histogram", "seconds", "Waits of this thread for an element.", waits],
];

/** Entry i of `waitTimes` has the waits below 2^(i+1) microseconds, but for those of the entries before it. */
function waits({ waitTimes, waitedMs, waits: count }: PoolStats): Sample[] {
  let sum = 0;
  const last = waitTimes.length - 1;
  const buckets = waitTimes.slice(0, last).map((n, i): Sample => [`le="${2 ** (i + 1) / 1e6}"`, (sum += n), "_bucket"]);
  return [...buckets, ['le="+Inf"', count, "_bucket"], ["", count, "_count"], ["", waitedMs / 1000, "_sum"]];
}

const escape = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`));
const number = (value: number): string => (value === Infinity ? "+Inf" : String(value));

/**
 * The statistics of a heap and of this thread's pools in it as OpenMetrics text; of several heaps, by names that become the
 * label `heap`. Counters never fall while a pool lasts. The type to serve is
 * `application/openmetrics-text; version=1.0.0; charset=utf-8`. O(memory).
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`.
 * @example
 * createServer((request, response) => response.end(metrics({ audio, video }))).listen(9464);
 */
export function metrics(heaps: Heap | Readonly<Record<string, Heap>>): string {
  const apiName = "metrics";
  if (typeof heaps !== "object" || heaps === null)
    invalid(`${apiName}: needs a Heap, or heaps by name, got ${show(heaps)}`);
  const named: [string, unknown][] =
    "context" in heaps ? [["", heaps]] : Object.entries(heaps).map(([name, heap]) => [`heap="${escape(name)}"`, heap]);
  const heapStats: [string, HeapStats][] = [];
  const poolStats: [string, PoolStats][] = [];
  for (const [label, heap] of named) {
    const context = contextOf(apiName, heap);
    heapStats.push([label, statsOf(context)]);
    let n = 0;
    for (const pool of context.pools as Iterable<unknown> as Iterable<PoolContext>) {
      // Pools may have the same name.
      const serial = context.isShared ? pool.serial : ++n;
      poolStats.push([join(label, `pool="${escape(pool.name)}"`, `number="${serial}"`), pool.stats()]);
    }
  }
  const lines: string[] = [];
  print(lines, heapFamilies, heapStats);
  print(lines, poolFamilies, poolStats);
  return [...lines, "# EOF", ""].join("\n");
}

const join = (...labels: string[]): string => labels.filter((each) => each !== "").join(",");

function print<Stats>(lines: string[], families: readonly Family<Stats>[], all: readonly [string, Stats][]): void {
  for (const [name, type, unit, help, values] of families) {
    const full = `wasm_mempool_${name}`;
    lines.push(`# TYPE ${full} ${type}`);
    if (unit) lines.push(`# UNIT ${full} ${unit}`);
    lines.push(`# HELP ${full} ${help}`);
    for (const [labels, stats] of all) {
      for (const [more, value, suffix = type === "counter" ? "_total" : ""] of values(stats)) {
        const set = join(labels, more);
        lines.push(`${full}${suffix}${set && `{${set}}`} ${number(value)}`);
      }
    }
  }
}
