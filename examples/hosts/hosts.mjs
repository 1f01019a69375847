/** The hosts: what each needs, how it is started, and what it does not run. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const build = `${root}build`;
export const docs = `${root}docs/hosts.md`;
const here = fileURLToPath(new URL(".", import.meta.url));

const start = promisify(execFile);
const MINUTES = 60_000;

/** Runs a command to its end: its output. */
export async function run(file, args, { cwd = root, env = {}, minutes = 15 } = {}) {
  try {
    const { stdout } = await start(file, args, {
      cwd,
      env: { ...process.env, ...env },
      timeout: minutes * MINUTES,
      maxBuffer: 2 ** 26,
    });
    return stdout;
  } catch (error) {
    if (error.code === "ENOENT") throw new Error(`there is no ${file}`, { cause: error });
    throw new Error((error.stderr || error.stdout || error.message).trim(), { cause: error });
  }
}

/**
 * The arguments of every host: 1 if the memory is shared, else 0; the memory's first and most pages, or 0 0 if the core brings
 * its own; the modules of one instance. On standard input it reads lines: an instance's name, a function, numbers. It prints
 * each with the answer: "a mempool_alloc 25664 = 26688"; "none" for no result, and "trap". An instance is made when it is
 * first named; on a shared memory it has a thread of its own. Functions that are the host's own: memory.load, memory.store,
 * and end, which ends the thread.
 */
const setup = ({ modules, memory = [0, 0], threads }) => [
  threads ? "1" : "0",
  ...memory.map(String),
  ...modules.map((name) => `${build}/${name}`),
];

const python = process.env.PYTHON ?? "python3";
/** A package of PyPI, in a folder of its own. */
const pip = async (name, version, folder) => {
  await run(python, ["--version"]);
  if (existsSync(`${folder}/${name}-${version}.dist-info`)) return;
  await run(python, [
    "-m",
    "pip",
    "install",
    "-q",
    "--root-user-action",
    "ignore",
    "--upgrade",
    "--target",
    folder,
    `${name}==${version}`,
  ]);
};

const BUDGETS = 200;

/** Calls cut off by fuel in wasmtime; the budgets of fuel for each call. A core that must be sound has to be, at each. */
async function interruption() {
  const script = [`${here}wasmtime/interruption.py`, build, String(BUDGETS)];
  const found = await run(python, script, { env: { PYTHONPATH: `${build}/hosts/wasmtime` } });
  const of = Object.fromEntries(
    Object.entries(JSON.parse(found)).map(([module, calls]) => {
      const all = Object.values(calls);
      const sum = (key) => all.reduce((total, each) => total + each[key], 0);
      return [
        module,
        { calls, kinds: all.length, points: sum("points"), states: sum("states"), unsound: sum("unsound") },
      ];
    }),
  );
  const text = Object.entries(of).map(
    ([module, { unsound, points, kinds, states }]) =>
      `${module} unsound at ${unsound} of ${points} points in ${kinds} calls, ${states} states of memory`,
  );
  const shared = of["core.shared.wasm"];
  if (shared.unsound > 0 || shared.points < BUDGETS || of["core.imported.wasm"].unsound === 0)
    throw new Error(text.join("; "));
  return { text: text.join("; "), of };
}
const WAMR = "0.1.1";

/**
 * The program that docs/hosts.md shows under a heading, by the commands that it gives, in a folder that has the package;
 * the last command must print what the document says.
 */
const program = (heading) => ({
  [`"${heading}" in docs/hosts.md`]: async () => {
    const [, section] = new RegExp(`\n## ${heading}\n([^]*?)\n## `).exec(readFileSync(docs, "utf8"));
    const [commands, source, output] = [...section.matchAll(/^```\w+\n([^]*?)^```$/gm)].map(([, text]) => text);
    const folder = `${build}/hosts/${heading}`;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(`${folder}/node_modules`, { recursive: true });
    symlinkSync(root, `${folder}/node_modules/wasm-mempool`);
    writeFileSync(`${folder}/${/^(?:\/\/|#) (\S+)\n/.exec(source)[1]}`, source);
    // The commands before the last install what it needs, some of them say so, and the network may fail for a moment.
    const lines = commands.trim().split("\n");
    let printed;
    for (const [i, line] of lines.entries()) {
      const once = () => run("sh", ["-e", "-c", line], { cwd: folder });
      printed = await (i < lines.length - 1 ? once().catch(once) : once());
    }
    if (printed !== output) throw new Error(`prints ${printed}, and is said to print ${output}`);
    return { text: "prints what the document says" };
  },
});

/** wasm2c's runtime, in Debian's package. */
const RUNTIME = "/usr/share/wabt/wasm2c";

