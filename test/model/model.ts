/**
 * A model of a heap with its pools and arenas, and an interpreter that runs a list of commands against both the
 * model and the real thing. Each command is a handful of numbers, which say what to do in whatever state the model
 * is in by then: so any list is valid, and fast-check can shrink it by leaving commands out.
 *
 * Every element that is out is filled with bytes that only it has, and they are looked at again before it goes.
 */
import fc from "fast-check";
import { create, createArena, type Arena, type Heap, type Pool } from "../../src/index.ts";
import {
  codeOf,
  errorFrom,
  expectCanary,
  expectDisjoint,
  expectZero,
  freeCode,
  hex,
  nonAddresses,
  PAGE,
  random,
  shuffle,
  writeCanary,
  type Build,
} from "../contract/helpers.ts";

const FILL = 0xdeadbeef;
const MOST_POOLS = 8;
const MOST_ARENAS = 3;
/** How many freed addresses of a pool are remembered, to free them again. */
const MOST_FREED = 40;

export const OPERATIONS = {
  createPool: 5,
  alloc: 20,
  allocMany: 6,
  exhaust: 3,
  free: 14,
  freeMany: 5,
  freeBad: 12,
  allocPreallocated: 5,
  allocBulk: 5,
  freeBulk: 4,
  freeBulkBad: 3,
  exit: 3,
  useStale: 2,
  createArena: 1,
  arenaAlloc: 8,
  arenaMark: 3,
  arenaReset: 3,
  arenaExit: 1,
  growByOthers: 2,
  trim: 3,
  verify: 3,
} as const;

type Operation = keyof typeof OPERATIONS;

export type Command = [operation: Operation, a: number, b: number, c: number];

/** A command; the smaller its numbers, the simpler what it does. */
export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.tuple(
    fc.oneof(
      ...Object.entries(OPERATIONS).map(([name, weight]) => ({
        arbitrary: fc.constant(name as Operation),
        weight,
      })),
    ),
    fc.nat(0xffff),
    fc.nat(0xffff),
    fc.nat(0xffff),
  ),
  { minLength: 1, maxLength: 160, size: "max" },
);

interface Freed {
  readonly address: number;
  /** Whether a slab of the pool has gone since, and this address perhaps with it. */
  slabMayBeGone: boolean;
}

interface PoolModel {
  readonly id: number;
  readonly pool: Pool;
  readonly size: number;
  readonly align: number;
  readonly minNr: number;
  readonly maxNr: number | undefined;
  readonly zero: boolean;
  /** Addresses that are out, in the order in which they came. */
  readonly live: number[];
  freed: Freed[];
  currNr: number;
  lowest: number;
  allocs: number;
  frees: number;
  slabHits: number;
  reserveHits: number;
  failures: number;
  slabs: number;
  exited: boolean;
}

interface Block {
  readonly address: number;
  readonly bytes: number;
  readonly seed: number;
}

interface ArenaModel {
  readonly arena: Arena;
  readonly blocks: Block[];
  readonly marks: { readonly mark: number; readonly blocks: number }[];
}

export interface World {
  /** Bytes that the heap may have at most. */
  readonly maximum: number;
  /** Bytes that it starts with. */
  readonly initial: number;
}

export const worlds: fc.Arbitrary<World> = fc.constantFrom(
  { initial: 2 * PAGE, maximum: 2 * PAGE },
  { initial: 4 * PAGE, maximum: 16 * PAGE },
  { initial: 16 * PAGE, maximum: 16 * PAGE },
  { initial: 4 * PAGE, maximum: 512 * PAGE },
);

function fail(message: string): never {
  throw new Error(message);
}

function same(what: string, actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) fail(`${what}: ${String(actual)}, the model has ${String(expected)}`);
}

export class Model {
  readonly #heap: Heap;
  readonly #maximum: number;
  /** Bytes that the heap used when it had nothing to serve yet. */
  readonly #idle: number;
  /** Every element that is out, of every pool. */
  readonly #live = new Map<number, { readonly owner: PoolModel; readonly seed: number }>();
  readonly #foreignPages: Block[] = [];
  /** Pools that are open, or closed with elements still out. */
  #pools: PoolModel[] = [];
  #arenas: ArenaModel[] = [];
  /** Pools that are gone, whose handles must reach nothing. */
  readonly #stale: PoolModel[] = [];
  #seed = 1;
  #made = 0;

