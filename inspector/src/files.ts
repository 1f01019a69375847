/** Files with a heap: a dump (`dump(heap)` of wasm-mempool/inspect), or the raw memory of any program, from address 0 on. */
import { isDump } from "../../src/inspect/dump.ts";
import type { HeapMap } from "../../src/inspect/heap-map.ts";
import { readDump, readMemory } from "../../src/inspect/image.ts";
import type { ElementRecord } from "../../src/inspect/subject.ts";

export interface Opened {
  readonly map: HeapMap;
  readonly date: string | undefined;
  /** What a debug heap knew of an element. */
  recordOf(address: number): Partial<ElementRecord> | undefined;
}

/** @throws an Error that says what is wrong with the file. */
export function openFile(name: string, file: Uint8Array): Opened {
  try {
    const image = isDump(file) ? readDump(file) : readMemory(file);
    return {
      map: image.heapMap(),
      date: image.date,
      recordOf: (address) => image.subject.recordOf?.(address),
    };
  } catch (cause) {
    throw new Error(`${name}: ${(cause as Error).message.replace(/^ERR_\w+: \w+: /, "")}`, { cause });
  }
}
