/** Programs in C and C++, compiled here, linked with the archives or with their C library's own allocator. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const root = at("../../");
export const programs = at("programs");
const include = at("../../include");
export const out = at("../../build/guests");

/** The archives by what they have. */
export const archives = {
  pools: at("../../build/libwasm_mempool.a"),
  debug: at("../../build/libwasm_mempool_debug.a"),
  sharedPools: at("../../build/libwasm_mempool_shared.a"),
  malloc: at("../../build/libwasm_mempool_malloc.a"),
  sharedMalloc: at("../../build/libwasm_mempool_malloc_shared.a"),
};

/** Debian's emscripten finds some of its passes only so, and its output is older than Node's fetch. */
export const environment = { ...process.env, NODE_PATH: "/usr/share/nodejs" };
const has = (tool: string, ...args: string[]): boolean => spawnSync(tool, args, { env: environment }).status === 0;
const pipped = at("../../build/zig/ziglang/zig");
export const zig = existsSync(pipped) ? pipped : "zig";

/** A compiler with its target. */
export type Command = readonly [string, ...string[]];

/** What is missing here is skipped, but nothing is under CI. */
const missing = (is: boolean): boolean => !is && !process.env["CI"];

const hasClang = has("clang-19", "--version") && has("wasm-ld-19", "--version");
export const clangMissing = missing(hasClang);
export const emscriptenMissing = missing(has("emcc", "--version"));

/** For Node; its own allocators left out. */
export const emcc = ["emcc", "-O2", "-sMALLOC=none", "-sEXIT_RUNTIME=1", "-sINITIAL_MEMORY=33554432"] as const;

export interface Toolchain {
  readonly name: string;
  readonly missing: boolean;
  readonly c: Command;
  readonly cpp: Command;
  /** The arguments that link an archive in place of what the C library has. */
  link(archive: string): string[];
}

/** zig cc links its C library before a program's archives, so these have to be linked whole; what is not called goes again. */
export const whole = (archive: string): string[] => ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"];

/** With its own -O2, clang also runs a wasm-opt that it finds, which takes long, and takes the names of functions. */
const OPTIMISED = ["-Xclang", "-O2"] as const;
export const freestanding = ["clang-19", "--target=wasm32", "-nostdlib", ...OPTIMISED] as const;

/** Compilers for wasm32-wasi. */
export const toolchains: readonly Toolchain[] = [
  {
    name: "clang, wasi-libc of 2022",
    missing: missing(
      hasClang && existsSync("/usr/lib/wasm32-wasi/libc.a") && existsSync("/usr/lib/wasm32-wasi/libc++.a"),
    ),
    c: ["clang-19", "--target=wasm32-wasi", ...OPTIMISED],
    cpp: ["clang++-19", "--target=wasm32-wasi", ...OPTIMISED],
    link: (archive) => [archive],
  },
  {
    name: "zig cc, wasi-libc of Zig",
    missing: missing(has(zig, "version")),
    c: [zig, "cc", "-target", "wasm32-wasi", "-O2"],
    cpp: [zig, "c++", "-target", "wasm32-wasi", "-O2"],
    link: whole,
  },
];

/** Compiles and links; the path of what came out, which is named `name`. */
export function build(name: string, [tool, ...command]: Command, ...args: string[]): string {
  mkdirSync(out, { recursive: true });
  // What emscripten makes is CommonJS.
  writeFileSync(`${out}/package.json`, "{}");
  const path = `${out}/${name}`;
  execFileSync(tool, [...command, "-I", include, "-o", path, ...args], {
    cwd: programs,
    env: environment,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  return path;
}

/** The output of a program of emscripten's, which ends by itself. */
export function runEmscripten(path: string): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--no-experimental-fetch", path], {
    env: environment,
    encoding: "utf8",
    timeout: 300_000,
  });
  if (status !== 0) throw new Error(`${path} ended with ${status}:\n${stdout}${stderr.slice(-2000)}`);
  return stdout;
}

/** Names of a module's functions, as its name section has them. */
export function functionNames(path: string): string[] {
  const module = new WebAssembly.Module(readFileSync(path));
  const names: string[] = [];
  for (const section of WebAssembly.Module.customSections(module, "name")) {
    const bytes = new Uint8Array(section);
    let offset = 0;
    const number = (): number => {
      for (let value = 0, shift = 0; ; shift += 7) {
        const byte = bytes[offset++]!;
        value |= (byte & 127) << shift;
        if (byte < 128) return value;
      }
    };
    while (offset < bytes.length) {
      const kind = number();
      const end = number() + offset;
      for (let count = kind === 1 ? number() : 0; count; count--) {
        number();
        const length = number();
        names.push(new TextDecoder().decode(bytes.subarray(offset, offset + length)));
        offset += length;
      }
      offset = end;
    }
  }
  return names;
}
