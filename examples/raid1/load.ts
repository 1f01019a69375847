/** The load: one input copied through a mirrored store in a heap that is too small for it. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import "wasm-mempool/inspect";
import { createHeap } from "wasm-mempool";
import { MirroredStore, StalledError } from "./array.ts";
import { ExtraMirror, type Sweep } from "./extra.ts";
import { readBlock, type BlockSource, type Disk } from "./disk.ts";
import { ReadCache } from "./neighbour.ts";

export const BLOCK_SIZE = 64 * 1024;

/**
 * Requests submitted at once. They are followed by a flush, as a file system's would be, and in that pause the store
 * holds nothing: whatever it does not have in reserve, a neighbour can take.
 */
export const BURST = 64;

/** The mirror whose plug is pulled half-way. */
const VICTIM = 1;

/** The file of a mirror, and of what takes its place. */
export const mirrorName = (i: number): string => `mirror-${i}.img`;
export const replacementName = (i: number): string => `mirror-${i}-replacement.img`;

export interface Input extends BlockSource {
  readonly bytes: number;
}

export interface LoadOptions {
  readonly input: Input;
  readonly disks: number;
  /** Whether there is a mirror more for a while. */
  readonly reshape: boolean;
  readonly minNr: number;
  readonly heapBytes: number;
  readonly createDisk: (name: string) => Promise<Disk>;
  readonly onProgress: (phase: string, doneBytes: number, totalBytes: number, inFlight: number) => void;
}

export type LoadResult = Awaited<ReturnType<typeof runLoad>>;

export interface DiskResult {
  readonly name: string;
  /** A dropped one was a member for a while, a spare never; different ones do not hold what they should. */
  readonly state: "verified" | "different" | "failed" | "incomplete" | "dropped" | "spare";
  readonly sha256?: string;
  /** What the sha256 is of, in bytes from the start. */
  readonly heldBytes?: number;
  readonly error?: string;
  readonly failedAtByte?: number;
}

