/** Promises that wait for one pool: microseconds of processor time each, to begin and to end, by the way in which they end. */
import { create, createHeap, createSharedHeap } from "../../src/index.ts";

const BYTES = 2 ** 22;
const times = (count, each) => Array.from({ length: count }, (_, i) => each(i));

/** Microseconds a waiter: for `begin`, and from then to the end of all. */
async function time(count, begin, end) {
  const start = process.cpuUsage();
  const all = begin();
  const begun = process.cpuUsage(start);
  const between = process.cpuUsage();
  end();
  await Promise.allSettled(all);
  const each = ({ user, system }) => Math.round((10 * (user + system)) / count) / 10;
  return { begin: each(begun), end: each(process.cpuUsage(between)) };
}

/** Begins `count` waits by `how`, and ends them. */
const ways = {
  served: (pool, live, count) =>
    time(
      count,
      () => times(count, () => pool.allocAsync().then((element) => pool.free(element))),
      () => pool.free(live),
    ),
  aborted: (pool, _live, count) => {
    const controllers = times(count, () => new AbortController());
    return time(
      count,
      () => controllers.map(({ signal }) => pool.allocAsync({ signal })),
      () => controllers.forEach((controller) => controller.abort()),
    );
  },
  "out of time": (pool, _live, count) =>
    time(
      count,
      () => times(count, (i) => pool.allocAsync({ timeout: 1 + (i % 10) })),
      () => {},
    ),
  closed: (pool, _live, count) =>
    time(
      count,
      () => times(count, () => pool.allocAsync()),
      () => pool.exit(),
    ),
};

export async function waiting() {
  const rows = [];
  for (const [kind, make] of Object.entries({ plain: createHeap, shared: createSharedHeap })) {
    for (const [how, run] of Object.entries(ways)) {
      for (const count of [1000, 10_000, 100_000]) {
        const heap = make({ initial: BYTES, maximum: BYTES });
        const pool = create({ heap, size: 64, minNr: 1, maxNr: 1 });
        rows.push({ kind, how, waiters: count, ...(await run(pool, pool.alloc(), count)) });
      }
    }
  }
  return rows;
}
