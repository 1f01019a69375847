/** The ABI and a host's mistakes: null handles, no heap, bad arguments; each refusal has its code. */
import { describe, expect, test } from "vitest";
import { halvesOf, instantiate, isOfAbi, moduleOf } from "../instantiate.ts";

type Core = Record<string, (...args: number[]) => number>;

const WASM_PAGE = 65536;
const [CLOSED, BUSY, NO_MEMORY, BAD_ARGUMENT, NO_HEAP, NO_THREAD] = [-6, -7, -8, -9, -10, -11] as const;
const ONE_PAGE_MORE = 5;

const cores = ["core", "core.imported", "core.shared", "core.checked", "core.debug"];
const threaded = ["core.shared", "core.checked"];
const inspectors = ["inspect.imported", "inspect.shared"];

interface Instance {
  readonly core: Core;
  readonly memory: WebAssembly.Memory;
}

const isShared = (name: string): boolean => [...threaded, "inspect.shared"].includes(name);

function instance(name: string, given?: WebAssembly.Memory): Instance {
  const own = name === "core" || name === "core.debug";
  const memory = own
    ? undefined
    : (given ?? new WebAssembly.Memory({ initial: ONE_PAGE_MORE, maximum: 1024, shared: isShared(name) }));
  const core = instantiate<Core & { readonly memory: WebAssembly.Memory }>(name, memory);
  const made = { core, memory: memory ?? core.memory };
  if (own) made.memory.grow(ONE_PAGE_MORE - 1);
  return made;
}

/** A heap that never grows. */
function withHeap(name: string, pages = 4): Instance & { heap: number } {
  const made = instance(name);
  made.memory.grow(Math.max(0, pages + 1 - ONE_PAGE_MORE));
  const heap = made.core["heap_create"]!(WASM_PAGE, pages * WASM_PAGE, 16 * pages, 0) >>> 0;
  expect(heap).toBe(WASM_PAGE);
  return { ...made, heap };
}

const functionsOf = (name: string): string[] =>
  halvesOf(name)
    .flatMap((half) => WebAssembly.Module.exports(moduleOf(half)))
    .filter((entry) => entry.kind === "function" && isOfAbi(entry.name))
    .map((entry) => entry.name);

function dirty(memory: WebAssembly.Memory): void {
  const bytes = new Uint8Array(memory.buffer);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 151 + (i >>> 8) + 1) & 0xff;
}

/** The result of a call, and whether it changed a byte of memory or its size. */
function watch({ core, memory }: Instance, name: string, args: number[]): { result: number; changed: boolean } {
  const before = Buffer.from(new Uint8Array(memory.buffer).slice());
  const result = core[name]!(...args);
  const after = Buffer.from(memory.buffer);
  return { result, changed: before.length !== after.length || !before.equals(after) };
}

const argumentsOf = (core: Core, name: string, first: number, rest: number): number[] =>
  Array.from({ length: core[name]!.length }, (_, i) => (i === 0 ? first : rest));

/** The results of calls without a heap that return neither 0 nor nothing. */
const returnsCode = /^mempool_(free|free_all|free_check|free_bulk|box_free|resize|reshape|adopt)$/;
const minusOne = /^heap_(thread|find_thread)$/;
const nothing = (name: string, code: number): number | undefined =>
  returnsCode.test(name) ? code : minusOne.test(name) ? -1 : name === "heap_sleep" ? 1 : 0;

/** Calls that need no heap. */
const heapless = new Set(["abi_version", "heap_error"]);

function expectNoHeap(made: Instance, name: string): void {
  const others = functionsOf(name).filter((call) => !heapless.has(call));
  expect(others.length).toBeGreaterThan(25);
  for (const call of others) {
    for (const first of [0, 4096, 2 * WASM_PAGE, -4]) {
      for (const rest of [0, 1]) {
        // A heap of 0 bytes is refused for its own reason.
        const error = call === "heap_create" ? BAD_ARGUMENT : NO_HEAP;
        const args = argumentsOf(made.core, call, first, rest);
        const { result, changed } = watch(made, call, args);
        const said = made.core["heap_error"]!();
        expect({ call, args, result: result ?? 0, changed, said }).toEqual({
          call,
          args,
          result: nothing(call, NO_HEAP),
          changed: false,
          said: error,
        });
      }
    }
  }
}

