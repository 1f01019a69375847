/**
 * Machine instructions of core.wasm, translated to C by wasm2c and compiled, counted by valgrind. They are for information:
 * they depend on the C compiler.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CALLS = 1000;
const runtimes = ["/usr/share/wabt/wasm2c", "/usr/src/wasm2c"];

const first = (text) => text.trim().split("\n")[0];
const run = (command, args, options) =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000, ...options });

function version(name) {
  try {
    return first(run(name, ["--version"]));
  } catch (cause) {
    throw new Error(`${name} is not on this machine`, { cause });
  }
}

/** The versions of the tools; throws if one is missing. */
function tools() {
  const runtime = runtimes.find((folder) => existsSync(join(folder, "wasm-rt-impl.c")));
  if (!runtime) throw new Error("the C runtime of wasm2c is not on this machine");
  return { runtime, versions: [version("cc"), `wasm2c ${version("wasm2c")}`, version("valgrind")] };
}

/** The counts by workload. */
function counts(runtime, scratch) {
  const wasm = fileURLToPath(new URL("../../build/core.wasm", import.meta.url));
  const program = fileURLToPath(new URL("machine.c", import.meta.url));
  run("wasm2c", [wasm, "-o", join(scratch, "core.c")]);
  const sources = [join(scratch, "core.c"), join(runtime, "wasm-rt-impl.c"), program];
  run("cc", ["-O1", `-I${scratch}`, `-I${runtime}`, ...sources, "-o", join(scratch, "program"), "-lm"]);
  const out = join(scratch, "out");
  run("valgrind", [
    "--tool=callgrind",
    "--collect-atstart=no",
    `--callgrind-out-file=${out}`,
    join(scratch, "program"),
  ]);
  const dumps = readdirSync(scratch)
    .filter((file) => file.startsWith("out."))
    .toSorted((a, b) => Number(a.slice(4)) - Number(b.slice(4)))
    .map((file) => readFileSync(join(scratch, file), "utf8"));
  return dumps.map((dump) => ({
    name: /^desc: Trigger: Client Request: (.*)$/m.exec(dump)[1],
    sum: Number(/^summary: (\d+)$/m.exec(dump)[1]),
  }));
}

/** The table; if a tool is missing, without rows and with the reason. */
export function machineCounts() {
  const table = {
    name: "counts-machine",
    title: "Machine instructions: core.wasm through wasm2c",
    workload: "core.wasm translated to C and compiled with -O1; instructions counted by valgrind, per call or pair.",
    unit: "instructions",
    lower: true,
    rows: [],
    noise: 0,
  };
  const scratch = mkdtempSync(join(tmpdir(), "wasm-mempool-counts-"));
  try {
    const { runtime, versions } = tools();
    const [nothing, ...all] = counts(runtime, scratch);
    for (const { name, sum } of all) {
      // Counting starts and stops once for each call, or once in all.
      const perCall = /wave|arena/.test(name) ? sum / CALLS : (sum - nothing.sum) / CALLS;
      table.rows.push({ side: name, samples: [perCall], stats: { median: perCall } });
    }
    table.notes = [`For information: they depend on the C compiler. ${versions.join("; ")}.`];
  } catch (error) {
    table.notRun = [{ side: "core.wasm through wasm2c", why: first(error.message) }];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return table;
}
