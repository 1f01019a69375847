/** The disks: plain files, read into and written from linear memory without a copy in between. */
import { open, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import type { Heap } from "wasm-mempool";

/** Anything blocks can be read from. */
export interface BlockSource {
  readonly path: string;
  readonly handle: FileHandle;
}

/**
 * Reads `bytes` at `position` into linear memory at `address`.
 *
 * The read goes on in another thread after this call returns, so linear memory must stay where it is: the heap of
 * this example is made at its full size and never grows.
 */
export async function readBlock(
  source: BlockSource,
  heap: Heap,
  address: number,
  bytes: number,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes;) {
    const { bytesRead } = await source.handle.read(heap.u8, address + done, bytes - done, position + done);
    if (bytesRead === 0) throw new Error(`${source.path} became shorter while it was read`);
    done += bytesRead;
  }
}

export class Disk implements BlockSource {
  readonly name: string;
  readonly path: string;
  /** Why it is out of the array; null while it works. */
  error: Error | null = null;
  /** Where in the array the first write failed. */
  failedAt = 0;
  /** Whether its failure was ours. */
  unplugged = false;
  /** If it is no member of the array: the blocks it must hold, from the first. Null while it is one. */
  holds: number | null = null;
  #handles: FileHandle[];

  private constructor(path: string, handle: FileHandle) {
    this.name = basename(path, ".img");
    this.path = path;
    this.#handles = [handle];
  }

  /** Makes an empty file a disk. */
  static async open(path: string): Promise<Disk> {
    return new Disk(path, await open(path, "r+"));
  }

  get handle(): FileHandle {
    return this.#handles[0]!;
  }

  /** Writes `bytes` at `address` of linear memory to `position` of the disk. */
  async write(heap: Heap, address: number, bytes: number, position: number): Promise<void> {
    for (let done = 0; done < bytes;) {
      const { bytesWritten } = await this.handle.write(heap.u8, address + done, bytes - done, position + done);
      done += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    await this.handle.datasync().catch((error: Error) => {
      throw new Error(`cannot write ${this.path}: ${error.message}`, { cause: error });
    });
  }

  /** Takes the disk out of the array. Only the first error counts. */
  fail(error: Error, position: number): void {
    if (this.error) return;
    this.error = error;
    this.failedAt = position;
  }

  /**
   * Breaks the disk for real: from now on the file is open for reading only, and the operating system refuses every
   * write. Writes already under way keep their descriptor, which is closed with the rest at the end: a descriptor
   * closed under a write may be somebody else's by the time the write happens.
   */
  async unplug(): Promise<void> {
    this.#handles.unshift(await open(this.path, "r"));
    this.unplugged = true;
  }

  async close(): Promise<void> {
    await Promise.all(this.#handles.map((handle) => handle.close()));
  }
}
