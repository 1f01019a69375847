/**
 * A model of a heap with its pools and arenas, and an interpreter that runs a list of commands against both the model
 * and the real thing. Each command is a handful of numbers, which say what to do in whatever state the model is in by
 * then: so any list is valid, and fast-check can shrink it by leaving commands out.
 *
 * Every outstanding element is filled with bytes of its own, which are checked before it is freed.
 */
import { create, createArena, type Heap, type Pool } from "../../src/index.ts";
import {
  codeOf,
  errorFrom,
  expectCanary,
  expectDisjoint,
  expectZero,
  freeCode,
  hex,
  PAGE,
  random,
  shuffle,
  writeCanary,
  type Build,
} from "../contract/helpers.ts";
import { badAddress } from "./bad-address.ts";
import type { Command, World } from "./commands.ts";
import {
  checkPool,
  FILL,
  MOST_ARENAS,
  MOST_FREED,
  MOST_POOLS,
  fail,
  raise,
  same,
  type ArenaModel,
  type Block,
  type PoolModel,
} from "./state.ts";

export class Model {
  readonly #heap: Heap;
  readonly #maximum: number;
  /** Bytes that the heap used when it had nothing to serve yet. */
  readonly #idle: number;
  /** The outstanding elements of all pools. */
  readonly #live = new Map<number, { readonly owner: PoolModel; readonly seed: number }>();
  readonly #foreignPages: Block[] = [];
  /** Pools that are open, or closed with outstanding elements. */
  #pools: PoolModel[] = [];
  #arenas: ArenaModel[] = [];
  /** Pools that have ended, whose handles must reach nothing. */
  readonly #stale: PoolModel[] = [];
  #seed = 1;
  #made = 0;

