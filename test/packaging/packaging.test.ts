/** The package: its files, and programs that install it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packAndInstall, place, root, run, type Installed } from "./install.ts";

const smoke = new URL("../smoke.mjs", import.meta.url);
const node = process.execPath;

let installed: Installed;
beforeAll(async () => {
  installed = await packAndInstall();
});
afterAll(() => installed?.remove());

/** Runs a program in the project that has the package; the JSON it prints. */
async function program(name: string, text: string): Promise<unknown> {
  await writeFile(join(installed.dir, name), text);
  return JSON.parse(await run(installed.dir, node, name));
}

test("the tarball has exactly the expected files", () => {
  const others = installed.files.filter(
    (path) =>
      !/^dist\/[\w/-]+\.(js|js\.map|d\.ts)$|^docs\/bench\/[\w-]+\.svg$|^docs\/pictures\/[\w-]+\.png$|^assembly\/\w+\/[\w-]+\.ts$|^examples\/hosts\/[\w/-]+\.(mjs|json|py|go|mod|sum|java|xml|c|h|rs|toml|lock)$/.test(
        path,
      ),
  );
  expect(others.toSorted()).toEqual([
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    // For programs in AssemblyScript, with all that these import.
    "assembly/index.ts",
    "assembly/runtime.ts",
    // For tools without exports: TypeScript's node10, and old bundlers.
    "backend/package.json",
    "bin/structs.mjs",
    "bin/wasm-mempool.mjs",
    "build/control.shared.wasm",
    "build/core.checked.wasm",
    "build/core.guarded.wasm",
    "build/core.imported.wasm",
    "build/core.shared.wasm",
    "build/core.wasm",
    "build/debug.imported.wasm",
    "build/debug.shared.wasm",
    "build/inspect.imported.wasm",
    "build/inspect.shared.wasm",
    "build/libwasm_mempool.a",
    "build/libwasm_mempool_debug.a",
    "build/libwasm_mempool_debug_shared.a",
    "build/libwasm_mempool_malloc.a",
    "build/libwasm_mempool_malloc_shared.a",
    "build/libwasm_mempool_shared.a",
    "build/malloc.shared.wasm",
    "build/malloc.wasm",
    "debug/package.json",
    "docs/benchmarks.md",
    "docs/calls.md",
    "docs/debug.md",
    "docs/examples.md",
    "docs/for-kernel-people.md",
    "docs/guests.md",
    "docs/guides/audio.md",
    "docs/guides/callbacks.md",
    "docs/guides/game-loop.md",
    "docs/guides/languages.md",
    "docs/guides/memory.md",
    "docs/guides/neighbours.md",
    "docs/guides/node-service.md",
    "docs/guides/pools.md",
    "docs/guides/structs.md",
    "docs/guides/waiting.md",
    "docs/guides/without-javascript.md",
    "docs/guides/workers.md",
    "docs/hosts.md",
    "docs/how-it-is-proved.md",
    "docs/inspector.md",
    "docs/memory-trouble.md",
    "docs/playground.md",
    "docs/recipes/audioworklet.md",
    "docs/recipes/bun.md",
    "docs/recipes/deno.md",
    "docs/recipes/index.md",
    "docs/recipes/isolation.md",
    "docs/recipes/next.md",
    "docs/recipes/node.md",
    "docs/recipes/testing.md",
    "docs/recipes/vite.md",
    "docs/recipes/vue.md",
    "docs/recipes/webpack.md",
    "docs/scale.md",
    "docs/speed.md",
    "docs/start.md",
    "docs/when-not.md",
    "docs/worst-case.md",
    "examples/ecs/columns.js",
    "examples/fireworks/index.html",
    "examples/fireworks/main.js",
    "examples/guests/wasi-threads.mjs",
    "examples/service/service.mjs",
    "examples/synth/index.html",
    "examples/synth/main.js",
    "examples/synth/synth.js",
    "examples/synth/voice.js",
    "examples/tiles/index.html",
    "examples/tiles/main.js",
    "examples/tiles/tile.js",
    "examples/tiles/worker.js",
    "examples/vite-template/README.md",
    "examples/vite-template/index.html",
    "examples/vite-template/package.json",
    "examples/vite-template/src/main.ts",
    "examples/vite-template/src/particle.ts",
    "examples/vite-template/src/worker.ts",
    "examples/vite-template/tsconfig.json",
    "examples/vite-template/vite.config.ts",
    "guests/assemblyscript/README.md",
    "guests/rust/Cargo.toml",
    "guests/rust/README.md",
    "guests/rust/build.rs",
    "guests/rust/src/error.rs",
    "guests/rust/src/ffi.rs",
    "guests/rust/src/global.rs",
    "guests/rust/src/lib.rs",
    "guests/rust/src/pool.rs",
    "guests/zig/README.md",
    "guests/zig/wasm_mempool.zig",
    "include/wasm_mempool.h",
    "include/wasm_mempool_debug.h",
    "include/wasm_mempool_malloc.h",
    "inspect/package.json",
    // The page that draws heaps.
    "inspector/demo.js",
    "inspector/index.html",
    "inspector/package.json",
    "inspector/page.js",
    "inspector/style.css",
    "package.json",
    "testing/package.json",
  ]);
  expect(installed.files).toEqual(
    expect.arrayContaining(["dist/index.js", "dist/index.d.ts", "dist/generated/plain.js"]),
  );
});

test("the package has no dependency", async () => {
  const lock = JSON.parse(await readFile(join(installed.dir, "package-lock.json"), "utf8")) as { packages: object };
  expect(Object.keys(lock.packages)).toEqual(["", "node_modules/wasm-mempool"]);
});

