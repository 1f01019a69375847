/** Guests of other languages, compiled here: each with an allocator of its own, over memory that the host gives. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { main } from "assemblyscript/asc";

export interface Guest {
  readonly name: string;
  /** Whether the guest takes memory that it did not grow: all below memory.size at its first allocation, or at each. */
  readonly takesAll: boolean;
  /** Whether its compiler is on this machine. */
  readonly available: boolean;
  compile(): Promise<Uint8Array>;
}

/** The exports of each guest. */
export interface GuestExports {
  /** A block of its allocator. */
  take(bytes: number): number;
  /** Allocates `count` blocks, and writes them full. */
  fill(count: number, bytes: number): void;
  /** The number of those blocks whose bytes have changed. */
  check(): number;
}

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const sources = at("guests");
const out = at("../../build/guests");
const pipped = at("../../build/zig/ziglang/zig");
const zig = existsSync(pipped) ? pipped : "zig";
const has = (tool: string, ...args: string[]): boolean => spawnSync(tool, args).status === 0;

function command(name: string, file: string, args: (out: string) => [string, ...string[]]) {
  return async (): Promise<Uint8Array> => {
    mkdirSync(out, { recursive: true });
    const [tool, ...rest] = args(`${out}/${name}.wasm`);
    execFileSync(tool, [...rest, `${sources}/${file}`], { stdio: ["ignore", "ignore", "inherit"] });
    return new Uint8Array(readFileSync(`${out}/${name}.wasm`));
  };
}

function assemblyScript(runtime: string): Guest {
  return {
    name: `AssemblyScript, runtime ${runtime}`,
    takesAll: true,
    available: true,
    async compile() {
      let bytes: Uint8Array | undefined;
      const options = ["--runtime", runtime, "--importMemory", "--use", "abort=", "-O", "-o", "guest.wasm"];
      const { error, stderr } = await main([at("assembly/guest.ts"), ...options], {
        writeFile: (_name, contents) => void (bytes = contents as Uint8Array),
      });
      if (error) throw new Error(stderr.toString());
      return bytes!;
    },
  };
}

const linked = ["-Wl,--no-entry", "-Wl,--import-memory"];
// Debian's own: the newest rustc here may have no library for wasm.
const rustc = existsSync("/usr/bin/rustc") ? "/usr/bin/rustc" : "rustc";
const rust = "wasm32-unknown-unknown";

export const guests: readonly Guest[] = [
  ...["stub", "minimal", "incremental"].map(assemblyScript),
  {
    name: "C, wasi-libc of 2022",
    takesAll: true,
    available: existsSync("/usr/lib/wasm32-wasi/libc.a") && has("clang-19", "--version"),
    compile: command("c-old", "guest.c", (file) => [
      "clang-19",
      "--target=wasm32-wasi",
      "--sysroot=/usr",
      "-nostartfiles",
      "-O2",
      ...linked,
      "-o",
      file,
    ]),
  },
  {
    name: "C, wasi-libc of Zig",
    takesAll: false,
    available: has(zig, "version"),
    compile: command("c-new", "guest.c", (file) => [zig, "cc", "-target", "wasm32-wasi", "-O2", ...linked, "-o", file]),
  },
  {
    name: "C, emscripten",
    takesAll: true,
    available: has("emcc", "--version"),
    compile: command("emscripten", "guest.c", (file) => [
      "emcc",
      "-O2",
      "-sSTANDALONE_WASM",
      "-sIMPORTED_MEMORY",
      "-sALLOW_MEMORY_GROWTH",
      "--no-entry",
      "-o",
      file,
    ]),
  },
  {
    name: "Rust, std",
    takesAll: false,
    available: has(rustc, "--version") && existsSync(libraries()),
    compile: command("rust", "guest.rs", (file) => [
      rustc,
      "--target",
      rust,
      "--crate-type",
      "cdylib",
      "-O",
      "-C",
      "link-arg=--import-memory",
      "-o",
      file,
    ]),
  },
  {
    name: "Zig, std.heap.wasm_allocator",
    takesAll: false,
    available: has(zig, "version"),
    compile: command("zig", "guest.zig", (file) => [
      zig,
      "build-exe",
      "-target",
      "wasm32-freestanding",
      "-O",
      "ReleaseSmall",
      "-fno-entry",
      "-rdynamic",
      "--import-memory",
      `-femit-bin=${file}`,
    ]),
  },
];

function libraries(): string {
  const { stdout } = spawnSync(rustc, ["--print", "target-libdir", "--target", rust], { encoding: "utf8" });
  return (stdout ?? "").trim() || "none";
}

/** Every import but the memory is a function that the tests do not need. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): GuestExports {
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] =
      kind === "memory"
        ? memory
        : (...args: number[]) => {
            // emscripten tells the host that memory has grown.
            if (name !== "emscripten_notify_memory_growth") throw new Error(`${name}(${args.join()}) is not here`);
          };
  }
  return new WebAssembly.Instance(module, imports).exports as unknown as GuestExports;
}
