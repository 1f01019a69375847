/**
 * The mirrored store: every block written to it goes to every mirror. This is the file to read to learn how a pool
 * is used; the rest of the example is files, numbers and a command line around it.
 *
 * Three pools live in one heap. A request takes, before it starts, everything it will ever need:
 *
 *     buffer  the block itself: read from the input straight into linear memory, written from there
 *     r1bio   the request: where it goes, and how many mirrors have yet to answer
 *     bio     one for each mirror: a write on its way to one disk
 *
 * Holding several elements at once is how reserves are made to deadlock: sixteen requests hold one bio each, each
 * waits for a second, and nobody is ever done. Two rules rule it out, and a pool's guarantee does the rest:
 *
 *  1. Nobody waits holding something. A request that cannot get all of it gives back what it got, and queues.
 *  2. Nobody allocates later. Once started, a request only has to finish, and finishing needs no memory.
 *
 * So when nothing is in flight every element is home, each reserve is full, and a reserve of `minNr` requests'
 * worth (`minNr` buffers and r1bios, `minNr * raidDisks` bios) starts the first in the queue, whoever has taken
 * the rest of the memory. With `minNr: 0` that sentence is false, and the store shows it.
 *
 * Mirrors may come and go under load: {@link MirroredStore.reshape}. An r1bio is as long as the array has mirrors, so the
 * kernel freezes the array for that, until nothing is in flight, and makes a new pool. Here nobody waits: the pool is
 * told the new number, requests in flight finish with the r1bio and the number they began with, the next get new ones.
 */
import "wasm-mempool/inspect";
import {
  MempoolError,
  create,
  flexible,
  pointer,
  struct,
  u32,
  u64,
  type Cursor,
  type Heap,
  type Pool,
} from "wasm-mempool";
import { readBlock, type BlockSource, type Disk } from "./disk.ts";

/** One write to one disk. */
export const Bio = struct({
  /** The request this is a part of. */
  parent: pointer(() => R1Bio),
  /** The disk: which of all that ever were in the array. Slots are numbered anew when their number changes. */
  disk: u32,
});

/** One request to the array. */
export const R1Bio = struct({
  /** Where in the array, in units of 512 bytes. */
  sector: u64,
  /** How much of the buffer counts: the last block of a file is rarely full. */
  bytes: u32,
  /** The buffer. */
  data: pointer(),
  /** Disks that have not answered yet. */
  remaining: u32,
  /** Disks that have the block. */
  written: u32,
  /** Mirrors of the array when the request began: what follows is twice as many. */
  raidDisks: u32,
  /** One slot for each mirror, then one for each mirror's replacement; 0 where there is nothing to write. */
  bios: flexible(pointer(Bio)),
});

const SECTOR = 512;

/**
 * How long a queue with nothing in flight may look at empty pools before it is called stalled: the neighbours, whom
 * the store knows nothing about, get that long to give something back.
 */
const GIVE_UP_MS = 250;

/** Nothing is in flight, so nothing will ever be freed, and still somebody waits for memory. */
export class StalledError extends Error {
  override readonly name = "StalledError";
}

