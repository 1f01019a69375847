/** The archives, as a linker meets them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { emptyFolder, has, isSkipped, outcome, root, run, type Outcome } from "./tools.ts";

const missing = isSkipped(has("clang-19", "--version") && has("wasm-ld-19", "--version"));
const archives = {
  plain: ["libwasm_mempool.a", "libwasm_mempool_malloc.a"],
  shared: ["libwasm_mempool_shared.a", "libwasm_mempool_malloc_shared.a"],
};

/** Links a program with an archive; the names of what it exports, or what the linker says. */
async function link(program: string, archive: string, ...options: string[]): Promise<Outcome & { exports: string[] }> {
  const folder = emptyFolder(`archive-${archive}`);
  writeFileSync(join(folder, "program.c"), program);
  await run(folder, {}, ["clang-19", "--target=wasm32", "-pthread", "-O1", "-c", "program.c"]);
  const files = ["program.o", join(root, "build", archive), "-o", "program.wasm"];
  const linked = await outcome(folder, {}, ["wasm-ld-19", "--no-entry", "--export=go", ...options, ...files]);
  const exports = linked.code
    ? []
    : WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(join(folder, "program.wasm")))).map(
        ({ name }) => name,
      );
  return { ...linked, exports };
}

const takes = `unsigned mempool_alloc(unsigned); static _Atomic int n; unsigned go(void) { return mempool_alloc(n++); }`;

test.skipIf(missing).each([...archives.plain, ...archives.shared])(
  "a program of %s may use any other name",
  async (archive) => {
    const names = Array.from({ length: 300 }, (_, i) => `int f${i}(int x) { return x + g${i}; }`);
    const globals = Array.from({ length: 300 }, (_, i) => `int g${i} = ${i};`);
    const linked = await link([...globals, ...names, takes].join("\n"), archive);
    expect(linked).toMatchObject({ code: 0, stderr: "" });
  },
);

test.skipIf(missing).each([...archives.plain, ...archives.shared])(
  "a program that exports all it has exports nothing of %s",
  async (archive) => {
    const linked = await link(takes, archive, "--export-dynamic");
    expect(linked.exports.toSorted()).toEqual(["go", "memory"]);
  },
);

test.skipIf(missing).each(archives.plain)("the linker refuses %s in a program with shared memory", async (archive) => {
  const linked = await link(takes, archive, "--shared-memory", "--import-memory", `--max-memory=${2 ** 20}`);
  expect([linked.code, linked.stderr]).toEqual([1, expect.stringContaining("shared-memory is disallowed by")]);
});

test.skipIf(missing).each(archives.shared)("the linker takes %s in a program with shared memory", async (archive) => {
  const linked = await link(takes, archive, "--shared-memory", "--import-memory", `--max-memory=${2 ** 20}`);
  expect(linked).toMatchObject({ code: 0, stderr: "" });
});
