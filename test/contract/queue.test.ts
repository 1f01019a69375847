/** Queues of addresses: first come, first served, bounded; waiting, closing, threads. */
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { attach, createSharedHeap, type Queue, type QueueHandle, type SharedHeap } from "../../src/index.ts";
import { builds } from "../builds.ts";
import { sleep, Thread, until } from "../threads/helpers.ts";
import { codeOf, errorFrom, expectSound, MIB, random } from "./helpers.ts";
import { Order, rejection, rejectionCode, soon } from "./waiting-helpers.ts";

const shared = builds.filter(({ isShared }) => isShared);
const heapOf = (build: (typeof shared)[number]): SharedHeap =>
  build.heap({ initial: 4 * MIB, maximum: 4 * MIB }) as SharedHeap;
let names = 0;
/** The queue as another thread has it. */
const another = (queue: Queue): Queue => {
  const handle = queue.share();
  return attach({ ...handle, heap: { ...handle.heap, id: `another ${names++}` } });
};

describe.each(shared)("queue: $name", (build) => {
  test.each([1, 2, 3, 5, 8, 100, 65_536])("of %i: as a model of it", (capacity) => {
    const heap = heapOf(build);
    const queues = [heap.createQueue({ capacity })];
    queues.push(another(queues[0]!));
    const next = random(capacity);
    const model: number[] = [];
    let made = 0;
    const seen: unknown[] = [];
    const wanted: unknown[] = [];
    for (let i = 0; i < 5000; i++) {
      const queue = queues[Math.floor(next() * 2)]!;
      // Fills it and empties it, again and again.
      if (next() < (i % 1000 < 500 ? 0.7 : 0.3)) {
        const address = 2 ** 32 - 1 - made++;
        seen.push(queue.push(address));
        wanted.push(model.length < capacity);
        if (model.length < capacity) model.push(address);
      } else {
        seen.push(queue.pop());
        wanted.push(model.shift() ?? 0);
      }
      seen.push(queue.size);
      wanted.push(model.length);
    }
    expect(seen).toEqual(wanted);
    for (const address of model) expect([queues[0]!.has(address), queues[1]!.pop()]).toEqual([true, address]);
    expect(queues[1]!.has(model[0] ?? 7)).toBe(false);
    expectSound(heap);
  });

  test("counts its pushes and pops modulo 2^32", () => {
    const queue = heapOf(build).createQueue({ capacity: 3 });
    const { heap, queue: address } = queue.share();
    const words = new Int32Array(heap.memory.buffer, address);
    words[16] = words[32] = 2 ** 31 - 4;
    for (let i = 1; i < 20; i++) {
      expect([queue.push(1024 + i), queue.push(2048 + i), queue.size]).toEqual([true, true, 2]);
      expect([queue.pop(), queue.pop(), queue.pop()]).toEqual([1024 + i, 2048 + i, 0]);
    }
  });

  test("the addresses of a pool, and none that is no address", async () => {
    const heap = heapOf(build);
    const pool = heap.create({ size: 64, minNr: 4 });
    const queue = heap.createQueue({ capacity: 4, name: "jobs" });
    const address = pool.alloc();
    queue.push(address);
    pool.free(queue.pop());
    for (const wrong of [0, 1023, -1, 1.5, 2 ** 32, NaN, "8", null, undefined, 8n, {}]) {
      for (const call of ["push", "pushWait"] as const) {
        const error = errorFrom(() => queue[call](wrong as number));
        expect(error.message).toContain(`${call}: address must be an integer from 1024 to 4294967295, got `);
      }
      expect(await rejectionCode(queue.pushAsync(wrong as number))).toBe("ERR_INVALID_ARGUMENT");
    }
    expect(queue.size).toBe(0);
  });

  test("options are checked, and memory may be short", () => {
    const heap = heapOf(build);
    for (const capacity of [0, -1, 1.5, 65_537, NaN, "8", undefined]) {
      const error = errorFrom(() => heap.createQueue({ capacity } as never));
      expect(error.message).toContain("createQueue: capacity must be an integer from 1 to 65536, got ");
    }
    expect(errorFrom(() => heap.createQueue({ capacity: 1, size: 2 } as never)).message).toContain(
      'unknown option "size"',
    );
    const small = createSharedHeap({ initial: 2 ** 17, maximum: 2 ** 17 });
    expect(codeOf(() => small.createQueue({ capacity: 65_536 }))).toBe("ERR_NO_MEMORY");
    expectSound(small);
  });

  test("waits: for an address, for room, no longer than it may", async () => {
    const queue = heapOf(build).createQueue({ capacity: 1, name: "jobs" });
    const order = new Order();
    const pops = ["a", "b"].map((name) => order.add(name, queue.popAsync()));
    expect(await order.soon()).toEqual([]);
    queue.push(2001);
    expect(await soon(pops[0]!)).toBe(2001);
    await queue.pushAsync(2002);
    expect(await soon(pops[1]!)).toBe(2002);
    queue.push(2003);
    const push = queue.pushAsync(2004);
    expect(await rejectionCode(queue.pushAsync(2005, { timeout: 5 }))).toBe("ERR_TIMEOUT");
    expect(codeOf(() => queue.pushWait(2005, { timeout: 5 }))).toBe("ERR_TIMEOUT");
    expect(queue.pop()).toBe(2003);
    await soon(push);
    expect(queue.popWait()).toBe(2004);
    queue.pushWait(2006);
    expect(await queue.popAsync({ timeout: 0 })).toBe(2006);
    const late = await rejection(queue.popAsync({ timeout: 3 }));
    expect(late.message).toBe('ERR_TIMEOUT: popAsync: queue "jobs" had no address in 3 ms');
    expect(errorFrom(() => queue.popWait({ timeout: 0 })).code).toBe("ERR_TIMEOUT");
  });

  test("an abort ends a wait, and takes no address", async () => {
    const queue = heapOf(build).createQueue({ capacity: 2 });
    const controller = new AbortController();
    const reason = new Error("enough");
    const waits = [queue.popAsync({ signal: controller.signal }), queue.popAsync()];
    controller.abort(reason);
    await expect(soon(waits[0]!)).rejects.toBe(reason);
    queue.push(2007);
    expect(await soon(waits[1]!)).toBe(2007);
    await expect(queue.popAsync({ signal: controller.signal })).rejects.toBe(reason);
    expect(() => queue.popWait({ signal: controller.signal })).toThrow(reason);
    expect(await rejectionCode(queue.popAsync({ timeout: -1 }))).toBe("ERR_INVALID_ARGUMENT");
  });

  test("exit: what is in it can be popped; all else is refused, and waits end", async () => {
    const heap = heapOf(build);
    const queue = heap.createQueue({ capacity: 2, name: "jobs" });
    const other = another(queue);
    const handle = queue.share();
    const empty = heap.createQueue({ capacity: 1 });
    const waits = empty.popAsync();
    queue.push(2001);
    queue.push(2002);
    const full = other.pushAsync(2003);
    queue.exit();
    empty.exit();
    expect(await rejectionCode(soon(waits))).toBe("ERR_CLOSED");
    expect(await rejectionCode(soon(full))).toBe("ERR_CLOSED");
    expect(errorFrom(() => other.push(2003)).message).toBe('ERR_CLOSED: push: queue "jobs" is closed');
    expect([other.popWait(), await other.popAsync()]).toEqual([2001, 2002]);
    for (const call of [() => other.pop(), () => other.popWait(), () => queue.share(), () => attach(handle)])
      expect(codeOf(call)).toBe("ERR_CLOSED");
    expect([queue.size, queue.exit()]).toEqual([0, undefined]);
    heap.detach();
    for (const call of [() => queue.pop(), () => queue.push(2001), () => queue.size, () => queue.has(1)])
      expect(errorFrom(call)).toMatchObject({ code: "ERR_CLOSED" });
    queue.exit();
  });

  test("is posted by its handle alone, and a wrong handle is refused", () => {
    const heap = heapOf(build);
    const queue = heap.createQueue({ capacity: 5, name: "jobs" });
    const { port1, port2 } = new MessageChannel();
    expect(() => port1.postMessage(queue)).toThrow(/Queue: post queue.share\(\), and attach\(\) it there/);
    port1.postMessage(queue.share());
    const handle = receiveMessageOnPort(port2)!.message as QueueHandle;
    port1.close();
    queue.push(2009);
    const got = attach(handle);
    expect([got.name, got.capacity, got.pop()]).toEqual(["jobs", 5, 2009]);
    const wrong: Partial<QueueHandle>[] = [
      { queue: handle.queue + 64 },
      { queue: handle.queue + 4 },
      { queue: 2 ** 31 },
      { queue: -64 },
      { capacity: 4 },
      { capacity: 0 },
      { name: 7 as never },
    ];
    for (const each of wrong) expect(codeOf(() => attach({ ...handle, ...each }))).toBe("ERR_INVALID_ARGUMENT");
  });
});