test("Node imports the package", async () => {
  await place(installed, smoke, "smoke.mjs");
  const elements = await program(
    "import.mjs",
    'import { smokeAsync } from "./smoke.mjs"; console.log(JSON.stringify(await smokeAsync()));',
  );
  expect(Object.keys(elements as object)).toEqual(["plain", "imported", "shared", "async"]);
});

test("the package's command looks into a dump", async () => {
  await writeFile(
    join(installed.dir, "dump.mjs"),
    `import { writeFileSync } from "node:fs";
     import { createHeap } from "wasm-mempool";
     import { dump } from "wasm-mempool/inspect";
     const heap = createHeap();
     heap.create({ size: 64, minNr: 1, name: "jobs" }).alloc();
     writeFileSync("heap.dump", dump(heap));`,
  );
  await run(installed.dir, node, "dump.mjs");
  const out = await run(installed.dir, join("node_modules", ".bin", "wasm-mempool"), "inspect", "heap.dump");
  expect(out).toMatch(/jobs +64 +1 [^]*outstanding: 1 element, 64 bytes[^]*the heap is sound/);
});

// Node requires ES modules since 20.19 and 22.12.
test.skipIf(!process.features.require_module)("Node requires the package", async () => {
  const freed = await program(
    "require.cjs",
    `const { create } = require("wasm-mempool");
     const pool = create({ size: 64, minNr: 1 });
     const element = pool.alloc();
     pool.free(element);
     console.log(JSON.stringify({ element: element > 0, outstanding: pool.outstanding }));`,
  );
  expect(freed).toEqual({ element: true, outstanding: 0 });
});

test("the .wasm files serve createHeap and other hosts", async () => {
  const freed = await program(
    "wasm.mjs",
    `import { readFileSync } from "node:fs";
     import { fileURLToPath } from "node:url";
     import { createHeap, createSharedHeap } from "wasm-mempool";
     import "wasm-mempool/inspect";
     const compile = (name) =>
       new WebAssembly.Module(readFileSync(fileURLToPath(import.meta.resolve("wasm-mempool/" + name))));
     const answers = {};
     for (const [name, options] of [
       ["core.wasm", {}],
       ["core.imported.wasm", { memory: new WebAssembly.Memory({ initial: 1 }), grows: true }],
       ["core.shared.wasm", { control: compile("control.shared.wasm") }],
       ["core.checked.wasm", {}],
     ]) {
       const make = /shared|checked/.test(name) ? createSharedHeap : createHeap;
       const pool = make({ module: compile(name), ...options }).create({ size: 64, minNr: 1 });
       pool.free(pool.alloc());
       answers[name] = pool.stats().frees;
     }
     const core = new WebAssembly.Instance(compile("core.wasm"), {}).exports;
     core.heap_create(0, 65536, 16, 1);
     const pool = core.mempool_create(64, 8, 1, 0xffffffff);
     answers.bare = core.mempool_free(pool, core.mempool_alloc(pool));
     console.log(JSON.stringify(answers));`,
  );
  expect(freed).toEqual({
    "core.wasm": 1,
    "core.imported.wasm": 1,
    "core.shared.wasm": 1,
    "core.checked.wasm": 1,
    bare: 0,
  });
});

test("programs cannot import internal files", async () => {
  await writeFile(join(installed.dir, "deep.mjs"), 'import "wasm-mempool/dist/pool/pool.js";');
  await expect(run(installed.dir, node, "deep.mjs")).rejects.toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED");
});

test.each(["nodenext", "bundler"])("the types serve a strict project, resolved as %s", async (resolution) => {
  await writeFile(
    join(installed.dir, "consumer.ts"),
    `import { create, createHeap, pointer, flexible, struct, u64, type Pool } from "wasm-mempool";
     import { faults } from "wasm-mempool/testing";
     const Bio = struct({ sector: u64, bios: flexible(pointer()) });
     const heap = createHeap({ initial: 65536 });
     const pool: Pool<unknown, number> = create({ size: (disks: number) => Bio.offsetof("bios", disks), data: 3, minNr: 2, heap });
     const bio = Bio.at(heap, pool.alloc());
     const sector: bigint = bio.sector;
     // @ts-expect-error there is no such field
     bio.sectors;
     faults(pool, { nth: 1 });
     export { sector };`,
  );
  const module = resolution === "bundler" ? "esnext" : resolution;
  const options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const checked = run(
    installed.dir,
    node,
    tsc,
    ...options,
    "--module",
    module,
    "--moduleResolution",
    resolution,
    "consumer.ts",
  );
  expect(await checked).toBe("");
});

test("publint finds nothing", async () => {
  await run(root, node, "node_modules/publint/src/cli.js", "run", installed.tarball, "--strict");
});

test("are-the-types-wrong finds nothing", async () => {
  const attw = "node_modules/@arethetypeswrong/cli/dist/index.js";
  // The .wasm files are bytes to load, and what importing them gives differs from host to host: there is no type for it.
  const { exports } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { exports: object };
  const bytes = Object.keys(exports).filter((name) => name.endsWith(".wasm"));
  await run(
    root,
    node,
    attw,
    installed.tarball,
    // That CommonJS gets an ES module is so on purpose.
    "--ignore-rules",
    "cjs-resolves-to-esm",
    "--no-color",
    "--exclude-entrypoints",
    ...bytes.map((name) => name.replace("./", "")),
    // asc finds it by its folder, and knows no exports; an editor reads it as TypeScript.
    "assembly",
  );
});