describe.each(cores)("%s.wasm: without a heap", (name) => {
  test("no call touches memory", () => {
    const made = instance(name);
    dirty(made.memory);
    expectNoHeap(made, name);
  });

  test("no call touches memory once the heap has ended", () => {
    const made = withHeap(name);
    const pool = made.core["mempool_create"]!(64, 8, 2, -1, 0);
    expect(made.core["mempool_alloc"]!(pool)).not.toBe(0);
    expect(made.core["heap_exit"]!()).toBe(1);
    dirty(made.memory);
    expectNoHeap(made, name);
  });
});

/** Calls that take no handle, and no address of a heap or pool, as their first argument. */
const handleless = new Set([
  ...heapless,
  ..."heap_create heap_exit heap_scratch heap_trim heap_faults heap_thread heap_detach heap_find_thread".split(" "),
  ..."heap_reap heap_idle heap_nudge heap_left heap_max_pages heap_label heap_thread_count".split(" "),
  ..."mempool_create arena_create".split(" "),
]);
/** Other calls that refuse 0 for another reason than that it is null. */
const otherwise: Record<string, number> = { heap_attach: BUSY, mempool_attach: CLOSED };

describe.each(cores)("%s.wasm: a null handle", (name) => {
  test("touches no memory", () => {
    const made = withHeap(name);
    const pool = made.core["mempool_create"]!(64, 8, 2, -1, 0);
    made.core["mempool_alloc"]!(pool);
    new Uint8Array(made.memory.buffer).fill(0xa5, 0, WASM_PAGE);
    const calls = functionsOf(name).filter((call) => !handleless.has(call));
    expect(calls.length).toBeGreaterThan(20);
    for (const call of calls) {
      for (const rest of [0, 1, WASM_PAGE + 8]) {
        const { result, changed } = watch(made, call, argumentsOf(made.core, call, 0, rest));
        const error = otherwise[call] ?? BAD_ARGUMENT;
        const said = made.core["heap_error"]!();
        expect({ call, rest, result: result ?? 0, changed, said }).toEqual({
          call,
          rest,
          result: nothing(call, BAD_ARGUMENT),
          changed: false,
          said: error,
        });
      }
    }
  });

  test("other calls accept the 0 of a failed create", () => {
    const { core, memory } = withHeap(name);
    const pool = core["mempool_create"]!(0, 8, 1, -1, 0);
    expect(pool).toBe(0);
    const before = Buffer.from(new Uint8Array(memory.buffer).slice());
    expect(core["mempool_alloc"]!(pool)).toBe(0);
    expect(core["mempool_free"]!(pool, 0)).toBe(BAD_ARGUMENT);
    expect(core["mempool_exit"]!(pool)).toBe(0);
    expect(Buffer.from(memory.buffer).equals(before)).toBe(true);
  });

  test("an array at 0 is not written to", () => {
    const { core, memory } = withHeap(name);
    const pool = core["mempool_create"]!(64, 8, 4, -1, 0);
    const before = Buffer.from(new Uint8Array(memory.buffer, 0, WASM_PAGE).slice());
    expect(core["mempool_alloc_bulk"]!(pool, 0, 3)).toBe(0);
    expect(core["heap_error"]!()).toBe(BAD_ARGUMENT);
    expect(core["mempool_alloc_bulk"]!(pool, 0, 0)).toBe(1);
    expect(Buffer.from(memory.buffer, 0, WASM_PAGE).equals(before)).toBe(true);
  });
});

