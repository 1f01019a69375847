/**
 * The wasm modules that the package carries as text: decoded without Buffer, atob or fetch, and compiled once each. Each is
 * an object of its own, so that a bundler drops the text of a module that the program does not import.
 */
import { MempoolError } from "./errors.ts";
import { imported } from "../generated/imported.ts";
import { plain } from "../generated/plain.ts";
import { shared } from "../generated/shared.ts";
import type { WasmModule } from "./types.ts";

/** All bytes as text; or [from, text, to]: the text replaces the bytes from..to of another module. */
type Text = string | readonly [from: number, text: string, to: number];

export interface InlinedModule {
  /** The module's file in the package. */
  readonly file: string;
  /** The option that takes the compiled module instead. */
  readonly option: string;
  readonly text: Text;
  /** The text of the module that `text` changes. */
  readonly base?: Text;
  compiled: WasmModule | undefined;
}

/** The compiled modules of a core: the whole; or, of a shared heap, a first half, and `control`, its second. */
export interface CoreModules {
  readonly module: WasmModule;
  readonly control?: WasmModule | undefined;
}

export const plainCore: InlinedModule = { file: "core.wasm", option: "module", text: plain, compiled: undefined };
export const importedCore: InlinedModule = {
  file: "core.imported.wasm",
  option: "module",
  text: imported,
  base: plain,
  compiled: undefined,
};
/** Both halves in one. */
export const sharedCore: InlinedModule = {
  file: "core.shared.wasm, and control its control.shared.wasm",
  option: "module",
  text: shared,
  compiled: undefined,
};

/** The bytes of a text that scripts/build.mjs wrote. */
function decode(text: string): number[] {
  const bytes: number[] = [];
  let high = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 35) high = c === 33 ? 90 : 180;
    else {
      // A tilde stands for the backslash, which would have to be escaped.
      bytes.push(high + (c === 126 ? 92 : c) - 35);
      high = 0;
    }
  }
  return bytes;
}

function bytesOf({ text, base }: InlinedModule): Uint8Array<ArrayBuffer> {
  if (typeof text === "string") return new Uint8Array(decode(text));
  const bytes = decode(base as string);
  bytes.splice(text[0], text[2] - text[0], ...decode(text[1]));
  return new Uint8Array(bytes);
}

function throwUncompiled(apiName: string, { file, option }: InlinedModule, cause: unknown): never {
  if ((cause as Error | undefined)?.name === "RangeError") {
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the host has no memory to compile ${file}`, { cause });
  }
  throw new MempoolError(
    "ERR_NO_WASM",
    `${apiName}: this host compiles no WebAssembly (a page's Content-Security-Policy needs 'wasm-unsafe-eval'); where ` +
      `modules are compiled in advance, give ${option} this package's ${file}`,
    { cause },
  );
}

/** @throws `ERR_NO_WASM` in a host without WebAssembly. */
export function requireWasm(apiName: string): void {
  if (typeof WebAssembly === "undefined") {
    throw new MempoolError("ERR_NO_WASM", `${apiName}: there is no WebAssembly here`);
  }
}

export function compile(apiName: string, module: InlinedModule): WasmModule {
  try {
    return (module.compiled ??= new WebAssembly.Module(bytesOf(module)));
  } catch (cause) {
    return throwUncompiled(apiName, module, cause);
  }
}

export async function compileAsync(apiName: string, module: InlinedModule): Promise<WasmModule> {
  try {
    return (module.compiled ??= await WebAssembly.compile(bytesOf(module)));
  } catch (cause) {
    return throwUncompiled(apiName, module, cause);
  }
}

/** The buffer of a WebAssembly.Memory of any realm; undefined for another object. */
export function bufferOf(memory: unknown): ArrayBuffer | SharedArrayBuffer | undefined {
  try {
    return Object.getOwnPropertyDescriptor(WebAssembly.Memory.prototype, "buffer")!.get!.call(memory) as ArrayBuffer;
  } catch {
    return undefined;
  }
}

/** The exports of a WebAssembly.Module of any realm; undefined for another object. */
export function exportsOf(module: unknown): readonly { readonly name: string }[] | undefined {
  try {
    return WebAssembly.Module.exports(module as WebAssembly.Module);
  } catch {
    return undefined;
  }
}

/** Whether a buffer is shared: also in pages that are not cross-origin isolated, where SharedArrayBuffer is hidden. */
export const isSharedBuffer = (buffer: unknown): boolean =>
  Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