export const hosts = [
  {
    name: "node",
    title: "Node",
    install: async () => {},
    version: async () => process.versions.node,
    command: async (_part, settings) => [process.execPath, `${here}node/main.mjs`, ...setup(settings)],
  },
  {
    name: "wasmtime",
    title: "wasmtime (Python)",
    install: () => pip("wasmtime", "50.0.1", `${build}/hosts/wasmtime`),
    version: async () => "50.0.1",
    extra: { interruption, ...program("Python"), ...program("Beside a guest") },
    command: async (_part, settings) => [
      "env",
      `PYTHONPATH=${build}/hosts/wasmtime`,
      python,
      `${here}wasmtime/main.py`,
      ...setup(settings),
    ],
  },
  {
    name: "wazero",
    title: "wazero (Go)",
    install: () => run("go", ["build", "-o", `${build}/hosts/wazero`, "."], { cwd: `${here}wazero` }),
    version: async () => /wazero v(\S+)/.exec(readFileSync(`${here}wazero/go.mod`, "utf8"))[1],
    command: async (_part, settings) => [`${build}/hosts/wazero`, ...setup(settings)],
    extra: program("Go"),
  },
  {
    name: "chicory",
    title: "Chicory (Java)",
    async install() {
      const folder = `${build}/hosts/chicory`;
      if (!existsSync(`${folder}/lib/runtime-1.7.5.jar`)) {
        await run("mvn", ["-q", "-B", "dependency:copy-dependencies", `-DoutputDirectory=${folder}/lib`], {
          cwd: `${here}chicory`,
        });
      }
      await run("javac", ["-d", folder, "-cp", `${folder}/lib/*`, "Core.java", "Main.java"], { cwd: `${here}chicory` });
    },
    extra: program("Java"),
    version: async () =>
      /<artifactId>runtime<.*\n *<version>(.*)</.exec(readFileSync(`${here}chicory/pom.xml`, "utf8"))[1],
    command: async (_part, settings) => [
      "java",
      "-cp",
      `${build}/hosts/chicory:${build}/hosts/chicory/lib/*`,
      "Main",
      ...setup(settings),
    ],
  },
  {
    name: "wasm2c",
    title: "wasm2c (C)",
    refuses: ["threads", "mallocThreads"],
    install: async () => {
      await run("wasm2c", ["--version"]);
      await run("cc", ["--version"]);
      if (!existsSync(RUNTIME)) throw new Error(`there is no ${RUNTIME}`);
    },
    version: async () => `wabt ${(await run("wasm2c", ["--version"])).trim()}`,
    // A program for each module.
    async command(part, settings) {
      const folder = `${build}/hosts/wasm2c/${part}`;
      mkdirSync(folder, { recursive: true });
      await run("wasm2c", [`${build}/${settings.modules[0]}`, "-n", "core", "-o", `${folder}/core.c`]);
      const defines = [...(settings.memory ? ["-DIMPORTED"] : []), ...(part === "malloc" ? ["-DMALLOC"] : [])];
      const sources = [`${here}wasm2c/main.c`, `${folder}/core.c`, `${RUNTIME}/wasm-rt-impl.c`];
      await run("cc", ["-O1", ...defines, `-I${folder}`, `-I${RUNTIME}`, ...sources, "-lm", "-o", `${folder}/host`]);
      return [`${folder}/host`, ...setup(settings)];
    },
  },
  {
    name: "wasmi",
    title: "wasmi (Rust)",
    slow: 1,
    refuses: ["threads", "mallocThreads"],
    install: () =>
      run("cargo", ["build", "--quiet", "--locked"], {
        cwd: `${here}wasmi`,
        env: { CARGO_TARGET_DIR: `${build}/hosts/wasmi` },
      }),
    version: async () => /wasmi = .*"=(\S+)"/.exec(readFileSync(`${here}wasmi/Cargo.toml`, "utf8"))[1],
    command: async (_part, settings) => [`${build}/hosts/wasmi/debug/host`, ...setup(settings)],
  },
  {
    name: "wasm3",
    title: "wasm3 (Python)",
    refuses: ["two", "threads", "malloc", "mallocThreads"],
    install: () => pip("pywasm3", "0.5.0", `${build}/hosts/wasm3`),
    version: async () => "pywasm3 0.5.0",
    command: async (_part, settings) => [
      "env",
      `PYTHONPATH=${build}/hosts/wasm3`,
      python,
      `${here}wasm3/main.py`,
      ...setup(settings),
    ],
  },
  {
    name: "wamr",
    title: "WAMR (C)",
    slow: 2,
    // It gives each instance a memory of its own, whatever the module imports.
    refuses: ["two", "threads", "malloc", "mallocThreads"],
    async install() {
      const folder = `${build}/hosts/wamr`;
      if (!existsSync(`${folder}/libvmlib.a`)) {
        // The crate has WAMR's sources. Cargo fetches crates only for a package.
        mkdirSync(`${folder}/crate/src`, { recursive: true });
        writeFileSync(`${folder}/crate/src/lib.rs`, "");
        const manifest = `${folder}/crate/Cargo.toml`;
        const dependency = `[dependencies]\nwamr-sys = "=${WAMR}"\n\n[workspace]\n`;
        writeFileSync(manifest, `[package]\nname = "crate"\nversion = "0.0.0"\nedition = "2021"\n\n${dependency}`);
        const found = await run("cargo", ["metadata", "--format-version", "1", "--manifest-path", manifest]);
        const { manifest_path } = JSON.parse(found).packages.find(({ name }) => name === "wamr-sys");
        const sources = manifest_path.replace(/Cargo\.toml$/, "");
        rmSync(`${folder}/include`, { force: true });
        symlinkSync(`${sources}wasm-micro-runtime/core/iwasm/include`, `${folder}/include`);
        const options = ["-DCMAKE_BUILD_TYPE=Release", "-DWAMR_BUILD_BULK_MEMORY=1", "-DWAMR_BUILD_AOT=0"];
        await run("cmake", [
          "-S",
          `${sources}libiwasm`,
          "-B",
          folder,
          ...options,
          "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
        ]);
        await run("cmake", ["--build", folder, "--target", "vmlib", "--parallel", "2"]);
      }
      const sources = [`${here}wamr/main.c`, `${folder}/libvmlib.a`, "-lm", "-lpthread", "-ldl"];
      await run("cc", ["-O1", `-I${folder}/include`, ...sources, "-o", `${folder}/host`]);
    },
    version: async () => `wamr-sys ${WAMR}`,
    command: async (_part, settings) => [`${build}/hosts/wamr/host`, ...setup(settings)],
  },
];