describe.each(cores)("%s.wasm: the owner of an address", (name) => {
  test("is the pool, with the thread that allocated the element", () => {
    const { core, memory, heap } = withHeap(name);
    const pool = core["mempool_create"]!(200, 8, 3, -1, 0);
    const element = core["mempool_alloc"]!(pool);
    const inspector = instantiate<Core>(isShared(name) ? "inspect.shared" : "inspect.imported", memory);
    const at = core["heap_scratch"]!();
    const ownerOf = (address: number): number[] => [
      inspector["mempool_owner"]!(heap, address, at),
      ...new Uint32Array(memory.buffer, at, 5),
    ];
    const [kind, serial, ...words] = ownerOf(element + 199);
    expect([kind, words.slice(0, 3)]).toEqual([1, [element, 200, 0]]);
    expect(core["mempool_free"]!(pool, element)).toBe(0);
    expect(ownerOf(element)).toEqual([2, serial, element, 200, 2 ** 32 - 1, words[3]]);
    expect(ownerOf(0)[0]).toBe(0);
  });
});

describe.each(cores)("%s.wasm: live elements", (name) => {
  test("are found by mempool_next_slab, as include/wasm_mempool.h says", () => {
    const { core, memory } = withHeap(name);
    const [pool, other] = [core["mempool_create"]!(200, 8, 3, -1, 0), core["mempool_create"]!(200, 8, 3, -1, 0)];
    const live = Array.from({ length: 500 }, () => core["mempool_alloc"]!(pool!));
    for (let i = 0; i < 5; i++) core["mempool_alloc"]!(other!);
    for (const element of live.splice(10, 70)) expect(core["mempool_free"]!(pool!, element)).toBe(0);
    const array = core["heap_scratch"]!();
    const view = new DataView(memory.buffer);
    const word = (at: number) => view.getUint32(at, true);
    const listed: number[] = [];
    for (let from = 0, count; (count = core["mempool_next_slab"]!(pool!, from, array));) {
      const [first, stride, elements] = [word(array), word(array + 4), word(array + 8)];
      expect(word(count)).toBe(word(array + 12));
      for (let i = 0; i < elements; i++) if (view.getUint8(first - 33 - i) >= 0x80) listed.push(first + i * stride);
      // The slab of each of its elements is the same.
      expect([core["mempool_next_slab"]!(pool!, first + stride, array), word(array)]).toEqual([count, first]);
      from = first + elements * stride;
    }
    expect(listed).toEqual(live.toSorted((a, b) => a - b));
  });
});

