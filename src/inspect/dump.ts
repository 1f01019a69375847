/**
 * A dump: a heap's memory as bytes to save, and to read on another machine. All numbers are little endian:
 *
 *   | magic, 8 bytes | version | bytes of text | pages | checksum | text | a bit for each page | stored pages |
 *
 * The text is JSON, in ASCII. A page has 4 KiB; one whose bit is 0 holds only zeros, and is not stored. The checksum is over
 * all that comes behind it.
 */
import { ABI_VERSION, PAGE } from "../core/abi.ts";
import { MempoolError } from "../core/errors.ts";
import { invalid, show } from "../core/validate.ts";
import type { Heap } from "../heap/heap.ts";
import type { PoolContext } from "../pool/context.ts";
import type { PoolSpec } from "../pool/options.ts";
import { walk, type Holding } from "./holders.ts";
import { contextOf, poolsOf, subjectOf } from "./subject.ts";

const MAGIC = [0x57, 0x4d, 0x50, 0x44, 0x55, 0x4d, 0x50, 0x0a]; // "WMPDUMP\n"
const VERSION = 1;

/** The word at the beginning of each heap, and of each debug heap. */
export const HEAP_MAGIC = 0x6c6f6f70;
export const DEBUG_MAGIC = 0x64656270;

const HEAD = 24;
const CHECKSUM = 20;

/** What the dumped thread knew of a pool. */
export interface DumpedPool extends Omit<PoolSpec, "maxNr"> {
  readonly serial: number;
  readonly handle: number;
  readonly isClosed: boolean;
  /** The core's number of its backend. */
  readonly backend: number;
  /** null: no cap. JSON has no Infinity. */
  readonly maxNr: number | null;
}

/** The text of a dump. */
export interface DumpText {
  readonly abi: number;
  /** When, in ISO 8601. */
  readonly date: string;
  /** The heap's address. */
  readonly address: number;
  readonly isShared: boolean;
  /** Whether it is a debug heap. */
  readonly isDebug: boolean;
  readonly pools: readonly DumpedPool[];
  /** Of a debug heap: what it knows of the outstanding elements. JSON has no undefined. */
  readonly records: readonly (readonly [
    address: number,
    site: string | null,
    sequence: number,
    heldMs: number | null,
  ])[];
}

/**
 * The heap's whole memory, with what is needed to read it elsewhere, as bytes for a file: see {@link readDump}, and
 * `npx wasm-mempool inspect FILE`. Pages that hold only zeros take a bit each. In a memory that other code uses, the dump has
 * that code's data, too. Other threads should not allocate or free meanwhile: {@link HeapImage.check} tells. O(memory).
 *
 * @throws `ERR_INVALID_ARGUMENT`, `ERR_CLOSED`, `ERR_NO_WASM`; `ERR_NO_MEMORY` if the host has none for the bytes.
 * @example
 * writeFileSync("heap.dump", dump(heap));
 */
export function dump(heap: Heap): Uint8Array<ArrayBuffer> {
  const apiName = "dump";
  const context = contextOf(apiName, heap);
  const subject = subjectOf(apiName, heap);
  const { address, isShared } = context;
  const own = new Map(Array.from(context.pools, (pool) => [pool, pool as PoolContext]));
  const pools: DumpedPool[] = [];
  for (const found of poolsOf(subject)) {
    const pool = own.get(subject.memberOf(found) as PoolContext);
    if (!pool) continue;
    const { serial, handle, isClosed, backend } = found;
    const { elementSize, minNr } = pool;
    pools.push({ ...pool.spec, elementSize, minNr, serial, handle, isClosed, backend });
  }
  const records = subject.recordOf ? [...recordsIn(walk({ ...subject, memberOf: unnamed }))] : [];
  const text: DumpText = {
    abi: ABI_VERSION,
    date: new Date().toISOString(),
    address,
    isShared,
    isDebug: context.views.refresh().u32[address >>> 2] === DEBUG_MAGIC,
    pools,
    records,
  };
  return pack(apiName, encode(JSON.stringify(text)), context.views.refresh().u32);
}

const unnamed = (): { name: string } => ({ name: "" });

function* recordsIn(all: Iterable<Holding>): Generator<DumpText["records"][number]> {
  for (const { address, site = null, sequence, heldMs = null } of all) {
    if (sequence !== undefined) yield [address, site, sequence, heldMs];
  }
}

