/** Debug heaps of several threads: what one thread does wrong, another finds. */
import { afterEach, describe, expect, test } from "vitest";
import { traceOf } from "../../src/debug.ts";
import { createSharedHeap, type DamageReport, type DebugOptions, type SharedPool } from "../../src/index.ts";
import { watchLeaks } from "../../src/inspect.ts";
import { take } from "../contract/helpers.ts";
import type * as Faulty from "./faulty.mjs";
import { sleep, Thread, until } from "./helpers.ts";

type Kept = typeof globalThis & { pool: SharedPool; file: typeof Faulty };

/** A thread with the pool attached, as globalThis.pool, and what it can do wrong, as globalThis.file. */
async function threadWith(pool: SharedPool, watched = false): Promise<Thread> {
  const thread = new Thread({ file: new URL("faulty.mjs", import.meta.url).href });
  const shared = watched ? pool.share(thread.worker as never) : pool.share();
  await thread.run(({ attach }, handle) => {
    (globalThis as Kept).pool = attach(handle);
  }, shared);
  return thread;
}

describe.each([
  ["a debug heap", {}],
  ["a heap that samples each", { sample: 1 }],
] as [string, DebugOptions][])("of %s", (_, options) => {
  const found: DamageReport[] = [];
  afterEach(() => void found.splice(0));
  const start = () => {
    const heap = createSharedHeap({
      maximum: 2 ** 24,
      debug: { onDamage: (report) => void found.push(report), ...options },
    });
    return { heap, pool: heap.create({ size: 24, minNr: 2, name: "nodes" }) as SharedPool };
  };

  test("an overrun in one thread is found by the free of another", async () => {
    const { heap, pool } = start();
    const thread = await threadWith(pool);
    const number = await thread.run(() => (globalThis as Kept).pool.heap.threadId);
    const { address, line } = await thread.run(() => {
      const kept = globalThis as Kept;
      return kept.file.overrun(kept.pool, 24, 8);
    });
    expect(found).toEqual([]);
    pool.free(address);
    expect(found).toMatchObject([{ kind: "overrun", pool: "nodes", address, offset: 24, length: 8, thread: 0 }]);
    const { allocThread, freeThread, allocSite } = found[0]!.trace!;
    expect([allocThread, freeThread]).toEqual([number, undefined]);
    expect(allocSite).toContain(`faulty.mjs:${line}:`);
    expect(heap.check()).toHaveLength(1);
  });

  test("an overrun here is found by the check of another thread, which says so there", async () => {
    const { heap, pool } = start();
    const thread = await threadWith(pool);
    const at = pool.alloc();
    heap.u8[at + 24] = 1;
    const [lines, said] = await thread.run(() => {
      const spoken: string[] = [];
      console.error = (text: string) => void spoken.push(text);
      return [(globalThis as Kept).pool.heap.check(), spoken] as const;
    });
    expect(lines).toHaveLength(1);
    expect(said).toEqual(lines);
    expect(lines[0]).toMatch(/1 byte written at the end of element 0x[0-9a-f]+ \(24 bytes\) of pool "nodes": 01/);
    expect(lines[0]).toContain("debug.test.ts:");
    expect([found, heap.check()]).toEqual([[], []]);
  });

  test("a write here after another thread's free names both threads and both lines", async () => {
    const { heap, pool } = start();
    const thread = await threadWith(pool);
    const number = await thread.run(() => (globalThis as Kept).pool.heap.threadId);
    const at = pool.alloc();
    const line = await thread.run((__, address) => {
      const kept = globalThis as Kept;
      return kept.file.free(kept.pool, address);
    }, at);
    heap.u8[at + 5] = 9;
    heap.check();
    expect(found).toMatchObject([{ kind: "write-after-free", address: at, offset: 5, length: 1 }]);
    const { allocThread, freeThread, allocSite, freeSite } = found[0]!.trace!;
    expect([allocThread, freeThread]).toEqual([0, number]);
    expect(allocSite).toContain("debug.test.ts:");
    expect(freeSite).toContain(`faulty.mjs:${line}:`);
  });

  test("of two frees at the same instant one succeeds, and the other says who freed first", async () => {
    const { heap, pool } = start();
    const threads = await Promise.all([threadWith(pool), threadWith(pool)]);
    const addresses = take(pool, 400);
    const words = new Int32Array(new SharedArrayBuffer(4 * addresses.length));
    const results = await Promise.all(
      threads.map((thread) =>
        thread.run(
          (__, list, barrier) => {
            const kept = globalThis as Kept;
            return kept.file.freeTogether(kept.pool, list, barrier, 2);
          },
          addresses,
          words,
        ),
      ),
    );
    const refused = addresses.map((____, i) => results.map((list) => list[i]!).filter((result) => result !== ""));
    expect(refused.filter((list) => list.length !== 1)).toEqual([]);
    expect(refused.flat().filter((text) => !text.startsWith("ERR_DOUBLE_FREE"))).toEqual([]);
    expect(results.map((list) => list.some((result) => result === ""))).toEqual([true, true]);
    expect([pool.outstanding, heap.check(), found]).toEqual([0, [], []]);
  });

  test("what a thread had that has ended is reaped with the line that allocated it", async () => {
    const { heap, pool } = start();
    const told: string[] = [];
    const stop = watchLeaks(heap, { to: (text) => void told.push(text) });
    const thread = await threadWith(pool, true);
    heap.watch(thread.worker as never);
    const { addresses, line } = await thread.run(() => {
      const kept = globalThis as Kept;
      return kept.file.allocate(kept.pool, 5);
    });
    await thread.terminate();
    await until(() => told.length > 0);
    stop();
    expect(told[0]).toMatch(/has ended, and held:\noutstanding: 5 elements, 120 bytes\n/);
    // The library of these workers is a bundle, whose own frames come first.
    for (const at of addresses) expect(traceOf(heap, at)!.allocSite).toContain(`faulty.mjs:${line}:`);
    for (const at of addresses) pool.free(at);
    await sleep(0);
    expect([pool.outstanding, heap.check(), found]).toEqual([0, [], []]);
  });
});