describe.each(inspectors)("%s.wasm", (name) => {
  const core = name.replace("inspect", "core");

  test("without a heap, or for a null handle, no call touches memory", () => {
    const { memory } = instance(core);
    dirty(memory);
    const made = instance(name, memory);
    for (const call of functionsOf(name)) {
      // For a pool or arena, the core can tell only that the address is none.
      for (const first of call.startsWith("heap_") ? [0, 4096, 6, -4] : [0]) {
        for (const rest of [0, 1, 4096]) {
          const { result, changed } = watch(made, call, argumentsOf(made.core, call, first, rest));
          expect({ call, first, rest, result: result ?? 0, changed }).toEqual({
            call,
            first,
            rest,
            result: call === "heap_check" || call === "heap_next_run" ? -1 : 0,
            changed: false,
          });
        }
      }
    }
  });

  test("heap_next_pool lists the pools, and heap_next_live without a handle the elements of all", () => {
    const { core: made, memory, heap } = withHeap(core);
    const capped = made["mempool_create"]!(200, 8, 3, 10, 0);
    const pool = made["mempool_create"]!(64, 16, 0, -1, 1);
    const live = [made["mempool_alloc"]!(capped), made["mempool_alloc"]!(capped), made["mempool_alloc"]!(pool)];
    made["mempool_exit"]!(pool);
    const inspector = instantiate<Core>(name, memory);
    const at = made["heap_scratch"]!();
    const words = () => [...new Uint32Array(memory.buffer, at, 6)];
    const found: Record<number, number[]> = {};
    for (let each = 0; (each = inspector["heap_next_pool"]!(heap, each, at));) {
      const [serial, handle, ...others] = words();
      inspector["mempool_stats"]!(handle!, at);
      found[serial!] = [...others, new Float64Array(memory.buffer, at, 2)[1]!];
      expect(handle).toBe([capped, pool][serial! - 1]);
    }
    expect(found).toEqual({ 1: [0, 10, 0, 8, 2], 2: [1, 2 ** 32 - 1, 1, 16, 1] });
    const listed: number[] = [];
    for (let each = 0; (each = inspector["heap_next_live"]!(heap, 0, each, 0));) listed.push(each);
    expect(listed).toEqual(live.toSorted((a, b) => a - b));
    // The beginning of a slab is no element, but the pool's.
    expect(inspector["mempool_owner"]!(heap, live[0]! & -4096, at)).toBe(4);
    expect(words()[0]).toBe(1);
  });

  test("heap_next_live lists the outstanding elements of one pool", () => {
    const { core: heap, memory, heap: address } = withHeap(core);
    const { core: inspector } = instance(name, memory);
    const [pool, other] = [heap["mempool_create"]!(200, 8, 3, -1, 0), heap["mempool_create"]!(200, 8, 3, -1, 0)];
    const live = Array.from({ length: 50 }, () => heap["mempool_alloc"]!(pool!));
    for (let i = 0; i < 5; i++) heap["mempool_alloc"]!(other!);
    for (const element of live.splice(10, 7)) expect(heap["mempool_free"]!(pool!, element)).toBe(0);
    const listed: number[] = [];
    for (let at = 0; (at = inspector["heap_next_live"]!(address, pool!, at, -1));) listed.push(at);
    expect(listed).toEqual(live.toSorted((a, b) => a - b));
    expect(inspector["heap_next_live"]!(address, pool!, 0, 1)).toBe(0);
  });
});

const errorOf = (core: Core, result: number, none = 0): number => {
  expect(result).toBe(none);
  return core["heap_error"]!();
};

