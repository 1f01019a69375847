/**
 * The greedy neighbour: a read cache in the heap of the mirrored store. Memory not used is memory wasted, so it takes
 * every block it can get and never gives one back; when there is no more it forgets its oldest block for a new one.
 * A good citizen of a machine with enough memory, and the reason a store that must not fail needs a reserve.
 */
import { create, type Heap, type Pool } from "wasm-mempool";

export class ReadCache {
  /** Addresses of the blocks held, oldest first; those being read into are in nobody's way. */
  readonly #blocks: number[] = [];
  readonly #reads = new Set<Promise<void>>();
  readonly #pool: Pool;

  constructor(heap: Heap, blockSize: number) {
    // No reserve: a cache that gets nothing is slow, not wrong.
    this.#pool = create({ heap, name: "cache", size: blockSize, minNr: 0 });
  }

  /** Blocks it holds. */
  get size(): number {
    return this.#pool.outstanding;
  }

  /** Somebody wants a block: `read` puts it at the address it is given. A cache need not have it, so errors are not. */
  want(read: (address: number) => Promise<void>): void {
    const address = this.#pool.alloc() || this.#blocks.shift();
    if (!address) return;
    const reading = read(address)
      .catch(() => undefined)
      .finally(() => {
        this.#blocks.push(address);
        this.#reads.delete(reading);
      });
    this.#reads.add(reading);
  }

  async close(): Promise<void> {
    await Promise.all(this.#reads);
    this.#pool.freeBulk(Uint32Array.from(this.#blocks.splice(0)));
    this.#pool.exit();
    await this.#pool.closed;
  }
}
