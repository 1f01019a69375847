/**
 * The modules that are compared, in build/bench/allocators: the same loops with each allocator, and a bump allocator in each
 * language, which shows the allocator's share of the bytes. An allocator whose tools are missing is not run, for a reason.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { common, shipped } from "../../guests/modules.mjs";
import { compileGuest, root, texts, unlessCached, versionOf } from "../../harness/machine.mjs";

const folder = join(root, "build/bench/allocators");
const guests = join(root, "bench/guests");
export const fileOf = (name) => join(folder, `${name}.wasm`);

const words = (text) => text.split(" ");
const assemblyscript = (args, bare = "bare-heap") => ({ language: "assemblyscript", args, bareEntry: bare });
const c = (tool, ...args) => ({ language: "c", tool, args });
const archive = join(root, "build/libwasm_mempool_malloc.a");
const rust = (feature) => ({ language: "rust", feature });

/** Names that end with .bare are modules with the allocator alone; the others have the loops. */
export const modules = {
  ours: assemblyscript([...common, "--initialMemory", "1", "-O3"], "bare"),
  called: assemblyscript([...common, "--initialMemory", "1", "--use", "CALLED=1", ...shipped]),
  tlsf: assemblyscript(words("--runtime minimal --use abort= --use TLSF=1 --initialMemory 4 -O3")),
  stub: assemblyscript(words("--runtime stub --use abort= --use BUMP=1 --initialMemory 4 -O3")),
  malloc: { ...c("clang", archive), archive },
  "wasi-dlmalloc": c("clang"),
  "emscripten-dlmalloc": c("emcc", "-sMALLOC=dlmalloc"),
  emmalloc: c("emcc", "-sMALLOC=emmalloc"),
  ...Object.fromEntries(
    ["v2", "v3"].map((version) => [
      `mimalloc-${version}`,
      { ...c("clang", "-DMIMALLOC", "-DNDEBUG", "-mexec-model=reactor"), mimalloc: version },
    ]),
  ),
  zig: { ...c("clang", "-DZIG"), zig: true },
  lists: c("clang", "-DLISTS"),
  "emscripten-mimalloc": c("emcc", "-sMALLOC=mimalloc"),
  rlsf: rust("rlsf"),
  talc: rust("talc"),
  lol_alloc: rust("lol"),
  "dlmalloc-rs": rust("dlmalloc"),
};
const { called: _, ...weighed } = { "c-bump": c("clang", "-DBUMP"), "rust-bump": rust("bump"), ...modules };
for (const [name, module] of Object.entries(weighed)) modules[`${name}.bare`] = { ...module, bare: true };

/** The reason why an allocator is not run. */
class Missing extends Error {}

/** Runs a program and returns its standard output. The reason of a failure is its first line that tells of an error. */
function run(program, args, options) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    timeout: 240_000,
    maxBuffer: 2 ** 26,
    ...options,
  });
  if (error?.code === "ENOENT") throw new Missing(`there is no ${program}`);
  if (status === 0) return stdout;
  const line = (stderr ?? "").split("\n").find((text) => /error|must be|cannot|not found|exception/i.test(text));
  if (line?.includes("malloc must be one of")) throw new Missing(`${versionOf(program)} does not have that malloc`);
  throw new Missing(`${program}: ${(line ?? `exit code ${status}`).trim().slice(0, 200)}`);
}

/** The program of a tool, and its version; CLANG names another clang for WebAssembly. */
const toolOf = (() => {
  const known = {};
  const clangs = [process.env.CLANG, "clang-19", "clang-18", "clang-17", "clang-16", "clang-14", "clang"];
  return (tool) => {
    known[tool] ??= (tool === "clang" ? clangs.filter(Boolean) : [tool])
      .map((name) => ({ name, version: versionOf(name) }))
      .find(({ version }) => version) ?? { version: undefined };
    if (!known[tool].name) throw new Missing(`there is no ${tool}`);
    return known[tool];
  };
})();

const TARGET = "wasm32-unknown-unknown";

/** The version of the rustc that cargo runs, if it can compile for WebAssembly. */
function rustc() {
  const name = process.env.RUSTC ?? "rustc";
  const { version: text } = toolOf(name);
  toolOf("cargo");
  const [, minor] = /rustc 1\.(\d+)/.exec(text) ?? [];
  if (Number(minor) < 78) throw new Missing(`${text} is too old: the allocators need 1.78, from rustup for example`);
  const library = run(name, ["--print", "target-libdir", "--target", TARGET]).trim();
  if (!existsSync(library)) {
    const how = `rustup target add ${TARGET}, or with Debian's rustc the package libstd-rust-dev-wasm32`;
    throw new Missing(`${text} has no standard library for wasm32: ${how}`);
  }
  return text;
}

/** Does for the other compilers what asc does at its end. */
function optimise(out) {
  const wasmOpt = join(root, "node_modules/binaryen/bin/wasm-opt");
  run(process.execPath, [wasmOpt, out, "-O3", "--strip-debug", "--strip-producers", "-o", out]);
}