describe.each(cores)("%s.wasm: refusals", (name) => {
  test("create tells a bad argument from a lack of memory", () => {
    const { core } = withHeap(name);
    const create = (...args: number[]) => errorOf(core, core["mempool_create"]!(...args));
    for (const args of [
      [0, 8, 1, -1, 0],
      [2 ** 24 + 1, 8, 1, -1, 0],
      [64, 0, 1, -1, 0],
      [64, 3, 1, -1, 0],
      [64, 8192, 1, -1, 0],
      [64, 8, 2, 1, 0],
      [64, 8, 2 ** 28 + 1, -1, 0],
      [64, 8, 1, -1, 4],
    ]) {
      expect([args, create(...args)]).toEqual([args, BAD_ARGUMENT]);
    }
    expect(create(64, 8, 2 ** 20, -1, 0)).toBe(NO_MEMORY);
    expect(create(4096, 8, 64, -1, 0)).toBe(NO_MEMORY);
  });

  test("resize and reshape tell a bad argument from a lack of memory", () => {
    const { core } = withHeap(name);
    const pool = core["mempool_create"]!(64, 8, 2, 10, 0);
    expect(core["mempool_resize"]!(pool, 11)).toBe(BAD_ARGUMENT);
    for (const [size, align] of [
      [0, 8],
      [2 ** 24 + 1, 8],
      [64, 3],
      [64, 8192],
    ] as const) {
      expect(core["mempool_reshape"]!(pool, size, align)).toBe(BAD_ARGUMENT);
    }
    expect(core["mempool_reshape"]!(pool, 2 ** 24, 8)).toBe(NO_MEMORY);
    expect(core["mempool_size"]!(pool, 0)).toBe(64);
    const unlimited = core["mempool_create"]!(64, 8, 2, -1, 0);
    expect(core["mempool_resize"]!(unlimited, 2 ** 20)).toBe(NO_MEMORY);
    const cells = core["mempool_create"]!(4, 4, 0, -1, 3);
    expect(core["mempool_reshape"]!(cells, 8, 8)).toBe(BAD_ARGUMENT);
  });

  test("arenas tell a bad argument from a lack of memory", () => {
    const { core } = withHeap(name);
    expect(errorOf(core, core["arena_create"]!(-1))).toBe(BAD_ARGUMENT);
    expect(errorOf(core, core["arena_create"]!(2 ** 24))).toBe(NO_MEMORY);
    const arena = core["arena_create"]!(4096);
    core["arena_alloc"]!(arena, 5, 1);
    const mark = core["arena_mark"]!(arena);
    for (const align of [0, 3, 12, 4097, 8192, 2 ** 31, -1]) {
      expect([align, errorOf(core, core["arena_alloc"]!(arena, 8, align))]).toEqual([align, BAD_ARGUMENT]);
    }
    expect(core["arena_mark"]!(arena)).toBe(mark);
    for (let align = 1; align <= 4096; align *= 2) {
      const at = core["arena_alloc"]!(arena, 8, align) >>> 0;
      expect([align, at > 0, at % align]).toEqual([align, true, 0]);
    }
    expect(errorOf(core, core["arena_alloc"]!(arena, 2 ** 24, 8))).toBe(NO_MEMORY);
    expect(errorOf(core, core["arena_reset"]!(arena, 4))).toBe(BAD_ARGUMENT);
  });

  test("an alloc tells a lack of memory from a closed pool", () => {
    const { core } = withHeap(name);
    const pool = core["mempool_create"]!(64, 8, 1, 3, 0);
    const elements = [1, 2, 3].map(() => core["mempool_alloc"]!(pool));
    for (const call of ["mempool_alloc", "mempool_zalloc", "mempool_alloc_preallocated"]) {
      expect([call, errorOf(core, core[call]!(pool))]).toEqual([call, NO_MEMORY]);
    }
    expect(errorOf(core, core["mempool_alloc_bulk"]!(pool, core["heap_scratch"]!(), 1))).toBe(NO_MEMORY);
    expect(core["mempool_exit"]!(pool)).toBe(3);
    for (const call of ["mempool_alloc", "mempool_zalloc", "mempool_alloc_preallocated"]) {
      expect([call, errorOf(core, core[call]!(pool))]).toEqual([call, CLOSED]);
    }
    expect(errorOf(core, core["mempool_alloc_bulk"]!(pool, core["heap_scratch"]!(), 1))).toBe(CLOSED);
    for (const element of elements) expect(core["mempool_free"]!(pool, element)).toBeGreaterThanOrEqual(0);
  });

  test("an instance serves one heap at a time", () => {
    const { core } = withHeap(name, 2);
    const pool = core["mempool_create"]!(64, 8, 2, -1, 0);
    const element = core["mempool_alloc"]!(pool);
    expect(errorOf(core, core["heap_create"]!(3 * WASM_PAGE, WASM_PAGE, 16, 0))).toBe(BUSY);
    expect(errorOf(core, core["heap_attach"]!(WASM_PAGE, 1))).toBe(BUSY);
    expect(core["mempool_free"]!(pool, element)).toBe(0);
    expect(core["heap_exit"]!()).toBe(1);
    expect(errorOf(core, core["heap_attach"]!(WASM_PAGE, 1))).toBe(NO_HEAP);
    expect(core["heap_create"]!(3 * WASM_PAGE, WASM_PAGE, 16, 0) >>> 0).toBe(3 * WASM_PAGE);
    expect(core["mempool_create"]!(64, 8, 2, -1, 0)).not.toBe(0);
  });

  test("a heap that cannot be made leaves the instance without one", () => {
    const { core } = instance(name);
    expect(errorOf(core, core["heap_create"]!(WASM_PAGE, 4096, 16, 0))).toBe(BAD_ARGUMENT);
    expect(errorOf(core, core["heap_create"]!(WASM_PAGE, 100 * WASM_PAGE, 16, 0))).toBe(BAD_ARGUMENT);
    expect(errorOf(core, core["mempool_create"]!(64, 8, 2, -1, 0))).toBe(NO_HEAP);
    expect(core["heap_create"]!(WASM_PAGE, WASM_PAGE, 16, 0)).not.toBe(0);
  });
});