  constructor(build: Build, world: World) {
    this.#heap = build.heap({ initial: world.initial, maximum: world.maximum });
    this.#maximum = world.maximum;
    // whatever a heap sets up for its first pool and arena is part of what it uses when it is idle
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

  /** Verifies all that is left, sends it home, closes everything, and looks at what the heap still has. */
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

  /** Promises of all pools that are gone; they must be resolved. */
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
      // empty slabs may have been given back in the attempt, but nothing was taken
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

  /** Takes all there is, or a lot: only a heap that is full shows what the reserve and the rest of it are worth. */
  exhaust(a: number, b: number): void {
    const model = this.#pick(a);
    if (model === undefined || model.exited) return;
    for (let i = 0; i < 400; i++) {
      const before = model.live.length;
      this.alloc(this.#pools.indexOf(model));
      if (model.live.length === before) break;
    }
    // often it is all given back again: by whoever wants it next
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
    // a hit is an alloc that the reserve saved: this was none
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
      // What it had got goes back, and a free refills the reserve before anything else.
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
    // the newest, the oldest, or any; often all of them, since it is empty slabs that go places
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
    const bad = this.#badAddress(model, b, c);
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
    const bad = this.#badAddress(model, b, c);
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
    // written after #expectInside, before anything else can be: what it overlaps shows at once or at the next look
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

  /** Looks at every byte that is out. */
  verify(): void {
    for (const address of this.#live.keys()) this.#expectIntact(address);
    for (const { blocks } of this.#arenas) for (const block of blocks) this.#expectBlock(block);
    for (const page of this.#foreignPages) this.#expectBlock(page);
    this.#expectDisjoint();
  }

  // -------------------------------------------------------------------------------------------------- the rest

  #pick(n: number): PoolModel | undefined {
    if (this.#pools.length === 0) this.createPool(n, (n * 7) & 0xffff, (n * 3) & 0xffff);
    return this.#pools[n % Math.max(1, this.#pools.length)];
  }

  /** Whether so many more would be above the pool's cap. */
  #isCapped(model: PoolModel, count: number): boolean {
    return model.maxNr !== undefined && model.live.length + count > model.maxNr;
  }

  /** Whether so many more bytes must be there: half of the heap and more is out of use, and it is no tiny heap. */
  #hasRoomFor(bytes: number): boolean {
    let out = bytes;
    for (const model of this.#pools) out += (model.live.length + model.currNr) * Math.max(model.size, model.align);
    for (const { blocks } of this.#arenas) for (const block of blocks) out += block.bytes;
    for (const page of this.#foreignPages) out += page.bytes;
    return this.#maximum >= 256 * PAGE && out < this.#maximum / 2;
  }

  /**
   * Nothing was given though so many bytes were wanted: then no run of memory is left that would surely do.
   * A slab takes more than its element, and how much more is not the model's to know: hence the slack.
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

  /** After every command: the real thing says of itself what the model says. */
  #checkEverything(): void {
    for (const model of this.#pools) {
      const { pool } = model;
      const stats = pool.stats();
      const what = `pool ${model.id} of ${model.size} bytes: `;
      same(`${what}outstanding`, pool.outstanding, model.live.length);
      same(`${what}stats().outstanding`, stats.outstanding, model.live.length);
      same(`${what}allocs`, stats.allocs, model.allocs);
      same(`${what}frees`, stats.frees, model.frees);
      same(`${what}slabHits`, stats.slabHits, model.slabHits);
      same(`${what}reserveHits`, stats.reserveHits, model.reserveHits);
      same(`${what}failures`, stats.failures, model.failures);
      if (stats.slabs < model.slabs) for (const freed of model.freed) freed.slabMayBeGone = true;
      model.slabs = stats.slabs;
      if (model.exited) continue;
      same(`${what}currNr`, pool.currNr, model.currNr);
      same(`${what}stats().currNr`, stats.currNr, model.currNr);
      same(`${what}lowestCurrNr`, stats.lowestCurrNr, model.lowest);
      same(`${what}isSaturated`, pool.isSaturated, model.currNr >= model.minNr);
      if (pool.currNr + pool.outstanding < model.minNr) fail(`${what}the guarantee is broken`);
      if (stats.slabBytes < (model.live.length + model.currNr) * model.size) fail(`${what}slabBytes is too small`);
    }
    const heap = this.#heap.stats();
    same("heap.stats().pools", heap.pools, this.#pools.length);
    same("heap.stats().arenas", heap.arenas, this.#arenas.length);
    if (heap.used > heap.bytes || heap.bytes > heap.maximum) fail("the heap has more than it may have");
    this.#expectSound();
  }

  /** Something that must not be freed in this pool now, and what may be said of it. */
  #badAddress(
    model: PoolModel,
    b: number,
    c: number,
  ): { readonly kind: string; readonly value: unknown; readonly codes: readonly string[] } | undefined {
    const closed = model.exited ? ["ERR_CLOSED"] : undefined;
    const mine = model.live[c % Math.max(1, model.live.length)];
    const others = this.#pools.filter((other) => other !== model && other.live.length > 0);
    const other = others[c % Math.max(1, others.length)];
    const theirs = other?.live[(c >> 4) % Math.max(1, other.live.length)];
    switch (b % 8) {
      case 0: {
        // the one freed last is the most likely to be confused with a live one
        const freed = model.freed.at(-1 - (c % Math.max(1, model.freed.length)));
        if (freed === undefined || this.#isSomewhere(freed.address, model)) return undefined;
        const codes = freed.slabMayBeGone
          ? ["ERR_DOUBLE_FREE", "ERR_INVALID_ADDRESS", "ERR_FOREIGN_FREE", "ERR_INTERIOR_FREE", "ERR_MISALIGNED_FREE"]
          : ["ERR_DOUBLE_FREE"];
        return { kind: "double free", value: freed.address, codes: closed ?? codes };
      }
      case 1:
      case 2: {
        if (mine === undefined || model.size < 2) return undefined;
        const offset = 1 + ((c * 31 + b) % (model.size - 1));
        const code = offset % model.align === 0 ? "ERR_INTERIOR_FREE" : "ERR_MISALIGNED_FREE";
        return { kind: `${offset} into an element`, value: mine + offset, codes: closed ?? [code] };
      }
      case 3: {
        if (mine === undefined || model.size <= model.align) return undefined;
        const steps = Math.ceil(model.size / model.align) - 1;
        const offset = model.align * (1 + (c % steps));
        return { kind: `${offset} into an element`, value: mine + offset, codes: closed ?? ["ERR_INTERIOR_FREE"] };
      }
      case 4: {
        if (other === undefined || theirs === undefined) return undefined;
        const offset = c % 2 === 0 ? 0 : (c >> 3) % other.size;
        return {
          kind: `${offset} into a foreign element`,
          value: theirs + offset,
          codes: closed ?? ["ERR_FOREIGN_FREE"],
        };
      }
      case 5: {
        const arena = this.#arenas[c % Math.max(1, this.#arenas.length)];
        const block = arena?.blocks[(c >> 3) % Math.max(1, arena.blocks.length)] ?? this.#foreignPages[0];
        if (block === undefined) return undefined;
        const value = block.address + (c % 2 === 0 ? 0 : (c >> 5) % block.bytes);
        return { kind: "memory that is no pool's", value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
      }
      case 6: {
        const end = this.#heap.memory.buffer.byteLength;
        const values = [end, end + 16, end + c, end + c * PAGE, 2 ** 32 - 1 - c, 2 ** 31 + c, (mine ?? end) + 2 ** 31];
        const value = values[(b >> 3) % values.length]! % 2 ** 32;
        return value < end ? undefined : { kind: "out of range", value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
      }
      default: {
        const garbage = nonAddresses(mine ?? theirs ?? 64);
        const [kind, value] = garbage[c % garbage.length]!;
        return { kind, value, codes: closed ?? ["ERR_INVALID_ADDRESS"] };
      }
    }
  }

  /** Whether an address that this pool once freed is now the start of an element of its own. */
  #isSomewhere(address: number, model: PoolModel): boolean {
    return this.#live.get(address)?.owner === model;
  }
}

function raise(error: unknown): never {
  throw error;
}