const THREADS = 3;
const EACH = 4000;
/** The least number in the queues. */
const FIRST = 1024;

describe.each([false, true])("queue between threads, withoutWaitAsync: %s", (withoutWaitAsync) => {
  test("each number comes once, those of one thread in their order, and nobody blocks for ever", async () => {
    const heap = createSharedHeap({ maximum: 2 ** 24 });
    const queue = heap.createQueue({ capacity: 5 });
    const threads = Array.from({ length: THREADS }, () => new Thread({ withoutWaitAsync }));
    const handle = queue.share();
    const pushing = threads.map((thread, i) =>
      thread.run(
        async (library, own, first, count) => {
          const jobs = library.attach(own);
          for (let n = 0; n < count; n++) {
            if (n % 3 === 0) await jobs.pushAsync(first + n);
            else jobs.pushWait(first + n);
          }
        },
        handle,
        FIRST + i * EACH,
        EACH,
      ),
    );
    const last = Array.from({ length: THREADS }, () => -1);
    for (let n = 0; n < THREADS * EACH; n++) {
      const number = n % 5 ? queue.pop() || (await queue.popAsync()) : queue.popWait();
      const thread = Math.floor((number - FIRST) / EACH);
      const order = (number - FIRST) % EACH;
      expect(order).toBe(last[thread]! + 1);
      last[thread] = order;
    }
    await Promise.all(pushing);
    expect(queue.pop()).toBe(0);
    // The other way round: this thread pushes.
    const popping = threads.map((thread) =>
      thread.run(async (library, own) => {
        const jobs = library.attach(own);
        const got: number[] = [];
        for (let n = jobs.popWait(); n < 2 ** 31; n = got.length % 2 ? jobs.popWait() : await jobs.popAsync())
          got.push(n);
        return got;
      }, handle),
    );
    for (let n = 0; n < EACH; n++) await queue.pushAsync(FIRST + n);
    for (let n = 0; n < THREADS; n++) await queue.pushAsync(2 ** 32 - 1);
    const got = await Promise.all(popping);
    for (const each of got) expect(each).toEqual(each.toSorted((a, b) => a - b));
    expect(got.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: EACH }, (_, i) => FIRST + i));
    await Promise.all(threads.map((thread) => thread.end()));
  });
});