describe.each(threaded)("%s.wasm: refusals among threads", (name) => {
  test("a heap with other threads does not end", () => {
    const { core, memory, heap } = withHeap(name);
    const other = instance(name, memory).core;
    expect(other["heap_attach"]!(heap, 1)).toBe(1);
    for (const each of [core, other]) expect([each["heap_exit"]!(), each["heap_error"]!()]).toEqual([0, BUSY]);
    expect(core["mempool_create"]!(64, 8, 2, -1, 0)).not.toBe(0);
    expect(other["heap_detach"]!()).toBe(1);
    expect(core["heap_exit"]!()).toBe(1);
  });

  test("a thread that has left may join again", () => {
    const { memory, heap } = withHeap(name);
    const other = instance(name, memory);
    for (let i = 0; i < 3; i++) {
      expect(other.core["heap_attach"]!(heap, 1)).toBe(1);
      expect(other.core["heap_detach"]!()).toBe(1);
    }
    expectNoHeapButMade(other);
  });

  test("the 64th thread, a closed pool and the 17th waiter have codes of their own", () => {
    const { core, memory, heap } = withHeap(name, 6);
    const more = Array.from({ length: 62 }, () => instance(name, memory).core);
    for (const other of more) expect(other["heap_attach"]!(heap, 1)).toBe(1);
    const last = instance(name, memory).core;
    expect([last["heap_attach"]!(heap, 1), last["heap_error"]!()]).toEqual([0, NO_THREAD]);
    const pool = core["mempool_create"]!(64, 8, 1, 1, 0);
    const address = core["mempool_share"]!(pool);
    const element = core["mempool_alloc"]!(pool);
    for (let i = 0; i < 16; i++) expect(core["mempool_wait_begin"]!(pool, 0)).not.toBe(0);
    expect([core["mempool_wait_begin"]!(pool, 0), core["heap_error"]!()]).toEqual([0, BUSY]);
    expect(core["mempool_exit"]!(pool)).toBe(1);
    const [other] = more;
    expect([other!["mempool_attach"]!(address), other!["heap_error"]!()]).toEqual([0, CLOSED]);
    core["mempool_free"]!(pool, element);
  });

  test("a waiter's slot 0 touches no memory", () => {
    const made = withHeap(name);
    const pool = made.core["mempool_create"]!(64, 8, 1, 1, 0);
    new Uint8Array(made.memory.buffer).fill(0xa5, 0, WASM_PAGE);
    expect(watch(made, "mempool_wait_end", [pool, 0])).toEqual({ result: 0, changed: false });
  });

  test("a lack of memory for a handle is told from a closed pool", () => {
    const { core, memory, heap } = withHeap(name);
    const other = instance(name, memory).core;
    expect(other["heap_attach"]!(heap, 1)).toBe(1);
    const pools = Array.from({ length: 20 }, () => core["mempool_create"]!(4096, 8, 0, -1, 0));
    while (core["mempool_alloc"]!(pools[0]!));
    const attached = pools.map((pool) => other["mempool_attach"]!(core["mempool_share"]!(pool)));
    expect([attached.at(-1), other["heap_error"]!()]).toEqual([0, NO_MEMORY]);
  });
});

/** The same as expectNoHeap, in memory that has a heap of others. */
function expectNoHeapButMade(made: Instance): void {
  for (const call of ["mempool_alloc", "mempool_exit", "heap_trim", "heap_idle", "heap_scratch"]) {
    const { result, changed } = watch(made, call, [WASM_PAGE + 8192]);
    expect([call, result, changed, made.core["heap_error"]!()]).toEqual([call, 0, false, NO_HEAP]);
  }
}
