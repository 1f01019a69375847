/** A heap that no program runs on any more: a dump of it, or the memory of any other host. */
import { PAGE, WASM_PAGE, type Inspector } from "../core/abi.ts";
import type { HeapContext } from "../core/context.ts";
import { MempoolError } from "../core/errors.ts";
import { debugInspectors, inspectors } from "../core/inspection.ts";
import { compile } from "../core/modules.ts";
import type { WasmMemory } from "../core/types.ts";
import { boolean, checkOptions, hex, integer, invalid } from "../core/validate.ts";
import { Views } from "../core/views.ts";
import { problemsOf, tableOfStats, type TableOptions } from "../heap/report.ts";
import { statsOf, type HeapStats } from "../heap/stats.ts";
import { statsOf as statsOfPool, type PoolStats } from "../pool/stats.ts";
import { Tally } from "../wait/tally.ts";
import { bytesOf, DEBUG_MAGIC, HEAP_MAGIC, unpack, type DumpedPool, type DumpText } from "./dump.ts";
import { MapReader, type HeapMap } from "./heap-map.ts";
import { group, walk, type Holding, type LeakReport } from "./holders.ts";
import { mapOf, type MapOptions } from "./map.ts";
import { numbered, poolsOf, type FoundPool, type Subject } from "./subject.ts";

/** Where a heap begins that has its memory to itself. */
const AT_ZERO = 1024;

type Known = Pick<DumpText, "address" | "isShared" | "isDebug" | "pools" | "records"> & {
  readonly date: string | undefined;
};

/** Runs what walks the image, and words a trap. */
function walked<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if ((cause as Error).name !== "RuntimeError" && (cause as Error).name !== "RangeError") throw cause;
    const what = `the heap's structures are too damaged to be walked: ${(cause as Error).message}`;
    throw new MempoolError("ERR_INVALID_ARGUMENT", what, { cause });
  }
}

/**
 * The image of a heap's memory, to look into. Made by {@link readDump} and {@link readMemory}. Where the image is damaged, a
 * call throws `ERR_INVALID_ARGUMENT`, and says so.
 */
export class HeapImage {
  /** When the dump was made, in ISO 8601; undefined for a raw memory. */
  readonly date: string | undefined;
  /** The heap's address. */
  readonly address: number;
  /** Whether the heap is of several threads. */
  readonly isShared: boolean;
  /** The memory, without the page behind it where the inspector writes. */
  readonly bytes: number;
  /** @internal */
  readonly subject: Subject;

