/** The window's part of the threads test: one heap for this window, two workers and an audio worklet. */
import "wasm-mempool/inspect";
import "wasm-mempool/backend";
import { createSharedHeap } from "wasm-mempool";
import { codeOf, Element, empty, exchange, fill, finish, LATE, mark, ownerOf } from "./threads-tasks.mjs";

/** Another thread. */
class Thread {
  #port;
  #last = 0;
  #calls = new Map();

  constructor(port) {
    this.#port = port;
    port.addEventListener("message", ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    });
    port.start?.();
  }

  /** What the task returns there; rejects with the code of what it throws. */
  run(task, work) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#calls.set(id, { resolve, reject });
      this.#port.postMessage({ id, task, work });
    });
  }

  fail(what) {
    for (const { reject } of this.#calls.values()) reject(new Error(what));
  }
}

class WorkerThread extends Thread {
  #worker;

  constructor(query) {
    const worker = new Worker(`/threads-worker.js${query}`, { type: "module" });
    super(worker);
    this.#worker = worker;
    worker.addEventListener("error", ({ message }) => this.fail(message || "the worker did not load"));
  }

  terminate() {
    this.#worker.terminate();
  }
}

class WorkletThread extends Thread {
  #context;

  static async make(query) {
    // Long enough for the exchange. Its port works also before and after.
    const context = new OfflineAudioContext(1, 128 * 150, 44100);
    await context.audioWorklet.addModule(`/threads-worklet.js${query}`);
    return new WorkletThread(context);
  }

  constructor(context) {
    const node = new AudioWorkletNode(context, "member");
    super(node.port);
    this.#context = context;
    node.addEventListener("processorerror", () => this.fail("the processor threw"));
    node.connect(context.destination);
  }