/** The sources of a version of mimalloc, which a crate contains. */
function mimalloc(version) {
  const cwd = join(guests, "rust");
  run("cargo", ["fetch", "--quiet", "--locked"], { cwd });
  const args = ["metadata", "--format-version", "1", "--locked", "--features", "mimalloc"];
  const { packages } = JSON.parse(run("cargo", args, { cwd }));
  const { manifest_path: manifest } = packages.find(({ name }) => name === "libmimalloc-sys");
  const sources = join(dirname(manifest), `c_src/mimalloc/${version}`);
  return ["-I", join(sources, "include"), join(sources, "src/static.c")];
}

/** Zig's compiler: npm's or PyPI's package in build/zig, or the machine's. */
const zigs = [join(root, "build/zig/ziglang/zig"), "zig"];

const zigVersion = () => zigs.map((name) => versionOf(name, ["version"])).find(Boolean);

/** An object with Zig's allocator. */
function zigObject(path) {
  const zig = zigs.find((name) => versionOf(name, ["version"]));
  if (!zig) throw new Missing("there is no zig, in build/zig or elsewhere");
  const object = `${path}.o`;
  const env = { ...process.env, ZIG_GLOBAL_CACHE_DIR: join(root, "build/bench/zig-cache") };
  const args = ["build-obj", join(guests, "zig/allocator.zig"), "-target", "wasm32-wasi", "-OReleaseFast"];
  run(zig, [...args, `-femit-bin=${object}`], { env, cwd: dirname(path) });
  return object;
}

const compilers = {
  assemblyscript: ({ args, bare, bareEntry }, out, say) =>
    compileGuest(bare ? bareEntry : "allocators", args, out, say),
  c(module, out, say) {
    const { tool, args, bare, archive: linked, mimalloc: version, zig } = module;
    const { name, version: text } = toolOf(tool);
    const bytes = linked ? readFileSync(linked).toString("base64") : "";
    const sources = [texts("bench/guests/c", ".c"), ...(zig ? [texts("bench/guests/zig", ".zig"), zigVersion()] : [])];
    return unlessCached(out, [text, module, sources, bytes], (path) => {
      say(`compiling ${out}`);
      // -fno-builtin: a compiler that knows malloc leaves out the pairs.
      const all = ["-O3", "-fno-builtin", ...(bare ? ["-DBARE"] : []), ...args, join(guests, "c/loops.c"), "-o", path];
      if (tool === "clang") {
        const more = version ? mimalloc(version) : ["-nostartfiles", ...(zig ? [zigObject(path)] : [])];
        run(name, ["--target=wasm32-wasi", "-Wl,--no-entry", ...more, ...all]);
      } else {
        const settings = words(
          "-sSTANDALONE_WASM=1 -sALLOW_MEMORY_GROWTH=1 -sTOTAL_STACK=64KB -sINITIAL_MEMORY=256KB -sMEMORY_GROWTH_GEOMETRIC_STEP=0",
        );
        run(name, ["--no-entry", ...settings, ...all]);
      }
      optimise(path);
    });
  },
  rust(module, out, say) {
    const { feature, bare } = module;
    const parts = [rustc(), module, texts("bench/guests/rust/src", ".rs"), texts("bench/guests/rust", "Cargo.toml")];
    return unlessCached(out, parts, (path) => {
      say(`compiling ${out}`);
      const target = join(folder, "rust");
      const features = bare ? `bare,${feature}` : feature;
      const args = ["build", "--release", "--quiet", "--locked", "--target", TARGET, "--features", features];
      run("cargo", [...args, "--target-dir", target], { cwd: join(guests, "rust") });
      writeFileSync(path, readFileSync(join(target, TARGET, "release/loops.wasm")));
      optimise(path);
    });
  },
};

/** The version of a Debian package; undefined elsewhere. */
function packaged(name) {
  const { status, stdout } = spawnSync("dpkg-query", ["-W", "-f", "${Version}", name], { encoding: "utf8" });
  return status === 0 ? stdout : undefined;
}

/** The allocators in Rust have versions of their own. */
const crates = () =>
  Object.fromEntries(
    [...readFileSync(join(guests, "rust/Cargo.toml"), "utf8").matchAll(/^([\w-]+) = \{ version = "=([\d.]+)"/gm)].map(
      ([, name, version]) => [`${name} (crate)`, version],
    ),
  );

/** The bare version of a tool; undefined if there is none. */
function bareVersion(tool) {
  try {
    return toolOf(tool).version.match(/\d+\.\d+[\w.]*/)?.[0];
  } catch {
    return undefined;
  }
}

/** Compiles what is not there yet. Returns the versions of the tools, and the reasons of missing modules by name. */
export async function build(say) {
  const missing = {};
  const reasons = {};
  for (const [name, module] of Object.entries(modules)) {
    const tool = module.tool ?? module.language;
    try {
      // One that cannot compile for WebAssembly at all is asked once.
      if (reasons[tool]) throw reasons[tool];
      await compilers[module.language](module, fileOf(name), say);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      missing[name] = error.message;
      if (module.language === "rust" && !error.message.startsWith("cargo:")) reasons[tool] = error;
    }
  }
  return {
    missing,
    versions: {
      clang: bareVersion("clang"),
      "wasi-libc": packaged("wasi-libc"),
      emcc: bareVersion("emcc"),
      zig: zigVersion(),
      rustc: bareVersion(process.env.RUSTC ?? "rustc"),
      ...crates(),
    },
  };
}