/** What a request is before it gets any memory. */
interface Request {
  readonly block: number;
  readonly source: BlockSource;
  /** The disks to write to, decided at the start. */
  readonly targets: () => number[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A change of the number of mirrors, from its begin to the end of the last request of the old size. */
export interface Reshape {
  readonly from: number;
  readonly to: number;
  /** Requests of the old size in flight. */
  readonly inFlight: number;
  /** Sizes of r1bios there were at once. */
  readonly epochs: number;
  /** Requests of the new size that began meanwhile, and requests that were completed, of either size. */
  begun: number;
  completed: number;
  milliseconds: number;
}

export interface StoreOptions {
  /** The mirrors. */
  readonly mirrors: readonly Disk[];
  /** Bytes of a block: a multiple of 512. */
  readonly blockSize: number;
  /** Bytes of the whole array. */
  readonly size: number;
  /** How many requests must be able to run however little memory there is. */
  readonly minNr: number;
}

export class MirroredStore {
  readonly blocks: number;
  /** Requests there have been, and how many of them have begun, that is got their memory: in the same order. */
  requests = 0;
  begun = 0;
  /** Requests that hold memory. */
  inFlight = 0;
  /** Blocks that arrived on a disk: with two mirrors, two a request. */
  blockWrites = 0;

  readonly #heap: Heap;
  readonly #size: number;
  readonly #blockSize: number;
  readonly #minNr: number;
  /** `raidDisks` mirrors, then room for as many replacements. */
  #slots: (Disk | undefined)[];
  /** All disks that ever had a slot: requests in flight may outlast the slot. */
  readonly #disks: Disk[];

  readonly #buffers: Pool;
  readonly #r1bios: Pool<unknown, { raidDisks: number }>;
  readonly #bios: Pool;

  /** Requests without memory, first come first served. */
  readonly #queue: Request[] = [];
  /** Who waits for a request that runs, by the address of its r1bio: a JS function cannot live in linear memory. */
  readonly #running = new Map<number, Request>();
  /** The pool that had nothing for the first in the queue, and how many requests have waited for each. */
  #dry: Pool;
  readonly #waited = new Map<Pool, number>();
  #stallTimer: NodeJS.Timeout | undefined;
  /** The reshape whose old size is not yet over. */
  #reshaping: { readonly change: Reshape; readonly started: number; readonly over: () => void } | undefined;

  /** Cursors: they are moved to an address for a few lines, and never kept for later. */
  readonly #r1bio: Cursor<typeof R1Bio>;
  readonly #bio: Cursor<typeof Bio>;
  /** Where a bulk allocation puts its addresses. */
  #addresses: Uint32Array;

  constructor(heap: Heap, { mirrors, blockSize, size, minNr }: StoreOptions) {
    const raidDisks = mirrors.length;
    this.#slots = [...mirrors, ...mirrors.map(() => undefined)];
    this.#disks = [...mirrors];
    this.blocks = Math.ceil(size / blockSize);
    this.#heap = heap;
    this.#size = size;
    this.#blockSize = blockSize;
    this.#minNr = minNr;

    this.#buffers = create({ heap, name: "buffer", size: blockSize, minNr });
    // The element ends in an array as long as the array has disks, which only the host knows: so the host is asked,
    // here and at each reshape, and the pool remembers the answer. `zero`: a slot nobody fills must read 0, also in a
    // reused element.
    this.#r1bios = create({
      heap,
      name: "r1bio",
      size: (data) => R1Bio.offsetof("bios", data.raidDisks * 2),
      data: { raidDisks },
      align: R1Bio.alignof,
      zero: true,
      minNr,
    });
    this.#bios = create({ heap, name: "bio", size: Bio, minNr: minNr * raidDisks });

    this.#r1bio = R1Bio.cursor(heap);
    this.#bio = Bio.cursor(heap);

    this.#dry = this.#buffers;
    this.#addresses = new Uint32Array(raidDisks);
  }

  /** How many mirrors a request that begins now writes to. */
  get raidDisks(): number {
    return this.#slots.length / 2;
  }

  /** Copies one block of `source` to every mirror that works. Settles when they have answered. */
  write(block: number, source: BlockSource): Promise<void> {
    return this.#request(block, source, () => this.#working());
  }

  /** Puts an empty disk in the replacement slot of a mirror. {@link rebuild} then fills it, block by block. */
  replace(mirror: number, replacement: Disk): void {
    this.#slots[this.raidDisks + mirror] = replacement;
    this.#disks.push(replacement);
  }

  /** Copies one block from a mirror that works to the replacement of one that does not. */
  rebuild(block: number, mirror: number): Promise<void> {
    const survivor = this.#slots.find((disk) => disk?.error === null);
    if (!survivor) return Promise.reject(new Error("no mirror is left to rebuild from"));
    return this.#request(block, survivor, () => this.#working().filter((slot) => slot === this.raidDisks + mirror));
  }

