/** Programs in C and C++ for WASI, linked with the archive with malloc: by the linker of each toolchain, to each C library. */
import { statSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { archives, build, clangMissing, freestanding, functionNames, toolchains } from "./toolchain.ts";
import { run } from "./wasi.ts";

const MIB = 2 ** 20;
const size = (path: string): number => statSync(path).size;
/** What the C libraries' own allocators are made of: dlmalloc, and Zig's. */
const foreign = /dlmalloc|dlfree|^sbrk|BrkAllocator|^c\.malloc/;

const expected = {
  c: `strings: 8390 bytes
stream: 108890 bytes
sorted: 23840 to 4294948808
grown: to 60540695 bytes
aligned
churned
`,
  cpp: `vector: 1000000 elements, sum 333332833333500000
string: 238890 bytes
map: 500 keys, 10000 values
unordered_map: 20000 keys, 990000 bytes
0 failures
`,
};

// The first use of zig c++ compiles its libraries.
describe.each(toolchains)("$name", { timeout: 600_000 }, ({ name, missing, c, cpp, link }) => {
  const short = name.slice(0, 3);

  test.skipIf(missing).each([
    { language: "C", source: "library.c", compiler: c, flags: [], output: expected.c },
    { language: "C++", source: "library.cpp", compiler: cpp, flags: ["-fno-exceptions"], output: expected.cpp },
  ])(
    "$language: a program's output is what it is with the library's malloc, which is not linked",
    ({ source, compiler, flags, output }) => {
      const all = [source, ...flags, "-g"];
      const own = build(`${short}-own-${source}.wasm`, compiler, ...all);
      const ours = build(`${short}-${source}.wasm`, compiler, ...all, ...link(archives.malloc));
      expect(run(own)).toMatchObject({ output, end: 0 });
      expect(run(ours)).toMatchObject({ output, end: 0 });
      expect(functionNames(own).filter((each) => foreign.test(each))).not.toEqual([]);
      expect(functionNames(ours).filter((each) => foreign.test(each))).toEqual([]);
    },
  );

  test.skipIf(missing)("a block that grows to 58 MiB costs no second one", () => {
    const { bytes } = run(build(`${short}-library.wasm`, c, "library.c", ...link(archives.malloc)));
    // Zig's stack has 16 MiB.
    expect(bytes).toBeLessThan(80 * MIB);
  });

  test.skipIf(missing)("a program hears of each bad free by its code", () => {
    const { output, end } = run(build(`${short}-bad-free.wasm`, c, "bad-free.c", ...link(archives.malloc)));
    expect([output, end]).toEqual([
      `freed once
double: -2
double, of pages: -5
interior: -3
misaligned: -4
a static variable: -5
a pool's element: -1
good: 0
the pool's element is as it was
`,
      0,
    ]);
  });

  test.skipIf(missing)("a bad free ends a program that does not define wasm_mempool_bad_free", () => {
    const path = build(`${short}-unheard.wasm`, c, "bad-free.c", "-DUNHEARD", ...link(archives.malloc));
    expect(run(path)).toMatchObject({ output: "freed once\n", end: "unreachable" });
  });

  test.skipIf(missing)("a reserve's blocks are there when all other memory is gone, and stay its own", () => {
    const most = "-Wl,--max-memory=33554432";
    const { output, end, bytes } = run(build(`${short}-reserve.wasm`, c, "reserve.c", most, ...link(archives.malloc)));
    expect([output, end]).toEqual([
      `reserved: 1 1
drained: 1
of the reserve: 1 4
kept for 1000 rounds
given back: 1
`,
      0,
    ]);
    expect(bytes).toBe(32 * MIB);
  });

  test.skipIf(missing)("link-time optimisation keeps malloc", () => {
    const { output, end } = run(build(`${short}-lto.wasm`, c, "library.c", "-flto", ...link(archives.malloc)));
    expect([output, end]).toEqual([expected.c, 0]);
  });
});

const library = [...freestanding, "-Wl,--no-entry,-s,--compress-relocations"] as const;
const exported = (...names: string[]): string[] => names.map((name) => `-Wl,--export=${name}`);
const pools = (name: string, ...args: string[]): number => size(build(name, library, "pools.c", ...args));
const linked = (...kept: string[]): number =>
  size(build(`kept-${kept.length}.wasm`, library, "nothing.c", archives.malloc, ...exported(...kept)));

describe("what a program does not call is not linked", () => {
  test.skipIf(clangMissing)("of the pools", () => {
    const alone = pools("pools-one.wasm", archives.pools, ...exported("start", "take"));
    const more = pools("pools-more.wasm", archives.pools, "-DMORE", ...exported("start", "take", "give", "stop"));
    const all = pools(
      "pools-all.wasm",
      "-DMORE",
      "-Wl,--export-all",
      "-Wl,--whole-archive",
      archives.pools,
      "-Wl,--no-whole-archive",
    );
    expect(alone).toBeLessThan(more);
    expect(more).toBeLessThan(0.7 * all);
    expect(alone).toBeLessThan(9400);
  });

  test.skipIf(clangMissing)("of pools beside malloc, and of malloc beside pools", () => {
    const names = ["malloc", "free", "calloc", "realloc", "aligned_alloc", "malloc_reserve"];
    expect(linked("malloc")).toBeLessThan(linked("malloc", "free"));
    const [alone, family] = [linked("malloc"), linked(...names)];
    expect(alone).toBeLessThan(10_900);
    expect(family).toBeLessThan(14_000);
    expect(linked(...names, "mempool_reshape", "arena_create", "heap_exit")).toBeGreaterThan(family);
  });
});
