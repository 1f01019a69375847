// One module of the core, compiled. In a worker thread: each message is a module, each answer what became of it.
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { isMainThread, parentPort } from "node:worker_threads";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Every module: its entry and its target in asconfig.json. Those that take longest come first. */
export const modules = [
  // The build splits this one in its halves.
  {
    name: "core.shared.whole",
    entry: "assembly/abi/shared.ts",
    target: "shared",
    halves: ["core.shared", "control.shared"],
  },
  { name: "core", entry: "assembly/abi/core.ts", target: "plain" },
  { name: "core.checked", entry: "assembly/abi/shared.ts", target: "checked" },
  { name: "core.imported", entry: "assembly/abi/core.ts", target: "imported" },
  { name: "linked.shared", entry: "assembly/abi/linked-shared.ts", target: "linked.shared" },
  { name: "malloc.shared", entry: "assembly/abi/malloc-shared.ts", target: "malloc.shared" },
  // The build moves its structures into a second memory.
  { name: "core.unguarded", entry: "assembly/abi/linked.ts", target: "guarded", guarded: "core.guarded" },
  { name: "linked", entry: "assembly/abi/linked.ts", target: "linked" },
  { name: "malloc", entry: "assembly/abi/malloc.ts", target: "malloc" },
  { name: "debug.shared", entry: "assembly/abi/debug-shared.ts", target: "debugheap.shared" },
  { name: "debug.imported", entry: "assembly/abi/debug.ts", target: "debugheap" },
  { name: "inspect.shared", entry: "assembly/abi/inspect.ts", target: "shared" },
  { name: "inspect.imported", entry: "assembly/abi/inspect.ts", target: "imported" },
  // For tests alone.
  { name: "layout", entry: "test/layout/assembly/layout.ts", target: "debug" },
  { name: "core.debug", entry: "assembly/abi/core.ts", target: "debug" },
];

/** The archives that linkers take, each of one module; `surroundings`: that asks for what archive.mjs adds. */
export const archives = [
  { name: "libwasm_mempool", module: "core.imported", isShared: false },
  { name: "libwasm_mempool_shared", module: "core.shared.whole", isShared: true },
  { name: "libwasm_mempool_debug", module: "debug.imported", isShared: false },
  { name: "libwasm_mempool_debug_shared", module: "debug.shared", isShared: true },
  { name: "libwasm_mempool_malloc", module: "linked", isShared: false, surroundings: true },
  { name: "libwasm_mempool_malloc_shared", module: "linked.shared", isShared: true, surroundings: true },
];

/** The custom section that a fast module ends with: its kind 0, its length, its name "fast" with the length of that. */
const FAST = Uint8Array.of(0, 5, 4, ...Buffer.from("fast"));

/** The module's bytes. `fast` leaves the optimiser out, and the module says so: it has a custom section "fast". */
export async function compile({ entry, target }, { fast = false } = {}) {
  // The compiler's own wasm runs too little for a fast module to earn V8's optimiser: without it, a third less time.
  if (fast) setFlagsFromString("--liftoff-only");
  const { default: asc } = await import("assemblyscript/asc");
  let bytes;
  const { error, stderr } = await asc.main([entry, "--target", target, "--outFile", "module.wasm"], {
    readFile(file, folder) {
      try {
        const text = readFileSync(join(folder, file), "utf8");
        return fast && file === "asconfig.json" ? unoptimised(text) : text;
      } catch {
        return null;
      }
    },
    writeFile(_file, contents) {
      bytes = contents;
    },
  });
  // binaryen reports when another round of its passes would make the code larger: not a fault.
  const told = stderr.toString().replaceAll("Last converge was suboptimal.\n", "");
  if (error) throw new Error(`${entry} does not compile:\n${told}`);
  if (told) process.stderr.write(told);
  return fast ? Buffer.concat([bytes, FAST]) : Buffer.from(bytes);
}

function unoptimised(config) {
  const { options, ...others } = JSON.parse(config);
  return JSON.stringify({ options: { ...options, optimizeLevel: 0, shrinkLevel: 0, converge: false }, ...others });
}

/** The files that an entry imports, itself included, as paths from the root. */
export function sourcesOf(entry, found = new Set()) {
  if (found.has(entry)) return found;
  found.add(entry);
  for (const [, from] of readFileSync(join(root, entry), "utf8").matchAll(/\bfrom "(\.[^"]*)"/g)) {
    sourcesOf(`${relative(root, join(root, dirname(entry), from))}.ts`, found);
  }
  return found;
}

if (!isMainThread && parentPort) {
  parentPort.on("message", ([module, options]) =>
    compile(module, options).then(
      (bytes) => parentPort.postMessage({ bytes }),
      ({ message }) => parentPort.postMessage({ message }),
    ),
  );
}
