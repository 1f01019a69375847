/** The wasm modules under test, compiled by the compiler of the core from the core's own sources. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

const { options } = JSON.parse(readFileSync(join(root, "asconfig.json"), "utf8"));
const shipped = [
  "--optimizeLevel",
  String(options.optimizeLevel),
  "--shrinkLevel",
  String(options.shrinkLevel),
  ...(options.converge ? ["--converge"] : []),
];
const common = [
  "--runtime",
  "stub",
  "--use",
  "abort=",
  "--memoryBase",
  "0",
  "--initialMemory",
  "1",
  "--disableWarning",
  "201",
];
const guest = "bench/core/assembly/";

/** Each with all checks on: nothing is switched off for a benchmark. */
export const modules = {
  /** As a guest that cares for speed would compile core and itself. */
  fast: { entry: `${guest}ours.ts`, args: [...common, "-O3"] },
  /** With the flags of the core that is shipped. */
  shipped: { entry: `${guest}ours.ts`, args: [...common, ...shipped] },
  /** AssemblyScript's own allocator, TLSF, at its fastest. */
  theirs: { entry: `${guest}theirs.ts`, args: ["--runtime", "minimal", "--use", "abort=", "--use", "TLSF=1", "-O3"] },
};

const sources = (folder) =>
  readdirSync(join(root, folder))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(root, folder, file), "utf8"));

const fileOf = (name) => join(root, "build/bench", `${name}.wasm`);

/** Compiles those of the modules, by name, whose sources have changed since the last time. */
export async function compile(wanted, say) {
  mkdirSync(join(root, "build/bench"), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8"));
  const text = [version, ...sources("assembly"), ...sources(guest)].join("\0");
  for (const [name, { entry, args }] of Object.entries(modules)) {
    if (!wanted.has(name)) continue;
    const hash = createHash("sha256").update(`${text}\0${args}`).digest("hex");
    const stamp = join(root, "build/bench", `${name}.hash`);
    if (existsSync(fileOf(name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) continue;
    say(`compiling ${name}`);
    const { default: asc } = await import("assemblyscript/asc");
    const out = fileOf(name);
    const { error, stderr } = await asc.main([entry, ...args, "--baseDir", root, "-o", out]);
    if (error) throw new Error(`${entry}: ${error.message}\n${stderr}`);
    writeFileSync(stamp, hash);
  }
  return {
    asc: version,
    flags: Object.fromEntries(Object.entries(modules).map(([name, { args }]) => [name, args.join(" ")])),
  };
}

const compiled = {};

/** A new instance of a module, with a heap in it if it is ours. */
export function instantiate(name) {
  compiled[name] ??= new WebAssembly.Module(readFileSync(fileOf(name)));
  const core = new WebAssembly.Instance(compiled[name]).exports;
  if (name !== "theirs") {
    core.memory.grow(3);
    if (!core.heap_create(0, 4 * 65536, 2 ** 20, 1)) throw new Error(`${name}: no heap`);
  }
  return core;
}

/** Room for `count` words. */
export function wordsIn(core, count) {
  const address = core.slotsNew(Math.ceil((count * 4) / 65536)) >>> 0;
  if (address === 0) throw new Error(`no memory for ${count} slots`);
  return address;
}

/** `count` slots, each with an element of `pool`. */
export function filled(core, pool, count) {
  const slots = wordsIn(core, count);
  if (core.fill(pool, slots, count) !== count) throw new Error(`no memory for ${count} elements`);
  return slots;
}
