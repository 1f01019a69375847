/**
 * The drill that needs a reshape. A quarter into the copy, with requests in flight, the array gets a mirror more; a
 * resync brings that up to date while the copy goes on. After three quarters it is dropped again.
 */
import { MempoolError } from "wasm-mempool";
import type { MirroredStore, Reshape } from "./array.ts";
import type { Disk } from "./disk.ts";

/** A reshape; or one that failed, because memory was short, and left everything as it was. */
export type ReshapeResult = (Reshape & { error: null }) | { from: number; to: number; error: string };

/** Sends the blocks before `end` through `send`; false if memory ran out for good. */
export type Sweep = (end: number, send: (block: number) => Promise<void>) => Promise<boolean>;

export interface ExtraMirrorOptions {
  readonly store: MirroredStore;
  readonly disk: Disk;
  readonly sweep: Sweep;
  /** Blocks of the copy that are sent at once: reshapes come while most of them have yet to begin. */
  readonly burst: number;
}

export class ExtraMirror {
  readonly reshapes: ReshapeResult[] = [];
  /** Blocks the resync wrote, and blocks copied meanwhile. */
  resynced: { readonly blocks: number; readonly seconds: number; readonly copied: number } | null = null;
  /** The resync, once there is one: false if memory ran out for good. */
  resync = Promise.resolve(true);

  readonly #options: ExtraMirrorOptions;
  readonly #growAt: number;
  readonly #shrinkAt: number;
  #next: "grow" | "shrink" | null = "grow";
  #copied = 0;

  constructor(options: ExtraMirrorOptions) {
    const { store, disk, burst } = options;
    // Not in the first burst: a store without a reserve is to stall after that, in the pause.
    const within = (share: number): number =>
      Math.min(store.blocks, Math.max(1, Math.floor((store.blocks * share) / burst)) * burst + burst / 4);
    this.#options = options;
    this.#growAt = within(1 / 4);
    this.#shrinkAt = within(3 / 4);
    disk.holds = 0;
  }

  /** So many blocks have been copied: what is due now? */
  async copied(blocks: number): Promise<void> {
    this.#copied = blocks;
    if (this.#next === "grow" && blocks >= this.#growAt) {
      this.resync = this.#grow();
      this.resync.catch(() => undefined); // whoever awaits it at the end of the copy gets the error
    } else if (this.#next === "shrink" && blocks >= this.#shrinkAt) await this.#shrink();
  }

  async #grow(): Promise<boolean> {
    const { store, disk, sweep } = this.#options;
    this.#next = null;
    const mirror = store.raidDisks;
    const growing = this.#reshape(mirror + 1);
    // Nothing has been awaited yet. Blocks begin in order: these go to the old mirrors only.
    const blocks = store.begun;
    if (store.raidDisks > mirror) store.replace(mirror, disk);
    if (!(await growing)) return true;

    // Those are on the old mirrors now. The next blocks go to the new one too.
    disk.holds = null;
    const started = performance.now();
    const copied = this.#copied;
    const complete = await sweep(blocks, (block) => store.rebuild(block, mirror));
    this.resynced = {
      blocks,
      seconds: (performance.now() - started) / 1000,
      copied: this.#copied - copied,
    };
    if (complete) this.#next = "shrink";
    return complete;
  }

  async #shrink(): Promise<void> {
    const { store, disk } = this.#options;
    this.#next = null;
    const shrinking = this.#reshape(store.raidDisks - 1);
    const blocks = store.begun - this.resynced!.blocks;
    if (await shrinking) disk.holds = blocks;
  }

  async #reshape(to: number): Promise<boolean> {
    const from = this.#options.store.raidDisks;
    try {
      this.reshapes.push({ ...(await this.#options.store.reshape(to)), error: null });
      return true;
    } catch (error) {
      if (!(error instanceof MempoolError && error.code === "ERR_NO_MEMORY")) throw error;
      this.reshapes.push({ from, to, error: error.message });
      return false;
    }
  }
}
