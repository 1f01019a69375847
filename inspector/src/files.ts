/** Files with a heap: a dump (`dump(heap)` of wasm-mempool/inspect), or the raw memory of any program, from address 0 on. */
import { ABI_VERSION, PAGE, WASM_PAGE } from "../../src/core/abi.ts";
import { MapReader, sourceOfImage, type HeapMap } from "../../src/inspect/heap-map.ts";

/** What a debug heap knew of an element. */
export interface ElementRecord {
  readonly site: string | undefined;
  readonly age: number | undefined;
}

export interface Opened {
  readonly map: HeapMap;
  readonly date: string | undefined;
  readonly records: ReadonlyMap<number, ElementRecord>;
}

const MAGIC = "WMPDUMP\n";
const VERSION = 1;
const HEAD = 24;
const HEAP_MAGIC = 0x6c6f6f70;

/** The text of a dump, as far as it is used here. */
interface DumpText {
  readonly abi: number;
  readonly date: string;
  readonly address: number;
  readonly isShared: boolean;
  readonly pools: readonly { readonly serial: number; readonly name: string }[];
  readonly records?: readonly (readonly [address: number, site: string, age: number])[];
}

/** @throws an Error that says what is wrong with the file. */
export function openFile(name: string, file: Uint8Array): Opened {
  try {
    return String.fromCharCode(...file.subarray(0, 8)) === MAGIC ? openDump(file) : openMemory(file);
  } catch (cause) {
    throw new Error(`${name}: ${(cause as Error).message.replace(/^ERR_\w+: \w+: /, "")}`, { cause });
  }
}

function openDump(file: Uint8Array): Opened {
  if (file.length < HEAD)
    throw new Error(`the dump is truncated: it has ${file.length} bytes, not even a whole header`);
  const head = new DataView(file.buffer, file.byteOffset, file.length);
  const version = head.getUint32(8, true);
  if (version !== VERSION) throw new Error(`the dump is of version ${version}; this page reads version ${VERSION}`);
  const bitsAt = HEAD + head.getUint32(12, true);
  const pages = head.getUint32(16, true);
  const body = bitsAt + pages / 8;
  const bits = file.subarray(bitsAt, body);
  let stored = 0;
  for (const byte of bits) for (let rest = byte; rest; rest &= rest - 1) stored++;
  const whole = body + stored * PAGE;
  if (pages % 16 !== 0 || pages > 2 ** 20) throw new Error(`the dump is damaged: it says that it has ${pages} pages`);
  if (file.length < whole) throw new Error(`the dump is truncated: it has ${file.length} bytes of at least ${whole}`);
  if (file.length > whole) throw new Error(`the dump has ${file.length - whole} bytes more than its ${whole}`);
  let hash = 0x811c9dc5;
  for (let i = HEAD; i < file.length; i++) hash = Math.imul(hash ^ file[i]!, 0x01000193);
  const said = head.getUint32(20, true);
  if (hash >>> 0 !== said) throw new Error(`the dump is damaged: its checksum is ${hash >>> 0}, and should be ${said}`);
  const text = JSON.parse(new TextDecoder().decode(file.subarray(HEAD, bitsAt))) as DumpText;
  if (text.abi !== ABI_VERSION) {
    throw new Error(`the dump is of a heap with ABI version ${text.abi}; this page reads version ${ABI_VERSION}`);
  }
  const memory = new Uint8Array(pages * PAGE);
  for (let page = 0, at = body; page < pages; page++) {
    if (!(bits[page >>> 3]! & (1 << (page & 7)))) continue;
    memory.set(file.subarray(at, (at += PAGE)), page * PAGE);
  }
  const { address, isShared, date, records = [] } = text;
  const names = Object.fromEntries(text.pools.map((pool) => [pool.serial, pool.name]));
  const map = new MapReader(sourceOfImage(memory, { address, isShared, names })).read();
  return { map, date, records: new Map(records.map(([at, site, age]) => [at, { site, age }])) };
}

function openMemory(file: Uint8Array): Opened {
  const address = findHeap(file);
  if (address === undefined) {
    const first = Array.from(file.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new Error(
      `this is neither a dump of a heap nor a memory with one: ${file.length} bytes, first ${first || "none"}`,
    );
  }
  const memory = new Uint8Array(Math.ceil(file.length / WASM_PAGE) * WASM_PAGE);
  memory.set(file);
  // The structures of heaps of one and of several threads differ, and only the right inspector finds all pages of the heap.
  const maps = [false, true].map((isShared) => new MapReader(sourceOfImage(memory, { address, isShared })).read());
  const [one, several] = maps.map(strangeness) as [number, number];
  return { map: maps[several < one ? 1 : 0]!, date: undefined, records: new Map() };
}

/** How many bytes of the heap its runs leave out or have too much. */
function strangeness({ runs, bytes }: HeapMap): number {
  let sum = 0;
  for (let i = 0; i < runs.length; i += 14) sum += runs[i + 2]! * PAGE;
  return Math.abs(sum - bytes);
}

function findHeap(file: Uint8Array): number | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const isHeap = (at: number): boolean => {
    if (at + 12 > file.length || view.getUint32(at, true) !== HEAP_MAGIC) return false;
    const [pages, most] = [view.getUint32(at + 4, true), view.getUint32(at + 8, true)];
    return pages > 0 && pages <= most && most <= 2 ** 20;
  };
  if (isHeap(1024)) return 1024;
  for (let at = 0; at < file.length; at += PAGE) if (isHeap(at)) return at;
  return undefined;
}
