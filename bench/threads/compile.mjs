/** The core with threads and the workloads compiled in: the flags are those of bench/core's plain modules. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compile as compilePlain, modules as plain, root } from "../core/compile.mjs";

const threads = [
  "--importMemory",
  "--initialMemory",
  "0",
  "--maximumMemory",
  "65536",
  "--sharedMemory",
  "--enable",
  "threads",
];
const entry = "bench/threads/assembly/guest.ts";
/** By the name of the plain module that each is compared with. */
const modules = Object.fromEntries(
  ["fast", "shipped"].map((name) => [
    name,
    [...plain[name].args.toSpliced(plain[name].args.indexOf("--initialMemory"), 2), ...threads],
  ]),
);

const sources = (folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(root, folder, file), "utf8"));

const fileOf = (name) => join(root, "build/bench", `threads.${name}.wasm`);

/** Compiles those modules, plain and with threads, whose sources have changed since the last time. */
export async function compile(say) {
  const { asc: version, flags } = await compilePlain(new Set(["fast", "shipped"]), say);
  const folders = ["assembly", "bench/core/assembly", "bench/threads/assembly"];
  const text = [version, ...folders.flatMap(sources)].join("\0");
  for (const [name, args] of Object.entries(modules)) {
    const hash = createHash("sha256").update(`${text}\0${args}`).digest("hex");
    const stamp = join(root, "build/bench", `threads.${name}.hash`);
    if (existsSync(fileOf(name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) continue;
    say(`compiling ${name} with threads`);
    const { default: asc } = await import("assemblyscript/asc");
    const { error, stderr } = await asc.main([entry, ...args, "--baseDir", root, "-o", fileOf(name)]);
    if (error) throw new Error(`${entry}: ${error.message}\n${stderr}`);
    writeFileSync(stamp, hash);
  }
  const { fast, shipped } = flags;
  const shared = Object.fromEntries(Object.entries(modules).map(([name, args]) => [`threads.${name}`, args.join(" ")]));
  return { asc: version, flags: { fast, shipped, ...shared } };
}

export const moduleOf = (name) => new WebAssembly.Module(readFileSync(fileOf(name)));

const MiB = 2 ** 20;
const HEAP = 64 * MiB;
const BESIDE = 8 * MiB;

/**
 * Shared memory with a heap of one size in it, that of this instance as its thread 0, and room beside the heap: slots for
 * each of two threads, then a ring.
 */
export function createShared(module) {
  const pages = (HEAP + BESIDE) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const heap = core.heap_create(0, HEAP, HEAP / 4096, 0) >>> 0;
  if (heap === 0) throw new Error("no heap");
  return {
    core,
    shared: { module, memory, heap, slots: [HEAP, HEAP + MiB], ring: HEAP + 2 * MiB, ring2: HEAP + 3 * MiB },
  };
}

/** Joins such a heap as a thread of its own. */
export function joinShared({ module, memory, heap }) {
  const core = new WebAssembly.Instance(module, { env: { memory } }).exports;
  if (!core.heap_attach(heap, 0)) throw new Error("heap_attach failed");
  return core;
}
