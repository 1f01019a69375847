/** A wasi-sdk as far as C with threads needs it, of what other toolchains bring: no registry has the wasi-sdk itself. */
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clangMissing, zig } from "./toolchain.ts";
import { emptyFolder } from "./tools.ts";

const TARGET = "wasm32-wasip1-threads";
const CLANG = "/usr/lib/llvm-19/lib/clang/19";

/** rustup's std for threads contains wasi-libc, built with them. */
function libraryOfRust(): string | undefined {
  try {
    const folder = execFileSync("rustc", ["--print", "target-libdir", "--target", TARGET], { encoding: "utf8" }).trim();
    return existsSync(`${folder}/self-contained/libc.a`) ? `${folder}/self-contained` : undefined;
  } catch {
    return undefined;
  }
}

/** Its folder, as WASI_SDK_PATH; undefined where a part is missing. A machine without rustup has no such library. */
export function threadsSdk(): string | undefined {
  const library = libraryOfRust();
  const headers = join(zig, "../lib/libc/include");
  if (clangMissing || library === undefined || !existsSync(headers)) return undefined;
  const folder = emptyFolder("wasi-sdk");
  const sysroot = `${folder}/share/wasi-sysroot`;
  for (const from of ["generic-musl", "wasm-wasi-musl"]) {
    cpSync(`${headers}/${from}`, `${sysroot}/include`, { recursive: true });
  }
  cpSync(library, `${sysroot}/lib/${TARGET}`, { recursive: true });
  // -pthread links it, and what it had is in libc.a.
  writeFileSync(`${sysroot}/lib/${TARGET}/libpthread.a`, "!<arch>\n");
  const builtins = `${folder}/clang/lib/wasm32-unknown-wasip1-threads`;
  mkdirSync(builtins, { recursive: true });
  symlinkSync(`${CLANG}/include`, `${folder}/clang/include`);
  symlinkSync(`${CLANG}/lib/wasi/libclang_rt.builtins-wasm32.a`, `${builtins}/libclang_rt.builtins.a`);
  mkdirSync(`${folder}/bin`);
  const options = `--sysroot=${sysroot} -resource-dir=${folder}/clang`;
  writeFileSync(`${folder}/bin/clang`, `#!/bin/sh\nexec clang-19 ${options} "$@"\n`);
  chmodSync(`${folder}/bin/clang`, 0o755);
  return folder;
}
