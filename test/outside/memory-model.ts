/**
 * Histories of a heap's memory, and what must hold of each piece. The model knows where the outstanding pieces lie, and
 * reads the free pages from the heap's bits: all else is the heap's own.
 */
import fc from "fast-check";
import { createHeap, createSharedHeap, type Heap, type Pool } from "../../src/index.ts";
import { layout } from "../layout/layout.ts";
import { KIB, MIB, PAGE as WASM_PAGE } from "../contract/helpers.ts";

const PAGE = 4096;
const PAGES = WASM_PAGE / PAGE;
const ALL = 2 ** 20;
/** The roots of the free bits and of the page map, in words after the heap's address. */
const BITS_ROOT = layout("HEAP_BITS_ROOT") / 4;
const ROOT = layout("HEAP_ROOT") / 4;
const HEADER = 16;

export interface World {
  readonly kind: "plain" | "imported" | "shared";
  readonly maximum: number;
  readonly initial: number;
  /** Wasm pages the imported memory may have; more than the heap's maximum, or fewer. */
  readonly most: number;
}

export type Step =
  | { readonly op: "piece"; readonly pages: number }
  | { readonly op: "pieces"; readonly pages: number; readonly count: number }
  | { readonly op: "elements"; readonly size: number; readonly count: number }
  | { readonly op: "end"; readonly which: number }
  | { readonly op: "endHalf" }
  | { readonly op: "endAll" }
  | { readonly op: "foreign"; readonly wasmPages: number };

const logarithmic = (least: number, most: number) =>
  fc.double({ min: 0, max: 1, noNaN: true }).map((x) => Math.min(most, Math.floor(least * (most / least) ** x)));

const maxima = [MIB, 8 * MIB, 100 * MIB, 130 * MIB, 300 * MIB, 1024 * MIB, 4096 * MIB];

