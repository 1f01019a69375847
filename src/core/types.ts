/**
 * The host's types. Programs are compiled with many libraries: dom, webworker, Node's, which has no WebAssembly namespace, or
 * only the language's. So the published types name a host's type where the program has it, and otherwise describe the parts
 * that the package uses.
 */

/** A WebAssembly.Memory; where that type is not declared, the parts that the package uses. */
export type WasmMemory = typeof globalThis extends { WebAssembly: { Memory: { prototype: infer M } } }
  ? M
  : { readonly buffer: ArrayBuffer; grow(delta: number): number };

/** A WebAssembly.Module; where that type is not declared, any object. */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer M } } } ? M : object;

/** The parts of an AbortSignal that the package uses: the host's, another realm's or a polyfill's. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

type DisposeKey = SymbolConstructor[Extract<keyof SymbolConstructor, "dispose">];

/** A Disposable, for `using`, where Symbol.dispose is declared. */
export type Ends = { readonly [Key in DisposeKey]: () => void };

type AsyncDisposeKey = SymbolConstructor[Extract<keyof SymbolConstructor, "asyncDispose">];

/** An AsyncDisposable, for `await using`, where Symbol.asyncDispose is declared. */
export type EndsAsync = { readonly [Key in AsyncDisposeKey]: () => Promise<void> };
