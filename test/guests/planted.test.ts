/**
 * Planted faults under other tools: emscripten's AddressSanitizer, which instruments each access of C code, and the debug
 * allocator of Zig's library.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { build, emscriptenMissing, environment, zig } from "./toolchain.ts";
import { emptyFolder, guests, has, isSkipped, outcome, root, run, wasi } from "./tools.ts";

/** The program's arguments, and what each tool says: undefined if nothing. */
const faults: readonly [fault: string, sanitizer: string, zig: string | undefined][] = [
  ["forwards 1", "heap-buffer-overflow", undefined],
  ["forwards 4", "heap-buffer-overflow", undefined],
  ["forwards 8", "heap-buffer-overflow", undefined],
  ["forwards 64", "heap-buffer-overflow", undefined],
  ["backwards 1", "heap-buffer-overflow", undefined],
  ["backwards 4", "heap-buffer-overflow", undefined],
  ["backwards 8", "heap-buffer-overflow", undefined],
  ["backwards 64", "heap-buffer-overflow", undefined],
  ["write", "heap-use-after-free", undefined],
  ["read", "heap-use-after-free", undefined],
  ["double", "attempting double-free", "Double free detected"],
  ["leak", "detected memory leaks", "leaked"],
];

describe.skipIf(emscriptenMissing)("emscripten's AddressSanitizer", () => {
  let program: string;
  beforeAll(() => {
    const options = ["-sALLOW_MEMORY_GROWTH", "-sEXIT_RUNTIME=1", "-sINITIAL_MEMORY=67108864"];
    program = build("planted.js", ["emcc", "-g", "-O1", "-fsanitize=address"], "planted.c", ...options);
  }, 300_000);

  test.each(faults)("%s", (fault, said) => {
    const args = ["--no-experimental-fetch", program, ...fault.split(" ")];
    const { stderr } = spawnSync(process.execPath, args, { env: environment, encoding: "utf8", timeout: 60_000 });
    expect(/^==\d+==ERROR: \w+: (.*)$/m.exec(stderr)?.[1]).toContain(said);
  });
});

const zigMissing = isSkipped(has(zig, "version"));
describe.skipIf(zigMissing)("the debug allocator of Zig's library", () => {
  let program: string;
  beforeAll(async () => {
    program = join(emptyFolder("zig-planted"), "planted.wasm");
    const command = ["build-exe", `${guests}zig/planted.zig`, "-target", "wasm32-wasi", "-ODebug"];
    const cache = { ZIG_GLOBAL_CACHE_DIR: join(root, "build/guests/zig-cache") };
    await run(root, cache, [zig, ...command, `-femit-bin=${program}`]);
  }, 600_000);

  test.each(faults)("%s", async (fault, _, said) => {
    const { stderr } = await outcome(root, {}, wasi(program, ...fault.split(" ")));
    const found = /^error\(DebugAllocator\): (.*)$/m.exec(stderr)?.[1];
    if (said === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(said);
  });
});
