/**
 * The modules that are compared, into build/bench/allocators: the same loops with each allocator, and once with a bump
 * allocator in each language, which tells what the allocator's share of the bytes is. What this machine has no tools for is
 * left out, and said.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root, versionOf } from "../lib/machine.mjs";

const folder = join(root, "build/bench/allocators");
const here = join(root, "bench/allocators");
export const fileOf = (name) => join(folder, `${name}.wasm`);

const core = "--runtime stub --use abort= --memoryBase 0 --initialMemory 1 --disableWarning 201".split(" ");
const assemblyscript = (...args) => ({ language: "assemblyscript", args });
const c = (tool, ...args) => ({ language: "c", tool, args });
const rust = (feature) => ({ language: "rust", feature });

const shipped = "--optimizeLevel 3 --shrinkLevel 2 --converge".split(" ");

/** With the loops, but for those of which the name ends with .bare: these have the allocator alone. */
export const modules = {
  ours: assemblyscript(...core, "-O3"),
  called: assemblyscript(...core, "--use", "CALLED=1", ...shipped),
  tlsf: assemblyscript(..."--runtime minimal --use abort= --use TLSF=1 --initialMemory 4 -O3".split(" ")),
  stub: assemblyscript(..."--runtime stub --use abort= --use BUMP=1 --initialMemory 4 -O3".split(" ")),
  "wasi-dlmalloc": c("clang"),
  "emscripten-dlmalloc": c("emcc", "-sMALLOC=dlmalloc"),
  emmalloc: c("emcc", "-sMALLOC=emmalloc"),
  mimalloc: c("clang", "-DMIMALLOC", "-DNDEBUG", "-mexec-model=reactor"),
  "emscripten-mimalloc": c("emcc", "-sMALLOC=mimalloc"),
  rlsf: rust("rlsf"),
  talc: rust("talc"),
  lol_alloc: rust("lol"),
  "dlmalloc-rs": rust("dlmalloc"),
};

const weighed = {
  "c-bump": c("clang", "-DBUMP"),
  "rust-bump": rust("bump"),
  ...modules,
};
delete weighed.called;
for (const [name, module] of Object.entries(weighed)) modules[`${name}.bare`] = { ...module, bare: true };

class Missing extends Error {}

function run(program, args, options) {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    timeout: 240_000,
    maxBuffer: 2 ** 26,
    ...options,
  });
  if (error?.code === "ENOENT") throw new Missing(`there is no ${program}`);
  if (status === 0) return;
  const lines = (stderr ?? "").split("\n").filter((line) => /error|must be|cannot|not found|exception/i.test(line));
  throw new Missing(`${program}: ${(lines.at(-1) ?? `exit code ${status}`).trim().slice(0, 200)}`);
}

const known = {};
/** The name of a clang for WebAssembly, and of what it is; CLANG names another. */
function toolOf(tool) {
  known[tool] ??= (() => {
    const names =
      tool === "clang"
        ? [process.env.CLANG, "clang-19", "clang-18", "clang-17", "clang-16", "clang-14", "clang"]
        : [tool];
    for (const name of names.filter(Boolean)) {
      const version = versionOf(name);
      if (version) return { name, version };
    }
    return {};
  })();
  if (!known[tool].name) throw new Missing(`there is no ${tool}`);
  return known[tool];
}

const wasmOpt = join(root, "node_modules/binaryen/bin/wasm-opt");

/** What asc does for its modules at the end is done for the others too. */
function optimise(out) {
  run(process.execPath, [wasmOpt, out, "-O3", "--strip-debug", "--strip-producers", "-o", out]);
}

/** The sources of mimalloc, which a crate has in it. */
function mimalloc() {
  const cwd = join(here, "rust");
  run("cargo", ["fetch", "--quiet", "--locked"], { cwd });
  const args = ["metadata", "--format-version", "1", "--locked", "--features", "mimalloc"];
  const { stdout } = spawnSync("cargo", args, { cwd, encoding: "utf8", maxBuffer: 2 ** 26 });
  const { manifest_path: manifest } = JSON.parse(stdout).packages.find(({ name }) => name === "libmimalloc-sys");
  const folderOf = join(dirname(manifest), "c_src/mimalloc/v2");
  return ["-I", join(folderOf, "include"), join(folderOf, "src/static.c")];
}