  render() {
    return this.#context.startRendering();
  }
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const words = (count) => new Uint32Array(new SharedArrayBuffer(4 * count));

/** Returns the result of each test, by its name. `query`: of the scripts to load. */
export async function threads(query) {
  const heap = createSharedHeap({ initial: 131072, maximum: 2 ** 24 });
  const many = heap.create({ size: Element, minNr: 64, name: "many" });
  const two = heap.create({ size: 64, minNr: 2, maxNr: 2, name: "two" });
  const few = heap.create({ size: 64, minNr: 0, maxNr: 32, name: "few" });
  const shared = { many: many.share(), two: two.share(), few: few.share() };
  const [first, second] = [new WorkerThread(query), new WorkerThread(query)];
  const worklet = await WorkletThread.make(query);
  const others = [first, second, worklet];
  const all = (task, work) => Promise.all(others.map((thread) => thread.run(task, work)));
  // Without waitAsync, an audio worklet sees what other threads did in its next call.
  const tells = "waitAsync" in Atomics;
  const takeTwo = () => [two.alloc(), two.alloc()];
  const freeTwo = (elements) => elements.forEach((element) => two.free(element));
  const pools = [many, two, few];
  const outstanding = () => pools.reduce((sum, pool) => sum + pool.outstanding, 0);

  /** A worker to terminate. */
  async function makeVictim() {
    const victim = new WorkerThread(query);
    const id = await victim.run("attach", shared);
    return { victim, id };
  }

  /** Reaps by the call that never waits. */
  async function reapSoon(id) {
    for (;;) {
      try {
        return heap.reap(id);
      } catch (error) {
        if (error.code !== "ERR_WOULD_BLOCK") throw error;
        await sleep(5);
      }
    }
  }

  const tests = {
    async attached() {
      return [heap.threadId, ...(await all("attach", shared))].toSorted();
    },

    /** Each thread frees a quarter of the elements of each thread. */
    async passed() {
      const table = words(4 * 32);
      const filled = all("fill", table);
      fill(many, table);
      await filled;
      const distinct = new Set(table).size;
      const emptied = all("empty", table);
      return { distinct, freed: [empty(many, table), ...(await emptied)] };
    },

    /** Elements change hands while all four threads run. Returns for each of how many threads it has freed elements. */
    async exchanged() {
      const work = { board: words(48), gate: words(2), times: 20_000 };
      const exchanged = all("exchange", work);
      // The worklet has its work when it answers to what came later.
      await worklet.run("nothing");
      const rendered = worklet.render();
      // Firefox needs this window for the beginning.
      while (Atomics.load(work.gate, 0) < 3) await sleep(1);
      const freed = [finish(exchange(many, work)), ...(await exchanged)];
      await rendered;
      const left = work.board.filter((element) => element !== 0);
      for (const element of left) ownerOf(many, element);
      many.freeBulk(left);
      return freed;
    },

    async wouldBlock() {
      const held = takeTwo();
      const codes = [
        codeOf(() => two.allocWait({ timeout: 100 })),
        await worklet.run("allocWait", 100).catch(({ message }) => message),
      ];
      freeTwo(held);
      return codes;
    },

    /** This window awaits what a worker frees. */
    async awaited() {
      const held = takeTwo();
      const element = two.allocAsync({ timeout: LATE });
      await first.run("free", held[0]);
      const isIt = (await element) === held[0];
      freeTwo(held);
      return isIt;
    },

    /** The worklet awaits what this window frees. */
    async awaitedInWorklet() {
      const held = takeTwo();
      const element = worklet.run("allocAsync");
      await worklet.run("nothing");
      two.free(held[0]);
      if (!tells) await worklet.run("touch", "two");
      const isIt = (await element) === held[0];
      freeTwo(held);
      return isIt;
    },

    /** A worker is blocked until this window frees. */
    async blocked() {
      const held = takeTwo();
      const late = await second.run("allocWait", 20).catch(({ message }) => message);
      let isEarly = true;
      const element = second.run("allocWait", LATE).then((value) => ({ value, isEarly }));
      await sleep(50);
      isEarly = false;
      two.free(held[0]);
      const got = await element;
      freeTwo(held);
      return { late, isIt: got.value === held[0], isEarly: got.isEarly };
    },

    /** This window gets all elements of a pool although an idle thread has cached them. */
    async cached() {
      const got = [];
      for (const thread of others) {
        // Without waitAsync, a worklet returns its cached elements in its next call.
        const touching = tells ? 0 : setInterval(() => void worklet.run("touch", "few"), 10);
        await thread.run("cacheAll");
        const elements = new Set();
        while (elements.size < few.maxNr) elements.add(await few.allocAsync({ timeout: LATE }));
        clearInterval(touching);
        for (const element of elements) few.free(element);
        got.push(elements.size);
      }
      return got;
    },

    /** After a worker has grown the memory, the views of all threads show the new part. */
    async grown() {
      const mine = many.alloc();
      mark(many, mine);
      const cursor = Element.at(heap, mine);
      const stale = heap.views.u32;
      const { before, elements } = await first.run("grow");
      const highest = elements.at(-1);
      const isAbove = highest >= before && highest >= stale.byteLength && stale[highest / 4] === undefined;
      const owners = [...new Set(elements.map((element) => ownerOf(many, element)))];
      const isOwner = owners.length === 1 && heap.views.refresh().u32[highest / 4] === owners[0];
      const isRead = cursor.owner === 0 && cursor.move(highest).owner === owners[0];
      cursor.owner = 0;
      mark(many, highest);
      const seen = (await all("ownersOf", [mine, highest])).flat();
      elements.push(mine);
      await Promise.all(
        others.map((thread, i) =>
          thread.run(
            "freeMany",
            elements.filter((_, j) => j % 3 === i),
          ),
        ),
      );
      return { isAbove, isOwner, isRead, seen };
    },

    /** Workers are terminated while they allocate and free, and one while it waits. */
    async reaped() {
      const held = takeTwo();
      const victims = await Promise.all([makeVictim(), makeVictim(), makeVictim(), makeVictim()]);
      const [waiting, ...spinning] = victims;
      void waiting.victim.run("allocWait", 2 * LATE);
      const beats = words(spinning.length);
      for (const [at, { victim }] of spinning.entries()) void victim.run("spin", { beats, at });
      while (beats.some((_, at) => Atomics.load(beats, at) < 10_000)) await sleep(1);
      const ids = victims.map(({ id }) => id);
      const living = ids.map((id) => codeOf(() => heap.reap(id)));
      for (const { victim } of victims) victim.terminate();
      // At once: some workers run on for seconds.
      const lists = ids.map((id, i) => (i === 0 ? reapSoon(id) : heap.reapAsync(id)));
      await Promise.all(lists);
      const beat = String(beats);
      // The elements that the dead waiter would have got must not be lost.
      freeTwo(held);
      const reaped = (await Promise.all(lists)).flat();
      // Each had a hundred, but for those in its hands: it may have been killed anywhere.
      const had = reaped.filter(({ pool }) => pool === "many").length;
      const isAll = had >= 280 && had <= 303;
      for (const { pool, address } of reaped) (pool === "many" ? many : two).free(address);
      const again = [await two.allocAsync({ timeout: LATE }), await two.allocAsync({ timeout: LATE })];
      freeTwo(again);
      return {
        living,
        isAll,
        isDead: String(beats) === beat,
        again: ids.map((id) => codeOf(() => heap.reap(id))),
        same: new Set([...held, ...again]).size,
      };
    },

    async ended() {
      await all("detach");
      for (const worker of [first, second]) worker.terminate();
      const before = { outstanding: outstanding(), problems: heap.check() };
      for (const pool of pools) pool.exit();
      await Promise.all(pools.map((pool) => pool.closed));
      return { ...before, pools: heap.stats().pools };
    },
  };
  const report = {};
  for (const [name, test] of Object.entries(tests)) {
    const begin = performance.now();
    const tooLate = sleep(LATE + 10_000).then(() => ({ error: "no end in time" }));
    const run = async () => ({ value: await test(), problems: heap.check(), outstanding: outstanding() });
    report[name] = await Promise.race([run().catch((error) => ({ error: `${error}\n${error.stack}` })), tooLate]);
    report[name].ms = Math.round(performance.now() - begin);
    if (report[name].error) break;
  }
  return report;
}
