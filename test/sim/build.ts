/**
 * Builds the core, or any other AssemblyScript, for the search: a module that can stop before every atomic
 * operation and resume (Asyncify). In the `race` variant it also reports each plain load and store.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { main } from "assemblyscript/asc";
import binaryen from "binaryen";
import { instrument as count } from "../../bench/counts/instrument.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OUT = join(ROOT, "build/sim");
/** The imports at which a thread may stop; in the race variant also plain loads and stores. */
const STOPS = "env.sched,env.sim_wait,env.sim_notify";
const PLAIN_STOPS = ",env.load_ptr,env.store_val_i32,env.store_val_i64,env.store_val_f32,env.store_val_f64";

/** One load or store in the code. */
export interface Site {
  readonly name: string;
  readonly where: string;
  readonly atomic: boolean;
  readonly store: boolean;
}

export interface SimBuild {
  readonly module: WebAssembly.Module;
  /** By the number that load_ptr and store_ptr get; empty except in the race variant. */
  readonly sites: readonly Site[];
}

export interface BuildOptions {
  /** The file with the exports; its imports must be in the same folder or below, or in assembly/. */
  readonly entry?: string;
  readonly race?: boolean;
  /** Counts the instructions of each instance, as bench/counts/instrument.mjs does. */
  readonly counted?: boolean;
  /** A build with malloc. */
  readonly malloc?: boolean;
  /** The build of debug heaps. */
  readonly debug?: boolean;
  /** The checked build, in which every free is a compare-exchange. */
  readonly checked?: boolean;
}

function digest(entry: string): string {
  const hash = createHash("sha256").update(entry);
  // An entry of the core, or of a mutant, lies in the folder abi/ beside the other layers.
  const own = basename(dirname(entry)) === "abi" ? dirname(dirname(entry)) : dirname(entry);
  for (const folder of new Set([own, join(ROOT, "assembly")])) {
    const files = readdirSync(folder, { recursive: true }).map(String);
    for (const file of files.filter((name) => name.endsWith(".ts")).toSorted()) {
      hash.update(file).update(readFileSync(join(folder, file)));
    }
  }
  hash.update(readFileSync(join(ROOT, "asconfig.json"))).update(readFileSync(fileURLToPath(import.meta.url)));
  return hash.digest("hex").slice(0, 16);
}

/** The module, from build/sim/NAME.wasm if nothing has changed since. */
export async function build(
  name: string,
  { entry, race = false, checked = false, malloc = false, counted = false, debug = false }: BuildOptions = {},
): Promise<SimBuild> {
  const file = entry ?? join(ROOT, "assembly/abi/shared.ts");
  const stem = join(OUT, race ? `${name}.race` : name);
  const version = digest(file);
  if (!existsSync(`${stem}.json`) || readList(stem).version !== version) {
    mkdirSync(OUT, { recursive: true });
    const defines = Object.entries({ CHECK_FREES: checked, SIM_MALLOC: malloc, DEBUG_HEAP: debug });
    const text = await compile(
      file,
      race,
      defines.filter(([, isSet]) => isSet).map(([define]) => `${define}=1`),
    );
    const { binary, sites } = instrument(text, race, counted);
    // Several test files may build the same module at the same time.
    write(`${stem}.wasm`, binary);
    write(`${stem}.json`, JSON.stringify({ version, sites }));
  }
  return { module: new WebAssembly.Module(readFileSync(`${stem}.wasm`)), sites: readList(stem).sites };
}

function readList(stem: string): { version: string; sites: Site[] } {
  return JSON.parse(readFileSync(`${stem}.json`, "utf8")) as { version: string; sites: Site[] };
}

function write(path: string, data: Uint8Array | string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, data);
  renameSync(temporary, path);
}