  /** @internal */
  constructor(apiName: string, known: Known, bytes: number, fill: (target: Uint8Array) => void) {
    this.date = known.date;
    this.address = known.address;
    this.isShared = known.isShared;
    this.bytes = bytes;
    const pages = bytes / WASM_PAGE + 1;
    let memory: WasmMemory;
    let inspector: Inspector;
    const module = compile(
      apiName,
      (known.isDebug ? debugInspectors : inspectors).get(apiName)[known.isShared ? "shared" : "imported"],
    );
    try {
      memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: known.isShared });
      inspector = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Inspector;
    } catch (cause) {
      throw new MempoolError("ERR_NO_MEMORY", `${apiName}: the host gives no ${pages * WASM_PAGE} bytes of memory`, {
        cause,
      });
    }
    const views = new Views(memory);
    fill(views.u8.subarray(0, bytes));
    const names = new Map(known.pools.map((pool) => [pool.serial, pool]));
    const records = new Map(
      known.records.map(([address, site, sequence, heldMs]) => [
        address,
        { site: site ?? undefined, sequence, heldMs: heldMs ?? undefined },
      ]),
    );
    this.subject = {
      inspector,
      address: known.address,
      at: bytes,
      views,
      isShared: known.isShared,
      memberOf: ({ serial }) => names.get(serial) ?? { name: numbered(serial) },
      recordOf: records.size > 0 ? (address) => records.get(address) : undefined,
    };
  }

  /** As {@link Heap.stats}. */
  stats(): HeapStats {
    return walked(() => statsOf(this.#source));
  }

  /** The statistics of each pool, in the order in which the pools were made. Waits are not in memory: those are 0. */
  pools(): PoolStats[] {
    return walked(() =>
      poolsOf(this.subject)
        .filter(({ handle }) => handle !== 0)
        .map((pool) => this.#statsOf(pool)),
    );
  }

  #statsOf(pool: FoundPool): PoolStats {
    const { handle, maxNr, align } = pool;
    const known = this.subject.memberOf(pool) as { name: string } & Partial<DumpedPool>;
    const { name, hosted, elementSize } = known;
    const hostedSize = hosted ? elementSize : undefined;
    return statsOfPool({ name, handle, heap: this.#source, align, maxNr, hostedSize }, new Tally().read());
  }

  get #source(): Pick<HeapContext, "address" | "statistics"> {
    const { inspector, at, views, address } = this.subject;
    return {
      address,
      statistics: (kind, of) => {
        inspector[kind](of, at);
        return (i) => views.f64[(at >>> 3) + i]!;
      },
    };
  }

  /** As {@link Heap.table}. */
  table(options?: TableOptions): string {
    const { all = false } = checkOptions("table", options, ["all"]);
    boolean("table", "all", all);
    return tableOfStats(this.stats(), this.pools(), all);
  }

  /** As {@link Heap.check}. */
  check(): string[] {
    const { inspector, address, at, views } = this.subject;
    return problemsOf(inspector, address, at, views);
  }

  /** As {@link holdings}. The elements of a backend of the caller's own are the boxes that hold them. */
  holdings(): Holding[] {
    return walked(() => [...walk(this.subject)]);
  }

  /** As {@link leakReport}. */
  leakReport(): LeakReport {
    return walked(() => group(walk(this.subject)));
  }

  /** As {@link memoryMap}. */
  map(options?: MapOptions): string {
    return mapOf("map", this.heapMap(), options);
  }

  /** As {@link mapHeap}. */
  heapMap(): HeapMap {
    return walked(() => new MapReader(this.subject).read());
  }

  /** The memory's bytes: an element's are from its address on. */
  get u8(): Uint8Array {
    return this.subject.views.u8.subarray(0, this.bytes);
  }
}

/**
 * A heap's image, of the bytes that {@link dump} made.
 *
 * @throws `ERR_INVALID_ARGUMENT` if the bytes are no dump, or a damaged, truncated or newer one; `ERR_NO_MEMORY`,
 * `ERR_NO_WASM`.
 */
export function readDump(bytes: Uint8Array): HeapImage {
  const { text, bytes: length, copyTo } = unpack("readDump", bytes);
  return new HeapImage("readDump", text, length, copyTo);
}

/** What {@link readMemory} takes. */
export interface ReadMemoryOptions {
  /**
   * The heap's address, `heap_create`'s result.
   * @default the first heap that is found
   */
  readonly address?: number;
}

/**
 * A heap's image, of the raw memory of any program: of a guest, or of another host, from address 0 on.
 *
 * @throws `ERR_INVALID_ARGUMENT` if there is no heap; `ERR_NO_MEMORY`, `ERR_NO_WASM`.
 */
export function readMemory(bytes: Uint8Array, options?: ReadMemoryOptions): HeapImage {
  const apiName = "readMemory";
  const { address } = checkOptions(apiName, options, ["address"]);
  const image = bytesOf(apiName, bytes);
  if (address !== undefined) integer(apiName, "address", address, 1, 2 ** 32 - 1);
  const found = address ?? findHeap(image);
  if (found === undefined) invalid(`${apiName}: no heap is in these ${image.length} bytes`);
  const magic = magicAt(image, found);
  if (magic === 0) invalid(`${apiName}: no heap is at address ${hex(found)}`);
  const length = Math.ceil(image.length / WASM_PAGE) * WASM_PAGE;
  if (length >= 2 ** 32) invalid(`${apiName}: bytes are 4 GiB: a memory that large has no page left for the inspector`);
  const kinds = [false, true].map((isShared) => {
    const known = { address: found, isShared, isDebug: magic === DEBUG_MAGIC, pools: [], records: [], date: undefined };
    return new HeapImage(apiName, known, length, (target) => target.set(image));
  });
  // The structures of the two kinds differ, so only one of the two inspectors finds sense in them.
  const [one, many] = kinds.map((each) => each.check().length) as [number, number];
  return kinds[many < one ? 1 : 0]!;
}

function findHeap(bytes: Uint8Array): number | undefined {
  if (magicAt(bytes, AT_ZERO)) return AT_ZERO;
  for (let at = 0; at < bytes.length; at += PAGE) if (magicAt(bytes, at)) return at;
  return undefined;
}

/** The first word of the heap that seems to be there: its numbers of pages can be; else 0. */
function magicAt(bytes: Uint8Array, at: number): number {
  if (at % 4 !== 0 || at + 12 > bytes.length) return 0;
  const head = new DataView(bytes.buffer, bytes.byteOffset + at, 12);
  const magic = head.getUint32(0, true);
  const [pages, most] = [head.getUint32(4, true), head.getUint32(8, true)];
  const isHeap = pages > 0 && pages <= Math.ceil(bytes.length / PAGE) && pages <= most && most <= 2 ** 20;
  return isHeap && (magic === HEAP_MAGIC || magic === DEBUG_MAGIC) ? magic : 0;
}