  constructor(build: Build, world: World) {
    this.#heap = build.heap({ initial: world.initial, maximum: world.maximum });
    this.#maximum = world.maximum;
    // the heap's structures for its first pool and arena are part of what it uses when idle
    const pool = create({ heap: this.#heap, size: 16, minNr: 1 });
    const arena = createArena({ heap: this.#heap });
    pool.free(pool.alloc());
    pool.exit();
    arena.alloc(16);
    arena.exit();
    this.#heap.trim();
    this.#idle = this.#heap.stats().used;
  }

  run(list: readonly Command[]): void {
    list.forEach(([operation, a, b, c], index) => {
      try {
        this[operation](a, b, c);
        this.#checkEverything();
      } catch (error) {
        const what = error instanceof Error ? error.message : String(error);
        throw new Error(`command ${index}, ${operation}(${a}, ${b}, ${c}): ${what}`, { cause: error });
      }
    });
  }

  /** Verifies and frees all elements, closes everything, and checks the heap's bytes. */
  finish(): void {
    this.verify();
    for (const model of this.#pools) {
      const next = random(model.id);
      if (next() < 0.5) this.#exit(model);
      for (const address of shuffle([...model.live], next)) this.#free(model, address);
      if (this.#pools.includes(model)) this.#exit(model);
    }
    while (this.#arenas.length > 0) this.arenaExit(0);
    this.#checkEverything();
    this.#heap.trim();
    const stats = this.#heap.stats();
    same("pools at the end", stats.pools, 0);
    same("arenas at the end", stats.arenas, 0);
    for (const page of this.#foreignPages) expectCanary(this.#heap.memory, page.address, page.bytes, page.seed);
    this.#expectSound();
    // more memory may need larger tables, and several pools a larger slab for themselves, but no payload is left
    if (stats.used > this.#idle + 2 * PAGE) fail(`${stats.used} bytes are used, though nothing is out`);
  }

  /** Promises of all pools that have ended; they must be resolved. */
  get closed(): Promise<void>[] {
    return this.#stale.map(({ pool }) => pool.closed);
  }

  // -------------------------------------------------------------------------------------------------- pools

  createPool(a: number, b: number, c: number): void {
    if (this.#pools.length >= MOST_POOLS) return;
    const kind = a % 16;
    // mostly small, some of a few pages, seldom larger than that
    const size = kind < 10 ? 1 + (b % 200) : kind < 14 ? 1 + (b % 5000) : kind < 15 ? 1 + b : 1 + b * 3;
    const align = c % 3 === 0 ? 2 ** ((c >> 2) % 13) : undefined;
    const minNr = (a >> 4) % (size < 300 ? 24 : 5);
    const maxNr = (c >> 6) % 4 === 0 ? Math.max(1, minNr) + (b % 9) : undefined;
    const zero = (c >> 8) % 3 === 0;
    const before = this.#heap.stats();
    let pool: Pool;
    try {
      pool = create({
        heap: this.#heap,
        size,
        minNr,
        zero,
        ...(align === undefined ? {} : { align }),
        ...(maxNr === undefined ? {} : { maxNr }),
      });
    } catch (error) {
      if (codeOf(() => raise(error)) !== "ERR_NO_MEMORY") throw error;
      if (this.#hasRoomFor(size * minNr)) fail("there is memory, but create says that there is none");
      const after = this.#heap.stats();
      // the attempt may have returned empty slabs, but took nothing
      if (after.used > before.used) fail(`a create that failed left ${after.used - before.used} bytes behind`);
      same("pools after a create that failed", after.pools, before.pools);
      return;
    }
    same("elementSize", pool.elementSize, size);
    if (align !== undefined) same("align", pool.align, align);
    this.#pools.push({
      id: this.#made++,
      pool,
      size,
      align: pool.align,
      minNr,
      maxNr,
      zero,
      live: [],
      freed: [],
      currNr: minNr,
      lowest: minNr,
      allocs: 0,
      frees: 0,
      slabHits: 0,
      reserveHits: 0,
      failures: 0,
      slabs: pool.stats().slabs,
      exited: false,
    });
  }

  alloc(a: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    if (model.exited) {
      same(
        "alloc after exit",
        codeOf(() => model.pool.alloc()),
        "ERR_CLOSED",
      );
      return;
    }
    const address = model.pool.alloc();
    if (address === 0) this.#refused(model, 1);
    else this.#tookFrom(model, [address]);
  }

  allocMany(a: number, b: number): void {
    for (let i = b % 12; i >= 0; i--) this.alloc(a);
  }

  /** Takes all elements, or many: only a full heap tests the reserve. */
  exhaust(a: number, b: number): void {
    const model = this.#pick(a);
    if (model === undefined || model.exited) return;
    for (let i = 0; i < 400; i++) {
      const before = model.live.length;
      this.alloc(this.#pools.indexOf(model));
      if (model.live.length === before) break;
    }
    // often everything is freed again
    if (b % 2 === 0) this.freeMany(this.#pools.indexOf(model), b, 0);
  }

  allocPreallocated(a: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    if (model.exited) {
      same(
        "allocPreallocated after exit",
        codeOf(() => model.pool.allocPreallocated()),
        "ERR_CLOSED",
      );
      return;
    }
    const address = model.pool.allocPreallocated();
    if (address === 0) {
      if (model.currNr > 0 && !this.#isCapped(model, 1)) fail("the reserve is not empty, but nothing came from it");
      model.failures = model.pool.stats().failures;
      return;
    }
    same("currNr after an element from the reserve", model.pool.currNr, model.currNr - 1);
    this.#tookFrom(model, [address]);
    // a reserve hit is an alloc that the backend could not serve: this was none
    model.reserveHits--;
  }

  allocBulk(a: number, b: number, c: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    const count = b % 40;
    const out = new Uint32Array(count + (c % 4)).fill(FILL);
    if (model.exited) {
      same(
        "allocBulk after exit",
        codeOf(() => model.pool.allocBulk(out, count)),
        "ERR_CLOSED",
      );
    } else if (model.pool.allocBulk(out, count)) {
      this.#tookFrom(model, [...out.subarray(0, count)]);
      if (out.subarray(count).some((word) => word !== FILL)) fail("a bulk wrote beyond its count");
      return;
    } else {
      this.#refused(model, count);
      // The bulk returns its elements, and a free fills the reserve first.
      const { currNr } = model.pool;
      if (currNr < model.currNr || currNr > model.pool.minNr) fail(`a refused bulk left ${currNr} in reserve`);
      model.currNr = currNr;
    }
    if (out.some((word) => word !== FILL)) fail("a refused bulk wrote into the array");
  }

  free(a: number, b: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    const address = model.live[b % Math.max(1, model.live.length)];
    if (address === undefined) model.pool.free(0);
    else this.#free(model, address);
  }

  freeMany(a: number, b: number, c: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    // the newest, the oldest, or any; often all of them, since only empty slabs return to the heap
    const count = c % 3 === 0 ? model.live.length : Math.min(model.live.length, b % 30);
    const order = shuffle([...model.live], random(b));
    const chosen =
      b % 3 === 0 ? order.slice(0, count) : b % 3 === 1 ? model.live.slice(-count) : model.live.slice(0, count);
    for (const address of chosen) this.#free(model, address);
  }

  freeBulk(a: number, b: number, c: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    const chosen = shuffle([...model.live], random(b)).slice(0, c % 50);
    for (const address of chosen) this.#expectIntact(address);
    const addresses = Uint32Array.from([...chosen, ...(b % 2 === 0 ? [1, 2 ** 32 - 1] : [])]);
    model.pool.freeBulk(addresses, chosen.length);
    for (const address of chosen) this.#cameHome(model, address);
    this.#afterFrees(model);
  }

  freeBulkBad(a: number, b: number, c: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    const bad = this.#bad(model, b, c);
    if (bad === undefined || typeof bad.value !== "number" || bad.value === 0) return;
    if (!Number.isInteger(bad.value) || bad.value < 0 || bad.value > 0xffffffff) return;
    const chosen = shuffle([...model.live], random(c)).slice(0, 1 + (b % 20));
    const index = (b >> 5) % (chosen.length + 1);
    chosen.splice(index, 0, bad.value);
    this.#expectNoChange(() => {
      const error = errorFrom(() => model.pool.freeBulk(Uint32Array.from(chosen)));
      if (!bad.codes.includes(error.code)) fail(`${bad.kind} ${hex(bad.value as number)} in a bulk: ${error.code}`);
      if (!error.message.includes(String(index))) fail(`the message does not name index ${index}: ${error.message}`);
    });
  }

  freeBad(a: number, b: number, c: number): void {
    const model = this.#pick(a);
    if (model === undefined) return;
    const bad = this.#bad(model, b, c);
    if (bad === undefined) return;
    this.#expectNoChange(() => {
      const code = freeCode(model.pool, bad.value);
      if (!bad.codes.includes(code)) {
        const shown = typeof bad.value === "number" ? hex(bad.value) : typeof bad.value;
        fail(`${bad.kind} (${shown}): ${code}, which is not one of ${bad.codes.join(", ")}`);
      }
    });
  }

  exit(a: number): void {
    const model = this.#pick(a);
    if (model !== undefined) this.#exit(model);
  }

  useStale(a: number, b: number): void {
    const model = this.#stale[a % Math.max(1, this.#stale.length)];
    if (model === undefined) return;
    const { pool } = model;
    const other = this.#pools[b % Math.max(1, this.#pools.length)]?.live[0];
    this.#expectNoChange(() => {
      same(
        "alloc of a pool that is gone",
        codeOf(() => pool.alloc()),
        "ERR_CLOSED",
      );
      same(
        "reserve of a pool that is gone",
        codeOf(() => pool.allocPreallocated()),
        "ERR_CLOSED",
      );
      same(
        "bulk of a pool that is gone",
        codeOf(() => pool.allocBulk(new Uint32Array(2))),
        "ERR_CLOSED",
      );
      for (const { address } of model.freed) same("late free", freeCode(pool, address), "ERR_CLOSED");
      if (other !== undefined) same("free through a pool that is gone", freeCode(pool, other), "ERR_CLOSED");
      pool.exit();
    });
    same("outstanding of a pool that is gone", pool.outstanding, 0);
  }

  // -------------------------------------------------------------------------------------------------- arenas

  createArena(): void {
    if (this.#arenas.length >= MOST_ARENAS) return;
    try {
      this.#arenas.push({ arena: createArena({ heap: this.#heap }), blocks: [], marks: [] });
    } catch (error) {
      if (this.#hasRoomFor(0) || codeOf(() => raise(error)) !== "ERR_NO_MEMORY") throw error;
    }
  }

  arenaAlloc(a: number, b: number, c: number): void {
    if (this.#arenas.length === 0) this.createArena();
    const model = this.#arenas[a % Math.max(1, this.#arenas.length)];
    if (model === undefined) return;
    const bytes = 1 + (c % 8 === 0 ? b * 2 : b % 3000);
    const align = c % 3 === 0 ? 8 : 2 ** ((c >> 3) % 13);
    const address = c % 3 === 0 ? model.arena.alloc(bytes) : model.arena.alloc(bytes, align);
    if (address === 0) {
      this.#expectFull(bytes, "arena");
      return;
    }
    if (address % align !== 0) fail(`an arena's ${hex(address)} is not aligned to ${align}`);
    const block = { address, bytes, seed: this.#seed++ };
    this.#expectInside(address, bytes);
    model.blocks.push(block);
    // written after #expectInside and before anything else: an overlap shows at once or at the next check
    this.#expectDisjoint();
    writeCanary(this.#heap.memory, address, bytes, block.seed);
  }

  arenaMark(a: number): void {
    const model = this.#arenas[a % Math.max(1, this.#arenas.length)];
    model?.marks.push({ mark: model.arena.mark(), blocks: model.blocks.length });
  }

  arenaReset(a: number, b: number, c: number): void {
    const model = this.#arenas[a % Math.max(1, this.#arenas.length)];
    if (model === undefined) return;
    for (const block of model.blocks) this.#expectBlock(block);
    if (c % 4 === 0 || model.marks.length === 0) {
      model.arena.reset();
      model.blocks.length = 0;
      model.marks.length = 0;
      return;
    }
    const index = b % model.marks.length;
    const { mark, blocks } = model.marks[index]!;
    model.arena.reset(mark);
    model.blocks.length = blocks;
    model.marks.length = index + 1;
    for (const block of model.blocks) this.#expectBlock(block);
  }

  arenaExit(a: number): void {
    const model = this.#arenas[a % Math.max(1, this.#arenas.length)];
    if (model === undefined) return;
    for (const block of model.blocks) this.#expectBlock(block);
    model.arena.exit();
    same(
      "alloc of an arena that is gone",
      codeOf(() => model.arena.alloc(8)),
      "ERR_CLOSED",
    );
    this.#arenas = this.#arenas.filter((other) => other !== model);
  }

  // -------------------------------------------------------------------------------------------------- heap

  growByOthers(): void {
    if (this.#foreignPages.length >= 6) return;
    let page;
    try {
      page = this.#heap.memory.grow(1);
    } catch (error) {
      if (error instanceof RangeError) return; // the memory has its maximum
      throw error;
    }
    const block = { address: page * PAGE, bytes: PAGE, seed: this.#seed++ };
    writeCanary(this.#heap.memory, block.address, block.bytes, block.seed);
    this.#foreignPages.push(block);
    same("bytes seen through a view", this.#heap.u8.byteLength, this.#heap.memory.buffer.byteLength);
  }

  trim(): void {
    const before = this.#heap.stats().used;
    const trimmed = this.#heap.trim();
    same("bytes that trim gave back", trimmed, before - this.#heap.stats().used);
    same("a second trim", this.#heap.trim(), 0);
  }

  /** Checks every byte of the outstanding elements. */
  verify(): void {
    for (const address of this.#live.keys()) this.#expectIntact(address);
    for (const { blocks } of this.#arenas) for (const block of blocks) this.#expectBlock(block);
    for (const page of this.#foreignPages) this.#expectBlock(page);
    this.#expectDisjoint();
  }

  #pick(n: number): PoolModel | undefined {
    if (this.#pools.length === 0) this.createPool(n, (n * 7) & 0xffff, (n * 3) & 0xffff);
    return this.#pools[n % Math.max(1, this.#pools.length)];
  }

  /** Whether `count` more elements would exceed the pool's maxNr. */
  #isCapped(model: PoolModel, count: number): boolean {
    return model.maxNr !== undefined && model.live.length + count > model.maxNr;
  }

  /** Whether the heap must have `bytes` more bytes: half of it or more is unused, and it is not tiny. */
  #hasRoomFor(bytes: number): boolean {
    let out = bytes;
    for (const model of this.#pools) out += (model.live.length + model.currNr) * Math.max(model.size, model.align);
    for (const { blocks } of this.#arenas) for (const block of blocks) out += block.bytes;
    for (const page of this.#foreignPages) out += page.bytes;
    return this.#maximum >= 256 * PAGE && out < this.#maximum / 2;
  }

  /**
   * An allocation of `bytes` bytes failed: then no run of memory is left that would surely be long enough. A slab takes
   * more than its element, and the model does not know how much: hence the slack.
   */
  #expectFull(bytes: number, who: string): void {
    if (this.#hasRoomFor(bytes)) fail(`the heap can grow, but ${who} got nothing`);
    const { largestFree } = this.#heap.stats();
    if (largestFree > 2 * bytes + 3 * PAGE) fail(`${largestFree} bytes are free in one run, but ${who} got nothing`);
  }

  #refused(model: PoolModel, count: number): void {
    const stats = model.pool.stats();
    if (stats.failures <= model.failures) fail("a refusal was not counted");
    model.failures = stats.failures;
    if (this.#isCapped(model, count)) return;
    if (model.currNr >= count) fail(`${model.currNr} are in the reserve, but ${count} were refused`);
    this.#expectFull(model.size * count, "a pool");
  }

  #tookFrom(model: PoolModel, addresses: readonly number[]): void {
    const { pool } = model;
    const fromReserve = model.currNr - pool.currNr;
    const count = addresses.length;
    if (fromReserve < 0 || fromReserve > count) fail(`the reserve went from ${model.currNr} to ${pool.currNr}`);
    if (this.#isCapped(model, count)) fail(`${model.live.length + count} are out, with maxNr ${String(model.maxNr)}`);
    for (const address of addresses) {
      if (!Number.isInteger(address) || address <= 0) fail(`${address} is no address`);
      if (address % model.align !== 0) fail(`${hex(address)} is not aligned to ${model.align}`);
      if (this.#live.has(address)) fail(`${hex(address)} was given out twice`);
      this.#expectInside(address, model.size);
      if (model.zero) expectZero(this.#heap.memory, address, model.size);
      const seed = this.#seed++;
      this.#live.set(address, { owner: model, seed });
      writeCanary(this.#heap.memory, address, model.size, seed);
      model.live.push(address);
      model.freed = model.freed.filter((freed) => freed.address !== address);
    }
    model.allocs += count;
    model.currNr -= fromReserve;
    model.reserveHits += fromReserve;
    model.slabHits += count - fromReserve;
    model.lowest = Math.min(model.lowest, model.currNr);
  }

  #free(model: PoolModel, address: number): void {
    this.#expectIntact(address);
    model.pool.free(address);
    this.#cameHome(model, address);
    this.#afterFrees(model);
  }

  #cameHome(model: PoolModel, address: number): void {
    this.#live.delete(address);
    model.live.splice(model.live.indexOf(address), 1);
    model.freed.push({ address, slabMayBeGone: false });
    if (model.freed.length > MOST_FREED) model.freed.shift();
    model.frees++;
    if (!model.exited) model.currNr = Math.min(model.currNr + 1, Math.max(model.minNr, model.currNr));
  }

  #afterFrees(model: PoolModel): void {
    if (model.live.length === 0) {
      for (const freed of model.freed) freed.slabMayBeGone = true;
      if (model.exited) this.#gone(model);
    }
  }

  #exit(model: PoolModel): void {
    model.pool.exit();
    model.exited = true;
    if (model.live.length === 0) this.#gone(model);
  }

  #gone(model: PoolModel): void {
    if (!this.#pools.includes(model)) return;
    this.#pools = this.#pools.filter((other) => other !== model);
    this.#stale.push(model);
  }

  #expectInside(address: number, bytes: number): void {
    const end = this.#heap.memory.buffer.byteLength;
    if (address + bytes > end) fail(`${hex(address)} + ${bytes} is beyond the memory's ${hex(end)}`);
  }

  #expectIntact(address: number): void {
    const { owner, seed } = this.#live.get(address)!;
    expectCanary(this.#heap.memory, address, owner.size, seed);
  }

  #expectBlock(block: Block): void {
    expectCanary(this.#heap.memory, block.address, block.bytes, block.seed);
  }

  #expectDisjoint(): void {
    const intervals: [number, number][] = [];
    for (const [address, { owner }] of this.#live) intervals.push([address, owner.size]);
    for (const { blocks } of this.#arenas) for (const { address, bytes } of blocks) intervals.push([address, bytes]);
    for (const { address, bytes } of this.#foreignPages) intervals.push([address, bytes]);
    expectDisjoint(intervals);
  }

  #expectNoChange(body: () => void): void {
    const state = (): string =>
      JSON.stringify([this.#heap.stats(), this.#pools.map(({ pool }) => pool.stats()), this.#heap.u8.byteLength]);
    const before = state();
    body();
    same("the state after a refused call", state(), before);
  }

  #expectSound(): void {
    const problems = this.#heap.check();
    if (problems.length > 0) fail(`heap.check(): ${problems.join("; ")}`);
  }

  #bad(model: PoolModel, b: number, c: number): ReturnType<typeof badAddress> {
    const surroundings = {
      pools: this.#pools,
      arenas: this.#arenas,
      foreignPages: this.#foreignPages,
      end: this.#heap.memory.buffer.byteLength,
      isLive: (address: number, owner: PoolModel) => this.#live.get(address)?.owner === owner,
    };
    return badAddress(surroundings, model, b, c);
  }

  /** After every command: the heap's figures are the model's. */
  #checkEverything(): void {
    for (const model of this.#pools) checkPool(model);
    const heap = this.#heap.stats();
    same("heap.stats().pools", heap.pools, this.#pools.length);
    same("heap.stats().arenas", heap.arenas, this.#arenas.length);
    if (heap.used > heap.bytes || heap.bytes > heap.maximum) fail("the heap has more than it may have");
    this.#expectSound();
  }
}