/** JSON in ASCII: a worklet has no TextEncoder. */
function encode(json: string): Uint8Array {
  const ascii = json.replace(/[\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return Uint8Array.from(ascii, (c) => c.charCodeAt(0));
}

const WORDS = PAGE / 4;

function isZero(words: Uint32Array, page: number): boolean {
  for (let i = page * WORDS, end = i + WORDS; i < end; i++) if (words[i] !== 0) return false;
  return true;
}

function pack(apiName: string, text: Uint8Array, words: Uint32Array): Uint8Array<ArrayBuffer> {
  const pages = words.length / WORDS;
  const bits = new Uint8Array(pages / 8);
  let stored = 0;
  for (let page = 0; page < pages; page++) {
    if (isZero(words, page)) continue;
    bits[page >>> 3]! |= 1 << (page & 7);
    stored++;
  }
  let out: Uint8Array<ArrayBuffer>;
  const body = HEAD + text.length + bits.length;
  try {
    out = new Uint8Array(body + stored * PAGE);
  } catch (cause) {
    const what = `the host gives no ${body + stored * PAGE} bytes for a dump`;
    throw new MempoolError("ERR_NO_MEMORY", `${apiName}: ${what}`, { cause });
  }
  out.set(MAGIC);
  const head = new DataView(out.buffer);
  head.setUint32(8, VERSION, true);
  head.setUint32(12, text.length, true);
  head.setUint32(16, pages, true);
  out.set(text, HEAD);
  out.set(bits, HEAD + text.length);
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  let at = body;
  for (let page = 0; page < pages; page++) {
    if (!(bits[page >>> 3]! & (1 << (page & 7)))) continue;
    out.set(bytes.subarray(page * PAGE, (page + 1) * PAGE), at);
    at += PAGE;
  }
  head.setUint32(CHECKSUM, checksum(out), true);
  return out;
}

/** FNV-1a over the bytes behind the head. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = HEAD; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}

/** A memory's bytes: where pages lie in it, and what is there. */
export interface Unpacked {
  readonly text: DumpText;
  /** Bytes of the memory. */
  readonly bytes: number;
  /** Writes the pages into a memory that holds zeros. */
  copyTo(target: Uint8Array): void;
}

/** Whether bytes begin as those that {@link dump} makes. */
export const isDump = (bytes: Uint8Array): boolean => MAGIC.every((byte, i) => bytes[i] === byte);

/** @throws `ERR_INVALID_ARGUMENT` if the bytes are no dump, or a damaged one. */
export function unpack(apiName: string, given: Uint8Array): Unpacked {
  const bytes = bytesOf(apiName, given);
  if (!isDump(bytes)) {
    const first = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    invalid(`${apiName}: bytes are no dump of a heap: they begin with ${first || "nothing"}`);
  }
  const head = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < HEAD) invalid(`${apiName}: bytes are a truncated dump: ${bytes.length} bytes, no whole header`);
  const version = head.getUint32(8, true);
  if (version !== VERSION) {
    invalid(`${apiName}: bytes are a dump of version ${version}; this package reads version ${VERSION}`);
  }
  const textBytes = head.getUint32(12, true);
  const pages = head.getUint32(16, true);
  const bitsAt = HEAD + textBytes;
  const body = bitsAt + pages / 8;
  const bits = bytes.subarray(bitsAt, body);
  let stored = 0;
  for (const byte of bits) for (let rest = byte; rest; rest &= rest - 1) stored++;
  const whole = body + stored * PAGE;
  if (bytes.length < whole)
    invalid(`${apiName}: bytes are a truncated dump: ${bytes.length} bytes of at least ${whole}`);
  if (bytes.length > whole) invalid(`${apiName}: bytes are a dump of ${whole} bytes, and ${bytes.length - whole} more`);
  const [said, found] = [head.getUint32(CHECKSUM, true), checksum(bytes)];
  if (said !== found || pages % 16 !== 0) {
    invalid(`${apiName}: bytes are a damaged dump: the checksum is ${show(found)}, and should be ${show(said)}`);
  }
  let json = "";
  for (const byte of bytes.subarray(HEAD, bitsAt)) json += String.fromCharCode(byte);
  const text = JSON.parse(json) as DumpText;
  if (text.abi !== ABI_VERSION) {
    invalid(`${apiName}: bytes are a dump of a heap with ABI version ${text.abi}; this package has ${ABI_VERSION}`);
  }
  return {
    text,
    bytes: pages * PAGE,
    copyTo(target) {
      let at = body;
      for (let page = 0; page < pages; page++) {
        if (!(bits[page >>> 3]! & (1 << (page & 7)))) continue;
        target.set(bytes.subarray(at, (at += PAGE)), page * PAGE);
      }
    },
  };
}

/** The bytes of a Uint8Array of any realm, or of a view or buffer of another kind. */
export function bytesOf(apiName: string, given: unknown): Uint8Array {
  if (ArrayBuffer.isView(given)) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
  const buffer = given as ArrayBuffer | null | undefined;
  if (typeof buffer === "object" && buffer !== null && typeof buffer.byteLength === "number" && "slice" in buffer) {
    return new Uint8Array(buffer);
  }
  return invalid(`${apiName}: bytes must be a Uint8Array, got ${show(given)}`);
}
