/** A program with `import "wasm-mempool/debug"` alone, what it may ask of which heap; and a thread without. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const run = (code: string): unknown =>
  JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: root, encoding: "utf8" }));

const program = (debug: boolean, kind: string): string => `
  import { ${kind} } from "wasm-mempool";
  import "wasm-mempool/debug";
  const heap = ${kind}({ debug: ${debug} && { onDamage() {} } });
  const pool = heap.create({ size: 24, minNr: 2, name: "nodes" });
  const at = pool.alloc();
  heap.u8[at + 24] = 1;
  const said = (call) => {
    try {
      return call();
    } catch ({ code, message }) {
      return message;
    }
  };
  const all = [() => heap.check().map((line) => line.split("\\n")[0]), () => heap.stats().pools, () => heap.table().split("\\n")[1]];
  console.log(JSON.stringify(all.map(said)));
  process.exit();`;

const missing = (apiName: string): string => `ERR_NOT_IMPORTED: ${apiName}: needs import "wasm-mempool/inspect"`;

describe.each(["createHeap", "createSharedHeap"])("%s", (kind) => {
  test("of a debug heap, check, stats and table need no other import", () => {
    const [check, pools, table] = run(program(true, kind)) as [string[], number, string];
    expect(check).toHaveLength(1);
    expect(check[0]).toMatch(/^wasm-mempool: 1 byte written at the end of element 0x/);
    expect(pools).toBe(1);
    expect(table).toMatch(/^name +size/);
  });

  test("of another heap, they name the import that is missing", () => {
    expect(run(program(false, kind))).toEqual([missing("check"), missing("stats"), missing("stats")]);
  });
});

test("a thread without the import does not join a debug heap, and hears why", () => {
  // Inside the project, so that the package finds itself by its name.
  const folder = mkdtempSync(join(root, "build", "imports-"));
  try {
    const worker = join(folder, "worker.mjs");
    writeFileSync(
      worker,
      `import { parentPort, workerData } from "node:worker_threads";
      import { attach } from "wasm-mempool";
      try {
        attach(workerData);
      } catch ({ message }) {
        parentPort.postMessage(message);
      }`,
    );
    const said = run(`
      import { Worker } from "node:worker_threads";
      import { createSharedHeap } from "wasm-mempool";
      import "wasm-mempool/debug";
      const heap = createSharedHeap({ debug: true });
      const options = { workerData: heap.share(), execArgv: [] };
      const worker = new Worker(new URL(${JSON.stringify(pathToFileURL(worker).href)}), options);
      worker.on("message", (message) => console.log(JSON.stringify([message, heap.core.heap_thread_count()])));`);
    expect(said).toEqual(['ERR_NOT_IMPORTED: attach: needs import "wasm-mempool/debug"', 1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