export const worlds: fc.Arbitrary<World> = fc.record({
  kind: fc.constantFrom("plain", "imported", "shared"),
  maximum: fc.constantFrom(...maxima),
  initial: fc.constantFrom(1, 256 * KIB, MIB),
  most: fc.oneof(fc.constant(65536), logarithmic(64, 65536)),
});

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ op: fc.constant("piece" as const), pages: logarithmic(1, ALL - 16) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        op: fc.constant("pieces" as const),
        pages: logarithmic(1, 4096),
        count: fc.integer({ min: 2, max: 60 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        op: fc.constant("elements" as const),
        size: logarithmic(1, 16 * MIB),
        count: fc.integer({ min: 1, max: 20 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ op: fc.constant("end" as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant({ op: "endHalf" as const }) },
    { weight: 1, arbitrary: fc.constant({ op: "endAll" as const }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant("foreign" as const), wasmPages: logarithmic(1, 4096) }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** A piece: an arena of one chunk, or a pool with elements. Pages from `first` to before `end`, for each. */
interface Out {
  readonly places: readonly (readonly [first: number, end: number])[];
  end(): void;
}

/** The free runs of a heap. */
interface Free {
  readonly pages: number;
  readonly longest: number;
  /** The free pages at the end of the memory. */
  readonly tail: number;
}

export class MemoryModel {
  readonly heap: Heap;
  readonly #world: World;
  readonly #out: Out[] = [];
  #foreign = false;

  constructor(world: World) {
    this.#world = world;
    const { kind, maximum, initial } = world;
    const memory =
      kind === "imported"
        ? new WebAssembly.Memory({ initial: 3, maximum: Math.max(world.most, 3 + Math.ceil(initial / WASM_PAGE)) })
        : undefined;
    this.heap = (kind === "shared" ? createSharedHeap : createHeap)({
      maximum,
      initial: Math.min(initial, maximum),
      ...(memory ? { memory, grows: true } : {}),
    });
  }

  run(list: readonly Step[]): void {
    for (const step of list) {
      this.#step(step);
      this.#look();
    }
    this.#sound();
  }

  /** Ends everything; then all memory can be allocated in one piece. */
  finish(): void {
    this.#end(0);
    this.heap.trim();
    this.#look();
    this.#sound();
    const free = this.#free();
    const { maximum } = this.#world;
    // The last tables lie below a quarter of the maximum: so at least three quarters lie above.
    if (this.#world.kind !== "imported" && !this.#foreign && maximum >= 100 * MIB) {
      const pages = Math.floor((0.75 * maximum - 6 * MIB) / PAGE);
      if (this.#piece(pages) === 0)
        throw new Error(`${pages} of ${maximum / PAGE} pages are not to be had in one piece`);
    } else this.#ask(Math.max(free.longest, 1));
    this.#end(0);
    this.#sound();
  }

  #step(step: Step): void {
    switch (step.op) {
      case "piece":
        return this.#ask(step.pages);
      case "pieces":
        for (let i = 0; i < step.count; i++) this.#ask(step.pages);
        return;
      case "elements":
        return this.#elements(step.size, step.count);
      case "end":
        if (this.#out.length > 0) this.#out.splice(step.which % this.#out.length, 1)[0]!.end();
        return;
      case "endHalf":
        for (let i = this.#out.length - 1; i >= 0; i -= 2) this.#out.splice(i, 1)[0]!.end();
        return;
      case "endAll":
        return this.#end(0);
      case "foreign":
        try {
          this.heap.memory.grow(step.wasmPages);
          this.#foreign = true;
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
    }
  }

  #end(from: number): void {
    for (const out of this.#out.splice(from)) out.end();
  }

  /** Allocates a piece, and checks its cost, or that the refusal was right. */
  #ask(pages: number): void {
    const free = this.#free();
    const room = this.#room();
    const before = this.heap.stats();
    const size = this.heap.memory.buffer.byteLength;
    const got = this.#piece(pages);
    const after = this.heap.stats();
    const grown = (this.heap.memory.buffer.byteLength - size) / PAGE;
    const say = `a piece of ${pages} pages, with ${JSON.stringify(free)}, room for ${room}, of ${before.bytes / PAGE} pages: `;
    // The piece may need a page of records, too.
    const fits = free.longest >= pages && (free.pages > pages || room >= 2 * PAGES);
    const grows = free.tail + room >= pages + Math.ceil(pages / 100) + PAGES + 1;
    if (got === 0) {
      if (fits || grows) throw new Error(`${say}it is not had`);
      // One page less: the last page may be needed for the record.
      if (free.longest < pages && free.tail + room < pages && grown)
        throw new Error(`${say}refused, and ${grown} pages grown`);
      if (free.longest < pages && free.tail + room < pages && after.bytes !== before.bytes)
        throw new Error(`${say}refused, but the heap has other pages`);
      return;
    }
    if (free.longest >= pages && after.grows > before.grows + 1)
      throw new Error(`${say}grown for a piece that was there`);
    if (free.longest >= pages || after.grows !== before.grows + 1) return;
    // Short pieces grow the heap ahead; and tables are made for up to four times its size.
    const ahead = pages < 64 ? Math.max(64, Math.min(before.bytes / PAGE / 8, 4096)) : 0;
    const tables = Math.max(pages, after.bytes / PAGE) / 100;
    const most = Math.max(ahead, pages - free.tail) + tables + PAGES;
    if (grown > most) throw new Error(`${say}it costs ${grown} pages, not ${most}`);
  }

  #piece(pages: number): number {
    const { core, memory } = this.heap;
    const arena = core.arena_create(pages * PAGE - HEADER) >>> 0;
    if (arena === 0) return 0;
    const mark = core.arena_mark(arena) >>> 0;
    const first = (mark - HEADER) / PAGE;
    if (!Number.isInteger(first) || (first + pages) * PAGE > memory.buffer.byteLength)
      throw new Error(`a piece at ${mark}`);
    this.#out.push({ places: [[first, first + pages]], end: () => core.arena_exit(arena) });
    return arena;
  }

  #elements(size: number, count: number): void {
    let pool: Pool;
    try {
      pool = this.heap.create({ size, minNr: 0 });
    } catch {
      return;
    }
    const all: number[] = [];
    for (let i = 0; i < count; i++) {
      const element = pool.alloc();
      if (element === 0) break;
      all.push(element);
    }
    this.#out.push({
      places: all.map((element) => [Math.floor(element / PAGE), Math.ceil((element + size) / PAGE)] as const),
      end: () => {
        for (const element of all) pool.free(element);
        pool.exit();
      },
    });
  }

  /** Pages by which the heap may grow. */
  #room(): number {
    const { heap } = this;
    const { bytes, maximum } = heap.stats();
    const end = heap.memory.buffer.byteLength / PAGE;
    const most = this.#world.kind === "imported" ? this.#world.most * PAGES : ALL;
    // A shared memory has the heap's maximum as its own.
    const own = this.#world.kind === "shared" ? this.#world.maximum / PAGE : most;
    const room = Math.min((maximum - bytes) / PAGE, ALL - 1 - end, Math.max(0, own - end));
    return Math.floor(room / PAGES) * PAGES;
  }

  /** The free pages by the heap's bits; checks that none of them is outstanding. */
  #free(): Free {
    const { u32 } = this.heap;
    const root = this.heap.address / 4 + BITS_ROOT;
    const end = this.heap.memory.buffer.byteLength / PAGE;
    let pages = 0;
    let longest = 0;
    let run = 0;
    for (let page = 0; page < end;) {
      const table = u32[root + (page >>> 15)]!;
      const bits = table === 0 ? 0 : u32[table / 4 + ((page & 32767) >>> 5)]!;
      if (bits === 0) run = 0;
      else if (bits === 0xffffffff) run += 32;
      else {
        for (let bit = 0; bit < 32; bit++) {
          longest = Math.max(longest, run);
          run = (bits >>> bit) & 1 ? run + 1 : 0;
        }
      }
      longest = Math.max(longest, run);
      for (let rest = bits; rest !== 0; rest &= rest - 1) pages++;
      page += 32;
      // The last word may reach beyond the end.
      if (page > end && run > 0) throw new Error(`pages beyond the memory are free`);
      if (page > end) run = this.#isFree(end - 1) ? this.#runBefore(end) : 0;
    }
    return { pages, longest, tail: run };
  }

  #isFree(page: number): boolean {
    const { u32 } = this.heap;
    const table = u32[this.heap.address / 4 + BITS_ROOT + (page >>> 15)]!;
    return table !== 0 && ((u32[table / 4 + ((page & 32767) >>> 5)]! >>> (page & 31)) & 1) === 1;
  }

  #runBefore(end: number): number {
    let page = end;
    while (page > 0 && this.#isFree(page - 1)) page--;
    return end - page;
  }

  /** What must hold at any time. */
  #look(): void {
    const sorted = this.#out.flatMap(({ places }) => places).toSorted((a, b) => a[0] - b[0]);
    for (const [first, end] of sorted) {
      for (const page of [first, (first + end) >>> 1, end - 1]) {
        if (this.#isFree(page)) throw new Error(`page ${page} is free, and in a piece from ${first} to ${end}`);
      }
    }
    // Elements share pages; pieces do not.
    const arenas = this.#out.filter(({ places }) => places.length === 1 && places[0]![1] - places[0]![0] > 1);
    const own = arenas.map(({ places }) => places[0]!).toSorted((a, b) => a[0] - b[0]);
    own.forEach(([first], i) => {
      if (i > 0 && first < own[i - 1]![1] - 1) throw new Error(`two pieces overlap at page ${first}`);
    });
    const { bytes, free, maximum } = this.heap.stats();
    if (bytes > maximum) throw new Error(`${bytes} bytes, above the maximum ${maximum}`);
    if (free !== this.#free().pages * PAGE) throw new Error(`${free} bytes are free, or ${this.#free().pages} pages`);
    const tables = this.#tables();
    const end = this.heap.memory.buffer.byteLength / PAGE;
    const most = end / 500 + bytes / PAGE / 125 + 8;
    if (tables > most) throw new Error(`${tables} pages of tables for ${bytes / PAGE} pages of ${end}`);
  }

  #tables(): number {
    const { u32 } = this.heap;
    const at = this.heap.address / 4;
    const there = (from: number, count: number) =>
      u32.subarray(at + from, at + from + count).filter((x) => x !== 0).length;
    return there(BITS_ROOT, ROOT - BITS_ROOT) + 2 * there(ROOT, 1024);
  }

  #sound(): void {
    const problems = this.heap.check();
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }
}