/** The optimised module as text: the only form in which binaryen gets the source lines. */
async function compile(entry: string, race: boolean, defines: readonly string[]): Promise<string> {
  let text = "";
  const args = [relative(ROOT, entry), "--baseDir", ROOT, "--target", "shared", "--use", "SIM=1", "--debug"];
  for (const define of defines) args.push("--use", define);
  args.push("--sourceMap", "--outFile", "sim.wasm", "--textFile", "sim.wast");
  // A fill or copy is then a loop of stores, and each is reported.
  if (race) args.push("--disable", "bulk-memory");
  const { error, stderr } = await main(args, {
    readFile: (path, folder) => {
      const at = resolve(folder, path);
      if (!existsSync(at)) return null;
      const contents = readFileSync(at, "utf8");
      // Optimising until nothing gets smaller takes most of the time.
      return path === "asconfig.json" ? contents.replace('"converge": true', '"converge": false') : contents;
    },
    writeFile: (path, contents) => {
      if (path.endsWith(".wast")) text = String(contents);
    },
  });
  if (error) throw new Error(`${entry} does not compile:\n${stderr.toString()}`);
  return text;
}

function instrument(text: string, race: boolean, counted: boolean): { binary: Uint8Array; sites: Site[] } {
  // All virtual threads run in one real thread: the memory need not be shared, and is faster unshared.
  let module = binaryen.parseText(text.replace(/(\(memory \$\S+ \d+ \d+) shared\)/, "$1)"));
  const { Atomics, BulkMemory, BulkMemoryOpt, MutableGlobals, NontrappingFPToInt, SignExt } = binaryen.Features;
  const features = Atomics | BulkMemory | BulkMemoryOpt | MutableGlobals | NontrappingFPToInt | SignExt;
  module.setFeatures(features);
  if (counted) {
    // Before asyncify: what a thread does to stop and to resume is not counted.
    const binary = count(module.emitBinary());
    module.dispose();
    module = binaryen.readBinary(binary);
    module.setFeatures(features);
  }
  let sites: Site[] = [];
  if (race) {
    module.runPasses(["instrument-memory"]);
    sites = readSites(module.emitText());
  }
  binaryen.setPassArgument("asyncify-imports", race ? STOPS + PLAIN_STOPS : STOPS);
  binaryen.setOptimizeLevel(2);
  binaryen.setShrinkLevel(0);
  // The messages of traps need the functions' names.
  binaryen.setDebugInfo(true);
  module.runPasses(["asyncify"]);
  module.optimize();
  // A run restores all globals to their values after the setup.
  for (let i = 0; i < module.getNumGlobals(); i++) {
    const { name, mutable } = binaryen.getGlobalInfo(module.getGlobalByIndex(i)) as { name: string; mutable: boolean };
    if (mutable) module.addGlobalExport(name, `global:${name}`);
  }
  const binary = module.emitBinary();
  binaryen.clearPassArguments();
  module.dispose();
  return { binary, sites };
}

/** The site of each number, read from the text of the instrumented module. */
function readSites(text: string): Site[] {
  const sites: Site[] = [];
  let name = "";
  let where = "";
  let operation = "";
  let store: boolean | undefined;
  for (const line of text.split("\n")) {
    const code = line.trim();
    if (code.startsWith("(func ")) name = code.split(" ")[1]!.replace(/^\$(.*\/)?/, "");
    else if (code.startsWith(";;@ ")) where = code.slice(4);
    else if (/^\([if]\d\d\.(atomic\.)?(load|store)/.test(code)) operation = code;
    else if (/^\(call \$(load|store)_ptr$/.test(code)) store = code.includes("store");
    else if (store !== undefined && code.startsWith("(i32.const ")) {
      sites[Number.parseInt(code.slice(11))] = { name, where, atomic: operation.includes("atomic"), store };
      store = undefined;
    }
  }
  // Some numbers stand for neither a load nor a store.
  return Array.from(sites, (site) => site ?? { name: "", where: "", atomic: true, store: false });
}
