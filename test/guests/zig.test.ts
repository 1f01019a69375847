/** The Zig wrapper: std's containers on it, pools, a full heap, in each mode of the compiler; and the README's programs. */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { emptyFolder, guests, has, instantiate, isSkipped, outcome, root, run, samples, wasi } from "./tools.ts";

const pipped = join(root, "build/zig/ziglang/zig");
const zig = existsSync(pipped) ? pipped : "zig";
const missing = isSkipped(has(zig, "version"));
const checks = ["lists", "maps", "alignments", "resizes", "full", "reserves", "pools", "poolsFull"];

/** Shared by all: std compiles once. */
const cache = { ZIG_GLOBAL_CACHE_DIR: join(root, "build/guests/zig-cache") };

/** Compiles the checks; the file. */
async function compile(name: string, mode: string, archive: string, options: string): Promise<string> {
  const program = join(emptyFolder(name), "checks.wasm");
  // A full heap is soon reached.
  const common = `build-exe -O ${mode} -fno-entry -rdynamic --max-memory=${2 ** 27} ${options} --dep wasm_mempool`;
  const modules = [`-Mroot=${guests}/zig/checks.zig`, `-Mwasm_mempool=${root}/guests/zig/wasm_mempool.zig`];
  const files = [join(root, "build", archive), `-femit-bin=${program}`];
  await run(root, cache, [zig, ...common.split(" "), ...modules, ...files]);
  return program;
}

describe.each(["Debug", "ReleaseSafe", "ReleaseSmall", "ReleaseFast"])("%s", (mode) => {
  let program: string;
  beforeAll(async () => {
    if (missing) return;
    program = await compile(`zig-${mode}`, mode, "libwasm_mempool_malloc.a", "-target wasm32-freestanding");
  }, 600_000);

  test.skipIf(missing).each(checks)("%s", (name) => {
    expect(instantiate(program)[name]!()).toBe(0);
  });

  test.skipIf(missing)("all of them in one instance, twice", () => {
    const all = instantiate(program);
    for (const name of [...checks, ...checks]) expect([name, all[name]!()]).toEqual([name, 0]);
  });

  test.skipIf(missing)("exports nothing of the archive", () => {
    const exported = Object.entries(instantiate(program)).filter(([, value]) => typeof value === "function");
    expect(exported.map(([name]) => name).toSorted()).toEqual(["badFree", ...checks].toSorted());
  });

  test.skipIf(missing).each([0, 1, 2, 3])("bad free %i stops the program", (kind) => {
    expect(() => instantiate(program)["badFree"]!(kind)).toThrow(WebAssembly.RuntimeError);
  });
});

test.skipIf(missing)("the archive for threads serves a program with shared memory", async () => {
  const threads = "-target wasm32-freestanding -mcpu=generic+atomics+bulk_memory --import-memory --shared-memory";
  const program = await compile("zig-shared", "ReleaseSmall", "libwasm_mempool_malloc_shared.a", threads);
  const memory = new WebAssembly.Memory({ initial: 300, maximum: 2048, shared: true });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(program)), { env: { memory } });
  for (const name of checks) expect([name, (exports[name] as () => number)()]).toEqual([name, 0]);
});

const programs = samples("guests/zig/README.md", "zig");
const outputs = ["{ 1, 4, 9, 16, 25 }\n", "7, 1 outstanding\n16 in the reserve\n"];
test.skipIf(missing).each(programs.map((text, i) => [i, text, outputs[i]!] as const))(
  "the README's program %i runs, compiled by its command",
  async (i, text, expected) => {
    const folder = emptyFolder(`zig-sample-${i}`);
    const installed = join(folder, "node_modules/wasm-mempool");
    mkdirSync(join(installed, "build"), { recursive: true });
    cpSync(join(root, "guests"), join(installed, "guests"), { recursive: true });
    cpSync(join(root, "build/libwasm_mempool_malloc.a"), join(installed, "build/libwasm_mempool_malloc.a"));
    writeFileSync(join(folder, "main.zig"), text);
    const [command] = samples("guests/zig/README.md", "sh");
    await run(folder, cache, ["sh", "-ec", command!.replace(/^zig /, `${zig} `)]);
    expect(await outcome(folder, {}, wasi(join(folder, "main.wasm")))).toEqual({
      code: 0,
      stdout: "",
      stderr: expected,
    });
  },
);
