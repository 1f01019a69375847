/** The wasm modules: inlined as text, decoded without Buffer, atob or fetch, compiled once each. */
import * as texts from "./generated/wasm.ts";

/* What the core's functions return instead of 0, as docs/abi.h has it. */
export const LAST = 1;
export const UNWANTED = 2;
export const FOREIGN = -1;
export const DOUBLE = -2;
export const INTERIOR = -3;
export const MISALIGNED = -4;
export const INVALID = -5;
export const CLOSED = -6;
export const NOT_NOW = -7;
export const NO_MEMORY = -8;

/** What the core exports: the ABI of docs/abi.h. Addresses come back as i32: `>>> 0` makes them addresses. */
export interface Core {
  readonly memory?: WebAssembly.Memory;
  abi_version(): number;
  heap_create(base: number, bytes: number, maxPages: number, grows: number): number;
  heap_attach(heap: number, label: number): number;
  heap_scratch(): number;
  heap_trim(): number;
  heap_faults(): number;
  mempool_create(size: number, align: number, minNr: number, maxNr: number, backend?: number): number;
  mempool_resize(pool: number, minNr: number): number;
  mempool_reshape(pool: number, size: number, align: number): number;
  mempool_size(pool: number, element: number): number;
  mempool_faults(pool: number): number;
  mempool_stir(pool: number): void;
  mempool_cell(pool: number, counts: number): number;
  mempool_uncell(pool: number, cell: number, counted: number): number;
  mempool_drain(pool: number): number;
  mempool_alloc(pool: number): number;
  mempool_zalloc(pool: number): number;
  mempool_alloc_preallocated(pool: number): number;
  mempool_zero(pool: number, element: number): number;
  mempool_alloc_bulk(pool: number, array: number, count: number): number;
  mempool_free(pool: number, element: number): number;
  mempool_free_bulk(pool: number, array: number, count: number): number;
  mempool_free_check(pool: number, element: number): number;
  mempool_mark(pool: number, array: number, count: number, mark: number): number;
  mempool_exit(pool: number): number;
  arena_create(chunkBytes: number): number;
  arena_alloc(arena: number, bytes: number, align: number): number;
  arena_mark(arena: number): number;
  arena_reset(arena: number, mark: number): number;
  arena_exit(arena: number): void;
  // In core.shared.wasm alone:
  heap_thread(): number;
  heap_detach(): number;
  heap_find_thread(label: number): number;
  heap_reap(thread: number): number;
  heap_settle(): number;
  heap_nudge(): number;
  heap_sleep(address: number, expected: number, milliseconds: number): number;
  mempool_pool(handle: number): number;
  mempool_attach(pool: number): number;
  mempool_detach(handle: number): number;
  mempool_ended(handle: number): number;
  mempool_next_live(handle: number, after: number, thread: number): number;
  mempool_wait_begin(handle: number, ticket: number): number;
  mempool_wait_end(handle: number, entry: number): number;
  mempool_alloc_wait(handle: number, timeout: number): number;
}

/** What the module exports that looks at a heap: the checker, and numbers, which it writes to `at`. */
export interface Inspector {
  heap_check(heap: number, at: number): number;
  heap_left(heap: number): number;
  heap_stats(heap: number, at: number): void;
  mempool_stats(pool: number, at: number): void;
  mempool_dip(pool: number): number;
  arena_stats(arena: number, at: number): void;
}

export type ModuleName = keyof typeof texts;

const compiled: { [Name in ModuleName]?: WebAssembly.Module } = {};

/** The bytes of a text, as scripts/build.mjs wrote it. */
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

function bytesOf(name: ModuleName): Uint8Array<ArrayBuffer> {
  const code = texts[name];
  if (typeof code === "string") return new Uint8Array(decode(code));
  const bytes = decode(name === "inspectShared" ? (texts.inspectImported as string) : (texts.plain as string));
  bytes.splice(code[0], code[2] - code[0], ...decode(code[1]));
  return new Uint8Array(bytes);
}

export function moduleOf(name: ModuleName): WebAssembly.Module {
  return (compiled[name] ??= new WebAssembly.Module(bytesOf(name)));
}

export async function moduleOfAsync(name: ModuleName): Promise<WebAssembly.Module> {
  return (compiled[name] ??= await WebAssembly.compile(bytesOf(name)));
}