/** Runs the load once and says how it went. Running out of memory is a result; a disk that breaks by itself throws. */
export async function runLoad({ input, disks, reshape, minNr, heapBytes, createDisk, onProgress }: LoadOptions) {
  // Made at its full size: it cannot grow under a read or write that another thread is doing in it.
  const heap = createHeap({ initial: heapBytes, maximum: heapBytes });
  const mirrors: Disk[] = [];
  try {
    for (let i = 0; i < disks; i++) mirrors.push(await createDisk(mirrorName(i)));
    const victim = mirrors[VICTIM]!;
    const store = new MirroredStore(heap, { mirrors, blockSize: BLOCK_SIZE, size: input.bytes, minNr });
    const cache = new ReadCache(heap, BLOCK_SIZE);
    const half = Math.max(1, Math.floor(store.blocks / 2));
    const bytesOf = (block: number): number => Math.min(BLOCK_SIZE, input.bytes - block * BLOCK_SIZE);

    /** Burst after burst. */
    const sweep: Sweep = async (end, send) => {
      for (let first = 0; first < end; first += BURST) {
        const burst = Array.from({ length: Math.min(BURST, end - first) }, (_, i) => send(first + i));
        const answers = await Promise.allSettled(burst);
        // A full disk is no drill. It comes before what it led to, such as a write that no mirror took.
        const broken = mirrors.find((disk) => disk.error && !disk.unplugged);
        if (broken) throw new Error(`cannot write ${broken.path}: ${broken.error?.message}`);
        for (const answer of answers) {
          if (answer.status === "fulfilled") continue;
          if (answer.reason instanceof StalledError) return false;
          throw answer.reason;
        }
        await store.flush();
      }
      return true;
    };

    let extra: ExtraMirror | undefined;
    if (reshape) {
      const disk = await createDisk(mirrorName(disks));
      mirrors.push(disk);
      extra = new ExtraMirror({ store, disk, sweep, burst: BURST });
    }

    let blocks = 0;
    let bytes = 0;
    let started = performance.now();
    const copying = sweep(store.blocks, async (block) => {
      await store.write(block, input);
      blocks++;
      bytes += bytesOf(block);
      onProgress("copying", bytes, input.bytes, store.inFlight);
      cache.want((address) => readBlock(mirrors[0]!, heap, address, bytesOf(block), block * BLOCK_SIZE));
      if (blocks === half && !victim.error) await victim.unplug();
      await extra?.copied(blocks);
    });
    // Also if it fails: nothing may be in flight when the files are closed.
    let complete = await copying.finally(() => extra?.resync);
    if (extra) {
      complete &&= await extra.resync;
      await extra.copied(blocks);
    }
    const seconds = (performance.now() - started) / 1000;
    const blockWrites = store.blockWrites;

    let rebuildSeconds = 0;
    let replacement: Disk | undefined;
    if (complete && victim.error) {
      started = performance.now();
      replacement = await createDisk(replacementName(VICTIM));
      mirrors.push(replacement);
      store.replace(VICTIM, replacement);
      let rebuilt = 0;
      complete = await sweep(store.blocks, async (block) => {
        await store.rebuild(block, VICTIM);
        rebuilt += bytesOf(block);
        onProgress("rebuilding", rebuilt, input.bytes, store.inFlight);
      });
      rebuildSeconds = (performance.now() - started) / 1000;
    }

    const pools = store.stats();
    const cacheBlocks = cache.size;
    const problems = heap.check();
    await cache.close();
    await store.close();
    problems.push(...heap.check());

    const { digest, disks: verified } = await verify(input, mirrors, complete, onProgress);
    return {
      minNr,
      stalled: !complete,
      /** Copied, in whole blocks and in bytes; and what was not. */
      blocks,
      bytes,
      bytesLost: input.bytes - bytes,
      /** Blocks that arrived on a mirror by then: with two mirrors, two a block; and those of the resync. */
      blockWrites,
      seconds,
      bytesPerSecond: bytes / seconds,
      /** What became of the mirror that was one more. */
      reshapes: extra?.reshapes ?? [],
      resynced: extra?.resynced ?? null,
      rebuilt: replacement ? { blocks: store.blocks, seconds: rebuildSeconds } : null,
      /** Requests to the store, of any kind, and how many of them had to wait for memory. */
      requests: store.requests,
      waited: pools.reduce((sum, pool) => sum + pool.waited, 0),
      heapBytes: heap.memory.buffer.byteLength,
      cacheBlocks,
      pools,
      sha256: digest,
      disks: verified,
      problems,
    };
  } finally {
    await Promise.all(mirrors.map((disk) => disk.close()));
  }
}

/** Reads everything once more, as a stranger would, and compares; unless the copy is known to be incomplete. */
async function verify(input: Input, mirrors: Disk[], complete: boolean, onProgress: LoadOptions["onProgress"]) {
  const digest = complete ? await sha256(input.path) : null;
  const disks: DiskResult[] = [];
  for (const [i, { name, path, error, failedAt, holds }] of mirrors.entries()) {
    onProgress("verifying", i * input.bytes, mirrors.length * input.bytes, 0);
    if (error) disks.push({ name, state: "failed", error: error.message, failedAtByte: failedAt });
    else if (holds === 0) disks.push({ name, state: "spare" });
    else if (!complete) disks.push({ name, state: "incomplete" });
    else if (holds !== null) {
      const heldBytes = Math.min(holds * BLOCK_SIZE, input.bytes);
      const [found, wanted] = [await sha256(path, heldBytes), await sha256(input.path, heldBytes)];
      disks.push({ name, state: found === wanted ? "dropped" : "different", sha256: found, heldBytes });
    } else {
      const found = await sha256(path);
      disks.push({ name, state: found === digest ? "verified" : "different", sha256: found });
    }
  }
  return { digest, disks };
}

/** Of the file, or of so many bytes from its start. */
async function sha256(path: string, bytes = Infinity): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024, end: bytes - 1 }), hash);
  return hash.digest("hex");
}