  /**
   * Changes the number of mirrors, at once, whatever is in flight: nothing waits for it. Those above the new number are
   * dropped; new ones have no disk, until {@link replace} gives them one. The promise is of what went on until the last
   * request of the old size was done.
   *
   * Rejects with ERR_NO_MEMORY where there is none for the new reserves, and then nothing has changed; also while another
   * reshape is not over.
   */
  async reshape(raidDisks: number): Promise<Reshape> {
    const from = this.raidDisks;
    if (!Number.isInteger(raidDisks) || raidDisks < 1) throw new RangeError(`an array of ${raidDisks} mirrors`);
    if (this.#reshaping) throw new Error("the array is being reshaped");
    const half = (disks: (Disk | undefined)[]) => Array.from({ length: raidDisks }, (_, mirror) => disks[mirror]);
    const slots = [...half(this.#slots.slice(0, from)), ...half(this.#slots.slice(from))];
    if (!slots.some((disk) => disk?.error === null)) throw new Error(`of ${raidDisks} mirrors none would work`);

    const started = performance.now();
    try {
      // Where memory is short, `resize` would have frees fill the reserve up by and by. Too late: see above, "is full".
      if (raidDisks > from && !this.#bios.resize(this.#minNr * raidDisks)) {
        throw new MempoolError("ERR_NO_MEMORY", `reshape: no memory for the bios of ${raidDisks} mirrors`);
      }
      this.#r1bios.reshape({ raidDisks });
    } catch (error) {
      this.#bios.resize(this.#minNr * from);
      throw error;
    }
    if (raidDisks < from) this.#bios.resize(this.#minNr * raidDisks);
    this.#slots = slots;
    this.#addresses = new Uint32Array(raidDisks);

    const { epochs } = this.#r1bios.stats();
    const change = { from, to: raidDisks, inFlight: this.inFlight, epochs, begun: 0, completed: 0, milliseconds: 0 };
    if (epochs > 1) await new Promise<void>((over) => (this.#reshaping = { change, started, over }));
    return change;
  }

  /** Waits until the disks really have what was written to them. */
  async flush(): Promise<void> {
    await Promise.all(this.#slots.filter((disk) => disk?.error === null).map((disk) => disk?.flush()));
  }

  /** The three pools, and how many requests had to wait for each. */
  stats() {
    const pools = [this.#r1bios, this.#bios, this.#buffers];
    return pools.map((pool) => Object.assign(pool.stats(), { waited: this.#waited.get(pool) ?? 0 }));
  }

  /** Gives all memory back. Nothing may be in flight. */
  async close(): Promise<void> {
    clearTimeout(this.#stallTimer);
    const pools = [this.#r1bios, this.#bios, this.#buffers];
    for (const pool of pools) pool.exit();
    await Promise.all(pools.map((pool) => pool.closed));
  }

  /** The slots that have a disk that works. */
  #working(): number[] {
    return [...this.#slots.keys()].filter((slot) => this.#slots[slot]?.error === null);
  }

  #request(block: number, source: BlockSource, targets: () => number[]): Promise<void> {
    this.requests++;
    return new Promise((resolve, reject) => {
      const request = { block, source, targets, resolve, reject };
      // No overtaking: whoever finds a queue joins it, even if there happened to be memory just now.
      if (this.#queue.length > 0 || !this.#start(request)) {
        this.#queue.push(request);
        this.#waited.set(this.#dry, (this.#waited.get(this.#dry) ?? 0) + 1);
        this.#watch();
      }
    });
  }

  /** Takes all the memory a request needs and sends it off; or takes none, and says so with false. */
  #start(request: Request): boolean {
    const slots = request.targets();
    if (slots.length === 0) {
      request.reject(new Error("no mirror is left to write to"));
      return true;
    }

    // The scarcest first, so that trying in vain costs one call. `alloc` asks the slab, then the reserve, and
    // answers 0 when both are empty. `allocBulk` gives every bio or none.
    const data = this.#buffers.alloc();
    if (data === 0) return this.#isDry(this.#buffers);
    const address = this.#r1bios.alloc();
    if (address === 0) {
      this.#buffers.free(data);
      return this.#isDry(this.#r1bios);
    }
    const bios = this.#addresses.subarray(0, slots.length);
    if (!this.#bios.allocBulk(bios)) {
      this.#buffers.free(data);
      this.#r1bios.free(address);
      return this.#isDry(this.#bios);
    }

    const position = request.block * this.#blockSize;
    const r1bio = this.#r1bio.move(address);
    r1bio.sector = BigInt(position / SECTOR);
    r1bio.bytes = Math.min(this.#blockSize, this.#size - position);
    r1bio.data = data;
    r1bio.remaining = slots.length;
    r1bio.raidDisks = this.raidDisks;
    slots.forEach((slot, i) => {
      const bio = this.#bio.move(bios[i]!);
      bio.parent = address;
      bio.disk = this.#disks.indexOf(this.#slots[slot]!);
      r1bio.bios[slot] = bios[i]!;
    });

    this.inFlight++;
    this.begun++;
    if (this.#reshaping) this.#reshaping.change.begun++;
    this.#running.set(address, request);
    readBlock(request.source, this.#heap, data, r1bio.bytes, position).then(
      () => this.#submit(address),
      (error: Error) => this.#end(address, error),
    );
    return true;
  }

  /** The block is in memory: off to the disks. */
  #submit(address: number): void {
    const r1bio = this.#r1bio.move(address);
    const { data, bytes, raidDisks } = r1bio;
    const position = Number(r1bio.sector) * SECTOR;
    for (let slot = 0; slot < raidDisks * 2; slot++) {
      const bio = r1bio.bios[slot]!;
      if (bio === 0) continue;
      this.#disks[this.#bio.move(bio).disk]!.write(this.#heap, data, bytes, position).then(
        () => this.#answer(bio, null),
        (error: Error) => this.#answer(bio, error),
      );
    }
  }

  /** One disk has answered. A disk that cannot write is out of the array; the request needs only one that can. */
  #answer(address: number, error: Error | null): void {
    const bio = this.#bio.move(address);
    const r1bio = this.#r1bio.move(bio.parent);
    if (error === null) {
      r1bio.written++;
      this.blockWrites++;
    } else {
      this.#disks[bio.disk]!.fail(error, Number(r1bio.sector) * SECTOR);
    }
    if (--r1bio.remaining === 0) this.#end(bio.parent, r1bio.written > 0 ? null : error);
  }

  /** The request is done: everything goes home, and the first in the queue gets its turn. */
  #end(address: number, error: Error | null): void {
    const r1bio = this.#r1bio.move(address);
    for (let slot = 0; slot < r1bio.raidDisks * 2; slot++) this.#bios.free(r1bio.bios[slot]!); // 0 is a no-op
    this.#buffers.free(r1bio.data);
    this.#r1bios.free(address);

    const request = this.#running.get(address)!;
    this.#running.delete(address);
    this.inFlight--;
    this.#checkReshape();
    if (error) request.reject(error);
    else request.resolve();
    this.#resume();
    if (this.#queue.length > 0) this.#watch();
  }

  /** A request was completed. If it was the last of the old size, the pool has one epoch again. */
  #checkReshape(): void {
    if (!this.#reshaping) return;
    const { change, started, over } = this.#reshaping;
    change.completed++;
    change.milliseconds = performance.now() - started;
    if (this.#r1bios.stats().epochs > 1) return;
    this.#reshaping = undefined;
    over();
  }

  /** Starts as many of those who wait as there is memory for. */
  #resume(): void {
    while (this.#queue.length > 0 && this.#start(this.#queue[0]!)) this.#queue.shift();
  }

  /** With something in flight there is a free to come. With nothing, only a neighbour could help. */
  #watch(): void {
    if (this.inFlight > 0 || this.#stallTimer) return;
    this.#stallTimer = setTimeout(() => {
      this.#stallTimer = undefined;
      this.#resume();
      if (this.inFlight > 0) return;
      const error = new StalledError(`no memory for a ${this.#dry.name}, and nothing in flight that could free any`);
      for (const request of this.#queue.splice(0)) request.reject(error);
    }, GIVE_UP_MS);
  }

  #isDry(pool: Pool): false {
    this.#dry = pool;
    return false;
  }
}