const compilers = {
  async assemblyscript({ args, bare }, out) {
    const { default: asc } = await import("assemblyscript/asc");
    const file = !bare ? "loops" : args.includes("TLSF=1") || args.includes("BUMP=1") ? "bare-heap" : "bare";
    const entry = `bench/allocators/assembly/${file}.ts`;
    const { error, stderr } = await asc.main([entry, ...args, "--baseDir", root, "-o", out]);
    if (error) throw new Error(`${entry}: ${error.message}\n${stderr}`);
  },
  c({ tool, args, bare }, out) {
    const { name } = toolOf(tool);
    // -fno-builtin: else a compiler that knows malloc leaves out the pairs.
    const common = ["-O3", "-fno-builtin", ...(bare ? ["-DBARE"] : []), ...args, join(here, "c/loops.c"), "-o", out];
    if (tool === "clang") {
      const sources = args.includes("-DMIMALLOC") ? mimalloc() : ["-nostartfiles"];
      run(name, ["--target=wasm32-wasi", "-Wl,--no-entry", ...sources, ...common]);
    } else {
      const settings = [
        "STANDALONE_WASM=1",
        "ALLOW_MEMORY_GROWTH=1",
        "TOTAL_STACK=64KB",
        "INITIAL_MEMORY=256KB",
        "MEMORY_GROWTH_GEOMETRIC_STEP=0",
      ];
      run(name, ["--no-entry", ...settings.map((setting) => `-s${setting}`), ...common]);
    }
    optimise(out);
  },
  rust({ feature, bare }, out) {
    const target = join(folder, "rust");
    const args = ["build", "--release", "--quiet", "--locked", "--target", "wasm32-unknown-unknown", "--features"];
    run("cargo", [...args, bare ? `bare,${feature}` : feature, "--target-dir", target], { cwd: join(here, "rust") });
    writeFileSync(out, readFileSync(join(target, "wasm32-unknown-unknown/release/loops.wasm")));
    optimise(out);
  },
};

const texts = (path, ending) =>
  readdirSync(join(root, path))
    .filter((file) => file.endsWith(ending))
    .map((file) => readFileSync(join(root, path, file), "utf8"));

/** What a module is made from, as text. */
function sourceOf({ language, tool }) {
  if (language === "assemblyscript") {
    const { version } = JSON.parse(readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8"));
    return [version, ...texts("assembly", ".ts"), ...texts("bench/allocators/assembly", ".ts")];
  }
  if (language === "c") return [known[tool]?.version, ...texts("bench/allocators/c", ".c")];
  const version = versionOf("rustc");
  return [version, ...texts("bench/allocators/rust/src", ".rs"), ...texts("bench/allocators/rust", "Cargo.toml")];
}

/** The package's version, where it is Debian's; undefined elsewhere. */
const packaged = (name) => {
  const { status, stdout } = spawnSync("dpkg-query", ["-W", "-f", "${Version}", name], { encoding: "utf8" });
  return status === 0 ? stdout : undefined;
};

const bare = (text) => text?.match(/\d+\.\d+[\w.]*/)?.[0];

/** The allocators in Rust have versions of their own. */
const crates = Object.fromEntries(
  [...readFileSync(join(here, "rust/Cargo.toml"), "utf8").matchAll(/^([\w-]+) = \{ version = "=([\d.]+)"/gm)].map(
    ([, name, version]) => [`${name} (crate)`, version],
  ),
);

/** Compiles what is not there yet. Returns what each was compiled by, and why some could not be. */
export async function build(say) {
  mkdirSync(folder, { recursive: true });
  const missing = {};
  for (const [name, module] of Object.entries(modules)) {
    try {
      if (module.tool) toolOf(module.tool);
      const hash = createHash("sha256")
        .update(JSON.stringify([sourceOf(module), module]))
        .digest("hex");
      const stamp = join(folder, `${name}.hash`);
      if (existsSync(fileOf(name)) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash) continue;
      say(`compiling ${name}`);
      await compilers[module.language](module, fileOf(name));
      writeFileSync(stamp, hash);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing[name] = error.message;
    }
  }
  const versions = {
    clang: bare(known.clang?.version),
    "wasi-libc": packaged("wasi-libc"),
    emcc: bare(known.emcc?.version),
    rustc: bare(versionOf("rustc")),
    ...crates,
  };
  return { missing, versions };
}