test("threads that are killed as they push and pop lose nothing but what they had popped", async () => {
  const heap = createSharedHeap({ maximum: 2 ** 24 });
  const pool = heap.create({ size: 64, minNr: 0, maxNr: 40 });
  const queue = heap.createQueue({ capacity: 16 });
  for (let i = 0; i < 16; i++) queue.push(pool.alloc());
  const work = (thread: Thread): void => {
    thread
      .run(
        (library, own, ofPool) => {
          const jobs = library.attach(own);
          const elements = library.attach(ofPool);
          for (;;) {
            const at = jobs.popWait();
            elements.adopt(at);
            jobs.pushWait(at);
          }
        },
        queue.share(),
        pool.share(),
      )
      .catch(() => {});
  };
  const others = [new Thread(), new Thread()];
  for (const thread of others) work(thread);
  for (let i = 0; i < 12; i++) {
    const thread = new Thread();
    let back: number[] | undefined;
    heap.watch(thread.worker, { onReap: (list) => (back = list.map(({ address }) => address)) });
    work(thread);
    await until(() => queue.size < 16);
    await sleep(10 + 3 * i);
    await thread.terminate();
    await until(() => back !== undefined);
  }
  const ends = others.map((thread) => thread.terminate());
  await Promise.all(ends);
  const left = new Set<number>();
  for (let at = queue.pop(); at > 0; at = queue.pop()) {
    expect(left.has(at)).toBe(false);
    left.add(at);
  }
  // The others had at most one each, as had those killed before.
  expect(left.size).toBeGreaterThanOrEqual(1);
  expect(left.size).toBeLessThanOrEqual(16);
  for (const at of left) pool.free(at);
  for (const at of pool.live()) pool.free(at);
  expect(pool.outstanding).toBe(0);
});
